"""``winpredict train`` and ``winpredict backtest``."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from winpredict._internal.progress import progress
from winpredict.cli.options import AsOfOption, ConfigOption, JsonOption, WorkspaceOption, moment, workspace_at
from winpredict.cli.output import respond, table

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from winpredict.config import Config
    from winpredict.models.backtest import Backtest
    from winpredict.models.registry import ModelVersion
    from winpredict.models.trained import TrainedModel
    from winpredict.tables.buckets import DealBuckets
    from winpredict.tables.crm import CRMData
    from winpredict.workspace import Workspace

_SHOWN_DRIVERS = 15
#: The figures of merit that a terminal has room for, and their formats.
_FORMATS = {
    "log_loss": ".4f",
    "brier": ".4f",
    "auc": ".3f",
    "calibration_slope": ".2f",
    "expected_calibration_error": ".3f",
    "lift_top_decile": ".2f",
    "n": ",.0f",
    "won": ",.0f",
}


def train(
    workspace: WorkspaceOption = None,
    as_of: AsOfOption = None,
    config: ConfigOption = None,
    tune: Annotated[
        bool, typer.Option("--tune", help="Search for better knobs first, see tuning in the config.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Train a calibrated model and register it.

    It sees everything known before a day. The first model becomes champion; later ones are challenger until promoted.

    Example: winpredict train --as-of 2025-03-13
    """
    from winpredict.config import load_config

    knobs = load_config(config)
    place = workspace_at(workspace)
    tables = place.tables()
    day = moment(as_of)
    with place.writing():
        if tune:
            knobs = _tuned(tables, knobs, day)
        model, version, drivers = train_workspace(place, tables, knobs, as_of=day)

    def show(console: "Console") -> None:
        console.print(model.summary())
        for name, reason in model.dropped_attributes.items():
            console.print(f"- attribute {name} is not used: {reason}")
        console.print(table(drivers.head(_SHOWN_DRIVERS), "Top drivers", {"points": ".1%"}))
        console.print(f"registered as version {version.version} ({', '.join(version.aliases)}) in {place.folder}")

    respond(training_facts(model, version, drivers), show, as_json=as_json)


def backtest(
    workspace: WorkspaceOption = None,
    folds: Annotated[
        int | None, typer.Option("--folds", min=1, help="Number of cut-offs; default: the config's.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge the model on past days, beside baselines.

    Train on what was known then, score what was open, compare with what happened.

    Example: winpredict backtest --folds 4
    """
    from winpredict.config import load_config

    knobs = load_config(config)
    place = workspace_at(workspace)
    found, run_id = backtest_workspace(place, place.tables(), knobs, folds=folds)
    respond(backtest_facts(found, run_id), lambda console: show_backtest(console, found), as_json=as_json)


def learning_curve(workspace: WorkspaceOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Tell whether more deals would give better odds.

    Train on growing shares of the deals, and judge each model on the same later ones.

    Example: winpredict learning-curve
    """
    from winpredict.config import load_config
    from winpredict.models.learning_curve import learning_curve as learn

    tables = workspace_at(workspace).tables()
    with progress("learning curve") as say:
        found = learn(tables, load_config(config), progress=say)
    respond(found.to_dict(), lambda console: console.print(found.summary(), soft_wrap=True), as_json=as_json)


def train_workspace(
    place: "Workspace",
    tables: "CRMData | DealBuckets",
    config: "Config",
    *,
    as_of: "pd.Timestamp | None" = None,
) -> "tuple[TrainedModel, ModelVersion, pd.DataFrame]":
    """Train on a workspace's tables and register the model.

    The drivers are those of the deals open then, or where none is open of those it was trained on.
    """
    from winpredict.explain.drivers import top_drivers
    from winpredict.models.registry import log_training
    from winpredict.models.sampling import learning_sample
    from winpredict.models.snapshots import pipeline, training_looks
    from winpredict.models.training import train_on
    from winpredict.workspace import fingerprint

    with progress("training") as say:
        sample = learning_sample(tables, config, as_of)
        known = sample.known
        model = train_on(sample, config, say)
        say("recording the run in MLflow")
        looks = pipeline(known, known.known_until)
        company = None if sample.gather is None else sample.gather(model.recipe.company_facts)
        looks = looks if len(looks) else training_looks(known, config)
        features = model.build_features(known, looks, company=company)
        drivers = top_drivers(model, features)
        version = log_training(
            place.folder, model, config=config, fingerprint=fingerprint(known), example=features, drivers=drivers
        )
    return model, version, drivers


def backtest_workspace(
    place: "Workspace", tables: "CRMData | DealBuckets", config: "Config", *, folds: int | None = None
) -> "tuple[Backtest, str]":
    """Backtest on a workspace's tables and record the run."""
    from winpredict.models.backtest import backtest as backtest_model
    from winpredict.models.backtest_record import log_backtest
    from winpredict.workspace import fingerprint

    with progress("backtest") as say:
        found = backtest_model(tables, config, folds=folds, progress=say)
        say("recording the run in MLflow")
        run_id = log_backtest(place.folder, found, config=config, fingerprint=fingerprint(tables))
    return found, run_id


def show_backtest(console: "Console", found: "Backtest", *, details: bool = True) -> None:
    """The model beside its baselines, with `details` also by cut-off, stage and age, and the verdict."""
    parts = [(found.overall, "Backtest, all cut-offs together")]
    if details:
        parts += [(found.by_cutoff, "By cut-off"), (found.by_stage, "By stage"), (found.by_age, "By age")]
    for frame, title in parts:
        if not frame.empty:
            console.print(table(_figures(frame), title, _FORMATS))
    console.print(found.verdict)


def _figures(frame: "pd.DataFrame") -> "pd.DataFrame":
    shown = [name for name in _FORMATS if name in frame]
    return frame[shown].reset_index()


def training_facts(model: "TrainedModel", version: "ModelVersion", drivers: "pd.DataFrame") -> dict[str, Any]:
    """What ``train --json`` prints."""
    return {
        "version": version.version,
        "aliases": version.aliases,
        "run_id": version.run_id,
        "trained_as_of": model.trained_as_of,
        "figures": model.figures,
        "features": len(model.info),
        "attributes": model.attributes,
        "dropped_attributes": model.dropped_attributes,
        "notes": model.notes,
        "drivers": drivers,
    }


def backtest_facts(found: "Backtest", run_id: str) -> dict[str, Any]:
    """What ``backtest --json`` prints."""
    return {
        "verdict": found.verdict,
        "kind": found.kind,
        "still_open": found.still_open,
        "run_id": run_id,
        "overall": found.overall.reset_index(),
        "intervals": found.intervals.reset_index(),
        "by_cutoff": found.by_cutoff.reset_index(),
        "by_stage": found.by_stage.reset_index(),
        "by_age": found.by_age.reset_index(),
        "comparisons": found.comparisons,
    }


def _tuned(tables: "CRMData | DealBuckets", config: "Config", as_of: "pd.Timestamp | None") -> "Config":
    from winpredict.models.sampling import learning_sample
    from winpredict.models.tuning import tune

    with progress("tuning") as say:
        return tune(learning_sample(tables, config, as_of).exported, config, as_of=as_of, progress=say)
