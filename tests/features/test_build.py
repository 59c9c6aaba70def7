"""The promises of the feature frame: nothing later matters, order does not matter, the past is the past."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_crm import STAGES, START, random_crm, random_tables

from winpredict import CRMData, Feature, FeatureBuilder
from winpredict.errors import ConfigError, TableError
from winpredict.features.build import build_features, builders_from_paths
from winpredict.features.builders import Age, TrackRecord, default_builders
from winpredict.features.past import Past
from winpredict.features.snapshots import every, on_dates

ATTRIBUTES = ("account_id", "product", "region", "score", "account_industry")
AS_OF = START + pd.Timedelta(days=35)


def frame(crm, snapshots, settled_on=None):
    """Features by builders that are settled on the whole of the data, as those of a model are."""
    cross_deal_history = Past(settled_on or crm, snapshots, ATTRIBUTES).cross_deal_history
    builders = [each.settled(cross_deal_history) for each in default_builders()]
    return build_features(crm, snapshots, attributes=ATTRIBUTES, builders=builders).frame


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_features_equal_those_of_the_data_as_one_could_have_exported_them(seed):
    crm = random_crm(seed)
    snapshots = on_dates(crm, [AS_OF])
    pd.testing.assert_frame_equal(frame(crm, snapshots), frame(crm.as_known_at(AS_OF), snapshots, crm))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_changing_anything_at_or_after_as_of_changes_no_feature_row(seed, other_seed):
    tables, other = random_tables(seed), random_tables(other_seed)
    clocks = {
        "deal_history": "changed_at",
        "activities": "recorded_at",
        "contacts": "added_at",
        "team_members": "added_at",
    }
    mixed = {}
    for name, clock in clocks.items():
        later = other[name][other[name][clock] >= AS_OF]
        mixed[name] = pd.concat([tables[name][tables[name][clock] < AS_OF], later], ignore_index=True)
    mixed["activities"]["activity_id"] = [f"n{number}" for number in range(len(mixed["activities"]))]
    for name, key in (("contacts", ["deal_id", "contact_id"]), ("team_members", ["deal_id", "user_id"])):
        mixed[name] = mixed[name].drop_duplicates(key)
    deals = tables["deals"].copy()
    still_open = deals["closed_at"].isna() | (deals["closed_at"] >= AS_OF)
    deals.loc[still_open, ["outcome", "stage"]] = ["lost", "Lost"]
    deals.loc[still_open, "closed_at"] = AS_OF + pd.Timedelta(days=3)
    snapshots = on_dates(random_crm(seed), [AS_OF])
    changed = CRMData.from_tables(deals, accounts=tables["accounts"], **mixed, stage_order=STAGES)
    before = CRMData.from_tables(**tables, stage_order=STAGES)
    pd.testing.assert_frame_equal(frame(before, snapshots), frame(changed, snapshots, before))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_row_order_changes_nothing(seed):
    tables = random_tables(seed)
    shuffled = {name: table.sample(frac=1, random_state=seed) for name, table in tables.items()}
    crm = CRMData.from_tables(**tables, stage_order=STAGES)
    snapshots = every(crm, 7)
    other = frame(CRMData.from_tables(**shuffled, stage_order=STAGES), snapshots)
    pd.testing.assert_frame_equal(frame(crm, snapshots), other)


def test_one_feature_a_name_and_a_description_for_each():
    crm = random_crm(3)
    features = build_features(crm, every(crm, 7), attributes=ATTRIBUTES)
    names = [each.name for each in features.info]
    assert len(names) == len(set(names)) == features.frame.shape[1]
    assert names == list(features.frame.columns)
    assert all(str(each.label) and each.unit and each.builder for each in features.info)
    assert not np.isinf(features.frame.select_dtypes("number").to_numpy()).any()


def test_deals_alone_are_enough_and_what_is_left_out_is_said():
    crm = CRMData.from_tables(random_tables(1)["deals"])
    features = build_features(crm, every(crm, 7))
    assert "days_open" in features.frame
    assert any("Touches left out: no table activities" in str(line) for line in features.skipped)


class Doubled(FeatureBuilder):
    """A user's own builder."""

    def build(self, past):
        yield Feature("doubled", past.days_open * 2, "days", "twice the days open")


def test_an_attribute_called_like_a_figure_keeps_apart_from_it():
    crm = random_crm(0)
    named = dataclasses.replace(crm, deals=crm.deals.assign(touches=crm.deals["score"]))
    built = build_features(named, every(named, 7), attributes=("touches",))
    plain = build_features(crm, every(crm, 7))
    pd.testing.assert_series_equal(built.frame["touches"], plain.frame["touches"])
    assert "attributes_touches" in built.frame
    assert [each.name for each in built.info] == list(built.frame.columns)


def test_a_builder_from_outside_is_found_by_its_path():
    (builder,) = builders_from_paths([f"{Doubled.__module__}:Doubled"])
    crm = random_crm(0)
    built = build_features(crm, every(crm, 7), builders=[builder, Age()])
    assert next(each.name for each in built.info) == "doubled"


@pytest.mark.parametrize("path", ["nowhere:Builder", "winpredict.config:Config", "winpredict.config", "json:loads"])
def test_a_wrong_path_is_said(path):
    with pytest.raises(ConfigError, match="builders"):
        builders_from_paths([path])


