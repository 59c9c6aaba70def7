"""A pipeline as its page shows it: stages, expected bookings and charts."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from winpredict.app.pages.tables import records_of
from winpredict.app.shared_work import SharedWork
from winpredict.app.totals import StageTotals, Totals
from winpredict.insights.labels import mixed_currencies
from winpredict.locale.text import Text
from winpredict.report.page import Picture

if TYPE_CHECKING:
    from winpredict.insights.forecast import Forecast
    from winpredict.insights.funnel import Funnel
    from winpredict.tables.crm import CRMData


#: Teams, and reps, in the table of the forecast; the chart has fewer.
REPS_SHOWN = 200


@dataclass(frozen=True)
class Outlook:
    """What is worked out from the tables for some owners' deals.

    Parameters
    ----------
    key : tuple of hashable
        What it depends on.
    crm : CRMData
        Their deals alone.
    funnel : Funnel
    forecast : Forecast
    rep_ids : mapping of str to str
        Ids of the reps by the names that the forecast gives them.
    """

    key: tuple[Hashable, ...]
    crm: "CRMData"
    funnel: "Funnel"
    forecast: "Forecast"
    rep_ids: Mapping[str, str]


@dataclass(frozen=True)
class StageRow:
    """A stage: its open deals by the latest scores, and how deals get through it.

    Parameters
    ----------
    totals : StageTotals
    share : float
        Deals beside the fullest stage's, for the bar.
    days : float or None
        Median days in the stage so far.
    reached : int or None
        Deals that ever reached it.
    moves_on, lost : float or None
        What becomes of them, in shares.
    median_days : float or None
        Until half have left it.
    """

    totals: StageTotals
    share: float
    days: float | None = None
    reached: int | None = None
    moves_on: float | None = None
    lost: float | None = None
    median_days: float | None = None


def outlook(key: tuple[Hashable, ...], work: SharedWork) -> Outlook:
    """Work out funnel and forecast of some owners' deals.

    Parameters
    ----------
    key : tuple of hashable
        What the answer depends on.
    work : SharedWork
        Of these owners.
    """
    from winpredict.insights.deals import names_of_users

    reps = {str(name): str(user_id) for user_id, name in names_of_users(work.crm.users).items()}
    bookings = work.forecast()
    return Outlook(key, work.crm, work.funnel(), bookings, reps)


def stage_rows(totals: Totals, outlook: Outlook | None) -> list[StageRow]:
    """The stages in their order, as far as it is known."""
    fullest = max((each.deals for each in totals.stages), default=1)
    if outlook is None:
        return [StageRow(each, each.deals / fullest) for each in totals.stages]
    now, passed = (frame.set_index("stage").astype(object) for frame in (outlook.funnel.now, outlook.funnel.conversion))
    by_stage = {each.stage: each for each in totals.stages}
    order = [*now.index, *(each.stage for each in totals.stages if each.stage not in now.index)]
    rows = []
    for stage in dict.fromkeys(order):
        of_stage = by_stage.get(stage) or (None if stage not in passed.index else StageTotals(stage, 0, 0.0, 0.0))
        if of_stage is not None:
            rows.append(_stage_row(of_stage, fullest, now, passed))
    return rows


def _stage_row(totals: StageTotals, fullest: int, now: pd.DataFrame, passed: pd.DataFrame) -> StageRow:
    def at(frame: pd.DataFrame, column: str) -> Any:
        value = frame[column].get(totals.stage) if column in frame else None
        return None if value is None or pd.isna(value) else value

    return StageRow(
        totals,
        totals.deals / fullest,
        at(now, "median_days_in_stage"),
        at(passed, "deals"),
        at(passed, "moved_on_finally"),
        at(passed, "lost_finally"),
        at(passed, "median_days"),
    )


def forecast_rows(outlook: Outlook | None) -> dict[str, list[dict[str, Any]]]:
    """Rows of the forecast: by period, and of this quarter by team and by rep, the most expected first."""
    if outlook is None:
        return {"periods": [], "teams": [], "reps": []}
    forecast = outlook.forecast
    levels = {"teams": forecast.by_team, "reps": forecast.by_rep}
    rows = {name: records_of(_this_quarter(frame).head(REPS_SHOWN)) for name, frame in levels.items()}
    for row in rows["reps"]:
        row["whose"] = f"owner:{outlook.rep_ids[row['name']]}" if row["name"] in outlook.rep_ids else ""
    for row in rows["teams"]:
        row["whose"] = f"team:{row['name']}"
    return {"periods": records_of(forecast.periods), **rows}


def page_notes(outlook: Outlook | None, currencies: Sequence[str]) -> dict[str, list[Text]]:
    """What the page says below the forecast and the funnel.

    Parameters
    ----------
    outlook : Outlook or None
    currencies : sequence of str
        Of the open deals: where there are several, the page has said of them already that they are added as they stand.
    """
    from winpredict.insights.funnel import NO_QUOTA_NOW, NO_QUOTAS

    if outlook is None:
        return {"forecast": [], "funnel": []}
    mixed = mixed_currencies(currencies)
    known = set() if mixed is None else {mixed.one}
    # the forecast says it of quotas
    of_quota = {NO_QUOTAS.one, NO_QUOTA_NOW.one}
    return {
        "forecast": [note for note in outlook.forecast.notes if note.one not in known],
        "funnel": [note for note in outlook.funnel.notes if note.one not in known | of_quota],
    }


def _this_quarter(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["period"] == "this quarter"].sort_values("expected", ascending=False)


def _conversion(outlook: Outlook) -> Picture | None:
    from winpredict.report.charts.funnel import conversion_chart

    known = outlook.funnel.conversion["moved_on_finally"].notna()
    return Picture(lambda width: conversion_chart(outlook.funnel.conversion, width), "") if known.any() else None


def _history(outlook: Outlook) -> Picture | None:
    from winpredict.report.charts.funnel import history_chart

    return (
        None
        if outlook.funnel.history.empty
        else Picture(lambda width: history_chart(outlook.funnel.history, width), "")
    )


def _periods(outlook: Outlook) -> Picture | None:
    from winpredict.report.charts.forecast import forecast_chart

    periods = outlook.forecast.periods
    return None if periods.empty else Picture(lambda width: forecast_chart(periods, width), "")


def _reps(outlook: Outlook) -> Picture | None:
    from winpredict.report.charts.forecast import quota_chart

    reps = _this_quarter(outlook.forecast.by_rep)
    return None if len(reps) < 2 else Picture(lambda width: quota_chart(reps, width), "")


#: Charts of the page, by name; None where there is nothing to draw.
PICTURES: dict[str, Callable[[Outlook], Picture | None]] = {
    "conversion": _conversion,
    "history": _history,
    "forecast": _periods,
    "reps": _reps,
}
