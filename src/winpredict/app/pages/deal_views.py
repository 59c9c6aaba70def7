"""A deal's story as its page shows it: rows, sliders, and closed deals without what the reader may not see."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import pandas as pd

from winpredict.app.pages.tables import records_of
from winpredict.locale.text import Text, said, texts

if TYPE_CHECKING:
    from winpredict.explain.similar import SimilarDeals
    from winpredict.explain.story import DealStory, Step
    from winpredict.explain.what_if import WhatIf
    from winpredict.models.trained import TrainedModel
    from winpredict.tables.crm import CRMData

#: What a rep can do something about, in whole numbers: touches, contacts, team.
_ASKABLE = (
    "touches_30d", "meetings_30d", "meetings_booked", "contacts", "senior_contacts", "team_members",
    "active_users_30d",
)  # fmt: skip
_TOUCH_COUNTS: Mapping[str, Text] = {
    "meeting": texts("{n:count} meeting", "{n:count} meetings"),
    "call": texts("{n:count} call", "{n:count} calls"),
    "email": texts("{n:count} email", "{n:count} emails"),
    "other": texts("{n:count} other touch", "{n:count} other touches"),
}


@dataclass(frozen=True)
class StepRow:
    """A row of the table of odds over time: the odds on a day, and what had happened since the row before.

    Parameters
    ----------
    step : Step
    events : str
        Moves to another stage and counts of touches; empty where nothing is on record.
    """

    step: "Step"
    events: str


@dataclass(frozen=True)
class Slider:
    """A figure to ask about.

    Parameters
    ----------
    name, label : str
    now : int or None
        As the deal has it; None where it is not known.
    low, high : int
        Ends of the slider.
    value : int
        Where it stands.
    """

    name: str
    label: str
    now: int | None
    low: int
    high: int
    value: int


@dataclass(frozen=True)
class WhatIfQuestion:
    """Sliders, and the answer where one of them was moved."""

    sliders: "list[Slider]"
    answer: "WhatIf | None"


@dataclass(frozen=True)
class LikeDeal:
    """A closed deal that the reader may see."""

    name: str
    is_won: bool
    days_more: int
    closed_at: datetime
    amount: float | None
    currency: str | None


@dataclass(frozen=True)
class LikeDeals:
    """Closed deals like an open one; of those of other people only how many of all were won.

    Parameters
    ----------
    count, won : int
        Of everybody.
    days_to_win : int or None
        Days that the won ones still took, the median.
    deals : list of LikeDeal
        Those that the reader may see.
    """

    count: int
    won: int
    days_to_win: int | None
    deals: list[LikeDeal]


def step_rows(story: "DealStory") -> list[StepRow]:
    """The odds over time with what happened meanwhile."""
    events = list(zip(story.events["kind"], story.events["label"], strict=True))
    ends = story.events["at"].searchsorted(pd.DatetimeIndex([step.as_of for step in story.steps], tz="UTC")).tolist()
    starts = [0, *ends][: len(ends)]
    between = zip(story.steps, starts, ends, strict=True)
    return [StepRow(step, _events_text(events[start:end])) for step, start, end in between]


def sliders(model: "TrainedModel", story: "DealStory", given: Mapping[str, str]) -> WhatIfQuestion:
    """The sliders of a deal as they were set; what is no number or where it was is left alone."""
    from winpredict.explain.what_if import figures_of, what_if_of

    all_sliders, moved = [], {}
    possible = {figure.name: figure for figure in figures_of(model, story.features)}
    for figure in (possible[name] for name in _ASKABLE if name in possible):
        low, high = math.ceil(figure.low), math.floor(figure.high)
        if low >= high:
            continue
        now = None if math.isnan(figure.now) else round(figure.now)
        rest = min(max(low if now is None else now, low), high)
        value = min(max(_whole(given.get(figure.name), rest), low), high)
        all_sliders.append(Slider(figure.name, figure.sentence, now, low, high, value))
        if value != rest:
            moved[figure.name] = float(value)
    answer = what_if_of(model, story.features, story.explanation.deal_id, moved) if moved else None
    return WhatIfQuestion(all_sliders, answer)


def like_deals(similar: "SimilarDeals", crm: "CRMData", owners: frozenset[str] | None, *, names: bool) -> LikeDeals:
    """Closed deals as a person may see them.

    Parameters
    ----------
    similar : SimilarDeals
    crm : CRMData
    owners : frozenset of str or None
        Of `winpredict.app.visibility.visible_owners`: whose deals the person may see.
    names : bool
        Whether they may read names.
    """
    is_won = similar.deals["outcome"] == "won"
    took = similar.deals.loc[is_won, "days_more"].median()
    kept = [name for name in ("deal_id", "owner_id", "name", "currency") if name in crm.deals]
    theirs = crm.deals.loc[crm.deals["deal_id"].isin(similar.deals["deal_id"]), kept]
    shown = similar.deals.merge(theirs, on="deal_id", how="left")
    if owners is not None:
        shown = shown[shown["owner_id"].isin(owners)] if "owner_id" in shown else shown.iloc[:0]
    rows = records_of(shown)
    deals = [
        LikeDeal(
            name=str((names and row.get("name")) or row["deal_id"]),
            is_won=row["outcome"] == "won",
            days_more=round(row["days_more"]),
            closed_at=row["closed_at"].to_pydatetime(),
            amount=row["amount"],
            currency=row.get("currency"),
        )
        for row in rows
    ]
    return LikeDeals(len(similar.deals), int(is_won.sum()), None if pd.isna(took) else round(took), deals)


def _events_text(events: Sequence[tuple[str, str]]) -> str:
    counts = Counter(kind for kind, _ in events)
    moves = [said("move to {stage}", stage=name) for kind, name in events if kind == "stage"]
    touches = [str(words.with_values(n=counts[kind])) for kind, words in _TOUCH_COUNTS.items() if counts[kind]]
    return ", ".join([*moves, *touches])


def _whole(given: str | None, otherwise: int) -> int:
    try:
        return otherwise if given is None else round(float(given))
    except (ValueError, OverflowError):
        return otherwise
