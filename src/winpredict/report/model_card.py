"""The model card: what the model is, what it was trained on, how good it is, and where not to trust it."""

from collections.abc import Mapping

import pandas as pd

from winpredict.models.charts import calibration_chart
from winpredict.models.trained import TrainedModel
from winpredict.report.charts.style import NARROW, styled
from winpredict.report.page import Format, Picture, Report, Section, Table
from winpredict.report.writing import day_in_words

_FIGURES: dict[str, tuple[str, Format]] = {
    "n": ("deals scored", "count"),
    "log_loss": ("log loss", "exact"),
    "brier": ("Brier", "exact"),
    "auc": ("AUC", "exact"),
    "calibration_slope": ("slope", "exact"),
    "expected_calibration_error": ("calibration error", "exact"),
    "lift_top_decile": ("lift", "number"),
}


def model_card(
    model: TrainedModel,
    *,
    name: str = "",
    backtest: Mapping[str, pd.DataFrame] | None = None,
    verdict: str = "",
    locale: str = "en_US",
) -> Report:
    """What a careful reader asks of a model (Mitchell et al. 2019, Model cards for model reporting).

    Parameters
    ----------
    model : TrainedModel
    name : str
        Such as "version 3 (champion)".
    backtest : mapping of str to DataFrame, optional
        The frames of `winpredict.models.backtest.Backtest`: overall, by_cutoff, by_stage, by_age, reliability.
    verdict : str
        The backtest's, in words.
    locale : str
        For dates in sentences.

    Returns
    -------
    Report
    """
    trained = model.summary().splitlines()
    fallback = "No backtest is on record for these data; run `winpredict backtest` before trusting the odds."
    return Report(
        title=f"Model card{f': {name}' if name else ''}",
        subtitle=f"trained on what was known on {day_in_words(model.trained_as_of, locale)}",
        summary=[
            "The odds say how likely an open deal is to be won in the end, as of the day they were made.",
            trained[0][0].upper() + trained[0][1:] + ".",
            verdict or fallback,
            "The odds are those of deals like this one. The range beside them (low to high) is this deal's own: with a "
            "chance of 80% its odds lie within, whatever nobody recorded about it.",
            "It is made to weigh deals, not to judge people: a rep's odds depend on which deals they were given.",
        ],
        sections=[
            *_quality(backtest or {}),
            _features(model),
            _left_out(model),
            Section("Notes from training", model.notes),
        ],
        method=[
            f"A blend of gradient-boosted trees (LightGBM, {len(model.classifier.boosters_)} of them), logistic "
            f"regressions, which weigh {model.classifier.linear_weight_:.0%}, and a model of competing risks, which "
            f"weighs {model.classifier.hazard_weight_:.0%}; the size of the trees and the weights were chosen on the "
            "deals that closed last.",
            "Features are computed from facts recorded strictly before the day of each snapshot, in training and live.",
            "Deals still open are treated as censored: by inverse probability of censoring weights, and in the model "
            "of competing risks by the time for which they were seen open.",
            "The backtest trains as of past days and compares with what happened; deals are resampled for intervals.",
        ],
    )


def _quality(backtest: Mapping[str, pd.DataFrame]) -> list[Section]:
    titles = {"overall": "scorer", "by_cutoff": "cut-off", "by_stage": "stage", "by_age": "age"}
    tables = [
        Table(f"quality-{name.replace('_', '-')}", f"Quality by {head}", frame, _first(frame, head) | _FIGURES, most=12)
        for name, head in titles.items()
        if (frame := _dated(backtest.get(name))) is not None and len(frame)
    ]
    bins = backtest.get("reliability")
    pictures = []
    if bins is not None and len(bins):
        pictures = [calibration_picture(bins)]
    return [Section("How good the odds are", [], pictures, tables)]


def calibration_picture(bins: pd.DataFrame) -> Picture:
    """How often deals with some odds were won.

    Parameters
    ----------
    bins : DataFrame
        The frame ``reliability`` of a backtest.
    """
    return Picture(lambda width: _calibration(bins, width), "Share won against predicted odds, by bins.")


def _dated(frame: pd.DataFrame | None) -> pd.DataFrame | None:
    """The frame with cut-offs as days; midnight says nothing."""
    if frame is None or "cutoff" not in frame:
        return frame
    return frame.assign(cutoff=frame["cutoff"].astype(str).str.removesuffix(" 00:00:00+00:00"))


def _first(frame: pd.DataFrame, head: str) -> dict[str, tuple[str, Format]]:
    return {str(name): (head if place == 0 else str(name), "text") for place, name in enumerate(_keys(frame))}


def _keys(frame: pd.DataFrame) -> list[str]:
    """The columns before the figures: what a row is about."""
    return [str(name) for name in frame.columns[:2] if name not in _FIGURES and frame[name].dtype.kind not in "fiu"]


def _calibration(bins: pd.DataFrame, width: int) -> object:
    chart = calibration_chart(bins).properties(width=min(width - 80, 420), height=min(width - 80, 340), title="")
    return styled(chart, "Calibration", "on the diagonal the odds are right; bars: 95% intervals", max(width, NARROW))


def _features(model: TrainedModel) -> Section:
    frame = pd.DataFrame([(each.name, str(each.label), each.unit, each.builder) for each in model.info])
    frame.columns = ["feature", "sentence", "unit", "builder"]
    counts = ", ".join(f"{count} {name}" for name, count in frame["builder"].value_counts().items())
    heads: dict[str, tuple[str, Format]] = {"sentence": ("figure", "text"), "unit": ("unit", "text")}
    table = Table("features", "Figures it looks at", frame, heads, most=0)
    return Section("What it looks at", [f"{len(frame)} figures: {counts}."], [], [table])


def _left_out(model: TrainedModel) -> Section:
    if not model.dropped_attributes:
        return Section("What it must not look at", ["The leakage audit dropped no attribute."])
    frame = pd.DataFrame(list(model.dropped_attributes.items()), columns=["attribute", "reason"])
    heads: dict[str, tuple[str, Format]] = {"attribute": ("attribute", "text"), "reason": ("reason", "text")}
    return Section("What it must not look at", [], [], [Table("left-out", "Attributes left out", frame, heads)])
