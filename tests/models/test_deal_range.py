import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from scipy.stats import beta

from winpredict.models.deal_range import PARAMETERS, PRIOR_DEALS, PRIOR_SHARE, TIME_SHARE, DealRange


def snapshots(rows):
    frame = pd.DataFrame(rows, columns=["deal_id", "days_to_close", "outcome", "odds"])
    closed = pd.Timestamp("2025-06-01", tz="UTC")
    return frame.assign(as_of=closed - pd.to_timedelta(frame["days_to_close"], unit="D"))


def test_the_share_is_what_a_part_of_the_usual_time_resolves():
    rows = snapshots(
        [("a", 60.0, "won", 0.5), ("a", 50.0, "won", 0.7), ("b", 60.0, "lost", 0.5), ("b", 50.0, "lost", 0.3)]
    )
    # half-way between 60 and 50 days the median is 55, and 0.18 of it 9.9 days: from 60 days 0.99 of the way to the
    # next look, and from 50 days 0.198 of the way to the outcome
    first, second = 0.99 * 0.2, 0.198 * 0.3
    resolved = 0.5 * (2 * first**2 + 2 * second**2)
    variance = 0.5 * (2 * 0.25 + 2 * 0.21)
    wanted = (resolved + PRIOR_DEALS * PRIOR_SHARE * 0.2) / (variance + PRIOR_DEALS * 0.2)
    found = DealRange.learned(rows, logit(rows["odds"].to_numpy()))
    assert TIME_SHARE == 0.18
    assert found.share == pytest.approx(wanted, rel=1e-3)


def test_the_order_of_looks_does_not_matter():
    chance = np.random.default_rng(0)
    rows = snapshots([(f"d{n // 3}", float(60 - 20 * (n % 3)), "won" if n % 2 else "lost", 0.5) for n in range(60)])
    log_odds = chance.normal(size=60)
    order = chance.permutation(60)
    assert DealRange.learned(rows, log_odds) == DealRange.learned(
        rows.iloc[order].reset_index(drop=True), log_odds[order]
    )


def test_a_range_holds_the_odds_of_its_share_of_deals():
    """Deals whose own odds are spread as the range says, around those of deals like them."""
    chance = np.random.default_rng(1)
    odds = expit(chance.normal(-0.5, 1.2, 20_000))
    size = 1 / 0.12 - 1
    own = chance.beta(odds * size, (1 - odds) * size)
    for mass in (0.5, 0.8, 0.95):
        low, high = DealRange(0.12).around(odds, np.zeros(len(odds)), mass).T
        assert ((low <= own) & (own <= high)).mean() == pytest.approx(mass, abs=0.02)
        assert ((low <= odds) & (odds <= high)).all()


def test_doubt_about_the_odds_widens_the_range():
    odds, none, much = np.array([0.3]), np.array([0.0]), np.array([0.1])
    narrow, wide = (DealRange(0.1).around(odds, doubt, 0.8)[0] for doubt in (none, much))
    np.testing.assert_allclose(narrow, beta.ppf([0.1, 0.9], 0.3 * 9, 0.7 * 9))
    share = 0.1 + 0.01 / 0.21
    np.testing.assert_allclose(wide, beta.ppf([0.1, 0.9], 0.3 * (1 / share - 1), 0.7 * (1 / share - 1)))
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_few_deals_widen_the_range():
    odds, sure = np.array([0.3]), np.array([0.0])
    share = 0.1 + PARAMETERS / 500
    np.testing.assert_allclose(
        DealRange(0.1, deals=500).around(odds, sure, 0.8)[0],
        beta.ppf([0.1, 0.9], 0.3 * (1 / share - 1), 0.7 * (1 / share - 1)),
    )


def test_certain_odds_have_no_range_beyond_0_and_1():
    ends = DealRange().around(np.array([0.0, 1.0, 1e-12]), np.zeros(3), 0.8)
    assert np.isfinite(ends).all()
    assert ((ends >= 0) & (ends <= 1)).all()
