"""Reports on a workspace: drivers, pipeline, forecast, and the card of a model."""

import json
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from winpredict.locale.text import Text, said, text

if TYPE_CHECKING:
    import pandas as pd

    from winpredict.config import Config
    from winpredict.models.registry import ModelVersion
    from winpredict.models.trained import TrainedModel
    from winpredict.report.page import Report
    from winpredict.tables.crm import CRMData
    from winpredict.workspace import Workspace


_ALIASES: Mapping[str, Text] = {"champion": text("champion"), "challenger": text("challenger")}


class Kind(StrEnum):
    """What a report is about."""

    DRIVERS = "drivers"
    PIPELINE = "pipeline"
    FORECAST = "forecast"
    MODEL_CARD = "model-card"


def build_report(
    kind: Kind,
    workspace: "Workspace",
    model: "TrainedModel",
    *,
    title: str = "",
    segment: str | None = None,
    day: "pd.Timestamp | None" = None,
    settings: "Config | None" = None,
    progress: "Callable[[str], None] | None" = None,
) -> "Report":
    """A report on a workspace.

    Parameters
    ----------
    kind : Kind
    workspace : Workspace
    model : TrainedModel
    title : str
        What the model is called on its card.
    segment : str, optional
        Break it down by segment too: customer, size, product, team, ...
    day : Timestamp, optional
        As things were known then; by default at the end of the data.
    settings : Config, optional
        For models of past days: with it a forecast is judged by past forecasts too.
    progress : callable, optional
        Called with words for what is under way.

    Returns
    -------
    Report

    Raises
    ------
    WinPredictError
        When the model was trained on later facts than the day, or there is no such segment.
    """
    progress = progress or (lambda words: None)
    if kind is Kind.MODEL_CARD:
        return _model_card(workspace, model, title)
    crm = workspace.crm()
    if kind is Kind.DRIVERS:
        from winpredict.report.drivers import drivers_report

        model.refuse_hindsight(day)
        known = crm if day is None else crm.as_known_at(day)
        return drivers_report(model, known, segment=segment, progress=progress)
    if kind is Kind.PIPELINE:
        from winpredict.report.pipeline import pipeline_report

        return pipeline_report(model, crm, segment=segment, as_of=day)
    return _forecast(model, crm, day, settings, progress)


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
    progress: "Callable[[str], None]",
) -> "Report":
    """The forecast; with settings for models of past days, past forecasts are judged too."""
    from winpredict.insights.forecast_backtest import backtest_forecast
    from winpredict.report.forecast import forecast_report

    model.refuse_hindsight(day)
    past = None
    if settings is not None:
        past = backtest_forecast(crm if day is None else crm.as_known_at(day), settings, progress=progress)
    return forecast_report(model, crm, as_of=day, judged=past)


def recorded_settings(model: "ModelVersion") -> "Config":
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
    for name, value in model.params.items():
        # no deeper: a third part is the name of a feature, which may have dots itself
        *sections, setting = name.split(".", 2)
        place = values
        for section in sections:
            place = place.setdefault(section, {})
        place[setting] = _from_json(value)
    try:
        return Config.model_validate(values)
    except ValidationError:
        raise ConfigError(
            said(
                "the settings of model {version} cannot be read back; name a config file with --config",
                version=model.version,
            )
        ) from None


def _from_json(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


def model_name(version: int, aliases: Sequence[str]) -> Text:
    """A model by its version and its aliases."""
    if not aliases:
        return text("version {version}", version=version)
    return text("version {version} ({aliases:listed})", version=version, aliases=named_aliases(aliases))


def named_aliases(aliases: Sequence[str]) -> list[Text | str]:
    """Aliases of a model as people read them."""
    return [_ALIASES.get(alias, alias) for alias in aliases]
