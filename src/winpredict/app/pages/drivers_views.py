"""The drivers page as rows, sentences and charts."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict.app.listing import only_currency
from winpredict.app.pages.drivers_parts import DealTable, DriverParts, Period
from winpredict.app.pages.pipeline_lists import Column
from winpredict.app.pages.rendering import money
from winpredict.app.pages.tables import currencies_of
from winpredict.explain.reason import capitalised
from winpredict.locale import formats
from winpredict.locale.text import Text, said, text
from winpredict.report.page import Picture

if TYPE_CHECKING:
    from winpredict.explain.drivers import DealContributions, Drivers
    from winpredict.insights.comparison import Comparison
    from winpredict.insights.control import Changes, ControlChart, Key

#: Who controls a driver, and which way it goes, as people read it.
CONTROLS: Mapping[str, Text] = {
    "controllable": text("your team"),
    "deal": text("the deal"),
    "customer": text("the customer"),
    "context": text("nobody"),
}
#: Deals of a side that can be listed.
Drilldown = Literal["created", "closed", "won", "lost"]
DEAL_COLUMNS: tuple[Column, ...] = (
    ("owner", text("Owner"), "text"),
    ("created_at", text("Created"), "day"),
    ("outcome", text("Outcome"), "word"),
    ("days", text("Days until close, or so far"), "count"),
    ("amount", text("Amount"), "money"),
)
#: What a list of a side's deals is called.
LIST_TITLES: Mapping[Drilldown, Text] = {
    "created": text("{deals}: created"),
    "closed": text("{deals}: closed"),
    "won": text("{deals}: won"),
    "lost": text("{deals}: lost"),
}
_ALL_DEALS = text("all deals")
#: Drivers in the table, and drivers whose shape is drawn.
_SHOWN, _SHAPES = 14, 6


@dataclass(frozen=True)
class Side:
    """One of the sets that are compared; its words are in the language of the moment."""

    words: str
    group: str
    chosen: NDArray[np.bool_]


@dataclass(frozen=True)
class Selection:
    """What is asked for, with its deals.

    Parameters
    ----------
    table : DealTable
    segment : str
        Empty for none.
    sides : tuple of Side
        One, or two to compare.
    comparison : Comparison
    created : Period or None
        Of the first side.
    """

    table: DealTable
    segment: str
    sides: tuple[Side, ...]
    comparison: "Comparison"
    created: Period | None

    @property
    def independent(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
        """Two sides without a deal in common; None where that cannot be, or there is but one."""
        from winpredict.insights.comparison import independent

        return independent(self.sides[0].chosen, self.sides[1].chosen) if len(self.sides) == 2 else None

    @property
    def of_report(self) -> str:
        """The deals that the report is about: of all groups."""
        return _words_of(_ALL_DEALS, self.created)


@dataclass(frozen=True)
class StrengthRow:
    """A driver: its strength on each side, whether these differ if that can be told, and what all deals tell of it."""

    theme: str
    name: Text
    strengths: tuple[Mapping[Hashable, Any] | None, ...]
    differs: bool | None
    control: Text | None = None
    direction: Text | None = None
    evidence: bool | None = None


@dataclass(frozen=True)
class Figure:
    """A figure of one side as it is written, a word on it, and whether it has deals to list."""

    written: str
    under: str
    has_deals: bool


@dataclass(frozen=True)
class FigureRow:
    """A figure of all sides, and which deals are behind it."""

    head: Text
    of: Drilldown
    figures: tuple[Figure, ...]


def parse_selection(
    table: DealTable, segment: str, group: str, created: str, other_group: str, other_created: str
) -> Selection | None:
    """Find the deals that are asked for; None where there is no such segment, group or period."""
    periods = {each.value: each for each in table.periods}
    groups = table.groups(segment)
    wrong = (segment and segment not in table.segments, *({group, other_group} - {"", *groups}))
    if any(wrong) or {created, other_created} - {"", *periods}:
        return None
    first = _side(table, segment, group, periods.get(created))
    sides = [first]
    # what is left open is the same as on the first side
    if (other_group or other_created) and (other_group or group, other_created or created) != (group, created):
        sides.append(_side(table, segment, other_group or group, periods.get(other_created or created)))
    from winpredict.insights.comparison import compare

    comparison = compare(table.deals, {side.words: side.chosen for side in sides})
    return Selection(table, segment, tuple(sides), comparison, periods.get(created))


def _side(table: DealTable, segment: str, group: str, created: Period | None) -> Side:
    from winpredict.insights.labels import group_named

    deals = table.deals
    chosen = np.ones(len(deals), dtype=bool)
    words: Text | str = _ALL_DEALS
    if group:
        words = group_named(segment, str(table.segments[segment]), group)
        chosen &= (deals[segment].astype(object) == group).to_numpy(dtype=bool, na_value=False)
    if created is not None:
        chosen &= ((deals["created_at"] >= created.start) & (deals["created_at"] < created.end)).to_numpy(dtype=bool)
    return Side(_words_of(words, created), group, chosen)


def _words_of(deals: Text | str, created: Period | None) -> str:
    return capitalised(str(deals if created is None else created.deals.with_values(deals=deals)))


def strength_rows(
    selection: Selection, contributions: "DealContributions | None", tested: "Drivers | None"
) -> list[StrengthRow]:
    """The strongest drivers of the first side, or of the second where the first is too small to say."""
    if contributions is None:
        return []
    from winpredict.explain.drivers import DIRECTION_LABELS

    frames = _strengths(selection, contributions)
    leading = next((frame for frame in frames if len(frame)), None)
    if leading is None:
        return []
    # sides without a deal in common are what they are compared by
    apart = _independent_strengths(selection, contributions) if selection.comparison.shared else frames
    sides, pair = ([frame.to_dict("index") for frame in each] for each in (frames, apart))
    about = {} if tested is None else tested.themes.set_index("theme").to_dict("index")
    names = theme_names(contributions)
    rows = []
    for theme in leading.sort_values("strength", ascending=False).head(_SHOWN).index:
        each = tuple(side.get(theme) for side in sides)
        differs = _apart(*(side.get(theme) for side in pair)) if len(pair) == 2 else None
        known = about.get(theme, {})
        rows.append(
            StrengthRow(
                str(theme), names[str(theme)], each, differs, CONTROLS.get(known.get("control", "")),
                DIRECTION_LABELS.get(known.get("direction", "")), known.get("evidence"),
            )
        )  # fmt: skip
    return rows


def theme_names(contributions: "DealContributions") -> dict[str, Text]:
    """What the drivers are called, by theme."""
    grouped = contributions.grouped
    return {name: theme.name for name, theme in zip(grouped.names, grouped.themes, strict=True)}


def shapes(tested: "Drivers | None") -> list[tuple[str, Text]]:
    """The strongest drivers with evidence, whose shape is drawn: theme and name."""
    if tested is None:
        return []
    return [(theme, tested.names[theme]) for theme in tested.significant["theme"].head(_SHAPES)]


def _strengths(selection: Selection, contributions: "DealContributions") -> list[pd.DataFrame]:
    """Strengths by theme for each side; empty for a side with too few deals."""
    return [_strengths_of(side.chosen, selection.table, contributions) for side in selection.sides]


def _independent_strengths(selection: Selection, contributions: "DealContributions") -> list[pd.DataFrame]:
    """The same for two sides without a deal in common, as the mark of a difference presumes; else nothing."""
    return [_strengths_of(chosen, selection.table, contributions) for chosen in selection.independent or ()]


def _strengths_of(chosen: NDArray[np.bool_], table: DealTable, contributions: "DealContributions") -> pd.DataFrame:
    return contributions.strengths(pd.Series("chosen", index=table.deals.loc[chosen, "deal_id"])).set_index("theme")


def _apart(first: Mapping[Hashable, Any] | None, second: Mapping[Hashable, Any] | None) -> bool | None:
    """Whether two intervals have nothing in common; None where one of them is missing."""
    if first is None or second is None:
        return None
    return bool(first["low"] > second["high"] or second["low"] > first["high"])


def differing(selection: Selection) -> str:
    """What the marks of differing strengths rest on where the sides share deals."""
    if not selection.comparison.shared:
        return ""
    if selection.independent is None:
        return said("The sides share deals, so whether their strengths differ is not tested.")
    return said(
        "The sides share deals, so whether strengths differ is tested on the smaller side against the deals of the "
        "larger that are not in it, if these are 50 or more."
    )


def won_currencies(selection: Selection) -> tuple[str, ...]:
    """Currencies of the amounts that were won on all sides, empty text where none is recorded."""
    deals = selection.table.deals
    counted = (
        (deals["outcome"] == "won") & deals["amount"].notna() & np.any([side.chosen for side in selection.sides], 0)
    )
    return currencies_of(deals[counted])


def figure_rows(selection: Selection) -> list[FigureRow]:
    """Figures of the sides; of undated deals those of which anything is known."""
    sides, currency = selection.comparison.figures.to_dict("records"), only_currency(won_currencies(selection))
    rows = [
        FigureRow(text("deals created"), "created", tuple(_counted(side["deals"], _open(side)) for side in sides)),
        FigureRow(text("closed deals"), "closed", tuple(_counted(side["n"], _outcomes(side)) for side in sides)),
        FigureRow(text("win rate"), "won", tuple(_win_rate(side) for side in sides)),
        FigureRow(text("days to win"), "won", tuple(_median(side["median_days_won"]) for side in sides)),
        FigureRow(text("days to lose"), "lost", tuple(_median(side["median_days_lost"]) for side in sides)),
        FigureRow(text("mean won amount"), "won", tuple(_won_amount(side, currency) for side in sides)),
        FigureRow(text("touches before the close"), "closed", tuple(_median(side["touches"]) for side in sides)),
    ]
    known = [row for row in rows if any(each.written != formats.MISSING for each in row.figures)]
    return rows if selection.table.dated else known


def _counted(value: float, under: str) -> Figure:
    return Figure(formats.count(value), under, has_deals=value > 0)


def _open(side: Mapping[Hashable, Any]) -> str:
    return said("{n:count} still open", n=side["open"])


def _outcomes(side: Mapping[Hashable, Any]) -> str:
    return said("{won:count} won, {lost:count} lost", won=side["won"], lost=side["lost"])


def _win_rate(side: Mapping[Hashable, Any]) -> Figure:
    rate = side["win_rate"]
    if np.isnan(rate):
        return Figure(formats.MISSING, "", has_deals=False)
    under = said("{low:percent} to {high:percent}", low=side["win_rate_low"], high=side["win_rate_high"])
    return Figure(formats.percent(rate), under, has_deals=side["won"] > 0)


def _median(value: float) -> Figure:
    if np.isnan(value):
        return Figure(formats.MISSING, "", has_deals=False)
    return Figure(formats.count(value), said("median"), has_deals=True)


def _won_amount(side: Mapping[Hashable, Any], currency: str | None) -> Figure:
    mean = side["mean_won_amount"]
    if np.isnan(mean):
        return Figure(formats.MISSING, "", has_deals=False)
    under = said("{amount:money} in total", amount=(side["amount_won"], currency))
    return Figure(money(mean, currency), under, has_deals=True)


def side_deals(side: Side, table: DealTable, of: Drilldown) -> pd.DataFrame:
    """The deals behind a figure of a side, the latest first."""
    deals = table.deals[side.chosen]
    outcomes = {"closed": ["won", "lost"], "created": ["won", "lost", "open"]}.get(of, [of])
    found = deals[deals["outcome"].isin(outcomes)].rename(columns={"rep": "owner"})
    columns = [name for name, _, _ in DEAL_COLUMNS]
    return found.sort_values(["created_at", "deal_id"], ascending=[False, True]).reindex(columns=["deal_id", *columns])


def concerns(changes: "Changes | None") -> list[dict[str, Any]]:
    """Charts that show a change or stand out, all deals before groups and the surest first."""
    if changes is None:
        return []
    changed = changes.frame[_is_changed(changes)]
    changed = changed.assign(of_group=changed["segment"] != "", strength=changed["strength"].fillna(0))
    rows = changed.sort_values(["of_group", "strength"], ascending=[True, False]).to_dict("records")
    return [
        {
            "measure": row["measure"], "segment": row["segment"], "group": row["group"] if row["segment"] else "",
            "sentence": changes.charts[row["measure"], row["segment"], row["group"]].sentences()[0],
        }
        for row in rows
    ]  # fmt: skip


def _is_changed(changes: "Changes") -> pd.Series:
    return changes.frame["verdict"].isin(("change", "stands out"))


def _changed_keys(changes: "Changes") -> "list[Key]":
    rows = changes.frame.loc[_is_changed(changes), ["measure", "segment", "group"]]
    return [(str(measure), str(segment), str(group)) for measure, segment, group in rows.to_numpy()]


def shown_charts(selection: Selection, changes: "Changes | None", measure: str) -> list[tuple[str, "ControlChart"]]:
    """Control charts of a measure: of all deals and of the groups that are looked at; by name of their image."""
    if changes is None:
        return []
    there = {(segment, group): chart for (each, segment, group), chart in changes.charts.items() if each == measure}
    places = {"control": ("", "")} | {
        name: (selection.segment, side.group) for name, side in _charted(selection).items()
    }
    named = {
        place: next((chart for key, chart in there.items() if _is_same(key, place)), None) for place in places.values()
    }
    return [(name, chart) for name, place in places.items() if (chart := named[place]) is not None]


def _charted(selection: Selection) -> dict[str, Side]:
    """The groups that are looked at by name of their chart; it shows all months, so a group in two periods has one."""
    sides = {each.group: each for each in reversed(selection.sides) if each.group}
    return dict(zip(("control-group", "control-other"), reversed(sides.values()), strict=False))


def alone_only(selection: Selection, changes: "Changes | None", measure: str) -> list[str]:
    """Names of the images of charts that show a change by themselves, which among so many may be chance."""
    if changes is None:
        return []
    sure = [changes.charts[key] for key in _changed_keys(changes)]
    charts = shown_charts(selection, changes, measure)
    return [name for name, chart in charts if chart.broken and not any(chart is each for each in sure)]


def uncharted(selection: Selection, changes: "Changes | None", measure: str) -> list[str]:
    """Words for the groups that are looked at and have no chart of their own."""
    there = {name for name, _ in shown_charts(selection, changes, measure)}
    return [side.words for name, side in _charted(selection).items() if name not in there]


def _is_same(key: tuple[str, str], place: tuple[str, str]) -> bool:
    """Whether a chart's segment and group are those; the group of all deals has whatever name."""
    return key[0] == place[0] and (not key[0] or key[1] == place[1])


