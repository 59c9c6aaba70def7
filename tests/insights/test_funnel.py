import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from random_crm import random_crm

from winpredict import CRMData
from winpredict.errors import TableError
from winpredict.insights._stage_durations import Passage, incidence, median_duration, open_stages, stage_durations
from winpredict.insights.funnel import funnel
from winpredict.simulate.world import simulate

ORDER = ("Call", "Demo", "Offer")
DAY0 = pd.Timestamp("2024-01-01", tz="UTC")


def at(day):
    return DAY0 + pd.Timedelta(days=day)


def crm_of(lives, known_until=100, **more):
    """Deals from {id: (outcome, day of the close, [(day, stage), ...])}; amounts of 1000."""
    deals = pd.DataFrame(
        [
            {
                "deal_id": name,
                "outcome": outcome,
                "created_at": at(steps[0][0]),
                "closed_at": None if outcome == "open" else at(closed),
                "stage": steps[-1][1] if outcome == "open" else outcome.capitalize(),
                "amount": 1000.0,
                "owner_id": "ann" if name < "m" else "bob",
            }
            for name, (outcome, closed, steps) in lives.items()
        ]
    )
    history = pd.DataFrame(
        [(name, at(day), stage, 1000.0) for name, (_, _, steps) in lives.items() for day, stage in steps],
        columns=["deal_id", "changed_at", "stage", "amount"],
    )
    return CRMData.from_tables(deals, deal_history=history, stage_order=ORDER, known_until=at(known_until), **more)


@pytest.fixture
def six():
    return crm_of(
        {
            "a": ("won", 30, [(0, "Call"), (10, "Demo"), (20, "Offer")]),
            "b": ("lost", 25, [(0, "Call"), (20, "Demo")]),
            "c": ("open", None, [(90, "Call")]),
            "d": ("won", 45, [(5, "Call"), (15, "Offer")]),
            "e": ("lost", 40, [(10, "Call")]),
            "f": ("open", None, [(20, "Call"), (50, "Demo"), (60, "Call"), (70, "Demo")]),
        }
    )


def test_aalen_johansen_and_kaplan_meier_by_hand():
    # five deals: moved on after 10, lost after 20, still there after 30, moved on after 40, lost after 50
    days, status = np.array([10.0, 20, 30, 40, 50]), np.array([1, 2, 0, 1, 2])
    found = incidence(Passage(days, status, np.zeros(5, bool)))
    # survival before each event: 1, 4/5, 3/5 (no event at 30), 3/5, 3/10; at risk 5, 4, 2, 1
    assert found["moved_on_30"] == pytest.approx(1 / 5)
    assert found["lost_30"] == pytest.approx(4 / 5 * 1 / 4)
    assert found["moved_on_60"] == pytest.approx(1 / 5 + 3 / 5 * 1 / 2)
    assert found["lost_finally"] == pytest.approx(1 / 5 + 3 / 10 * 1)
    # survival 0.8, 0.6, 0.3, 0: below one half after 40 days
    assert median_duration(Passage(days, status, np.zeros(5, bool)))["median_days"] == 40.0


def test_what_nobody_was_watched_for_is_unknown():
    passage = Passage(np.array([5.0, 40, 40]), np.array([1, 0, 0]), np.zeros(3, bool))
    found = incidence(passage)
    assert found["moved_on_30"] == pytest.approx(1 / 3)
    assert np.isnan(found["moved_on_60"])
    assert np.isnan(median_duration(passage)["median_days"])


def test_without_censoring_conversions_are_plain_shares(world):
    closed = world.crm.deals["outcome"] != "open"
    result = funnel(replace(world.crm, deals=world.crm.deals[closed].reset_index(drop=True))).conversion
    np.testing.assert_allclose(result["moved_on_finally"].astype(float), result["share_moved_on"])
    np.testing.assert_allclose(result["lost_finally"].astype(float), result["share_lost"])
    won = (world.crm.deals.loc[closed, "outcome"] == "won").mean()
    assert result["share_moved_on"].prod() == pytest.approx(won, abs=0.01)


def test_conversion_by_hand(six):
    result = funnel(six).conversion.set_index("stage")
    assert result.loc["Call", ["deals", "skipped", "moved_on", "lost", "still_there"]].tolist() == [6, 0, 4, 1, 1]
    # d went from Call to Offer: through Demo in no time
    assert result.loc["Demo", ["deals", "skipped", "moved_on", "lost", "still_there"]].tolist() == [4, 1, 2, 1, 1]
    assert result.loc["Offer", ["deals", "moved_on", "lost", "still_there"]].tolist() == [2, 2, 0, 0]
    # left Call after 10, 20, 10, 30 (lost), 30 days; c is still there after 10: survival 4/6, 4/9, 0
    assert result.loc["Call", "median_days"] == 20.0


