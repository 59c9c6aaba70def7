"""The simulator: exact odds, deterministic records, leaks and dirt where they are said to be."""

import zipfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss, roc_auc_score

from winpredict.errors import ConfigError
from winpredict.ingest.importing import Imported, import_files
from winpredict.ingest.profiles import load_profile
from winpredict.simulate import chain
from winpredict.simulate.people import reps_of_quality
from winpredict.simulate.world import Drift, World, simulate, write_salesforce_export
from winpredict.tables.crm import utc

CUTS = ("2024-03-01", "2024-09-01", "2025-03-13")
SHARED = Path(__file__).parents[2] / ".." / "shared" / "data" / "salesforce_export"


@pytest.fixture(scope="module")
def world() -> World:
    return simulate(deals=3000, seed=7)


@pytest.fixture(scope="module")
def export(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "export.zip"
    write_salesforce_export(world, path)
    return path


@pytest.fixture(scope="module")
def imported(export: Path) -> Imported:
    return import_files([export], load_profile("salesforce"), now=pd.Timestamp("2025-03-13", tz="UTC"))


def csv(path: Path, name: str) -> pd.DataFrame:
    with zipfile.ZipFile(path) as archive:
        return pd.read_csv(BytesIO(archive.read(f"{name}.csv")))


# The chain


@settings(max_examples=50, deadline=None)
@given(st.floats(-8, 8), st.floats(0.1, 10))
def test_the_odds_of_a_day_sum_to_one(quality: float, speed: float) -> None:
    odds = chain.daily_odds(np.array([quality]), np.array([speed]))
    assert (odds >= 0).all()
    np.testing.assert_allclose(odds.sum(axis=-1), 1.0)


def lives(day: int, states: np.ndarray, qualities: np.ndarray, turn: int) -> chain.Lives:
    speeds = np.linspace(0.6, 1.5, chain.STATES)[states]
    return chain.Lives(np.full(len(states), day), states, qualities, qualities - 1.0, speeds, speeds * 0.7, turn)


@pytest.mark.parametrize("turn", [0, 40, 10_000], ids=["turned", "turns soon", "never turns"])
def test_the_exact_odds_agree_with_many_simulated_futures(turn: int) -> None:
    """Re-simulated 4,000 times each: all within four standard errors."""
    states, qualities, times = np.array([0, 1, 5, 10, 12, 14]), np.array([-1.0, 0.3, -0.4, 0.8, -1.5, 0.0]), 4000
    # a deal born the day before has its first chance of a change on the day itself
    futures = chain.live(
        lives(99, np.repeat(states, times), np.repeat(qualities, times), turn + 100), np.random.default_rng(3)
    )
    last = np.flatnonzero(np.diff(futures.deal, append=-1))
    seen = (futures.next_state[last] == chain.WON).reshape(len(states), times).mean(axis=1)
    exact = chain.odds_of_winning(lives(99, states, qualities, turn + 100), 100, states)
    error = np.sqrt(exact * (1 - exact) / times)
    assert (np.abs(seen - exact) < 4 * error).all(), (seen, exact)


def test_the_odds_follow_from_the_odds_of_the_next_day() -> None:
    states, qualities = np.arange(15), np.linspace(-2, 2, 15)
    deals = lives(0, states, qualities, 30)
    today, odds = chain.odds_of_winning(deals, 20, states), chain.daily_odds(qualities, deals.speed)
    tomorrow = [chain.odds_of_winning(deals, 21, np.full(15, state)) for state in states]
    later = np.stack([*tomorrow, np.ones(15), np.zeros(15)], axis=1)
    np.testing.assert_allclose(today, (odds[np.arange(15), states] * later).sum(axis=1))


def test_odds_rise_with_quality_stage_and_engagement() -> None:
    quality = np.zeros(15)
    odds = chain.odds_of_winning(lives(0, np.arange(15), quality, 0), 0, np.arange(15)).reshape(5, 3)
    better = chain.odds_of_winning(lives(0, np.arange(15), quality + 1, 0), 0, np.arange(15)).reshape(5, 3)
    assert (np.diff(odds, axis=0) > 0).all()
    assert (np.diff(odds, axis=1) > 0).all()
    assert (better > odds).all()


def test_every_deal_is_open_on_consecutive_days_and_ends_once() -> None:
    states = np.zeros(6000, dtype=np.int64)
    days = chain.live(lives(5, states, states * 0.0, 50), np.random.default_rng(0))
    same_deal = days.deal[1:] == days.deal[:-1]
    assert (np.diff(days.day)[same_deal] == 1).all()
    assert (days.state[1:][same_deal] == days.next_state[:-1][same_deal]).all()
    np.testing.assert_array_equal(days.next_state >= chain.STATES, np.append(~same_deal, True))


# The world


@pytest.mark.parametrize("cut", CUTS)
def test_the_odds_are_those_of_the_deals_open_at_the_cut(world: World, cut: str) -> None:
    known = world.crm.as_known_at(cut).deals
    odds = world.win_probability(cut)
    assert set(odds.index) == set(known["deal_id"][known["outcome"] == "open"])
    assert odds.between(0, 1).all()


def test_the_odds_are_calibrated_and_sharp() -> None:
    world = simulate(deals=12_000, seed=11)
    for cut in CUTS:
        odds = world.win_probability(cut)
        won = world.outcomes[odds.index] == "won"
        groups = pd.qcut(odds, 5, labels=False, duplicates="drop")
        error = np.sqrt((odds * (1 - odds)).groupby(groups).sum()) / groups.value_counts()
        assert ((won.groupby(groups).mean() - odds.groupby(groups).mean()).abs() < 4 * error).all()
        assert roc_auc_score(won, odds) > 0.87
        constant = np.full(len(odds), won.mean())
        assert log_loss(won, constant) / log_loss(won, odds) > 1.5


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.zip", "two.zip"):
        write_salesforce_export(simulate(deals=300, seed=5), tmp_path / name)
    write_salesforce_export(simulate(deals=300, seed=6), tmp_path / "other.zip")
    one, two, other = ((tmp_path / name).read_bytes() for name in ("one.zip", "two.zip", "other.zip"))
    assert one == two != other


def test_outcomes_agree_with_what_is_closed_and_cover_all(world: World) -> None:
    deals = world.crm.deals.set_index("deal_id")
    closed = deals["outcome"] != "open"
    assert (world.outcomes[closed[closed].index] == deals.loc[closed, "outcome"]).all()
    assert world.outcomes.index.equals(pd.Index(deals.index))
    assert 0.25 < (deals.loc[closed, "outcome"] == "won").mean() < 0.45
    assert 0.04 < (~closed).mean() < 0.10


def test_nothing_is_recorded_after_the_end(world: World) -> None:
    crm = world.crm
    assert (crm.deals["created_at"] < world.ends_at).all()
    assert (crm.deals["closed_at"].dropna() < world.ends_at).all()
    assert (crm.activities["recorded_at"] < world.ends_at).all()
    assert (crm.deal_history["changed_at"] < world.ends_at).all()
    assert (crm.contacts["added_at"] < world.ends_at).all()
    assert (crm.team_members["added_at"] < world.ends_at).all()


def test_the_history_starts_at_the_creation_and_ends_with_the_close(world: World) -> None:
    by_deal = world.crm.deal_history.sort_values("changed_at", kind="stable").groupby("deal_id")
    deals = world.crm.deals.set_index("deal_id")
    first, last = by_deal.first().loc[deals.index], by_deal.tail(1).set_index("deal_id").loc[deals.index]
    assert (first["changed_at"] == deals["created_at"]).all()
    assert (first["expected_close_date"].notna()).all()
    closed = deals["closed_at"].notna()
    assert (last["changed_at"] == deals["closed_at"])[closed].all()
    assert (last["stage"] == deals["stage"]).all()


def test_touches_have_two_clocks(world: World) -> None:
    touches = world.crm.activities
    late, ahead = touches["recorded_at"] > touches["occurred_at"], touches["recorded_at"] < touches["occurred_at"]
    assert 0.03 < late.mean() < 0.15
    assert 0.01 < ahead.mean() < 0.10
    assert set(touches.loc[ahead, "activity_type"]) == {"meeting"}


def test_touches_never_precede_the_deal(world: World) -> None:
    created = world.crm.deals.set_index("deal_id")["created_at"]
    touches = world.crm.activities
    assert (touches["occurred_at"] >= touches["deal_id"].map(created)).all()


def test_people_of_a_touch_are_on_the_deal(world: World) -> None:
    crm = world.crm
    known = set(zip(crm.contacts["deal_id"], crm.contacts["contact_id"], strict=True))
    assert set(zip(crm.activities["deal_id"], crm.activities["contact_id"], strict=True)) <= known
    ours = set(zip(crm.team_members["deal_id"], crm.team_members["user_id"], strict=True))
    ours |= set(zip(crm.deals["deal_id"], crm.deals["owner_id"], strict=True))
    ours |= set(zip(crm.deal_history["deal_id"], crm.deal_history["owner_id"], strict=True))
    assert set(zip(crm.activities["deal_id"], crm.activities["user_id"], strict=True)) <= ours


def test_leaks_are_where_they_are_said_to_be(world: World) -> None:
    deals = world.crm.deals
    lost, won = deals["outcome"] == "lost", deals["outcome"] == "won"
    assert (deals["loss_reason"].notna() == lost).all()
    signed = deals["contract_signed"].notna()
    assert signed[won].mean() > 0.98
    assert not signed[~won].any()
    zero = deals["amount"] == 0
    assert zero[lost].mean() > 0.5
    assert not zero[~lost].any()
    after = world.crm.activities["occurred_at"] > world.crm.activities["deal_id"].map(
        deals.set_index("deal_id")["closed_at"]
    )
    ended = world.crm.activities["deal_id"].map(deals.set_index("deal_id")["outcome"])
    assert after[ended == "won"].mean() > 5 * after[ended == "lost"].mean()


def test_dirt_is_there(world: World) -> None:
    deals, history = world.crm.deals, world.crm.deal_history
    assert ((deals["closed_at"] - deals["created_at"]) < pd.Timedelta("10min")).sum() > 3
    assert history["stage"].str.startswith("Closed").groupby(history["deal_id"]).sum().gt(1).sum() > 3
    assert deals.loc[deals["outcome"] == "open", "amount"].isna().any()
    owners = history.groupby("deal_id")["owner_id"].nunique()
    assert 0.01 < (owners > 1).mean() < 0.06


def test_the_owner_of_a_deal_is_the_last_recorded(world: World) -> None:
    history = world.crm.deal_history.sort_values("changed_at", kind="stable")
    deals = world.crm.deals.set_index("deal_id")
    assert (history.groupby("deal_id")["owner_id"].last().loc[deals.index] == deals["owner_id"]).all()


def test_the_market_turns_for_one_product(world: World) -> None:
    world = simulate(deals=12_000, seed=3)
    deals = world.crm.deals.assign(won=world.outcomes.to_numpy() == "won")
    late = deals["created_at"] >= pd.Timestamp("2024-07-01", tz="UTC")
    fall = deals[~late].groupby("product")["won"].mean() - deals[late].groupby("product")["won"].mean()
    assert fall["Core"] > 0.12
    assert (fall.drop("Core").abs() < 0.06).all()


# Drift


def win_rates(world: World) -> tuple[float, float]:
    """Of the deals created in the first and the last year."""
    won, created = world.outcomes.to_numpy() == "won", world.crm.deals["created_at"].to_numpy()
    return won[created < pd.Timestamp("2024-01-02", tz="UTC")].mean(), won[
        created >= pd.Timestamp("2024-07-01", tz="UTC")
    ].mean()


def test_without_drift_the_company_looks_alike_at_all_times() -> None:
    world = simulate(deals=12_000, seed=3, drift="none")
    early, late = win_rates(world)
    assert abs(early - late) < 4 * np.sqrt(0.25 * (1 / 5000 + 1 / 4000))
    np.testing.assert_array_equal(world._lives.quality, world._lives.later_quality)
    np.testing.assert_array_equal(world._lives.speed, world._lives.later_speed)
    deals = world.crm.deals
    open_deals = [((deals["created_at"] < cut) & ~(deals["closed_at"] < cut)).sum() for cut in map(utc, CUTS)]
    assert max(open_deals) < 1.15 * min(open_deals)
    assert "2024" not in str(world.planted)


def test_the_odds_without_drift_do_not_depend_on_the_day() -> None:
    states, qualities = np.arange(15), np.linspace(-2, 2, 15)
    deals = lives(0, states, qualities, 500)
    deals = replace(deals, later_quality=deals.quality, later_speed=deals.speed)
    days = [chain.odds_of_winning(deals, day, states) for day in (1, 200, 499, 700)]
    for odds in days[1:]:
        np.testing.assert_allclose(odds, days[0], rtol=1e-12)


def test_speed_does_not_change_how_deals_end_without_drift() -> None:
    states, qualities = np.arange(15), np.linspace(-2, 2, 15)
    deals = lives(0, states, qualities, 0)
    slower = replace(deals, later_speed=deals.later_speed / 3)
    np.testing.assert_allclose(
        chain.odds_of_winning(deals, 1, states), chain.odds_of_winning(slower, 1, states), rtol=1e-9
    )


def test_a_violent_drift_changes_all_products() -> None:
    world = simulate(deals=6000, seed=3, drift="violent")
    early, late = win_rates(world)
    assert late < 0.6 * early
    deals = world.crm.deals.assign(won=world.outcomes.to_numpy() == "won")
    after = deals["created_at"] >= pd.Timestamp("2024-07-01", tz="UTC")
    before = deals["created_at"] < pd.Timestamp("2024-01-02", tz="UTC")
    fall = deals[before].groupby("product")["won"].mean() - deals[after].groupby("product")["won"].mean()
    assert (fall > 0.1).all()
    np.testing.assert_allclose(world._lives.later_speed, world._lives.speed * 0.6)


@pytest.mark.parametrize("drift", ["none", "one product", "violent"])
def test_the_odds_are_calibrated_under_every_drift(drift: Drift) -> None:
    world = simulate(deals=12_000, seed=21, drift=drift)
    for cut in CUTS:
        odds = world.win_probability(cut)
        won = world.outcomes[odds.index] == "won"
        error = np.sqrt((odds * (1 - odds)).sum()) / len(odds)
        assert abs(won.mean() - odds.mean()) < 4 * error


def test_the_deals_at_creation_do_not_depend_on_the_drift() -> None:
    columns = ["deal_id", "account_id", "deal_type", "lead_source", "product", "region", "competitor"]
    one, two = (simulate(deals=400, seed=2, drift=drift).crm for drift in ("none", "violent"))
    pd.testing.assert_frame_equal(one.deals[columns], two.deals[columns])


def test_an_unknown_drift_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown drift 'soft'; give one of 'none'"):
        simulate(deals=10, drift="soft")  # type: ignore[arg-type]


# People


def test_reps_differ_in_how_many_touches_they_record() -> None:
    reps = reps_of_quality(4000, np.random.default_rng(1), np.random.default_rng(2))
    assert reps.touches.mean() == pytest.approx(1.0)
    assert np.log(reps.touches).std() == pytest.approx(0.35, abs=0.02)
    assert np.corrcoef(reps.quality, np.log(reps.touches))[0, 1] == pytest.approx(0.3, abs=0.05)
    assert reps.quality.std() == pytest.approx(0.55)


def test_the_busiest_reps_record_more_touches_a_deal() -> None:
    world = simulate(deals=8600, seed=4, drift="none")
    touches = world.crm.activities.groupby("user_id").size() / world.crm.deals.groupby("owner_id").size()
    spread = np.log(touches).std()
    # of the habit .35; quality, stage and engagement of their deals add to it
    assert 0.25 < spread < 0.6


def test_deals_of_an_account_share_their_speed() -> None:
    world = simulate(deals=12_000, seed=4, drift="none")
    deals = world.crm.deals.assign(speed=world._lives.speed)
    by_account = deals.groupby("account_id")["speed"]
    assert (by_account.min() == by_account.max()).all()
    days = (deals["closed_at"] - deals["created_at"]).dt.days
    fast, slow = deals["speed"] > deals["speed"].quantile(0.8), deals["speed"] < deals["speed"].quantile(0.2)
    assert days[slow].mean() > 1.4 * days[fast].mean()
    won = pd.Series(world.outcomes.to_numpy() == "won", index=deals.index)
    assert abs(won[slow].mean() - won[fast].mean()) < 0.06


@pytest.mark.parametrize(("deals", "reps", "accounts"), [(300, 4, 81), (800, 6, 216), (860, 10, 232), (3000, 35, 810)])
def test_small_companies_have_few_people(deals: int, reps: int, accounts: int) -> None:
    crm = simulate(deals=deals, seed=1).crm
    assert crm.users is not None
    assert crm.accounts is not None
    assert (len(crm.users), len(crm.accounts)) == (reps, accounts)
    assert set(crm.deals["owner_id"]) == set(crm.users["user_id"])
    closed = crm.deals["outcome"].value_counts()
    assert closed["won"] > 0.25 * deals
    assert closed["lost"] > 0.4 * deals
    assert closed["open"] > 0.03 * deals


def test_no_engineer_is_twice_on_a_deal(world: World) -> None:
    for crm in (world.crm, simulate(deals=300, seed=8).crm):
        assert crm.team_members is not None
        assert not crm.team_members.duplicated(["deal_id", "user_id"]).any()


@pytest.mark.parametrize("column", ["region"])
def test_what_has_no_effect_has_none(column: str) -> None:
    world = simulate(deals=12_000, seed=4)
    won = world.outcomes.to_numpy() == "won"
    rates = pd.Series(won).groupby(world.crm.deals[column]).mean()
    assert rates.max() - rates.min() < 0.06


def test_planted_names_columns_that_exist(world: World) -> None:
    names = set(world.crm.deals.columns) | {"activities", "contacts.role"}
    assert set(world.planted) <= names


@pytest.mark.parametrize("moment", ["2023-01-02", "2022-01-01", "2026-01-01"])
def test_moments_outside_the_history_are_refused(world: World, moment: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="outside the simulated history"):
        world.win_probability(moment)
    with pytest.raises(ConfigError, match="outside the simulated history"):
        write_salesforce_export(world, tmp_path / "export", as_of=moment)


def test_no_deals_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        simulate(deals=0)


@pytest.mark.parametrize("deals", [1, 2, 20])
def test_tiny_worlds(deals: int, tmp_path: Path) -> None:
    world = simulate(deals=deals, seed=1)
    write_salesforce_export(world, tmp_path)
    assert len(world.crm.deals) == deals
    assert len(pd.read_csv(tmp_path / "Opportunity.csv")) >= deals


# The export


def test_the_export_reads_back_as_the_canonical_tables(world: World, imported: Imported) -> None:
    theirs = imported.crm.deals.set_index("deal_id").sort_index()
    ours = world.crm.deals.set_index("deal_id").sort_index()
    assert theirs.index.equals(ours.index)
    for column in ("outcome", "stage", "created_at", "closed_at", "owner_id", "account_id", "deal_type", "product"):
        pd.testing.assert_series_equal(theirs[column], ours[column], check_names=False)
    pd.testing.assert_series_equal(theirs["amount"], ours["amount"])
    for column in ("Region", "Campaign_Code", "Competitor", "Loss_Reason", "Contract_Signed"):
        pd.testing.assert_series_equal(
            theirs[f"{column}__c"].astype(object), ours[column.lower()].astype(object), check_names=False
        )
    assert set(imported.crm.activities["activity_id"]) == set(world.crm.activities["activity_id"])
    assert len(imported.crm.deal_history) >= len(world.crm.deal_history)


def test_the_export_carries_its_dirt(export: Path) -> None:
    assert csv(export, "Opportunity")["Id"].duplicated().any()
    assert csv(export, "Task")["WhatId"].str.startswith("001").any()
    assert set(csv(export, "Opportunity").query("IsClosed")["Probability"]) == {0, 100}


def test_an_earlier_export_knows_nothing_later(world: World, tmp_path: Path) -> None:
    cut = pd.Timestamp("2024-06-03", tz="UTC")
    write_salesforce_export(world, tmp_path / "export", as_of=cut)
    deals = pd.read_csv(tmp_path / "export" / "Opportunity.csv")
    for name, column in (
        ("Opportunity", "CreatedDate"),
        ("Opportunity", "LastModifiedDate"),
        ("Opportunity", "Contract_Signed__c"),
        ("OpportunityHistory", "CreatedDate"),
        ("Task", "CreatedDate"),
        ("Event", "CreatedDate"),
        ("OpportunityContactRole", "CreatedDate"),
        ("OpportunityTeamMember", "CreatedDate"),
    ):
        frame = pd.read_csv(tmp_path / "export" / f"{name}.csv")
        assert (pd.to_datetime(frame[column].dropna(), utc=True) < cut).all(), (name, column)
    still_open = deals[~deals["IsClosed"]].drop_duplicates("Id")
    assert still_open["Loss_Reason__c"].isna().all()
    assert still_open["Contract_Signed__c"].isna().all()
    assert set(still_open["Id"]) == set(world.win_probability(cut).index)


def test_a_later_export_keeps_the_ids_of_an_earlier_one(world: World, export: Path, tmp_path: Path) -> None:
    write_salesforce_export(world, tmp_path / "early.zip", as_of="2024-06-03")
    for name in (
        "OpportunityHistory",
        "OpportunityFieldHistory",
        "Task",
        "Event",
        "OpportunityContactRole",
        "OpportunityTeamMember",
    ):
        early, late = csv(tmp_path / "early.zip", name).set_index("Id"), csv(export, name).set_index("Id")
        pd.testing.assert_frame_equal(early, late.loc[early.index])


def test_the_export_has_the_columns_of_the_real_one(export: Path) -> None:
    real = SHARED / "WE_export_2025-03-13.zip"
    if not real.exists():
        pytest.skip("the shared sample data are not beside the project")
    with zipfile.ZipFile(real) as archive:
        names = [Path(name).stem for name in archive.namelist() if name.endswith(".csv")]
    for name in names:
        assert set(csv(real, name).columns) <= set(csv(export, name).columns), name
