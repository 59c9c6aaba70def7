"""What the pages of models show, made ready from the record of MLflow and from the database."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from winpredict.app.pages.tables import records_of

if TYPE_CHECKING:
    import pandas as pd

    from winpredict.features.description import FeatureInfo
    from winpredict.models.backtest_record import BacktestRun
    from winpredict.models.drift import Drift
    from winpredict.models.registry import ModelVersion

_DRIVERS, _SHIFTS, _BACKTESTS = 15, 12, 10
_SCORERS = {
    "winpredict": "winpredict",
    "overall_rate": "overall win rate",
    "stage_win_rate": "win rate of the stage",
    "naive_bayes": "frequency tables (naive Bayes)",
    "logistic": "logistic regression",
}
#: Figures of merit: name on record, words, format, and what is good.
FIGURES = (
    ("log_loss", "Log loss", ".3f", "lower is better"),
    ("brier", "Brier score", ".3f", "lower is better"),
    ("auc", "AUC", ".3f", "higher is better"),
    ("calibration_slope", "Calibration slope", ".2f", "1 is right"),
    ("expected_calibration_error", "Calibration error", ".3f", "lower is better"),
)


@dataclass(frozen=True)
class OnRecord:
    """Models and backtests, as MLflow has them.

    Parameters
    ----------
    models : list of ModelVersion
        The latest first.
    backtests : list of BacktestRun
        The latest first.
    judged : BacktestRun or None
        The latest one whose tables are there.
    tables : dict of str to DataFrame, or None
        Its tables.
    """

    models: "list[ModelVersion]"
    backtests: "list[BacktestRun]"
    judged: "BacktestRun | None"
    tables: "dict[str, pd.DataFrame] | None"

    @property
    def champion(self) -> "ModelVersion | None":
        """The model in use."""
        return next((each for each in self.models if "champion" in each.aliases), None)


@dataclass(frozen=True)
class Described:
    """What a model looks at.

    Parameters
    ----------
    drivers : list of dict
        sentence, builder and points of the features that move its odds most.
    features : dict of str to list of FeatureInfo
        By builder.
    audited : list of str
        Attributes without a history that the leakage audit let pass.
    dropped : dict of str to str
        Those that it did not, with the reason.
    settings : list of (str, str)
    """

    drivers: list[dict[str, Any]]
    features: "dict[str, list[FeatureInfo]]"
    audited: list[str]
    dropped: dict[str, str]
    settings: list[tuple[str, str]]

    @property
    def count(self) -> int:
        """Features in all."""
        return sum(map(len, self.features.values()))


def on_record(folder: Path) -> OnRecord:
    """Read models and backtests of a workspace."""
    from winpredict.models.backtest_record import list_backtests, read_backtest_tables
    from winpredict.models.registry import list_models

    backtests = list_backtests(folder)
    for run in backtests:
        tables = read_backtest_tables(folder, run)
        if tables is not None:
            return OnRecord(list_models(folder), backtests[:_BACKTESTS], run, tables)
    return OnRecord(list_models(folder), backtests[:_BACKTESTS], None, None)


def described(folder: Path, model: "ModelVersion") -> Described:
    """Read what was logged with a model."""
    from winpredict.models.registry import read_drivers, read_dropped_attributes, read_features

    by_builder: dict[str, list[FeatureInfo]] = {}
    for each in read_features(folder, model):
        by_builder.setdefault(each.builder, []).append(each)
    drivers = read_drivers(folder, model)
    return Described(
        drivers=[] if drivers.empty else records_of(drivers.nlargest(_DRIVERS, "points")),
        features=by_builder,
        audited=[str(each.label) for each in by_builder.get("Attributes", [])],
        dropped=read_dropped_attributes(folder, model),
        settings=sorted(model.params.items()),
    )


def scorer_rows(record: OnRecord) -> list[dict[str, Any]]:
    """The latest backtest: the model and its baselines, one row each."""
    if record.tables is None:
        return []
    return [
        {"name": _SCORERS.get(str(row["scorer"]), str(row["scorer"]).replace("_", " "))}
        | {name: _figure(row.get(name), form) for name, _, form, _ in FIGURES}
        | {"odds": _figure(row.get("n"), ",.0f")}
        for row in records_of(record.tables["overall"])
    ]


def shift_rows(drift: "Drift") -> list[dict[str, str]]:
    """The features that have moved most, in words."""
    return [
        {
            "sentence": f"{row['sentence']}: {row['category']}" if row["unit"] == "category" else row["sentence"],
            "then": _typical(row["then"], row["unit"]),
            "now": _typical(row["now"], row["unit"]),
            "shift": _shift(row["shift"], row["unit"]),
            "is_clear": "yes" if row["is_clear"] else "no",
        }
        for row in records_of(drift.features.head(_SHIFTS))
    ]


def _figure(value: Any, form: str) -> str:
    return "–" if value is None else format(float(value), form)


def _typical(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    if unit in ("category", "share"):
        return f"{value:.0%}"
    if unit == "points":
        return f"{100 * value:+.1f} points".replace("-", "−")
    return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _shift(value: float, unit: str) -> str:
    return f"{value:.0%} of deals" if unit == "category" else f"{value:.2f} sd"
