"""The pipeline report: which deals are at which stage, how they move, where they stall."""

from collections.abc import Mapping

import pandas as pd

from winpredict.explain.scores import bands, score
from winpredict.insights import _funnel_sentences as wording
from winpredict.insights.funnel import Funnel, funnel
from winpredict.insights.labels import capital, group_label, joined, segment_label
from winpredict.insights.winrates import words_for
from winpredict.locale.text import Text, said, text, texts
from winpredict.models.trained import TrainedModel
from winpredict.report.charts.funnel import conversion_chart, history_chart, stage_chart
from winpredict.report.deal_names import DealNames
from winpredict.report.drivers import (
    compared_attributes,
    conversion_words,
    known_deals,
    segment_of,
    stalled_table,
)
from winpredict.report.page import Picture, Report, Section, Table
from winpredict.report.writing import day_in_words
from winpredict.tables.crm import CRMData

#: Bands of the win odds.
BAND_LABELS: Mapping[str, Text] = {
    "very low": text("very low"),
    "low": text("low"),
    "medium": text("medium"),
    "high": text("high"),
    "very high": text("very high"),
}
_LEVEL_LABELS: Mapping[str, Text] = {"overall": text("overall"), "team": text("team"), "rep": text("rep")}
_PERIOD_LABELS: Mapping[str, Text] = {"now": text("now"), "before": text("the period before")}


def pipeline_report(
    model: TrainedModel,
    crm: CRMData,
    *,
    segment: str | None = None,
    as_of: pd.Timestamp | None = None,
    scores: pd.DataFrame | None = None,
) -> Report:
    """Number, value and odds of the open deals, and how deals get through the stages, in the language of the moment.

    Parameters
    ----------
    model : TrainedModel
    crm : CRMData
    segment : str, optional
        As for `winpredict.report.drivers.drivers_report`: list the open deals by it too.
    as_of : Timestamp, optional
        By default the end of the data; nothing dated at or after it is looked at.
    scores : DataFrame, optional
        Odds that are known already, as `winpredict.explain.scores.score` gives them; by default they are computed now.

    Returns
    -------
    Report

    Raises
    ------
    ConfigError
        When there is no such segment.
    TooLittleDataError
        When there are no deals.
    WinPredictError
        When the model was trained on later facts.
    """
    known = known_deals(model, crm, as_of)
    groups = None if segment is None else segment_of(known, segment, compared_attributes(model, known))
    names = DealNames(known)
    stages = names.named(funnel(known))
    if scores is None:
        scores = score(model, known, scored_at=known.known_until or pd.Timestamp(0, tz="UTC"))
    return Report(
        title=said("The pipeline"),
        subtitle=_subtitle(scores, known),
        summary=stages.sentences(),
        sections=[
            _now(stages),
            _odds(scores, names, stages.currency),
            *([] if groups is None or segment is None else [_by_segment(scores, groups, segment)]),
            _over_time(stages),
            _conversion(stages),
            _stalled(stages, names),
            _speed(stages),
            Section(said("Notes"), [str(note) for note in stages.notes]),
        ],
        method=[
            model.trained_on,
            text(
                "Conversion and time in stage allow for deals that are still there (Aalen-Johansen, Kaplan-Meier), so "
                "slow stages do not look better than they are."
            ),
            text("A deal is stalled when it has been in its stage longer than 9 in 10 deals that were won."),
            text("Sales velocity: open deals × win rate × average won amount ÷ average days to win."),
        ],
    )


def _subtitle(scores: pd.DataFrame, crm: CRMData) -> str:
    if crm.known_until is None:
        return str(texts("{n:count} open deal, without dates", "{n:count} open deals, without dates", n=len(scores)))
    day = day_in_words(crm.known_until)
    return str(texts("{n:count} open deal as of {day}", "{n:count} open deals as of {day}", n=len(scores), day=day))


def _now(stages: Funnel) -> Section:
    now = stages.now
    labels = [group_label("stage", stage) for stage in now["stage"]]
    table = Table(
        "stages",
        said("Open deals by stage"),
        now,
        {
            "stage": (said("Stage"), "text"),
            "deals": (said("Deals"), "count"),
            "amount": (said("Amount"), "money"),
            "median_age_days": (said("Median age, days"), "days"),
            "median_days_in_stage": (said("Median days in stage"), "days"),
            "oldest_days": (said("Oldest, days"), "days"),
        },
        words={"stage": labels},
        currency=stages.currency,
    )
    counts = tuple(
        texts("{stage}: {n:count} deal", "{stage}: {n:count} deals", stage=label, n=int(deals))
        for label, deals in zip(labels, now["deals"], strict=True)
    )
    alt = said("Open deals by stage. {stages:listed}.", stages=counts)
    drawn = [Picture(lambda width: stage_chart(now, width, stages.currency), alt)] if len(now) else []
    return Section(
        said("Where the deals are"), wording.moves_back(stages.moves_back, stages.after_moving_back), drawn, [table]
    )


