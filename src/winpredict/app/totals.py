"""What a manager reads first: how many deals, what they are worth, and where they stand; summed in the database."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session as DatabaseSession

from winpredict.app.at_risk import touches_known
from winpredict.app.listing import DealQuery, Deals, DealSums, Order, find_deals
from winpredict.app.records import Person
from winpredict.app.teams import matches_owner_filter
from winpredict.app.visibility import visible_scores
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


def totals(
    session: DatabaseSession,
    person: Person,
    whose: str,
    settings: Run,
    *,
    with_names: bool,
    sums_of: Callable[[DealQuery], DealSums] | None = None,
) -> Totals:
    """Sum up the deals of a choice of owners, as far as a person may see them.

    Parameters
    ----------
    session : DatabaseSession
    person : Person
    whose : str
        As `winpredict.app.teams.matches_owner_filter` reads it.
    settings : Run
        What counts as a move and as a risk.
    with_names : bool
        Whether the person reads names.
    sums_of : callable, optional
        Gives the sums of some deals where they may be known already, such as `winpredict.app.kept_sums.kept_sums`.
    """

    def found(rows: int = SHOWN, **asked: object) -> Deals:
        query = DealQuery.model_validate({"whose": whose, **asked})
        known = None if sums_of is None else sums_of(query)
        return find_deals(session, person, query, rows=rows, with_names=with_names, settings=settings, sums=known)

    mine = visible_scores(person).where(matches_owner_filter(whose)).subquery()
    sums = (func.count(), func.sum(mine.c.amount), func.sum(mine.c.amount * mine.c.win_probability))
    is_stalled = case((mine.c.flags.contains("stalled", autoescape=True), 1), else_=0)
    by_stage = session.execute(select(mine.c.stage, *sums, func.sum(is_stalled)).group_by(mine.c.stage)).all()
    wins = func.coalesce(func.sum(mine.c.win_probability), 0.0)
    whole = session.execute(select(wins, func.count(mine.c.week_before))).one()
    return Totals(
        found(0),
        found(moved="up", order=Order.CHANGE, reverse=True),
        found(moved="down", order=Order.CHANGE),
        found(at_risk=True, order=Order.AMOUNT),
        sorted((StageTotals(*row) for row in by_stage), key=lambda each: (-each.deals, each.stage or "")),
        float(whole[0]),
        int(whole[1]),
        bool(session.scalar(select(touches_known()))),
    )