def deals_of(*rows, **columns):
    """Deals out of (id, owner, created, closed, outcome)."""
    table = pd.DataFrame(rows, columns=["deal_id", "owner_id", "created_at", "closed_at", "outcome"])
    return table.assign(stage="Demo", **columns)


def test_an_unknown_deal_or_attribute_is_named():
    crm = CRMData.from_tables(deals_of(("x", "ann", "2025-01-01", None, "open")))
    snapshot = pd.DataFrame({"deal_id": ["nope"], "as_of": pd.to_datetime(["2025-02-01"], utc=True)})
    with pytest.raises(TableError, match="'nope'"):
        build_features(crm, snapshot)
    with pytest.raises(TableError, match="zzz"):
        build_features(crm, snapshot.assign(deal_id="x"), attributes=("zzz",))


def test_a_moment_without_a_zone_is_utc():
    crm = CRMData.from_tables(deals_of(("x", "ann", "2025-01-01", None, "open")))
    snapshot = pd.DataFrame({"deal_id": ["x"], "as_of": pd.to_datetime(["2025-01-03"])})
    assert build_features(crm, snapshot).frame["days_open"].tolist() == [2.0]


def test_the_owner_s_open_deals_follow_those_handed_on():
    deals = deals_of(("x", "bob", "2025-01-01", "2025-03-01", "won"), ("y", "bob", "2025-01-01", None, "open"))
    history = pd.DataFrame(
        {
            "deal_id": ["x", "x", "y", "y", "x"],
            "owner_id": ["ann", "bob", "ann", "bob", "success"],
            "changed_at": ["2025-01-01", "2025-02-01", "2025-01-01", "2025-02-10", "2025-03-01"],
        }
    )
    crm = CRMData.from_tables(deals, deal_history=history)
    days = ["2025-01-15", "2025-02-05", "2025-02-20", "2025-03-02"]
    snapshots = pd.DataFrame({"deal_id": "y", "as_of": pd.to_datetime(days, utc=True)})
    assert build_features(crm, snapshots, builders=[TrackRecord(counts=True)]).frame["owner_load"].tolist() == [
        2.0,
        1.0,
        2.0,
        1.0,
    ]


def test_owner_and_account_without_a_history_are_used_only_where_the_audit_kept_them():
    crm = CRMData.from_tables(deals_of(("x", "ann", "2025-01-01", None, "open"), account_id="acme"))
    snapshot = on_dates(crm, ["2025-02-01"])
    counts = [TrackRecord(counts=True)]
    assert not {"owner_load", "account_wins"} & set(build_features(crm, snapshot, builders=counts).frame)
    used = build_features(crm, snapshot, attributes=("owner_id", "account_id"), builders=counts)
    assert {"owner_load", "account_wins"} <= set(used.frame)


def test_an_account_entered_later_says_nothing_yet():
    crm = CRMData.from_tables(
        deals_of(("x", "ann", "2025-01-01", None, "open"), account_id="acme"),
        accounts=pd.DataFrame({"account_id": ["acme"], "industry": ["Media"], "created_at": ["2025-06-01"]}),
    )
    frame = build_features(crm, on_dates(crm, ["2025-04-01", "2025-07-01"]), attributes=("account_industry",)).frame
    assert frame["account_industry"].isna().tolist() == [True, False]


def test_closings_can_be_asked_for_several_values():
    deals = deals_of(
        ("x", "ann", "2025-01-01", "2025-02-01", "won"),
        ("y", "bob", "2025-01-01", "2025-02-01", "lost"),
        ("z", "bob", "2025-01-01", "2025-02-01", "lost"),
    )
    crm = CRMData.from_tables(deals)
    past = Past(crm, pd.DataFrame({"deal_id": ["x"], "as_of": pd.to_datetime(["2025-03-01"], utc=True)}), ("owner_id",))
    counts = [past.closings("owner_id", pd.Series([name])).count()[0] for name in ("ann", "bob")]
    assert counts == [1, 2]


def test_names_that_come_out_alike_stay_apart():
    crm = random_crm(1)
    stages = ("Demo/Call", "Demo Call", "Demo-Call")
    crm = dataclasses.replace(crm, stage_order=stages)
    features = build_features(crm, on_dates(crm, [AS_OF]))
    assert [each.name for each in features.info] == list(features.frame.columns)
    assert sum(str(each.label).startswith("days spent in Demo") for each in features.info) == 3


def test_a_history_without_rows_is_no_history():
    crm = CRMData.from_tables(
        deals_of(("x", "ann", "2025-01-01", None, "open")),
        deal_history=pd.DataFrame({"deal_id": ["x"], "owner_id": ["ann"], "changed_at": ["2025-01-01"]}),
    )
    crm = dataclasses.replace(crm, deal_history=crm.deal_history.iloc[:0])
    assert len(build_features(crm, on_dates(crm, ["2025-02-01"])).frame) == 1


def test_any_column_may_be_asked_for():
    """A builder of one's own may ask for columns that the shipped ones never ask for."""
    crm = random_crm(1)
    past = Past(crm, every(crm, 30.0))
    for table, frame in crm.tables():
        assert all(past.has(table, name) == frame[name].notna().any() for name in frame), table
    assert not past.has("deals", "no such column")
