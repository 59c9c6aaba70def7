"""What must be beaten: overall rate, stage win rate, frequency-table naive Bayes and logistic regression."""

from collections.abc import Sequence
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, QuantileTransformer, StandardScaler

from winpredict._internal.threads import one_blas_thread
from winpredict.errors import NotFittedError, TooLittleDataError
from winpredict.locale.text import text
from winpredict.models._frames import (
    Floats,
    canonical_order,
    fit_categories,
    is_category,
    numbers,
    outcomes,
    select_columns,
    to_matrix,
    weights_of,
)


class _Baseline(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A two-class estimator that learns in `_learn` and says P(won) in `_win_probability`."""

    def fit(self, X: pd.DataFrame, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn from labelled snapshots.

        Parameters
        ----------
        X : DataFrame of shape (n_rows, n_features)
            Point-in-time features.
        y : array-like of shape (n_rows,)
            1 for won, 0 for lost.
        sample_weight : array-like of shape (n_rows,), optional
            Row weights; best such that the snapshots of a deal sum to about one.

        Raises
        ------
        TableError
            When labels are not 0 or 1, or the weights do not fit.
        TooLittleDataError
            When there are no rows.
        """
        labels = outcomes(y)
        weight = weights_of(sample_weight, labels.size)
        order = canonical_order(to_matrix(X, fit_categories(X)), labels, weight)
        self._learn(X.iloc[order], labels[order], weight[order])
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, X: pd.DataFrame) -> Floats:
        """P(lost) and P(won) of each row, shape (n_rows, 2), dtype float64.

        Raises
        ------
        NotFittedError
            When `fit` has not been called.
        """
        if not hasattr(self, "classes_"):
            raise NotFittedError(
                text("this {name} is not trained; call fit with closed deals first", name=type(self).__name__)
            )
        won = self._win_probability(X)
        return np.column_stack([1.0 - won, won])

    def predict(self, X: pd.DataFrame) -> NDArray[np.int64]:
        """1 where P(won) is at least one half, shape (n_rows,)."""
        return (self.predict_proba(X)[:, 1] >= 0.5).astype(np.int64)

    def _learn(self, X: pd.DataFrame, y: Floats, weight: Floats) -> None:
        raise NotImplementedError

    def _win_probability(self, X: pd.DataFrame) -> Floats:
        raise NotImplementedError


class OverallRate(_Baseline):
    """Every deal has the weighted share of won deals in training as its odds.

    Examples
    --------
    >>> X = pd.DataFrame({"touches": [1.0, 2.0, 3.0, 4.0]})
    >>> OverallRate().fit(X, [1, 0, 0, 0]).predict_proba(X[:1])
    array([[0.75, 0.25]])
    """

    def _learn(self, X: pd.DataFrame, y: Floats, weight: Floats) -> None:
        self.rate_ = float(np.average(y, weights=weight))

    def _win_probability(self, X: pd.DataFrame) -> Floats:
        return np.full(len(X), self.rate_)


class StageWinRate(_Baseline):
    """The share of won deals among those seen in the same stage, as most CRMs show it.

    The rate of a stage is ``(won + k * overall) / (won + lost + k)`` with k the prior strength. A missing or unseen
    stage gets the overall rate, and so does every row where the column is absent.

    Parameters
    ----------
    column : str
        The column with the stage as of the snapshot.
    prior_strength : float
        Number of deals (sum of weights) at which a stage's own rate counts as much as the overall rate.

    Examples
    --------
    >>> X = pd.DataFrame({"stage": pd.Categorical(["Call", "Call", "Demo", "Demo"])})
    >>> rates = StageWinRate(prior_strength=0.0).fit(X, [0, 0, 1, 0])
    >>> rates.predict_proba(pd.DataFrame({"stage": ["Demo", "Lunch"]}))[:, 1]
    array([0.5 , 0.25])
    """

    def __init__(self, column: str = "stage", prior_strength: float = 10.0) -> None:
        self.column = column
        self.prior_strength = prior_strength

    def _learn(self, X: pd.DataFrame, y: Floats, weight: Floats) -> None:
        self.overall_ = float(np.average(y, weights=weight))
        self.rates_ = pd.Series(dtype=np.float64)
        if self.column in X:
            won, total = _totals(X[self.column], y, weight), _totals(X[self.column], np.ones(y.size), weight)
            self.rates_ = (won + self.prior_strength * self.overall_) / (total + self.prior_strength)

    def _win_probability(self, X: pd.DataFrame) -> Floats:
        if self.column not in X:
            return np.full(len(X), self.overall_)
        return _looked_up(X[self.column], self.rates_, self.overall_)


