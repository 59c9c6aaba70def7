"""Rolling-origin evaluation: what the odds would have been on past days, beside baselines and what then happened."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import StratifiedGroupKFold

from winpredict._internal.progress import Progress
from winpredict.config import Config
from winpredict.errors import ConfigError, TooLittleDataError
from winpredict.features.snapshots import labelled
from winpredict.locale.text import Text, said, text
from winpredict.models.baselines import baselines
from winpredict.models.calibration import reliability
from winpredict.models.evaluation import Comparison, compare, evaluate_odds, evaluate_segments, metric_intervals
from winpredict.models.minimums import MIN_EACH, require_enough
from winpredict.models.sampling import LearningSample, learning_sample
from winpredict.models.snapshots import pipeline
from winpredict.models.splits import cutoffs, duplicate_groups, held_out
from winpredict.models.training import TrainingSet, fit_model, make_classifier, training_set
from winpredict.models.weights import row_weights
from winpredict.tables.buckets import DealBuckets
from winpredict.tables.crm import CRMData

MODEL = "winpredict"
#: The kinds of a backtest.
ROLLING_ORIGIN, CROSS_VALIDATION = "rolling origin", "grouped cross-validation (the data carry no dates)"
_KINDS = {
    ROLLING_ORIGIN: text("rolling origin"),
    CROSS_VALIDATION: text("grouped cross-validation (the data carry no dates)"),
}
#: Baselines as people know them; the model goes by its own name.
SCORER_NAMES: Mapping[str, Text] = {
    "overall_rate": text("overall win rate"),
    "stage_win_rate": text("win rate of the stage"),
    "naive_bayes": text("frequency tables (naive Bayes)"),
    "logistic": text("logistic regression"),
}
_BELOW_STAGE = text("Log loss {share:percent} below the stage win rate's. {finding}")
_BELOW_OVERALL = text("Log loss {share:percent} below the overall win rate's. {finding}")
#: Odds whose AUC may be lower put a won deal before a lost one hardly more often than chance does; what they gain in
#: log loss over the overall rate is the drift of that rate.
USABLE_AUC = 0.55
#: Fewest deals from which a calibration slope says something of the odds and not of chance.
MIN_FOR_SLOPE = 50
#: So many cut-offs are always taken, however short the history.
_FEW_FOLDS = 5
AGE_BANDS = (0, 14, 30, 60, 90, 180, np.inf)


@dataclass(frozen=True)
class Backtest:
    """What a backtest found.

    Parameters
    ----------
    predictions : DataFrame
        One row a deal that was open at a cut-off and has closed since: cutoff, deal_id, stage, days_open, amount, won
        (0 or 1), and one column of odds for each scorer (``winpredict`` and the baselines).
    overall, by_cutoff, by_stage, by_age : DataFrame
        Figures of merit (see `evaluate_odds`): overall by scorer with intervals for the model, else of the model and of
        the stage win rate by cut-off, stage and age band. The calibration slope is NaN where there are fewer than 50
        deals or all odds of a cut-off are alike.
    comparisons : dict of str to Comparison
        The model against each baseline in log loss, with intervals by resampling deals.
    kind : str
        `ROLLING_ORIGIN`, or `CROSS_VALIDATION` for undated data.
    still_open : int
        Deals that were scored and have not closed yet; they are left out.
    """

    predictions: pd.DataFrame
    overall: pd.DataFrame
    intervals: pd.DataFrame
    by_cutoff: pd.DataFrame
    by_stage: pd.DataFrame
    by_age: pd.DataFrame
    comparisons: dict[str, Comparison]
    kind: str
    still_open: int

    @property
    def reliability(self) -> pd.DataFrame:
        """Predicted and observed shares of the model, in ten bins."""
        return reliability(self.predictions["won"], self.predictions[MODEL])

    @property
    def verdict(self) -> Text:
        """What the comparison with the baselines amounts to, in plain words."""
        overall = self.comparisons["overall_rate"]
        if not overall.beats_baseline or self._ranking_at_least < USABLE_AUC:
            value, low, high = (float(self.intervals[name].loc["auc"]) for name in ("value", "low_95", "high_95"))
            return text(
                "No usable signal: of a won and a lost deal the model gives the won one the better odds in "
                "{auc:percent} of cases (95% interval {low:percent} to {high:percent}), where a coin is right in 50%. "
                "{finding}",
                auc=value,
                low=low,
                high=high,
                finding=overall.finding,
            )
        stage = self.comparisons.get("stage_win_rate")
        if stage is not None and not stage.beats_baseline:
            return text(
                "The model is not shown to beat the stage win rate; use the stage win rate. {finding}",
                finding=stage.finding,
            )
        below = overall if stage is None else stage
        words = (_BELOW_OVERALL if stage is None else _BELOW_STAGE).with_values(
            share=-below.relative, finding=below.finding
        )
        equal = tuple(SCORER_NAMES[name] for name, each in self.comparisons.items() if not each.beats_baseline)
        if not equal:
            return words
        return text("{verdict} Not shown to beat: {baselines:listed}.", verdict=words, baselines=equal)

    @property
    def _ranking_at_least(self) -> float:
        """Lower end of the 95% interval of the model's AUC."""
        return float(self.intervals["low_95"].loc["auc"])

    @property
    def remark(self) -> str:
        """What the tables leave out, in the language of the moment; empty where they leave out nothing."""
        tables = (self.overall, self.by_cutoff, self.by_stage, self.by_age)
        if not any(frame["calibration_slope"].isna().any() for frame in tables if not frame.empty):
            return ""
        return said(
            "Calibration slopes are left out for fewer than {least:count} deals, where chance alone makes them, and "
            "where all odds of a cut-off are alike.",
            least=MIN_FOR_SLOPE,
        )

    def summary(self) -> str:
        """The figures of every scorer and the verdict, as text."""
        columns = ["log_loss", "brier", "auc", "calibration_slope", "expected_calibration_error", "lift_top_decile"]
        table = self.overall[[name for name in columns if name in self.overall]].round(3).to_string()
        deals = self.predictions["deal_id"].nunique()
        head = text(
            "{kind}: {rows:count} scored deals that have closed since ({deals:count} different), {open:count} still "
            "open and left out",
            kind=_KINDS[self.kind],
            rows=len(self.predictions),
            deals=deals,
            open=self.still_open,
        )
        return "\n".join(filter(None, (str(head), table, self.remark, str(self.verdict))))


