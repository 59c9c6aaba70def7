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
    workspace_folder: WorkspaceOption = None,
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

    settings = load_config(config)
    workspace = workspace_at(workspace_folder)
    tables = workspace.tables()
    day = moment(as_of)
    with workspace.writing():
        if tune:
            settings = _tuned(tables, settings, day)
        model, version, drivers = train_workspace(workspace, tables, settings, as_of=day)

    def show(console: "Console") -> None:
        console.print(model.summary())
        read = {each.column for each in model.recipe.wording}
        for name, reason in model.dropped_attributes.items():
            if name in read:  # the notes tell which of its words are used
                continue
            console.print(f"- attribute {name} is not used: {reason}")
        console.print(table(drivers.head(_SHOWN_DRIVERS), "Top drivers", {"points": ".1%"}))
        console.print(f"registered as version {version.version} ({', '.join(version.aliases)}) in {workspace.folder}")

    respond(training_facts(model, version, drivers), show, as_json=as_json)


def backtest(
    workspace_folder: WorkspaceOption = None,
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

    settings = load_config(config)
    workspace = workspace_at(workspace_folder)
    found, run_id = backtest_workspace(workspace, workspace.tables(), settings, folds=folds)
    respond(backtest_facts(found, run_id), lambda console: show_backtest(console, found), as_json=as_json)


def learning_curve(
    workspace_folder: WorkspaceOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Tell whether more deals would give better odds.

    Train on growing shares of the deals, and judge each model on the same later ones.

    Example: winpredict learning-curve
    """
    from winpredict.config import load_config
    from winpredict.models.learning_curve import learning_curve as learn

    tables = workspace_at(workspace_folder).tables()
    with progress("learning curve") as report_progress:
        found = learn(tables, load_config(config), progress=report_progress)
    respond(found.to_dict(), lambda console: console.print(found.summary(), soft_wrap=True), as_json=as_json)


def train_workspace(
    workspace: "Workspace",
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
    from winpredict.models.snapshots import pipeline, training_snapshots
    from winpredict.models.training import train_on
    from winpredict.workspace import fingerprint

    with progress("training") as report_progress:
        sample = learning_sample(tables, config, as_of)
        known = sample.known
        model = train_on(sample, config, report_progress)
        report_progress("recording the run in MLflow")
        snapshots = pipeline(known, known.known_until)
        cross_deal_history = None if sample.gather is None else sample.gather(model.recipe.cross_deal_facts)
        snapshots = snapshots if len(snapshots) else training_snapshots(known, config)
        features = model.build_features(known, snapshots, cross_deal_history=cross_deal_history)
        drivers = top_drivers(model, features)
        version = log_training(
            workspace.folder, model, config=config, fingerprint=fingerprint(known), example=features, drivers=drivers
        )
    return model, version, drivers


def backtest_workspace(
    workspace: "Workspace", tables: "CRMData | DealBuckets", config: "Config", *, folds: int | None = None
) -> "tuple[Backtest, str]":
    """Backtest on a workspace's tables and record the run."""
    from winpredict.models.backtest import backtest as backtest_model
    from winpredict.models.backtest_record import log_backtest
    from winpredict.workspace import fingerprint

    with progress("backtest") as report_progress:
        found = backtest_model(tables, config, folds=folds, progress=report_progress)
        report_progress("recording the run in MLflow")
        run_id = log_backtest(workspace.folder, found, config=config, fingerprint=fingerprint(tables))
    return found, run_id


def show_backtest(console: "Console", found: "Backtest", *, details: bool = True) -> None:
    """The model beside its baselines, with `details` also by cut-off, stage and age, and the verdict."""
    parts = [(found.overall, "Backtest, all cut-offs together")]
    if details:
        parts += [(found.by_cutoff, "By cut-off"), (found.by_stage, "By stage"), (found.by_age, "By age")]
    for frame, title in parts:
        if not frame.empty:
            console.print(table(_figures(frame), title, _FORMATS))
    for words in filter(None, (found.remark, found.verdict)):
        console.print(words, soft_wrap=True)


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
        "remark": found.remark,
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

    with progress("tuning") as report_progress:
        return tune(learning_sample(tables, config, as_of).exported, config, as_of=as_of, progress=report_progress)