class FrequencyNaiveBayes(_Baseline):
    """Naive Bayes on frequency tables, in the manner of Odoo's predictive lead scoring.

    For the stage and each field a table counts won and lost deals by value, each count raised by a pseudo-count; the
    odds are the overall odds times the ratios of the values' frequencies. Stages are cumulative: a deal in a stage
    counts for that stage and all before it, so a late stage is one that few lost deals reach.

    Parameters
    ----------
    stage_order : sequence of str
        Open stages from the first to the last; when empty, the stage is a field like any other.
    fields : sequence of str
        Label columns to use besides the stage; those absent from the features are left out (see ``fields_``).
    stage : str
        The column with the stage as of the snapshot.
    pseudo_count : float
        Added to each count, so that no frequency is zero; 0.1 as in Odoo.

    Attributes
    ----------
    fields_ : list of str
        The columns in use, the stage included.
    evidence_ : dict of str to Series
        By column and value, what it adds to the log-odds.

    Notes
    -----
    Source: Odoo, ``addons/crm`` (``crm.lead.scoring.frequency``). Differences: counts are sums of weights over
    snapshots, there is one table for all teams, and values are not rounded. Unseen and missing values add nothing.

    Examples
    --------
    >>> X = pd.DataFrame({"stage": ["Call", "Call", "Demo", "Demo"], "source": ["web", "fair", "fair", "web"]})
    >>> bayes = FrequencyNaiveBayes(stage_order=["Call", "Demo"], fields=["source"]).fit(X, [0, 0, 1, 1])
    >>> bayes.predict_proba(X)[:, 1].round(3)
    array([0.5  , 0.5  , 0.955, 0.955])
    """

    def __init__(
        self,
        stage_order: Sequence[str] = (),
        fields: Sequence[str] = (),
        stage: str = "stage",
        pseudo_count: float = 0.1,
    ) -> None:
        self.stage_order = stage_order
        self.fields = fields
        self.stage = stage
        self.pseudo_count = pseudo_count

    def _learn(self, X: pd.DataFrame, y: Floats, weight: Floats) -> None:
        won, lost = weight @ y + self.pseudo_count, weight @ (1.0 - y) + self.pseudo_count
        self.prior_ = float(np.log(won / lost))
        self.fields_ = [name for name in dict.fromkeys([self.stage, *self.fields]) if name in X]
        self.evidence_ = {name: self._evidence(name, X[name], y, weight) for name in self.fields_}

    def _evidence(self, name: str, values: pd.Series, y: Floats, weight: Floats) -> pd.Series:
        won, lost = _totals(values, y, weight), _totals(values, 1.0 - y, weight)
        if name == self.stage and len(self.stage_order):
            won, lost = self._reached(won), self._reached(lost)
            all_won, all_lost = won.iloc[0], lost.iloc[0]
        else:
            won, lost = won + self.pseudo_count, lost + self.pseudo_count
            all_won, all_lost = won.sum(), lost.sum()
        ratio: pd.Series = (won / all_won) / (lost / all_lost)
        return ratio.map(np.log)

    def _reached(self, count: pd.Series) -> pd.Series:
        """Deals that reached each stage: those in it and those further on."""
        in_order = count.reindex(list(self.stage_order), fill_value=0.0)
        return in_order[::-1].cumsum()[::-1] + self.pseudo_count

    def _win_probability(self, X: pd.DataFrame) -> Floats:
        columns = select_columns(X, self.fields_)
        evidence = [_looked_up(columns[name], self.evidence_[name], 0.0) for name in self.fields_]
        return np.asarray(expit(self.prior_ + np.sum(evidence, axis=0) + np.zeros(len(X))))


