"""Optuna search for the classifier's knobs, judged as the backtest judges: on deals that closed after a cut-off."""

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import optuna
import pandas as pd
from numpy.typing import NDArray
from optuna.distributions import FloatDistribution, IntDistribution
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedGroupKFold

from winpredict._internal.progress import Progress
from winpredict.config import Config
from winpredict.features.snapshots import labelled, open_at
from winpredict.locale.text import said
from winpredict.models.minimums import MIN_FOR_TREES, require_enough
from winpredict.models.splits import cutoffs, duplicate_groups, held_out
from winpredict.models.training import make_classifier, training_set
from winpredict.models.weights import row_weights
from winpredict.tables.crm import CRMData

_CUTOFFS = 3
_FOLDS = 3
#: One model instead of a bag: settings rank alike, at a fraction of the time.
_BAGS = 1

Space = Mapping[str, IntDistribution | FloatDistribution]
#: What a logistic regression has to set, which stands in where there are too few deals for trees.
_LINEAR_SPACE: Space = {"linear_strength": FloatDistribution(1e-3, 5.0, log=True)}
_SPACE: Space = {
    "trees": IntDistribution(100, 800, log=True),
    "learning_rate": FloatDistribution(0.005, 0.1, log=True),
    "leaves": IntDistribution(3, 31, log=True),
    "min_rows_leaf": IntDistribution(10, 500, log=True),
    "feature_share": FloatDistribution(0.1, 1.0),
    "l2": FloatDistribution(0.1, 100.0, log=True),
    **_LINEAR_SPACE,
}


@dataclass(frozen=True)
class _Exam:
    """What one cut-off teaches and asks."""

    features: pd.DataFrame
    won: NDArray[np.int64]
    weight: NDArray[np.float64]
    groups: NDArray[Any]
    held_out: NDArray[np.int64] | None
    asked: pd.DataFrame
    answers: NDArray[np.int64]


def tune(
    crm: CRMData, config: Config, *, as_of: pd.Timestamp | str | None = None, progress: Progress | None = None
) -> Config:
    """Search for knobs of the classifier that give better odds on later deals.

    Parameters
    ----------
    crm : CRMData
    config : Config
        Its model is tried first, so that the result is never worse in the search; ``config.tuning`` bounds the search.
    as_of : Timestamp or str, optional
        Look at nothing recorded on that day or later; by default at all that is recorded. Name the day on which the
        model is to be trained.
    progress : callable, optional
        Called with a few words after each trial.

    Returns
    -------
    Config
        With the best knobs found.

    Raises
    ------
    TooLittleDataError
        With fewer than 20 won or 20 lost deals.

    Notes
    -----
    The search is Optuna's tree-structured Parzen estimator (Bergstra et al. 2011). What is judged is the classifier
    that training would fit, with one model in place of the bag. The weight of the linear model is not searched for,
    since every fit chooses it on later deals. Undated data are judged by folds that never share a duplicate. The
    winning figure is the best of many and thus flattered: only a backtest with the returned config says what it is
    worth.
    """
    report_progress = progress or (lambda words: None)
    end = time.monotonic() + 60 * config.tuning.minutes
    exported = replace(crm, deals=crm.deals.sort_values("deal_id", ignore_index=True))
    known = exported if as_of is None else exported.as_known_at(as_of)
    require_enough(known)
    report_progress(said("building features"))
    exams = list(_dated_exams(known, config, exported) if known.dated else _undated_exams(known, config))
    if not exams:
        report_progress(said("the history is too short to search; all settings stay as they are"))
        return config
    return _search(config, exams, int((known.deals["outcome"] != "open").sum()), end, report_progress)


