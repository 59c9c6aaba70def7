"""The pipeline report: which prospects are at which stage, how deals move, where they stall."""

import pandas as pd

from winpredict.explain.scores import bands, score
from winpredict.insights.funnel import Funnel, funnel
from winpredict.models.trained import TrainedModel
from winpredict.report.charts.funnel import conversion_chart, history_chart, stage_chart
from winpredict.report.drivers import compared_attributes, known_deals, segment_of
from winpredict.report.page import Picture, Report, Section, Table
from winpredict.report.writing import day_in_words
from winpredict.tables.crm import CRMData


def pipeline_report(
    model: TrainedModel,
    crm: CRMData,
    *,
    segment: str | None = None,
    as_of: pd.Timestamp | None = None,
    scores: pd.DataFrame | None = None,
    locale: str = "en_US",
) -> Report:
    """Number, value and odds of the open deals, and how deals get through the stages.

    Parameters
    ----------
    model : TrainedModel
    crm : CRMData
    segment : str, optional
        As for `winpredict.report.drivers.drivers_report`: list the open deals by it too.
    as_of : Timestamp, optional
        By default the end of the data; nothing dated at or after it is looked at.
    scores : DataFrame, optional
        Odds that are known already, as `winpredict.explain.scores.score` gives them; by default they are made now.
    locale : str
        For dates in sentences.

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
    found = funnel(known)
    if scores is None:
        scores = score(model, known, scored_at=known.known_until or pd.Timestamp(0, tz="UTC"))
    sentences = found.sentences()
    return Report(
        title="The pipeline",
        subtitle=f"{len(scores):,} open deals as known on {day_in_words(known.known_until, locale)}",
        summary=sentences,
        sections=[
            _now(found, sentences),
            _odds(scores, known),
            *([] if groups is None or segment is None else [_by_segment(scores, groups, segment)]),
            _over_time(found),
            _conversion(found),
            _stalled(found),
            _speed(found),
        ],
        method=[
            model.summary().splitlines()[0] + ".",
            "Conversion and time in stage count deals that are still there as such (Aalen-Johansen, Kaplan-Meier), so "
            "slow stages do not look better than they are.",
            "A deal is stalled when it has been in its stage longer than nine of ten deals that were won later.",
            "Sales velocity: open deals times win rate times mean won amount, by the mean days to win.",
        ],
    )


def _now(found: Funnel, sentences: list[str]) -> Section:
    table = Table(
        "stages",
        "Open deals by stage",
        found.now,
        {
            "stage": ("stage", "text"),
            "deals": ("deals", "count"),
            "amount": ("amount", "money"),
            "median_age_days": ("age, days", "days"),
            "median_days_in_stage": ("in stage, days", "days"),
            "oldest_days": ("oldest, days", "days"),
        },
    )
    drawn = [Picture(lambda width: stage_chart(found.now, width), _words(found.now, "stage", "deals"))]
    return Section("Where the deals stand", sentences[5:], drawn if len(found.now) else [], [table])


def _odds(scores: pd.DataFrame, crm: CRMData) -> Section:
    if scores.empty:
        return Section("Win odds of the open deals")
    names = crm.deals.set_index("deal_id")
    shown = scores.assign(
        name=scores["deal_id"].map(names["name"]) if "name" in names else None,
        stage=scores["deal_id"].map(names["stage"]),
        amount=scores["deal_id"].map(names["amount"]) if "amount" in names else None,
    )
    counts = pd.Series(bands(scores["win_probability"].to_numpy())).value_counts()
    told = ", ".join(f"{count} {band}" for band, count in counts.items())
    table = Table(
        "odds",
        "Open deals, best odds first",
        shown,
        {
            "deal_id": ("deal", "text"),
            "stage": ("stage", "text"),
            "amount": ("amount", "money"),
            "win_probability": ("odds", "percent"),
            "low": ("from", "percent"),
            "high": ("to", "percent"),
            "p_win_30d": ("won in 30 days", "percent"),
            "reason_1": ("first reason", "text"),
        },
        most=20,
    )
    total = f"{len(scores):,} open deals, {scores['win_probability'].sum():.0f} wins expected of them in the end"
    return Section("Win odds of the open deals", [f"{total}. By band: {told}."], [], [table])


def _by_segment(scores: pd.DataFrame, groups: pd.Series, segment: str) -> Section:
    of_deal = scores.assign(group=scores["deal_id"].map(groups).astype(object).fillna("(not known)"))
    table = of_deal.groupby("group")["win_probability"].agg(deals="size", wins="sum", odds="mean").reset_index()
    table = table.sort_values(["deals", "group"], ascending=[False, True], ignore_index=True)
    heads = Table(
        "by-segment",
        f"Open deals by {segment}",
        table,
        {
            "group": (segment, "text"),
            "deals": ("open deals", "count"),
            "wins": ("wins expected", "number"),
            "odds": ("mean odds", "percent"),
        },
    )
    return Section(f"By {segment}", [], [], [heads])


def _over_time(found: Funnel) -> Section:
    if found.history.empty:
        return Section("Over time")
    table = Table(
        "history",
        "Open deals at month ends",
        found.history,
        {"month_end": ("month end", "date"), "stage": ("stage", "text"), "deals": ("deals", "count")},
        most=0,
    )
    alt = "Number of open deals in each stage at the last month ends."
    return Section("Over time", [], [Picture(lambda width: history_chart(found.history, width), alt)], [table])


def _conversion(found: Funnel) -> Section:
    if found.conversion.empty:
        return Section("From stage to stage")
    table = Table(
        "conversion",
        "What becomes of the deals that reach a stage",
        found.conversion,
        {
            "stage": ("stage", "text"),
            "deals": ("deals", "count"),
            "moved_on_finally": ("move on", "percent"),
            "lost_finally": ("lost", "percent"),
            "moved_on_30": ("move on in 30 days", "percent"),
            "median_days": ("days, half of them", "days"),
        },
    )
    drawn = Picture(
        lambda width: conversion_chart(found.conversion, width), _words(found.conversion, "stage", "moved_on_finally")
    )
    return Section("From stage to stage", [], [drawn], [table])


def _stalled(found: Funnel) -> Section:
    table = Table(
        "stalled",
        "Deals that stall, largest first",
        found.stalled,
        {
            "deal_id": ("deal", "text"),
            "owner": ("owner", "text"),
            "stage": ("stage", "text"),
            "days_in_stage": ("in stage, days", "days"),
            "usual_days": ("usual, days", "days"),
            "amount": ("amount", "money"),
        },
        most=20,
    )
    back = Table(
        "moves-back",
        "Moves back to an earlier stage",
        found.moves_back,
        {"stage": ("from", "text"), "deals": ("deals", "count"), "moves": ("moves", "count")},
    )
    return Section("Where deals stall", [], [], [each for each in (table, back) if len(each.frame)])


def _speed(found: Funnel) -> Section:
    velocity = Table(
        "velocity",
        "Sales velocity",
        found.velocity,
        {
            "period": ("period", "text"),
            "open_deals": ("open deals", "count"),
            "win_rate": ("win rate", "percent"),
            "mean_won_amount": ("mean won amount", "money"),
            "mean_days_won": ("days to win", "days"),
            "per_30_days": ("in 30 days", "money"),
        },
    )
    covered = Table(
        "coverage",
        "Open amount against the rest of the quota",
        found.coverage,
        {
            "level": ("level", "text"),
            "name": ("name", "text"),
            "quota": ("quota", "money"),
            "won": ("won", "money"),
            "open_amount": ("open", "money"),
            "coverage": ("times covered", "number"),
        },
    )
    return Section("Velocity and coverage", [], [], [each for each in (velocity, covered) if len(each.frame)])


def _words(frame: pd.DataFrame, name: str, figure: str) -> str:
    """The figures of a chart, for those who do not see it."""
    how = ".0%" if frame[figure].max() <= 1 else ",.0f"
    parts = [f"{row[name]} {row[figure]:{how}}" for _, row in frame.iterrows()]
    return f"{figure.replace('_', ' ')} by {name}: {'; '.join(parts)}"
