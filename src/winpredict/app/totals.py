"""What a manager reads first: how many deals, what they are worth, and where they stand."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy.orm import Session as DatabaseSession

from winpredict.app.at_risk import has_flag
from winpredict.app.listing import DealQuery, Deals, Order, find_deals, sums_of
from winpredict.app.records import Person
from winpredict.app.shown_deals import Mask, ShownDeals, shown_deals
from winpredict.app.teams import of_choice
from winpredict.config import Run

#: Deals shown of each short list; the whole list is a link away.
SHOWN = 6


@dataclass(frozen=True)
class StageTotals:
    """Open deals of a stage: how many, their amount, and the amount times the odds; None where no amount is known.

    How many of them are stalled comes last.
    """

    stage: str | None
    deals: int
    amount: float | None
    expected: float | None
    stalled: int = 0


@dataclass(frozen=True)
class Totals:
    """Open deals of a choice of owners.

    Parameters
    ----------
    every : Deals
        All of them; its rows are empty.
    rose, fell, risks : Deals
        Those that moved since the week before and those at risk, the first rows of each.
    stages : sequence of StageTotals
        By stage, the fullest first.
    wins : float
        Expected number of wins.
    compared : int
        Deals that have odds of the week before.
    touches_known : bool
        Whether any touch is on record, so that silence tells something.
    """

    every: Deals
    rose: Deals
    fell: Deals
    risks: Deals
    stages: Sequence[StageTotals]
    wins: float
    compared: int
    touches_known: bool


def totals(session: DatabaseSession, person: Person, whose: str, settings: Run, *, with_names: bool) -> Totals:
    """Sum up the deals of a choice of owners, as far as a person may see them.

    Parameters
    ----------
    session : DatabaseSession
    person : Person
    whose : str
        As of `winpredict.app.teams.OwnerFilter`; empty for everybody.
    settings : Run
        What counts as a move and as a risk.
    with_names : bool
        Whether the person reads names.
    """
    deals = shown_deals(session)

    def found(rows: int = SHOWN, **asked: object) -> Deals:
        query = DealQuery.model_validate({"whose": whose, **asked})
        return find_deals(session, person, query, rows=rows, with_names=with_names, settings=settings)

    mine = deals.seen_by(session, person) & of_choice(session, deals, whose)
    return Totals(
        found(0),
        found(moved="up", order=Order.CHANGE, reverse=True),
        found(moved="down", order=Order.CHANGE),
        found(at_risk=True, order=Order.AMOUNT),
        _by_stage(deals, mine),
        float(deals.odds[mine].sum()),
        int((~np.isnan(deals.week_before[mine])).sum()),
        deals.touches_known(session),
    )


def _by_stage(deals: ShownDeals, mine: Mask) -> list[StageTotals]:
    """The sums of each stage, and of the deals without one; the fullest first."""
    stalled, found = has_flag(deals, "stalled"), []
    for code in np.unique(deals.stages.codes[mine]):
        rows = mine & (deals.stages.codes == code)
        sums = sums_of(deals, rows)
        stage = deals.stages.words[code] if code >= 0 else None
        found.append(StageTotals(stage, sums.found, sums.amount, sums.expected, int((stalled & rows).sum())))
    return sorted(found, key=lambda each: (-each.deals, each.stage or ""))
