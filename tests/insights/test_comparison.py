"""Two sets of deals side by side: what is said of chance where they share deals, and where they do not."""

import numpy as np
import pandas as pd
import pytest

from winpredict.insights._rates import difference
from winpredict.insights.comparison import compare, independent

#: Closed deals of a group and of the others: 120 of 400 won, and 240 of 600, further apart than chance takes them.
GROUP, OTHERS = (120, 400), (240, 600)


def table_of(*sets: tuple[int, int]) -> pd.DataFrame:
    outcomes = [outcome for won, n in sets for outcome in ["won"] * won + ["lost"] * (n - won)]
    return pd.DataFrame({"outcome": outcomes, "days": 20.0, "amount": 5.0, "touches": 1.0})


@pytest.fixture
def deals():
    return table_of(GROUP, OTHERS)


@pytest.fixture
def group(deals):
    return np.arange(len(deals)) < GROUP[1]


def verdict(found) -> str:
    """What follows the figures of both sides."""
    (sentences,) = found.sentences()
    return sentences.split(".", 2)[2].strip()


def test_sets_that_share_nothing_are_tested_as_they_are(deals, group):
    result = compare(deals, {"Core": group, "Others": ~group})
    expected = difference([GROUP[0]], [GROUP[1]], [OTHERS[0]], [OTHERS[1]])
    assert (result.change, result.low, result.high, result.p) == tuple(float(each[0]) for each in expected)
    assert verdict(result) == "The difference of 10 points is beyond normal variation."
    alike = compare(table_of((40, 100), (42, 100)), {"Core": np.arange(200) < 100, "Others": np.arange(200) >= 100})
    assert verdict(alike) == "The difference is within normal variation."


def test_a_set_within_another_is_tested_against_the_rest_of_it(deals, group):
    everything = np.ones(len(deals), dtype=bool)
    against_all = compare(deals, {"Core": group, "All deals": everything})
    against_rest = compare(deals, {"Core": group, "Others": ~group})
    assert (against_all.change, against_all.p) == (against_rest.change, against_rest.p)
    assert against_all.figures["n"].tolist() == [400, 1000], "the figures stay those of the chosen sides"
    assert against_all.sentences() == [
        "Core: 30% of 400 closed deals won. All deals: 36% of 1,000 closed deals won. The smaller side is part of the "
        "larger, so it is tested against the 600 other closed deals of that, 40% of them won. The difference of 10 "
        "points is beyond normal variation."
    ]


def test_which_side_is_the_larger_turns_the_sign_and_nothing_else(deals, group):
    everything = np.ones(len(deals), dtype=bool)
    one = compare(deals, {"Core": group, "All deals": everything})
    other = compare(deals, {"All deals": everything, "Core": group})
    assert other.change == -one.change
    assert other.p == pytest.approx(one.p)
    assert verdict(other) == verdict(one)


def test_a_part_that_is_like_the_rest_is_no_more_than_chance():
    result = compare(table_of((41, 100), (80, 200)), {"Core": np.arange(300) < 100, "All": np.ones(300, dtype=bool)})
    assert verdict(result).endswith("of that, 40% of them won. The difference is within normal variation.")
    assert not result.differs


def test_of_sets_that_overlap_in_part_nothing_is_said_about_chance(deals, group):
    later = np.arange(len(deals)) >= GROUP[1] - 50
    result = compare(deals, {"Core": group, "Later": later})
    assert np.isnan([result.change, result.p]).all()
    assert not result.differs
    assert verdict(result) == (
        "50 deals are on both sides, so the difference cannot be tested; choose sides that share no deals."
    )


def test_the_same_deals_are_not_tested(deals, group):
    result = compare(deals, {"Core": group, "The same": group.copy()})
    assert np.isnan(result.p)
    assert verdict(result) == "Both sides are the same deals, so there is nothing to test."


def test_a_rest_without_closed_deals_is_not_tested(deals, group):
    deals.loc[~group, "outcome"] = "open"
    result = compare(deals, {"Core": group, "All deals": np.ones(len(deals), dtype=bool)})
    assert np.isnan(result.p)
    assert "of which no other deal has closed: nothing to test." in result.sentences()[0]


def test_sets_to_test_never_share_a_deal():
    rng = np.random.default_rng(0)
    for _ in range(200):
        first, second = rng.random((2, 4)) < 0.6
        found = independent(first, second)
        if found is None:
            assert (first & second).any()
            continue
        assert not (found[0] & found[1]).any()
        assert ((found[0] | found[1]) == (first | second)).all()
