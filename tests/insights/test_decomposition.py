import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from winpredict.errors import TableError
from winpredict.insights._causes import OTHERS, Kinds, candidate_rows, gains, grouped
from winpredict.insights.decomposition import decompose, explain


def deals(**groups):
    """Deals from group=(won, closed)."""
    parts = [
        pd.DataFrame({"outcome": ["won"] * won + ["lost"] * (n - won), "product": group})
        for group, (won, n) in groups.items()
    ]
    return pd.concat(parts, ignore_index=True)


def test_parts_by_hand():
    result = decompose(deals(A=(40, 100), B=(20, 100)), deals(A=(45, 150), B=(10, 50)), "product")
    a, b = result.frame.set_index("group").loc["A"], result.frame.set_index("group").loc["B"]
    # shares 50 to 75%, rates 40 to 30%; overall 30 and 27.5%, on average 28.75%
    assert a["rate"] == pytest.approx(0.625 * -0.1)
    assert a["mix"] == pytest.approx(0.25 * (0.35 - 0.2875))
    assert b["rate"] == pytest.approx(0)
    assert b["mix"] == pytest.approx(-0.25 * (0.2 - 0.2875))
    assert result.change == pytest.approx(-0.025)
    assert result.mix + result.rate == pytest.approx(result.change)


@pytest.mark.parametrize("seed", range(5))
def test_parts_add_up_also_with_groups_of_one_period_only(seed):
    random = np.random.default_rng(seed)
    sides = []
    for names in ("ABC", "BCD"):
        n = random.integers(1, 60, 3)
        sides.append(deals(**{name: (random.integers(0, k + 1), k) for name, k in zip(names, n, strict=True)}))
    result = decompose(*sides, "product", draws=50)
    rates = [(side["outcome"] == "won").mean() for side in sides]
    assert result.frame["total"].sum() == pytest.approx(rates[1] - rates[0])
    assert result.frame.loc[result.frame["group"].isin(["A", "D"]), "rate"].tolist() == [0, 0]


def test_intervals_hold_the_truth_in_most_samples():
    random, inside = np.random.default_rng(4), 0
    for _ in range(100):
        before = deals(A=(random.binomial(100, 0.4), 100), B=(random.binomial(100, 0.3), 100))
        after = deals(A=(random.binomial(100, 0.2), 100), B=(random.binomial(100, 0.3), 100))
        row = decompose(before, after, "product", draws=200).frame.iloc[0]
        inside += row["rate_low"] <= -0.1 <= row["rate_high"]
    assert 88 <= inside <= 100


def test_missing_values_are_a_group_and_open_deals_are_ignored():
    before, after = deals(A=(5, 10), B=(5, 10)), deals(A=(5, 10), B=(5, 10))
    before["product"] = before["product"].where(before["product"] != "B")
    before.loc[len(before)] = ["open", "Z"]
    result = decompose(before, after, "product", draws=10)
    assert result.frame["group"].tolist() == ["(not recorded)", "A", "B"]


def test_a_period_without_deals_and_an_unknown_column():
    some = deals(A=(5, 10))
    result = decompose(some, some.head(0), "product")
    assert np.isnan(result.change)
    assert result.sentences() == ["Only one of the two periods has closed deals, so there is no change to explain."]
    assert explain(some, some.head(0), {"product": "product"}).cause is None
    assert explain(some.head(0), some.head(0), {"product": "product"}).sentences()
    with pytest.raises(TableError, match="no column 'colour'"):
        decompose(some, some, "colour")


def company(n, seed, rate_a=0.4, rate_b=0.4, share_a=0.5):
    """Deals with two products, of which the second sells alike, and 40 campaigns that say nothing."""
    random = np.random.default_rng(seed)
    product = np.where(random.random(n) < share_a, "A", "B")
    won = random.random(n) < np.where(product == "A", rate_a, rate_b)
    team = np.where(random.random(n) < 0.5, "North", "South")
    campaign = random.integers(0, 40, n).astype(str)
    outcome = np.where(won, "won", "lost")
    return pd.DataFrame({"outcome": outcome, "product": product, "team": team, "campaign": campaign})


SEGMENTS = {"product": "product", "team": "team", "campaign": "campaign"}


