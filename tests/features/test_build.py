"""The promises of the feature frame: nothing later matters, order does not matter, the past is the past."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_crm import STAGES, START, random_crm, random_tables

from winpredict import CRMData, Feature, FeatureBuilder
from winpredict._common.errors import ConfigError
from winpredict.features.build import build_features, builders_from_paths
from winpredict.features.builders import Calendar
from winpredict.features.snapshots import every, on_dates

ATTRIBUTES = ("product", "region", "score", "account_industry")
AS_OF = START + pd.Timedelta(days=35)


def frame(crm, snapshots):
    return build_features(crm, snapshots, attributes=ATTRIBUTES).frame


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_features_equal_those_of_the_data_as_one_could_have_exported_them(seed):
    crm = random_crm(seed)
    snapshots = on_dates(crm, [AS_OF])
    pd.testing.assert_frame_equal(frame(crm, snapshots), frame(crm.as_known_at(AS_OF), snapshots))


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
    changed = CRMData.from_frames(deals, accounts=tables["accounts"], **mixed, stage_order=STAGES)
    before = CRMData.from_frames(**tables, stage_order=STAGES)
    pd.testing.assert_frame_equal(frame(before, snapshots), frame(changed, snapshots))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_row_order_changes_nothing(seed):
    tables = random_tables(seed)
    shuffled = {name: table.sample(frac=1, random_state=seed) for name, table in tables.items()}
    crm = CRMData.from_frames(**tables, stage_order=STAGES)
    snapshots = every(crm, 7)
    other = frame(CRMData.from_frames(**shuffled, stage_order=STAGES), snapshots)
    pd.testing.assert_frame_equal(frame(crm, snapshots), other)


def test_one_feature_a_name_and_a_description_for_each():
    crm = random_crm(3)
    features = build_features(crm, every(crm, 7), attributes=ATTRIBUTES)
    names = [each.name for each in features.info]
    assert len(names) == len(set(names)) == features.frame.shape[1]
    assert names == list(features.frame.columns)
    assert all(each.sentence and each.unit and each.builder for each in features.info)
    assert not np.isinf(features.frame.select_dtypes("number").to_numpy()).any()


def test_deals_alone_are_enough_and_what_is_left_out_is_said():
    crm = CRMData.from_frames(random_tables(1)["deals"])
    features = build_features(crm, every(crm, 7))
    assert "days_open" in features.frame
    assert any("Touches left out: there is no table activities" in line for line in features.skipped)


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
    built = build_features(crm, every(crm, 7), builders=[builder, Calendar()])
    assert next(each.name for each in built.info) == "doubled"


@pytest.mark.parametrize("path", ["nowhere:Builder", "winpredict.config:Config", "winpredict.config", "json:loads"])
def test_a_wrong_path_is_said(path):
    with pytest.raises(ConfigError, match="builders"):
        builders_from_paths([path])
