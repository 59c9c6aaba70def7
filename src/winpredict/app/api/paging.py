"""Lists in pages, with links to the next and the previous one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Query, Request
from pydantic import BaseModel, Field
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session as DatabaseSession
from starlette.responses import Response

from winpredict.app.listing import page_count
from winpredict.app.records import Score

MAX_PAGE_ROWS = 200


class Paged(BaseModel):
    """What every list says of its pages."""

    found: int = Field(description="rows on all pages")
    page: int
    limit: int
    next: str | None = Field(None, description="address of the next page; also in the header Link")
    previous: str | None = None


@dataclass(frozen=True)
class Paging:
    """The page that is asked for."""

    page: Annotated[int, Query(ge=1, le=100_000)] = 1
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE_ROWS, description="rows a page")] = 50

    def of(self, session: DatabaseSession, wanted: Select[Score]) -> tuple[int, Sequence[Score]]:
        """How many rows there are, and those of this page."""
        found = session.scalar(select(func.count()).select_from(wanted.order_by(None).subquery())) or 0
        return found, session.scalars(wanted.limit(self.limit).offset((self.page - 1) * self.limit)).all()


def pages(request: Request, answer: Response, found: int, page: int, limit: int) -> dict[str, int | str | None]:
    """The fields of `Paged`; the links are put into the answer's headers too."""
    last = page_count(found, limit)
    at = {"next": page + 1 if page < last else None, "previous": min(page - 1, last) if page > 1 else None}
    links = {name: _address(request, number) for name, number in at.items() if number is not None}
    if links:
        answer.headers["Link"] = ", ".join(f'<{link}>; rel="{name[:4]}"' for name, link in links.items())
    return {"found": found, "page": page, "limit": limit, **links}


def _address(request: Request, page: int) -> str:
    """The same address with another page, without the host: behind a proxy it has another name."""
    here = request.url.include_query_params(page=page)
    return f"{here.path}?{here.query}"