def backtest(
    crm: CRMData | DealBuckets,
    config: Config | None = None,
    *,
    folds: int | None = None,
    progress: Progress | None = None,
) -> Backtest:
    """Train as of past days, score what was open then, and compare with what happened.

    Parameters
    ----------
    crm : CRMData or DealBuckets
        Of buckets as many are used as make ``config.snapshots.most`` snapshots.
    config : Config, optional
    folds : int, optional
        Number of cut-offs; by default ``config.backtest.folds``. Beyond five they must lie at least
        ``config.snapshots.every_days`` apart. Undated data are parted into five at least and twenty at most.
    progress : callable, optional
        Called with a few words before each step.

    Returns
    -------
    Backtest

    Raises
    ------
    ConfigError
        When `folds` is below 1, or more than the history has room for.
    TooLittleDataError
        When there is not enough history for a single cut-off.

    Notes
    -----
    At each cut-off only what was known then is used: endings, histories and touches. Only the leakage audit looks at
    the whole export: static attributes stand as they are there, and only there does it show what closing filled in;
    what it drops, it drops at every cut-off. Undated data allow no such thing: they get a cross-validation whose folds
    never share a deal or a duplicate of one, and the result says so.
    """
    config = config or Config()
    folds = config.backtest.folds if folds is None else folds
    if folds < 1:
        raise ConfigError(text("cannot backtest with {folds} cut-offs; give at least 1", folds=folds))
    sample = learning_sample(crm, config)
    crm = sample.known
    require_enough(crm)
    _require_room(crm, folds, config)
    parts = list(_rolling(sample, config, folds, progress) if crm.dated else _grouped(crm, config, folds, progress))
    if not parts:
        raise TooLittleDataError(
            text(
                "no cut-off leaves {min_each} won and {min_each} lost deals before it and any after it; a "
                "backtest needs a longer history",
                min_each=MIN_EACH,
            )
        )
    scored = pd.concat(parts, ignore_index=True)
    judged = scored[scored["outcome"] != "open"].reset_index(drop=True)
    judged.insert(0, "won", (judged["outcome"] == "won").astype(np.int64))
    return _judge(judged, int((scored["outcome"] == "open").sum()), crm, config.seed)


