"""Trained models: versions, aliases and figures."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException
from pydantic import BaseModel, Field

from winpredict.app.api.contract import OF_MODELS, TaggedRoute, documented
from winpredict.app.api.tables import plain
from winpredict.app.desk import Desk
from winpredict.app.identity import Caller, DeskOfRequest
from winpredict.locale.text import said

router = APIRouter(tags=["models"], route_class=TaggedRoute)
Reader = Annotated[Caller, Depends(OF_MODELS)]


class ModelVersion(BaseModel):
    """A registered model."""

    version: int
    aliases: list[str] = Field(description="champion is used for scoring; challenger was not promoted")
    created_at: datetime
    trained_as_of: datetime | None = Field(description="facts recorded at or after this moment were not seen")
    fingerprint: str = Field(description="hash of the tables it was trained on")
    metrics: dict[str, float | None]
    notes: list[str]


class Model(ModelVersion):
    """A registered model with its knobs."""

    params: dict[str, str]


class Backtest(BaseModel):
    """How the latest backtest judged the way of training: log loss and the like by scorer."""

    verdict: str
    overall: list[dict[str, Any]]


class ModelList(BaseModel):
    """All registered models, the latest first."""

    models: list[ModelVersion]
    backtest: Backtest | None


@router.get("/models", summary="Registered models", **documented(scope="models"))
def models(desk: DeskOfRequest, caller: Reader) -> ModelList:
    """All versions, and the latest backtest."""
    from winpredict.models.backtest_record import read_backtest
    from winpredict.models.registry import list_models

    judged = read_backtest(desk.workspace.folder)
    return ModelList(
        models=[ModelVersion.model_validate(_described(each)) for each in list_models(desk.workspace.folder)],
        backtest=None if judged is None else Backtest(verdict=str(judged[0]), overall=_overall(judged[1]["overall"])),
    )


@router.get("/models/{which}", summary="A registered model", **documented(404, scope="models"))
def model(desk: DeskOfRequest, caller: Reader, which: str) -> Model:
    """One version, by its number or by its alias: champion or challenger."""
    return Model.model_validate(_found(desk, which))


def _found(desk: Desk, which: str) -> dict[str, Any]:
    from winpredict.models.registry import list_models

    for each in list_models(desk.workspace.folder):
        if which in (str(each.version), *each.aliases):
            return _described(each)
    raise HTTPException(404, said("there is no such model; GET /api/v1/models lists them"))


def _described(found: Any) -> dict[str, Any]:
    told: dict[str, Any] = found.to_dict()
    figures = {name: plain(value) for name, value in told["metrics"].items()}
    return told | {"metrics": figures, "trained_as_of": told["trained_as_of"] or None}


def _overall(table: Any) -> list[dict[str, Any]]:
    return [{str(name): plain(value) for name, value in row.items()} for row in table.to_dict("records")]
