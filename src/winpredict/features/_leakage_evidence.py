"""What the leakage audit measures of one static attribute: shares, separations and tell-tale values."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binom

from winpredict._internal.times import days
from winpredict.features._leakage_population import (
    CAUTION,
    MIN_DEALS,
    RARE,
    Comparison,
    Outcome,
    Population,
    Separation,
    effective,
    wilson_low,
)
from winpredict.tables.schema import text_dtype

Kind = Literal["number", "category", "date"]
_Shares = tuple[NDArray[np.float64], float]

#: An honest value may make deals close this many times as fast, and so be as much rarer among open deals.
HONEST_HAZARD_RATIO = 5.0

#: Labels of what is no value of its own.
NO_VALUE = "no value"
RARE_VALUE = "a rare value"

_NUMBER_BINS = 10
_DAY = pd.Timedelta(days=1)


@dataclass(frozen=True)
class TellTale:
    """A value found on (nearly) only one side of a comparison of closed deals with open deals.

    ``closed`` and ``open`` are its shares of either side, weighted to the same ages, ``closed_deals`` and
    ``open_deals`` the numbers of deals compared, ``chance`` the probability of so lopsided a find if the value made
    deals close `HONEST_HAZARD_RATIO` times as fast or as slowly, and nothing else: the larger of those among deals of
    the same age and among deals created at the same time.
    """

    value: str
    outcome: Outcome
    closed: float
    open: float
    closed_deals: int
    open_deals: int
    chance: float


@dataclass(frozen=True)
class PureValue:
    """A value whose closed deals ended (nearly) all alike; ``odds_ratio`` is a lower bound against all closed deals."""

    value: str
    outcome: Outcome
    deals: int
    share: float
    odds_ratio: float


@dataclass(frozen=True)
class DateUse:
    """Of a date attribute: shares of deals where it falls on the day of closing, in the deal's life, in the future."""

    on_closing_day: float
    after_creation: float
    in_future: float


@dataclass(frozen=True)
class Evidence:
    """Everything measured of one attribute; NaN or None where the data do not allow it."""

    column: str
    kind: Kind
    values: int
    deals: int
    filled: float
    filled_open: float
    filled_won: float
    filled_lost: float
    filled_young: float
    filled_old: float
    filled_with_age: float
    filled_with_length: float
    distinct: float
    whole: bool
    won_from_open: Separation
    lost_from_open: Separation
    won_from_lost: Separation
    grows_open: float
    grows_closed: float
    tell_tale: TellTale | None
    pure: PureValue | None
    date_use: DateUse | None

    @property
    def comparable(self) -> bool:
        """Whether there were enough open and closed deals of the same age."""
        return not (np.isnan(self.won_from_open.low) and np.isnan(self.lost_from_open.low))


def measure(column: str, values: pd.Series, population: Population) -> Evidence:
    """Measure one attribute.

    Parameters
    ----------
    column : str
        Its name.
    values : Series
        One value for each deal of `population`, in its order.
    population : Population
        The deals.

    Returns
    -------
    Evidence
    """
    kind, values = _typed(values)
    numbers = _numbers(values, kind, population)
    coded = _coded(values, numbers)
    codes = np.asarray(coded.codes, dtype=np.intp)
    filled = values.notna().to_numpy(dtype=bool)
    still_open = population.of("open")
    young, old = _halves_by_age(population, still_open)
    short, long = _halves_by_age(population, _first_half_created(population))
    closed = np.flatnonzero(population.closed)
    return Evidence(
        column=column,
        kind=kind,
        values=int(values.nunique()),
        deals=len(values),
        filled=_share(filled),
        filled_open=_share(filled[still_open]),
        filled_won=_share(filled[population.of("won")]),
        filled_lost=_share(filled[population.of("lost")]),
        filled_young=_share(filled[young]),
        filled_old=_share(filled[old]),
        filled_with_age=_difference_low(filled[old], filled[young]),
        filled_with_length=_difference_low(filled[long], filled[short]),
        distinct=values.nunique() / max(1, int(filled.sum())),
        whole=bool(np.all(np.nan_to_num(numbers) % 1 == 0)),
        won_from_open=_beside_open(codes, population, "won"),
        lost_from_open=_beside_open(codes, population, "lost"),
        won_from_lost=population.separation(
            codes, closed, population.of("won")[closed], np.ones(len(closed), dtype=np.float64)
        ),
        grows_open=_rank_correlation_low(numbers[still_open], population.age[still_open]),
        grows_closed=_rank_correlation_low(numbers[closed], population.age[closed]),
        tell_tale=_tell_tale(coded, population),
        pure=_pure_value(coded, population),
        date_use=_date_use(values, population) if kind == "date" and population.now is not None else None,
    )


