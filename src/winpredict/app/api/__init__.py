"""The REST API, version 1."""

from fastapi import FastAPI

from winpredict.app import metrics
from winpredict.app.api import contract, deals, glossary, health, insights, models, reasons, reference, score
from winpredict.app.api.score_request import ScoreRequest
from winpredict.app.api.scoring import RequestScorer


def add_to(app: FastAPI) -> None:
    """Add the API and the figures for Prometheus to an application."""
    app.state.request_scorer = RequestScorer(app.state.desk)
    for router in (
        deals.router,
        reasons.router,
        deals.late,
        insights.router,
        models.router,
        score.router,
        glossary.router,
    ):
        app.include_router(router, prefix=metrics.API)
    for router in (health.router, reference.router):
        app.include_router(router, prefix=metrics.API)
    metrics.add_to(app)
    contract.describe(app, ScoreRequest)
