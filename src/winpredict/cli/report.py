"""``winpredict report``: reports for managers."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from winpredict._internal.progress import progress
from winpredict.cli.options import (
    AsOfOption,
    ConfigOption,
    JsonOption,
    ModelOption,
    WorkspaceOption,
    existing_workspace,
    moment,
)
from winpredict.cli.output import respond

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
    out: Annotated[Path, typer.Option("--out", help="File to write: .html, .pdf or .md; tables go beside it as CSV.")],
    workspace: WorkspaceOption = None,
    segment: Annotated[
        str | None, typer.Option("--segment", help="Tell it by segment too: customer, size, product, team, ...")
    ] = None,
    as_of: AsOfOption = None,
    judged: Annotated[
        bool,
        typer.Option(
            "--backtest",
            help="forecast: judge past forecasts too, which trains several models, with the knobs of --config or else "
            "those of the model.",
        ),
    ] = False,
    config: ConfigOption = None,
    locale: Annotated[str, typer.Option("--locale", help="How numbers and dates are written.")] = "en_US",
    model: ModelOption = "champion",
    as_json: JsonOption = False,
) -> None:
    """Write a report for managers.

    drivers: why deals are won. pipeline: where deals stand and stall. forecast: what will be booked. model-card: how
    good the odds are.

    Example: winpredict report drivers --out drivers.html
    """
    from winpredict.config import load_config
    from winpredict.models.registry import find_model, load_model
    from winpredict.report.writing import require_writable, write_report

    require_writable(out, locale)
    place = existing_workspace(workspace)
    found = find_model(place.folder, model)
    trained = load_model(place.folder, str(found.version))
    day = moment(as_of)
    knobs = None
    if kind is Kind.FORECAST and judged:
        knobs = _knobs_of(found) if config is None else load_config(config)
    with progress("report") as say:
        made = made_report(kind, place, trained, found, say, segment=segment, day=day, knobs=knobs, locale=locale)
        say("drawing")
        written = write_report(made, out, locale=locale)
    respond(
        {"report": str(written[0]), "tables": [str(path) for path in written[1:]], "summary": list(made.summary)},
        lambda console: console.print(
            *[f"- {sentence}" for sentence in made.summary[:5]],
            f"written to {written[0]}, with {len(written) - 1} files beside it",
            sep="\n",
            soft_wrap=True,
        ),
        as_json=as_json,
    )


def made_report(
    kind: Kind,
    place: "Workspace",
    model: "TrainedModel",
    version: "ModelVersion",
    say: "Callable[[str], None]",
    *,
    segment: str | None = None,
    day: "pd.Timestamp | None" = None,
    knobs: "Config | None" = None,
    locale: str = "en_US",
) -> "Report":
    """A report on a workspace; with knobs for models of past days, past forecasts are judged too."""
    if kind is Kind.MODEL_CARD:
        return _model_card(place, model, _title(version.version, version.aliases), locale)
    crm = place.crm()
    if kind is Kind.DRIVERS:
        from winpredict.report.drivers import drivers_report

        model.refuse_hindsight(day)
        known = crm if day is None else crm.as_known_at(day)
        return drivers_report(model, known, segment=segment, locale=locale, progress=say)
    if kind is Kind.PIPELINE:
        from winpredict.report.pipeline import pipeline_report

        return pipeline_report(model, crm, segment=segment, as_of=day, locale=locale)
    return _forecast(model, crm, day, knobs, locale, say)


def _model_card(place: "Workspace", model: "TrainedModel", title: str, locale: str) -> "Report":
    from winpredict.models.backtest_record import read_backtest
    from winpredict.report.model_card import model_card

    verdict, tables = read_backtest(place.folder) or ("", {})
    return model_card(model, name=title, backtest=tables, verdict=verdict, locale=locale)


def _forecast(
    model: "TrainedModel",
    crm: "CRMData",
    day: "pd.Timestamp | None",
    knobs: "Config | None",
    locale: str,
    say: "Callable[[str], None]",
) -> "Report":
    """The forecast; with knobs for models of past days, past forecasts are judged too."""
    from winpredict.insights.forecast_backtest import backtest_forecast
    from winpredict.report.forecast import forecast_report

    model.refuse_hindsight(day)
    past = None
    if knobs is not None:
        past = backtest_forecast(crm if day is None else crm.as_known_at(day), knobs, progress=say)
    return forecast_report(model, crm, as_of=day, judged=past, locale=locale)


def _knobs_of(model: "ModelVersion") -> "Config":
    """The knobs that a model was trained with, as they were recorded: name with dots to JSON, or plain text.

    Raises
    ------
    ConfigError
        When another version of winpredict recorded them, with other knobs.
    """
    from pydantic import ValidationError

    from winpredict.config import Config
    from winpredict.errors import ConfigError

    values: dict[str, Any] = {}
    for name, text in model.params.items():
        # no deeper: a third part is the name of a feature, which may have dots itself
        *sections, knob = name.split(".", 2)
        place = values
        for section in sections:
            place = place.setdefault(section, {})
        place[knob] = _from_json(text)
    try:
        return Config.model_validate(values)
    except ValidationError:
        raise ConfigError(
            f"the knobs of model {model.version} cannot be read back; name a file of knobs with --config"
        ) from None


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _title(version: int, aliases: tuple[str, ...]) -> str:
    return f"version {version}" + (f" ({', '.join(aliases)})" if aliases else "")
