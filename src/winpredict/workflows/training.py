"""Train and backtest on what a workspace holds, and put it on record there."""

from dataclasses import replace
from typing import TYPE_CHECKING

from winpredict._internal.progress import Progress
from winpredict.locale.text import said

if TYPE_CHECKING:
    import pandas as pd

    from winpredict.config import Config
    from winpredict.models.backtest import Backtest
    from winpredict.models.registry import ModelVersion
    from winpredict.models.trained import TrainedModel
    from winpredict.tables.buckets import DealBuckets
    from winpredict.tables.crm import CRMData
    from winpredict.workspace import Workspace


def train_workspace(
    workspace: "Workspace",
    tables: "CRMData | DealBuckets",
    config: "Config",
    *,
    as_of: "pd.Timestamp | None" = None,
    progress: Progress | None = None,
) -> "tuple[TrainedModel, ModelVersion, pd.DataFrame]":
    """Train on a workspace's tables and register the model.

    Parameters
    ----------
    workspace : Workspace
        Its lock is held.
    tables : CRMData or DealBuckets
    config : Config
    as_of : Timestamp, optional
        Learn as if on that day.
    progress : callable, optional
        Called with a few words before each step.

    Returns
    -------
    (TrainedModel, ModelVersion, DataFrame)
        The last are the drivers, of the deals open then, or where none is open of those it was trained on.
    """
    from winpredict.explain.drivers import top_drivers
    from winpredict.explain.effects import adjusted_effects
    from winpredict.models.registry import log_training
    from winpredict.models.sampling import learning_sample
    from winpredict.models.snapshots import pipeline, training_snapshots
    from winpredict.models.training import train_on
    from winpredict.workspace import fingerprint

    sample = learning_sample(tables, config, as_of)
    known = sample.known
    model = train_on(sample, config, progress)
    # what next steps cite: whether deals alike at the start were won more often with it
    effects = adjusted_effects(known, attributes=model.attributes, seed=config.seed)
    model = replace(model, effects=effects.intervals())
    if progress:
        progress(said("recording the run in MLflow"))
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
    workspace: "Workspace",
    tables: "CRMData | DealBuckets",
    config: "Config",
    *,
    folds: int | None = None,
    progress: Progress | None = None,
) -> "tuple[Backtest, str]":
    """Backtest on a workspace's tables and record the run.

    Parameters
    ----------
    workspace, tables, config, progress
        As for `train_workspace`.
    folds : int, optional
        As for `winpredict.models.backtest.backtest`.

    Returns
    -------
    (Backtest, str)
        The last is MLflow's id of the run.
    """
    from winpredict.models.backtest import backtest
    from winpredict.models.backtest_record import log_backtest
    from winpredict.workspace import fingerprint

    result = backtest(tables, config, folds=folds, progress=progress)
    if progress:
        progress(said("recording the run in MLflow"))
    return result, log_backtest(workspace.folder, result, config=config, fingerprint=fingerprint(tables))
