import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from winpredict import CRMData
from winpredict.errors import ConfigError
from winpredict.insights._rates import difference, groups_differ, shrunken
from winpredict.insights.deals import SEGMENTS
from winpredict.insights.winrates import MIN_DEALS, closed_won
from winpredict.simulate.world import simulate

END = pd.Timestamp("2025-01-01", tz="UTC")


def crm_of(rows, **tables):
    """Deals from (product, outcome, days before the end at which they closed, how many)."""
    parts = []
    for product, outcome, ago, number in rows:
        closed = None if outcome == "open" else END - pd.Timedelta(days=ago)
        created = END - pd.Timedelta(days=ago + (30 if outcome == "won" else 10))
        row = {"product": product, "outcome": outcome, "created_at": created, "closed_at": closed, "stage": "Any"}
        parts.append(pd.DataFrame([row] * number))
    deals = pd.concat(parts, ignore_index=True)
    deals["deal_id"] = [f"d{number}" for number in range(len(deals))]
    return CRMData.from_tables(deals, known_until=END, **tables)


@pytest.fixture(scope="module")
def two_products():
    now = [("Core", "won", 50, 20), ("Core", "lost", 60, 80), ("Plus", "won", 70, 60), ("Plus", "lost", 80, 40)]
    before = [("Core", "won", 400, 60), ("Core", "lost", 400, 40), ("Plus", "won", 400, 60), ("Plus", "lost", 400, 40)]
    return crm_of([*now, *before, ("Tiny", "won", 50, 1), ("Plus", "open", 5, 3)])


def test_counts_rates_and_cycles_by_hand(two_products):
    result = closed_won(two_products)
    overall = result.overall.iloc[0]
    assert overall[["n", "won", "lost", "n_before", "won_before"]].tolist() == [201, 81, 120, 200, 120]
    assert (overall["median_days_won"], overall["median_days_lost"]) == (30.0, 10.0)
    core, plus, tiny = (result.segments.query("segment == 'product'").iloc[row] for row in range(3))
    assert (core["group"], core["n"], core["won"], core["win_rate"], core["small"]) == ("Core", 100, 20, 0.2, False)
    # Wilson's interval of 20 out of 100
    assert core[["win_rate_low", "win_rate_high"]].tolist() == pytest.approx([0.1334, 0.2888], abs=1e-4)
    assert core["change"] == pytest.approx(-0.4)
    assert core["changed"]
    assert not plus["changed"]
    assert (tiny["n"], tiny["small"], tiny["n_before"]) == (1, True, 0)
    assert np.isnan(tiny["change"])
    assert 0.4 < tiny["shrunken_win_rate"] < 0.9


def test_the_sentences_say_what_changed_and_what_differs(two_products):
    told = " ".join(closed_won(two_products).sentences())
    assert "81 of 201 deals closed in the 365 days to 31 Dec 2024 won: 40% (95% interval " in told
    assert "Win rate of product Core: down from 60% to 20%, more than normal variation." in told
    assert "Win rate by product: from 20% (Core, 100 deals) to 60% (Plus, 100 deals)." in told
    assert "Tiny" not in told


def test_newcombes_interval_and_the_score_test():
    # Newcombe (1998), table II, method 10
    for numbers, low, high in (((56, 70, 48, 80), 0.0524, 0.3339), ((9, 10, 3, 10), 0.1705, 0.8090)):
        found = difference(*([number] for number in numbers))
        assert (found.low[0], found.high[0]) == pytest.approx((low, high), abs=1e-4)
    assert difference([20], [100], [60], [100]).p[0] == pytest.approx(groups_differ(*_pair(20, 60), MIN_DEALS)[2])
    nobody = difference([0], [10], [0], [10])
    assert (nobody.change[0], nobody.p[0]) == (0.0, 1.0)


def _pair(one, other):
    return np.array([one, other], float), np.array([100.0, 100.0])


def test_small_groups_are_tested_together_and_alike_groups_shrink_to_one_rate():
    won, n = np.array([10.0, 30.0, 5.0, 6.0]), np.array([100.0, 100.0, 10.0, 10.0])
    together = groups_differ(won, n, MIN_DEALS)
    assert together == groups_differ(np.array([10.0, 30.0, 11.0]), np.array([100.0, 100.0, 20.0]), MIN_DEALS)
    assert together[1] == 2
    assert np.ptp(shrunken(np.full(5, 50.0), np.full(5, 100.0), 0.5)) < 1e-6


def test_no_segment_is_told_where_there_is_no_effect():
    rng = np.random.default_rng(3)
    crm = crm_of([(f"P{k}", "won" if rng.random() < 0.4 else "lost", 10 + k, 1) for k in range(8) for _ in range(60)])
    result = closed_won(crm)
    assert not result.tests.query("segment == 'product'")["differs"].any()
    assert "No difference beyond normal variation by: product." in " ".join(result.sentences())


def test_a_change_that_the_mix_of_deals_hides_is_told():
    rows = [("Core", "won", 50, 240), ("Core", "lost", 50, 160), ("Plus", "won", 50, 10), ("Plus", "lost", 50, 190)]
    earlier = [
        ("Core", "won", 400, 150),
        ("Core", "lost", 400, 50),
        ("Plus", "won", 400, 100),
        ("Plus", "lost", 400, 300),
    ]
    told = " ".join(closed_won(crm_of([*rows, *earlier])).sentences())
    assert "The overall win rate hides a fall in every group by product: the mix of deals has shifted." in told


