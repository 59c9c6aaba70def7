"""``winpredict train`` and ``winpredict backtest``."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from winpredict._internal.progress import progress
from winpredict.cli.models import DRIVER_COLUMNS, named_drivers
from winpredict.cli.options import AsOfOption, ConfigOption, JsonOption, WorkspaceOption, moment, workspace_at
from winpredict.cli.output import Column, respond, table
from winpredict.locale import formats
from winpredict.locale.text import Text, said, text, texts
from winpredict.workflows.reporting import model_name
from winpredict.workflows.training import backtest_workspace, train_workspace

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from winpredict.config import Config
    from winpredict.models.backtest import Backtest
    from winpredict.models.learning_curve import LearningCurve
    from winpredict.models.registry import ModelVersion
    from winpredict.models.trained import TrainedModel
    from winpredict.tables.buckets import DealBuckets
    from winpredict.tables.crm import CRMData

_SHOWN_DRIVERS = 15
#: The figures of merit that a terminal has room for.
_FIGURES = {
    "log_loss": Column(text("Log loss"), "precise"),
    "brier": Column(text("Brier score"), "precise"),
    "auc": Column(text("AUC"), "precise"),
    "calibration_slope": Column(text("Calibration slope"), "precise"),
    "expected_calibration_error": Column(text("Calibration error"), "precise"),
    "lift_top_decile": Column(text("Lift"), "multiple"),
    "n": Column(text("Deals scored"), "count"),
    "won": Column(text("Won deals"), "count"),
}
_SCORER = Column(text("Scorer"))
#: The model goes by its own name.
_SCORERS: Mapping[str, Text] = {
    "overall_rate": text("overall win rate"),
    "stage_win_rate": text("win rate of the stage"),
    "naive_bayes": text("frequency tables (naive Bayes)"),
    "logistic": text("logistic regression"),
}
#: What segments of a backtest may be called, other than stages of the CRM.
_SEGMENTS = (
    (re.compile(r"(?P<low>\d+) to (?P<high>\d+) days"), text("{low:count} to {high:count}")),
    (re.compile(r"(?P<low>\d+)\+ days"), text("{low:count} or more")),
    (re.compile(r"fold (?P<n>\d+)"), text("fold {n:count}")),
)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_CURVE = {
    "share": Column(text("Share of the deals"), "percent"),
    "deals": Column(text("Closed deals"), "count"),
    "won": Column(text("Won deals"), "count"),
    "snapshots": Column(text("Snapshots"), "count"),
    "log_loss": _FIGURES["log_loss"],
    "brier": _FIGURES["brier"],
    "auc": _FIGURES["auc"],
    "difference": Column(text("Change of the log loss"), "precise"),
    "low_80": Column(text("From (80%)"), "precise"),
    "high_80": Column(text("To (80%)"), "precise"),
}


def train(
    workspace_folder: WorkspaceOption = None,
    as_of: AsOfOption = None,
    config: ConfigOption = None,
    tune: Annotated[
        bool, typer.Option("--tune", help="Search for better settings first; see tuning in the config.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Train a calibrated model and register it.

    It learns from what was known before a day. The first model becomes the champion; later ones are challengers until
    promoted.

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
        with progress(said("training")) as report_progress:
            trained = train_workspace(workspace, tables, settings, as_of=day, progress=report_progress)
        model, version, drivers = trained

    def show(console: "Console") -> None:
        console.print("\n- ".join(map(str, [model.trained_on, *model.notes])), soft_wrap=True)
        read = {each.column for each in model.recipe.wording}
        for name, reason in model.dropped_attributes.items():
            if name in read:  # the notes tell which of its words are used
                continue
            console.print(said("- attribute {name} is not used: {reason}", name=name, reason=reason), soft_wrap=True)
        labels = {each.name: each.label for each in model.info}
        top = named_drivers(drivers.head(_SHOWN_DRIVERS), labels)
        console.print(table(top, said("Top drivers"), DRIVER_COLUMNS))
        registered = said(
            "Registered as {model} in {folder}",
            model=model_name(version.version, version.aliases),
            folder=workspace.folder,
        )
        console.print(registered, soft_wrap=True)

    respond(training_facts(model, version, drivers), show, as_json=as_json)


def backtest(
    workspace_folder: WorkspaceOption = None,
    folds: Annotated[
        int | None, typer.Option("--folds", min=1, help="Number of cutoffs; by default that of the config.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge the model on past days, compared with baselines.

    Train on what was known then, score what was open, and compare with the outcomes.

    Example: winpredict backtest --folds 4
    """
    from winpredict.config import load_config

    settings = load_config(config)
    workspace = workspace_at(workspace_folder)
    with progress(said("backtest")) as report_progress:
        tables = workspace.tables()
        result, run_id = backtest_workspace(workspace, tables, settings, folds=folds, progress=report_progress)
    respond(backtest_facts(result, run_id), lambda console: show_backtest(console, result), as_json=as_json)


