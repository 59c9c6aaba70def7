"""Optuna search for the classifier's knobs, judged as the backtest judges: on deals that closed after a cut-off."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import log_loss
from sklearn.model_selection import GroupKFold

from winpredict.config import Config
from winpredict.features.build import build_features
from winpredict.features.snapshots import labelled, open_at
from winpredict.models.backtest import cutoffs, duplicate_groups
from winpredict.models.training import Progress, all_builders, make_classifier, row_weights, training_set
from winpredict.tables.crm import CRMData

_CUTOFFS = 3
_FOLDS = 3
#: One model instead of a bag: settings rank alike, at a fraction of the time.
_BAGS = 1


@dataclass(frozen=True)
class _Exam:
    """What one cut-off teaches and asks."""

    features: pd.DataFrame
    won: NDArray[np.int64]
    weight: NDArray[np.float64]
    deals: NDArray[Any]
    asked: pd.DataFrame
    answers: NDArray[np.int64]


def tune(crm: CRMData, config: Config, *, progress: Progress | None = None) -> Config:
    """Search for knobs of the classifier that give better odds on later deals.

    Parameters
    ----------
    crm : CRMData
        What may be known: nothing later is looked at.
    config : Config
        Its model is tried first, so that the result is never worse in the search; ``config.tuning`` bounds the search.
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
    The search is Optuna's tree-structured Parzen estimator (Bergstra et al. 2011). Undated data are judged by folds
    that never share a duplicate. The winning figure is the best of many and thus flattered: only a backtest with the
    returned config says what it is worth.
    """
    say = progress or (lambda words: None)
    say("building features")
    exams = list(_dated_exams(crm, config) if crm.dated else _undated_exams(crm, config))
    if not exams:
        return config
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=config.seed))
    # a weight that the model would choose by itself starts in the middle
    given = {name: getattr(config.model, name) for name in _SPACE}
    study.enqueue_trial({name: 0.5 if value is None else value for name, value in given.items()})
    end = time.monotonic() + 60 * config.tuning.minutes
    for number in range(config.tuning.trials):
        trial = study.ask(_SPACE)
        study.tell(trial, _loss(_with(config, trial.params), exams))
        say(f"setting {number + 1} of {config.tuning.trials}, best log loss {study.best_value:.4f}")
        if time.monotonic() > end:
            break
    return config if study.best_trial.number == 0 else _with(config, study.best_params)


_SPACE: dict[str, optuna.distributions.BaseDistribution] = {
    "trees": optuna.distributions.IntDistribution(100, 800, log=True),
    "learning_rate": optuna.distributions.FloatDistribution(0.005, 0.1, log=True),
    "leaves": optuna.distributions.IntDistribution(3, 31, log=True),
    "min_rows_leaf": optuna.distributions.IntDistribution(10, 500, log=True),
    "feature_share": optuna.distributions.FloatDistribution(0.1, 1.0),
    "l2": optuna.distributions.FloatDistribution(0.1, 100.0, log=True),
    "linear_weight": optuna.distributions.FloatDistribution(0.0, 1.0),
    "linear_strength": optuna.distributions.FloatDistribution(1e-4, 1.0, log=True),
}


def _with(config: Config, knobs: dict[str, Any]) -> Config:
    return config.model_copy(update={"model": config.model.model_copy(update=knobs)})


def _loss(config: Config, exams: list[_Exam]) -> float:
    cheap = _with(config, {"bags": _BAGS})
    answers, odds = [], []
    for exam in exams:
        classifier, _ = make_classifier(cheap, len(np.unique(exam.deals)))
        classifier.fit(exam.features, exam.won, sample_weight=exam.weight, groups=exam.deals)
        odds.append(classifier.predict_proba(exam.asked)[:, 1])
        answers.append(exam.answers)
    return float(log_loss(np.concatenate(answers), np.concatenate(odds), labels=[0, 1]))


def _dated_exams(crm: CRMData, config: Config) -> Iterator[_Exam]:
    for cutoff in cutoffs(crm, _CUTOFFS, config):
        known = crm.as_known_at(cutoff)
        data = training_set(known, config, exported=crm)
        looks = labelled(crm, open_at(known, cutoff))
        looks = looks[looks["outcome"] != "open"].reset_index(drop=True)
        if looks.empty:
            continue
        closed = data.closed
        yield _Exam(
            features=data.features.frame[closed].reset_index(drop=True),
            won=data.won[closed],
            weight=row_weights(data.snapshots, config)[closed],
            deals=data.snapshots.loc[closed, "deal_id"].to_numpy(),
            asked=build_features(
                known, looks, attributes=data.audit.kept, builders=all_builders(config.builders)
            ).frame,
            answers=np.asarray(looks["outcome"] == "won", dtype=np.int64),
        )


def _undated_exams(crm: CRMData, config: Config) -> Iterator[_Exam]:
    data = training_set(crm, config)
    frame = data.features.frame
    alike = duplicate_groups(frame)
    for train, test in GroupKFold(_FOLDS).split(frame, data.won, alike):
        yield _Exam(
            features=frame.iloc[train].reset_index(drop=True),
            won=data.won[train],
            weight=np.ones(len(train)),
            deals=alike[train],
            asked=frame.iloc[test].reset_index(drop=True),
            answers=data.won[test],
        )
