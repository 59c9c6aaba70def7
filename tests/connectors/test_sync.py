"""A sync, however often it is stopped and whatever changes meanwhile, leaves what one reading of the end would."""

from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from living_crm import LivingCRM

from winpredict._internal.atomic import replacing
from winpredict.config import Sync
from winpredict.connectors import store as raw_records
from winpredict.connectors.base import Page, RawRecord
from winpredict.connectors.replay import replayed
from winpredict.connectors.store import RawStore
from winpredict.connectors.sync import sync
from winpredict.errors import CRMError, CRMObjectError, CRMSignInError
from winpredict.ingest import load_profile
from winpredict.locale.language import speaking
from winpredict.tables.crm import CRMData

PROFILE = load_profile("salesforce")


class Killed(BaseException):
    """Stands for the end of the process."""


class Kills:
    """Kills at given places: each page is one, and so is the moment before and after each file is put in its place."""

    def __init__(self, patch: pytest.MonkeyPatch, places: list[int]) -> None:
        self.left = list(places)
        self.place = 0
        patch.setattr(raw_records, "replacing", self.replacing)

    def __call__(self, *_: object) -> None:
        self.place += 1
        if self.left and self.place >= self.left[0]:
            self.place = 0
            del self.left[0]
            raise Killed

    @contextmanager
    def replacing(self, path: Path):
        self()
        with replacing(path) as temporary:
            yield temporary
        self()


def synced(crm: LivingCRM, folder: Path, **options: object) -> RawStore:
    """Sync, beginning again in a new process whenever it is killed."""
    while True:
        store = RawStore(folder)
        try:
            sync(crm, store, options.get("settings"), full=bool(options.get("full")))  # type: ignore[arg-type]
        except Killed:
            continue
        return RawStore(folder)


def same_tables(one: CRMData, other: CRMData) -> None:
    assert one.rows.keys() == other.rows.keys()
    for name, frame in one.tables():
        if name != "attribute_history":
            pd.testing.assert_frame_equal(frame, getattr(other, name), check_like=True, obj=name)


def in_one_go(crm: LivingCRM, folder: Path) -> CRMData:
    crm.during = lambda name: None
    store = RawStore(folder / "salesforce")
    sync(crm, store)
    return replayed(store, PROFILE).crm


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 10_000),
    st.lists(st.integers(1, 60), max_size=12),
    st.lists(st.booleans(), min_size=1, max_size=4),
    st.booleans(),
)
def test_changes_and_kills_leave_the_tables_of_a_single_reading(tmp_path_factory, seed, kills, rounds, is_busy):
    folder = tmp_path_factory.mktemp("sync")
    crm = LivingCRM(seed)
    rng = np.random.default_rng(seed)
    with pytest.MonkeyPatch.context() as patch:
        killing = Kills(patch, kills)

        def during(name: str) -> None:
            killing()
            if is_busy and rng.random() < 0.2 and crm.pages < 200:
                crm.change()

        crm.during = during
        for full in rounds:
            store = synced(crm, folder / "salesforce", full=full, settings=Sync(overlap_minutes=0))
            for _ in range(int(rng.integers(0, 12))):
                crm.change()
        killing.left.clear()
        crm.during = killing
        store = synced(crm, folder / "salesforce")
    found = replayed(store, PROFILE).crm
    same_tables(found, in_one_go(crm, folder / "again"))
    assert found.known_until == store.read_at + pd.Timedelta("1us")
    for name in store.objects:
        versions = store.versions(name)
        told = versions[["record", "deleted"]].apply(tuple, axis=1)
        assert not (told == told.groupby(versions["record_id"]).shift()).any(), "a version was kept twice"
        assert versions["read_at"].is_monotonic_increasing
        parts = {path.name for path in (store.folder / name).glob("*")}
        assert parts == {f"part-{part.number:06d}.parquet" for part in store.state(name).parts}


def test_only_what_changed_is_read_again(tmp_path):
    crm = LivingCRM()
    store = RawStore(tmp_path / "salesforce")
    first = sync(crm, store)
    assert first.read["Opportunity"].new == 8
    assert first.account == store.account == "Acme"
    before = crm.pages
    again = sync(crm, store, Sync(overlap_minutes=0))
    assert again.total.total == 0
    assert crm.pages - before < before
    deal, gone, *_ = crm.live("Opportunity")
    crm.put("Opportunity", deal, {"Region__c": "South"})
    crm.delete("Opportunity", gone)
    crm.new_deal()
    third = sync(crm, store)
    assert third.read["Opportunity"] == raw_records.Counts(new=1, changed=1, deleted=1)
    assert set(store.latest("Opportunity")["record_id"]) == set(crm.live("Opportunity"))