def _typed(values: pd.Series) -> tuple[Kind, pd.Series]:
    """The kind of a column and its values in that kind; ISO dates written as text count as dates."""
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return "date", pd.to_datetime(values, utc=True).dt.as_unit("us")
    if pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype):
        return "number", values.astype("float64").replace([np.inf, -np.inf], np.nan)
    text = values.astype(text_dtype())
    written = text.dropna()
    if len(written) and bool(written.str.match(r"\d{4}-\d\d-\d\d").all()):
        dates = pd.to_datetime(text, utc=True, format="ISO8601", errors="coerce")
        if dates.notna().sum() == len(written):
            return "date", dates.dt.as_unit("us")
    return "category", text


def _numbers(values: pd.Series, kind: Kind, population: Population) -> NDArray[np.float64]:
    """Numbers as they are, dates as days from the deal's creation, NaN for categories."""
    if kind == "number":
        return values.to_numpy(np.float64)
    if kind == "category":
        return np.full(len(values), np.nan)
    created = population.deals["created_at"]
    origin = created if population.now is not None else values.min()
    return days(values - origin)


def _coded(values: pd.Series, numbers: NDArray[np.float64]) -> pd.Categorical:
    """Values as categories: frequent ones themselves, other numbers in quantile bins, other text pooled as rare."""
    if np.isnan(numbers).all():
        counts = values.value_counts()
        labels = values.where(values.map(counts) >= RARE, RARE_VALUE).astype(object)
    else:
        series = pd.Series(numbers)
        counts = series.value_counts()
        often = counts[counts >= max(RARE, 0.01 * len(series))].index
        frequent = series.isin(often)
        bins = pd.qcut(series.mask(frequent), _NUMBER_BINS, duplicates="drop").astype(object)
        labels = bins.map(_interval, na_action="ignore").where(~frequent, series.map("{:g}".format))
    return pd.Categorical(labels.where(values.notna().to_numpy(), NO_VALUE).fillna(RARE_VALUE))


def _interval(interval: pd.Interval) -> str:
    return f"{interval.left:g} to {interval.right:g}"


def _beside_open(codes: NDArray[np.intp], population: Population, outcome: Outcome) -> Separation:
    """The weaker of the separations from open deals of the same age and from those created at the same time."""
    found = [
        population.separation(codes, each.rows, each.closed, each.weight)
        for each in population.comparisons.get(outcome, ())
    ]
    return min(found, key=lambda each: each.low, default=Separation())


def _tell_tale(coded: pd.Categorical, population: Population) -> TellTale | None:
    """The most lopsided value of any outcome; of equally lopsided ones a missing one, then one of closed deals."""
    found = [each for outcome in population.comparisons for each in _tell_tales(coded, population, outcome)]
    return min(found, key=lambda each: (max(each.chance, 1e-12), each.value != NO_VALUE, -each.closed), default=None)


def _tell_tales(coded: pd.Categorical, population: Population, outcome: Outcome) -> Iterator[TellTale]:
    comparisons = population.comparisons[outcome]
    sides = [_shares_of_sides(coded, comparison) for comparison in comparisons]
    only_closed = np.max([_chance(*closed, *still_open) for closed, still_open in sides], axis=0)
    only_open = np.max([_chance(*still_open, *closed) for closed, still_open in sides], axis=0)
    chance = np.minimum(only_closed, only_open)
    (closed, _), (still_open, _) = sides[0]
    n_closed, n_open = int(comparisons[0].closed.sum()), int((~comparisons[0].closed).sum())
    for at, value in enumerate(coded.categories):
        shares = float(closed[at]), float(still_open[at])
        yield TellTale(str(value), outcome, *shares, n_closed, n_open, float(chance[at]))


