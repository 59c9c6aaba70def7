"""The forecast report: what will be booked, how sure that is, against quota."""

from collections.abc import Mapping

import pandas as pd

from winpredict.features.cross_deal_history import CrossDealHistory
from winpredict.insights.forecast import Forecast, forecast
from winpredict.insights.forecast_backtest import ForecastBacktest
from winpredict.insights.labels import FORECAST_LABELS, PERIOD_TITLES, group_label
from winpredict.locale.text import said, text
from winpredict.models.trained import TrainedModel
from winpredict.report.charts.forecast import forecast_backtest_chart, forecast_chart, quota_chart
from winpredict.report.deal_names import DealNames
from winpredict.report.page import Format, Picture, Report, Section, Table, Words
from winpredict.report.writing import day_in_words
from winpredict.tables.crm import CRMData

_HEADS: Mapping[str, tuple[Words, Format]] = {
    "period": (text("Period"), "text"),
    "booked": (text("Booked"), "money"),
    "open_pipeline": (text("From open deals"), "money"),
    "not_yet_created": (text("New business not yet created"), "money"),
    "expected": (text("Expected"), "money"),
    "low": (text("From"), "money"),
    "high": (text("To"), "money"),
    "commit": (text("Commit"), "money"),
    "best_case": (text("Best case"), "money"),
    "pipeline": (text("Pipeline"), "money"),
    "quota": (text("Quota"), "money"),
    "attainment": (text("Expected attainment"), "percent"),
    "p_quota": (text("Odds of quota"), "percent"),
}

_EXPECTED = ("period", "booked", "open_pipeline", "not_yet_created", "expected", "low", "high")
_COMMITMENT = ("period", "commit", "best_case", "pipeline", "quota", "attainment", "p_quota")


def forecast_report(
    model: TrainedModel,
    crm: CRMData,
    *,
    as_of: pd.Timestamp | None = None,
    judged: ForecastBacktest | None = None,
    cross_deal_history: CrossDealHistory | None = None,
    seed: int = 0,
) -> Report:
    """Expected bookings of this and the next month and quarter, in all, by team and by rep.

    Parameters
    ----------
    model : TrainedModel
    crm : CRMData
    as_of : Timestamp, optional
        By default the end of the data.
    judged : ForecastBacktest, optional
        How past forecasts did.
    cross_deal_history : CrossDealHistory, optional
        Cross-deal history of all deals, where `crm` holds only some of them.
    seed : int

    Returns
    -------
    Report
    """
    outlook = forecast(model, crm, as_of=as_of, cross_deal_history=cross_deal_history, seed=seed)
    return Report(
        title=said("Forecast"),
        subtitle=said("Without dates")
        if outlook.as_of is None
        else said("As of {day}", day=day_in_words(outlook.as_of)),
        summary=[*outlook.sentences()[:4], *(judged.sentences() if judged else [])],
        sections=[
            _periods(outlook),
            _level(said("By team"), said("By team, this quarter"), "by-team", outlook.by_team, outlook.currency),
            _level(said("By rep"), said("By rep, this quarter"), "by-rep", outlook.by_rep, outlook.currency),
            _deals(outlook, DealNames(crm)),
            _judged(judged),
        ],
        method=[
            said(
                "Expected: what is booked, plus amount × odds of being won in the period for every open deal, plus "
                "what deals not yet created bring as lately."
            ),
            said(
                "80% interval: simulated futures with a shock that all deals share, sized by how past months missed "
                "what their pipeline usually gives. Commit is reached in 8 of 10 futures, best case in 2 of 10."
            ),
            said("Pipeline: open amounts whose expected close is in the period."),
            *([] if judged else [said("Past forecasts were not judged for this report; --backtest does so.")]),
        ],
    )


def _periods(outlook: Forecast) -> Section:
    periods, notes = outlook.periods, [str(note) for note in outlook.notes]
    title = said("Expected bookings")
    if periods.empty:
        return Section(title, notes)
    labels = [PERIOD_TITLES.get(name, name) for name in periods["period"]]
    tables = [
        Table(
            name,
            heading,
            periods,
            {each: _HEADS[each] for each in columns if periods[each].notna().any()},
            words={"period": labels},
            currency=outlook.currency,
        )
        for name, heading, columns in (
            ("forecast", title, _EXPECTED),
            ("commitment", said("Commit, best case and pipeline"), _COMMITMENT),
        )
    ]
    expected = tuple(
        text("{period} {amount:rough_money}", period=label, amount=(float(amount), outlook.currency))
        for label, amount in zip(labels, periods["expected"], strict=True)
    )
    picture = Picture(
        lambda width: forecast_chart(periods, width), said("Expected bookings: {periods:listed}.", periods=expected)
    )
    return Section(title, notes, [picture], tables)


def _level(title: str, heading: str, name: str, frame: pd.DataFrame, currency: str | None) -> Section:
    if frame.empty:
        return Section(title)
    quarter = frame[frame["period"] == "this quarter"]
    shown = quarter.sort_values("expected", ascending=False)
    columns = ("booked", "expected", "low", "high", "commit", "quota", "attainment", "p_quota")
    heads: dict[str, tuple[Words, Format]] = {"name": (said("Name"), "text")}
    heads |= {each: _HEADS[each] for each in columns if shown[each].notna().any()}
    alt = said("{level}: expected bookings this quarter.", level=title)
    picture = Picture(lambda width: quota_chart(quarter, width), alt)
    rest = frame[frame["period"] != "this quarter"]
    ordered = pd.concat([shown, rest], ignore_index=True)
    table = Table(
        name,
        heading,
        ordered,
        heads,
        most=len(shown),
        words={"name": [group_label("rep", each) for each in ordered["name"]]},
        currency=currency,
    )
    return Section(title, [], [picture], [table])


def _deals(outlook: Forecast, names: DealNames) -> Section:
    title = said("Deals that carry the quarter")
    if outlook.deals.empty:
        return Section(title)
    expected = "expected this quarter"
    ordered = outlook.deals.sort_values([expected, "deal_id"], ascending=[False, True], ignore_index=True)
    heads: dict[str, tuple[Words, Format]] = {
        "deal_id": (said("Deal"), "text"),
        "rep": (said("Rep"), "text"),
        "amount": (said("Amount"), "money"),
        "win_probability": (said("Win odds"), "percent"),
        "p this quarter": (said("Won this quarter"), "percent"),
        expected: (said("Expected"), "money"),
    }
    table = Table(
        "deals",
        said("Open deals by what they add"),
        ordered,
        heads,
        most=15,
        words={"deal_id": names.names(ordered["deal_id"])},
        currency=outlook.currency,
    )
    return Section(title, [], [], [table])


def _judged(judged: ForecastBacktest | None) -> Section:
    title = said("How past forecasts did")
    if judged is None:
        return Section(title)
    rows = judged.forecasts[judged.forecasts["period"] == "next month"]
    overall = judged.overall.reset_index()
    table = Table(
        "past-forecasts",
        said("Error of past forecasts"),
        overall,
        {
            "forecast": (said("Forecast"), "text"),
            "relative_error": (said("Error"), "percent"),
            "bias": (said("Bias"), "percent"),
            "coverage": (said("Interval held"), "percent"),
        },
        words={"forecast": [FORECAST_LABELS.get(name, name) for name in overall["forecast"]]},
    )
    alt = said("Past forecasts of the next month beside what was booked.")
    pictures = [Picture(lambda width: forecast_backtest_chart(rows, width), alt)] if len(rows) else []
    return Section(title, judged.sentences(), pictures, [table])
