import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn import metrics as reference

from winpredict.errors import ConfigError, TableError, TooLittleDataError
from winpredict.models.evaluation import (
    METRICS,
    Comparison,
    compare,
    evaluate_odds,
    evaluate_segments,
    metric_intervals,
)


def scored(n: int = 2000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = rng.beta(1.5, 3.0, n)
    return (rng.random(n) < p).astype(float), p


class TestFigures:
    def test_equal_to_scikit_learn_with_weights_and_ties(self) -> None:
        y, p = scored()
        p, weight = p.round(2).clip(0.01, 0.99), np.random.default_rng(1).random(y.size)
        figures = evaluate_odds(y, p, weight)
        assert figures["log_loss"] == pytest.approx(reference.log_loss(y, p, sample_weight=weight))
        assert figures["brier"] == pytest.approx(reference.brier_score_loss(y, p, sample_weight=weight))
        assert figures["auc"] == pytest.approx(reference.roc_auc_score(y, p, sample_weight=weight))

    def test_right_odds_look_right(self) -> None:
        figures = evaluate_odds(*scored(50_000))
        assert figures["calibration_slope"] == pytest.approx(1.0, abs=0.03)
        assert figures["calibration_intercept"] == pytest.approx(0.0, abs=0.03)
        assert figures["expected_calibration_error"] < 0.01
        assert figures["lift_top_decile"] > 1.5

    def test_direction_of_slope_and_intercept(self) -> None:
        y, p = scored(20_000)
        assert evaluate_odds(y, expit(2.0 * logit(p)))["calibration_slope"] == pytest.approx(0.5, abs=0.03)
        assert evaluate_odds(y, expit(logit(p) + 1.0))["calibration_intercept"] == pytest.approx(-1.0, abs=0.05)

    def test_calibration_error_by_hand(self) -> None:
        y, p = np.array([0, 1] * 5 + [1] * 10), np.array([0.2] * 10 + [0.9] * 10)
        assert evaluate_odds(y, p)["expected_calibration_error"] == pytest.approx(0.5 * 0.3 + 0.5 * 0.1)

    def test_lift_shares_ties(self) -> None:
        # the best tenth is two rows: one alone at 0.9 (won), and a half of the four tied at 0.8, half of them won
        y = np.array([1] + [1, 1, 0, 0] + [0] * 15)
        p = np.array([0.9] + [0.8] * 4 + [0.1] * 15)
        assert evaluate_odds(y, p)["lift_top_decile"] == pytest.approx((1 + 0.5) / 2 / (3 / 20))

    def test_forecast(self) -> None:
        figures = evaluate_odds([1, 0, 1], [0.5, 0.5, 0.9], amount=[100.0, 300.0, np.nan])
        assert (figures["forecast"], figures["won_amount"], figures["forecast_error"]) == (200.0, 100.0, 1.0)
        assert np.isnan(evaluate_odds([0, 0], [0.1, 0.2], amount=[1.0, 2.0])["forecast_error"])

    @pytest.mark.parametrize("outcome", [0, 1])
    def test_one_outcome_only(self, outcome: int) -> None:
        figures = evaluate_odds([outcome] * 3, [0.0, 0.5, 1.0])
        undetermined = {name for name, value in figures.items() if np.isnan(value)}
        assert undetermined - {"lift_top_decile"} == {"auc", "calibration_slope", "calibration_intercept"}
        assert np.isfinite(figures["log_loss"])

    def test_one_outcome_only_with_weights_that_do_not_add_up_exactly(self) -> None:
        figures = evaluate_odds([1, 1, 1, 0], [0.0, 0.5, 1.0, 0.5], [0.1, 0.7, 1.3, 0.0])
        assert np.isnan(figures["calibration_intercept"])

    def test_constant_odds(self) -> None:
        figures = evaluate_odds([0, 1, 0, 0], [0.25] * 4)
        assert figures["auc"] == 0.5
        assert figures["lift_top_decile"] == 1.0
        assert figures["expected_calibration_error"] == 0.0
        assert np.isnan(figures["calibration_slope"])

    def test_certain_and_wrong_costs_what_the_clip_says(self) -> None:
        assert evaluate_odds([1], [0.0])["log_loss"] == pytest.approx(-np.log(1e-6))

    @given(st.lists(st.tuples(st.booleans(), st.floats(0, 1), st.floats(0.1, 5)), min_size=1, max_size=40))
    @settings(max_examples=50, deadline=None)
    def test_order_of_rows_changes_nothing_and_ranges_hold(self, rows: list[tuple[bool, float, float]]) -> None:
        y, p, weight = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
        figures, turned = evaluate_odds(y, p, weight), evaluate_odds(y[::-1], p[::-1], weight[::-1])
        for name, metric in METRICS.items():
            if not np.isnan(figures[name]):
                assert metric.low - 1e-9 <= figures[name] <= metric.high + 1e-9
                # a nearly determined slope may pass or fail to be determined by rounding, or be anything beyond 1e6
                undetermined = np.isnan(turned[name]) or min(abs(turned[name]), abs(figures[name])) > 1e6
                assert undetermined or turned[name] == pytest.approx(figures[name], rel=1e-5, abs=1e-6)

    def test_refusals(self) -> None:
        with pytest.raises(TooLittleDataError):
            evaluate_odds([], [])
        with pytest.raises(TableError, match="outside"):
            evaluate_odds([0, 1], [0.5, 50.0])
        with pytest.raises(TableError, match="amount"):
            evaluate_odds([0, 1], [0.5, 0.5], amount=[1.0])

    def test_segments(self) -> None:
        y, p = scored(300)
        segment = pd.Categorical(
            np.where(np.arange(300) < 100, "late", "early"), categories=["early", "late", "never"], ordered=True
        )
        table = evaluate_segments(y, p, segment)
        assert table.index.tolist() == ["early", "late"]
        assert table.loc["late", "log_loss"] == pytest.approx(evaluate_odds(y[:100], p[:100])["log_loss"])


class TestIntervals:
    @pytest.mark.parametrize("name", METRICS)
    def test_as_wide_as_repeating_the_whole_study(self, name: str) -> None:
        studies = [evaluate_odds(*scored(800, seed))[name] for seed in range(200)]
        y, p = scored(800, 1000)
        row = metric_intervals(y, p, np.arange(800), metrics=[name], n_resamples=500).loc[name]
        assert (row["high_95"] - row["low_95"]) == pytest.approx(3.92 * np.std(studies), rel=0.35)
        assert row["low_95"] <= row["low_90"] <= row["value"] <= row["high_90"] <= row["high_95"]

    def test_snapshots_of_a_deal_are_drawn_together(self) -> None:
        y, p = scored(300)
        alone = metric_intervals(y, p, np.arange(300), metrics=["log_loss"]).loc["log_loss"]
        repeated = metric_intervals(
            np.repeat(y, 9), np.repeat(p, 9), np.repeat(np.arange(300), 9), metrics=["log_loss"]
        ).loc["log_loss"]
        assert np.allclose(alone, repeated)

    def test_same_seed_same_interval_in_any_order_of_rows(self) -> None:
        y, p = scored(400)
        deal = np.array([f"deal {number}" for number in np.arange(400) // 4])
        shuffled = np.random.default_rng(0).permutation(400)
        straight = metric_intervals(y, p, deal, n_resamples=100, seed=3)
        mixed = metric_intervals(y[shuffled], p[shuffled], deal[shuffled], n_resamples=100, seed=3)
        pd.testing.assert_frame_equal(straight, mixed)
        assert not straight.equals(metric_intervals(y, p, deal, n_resamples=100, seed=4))

    def test_undetermined_figures_are_nan_and_nothing_fails(self) -> None:
        table = metric_intervals(np.zeros(30), np.full(30, 0.2), np.arange(30), n_resamples=50)
        assert table.loc["auc"].isna().all()
        assert table.loc["log_loss"].notna().all()

    def test_quick_on_many_rows(self) -> None:
        y, p = scored(20_000)
        start = time.perf_counter()
        metric_intervals(y, p, np.arange(20_000) // 4, metrics=["log_loss", "auc"], n_resamples=200)
        assert time.perf_counter() - start < 5.0


class TestCompare:
    def test_a_better_model_is_found(self) -> None:
        y, p = scored()
        result = compare(y, p, np.full(y.size, y.mean()), np.arange(y.size))
        assert result.beats_baseline
        assert result.low_95 < result.difference < result.high_95 < 0
        assert result.difference == pytest.approx(result.model - result.baseline)
        assert "beats" in result.sentence
        assert result.n_deals == 2000

    def test_odds_are_told_apart_from_deals_where_they_differ(self) -> None:
        y, p = scored()
        assert ", 2,000 deals)" in compare(y, p, p, np.arange(y.size)).sentence
        assert ", 2,000 odds of 1,000 deals)" in compare(y, p, p, np.arange(y.size) // 2).sentence

    def test_higher_is_better_for_auc(self) -> None:
        y, p = scored()
        assert compare(y, p, np.full(y.size, 0.5), np.arange(y.size), "auc").beats_baseline
        assert not compare(y, np.full(y.size, 0.5), p, np.arange(y.size), "auc").beats_baseline

    def test_a_model_against_itself(self) -> None:
        y, p = scored()
        result = compare(y, p, p, np.arange(y.size))
        assert (result.difference, result.low_95, result.high_95) == (0.0, 0.0, 0.0)
        assert not result.beats_baseline
        assert "not shown" in result.sentence

    def test_the_interval_covers_the_true_difference(self) -> None:
        def study(seed: int) -> Comparison:
            y, p = scored(400, seed)
            noise = np.random.default_rng(seed + 10_000).normal(0.0, 0.5, 400)
            return compare(y, expit(logit(p) + noise), p, np.arange(400), n_resamples=300)

        studies = [study(seed) for seed in range(150)]
        truth = np.mean([each.difference for each in studies])
        covered = np.mean([each.low_95 <= truth <= each.high_95 for each in studies])
        assert 0.89 <= covered <= 0.99

    def test_refusals(self) -> None:
        y, p = scored(10)
        with pytest.raises(ConfigError, match="unknown metric"):
            compare(y, p, p, np.arange(10), "accuracy")
        with pytest.raises(ConfigError, match="neither"):
            compare(y, p, p, np.arange(10), "calibration_slope")
        with pytest.raises(TableError, match="deal"):
            compare(y, p, p, np.arange(9))
