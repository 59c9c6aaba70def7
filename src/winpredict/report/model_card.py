"""The model card: what the model is, what it was trained on, how good it is, and where not to trust it."""

import re
from collections.abc import Mapping

import pandas as pd

from winpredict.insights.labels import capital
from winpredict.locale import formats
from winpredict.locale.text import Text, said, text, texts
from winpredict.models.trained import TrainedModel
from winpredict.report.charts.calibration import calibration_chart
from winpredict.report.page import Format, Picture, Report, Section, Table, Words
from winpredict.report.writing import day_in_words

_FIGURES: Mapping[str, tuple[Words, Format]] = {
    "n": (text("Deals scored"), "count"),
    "log_loss": (text("Log loss"), "exact"),
    "brier": (text("Brier score"), "exact"),
    "auc": (text("AUC"), "exact"),
    "calibration_slope": (text("Calibration slope"), "exact"),
    "expected_calibration_error": (text("Calibration error"), "exact"),
    "lift_top_decile": (text("Lift"), "number"),
}
#: Tables of a backtest: title, and the head of what a row is about.
_TABLES: Mapping[str, tuple[Text, Text]] = {
    "overall": (text("Quality by scorer"), text("Scorer")),
    "by_cutoff": (text("Quality by cutoff"), text("Cutoff")),
    "by_stage": (text("Quality by stage"), text("Stage")),
    "by_age": (text("Quality by age"), text("Age in days")),
}
_SCORERS: Mapping[str, Words] = {
    "winpredict": "winpredict",
    "overall_rate": text("overall win rate"),
    "stage_win_rate": text("win rate of the stage"),
    "naive_bayes": text("frequency tables (naive Bayes)"),
    "logistic": text("logistic regression"),
}
#: Bands of age, as a backtest names them.
_AGE = re.compile(r"(\d+) to (\d+) days|(\d+)\+ days")


def model_card(
    model: TrainedModel,
    *,
    name: str = "",
    backtest: Mapping[str, pd.DataFrame] | None = None,
    verdict: Text | None = None,
) -> Report:
    """What a careful reader asks of a model (Mitchell et al. 2019, Model cards for model reporting).

    Parameters
    ----------
    model : TrainedModel
    name : str
        Such as "version 3 (champion)".
    backtest : mapping of str to DataFrame, optional
        The frames of `winpredict.models.backtest.Backtest`: overall, by_cutoff, by_stage, by_age, reliability.
    verdict : Text, optional
        The backtest's, as it is on record.

    Returns
    -------
    Report
    """
    return Report(
        title=said("Model card: {name}", name=name) if name else said("Model card"),
        subtitle=str(_subtitle(model)),
        summary=[
            said("Win odds say how likely an open deal is to be won in the end, as of the day they were computed."),
            str(model.trained_on),
            str(_quality_sentence(backtest or {})),
            said(
                "The odds are those of deals like this one. The 80% interval beside them is this deal’s own: what "
                "nobody recorded may move its odds within it."
            ),
            said(
                "The model is made to weigh deals, not to judge people: a rep’s odds depend on which deals they were "
                "given."
            ),
        ],
        sections=[
            *([] if verdict is None else [Section(text("Verdict of the backtest"), [verdict])]),
            *_quality(backtest or {}),
            _features(model),
            _left_out(model),
            Section(text("Notes from training"), model.notes),
        ],
        method=[
            text(
                "A blend of gradient-boosted trees (LightGBM, {boosters:count} of them), logistic regressions (weight "
                "{linear:percent}), and a model of competing risks (weight {hazard:percent}); the size of the trees "
                "and the weights were chosen on the deals that closed last.",
                boosters=len(model.classifier.boosters_),
                linear=float(model.classifier.linear_weight_),
                hazard=float(model.classifier.hazard_weight_),
            ),
            text(
                "Features are computed from facts recorded strictly before the day of each snapshot, in training and "
                "live."
            ),
            text(
                "Deals still open are treated as censored: by inverse probability of censoring weights, and in the "
                "model of competing risks by the time for which they were seen open."
            ),
            text(
                "The backtest trains as of past days and compares with what happened; intervals come from resampling "
                "deals."
            ),
        ],
    )


def _subtitle(model: TrainedModel) -> Text:
    if model.trained_as_of is None:
        return text("Trained on data without dates")
    return text("Trained as of {day}", day=day_in_words(model.trained_as_of))


