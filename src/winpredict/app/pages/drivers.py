"""Why deals are won: drivers by segment and period, two sets side by side, signal or noise, the report as a file."""

from typing import Annotated, Any, Literal
from urllib.parse import urlencode

import pandas as pd
from fastapi import Depends, HTTPException, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import RedirectResponse, Response

from winpredict.app.audit_log import EXPORTED, write_down
from winpredict.app.desk import Desk
from winpredict.app.identity import Allows, Caller, DeskOfRequest
from winpredict.app.pages.charts import Size, svg, svg_answer
from winpredict.app.pages.deals import may_read_names
from winpredict.app.pages.drivers_parts import DriverParts
from winpredict.app.pages.drivers_views import (
    DEAL_COLUMNS,
    LIST_TITLES,
    PICTURES,
    Drilldown,
    Selection,
    alone_only,
    concerns,
    differing,
    figure_rows,
    parse_selection,
    shapes,
    shown_charts,
    side_deals,
    strength_rows,
    uncharted,
    won_currencies,
)
from winpredict.app.pages.listed_deals import ListedDeals, list_page
from winpredict.app.pages.pipeline import OF_TEAMS
from winpredict.app.pages.pipeline_lists import WORDS, DealList
from winpredict.app.pages.rendering import render
from winpredict.app.pages.waiting import Waiting
from winpredict.app.publishing import published
from winpredict.app.turns import PageRouter
from winpredict.app.visibility import owners_seen_by
from winpredict.insights.labels import MEASURE_LABELS, group_label
from winpredict.locale.language import current
from winpredict.locale.text import said, text

router = PageRouter()
Reader = Annotated[Caller, Depends(Allows(*OF_TEAMS))]
Kind = Literal["html", "pdf"]
#: An image of a page that was shown a moment ago may wait longer than a page.
_IMAGE_PATIENCE = 25.0
_MEDIA = {"html": "text/html; charset=utf-8", "pdf": "application/pdf"}


class DriversQuery(BaseModel):
    """Which deals, and compared with which others."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    segment: str = Field("", max_length=200, description="what deals are segmented by; empty for nothing")
    group: str = Field("", max_length=300, description="a group of the segment; empty for all")
    created: str = Field("", max_length=20, description="when the deals were created; empty for any time")
    other_group: str = Field("", max_length=300, description="the group to compare with")
    other_created: str = Field("", max_length=20, description="the time of creation to compare with")
    measure: Literal["win_rate", "new_deals", "cycle_days", "touches"] = "win_rate"


class ImageQuery(DriversQuery):
    """Which chart, and how wide."""

    name: Literal["strengths", "strengths-other", "shape", "rates", "control", "control-group", "control-other"]
    theme: str = Field("", max_length=200)
    size: Size = "wide"


class ListQuery(DriversQuery):
    """Which deals of which side."""

    of: Drilldown
    side: int = Field(0, ge=0, le=1, description="0 for the first set, 1 for the one that it is compared with")
    page: int = Field(1, ge=1, le=100_000)


class ReportQuery(BaseModel):
    """What the report is about."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    segment: str = Field("", max_length=200)
    created: str = Field("", max_length=20)


@router.get("/drivers")
def drivers(request: Request, desk: DeskOfRequest, query: Annotated[DriversQuery, Query()], caller: Reader) -> Response:
    """The page."""
    parts = _parts(desk, caller, Waiting(desk))
    table = parts.table()
    values: dict[str, Any] = {"query": query, "run": published(desk.database), "table": table, "selection": None}
    if table.result is not None:
        selection = _selection(parts, query)
        contributions, changes, won = parts.contributions(), parts.changes(), parts.closed_won()
        tested = parts.drivers()
        asked = query.model_copy(update={"measure": "win_rate"})  # whatever the control charts are of
        strengths = desk.get_or_compute(
            ("strengths", *parts.key, asked, contributions.result is None, tested.result is None, current().name),
            lambda: strength_rows(selection, contributions.result, tested.result),
        )
        values |= {
            "selection": selection,
            "comparison": selection.comparison,
            "contributions": contributions,
            "tested": tested,
            "changes": changes,
            "won": won,
            "strengths": strengths,
            "differing": differing(selection),
            "small": [
                side.words
                for place, side in enumerate(selection.sides)
                if strengths and not strengths[0].strengths[place]
            ],
            "figures": figure_rows(selection),
            "shapes": shapes(tested.result),
            "currencies": won_currencies(selection),
            "concerns": concerns(changes.result),
            "charts": shown_charts(selection, changes.result, query.measure),
            "alone_only": alone_only(selection, changes.result, query.measure),
            "uncharted": uncharted(selection, changes.result, query.measure),
            "measures": MEASURE_LABELS,
        }
    return render(
        request,
        caller,
        "drivers.html",
        **values,
        group_label=lambda group: group_label(query.segment, group),
        group_pairs=lambda groups: [(group, group_label(query.segment, group)) for group in groups],
        period_pairs=lambda periods: [(each.value, each.words) for each in periods],
        shape_image=lambda theme: (
            lambda name, size: _address("/drivers/chart.svg", query, name=name, size=size, theme=theme)
        ),
        link=lambda **changes: _address("/drivers", query, **changes),
        image=lambda name, size, **further: _address("/drivers/chart.svg", query, name=name, size=size, **further),
        listed=lambda of, side: _address("/drivers/deals", query, of=of, side=side),
        report=lambda kind: f"/drivers/report.{kind}?{urlencode({'segment': query.segment, 'created': query.created})}",
    )