def _search(config: Config, exams: list[_Exam], deals: int, end: float, report_progress: Progress) -> Config:
    """The best setting of those that there is time for; the given one is always tried."""
    logging.getLogger("optuna").setLevel(logging.WARNING)
    space = dict(_SPACE if deals >= MIN_FOR_TREES else _LINEAR_SPACE)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=config.seed))
    loss = _loss(config, exams, deals)
    study.add_trial(optuna.trial.create_trial(params=_within(space, config), distributions=space, value=loss))
    report_progress(_standing(study, config))
    for _ in range(1, config.tuning.trials):
        trial = study.ask(space)
        found = _loss(_with(config, trial.params), exams, deals, end)
        if found is None:
            break
        study.tell(trial, found)
        report_progress(_standing(study, config))
    return config if study.best_trial.number == 0 else _with(config, study.best_params)


def _standing(study: optuna.Study, config: Config) -> str:
    return said(
        "setting {done:count} of {all:count}, best log loss {loss:precise}",
        done=len(study.trials),
        all=config.tuning.trials,
        loss=study.best_value,
    )


def _within(space: Space, config: Config) -> dict[str, float]:
    """The given knobs for the sampler to start from; those beyond the space at its nearest end."""
    given = {name: getattr(config.model, name) for name in space}
    return {name: min(max(given[name], each.low), each.high) for name, each in space.items()}


def _with(config: Config, settings: dict[str, Any]) -> Config:
    return config.model_copy(update={"model": config.model.model_copy(update=settings)})


def _loss(config: Config, exams: list[_Exam], deals: int, end: float = np.inf) -> float | None:
    """Log loss over all exams; None when the time runs out in between."""
    odds = []
    for exam in exams:
        if time.monotonic() > end:
            return None
        odds.append(_odds(config, exam, deals))
    return float(log_loss(np.concatenate([exam.answers for exam in exams]), np.concatenate(odds), labels=[0, 1]))


def _odds(config: Config, exam: _Exam, deals: int) -> NDArray[np.float64]:
    """Odds by the kind of classifier that so many closed deals carry, as training fits it."""
    classifier, _ = make_classifier(_with(config, {"bags": _BAGS}), deals)
    classifier.fit(exam.features, exam.won, sample_weight=exam.weight, groups=exam.groups, held_out=exam.held_out)
    return classifier.predict_proba(exam.asked)[:, 1]


def _dated_exams(known: CRMData, config: Config, exported: CRMData) -> Iterator[_Exam]:
    for cutoff in cutoffs(known, _CUTOFFS, config):
        then = known.as_known_at(cutoff)
        data = training_set(then, config, exported=exported)
        snapshots = labelled(known, open_at(then, cutoff))
        snapshots = snapshots[snapshots["outcome"] != "open"].reset_index(drop=True)
        if snapshots.empty:
            continue
        rows = data.snapshots[data.closed].reset_index(drop=True)
        asked = data.recipe.build(then, snapshots, cross_deal_history=data.cross_deal_history)
        yield _Exam(
            features=data.features.frame[data.closed].reset_index(drop=True),
            won=data.won[data.closed],
            weight=row_weights(data.snapshots, config)[data.closed],
            groups=rows["deal_id"].to_numpy(),
            held_out=held_out(rows, config.model.calibration_share),
            asked=asked,
            answers=np.asarray(snapshots["outcome"] == "won", dtype=np.int64),
        )


def _undated_exams(known: CRMData, config: Config) -> Iterator[_Exam]:
    data = training_set(known, config)
    frame = data.features.frame
    alike = duplicate_groups(frame)
    splitter = StratifiedGroupKFold(n_splits=_FOLDS, shuffle=True, random_state=config.seed)
    for train, test in splitter.split(frame, data.won, alike):
        rows = data.snapshots.iloc[train].reset_index(drop=True)
        yield _Exam(
            features=frame.iloc[train].reset_index(drop=True),
            won=data.won[train],
            weight=np.ones(len(train)),
            groups=alike[train],
            held_out=held_out(rows, config.model.calibration_share),
            asked=frame.iloc[test].reset_index(drop=True),
            answers=data.won[test],
        )
