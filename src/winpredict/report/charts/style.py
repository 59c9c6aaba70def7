"""One look for all charts: colours that hold in light and dark, on paper and for colour-blind eyes."""

from collections.abc import Sequence
from functools import reduce
from textwrap import wrap
from typing import Any

import altair as alt

from winpredict.locale.text import said

#: Width in pixels of a chart on a page, and on a phone.
WIDE, NARROW = 620, 300

# Every colour is used under its name, and no two are alike: a page swaps them one by one for dark screens.
INK = "#1f2933"
MUTED = "#5b6673"
GRID = "#e3e7ec"
PAPER = "#ffffff"
ACCENT = "#1f5fbf"
UP = "#0b7a5b"
DOWN = "#b5470f"
QUIET = "#8793a1"
BAND = "#c9d8f0"

#: What each colour becomes on a dark screen.
DARK = {
    INK: "#e5e9ee",
    MUTED: "#aab4c0",
    GRID: "#323a44",
    PAPER: "#14181d",
    ACCENT: "#7db0ff",
    UP: "#4fd1a5",
    DOWN: "#ff9d66",
    QUIET: "#6f7b88",
    BAND: "#2b4266",
}
#: Pixels that a letter of the title and of the subtitle takes.
_TITLE_LETTER, _SUBTITLE_LETTER = 8.2, 6.1
#: Amounts on an axis: 0, 50k, 1.5M.
AMOUNT_LABELS = "datum.value == 0 ? '0' : format(datum.value, '~s')"
_FONT = "Helvetica, Arial, sans-serif"


def styled(chart: Any, title: object, subtitle: object = "", width: int = WIDE) -> Any:
    """The chart with the house's title, fonts and colours; the last thing that a chart function does.

    Parameters
    ----------
    chart : altair chart
        Single, layered or concatenated.
    title : Text or str
        What is to be seen, as a sentence where there is one.
    subtitle : Text, str or list of these
        What is drawn, with units; a list gives one line each.
    width : int
        Width of the whole chart in pixels, at which a long title or subtitle is broken into lines.

    Returns
    -------
    altair chart
    """
    lines = subtitle if isinstance(subtitle, list) else [subtitle]
    below = [part for line in lines for part in wrap(str(line), round(width / _SUBTITLE_LETTER))]
    heading = alt.TitleParams(
        wrap(str(title), round(width / _TITLE_LETTER)), subtitle=below or alt.Undefined, anchor="start", frame="group",
        color=INK, fontSize=15, subtitleColor=MUTED, subtitleFontSize=12, offset=12,
    )  # fmt: skip
    return (
        chart.properties(title=heading, background=PAPER)
        .configure(font=_FONT, autosize=alt.AutoSizeParams(type="pad"), padding=8)
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=INK, titleColor=MUTED, gridColor=GRID, domainColor=QUIET, tickColor=QUIET,
            labelFontSize=12, titleFontSize=12, titleFontWeight="normal", labelLimit=220,
        )
        .configure_legend(labelColor=INK, titleColor=MUTED, labelFontSize=12, titleFontSize=12, orient="top",
            labelLimit=width - 60,
        )
        .configure_header(labelColor=INK, titleColor=MUTED)
        .configure_rule(color=INK)  # black is not swapped on a dark screen
    )  # fmt: skip


def legend_lines(parts: Sequence[object], width: int) -> list[str]:
    """What the marks of a chart stand for: two to a line on a page, one on a phone.

    Parameters
    ----------
    parts : sequence of (Text or str)
        "dot: win rate".
    width : int
        Width of the whole chart in pixels.
    """
    together = 2 if width >= WIDE else 1
    return [in_one_line(parts[place : place + together]) for place in range(0, len(parts), together)]


def in_one_line(parts: Sequence[object]) -> str:
    """What several marks stand for, one after the other.

    Examples
    --------
    >>> in_one_line(["Dot: expected", "ring: before"])
    'Dot: expected; ring: before'
    """
    first, *rest = (str(part) for part in parts)
    return reduce(lambda before, after: said("{before}; {after}", before=before, after=after), rest, first)


def share_ticks(width: int) -> list[float]:
    """Ticks of an axis of shares, from 0 to 1; fewer where their labels would touch."""
    return [0, 0.25, 0.5, 0.75, 1] if width >= WIDE else [0, 0.5, 1]
