"""Next steps: what a sales coach would have the owner of an open deal do, by plain rules over facts as of then.

A rule fires only on what is known: where a fact is missing, it is silent. No step promises an effect; where deals alike
at the start were compared and differed, the interval of that difference is cited.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from winpredict.config import NextSteps
from winpredict.explain._next_step_facts import Facts
from winpredict.explain._next_step_rules import LET_GO, NOTHING, NOTHING_TO_DO, RULES
from winpredict.explain.deal_flags import DEFAULTS, flag_names, with_falling
from winpredict.locale.text import Text, said
from winpredict.models.stage_norms import StageNorms
from winpredict.models.trained import TrainedModel
from winpredict.tables.schema import text_dtype

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class NextStep:
    """One thing to do next about a deal, or the word that there is nothing to do.

    Parameters
    ----------
    key : str
        let_go, call, book, correct_date, close_plan, check_date, unblock, senior, colleague, competitor; or, if nothing
        is to be done, booked or customer_has_it.
    action : Text
        "Call them, or send a recap with one clear question."
    why : Text
        The fact behind it: "No contact for 26 days, and no meeting booked."
    usual : Text or None
        What deals that were won had, where that is known.
    evidence : Text or None
        The interval in which win rates of deals alike at the start differed, where the evidence is clear.
    urgency : float
        0 to 1.
    stake : float or None
        Amount x odds x (1 - odds): most where a large deal may still go either way. None where amount or odds are
        unknown.
    flags : tuple of str
        Those of the deal; see `winpredict.explain.deal_flags.FLAGS`.
    """

    key: str
    action: Text
    why: Text
    usual: Text | None = None
    evidence: Text | None = None
    urgency: float = 0.0
    stake: float | None = None
    flags: tuple[str, ...] = ()

    @property
    def is_to_do(self) -> bool:
        """Whether it is something to do."""
        return self.key not in NOTHING_TO_DO

    @property
    def priority(self) -> float | None:
        """Urgency x stake; None where the stake is unknown."""
        return None if self.stake is None else self.urgency * self.stake

    @property
    def sentence(self) -> str:
        """The action and why, in the language of the moment."""
        return said("{action} {why}", action=self.action, why=self.why)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for people, in the language of the moment."""
        words = {name: getattr(self, name) for name in ("action", "why", "usual", "evidence")}
        return {
            "key": self.key,
            **{name: "" if said is None else str(said) for name, said in words.items()},
            "urgency": self.urgency,
            "stake": self.stake,
            "priority": self.priority,
            "is_to_do": self.is_to_do,
            "flags": list(self.flags),
        }

    def to_json(self) -> dict[str, Any]:
        """Plain values from which `from_json` makes it again, for another language."""
        words = {name: getattr(self, name) for name in ("action", "why", "usual", "evidence")}
        return {
            "key": self.key,
            **{name: None if said is None else said.to_json() for name, said in words.items()},
            "urgency": self.urgency,
            "stake": self.stake,
            "flags": list(self.flags),
        }

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "NextStep":
        """What `to_json` gave.

        Examples
        --------
        >>> from winpredict.locale.text import text
        >>> step = NextStep("booked", text("Nothing to do: the next meeting is booked."), text("1 meeting booked."))
        >>> NextStep.from_json(step.to_json()) == step
        True
        """
        words = {
            name: None if plain[name] is None else Text.from_json(plain[name])
            for name in ("action", "why", "usual", "evidence")
        }
        return cls(**{**plain, **words, "flags": tuple(plain["flags"])})


def next_steps(
    features: pd.DataFrame,
    odds: ArrayLike,
    amounts: ArrayLike | None,
    norms: StageNorms,
    settings: NextSteps = DEFAULTS,
    *,
    currencies: ArrayLike | None = None,
    falling: ArrayLike | None = None,
    effects: Mapping[str, tuple[float, float]] | None = None,
) -> list[tuple[NextStep, ...]]:
    r"""Suggest what to do next about each of some open deals.

    Parameters
    ----------
    features : DataFrame of shape (n_deals, n_features)
        As of the moment of scoring; columns may be absent and values missing.
    odds : array-like of shape (n_deals,)
        Win probability, 0 to 1; NaN where unknown.
    amounts : array-like of shape (n_deals,), optional
        Missing, or none above 0, where unknown; then steps rank by urgency.
    norms : StageNorms
        What is usual for deals that were won; `StageNorms()` where nothing is known of them.
    settings : NextSteps
        From which figures each rule fires.
    currencies : array-like of shape (n_deals,), optional
        Of the amounts; by default those of the column currency, if there is one.
    falling : array-like of bool, shape (n_deals,), optional
        Whose odds fell lately, which puts a deal at risk.
    effects : mapping of str to (float, float), optional
        Feature (senior_contacts or active_users) to the interval of its adjusted effect on the win probability, -1 to
        1. An interval above 0 is cited; a step whose interval lies below 0 is not suggested.

    Returns
    -------
    list of tuple of NextStep
        Of each deal, the most urgent first: up to ``settings.most`` steps, or the word that there is nothing to do, or
        nothing where too little is known.

    Raises
    ------
    WinPredictError
        When odds, amounts or currencies are not one for each row of the features.

    Examples
    --------
    >>> features = pd.DataFrame({"stage": ["Proposal"], "days_since_touch": [26.0], "meetings_booked": [0.0]})
    >>> ((step,),) = next_steps(features, [0.44], [80_000.0], StageNorms({"Proposal": {"silence": 12.0}}))
    >>> print(step.action, step.why, step.usual, sep="\n")
    Call them, or send a recap with one clear question.
    No contact for 26 days, and no meeting booked.
    9 times in 10, deals won from Proposal went no more than 12 days without contact.
    """
    facts = Facts.of(features, odds, amounts, norms, settings, currencies, effects or {})
    falls = np.zeros(len(features), dtype=bool) if falling is None else np.asarray(falling, dtype=bool)
    flags = [
        with_falling(names, falling=bool(fell)) for names, fell in zip(flag_names(facts.flags), falls, strict=True)
    ]
    return _suggested(facts, flags)


