"""Drivers, funnel and forecast of the deals that the caller may see, with sentences in the caller's language."""

from collections.abc import Callable, Hashable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, TypeVar

import pandas as pd
from fastapi import APIRouter, Depends, Query
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field

from winpredict.app.api.contract import OF_TEAMS, TaggedRoute, documented
from winpredict.app.api.tables import rows
from winpredict.app.desk import Desk, made
from winpredict.app.identity import Caller, DeskOfRequest
from winpredict.app.shared_work import SharedWork
from winpredict.app.visibility import owners_seen_by
from winpredict.errors import ConfigError

if TYPE_CHECKING:
    from winpredict.explain.drivers import Drivers

Result = TypeVar("Result")
router = APIRouter(tags=["insights"], route_class=TaggedRoute)
Reader = Annotated[Caller, Depends(OF_TEAMS)]


class Driver(BaseModel):
    """What moves the odds of all deals."""

    theme: str
    name: str
    control: str = Field(description="who can change it: controllable, deal, customer, or context (it came with it)")
    strength: float = Field(description="mean absolute contribution to the win probability")
    low: float
    high: float
    direction: str
    sentence: str
    evidence: bool = Field(description="whether it predicts outcomes of deals that it was not learned from")
    p_value: float | None
    stability: float | None


class GroupDriver(BaseModel):
    """The same within a group of deals."""

    group: str
    deals: int
    theme: str
    name: str
    strength: float
    low: float
    high: float


class DriverList(BaseModel):
    """Drivers, the strongest first."""

    deals: int = Field(description="deals that were read")
    as_of: datetime | None
    drivers: list[Driver]
    groups: list[GroupDriver]
    sentences: list[str]


class StageNow(BaseModel):
    """Open deals of a stage."""

    stage: str
    deals: int
    amount: float | None
    median_age_days: float | None
    median_days_in_stage: float | None
    oldest_days: float | None
    oldest_deal: str | None


class StageConversion(BaseModel):
    """What becomes of the deals that reach a stage."""

    stage: str
    deals: int
    moved_on: int
    lost: int
    still_there: int
    moved_on_finally: float | None
    lost_finally: float | None
    median_days: float | None
    median_days_low: float | None
    median_days_high: float | None


class StalledDeal(BaseModel):
    """A deal that has been in its stage longer than 9 in 10 stays of deals that were won later."""

    deal_id: str
    stage: str
    days_in_stage: float
    usual_days: float
    long_days: float
    amount: float | None
    owner: str | None


class Velocity(BaseModel):
    """How much is won in a period."""

    period: str
    start: datetime
    end: datetime
    open_deals: int
    closed: int
    win_rate: float | None
    mean_won_amount: float | None
    mean_days_won: float | None
    per_30_days: float | None


class FunnelAnswer(BaseModel):
    """The open pipeline and how deals move through it."""

    as_of: datetime | None
    stages: list[StageNow]
    conversion: list[StageConversion]
    stalled: list[StalledDeal]
    velocity: list[Velocity]
    sentences: list[str]
    notes: list[str]


class PeriodForecast(BaseModel):
    """Expected bookings of a month or quarter."""

    name: str | None = Field(None, description="the team or rep")
    period: str
    starts: datetime
    ends: datetime
    booked: float
    open_pipeline: float
    not_yet_created: float
    expected: float
    low: float = Field(description="low and high are an 80% interval")
    high: float
    commit: float
    best_case: float
    pipeline: float
    quota: float | None
    attainment: float | None
    p_quota: float | None


class ForecastAnswer(BaseModel):
    """Expected bookings."""

    as_of: datetime | None
    periods: list[PeriodForecast]
    by_team: list[PeriodForecast]
    by_rep: list[PeriodForecast]
    sentences: list[str]
    notes: list[str]


@router.get("/drivers", summary="What moves the odds", **documented(409, 503, scope="read"))
def drivers(
    desk: DeskOfRequest,
    caller: Reader,
    segment: Annotated[
        str, Query(max_length=200, description="drivers within its groups too: product, team, ...")
    ] = "",
) -> DriverList:
    """Drivers of the deals that the caller may see, each tested on deals that it was not learned from."""
    loaded, owners = desk.loaded(), owners_seen_by(desk.database, caller.person)

    def compute() -> "tuple[Drivers, datetime | None]":
        from winpredict.report.drivers import known_deals, segment_of

        work = SharedWork(desk, loaded, owners)
        crm = known_deals(loaded.model, work.crm)
        groups = segment_of(crm, segment, work.attributes) if segment else None
        # all segments have the same deals, of which each is explained once
        drivers = work.drivers()
        return replace(drivers, groups=work.contributions().strengths(groups)), crm.known_until

    try:
        drivers, as_of = _result(desk, ("drivers", loaded.state, owners, segment), compute)
    except ConfigError as error:
        raise RequestValidationError(
            [{"loc": ("query", "segment"), "msg": str(error), "type": "value_error"}]
        ) from None
    return DriverList(
        deals=drivers.deals,
        as_of=as_of,
        drivers=rows(_named(drivers.themes, drivers), Driver),
        groups=rows(_named(drivers.groups, drivers), GroupDriver),
        sentences=drivers.sentences(),
    )


@router.get("/funnel", summary="Open deals by stage, conversion and stalls", **documented(409, 503, scope="read"))
def funnel(desk: DeskOfRequest, caller: Reader) -> FunnelAnswer:
    """The funnel of the deals that the caller may see."""
    loaded, owners = desk.loaded(), owners_seen_by(desk.database, caller.person)

    funnel = _result(desk, ("funnel", loaded.state, owners), lambda: SharedWork(desk, loaded, owners).funnel())
    return FunnelAnswer(
        as_of=loaded.crm.known_until,
        stages=rows(funnel.now, StageNow),
        conversion=rows(funnel.conversion, StageConversion),
        stalled=rows(funnel.stalled, StalledDeal),
        velocity=rows(funnel.velocity, Velocity),
        sentences=funnel.sentences(),
        notes=[str(note) for note in funnel.notes],
    )


@router.get("/forecast", summary="Expected bookings against quota", **documented(409, 503, scope="read"))
def forecast(desk: DeskOfRequest, caller: Reader) -> ForecastAnswer:
    """Month and quarter, these and the next, of the deals that the caller may see; amounts in the CRM's currency."""
    loaded, owners = desk.loaded(), owners_seen_by(desk.database, caller.person)

    forecast = _result(desk, ("forecast", loaded.state, owners), lambda: SharedWork(desk, loaded, owners).forecast())
    return ForecastAnswer(
        as_of=forecast.as_of,
        periods=rows(forecast.periods, PeriodForecast),
        by_team=rows(forecast.by_team, PeriodForecast),
        by_rep=rows(forecast.by_rep, PeriodForecast),
        sentences=forecast.sentences(),
        notes=[str(note) for note in forecast.notes],
    )


def _named(frame: pd.DataFrame, drivers: "Drivers") -> pd.DataFrame:
    """Rows about drivers with the words for them in the language of the moment."""
    frame = frame.assign(name=[str(drivers.names[theme]) for theme in frame["theme"]])
    if "leading" in frame:
        frame["sentence"] = [str(drivers.labels[feature]) for feature in frame["leading"]]
    return frame


def _result(desk: Desk, key: tuple[Hashable, ...], compute: Callable[[], Result]) -> Result:
    """What is kept under a key, computed beside the request.

    It says nothing yet: one result serves all languages.
    """
    key = ("api", *key)
    return made(key, desk.submit(key, compute))