def test_the_changed_group_is_found_among_many_small_ones():
    found = explain(company(1500, 1), company(1000, 2, rate_a=0.2), SEGMENTS)
    assert found.cause["group"] == "A"
    assert found.cause_points == pytest.approx(-0.1, abs=0.03)
    assert found.candidates["support"].sum() == pytest.approx(1)
    assert found.sentences()[1].startswith("Most likely cause: product A, down from 4")


def test_a_change_of_all_alike_is_no_groups_fault():
    found = explain(company(1500, 3), company(1000, 4, 0.25, 0.25), SEGMENTS)
    assert found.cause is None
    assert found.because()[0] == "All groups of deals changed alike."


def test_a_change_of_the_mix_is_told_as_such():
    found = explain(company(1500, 5, 0.6, 0.2, 0.7), company(1000, 6, 0.6, 0.2, 0.3), SEGMENTS)
    assert found.cause is None
    assert found.mix == pytest.approx(found.change, abs=0.05)
    first, second = found.because()
    assert first == "No group wins more or less often."
    assert second.startswith("The mix of deals explains −")


def test_the_order_of_the_rows_changes_nothing():
    before, after = company(600, 7), company(400, 8, rate_a=0.2)
    shuffled = explain(before.sample(frac=1, random_state=1), after.sample(frac=1, random_state=2), SEGMENTS)
    pd.testing.assert_frame_equal(explain(before, after, SEGMENTS).candidates, shuffled.candidates)
    again = decompose(before.iloc[::-1], after.iloc[::-1], "team")
    pd.testing.assert_frame_equal(decompose(before, after, "team").frame, again.frame)


def gains_as_defined(won, later, kinds, members):
    """Rao's score statistic of each candidate, halved, from a column of ones and zeros for each kind of deal."""
    X, D = kinds.astype(float), np.column_stack([member & later for member in members]).astype(float)
    penalty = np.r_[1e-6, np.full(X.shape[1] - 1, 0.5)]
    beta = np.zeros(X.shape[1])
    for _ in range(50):
        p = expit(X @ beta)
        information = (X * (p * (1 - p))[:, None]).T @ X + np.diag(penalty)
        beta += np.linalg.solve(information, X.T @ (won - p) - penalty * beta)
    p = expit(X @ beta)
    shared = X.T @ (D * (p * (1 - p))[:, None])
    curvature = (D**2 * (p * (1 - p))[:, None]).sum(axis=0) - (shared * np.linalg.solve(information, shared)).sum(0)
    return p, 0.5 * (D.T @ (won - p)) ** 2 / curvature


@pytest.mark.parametrize("seed", range(4))
def test_sums_by_kind_give_what_a_column_for_each_kind_gives(seed):
    rng = np.random.default_rng(seed)
    count = 3000
    table = pd.DataFrame(
        {
            "product": rng.choice(list("ABCD"), count),
            "region": rng.choice(np.array(["north", "south", None], dtype=object), count),
            "rep": [f"rep {each}" for each in rng.geometric(0.02, count)],
            "same": "all",
        }
    )
    later = rng.random(count) < 0.4
    won = (rng.random(count) < 0.3 + 0.2 * (table["product"] == "A") - 0.15 * later).to_numpy(dtype=float)
    groups = {name: grouped(table[name]) for name in table}
    kinds = Kinds(groups, count)
    named = {pair: (groups[pair[0]] == pair[1]).to_numpy() if pair[0] else np.ones(count, bool) for pair in kinds.names}
    assert ("rep", OTHERS) in named
    assert "same" not in {segment for segment, _ in named}
    apart = [named[kinds.names[place]] for place in kinds.told_apart]
    causes = [named[kinds.names[place]] for place in kinds.candidates]
    expected, gain = gains(won, later, kinds)
    as_defined = gains_as_defined(won, later, np.column_stack(apart), causes)
    np.testing.assert_allclose(expected, as_defined[0], rtol=1e-7)
    np.testing.assert_allclose(gain, as_defined[1], rtol=1e-6, atol=1e-9)
    for row, mine in zip(candidate_rows(kinds, won, later), causes, strict=True):
        assert (row["n_before"], row["n_after"]) == ((mine & ~later).sum(), (mine & later).sum())
        assert row["before"] == won[mine & ~later].mean()
        assert row["after"] == won[mine & later].mean()