class LogisticBaseline(_Baseline):
    """Logistic regression with an L2 penalty on ranks and indicator columns.

    Numbers: missing ones take the median and raise a flag, then each is replaced by its quantile and scaled to unit
    variance, so that heavy tails do no harm. Labels: one indicator each, rare and unseen ones grouped.

    Parameters
    ----------
    strength : float
        Weight of the data against the penalty (scikit-learn's ``C``).
    rare_share : float
        Labels below this share of the rows are grouped, in [0, 1).
    max_labels : int
        At most so many indicators a label column.

    Raises
    ------
    TooLittleDataError
        In `fit`, when all deals were won or all were lost.

    Examples
    --------
    >>> X = pd.DataFrame({"touches": [0.0, 1.0, None, 8.0], "source": pd.Categorical(["web", "web", None, "fair"])})
    >>> LogisticBaseline(strength=1.0).fit(X, [0, 0, 1, 1]).predict(X).tolist()
    [0, 0, 1, 1]
    """

    def __init__(self, strength: float = 0.1, rare_share: float = 0.01, max_labels: int = 30) -> None:
        self.strength = strength
        self.rare_share = rare_share
        self.max_labels = max_labels

    def _learn(self, X: pd.DataFrame, y: Floats, weight: Floats) -> None:
        if y.min() == y.max():
            raise TooLittleDataError(
                text(
                    "all {size} deals ended the same way, so there is nothing to tell apart; take a longer period",
                    size=y.size,
                )
            )
        self.columns_ = [str(name) for name in X.columns]
        self.labels_ = [name for name in self.columns_ if is_category(X[name])]
        with one_blas_thread():
            self.pipeline_ = self._pipeline(len(X)).fit(self._plain(X), y, classify__sample_weight=weight)

    def _win_probability(self, X: pd.DataFrame) -> Floats:
        return np.asarray(self.pipeline_.predict_proba(self._plain(X))[:, 1], dtype=np.float64)

    def _plain(self, X: pd.DataFrame) -> pd.DataFrame:
        """Numbers as float64 and labels as Python strings, which is what scikit-learn's encoders expect."""
        X = select_columns(X, self.columns_)
        return pd.DataFrame({n: _texts(X[n]) if n in self.labels_ else numbers(X[n]) for n in self.columns_})

    def _pipeline(self, rows: int) -> Pipeline:
        # without a subsample the quantiles do not depend on the order of the rows
        quantiles = QuantileTransformer(n_quantiles=min(rows, 1000), subsample=None)
        impute = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
        scaled = Pipeline([("impute", impute), ("rank", quantiles), ("scale", StandardScaler())])
        indicators = OneHotEncoder(
            handle_unknown="infrequent_if_exist",
            min_frequency=self.rare_share,
            max_categories=self.max_labels,
            sparse_output=False,
        )
        numeric = [name for name in self.columns_ if name not in self.labels_]
        prepare = ColumnTransformer([("numbers", scaled, numeric), ("labels", indicators, self.labels_)])
        # by Newton's method: a tenth of the steps that lbfgs takes, and these go all the way
        classify = LogisticRegression(C=self.strength, solver="newton-cholesky")
        return Pipeline([("prepare", prepare), ("classify", classify)])


def baselines(stage_order: Sequence[str] = (), fields: Sequence[str] = ()) -> dict[str, _Baseline]:
    """Fresh estimators of every baseline, by name.

    Parameters
    ----------
    stage_order : sequence of str
        Open stages from the first to the last.
    fields : sequence of str
        Label columns for the naive Bayes, besides the stage.

    Examples
    --------
    >>> list(baselines(["Call", "Demo"]))
    ['overall_rate', 'stage_win_rate', 'naive_bayes', 'logistic']
    """
    return {
        "overall_rate": OverallRate(),
        "stage_win_rate": StageWinRate(),
        "naive_bayes": FrequencyNaiveBayes(stage_order=tuple(stage_order), fields=tuple(fields)),
        "logistic": LogisticBaseline(),
    }


def _totals(values: pd.Series, amount: Floats, weight: Floats) -> pd.Series:
    """Weighted sum of `amount` by label, as text, sorted; missing labels are left out."""
    present = values.notna().to_numpy()
    labels = values[present].astype(str).to_numpy()
    return pd.Series((amount * weight)[present]).groupby(labels, sort=True).sum()


def _texts(values: pd.Series) -> NDArray[np.object_]:
    return values.astype(object).map(str, na_action="ignore").where(values.notna(), "(missing)").to_numpy(dtype=object)


def _looked_up(values: pd.Series, table: pd.Series, otherwise: float) -> Floats:
    found = values.astype(object).map(str, na_action="ignore").map(table.to_dict())
    return np.asarray(found.astype(np.float64).fillna(otherwise), dtype=np.float64)
