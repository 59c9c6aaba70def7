"""Which column is which field: every pair is scored, and the best assignment of all together counts."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from winpredict.ingest.guess.columns import ColumnFacts, RawTable
from winpredict.ingest.guess.outcomes import Labelling
from winpredict.ingest.parsing.numbers import to_numbers

#: Fields that are assigned by name and contents; those that tell outcomes are chosen together, see `labelling`.
TIMES = ("created_at", "closed_at", "expected_close_date", "won_at", "lost_at", "modified_at", "snapshot_at")
CATEGORIES = ("pipeline", "lead_source", "product", "deal_type", "currency")
FIELDS = (
    "deal_id", "name", "account_id", "account_name", "owner_id", "owner_name", "amount", "probability", "is_deleted",
    "loss_reason", *TIMES, *CATEGORIES,
)  # fmt: skip
#: The least score of a pair; fields that are only of use where they are certain want more.
MIN_SCORE = 0.2
_MIN_SCORES = {
    "created_at": 0.3,
    "closed_at": 0.3,
    "pipeline": 0.6,
    "lead_source": 0.5,
    "product": 0.5,
    "deal_type": 0.6,
    "is_deleted": 0.6,
    "snapshot_at": 0.6,
    "won_at": 0.45,
    "lost_at": 0.45,
    "modified_at": 0.6,
    "probability": 0.4,
    "loss_reason": 0.4,
    "name": 0.3,
    "account_id": 0.3,
    "account_name": 0.3,
    "owner_id": 0.3,
    "owner_name": 0.3,
}
#: Below this score a field's column is one to be confirmed.
CERTAIN = 0.55
_READABLE = 0.5
_DIFFER = 0.98
_FEW, _MANY = 60, 500
_MIN_ROWS = 10
_MIN_ACCOUNTS, _ROWS_WITH_MANY_ACCOUNTS = 5, 50
#: How much the relation of a date to the end of a deal counts beside its name.
_RELATION = 0.15


def assigned(
    table: RawTable, labels: Labelling, *, taken: Sequence[str] = (), chosen: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The column of each field that has one.

    Parameters
    ----------
    table : RawTable
        One row a deal.
    labels : Labelling
        Whether each row is won, lost or open.
    taken : sequence of str
        Columns that are something else.
    chosen : mapping of str to str, optional
        Fields whose columns are known already.

    Returns
    -------
    dict of str to str
        Field: column.

    Examples
    --------
    >>> from winpredict.ingest.guess.outcomes import labelling
    >>> frame = pd.DataFrame(
    ...     {"Id": ["1", "2"], "Stage": ["Won", "Lost"], "Value": ["5", "6"], "Added": ["2025-01-02", "2025-01-03"]},
    ...     dtype="str",
    ... )
    >>> table = RawTable("deals", "deals.csv", frame)
    >>> assigned(table, labelling(table), taken=["Stage"])
    {'deal_id': 'Id', 'amount': 'Value', 'created_at': 'Added'}
    """
    known = dict(chosen or {})
    fields = [field for field in FIELDS if field not in known]
    free = [name for name in table.columns if name not in taken and name not in known.values()]
    scores = np.array([[score(table, name, field, labels) for name in free] for field in fields])
    if not scores.size:
        return known
    from scipy.optimize import linear_sum_assignment  # takes a third of a second to load

    rows, columns = linear_sum_assignment(scores, maximize=True)
    assignment = {
        fields[row]: free[column] for row, column in zip(rows, columns, strict=True) if scores[row, column] > 0
    }
    return known | assignment


def score(table: RawTable, name: str, field: str, labels: Labelling | None) -> float:
    """How well a column fits a field, by its name, contents and relation to the outcome; 0 where it does not."""
    by_name = table.scores(name).get(field, 0.0)
    if by_name < _MIN_SCORES.get(field, MIN_SCORE):
        return 0.0
    column = table.columns[name]
    if not column.distinct:
        return 0.0
    fit = _FITS.get(field, _any_text)(column)
    if field in TIMES and labels is not None:
        fit *= _relation(column, field, labels)
    return by_name * fit