def _suggested(facts: Facts, flags: Sequence[tuple[str, ...]]) -> list[tuple[NextStep, ...]]:
    """The steps of each deal; its flags go with each of them."""
    chosen, urgency = _chosen(facts)
    stakes = [None if np.isnan(stake) else stake for stake in facts.stake.tolist()]
    out: list[tuple[NextStep, ...]] = []
    for row, rules in enumerate(chosen):
        steps = []
        for rule in rules:
            about = RULES[rule].tell(facts, row)
            steps.append(
                NextStep(
                    RULES[rule].key,
                    about.action,
                    about.why,
                    about.usual,
                    about.evidence,
                    urgency=float(urgency[row, rule]),
                    stake=stakes[row],
                    flags=flags[row],
                )
            )
        out.append(tuple(steps))
    return out


def ranking(steps: Sequence[Sequence[NextStep]]) -> NDArray[np.int64]:
    """The order in which to work on deals, by the priority of the first step of each; those without one come last.

    Parameters
    ----------
    steps : sequence of sequences of NextStep
        From `next_steps`, with all amounts in one currency. A deal whose stake is unknown counts as one with the median
        stake; where all are, urgency decides.

    Returns
    -------
    ndarray of shape (n_deals,)
        Positions of the deals, the one to begin with first.

    Examples
    --------
    >>> from winpredict.locale.text import text
    >>> call = NextStep("call", text("Call them."), text("No contact for 26 days."), urgency=0.5, stake=1_000.0)
    >>> senior = NextStep("senior", text("Ask who signs."), text("No senior contact."), urgency=0.4, stake=9_000.0)
    >>> ranking([(call,), (), (senior,)]).tolist()
    [2, 0, 1]
    """
    first = [next((each for each in of_deal if each.is_to_do), None) for of_deal in steps]
    stakes = np.array([np.nan if step is None or step.stake is None else step.stake for step in first])
    known = stakes[~np.isnan(stakes)]
    stakes = np.where(np.isnan(stakes), np.median(known) if len(known) else 1.0, stakes)
    urgency = np.array([-1.0 if step is None else step.urgency for step in first])
    return np.lexsort((-urgency, -urgency * stakes, urgency < 0)).astype(np.int64)


def _chosen(facts: Facts) -> tuple[list[list[int]], Floats]:
    """The rules that speak for each deal, most urgent first, and the urgency of all."""
    length = len(facts.features)
    urgency = np.full((length, len(RULES)), np.nan)
    for place, rule in enumerate(RULES):
        if rule.key not in facts.settings.skip:
            urgency[:, place] = rule.urgency(facts)
    fires = ~np.isnan(urgency)
    kept = fires & _first_of_subject(urgency)
    kept[:, NOTHING] = False
    kept[fires[:, LET_GO]] = False
    kept[:, LET_GO] = fires[:, LET_GO]
    order = np.argsort(np.where(kept, -urgency, np.inf), axis=1, kind="stable")[:, : facts.settings.most]
    counts = kept.sum(axis=1)
    nothing = [
        [place for place in NOTHING if fires[row, place]][:1] if not counts[row] else [] for row in range(length)
    ]
    return [
        of_deal[:number] if number else idle
        for of_deal, number, idle in zip(order.tolist(), counts.tolist(), nothing, strict=True)
    ], urgency


def _first_of_subject(urgency: Floats) -> Bools:
    """Of rules about the same thing, the most urgent one of each deal."""
    out = np.zeros(urgency.shape, dtype=bool)
    subjects: dict[str, list[int]] = {}
    for place, rule in enumerate(RULES):
        subjects.setdefault(rule.subject or rule.key, []).append(place)
    for places in subjects.values():
        best = np.argmax(np.nan_to_num(urgency[:, places], nan=-1.0), axis=1)
        out[np.arange(len(out)), np.array(places)[best]] = True
    return out


@dataclass(frozen=True)
class Outlook:
    """What scored snapshots call for.

    Parameters
    ----------
    steps : list of tuple of NextStep
        Of each snapshot, as `next_steps` gives them.
    flags : list of tuple of str
        Of each snapshot; see `winpredict.explain.deal_flags.FLAGS`.
    """

    steps: list[tuple[NextStep, ...]]
    flags: list[tuple[str, ...]]

    def columns(self) -> dict[str, Any]:
        """The columns next_step and flags of scores: the first step in words, and the flags with a comma between."""
        first = [each[0].sentence if each else "" for each in self.steps]
        return {
            "next_step": pd.array(first, dtype=text_dtype()),
            "flags": pd.array([",".join(each) for each in self.flags], dtype=text_dtype()),
        }


def outlook(model: TrainedModel, features: pd.DataFrame, odds: Floats, settings: NextSteps = DEFAULTS) -> Outlook:
    """What scored snapshots call for: next steps, by their own amounts, and flags.

    Parameters
    ----------
    model : TrainedModel
    features : DataFrame of shape (n_rows, n_features)
    odds : ndarray of shape (n_rows,)
    settings : NextSteps
        From which figures each rule fires.
    """
    amounts = features["amount"].to_numpy(np.float64) if "amount" in features else None
    facts = Facts.of(features, odds, amounts, model.stage_norms, settings, None, model.effects)
    flags = flag_names(facts.flags)
    return Outlook(_suggested(facts, flags), flags)
