"""Rows with names: beside the rows on a page, above them on a phone."""

from collections.abc import Sequence
from typing import NamedTuple

import altair as alt

from winpredict.report.charts.style import WIDE

_WIDEST, _PER_LETTER = 210, 6.6
_MARGIN = 16
_STEP, _STEP_WITH_NAME_ABOVE = 28, 44


class Rows(NamedTuple):
    """How rows are drawn: the y channel, the height of all rows, and the width that is left for the plot."""

    y: alt.Y
    height: int
    width: int


def rows(column: str, names: Sequence[str], width: int, right: int = 0, named: bool = True) -> Rows:
    """Rows in the order of the data.

    Parameters
    ----------
    column : str
        Column with the names of the rows.
    names : sequence of str
    width, right : int
        Pixels of the whole chart, and pixels to keep free at the right.
    named : bool
        False where the chart beside it shows the names.
    """
    if width < WIDE and named:
        # the middle of the row moves down by the padding, the name stands at the row's upper edge
        axis: alt.Axis | None = alt.Axis(
            ticks=False, domain=False, labelAlign="left", labelBaseline="middle", labelOffset=-18, labelPadding=0,
            labelLimit=width - 2 * _MARGIN, zindex=1,
        )  # fmt: skip
        step, room = _STEP_WITH_NAME_ABOVE, 0
    else:
        room = min(_WIDEST, round(_PER_LETTER * max(map(len, names), default=0)) + 6) if named else 0
        axis = alt.Axis(ticks=False, domain=False, labelLimit=room) if named else None
        step = _STEP if width >= WIDE else _STEP_WITH_NAME_ABOVE
    y = alt.Y(f"{column}:N", sort=None, title=None, axis=axis)
    return Rows(y, step * max(len(names), 1), width - room - right - _MARGIN)
