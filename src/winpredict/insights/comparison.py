"""Two sets of deals side by side: how often they are won, how fast, and whether they differ beyond chance."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict.insights._phrases import percent, points
from winpredict.insights._rates import difference, wilson
from winpredict.insights.winrates import LEVEL

#: Share of still open deals from which a win rate of deals created in a period is to be taken with care.
MANY_OPEN = 0.1


@dataclass(frozen=True)
class Comparison:
    """Figures of one or two sets of deals.

    Parameters
    ----------
    figures : DataFrame
        One row a set: side (its words), deals, open, n (closed), won, lost, win_rate, win_rate_low, win_rate_high
        (Wilson, 95 %), median_days_won, median_days_lost, mean_won_amount, amount_won, touches (median of closed
        deals).
    change, low, high : float
        Win rate of the first set minus that of the second, with its 95 % interval (Newcombe); NaN for one set.
    p : float
        Of the score test that both are won equally often.
    """

    figures: pd.DataFrame
    change: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    p: float = float("nan")

    @property
    def differs(self) -> bool:
        """Whether the win rates differ beyond chance."""
        return bool(self.p < LEVEL and (self.low > 0 or self.high < 0))

    def sentences(self) -> list[str]:
        """What a sales manager must know."""
        rows = self.figures.to_dict("records")
        if len(rows) == 2 and not np.isnan(self.change):
            told = [_compared(rows[0], rows[1], self)]
        else:
            told = [_alone(row) for row in rows]
        return told + [_many_open(row) for row in rows if row["open"] > MANY_OPEN * row["deals"] > 0]


def compare(table: pd.DataFrame, sides: Mapping[str, NDArray[np.bool_]]) -> Comparison:
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
    ['even: 50 % of 10 closed deals were won; odd: 40 % of 10. The difference is no more than chance.']
    """
    figures = pd.DataFrame([_figures(words, table[chosen]) for words, chosen in sides.items()])
    figures["win_rate_low"], figures["win_rate_high"] = wilson(figures["won"], figures["n"])
    if len(figures) != 2 or not (figures["n"] > 0).all():
        return Comparison(figures)
    won, closed = figures["won"].to_numpy(), figures["n"].to_numpy()
    found = difference(won[:1], closed[:1], won[1:], closed[1:])
    return Comparison(figures, *(float(value[0]) for value in found))


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
        return f"{row['side']}: no deal has closed yet."
    return f"{row['side']}: {percent(row['win_rate'])} of {row['n']:,} closed deals were won."


def _compared(first: Mapping[Hashable, Any], second: Mapping[Hashable, Any], found: Comparison) -> str:
    told = (
        f"{first['side']}: {percent(first['win_rate'])} of {first['n']:,} closed deals were won; "
        f"{second['side']}: {percent(second['win_rate'])} of {second['n']:,}."
    )
    if not found.differs:
        return f"{told} The difference is no more than chance."
    return f"{told} The difference of {points(found.change)} is beyond chance."


def _many_open(row: Mapping[Hashable, Any]) -> str:
    return (
        f"{row['side']}: {row['open']:,} of {row['deals']:,} deals are still open; lost deals tend to close first, so "
        "their win rate may yet change."
    )
