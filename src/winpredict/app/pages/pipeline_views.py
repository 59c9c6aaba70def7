"""A pipeline as its page shows it: stages, expected bookings, and the deals behind each figure."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from winpredict.app.desk import Loaded
from winpredict.app.totals import StageTotals, Totals
from winpredict.report.page import Picture

if TYPE_CHECKING:
    from winpredict.insights.forecast import Forecast
    from winpredict.insights.funnel import Funnel
    from winpredict.tables.crm import CRMData

#: Title, a sentence, and columns (name, head, how it is written) of the deals behind each figure.
LISTS: dict[str, tuple[str, str, tuple[tuple[str, str, str], ...]]] = {
    "booked": (
        "Booked {period}",
        "Deals that were won in the period so far.",
        (("owner", "Owner", "text"), ("closed_at", "Won on", "day"), ("amount", "Amount", "money")),
    ),
    "open": (
        "Open deals that carry {period}",
        "What each open deal adds: its amount times its odds of being won in the period. Deals without an amount "
        "stand with a usual one.",
        (
            ("owner", "Owner", "text"), ("amount", "Amount", "money"), ("odds", "Win odds", "percent"),
            ("chance", "Won in the period", "percent"), ("adds", "Adds", "money"),
        ),
    ),
    "stalled": (
        "Deals that stall",
        "Open deals that have been in their stage longer than nine in ten deals that were won later.",
        (
            ("owner", "Owner", "text"), ("stage", "Stage", "text"), ("days", "Days in stage", "count"),
            ("usual", "Usual days", "count"), ("amount", "Amount", "money"),
        ),
    ),
}  # fmt: skip


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
    stalled : int
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
    stalled: int = 0
    reached: int | None = None
    moves_on: float | None = None
    lost: float | None = None
    median_days: float | None = None


def outlook(key: tuple[Hashable, ...], loaded: Loaded, crm: "CRMData") -> Outlook:
    """Work out funnel and forecast of some owners' deals.

    Parameters
    ----------
    key : tuple of hashable
        What the answer depends on.
    loaded : Loaded
        Model, and the company's history that its odds rest on.
    crm : CRMData
        The tables cut to the deals of these owners.
    """
    from winpredict.insights.deals import names_of_users
    from winpredict.insights.forecast import forecast
    from winpredict.insights.funnel import funnel

    ids = {str(name): str(user_id) for user_id, name in names_of_users(crm.users).items()}
    return Outlook(key, crm, funnel(crm), forecast(loaded.model, crm, company=loaded.scorer.company), ids)


def stage_rows(found: Totals, made: Outlook | None) -> list[StageRow]:
    """The stages in their order, as far as it is known."""
    fullest = max((each.deals for each in found.stages), default=1)
    if made is None:
        return [StageRow(each, each.deals / fullest) for each in found.stages]
    now, passed = (frame.set_index("stage").astype(object) for frame in (made.funnel.now, made.funnel.conversion))
    stalled = made.funnel.stalled["stage"].value_counts()
    by_stage = {each.stage: each for each in found.stages}
    order = [*now.index, *(each.stage for each in found.stages if each.stage not in now.index)]
    rows = []
    for stage in dict.fromkeys(order):
        stands = by_stage.get(stage) or (None if stage not in passed.index else StageTotals(stage, 0, 0.0, 0.0))
        if stands is not None:
            rows.append(_stage_row(stands, fullest, now, passed, int(stalled.get(stage, 0))))
    return rows


def _stage_row(stands: StageTotals, fullest: int, now: pd.DataFrame, passed: pd.DataFrame, stalled: int) -> StageRow:
    def at(frame: pd.DataFrame, column: str) -> Any:
        value = frame[column].get(stands.stage) if column in frame else None
        return None if value is None or pd.isna(value) else value

    return StageRow(
        stands,
        stands.deals / fullest,
        at(now, "median_days_in_stage"),
        stalled,
        at(passed, "deals"),
        at(passed, "moved_on_finally"),
        at(passed, "lost_finally"),
        at(passed, "median_days"),
    )


def forecast_rows(made: Outlook | None) -> dict[str, list[dict[str, Any]]]:
    """Rows of the forecast: by period, and of this quarter by team and by rep, the most expected first."""
    if made is None:
        return {"periods": [], "teams": [], "reps": []}
    found = made.forecast
    levels = {"teams": found.by_team, "reps": found.by_rep}
    rows = {name: _records(_this_quarter(frame)) for name, frame in levels.items()}
    for row in rows["reps"]:
        row["whose"] = f"owner:{made.rep_ids[row['name']]}" if row["name"] in made.rep_ids else ""
    for row in rows["teams"]:
        row["whose"] = f"team:{row['name']}"
    return {"periods": _records(found.periods), **rows}


def _this_quarter(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["period"] == "this quarter"].sort_values("expected", ascending=False)


def deal_rows(made: Outlook, of: str, period: str, *, with_names: bool) -> list[dict[str, Any]]:
    """The deals behind a figure, those that weigh most first; names only where they may be read."""
    frame = {"booked": _booked, "open": _open, "stalled": _stalled}[of](made, period)
    names = made.crm.deals.set_index("deal_id").get("name")
    frame["name"] = frame["deal_id"].map(names) if with_names and names is not None else None
    return _records(frame)


def _booked(made: Outlook, period: str) -> pd.DataFrame:
    chosen = made.forecast.periods[made.forecast.periods["period"] == period]
    if chosen.empty:
        return pd.DataFrame({"deal_id": []})
    row, deals = chosen.iloc[0], made.crm.deals
    won = deals[
        (deals["outcome"] == "won") & (deals["closed_at"] >= row["starts"]) & (deals["closed_at"] < row["ends"])
    ]
    owner = won["owner_id"] if "owner_id" in won else pd.Series(None, index=won.index, dtype=object)
    found = pd.DataFrame(
        {
            "deal_id": won["deal_id"],
            "owner": owner.map({user_id: name for name, user_id in made.rep_ids.items()}).fillna(owner),
            "closed_at": won["closed_at"],
            "amount": won.get("amount"),
        }
    )
    return found.sort_values(["amount", "deal_id"], ascending=[False, True])


def _open(made: Outlook, period: str) -> pd.DataFrame:
    deals = made.forecast.deals
    if f"p {period}" not in deals:
        return pd.DataFrame({"deal_id": []})
    found = pd.DataFrame(
        {
            "deal_id": deals["deal_id"],
            "owner": deals["rep"],
            "amount": deals["amount"],
            "odds": deals["win_probability"],
            "chance": deals[f"p {period}"],
        }
    )
    found["adds"] = found["amount"] * found["chance"]
    return found.sort_values(["adds", "deal_id"], ascending=[False, True])


def _stalled(made: Outlook, period: str) -> pd.DataFrame:
    return made.funnel.stalled.rename(columns={"days_in_stage": "days", "usual_days": "usual"})


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as templates take them: missing is None."""
    records = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in records]


def _conversion(made: Outlook) -> Picture | None:
    from winpredict.report.charts.funnel import conversion_chart

    known = made.funnel.conversion["moved_on_finally"].notna()
    return Picture(lambda width: conversion_chart(made.funnel.conversion, width), "") if known.any() else None


def _history(made: Outlook) -> Picture | None:
    from winpredict.report.charts.funnel import history_chart

    return None if made.funnel.history.empty else Picture(lambda width: history_chart(made.funnel.history, width), "")


def _periods(made: Outlook) -> Picture | None:
    from winpredict.report.charts.forecast import forecast_chart

    found = made.forecast.periods
    return None if found.empty else Picture(lambda width: forecast_chart(found, width), "")


def _reps(made: Outlook) -> Picture | None:
    from winpredict.report.charts.forecast import quota_chart

    found = _this_quarter(made.forecast.by_rep)
    return None if len(found) < 2 else Picture(lambda width: quota_chart(found, width), "")


#: Charts of the page, by name; None where there is nothing to draw.
PICTURES: dict[str, Callable[[Outlook], Picture | None]] = {
    "conversion": _conversion,
    "history": _history,
    "forecast": _periods,
    "reps": _reps,
}
