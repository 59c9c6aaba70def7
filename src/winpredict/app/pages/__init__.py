"""Pages that people read, rendered on the server."""

from http import HTTPStatus

from fastapi import FastAPI, Request
from starlette.responses import Response

from winpredict.app.pages import (
    account,
    audit,
    deal,
    deals,
    drivers,
    glossary,
    models,
    password,
    people,
    pipeline,
    sign_in,
    tokens,
)
from winpredict.app.pages.rendering import render, sentence
from winpredict.locale.text import text

#: What a page says instead of the words of HTTP.
_HEADINGS = {
    400: text("This request was not understood"),
    401: text("Please sign in"),
    403: text("This is not allowed"),
    404: text("Page not found"),
    405: text("This is not possible here"),
    408: text("This took too long"),
    409: text("This is not ready"),
    413: text("This is too large"),
    422: text("These values do not work"),
    429: text("Too many attempts"),
    503: text("Please try again in a moment"),
}
_BROKEN = text("Something went wrong")
#: What the framework says of itself, where nobody gave a reason.
_DETAILS = {
    404: text("There is no page at this address. Check it, or go to the start page."),
    405: text("This address does not accept this kind of request. Go to the start page."),
}


def add_to(app: FastAPI) -> None:
    """Add all pages to an application."""
    for room in (sign_in, password, deals, deal, pipeline, drivers, models, people, audit, tokens, account, glossary):
        app.include_router(room.router, include_in_schema=False)


def error_page(request: Request, status: int, detail: str) -> Response:
    """A page that says what is wrong and what to do."""
    caller = getattr(request.state, "caller", None)
    if detail == HTTPStatus(status).phrase:
        detail = str(_DETAILS.get(status, detail))
    heading = _HEADINGS.get(status, _BROKEN)
    return render(request, caller, "error.html", status=status, heading=heading, detail=sentence(detail))
