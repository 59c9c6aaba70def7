"""Backtests on record in MLflow: what was judged, when, on which tables, and how it came out."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from winpredict.config import Config
from winpredict.locale.text import Text
from winpredict.models._recorded import message_of
from winpredict.models._tracking import ARTIFACTS, DATABASE, NAME, log_charts, mlflow_at, run_at, settings_of

if TYPE_CHECKING:
    import pandas as pd

    from winpredict.models.backtest import Backtest

#: Tables of a backtest that are read back.
BACKTEST_TABLES = ("overall", "by_cutoff", "by_stage", "by_age", "reliability")


def log_backtest(folder: Path, found: "Backtest", *, config: Config, fingerprint: str) -> str:
    """Record a backtest as a run.

    Parameters
    ----------
    folder : Path
        The workspace.
    found : Backtest
    config : Config
    fingerprint : str
        Hash of the tables.

    Returns
    -------
    str
        MLflow's id of the run.
    """
    from winpredict.models.charts import quality_charts

    with run_at(folder, "backtest") as mlflow:
        mlflow.log_params(settings_of(config))
        mlflow.set_tags(
            {"data_fingerprint": fingerprint, "verdict": json.dumps(found.verdict.to_json()), "evaluation": found.kind}
        )
        mlflow.log_metrics(_backtest_metrics(found.overall))
        for name in (*BACKTEST_TABLES, "intervals", "predictions"):
            mlflow.log_text(getattr(found, name).to_csv(), f"{name}.csv")
        log_charts(mlflow, quality_charts(found.predictions["won"], found.predictions[NAME]))
        return str(mlflow.active_run().info.run_id)


@dataclass(frozen=True)
class BacktestRun:
    """A backtest on record.

    Parameters
    ----------
    run_id : str
        MLflow's id of the run.
    at : Timestamp
        When it was made.
    verdict : Text
    fingerprint : str
        Hash of the tables.
    metrics : dict of str to float
        Figures of the model by name, those of baselines as baseline.name.
    """

    run_id: str
    at: "pd.Timestamp"
    verdict: Text
    fingerprint: str
    metrics: dict[str, float]


def list_backtests(folder: Path) -> list[BacktestRun]:
    """Every backtest on record, the latest first."""
    import pandas as pd

    if not (Path(folder) / DATABASE).exists():
        return []
    with mlflow_at(folder) as mlflow:
        client = mlflow.MlflowClient()
        experiments = [each.experiment_id for each in client.search_experiments()]
        runs = client.search_runs(
            experiments, "tags.kind = 'backtest' and attributes.status = 'FINISHED'", order_by=["start_time DESC"]
        )
    return [
        BacktestRun(
            run_id=run.info.run_id,
            at=pd.Timestamp(run.info.start_time, unit="ms", tz="UTC"),
            verdict=_verdict(run.data.tags.get("verdict", "")),
            fingerprint=run.data.tags.get("data_fingerprint", ""),
            metrics=dict(run.data.metrics),
        )
        for run in runs
    ]


def read_backtest(folder: Path) -> "tuple[Text, dict[str, pd.DataFrame]] | None":
    """The latest backtest on record.

    Parameters
    ----------
    folder : Path
        The workspace.

    Returns
    -------
    (verdict, tables), the tables by their names in `BACKTEST_TABLES`, or None where there is none.
    """
    for run in list_backtests(folder):
        tables = read_backtest_tables(folder, run)
        if tables is not None:
            return run.verdict, tables
    return None


def read_backtest_tables(folder: Path, run: BacktestRun) -> "dict[str, pd.DataFrame] | None":
    """The tables of a backtest by their names in `BACKTEST_TABLES`; None where their files are gone."""
    import pandas as pd

    place = Path(folder) / ARTIFACTS / run.run_id / "artifacts"
    if not all((place / f"{name}.csv").exists() for name in BACKTEST_TABLES):
        return None
    return {name: pd.read_csv(place / f"{name}.csv") for name in BACKTEST_TABLES}


def _verdict(recorded: str) -> Text:
    """A verdict on record: a message, or the English words that earlier versions recorded."""
    try:
        return message_of(json.loads(recorded))
    except ValueError:
        return message_of(recorded)


def _backtest_metrics(overall: "pd.DataFrame") -> dict[str, float]:
    """The model's figures by name, every baseline's as baseline.name."""
    figures = {}
    for scorer, row in overall.iterrows():
        prefix = "" if scorer == NAME else f"{scorer}."
        figures.update({f"{prefix}{name}": float(row[name]) for name in row.index if row[name] == row[name]})
    return figures
