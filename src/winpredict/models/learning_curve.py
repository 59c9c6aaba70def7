"""Whether more data would help: the model learnt from growing samples of deals, each judged on the same later ones."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from winpredict._internal.progress import Progress
from winpredict.config import Config
from winpredict.errors import ConfigError, TooLittleDataError, WinPredictError
from winpredict.features.cross_deal_history import CrossDealHistory
from winpredict.features.snapshots import labelled
from winpredict.locale.text import Text, said, text, texts
from winpredict.models.evaluation import METRICS, evaluate_odds
from winpredict.models.minimums import MIN_EACH
from winpredict.models.sampling import LearningSample, learning_sample
from winpredict.models.snapshots import pipeline
from winpredict.models.splits import cutoffs
from winpredict.models.trained import TrainedModel
from winpredict.models.training import TrainingSet, fit_model, training_set
from winpredict.tables.buckets import DealBuckets
from winpredict.tables.crm import CRMData

SIZES = (0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
_FIGURES = ("log_loss", "brier", "auc")
_RESAMPLES = 1000


@dataclass(frozen=True)
class LearningCurve:
    """How good the odds were by the number of deals learnt from.

    Parameters
    ----------
    figures : DataFrame
        One row a size, the smallest first: share, deals, won, snapshots (learnt from, closed ones alone), log_loss,
        brier, auc (of the deals judged), difference (of the log loss to the row before), low_80, high_80 (ends of its
        80% interval by resampling the deals judged), seconds (of the fit).
    predictions : DataFrame
        One row a deal judged: deal_id, won (0 or 1) and one column of odds for each share.
    cutoff : Timestamp
        The day as of which all were trained and scored.
    skipped : tuple of Text
        A sentence for each size with too few deals.
    note : Text or None
        What the reader should know of the choice of deals; None for all deals.
    """

    figures: pd.DataFrame
    predictions: pd.DataFrame
    cutoff: pd.Timestamp
    skipped: tuple[Text, ...] = field(default=())
    note: Text | None = None

    @property
    def difference(self) -> float:
        """Log loss of the largest size less that of the next smaller one; below 0 the larger one is better."""
        return float(self.figures["difference"].iloc[-1])

    @property
    def interval(self) -> tuple[float, float]:
        """80% interval of the difference by resampling deals."""
        return float(self.figures["low_80"].iloc[-1]), float(self.figures["high_80"].iloc[-1])

    @property
    def per_doubling(self) -> float:
        """What twice as many deals changed in log loss at the end of the curve, if it went on as in its last step."""
        if len(self.figures) < 2:
            return np.nan
        before, last = self.figures["deals"].iloc[-2:]
        return self.difference / float(np.log2(last / before)) if last > before else np.nan

    @property
    def more_helps(self) -> bool:
        """Whether the last step made the odds better beyond chance."""
        return self.interval[1] < 0

    @property
    def verdict(self) -> str:
        """Whether more data would help, in the language of the moment."""
        if len(self.figures) < 2:
            return said(
                "Whether more data would help is unknown: only one size leaves {least:count} won and {least:count} "
                "lost deals. Import a longer history, or ask for larger sizes.",
                least=MIN_EACH,
            )
        before, last = self.figures["deals"].iloc[-2:]
        low, high = self.interval
        facts: dict[str, Any] = {
            "before": before,
            "last": last,
            "change": self.difference,
            "low": low,
            "high": high,
            "judged": len(self.predictions),
        }
        if self.more_helps:
            return said(
                "More data would likely still help: from {before:count} to {last:count} closed deals the log loss "
                "changed by {change:precise_change} (80% interval {low:precise_change} to {high:precise_change}, "
                "{judged:count} deals judged), about {doubling:precise_change} for twice as many.",
                doubling=self.per_doubling,
                **facts,
            )
        if low < 0:
            return said(
                "More data no longer helps beyond chance: from {before:count} to {last:count} closed deals the log "
                "loss changed by {change:precise_change} (80% interval {low:precise_change} to {high:precise_change}, "
                "{judged:count} deals judged); a change of {low:precise_change} is not ruled out.",
                **facts,
            )
        return said(
            "More data no longer helps beyond chance: from {before:count} to {last:count} closed deals the log loss "
            "changed by {change:precise_change} (80% interval {low:precise_change} to {high:precise_change}, "
            "{judged:count} deals judged).",
            **facts,
        )

    def summary(self) -> str:
        """The figures of every size and the verdict, as text."""
        table = self.figures.drop(columns="seconds").round(4).to_string(index=False, na_rep="")
        return "\n".join([said("as of {day:day}", day=self.cutoff), table, *self.remarks, self.verdict])

    @property
    def remarks(self) -> list[str]:
        """What the reader should know of the sizes and of the deals, in the language of the moment."""
        return [str(each) for each in (*self.skipped, self.note) if each is not None]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "verdict": self.verdict,
            "more_helps": self.more_helps,
            "cutoff": self.cutoff.isoformat(),
            "deals_judged": len(self.predictions),
            "difference": self.difference,
            "low_80": self.interval[0],
            "high_80": self.interval[1],
            "per_doubling": self.per_doubling,
            "figures": self.figures.to_dict("records"),
            "skipped": [str(each) for each in self.skipped],
            "note": "" if self.note is None else str(self.note),
        }


@dataclass(frozen=True)
class _Exam:
    """The deals open at the cut-off that have closed since: how they stood then, and which were won."""

    features: pd.DataFrame
    deal_id: NDArray[np.object_]
    won: NDArray[np.int64]


def learning_curve(
    tables: CRMData | DealBuckets,
    config: Config | None = None,
    *,
    sizes: Sequence[float] = SIZES,
    seed: int | None = None,
    progress: Progress | None = None,
) -> LearningCurve:
    """Train on growing samples of the deals as of a past day, and judge each by what was open then.

    Parameters
    ----------
    tables : CRMData or DealBuckets
        Of buckets as many are used as make ``config.snapshots.most`` snapshots; see `learning_sample`.
    config : Config, optional
        By default ``Config()``.
    sizes : sequence of float, optional
        Shares of the deals to learn from, above 0 and at most 1.
    seed : int, optional
        Which deals are in the smaller samples; by default ``config.seed``.
    progress : callable, optional
        Called with a few words before each step.

    Returns
    -------
    LearningCurve

    Raises
    ------
    WinPredictError
        When the data carry no dates.
    ConfigError
        When a size is not a share.
    TooLittleDataError
        When the history is too short for a past day, or no size has 20 won and 20 lost deals.

    Notes
    -----
    Every smaller sample is part of every larger one: a deal belongs to a share when the hash of its id falls below
    it. The features are built once, as of the latest cut-off of the backtest: win rates of a rep and the like rest on
    the whole history at every size, so the curve is that of learning alone. The interval tells how much other deals to
    judge by would change the difference; the chance that lies in the fit itself is not in it.
    """
    config = config or Config()
    seed = config.seed if seed is None else seed
    shares = _checked(sizes)
    report_progress = progress or (lambda words: None)
    sample = learning_sample(tables, config)
    cutoff = _latest_cutoff(sample.known, config)
    known = sample.known.as_known_at(cutoff)
    data = training_set(known, config, report_progress, exported=sample.known, gather=sample.gather)
    parts, skipped = _parts(data, shares, seed)
    models, learnt = _learn(parts, known, config, report_progress)
    exam = _exam(models[max(models)], data.cross_deal_history, sample, known, cutoff)
    odds = {share: model.odds(exam.features)["win_probability"].to_numpy() for share, model in models.items()}
    exam_columns = pd.DataFrame({"deal_id": exam.deal_id, "won": exam.won})
    predictions = pd.concat([exam_columns, pd.DataFrame(odds)], axis=1)
    return LearningCurve(_judged(learnt, exam.won, odds, seed), predictions, cutoff, skipped, sample.note)


def in_share(deal_ids: ArrayLike, share: float, seed: int = 0) -> NDArray[np.bool_]:
    """Which deals belong to a share of them; those of a smaller share all belong to a larger one.

    Examples
    --------
    >>> some, more = (in_share([f"d{number}" for number in range(1000)], share) for share in (0.2, 0.6))
    >>> bool((some <= more).all()), int(some.sum()), int(more.sum())
    (True, 199, 598)
    """
    hashes = pd.util.hash_array(np.asarray(deal_ids, dtype=object), hash_key=f"{seed % 10**16:016d}")
    return np.asarray((hashes >> np.uint64(11)) / 2.0**53 < share)  # 53 bits are exact: nothing rounds up to 1


def _checked(sizes: Sequence[float]) -> list[float]:
    wrong = [size for size in sizes if not 0 < size <= 1]
    if wrong or not len(sizes):
        raise ConfigError(
            text("the sizes of a learning curve are shares above 0 and at most 1, not {sizes}", sizes=list(sizes))
        )
    return sorted({float(size) for size in sizes})


def _latest_cutoff(crm: CRMData, config: Config) -> pd.Timestamp:
    if not crm.dated:
        raise WinPredictError(
            text(
                "a learning curve judges by what closed after a past day, and these deals carry no dates "
                "(deals.created_at is empty); map the creation and closing dates in the profile and import "
                "again"
            )
        )
    days = cutoffs(crm, 2, config)  # the first and the last that the history allows
    if not days:
        raise TooLittleDataError(
            text(
                "no cut-off leaves {min_each} won and {min_each} lost deals before it and any after it; a "
                "learning curve needs a longer history",
                min_each=MIN_EACH,
            )
        )
    return days[-1]


def _parts(data: TrainingSet, shares: Sequence[float], seed: int) -> tuple[dict[float, TrainingSet], tuple[Text, ...]]:
    """The training set of each share, and a sentence for each that holds too few deals."""
    parts: dict[float, TrainingSet] = {}
    skipped = []
    for share in shares:
        part = data.take(np.flatnonzero(in_share(data.snapshots["deal_id"], share, seed)))
        counts = _counts(part)
        won, lost = counts["won"], counts["deals"] - counts["won"]
        if min(won, lost) >= MIN_EACH:
            parts[share] = part
        else:
            skipped.append(
                text(
                    "left out: {share:percent} of the deals, {won:count} won and {lost:count} lost; {least:count} of "
                    "each are needed",
                    share=share,
                    won=won,
                    lost=lost,
                    least=MIN_EACH,
                )
            )
    if not parts:
        raise TooLittleDataError(
            text("{skipped}. Import a longer history, or ask for larger sizes", skipped="; ".join(map(str, skipped)))
        )
    return parts, tuple(skipped)


def _counts(part: TrainingSet) -> dict[str, int]:
    """Closed deals of a training set, how many of them were won, and their snapshots."""
    outcome = part.snapshots.loc[part.closed].drop_duplicates("deal_id")["outcome"]
    return {"deals": len(outcome), "won": int((outcome == "won").sum()), "snapshots": int(part.closed.sum())}


def _learn(
    parts: Mapping[float, TrainingSet], known: CRMData, config: Config, report_progress: Progress
) -> tuple[dict[float, TrainedModel], pd.DataFrame]:
    """A model of each size; and its share, counts and seconds."""
    models, rows = {}, []
    for share, part in parts.items():
        counts = _counts(part)
        report_progress(
            str(texts("learning from {n:count} closed deal", "learning from {n:count} closed deals", n=counts["deals"]))
        )
        start = time.perf_counter()
        models[share] = fit_model(part, known, config)
        rows.append({"share": share, **counts, "seconds": time.perf_counter() - start})
    return models, pd.DataFrame(rows)


def _exam(
    model: TrainedModel,
    cross_deal_history: CrossDealHistory,
    sample: LearningSample,
    known: CRMData,
    cutoff: pd.Timestamp,
) -> _Exam:
    """What was open at the cut-off and has closed since; the features are the same for a model of any size."""
    snapshots = labelled(sample.known, pipeline(known, cutoff))
    snapshots = snapshots[snapshots["outcome"] != "open"].reset_index(drop=True)
    won = np.asarray(snapshots["outcome"] == "won", dtype=np.int64)
    if not 0 < won.sum() < won.size:
        raise TooLittleDataError(
            text(
                "of the deals open on {cutoff} {size} have closed and {sum} of them were won; both won and "
                "lost ones are needed to judge by. Wait for more to close, or import a longer history",
                cutoff=f"{cutoff:%Y-%m-%d}",
                size=won.size,
                sum=won.sum(),
            )
        )
    features = model.build_features(known, snapshots[["deal_id", "as_of"]], cross_deal_history=cross_deal_history)
    return _Exam(features, snapshots["deal_id"].to_numpy(dtype=object), won)


def _judged(
    learnt: pd.DataFrame, won: NDArray[np.int64], odds: dict[float, NDArray[np.float64]], seed: int
) -> pd.DataFrame:
    """Figures of merit of every size, and what each step changed."""
    merit = pd.DataFrame([evaluate_odds(won, each) for each in odds.values()])[list(_FIGURES)]
    shares = list(odds)
    steps = pd.DataFrame(
        [(np.nan, np.nan)] + [_interval(won, odds[a], odds[b], seed) for a, b in pairwise(shares)],
        columns=["low_80", "high_80"],
    )
    steps.insert(0, "difference", merit["log_loss"].diff())
    return pd.concat([learnt.drop(columns="seconds"), merit, steps, learnt["seconds"]], axis=1)


def _interval(
    won: NDArray[np.int64], smaller: NDArray[np.float64], larger: NDArray[np.float64], seed: int
) -> tuple[float, float]:
    """80% interval of the difference in log loss by resampling deals, one row each; see `metric_intervals`."""
    one = np.ones(won.size)
    measures = [METRICS["log_loss"].prepare(won.astype(np.float64), each, one) for each in (larger, smaller)]
    generator = np.random.default_rng(seed)
    weights = (generator.standard_exponential((1, won.size)) for _ in range(_RESAMPLES))
    drawn = [(measures[0](weight) - measures[1](weight))[0] for weight in weights]
    low, high = np.quantile(drawn, [0.1, 0.9])
    return float(low), float(high)
