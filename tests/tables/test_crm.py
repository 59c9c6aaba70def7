from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winpredict.errors import TableError
from winpredict.tables.crm import CRMData, utc
from winpredict.tables.schema import TABLES

START = pd.Timestamp("2025-01-01", tz="UTC")
LAST_DAY = 20
STAGES = ("Qualify", "Demo", "Offer")
OPTIONAL = tuple(name for name in TABLES if name != "deals")
FAST = settings(max_examples=60, deadline=None)


def day(number):
    return START + pd.Timedelta(days=number)


days = st.integers(0, LAST_DAY)


@cache
def bundle(seed):
    """A random CRM whose facts lie on whole days, so that cuts often meet them exactly."""
    random = np.random.default_rng(seed)
    ids = np.array([f"d{i}" for i in range(12)])
    created = random.integers(0, 11, len(ids))
    closed = np.where(random.random(len(ids)) < 0.6, created + random.integers(0, 10, len(ids)), np.nan)
    ending = np.where(np.isnan(closed), "open", random.choice(["won", "lost"], len(ids)))
    deals = pd.DataFrame(
        {
            "deal_id": ids,
            "created_at": on(created),
            "closed_at": on(closed),
            "outcome": ending,
            "stage": np.where(ending == "open", random.choice(STAGES, len(ids)), "Closed " + pd.Series(ending)),
            "amount": random.integers(0, 4, len(ids)) * 100.0,
            "expected_close_date": on(30),
            "owner_id": "u0",
            "account_id": "c0",
            "Region": "x",
        }
    )
    tables = {name: make(random, ids) for name, make in MAKERS.items() if random.random() < 0.8}
    return CRMData.from_tables(deals, stage_order=STAGES, known_until=day(LAST_DAY + 1), **tables)


bundles = st.integers(0, 11).map(bundle)


def on(numbers):
    return START + pd.to_timedelta(numbers, unit="D")


def sometimes(random, values):
    """About half of the values, the others missing."""
    return pd.Series(values).where(random.random(len(values)) < 0.5)


def changes(random, ids):
    deal_ids = random.choice(ids, 40)
    return pd.DataFrame(
        {
            "deal_id": deal_ids,
            "changed_at": on(random.integers(0, LAST_DAY, 40)),
            "stage": sometimes(random, random.choice(STAGES, 40)),
            "amount": sometimes(random, random.integers(0, 9, 40)),
        }
    )


def touches(random, ids):
    return pd.DataFrame(
        {
            "activity_id": [f"t{i}" for i in range(30)],
            "deal_id": random.choice(ids, 30),
            "occurred_at": on(random.integers(0, LAST_DAY, 30)),
            "recorded_at": sometimes(random, on(random.integers(0, LAST_DAY, 30))),
            "activity_type": "call",
        }
    )


def members(random, ids):
    removed = sometimes(random, on(random.integers(0, LAST_DAY, len(ids))))
    added = on(random.integers(0, LAST_DAY, len(ids)))
    return pd.DataFrame({"deal_id": ids, "user_id": "u1", "added_at": added, "removed_at": removed})


def contacts(random, ids):
    return pd.DataFrame({"deal_id": ids, "contact_id": "k", "added_at": on(random.integers(0, LAST_DAY, len(ids)))})


def accounts(random, ids):
    return pd.DataFrame({"account_id": ["c0"], "created_at": sometimes(random, on(random.integers(0, LAST_DAY, 1)))})


def line_items(random, ids):
    added = sometimes(random, on(random.integers(0, LAST_DAY, len(ids))))
    return pd.DataFrame({"deal_id": ids, "product_id": "p", "added_at": added})


MAKERS = {
    "deal_history": changes,
    "activities": touches,
    "team_members": members,
    "contacts": contacts,
    "accounts": accounts,
    "line_items": line_items,
}


def assert_same(one, other, *, in_order=True):
    assert one.known_until == other.known_until
    assert one.stage_order == other.stage_order
    assert [name for name, _ in one.tables()] == [name for name, _ in other.tables()]
    for name, frame in one.tables():
        left, right = (frame, getattr(other, name)) if in_order else (_sorted(frame), _sorted(getattr(other, name)))
        pd.testing.assert_frame_equal(left, right, obj=name)


def _sorted(frame):
    return frame.sort_values(list(frame.columns), kind="stable").reset_index(drop=True)


@FAST
@given(bundles, days, days)
def test_cutting_twice_is_cutting_at_the_earlier_day(crm, one, other):
    early, late = sorted((one, other))
    assert_same(crm.as_known_at(day(late)).as_known_at(day(early)), crm.as_known_at(day(early)))


