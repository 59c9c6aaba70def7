"""Pages that people read, rendered on the server."""

from fastapi import FastAPI, Request
from starlette.responses import Response

from winpredict.app.pages import deal, deals, pipeline, sign_in
from winpredict.app.pages.rendering import render


def add_to(app: FastAPI) -> None:
    """Add all pages to an application."""
    for room in (sign_in, deals, deal, pipeline):
        app.include_router(room.router, include_in_schema=False)


def error_page(request: Request, status: int, detail: str) -> Response:
    """A page that says what is wrong and what to do."""
    return render(request, None, "error.html", status=status, detail=detail)