def test_a_deleted_record_that_is_restored_is_back(tmp_path):
    crm, store = LivingCRM(), RawStore(tmp_path / "salesforce")
    deal = crm.live("Opportunity")[0]
    values = dict(crm.records["Opportunity"][deal].values)
    sync(crm, store)
    crm.delete("Opportunity", deal)
    sync(crm, store)
    assert deal not in set(store.latest("Opportunity")["record_id"])
    crm.put("Opportunity", deal, values)
    assert sync(crm, store).read["Opportunity"].new == 1
    assert deal in set(store.latest("Opportunity")["record_id"])


def test_records_that_vanish_without_a_trace_are_found_by_reading_everything(tmp_path):
    crm, store = LivingCRM(), RawStore(tmp_path / "salesforce")
    sync(crm, store)
    gone = crm.live("Account")[0]
    record = crm.records["Account"][gone]
    crm.vanish("Account", gone)
    assert sync(crm, store).total.total == 0
    assert sync(crm, store, full=True).read["Account"].deleted == 1
    assert gone not in set(store.latest("Account")["record_id"])
    # the right to see it was lost, and is given again: the record is as old as before
    crm.records["Account"][gone] = record
    assert sync(crm, store, full=True).read["Account"].new == 1


def test_what_may_not_be_read_is_left_out_with_a_word(tmp_path):
    crm, store = LivingCRM(missing={"Task": "grant Read on Task"}), RawStore(tmp_path / "salesforce")
    result = sync(crm, store)
    assert result.skipped == {"Task": "grant Read on Task"}
    assert "activities" not in replayed(store, PROFILE).crm.rows
    crm.missing = {"Opportunity": "grant Read on Opportunity"}
    with pytest.raises(CRMSignInError, match="grant Read on Opportunity"):
        sync(crm, store)


def test_records_of_two_organisations_are_not_mixed(tmp_path):
    store = RawStore(tmp_path / "salesforce")
    sync(LivingCRM(seed=1), store)
    other = LivingCRM(seed=2, account="Bolt")
    with pytest.raises(CRMError, match=r"of Acme, and these credentials belong to Bolt.*--full"):
        sync(other, store)
    sync(other, store, full=True)
    same_tables(replayed(store, PROFILE).crm, in_one_go(other, tmp_path / "again"))


def test_a_reading_that_cannot_be_gone_on_with_starts_again(tmp_path):
    crm, folder = LivingCRM(), tmp_path / "salesforce"

    def stop(name: str) -> None:
        if crm.pages == 2:
            crm.pages += 1
            raise Killed

    crm.during = stop
    with pytest.raises(Killed):
        sync(crm, RawStore(folder))
    crm.resumes_fail = True
    result = sync(crm, RawStore(folder))
    assert any("went on with a reading that was stopped" in each for each in result.remarks)
    assert any("read from the start" in each for each in result.remarks)
    assert len(RawStore(folder).latest("Opportunity")) == 8


def test_deals_are_read_again_when_they_have_a_new_field(tmp_path):
    crm, store = LivingCRM(), RawStore(tmp_path / "salesforce")
    sync(crm, store)
    crm.now += pd.Timedelta("1D")
    crm.custom_fields = ("Region__c", "Blocker__c")
    for record_id, record in crm.records["Opportunity"].items():  # as a field with a default comes: nothing is stamped
        values = {**record.values, "Blocker__c": "legal"}
        crm.records["Opportunity"][record_id] = raw_records.RawRecord(record_id, values, record.modified_at)
    result = sync(crm, store)
    assert result.read["Opportunity"].changed == 8
    assert result.read["Account"].total == 0
    assert any("Blocker__c" in each for each in result.remarks)
    assert sync(crm, store).total.total == 0
    assert sync(crm, store, Sync(custom_fields=("Region__c",))).total.total == 0
    history = replayed(store, PROFILE).crm.attribute_history
    assert history["unread"].dropna().unique().tolist() == ["Blocker__c"]
    assert history.loc[history["unread"].isna(), "Blocker__c"].eq("legal").all()


