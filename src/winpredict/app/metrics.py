"""Figures for Prometheus: requests, how long they took, scoring runs, the age of the scores and the model's health."""

import os
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from sqlalchemy import func, select
from starlette.responses import Response

from winpredict.app.desk import Desk
from winpredict.app.identity import Allows, Caller
from winpredict.app.people import now
from winpredict.app.publishing import shown_run
from winpredict.app.records import Role, ScoringRun
from winpredict.app.turns import TurnRoute
from winpredict.errors import WorkspaceError

router = APIRouter(route_class=TurnRoute)
disable_created_metrics()  # type: ignore[no-untyped-call]  # as many lines again, which nobody draws
#: Set by whoever starts several workers, so that each counts into files that all read.
_SEVERAL_WORKERS = "PROMETHEUS_MULTIPROC_DIR"
_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_UNKNOWN = "(none)"
API = "/api/v1"


class Metrics:
    """The figures of one application.

    Parameters
    ----------
    desk : Desk
    """

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.registry = CollectorRegistry()
        labels = ("method", "route")
        self.requests = Counter(
            "winpredict_requests", "Requests answered.", (*labels, "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "winpredict_request_seconds", "Time to answer.", labels, buckets=_SECONDS, registry=self.registry
        )

    def note(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        self.requests.labels(method, route, str(status)).inc()
        self.seconds.labels(method, route).observe(seconds)

    def text(self) -> bytes:
        """All figures in the text format of Prometheus."""
        registry = self.registry
        if os.environ.get(_SEVERAL_WORKERS):
            from prometheus_client.multiprocess import MultiProcessCollector

            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        of_scores = CollectorRegistry()
        of_scores.register(self)
        return generate_latest(registry) + generate_latest(of_scores)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """What the database says of the scores."""
        with self.desk.database.reading() as session:
            count, run = session.scalar(select(func.count(ScoringRun.id))), shown_run(session)
        yield GaugeMetricFamily("winpredict_scoring_runs", "Scoring runs that are kept.", count or 0)
        if run is not None:
            yield GaugeMetricFamily("winpredict_scored_deals", "Deals of the run that people see.", run.deals)
            age = (now() - run.scored_at).total_seconds()
            yield GaugeMetricFamily("winpredict_scores_age_seconds", "Time since these scores were made.", age)
        yield from self._health()

    def _health(self) -> Iterator[GaugeMetricFamily]:
        """What the latest look at the champion found; nothing before the first, or where it cannot be read."""
        from winpredict.models.monitoring import STATES, latest_health  # it needs SciPy, which takes long to load

        try:
            health = latest_health(self.desk.workspace.folder)
        except WorkspaceError:
            return
        if health is not None:
            words = "Checks of the champion: 0 is fine, 1 to be watched, 2 calls for action."
            states = GaugeMetricFamily("winpredict_health_state", words, labels=["check"])
            for each in health.checks:
                states.add_metric([each.name], STATES.index(each.state))
            yield states
            age = now() - health.as_of.to_pydatetime()
            yield GaugeMetricFamily(
                "winpredict_data_age_seconds", "Time since the end of the data that were checked.", age.total_seconds()
            )


class Measured:
    """ASGI middleware that notes every request by its route's template, so that no id becomes a label.

    Parameters
    ----------
    app : ASGI application
    metrics : Metrics
    """

    def __init__(self, app: Any, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        """Answer, and note it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status, start = 500, time.perf_counter()

        async def noted(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            self.metrics.note(_method(scope), _template(scope), status, time.perf_counter() - start)


def _template(scope: MutableMapping[str, Any]) -> str:
    path = getattr(scope.get("route"), "path", None)
    if not isinstance(path, str):
        return _UNKNOWN
    # a route that was included does not know under which prefix
    inside = scope["path"].startswith(f"{API}/") and not path.startswith(API)
    return f"{API}{path}" if inside else path


def _method(scope: MutableMapping[str, Any]) -> str:
    """The method; whoever makes one up does not make a label."""
    known = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
    return scope["method"] if scope["method"] in known else _UNKNOWN


@router.get("/metrics", include_in_schema=False)
def metrics(
    request: Request, caller: Annotated[Caller, Depends(Allows(Role.ADMIN, Role.SCIENTIST, scope="metrics"))]
) -> Response:
    """The figures, for whoever has a key with the scope metrics.

    Not for everybody on loopback: behind a proxy on the same machine, everybody comes from there.
    """
    found: Metrics = request.app.state.metrics
    return Response(found.text(), media_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"})


def add_to(app: FastAPI) -> None:
    """Add figures and their route to an application."""
    app.state.metrics = Metrics(app.state.desk)
    app.add_middleware(Measured, metrics=app.state.metrics)
    app.include_router(router)