def _require_room(crm: CRMData, folds: int, config: Config) -> None:
    """Refuse cut-offs so near each other that they would judge the same deals by nearly the same looks."""
    if not crm.dated:
        if folds > MIN_EACH:
            raise ConfigError(
                text(
                    "cannot backtest with {folds:count} folds: without dates it takes {min_each} at most, "
                    "since each needs won and lost deals; give fewer",
                    folds=folds,
                    min_each=MIN_EACH,
                )
            )
        return
    ends, days = cutoffs(crm, 2, config), config.snapshots.every_days
    most = max(_FEW_FOLDS, 1 + int((ends[-1] - ends[0]) / pd.Timedelta(days=days))) if ends else _FEW_FOLDS
    if folds > most:
        between = f"between {ends[0]:%Y-%m-%d} and {ends[-1]:%Y-%m-%d} " if ends else ""
        raise ConfigError(
            text(
                "cannot backtest with {folds:count} cut-offs: {between}there is room for {most:count} that lie "
                "{days} days apart, and nearer ones judge the same deals again; give fewer",
                folds=folds,
                between=between,
                most=most,
                days=f"{days:g}",
            )
        )


def _rolling(sample: LearningSample, config: Config, folds: int, progress: Progress | None) -> Iterator[pd.DataFrame]:
    crm = sample.known
    for cutoff in cutoffs(crm, folds, config):
        if progress:
            progress(said("as of {day:day}", day=cutoff))
        known = crm.as_known_at(cutoff)
        data = training_set(known, config, exported=crm, gather=sample.gather)
        model = fit_model(data, known, config)
        snapshots = pipeline(known, cutoff)
        features = model.build_features(known, snapshots, cross_deal_history=data.cross_deal_history)
        odds = {
            MODEL: model.odds(features)["win_probability"].to_numpy(),
            **_baseline_odds(data, known, config, features),
        }
        yield _scored(labelled(crm, snapshots), features, odds).assign(cutoff=cutoff)


def _grouped(crm: CRMData, config: Config, folds: int, progress: Progress | None) -> Iterator[pd.DataFrame]:
    """Cross-validation for undated data; deals that are alike in everything stay in one fold."""
    data = training_set(crm, config)
    frame = data.features.frame
    alike = duplicate_groups(frame)
    splitter = StratifiedGroupKFold(n_splits=min(max(folds, 5), MIN_EACH), shuffle=True, random_state=config.seed)
    for number, (train, test) in enumerate(splitter.split(frame, data.won, alike)):
        if progress:
            progress(said("fold {n:count}", n=number + 1))
        part = data.take(train)
        classifier, _ = make_classifier(config, len(train))
        held = held_out(part.snapshots, config.model.calibration_share)
        classifier.fit(part.features.frame, part.won, groups=alike[train], held_out=held)
        features = frame.iloc[test].reset_index(drop=True)
        odds = {MODEL: classifier.predict_proba(features)[:, 1], **_baseline_odds(part, crm, config, features)}
        snapshots = data.snapshots.iloc[test].reset_index(drop=True)
        yield _scored(snapshots, features, odds).assign(cutoff=f"fold {number + 1}")