def learning_curve(
    workspace_folder: WorkspaceOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Find out whether more deals would give better odds.

    Train on growing shares of the deals, and judge each model on the same later deals.

    Example: winpredict learning-curve
    """
    from winpredict.config import load_config
    from winpredict.models.learning_curve import learning_curve as learn

    tables = workspace_at(workspace_folder).tables()
    with progress(said("learning curve")) as report_progress:
        curve = learn(tables, load_config(config), progress=report_progress)
    respond(curve.to_dict(), lambda console: _show_curve(console, curve), as_json=as_json)


def show_backtest(console: "Console", result: "Backtest", *, details: bool = True) -> None:
    """The model beside its baselines, with `details` also by cutoff, stage and age, and the verdict."""
    console.print(table(_named_rows(result.overall), said("Backtest, all cutoffs together"), _by(None)))
    if details:
        segments = (
            (result.by_cutoff, said("Backtest by cutoff"), text("Cutoff")),
            (result.by_stage, said("Backtest by stage"), text("Stage")),
            (result.by_age, said("Backtest by age"), text("Age in days")),
        )
        for frame, title, head in segments:
            if not frame.empty:
                console.print(table(_named_rows(frame), title, _by(head)))
    for words in filter(None, (result.remark, str(result.verdict))):
        console.print(words, soft_wrap=True)


def _by(head: Text | None) -> dict[str, Column]:
    """Columns of a table of a backtest, of which each row is about a segment and a scorer, or a scorer alone."""
    segment = {} if head is None else {"segment": Column(head)}
    return segment | {"scorer": _SCORER} | _FIGURES


def _named_rows(frame: "pd.DataFrame") -> "pd.DataFrame":
    """The rows of a backtest's table, the model before its baselines, with what each is about as people read it."""
    is_by_segment = frame.index.nlevels > 1
    rows = frame.rename_axis(["segment", "scorer"] if is_by_segment else ["scorer"]).reset_index()
    if is_by_segment:
        # ages and folds go by their number
        number = rows["segment"].str.extract(r"^(?:fold )?(\d+)(?:\+ days| to \d+ days)?$")[0].astype(float)
        order = rows.assign(number=number, is_baseline=rows["scorer"].isin(list(_SCORERS)))
        rows = rows.loc[order.sort_values(["number", "segment", "is_baseline"]).index]
        rows["segment"] = [_segment_name(str(name)) for name in rows["segment"]]
    return rows.assign(scorer=[str(_SCORERS.get(name, name)) for name in rows["scorer"]])


def _segment_name(name: str) -> str:
    """A cutoff, a fold, an age, or a stage as the CRM has it."""
    for pattern, words in _SEGMENTS:
        if match := pattern.fullmatch(name):
            return str(words.with_values(**{key: int(value) for key, value in match.groupdict().items()}))
    return formats.day(name) if _DAY.fullmatch(name) else name


def _show_curve(console: "Console", curve: "LearningCurve") -> None:
    title = texts(
        "Learning curve as of {day:day}, judged on {n:count} deal",
        "Learning curve as of {day:day}, judged on {n:count} deals",
        day=curve.cutoff,
        n=len(curve.predictions),
    )
    console.print(table(curve.figures, str(title), _CURVE))
    for words in (*curve.remarks, curve.verdict):
        console.print(words, soft_wrap=True)


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
        "dropped_attributes": {name: str(reason) for name, reason in model.dropped_attributes.items()},
        "notes": [str(note) for note in model.notes],
        "drivers": drivers,
    }


def backtest_facts(result: "Backtest", run_id: str) -> dict[str, Any]:
    """What ``backtest --json`` prints."""
    return {
        "verdict": str(result.verdict),
        "remark": result.remark,
        "kind": result.kind,
        "still_open": result.still_open,
        "run_id": run_id,
        "overall": result.overall.reset_index(),
        "intervals": result.intervals.reset_index(),
        "by_cutoff": result.by_cutoff.reset_index(),
        "by_stage": result.by_stage.reset_index(),
        "by_age": result.by_age.reset_index(),
        "comparisons": result.comparisons,
    }


def _tuned(tables: "CRMData | DealBuckets", config: "Config", as_of: "pd.Timestamp | None") -> "Config":
    from winpredict.models.sampling import learning_sample
    from winpredict.models.tuning import tune

    with progress(said("tuning")) as report_progress:
        return tune(learning_sample(tables, config, as_of).exported, config, as_of=as_of, progress=report_progress)
