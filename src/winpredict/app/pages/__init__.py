"""Pages that people read, rendered on the server."""

from fastapi import FastAPI, Request
from starlette.responses import Response

from winpredict.app.pages import account, deal, deals, drivers, models, people, pipeline, sign_in, tokens
from winpredict.app.pages.rendering import render, sentence

#: What a page says instead of the words of HTTP.
_HEADINGS = {
    403: "This is not allowed",
    404: "There is nothing here",
    409: "This is not ready",
    413: "That is too large",
    422: "This cannot be asked",
    429: "Too many tries",
    500: "Something went wrong",
}


def add_to(app: FastAPI) -> None:
    """Add all pages to an application."""
    for room in (sign_in, deals, deal, pipeline, drivers, models, people, tokens, account):
        app.include_router(room.router, include_in_schema=False)


def error_page(request: Request, status: int, detail: str) -> Response:
    """A page that says what is wrong and what to do."""
    caller = getattr(request.state, "caller", None)
    return render(request, caller, "error.html", status=status, heading=_HEADINGS.get(status), detail=sentence(detail))
