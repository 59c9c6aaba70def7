"""What moved a deal's odds between two days, adding up exactly."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from winpredict.errors import WinPredictError
from winpredict.explain.claims import amount_of
from winpredict.explain.contributions import Contributions, contributions, shared_out
from winpredict.explain.reason import Reason, in_points, told_to
from winpredict.explain.reasons import snapshot_of
from winpredict.explain.themes import MIN_POINTS, themes_of
from winpredict.features.cross_deal_history import CrossDealHistory
from winpredict.features.description import Audience
from winpredict.locale.text import said, text
from winpredict.models.snapshots import pipeline
from winpredict.models.trained import TrainedModel
from winpredict.tables.crm import CRMData, utc


@dataclass(frozen=True)
class DealChanges:
    """What moved one deal's odds.

    Parameters
    ----------
    deal_id : str
    start, end : Timestamp
    before, after : float
        Win probability on either day, both by the same model.
    reasons : tuple of Reason
        What moved the odds, strongest first.
    other_points : float
        What everything else adds: before + reasons + other = after.
    """

    deal_id: str
    start: pd.Timestamp
    end: pd.Timestamp
    before: float
    after: float
    reasons: tuple[Reason, ...]
    other_points: float

    def told_to(self, audience: Audience) -> "DealChanges":
        """The same with the reasons that somebody is told; the others are part of everything else."""
        told = told_to(self.reasons, audience)
        if len(told) == len(self.reasons):
            return self
        rest = self.after - self.before - sum(each.points for each in told)
        return replace(self, reasons=told, other_points=rest)

    def summary(self) -> str:
        """The changes as text."""
        head = said(
            "{deal}: {before:percent} on {start:day}, {after:percent} on {end:day} ({change}), both by today's model",
            deal=self.deal_id,
            before=self.before,
            start=self.start.isoformat(),
            after=self.after,
            end=self.end.isoformat(),
            change=in_points(self.after - self.before),
        )
        rest = said("Everything else: {points}", points=in_points(self.other_points))
        return "\n".join([head, *(f"  {reason.sentence}" for reason in self.reasons), f"  {rest}"])

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "deal_id": self.deal_id,
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
            "before": self.before,
            "after": self.after,
            "reasons": [each.to_dict() for each in self.reasons],
            "other_points": self.other_points,
        }


def changes(
    model: TrainedModel,
    crm: CRMData,
    deal_id: str,
    start: pd.Timestamp | str,
    end: pd.Timestamp | str | None = None,
    *,
    most: int = 10,
    cross_deal_history: CrossDealHistory | None = None,
) -> DealChanges:
    """What moved the odds of an open deal from one day to another.

    Parameters
    ----------
    model : TrainedModel
        Scores both days, so that a difference is the deal's and not the model's. The earlier day may lie before the
        end of training: the deal's own ending is unknown in any case.
    crm : CRMData
    deal_id : str
    start : Timestamp or str
        The earlier day.
    end : Timestamp or str, optional
        The later day, by default the end of the data.
    most : int
        Reasons at the most.
    cross_deal_history : CrossDealHistory, optional
        Cross-deal history of all deals, where `crm` holds only some of them, as `DealScorer` keeps it.

    Returns
    -------
    DealChanges

    Raises
    ------
    WinPredictError
        When the deal was not open on both days, the days are in the wrong order, the data are undated, or the model
        was trained on facts later than `end`.

    Notes
    -----
    The difference of every feature's calibrated contribution in log-odds, shared out over the difference of the two
    probabilities by the slope of the chord between them.
    """
    first, last = _days_between(model, crm, start, end)
    snapshots = [snapshot_of(crm, deal_id, moment) for moment in (first, last)]
    return _changes_between(model, crm, snapshots[0], snapshots[1], most, cross_deal_history)[0]


def changes_of(
    model: TrainedModel,
    crm: CRMData,
    deal_ids: Sequence[str],
    start: pd.Timestamp | str,
    end: pd.Timestamp | str | None = None,
    *,
    most: int = 10,
) -> list[DealChanges]:
    """What moved the odds of several deals, in one pass; see `changes`.

    Parameters
    ----------
    model : TrainedModel
    crm : CRMData
    deal_ids : sequence of str
        Those that were not open on both days are left out.
    start, end : Timestamp or str
    most : int
        Reasons of a deal at the most.

    Raises
    ------
    WinPredictError
        As `changes`, but for deals that were not open.
    """
    first, last = _days_between(model, crm, start, end)
    before, after = (pipeline(crm, moment).set_index("deal_id", drop=False) for moment in (first, last))
    ids = [each for each in map(str, deal_ids) if each in before.index and each in after.index]
    if not ids:
        return []
    return _changes_between(
        model, crm, before.loc[ids].reset_index(drop=True), after.loc[ids].reset_index(drop=True), most
    )


def over_time(
    model: TrainedModel,
    crm: CRMData,
    deal_id: str,
    *,
    every_days: float = 7.0,
    as_of: pd.Timestamp | str | None = None,
    cross_deal_history: CrossDealHistory | None = None,
) -> pd.DataFrame:
    """The odds of an open deal from its creation on, all by the same model, each with what was known then.

    Parameters
    ----------
    model : TrainedModel
    crm : CRMData
    deal_id : str
    every_days : float
        Days between two looks; the last is at the end.
    as_of : Timestamp or str, optional
        The end, by default that of the data.
    cross_deal_history : CrossDealHistory, optional
        As `changes` has it.

    Returns
    -------
    DataFrame
        as_of, win_probability, low, high, in the order of time.

    Raises
    ------
    WinPredictError
        When the deal was not open at the end, or the data are undated.
    """
    moment = crm.known_until if as_of is None else utc(as_of)
    if not crm.dated or moment is None:
        raise WinPredictError(text("these deals carry no dates, so nothing is known of an earlier day"))
    model.refuse_hindsight(moment)
    snapshots = snapshots_over_time(crm, snapshot_of(crm, deal_id, moment), every_days)
    odds = model.odds(model.build_features(crm, snapshots, cross_deal_history=cross_deal_history))
    return pd.concat([snapshots[["as_of"]], odds], axis=1)


def snapshots_over_time(crm: CRMData, last: pd.DataFrame, every_days: float) -> pd.DataFrame:
    """Snapshots of a deal from its creation on, a step apart; the last one is given."""
    deal_id, end = str(last["deal_id"].iloc[0]), last["as_of"].iloc[0]
    created = crm.deals.loc[crm.deals["deal_id"] == deal_id, "created_at"].iloc[0]
    step = pd.Timedelta(days=every_days)
    moments = pd.date_range(created + step, end, freq=step, inclusive="left")
    return pd.DataFrame({"deal_id": deal_id, "as_of": [*moments, end]})


def _days_between(
    model: TrainedModel, crm: CRMData, start: pd.Timestamp | str, end: pd.Timestamp | str | None
) -> tuple[pd.Timestamp, pd.Timestamp]:
    until = crm.known_until if end is None else end
    if not crm.dated or until is None:
        raise WinPredictError(text("these deals carry no dates, so nothing is known of an earlier day"))
    first, last = utc(start), utc(until)
    if not first < last:
        raise WinPredictError(text("{first} is not before {last}; give the earlier day first", first=first, last=last))
    model.refuse_hindsight(last)
    return first, last


def _changes_between(
    model: TrainedModel,
    crm: CRMData,
    before: pd.DataFrame,
    after: pd.DataFrame,
    most: int,
    cross_deal_history: CrossDealHistory | None = None,
) -> list[DealChanges]:
    """Changes between two looks at each of some deals, which stand in the same order."""
    count = len(before)
    features = model.build_features(
        crm, pd.concat([before, after], ignore_index=True), cross_deal_history=cross_deal_history
    )
    found = contributions(model.classifier, features)
    pairs = range(count), range(count, 2 * count)
    odds = log_odds_of(found)
    return [
        DealChanges(
            deal_id=str(before["deal_id"].iloc[row]),
            start=before["as_of"].iloc[row],
            end=after["as_of"].iloc[row],
            before=float(expit(odds[row])),
            after=float(expit(odds[count + row])),
            reasons=reasons,
            other_points=other,
        )
        for row, (reasons, other) in enumerate(moves(model, features, found, *pairs, most=most))
    ]


def log_odds_of(found: Contributions) -> NDArray[np.float64]:
    """Calibrated log-odds of every row, as its contributions add up to them."""
    return np.asarray(found.calibrated_base + found.calibrated.to_numpy().sum(axis=1))


def moves(
    model: TrainedModel,
    features: pd.DataFrame,
    found: Contributions,
    before: Sequence[int],
    after: Sequence[int],
    *,
    most: int,
) -> list[tuple[tuple[Reason, ...], float]]:
    """What moved the odds between pairs of rows, strongest first, and what everything else adds.

    Parameters
    ----------
    model : TrainedModel
    features : DataFrame
        The rows' features.
    found : Contributions
        Of the same rows.
    before, after : sequence of int
        Places of the rows of each pair.
    most : int
        Reasons of a pair at the most.
    """
    first, last = np.asarray(before, dtype=np.intp), np.asarray(after, dtype=np.intp)
    moved = found.calibrated.to_numpy()
    points = shared_out(moved[last] - moved[first], log_odds_of(found)[first])
    grouped = themes_of(model.info)
    sums = grouped.sums(points)
    values = features.to_numpy(dtype=object)

    def reason(pair: int, place: int) -> Reason:
        theme, members = grouped.themes[place], np.array(grouped.members[place])
        along = points[pair, members] * sums[pair, place]
        speaker = int(members[along.argmax()])
        info = model.info[speaker]
        was, now = (amount_of(info, values[rows[pair], speaker]) for rows in (first, last))
        claim = (
            text("{label}: {before} → {after}", label=info.label, before=was, after=now)
            if str(was) != str(now)
            else text("{label}: still {value}, which weighs differently now", label=info.label, value=now)
        )
        part = float(sums[pair, place])
        return Reason(info.name, theme.key, part, claim, None, info.controlled_by, theme.audience)

    out = []
    for pair in range(len(first)):
        order = np.argsort(-np.abs(sums[pair]), kind="stable")[:most]
        told = tuple(reason(pair, place) for place in order.tolist() if abs(sums[pair, place]) >= MIN_POINTS)
        out.append((told, float(points[pair].sum() - sum(each.points for each in told))))
    return out
