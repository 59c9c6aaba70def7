"""Feature frames as plain matrices: labels as codes, rows in canonical order, snapshots cut into intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from winpredict.errors import TableError, TooLittleDataError
from winpredict.locale.text import text

Floats = NDArray[np.float64]
_FEW_ROWS = 40


def is_category(values: pd.Series) -> bool:
    """Whether a feature column holds labels (category, text) and not numbers."""
    return isinstance(values.dtype, pd.CategoricalDtype) or pd.api.types.is_string_dtype(values.dtype)


def fit_categories(X: pd.DataFrame) -> dict[str, list[str]]:
    """The labels that occur in each label column, sorted, to be stored with a model.

    Parameters
    ----------
    X : DataFrame
        Features; label columns are of dtype ``category`` or text.

    Returns
    -------
    dict of str to list of str
        One entry a label column. Declared categories that never occur are left out, so that neither the order nor the
        length of a declared list changes a model.

    Examples
    --------
    >>> fit_categories(pd.DataFrame({"stage": pd.Categorical(["Demo", None, "Call"]), "touches": [1.0, 2.0, 3.0]}))
    {'stage': ['Call', 'Demo']}
    """
    return {
        str(name): sorted(X[name].dropna().astype(str).unique().tolist()) for name in X.columns if is_category(X[name])
    }


def to_matrix(X: pd.DataFrame, categories: Mapping[str, Sequence[str]]) -> Floats:
    """Features as one matrix, with each label replaced by its place in the stored list.

    Parameters
    ----------
    X : DataFrame
        Features, in the order of the model's columns; see `select_columns`.
    categories : mapping of str to sequence of str
        What `fit_categories` gave for the training features.

    Returns
    -------
    ndarray of shape (n_rows, n_columns), dtype float64
        Missing and unseen labels are NaN.

    Raises
    ------
    TableError
        When a column is neither numeric nor known as a label column.

    Examples
    --------
    >>> X = pd.DataFrame({"stage": pd.Categorical(["Demo", "Lunch"]), "touches": [1, 2]})
    >>> to_matrix(X, {"stage": ["Call", "Demo"]})
    array([[ 1.,  1.],
           [nan,  2.]])
    """
    if len(X) <= _FEW_ROWS:
        return _small_matrix(X, categories)
    matrix = np.empty((len(X), X.shape[1]), dtype=np.float64, order="F")
    for place, name in enumerate(X.columns):
        known = categories.get(str(name))
        matrix[:, place] = numbers(X[name]) if known is None else _codes(X[name], known)
    return matrix


def _small_matrix(X: pd.DataFrame, categories: Mapping[str, Sequence[str]]) -> Floats:
    """`to_matrix` of so few rows that looking at each column costs more than looking at each value."""
    codes = {
        place: {label: float(number) for number, label in enumerate(categories[str(name)])}
        for place, name in enumerate(X.columns.tolist())
        if str(name) in categories
    }
    matrix = np.empty(X.shape, dtype=np.float64)
    for row, values in enumerate(X.to_numpy(dtype=object).tolist()):
        for place, value in enumerate(values):
            if place in codes:
                matrix[row, place] = codes[place].get(str(value), np.nan)
            elif isinstance(value, str) or (value is not None and not np.isscalar(value) and value is not pd.NA):
                matrix[row, place] = numbers(X.iloc[:, place])[row]  # tells what is wrong with the column
            else:
                matrix[row, place] = np.nan if value is None or value is pd.NA else float(value)  # type: ignore[arg-type]
    return matrix


def category_places(columns: Sequence[str], categories: Mapping[str, Sequence[str]]) -> list[int]:
    """Indexes of the label columns, as LightGBM's ``categorical_feature`` wants them."""
    return [place for place, name in enumerate(columns) if name in categories]