def _strength_picture(place: int) -> Callable[[Selection, DriverParts, str, str], Picture | None]:
    def picture(selection: Selection, parts: DriverParts, measure: str, theme: str) -> Picture | None:
        from winpredict.report.charts.drivers import strength_chart

        contributions, tested = parts.contributions().result, parts.drivers().result
        if contributions is None or tested is None or place >= len(selection.sides):
            return None
        frames = _strengths(selection, contributions)
        rows = frames[place].reset_index()
        if rows.empty:
            return None
        # the same order and scale as on the other side
        leading = next(frame for frame in frames if len(frame))["strength"]
        rows = rows.merge(tested.themes[["theme", "evidence"]], on="theme")
        rows["name"] = [str(tested.names[theme]) for theme in rows["theme"]]
        rows = rows.sort_values("theme", key=lambda themes: -themes.map(leading)).head(_SHOWN)
        upto = max(float(frame["high"].max()) for frame in frames if len(frame))
        title = selection.sides[place].words
        return Picture(lambda width: strength_chart(rows, width, title=title, upto=upto), title)

    return picture


def _shape(selection: Selection, parts: DriverParts, measure: str, theme: str) -> Picture | None:
    from winpredict.report.charts.drivers import shape_chart

    tested = parts.drivers().result
    rows = None if tested is None else tested.dependence[tested.dependence["theme"] == theme]
    if tested is None or rows is None or rows.empty:
        return None
    rows = rows.assign(sentence=[str(tested.labels[feature]) for feature in rows["feature"]])
    name = str(tested.names[theme])
    return Picture(lambda width: shape_chart(rows, name, width), name)


def _rates(selection: Selection, parts: DriverParts, measure: str, theme: str) -> Picture | None:
    from winpredict.report.charts.winrates import win_rate_chart

    won = parts.closed_won().result
    rows = None if won is None else won.segments[won.segments["segment"] == selection.segment]
    if won is None or rows is None or len(rows) < 2:
        return None
    return Picture(lambda width: win_rate_chart(rows, won.overall, width), "")


def _control(name: str) -> Callable[[Selection, DriverParts, str, str], Picture | None]:
    def picture(selection: Selection, parts: DriverParts, measure: str, theme: str) -> Picture | None:
        from winpredict.report.charts.control import control_chart_picture

        chart = dict(shown_charts(selection, parts.changes().result, measure)).get(name)
        return None if chart is None else Picture(lambda width: control_chart_picture(chart, width), "")

    return picture


#: Charts of the page, by name; None where there is nothing to draw.
PICTURES: dict[str, Callable[[Selection, DriverParts, str, str], Picture | None]] = {
    "strengths": _strength_picture(0),
    "strengths-other": _strength_picture(1),
    "shape": _shape,
    "rates": _rates,
    "control": _control("control"),
    "control-group": _control("control-group"),
    "control-other": _control("control-other"),
}
