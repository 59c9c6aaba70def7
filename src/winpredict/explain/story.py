"""A deal's story: its odds over time, what moved them, and why they are what they are, in one pass over the model."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd
from scipy.special import expit

from winpredict.config import NextSteps
from winpredict.explain.changes import DealChanges, moves, snapshots_over_time
from winpredict.explain.contributions import Contributions, contributions
from winpredict.explain.deal_flags import DEFAULTS
from winpredict.explain.next_steps import NextStep, outlook
from winpredict.explain.reason import Reason, told_to
from winpredict.explain.reasons import DealExplanation, Telling, snapshot_of
from winpredict.features.builders.base import FeatureBuilder
from winpredict.features.cross_deal_history import CrossDealHistory
from winpredict.features.description import Audience
from winpredict.models.trained import TrainedModel
from winpredict.tables.crm import CRMData, utc
from winpredict.tables.schema import TIME_DTYPE

#: Steps of the odds over time at the most; an older deal is looked at more seldom.
MAX_STEPS = 53
#: Deals that are this young are looked at every day: by the week there would be next to nothing to see.
_YOUNG_WEEKS = 4
#: Moves of fewer points are not pointed out.
MIN_MOVE = 0.03
_WEEK = pd.Timedelta(days=7)
_REASONS, _REASONS_A_STEP = 10, 3
_KINDS = ("call", "email", "meeting")


@dataclass(frozen=True)
class Step:
    """A deal's odds on a day, and what moved them since the step before.

    Parameters
    ----------
    as_of : Timestamp
    win_probability, low, high : float
    change : float or None
        Since the step before; None for the first.
    reasons : tuple of Reason
        What moved the odds, strongest first.
    """

    as_of: pd.Timestamp
    win_probability: float
    low: float
    high: float
    change: float | None
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class DealStory:
    """All that is told of one open deal.

    Parameters
    ----------
    features : DataFrame
        One row, as of now.
    explanation : DealExplanation
        Why the odds are what they are.
    week : DealChanges or None
        What moved them in a week; None where the deal is younger, and for undated data.
    steps : tuple of Step
        The odds over time, all by the same model; none for undated data.
    every_days : int
        Days between two steps of the odds.
    events : DataFrame
        What happened, in the order of time: at, kind (stage, call, email, meeting, other) and label (the stage
        or the type of the activity, as the CRM has it).
    """

    features: pd.DataFrame
    explanation: DealExplanation
    week: DealChanges | None
    steps: tuple[Step, ...]
    every_days: int
    events: pd.DataFrame

    @property
    def next_steps(self) -> tuple[NextStep, ...]:
        """What to do next, the most urgent first."""
        return self.explanation.next_steps

    def told_to(self, audience: Audience) -> "DealStory":
        """The same with the reasons that somebody is told."""
        steps = tuple(replace(step, reasons=told_to(step.reasons, audience)) for step in self.steps)
        week = None if self.week is None else self.week.told_to(audience)
        return replace(self, explanation=self.explanation.told_to(audience), week=week, steps=steps)

    def largest_moves(self, most: int = 4) -> list[Step]:
        """The steps that moved the odds most, in the order of time."""
        moved = [step for step in self.steps if step.change is not None and abs(step.change) >= MIN_MOVE]
        largest = sorted(moved, key=lambda step: -abs(step.change or 0.0))[:most]
        return sorted(largest, key=lambda step: step.as_of)


def tell_story(
    model: TrainedModel,
    crm: CRMData,
    deal_id: str,
    *,
    as_of: pd.Timestamp | str | None = None,
    cross_deal_history: CrossDealHistory | None = None,
    builders: Sequence[FeatureBuilder] | None = None,
    settings: NextSteps = DEFAULTS,
) -> DealStory:
    """Tell all of one open deal.

    Parameters
    ----------
    model : TrainedModel
    crm : CRMData
    deal_id : str
    as_of : Timestamp or str, optional
        By default the end of the data.
    cross_deal_history : CrossDealHistory, optional
        Cross-deal history of all deals, where `crm` holds only some of them, as `DealScorer` keeps it.
    builders : sequence of FeatureBuilder, optional
        Those of the model, where they were made before.
    settings : NextSteps
        From which figures each rule of the next steps fires.

    Raises
    ------
    WinPredictError
        When the deal is unknown or was not open then, or the model was trained on later facts.
    """
    moment = crm.known_until if as_of is None else utc(as_of)
    model.refuse_hindsight(moment)
    last = snapshot_of(crm, deal_id, moment)
    every_days, snapshots = _steps_of(crm, last)
    steps = len(snapshots)
    if _older_than_a_week(crm, last):
        snapshots = pd.concat([snapshots, last.assign(as_of=last["as_of"] - _WEEK)], ignore_index=True)
    features = model.build_features(crm, snapshots, cross_deal_history=cross_deal_history, builders=builders)
    found = contributions(model.classifier, features)
    explained = _ExplainedRows(model, features, found, model.odds_of(found.by_bag))
    now = features.iloc[[steps - 1]].reset_index(drop=True)
    return DealStory(
        features=now,
        explanation=explained.explanation(str(deal_id), snapshots["as_of"], steps - 1, settings),
        week=explained.week(str(deal_id), snapshots["as_of"], steps) if len(snapshots) > steps else None,
        steps=explained.steps(snapshots["as_of"], steps) if crm.dated else (),
        every_days=every_days,
        events=_events(crm, str(deal_id), moment),
    )


@dataclass(frozen=True)
class _ExplainedRows:
    """Rows of one deal with all that the model says of them."""

    model: TrainedModel
    features: pd.DataFrame
    found: Contributions
    odds: pd.DataFrame

    def explanation(self, deal_id: str, as_of: pd.Series, row: int, settings: NextSteps) -> DealExplanation:
        telling = Telling(self.model, self.features.iloc[[row]], self.found.points[[row]], _REASONS)
        base = float(expit(self.found.calibrated_base))
        odds = self.odds["win_probability"].to_numpy()[[row]]
        steps = outlook(self.model, self.features.iloc[[row]].reset_index(drop=True), odds, settings).steps[0]
        return DealExplanation(
            deal_id,
            as_of.iloc[row],
            *self._odds(row),
            base,
            telling.reasons(0),
            telling.given(0),
            telling.other(0),
            steps,
        )

    def week(self, deal_id: str, as_of: pd.Series, earlier: int) -> DealChanges:
        now = earlier - 1
        reasons, other = self._moves([earlier], [now], _REASONS)[0]
        days = as_of.iloc[earlier], as_of.iloc[now]
        return DealChanges(deal_id, *days, self._odds(earlier)[0], self._odds(now)[0], reasons, other)

    def steps(self, as_of: pd.Series, count: int) -> tuple[Step, ...]:
        moved = self._moves(range(count - 1), range(1, count), _REASONS_A_STEP)
        wins = self.odds["win_probability"].to_numpy()
        changes = [None, *(wins[1:count] - wins[: count - 1]).tolist()]
        reasons = [(), *(each for each, _ in moved)]
        return tuple(Step(as_of.iloc[row], *self._odds(row), changes[row], reasons[row]) for row in range(count))

    def _moves(self, before: Sequence[int], after: Sequence[int], most: int) -> list[tuple[tuple[Reason, ...], float]]:
        return moves(self.model, self.features, self.found, before, after, most=most) if len(before) else []

    def _odds(self, row: int) -> tuple[float, float, float]:
        win_probability, low, high = map(float, self.odds[["win_probability", "low", "high"]].iloc[row])
        return win_probability, low, high


def _steps_of(crm: CRMData, last: pd.DataFrame) -> tuple[int, pd.DataFrame]:
    """Days between two looks, and the looks, of which the last one is given; for undated data that one alone."""
    if not crm.dated:
        return 7, last[["deal_id", "as_of"]]
    weeks = -(-_age(crm, last) // _WEEK)
    every_days = 1 if weeks <= _YOUNG_WEEKS else 7 * max(1, -(-weeks // MAX_STEPS))
    return every_days, snapshots_over_time(crm, last, every_days)


def _older_than_a_week(crm: CRMData, last: pd.DataFrame) -> bool:
    return crm.dated and _age(crm, last) > _WEEK


def _age(crm: CRMData, last: pd.DataFrame) -> pd.Timedelta:
    created = crm.deals.loc[crm.deals["deal_id"] == last["deal_id"].iloc[0], "created_at"].iloc[0]
    age: pd.Timedelta = last["as_of"].iloc[0] - created
    return age


def _events(crm: CRMData, deal_id: str, moment: pd.Timestamp | None) -> pd.DataFrame:
    """Touches and changes of stage that had happened, and were known, before a moment."""
    found = []
    if crm.activities is not None and moment is not None:
        touches = crm.activities[crm.activities["deal_id"] == deal_id]
        known = touches["occurred_at"] < moment
        if "recorded_at" in touches:
            known &= ~(touches["recorded_at"] >= moment)
        touches = touches[known]
        kinds = touches["activity_type"].where(touches["activity_type"].isin(_KINDS), "other")
        found.append(pd.DataFrame({"at": touches["occurred_at"], "kind": kinds, "label": touches["activity_type"]}))
    if crm.records_changes_of("stage") and crm.deal_history is not None and moment is not None:
        history = crm.deal_history
        entered = history[(history["deal_id"] == deal_id) & history["stage"].notna() & (history["changed_at"] < moment)]
        entered = entered.sort_values("changed_at", kind="stable")
        entered = entered[entered["stage"] != entered["stage"].shift()]
        found.append(pd.DataFrame({"at": entered["changed_at"], "kind": "stage", "label": entered["stage"]}))
    nothing = pd.DataFrame({"at": pd.Series(dtype=TIME_DTYPE), "kind": [], "label": []})
    events = pd.concat([each.astype({"kind": object, "label": object}) for each in [nothing, *found]])
    return events.sort_values("at", kind="stable", ignore_index=True)
