"""Two sets of deals side by side: how often they are won, how fast, and whether they differ beyond chance.

Sets may share deals, and a test takes what it compares as independent. So a set that lies within the other is tested
against the rest of that; of sets that overlap in part nothing is said about chance.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict.insights._rates import difference, wilson
from winpredict.insights.winrates import LEVEL
from winpredict.locale.text import said, texts

Chosen = NDArray[np.bool_]

#: Share of still open deals from which a win rate of deals created in a period is to be taken with care.
MANY_OPEN = 0.1


@dataclass(frozen=True)
class Comparison:
    """Figures of one or two sets of deals.

    Parameters
    ----------
    figures : DataFrame
        One row a set: side (its words), deals, open, n (closed), won, lost, win_rate, win_rate_low, win_rate_high
        (Wilson, 95%), median_days_won, median_days_lost, mean_won_amount, amount_won, touches (median of closed
        deals).
    change, low, high : float
        Win rate of the first set minus that of the second, each as it was tested (`independent`), with its 95%
        interval (Newcombe); NaN where nothing was tested.
    p : float
        Of the score test that both are won equally often.
    shared : int
        Deals that are in both sets.
    rest : tuple of int
        Closed and won deals of the larger set that are not in the smaller one; zeros where neither lies within the
        other.
    """

    figures: pd.DataFrame
    change: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    p: float = float("nan")
    shared: int = 0
    rest: tuple[int, int] = (0, 0)

    @property
    def differs(self) -> bool:
        """Whether the win rates differ beyond chance."""
        return bool(self.p < LEVEL and (self.low > 0 or self.high < 0))

    def sentences(self) -> list[str]:
        """What a sales manager must know."""
        rows = self.figures.to_dict("records")
        if len(rows) == 2 and (self.figures["n"] > 0).all():
            out = [" ".join([_alone(rows[0]), _alone(rows[1]), _verdict(self)])]
        else:
            out = [_alone(row) for row in rows]
        return out + [_many_open(row) for row in rows if row["open"] > MANY_OPEN * row["deals"] > 0]


def compare(table: pd.DataFrame, sides: Mapping[str, Chosen]) -> Comparison:
    """Compare sets of deals.

    Parameters
    ----------
    table : DataFrame
        Of `winpredict.insights.deals.deals_at_end`.
    sides : mapping of str to bool array
        Words for one or two sets, and which rows of the table are theirs.

    Returns
    -------
    Comparison

    Examples
    --------
    >>> table = pd.DataFrame({"outcome": ["won"] * 9 + ["lost"] * 11, "days": 20.0, "amount": 5.0, "touches": 1.0})
    >>> first = np.arange(20) % 2 == 0
    >>> found = compare(table, {"even": first, "odd": ~first})
    >>> found.figures[["side", "n", "won"]].values.tolist(), found.differs
    ([['even', 10, 5], ['odd', 10, 4]], False)
    >>> found.sentences()
    ['even: 50% of 10 closed deals won. odd: 40% of 10 closed deals won. The difference is within normal variation.']
    """
    figures = pd.DataFrame([_figures(words, table[chosen]) for words, chosen in sides.items()])
    figures["win_rate_low"], figures["win_rate_high"] = wilson(figures["won"], figures["n"])
    if len(figures) != 2:
        return Comparison(figures)
    return _tested(figures, table, *sides.values())


def independent(first: Chosen, second: Chosen) -> tuple[Chosen, Chosen] | None:
    """Two sets of deals as they can be tested against each other: without a deal in common.

    Parameters
    ----------
    first, second : bool array

    Returns
    -------
    tuple of bool array or None
        The sets themselves where they share nothing; where one lies within the other, the larger without the smaller.
        None where they are the same, or overlap in part: what they share would be left out of both, and the rest is
        neither of the sets that were asked about.

    Examples
    --------
    >>> whole, part = np.array([True, True, True]), np.array([True, False, False])
    >>> [chosen.tolist() for chosen in independent(whole, part)]
    [[False, True, True], [True, False, False]]
    >>> independent(part, part) is None
    True
    """
    if not (first & second).any():
        return first, second
    first_alone, second_alone = first & ~second, second & ~first
    if first_alone.any() == second_alone.any():
        return None
    return (first_alone, second) if first_alone.any() else (first, second_alone)


def _tested(figures: pd.DataFrame, table: pd.DataFrame, first: Chosen, second: Chosen) -> Comparison:
    shared, pair = int((first & second).sum()), independent(first, second)
    if pair is None:
        return Comparison(figures, shared=shared)
    outcome = table["outcome"].to_numpy()
    closed, won = ([int((chosen & is_so).sum()) for chosen in pair] for is_so in (outcome != "open", outcome == "won"))
    larger = int(figures["deals"].to_numpy().argmax())
    rest = (closed[larger], won[larger]) if shared else (0, 0)
    if not all(closed):
        return Comparison(figures, shared=shared, rest=rest)
    change, low, high, p = (float(value[0]) for value in difference(won[:1], closed[:1], won[1:], closed[1:]))
    return Comparison(figures, change, low, high, p, shared, rest)


def _figures(words: str, deals: pd.DataFrame) -> dict[str, object]:
    is_won, is_open = deals["outcome"] == "won", deals["outcome"] == "open"
    closed, won = int((~is_open).sum()), int(is_won.sum())
    amounts = deals.loc[is_won, "amount"].astype(float)
    return {
        "side": words,
        "deals": len(deals),
        "open": int(is_open.sum()),
        "n": closed,
        "won": won,
        "lost": closed - won,
        "win_rate": won / closed if closed else np.nan,
        "median_days_won": deals.loc[is_won, "days"].median(),
        "median_days_lost": deals.loc[~is_won & ~is_open, "days"].median(),
        "mean_won_amount": amounts.mean(),
        "amount_won": amounts.sum(min_count=1),
        "touches": deals.loc[~is_open, "touches"].median(),
    }


def _alone(row: Mapping[Hashable, Any]) -> str:
    if not row["n"]:
        return said("{side}: no deal has closed yet.", side=row["side"])
    return str(
        texts(
            "{side}: {rate:percent} of {n:count} closed deal won.",
            "{side}: {rate:percent} of {n:count} closed deals won.",
            side=row["side"],
            rate=float(row["win_rate"]),
            n=int(row["n"]),
        )
    )


def _verdict(found: Comparison) -> str:
    if not found.shared:
        return _beyond_chance(found)
    within = (found.figures["deals"] == found.shared).to_numpy()
    if within.all():
        return said("Both sides are the same deals, so there is nothing to test.")
    if not within.any():
        return str(
            texts(
                "{n:count} deal is on both sides, so the difference cannot be tested; choose sides that share no "
                "deals.",
                "{n:count} deals are on both sides, so the difference cannot be tested; choose sides that share no "
                "deals.",
                n=found.shared,
            )
        )
    closed, won = found.rest
    if not closed:
        return said("The smaller side is part of the larger, of which no other deal has closed: nothing to test.")
    against = texts(
        "The smaller side is part of the larger, so it is tested against the {n:count} other closed deal of that, "
        "{rate:percent} of them won.",
        "The smaller side is part of the larger, so it is tested against the {n:count} other closed deals of that, "
        "{rate:percent} of them won.",
        n=closed,
        rate=won / closed,
    )
    return f"{against} {_beyond_chance(found)}"


def _beyond_chance(found: Comparison) -> str:
    if not found.differs:
        return said("The difference is within normal variation.")
    return str(
        texts(
            "The difference of {n:size_points} point is beyond normal variation.",
            "The difference of {n:size_points} points is beyond normal variation.",
            n=found.change,
        )
    )


def _many_open(row: Mapping[Hashable, Any]) -> str:
    return str(
        texts(
            "{side}: {open:count} of {n:count} deal is still open; lost deals tend to close first, so the win rate may "
            "still change.",
            "{side}: {open:count} of {n:count} deals are still open; lost deals tend to close first, so the win rate "
            "may "
            "still change.",
            side=row["side"],
            open=int(row["open"]),
            n=int(row["deals"]),
        )
    )
