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
from winpredict.report.page import Picture

if TYPE_CHECKING:
    from winpredict.explain.drivers import DealContributions, Drivers
    from winpredict.insights.comparison import Comparison
    from winpredict.insights.control import Changes, ControlChart, Key

MEASURE_WORDS = {
    "win_rate": "Win rate",
    "new_deals": "New deals",
    "cycle_days": "Cycle time",
    "touches": "Touches",
}
#: Deals of a side that can be listed.
Drilldown = Literal["created", "closed", "won", "lost"]
DEAL_COLUMNS: tuple[Column, ...] = (
    ("owner", "Owner", "text"),
    ("created_at", "Created", "day"),
    ("outcome", "Outcome", "text"),
    ("days", "Days until the close, or now", "count"),
    ("amount", "Amount", "money"),
)
#: Drivers in the table, and drivers whose shape is drawn.
_SHOWN, SHAPES = 14, 6


@dataclass(frozen=True)
class Side:
    """One of the sets that are looked at."""

    words: str
    group: str
    chosen: NDArray[np.bool_]


@dataclass(frozen=True)
class Selection:
    """What is asked for, made out.

    Parameters
    ----------
    table : DealTable
    segment : str
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


@dataclass(frozen=True)
class StrengthRow:
    """A driver: its strength on each side, whether these differ if that can be told, and what all deals tell of it."""

    theme: str
    name: str
    strengths: tuple[Mapping[Hashable, Any] | None, ...]
    differs: bool | None
    control: str = ""
    direction: str = ""
    evidence: bool | None = None


def parse_selection(
    table: DealTable, segment: str, group: str, created: str, other_group: str, other_created: str
) -> Selection | None:
    """Make out what is asked for; None where there is no such segment, group or period."""
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

    found = compare(table.deals, {side.words: side.chosen for side in sides})
    return Selection(table, segment, tuple(sides), found, periods.get(created))


def _side(table: DealTable, segment: str, group: str, created: Period | None) -> Side:
    from winpredict.insights._control_sentences import named

    deals = table.deals
    chosen = np.ones(len(deals), dtype=bool)
    words = "all deals"
    if group:
        words = group if segment == "rep" else named(segment, table.segments[segment], group)
        chosen &= (deals[segment].astype(object) == group).to_numpy(dtype=bool, na_value=False)
    if created is not None:
        words = f"{words} created {created.words}"
        chosen &= ((deals["created_at"] >= created.start) & (deals["created_at"] < created.end)).to_numpy(dtype=bool)
    return Side(f"{words[:1].upper()}{words[1:]}", group, chosen)


def strength_rows(
    selection: Selection, contributions: "DealContributions | None", tested: "Drivers | None"
) -> list[StrengthRow]:
    """The strongest drivers of the first side, or of the second where the first is too small to say."""
    if contributions is None:
        return []
    frames = _strengths(selection, contributions)
    leading = next((frame for frame in frames if len(frame)), None)
    if leading is None:
        return []
    # sides without a deal in common are what they are compared by
    apart = _independent_strengths(selection, contributions) if selection.comparison.shared else frames
    sides, pair = ([frame.to_dict("index") for frame in each] for each in (frames, apart))
    about = {} if tested is None else tested.themes.set_index("theme").to_dict("index")
    rows = []
    for theme, row in leading.sort_values("strength", ascending=False).head(_SHOWN).iterrows():
        each = tuple(side.get(theme) for side in sides)
        differs = _apart(*(side.get(theme) for side in pair)) if len(pair) == 2 else None
        known = about.get(theme, {})
        rows.append(
            StrengthRow(
                str(theme), str(row["name"]), each, differs, str(known.get("control", "")),
                str(known.get("direction", "")), known.get("evidence"),
            )
        )  # fmt: skip
    return rows


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
        return "Whether strengths differ is not told, as the sides share deals."
    return (
        "Whether strengths differ is told by the smaller against the deals of the larger that are not in it, if these "
        "are 50 or more."
    )


def won_currencies(selection: Selection) -> tuple[str, ...]:
    """Currencies of the amounts that were won on all sides, empty text where none is recorded."""
    deals = selection.table.deals
    counted = (
        (deals["outcome"] == "won") & deals["amount"].notna() & np.any([side.chosen for side in selection.sides], 0)
    )
    return currencies_of(deals[counted])


def win_rows(selection: Selection) -> list[tuple[str, Drilldown, list[tuple[str, str]]]]:
    """Figures of the sides: a head, the deals behind it, and for each side a figure with a word on it below."""
    rows, currency = selection.comparison.figures.to_dict("records"), only_currency(won_currencies(selection))
    return [
        ("Deals created", "created", [(_whole(row["deals"]), f"{row['open']:,} still open") for row in rows]),
        ("Closed", "closed", [(_whole(row["n"]), f"{row['won']:,} won, {row['lost']:,} lost") for row in rows]),
        (
            "Win rate",
            "won",
            [
                (_share(row["win_rate"]), f"{_share(row['win_rate_low'])} to {_share(row['win_rate_high'])}")
                for row in rows
            ],
        ),
        ("Days to win", "won", [(_whole(row["median_days_won"]), "half of them sooner") for row in rows]),
        ("Days to lose", "lost", [(_whole(row["median_days_lost"]), "half of them sooner") for row in rows]),
        (
            "Mean won amount",
            "won",
            [
                (_amount(row["mean_won_amount"], currency), f"{_amount(row['amount_won'], currency)} in all")
                for row in rows
            ],
        ),
        ("Touches until the close", "closed", [(_whole(row["touches"]), "half of them fewer") for row in rows]),
    ]


def side_deals(side: Side, table: DealTable, of: Drilldown) -> pd.DataFrame:
    """The deals behind a figure of a side, the latest first."""
    deals = table.deals[side.chosen]
    outcomes = {"closed": ["won", "lost"], "created": ["won", "lost", "open"]}.get(of, [of])
    found = deals[deals["outcome"].isin(outcomes)].rename(columns={"rep": "owner"})
    columns = [name for name, _, _ in DEAL_COLUMNS]
    return found.sort_values(["created_at", "deal_id"], ascending=[False, True]).reindex(columns=["deal_id", *columns])


def _share(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.0%}"


def _whole(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:,.0f}"


def _amount(value: float, currency: str | None) -> str:
    return money(None if np.isnan(value) else value, currency)


def concerns(changes: "Changes | None") -> list[dict[str, Any]]:
    """Charts that tell a change or stand out, all deals before groups and the surest first."""
    if changes is None:
        return []
    told = changes.frame[_is_changed(changes)]
    told = told.assign(of_group=told["segment"] != "", strength=told["strength"].fillna(0))
    rows = told.sort_values(["of_group", "strength"], ascending=[True, False]).to_dict("records")
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
    """Names of the charts that tell a change by themselves, which among so many charts may be chance."""
    if changes is None:
        return []
    sure = {chart.name for chart in (changes.charts[key] for key in _changed_keys(changes))}
    charts = [chart for _, chart in shown_charts(selection, changes, measure)]
    return [chart.name for chart in charts if chart.broken and chart.name not in sure]


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
    name = str(tested.themes.set_index("theme").loc[theme, "name"])
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