@FAST
@given(bundles, days)
def test_cutting_twice_at_one_day_changes_nothing_more(crm, at):
    cut = crm.as_known_at(day(at))
    assert_same(cut.as_known_at(day(at)), cut)


@FAST
@given(bundles, days)
def test_what_is_recorded_at_or_after_the_day_has_no_influence(crm, at):
    assert_same(_with_another_future(crm, day(at)).as_known_at(day(at)), crm.as_known_at(day(at)))


def _with_another_future(crm, moment):
    """The same bundle where everything recorded at or after `moment` came otherwise."""
    deals = crm.deals.copy()
    closed_later = deals["closed_at"] >= moment
    deals.loc[closed_later, "outcome"] = deals.loc[closed_later, "outcome"].map({"won": "lost", "lost": "won"})
    deals.loc[closed_later, "stage"] = "Closed otherwise"
    deals.loc[closed_later, "closed_at"] += pd.Timedelta("3D")
    deals.loc[closed_later, "expected_close_date"] += pd.Timedelta("9D")
    if crm.deal_history is not None:  # which records these: today's values must not matter
        deals["amount"] += 1.0
        deals["stage"] = "as it is today"
    later = {}
    for name, time in (("deal_history", "changed_at"), ("contacts", "added_at"), ("team_members", "added_at")):
        frame = getattr(crm, name)
        later[name] = None if frame is None else frame[frame[time] < moment]
    touches_ = crm.activities
    if touches_ is not None:
        known = touches_["recorded_at"].fillna(touches_["occurred_at"]) < moment
        later["activities"] = touches_[known]
    members_ = later["team_members"]
    if members_ is not None:
        still_there = members_["removed_at"].isna() | (members_["removed_at"] >= moment)
        later["team_members"] = members_.assign(removed_at=members_["removed_at"].mask(still_there))
    return replace(crm, deals=deals[deals["created_at"] < moment], **later)


