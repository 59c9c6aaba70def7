"""The driver report: why deals are won."""

from collections.abc import Callable, Iterable, Iterator

import pandas as pd

from winpredict.errors import ConfigError, TooLittleDataError
from winpredict.explain.drivers import Drivers, drivers
from winpredict.explain.effects import Effects, adjusted_effects
from winpredict.features.cross_deal_history import CrossDealHistory
from winpredict.features.past import LINKS
from winpredict.insights.control import Changes, ControlChart, changes
from winpredict.insights.deals import SEGMENTS, deals_at_end
from winpredict.insights.winrates import ClosedWon, closed_won
from winpredict.models.splits import known_before
from winpredict.models.trained import TrainedModel
from winpredict.report.charts.control import control_chart_picture, decomposition_chart
from winpredict.report.charts.drivers import effects_chart, shape_chart, strength_chart
from winpredict.report.charts.winrates import loss_reasons_chart, win_rate_chart
from winpredict.report.page import Picture, Report, Section, Table
from winpredict.report.writing import day_in_words
from winpredict.tables.crm import CRMData

#: Segments of the closed-won analysis that get a chart; a chart of every rep would be a list.
_DRAWN = ("customer", "size", "product", "team", "lead_source", "touches_band", "people_band", "contacts_band", "speed")
_SHAPES = 6
_GROUPS = 6
_ALL_DEALS = ("win_rate", "", "")