def test_now_stalled_and_back_by_hand(six):
    result = funnel(six)
    assert result.now["deals"].tolist() == [1, 1, 0]
    demo = result.now.set_index("stage").loc["Demo"]
    assert demo[["amount", "median_age_days", "median_days_in_stage", "oldest_deal"]].tolist() == [1000, 80, 30, "f"]
    assert not len(result.stalled)
    back = result.moves_back.set_index("stage")
    assert back.loc["Demo", ["deals", "went_back", "moves", "within_a_day"]].tolist() == [3, 1, 1, 0]
    assert back.loc["Demo", "share"] == pytest.approx(1 / 3)


def test_deals_that_stall_are_listed_by_amount():
    lives = {f"w{n}": ("won", 20, [(0, "Call"), (n + 1, "Demo")]) for n in range(12)}
    lives |= {"slow": ("open", None, [(50, "Call")]), "fresh": ("open", None, [(95, "Call")])}
    result = funnel(crm_of(lives))
    assert result.stalled["deal_id"].tolist() == ["slow"]
    row = result.stalled.iloc[0]
    assert row["usual_days"] == 6.5
    assert row["long_days"] == pytest.approx(np.quantile(np.arange(1, 13), 0.9))
    assert (row["days_in_stage"], row["owner"]) == (50.0, "bob")
    assert any(
        "1 open deal, worth 1,000, has been in its stage longer than 9 in 10 deals that were won." in text
        for text in result.sentences()
    )


def test_going_back_is_compared_with_deals_that_got_as_far():
    back = {f"b{n}": ("lost", 30, [(0, "Call"), (5, "Demo"), (10, "Call")]) for n in range(30)}
    straight = {f"s{n}": ("won", 30, [(0, "Call"), (5, "Demo")]) for n in range(30)}
    early = {f"e{n}": ("lost", 30, [(0, "Call")]) for n in range(30)}
    result = funnel(crm_of(back | straight | early))
    assert result.after_moving_back["n"].tolist() == [30, 30]
    assert result.after_moving_back["win_rate"].tolist() == [0.0, 1.0]
    assert result.after_moving_back["reached"].iloc[0] == "Demo"


def test_history_is_what_was_known_at_each_month_end(world):
    result = funnel(world.crm).history
    assert result["month_end"].nunique() == 12
    for moment in result["month_end"].unique()[[0, 5, 11]]:
        known = world.crm.as_known_at(moment).deals.query("outcome == 'open'")
        wanted = known.groupby("stage").agg(deals=("deal_id", "size"), amount=("amount", "sum"))
        rows = result[result["month_end"] == moment].set_index("stage")
        assert rows["deals"].to_dict() == wanted["deals"].reindex(rows.index, fill_value=0).to_dict()
        assert rows["amount"].sum() == pytest.approx(wanted["amount"].sum())


def test_velocity_by_hand(six):
    row = funnel(six).velocity.iloc[0]
    assert row[["open_deals", "closed", "win_rate", "mean_won_amount", "mean_days_won"]].tolist() == [
        2,
        4,
        0.5,
        1000,
        35,
    ]
    assert row["per_day"] == pytest.approx(2 * 0.5 * 1000 / 35)
    assert row["per_30_days"] == pytest.approx(30 * row["per_day"])


def test_coverage_overall_by_team_and_by_rep(six):
    users = pd.DataFrame({"user_id": ["ann", "bob"], "name": ["Ann", "Bob"], "team": ["East", "East"]})
    quotas = pd.DataFrame(
        {
            "user_id": ["ann", "bob", "ann"],
            "period_start": [at(0), at(0), at(200)],
            "period_end": [at(120), at(120), at(300)],
            "amount": [5000.0, 1000.0, 9e9],
        }
    )
    crm = replace(six, users=users, quotas=CRMData.from_tables(six.deals, quotas=quotas).quotas)
    result = funnel(crm).coverage.set_index(["level", "name"])
    assert result.loc[("overall", "all"), ["quota", "won", "remaining", "open_amount"]].tolist() == [
        6000,
        2000,
        4000,
        2000,
    ]
    assert result.loc[("team", "East"), "coverage"] == 0.5
    assert result.loc[("rep", "Ann"), "coverage"] == pytest.approx(2000 / 3000)
    assert result.loc[("rep", "Bob"), ["open_deals", "coverage"]].tolist() == [0, 0.0]
    told = " ".join(funnel(crm).sentences())
    assert "Of the quota of 6,000 to " in told
    assert "0.50 times" in told


