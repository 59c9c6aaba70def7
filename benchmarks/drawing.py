"""Charts of the benchmarks in the house's style, as SVG."""

from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd
import vl_convert

from winpredict.report.charts.style import ACCENT, DOWN, INK, QUIET, UP, styled

_COLOURS = [ACCENT, UP, DOWN, QUIET]


def bars(frame: pd.DataFrame, title: str, subtitle: str) -> Any:
    """One bar a row of name and value; the first is ours."""
    first = frame["name"].iloc[0]
    shape = alt.Chart(frame.assign(told=[f"{value:,.0f}" for value in frame["value"]])).encode(
        y=alt.Y("name:N", sort=None, title=None), x=alt.X("value:Q", title=None, axis=None)
    )
    colour = alt.condition(alt.datum.name == first, alt.value(ACCENT), alt.value(QUIET))
    words = shape.mark_text(align="left", dx=5, color=INK).encode(text="told:N")
    return styled((shape.mark_bar().encode(color=colour) + words).properties(width=480), title, subtitle)


def lines(frame: pd.DataFrame, title: str, subtitle: str, panels: dict[str, str]) -> Any:
    """Panels of columns against deals, both on logarithmic scales, one line a step."""
    drawn = [_panel(frame, column, said) for column, said in panels.items()]
    return styled(alt.hconcat(*drawn, spacing=30), title, subtitle)


def _panel(frame: pd.DataFrame, column: str, said: str) -> Any:
    steps = list(frame["step"].unique())
    return (
        alt.Chart(frame)
        .mark_line(point=True, strokeWidth=2)
        .encode(
            x=alt.X("deals:Q", scale=alt.Scale(type="log"), title="deals", axis=alt.Axis(format="~s", tickCount=4)),
            y=alt.Y(f"{column}:Q", scale=alt.Scale(type="log"), title=said, axis=alt.Axis(format="~g", tickCount=4)),
            color=alt.Color("step:N", sort=steps, title=None, scale=alt.Scale(domain=steps, range=_COLOURS)),
        )
        .properties(width=260, height=240)
    )


def save(chart: Any, path: Path) -> None:
    """Write an SVG file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(vl_convert.vegalite_to_svg(chart.to_dict()) + "\n")