def _odds(scores: pd.DataFrame, names: DealNames, currency: str | None) -> Section:
    title = said("Win odds of the open deals")
    if scores.empty:
        return Section(title)
    deals = names.deals
    shown = scores.assign(
        name=scores["deal_id"].map(deals["name"]) if "name" in deals else None,
        stage=scores["deal_id"].map(deals["stage"]),
        amount=scores["deal_id"].map(deals["amount"]) if "amount" in deals else None,
        currency=scores["deal_id"].map(deals["currency"]) if "currency" in deals else None,
    )
    table = Table(
        "odds",
        said("Open deals, best odds first"),
        shown,
        {
            "deal_id": (said("Deal"), "text"),
            "stage": (said("Stage"), "text"),
            "amount": (said("Amount"), "money"),
            "win_probability": (said("Win odds"), "percent"),
            "low": (said("From"), "percent"),
            "high": (said("To"), "percent"),
            "p_win_30d": (said("Won in 30 days"), "percent"),
            "reason_1": (said("First reason"), "text"),
        },
        most=20,
        words={"deal_id": names.names(shown["deal_id"])},
        currency=currency,
        currency_column="currency" if "currency" in deals else "",
    )
    total = texts(
        "{n:count} open deal, of which {wins:count} can be expected to be won in the end.",
        "{n:count} open deals, of which {wins:count} can be expected to be won in the end.",
        n=len(scores),
        wins=float(scores["win_probability"].sum()),
    )
    counts = pd.Series(bands(scores["win_probability"].to_numpy())).value_counts()
    by_band = tuple(
        text("{band}: {n:count}", band=BAND_LABELS[band], n=int(counts[band]))
        for band in BAND_LABELS
        if counts.get(band, 0)
    )
    return Section(title, [joined(total, text("By band: {bands:listed}.", bands=by_band))], [], [table])


def _by_segment(scores: pd.DataFrame, groups: pd.Series, segment: str) -> Section:
    of_deal = scores.assign(group=scores["deal_id"].map(groups).astype(object).fillna("(not recorded)"))
    table = of_deal.groupby("group")["win_probability"].agg(deals="size", wins="sum", odds="mean").reset_index()
    table = table.sort_values(["deals", "group"], ascending=[False, True], ignore_index=True)
    label = segment_label(segment, words_for(segment))
    title = said("Open deals by {segment}", segment=label)
    by_group = Table(
        "by-segment",
        title,
        table,
        {
            "group": (capital(label), "text"),
            "deals": (said("Open deals"), "count"),
            "wins": (said("Wins expected"), "number"),
            "odds": (said("Average odds"), "percent"),
        },
        words={"group": [group_label(segment, group) for group in table["group"]]},
    )
    return Section(title, [], [], [by_group])


def _over_time(stages: Funnel) -> Section:
    title = said("Over time")
    history = stages.history
    if history.empty:
        return Section(title)
    table = Table(
        "history",
        said("Open deals at month ends"),
        history,
        {
            "month_end": (said("Month end"), "date"),
            "stage": (said("Stage"), "text"),
            "deals": (said("Deals"), "count"),
        },
        most=0,
    )
    alt = said("Number of open deals in each stage at the last month ends.")
    return Section(title, [], [Picture(lambda width: history_chart(history, width), alt)], [table])


def _conversion(stages: Funnel) -> Section:
    title = said("From stage to stage")
    conversion = stages.conversion
    if conversion.empty:
        return Section(title)
    table = Table(
        "conversion",
        said("What becomes of the deals that reach a stage"),
        conversion,
        {
            "stage": (said("Stage"), "text"),
            "deals": (said("Deals"), "count"),
            "moved_on_finally": (said("Move on"), "percent"),
            "lost_finally": (said("Lost"), "percent"),
            "moved_on_30": (said("Move on in 30 days"), "percent"),
            "median_days": (said("Median days"), "days"),
        },
        words={"stage": [group_label("stage", stage) for stage in conversion["stage"]]},
    )
    drawn = Picture(lambda width: conversion_chart(conversion, width), conversion_words(conversion))
    return Section(title, wording.conversion(conversion), [drawn], [table])


def _stalled(stages: Funnel, names: DealNames) -> Section:
    back = Table(
        "moves-back",
        said("Moves back to an earlier stage"),
        stages.moves_back,
        {
            "stage": (said("From stage"), "text"),
            "deals": (said("Deals"), "count"),
            "moves": (said("Moves"), "count"),
        },
    )
    tables = [stalled_table(stages, names, most=20), back]
    return Section(said("Where deals stall"), [], [], [each for each in tables if len(each.frame)])


def _speed(stages: Funnel) -> Section:
    velocity = Table(
        "velocity",
        said("Sales velocity"),
        stages.velocity,
        {
            "period": (said("Period"), "text"),
            "open_deals": (said("Open deals"), "count"),
            "win_rate": (said("Win rate"), "percent"),
            "mean_won_amount": (said("Average won amount"), "money"),
            "mean_days_won": (said("Days to win"), "days"),
            "per_30_days": (said("In 30 days"), "money"),
        },
        words={"period": [_PERIOD_LABELS.get(name, name) for name in stages.velocity["period"]]}
        if len(stages.velocity)
        else {},
        currency=stages.currency,
    )
    coverage = stages.coverage
    covered = Table(
        "coverage",
        said("Open amount against the rest of the quota"),
        coverage,
        {
            "level": (said("Level"), "text"),
            "name": (said("Name"), "text"),
            "quota": (said("Quota"), "money"),
            "won": (said("Amount won"), "money"),
            "open_amount": (said("Open amount"), "money"),
            "coverage": (said("Times covered"), "times"),
        },
        words={"level": [_LEVEL_LABELS.get(name, name) for name in coverage["level"]]} if len(coverage) else {},
        currency=stages.currency,
    )
    return Section(said("Velocity and coverage"), [], [], [each for each in (velocity, covered) if len(each.frame)])
