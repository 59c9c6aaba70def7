import dataclasses

import numpy as np
import pytest

from winpredict.errors import ConfigError
from winpredict.explain._tree_shap import read_forest
from winpredict.models.learners import Learners, Rows, TreeSize, log_odds_of, monotone_list, read_booster, write_booster

SIZE = TreeSize(leaves=4, trees=5, learning_rate=0.1, feature_share=1.0)


def learners(threads=1):
    return Learners(
        min_rows_leaf=5, row_share=1.0, l2=1.0, linear_strength=1.0,
        categorical=[], monotone=None, threads=threads, random_state=0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(120, 2))
    y = (matrix[:, 0] + rng.normal(size=120) > 0).astype(float)
    return Rows(matrix, y, np.ones(120), np.arange(120) // 3)


def test_some_rows_have_their_deals_numbered_anew(rows):
    some = rows.take(rows.groups >= 38)
    assert some.groups.tolist() == [0, 0, 0, 1, 1, 1]
    np.testing.assert_array_equal(some.matrix, rows.matrix[-6:])


def test_a_constraint_is_told_by_feature_and_an_unknown_one_refused():
    assert monotone_list({"touches": 1}, ["amount", "touches"]) == [0, 1]
    assert monotone_list({}, ["amount"]) is None
    with pytest.raises(ConfigError, match="lunch"):
        monotone_list({"lunch": 1}, ["amount"])


def test_threads_do_not_change_a_member(rows):
    fits = [learners(threads) for threads in (1, 2)]
    one, two = (log_odds_of(rows.matrix, each.fit_trees(rows, SIZE, 2), each.threads) for each in fits)
    assert one.shape == (2, 120)
    np.testing.assert_array_equal(one, two)
    assert fits[0].fit_linears(rows, 2)[1].intercept == fits[1].fit_linears(rows, 2)[1].intercept


def test_bags_differ_by_the_weights_of_the_deals(rows):
    boosters, linears = learners().fit_trees(rows, SIZE, 2), learners().fit_linears(rows, 2)
    assert boosters[0].model_to_string() != boosters[1].model_to_string()
    assert linears[0].intercept != linears[1].intercept


def test_distilled_trees_follow_what_they_are_given(rows):
    log_odds = 2 * rows.matrix[:, 0]
    followed = learners().distil(rows, log_odds).predict(rows.matrix)
    assert np.corrcoef(followed, log_odds)[0, 1] > 0.95


def test_a_written_booster_predicts_the_same(rows, tmp_path):
    (booster,) = learners().fit_trees(rows, SIZE, 1)
    write_booster(booster, tmp_path / "booster.txt")
    again = read_booster(tmp_path / "booster.txt")
    np.testing.assert_array_equal(again.predict(rows.matrix), booster.predict(rows.matrix))


def test_the_linear_model_counts_deals_not_looks_against_its_penalty(rows):
    """Looking at every deal three times as often says nothing new, and shrinks nothing less."""
    thrice = Rows(np.repeat(rows.matrix, 3, axis=0), np.repeat(rows.y, 3), np.ones(360), np.repeat(rows.groups, 3))
    once, often = (learners().fit_linears(each, 1)[0] for each in (rows, thrice))
    np.testing.assert_allclose(often.coefficients, once.coefficients, rtol=1e-6)


def test_the_linear_model_does_not_run_on_beyond_the_bulk(rows):
    linear = learners().fit_linears(rows, 1)[0]
    far, further = np.array([[1e3, 0.0]]), np.array([[1e9, 0.0]])
    assert linear.log_odds(far) == linear.log_odds(further)
    assert linear.log_odds(far) > linear.log_odds(np.array([[2.0, 0.0]]))
    np.testing.assert_allclose(linear.contributions(far).sum() + linear.intercept, linear.log_odds(far)[0])


def test_leaves_may_hold_fewer_rows_where_deals_are_seldom_looked_at():
    usual = dataclasses.replace(learners(), min_rows_leaf=80)
    assert [usual.min_rows(snapshots) for snapshots in (12.0, 8.0, 4.0, 1.0)] == [80, 80, 40, 20]
    assert learners().min_rows(1.0) == 5  # never more than is set


def test_trees_are_no_deeper_than_the_tables_of_reasons_hold():
    """A staircase of many features makes a chain of splits; its reasons must still be looked up in tables."""
    rng = np.random.default_rng(4)
    matrix = rng.normal(size=(6000, 20))
    log_odds = np.zeros(len(matrix))
    inside = np.ones(len(matrix), dtype=bool)
    for column in range(18):
        inside &= matrix[:, column] > -1.0
        log_odds += 3.0 * inside
    rows = Rows(matrix, (log_odds > 9).astype(np.int64), np.ones(len(matrix)), np.arange(len(matrix)))
    large = TreeSize(leaves=31, trees=20, learning_rate=0.2, feature_share=1.0)
    boosters = [learners().distil(rows, log_odds), *learners().fit_trees(rows, large, 1)]
    deepest = [path for tree in boosters[0].dump_model()["tree_info"] for path in depths(tree["tree_structure"])]
    assert max(deepest) == 12
    assert all(read_forest(booster) is not None for booster in boosters)


def depths(node, depth=0):
    if "leaf_value" in node:
        return [depth]
    return depths(node["left_child"], depth + 1) + depths(node["right_child"], depth + 1)
