"""The deals that the leakage audit compares: closed ones beside open ones of the same age or time of creation."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict._internal.times import days
from winpredict.tables.crm import CRMData, utc

Outcome = Literal["won", "lost"]

#: Fewest deals on either side of a comparison.
MIN_DEALS = 20
#: Standard errors between an estimate and the bound that is held against a threshold; generous, as many are tried.
CAUTION = 3.0
#: Values seen less often than this are pooled.
RARE = 5

_FOLDS = 5
_PRIOR_DEALS = 10.0


@dataclass(frozen=True)
class Separation:
    """How well one column tells two groups of deals apart: the area under the ROC curve, and its lower bound."""

    auc: float = np.nan
    low: float = np.nan


@dataclass(frozen=True)
class Comparison:
    """Deals that ended in one way beside the open deals, weighted to be alike in age or in time of creation."""

    rows: NDArray[np.intp]
    closed: NDArray[np.bool_]
    weight: NDArray[np.float64]


class Population:
    """The deals that the audit looks at, with their ages.

    Parameters
    ----------
    crm : CRMData
        The data as exported.
    as_of : Timestamp or str, optional
        Use no outcome recorded at or after this moment: later deals are left out, and so are deals that were open then
        and closed since, because their attributes stand as they were after the close.
    """

    def __init__(self, crm: CRMData, as_of: pd.Timestamp | str | None = None) -> None:
        self.now = crm.known_until if as_of is None else utc(as_of)
        deals = crm.deals
        if as_of is not None and crm.dated:
            deals = deals[(deals["created_at"] < self.now) & ~(deals["closed_at"] >= self.now)]
        # one order whatever the input's, so that sums come out the same to the last bit
        self.deals = deals.sort_values("deal_id").reset_index(drop=True)
        self.outcome = self.deals["outcome"].to_numpy(dtype=object)
        self._fold = pd.util.hash_array(self.deals["deal_id"].to_numpy(dtype=object)) % _FOLDS

    def of(self, outcome: str) -> NDArray[np.bool_]:
        """Which deals have this outcome."""
        return np.asarray(self.outcome == outcome)

    @cached_property
    def closed(self) -> NDArray[np.bool_]:
        """Which deals are won or lost."""
        return self.of("won") | self.of("lost")

    @cached_property
    def age(self) -> NDArray[np.float64]:
        """Days from creation to the close, or to now while open; NaN where a date is missing or makes no sense."""
        if self.now is None:
            return np.full(len(self.deals), np.nan)
        end = self.deals["closed_at"].where(self.closed, self.now)
        age = days(end - self.deals["created_at"])
        return np.where(age >= 0, age, np.nan)

    @cached_property
    def comparisons(self) -> dict[Outcome, tuple[Comparison, ...]]:
        """Won beside open and lost beside open deals: of the same age and, where possible, created at the same time.

        A leak shows in both. A habit that changed over time shows only among deals of the same age, an attribute that
        makes deals close faster mainly among deals created at the same time.
        """
        born = days(self.deals["created_at"] - self.deals["created_at"].min())
        outcomes: tuple[Outcome, ...] = ("won", "lost")
        found: dict[Outcome, tuple[Comparison, ...]] = {}
        for outcome in outcomes:
            same_age, same_time = self._alike(self.age, outcome), self._alike(born, outcome)
            if same_age is not None:
                found[outcome] = (same_age,) if same_time is None else (same_age, same_time)
        return found

    def _alike(self, measure: NDArray[np.float64], outcome: Outcome) -> Comparison | None:
        aged = ~np.isnan(self.age)
        still_open, ended = self.of("open") & aged, self.of(outcome) & aged
        if min(still_open.sum(), ended.sum()) < MIN_DEALS:
            return None
        weight = _weights_to_open(measure, still_open, ended)
        rows = np.flatnonzero(weight > 0)
        enough = min(effective(weight[ended]), effective(weight[still_open])) >= MIN_DEALS
        return Comparison(rows, ended[rows], weight[rows]) if enough else None

    def separation(
        self, codes: NDArray[np.intp], rows: NDArray[np.intp], positive: NDArray[np.bool_], weight: NDArray[np.float64]
    ) -> Separation:
        """Cross-validated AUC of the smoothed share of positives per code, with a lower bound."""
        sizes = effective(weight[positive]), effective(weight[~positive])
        if min(sizes) < MIN_DEALS:
            return Separation()
        auc = _cross_validated_auc(codes[rows], positive, weight, self._fold[rows])
        return Separation(auc, auc - CAUTION * _auc_error(auc, *sizes))


def _cross_validated_auc(
    codes: NDArray[np.intp], positive: NDArray[np.bool_], weight: NDArray[np.float64], fold: NDArray[np.uint64]
) -> float:
    """Mean AUC over folds: scores of different folds are not compared, as each leans against its own fold's rows."""
    width = int(codes.max()) + 1
    areas, sizes = [], []
    for held_out in np.unique(fold):
        test = fold == held_out
        if positive[test].all() or not positive[test].any() or test.all():
            continue
        train = ~test
        share = _shares(codes[train], positive[train], weight[train], width)
        areas.append(_auc(share, codes[test], positive[test], weight[test]))
        sizes.append(int(test.sum()))
    return float(np.average(areas, weights=sizes)) if areas else np.nan


