"""The chart of a deal: its odds over time and what happened meanwhile, on one time line."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from winpredict.explain.story import DealStory, Step
from winpredict.locale.text import Text, said, text
from winpredict.report.charts.style import ACCENT, BAND, INK, MUTED, PAPER, QUIET, WIDE, styled

#: Kinds of touches, a row each, with the name of the row.
KINDS: Mapping[str, Text] = {
    "meeting": text("Meetings"),
    "call": text("Calls"),
    "email": text("Emails"),
    "other": text("Other touches"),
}
_ODDS_HEIGHT, _ROW = 210, 22
_MARGIN = 88
_LETTER = 6.2


def deal_chart(story: DealStory, width: int = WIDE) -> Any:
    """A deal's odds over time with their interval, its stages, and its touches below.

    Parameters
    ----------
    story : DealStory
        Of dated data.
    width : int
        Width of the whole chart in pixels.

    Returns
    -------
    altair chart
        Line and band of the odds, a numbered disc where they moved most (see `DealStory.largest_moves`), a rule with
        the name where a stage was entered; below it a tick a touch, a row a kind.
    """
    steps = steps_frame(story)
    room = width - _MARGIN
    events = story.events.assign(day=_plain(story.events["at"]))
    ends = [min([*steps["day"], *events["day"]]), max([*steps["day"], *events["day"]])]
    scale = alt.Scale(domain=[_said(end) for end in ends])
    x = alt.X("day:T", title=None, scale=scale, axis=_days_axis(ends, room))
    upper = alt.layer(*_stages(events, x, ends, room), *_odds(steps, x), *_marks(story.largest_moves(), x))
    chart: Any = upper.properties(width=room, height=_ODDS_HEIGHT)
    touches = events[events["kind"].isin(list(KINDS))]
    if len(touches):
        chart = alt.vconcat(chart, _touches(touches, scale, ends, room), spacing=14)
    legend = said("Line: win odds; band: 80% interval; each tick below: a touch")
    return styled(chart, _title(story), legend, width)


def steps_frame(story: DealStory) -> pd.DataFrame:
    """The odds over time as a table: day, win_probability, low, high, change."""
    columns = ["as_of", "win_probability", "low", "high", "change"]
    frame = pd.DataFrame([{name: getattr(step, name) for name in columns} for step in story.steps], columns=columns)
    return frame.assign(day=_plain(frame["as_of"])).drop(columns="as_of")


def _title(story: DealStory) -> str:
    first, last = story.steps[0], story.steps[-1]
    if len(story.steps) == 1:
        return said("Win odds: {odds:percent}", odds=last.win_probability)
    return said(
        "Win odds: {first:percent} at first, {now:percent} now", first=first.win_probability, now=last.win_probability
    )


def _odds(steps: pd.DataFrame, x: alt.X) -> list[Any]:
    base = alt.Chart(steps).encode(x=x)
    axis = alt.Axis(format="%", values=[0, 0.25, 0.5, 0.75, 1])
    y = alt.Y("win_probability:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=axis)
    band = base.mark_area(color=BAND, opacity=0.75).encode(alt.Y("low:Q"), alt.Y2("high:Q"))
    line = base.mark_line(color=ACCENT, strokeWidth=2).encode(y)
    return [band, line, base.mark_point(color=ACCENT, filled=True, size=22, opacity=1).encode(y)]


def _marks(moves: Sequence[Step], x: alt.X) -> list[Any]:
    """Numbered discs on the largest moves."""
    if not moves:
        return []
    marks = pd.DataFrame({"day": [each.as_of for each in moves], "odds": [each.win_probability for each in moves]})
    marks = marks.assign(day=_plain(marks["day"]), number=[str(place + 1) for place in range(len(moves))])
    base = alt.Chart(marks).encode(x, alt.Y("odds:Q"))
    disc = base.mark_point(shape="circle", size=260, filled=True, color=INK, opacity=1)
    return [disc, base.mark_text(color=PAPER, fontSize=11, fontWeight="bold", dy=0.5).encode(text="number:N")]


def _stages(events: pd.DataFrame, x: alt.X, ends: list[pd.Timestamp], room: int) -> list[Any]:
    """A rule where a stage was entered, with its name where there is room beside it."""
    stages = events[events["kind"] == "stage"][["day", "label"]].reset_index(drop=True)
    if stages.empty:
        return []
    span = max((ends[1] - ends[0]) / pd.Timedelta(days=1), 1e-6)
    place = ((stages["day"] - ends[0]) / pd.Timedelta(days=1)) / span * room
    stages["line"] = _lines(place.tolist(), [_LETTER * len(name) + 10 for name in stages["label"]], room)
    stages["place"] = place
    base = alt.Chart(stages).encode(x=x)
    drawn: list[Any] = [base.mark_rule(color=QUIET, strokeDash=[3, 3])]
    for (line, left), some in stages.groupby(["line", _to_the_left(stages, room)]):
        name = alt.Chart(some).mark_text(
            align="right" if left else "left", dx=-4 if left else 4, color=MUTED, fontSize=11,
            baseline="bottom", dy=-4 - 13 * int(str(line)),
        )  # fmt: skip
        drawn.append(name.encode(x=x, y=alt.value(0), text="label:N"))
    return drawn


def _to_the_left(stages: pd.DataFrame, room: int) -> pd.Series:
    """Whether a name must stand before its rule, because it would run over the edge behind it."""
    return (stages["place"] + _LETTER * stages["label"].str.len() + 10 > room).rename("left")


def _lines(places: list[float], widths: list[float], room: int) -> list[int]:
    """The line above the plot on which each name stands, so that no two overlap."""
    taken: list[list[tuple[float, float]]] = []
    out = []
    for place, width in zip(places, widths, strict=True):
        span = (place - width, place) if place + width > room else (place, place + width)
        free = [
            number
            for number, spans in enumerate(taken)
            if all(span[1] <= first or last <= span[0] for first, last in spans)
        ]
        line = free[0] if free else len(taken)
        if line == len(taken):
            taken.append([])
        taken[line].append(span)
        out.append(line)
    return out


def _touches(touches: pd.DataFrame, scale: alt.Scale, ends: list[pd.Timestamp], room: int) -> Any:
    names = {kind: str(name) for kind, name in KINDS.items() if (touches["kind"] == kind).any()}
    shown = pd.DataFrame({"day": touches["day"], "row": touches["kind"].map(names)})
    y = alt.Y("row:N", sort=list(names.values()), title=None, axis=alt.Axis(ticks=False, domain=False))
    bare = alt.X("day:T", title=None, scale=scale, axis=_days_axis(ends, room, labels=False, ticks=False))
    ticks = alt.Chart(shown).mark_tick(thickness=2, size=14, color=INK).encode(bare, y)
    return ticks.properties(width=room, height=_ROW * len(names))


def _days_axis(ends: list[pd.Timestamp], room: int, **other: Any) -> alt.Axis:
    """Days on a short time line, hours on a very short one, months on a long one."""
    most, span = max(3, room // 70), ends[1] - ends[0]
    if span < pd.Timedelta(days=2):
        return alt.Axis(format="%-d %b %H:%M", tickCount=max(2, room // 120), labelOverlap=True, **other)
    if span > pd.Timedelta(days=150):
        return alt.Axis(format="%b %y", tickCount=max(3, room // 90), labelOverlap=True, **other)
    # left to itself the axis begins anew with every month, so that days stand now close, now far apart
    step = next(days for days in (1, 2, 4, 7, 14, 21, 28, 56) if span <= most * pd.Timedelta(days=days))
    days = pd.date_range(ends[0].ceil("D"), ends[1], freq=f"{step}D")
    return alt.Axis(format="%-d %b", values=[_said(day) for day in days], labelOverlap=True, **other)


def _plain(moments: pd.Series) -> pd.Series:
    """Moments without a zone, as the drawing takes them."""
    return pd.to_datetime(moments, utc=True).dt.tz_localize(None)


def _said(moment: pd.Timestamp) -> alt.DateTime:
    return alt.DateTime(year=moment.year, month=moment.month, date=moment.day, hours=moment.hour, minutes=moment.minute)
