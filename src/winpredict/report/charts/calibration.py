"""The chart of calibration: how often deals with some odds were won."""

from typing import Any

import altair as alt
import pandas as pd

from winpredict.locale.text import said, text
from winpredict.report.charts.style import ACCENT, INK, MUTED, WIDE, styled

_MARGIN = 90
_WIDEST, _HIGHEST = 420, 340


def calibration_chart(bins: pd.DataFrame, width: int = WIDE) -> Any:
    """Observed share of wins against predicted odds; on the diagonal the odds are right.

    Parameters
    ----------
    bins : DataFrame
        What `winpredict.models.calibration.reliability` gives.
    width : int
        Width of the whole chart in pixels.

    Returns
    -------
    altair chart
    """
    scale, axis = alt.Scale(domain=[0, 1]), alt.Axis(format=".0%", tickCount=5)
    odds = alt.X("predicted:Q", title=said("predicted win odds"), scale=scale, axis=axis)
    won = alt.Y("observed:Q", title=said("share won"), scale=scale, axis=axis)
    base = alt.Chart(bins[["predicted", "observed", "low", "high", "n"]])
    diagonal = alt.Chart(pd.DataFrame({"odds": [0.0, 1.0]})).mark_line(strokeDash=[4, 4], color=MUTED)
    diagonal = diagonal.encode(alt.X("odds:Q", scale=scale), alt.Y("odds:Q", scale=scale))
    bars = base.mark_rule(color=INK).encode(odds, alt.Y("low:Q", scale=scale), alt.Y2("high:Q"))
    size = alt.Size("n:Q", title=said("deals scored"), legend=alt.Legend(tickCount=3), scale=alt.Scale(range=[20, 300]))
    dots = base.mark_circle(color=ACCENT, opacity=1).encode(odds, won, size)
    room = width - _MARGIN
    chart = alt.layer(diagonal, bars, dots).properties(width=min(room, _WIDEST), height=min(room, _HIGHEST))
    legend = text("On the diagonal the odds are right; bars: 95% intervals")
    return styled(chart, text("Calibration"), legend, width)
