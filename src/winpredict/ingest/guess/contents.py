"""Columns of which only the contents say what they are, where no name does."""

from collections.abc import Sequence

import pandas as pd

from winpredict.ingest.guess.columns import ColumnFacts, RawTable
from winpredict.ingest.guess.outcomes import Labelling
from winpredict.ingest.vocabulary import is_never

#: Ids are single words with digits in them, of much the same length; amounts have decimals.
_ID, _DECIMALS = r"[\w./#-]*\d[\w./#-]*", r"[.,]\d{1,2}$"
_MAX_LENGTHS_APART = 3
#: In a shorter table many columns differ from row to row.
_MIN_ROWS_OF_IDS = 10
_NEARLY_ALL, _MOSTLY, _HARDLY_ANY, _STRAY = 0.95, 0.9, 0.1, 0.02
#: A date that most deals share with their close is not that of their creation.
_MAX_SAME_DAY = 0.5
_MIN_DEALS = 3


def id_by_contents(table: RawTable, names: Sequence[str]) -> str | None:
    """The first column whose texts differ from row to row as ids do.

    Parameters
    ----------
    table : RawTable
        One row a deal.
    names : sequence of str
        Columns that may be it.

    Returns
    -------
    str or None
        None where no column is one.

    Examples
    --------
    >>> frame = pd.DataFrame({"Who": ["Ann"] * 12, "Key": [f"OP-{number}" for number in range(100, 112)]}, dtype="str")
    >>> id_by_contents(RawTable("deals", "deals.csv", frame), ["Who", "Key"])
    'Key'
    """
    return next((name for name in names if _is_id(table.columns[name])), None)


def _is_id(column: ColumnFacts) -> bool:
    if column.share_filled < 1 or column.share_distinct < 1 or column.distinct < _MIN_ROWS_OF_IDS or column.are_dates:
        return False
    texts = column.texts
    apart = texts.str.len().max() - texts.str.len().min()
    return bool(
        apart <= _MAX_LENGTHS_APART and texts.str.fullmatch(_ID).all() and not texts.str.contains(_DECIMALS).any()
    )


def creation_by_contents(table: RawTable, labels: Labelling, closed: str | None, names: Sequence[str]) -> str | None:
    """The only date of nearly all deals that is never after their close.

    Parameters
    ----------
    table : RawTable
        One row a deal.
    labels : Labelling
    closed : str or None
        The column that dates the close.
    names : sequence of str
        Columns that may be it.

    Returns
    -------
    str or None
        None where no column is one, or several are.
    """
    return _only([name for name in names if _is_creation(table, table.columns[name], labels, closed)])


def _is_creation(table: RawTable, column: ColumnFacts, labels: Labelling, closed: str | None) -> bool:
    if column.are_serials or column.distinct <= 1 or min(column.share_times, column.share_filled) < _NEARLY_ALL:
        return False
    if is_never(column.name):
        return False
    if closed is None:
        return True
    days, ends = column.times.dt.normalize(), table.columns[closed].times.dt.normalize()
    both = days.notna() & ends.notna() & labels.ended
    if not both.any():
        return False
    return bool((days[both] > ends[both]).mean() <= _STRAY and (days[both] == ends[both]).mean() <= _MAX_SAME_DAY)


def close_by_contents(table: RawTable, labels: Labelling, created: str | None, names: Sequence[str]) -> str | None:
    """The only date that closed deals have and open ones lack.

    Parameters
    ----------
    table : RawTable
        One row a deal.
    labels : Labelling
    created : str or None
        The column that dates the creation.
    names : sequence of str
        Columns that may be it.

    Returns
    -------
    str or None
        None where no column is one, or several are.
    """
    if min(labels.ended.sum(), (~labels.ended).sum()) < _MIN_DEALS:
        return None
    return _only([name for name in names if _is_close(table, table.columns[name], labels, created)])


def _is_close(table: RawTable, column: ColumnFacts, labels: Labelling, created: str | None) -> bool:
    if column.are_serials or column.share_times < _NEARLY_ALL:
        return False
    filled = column.is_filled
    if filled[labels.ended].mean() < _MOSTLY or filled[~labels.ended].mean() > _HARDLY_ANY:
        return False
    if created is None:
        return True
    days, starts = column.times.dt.normalize(), table.columns[created].times.dt.normalize()
    return bool((days < starts).mean() <= _STRAY)


def amount_by_contents(table: RawTable, names: Sequence[str]) -> str | None:
    """The only column of numbers with signs or codes of currencies.

    Parameters
    ----------
    table : RawTable
    names : sequence of str
        Columns that may be it.

    Returns
    -------
    str or None
        None where no column is one, or several are.

    Examples
    --------
    >>> frame = pd.DataFrame({"Grade": ["1", "2"], "Xyz": ["€ 1.200", "€ 800"]}, dtype="str")
    >>> amount_by_contents(RawTable("deals", "deals.csv", frame), ["Grade", "Xyz"])
    'Xyz'
    """
    columns = [table.columns[name] for name in names]
    return _only([each.name for each in columns if each.has_currency and each.share_numbers >= _MOSTLY])


def _only(names: Sequence[str]) -> str | None:
    return names[0] if len(names) == 1 else None


def mean_by(column: ColumnFacts, values: pd.Series) -> dict[str, float]:
    """Mean of the values of each text's rows."""
    means = values.groupby(column.texts.to_numpy()).mean().dropna()
    return {str(text): float(mean) for text, mean in means.items()}