def _baseline_odds(
    data: TrainingSet, crm: CRMData, config: Config, features: pd.DataFrame
) -> dict[str, NDArray[np.float64]]:
    closed = data.closed
    fields = [each.name for each in data.features.info if each.unit == "category" and each.name != "stage"]
    out = {}
    for name, baseline in baselines(crm.stage_order, fields).items():
        fitted = clone(baseline).fit(
            data.features.frame[closed], data.won[closed], sample_weight=row_weights(data.snapshots, config)[closed]
        )
        out[name] = fitted.predict_proba(features)[:, 1]
    return out


def _scored(snapshots: pd.DataFrame, features: pd.DataFrame, odds: dict[str, NDArray[np.float64]]) -> pd.DataFrame:
    out = snapshots[["deal_id", "outcome"]].copy()
    for name in ("stage", "days_open", "amount"):
        out[name] = features[name].to_numpy() if name in features else np.nan
    for name, values in odds.items():
        out[name] = np.asarray(values)
    return out


def _judge(judged: pd.DataFrame, still_open: int, crm: CRMData, seed: int) -> Backtest:
    if judged.empty or judged["won"].nunique() < 2:
        raise TooLittleDataError(
            text(
                "of the deals scored in the backtest {n} have closed and {sum} of them were won; both won and "
                "lost ones are needed to judge by. Wait for more to close, or import a longer history",
                n=len(judged),
                sum=int(judged["won"].sum()),
            )
        )
    scorers = [MODEL, *baselines(crm.stage_order, [])]
    amounts = judged["amount"].to_numpy(np.float64)
    overall = {name: evaluate_odds(judged["won"], judged[name], amount=amounts) for name in scorers}
    for name in scorers:
        if not _has_slope(judged, name):
            overall[name]["calibration_slope"] = np.nan
    intervals = metric_intervals(judged["won"], judged[MODEL], judged["deal_id"], seed=seed)
    if not _has_slope(judged, MODEL):
        intervals.loc["calibration_slope"] = np.nan
    rivals = [name for name in scorers if name != MODEL]
    bands = pd.cut(judged["days_open"], list(AGE_BANDS), right=False)
    return Backtest(
        predictions=judged,
        overall=pd.DataFrame.from_dict(overall, orient="index").rename_axis("scorer"),
        intervals=intervals,
        by_cutoff=_segments(judged, judged["cutoff"].map(_cutoff_name)),
        by_stage=_segments(judged, judged["stage"]),
        by_age=_segments(judged, bands.map(_band_name, na_action="ignore")),
        comparisons={
            name: compare(judged["won"], judged[MODEL], judged[name], judged["deal_id"], seed=seed) for name in rivals
        },
        kind=ROLLING_ORIGIN if crm.dated else CROSS_VALIDATION,
        still_open=still_open,
    )


def _segments(judged: pd.DataFrame, segment: pd.Series) -> pd.DataFrame:
    if segment.isna().all():
        return pd.DataFrame()
    figures = {}
    for name in (MODEL, "stage_win_rate"):
        frame = evaluate_segments(judged["won"], judged[name], segment)
        told = {each for each, rows in judged.groupby(segment, observed=True) if _has_slope(rows, name)}
        slopes = frame["calibration_slope"].where(frame.index.isin(told))
        figures[name] = frame.assign(calibration_slope=slopes)
    return pd.concat(figures, names=["scorer"]).swaplevel().sort_index()


def _has_slope(judged: pd.DataFrame, scorer: str) -> bool:
    """Whether there are enough deals for a calibration slope, and odds that differ within a cut-off."""
    different = judged.drop_duplicates(["cutoff", scorer])
    return bool(different["cutoff"].duplicated().any() and judged["deal_id"].nunique() >= MIN_FOR_SLOPE)


def _cutoff_name(cutoff: pd.Timestamp | str) -> str:
    return cutoff if isinstance(cutoff, str) else f"{cutoff:%Y-%m-%d}"


def _band_name(band: "pd.Interval[float]") -> str:
    return f"{band.left:.0f}+ days" if np.isinf(band.right) else f"{band.left:.0f} to {band.right:.0f} days"
