import numpy as np
import pandas as pd
import pytest
from scipy.special import logit

from winpredict import WinPredictError, explain_deal, score
from winpredict.explain.contributions import contributions
from winpredict.explain.scores import DealScorer, bands, score_rows
from winpredict.models.snapshots import pipeline

COLUMNS = [
    "deal_id", "as_of", "win_probability", "low", "high", "p_win_30d", "p_win_quarter", "band",
    "reason_1", "reason_2", "reason_3", "reason_4", "reason_5", "given", "next_step", "flags",
    "model_version", "scored_at",
]  # fmt: skip


@pytest.fixture(scope="module")
def scores(world, model):
    return score(model, world.crm, model_version="1", scored_at="2025-04-01")


@pytest.fixture(scope="module")
def features(world, model):
    return model.build_features(world.crm, pipeline(world.crm, world.crm.known_until))


def test_one_row_an_open_deal_with_the_promised_columns(world, scores):
    assert list(scores.columns) == COLUMNS
    assert sorted(scores["deal_id"]) == sorted(world.crm.deals.query("outcome == 'open'")["deal_id"])
    assert scores["win_probability"].is_monotonic_decreasing


def test_a_part_without_an_open_deal_has_columns_of_the_same_kinds(model, features, scores):
    snapshots = pd.DataFrame({"deal_id": scores["deal_id"].iloc[:0], "as_of": scores["as_of"].iloc[:0]})
    empty = score_rows(model, snapshots, features.iloc[:0], scores["as_of"].iloc[0])
    assert empty.dtypes.equals(scores[list(empty)].dtypes)


def test_odds_lie_in_their_interval_and_odds_by_date_below_them(scores):
    odds = scores["win_probability"]
    assert (scores["low"] <= odds).all()
    assert (odds <= scores["high"]).all()
    for by_date in ("p_win_30d", "p_win_quarter"):
        assert scores[by_date].between(0, odds + 1e-12).all()


def test_a_deal_scored_alone_has_the_figures_it_has_among_all(world, model, scores):
    scorer = DealScorer(model, world.crm)
    alone = pd.DataFrame([scorer.score(deal_id) for deal_id in scores["deal_id"]]).astype(dict(scores.dtypes[:-2]))
    pd.testing.assert_frame_equal(alone, scores[alone.columns], check_exact=True)


def test_a_deal_scored_alone_on_a_later_day_is_as_among_all_of_that_day(world, model):
    later = world.crm.known_until + pd.Timedelta(days=9)
    among = score(model, world.crm, as_of=later).head(5)
    scorer = DealScorer(model, world.crm)
    alone = pd.DataFrame([scorer.score(deal_id, as_of=later) for deal_id in among["deal_id"]])
    pd.testing.assert_frame_equal(alone.astype(dict(among.dtypes[:-2])), among[alone.columns], check_exact=True)


def test_a_deal_scored_alone_must_be_open(world, model):
    scorer = DealScorer(model, world.crm)
    closed = world.crm.deals.query("outcome == 'won'")["deal_id"].iloc[0]
    with pytest.raises(WinPredictError, match="was not open"):
        scorer.score(closed)
    with pytest.raises(WinPredictError, match="no deal 'nobody'"):
        scorer.score("nobody")


def test_scoring_is_repeatable(world, model, scores):
    again = score(model, world.crm, model_version="1", scored_at="2025-04-01")
    pd.testing.assert_frame_equal(again, scores)


def test_base_and_contributions_add_up_to_the_log_odds(model, features):
    found = contributions(model.classifier, features)
    uncalibrated = model.classifier.bag_log_odds(features).mean(axis=0)
    np.testing.assert_allclose(found.base + found.values.sum(axis=1), uncalibrated, atol=1e-6)
    calibrated = found.calibrated_base + found.calibrated.sum(axis=1)
    np.testing.assert_allclose(calibrated, logit(model.odds(features)["win_probability"]), atol=1e-6)


def test_points_add_up_to_the_way_from_the_base_odds(model, features):
    found = contributions(model.classifier, features)
    base = 1 / (1 + np.exp(-found.calibrated_base))
    np.testing.assert_allclose(base + found.in_points().sum(axis=1), model.odds(features)["win_probability"], atol=1e-9)


def test_reasons_of_a_deal_add_up(world, model, scores):
    deal = scores["deal_id"].iloc[0]
    found = explain_deal(model, world.crm, deal)
    told = sum(reason.points for reason in (*found.reasons, *found.given)) + found.other_points
    assert found.base_probability + told == pytest.approx(found.win_probability)
    assert found.win_probability == pytest.approx(scores["win_probability"].iloc[0], abs=1e-12)
    assert f"{found.win_probability:.0%}" in found.summary()
    written = [f"({100 * reason.points:+.1f} points)".replace("-", "−") for reason in found.reasons]
    assert all(reason.sentence.endswith(points) for reason, points in zip(found.reasons, written, strict=True))
    assert found.reasons[0].sentence == scores["reason_1"].iloc[0]


def test_a_closed_or_unknown_deal_has_no_odds(world, model):
    closed = world.crm.deals.query("outcome == 'won'")["deal_id"].iloc[0]
    with pytest.raises(WinPredictError, match="was not open"):
        explain_deal(model, world.crm, closed)
    with pytest.raises(WinPredictError, match="no deal 'nobody'"):
        explain_deal(model, world.crm, "nobody")


def test_a_model_does_not_score_the_past_it_was_trained_on(world, model):
    with pytest.raises(WinPredictError, match="would know the future"):
        score(model, world.crm, as_of="2024-06-01")
    with pytest.raises(WinPredictError, match="would know the future"):
        explain_deal(model, world.crm, "any", as_of="2024-06-01")


def test_bands():
    assert bands(np.array([0.0, 0.2, 0.5, 0.7, 0.99])).tolist() == ["very low", "low", "medium", "high", "very high"]