def drivers_report(
    model: TrainedModel,
    crm: CRMData,
    *,
    segment: str | None = None,
    created: tuple[pd.Timestamp, pd.Timestamp] | None = None,
    cross_deal_history: CrossDealHistory | None = None,
    locale: str = "en_US",
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Report:
    """What separates won from lost deals, by how much and how surely.

    Parameters
    ----------
    model : TrainedModel
    crm : CRMData
        Nothing dated at or after its end of knowledge is looked at.
    segment : str, optional
        One of `winpredict.insights.deals.SEGMENTS`, ``stage``, ``period`` (the quarter of creation) or a text
        attribute: tell the drivers within each of its groups too.
    created : tuple of Timestamp, optional
        Tell only of deals created from the first to before the second moment; the control charts, which need the course
        of time, are of all deals.
    cross_deal_history : CrossDealHistory, optional
        Cross-deal history of all deals, where `crm` holds only some of them.
    locale : str
        For dates in sentences.
    seed : int
    progress : callable, optional
        Called with a few words before each step.

    Returns
    -------
    Report

    Raises
    ------
    ConfigError
        When there is no such segment.
    TooLittleDataError
        When there are no deals, or too few to test drivers on.
    WinPredictError
        When the model was trained on later facts.
    """
    crm = known_deals(model, crm)
    report_progress = progress or (lambda words: None)
    everything, crm = crm, crm if created is None else created_between(crm, *created)
    attributes = tuple(model.attributes_in(crm))
    compared = compared_attributes(model, crm)
    groups = None if segment is None else segment_of(crm, segment, compared)
    found = drivers(
        model, crm, groups=groups, cross_deal_history=cross_deal_history, seed=seed, progress=report_progress
    )
    report_progress("comparing won and lost deals")
    won = closed_won(crm, attributes=compared)
    report_progress("telling signal from noise")
    moved = changes(everything, attributes=compared, seed=seed)
    report_progress("adjusting what is in our hands")
    effects = adjusted_effects(crm, attributes=attributes, seed=seed)
    return Report(
        title="Why deals are won",
        subtitle=f"{len(crm.deals):,} deals{_when(created)} as known on {day_in_words(crm.known_until, locale)}",
        summary=_summary(found, won, moved, effects),
        sections=[
            _strengths(found),
            _shapes(found),
            *_by_group(found, segment),
            _in_our_hands(effects),
            _in_common(won),
            _lost(won),
            _changed(moved),
        ],
        method=_method(model, found, effects, moved),
    )


def known_deals(model: TrainedModel, crm: CRMData, as_of: pd.Timestamp | None = None) -> CRMData:
    """What was known on a day, by default at the end of knowledge, if a report can be made of it.

    Raises
    ------
    WinPredictError
        When the model was trained on later facts.
    TooLittleDataError
        When there are no deals.
    """
    model.refuse_hindsight(crm.known_until if as_of is None else as_of)
    known = known_before(crm, as_of) if crm.dated or as_of is not None else crm
    if not len(known.deals):
        when = "" if known.known_until is None else f" that was known on {known.known_until:%Y-%m-%d}"
        raise TooLittleDataError(
            f"there is no deal{when}, so there is nothing to report on; import deals, or name a later day with --as-of"
        )
    return known


def created_between(crm: CRMData, start: pd.Timestamp, end: pd.Timestamp) -> CRMData:
    """The deals created from one moment to before another.

    Raises
    ------
    TooLittleDataError
        When there are none.
    """
    created = crm.deals["created_at"]
    chosen = crm.deals.loc[(created >= start) & (created < end), "deal_id"]
    if chosen.empty:
        raise TooLittleDataError(f"no deal was created from {start:%Y-%m-%d} to before {end:%Y-%m-%d}")
    return crm.of_deals(chosen)


def _when(created: tuple[pd.Timestamp, pd.Timestamp] | None) -> str:
    return "" if created is None else f" created from {created[0]:%Y-%m-%d} to before {created[1]:%Y-%m-%d}"


def compared_attributes(model: TrainedModel, crm: CRMData) -> tuple[str, ...]:
    """The attributes by which deals are compared: not what is a segment already, nor owners and accounts as such."""
    told = {*LINKS, *SEGMENTS, "deal_type"}
    return tuple(name for name in model.attributes_in(crm) if name not in told)


def segment_of(crm: CRMData, segment: str, attributes: tuple[str, ...]) -> pd.Series:
    """The group of every deal, by deal_id.

    Raises
    ------
    ConfigError
        When there is no such segment, or it is empty here.
    """
    table = deals_at_end(crm, attributes)
    created = table["created_at"].dt.tz_localize(None).dt.to_period("Q")
    table["period"] = created.astype(str).where(created.notna(), None)
    possible = segments_in(table, ("stage", "period", *attributes))
    if segment not in possible:
        raise ConfigError(f"there is no segment {segment!r} in these data; there are {', '.join(possible)}")
    return table.set_index("deal_id")[segment]


def segments_in(table: pd.DataFrame, further: Iterable[str] = ()) -> list[str]:
    """The segments that some deals of a table have a group of.

    Parameters
    ----------
    table : DataFrame
        Of `winpredict.insights.deals.deals_at_end`.
    further : iterable of str
        Columns beside `winpredict.insights.deals.SEGMENTS`; those that hold numbers are none.
    """
    known = [name for name in (*SEGMENTS, *further) if name in table and table[name].notna().any()]
    return [name for name in known if not pd.api.types.is_numeric_dtype(table[name])]


def _summary(found: Drivers, won: ClosedWon, moved: Changes, effects: Effects) -> list[str]:
    clear = effects.effects[effects.effects["verdict"].isin(("more", "less"))]
    told = effects.sentences()[clear.index[0]] if len(clear) else effects.sentences()[0]
    return [won.sentences()[0], found.sentences()[0], moved.sentences()[0], told, *_last(found)]


def _last(found: Drivers) -> list[str]:
    return [sentence for sentence in found.sentences() if sentence.startswith("No evidence")]


def _strengths(found: Drivers) -> Section:
    top = ", ".join(found.significant["name"].head(4)) or "nothing"
    table = Table(
        "drivers",
        "Drivers",
        found.themes,
        {
            "name": ("driver", "text"),
            "control": ("who controls it", "text"),
            "strength": ("points", "size"),
            "low": ("from", "size"),
            "high": ("to", "size"),
            "direction": ("direction", "text"),
            "evidence": ("evidence", "check"),
            "stability": ("stable", "percent"),
        },
    )
    pairs = Table(
        "interactions",
        "Pairs whose effects depend on each other",
        found.interactions,
        {"first": ("driver", "text"), "second": ("and", "text"), "points": ("points", "size")},
        most=5,
    )
    picture = Picture(lambda width: strength_chart(found.themes, width), f"Bars of strength by driver; longest: {top}.")
    return Section("What moves the odds", found.sentences(), [picture], [table, pairs])


def _shapes(found: Drivers) -> Section:
    pictures = [_shape(found, name, words) for name, words in _shown_shapes(found)]
    table = Table(
        "shapes",
        "Shapes of all drivers",
        found.dependence,
        {"sentence": ("figure", "text"), "label": ("value", "text"), "points": ("points", "points")},
        most=0,
    )
    sentence = "How the effect depends on the figure, other things as they are in the deals at hand."
    return Section("Which way, and how far", [sentence] if pictures else [], pictures, [table] if pictures else [])


def _shown_shapes(found: Drivers) -> list[tuple[str, str]]:
    top = found.significant.head(_SHAPES)
    return list(zip(top["theme"], top["name"], strict=True))


def _shape(found: Drivers, theme: str, words: str) -> Picture:
    rows = found.dependence[found.dependence["theme"] == theme]
    worst, best = 100 * rows["points"].min(), 100 * rows["points"].max()
    alt = f"Effect of {words} on the odds: from {worst:+.0f} points to {best:+.0f} points."
    return Picture(lambda width: shape_chart(rows, words, width), alt)


def _by_group(found: Drivers, segment: str | None) -> Iterator[Section]:
    if segment is None:
        return
    words = SEGMENTS.get(segment, segment)
    sizes = found.groups.drop_duplicates("group").sort_values(["deals", "group"], ascending=[False, True])
    largest = sizes["group"].head(_GROUPS).tolist()
    table = found.groups.merge(found.themes[["theme", "evidence"]], on="theme")
    table = table[table["evidence"]].sort_values(["group", "strength"], ascending=[True, False])
    pictures = [_group_strengths(table[table["group"] == group], str(group)) for group in sorted(largest)]
    heads = {
        "group": (words, "text"), "name": ("driver", "text"), "deals": ("deals", "count"),
        "strength": ("points", "size"), "low": ("from", "size"), "high": ("to", "size"),
    }  # fmt: skip
    yield Section(
        f"The same by {words}",
        [] if largest else ["No group has enough deals for figures of its own."],
        pictures,
        [Table("drivers-by-group", f"Drivers by {words}", table, heads, most=0)] if largest else [],  # type: ignore[arg-type]
    )


def _group_strengths(rows: pd.DataFrame, group: str) -> Picture:
    title = f"{group}: what moves the odds"
    return Picture(lambda width: strength_chart(rows, width, title=title), f"Bars of strength by driver for {group}.")


def _in_our_hands(effects: Effects) -> Section:
    known = effects.effects
    pictures = []
    if known["raw"].notna().any():
        alt = "Differences in win rates with and without each action: raw, and among deals alike at the start."
        pictures = [Picture(lambda width: effects_chart(known, width), alt)]
    table = Table(
        "effects",
        "What is in our hands",
        known,
        {
            "sentence": ("in the first days", "text"),
            "treated": ("deals with", "count"),
            "control": ("without", "count"),
            "raw": ("raw", "points"),
            "adjusted": ("adjusted", "points"),
            "adjusted_low": ("from", "points"),
            "adjusted_high": ("to", "points"),
            "overlap": ("comparable", "percent"),
            "verdict": ("verdict", "text"),
        },
    )
    return Section("What is in our hands", effects.sentences(), pictures, [table] if len(known) else [])


def _in_common(won: ClosedWon) -> Section:
    pictures = []
    for name in _DRAWN:
        groups = won.segments[won.segments["segment"] == name]
        if len(groups) > 1:
            alt = f"Win rates by {groups['words'].iloc[0]}: " + "; ".join(
                f"{group} {rate:.0%}" for group, rate in zip(groups["group"], groups["win_rate"], strict=True)
            )
            pictures.append(
                Picture(lambda width, groups=groups: win_rate_chart(groups, won.overall, width), alt)  # type: ignore[misc]
            )
    reps_last = won.segments.sort_values("segment", key=lambda names: names == "rep", kind="stable")
    table = Table(
        "closed-won",
        "Closed deals by segment",
        reps_last,
        {
            "words": ("segment", "text"),
            "group": ("group", "text"),
            "n": ("closed", "count"),
            "won": ("won", "count"),
            "win_rate": ("win rate", "percent"),
            "win_rate_low": ("from", "percent"),
            "win_rate_high": ("to", "percent"),
            "change": ("change", "points"),
            "amount_won": ("amount won", "money"),
            "median_days_won": ("days to win", "days"),
        },
        most=40,
    )
    return Section("What the won deals had in common", [*won.sentences(), *won.notes], pictures, [table])


def _lost(won: ClosedWon) -> Section:
    reasons = won.loss_reasons
    if reasons.empty:
        return Section("Why deals were lost")
    alt = "Reasons for losing, by number of deals: " + ", ".join(reasons["reason"].head(3))
    table = Table(
        "loss-reasons",
        "Reasons recorded for lost deals",
        reasons,
        {
            "reason": ("reason", "text"),
            "n": ("deals", "count"),
            "share": ("share", "percent"),
            "change": ("change", "points"),
            "amount": ("amount", "money"),
        },
    )
    return Section("Why deals were lost", [], [Picture(lambda width: loss_reasons_chart(reasons, width), alt)], [table])


def _changed(moved: Changes) -> Section:
    pictures = [
        Picture(lambda width, chart=chart: control_chart_picture(chart, width), " ".join(chart.sentences()[:1]))  # type: ignore[misc]
        for chart in _shown_charts(moved)
    ]
    pictures += _decomposed(moved)
    table = Table(
        "changes",
        "Every chart and its verdict",
        moved.frame,
        {
            "measure": ("figure", "text"),
            "words": ("segment", "text"),
            "group": ("group", "text"),
            "verdict": ("verdict", "text"),
            "changed_at": ("since", "date"),
            "before": ("before", "number"),
            "after": ("after", "number"),
        },
        most=12,
    )
    return Section("Signal or noise", moved.sentences(), pictures, [table] if len(moved.frame) else [])


def _decomposed(moved: Changes) -> Iterator[Picture]:
    """The win rate of all deals around the surest change, split by the segment that explains it best."""
    surest = moved.frame.sort_values("strength", ascending=False)[["measure", "segment", "group"]]
    explained = [moved.explanations.get(key) for key in surest.itertuples(index=False, name=None)]
    found = next((each for each in explained if each is not None and each.cause is not None), None)
    if found is None or found.cause is None or found.decomposition is None:
        return
    parts, words = found.decomposition, str(found.cause["words"])
    yield Picture(lambda width: decomposition_chart(parts, words, width), " ".join(parts.sentences()))


def _shown_charts(moved: Changes) -> list[ControlChart]:
    told = moved.frame[(moved.frame["verdict"] == "change") & (moved.frame["segment"] != "")]
    told = told.sort_values("strength", ascending=False).head(2)
    keys = [_ALL_DEALS, *told[["measure", "segment", "group"]].itertuples(index=False, name=None)]
    return [moved.charts[key] for key in keys if key in moved.charts]


def _method(model: TrainedModel, found: Drivers, effects: Effects, moved: Changes) -> list[str]:
    dropped = ", ".join(model.dropped_attributes) or "none"
    return [
        model.summary().splitlines()[0] + ".",
        f"Strength: mean absolute SHAP value over one look at each of {found.deals:,} deals, in percentage points; the "
        "band is a 95% interval by resampling deals.",
        "Evidence: the driver tells the endings of deals that small models fitted to other deals did not see (false "
        "discoveries 5%). Stable: share of past cut-offs at which it was about as strong.",
        f"Adjusted effects: doubly robust comparison of deals alike at the start, open after {effects.landmark_days} "
        f"days and created long enough ago to know whether they were won within {effects.within_days} days.",
        "Win rates: won / (won + lost), with Wilson intervals; figures of closed deals as they stood before the close.",
        f"Control charts: one false alarm in {1 / moved.family_rate:.0f} reports over all charts together.",
        f"Attributes left out because they leak the ending: {dropped}.",
        "A driver goes along with winning; whether it makes deals win, no record of past deals can prove.",
    ]