def test_a_field_that_is_made_while_the_first_reading_stands_still_is_read_of_all_deals(tmp_path):
    crm, folder, pages = LivingCRM(), tmp_path / "salesforce", []

    def stop(name):
        pages.append(name)
        if len(pages) > 1:
            raise Killed

    crm.during = stop
    with pytest.raises(Killed):
        sync(crm, RawStore(folder))
    crm.during = lambda name: None
    store = RawStore(folder)
    assert store.state("Opportunity").under_way.fields == ("Region__c",)
    crm.custom_fields = ("Region__c", "Blocker__c")
    for record_id, record in crm.records["Opportunity"].items():
        values = {**record.values, "Blocker__c": "legal"}
        crm.records["Opportunity"][record_id] = raw_records.RawRecord(record_id, values, record.modified_at)
    result = sync(crm, store)
    assert any("for the new field Blocker__c" in each for each in result.remarks)
    assert store.latest("Opportunity")["record"].str.contains('"Blocker__c":"legal"').all()
    assert store.fields == ("Blocker__c", "Region__c")


def test_a_first_reading_that_is_gone_on_with_has_no_new_fields(tmp_path):
    crm, folder = LivingCRM(), tmp_path / "salesforce"
    pages = iter(range(2))

    def stop(name):
        if next(pages, None) is None:
            raise Killed

    crm.during = stop
    with pytest.raises(Killed):
        sync(crm, RawStore(folder))
    crm.during = lambda name: None
    with speaking("fr"):
        result = sync(crm, RawStore(folder))
    assert result.remarks == ["Opportunity\u00a0: une lecture interrompue a été reprise"]


def test_an_organisation_that_takes_another_name_is_the_same(tmp_path):
    store = RawStore(tmp_path / "salesforce")
    crm = LivingCRM(account="Acme (00D000000000001)")
    sync(crm, store)
    for name in ("Acme Bolt (Europe) (00D000000000001)", "00D000000000001", ""):
        crm.account = name
        assert sync(crm, store).total.total == 0
        assert store.account.endswith("00D000000000001") or store.account.endswith("00D000000000001)")
    crm.account = "Acme (00D000000000002)"
    with pytest.raises(CRMError, match="these credentials belong to"):
        sync(crm, store)


def test_steps_tell_how_far_it_is(tmp_path):
    told = []
    sync(LivingCRM(), RawStore(tmp_path / "salesforce"), progress=lambda *step: told.append(step))
    assert told[0] == ("Opportunity", 0, 0, 4)
    assert ("Opportunity", 8, 0, 4) in told
    assert told[-1][2:] == (3, 4)


def test_changes_during_a_long_first_reading_are_not_missed(tmp_path):
    """The next increment starts where the first reading began, not at the latest change that it came upon."""
    crm, store = LivingCRM(), RawStore(tmp_path / "salesforce")
    crm.now += pd.Timedelta("1D")
    # a listing by id, as HubSpot has: what changes on a page that was read does not come again
    ids = sorted(crm.records["Opportunity"])

    def read(name, since, resume=""):
        if name != "Opportunity" or since is not None:
            yield from LivingCRM.read(crm, name, since, resume)
            return
        for start in range(0, len(ids), 3):
            crm.during(name)
            crm.pages += 1
            found = tuple(crm.records[name][each] for each in ids[start : start + 3])
            yield raw_records.Page(found, str(start))
            if start == 0:
                crm.now += pd.Timedelta("3h")
                crm.put(name, ids[0], {"Region__c": "Changed after it was read"})
                crm.now += pd.Timedelta("3h")
                crm.put(name, ids[-1], {"Region__c": "Changed before it was read"})

    crm.read = read  # type: ignore[method-assign]
    sync(crm, store)
    sync(crm, store)
    regions = replayed(store, PROFILE).crm.deals.set_index("deal_id")["Region__c"]
    assert regions[ids[0]] == "Changed after it was read"
    assert regions[ids[-1]] == "Changed before it was read"