def test_a_quota_given_as_a_number_is_for_the_quarter(six):
    row = funnel(six, quota=1500.0).coverage.iloc[0]
    # day 100 is 10 April; both deals were won before the quarter began
    assert (row["period_start"], row["won"], row["remaining"]) == (pd.Timestamp("2024-04-01", tz="UTC"), 0, 1500)
    met = funnel(six, as_of=at(80), quota=2000.0)
    assert np.isnan(met.coverage["coverage"].iloc[0])
    assert any("is met" in text for text in met.sentences())
    with pytest.raises(TableError, match="negative"):
        funnel(six, quota=-1.0)


def test_stages_that_close_deals_and_unknown_ones_are_no_stays():
    crm = crm_of({"a": ("won", 30, [(0, "Call"), (10, "Old stage"), (15, "Call"), (20, "Demo"), (30, "Won")])})
    assert stage_durations(crm, ORDER)[["stage", "days"]].values.tolist() == [["Call", 20.0], ["Demo", 10.0]]


def test_the_order_of_stages_is_read_from_the_history_where_it_is_not_given(world):
    assert open_stages(replace(world.crm, stage_order=())).order == world.crm.stage_order


def test_nothing_recorded_later_is_used(world):
    as_of = pd.Timestamp("2024-09-01", tz="UTC")
    one, other = funnel(world.crm, as_of=as_of), funnel(world.crm.as_known_at(as_of), as_of=as_of)
    for name in ("now", "history", "conversion", "stalled", "velocity"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name))
    assert one.now["deals"].sum() == (world.crm.as_known_at(as_of).deals["outcome"] == "open").sum()


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_rows_changes_nothing(seed):
    crm = random_crm(seed, 40)
    shuffled = {name: frame.sample(frac=1.0, random_state=1) for name, frame in crm.tables()}
    again = CRMData.from_tables(**shuffled, stage_order=crm.stage_order, known_until=crm.known_until)
    one, other = funnel(crm), funnel(again)
    for name in ("now", "history", "conversion", "stalled", "moves_back", "after_moving_back", "velocity"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name))
    assert one.sentences() == other.sentences()


@pytest.mark.parametrize("names", ["", "a", "b", "c", "ce"])
def test_a_few_deals_or_none_are_no_reason_to_fail(six, names):
    deals = six.deals[six.deals["deal_id"].isin(list(names))]
    for history in (six.deal_history[six.deal_history["deal_id"].isin(list(names))], None):
        result = funnel(CRMData.from_tables(deals, deal_history=history if names else None, stage_order=ORDER))
        assert result.sentences()
        assert "nan" not in " ".join([*result.sentences(), *map(str, result.notes)])


def test_undated_deals_and_absent_tables_say_what_is_missing(world, six):
    undated = CRMData.from_tables(six.deals.assign(created_at=None, closed_at=None), stage_order=ORDER)
    result = funnel(undated, as_of="2025-01-01")
    assert result.now["deals"].tolist() == [1, 1, 0]
    assert any("no dates" in str(note) for note in result.notes)
    without = funnel(replace(world.crm, deal_history=None, users=None))
    assert any("Stages have no history" in str(note) for note in without.notes)
    assert not len(without.conversion)
    assert without.now["deals"].sum() == (world.crm.deals["outcome"] == "open").sum()


def test_many_deals_take_little_time():
    crm = simulate(20_000, seed=1).crm
    funnel(simulate(100, seed=1).crm)
    began = time.perf_counter()
    funnel(crm)
    assert time.perf_counter() - began < 6.0


def test_by_default_nothing_recorded_after_the_end_of_knowledge_is_used(world):
    day = pd.Timestamp("2024-11-15", tz="UTC")
    by_default, cut = funnel(replace(world.crm, known_until=day)), funnel(world.crm.as_known_at(day))
    pd.testing.assert_frame_equal(by_default.now, cut.now)
    pd.testing.assert_frame_equal(by_default.conversion, cut.conversion)


def test_the_stalled_deals_are_those_that_a_model_flags_where_they_are_given(six):
    assert funnel(six).stalled.empty
    flagged = funnel(six, stalled=["f", "a", "no such deal"])
    assert flagged.stalled["deal_id"].tolist() == ["f"], "a closed deal is not stalled"
    assert "1 open deal, worth 1,000, is stalled." in flagged.sentences()
    both = funnel(six, stalled={"c", "f"})
    assert "2 open deals, worth 2,000, are stalled." in both.sentences()
    none = funnel(six, stalled=())
    assert none.stalled.empty
    assert not any("stalled" in sentence for sentence in none.sentences())
