"""The pipeline of a manager's teams: where deals stand, what will be booked, what moved, what is at risk."""

from datetime import datetime
from typing import Annotated, Literal
from urllib.parse import urlencode

import pandas as pd
from fastapi import Depends, HTTPException, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import RedirectResponse, Response

from winpredict.app.audit_log import EXPORTED, write_down
from winpredict.app.desk import Desk
from winpredict.app.identity import Allows, Caller, DeskOfRequest
from winpredict.app.listing import DealQuery, find_deals, owner_names_of
from winpredict.app.pages.charts import Size, svg, svg_answer
from winpredict.app.pages.deals import may_read_names
from winpredict.app.pages.listed_deals import ListedDeals, list_page, listed
from winpredict.app.pages.pipeline_lists import LISTS, WORDS, Drilldown, drilldown_deals, unknown
from winpredict.app.pages.pipeline_views import (
    PICTURES,
    Outlook,
    forecast_rows,
    outlook,
    page_notes,
    stage_rows,
)
from winpredict.app.pages.rendering import render
from winpredict.app.pages.waiting import Part, Waiting
from winpredict.app.publishing import shown_run
from winpredict.app.records import Role, ScoringRun
from winpredict.app.teams import owner_filter_choices, owners_of
from winpredict.app.totals import totals
from winpredict.app.turns import PageRouter
from winpredict.explain.deal_flags import FLAGS
from winpredict.insights.labels import PERIOD_TITLES, PERIODS
from winpredict.locale.language import current
from winpredict.locale.text import said

router = PageRouter()
OF_TEAMS = (Role.MANAGER, Role.SCIENTIST)
Reader = Annotated[Caller, Depends(Allows(*OF_TEAMS))]
#: An image of a page that was shown a moment ago may wait longer than a page.
_IMAGE_PATIENCE = 25.0