def _auc(
    score: NDArray[np.float64], codes: NDArray[np.intp], positive: NDArray[np.bool_], weight: NDArray[np.float64]
) -> float:
    """Area under the ROC curve of rows that have their code's score, ties counted half."""
    place = np.unique(score, return_inverse=True)[1][codes]
    positives, negatives = (
        np.bincount(place[side], weights=weight[side], minlength=len(score)) for side in (positive, ~positive)
    )
    below = np.cumsum(negatives) - negatives
    return float(positives @ (below + negatives / 2) / (positives.sum() * negatives.sum()))


def _weights_to_open(
    measure: NDArray[np.float64], still_open: NDArray[np.bool_], ended: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """One for each open deal; for each ended deal so much that their measures weigh as those of the open deals do."""
    bins = int(np.clip(still_open.sum() // 25, 1, 10))
    edges = np.unique(np.quantile(measure[still_open], np.linspace(0, 1, bins + 1)))
    last = max(0, len(edges) - 2)
    place = np.minimum(np.searchsorted(edges, measure, side="right") - 1, last)
    inside = (place >= 0) & (measure <= edges[-1])
    weight = np.zeros(len(measure))
    for each in range(last + 1):
        here = inside & (place == each)
        n_open, n_ended = int((here & still_open).sum()), int((here & ended).sum())
        if n_open and n_ended >= RARE:
            weight[here & still_open] = 1.0
            weight[here & ended] = n_open / n_ended
    return weight


def _shares(
    codes: NDArray[np.intp], positive: NDArray[np.bool_], weight: NDArray[np.float64], width: int
) -> NDArray[np.float64]:
    """Weighted share of positives per code, smoothed towards the overall share."""
    deals = np.bincount(codes, weights=weight, minlength=width)
    positives = np.bincount(codes, weights=weight * positive, minlength=width)
    prior = positives.sum() / deals.sum()
    return np.asarray((positives + _PRIOR_DEALS * prior) / (deals + _PRIOR_DEALS))


def _auc_error(auc: float, positives: float, negatives: float) -> float:
    """Standard error of an AUC (Hanley and McNeil, Radiology 1982), not below what one deal more would make."""
    area = float(np.clip(max(auc, 1 - auc), 0.5, 1 - 0.5 / min(positives, negatives)))
    both_positive = area / (2 - area) - area**2
    both_negative = 2 * area**2 / (1 + area) - area**2
    variance = area * (1 - area) + (positives - 1) * both_positive + (negatives - 1) * both_negative
    return float(np.sqrt(variance / (positives * negatives)))


def effective(weight: NDArray[np.float64]) -> float:
    """Number of equally weighted deals that say as much (Kish)."""
    total = float(weight.sum())
    return total**2 / float((weight**2).sum()) if total > 0 else 0.0


def wilson_low(share: NDArray[np.float64], n: float | NDArray[np.intp]) -> NDArray[np.float64]:
    """Lower end of Wilson's interval of a share seen in n deals.

    Examples
    --------
    >>> wilson_low(np.array([1.0]), 91).round(2)
    array([0.91])
    """
    z2 = CAUTION**2
    centre = share + z2 / (2 * n)
    spread = CAUTION * np.sqrt(share * (1 - share) / n + z2 / (4 * n**2))
    return np.asarray(np.maximum(0.0, (centre - spread) / (1 + z2 / n)))
