import json

import numpy as np
import pandas as pd
import pytest

from winpredict.models.stage_norms import MIN_DEALS, StageNorms, silence_of

DEMO = np.array(["Demo"], dtype=object)


def of_deals(days, **columns):
    """One snapshot a deal, all won in the stage Demo."""
    return pd.DataFrame({"stage": "Demo", "days_since_touch": np.asarray(days, float), **columns})


def one(norms, name, stage="Demo"):
    return norms.of(name, np.array([stage], dtype=object)).values[0]


def test_nine_in_ten_snapshots_of_won_deals_do_not_exceed_the_usual_silence():
    features = of_deals(range(1, 101))
    assert one(StageNorms.fit(features, np.ones(100)), "silence") == 90


def test_days_are_rounded_up_so_that_what_is_told_stays_true():
    assert one(StageNorms.fit(of_deals([6.2] * MIN_DEALS), np.ones(MIN_DEALS)), "silence") == 7
    assert one(StageNorms.fit(of_deals([0.0] * MIN_DEALS), np.ones(MIN_DEALS)), "silence") == 1


def test_lost_deals_do_not_count():
    features = of_deals([5.0] * 30 + [80.0] * 30)
    assert one(StageNorms.fit(features, np.repeat([1, 0], 30)), "silence") == 5


def test_a_stage_of_too_few_won_deals_has_the_norm_of_all_stages():
    features = of_deals([5.0] * 30).assign(stage=["Demo"] * 25 + ["Offer"] * 5)
    norm = StageNorms.fit(features, np.ones(30)).of("silence", np.array(["Demo", "Offer", None], dtype=object))
    assert norm.values.tolist() == [5, 5, 5]
    assert norm.of_stage.tolist() == [True, False, False]


def test_many_snapshots_of_few_deals_are_no_norm():
    norms = StageNorms.fit(of_deals([5.0] * 200), np.ones(200), deal_ids=np.arange(200) % (MIN_DEALS - 1))
    assert norms.by_stage == {}
    assert np.isnan(one(norms, "silence"))


def test_a_deal_counts_once_however_many_snapshots_it_has():
    slow, others = [90.0] * 400, [3.0] * 39
    norms = StageNorms.fit(of_deals(slow + others), np.ones(439), deal_ids=[0] * 400 + list(range(1, 40)))
    assert one(norms, "silence") == 3


def test_a_stay_ends_when_the_next_one_begins_and_the_last_one_with_the_deal():
    # in Demo from day 0 to 9, in Offer until the win on day 19; seen on days 2, 7 and 14
    seen = pd.DataFrame({"stage": ["Demo", "Demo", "Offer"], "days_in_stage": [2.0, 7.0, 5.0]})
    features = pd.concat([seen] * MIN_DEALS, ignore_index=True)
    left, deals = np.tile([17.0, 12.0, 5.0], MIN_DEALS), np.repeat(np.arange(MIN_DEALS), 3)
    norms = StageNorms.fit(features, np.ones(len(features)), days_to_close=left, deal_ids=deals)
    assert (one(norms, "days_in_stage", "Demo"), one(norms, "days_in_stage", "Offer")) == (9, 10)
    assert one(norms, "days_left", "Offer") == 5
    assert one(norms, "days_left", "Demo") == 12
    without_close = StageNorms.fit(features, np.ones(len(features)), deal_ids=deals)
    assert (one(without_close, "days_in_stage", "Demo"), one(without_close, "days_in_stage", "Offer")) == (7, 5)


@pytest.mark.parametrize("name", ["days_in_stage", "days_left"])
def test_what_depends_on_the_stage_has_no_norm_of_all_stages(name):
    features = of_deals([5.0] * 30, days_in_stage=9.0)
    norms = StageNorms.fit(features, np.ones(30), days_to_close=np.full(30, 8.0))
    assert one(norms, name) in (8, 17)
    assert np.isnan(one(norms, name, "Offer"))


def test_shares_are_of_what_is_known():
    senior = [1.0, 2.0, 1.0, 0.0] * 10 + [np.nan] * 20
    norms = StageNorms.fit(of_deals([1.0] * 60, senior_contacts=senior, meetings_booked=0.0), np.ones(60))
    assert one(norms, "senior") == pytest.approx(0.75)
    assert one(norms, "booked") == 0


def test_a_count_that_is_never_above_zero_is_not_recorded():
    norms = StageNorms.fit(of_deals([1.0] * 30, touches=1.0, meetings_booked=0.0), np.ones(30))
    assert norms.records("touches")
    assert not norms.records("meetings_booked")
    assert StageNorms().records("meetings_booked")


def test_a_large_deal_is_in_the_top_quarter_of_the_won_deals_of_its_currency():
    features = of_deals([1.0] * 80, amount=[*np.arange(1, 41) * 1e3, *np.arange(1, 41) * 1e5])
    features["currency"] = ["EUR"] * 40 + ["JPY"] * 40
    norms = StageNorms.fit(features, np.ones(80))
    assert norms.large == {"EUR": 30_000, "JPY": 3_000_000}
    money = np.array(["EUR", "EUR", "JPY", "USD", None], dtype=object)
    amounts = np.array([30_000, 29_999, 30_000, 9e9, 9e9])
    assert norms.is_large(amounts, money).tolist() == [True, False, False, False, False]


def test_amounts_without_a_currency_are_all_in_one():
    norms = StageNorms.fit(of_deals([1.0] * 40, amount=np.arange(1, 41) * 1e3), np.ones(40))
    assert norms.is_large(np.array([30_000.0, 30_000.0]), np.array(["EUR", None], dtype=object)).all()


def test_columns_may_be_absent():
    norms = StageNorms.fit(pd.DataFrame({"touches": [1.0] * 30}), np.ones(30))
    assert norms.by_stage == {}
    assert norms.large == {}
    assert np.isnan(norms.of("silence", DEMO).values[0])


def test_norms_survive_json():
    features = of_deals(range(1, 101), amount=range(1, 101), senior_contacts=1.0)
    norms = StageNorms.fit(features, np.ones(100), days_to_close=np.arange(100))
    assert StageNorms.from_json(json.loads(json.dumps(norms.to_json()))) == norms
    assert StageNorms.from_json(json.loads(json.dumps(StageNorms().to_json()))) == StageNorms()


def test_the_order_of_the_snapshots_changes_nothing():
    rng = np.random.default_rng(3)
    features = of_deals(rng.gamma(2, 5, 400), days_in_stage=rng.gamma(2, 9, 400)).assign(
        stage=rng.choice(["Demo", "Offer"], 400)
    )
    won, left, deals = rng.integers(0, 2, 400), rng.gamma(2, 30, 400), rng.integers(0, 90, 400)
    order = rng.permutation(400)
    shuffled = features.iloc[order].reset_index(drop=True)
    norms = StageNorms.fit(features, won, days_to_close=left, deal_ids=deals)
    assert StageNorms.fit(shuffled, won[order], days_to_close=left[order], deal_ids=deals[order]) == norms


def test_silence_without_a_touch_begins_with_the_deal_only_where_touches_are_recorded():
    deals = pd.DataFrame({"days_since_touch": [np.nan], "touches": [0.0], "days_open": [34.0]})
    assert silence_of(deals).tolist() == [34]
    assert np.isnan(silence_of(deals, records_touches=False)).all()
    assert np.isnan(silence_of(deals.drop(columns="touches"))).all()
