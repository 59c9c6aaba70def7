"""The REST API, version 1."""

from fastapi import FastAPI

from winpredict.app.api import deals


def add_to(app: FastAPI) -> None:
    """Add the API to an application."""
    app.include_router(deals.router, prefix="/api/v1")
