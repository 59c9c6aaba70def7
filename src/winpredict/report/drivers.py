"""The driver report: why deals are won, on two pages for managers, with the details as an appendix."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from winpredict.errors import ConfigError, TooLittleDataError
from winpredict.explain import one_voice
from winpredict.explain.drivers import DIRECTION_LABELS, Drivers, drivers
from winpredict.explain.effects import Effects, adjusted_effects
from winpredict.features.cross_deal_history import CrossDealHistory
from winpredict.features.past import LINKS
from winpredict.insights import _funnel_sentences as wording
from winpredict.insights.control import Changes, ControlChart, Key, changes
from winpredict.insights.deals import SEGMENTS, deals_at_end
from winpredict.insights.funnel import Funnel, funnel
from winpredict.insights.labels import (
    MEASURE_LABELS,
    VERDICT_LABELS,
    capital,
    group_label,
    segment_label,
    value_label,
)
from winpredict.insights.winrates import ClosedWon, closed_won, words_for
from winpredict.locale.text import Text, said, text, texts
from winpredict.models.splits import known_before
from winpredict.models.trained import TrainedModel
from winpredict.report.charts.control import control_chart_picture, decomposition_chart
from winpredict.report.charts.drivers import effects_chart, shape_chart, strength_chart, value_name
from winpredict.report.charts.funnel import conversion_chart
from winpredict.report.charts.winrates import loss_reasons_chart, win_rate_chart
from winpredict.report.deal_names import DealNames
from winpredict.report.page import Picture, Report, Section, Table, Words
from winpredict.report.writing import day_in_words
from winpredict.tables.crm import CRMData

#: Who controls a driver, which way it works, and what came of comparing an action, by the keys in the frames.
CONTROL_LABELS: Mapping[str, Text] = {
    "controllable": text("your team"),
    "deal": text("the deal"),
    "customer": text("the customer"),
    "context": text("nobody"),
}
EFFECT_LABELS: Mapping[str, Text] = {
    "more": text("won more often"),
    "less": text("won less often"),
    "unclear": text("unclear"),
    "no like deals": text("no comparable deals"),
    "too few deals": text("too few deals"),
}
#: Segments of the closed-won analysis that get a chart; a chart of every rep would be a list.
_DRAWN = ("customer", "size", "product", "team", "lead_source", "touches_band", "people_band", "contacts_band", "speed")
_SHAPES = 6
_GROUPS = 6
#: What the two pages hold at the most.
_TOP_DRIVERS, _TOP_STALLED, _TOP_SENTENCES = 7, 4, 3
_MOST_DRAWN = 14
#: Pixels of a control chart's plot, on the two pages and in the appendix.
_LOW, _HIGH = 150, 260


def drivers_report(
    model: TrainedModel,
    crm: CRMData,
    *,
    segment: str | None = None,
    created: tuple[pd.Timestamp, pd.Timestamp] | None = None,
    cross_deal_history: CrossDealHistory | None = None,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Report:
    """What separates won from lost deals, by how much and how surely, in the language of the moment.

    Parameters
    ----------
    model : TrainedModel
    crm : CRMData
        Nothing dated at or after its end of knowledge is looked at.
    segment : str, optional
        One of `winpredict.insights.deals.SEGMENTS`, ``stage``, ``period`` (the quarter of creation) or a text
        attribute: show the drivers within each of its groups too.
    created : tuple of Timestamp, optional
        Only deals created from the first to before the second moment; the control charts, which need the course of
        time, are of all deals.
    cross_deal_history : CrossDealHistory, optional
        Cross-deal history of all deals, where `crm` holds only some of them.
    seed : int
    progress : callable, optional
        Called with a few words before each step.

    Returns
    -------
    Report
        What a manager must know on two pages, then the appendix.

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
    tested = drivers(
        model, crm, groups=groups, cross_deal_history=cross_deal_history, seed=seed, progress=report_progress
    )
    report_progress("comparing won and lost deals")
    won = closed_won(crm, attributes=compared)
    names = DealNames(crm)
    stages = names.named(funnel(crm))
    report_progress("telling signal from noise")
    moved = changes(everything, attributes=compared, seed=seed)
    report_progress("comparing actions among deals alike")
    effects = adjusted_effects(crm, attributes=attributes, seed=seed)
    return Report(
        title=said("Why deals are won"),
        subtitle=_subtitle(crm, created),
        summary=_summary(tested, won, moved, effects, stages),
        sections=[
            _win_rate(won, moved),
            _top_drivers(tested),
            _stuck(stages, names),
        ],
        appendix=[
            _strengths(tested),
            _shapes(tested),
            *_by_group(tested, segment),
            _actions(effects),
            _in_common(won),
            _lost(won),
            _changed(moved),
        ],
        method=_method(model, tested, effects, moved),
    )


