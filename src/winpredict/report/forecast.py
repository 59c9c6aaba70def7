"""The forecast report: what will be booked, how sure that is, against quota."""

import pandas as pd

from winpredict.features.cross_deal_history import CrossDealHistory
from winpredict.insights.forecast import Forecast, forecast
from winpredict.insights.forecast_backtest import ForecastBacktest
from winpredict.models.trained import TrainedModel
from winpredict.report.charts.forecast import forecast_backtest_chart, forecast_chart, quota_chart
from winpredict.report.page import Format, Picture, Report, Section, Table
from winpredict.report.writing import day_in_words
from winpredict.tables.crm import CRMData

_HEADS: dict[str, tuple[str, Format]] = {
    "period": ("period", "text"),
    "booked": ("booked", "money"),
    "open_pipeline": ("open deals", "money"),
    "not_yet_created": ("deals to come", "money"),
    "expected": ("expected", "money"),
    "low": ("from", "money"),
    "high": ("to", "money"),
    "commit": ("commit", "money"),
    "best_case": ("best case", "money"),
    "pipeline": ("pipeline", "money"),
    "quota": ("quota", "money"),
    "attainment": ("of quota", "percent"),
    "p_quota": ("odds of quota", "percent"),
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
    locale: str = "en_US",
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
    locale : str
        For dates in sentences.
    seed : int

    Returns
    -------
    Report
    """
    found = forecast(model, crm, as_of=as_of, cross_deal_history=cross_deal_history, seed=seed)
    return Report(
        title="Forecast",
        subtitle=f"as known on {day_in_words(found.as_of, locale)}",
        summary=[*found.sentences()[: 4 if judged else 5], *(judged.sentences() if judged else [])],
        sections=[
            _periods(found),
            _level("By team", "by-team", found.by_team),
            _level("By rep", "by-rep", found.by_rep),
            _deals(found),
            _judged(judged),
        ],
        method=[
            "Expected: what is booked, plus odds times timing times amount of every open deal, plus what deals not yet "
            "created bring as lately.",
            "Interval: simulated futures with a shock that all deals share, sized by how past months missed what their "
            "pipeline usually gives; commit is reached in four of five futures, best case in one of five.",
            "Pipeline: open amounts whose expected close date lies in the period.",
            *found.notes,
            *([] if judged else ["Past forecasts were not judged for this report; --backtest does."]),
        ],
    )


def _periods(found: Forecast) -> Section:
    if found.periods.empty:
        return Section("Expected bookings", found.notes)
    told = "; ".join(f"{row['period']} {row['expected']:,.0f}" for _, row in found.periods.iterrows())
    tables = [
        Table(name, title, found.periods, {each: _HEADS[each] for each in kept if found.periods[each].notna().any()})
        for name, title, kept in (
            ("forecast", "Expected bookings", _EXPECTED),
            ("commitment", "Commit, best case and pipeline", _COMMITMENT),
        )
    ]
    picture = Picture(lambda width: forecast_chart(found.periods, width), f"Expected bookings: {told}.")
    return Section("Expected bookings", found.sentences()[4:], [picture], tables)


def _level(title: str, name: str, frame: pd.DataFrame) -> Section:
    if frame.empty:
        return Section(title)
    quarter = frame[frame["period"] == "this quarter"]
    shown = quarter.sort_values("expected", ascending=False)
    kept = ("booked", "expected", "low", "high", "commit", "quota", "attainment", "p_quota")
    heads: dict[str, tuple[str, Format]] = {"name": ("name", "text")}
    heads |= {each: _HEADS[each] for each in kept if shown[each].notna().any()}
    picture = Picture(lambda width: quota_chart(quarter, width), f"{title}: expected bookings this quarter.")
    rest = frame[frame["period"] != "this quarter"]
    ordered = pd.concat([shown, rest], ignore_index=True)
    return Section(title, [], [picture], [Table(name, f"{title}, this quarter", ordered, heads, most=len(shown))])


def _deals(found: Forecast) -> Section:
    if found.deals.empty:
        return Section("Deals that carry the quarter")
    expected = "expected this quarter"
    ordered = found.deals.sort_values([expected, "deal_id"], ascending=[False, True], ignore_index=True)
    heads: dict[str, tuple[str, Format]] = {
        "deal_id": ("deal", "text"),
        "rep": ("rep", "text"),
        "amount": ("amount", "money"),
        "win_probability": ("win odds", "percent"),
        "p this quarter": ("won this quarter", "percent"),
        expected: ("expected", "money"),
    }
    return Section(
        "Deals that carry the quarter", [], [], [Table("deals", "Open deals by what they add", ordered, heads, most=15)]
    )


def _judged(judged: ForecastBacktest | None) -> Section:
    title = "How past forecasts did"
    if judged is None:
        return Section(title)
    rows = judged.forecasts[judged.forecasts["period"] == "next month"]
    table = Table(
        "past-forecasts",
        "Error of past forecasts",
        judged.overall.reset_index(),
        {
            "forecast": ("forecast", "text"),
            "relative_error": ("error", "percent"),
            "bias": ("bias", "percent"),
            "coverage": ("interval held", "percent"),
        },
    )
    alt = "Past forecasts of the next month beside what was booked."
    pictures = [Picture(lambda width: forecast_backtest_chart(rows, width), alt)] if len(rows) else []
    return Section(title, judged.sentences(), pictures, [table])
