"""What the pages of models show, made ready from the record of MLflow and from the database."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from winpredict.app.pages.tables import records_of
from winpredict.locale import formats
from winpredict.locale.text import Text, said, text, texts

if TYPE_CHECKING:
    import pandas as pd

    from winpredict.features.description import FeatureInfo
    from winpredict.models.backtest_record import BacktestRun
    from winpredict.models.drift import Drift
    from winpredict.models.registry import ModelVersion

_DRIVERS, _SHIFTS, _BACKTESTS = 15, 12, 10
_SCORERS = {
    "winpredict": "winpredict",
    "overall_rate": text("overall win rate"),
    "stage_win_rate": text("win rate of the stage"),
    "naive_bayes": text("frequency tables (naive Bayes)"),
    "logistic": text("logistic regression"),
}
_LOWER = text("lower is better")
#: Figures of merit: name on record, words, and what is good.
FIGURES = (
    ("log_loss", text("Log loss"), _LOWER),
    ("brier", text("Brier score"), _LOWER),
    ("auc", text("AUC"), text("higher is better")),
    ("calibration_slope", text("Calibration slope"), text("1 is right")),
    ("expected_calibration_error", text("Calibration error"), _LOWER),
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
        label, builder and points of the features that move its odds most.
    features : dict of str to list of FeatureInfo
        By builder.
    audited : list of Text
        Attributes without a history that the leakage audit let pass.
    dropped : dict of str to Text
        Those that it did not, with the reason.
    settings : list of (str, str)
    """

    drivers: list[dict[str, Any]]
    features: "dict[str, list[FeatureInfo]]"
    audited: list[Text]
    dropped: dict[str, Text]
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
    features = read_features(folder, model)
    labels = {each.name: each.label for each in features}
    for each in features:
        by_builder.setdefault(each.builder, []).append(each)
    drivers = read_drivers(folder, model)
    return Described(
        drivers=[]
        if drivers.empty
        else [
            # as it was worded when it was recorded, where the feature itself is not on record
            row | {"label": labels.get(row["feature"], row["sentence"])}
            for row in records_of(drivers.nlargest(_DRIVERS, "points"))
        ],
        features=by_builder,
        audited=[each.label for each in by_builder.get("Attributes", [])],
        dropped=read_dropped_attributes(folder, model),
        settings=sorted(model.params.items()),
    )


def scorer_rows(record: OnRecord) -> list[dict[str, Any]]:
    """The latest backtest: the model and its baselines, one row each."""
    if record.tables is None:
        return []
    return [
        {"name": _SCORERS.get(str(row["scorer"]), str(row["scorer"]).replace("_", " "))}
        | {name: row.get(name) for name, _, _ in FIGURES}
        | {"odds": row.get("n")}
        for row in records_of(record.tables["overall"])
    ]


def shift_rows(drift: "Drift") -> list[dict[str, Any]]:
    """The features that have moved most, in words."""
    return [
        {
            "label": said("{feature}: {category}", feature=row["sentence"], category=row["category"])
            if row["unit"] == "category"
            else row["sentence"],
            "then": _typical(row["then"], row["unit"]),
            "now": _typical(row["now"], row["unit"]),
            "shift": _shift(row["shift"], row["unit"]),
            "is_clear": row["is_clear"],
        }
        for row in records_of(drift.features.head(_SHIFTS))
    ]


def _typical(value: float | None, unit: str) -> str:
    if value is None:
        return formats.MISSING
    if unit in ("category", "share"):
        return formats.percent(value)
    if unit == "points":
        return str(texts("{n:exact_points} point", "{n:exact_points} points", n=value))
    return formats.number(value)


def _shift(value: float, unit: str) -> str:
    if unit == "category":
        return said("{share:percent} of deals", share=value)
    return said("{distance:multiple} sd", distance=value)