def _subtitle(crm: CRMData, created: tuple[pd.Timestamp, pd.Timestamp] | None) -> str:
    deals = len(crm.deals)
    if crm.known_until is None:
        return str(texts("{n:count} deal, without dates", "{n:count} deals, without dates", n=deals))
    day = day_in_words(crm.known_until)
    if created is None:
        return str(texts("{n:count} deal as of {day}", "{n:count} deals as of {day}", n=deals, day=day))
    start, end = created
    return str(
        texts(
            "{n:count} deal created from {start:day} to {end:day}, as of {day}",
            "{n:count} deals created from {start:day} to {end:day}, as of {day}",
            n=deals,
            start=start,
            end=end - pd.Timedelta("1us"),
            day=day,
        )
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
        when = "" if known.known_until is None else f" on {known.known_until:%Y-%m-%d}"
        raise TooLittleDataError(
            text(
                "no deal was known{when}, so there is nothing to report on; import deals, or name a later day "
                "with --as-of",
                when=when,
            )
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
        raise TooLittleDataError(
            text("no deal was created from {start} to before {end}", start=f"{start:%Y-%m-%d}", end=f"{end:%Y-%m-%d}")
        )
    return crm.of_deals(chosen)


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
        raise ConfigError(
            text(
                "no segment {segment!r} in these data; known here: {possible}",
                segment=segment,
                possible=", ".join(possible),
            )
        )
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


def _summary(tested: Drivers, won: ClosedWon, moved: Changes, effects: Effects, stages: Funnel) -> list[str]:
    voice = one_voice.summary(tested, effects)
    return [
        won.sentences()[0],
        *voice[:2],
        *_change_sentences(won, moved)[:1],
        *_stuck_sentences(stages)[:1],
        *voice[2:],
    ]


def _win_rate(won: ClosedWon, moved: Changes) -> Section:
    chart = _series_of_all(moved)
    pictures = [] if chart is None or not chart.bounds else [_control_picture(chart, _LOW)]
    # how many were won stands in the summary
    sentences = [*won.sentences()[1:3], *_change_sentences(won, moved)[:_TOP_SENTENCES]]
    return Section(said("Win rate: real change or normal variation"), sentences, pictures)


def _series_of_all(moved: Changes) -> ControlChart | None:
    """The win rate of all deals, as it is judged among all series."""
    key = next((key for key in moved.charts if _is_of_all(key)), None)
    return None if key is None else _as_judged(moved, key)


def _as_judged(moved: Changes, key: Key) -> ControlChart:
    """A series without what it says alone and what does not hold when the number of series is allowed for."""
    chart = moved.charts[key]
    rows = moved.frame[["measure", "segment", "group"]].apply(tuple, axis=1) == key
    if moved.frame.loc[rows, "verdict"].tolist() != ["wobble"]:
        return chart
    return replace(chart, changes=chart.changes.head(0), broken=(), frame=chart.frame.assign(signal=""))


def _is_of_all(key: Key) -> bool:
    """Whether a series is the win rate of all deals."""
    return key[0] == "win_rate" and not key[1]


def _top_drivers(tested: Drivers) -> Section:
    title = said("What separates won from lost deals")
    sentences = [tested.sentence(theme, is_first=not place) for place, theme in enumerate(_best(tested))]
    if not sentences:
        return Section(title, tested.sentences()[:1])
    significant = tested.significant
    controllable = significant.loc[significant["control"] == "controllable", "theme"]
    if len(controllable):
        names = tuple(tested.names[theme] for theme in controllable)
        sentences.append(said("Controllable: {drivers:listed}.", drivers=names))
    return Section(title, sentences, [_strength_picture(tested, _TOP_DRIVERS)])


def _best(tested: Drivers) -> list[str]:
    return [str(theme) for theme in tested.significant["theme"].head(_TOP_SENTENCES)]


def _stuck(stages: Funnel, names: DealNames) -> Section:
    title = said("Where deals get stuck")
    pictures = []
    if stages.conversion["moved_on_finally"].notna().any():
        pictures = [_conversion_picture(stages)]
    table = stalled_table(stages, names, most=_TOP_STALLED)
    # how many are stalled stands in the summary
    return Section(title, wording.conversion(stages.conversion), pictures, [table] if len(stages.stalled) else [])


def _stuck_sentences(stages: Funnel) -> list[str]:
    return [*wording.stalled(stages.stalled, stages.currency)[:1], *wording.conversion(stages.conversion)]


def _conversion_picture(stages: Funnel) -> Picture:
    return Picture(lambda width: conversion_chart(stages.conversion, width), conversion_words(stages.conversion))


def conversion_words(conversion: pd.DataFrame) -> str:
    """What becomes of the deals of each stage, for those who do not see the chart."""
    known = conversion[conversion["moved_on_finally"].notna()]
    parts = tuple(
        text(
            "{stage}: {moved:percent} move on, {lost:percent} are lost",
            stage=group_label("stage", row["stage"]),
            moved=float(row["moved_on_finally"]),
            lost=float(row["lost_finally"]),
        )
        for _, row in known.iterrows()
    )
    return said("What becomes of deals in each stage. {stages:listed}.", stages=parts)


def stalled_table(stages: Funnel, names: DealNames, *, most: int) -> Table:
    """Deals that are stalled, the largest first, by their names."""
    stalled = stages.stalled
    return Table(
        "stalled",
        said("Stalled deals, largest first"),
        stalled,
        {
            "name": (said("Deal"), "text"),
            "owner": (said("Owner"), "text"),
            "stage": (said("Stage"), "text"),
            "days_in_stage": (said("Days in stage"), "days"),
            "usual_days": (said("Usual days"), "days"),
            "amount": (said("Amount"), "money"),
        },
        most=most,
        words={"name": names.names(stalled["deal_id"])},
        currency=stages.currency,
    )


def _change_sentences(won: ClosedWon, moved: Changes) -> list[str]:
    """What changed; where the year differs and no month stands out, how the two go together."""
    of_all = moved.frame[(moved.frame["measure"] == "win_rate") & (moved.frame["segment"] == "")]
    overall = won.overall.iloc[0]
    sentences = moved.sentences()
    if of_all["verdict"].tolist() != ["wobble"] or not bool(overall["changed"]):
        return sentences
    series = _series_of_all(moved)
    own = [] if series is None else series.sentences()[:1]
    both = said(
        "Month by month the win rate shows normal variation only, so no month can be named in which it changed; the "
        "change is in the totals of the two periods."
    )
    return [both, *(sentence for sentence in sentences if sentence not in own)]


def _control_picture(chart: ControlChart, height: int = _HIGH) -> Picture:
    return Picture(lambda width: control_chart_picture(chart, width, height), " ".join(chart.sentences()[:1]))


def _strength_picture(tested: Drivers, most: int) -> Picture:
    themes = tested.themes.assign(name=_theme_names(tested, tested.themes))
    top = tuple(tested.names[theme] for theme in _best(tested))
    alt = (
        said("Bars of strength by driver; longest: {drivers:listed}.", drivers=top)
        if top
        else said("Bars of strength by driver; none with evidence.")
    )
    return Picture(lambda width: strength_chart(themes, width, most=most), alt)


def _theme_names(tested: Drivers, rows: pd.DataFrame) -> list[str]:
    return [capital(tested.names.get(theme, name)) for theme, name in zip(rows["theme"], rows["name"], strict=True)]


def _strengths(tested: Drivers) -> Section:
    themes = tested.themes
    table = Table(
        "drivers",
        said("Drivers"),
        themes,
        {
            "name": (said("Driver"), "text"),
            "control": (said("Controlled by"), "text"),
            "strength": (said("Points"), "size"),
            "low": (said("From"), "size"),
            "high": (said("To"), "size"),
            "direction": (said("Direction"), "text"),
            "evidence": (said("Evidence"), "check"),
            "stability": (said("Stable"), "percent"),
        },
        words={
            "name": _theme_names(tested, themes),
            "control": [CONTROL_LABELS.get(name, name) for name in themes["control"]],
            "direction": [DIRECTION_LABELS.get(name, name) for name in themes["direction"]],
        },
    )
    pairs = Table(
        "interactions",
        said("Pairs whose effects depend on each other"),
        tested.interactions,
        {
            "first": (said("Driver"), "text"),
            "second": (said("Other driver"), "text"),
            "points": (said("Points"), "size"),
        },
        most=5,
        words={name: [capital(each) for each in tested.interactions[name]] for name in ("first", "second")},
    )
    picture = _strength_picture(tested, _MOST_DRAWN)
    return Section(said("All drivers"), tested.sentences(), [picture], [table, pairs])


def _shapes(tested: Drivers) -> Section:
    pictures = [_shape(tested, str(theme)) for theme in tested.significant["theme"].head(_SHAPES)]
    shapes = tested.dependence
    table = Table(
        "shapes",
        said("Shapes of all drivers"),
        shapes,
        {
            "sentence": (said("Figure"), "text"),
            "label": (said("Value"), "text"),
            "points": (said("Points"), "points"),
        },
        most=0,
        words={
            "sentence": [
                tested.labels.get(name, words)
                for name, words in zip(shapes["feature"], shapes["sentence"], strict=True)
            ],
            "label": [value_name(*each) for each in zip(shapes["feature"], shapes["label"], strict=True)],
        },
    )
    sentence = said("How the effect depends on the figure, with everything else as it is in the deals at hand.")
    return Section(
        said("Which way, and how far"), [sentence] if pictures else [], pictures, [table] if pictures else []
    )


def _shape(tested: Drivers, theme: str) -> Picture:
    rows = tested.dependence[tested.dependence["theme"] == theme]
    rows = rows.assign(sentence=[str(tested.labels.get(each, each)) for each in rows["feature"]])
    name = tested.names[theme]
    alt = said(
        "Effect of {driver} on the odds: from {low:points} to {high:points} points.",
        driver=name,
        low=float(rows["points"].min()),
        high=float(rows["points"].max()),
    )
    return Picture(lambda width: shape_chart(rows, name, width), alt)


def _by_group(tested: Drivers, segment: str | None) -> Iterator[Section]:
    if segment is None:
        return
    label = segment_label(segment, words_for(segment))
    sizes = tested.groups.drop_duplicates("group").sort_values(["deals", "group"], ascending=[False, True])
    largest = sizes["group"].head(_GROUPS).tolist()
    table = tested.groups.merge(tested.themes[["theme", "evidence"]], on="theme")
    table = table[table["evidence"]].sort_values(["group", "strength"], ascending=[True, False])
    table = table.assign(name=_theme_names(tested, table))
    pictures = [
        _group_strengths(table[table["group"] == group], group_label(segment, group)) for group in sorted(largest)
    ]
    by_group = Table(
        "drivers-by-group",
        said("Drivers by {segment}", segment=label),
        table,
        {
            "group": (capital(label), "text"),
            "name": (said("Driver"), "text"),
            "deals": (said("Deals"), "count"),
            "strength": (said("Points"), "size"),
            "low": (said("From"), "size"),
            "high": (said("To"), "size"),
        },
        most=0,
    )
    yield Section(
        said("Drivers by {segment}", segment=label),
        [] if largest else [said("No group has enough deals for figures of its own.")],
        pictures,
        [by_group] if largest else [],
    )


def _group_strengths(rows: pd.DataFrame, group: Words) -> Picture:
    title = text("{group}: what moves the odds", group=group)
    alt = said("Bars of strength by driver for {group}.", group=group)
    return Picture(lambda width: strength_chart(rows, width, title=title), alt)


def _actions(effects: Effects) -> Section:
    known = effects.effects
    pictures = []
    if known["raw"].notna().any():
        alt = said("Differences in win rates with and without each action: raw, and among deals alike at the start.")
        pictures = [Picture(lambda width: effects_chart(known, width), alt)]
    table = Table(
        "effects",
        said("Actions in the first {days:count} days", days=effects.landmark_days),
        known,
        {
            "sentence": (said("Action"), "text"),
            "treated": (said("Deals with"), "count"),
            "control": (said("Deals without"), "count"),
            "raw": (said("Raw"), "points"),
            "adjusted": (said("Adjusted"), "points"),
            "adjusted_low": (said("From"), "points"),
            "adjusted_high": (said("To"), "points"),
            "overlap": (said("Comparable"), "percent"),
            "verdict": (said("Verdict"), "text"),
        },
        words={
            "sentence": [capital(effects.action(str(name))) for name in known["treatment"]],
            "verdict": [EFFECT_LABELS.get(name, name) for name in known["verdict"]],
        },
    )
    return Section(said("What is controllable"), effects.sentences(), pictures, [table] if len(known) else [])


def _in_common(won: ClosedWon) -> Section:
    pictures = []
    for name in _DRAWN:
        groups = won.segments[won.segments["segment"] == name]
        if len(groups) > 1:
            pictures.append(_rates_picture(groups, won.overall))
    reps_last = won.segments.sort_values("segment", key=lambda names: names == "rep", kind="stable")
    table = Table(
        "closed-won",
        said("Closed deals by segment"),
        reps_last,
        {
            "words": (said("Segment"), "text"),
            "group": (said("Group"), "text"),
            "n": (said("Deals closed"), "count"),
            "won": (said("Deals won"), "count"),
            "win_rate": (said("Win rate"), "percent"),
            "win_rate_low": (said("From"), "percent"),
            "win_rate_high": (said("To"), "percent"),
            "change": (said("Change"), "points"),
            "amount_won": (said("Amount won"), "money"),
            "median_days_won": (said("Days to win"), "days"),
        },
        most=40,
        words=_segment_words(reps_last),
        currency=won.currency,
    )
    notes = [str(note) for note in won.notes]
    return Section(said("What won deals have in common"), [*won.sentences(), *notes], pictures, [table])


def _rates_picture(groups: pd.DataFrame, overall: pd.DataFrame) -> Picture:
    rates = tuple(
        text("{group} {rate:percent}", group=group_label(segment, group), rate=float(rate))
        for segment, group, rate in zip(groups["segment"], groups["group"], groups["win_rate"], strict=True)
    )
    alt = said(
        "Win rate by {segment}: {rates:listed}.",
        segment=segment_label(*map(str, groups[["segment", "words"]].iloc[0])),
        rates=rates,
    )
    return Picture(lambda width: win_rate_chart(groups, overall, width), alt)


def _segment_words(rows: pd.DataFrame) -> dict[str, list[Words]]:
    """Segments and groups of a frame with the columns segment, words and group, as people read them."""
    keys = list(zip(rows["segment"], rows["words"], rows["group"], strict=True))
    return {
        "words": [
            capital(segment_label(segment, words)) if segment else said("All deals") for segment, words, _ in keys
        ],
        "group": [group_label(segment, group) for segment, _, group in keys],
    }


def _lost(won: ClosedWon) -> Section:
    reasons = won.loss_reasons
    title = said("Why deals were lost")
    if reasons.empty:
        return Section(title)
    names = [group_label("", reason) for reason in reasons["reason"]]
    alt = said("Reasons for losing, the most frequent first: {reasons:listed}.", reasons=tuple(names[:3]))
    table = Table(
        "loss-reasons",
        said("Reasons recorded for lost deals"),
        reasons,
        {
            "reason": (said("Reason"), "text"),
            "n": (said("Deals"), "count"),
            "share": (said("Share"), "percent"),
            "change": (said("Change"), "points"),
            "amount": (said("Amount"), "money"),
        },
        words={"reason": names},
        currency=won.currency,
    )
    return Section(title, [], [Picture(lambda width: loss_reasons_chart(reasons, width), alt)], [table])


def _changed(moved: Changes) -> Section:
    pictures = [_control_picture(chart) for chart in _shown_charts(moved)]
    pictures += _decomposed(moved)
    frame = moved.frame
    table = Table(
        "changes",
        said("Every series and its verdict"),
        frame,
        {
            "measure": (said("Series"), "text"),
            "words": (said("Segment"), "text"),
            "group": (said("Group"), "text"),
            "verdict": (said("Verdict"), "text"),
            "changed_at": (said("Since"), "date"),
            "before": (said("Before"), "number"),
            "after": (said("After"), "number"),
        },
        most=12,
        words=_segment_words(frame)
        | {
            "measure": [capital(MEASURE_LABELS.get(name, name)) for name in frame["measure"]],
            "verdict": [VERDICT_LABELS.get(name, name) for name in frame["verdict"]],
            "before": _levels(moved, "before"),
            "after": _levels(moved, "after"),
        },
    )
    return Section(said("Signal or noise"), moved.sentences(), pictures, [table] if len(frame) else [])


def _levels(moved: Changes, side: str) -> list[Any]:
    """The level of each series before or after its change, with its unit."""
    rows = moved.frame[["measure", "segment", "group", side]].itertuples(index=False, name=None)
    return [
        None if pd.isna(level) else value_label(float(level), moved.charts[measure, segment, group].unit)
        for measure, segment, group, level in rows
    ]


def _decomposed(moved: Changes) -> Iterator[Picture]:
    """The win rate of all deals around the surest change, split by the segment that explains it best."""
    surest = moved.frame.sort_values("strength", ascending=False)[["measure", "segment", "group"]]
    explained = [moved.explanations.get(key) for key in surest.itertuples(index=False, name=None)]
    first = next((each for each in explained if each is not None and each.cause is not None), None)
    if first is None or first.cause is None or first.decomposition is None:
        return
    parts, words = first.decomposition, str(first.cause["words"])
    yield Picture(lambda width: decomposition_chart(parts, words, width), " ".join(parts.sentences()))


def _shown_charts(moved: Changes) -> list[ControlChart]:
    changed = moved.frame[(moved.frame["verdict"] == "change") & (moved.frame["segment"] != "")]
    changed = changed.sort_values("strength", ascending=False).head(2)
    keys = list(changed[["measure", "segment", "group"]].itertuples(index=False, name=None))
    of_all = _series_of_all(moved)
    return [*([] if of_all is None else [of_all]), *(moved.charts[key] for key in keys)]


def _method(model: TrainedModel, tested: Drivers, effects: Effects, moved: Changes) -> list[Words]:
    left_out = tuple(model.dropped_attributes)
    return [
        model.trained_on,
        texts(
            "Strength: mean absolute SHAP value over one snapshot of {n:count} deal, in percentage points; 95% "
            "interval by resampling deals.",
            "Strength: mean absolute SHAP value over one snapshot of each of {n:count} deals, in percentage points; "
            "95% interval by resampling deals.",
            n=tested.deals,
        ),
        text(
            "Evidence: the driver tells how deals end that small models fitted to other deals did not see (false "
            "discoveries: 5%). Stable: the share of past cutoffs at which it was about as strong."
        ),
        text(
            "Adjusted effects: doubly robust comparison of deals alike at the start, open after {landmark:count} days "
            "and created long enough ago to know whether they were won within {within:count} days.",
            landmark=effects.landmark_days,
            within=effects.within_days,
        ),
        text(
            "Win rate: won / (won + lost), with Wilson intervals; figures of closed deals are as they were just before "
            "the close."
        ),
        text(
            "Control charts: one false alarm in {n:count} reports, over all charts together.", n=1 / moved.family_rate
        ),
        text("Attributes left out because they leak the outcome: {attributes:listed}.", attributes=left_out)
        if left_out
        else text("No attribute was left out for leaking the outcome."),
        text("Drivers go along with winning. Records of past deals cannot prove that they make deals win."),
    ]
