from statistics import mean

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from winpredict.errors import NotFittedError, TableError, TooLittleDataError
from winpredict.models.calibration import LogOddsCalibrator, equal_mass_bins, fit_line, reliability


def miscalibrated(n: int, seed: int, slope: float = 0.6, intercept: float = -0.5) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds that are too extreme and too high, and outcomes."""
    rng = np.random.default_rng(seed)
    log_odds = rng.normal(0.0, 2.0, n)
    return log_odds, (rng.random(n) < expit(slope * log_odds + intercept)).astype(float)


class TestReliability:
    def test_right_odds_lie_within_the_interval(self) -> None:
        rng = np.random.default_rng(0)
        p = rng.random(20_000)
        table = reliability(rng.random(20_000) < p, p, bins=10)
        assert len(table) == 10
        assert table["n"].sum() == 20_000
        assert table["predicted"].is_monotonic_increasing
        assert ((table["low"] < table["predicted"]) & (table["predicted"] < table["high"])).sum() >= 8
        assert ((table["low"] <= table["observed"]) & (table["observed"] <= table["high"])).all()

    def test_wilson_interval_of_a_known_case(self) -> None:
        table = reliability([1] * 4 + [0] * 6, [0.3] * 10)
        assert table[["low", "high"]].round(4).to_numpy().tolist() == [[0.1682, 0.6873]]

    def test_weights_count_like_repeated_rows_in_the_means(self) -> None:
        y, p = [0, 1, 1, 0], [0.1, 0.4, 0.6, 0.9]
        weighted = reliability(y, p, bins=2, sample_weight=[1, 2, 1, 2])
        repeated = reliability(np.repeat(y, [1, 2, 1, 2]), np.repeat(p, [1, 2, 1, 2]), bins=2)
        assert np.allclose(weighted[["predicted", "observed"]], repeated[["predicted", "observed"]])

    def test_one_outcome_only(self) -> None:
        table = reliability([1, 1], [0.2, 0.9], bins=2)
        assert table["observed"].tolist() == [1.0, 1.0]
        assert (table["high"] == 1.0).all()

    def test_bad_odds_are_counted(self) -> None:
        with pytest.raises(TableError, match="2 of 3 odds"):
            reliability([0, 1, 1], [30.0, np.nan, 0.5])
        with pytest.raises(TableError, match="one probability a row"):
            reliability([0, 1, 1], [0.5])

    @given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.integers(1, 12))
    @settings(max_examples=60, deadline=None)
    def test_bins_rise_with_the_odds_and_keep_equal_odds_together(self, odds: list[float], bins: int) -> None:
        p = np.array(odds)
        chosen = equal_mass_bins(p, np.ones(p.size), bins)
        order = np.argsort(p, kind="stable")
        assert (np.diff(chosen[order]) >= 0).all()
        assert 0 <= chosen.min() <= chosen.max() < bins
        assert pd.Series(chosen).groupby(p).nunique().max() == 1


class TestLogOddsCalibrator:
    def test_finds_the_line_and_equals_logistic_regression_without_penalty(self) -> None:
        log_odds, y = miscalibrated(20_000, 0)
        weight = np.random.default_rng(3).random(y.size)
        ours = LogOddsCalibrator(ridge=0.0).fit(log_odds, y, weight)
        theirs = LogisticRegression(C=1e10, tol=1e-10).fit(log_odds[:, None], y, weight)
        assert ours.slope_ == pytest.approx(theirs.coef_[0, 0], abs=1e-4)
        assert ours.intercept_ == pytest.approx(theirs.intercept_[0], abs=1e-4)
        assert ours.slope_ == pytest.approx(0.6, abs=0.05)

    def test_as_good_as_isotonic_on_many_deals_and_better_on_few(self) -> None:
        fresh, later = miscalibrated(20_000, 99)

        def losses(n: int, seed: int) -> tuple[float, float]:
            log_odds, y = miscalibrated(n, seed)
            line = LogOddsCalibrator().fit(log_odds, y)
            steps = IsotonicRegression(y_min=0.005, y_max=0.995, out_of_bounds="clip").fit(log_odds, y)
            return log_loss(later, expit(line.transform(fresh))), log_loss(later, steps.predict(fresh))

        line, steps = losses(20_000, 1)
        uncalibrated = log_loss(later, expit(fresh))
        assert line < uncalibrated - 0.05
        assert line < steps + 0.002
        few = [losses(60, seed) for seed in range(20)]
        assert mean(line for line, _ in few) < mean(steps for _, steps in few) - 0.05
        assert mean(line for line, _ in few) < uncalibrated

    def test_a_small_calibration_set_does_no_harm_to_right_odds(self) -> None:
        fresh, later = miscalibrated(20_000, 98, slope=1.0, intercept=0.0)
        right = log_loss(later, expit(fresh))

        def harm(n: int, ridge: float) -> float:
            fits = [LogOddsCalibrator(ridge).fit(*miscalibrated(n, s, 1.0, 0.0)) for s in range(30)]
            return mean(log_loss(later, expit(fit.transform(fresh))) for fit in fits) - right

        assert harm(30, 10.0) < 0.008
        assert harm(30, 10.0) < harm(30, 0.1) / 2

    def test_nothing_to_learn_leaves_the_odds_nearly_as_they_are(self) -> None:
        fit = LogOddsCalibrator().fit([0.3], [1])
        assert fit.slope_ == pytest.approx(1.0, abs=0.05)
        assert fit.intercept_ == pytest.approx(0.0, abs=0.05)
        assert LogOddsCalibrator(ridge=5.0).fit([1.0, 1.0], [1, 1]).intercept_ > 0

    def test_extreme_log_odds_converge(self) -> None:
        fit = LogOddsCalibrator().fit([-500.0, 500.0, 500.0, -500.0], [1, 0, 1, 0])
        assert np.isfinite([fit.slope_, fit.intercept_]).all()

    def test_contributions_stay_additive(self) -> None:
        fit = LogOddsCalibrator().fit(*miscalibrated(500, 5))
        base, parts = -0.4, np.array([0.5, -1.2, 2.0])
        whole = fit.transform([base + parts.sum()])[0]
        assert fit.transform([base])[0] + (fit.slope_ * parts).sum() == pytest.approx(whole)

    @pytest.mark.parametrize(
        ("log_odds", "y"), [([1.0, 1.0, 1.0], [0, 1, 1]), ([-1.0, 0.0, 1.0], [1, 1, 1]), ([-1.0, 0.0, 2.0], [0, 0, 1])]
    )
    def test_no_line_without_penalty(self, log_odds: list[float], y: list[int]) -> None:
        assert fit_line(np.array(log_odds), np.array(y, dtype=float), np.ones(3)) is None
        with pytest.raises(TooLittleDataError, match="ridge"):
            LogOddsCalibrator(ridge=0.0).fit(log_odds, y)

    def test_refusals(self) -> None:
        with pytest.raises(NotFittedError):
            LogOddsCalibrator().transform([0.0])
        with pytest.raises(TableError, match="not finite"):
            LogOddsCalibrator().fit([np.inf, 0.0], [0, 1])
        with pytest.raises(TableError, match="one number a row"):
            LogOddsCalibrator().fit([0.0], [0, 1])