def test_what_was_deleted_goes_after_the_days_that_are_set(tmp_path):
    crm, store = LivingCRM(), RawStore(tmp_path / "salesforce")
    sync(crm, store)
    deal, account = crm.live("Opportunity")[0], crm.live("Account")[0]
    crm.delete("Opportunity", deal)
    crm.put("Account", account, {"Name": "[anonymised]"})
    assert sync(crm, store, Sync(keep_deleted_days=3)).forgotten == 0
    before = replayed(store, PROFILE).crm
    crm.now += pd.Timedelta("4D")
    result = sync(crm, store, Sync(keep_deleted_days=3))
    assert result.forgotten == 3  # the deal, its deletion, and what the account was called
    assert deal not in store.versions("Opportunity")["record_id"].tolist()
    assert "Customer" not in " ".join(store.versions("Account").query("record_id == @account")["record"])
    after = replayed(store, PROFILE).crm
    for name, frame in before.tables():
        pd.testing.assert_frame_equal(dict(after.tables())[name], frame)
    assert sync(crm, store, Sync(keep_deleted_days=3)).total.total == 0


def test_one_object_that_is_refused_does_not_end_the_sync(tmp_path):
    crm = LivingCRM(seed=3, refused={"Task": "too many ids: grant View All Data"})
    for _ in range(30):
        crm.change()
    store = RawStore(tmp_path / "salesforce")
    found = sync(crm, store)
    assert found.skipped == {"Task": "too many ids: grant View All Data"}
    assert set(found.read) == {"Opportunity", "OpportunityHistory", "Account"}
    assert len(store.latest("Account")) == len(crm.records["Account"])
    crm.refused = {}
    assert sync(crm, store).skipped == {}
    assert sorted(store.latest("Task")["record_id"]) == sorted(
        key for key, record in crm.records["Task"].items() if not record.deleted
    )


def test_deals_that_are_refused_end_it(tmp_path):
    crm = LivingCRM(seed=3, refused={"Opportunity": "not today"})
    with pytest.raises(CRMObjectError, match="not today"):
        sync(crm, RawStore(tmp_path / "salesforce"))


def test_history_that_the_crm_purged_stays_and_other_records_go(tmp_path):
    crm = LivingCRM(seed=4)
    for _ in range(30):
        crm.change()
    store = RawStore(tmp_path / "salesforce")
    sync(crm, store)
    history, accounts = store.latest("OpportunityHistory"), store.latest("Account")
    crm.purged = {*history["record_id"][:5], accounts["record_id"][0]}
    found = sync(crm, store, full=True)
    assert found.read["OpportunityHistory"].deleted == 0
    assert store.latest("OpportunityHistory")["record"].tolist() == history["record"].tolist()
    assert found.read["Account"].deleted == 1
    assert accounts["record_id"][0] not in set(store.latest("Account")["record_id"])


def test_ids_that_no_longer_exist_count_as_deleted(tmp_path):
    store, noon = RawStore(tmp_path / "salesforce"), pd.Timestamp("2025-06-01T12:00Z")
    records = tuple(RawRecord(f"00T{number}", {"Id": f"00T{number}"}, noon) for number in range(4))
    store.begin("Task", None, noon)
    store.keep("Task", Page(records, ""), noon)
    store.finish("Task", noon)
    later = noon + pd.Timedelta(days=40)
    store.begin("Task", noon, later)
    counts = store.keep("Task", Page((), "", existing=frozenset({"00T1", "00T3", "00T9"})), later)
    store.finish("Task", later)
    assert counts.deleted == 2
    assert store.latest("Task")["record_id"].tolist() == ["00T1", "00T3"]


def test_a_mapped_column_that_comes_empty_everywhere_is_told(tmp_path):
    crm = LivingCRM(seed=5)
    for number in range(25):
        crm.put("Account", f"001X{number:05d}", {"Name": f"Customer {number}", "Industry": "A", "BillingCountry": None})
    store = RawStore(tmp_path / "salesforce")
    assert sync(crm, store, profile=PROFILE).hidden == {}
    for key, record in list(crm.records["Account"].items()):
        crm.put("Account", key, dict(record.values) | {"Industry": None})
    found = sync(crm, store, profile=PROFILE)
    assert found.hidden == {"Account": ("Industry",)}
    assert "Account: Industry had values before" in found.remarks[-1]
    crm.put("Account", "001X00001", {"Industry": "B"})
    assert sync(crm, store, profile=PROFILE).hidden == {}