@FAST
@given(bundles, days, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(crm, at, random):
    seed = random.randrange(2**32)
    shuffled = {name: frame.sample(frac=1, random_state=seed) for name, frame in crm.tables()}
    assert_same(replace(crm, **shuffled).as_known_at(day(at)), crm.as_known_at(day(at)), in_order=False)


@FAST
@given(bundles, days)
def test_nothing_known_lies_at_or_after_the_day(crm, at):
    cut = crm.as_known_at(day(at))
    assert cut.known_until == day(at)
    assert (cut.deals["created_at"] < day(at)).all()
    assert not (cut.deals["closed_at"] >= day(at)).any()
    assert ((cut.deals["outcome"] == "open") == cut.deals["closed_at"].isna()).all()
    if cut.team_members is not None:
        assert not (cut.team_members["removed_at"] >= day(at)).any()


@FAST
@given(bundles, days)
def test_versioned_values_are_the_last_ones_recorded(crm, at):
    if crm.deal_history is None:
        return
    for row in crm.as_known_at(day(at)).deals.itertuples():
        known = crm.deal_history[
            (crm.deal_history["deal_id"] == row.deal_id) & (crm.deal_history["changed_at"] < day(at))
        ]
        amounts = known.dropna(subset="amount")
        latest = amounts[amounts["changed_at"] == amounts["changed_at"].max()]["amount"]
        assert latest.empty == pd.isna(row.amount)
        assert latest.empty or row.amount in latest.tolist()


@FAST
@given(bundles)
def test_a_cut_after_the_export_keeps_every_deal(crm):
    cut = crm.as_known_at(day(LAST_DAY + 10))
    assert cut.known_until == crm.known_until
    pd.testing.assert_series_equal(cut.deals["outcome"], crm.deals["outcome"])
    pd.testing.assert_series_equal(cut.deals["closed_at"], crm.deals["closed_at"])


@settings(max_examples=10, deadline=None)
@given(crm=bundles)
def test_saved_tables_come_back_equal(tmp_path_factory, crm):
    folder = tmp_path_factory.mktemp("tables") / "crm"
    crm.save(folder)
    assert_same(CRMData.load(folder), crm)


def minimal(**columns):
    frame = {
        "deal_id": ["a", "b", "c"],
        "created_at": pd.to_datetime(["2025-01-01", "2025-01-05", "2025-03-01"], utc=True),
        "closed_at": pd.to_datetime(["2025-02-01", None, None], utc=True),
        "outcome": ["won", "open", "open"],
        "stage": ["Won", "Demo", "Demo"],
    }
    return pd.DataFrame(frame | columns)


def test_without_history_what_the_close_overwrote_is_unknown():
    deals = minimal(amount=[10.0, 20.0, 30.0], expected_close_date=pd.Timestamp("2025-02-01", tz="UTC"), owner_id="u")
    cut = CRMData.from_tables(deals).as_known_at("2025-01-20").deals
    assert cut["outcome"].tolist() == ["open", "open"]
    assert cut["stage"].isna().tolist() == [True, False]
    assert cut["expected_close_date"].isna().tolist() == [True, False]
    assert cut["amount"].tolist() == [10.0, 20.0]
    assert cut["owner_id"].tolist() == ["u", "u"]


def test_before_is_strict():
    crm = CRMData.from_tables(minimal())
    assert crm.as_known_at("2025-02-01").deals.loc[0, "outcome"] == "open"
    assert crm.as_known_at("2025-02-01T00:00:00.000001").deals.loc[0, "outcome"] == "won"
    assert len(crm.as_known_at("2025-01-05").deals) == 1


def test_a_booked_meeting_is_known_before_it_happens_and_a_late_entry_is_not():
    activities = pd.DataFrame(
        {
            "activity_id": ["booked", "late"],
            "deal_id": "a",
            "occurred_at": ["2025-01-30", "2025-01-10"],
            "recorded_at": ["2025-01-10", "2025-01-30"],
            "activity_type": "meeting",
        }
    )
    crm = CRMData.from_tables(minimal(), activities=activities)
    assert crm.as_known_at("2025-01-20").activities["activity_id"].tolist() == ["booked"]


def test_known_until_is_just_after_the_last_record_unless_given():
    assert CRMData.from_tables(minimal()).known_until == utc("2025-03-01") + pd.Timedelta("1us")
    given_ = CRMData.from_tables(minimal(), known_until="2025-04-01T02:00+02:00").known_until
    assert given_ == utc("2025-04-01")


def test_a_cut_before_the_first_deal_can_be_cut_again():
    assert len(CRMData.from_tables(minimal()).as_known_at("2024-12-01").as_known_at("2024-11-01").deals) == 0


def test_custom_columns_are_attributes():
    assert CRMData.from_tables(minimal(Region="East", amount=1.0)).attributes == ("Region",)


def test_tables_yields_those_that_are_there():
    crm = CRMData.from_tables(minimal(), users=pd.DataFrame({"user_id": ["u"]}), contacts=None)
    assert [name for name, _ in crm.tables()] == ["deals", "users"]


def test_undated_deals_have_no_earlier_day():
    crm = CRMData.from_tables(minimal(created_at=pd.NaT, closed_at=pd.NaT))
    assert not crm.dated
    assert crm.known_until is None
    with pytest.raises(TableError, match="carry no dates"):
        crm.as_known_at("2025-01-01")


def test_undated_tables_can_be_saved(tmp_path):
    crm = CRMData.from_tables(minimal(created_at=pd.NaT, closed_at=pd.NaT))
    crm.save(tmp_path / "tables")
    assert_same(CRMData.load(tmp_path / "tables"), crm)


def test_an_unknown_table_is_refused():
    with pytest.raises(TableError, match=r"unknown table\(s\) leads"):
        CRMData.from_tables(minimal(), leads=minimal())


def test_a_folder_without_tables_says_to_import(tmp_path):
    with pytest.raises(TableError, match="run `winpredict import` first"):
        CRMData.load(tmp_path)


def test_tables_of_another_version_are_refused(tmp_path):
    CRMData.from_tables(minimal()).save(tmp_path)
    description = tmp_path / "crm.json"
    description.write_text(description.read_text().replace('"schema_version": 1', '"schema_version": 99'))
    with pytest.raises(TableError, match="schema version 99"):
        CRMData.load(tmp_path)


def test_saving_again_replaces_the_whole_folder(tmp_path):
    crm = CRMData.from_tables(minimal(), users=pd.DataFrame({"user_id": ["u"]}))
    crm.save(tmp_path / "tables")
    replace(crm, users=None).save(tmp_path / "tables")
    assert CRMData.load(tmp_path / "tables").users is None


def test_an_empty_bundle_stands():
    crm = CRMData.from_tables(minimal().iloc[:0])
    assert crm.known_until is None
    assert len(crm.deals) == 0
    assert not crm.dated


@pytest.mark.parametrize("table", OPTIONAL)
def test_every_optional_table_is_a_field(table):
    assert getattr(CRMData.from_tables(minimal()), table) is None


def test_history_of_one_column_leaves_the_others_alone():
    history = pd.DataFrame({"deal_id": ["a"], "changed_at": ["2025-01-02"], "stage": ["Qualify"]})
    cut = CRMData.from_tables(minimal(amount=[1.0, 2.0, 3.0]), deal_history=history).as_known_at("2025-01-20").deals
    assert cut["stage"].tolist()[0] == "Qualify"
    assert cut["amount"].tolist() == [1.0, 2.0]
    assert np.issubdtype(cut["amount"].dtype, np.float64)
