"""WinClassifier: calibrated close-win odds from a bag of boosted trees blended with a linear model."""

import json
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Self

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from scipy.stats import t as student
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from winpredict._internal.threads import run_parallel, threads_for
from winpredict.errors import ConfigError, TooLittleDataError
from winpredict.models._frames import (
    canonical_order,
    category_places,
    fit_categories,
    select_columns,
    to_matrix,
    weights_of,
)
from winpredict.models.calibration import LogOddsCalibrator
from winpredict.models.linear import LinearLogOdds

Array = NDArray[np.float64]
#: The calibration line has a normal prior of this inverse variance around leaving the odds as they are.
_CALIBRATION_RIDGE = 100.0
#: Weights of the linear model to choose from.
_BLENDS = (0.0, 0.25, 0.5, 0.75, 1.0)
#: Log loss, summed over deals, by which one half of the blend alone, or odds drawn in, must be better to be taken.
_DOUBT = 8.0
#: Trees of 31 leaves take over ten times as long to explain as those of 7 (docs/benchmarks.md): larger ones must lower
#: the log loss by at least this share of it, and by so many standard errors.
_WORTH = 0.004
_SURE = 1.64
#: Models a candidate; fewer than in the end, to be quick.
_CHOOSING_BAGS = 2
#: A tree may look at no fewer features than this.
_LEAST_FEATURES = 8
#: Trees that follow another model's log-odds: there is no noise in these, so they may be many and large.
_DISTILLING: dict[str, Any] = {
    "objective": "regression",
    "learning_rate": 0.15,
    "num_leaves": 31,
    "min_data_in_leaf": 20,
    "lambda_l2": 1.0,
    "feature_fraction": 0.5,
    "num_threads": 1,
    "deterministic": True,
    "force_col_wise": True,
    "verbosity": -1,
}
_DISTILLING_TREES = 120


class WinClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Odds of winning from point-in-time features.

    Several models are fitted, each on the deals under random weights (Bayesian bootstrap, Rubin 1981). Each is a
    LightGBM model blended with a logistic regression; the odds are the mean over all in log-odds, so that
    contributions of features add up exactly. A third member may be given: the odds of a model of competing risks (see
    `winpredict.models.timing.ClosingTime`), which learns from open deals too. It is distilled into regression trees on
    its log-odds (Hinton et al. 2015), so that its contributions are exact as well. The spread of the models gives the
    interval. How large the trees are and what the blend's weights are is chosen on deals later than those that the
    candidates were fitted on, and so is the slope of a calibrator that is linear in log-odds (Platt 1999).

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
        features; taken where they are clearly better on later deals, and doubled while that helps. 0 never tries them.
    min_rows_leaf : int
        Least rows (snapshots) in a leaf.
    feature_share : float
        Share of the features that a tree may look at, but at least eight features.
    row_share : float
        Share of the rows that a tree is fitted on.
    l2 : float
        L2 penalty on leaf values.
    linear_weight : float, optional
        Weight of the linear model against the trees, 0 to 1. By default it is chosen on later deals, one half without
        them.
    hazard_weight : float
        Weight of the competing-risks member, 0 to 1, where it is given; the other two share the rest.
    linear_strength : float
        Inverse of the linear model's L2 penalty (scikit-learn's ``C``).
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
    later_log_odds_ : ndarray of shape (n_snapshots,)
        What the candidates, fitted on the other deals, said of the snapshots of later ones; NaN elsewhere. Not saved.
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
        linear_strength: float = 0.01,
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
        later: ArrayLike | None = None,
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
        later : boolean array of shape (n_snapshots,), optional
            Snapshots of deals that closed later than the others: with models fitted on the others, these decide how
            large the trees are, what the blend's weights are, and the calibration; then the models are fitted on all.
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
        rows = _Rows(matrix[order], labels[order], weight[order], deals)
        choice = _Choice(self._sizes(matrix.shape[1])[0], self._default_linear_weight(), _no_calibration())
        self.later_log_odds_ = np.full(len(order), np.nan)
        if later is not None:
            apart = np.asarray(later, dtype=np.bool_)[order]
            choice = self._choose(rows, apart) or choice
            if choice.later_log_odds is not None:
                self.later_log_odds_[order[apart]] = choice.later_log_odds
        self.boosters_, self.linears_ = self._fit_bags(rows, choice.size, self.bags)
        self.hazards_ = []
        if hazard_log_odds is not None and self.hazard_weight > 0:
            self.hazards_ = [self._distilled(rows, np.asarray(hazard_log_odds, dtype=np.float64)[order])]
        self.hazard_weight_ = self.hazard_weight if self.hazards_ else 0.0
        self.linear_weight_ = (1 - self.hazard_weight_) * choice.linear_weight
        self.size_, self.calibrator_ = choice.size, choice.calibrator
        return self

    @property
    def trees_weight_(self) -> float:
        """Weight of the boosted trees that are fitted on outcomes."""
        return 1.0 - self.linear_weight_ - self.hazard_weight_

    def predict_proba(self, X: Any) -> Array:
        """Probability of each class, shape (n_rows, 2)."""
        won = self.probability_of(self.bag_log_odds(X))
        return np.column_stack([1 - won, won])

    def predict(self, X: Any) -> NDArray[Any]:
        """The more likely class."""
        won = self.predict_proba(X)[:, 1] > 0.5
        return np.asarray(self.classes_[won.astype(np.int64)])

    def predict_interval(self, X: Any) -> Array:
        """Low and high end of the interval of the winning probability, shape (n_rows, 2).

        The interval covers what the data leave open about the model, by the spread of the bagged models; not what
        nobody recorded about the deal.
        """
        return self.interval_of(self.bag_log_odds(X))

    def probability_of(self, by_bag: Array) -> Array:
        """Winning probability of rows whose `bag_log_odds` are known, shape (n_rows,)."""
        return np.asarray(expit(self.calibrator_.transform(by_bag.mean(axis=0))))

    def interval_of(self, by_bag: Array) -> Array:
        """Interval of rows whose `bag_log_odds` are known; see `predict_interval`."""
        spread = _spread(by_bag)
        middle = by_bag.mean(axis=0)
        # Student's quantile, since a few models tell their spread only roughly
        reach = _student_quantile(0.5 + self.interval / 2, max(1, len(by_bag) - 1)) * spread
        ends = [expit(self.calibrator_.transform(middle + side * reach)) for side in (-1, 1)]
        return np.column_stack(ends)

    def doubt_of(self, by_bag: Array) -> Array:
        """Standard deviation, in probability, of the odds of rows whose `bag_log_odds` are known, by the models."""
        odds = self.probability_of(by_bag)
        return np.asarray(_spread(by_bag) * self.calibrator_.slope_ * odds * (1 - odds))

    def bag_log_odds(self, X: Any) -> Array:
        """Log-odds of each bagged model before calibration, shape (bags, n_rows)."""
        matrix = self.to_matrix(X)
        learners = self._log_odds_of(matrix, self.boosters_, self.linears_)
        by_bag = self.trees_weight_ * learners[0] + self.linear_weight_ * learners[1]
        if self.hazards_:
            by_bag = by_bag + self.hazard_weight_ * np.asarray(self.hazards_[0].predict(matrix, num_threads=1))
        return np.asarray(by_bag)

    def to_matrix(self, X: Any) -> Array:
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
            (folder / f"booster_{number}.txt").write_text(booster.model_to_string())
        for booster in self.hazards_:
            (folder / "hazard.txt").write_text(booster.model_to_string())
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
        texts = [(folder / f"booster_{number}.txt").read_text() for number in range(len(description["linears"]))]
        model.boosters_ = [lgb.Booster(model_str=text) for text in texts]
        model.linears_ = [LinearLogOdds.from_dict(values) for values in description["linears"]]
        model.linear_weight_, model.hazard_weight_ = description["linear_weight"], description["hazard_weight"]
        model.hazards_ = [lgb.Booster(model_str=(folder / "hazard.txt").read_text())] if model.hazard_weight_ else []
        model.size_ = TreeSize(**description["size"])
        model.calibrator_ = LogOddsCalibrator()
        model.calibrator_.slope_ = description["calibrator"]["slope"]
        model.calibrator_.intercept_ = description["calibrator"]["intercept"]
        return model

    def _check_training(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None) -> tuple[Array, Array, Array]:
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
                f"all {len(labels)} rows are of one class ({self.classes_[0]}); both won and lost deals are needed"
            )
        return matrix, labels.astype(np.float64), weights_of(sample_weight, len(labels))

    def _choose(self, rows: "_Rows", later: NDArray[np.bool_]) -> "_Choice | None":
        """Tree size, blend and calibration that do best on later deals; None where these teach nothing."""
        earlier, after = rows.take(~later), rows.take(later)
        if len(np.unique(earlier.y)) < 2 or len(after.y) == 0:
            return None
        # as in the pipeline of a day, a long deal counts more often; together the rows weigh as many as the deals that
        # would say as much if all weighed the same (Kish 1965)
        by_deal = np.bincount(after.groups, weights=after.weight)
        weight = after.weight * by_deal.sum() / (by_deal**2).sum()
        best: _Tried | None = None
        for size in self._sizes(rows.matrix.shape[1]):
            found = self._try(earlier, after, weight, size)
            if best is not None and not found.is_worth_more_than(best, weight, after.groups):
                break  # larger still would not be worth it either
            best = found
        assert best is not None, "there is a size to try"
        calibrator = self._calibrated(best, after.y, weight)
        return _Choice(best.size, best.share, calibrator, best.log_odds)

    def _try(self, earlier: "_Rows", after: "_Rows", weight: Array, size: "TreeSize") -> "_Tried":
        """The best blend with trees of a size."""
        boosters, linears = self._fit_bags(earlier, size, min(self.bags, _CHOOSING_BAGS))
        trees, linear = (each.mean(axis=0) for each in self._log_odds_of(after.matrix, boosters, linears))
        tried = []
        for share in _BLENDS if self.linear_weight is None else (self.linear_weight,):
            log_odds = (1 - share) * trees + share * linear
            losses = np.logaddexp(0, log_odds) - after.y * log_odds
            doubt = _DOUBT * (2 * share - 1) ** 2
            tried.append((float(weight @ losses) + doubt, _Tried(size, share, log_odds, losses)))
        return min(tried, key=lambda each: each[0])[1]

    def _calibrated(self, tried: "_Tried", y: Array, weight: Array) -> LogOddsCalibrator:
        """A slope below 1 where the odds are overconfident beyond doubt, else odds as they are.

        The candidates are fitted on fewer deals than the final models, so a slope that is only likely would draw in
        odds that need it no more. A drift of the level the models learn themselves when they are fitted on all deals,
        so correcting it here would count it twice.
        """
        calibrator = LogOddsCalibrator(ridge=_CALIBRATION_RIDGE).fit(tried.log_odds, y, sample_weight=weight)
        calibrator.intercept_ = 0.0
        slope = max(calibrator.slope_, 0.0)  # odds that rank the wrong way round are worth nothing
        drawn_in = slope * tried.log_odds
        gain = float(weight @ (tried.losses - np.logaddexp(0, drawn_in) + y * drawn_in))
        calibrator.slope_ = slope if gain > _DOUBT else 1.0
        return calibrator

    def _default_linear_weight(self) -> float:
        return 0.5 if self.linear_weight is None else self.linear_weight

    def _sizes(self, features: int) -> list["TreeSize"]:
        """The trees as they are set, then larger and larger ones."""
        least = min(1.0, _LEAST_FEATURES / features)
        sizes = [TreeSize(self.leaves, self.trees, self.learning_rate, max(self.feature_share, least))]
        if self.large_leaves > self.leaves and self.linear_weight != 1.0:
            share = max(sizes[0].feature_share, 0.5)
            for times in (1, 2, 4):
                rate = min(1.0, 2 * times * self.learning_rate)
                sizes.append(TreeSize(times * self.large_leaves, max(1, self.trees // 2), rate, share))
        return sizes

    def _fit_bags(self, rows: "_Rows", size: "TreeSize", bags: int) -> tuple[list[lgb.Booster], list[LinearLogOdds]]:
        n_groups = int(rows.groups.max()) + 1
        generator = np.random.default_rng(self.random_state)
        draws = []
        for _ in range(bags):
            draw = generator.exponential(size=n_groups) if bags > 1 else np.ones(n_groups)
            draws.append((draw, int(generator.integers(2**31 - 1))))
        fitted = run_parallel([partial(self._fit_bag, rows, size, *each) for each in draws], self.threads)
        return [trees for trees, _ in fitted], [linear for _, linear in fitted]

    def _fit_bag(self, rows: "_Rows", size: "TreeSize", draw: Array, seed: int) -> tuple[lgb.Booster, LinearLogOdds]:
        weight = rows.weight * draw[rows.groups]
        weight *= len(weight) / weight.sum()
        places = tuple(self._category_places())
        linear = LinearLogOdds.fit(rows.matrix, rows.y, weight, places, self.linear_strength)
        return self._fit_trees(rows, weight, size, seed), linear

    def _fit_trees(self, rows: "_Rows", weight: Array, size: "TreeSize", seed: int) -> lgb.Booster:
        data = lgb.Dataset(rows.matrix, rows.y, weight=weight, categorical_feature=self._category_places())
        return lgb.train(self._tree_parameters(size, seed), data, num_boost_round=size.trees)

    def _tree_parameters(self, size: "TreeSize", seed: int) -> dict[str, Any]:
        return {
            "objective": "binary",
            "learning_rate": size.learning_rate,
            "num_leaves": size.leaves,
            "min_data_in_leaf": self.min_rows_leaf,
            "feature_fraction": size.feature_share,
            "bagging_fraction": self.row_share,
            "bagging_freq": 1,
            "lambda_l2": self.l2,
            "max_cat_to_onehot": 8,
            "monotone_constraints": self._monotone_list(),
            "num_threads": 1,
            "seed": seed,
            "deterministic": True,
            "force_col_wise": True,  # a tree looks at few of the features
            "verbosity": -1,
        }

    def _monotone_list(self) -> list[int] | None:
        if not self.monotone:
            return None
        names = list(getattr(self, "feature_names_in_", []))
        unknown = sorted(set(self.monotone) - set(names))
        if unknown:
            raise ConfigError(f"model.monotone names unknown feature(s): {', '.join(unknown)}")
        return [self.monotone.get(name, 0) for name in names]

    def _category_places(self) -> list[int]:
        return category_places(list(getattr(self, "feature_names_in_", [])), self.categories_)

    def _distilled(self, rows: "_Rows", log_odds: Array) -> lgb.Booster:
        """Trees that give the log-odds of another model."""
        data = lgb.Dataset(rows.matrix, log_odds, weight=rows.weight, categorical_feature=self._category_places())
        own = {"seed": self.random_state, "monotone_constraints": self._monotone_list()}
        return lgb.train(_DISTILLING | own, data, num_boost_round=_DISTILLING_TREES)

    def _log_odds_of(
        self, matrix: Array, boosters: list[lgb.Booster], linears: list[LinearLogOdds]
    ) -> tuple[Array, Array]:
        """Log-odds of the trees and of the linear models, shape (bags, n_rows) each."""
        calls = [partial(each.predict, matrix, raw_score=True, num_threads=1) for each in boosters]
        trees = np.array(run_parallel(calls, threads_for(len(matrix), self.threads)))
        linear = np.array([each.log_odds(matrix) for each in linears])
        return trees, linear


def _spread(by_bag: Array) -> Array:
    """Standard deviation between the models, by row."""
    return np.asarray(by_bag.std(axis=0, ddof=1) if len(by_bag) > 1 else np.zeros(by_bag.shape[1]))


@cache
def _student_quantile(probability: float, freedom: int) -> float:
    return float(student.ppf(probability, freedom))


@dataclass(frozen=True)
class TreeSize:
    """How large, how many and how quickly learning the trees are."""

    leaves: int
    trees: int
    learning_rate: float
    feature_share: float


@dataclass(frozen=True)
class _Choice:
    """What later deals decided."""

    size: TreeSize
    linear_weight: float
    calibrator: LogOddsCalibrator
    later_log_odds: Array | None = None


@dataclass(frozen=True)
class _Tried:
    """A blend with trees of a size, and how it did on later deals."""

    size: "TreeSize"
    share: float
    log_odds: Array
    losses: Array

    def is_worth_more_than(self, other: "_Tried", weight: Array, deals: NDArray[np.int64]) -> bool:
        """Whether it is better beyond chance, in a paired comparison by deal, and by more than it costs."""
        gain = np.bincount(deals, weights=weight * (other.losses - self.losses))
        by_chance = float(np.sqrt(len(gain)) * gain.std())
        return bool(gain.sum() > max(_SURE * by_chance, _WORTH * float(weight @ other.losses)))


class _Rows:
    """Training rows that belong together."""

    def __init__(self, matrix: Array, y: Array, weight: Array, groups: NDArray[np.int64]) -> None:
        self.matrix, self.y, self.weight, self.groups = matrix, y, weight, groups

    def take(self, which: NDArray[np.bool_]) -> "_Rows":
        groups = np.unique(self.groups[which], return_inverse=True)[1]
        return _Rows(self.matrix[which], self.y[which], self.weight[which], groups)


def _no_calibration() -> LogOddsCalibrator:
    """A calibrator that leaves the odds as they are."""
    calibrator = LogOddsCalibrator()
    calibrator.slope_, calibrator.intercept_ = 1.0, 0.0
    return calibrator
