"""Rows with names: beside the rows on a page, above them on a phone."""

import json
from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any, NamedTuple

import altair as alt

from winpredict.report.charts.style import WIDE

_WIDEST, _PER_LETTER = 210, 6.6
_MARGIN = 16
_STEP, _STEP_WITH_NAME_ABOVE, _LINE = 28, 44, 14
_MAX_LINES = 2
#: A line without letters; browsers leave out one that is empty or a space.
_EMPTY = "\u2060"


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
    above = width < WIDE
    widest = width - 2 * _MARGIN if above else _WIDEST
    lines = {name: _lines(name, round((widest - 6) / _PER_LETTER)) for name in names} if named else {}
    several = any(len(each) > 1 for each in lines.values())
    # narrow charts side by side keep their steps alike, whichever of them shows the names
    step = _STEP_WITH_NAME_ABOVE + _LINE * several if above else _STEP + 4 * several
    axis: alt.Axis | None = None
    room = 0
    if above and named:
        # the middle of the row moves down by the padding, the name stands at the row's upper edge
        axis = alt.Axis(
            ticks=False, domain=False, labelAlign="left", labelBaseline="middle", labelPadding=0, zindex=1,
            labelLimit=widest, labelOffset=-18 - _LINE * several, labelLineHeight=_LINE,
            labelExpr=_labels({name: [_EMPTY, *each][-_MAX_LINES:] for name, each in lines.items()}, several),
        )  # fmt: skip
    elif named:
        longest = max((len(line) for each in lines.values() for line in each), default=0)
        room = min(_WIDEST, round(_PER_LETTER * longest) + 6)
        # half a line up, and half a line between lines, keeps one line and two in the middle of their rows
        axis = alt.Axis(
            ticks=False, domain=False, labelLimit=room, labelLineHeight=_LINE / 2, labelOffset=-_LINE / 2 * several,
            labelExpr=_labels({name: _around(each) for name, each in lines.items()}, several),
        )  # fmt: skip
    y = alt.Y(f"{column}:N", sort=None, title=None, axis=axis)
    return Rows(y, step * max(len(names), 1), width - room - right - _MARGIN)


def _labels(lines: Mapping[str, Sequence[str]], several: bool) -> Any:
    """The expression that breaks names into lines; none where all names have room."""
    return f"({json.dumps(lines, ensure_ascii=False)})[datum.label]" if several else alt.Undefined


def _around(lines: Sequence[str]) -> list[str]:
    """One line or two around the middle of three half lines."""
    return [_EMPTY, lines[0]] if len(lines) == 1 else [lines[0], _EMPTY, lines[1]]


def _lines(name: str, letters: int) -> list[str]:
    """A name in lines; what does not fit into the last one is cut."""
    parts = wrap(name, letters, max_lines=_MAX_LINES, placeholder="…", break_on_hyphens=False)
    return parts or [name]
