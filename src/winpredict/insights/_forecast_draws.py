"""Simulated futures, added up by team and rep as they are drawn: no deal's own futures are kept."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
#: How near to its odds a deal's luck is compared anew, without a shortcut.
_CLOSE = 1e-9


@dataclass(frozen=True)
class Odds:
    """A period's odds.

    Parameters
    ----------
    middle : ndarray of shape (n_deals,)
        Log-odds of each deal in the middle of the shock.
    shock : ndarray of shape (draws,)
        Of each future, in log-odds.
    """

    middle: Floats
    shock: Floats


def won_by_owner(
    rng: np.random.Generator, periods: Sequence[Odds], amount: Floats, ratios: Floats, owners: Sequence["Groups"]
) -> list[list[NDArray[np.float32]]]:
    """What the open deals of each owner bring in each simulated future.

    As many numbers are drawn whatever the odds, so that a deal has the same luck in every period.

    Parameters
    ----------
    rng : Generator
    periods : sequence of Odds
        Of as many futures each.
    amount : ndarray of shape (n_deals,)
    ratios : ndarray
        By what amounts of past deals moved until the win.
    owners : sequence of Groups
        Ways to add deals up, such as by team.

    Returns
    -------
    list of list of ndarray of shape (n_owners, draws)
        For each period and each way.
    """
    draws = len(periods[0].shock)
    sums = [[np.zeros((len(each), draws), dtype=np.float32) for each in owners] for _ in periods]
    # a deal is won where luck (1 + exp(-log-odds)) < 1: an exponential a deal and one a future, in place of one of each
    with np.errstate(over="ignore"):
        lost_odds = [(np.exp(-each.middle), np.exp(-each.shock)) for each in periods]
    places = np.column_stack([each.places for each in owners])
    for deal, mine in enumerate(amount):
        luck, moves = rng.random(draws), rng.integers(0, len(ratios), draws)
        for odds, (of_deal, of_future), found in zip(periods, lost_odds, sums, strict=True):
            beyond = luck * (1 + of_deal[deal] * of_future) - 1
            won = np.flatnonzero(beyond < _CLOSE)
            if not won.size:
                continue
            if (beyond[won] > -_CLOSE).any():
                won = np.flatnonzero(luck < expit(odds.middle[deal] + odds.shock))
            brought = (mine * ratios[moves[won]]).astype(np.float32)
            for of_owner, place in zip(found, places[deal], strict=True):
                if place >= 0:
                    of_owner[place, won] += brought
    return sums


def amounts_drawn(rng: np.random.Generator, rate: Floats, amounts: Floats) -> Floats:
    """Amounts of as many won deals as come at a rate, added up by simulated future."""
    counts = rng.poisson(rate)
    drawn = rng.choice(amounts, int(counts.sum()))
    futures = np.repeat(np.arange(len(rate)), counts)
    return np.bincount(futures, weights=drawn, minlength=len(rate)).astype(np.float64)


class Groups:
    """Rows by the name that they have; a row may have none.

    Parameters
    ----------
    places : ndarray of shape (n_rows,)
        The place of each row's name; -1 for none.
    names : int
        How many there are.
    """

    def __init__(self, places: Places, names: int) -> None:
        self.places = places
        self._order = np.argsort(places, kind="stable")
        self._ends = np.searchsorted(places[self._order], np.arange(names + 1))

    @classmethod
    def of(cls, column: pd.Series, names: Sequence[str]) -> "Groups":
        """Rows by the name in a column."""
        places = pd.Index(np.array(names, dtype=object)).get_indexer(pd.Index(column.to_numpy(dtype=object)))
        return cls(np.asarray(places, dtype=np.int64), len(names))

    @classmethod
    def whole(cls, rows: int) -> "Groups":
        """All rows as one."""
        return cls(np.zeros(rows, dtype=np.int64), 1)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def rows(self, place: int) -> Places:
        """Rows of the name at a place, in their order."""
        return self._order[self._ends[place] : self._ends[place + 1]]


def quantiles_of(
    totals: Iterable[tuple[int, Floats]], levels: Sequence[float], at_once: int = 64
) -> Iterator[tuple[int, Floats, Floats]]:
    """Quantiles of each of many numbered series of futures; so many are looked at together, which is faster."""
    left = iter(totals)
    while block := list(islice(left, at_once)):
        found = np.quantile(np.array([total for _, total in block]), levels, axis=1).T
        yield from ((number, total, each) for (number, total), each in zip(block, found, strict=True))