def _quality_sentence(backtest: Mapping[str, pd.DataFrame]) -> Text:
    """How good the odds are, in the two figures that people can picture; or that nobody knows."""
    overall = backtest.get("overall")
    if overall is None or overall.empty:
        return text("No backtest on record; run `winpredict backtest` before trusting the odds.")
    own = overall.iloc[0]
    return texts(
        "Backtest on {n:count} scored deal: of a won and a lost deal, the won one had the better odds in "
        "{auc:percent} of cases; the odds were off by {error:percent} on average.",
        "Backtest on {n:count} scored deals: of a won and a lost deal, the won one had the better odds in "
        "{auc:percent} of cases; the odds were off by {error:percent} on average.",
        n=int(own["n"]),
        auc=float(own["auc"]),
        error=float(own["expected_calibration_error"]),
    )


def _quality(backtest: Mapping[str, pd.DataFrame]) -> list[Section]:
    tables = [
        Table(
            f"quality-{name.replace('_', '-')}",
            title,
            frame,
            _first(frame, head) | dict(_FIGURES),
            most=12,
            words=_row_names(frame),
        )
        for name, (title, head) in _TABLES.items()
        if (frame := _in_order(backtest.get(name))) is not None and len(frame)
    ]
    bins = backtest.get("reliability")
    pictures = []
    if bins is not None and len(bins):
        pictures = [calibration_picture(bins)]
    return [Section(text("How good the odds are"), [], pictures, tables)]


def calibration_picture(bins: pd.DataFrame) -> Picture:
    """How often deals with some odds were won.

    Parameters
    ----------
    bins : DataFrame
        The frame ``reliability`` of a backtest.
    """
    return Picture(lambda width: calibration_chart(bins, width), text("Share won against predicted odds, in bins."))


def _in_order(frame: pd.DataFrame | None) -> pd.DataFrame | None:
    """The rows of a table, those of ages by age and not by their letters."""
    if frame is None or not len(frame) or not len(_keys(frame)):
        return frame
    ages = frame[_keys(frame)[0]].astype(str).str.extract(_AGE)
    if ages[0].fillna(ages[2]).isna().any():
        return frame
    return frame.iloc[ages[0].fillna(ages[2]).astype(int).argsort(kind="stable")].reset_index(drop=True)


def _first(frame: pd.DataFrame, head: Text) -> dict[str, tuple[Words, Format]]:
    """Heads of the columns before the figures; a second one is the scorer."""
    return {name: (text("Scorer") if place else head, "text") for place, name in enumerate(_keys(frame))}


def _row_names(frame: pd.DataFrame) -> dict[str, list[Words]]:
    return {name: [_row_name(str(each)) for each in frame[name]] for name in _keys(frame)}


def _row_name(name: str) -> Words:
    """What a row is about: a scorer, a day, an age, or a stage as the CRM has it."""
    if re.fullmatch(r"\d{4}-\d\d-\d\d( 00:00:00\+00:00)?", name):
        return formats.day(name[:10])
    age = _AGE.fullmatch(name)
    if age is None:
        return _SCORERS.get(name, name)
    if age[3]:
        return text("{low:count} or more", low=int(age[3]))
    return text("{low:count} to {high:count}", low=int(age[1]), high=int(age[2]))


def _keys(frame: pd.DataFrame) -> list[str]:
    """The columns before the figures: what a row is about."""
    return [str(name) for name in frame.columns[:2] if name not in _FIGURES and frame[name].dtype.kind not in "fiu"]


def _features(model: TrainedModel) -> Section:
    frame = pd.DataFrame([(each.name, str(each.label), each.unit, each.builder) for each in model.info])
    frame.columns = ["feature", "sentence", "unit", "builder"]
    heads: Mapping[str, tuple[Words, Format]] = {"sentence": (text("Feature"), "text")}
    features = Table(
        "features",
        text("Features"),
        frame,
        heads,
        most=0,
        words={"sentence": [capital(each.label) for each in model.info]},
    )
    sentence = texts("The model looks at {n:count} feature.", "The model looks at {n:count} features.", n=len(frame))
    return Section(text("What it looks at"), [sentence], [], [features])


def _left_out(model: TrainedModel) -> Section:
    title = text("What it must not look at")
    if not model.dropped_attributes:
        return Section(title, [text("The leakage audit dropped no attribute.")])
    reasons = [str(reason) for reason in model.dropped_attributes.values()]
    frame = pd.DataFrame({"attribute": list(model.dropped_attributes), "reason": reasons})
    heads: Mapping[str, tuple[Words, Format]] = {
        "attribute": (text("Attribute"), "text"),
        "reason": (text("Reason"), "text"),
    }
    table = Table("left-out", text("Attributes left out"), frame, heads)
    return Section(title, [], [], [table])
