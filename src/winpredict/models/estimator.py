"""WinClassifier: calibrated close-win odds from a bag of boosted trees blended with a linear model."""

import json
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from scipy.stats import norm as normal
from scipy.stats import t as student
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from winpredict.errors import TooLittleDataError
from winpredict.locale.text import text
from winpredict.models._frames import (
    Floats,
    canonical_order,
    category_places,
    fit_categories,
    select_columns,
    to_matrix,
    weights_of,
)
from winpredict.models.blend import Choice, candidate_sizes, choose
from winpredict.models.calibration import LogOddsCalibrator
from winpredict.models.learners import (
    Learners,
    Rows,
    TreeSize,
    log_odds_of,
    monotone_list,
    read_booster,
    write_booster,
)
from winpredict.models.linear import LinearLogOdds

#: A tree may look at no fewer features than this.
_MIN_FEATURES = 8


class WinClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Odds of winning from point-in-time features.

    Several models are fitted, each on the deals under random weights (Bayesian bootstrap, Rubin 1981). Each is a
    LightGBM model blended with a logistic regression; the odds are the mean over all in log-odds, so that
    contributions of features add up exactly. A third member may be given: the odds of a model of competing risks (see
    `winpredict.models.timing.ClosingTime`), which learns from open deals too. It is distilled into regression trees on
    its log-odds (Hinton et al. 2015), so that its contributions are exact as well. The spread of the models, and what
    they miss of groups of deals held out, gives the interval. How large the trees are and what the blend's weights are
    is chosen on deals held out of those that the candidates were fitted on, and so is the slope of a calibrator that is
    linear in log-odds (Platt 1999).

    Parameters
    ----------
    bags : int
        Number of models.
    trees : int
        Boosting rounds of each.
    learning_rate : float
    leaves : int
        Leaves of a tree.
    large_leaves : int
        Leaves of larger trees, which are half as many, learn at least twice as fast and see at least half of the
        features; taken where they are clearly better on held-out deals, and doubled while that helps. 0 never tries
        them.
    min_rows_leaf : int
        Least rows (snapshots) in a leaf, where deals have eight snapshots or more; fewer in proportion where they have
        fewer, but not under 20.
    feature_share : float
        Share of the features that a tree may look at, but at least eight features.
    row_share : float
        Share of the rows that a tree is fitted on.
    l2 : float
        L2 penalty on leaf values.
    linear_weight : float, optional
        Weight of the linear model against the trees, 0 to 1. By default it is chosen on held-out deals, one half
        without them.
    hazard_weight : float
        Weight of the competing-risks member, 0 to 1, where it is given; the other two share the rest.
    linear_strength : float
        Inverse of the linear model's L2 penalty (scikit-learn's ``C``), the rows weighing as many as the deals that say
        as much.
    monotone : dict of str to {-1, 1}, optional
        Features whose effect in the trees may only fall or only rise.
    interval : float
        Probability mass of the interval given by `predict_interval`.
    threads : int, optional
        Models fitted, or asked, beside each other, each on one thread; by default as many as there are cores. It never
        changes a model.
    random_state : int

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
    feature_names_in_ : ndarray of str
    categories_ : dict of str to list of str
        Known values of each category feature.
    boosters_ : list of lightgbm.Booster
    linears_ : list of LinearLogOdds
    hazards_ : list of lightgbm.Booster
        The distilled competing-risks model, if any.
    linear_weight_, hazard_weight_ : float
        Weights of the linear models and of the competing-risks model; the trees have the rest.
    size_ : TreeSize
        The trees that were fitted.
    group_variance_ : float
        Variance, in log-odds, by which the mean odds of like deals may be off beside the spread of the models; learned
        from deals held out, 0 without them.
    held_out_log_odds_ : ndarray of shape (n_snapshots,)
        What the candidates, fitted on the other deals, said of the snapshots held out; NaN elsewhere. Not saved.
    calibrator_ : LogOddsCalibrator

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame({"touches": rng.poisson(5, 400), "stage": rng.choice(["Demo", "Offer"], 400)})
    >>> y = (X["touches"] + 4 * (X["stage"] == "Offer") + rng.normal(size=400) > 7).astype(int)
    >>> classifier = WinClassifier(bags=2, linear_strength=1.0).fit(X, y)
    >>> odds = classifier.predict_proba(pd.DataFrame({"touches": [1, 12], "stage": ["Demo", "Offer"]}))[:, 1]
    >>> bool(odds[0] < 0.2 and odds[1] > 0.8)
    True
    """

    def __init__(
        self,
        *,
        bags: int = 6,
        trees: int = 300,
        learning_rate: float = 0.03,
        leaves: int = 7,
        large_leaves: int = 31,
        min_rows_leaf: int = 80,
        feature_share: float = 0.2,
        row_share: float = 0.7,
        l2: float = 5.0,
        linear_weight: float | None = None,
        hazard_weight: float = 0.25,
        linear_strength: float = 0.05,
        monotone: dict[str, int] | None = None,
        interval: float = 0.8,
        threads: int | None = None,
        random_state: int = 0,
    ) -> None:
        self.bags = bags
        self.trees = trees
        self.learning_rate = learning_rate
        self.leaves = leaves
        self.large_leaves = large_leaves
        self.min_rows_leaf = min_rows_leaf
        self.feature_share = feature_share
        self.row_share = row_share
        self.l2 = l2
        self.linear_weight = linear_weight
        self.hazard_weight = hazard_weight
        self.linear_strength = linear_strength
        self.monotone = monotone
        self.interval = interval
        self.threads = threads
        self.random_state = random_state

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.classifier_tags.multi_class = False
        return tags

    def fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
        held_out: ArrayLike | None = None,
        hazard_log_odds: ArrayLike | None = None,
    ) -> Self:
        """Fit on snapshots of closed deals.

        Parameters
        ----------
        X : DataFrame or array of shape (n_snapshots, n_features)
            Numbers (missing is NaN) and, in a frame, text or category columns.
        y : array of shape (n_snapshots,)
            Two classes; the greater one is "won".
        sample_weight : array of shape (n_snapshots,), optional
        groups : array of shape (n_snapshots,), optional
            The deal of each snapshot: deals, not snapshots, are reweighted between the models.
        held_out : array of bool or int, shape (n_snapshots,), optional
            Snapshots of deals that are held out, for example of those that closed last: with models fitted on the
            others, they decide how large the trees are, what the blend's weights are, and the calibration; then the
            models are fitted on all. Numbers above 0 name folds, each judged by models fitted on all other snapshots.
            Without it all three stay as they are set, and no calibration is learnt.
        hazard_log_odds : array of shape (n_snapshots,), optional
            Log-odds of each snapshot by a model of competing risks.

        Returns
        -------
        WinClassifier

        Raises
        ------
        TooLittleDataError
            When there is only one class.
        ConfigError
            When a monotone constraint names an unknown feature.
        """
        matrix, labels, weight = self._check_training(X, y, sample_weight)
        deals = None if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
        order = canonical_order(matrix, labels, weight, *([] if deals is None else [deals]))
        deals = np.arange(len(order)) if deals is None else deals[order]
        rows = Rows(matrix[order], labels[order], weight[order], deals)
        learners, size = self._learners(), self._size(matrix.shape[1])
        choice = Choice.as_set(size, self.linear_weight)
        self.held_out_log_odds_ = np.full(len(order), np.nan)
        if held_out is not None:
            fold = np.asarray(held_out, dtype=np.int64)[order]
            sizes = candidate_sizes(size, 0 if self.linear_weight == 1.0 else self.large_leaves)
            found = choose(rows, fold, learners, sizes, bags=self.bags, linear_weight=self.linear_weight)
            choice = found or choice
            if choice.held_out_log_odds is not None:
                self.held_out_log_odds_[order[fold > 0]] = choice.held_out_log_odds
        self.boosters_ = learners.fit_trees(rows, choice.size, self.bags)
        self.linears_ = learners.fit_linears(rows, self.bags)
        self.hazards_ = []
        if hazard_log_odds is not None and self.hazard_weight > 0:
            self.hazards_ = [learners.distil(rows, np.asarray(hazard_log_odds, dtype=np.float64)[order])]
        self.hazard_weight_ = self.hazard_weight if self.hazards_ else 0.0
        self.linear_weight_ = (1 - self.hazard_weight_) * choice.linear_weight
        self.size_, self.calibrator_ = choice.size, choice.calibrator
        self.group_variance_ = choice.group_variance
        return self

    @property
    def trees_weight_(self) -> float:
        """Weight of the boosted trees that are fitted on outcomes."""
        return 1.0 - self.linear_weight_ - self.hazard_weight_

    def predict_proba(self, X: Any) -> Floats:
        """Probability of each class, shape (n_rows, 2)."""
        won = self.probability_of(self.bag_log_odds(X))
        return np.column_stack([1 - won, won])

    def predict(self, X: Any) -> NDArray[Any]:
        """The more likely class."""
        won = self.predict_proba(X)[:, 1] > 0.5
        return np.asarray(self.classes_[won.astype(np.int64)])

    def predict_interval(self, X: Any) -> Floats:
        """Low and high end of the interval of the winning probability, shape (n_rows, 2).

        The interval is of the mean odds of deals that look alike: what the data leave open about it, by the spread of
        the bagged models and by how far groups of held-out deals were off. It is not that of one deal's own odds, which
        depend on what nobody recorded.
        """
        return self.interval_of(self.bag_log_odds(X))

    def probability_of(self, by_bag: Floats) -> Floats:
        """Winning probability of rows whose `bag_log_odds` are known, shape (n_rows,)."""
        return np.asarray(expit(self.calibrator_.transform(by_bag.mean(axis=0))))

    def interval_of(self, by_bag: Floats) -> Floats:
        """Interval of rows whose `bag_log_odds` are known; see `predict_interval`."""
        spread = _spread(by_bag)
        middle = by_bag.mean(axis=0)
        # Student's quantile, since a few models tell their spread only roughly
        tail = 0.5 + self.interval / 2
        by_chance = _student_quantile(tail, max(1, len(by_bag) - 1)) * spread
        reach = np.sqrt(by_chance**2 + self.group_variance_ * _normal_quantile(tail) ** 2)
        ends = [expit(self.calibrator_.transform(middle + side * reach)) for side in (-1, 1)]
        return np.column_stack(ends)

    def doubt_of(self, by_bag: Floats) -> Floats:
        """Standard deviation, in probability, of the odds of rows whose `bag_log_odds` are known, by the models."""
        odds = self.probability_of(by_bag)
        return np.asarray(_spread(by_bag) * self.calibrator_.slope_ * odds * (1 - odds))

    def bag_log_odds(self, X: Any) -> Floats:
        """Log-odds of each bagged model before calibration, shape (bags, n_rows)."""
        matrix = self.to_matrix(X)
        trees = log_odds_of(matrix, self.boosters_, self.threads)
        linear = np.array([each.log_odds(matrix) for each in self.linears_])
        by_bag = self.trees_weight_ * trees + self.linear_weight_ * linear
        if self.hazards_:
            by_bag = by_bag + self.hazard_weight_ * np.asarray(self.hazards_[0].predict(matrix, num_threads=1))
        return np.asarray(by_bag)

    def to_matrix(self, X: Any) -> Floats:
        """Features as the models see them: one float matrix, categories as codes."""
        check_is_fitted(self)
        if isinstance(X, pd.DataFrame) and hasattr(self, "feature_names_in_"):
            return to_matrix(select_columns(X, list(self.feature_names_in_)), self.categories_)
        return np.asarray(validate_data(self, X, reset=False, dtype=np.float64, ensure_all_finite="allow-nan"))

    def save(self, folder: Path) -> None:
        """Write LightGBM text files and ``classifier.json``; nothing that can run code when read."""
        check_is_fitted(self)
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for number, booster in enumerate(self.boosters_):
            write_booster(booster, folder / f"booster_{number}.txt")
        for booster in self.hazards_:
            write_booster(booster, folder / "hazard.txt")
        description = {
            "params": self.get_params(),
            "classes": self.classes_.tolist(),
            "features": [str(name) for name in self.feature_names_in_] if hasattr(self, "feature_names_in_") else None,
            "n_features": self.n_features_in_,
            "categories": self.categories_,
            "linears": [linear.to_dict() for linear in self.linears_],
            "linear_weight": self.linear_weight_,
            "hazard_weight": self.hazard_weight_,
            "size": asdict(self.size_),
            "group_variance": self.group_variance_,
            "calibrator": {"slope": self.calibrator_.slope_, "intercept": self.calibrator_.intercept_},
        }
        (folder / "classifier.json").write_text(json.dumps(description))

    @classmethod
    def load(cls, folder: Path) -> "WinClassifier":
        """Read what `save` wrote."""
        folder = Path(folder)
        description = json.loads((folder / "classifier.json").read_text())
        model = cls(**description["params"])
        model.classes_ = np.array(description["classes"])
        if description["features"] is not None:
            model.feature_names_in_ = np.array(description["features"], dtype=object)
        model.n_features_in_ = description["n_features"]
        model.categories_ = description["categories"]
        model.linears_ = [LinearLogOdds.from_dict(values) for values in description["linears"]]
        model.boosters_ = [read_booster(folder / f"booster_{number}.txt") for number in range(len(model.linears_))]
        model.linear_weight_, model.hazard_weight_ = description["linear_weight"], description["hazard_weight"]
        model.hazards_ = [read_booster(folder / "hazard.txt")] if model.hazard_weight_ else []
        model.size_ = TreeSize(**description["size"])
        model.group_variance_ = description["group_variance"]
        model.calibrator_ = LogOddsCalibrator()
        model.calibrator_.slope_ = description["calibrator"]["slope"]
        model.calibrator_.intercept_ = description["calibrator"]["intercept"]
        return model

    def _check_training(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None) -> tuple[Floats, Floats, Floats]:
        if isinstance(X, pd.DataFrame):
            self.categories_ = fit_categories(X)
            matrix = to_matrix(X, self.categories_)
            validate_data(self, matrix, np.asarray(y), dtype=np.float64, ensure_all_finite="allow-nan")
            self.feature_names_in_ = np.array(X.columns, dtype=object)
        else:
            self.categories_ = {}
            matrix, y = validate_data(self, X, y, dtype=np.float64, ensure_all_finite="allow-nan")
        check_classification_targets(y)
        self.classes_, labels = np.unique(np.asarray(y), return_inverse=True)
        if len(self.classes_) > 2:
            raise ValueError(f"Only binary classification is supported; y has {len(self.classes_)} classes")
        if len(self.classes_) < 2:
            raise TooLittleDataError(
                text(
                    "all {n} rows are of one class ({classes}); both won and lost deals are needed",
                    n=len(labels),
                    classes=self.classes_[0],
                )
            )
        return matrix, labels.astype(np.float64), weights_of(sample_weight, len(labels))

    def _size(self, features: int) -> TreeSize:
        """The trees as they are set, for so many features."""
        share = max(self.feature_share, min(1.0, _MIN_FEATURES / features))
        return TreeSize(self.leaves, self.trees, self.learning_rate, share)

    def _learners(self) -> Learners:
        names = list(getattr(self, "feature_names_in_", []))
        return Learners(
            min_rows_leaf=self.min_rows_leaf,
            row_share=self.row_share,
            l2=self.l2,
            linear_strength=self.linear_strength,
            categorical=category_places(names, self.categories_),
            monotone=monotone_list(self.monotone, names),
            threads=self.threads,
            random_state=self.random_state,
        )


def _spread(by_bag: Floats) -> Floats:
    """Standard deviation between the models, by row."""
    return np.asarray(by_bag.std(axis=0, ddof=1) if len(by_bag) > 1 else np.zeros(by_bag.shape[1]))


@cache
def _normal_quantile(probability: float) -> float:
    return float(normal.ppf(probability))


@cache
def _student_quantile(probability: float, freedom: int) -> float:
    return float(student.ppf(probability, freedom))