class PipelineQuery(BaseModel):
    """Whose pipeline."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    whose: str = Field("", max_length=320, description="owner:USER_ID, under:USER_ID or team:NAME; empty for all")


class ListQuery(PipelineQuery):
    """Which deals are behind a figure that the list of open deals does not know of."""

    of: Drilldown
    stage: str = Field("", max_length=300, description="only those in, or of, this stage")
    period: Literal["this month", "next month", "this quarter", "next quarter"] = "this quarter"
    page: int = Field(1, ge=1, le=100_000)


class ImageQuery(PipelineQuery):
    """Which chart, and how wide."""

    name: Literal["conversion", "forecast", "reps", "history"]
    size: Size = "wide"


@router.get("/pipeline")
def pipeline(
    request: Request, desk: DeskOfRequest, query: Annotated[PipelineQuery, Query()], caller: Reader
) -> Response:
    """The page."""
    names = may_read_names(desk, caller)
    with desk.database.reading() as session:
        run = shown_run(session)
        choices = owner_filter_choices(session, caller.person)
        sums = totals(session, caller.person, query.whose, desk.config.run, with_names=names)
    part = _outlook(desk, caller, query.whose, Waiting(desk))
    return render(
        request,
        caller,
        "pipeline.html",
        query=query,
        run=run,
        names=names,
        choices=choices,
        chosen=_owners_name(desk, caller, query.whose),
        totals=sums,
        settings=desk.config.run,
        flags=FLAGS,
        part=part,
        newer=_newer(part.result, run),
        stages=stage_rows(sums, part.result),
        forecast=forecast_rows(part.result),
        periods=PERIOD_TITLES,
        notes=page_notes(part.result, sums.every.currencies),
        deals=lambda **filters: _address("/deals", whose=query.whose, **filters),
        listed=lambda **which: _address("/pipeline/deals", whose=query.whose, **which),
        image=lambda name, size: _address("/pipeline/chart.svg", whose=query.whose, name=name, size=size),
        of_rep=lambda value: _address("/pipeline", whose=value),
        listed_of=lambda value, **which: _address("/pipeline/deals", whose=value, **which),
    )


@router.get("/pipeline/deals")
def drilldown(request: Request, desk: DeskOfRequest, query: Annotated[ListQuery, Query()], caller: Reader) -> Response:
    """The deals behind a figure."""
    part = _outlook_with(desk, caller, query)
    name = _owners_name(desk, caller, query.whose)
    return list_page(
        request,
        caller,
        part,
        _listed(desk, caller, query, part),
        page=query.page,
        rows=desk.config.app.page_rows,
        link=lambda **changes: _list_address("/pipeline/deals", query, **changes),
        export=_list_address("/pipeline/deals.csv", query),
        back=_address("/pipeline", whose=query.whose),
        back_words=said("Pipeline of {name}", name=name) if name else said("Pipeline"),
        words=WORDS,
    )


@router.get("/pipeline/deals.csv")
def export(desk: DeskOfRequest, query: Annotated[ListQuery, Query()], caller: Reader) -> Response:
    """All of these deals as a table for spreadsheets; until they are there, the page that waits for them."""
    part = _outlook_with(desk, caller, query)
    _owners_name(desk, caller, query.whose)
    if part.result is None:
        return RedirectResponse(_list_address("/pipeline/deals", query), 303)
    found = _listed(desk, caller, query, part)
    write_down(desk.database, caller.person, EXPORTED, "pipeline/deals.csv", {"rows": len(found.deals)})
    return found.file()


@router.get("/pipeline/chart.svg")
def image(desk: DeskOfRequest, query: Annotated[ImageQuery, Query()], caller: Reader) -> Response:
    """A chart of the page."""
    part = _outlook(desk, caller, query.whose, Waiting(desk, _IMAGE_PATIENCE))
    picture = None if part.result is None else PICTURES[query.name](part.result)
    if part.result is None or picture is None:
        raise HTTPException(404, said("this chart was not found"))
    key = ("pipeline chart", *part.result.key, query.name, query.size, current().name)
    return svg_answer(desk.get_or_compute(key, lambda: svg(picture, query.size)))


def _outlook(desk: Desk, caller: Caller, whose: str, waiting: Waiting) -> Part[Outlook]:
    """Funnel and forecast of the deals of a choice of owners that the caller may see."""
    with desk.database.reading() as session:
        owners = owners_of(session, caller.person, whose)
    loaded, problem = waiting.loaded()
    if loaded is None:
        return Part(problem=problem)
    key = ("outlook", loaded.state, owners)
    return waiting.part(key, lambda: outlook(key, waiting.shared(loaded, owners)))


def _newer(outlook: Outlook | None, run: ScoringRun | None) -> datetime | None:
    """The end of the tables where it is later than the odds: they were imported, and not scored since."""
    if outlook is None or run is None or run.as_of is None or outlook.crm.known_until is None:
        return None
    until = outlook.crm.known_until.to_pydatetime()
    return until if until > run.as_of else None


def _outlook_with(desk: Desk, caller: Caller, query: ListQuery) -> Part[Outlook]:
    """What a list is made of, or why nothing can be known of its deals."""
    part = _outlook(desk, caller, query.whose, Waiting(desk))
    why = "" if part.result is None else unknown(part.result, query.of)
    return Part(problem=why) if why else part


def _listed(desk: Desk, caller: Caller, query: ListQuery, part: Part[Outlook]) -> ListedDeals:
    """What is asked for; no deals while the part is not there."""
    outlook, about, names = part.result, LISTS[query.of], may_read_names(desk, caller)
    title = str(about.title.with_values(period=PERIODS[query.period]))
    title = said("{title}: {stage}", title=title, stage=query.stage) if query.stage else title
    if outlook is None:
        return ListedDeals(about, title, pd.DataFrame(), names)
    deals = drilldown_deals(outlook, query.of, query.period, query.stage)
    if about.flag:
        deals = deals[deals["deal_id"].isin(_flagged(desk, caller, query.whose, about.flag))]
    return ListedDeals(about, title, listed(outlook.crm, deals, with_names=names), names)


def _flagged(desk: Desk, caller: Caller, whose: str, flag: str) -> set[str]:
    """Ids of the open deals with a flag, by the scores that are shown."""
    query = DealQuery.model_validate({"whose": whose, "flag": flag})
    with desk.database.reading() as session:
        deals = find_deals(session, caller.person, query, rows=None, with_names=False)
    return {row.deal_id for row in deals.rows}


def _list_address(path: str, query: ListQuery, **changes: object) -> str:
    return _address(path, **(query.model_dump(exclude_defaults=True, exclude={"page"}) | changes))


def _owners_name(desk: Desk, caller: Caller, whose: str) -> str:
    """What a choice of owners is called; empty for all.

    Raises
    ------
    HTTPException
        404, whether there is no such choice or they may not see it.
    """
    if not whose:
        return ""
    with desk.database.reading() as session:
        name = owner_filter_choices(session, caller.person).words(whose)
        if name is None:
            if not owners_of(session, caller.person, whose):
                raise HTTPException(404, said("this team or person was not found among those whose deals you can see"))
            of = whose.partition(":")[2]
            name = owner_names_of(session, [of]).get(of, of)
    return name


def _address(path: str, **values: object) -> str:
    given = {name: str(value).lower() if value is True else value for name, value in values.items() if value}
    return f"{path}?{urlencode(given)}" if given else path