def _relation(column: ColumnFacts, field: str, labels: Labelling) -> float:
    """How well the filled cells of a date go with the ends of deals."""
    ended, is_open = labels.ended, ~labels.ended
    filled = column.is_filled
    of_ended = float(filled[ended].mean()) if ended.any() else 0.0
    of_open = float(filled[is_open].mean()) if is_open.any() else 0.0
    if field == "closed_at":
        only = _RELATION if is_open.any() and of_open < 0.1 and of_ended > 0.5 else 0.0
        return (0.3 + 0.7 * of_ended) * (1 - _RELATION) + only
    if field == "expected_close_date":
        return (1 - _RELATION) + _RELATION * (of_open if is_open.any() else of_ended)
    if field == "created_at":
        return 0.3 + 0.7 * float(filled.mean())
    return 1.0


def _times(column: ColumnFacts) -> float:
    share = column.share_times
    if share < _READABLE or column.flags is not None:
        return 0.0
    return share


def _numbers(column: ColumnFacts) -> float:
    share = column.share_numbers
    if share < _READABLE or (column.share_times >= _READABLE and not column.are_serials and not column.share_numbers):
        return 0.0
    return share


def _chances(column: ColumnFacts) -> float:
    return max(column.share_numbers, float(column.texts.dropna().str.endswith("%").mean()))


def _ids(column: ColumnFacts) -> float:
    if column.share_filled < _READABLE or column.flags is not None:
        return 0.0
    if column.are_dates:
        return 0.0
    if column.distinct == 1 and len(column.is_filled) > 1:
        return 0.0
    return 1.0 if column.share_distinct >= _DIFFER else 0.7


def _names(column: ColumnFacts) -> float:
    if column.share_numbers == 1 or column.are_dates:
        return 0.0
    return 0.6 + 0.4 * column.share_distinct


def _accounts(column: ColumnFacts) -> float:
    # a column "Client" that says new, current or past names no accounts
    if column.distinct < _MIN_ACCOUNTS and len(column.is_filled) >= _ROWS_WITH_MANY_ACCOUNTS:
        return 0.0
    return _others_names(column)


def _others_names(column: ColumnFacts) -> float:
    return 0.0 if column.are_dates else 1.0


def _few(column: ColumnFacts) -> float:
    if column.are_dates:
        return 0.0
    return 1.0 if column.distinct <= _FEW or column.share_distinct < 0.5 else 0.0


def _products(column: ColumnFacts) -> float:
    if column.are_dates:
        return 0.0
    return 1.0 if column.distinct <= _MANY else 0.0


def _currencies(column: ColumnFacts) -> float:
    return 1.0 if all(currency_code(text) for text in column.counts) else 0.0


def currency_code(text: str) -> str:
    """The ISO code of a currency's code, name or sign; empty where it is none.

    Examples
    --------
    >>> currency_code("Euro"), currency_code("usd"), currency_code("12"), currency_code("Demo")
    ('EUR', 'USD', '', '')
    """
    if any(letter.isdigit() for letter in text):
        return ""
    code = to_numbers(pd.Series([f"1 {text}"], dtype="str")).currency.iloc[0]
    return "" if pd.isna(code) else str(code)


def _flags(column: ColumnFacts) -> float:
    return 1.0 if column.flags is not None else 0.0


def _any_text(column: ColumnFacts) -> float:
    return 0.0 if column.are_dates else 1.0


_FITS: dict[str, Callable[[ColumnFacts], float]] = {
    **dict.fromkeys(TIMES, _times),
    "deal_id": _ids,
    "name": _names,
    "account_id": _accounts,
    "account_name": _accounts,
    "owner_id": _others_names,
    "owner_name": _others_names,
    "amount": _numbers,
    "probability": _chances,
    "is_deleted": _flags,
    "pipeline": _few,
    "lead_source": _few,
    "deal_type": _few,
    "product": _products,
    "currency": _currencies,
}
