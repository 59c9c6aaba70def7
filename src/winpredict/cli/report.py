"""``winpredict report``: reports for managers."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from winpredict._internal.progress import progress
from winpredict.cli.models import model_name
from winpredict.cli.options import (
    AsOfOption,
    ConfigOption,
    JsonOption,
    ModelOption,
    WorkspaceOption,
    existing_workspace,
    moment,
    warn_if_late,
)
from winpredict.cli.output import respond
from winpredict.locale.text import said, texts

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from winpredict.config import Config
    from winpredict.models.registry import ModelVersion
    from winpredict.models.trained import TrainedModel
    from winpredict.report.page import Report
    from winpredict.tables.crm import CRMData
    from winpredict.workspace import Workspace


class Kind(StrEnum):
    """What a report is about."""

    DRIVERS = "drivers"
    PIPELINE = "pipeline"
    FORECAST = "forecast"
    MODEL_CARD = "model-card"


def report(
    kind: Annotated[Kind, typer.Argument(help="What the report is about.")],
    out: Annotated[
        Path, typer.Option("--out", help="File to write: .html, .pdf or .md; its tables are written beside it as CSV.")
    ],
    workspace_folder: WorkspaceOption = None,
    segment: Annotated[
        str | None, typer.Option("--segment", help="Break it down by segment too: customer, size, product, team, ...")
    ] = None,
    as_of: AsOfOption = None,
    judged: Annotated[
        bool,
        typer.Option(
            "--backtest",
            help="forecast: also judge past forecasts. This trains several models, with the settings of --config or "
            "else those of the model.",
        ),
    ] = False,
    config: ConfigOption = None,
    model: ModelOption = "champion",
    as_json: JsonOption = False,
) -> None:
    """Write a report for managers.

    drivers: why deals are won. pipeline: where deals are and where they stall. forecast: bookings to expect, against
    quota. model-card: how good the odds are.

    Example: winpredict report drivers --out drivers.html
    """
    from winpredict.config import load_config
    from winpredict.models.registry import find_model, load_model
    from winpredict.report.writing import require_writable, write_report

    require_writable(out)
    workspace = existing_workspace(workspace_folder)
    version = find_model(workspace.folder, model)
    trained = load_model(workspace.folder, str(version.version))
    day = moment(as_of)
    settings = None
    if kind is Kind.FORECAST and judged:
        settings = _settings_of(version) if config is None else load_config(config)
    with progress(said("report")) as report_progress:
        report = build_report(
            kind,
            workspace,
            trained,
            version,
            report_progress,
            segment=segment,
            day=day,
            settings=settings,
        )
        report_progress(said("drawing"))
        written = write_report(report, out)
    respond(
        {
            "report": str(written[0]),
            "tables": [str(path) for path in written[1:]],
            "summary": [str(each) for each in report.summary],
        },
        lambda console: console.print(
            *[f"- {sentence}" for sentence in report.summary[:5]],
            _written(written[0], len(written) - 1),
            sep="\n",
            soft_wrap=True,
        ),
        as_json=as_json,
    )


def _written(file: Path, tables: int) -> str:
    if not tables:
        return said("Written to {file}", file=file)
    return str(
        texts(
            "Written to {file}, with {n:count} table beside it",
            "Written to {file}, with {n:count} tables beside it",
            file=str(file),
            n=tables,
        )
    )


def build_report(
    kind: Kind,
    workspace: "Workspace",
    model: "TrainedModel",
    version: "ModelVersion",
    report_progress: "Callable[[str], None]",
    *,
    segment: str | None = None,
    day: "pd.Timestamp | None" = None,
    settings: "Config | None" = None,
) -> "Report":
    """A report on a workspace; with settings for models of past days, past forecasts are judged too."""
    if kind is Kind.MODEL_CARD:
        return _model_card(workspace, model, str(model_name(version.version, version.aliases)))
    crm = workspace.crm()
    warn_if_late(day, crm.known_until)
    if kind is Kind.DRIVERS:
        from winpredict.report.drivers import drivers_report

        model.refuse_hindsight(day)
        known = crm if day is None else crm.as_known_at(day)
        return drivers_report(model, known, segment=segment, progress=report_progress)
    if kind is Kind.PIPELINE:
        from winpredict.report.pipeline import pipeline_report

        return pipeline_report(model, crm, segment=segment, as_of=day)
    return _forecast(model, crm, day, settings, report_progress)


def _model_card(workspace: "Workspace", model: "TrainedModel", title: str) -> "Report":
    from winpredict.models.backtest_record import read_backtest
    from winpredict.report.model_card import model_card

    verdict, tables = read_backtest(workspace.folder) or (None, {})
    return model_card(model, name=title, backtest=tables, verdict=verdict)


def _forecast(
    model: "TrainedModel",
    crm: "CRMData",
    day: "pd.Timestamp | None",
    settings: "Config | None",
    report_progress: "Callable[[str], None]",
) -> "Report":
    """The forecast; with settings for models of past days, past forecasts are judged too."""
    from winpredict.insights.forecast_backtest import backtest_forecast
    from winpredict.report.forecast import forecast_report

    model.refuse_hindsight(day)
    past = None
    if settings is not None:
        past = backtest_forecast(crm if day is None else crm.as_known_at(day), settings, progress=report_progress)
    return forecast_report(model, crm, as_of=day, judged=past)


def _settings_of(model: "ModelVersion") -> "Config":
    """The settings that a model was trained with, as they were recorded: name with dots to JSON, or plain text.

    Raises
    ------
    ConfigError
        When another version of winpredict recorded them, with other settings.
    """
    from pydantic import ValidationError

    from winpredict.config import Config
    from winpredict.errors import ConfigError

    values: dict[str, Any] = {}
    for name, text in model.params.items():
        # no deeper: a third part is the name of a feature, which may have dots itself
        *sections, setting = name.split(".", 2)
        place = values
        for section in sections:
            place = place.setdefault(section, {})
        place[setting] = _from_json(text)
    try:
        return Config.model_validate(values)
    except ValidationError:
        raise ConfigError(
            said(
                "the settings of model {version} cannot be read back; name a config file with --config",
                version=model.version,
            )
        ) from None


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