@router.get("/drivers/deals")
def drilldown(request: Request, desk: DeskOfRequest, query: Annotated[ListQuery, Query()], caller: Reader) -> Response:
    """The deals behind a figure."""
    parts = _parts(desk, caller, Waiting(desk))
    return list_page(
        request,
        caller,
        parts.table(),
        _listed(parts, query, names=may_read_names(desk, caller)),
        page=query.page,
        rows=desk.config.app.page_rows,
        link=lambda **changes: _address("/drivers/deals", query, of=query.of, side=query.side, **changes),
        export=_address("/drivers/deals.csv", query, of=query.of, side=query.side),
        back=_address("/drivers", query),
        back_words=said("Why deals are won"),
        words=WORDS,
    )


@router.get("/drivers/deals.csv")
def export(desk: DeskOfRequest, query: Annotated[ListQuery, Query()], caller: Reader) -> Response:
    """All of these deals as a table for spreadsheets; until they are there, the page that waits for them."""
    parts = _parts(desk, caller, Waiting(desk))
    if parts.table().result is None:
        return RedirectResponse(_address("/drivers/deals", query, of=query.of, side=query.side), 303)
    found = _listed(parts, query, names=may_read_names(desk, caller))
    write_down(desk.database, caller.person, EXPORTED, "drivers/deals.csv", {"rows": len(found.deals)})
    return found.file()


@router.get("/drivers/chart.svg")
def image(desk: DeskOfRequest, query: Annotated[ImageQuery, Query()], caller: Reader) -> Response:
    """A chart of the page."""
    parts = _parts(desk, caller, Waiting(desk, _IMAGE_PATIENCE))

    def draw() -> str:
        selection = _selection(parts, query)
        picture = PICTURES[query.name](selection, parts, query.measure, query.theme)
        if picture is None:
            raise HTTPException(404, said("this chart was not found"))
        return svg(picture, query.size)

    if parts.table().result is None:
        raise HTTPException(404, said("this chart was not found"))
    return svg_answer(desk.get_or_compute(("drivers chart", *parts.key, query, current().name), draw))


@router.get("/drivers/report")
def report_page(
    request: Request, desk: DeskOfRequest, query: Annotated[ReportQuery, Query()], caller: Reader, kind: Kind = "html"
) -> Response:
    """The report while it is written, and a link to it when it is there."""
    parts = _parts(desk, caller, Waiting(desk))
    part = parts.written(query.segment, query.created, kind)
    values = urlencode(query.model_dump())
    file = f"/drivers/report.{kind}?{values}"
    return render(request, caller, "drivers_report.html", part=part, file=file, kind=kind, back=f"/drivers?{values}")


@router.get("/drivers/report.{kind}")
def report_file(desk: DeskOfRequest, query: Annotated[ReportQuery, Query()], caller: Reader, kind: Kind) -> Response:
    """The report as a file; until it is written, the page that waits for it."""
    content = _parts(desk, caller, Waiting(desk)).written(query.segment, query.created, kind).result
    if content is None:
        return RedirectResponse(f"/drivers/report?{urlencode(query.model_dump() | {'kind': kind})}", 303)
    write_down(desk.database, caller.person, "report downloaded", f"drivers.{kind}", {})
    headers = {"Content-Disposition": f'attachment; filename="drivers.{kind}"', "Cache-Control": "no-store"}
    return Response(content, media_type=_MEDIA[kind], headers=headers)


def _parts(desk: Desk, caller: Caller, waiting: Waiting) -> DriverParts:
    return DriverParts(waiting, owners_seen_by(desk.database, caller.person))


def _selection(parts: DriverParts, query: DriversQuery) -> Selection:
    """What is asked for, found among the deals that the caller may see.

    Raises
    ------
    HTTPException
        404 where there is no such segment, group or period.
    """
    table = parts.table().result
    assert table is not None
    selection = parse_selection(
        table, query.segment, query.group, query.created, query.other_group, query.other_created
    )
    if selection is None:
        raise HTTPException(404, said("this segment, group or period was not found among the deals you can see"))
    return selection


def _listed(parts: DriverParts, query: ListQuery, *, names: bool) -> ListedDeals:
    """What is asked for; no deals while the table is not there.

    Raises
    ------
    HTTPException
        404 where there is no such side.
    """
    table = parts.table().result
    as_they_are = text("Deals as they ended, or as they are now.")
    sorted_by = text("Deals as they ended, or as they are now; latest created first.")
    about = DealList(text("Deals"), (sorted_by if table is None or table.dated else as_they_are,), DEAL_COLUMNS)
    if table is None:
        return ListedDeals(about, str(about.title), pd.DataFrame(), names)
    sides = _selection(parts, query).sides
    if query.side >= len(sides):
        raise HTTPException(404, said("there is no second set of deals; choose one to compare with"))
    deals = parts.listed(side_deals(sides[query.side], table, query.of), with_names=names)
    title = LIST_TITLES[query.of].with_values(deals=sides[query.side].words)
    return ListedDeals(about, str(title), deals, names)


def _address(path: str, query: DriversQuery, **changes: object) -> str:
    given = query.model_dump(exclude_defaults=True, include=set(DriversQuery.model_fields)) | changes
    return f"{path}?{urlencode({name: value for name, value in given.items() if value})}"
