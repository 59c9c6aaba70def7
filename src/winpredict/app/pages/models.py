"""Models on record for data scientists: which is in use, how good it is, what changed since, and which to use next."""

from typing import Annotated, Any

from fastapi import Depends, Form, HTTPException, Query, Request
from sqlalchemy import func, select
from sqlalchemy.orm import Session as DatabaseSession
from sqlalchemy.orm import joinedload
from starlette.responses import RedirectResponse, Response

from winpredict.app.audit_log import audit
from winpredict.app.desk import Desk
from winpredict.app.identity import Allows, Caller, DeskOfRequest
from winpredict.app.listing import page_count
from winpredict.app.pages.charts import Size, svg, svg_answer
from winpredict.app.pages.deal import KIND_WORDS
from winpredict.app.pages.deals import may_read_names
from winpredict.app.pages.feedback_views import Said, said_about
from winpredict.app.pages.model_views import (
    FIGURES,
    OnRecord,
    described,
    on_record,
    scorer_rows,
    shift_rows,
)
from winpredict.app.pages.rendering import render
from winpredict.app.pages.waiting import Part, Waiting
from winpredict.app.publishing import shown_run
from winpredict.app.records import Feedback, Role, ScoringRun
from winpredict.app.turns import PageRouter
from winpredict.app.visibility import visible_feedback
from winpredict.locale.language import current
from winpredict.locale.text import said, text

router = PageRouter()
Scientist = Annotated[Caller, Depends(Allows(Role.SCIENTIST))]
_RUNS, _FEEDBACK = 15, 25


@router.get("/models")
def models(
    request: Request,
    desk: DeskOfRequest,
    caller: Scientist,
    page: Annotated[int, Query(ge=1, le=100_000)] = 1,
    promoted: int | None = None,
) -> Response:
    """Champion and challenger, backtests, drift, scoring runs and feedback."""
    from winpredict.models.drift import LEVEL, SMALL, Drift

    waiting = Waiting(desk)
    record = _record(waiting, desk)
    drift: Part[Drift] = Part()
    champion = record.result.champion if record.result is not None else None
    if champion is not None:
        key = ("drift", desk.workspace.state, champion.version, current().name)
        drift = waiting.part(key, lambda: _drift(desk), is_long=True)
    names = may_read_names(desk, caller)
    with desk.database.reading() as session:
        run = shown_run(session)
        runs = session.scalars(select(ScoringRun).order_by(ScoringRun.id.desc()).limit(_RUNS)).all()
        feedback, said = _feedback(session, caller, page, names=names)
    return render(
        request,
        caller,
        "models.html",
        record=record,
        health=_health(desk),
        drift=drift,
        shifts=[] if drift.result is None else shift_rows(drift.result),
        scorers=[] if record.result is None else scorer_rows(record.result),
        image=lambda name, size: f"/models/{name}.svg?size={size}",
        run=run,
        runs=runs,
        feedback=feedback,
        said=said,
        page=page,
        pages=page_count(said, _FEEDBACK),
        kinds=KIND_WORDS,
        names=names,
        promoted=promoted,
        figures=FIGURES,
        small=SMALL,
        level=LEVEL,
        state=desk.workspace.state,
    )


@router.get("/models/calibration.svg")
def calibration(desk: DeskOfRequest, caller: Scientist, size: Size = "wide") -> Response:
    """The calibration chart of the latest backtest."""
    from winpredict.report.model_card import calibration_picture

    record = _record_at_once(desk)
    if record.judged is None or record.tables is None:
        raise HTTPException(404, said("no backtest on record; run `winpredict backtest`"))
    bins = record.tables["reliability"]
    key = ("calibration", record.judged.run_id, size, current().name)
    return svg_answer(desk.get_or_compute(key, lambda: svg(calibration_picture(bins), size)))


@router.get("/models/{version}")
def model(request: Request, desk: DeskOfRequest, caller: Scientist, version: int) -> Response:
    """One model: figures, settings, drivers, features, and what the leakage audit kept from it."""
    record = _record_at_once(desk)
    found = _found(record, version)
    content = desk.get_or_compute(("model", found.run_id), lambda: described(desk.workspace.folder, found))
    return render(request, caller, "model.html", model=found, content=content)


@router.get("/models/{version}/promote")
def ask(request: Request, desk: DeskOfRequest, caller: Scientist, version: int) -> Response:
    """Ask whether a model is really to be used from now on."""
    record = _record_at_once(desk)
    found = _found(record, version)
    return render(request, caller, "promote.html", model=found, champion=record.champion)


@router.post("/models/{version}/promote")
def promote(
    desk: DeskOfRequest, caller: Scientist, version: int, champion: Annotated[str, Form(max_length=20)]
) -> Response:
    """Use a model from now on, if the champion is still the one that was shown when this was asked."""
    from winpredict.models import registry

    with desk.workspace.writing(), desk.database.writing() as session:
        record = on_record(desk.workspace.folder)
        found, before = _found(record, version), record.champion
        if champion != (str(before.version) if before else ""):
            raise HTTPException(409, said("the champion has changed in the meantime; open the list of models again"))
        # first: a promotion that cannot be written down is not made
        audit(session, caller.person, "model promoted", f"model {version}", {"before": champion})
        session.flush()
        registry.promote(desk.workspace.folder, found.version, text("chosen in the desk"), by=caller.person.email)
    return RedirectResponse(f"/models?promoted={version}", 303)


def _health(desk: Desk) -> "list[tuple[str, str, str, str]] | None":
    """The checks of the champion: name, state, the state in words, finding; None before the first look."""
    from winpredict.models.monitoring import CHECK_LABELS, STATE_LABELS, latest_health

    health = latest_health(desk.workspace.folder)
    if health is None:
        return None
    return [
        (str(CHECK_LABELS[each.name]), each.state, str(STATE_LABELS[each.state]), str(each.sentence))
        for each in health.checks
    ]


def _record(waiting: Waiting, desk: Desk) -> Part[OnRecord]:
    return waiting.part(_key(desk), lambda: on_record(desk.workspace.folder))


def _record_at_once(desk: Desk) -> OnRecord:
    return Waiting(desk).needed(_key(desk), lambda: on_record(desk.workspace.folder))


def _key(desk: Desk) -> Any:
    """What the record depends on: MLflow's database as it lies there."""
    from winpredict.models.registry import changed_at

    return ("models on record", changed_at(desk.workspace.folder))


def _drift(desk: Desk) -> Any:
    from winpredict.models.drift import drift_since_training

    loaded = desk.loaded()
    return drift_since_training(loaded.model, loaded.crm)


def _found(record: OnRecord, version: int) -> Any:
    for each in record.models:
        if each.version == version:
            return each
    raise HTTPException(404, said("model {version} was not found", version=version))


def _feedback(session: DatabaseSession, caller: Caller, page: int, *, names: bool) -> tuple[list[Said], int]:
    """A page of what people said, and how much there is in all."""
    wanted = visible_feedback(caller.person)
    count = session.scalar(select(func.count()).select_from(wanted.order_by(None).subquery())) or 0
    rows = wanted.options(joinedload(Feedback.person)).limit(_FEEDBACK).offset((page - 1) * _FEEDBACK)
    return said_about(session, caller.person, session.scalars(rows).all(), names=names), count
