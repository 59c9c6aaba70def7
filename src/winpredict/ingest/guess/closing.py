"""Which columns say when deals closed, and when they were expected to."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from winpredict.ingest.guess.columns import RawTable
from winpredict.ingest.guess.evidence import LOST
from winpredict.ingest.guess.outcomes import Labelling, Point
from winpredict.locale.text import said

#: From this share of the closed deals on, a date is that of their close; a date of won deals that this share of the
#: lost ones has too is the older of the two.
_FILLED, _HARDLY = 0.9, 0.1
_LINE = "tables.deals.columns.closed_at"


def closing_columns(
    current: RawTable, labels: Labelling, fields: Mapping[str, str]
) -> tuple[dict[str, Any], list[Point]]:
    """When deals closed, and when they were expected to.

    Parameters
    ----------
    current : RawTable
        One row a deal.
    labels : Labelling
    fields : mapping of str to str
        Column of each field.

    Returns
    -------
    columns : dict
        closed_at and expected_close_date, as profiles have them.
    points : list of Point
    """
    closed, expected = fields.get("closed_at"), fields.get("expected_close_date")
    won, lost = fields.get("won_at"), fields.get("lost_at")
    # of one date that is both, the assignment knows one
    if won is None and lost and expected and current.scores(expected).get("won_at", 0.0) >= _FILLED:
        won = expected
    if expected is None and won and current.scores(won).get("expected_close_date", 0.0) >= 0.8:
        expected = won
    ended, is_open = labels.ended, ~labels.ended
    points: list[Point] = []
    columns: dict[str, Any] = {}
    of_ended = _fill(current, closed, ended)
    is_expected_too = _fill(current, closed, is_open) > 0.5
    parts = [each for each in _won_and_lost(current, labels, won, lost) if each]
    covered = _fill(current, parts, ended)
    if closed and ((of_ended >= _FILLED and not (is_expected_too and covered >= _FILLED)) or not parts):
        columns["closed_at"] = closed
    elif parts:
        several = [*([closed] if closed and not is_expected_too else []), *parts]
        several += [closed] if closed and is_expected_too else []
        columns["closed_at"] = {"first_of": several} if len(several) > 1 else several[0]
        if not closed and covered < _FILLED and expected and expected not in several:
            points.append(_undated_point(current, several, ended))
    elif expected:
        columns["closed_at"] = expected
        if not current.scores(expected).get("closed_at", 0.0) >= 0.5:
            points.append(
                Point(
                    said(
                        'no column says when deals really closed: "{column}" is taken for it, which is true where '
                        "people correct it at the close",
                        column=expected,
                    ),
                    _LINE,
                )
            )
    if columns.get("closed_at") == closed and closed and of_ended < 0.5:
        points.append(_undated_point(current, [closed], ended))
    if expected is None and closed and is_expected_too:
        expected = closed
    if expected:
        columns["expected_close_date"] = expected
    return columns, points


def _undated_point(current: RawTable, columns: Sequence[str], ended: Any) -> Point:
    share = _fill(current, list(columns), ended)
    told = said(
        "{share:percent} of the closed deals have no date of the close ({columns})",
        share=1 - share,
        columns=", ".join(columns),
    )
    return Point(told, _LINE)


def _won_and_lost(current: RawTable, labels: Labelling, won: str | None, lost: str | None) -> list[str | None]:
    """The two dates in the order in which they are to be looked at: a lost deal may have been won before."""
    if won and lost and _fill(current, won, labels.labels == LOST) > _HARDLY:
        return [lost, won]
    return [won, lost]


def _fill(current: RawTable, column: str | list[str] | None, rows: Any) -> float:
    if not column or not rows.any():
        return 0.0
    names = [column] if isinstance(column, str) else column
    filled = np.logical_or.reduce([current.columns[name].is_filled for name in names])
    return float(filled[rows].mean())