def _shares_of_sides(coded: pd.Categorical, comparison: Comparison) -> tuple[_Shares, _Shares]:
    """Of closed and of open deals: each value's weighted share, and the number of deals that it rests on."""
    codes = np.asarray(coded.codes, dtype=np.intp)[comparison.rows]
    width = len(coded.categories)

    def of(side: NDArray[np.bool_]) -> _Shares:
        weight = comparison.weight[side]
        return np.bincount(codes[side], weights=weight, minlength=width) / weight.sum(), effective(weight)

    return of(comparison.closed), of(~comparison.closed)


def _chance(
    common: NDArray[np.float64], n_common: float, rare: NDArray[np.float64], n_rare: float
) -> NDArray[np.float64]:
    expected = wilson_low(common, n_common) / HONEST_HAZARD_RATIO
    return np.asarray(binom.cdf(np.round(rare * n_rare), round(n_rare), expected))


def _pure_value(coded: pd.Categorical, population: Population) -> PureValue | None:
    """The value whose closed deals' odds of one outcome lie farthest from those of all closed deals."""
    codes = np.asarray(coded.codes, dtype=np.intp)[population.closed]
    won = population.of("won")[population.closed]
    if min(won.sum(), (~won).sum()) < MIN_DEALS:
        return None
    deals = np.bincount(codes, minlength=len(coded.categories))
    best: PureValue | None = None
    outcomes: tuple[tuple[Outcome, NDArray[np.bool_]], ...] = (("won", won), ("lost", ~won))
    for outcome, ended in outcomes:
        share = np.bincount(codes, weights=ended, minlength=len(deals)) / np.maximum(deals, 1)
        ratio = _odds(wilson_low(share, np.maximum(deals, 1))) / _odds(ended.mean())
        at = int(ratio.argmax())
        if best is None or ratio[at] > best.odds_ratio:
            best = PureValue(str(coded.categories[at]), outcome, int(deals[at]), float(share[at]), float(ratio[at]))
    return best


def _date_use(dates: pd.Series, population: Population) -> DateUse:
    created, closed = population.deals["created_at"], population.deals["closed_at"]
    filled = dates.notna().to_numpy(dtype=bool)
    near_close = ((dates - closed).abs() <= _DAY).to_numpy(dtype=bool)
    later = (dates > created + _DAY).to_numpy(dtype=bool)
    future = (dates > population.now).to_numpy(dtype=bool)
    return DateUse(_share(near_close[filled & population.closed]), _share(later[filled]), _share(future[filled]))


def _halves_by_age(population: Population, deals: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    aged = deals & ~np.isnan(population.age)
    if not aged.any():
        return aged, aged
    middle = np.median(population.age[aged])
    return aged & (population.age <= middle), aged & (population.age > middle)


def _first_half_created(population: Population) -> NDArray[np.bool_]:
    """Closed deals of the first half of the time, which had time to become old: their length tells no creation date."""
    created = population.deals["created_at"]
    return population.closed & (created <= created[population.closed].median()).to_numpy()


def _rank_correlation_low(values: NDArray[np.float64], age: NDArray[np.float64]) -> float:
    """Lower bound of Spearman's rank correlation (by Fisher's transformation)."""
    both = ~np.isnan(values) & ~np.isnan(age)
    if both.sum() < MIN_DEALS or np.ptp(values[both]) == 0 or np.ptp(age[both]) == 0:
        return np.nan
    correlation = pd.Series(values[both]).corr(pd.Series(age[both]), method="spearman")
    inside = np.clip(correlation, -0.999999, 0.999999)
    return float(np.tanh(np.arctanh(inside) - CAUTION / np.sqrt(both.sum() - 3)))


def _difference_low(larger: NDArray[np.bool_], smaller: NDArray[np.bool_]) -> float:
    """Lower bound of the difference of two shares."""
    if min(len(larger), len(smaller)) < MIN_DEALS:
        return np.nan
    spread = sum(max(0.01, side.mean() * (1 - side.mean())) / len(side) for side in (larger, smaller))
    return float(larger.mean() - smaller.mean() - CAUTION * np.sqrt(spread))


def _odds(share: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(share / np.maximum(1e-9, 1 - share))


def _share(flags: NDArray[np.bool_]) -> float:
    return float(flags.mean()) if len(flags) else np.nan