def select_columns(X: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """The columns a model was trained on, in its order.

    Raises
    ------
    TableError
        When some are absent.
    """
    if X.columns.tolist() == list(columns):
        return X
    absent = [name for name in columns if name not in X]
    if absent:
        raise TableError(
            text(
                "the features lack {n} column(s) the model was trained on: {absent}; build them with the same "
                "builders as for training",
                n=len(absent),
                absent=", ".join(absent[:10]),
            )
        )
    return X.loc[:, list(columns)]


def canonical_order(matrix: Floats, *more: ArrayLike) -> NDArray[np.intp]:
    """An order of the rows that depends on what they hold alone, not on where they stood.

    A learner that sums floats, samples rows or draws bins gives the same bytes for permuted input once its rows are
    put in this order.

    Parameters
    ----------
    matrix : ndarray of shape (n_rows, n_columns), dtype float64
    *more : array-like of shape (n_rows,)
        Labels, weights or keys by which equal rows of the matrix may still differ.

    Returns
    -------
    ndarray of shape (n_rows,), dtype intp
    """
    frame = pd.DataFrame(matrix)
    keys = [pd.util.hash_array(np.asarray(values)) for values in more]
    return np.lexsort([*keys, pd.util.hash_pandas_object(frame, index=False).to_numpy()])


@dataclass(frozen=True)
class Periods:
    """One entry for each interval that a snapshot's deal was seen to enter while open."""

    row: NDArray[np.intp]
    interval: NDArray[np.intp]
    closed: NDArray[np.bool_]
    won: NDArray[np.bool_]
    weight: Floats

    def take(self, chosen: NDArray[np.intp]) -> "Periods":
        """The chosen entries."""
        return Periods(
            self.row[chosen], self.interval[chosen], self.closed[chosen], self.won[chosen], self.weight[chosen]
        )


def person_periods(outcome: NDArray[np.str_], days: Floats, weight: Floats, grid: Floats) -> Periods:
    """Snapshots cut at the ends of the grid; an interval seen in part counts, while open, by that part."""
    starts = np.concatenate([[0.0], grid[:-1]])
    last = np.searchsorted(grid, days, side="right")
    entered = np.minimum(last + 1, grid.size)
    row = np.repeat(np.arange(days.size), entered)
    interval = np.arange(row.size) - np.repeat(np.cumsum(entered) - entered, entered)
    ended_here = interval == last[row]
    closed = ended_here & (outcome != "open")[row]
    seen = np.where(ended_here & ~closed, (days[row] - starts[interval]) / (grid - starts)[interval], 1.0)
    periods = Periods(row, interval, closed, closed & (outcome == "won")[row], weight[row] * seen)
    return periods.take(np.flatnonzero(periods.weight > 0))


def thinned(periods: Periods, most: int, rng: np.random.Generator) -> Periods:
    """At most `most` entries, half of them kept for those with a close; weights make up for what is left out."""
    open_ones, closed_ones = np.flatnonzero(~periods.closed), np.flatnonzero(periods.closed)
    if periods.row.size <= most:
        return periods
    closed_ones = rng.permutation(closed_ones)[: max(most // 2, most - open_ones.size)]
    kept_open = rng.permutation(open_ones)[: most - closed_ones.size]
    weight = periods.weight.copy()
    for all_of_kind, kept in ((np.flatnonzero(periods.closed), closed_ones), (open_ones, kept_open)):
        if kept.size:
            weight[kept] *= all_of_kind.size / kept.size
    chosen = np.sort(np.concatenate([closed_ones, kept_open]))
    return Periods(periods.row, periods.interval, periods.closed, periods.won, weight).take(chosen)


def outcomes(y: ArrayLike) -> Floats:
    """Labels as float64 zeros and ones.

    Raises
    ------
    TableError
        When a label is neither 0 nor 1.
    TooLittleDataError
        When there is none.
    """
    labels = np.asarray(y, dtype=np.float64)
    if labels.size == 0:
        raise TooLittleDataError(text("no closed deals to learn from or to judge by; take an earlier or longer period"))
    wrong = int((~np.isin(labels, (0.0, 1.0))).sum())
    if wrong:
        raise TableError(
            text(
                "{wrong} of {size} labels are neither 0 (lost) nor 1 (won); leave open deals out",
                wrong=wrong,
                size=labels.size,
            )
        )
    return labels


def weights_of(sample_weight: ArrayLike | None, n: int) -> Floats:
    """Row weights as float64; ones where none are given.

    Raises
    ------
    TableError
        When they are of another length, negative, not finite, or all zero.
    """
    if sample_weight is None:
        return np.ones(n)
    weight = np.asarray(sample_weight, dtype=np.float64)
    if weight.shape != (n,):
        raise TableError(text("there are {n} rows and {size} weights; give one weight a row", n=n, size=weight.size))
    if not np.isfinite(weight).all() or (weight < 0).any() or not weight.any():
        raise TableError(
            text("weights must be finite, not negative and not all zero; look at the column they come from")
        )
    return weight


def numbers(values: pd.Series) -> Floats:
    """A numeric feature column as float64, flags as 0 and 1, missing as NaN."""
    try:
        return values.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise TableError(
            text(
                "feature {name} of dtype {dtype} is neither a number nor a label known from training; give it "
                "dtype float64 or category",
                name=values.name,
                dtype=values.dtype,
            )
        ) from error


def _codes(values: pd.Series, known: Sequence[str]) -> Floats:
    labels = values if isinstance(values.dtype, pd.CategoricalDtype) else values.astype("category")
    place = {label: float(number) for number, label in enumerate(known)}
    found = np.array([place.get(str(label), np.nan) for label in labels.cat.categories] + [np.nan])
    return found[labels.cat.codes.to_numpy()]
