import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from winpredict.errors import NotFittedError, TableError, TooLittleDataError
from winpredict.models._frames import canonical_order, category_places, fit_categories, select_columns, to_matrix
from winpredict.models.baselines import FrequencyNaiveBayes, LogisticBaseline, OverallRate, StageWinRate, baselines

STAGES = ("Call", "Demo", "Offer")


def deals(n: int = 600, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(seed)
    stage = rng.integers(0, 3, n)
    touches = rng.lognormal(1.0, 1.5, n)
    source = rng.integers(0, 4, n)
    log_odds = -1.5 + 0.8 * stage + 0.5 * np.log(touches) + np.where(source == 2, 0.7, 0.0)
    X = pd.DataFrame(
        {
            "touches": np.where(rng.random(n) < 0.1, np.nan, touches),
            "stage": pd.Categorical(np.array(STAGES)[stage]),
            "source": pd.Categorical(np.array(["web", "fair", "referral", "cold"])[source]),
            "empty": np.nan,
        }
    )
    return X, (rng.random(n) < 1.0 / (1.0 + np.exp(-log_odds))).astype(int)


def every_baseline() -> list[object]:
    return list(baselines(STAGES, ["source"]).values())


def test_names_and_freshness() -> None:
    first, second = baselines(STAGES, ["source"]), baselines(STAGES, ["source"])
    assert list(first) == ["overall_rate", "stage_win_rate", "naive_bayes", "logistic"]
    assert all(first[name] is not second[name] for name in first)


@pytest.mark.parametrize("model", every_baseline(), ids=lambda model: type(model).__name__)
class TestEveryBaseline:
    def test_odds_are_probabilities_and_clone_works(self, model) -> None:
        X, y = deals()
        fitted = clone(model).fit(X, y)
        odds = fitted.predict_proba(X)
        assert odds.shape == (len(X), 2)
        assert np.allclose(odds.sum(axis=1), 1.0)
        assert ((odds > 0) & (odds < 1)).all()
        assert fitted.classes_.tolist() == [0, 1]
        assert fitted.predict(X).tolist() == (odds[:, 1] >= 0.5).astype(int).tolist()

    def test_order_of_rows_changes_nothing(self, model) -> None:
        X, y = deals()
        weight = np.random.default_rng(1).random(len(X))
        shuffled = np.random.default_rng(2).permutation(len(X))
        straight = clone(model).fit(X, y, weight).predict_proba(X)
        mixed = clone(model).fit(X.iloc[shuffled], y[shuffled], weight[shuffled]).predict_proba(X)
        assert (straight == mixed).all()

    def test_unseen_and_missing_labels_are_scored(self, model) -> None:
        X, y = deals()
        strange = X.head(3).assign(
            stage=pd.Categorical(["Lunch", None, "Demo"]), source=pd.Categorical([None, "mars", "web"]), touches=np.nan
        )
        assert np.isfinite(clone(model).fit(X, y).predict_proba(strange)).all()

    def test_order_of_declared_categories_changes_nothing(self, model) -> None:
        X, y = deals()
        fitted = clone(model).fit(X, y)
        other = X.assign(stage=X["stage"].cat.set_categories(["Offer", "Lunch", "Call", "Demo"]))
        assert (fitted.predict_proba(X) == fitted.predict_proba(other)).all()

    def test_labels_of_any_kind_and_nullable_flags(self, model) -> None:
        X, y = deals()
        X = X.assign(
            source=pd.Categorical(np.arange(len(X)) % 3),
            stage=pd.Categorical(np.arange(len(X)) % 2 == 0),
            flag=pd.array([True, False, None] * (len(X) // 3), dtype="boolean"),
        )
        assert np.isfinite(clone(model).fit(X, y).predict_proba(X)).all()

    def test_weights_count_like_repeated_rows(self, model) -> None:
        X, y = deals(300)
        twice = np.random.default_rng(0).integers(1, 3, len(X))
        if isinstance(model, LogisticBaseline):
            pytest.skip("medians and quantiles do not see weights")
        weighted = clone(model).fit(X, y, twice).predict_proba(X)
        repeated = clone(model).fit(X.loc[X.index.repeat(twice)], np.repeat(y, twice)).predict_proba(X)
        assert np.allclose(weighted, repeated)

    def test_not_trained(self, model) -> None:
        with pytest.raises(NotFittedError, match="call fit"):
            clone(model).predict_proba(deals(5)[0])

    def test_bad_labels_and_weights(self, model) -> None:
        X, y = deals(20)
        with pytest.raises(TableError, match="neither 0"):
            clone(model).fit(X, y + 1)
        with pytest.raises(TableError, match="weights"):
            clone(model).fit(X, y, np.ones(3))
        with pytest.raises(TableError, match="not negative"):
            clone(model).fit(X, y, -np.ones(20))
        with pytest.raises(TooLittleDataError):
            clone(model).fit(X[:0], y[:0])


def test_stage_win_rate_smooths_towards_the_overall_rate() -> None:
    X = pd.DataFrame({"stage": ["Call"] * 8 + ["Demo"] * 2})
    y = [0, 0, 0, 0, 0, 0, 1, 1, 1, 1]
    odds = StageWinRate(prior_strength=2.0).fit(X, y).predict_proba(pd.DataFrame({"stage": ["Call", "Demo", None]}))
    assert np.allclose(odds[:, 1], [(2 + 2 * 0.4) / 10, (2 + 2 * 0.4) / 4, 0.4])


def test_stage_win_rate_without_stages_is_the_overall_rate() -> None:
    X, y = deals()
    X = X.drop(columns="stage")
    assert (StageWinRate().fit(X, y).predict_proba(X) == OverallRate().fit(X, y).predict_proba(X)).all()


def test_naive_bayes_multiplies_ratios_of_frequencies() -> None:
    X = pd.DataFrame({"source": ["web", "web", "web", "fair", "fair"]})
    y = [1, 1, 0, 0, 0]
    odds = FrequencyNaiveBayes(fields=["source"]).fit(X, y).predict_proba(pd.DataFrame({"source": ["web"]}))[0, 1]
    ratio = (2.1 / 3.1) * ((2.1 / 2.2) / (1.1 / 3.2))
    assert odds == pytest.approx(ratio / (1 + ratio))


def test_naive_bayes_counts_a_stage_for_all_before_it() -> None:
    X = pd.DataFrame({"stage": ["Call", "Call", "Demo", "Offer", "Offer"]})
    model = FrequencyNaiveBayes(stage_order=STAGES).fit(X, [0, 0, 0, 1, 1])
    evidence = model.evidence_["stage"]
    assert evidence["Call"] == pytest.approx(0.0)
    assert evidence["Demo"] == pytest.approx(np.log((2.1 / 2.1) / (1.1 / 3.1)))
    assert evidence["Offer"] == pytest.approx(np.log((2.1 / 2.1) / (0.1 / 3.1)))


def test_naive_bayes_leaves_out_absent_fields() -> None:
    X, y = deals()
    model = FrequencyNaiveBayes(stage_order=STAGES, fields=["nothing", "source"]).fit(X, y)
    assert model.fields_ == ["stage", "source"]
    with pytest.raises(TableError, match="source"):
        model.predict_proba(X.drop(columns="source"))


def test_naive_bayes_without_any_field_is_the_overall_rate() -> None:
    X, y = deals()
    odds = FrequencyNaiveBayes().fit(X[["touches"]], y).predict_proba(X[["touches"]])[:, 1]
    assert np.allclose(odds, y.mean(), atol=1e-3)


def test_logistic_comes_near_one_that_knows_the_right_form() -> None:
    X, y = deals(4000, seed=1)
    fresh, later = deals(4000, seed=2)
    ours = log_loss(later, LogisticBaseline().fit(X, y).predict_proba(fresh))
    assert ours < log_loss(later, StageWinRate().fit(X, y).predict_proba(fresh)) - 0.02

    def right_form(frame: pd.DataFrame) -> pd.DataFrame:
        touches = np.log(frame["touches"]).fillna(1.0)
        return pd.get_dummies(frame[["stage", "source"]]).assign(touches=touches, missing=frame["touches"].isna())

    right = LogisticRegression().fit(right_form(X), y).predict_proba(right_form(fresh))
    assert ours < log_loss(later, right) + 0.01


def test_logistic_needs_both_outcomes_and_all_columns() -> None:
    X, y = deals(50)
    with pytest.raises(TooLittleDataError, match="same way"):
        LogisticBaseline().fit(X, np.zeros(50))
    with pytest.raises(TableError, match="touches"):
        LogisticBaseline().fit(X, y).predict_proba(X.drop(columns="touches"))


@pytest.mark.parametrize("columns", [["touches"], ["stage"]])
def test_logistic_with_one_kind_of_column(columns: list[str]) -> None:
    X, y = deals()
    assert np.isfinite(LogisticBaseline().fit(X[columns], y).predict_proba(X[columns])).all()


class TestFrames:
    def test_codes_follow_the_stored_list(self) -> None:
        X = pd.DataFrame({"stage": pd.Categorical(["b", "a", None], categories=["z", "b", "a"]), "n": [1, 2, 3]})
        categories = fit_categories(X)
        assert categories == {"stage": ["a", "b"]}
        expected = [[1.0, 1.0], [0.0, 2.0], [np.nan, 3.0]]
        assert np.array_equal(to_matrix(X, categories), expected, equal_nan=True)
        as_text = X.assign(stage=X["stage"].astype(object))
        assert np.array_equal(to_matrix(as_text, categories), expected, equal_nan=True)
        assert category_places(["stage", "n"], categories) == [0]

    def test_labels_may_vanish_at_scoring(self) -> None:
        empty = pd.DataFrame({"stage": pd.Series([None, None], dtype=object)})
        assert np.isnan(to_matrix(empty, {"stage": ["a"]})).all()

    def test_nullable_and_flag_columns_are_numbers(self) -> None:
        X = pd.DataFrame({"flag": pd.array([True, None], dtype="boolean"), "yes": [True, False]})
        assert np.array_equal(to_matrix(X, fit_categories(X)), [[1.0, 1.0], [np.nan, 0.0]], equal_nan=True)

    def test_what_is_neither_number_nor_known_label(self) -> None:
        with pytest.raises(TableError, match="source"):
            to_matrix(pd.DataFrame({"source": ["web"]}), {})

    def test_absent_columns_are_named(self) -> None:
        with pytest.raises(TableError, match="amount"):
            select_columns(pd.DataFrame({"stage": ["a"]}), ["stage", "amount"])

    def test_canonical_order_does_not_depend_on_the_order_of_rows(self) -> None:
        rng = np.random.default_rng(0)
        matrix, labels = rng.integers(0, 3, (200, 2)).astype(float), rng.integers(0, 2, 200)
        shuffled = rng.permutation(200)
        straight, mixed = canonical_order(matrix, labels), canonical_order(matrix[shuffled], labels[shuffled])
        assert (matrix[straight] == matrix[shuffled][mixed]).all()
        assert (labels[straight] == labels[shuffled][mixed]).all()
