"""Missing is not zero: what the CRM did not record of a deal has no value, and what it did record is counted."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_crm import STAGES, START, random_tables

from winpredict import CRMData
from winpredict.features.build import build_features
from winpredict.features.builders import Amount, Contacts, ExpectedClose, Memory, Stage, Team, Touches, TrackRecord
from winpredict.features.snapshots import every

SEEDS = st.integers(0, 10_000)
#: Table, field, builder, and what that builder counts by the field.
COUNTED = [
    ("activities", "direction", Touches(), ["inbound", "outbound", "inbound_30d"]),
    ("activities", "duration_s", Touches(), ["call_minutes"]),
    ("activities", "user_id", Team(), ["active_users", "active_users_30d"]),
    ("activities", "contact_id", Contacts(), ["contacts_touched", "contacts_touched_30d"]),
    ("contacts", "role", Contacts(), ["senior_contacts"]),
    ("deal_history", "stage", Stage(), ["stage_changes", "moves_back", "stages_skipped"]),
    ("deal_history", "amount", Amount(), ["amount_ups", "amount_downs"]),
    ("deal_history", "owner_id", Team(), ["owner_changes"]),
    ("deal_history", "expected_close_date", ExpectedClose(), ["close_date_pushes", "close_date_pulls", "days_pushed"]),
]


def crm_of(tables: dict[str, pd.DataFrame]) -> CRMData:
    return CRMData.from_tables(**tables, stage_order=STAGES, known_until=START + pd.Timedelta(days=120))


def happened(tables: dict[str, pd.DataFrame], table: str, deal: str, as_of: pd.Timestamp) -> pd.DataFrame:
    rows = tables[table]
    rows = rows[rows["deal_id"] == deal]
    if table == "activities":
        entered = rows["recorded_at"].fillna(rows["occurred_at"])
        return rows[(rows["occurred_at"] < as_of) & (entered < as_of)]
    return rows[rows["added_at" if table == "contacts" else "changed_at"] < as_of]


@pytest.mark.parametrize(("table", "field", "builder", "names"), COUNTED, ids=lambda each: str(each)[:20])
@settings(max_examples=8, deadline=None)
@given(seed=SEEDS)
def test_a_count_of_what_a_deal_does_not_record_is_missing(table, field, builder, names, seed):
    tables = random_tables(seed)
    if field not in tables[table] or tables[table][field].isna().all():
        return
    silent = sorted(tables["deals"]["deal_id"])[::2]
    without = tables[table].copy()
    without.loc[without["deal_id"].isin(silent), field] = None
    tables = {**tables, table: without}
    if without[field].isna().all():
        return
    crm = crm_of(tables)
    snapshots = every(crm, 11.0)
    frame = build_features(crm, snapshots, attributes=["amount"], builders=[builder]).frame
    for row, (deal, as_of) in enumerate(snapshots.itertuples(index=False)):
        events = happened(tables, table, deal, as_of)
        if table == "activities" and field == "duration_s":
            events = events[events["activity_type"] == "call"]
        for name in names:
            if name.endswith("_30d"):
                lately = events[events["occurred_at"] >= as_of - pd.Timedelta(days=30)]
                unknown, some = lately[field].isna(), len(lately)
            else:
                unknown, some = events[field].isna(), len(events)
            value = frame[name].iloc[row]
            if table == "deal_history":
                assert np.isnan(value) or not unknown.all() or not some, (name, deal, as_of)
                assert np.isnan(value) == bool(unknown.all()) or name in ("moves_back", "stages_skipped")
            elif some and unknown.all():
                assert np.isnan(value), (name, deal, as_of)
            elif not some:
                assert value == 0, (name, deal, as_of)
            elif not unknown.any():
                assert not np.isnan(value), (name, deal, as_of)


def test_no_direction_on_record_is_no_direction_and_not_none_of_ours():
    """Six emails, a call and a meeting, none with a direction, once read "0 touches begun by us"."""
    deals = pd.DataFrame({
        "deal_id": ["a", "b"], "stage": "Demo", "outcome": "open", "created_at": ["2025-01-01"] * 2, "closed_at": None,
    })  # fmt: skip
    kinds = [*["email"] * 6, "call", "meeting"]
    touches = pd.DataFrame({
        "activity_id": [f"t{number}" for number in range(9)], "deal_id": [*["a"] * 8, "b"],
        "activity_type": [*kinds, "call"], "occurred_at": "2025-01-05", "direction": [*[None] * 8, "outbound"],
    })  # fmt: skip
    crm = CRMData.from_tables(deals, activities=touches, known_until="2025-02-01")
    snapshots = pd.DataFrame({"deal_id": ["a", "b"], "as_of": pd.to_datetime(["2025-01-20"] * 2, utc=True)})
    frame = build_features(crm, snapshots, builders=[Touches()]).frame
    assert frame["touches"].tolist() == [8, 1]
    assert frame[["inbound", "outbound", "inbound_30d"]].iloc[0].isna().all()
    assert frame[["inbound", "outbound", "inbound_30d"]].iloc[1].tolist() == [0, 1, 0]


def test_one_inbound_touch_of_several_is_at_least_one():
    deals = pd.DataFrame({
        "deal_id": ["a"], "stage": "Demo", "outcome": "open", "created_at": ["2025-01-01"], "closed_at": None,
    })  # fmt: skip
    touches = pd.DataFrame({
        "activity_id": ["1", "2"], "deal_id": "a", "activity_type": "call", "occurred_at": "2025-01-05",
        "direction": ["inbound", None],
    })  # fmt: skip
    crm = CRMData.from_tables(deals, activities=touches, known_until="2025-02-01")
    snapshots = pd.DataFrame({"deal_id": ["a"], "as_of": pd.to_datetime(["2025-01-20"], utc=True)})
    frame = build_features(crm, snapshots, builders=[Touches()]).frame
    assert frame["inbound"].tolist() == [1]
    assert frame["outbound"].isna().all()


def test_stages_entered_are_missing_without_a_history():
    deals = pd.DataFrame({
        "deal_id": ["a", "b"], "stage": "Demo", "outcome": "open", "created_at": ["2025-01-01"] * 2, "closed_at": None,
    })  # fmt: skip
    history = pd.DataFrame({"deal_id": ["a"], "stage": ["Demo"], "changed_at": ["2025-01-02"]})
    crm = CRMData.from_tables(deals, deal_history=history, known_until="2025-02-01")
    snapshots = pd.DataFrame({"deal_id": ["a", "b"], "as_of": pd.to_datetime(["2025-01-20"] * 2, utc=True)})
    entered = build_features(crm, snapshots, builders=[Memory()]).frame["times_entered_demo"]
    np.testing.assert_equal(entered.to_numpy(), [1, np.nan])


def test_the_win_rate_of_an_unknown_group_is_unknown():
    deals = pd.DataFrame({
        "deal_id": ["a", "b", "c"], "stage": "Demo", "outcome": ["won", "open", "open"],
        "created_at": ["2025-01-01"] * 3, "closed_at": ["2025-01-05", None, None], "product": ["Core", "Core", None],
    })  # fmt: skip
    crm = CRMData.from_tables(deals, known_until="2025-02-01")
    snapshots = pd.DataFrame({"deal_id": ["b", "c"], "as_of": pd.to_datetime(["2025-01-20"] * 2, utc=True)})
    frame = build_features(crm, snapshots, attributes=["product"], builders=[TrackRecord()]).frame
    assert frame["win_rate_product"].iloc[0] == pytest.approx(0.0, abs=0.05)
    assert frame[["win_rate_product", "win_rate_product_change"]].iloc[1].isna().all()