def test_loss_reasons_are_found_by_name_and_counted():
    rows = [("A", "lost", 20, 6), ("A", "won", 20, 4), ("A", "lost", 400, 4)]
    deals = crm_of(rows).deals
    deals["Closed lost reason"] = [*["Price"] * 4, None, "Timing", *[None] * 4, *["Timing"] * 4]
    deals["reason_for_contact"] = "any"
    result = closed_won(CRMData.from_tables(deals, known_until=END)).loss_reasons
    assert result["reason"].tolist() == ["Price", "(not recorded)", "Timing"]
    assert result["n"].tolist() == [4, 1, 1]
    assert result["share"].tolist() == pytest.approx([4 / 6, 1 / 6, 1 / 6])
    assert result["share_before"].tolist() == [0.0, 0.0, 1.0]


def test_lost_amounts_are_those_before_the_close(world):
    result = closed_won(world.crm)
    assert set(result.loss_reasons["reason"]) >= {"Price", "Timing"}
    assert (result.loss_reasons["amount"] > 0).all()
    typed = world.crm.deals.query("outcome == 'lost'")["amount"].sum()
    assert result.loss_reasons["amount"].sum() > typed / 2


def test_every_segment_and_text_attribute_is_there(world):
    result = closed_won(world.crm, attributes=("region", "campaign_code", "account_industry", "amount"))
    assert set(result.segments["segment"]) == {*SEGMENTS, "region", "account_industry"}
    assert any("campaign code" in str(note) for note in result.notes)
    per_segment = result.segments.groupby("segment")["n"].sum()
    assert (per_segment <= result.overall["n"].iloc[0]).all()
    assert per_segment["product"] == result.overall["n"].iloc[0]
    assert any("This count grows as a deal goes on" in sentence for sentence in result.sentences())


def test_what_has_no_effect_in_the_simulated_world_is_not_told():
    result = closed_won(simulate(1500, seed=20).crm, attributes=("region",))
    differs = result.tests.set_index("segment")["differs"]
    assert not differs["region"]
    assert differs[["customer", "size", "product", "lead_source"]].all()


@pytest.mark.parametrize("days", [0, -5, float("nan")])
def test_a_period_without_length_is_refused(world, days):
    with pytest.raises(ConfigError, match="period_days"):
        closed_won(world.crm, period_days=days)


def test_adjusted_p_values_count_all_groups_of_all_segments(world):
    table = closed_won(world.crm).segments
    known = table.dropna(subset="p")
    assert (known["p_adjusted"] >= known["p"] - 1e-12).all()
    assert known["p_adjusted"].max() <= 1.0
    assert (table["changed"] <= table["excludes_zero"]).all()


def test_nothing_recorded_later_is_used(world):
    as_of = pd.Timestamp("2024-09-01", tz="UTC")
    result = closed_won(world.crm, as_of=as_of)
    again = closed_won(world.crm.as_known_at(as_of))
    pd.testing.assert_frame_equal(result.segments, again.segments)
    closed = world.crm.deals["closed_at"]
    assert result.overall["n"].iloc[0] == ((closed < as_of) & (closed >= as_of - pd.Timedelta(days=365))).sum()


def test_the_order_of_rows_changes_nothing(world):
    shuffled = {name: frame.sample(frac=1.0, random_state=1) for name, frame in world.crm.tables()}
    crm = CRMData.from_tables(**shuffled, stage_order=world.crm.stage_order, known_until=world.crm.known_until)
    one, other = closed_won(world.crm), closed_won(crm)
    pd.testing.assert_frame_equal(one.segments, other.segments)
    pd.testing.assert_frame_equal(one.loss_reasons, other.loss_reasons)
    assert one.sentences() == other.sentences()


@pytest.mark.parametrize("which", [slice(0, 0), slice(0, 1), slice(1, 2), slice(2, 3), slice(0, 3)])
def test_a_few_deals_or_none_are_no_reason_to_fail(which):
    deals = crm_of([("A", "won", 20, 1), ("A", "lost", 20, 1), ("A", "open", 20, 1)]).deals[which]
    result = closed_won(CRMData.from_tables(deals))
    assert result.sentences()
    assert result.overall["won"].iloc[0] == (deals["outcome"] == "won").sum()


def test_undated_deals_count_all_and_say_so():
    deals = crm_of([("A", "won", 20, 30), ("B", "lost", 20, 30)]).deals.assign(created_at=None, closed_at=None)
    result = closed_won(CRMData.from_tables(deals), as_of="2025-01-01")
    assert result.overall["n"].iloc[0] == 60
    assert any("no dates" in str(note) for note in result.notes)
    assert result.tests.query("segment == 'product'")["differs"].all()


@pytest.mark.parametrize("table", ["users", "activities", "contacts", "team_members", "accounts", "deal_history"])
def test_absent_tables_are_no_reason_to_fail(world, table):
    assert len(closed_won(replace(world.crm, **{table: None})).sentences()) > 3


def test_no_won_deal(world):
    deals = world.crm.deals[world.crm.deals["outcome"] != "won"]
    result = closed_won(replace(world.crm, deals=deals.reset_index(drop=True)))
    assert result.overall["win_rate"].iloc[0] == 0.0
    assert "nan" not in " ".join(result.sentences())


def test_many_deals_take_little_time():
    crm = simulate(20_000, seed=1).crm
    closed_won(simulate(100, seed=1).crm)
    began = time.perf_counter()
    closed_won(crm)
    assert time.perf_counter() - began < 6.0


def test_by_default_nothing_recorded_after_the_end_of_knowledge_is_used(world):
    day = pd.Timestamp("2024-11-15", tz="UTC")
    by_default, cut = closed_won(replace(world.crm, known_until=day)), closed_won(world.crm, as_of=day)
    pd.testing.assert_frame_equal(by_default.overall, cut.overall)
    pd.testing.assert_frame_equal(by_default.segments, cut.segments)
