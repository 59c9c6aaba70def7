import csv
import io
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from winpredict.connectors.base import FieldChange, ScoreField
from winpredict.connectors.mapped_columns import mapped_columns
from winpredict.connectors.salesforce import reader as _salesforce_reading
from winpredict.connectors.salesforce.client import SalesforceSource
from winpredict.connectors.salesforce.objects import as_text
from winpredict.errors import CRMError, CRMObjectError, CRMSignInError
from winpredict.ingest.files import RawFile
from winpredict.ingest.importing import import_files, import_raw
from winpredict.ingest.profiles import load_profile
from winpredict.simulate.world import simulate
from winpredict_sandbox.changes import DealDeletion, DealEdit, TouchDeletion, apply_random_changes
from winpredict_sandbox.faults import FAULTS, Faults
from winpredict_sandbox.salesforce.server import SalesforceServer
from winpredict_sandbox.serving import served

OVERLAP = pd.Timedelta("10min")
HISTORIES = ("OpportunityHistory", "OpportunityFieldHistory")
SCORES = (
    ScoreField("WinPredict_Odds", "Win odds", "percent"),
    ScoreField("WinPredict_Band", "Band", "text"),
    ScoreField("WinPredict_Reasons", "Reasons", "long_text"),
    ScoreField("WinPredict_Scored_At", "Scored at", "time"),
)


@pytest.fixture(scope="module")
def world():
    return simulate(deals=80, seed=3)


@pytest.fixture
def server(world):
    server = SalesforceServer.of(world, seed=1)
    server.behaviour.page_rows = 50
    return server


@pytest.fixture
def address(server):
    with served(server.app, server.clock) as address:
        server.address = address
        yield address


@pytest.fixture
def source(server, address):
    return made(server, address)


def made(server, address, sync=None, **settings):
    config = server.config(address, **settings)
    crm = config.crm.model_copy(update={"sync": config.crm.sync.model_copy(update=sync or {})})
    config = config.model_copy(update={"crm": crm})
    return SalesforceSource(config, SecretStr(server.client_secret), sleep=lambda seconds: None)


class Mirror:
    """The latest version of every record, kept from page to page as a sync does."""

    def __init__(self):
        self.records, self.marks = {}, {}

    def take(self, name, page):
        rows = self.records.setdefault(name, {})
        for record in page.records:
            known = rows.get(record.record_id)
            if known is None or record.modified_at >= known.modified_at:
                rows[record.record_id] = record
            self.marks[name] = max(self.marks.get(name, record.modified_at), record.modified_at)

    def sync(self, source):
        for name in source.objects:
            since = self.marks[name] - OVERLAP if name in self.marks else None
            for page in source.read(name, since):
                self.take(name, page)

    def live(self, name):
        return {each.record_id: each.values for each in self.records.get(name, {}).values() if not each.deleted}

    def imported(self):
        empty = pd.DataFrame({"row": [], "text": []})
        files = [
            RawFile(name, name, "", pd.DataFrame(list(self.live(name).values()), dtype=object), empty)
            for name in self.records
            if self.live(name)
        ]
        return import_raw(files, load_profile("salesforce"), now=pd.Timestamp("2030-01-01", tz="UTC")).crm


def assert_same(one, other):
    tables, others = dict(one.tables()), dict(other.tables())
    assert tables.keys() == others.keys()
    for name, frame in tables.items():
        assert set(frame) == set(others[name]), name
        pd.testing.assert_frame_equal(frame, others[name][list(frame)], obj=name)


def exported(server, folder):
    server.export(folder)
    return import_files([folder], load_profile("salesforce"), now=pd.Timestamp("2030-01-01", tz="UTC")).crm


def all_pages(source, name, since=None, resume=""):
    return list(source.read(name, since, resume))


def values_of(pages):
    return {each.record_id: dict(each.values) for page in pages for each in page.records}


def test_the_organisation_is_described(source):
    description = source.describe()
    assert description.account == "Simulated Sales Ltd (00DDn0000000001)"
    assert description.readable[0] == "Opportunity"
    assert set(description.missing) == {"VoiceCall"}
    assert description.writable
    assert [each.outcome for each in description.stages] == ["open"] * 5 + ["won", "lost"]
    assert "Region__c" in {each.name for each in description.custom_fields}
    assert description.records_history == ("StageName", "Amount", "Probability", "CloseDate", "OwnerId")


def test_objects_that_are_missing_are_told_and_have_no_pages(server, source):
    server.behaviour.absent = ("VoiceCall", "OpportunityTeamMember")
    assert "Team" in source.describe().missing["OpportunityTeamMember"]
    assert all_pages(source, "OpportunityTeamMember") == []
    with pytest.raises(CRMError, match="does not read Lead"):
        all_pages(source, "Lead")


def test_deals_that_may_not_be_read_are_an_error(server, source):
    server.behaviour.absent = ("Opportunity",)
    with pytest.raises(CRMSignInError, match="may not read opportunities"):
        source.describe()
    with pytest.raises(CRMSignInError, match="may not read opportunities"):
        all_pages(source, "Opportunity")


@pytest.mark.parametrize("page_rows", [1, 40, 79, 80, 81])
def test_every_record_comes_once_wherever_pages_end(server, source, page_rows):
    server.behaviour.page_rows = page_rows
    pages = all_pages(source, "Opportunity")
    assert sum(len(page.records) for page in pages) == len(values_of(pages)) == 80
    stamps = [each.modified_at for page in pages for each in page.records]
    assert stamps == sorted(stamps)


def test_bulk_and_plain_queries_give_the_same_texts(server, address):
    plain, bulk = made(server, address), made(server, address, bulk_from_rows=0, bulk_page_rows=30)
    for name in plain.objects:
        assert values_of(all_pages(plain, name)) == values_of(all_pages(bulk, name)), name
    assert not server.app.state.resources.jobs()


def test_what_was_read_imports_as_the_export_does(server, source, tmp_path):
    mirror = Mirror()
    mirror.sync(source)
    assert_same(mirror.imported(), exported(server, tmp_path))


@pytest.mark.parametrize("bulk_from_rows", [0, 20_000])
def test_increments_follow_every_change(server, address, tmp_path, bulk_from_rows):
    source, mirror, rng = made(server, address, bulk_from_rows=bulk_from_rows), Mirror(), np.random.default_rng(2)
    mirror.sync(source)
    for days in (1, 7):
        deal = server.open_deals()[0]
        member = server.join_team(deal, server.owners()[0])
        mirror.sync(source)
        assert member in mirror.live("OpportunityTeamMember")
        server.clock.advance(86_400 * days)
        server.leave_team(member)
        assert list(apply_random_changes(server, rng, 60))
        server.clock.advance(3600)
        mirror.sync(source)
    for name in source.objects:
        live = {each.record_id for each in server.records.live(name)}
        # rows of histories stay: a deal may be restored
        assert set(mirror.live(name)) >= live, name
        assert name in HISTORIES or set(mirror.live(name)) == live, name
    assert_same(mirror.imported(), exported(server, tmp_path / "export"))


def test_increments_are_small(server, source):
    now = source.clock()
    server.clock.advance(86_400)
    server.apply(DealEdit(server.open_deals()[0], {"amount": 77.0}))
    assert len(values_of(all_pages(source, "Opportunity", now))) == 1
    assert len(values_of(all_pages(source, "OpportunityHistory", now))) == 1
    assert values_of(all_pages(source, "Account", now)) == {}


def test_a_deal_that_is_restored_comes_back(server, source, tmp_path):
    mirror = Mirror()
    mirror.sync(source)
    deal = server.open_deals()[0]
    for change in (lambda: server.apply(DealDeletion(deal)), lambda: server.restore_deal(deal)):
        server.clock.advance(7200)
        change()
        mirror.sync(source)
        assert (deal in mirror.live("Opportunity")) == (deal in server.open_deals())
    assert_same(mirror.imported(), exported(server, tmp_path))


def test_an_owner_history_comes_back_with_its_deal(server, source, tmp_path):
    mirror = Mirror()
    mirror.sync(source)
    server.clock.advance(7200)
    deal = server.open_deals()[0]
    owner = server.records.get("Opportunity", deal).values["OwnerId"]
    server.apply(DealEdit(deal, {"owner_id": next(each for each in server.owners() if each != owner)}))
    server.apply(DealDeletion(deal))
    mirror.sync(source)
    server.clock.advance(86_400)
    server.restore_deal(deal)
    mirror.sync(source)
    assert_same(mirror.imported(), exported(server, tmp_path))


def test_deleted_records_are_told_apart(server, source):
    deal = server.open_deals()[0]
    before = source.clock()
    server.clock.advance(60)
    server.apply(DealDeletion(deal))
    records = [each for page in all_pages(source, "Opportunity", before) for each in page.records]
    assert [(each.record_id, each.deleted, dict(each.values)) for each in records] == [(deal, True, {})]
    assert deal not in values_of(all_pages(source, "Opportunity"))


@pytest.mark.parametrize("bulk_from_rows", [0, 20_000])
def test_a_killed_reading_goes_on_where_it_was(server, address, bulk_from_rows):
    settings = {"bulk_from_rows": bulk_from_rows, "bulk_page_rows": 30}
    whole = values_of(all_pages(made(server, address, **settings), "Task"))
    pages, resume = [], ""
    for _ in range(1000):
        # a new process each time, which dies after the first page that was kept
        page = next(iter(made(server, address, **settings).read("Task", None, resume)), None)
        if page is None:
            break
        pages.append(page)
        resume = page.resume
    assert values_of(pages) == whole
    assert sum(len(page.records) for page in pages) == len(whole)
    assert not server.app.state.resources.jobs()


def test_a_place_that_nobody_understands_is_the_start(source):
    assert len(values_of(all_pages(source, "Opportunity", resume="[1]"))) == 80


def test_a_row_that_changes_while_pages_are_fetched_does_not_move_the_place(server, source):
    server.behaviour.page_rows = 30
    pages = source.read("Opportunity", None)
    kept = [next(pages)]
    # the last row of the next page is changed before that page is fetched, and the process dies after it
    order = [each.record_id for each in server.records.all("Opportunity")]
    server.clock.advance(3600)
    server.edit(order[59], {"Region__c": "West"})
    kept.append(next(pages))
    kept += all_pages(source, "Opportunity", resume=kept[-1].resume)
    assert len(values_of(kept)) == 80


def test_a_cursor_that_is_gone_is_made_up_for(server, source):
    server.behaviour.page_rows = 30
    pages = source.read("Opportunity", None)
    kept = [next(pages)]
    server.app.state.resources._cursors.clear()
    kept += list(pages)
    assert sum(len(page.records) for page in kept) == len(values_of(kept)) == 80


def test_cursors_that_are_always_gone_are_an_error(server, source):
    server.behaviour.cursors = 0
    # all was changed after whatever the connection knows to be past, so that no record tells of a place
    source.clock()
    server.clock.advance(60)
    for deal in [*server.open_deals(), *server.closed_deals()]:
        server.edit(deal, {"Region__c": "West"})
    source._api.connection._heed_limits = lambda answer: None
    source._api.connection._keep_date = lambda answer: None
    with pytest.raises(CRMError, match="further pages of Opportunity: INVALID_QUERY_LOCATOR"):
        all_pages(source, "Opportunity")


def test_a_kill_while_a_job_is_under_way_starts_no_other(server, address):
    source = made(server, address, bulk_from_rows=0)
    first = next(source.read("Account", None))
    assert first.records == ()
    assert len(values_of(all_pages(source, "Account", resume=first.resume))) == len(server.accounts())
    assert server.app.state.resources.jobs() == []


def test_an_expired_job_is_started_again(server, address):
    source = made(server, address, bulk_from_rows=0, bulk_page_rows=30)
    pages = source.read("Task", None)
    next(pages)
    half = next(pages)
    server.clock.advance(8 * 86_400)
    again = all_pages(source, "Task", resume=half.resume)
    assert len(values_of(again)) == len(server.records.live("Task"))


def test_jobs_that_vanish_again_and_again_are_an_error(server, address):
    server.behaviour.job_lives = pd.Timedelta("-1s")
    with pytest.raises(CRMError, match="vanish before they are read"):
        all_pages(made(server, address, bulk_from_rows=0), "Account")


@pytest.mark.parametrize(("ends", "told"), [("Failed", "failed: Internal"), ("Aborted", "aborted by somebody")])
def test_a_lost_job_is_an_error_that_says_what_to_do(server, address, ends, told):
    server.behaviour.job_ends = ends
    with pytest.raises(CRMError, match=f"{told}.*run the command again|{told}.*Run the command again"):
        all_pages(made(server, address, bulk_from_rows=0), "Account")


def test_objects_without_bulk_come_by_queries(server, address):
    server.behaviour.without_bulk = ("Account",)
    found = values_of(all_pages(made(server, address, bulk_from_rows=0), "Account"))
    assert len(found) == len(server.accounts())


def test_a_job_that_falls_short_is_noticed(server, address, monkeypatch):
    import httpx

    source = made(server, address, bulk_from_rows=0)
    text = httpx.Response.text
    monkeypatch.setattr(
        httpx.Response, "text", property(lambda self: "".join(text.fget(self).splitlines(keepends=True)[:-1]))
    )
    with pytest.raises(CRMError, match="where it promised"):
        all_pages(source, "Account")


def test_queries_too_long_for_an_address_come_by_a_job(server, source, monkeypatch):
    monkeypatch.setattr(_salesforce_reading, "_LONGEST_QUERY", 100)
    pages = all_pages(source, "Opportunity")
    assert json.loads(pages[0].resume).keys() == {"bulk", "job"}
    assert len(values_of(pages)) == 80


@pytest.mark.parametrize("name", ["OpportunityTeamMember", "Task", "Opportunity"])
def test_after_a_longer_gap_than_removals_are_listed_ids_are_compared(server, source, name):
    before = source.clock()
    server.clock.advance(20 * 86_400)
    existing = [page.existing for page in all_pages(source, name, before) if page.existing is not None]
    assert existing == [frozenset(each.record_id for each in server.records.live(name))]


def test_a_list_of_too_many_removals_is_made_up_for_by_ids(server, source):
    deal, user = server.open_deals()[:2][0], server.owners()[0]
    member = server.join_team(deal, user)
    before = source.clock()
    server.leave_team(member)
    server.behaviour.most_removals = 0
    (page,) = [each for each in all_pages(source, "OpportunityTeamMember", before) if each.existing is not None]
    assert member not in page.existing


def test_too_many_ids_are_read_by_spans_of_time(server, source):
    server.behaviour.most_parents = 100_000
    whole = values_of(all_pages(source, "Task"))
    server.behaviour.most_parents = 12
    assert values_of(all_pages(source, "Task")) == whole


def test_a_span_that_cannot_be_shortened_is_refused_with_the_right_that_mends_it(server, source):
    server.behaviour.most_parents = 0
    with pytest.raises(CRMObjectError, match=r"OPERATION_TOO_LARGE.*Give the connected user the right View All Data"):
        all_pages(source, "Task")
    assert all_pages(source, "Account")


def test_hidden_fields_are_told_by_what_the_profile_maps(source, monkeypatch):
    mapped = mapped_columns(load_profile("salesforce"), source.objects)
    before = source.describe(mapped).hidden
    assert "Opportunity" not in before
    described = source._describe

    def without_amount(name):
        found = described(name)
        if name != "Opportunity":
            return found
        return found and found | {"fields": [each for each in found["fields"] if each["name"] != "Amount"]}

    monkeypatch.setattr(source, "_describe", without_amount)
    assert source.describe(mapped).hidden == before | {"Opportunity": ("Amount",)}


@pytest.mark.parametrize(("sees_all", "remarks"), [(True, 0), (False, 1)])
def test_a_user_who_may_not_view_all_is_told(source, monkeypatch, sees_all, remarks):
    rows = source._api.rows

    def answered(soql, **options):
        if "UserPermissionAccess" in soql:
            return iter([{"PermissionsViewAllData": sees_all}])
        return rows(soql, **options)

    monkeypatch.setattr(source._api, "rows", answered)
    found = source.describe().remarks
    assert len(found) == remarks
    assert all("lacks the right View All Data" in each for each in found)


def test_stale_formulas_are_read_again_for_open_deals(server, source, monkeypatch):
    first = {each.record_id: each for page in all_pages(source, "Opportunity") for each in page.records}
    now = source.clock()
    deals = source._deals()
    name = next(
        each["name"] for each in deals["fields"] if each["custom"] and each["name"] in first[next(iter(first))].values
    )
    fields = [each | {"calculated": each["name"] == name} for each in deals["fields"]]
    monkeypatch.setattr(source, "_deals", lambda: deals | {"fields": fields})
    assert source.describe().calculated == {"Opportunity": (name,)}
    server.clock.advance(86_400)
    again = {each.record_id: each for page in all_pages(source, "Opportunity", now) for each in page.records}
    assert set(again) == {key for key, each in first.items() if each.values["IsClosed"] == "false"}
    assert all(first[key].modified_at == each.modified_at for key, each in again.items())


def test_activities_on_accounts_and_archived_ones_come_too(server, source):
    values = {
        "WhatId": server.accounts()[0],
        "Status": "Completed",
        "ActivityDate": "2020-01-01",
        "TaskSubtype": "Call",
    }
    server.records.add("Task", "00TDn7777777777", values, pd.Timestamp("2020-01-01", tz="UTC"))
    assert "00TDn7777777777" in values_of(all_pages(source, "Task"))


def test_texts_of_people_and_compound_fields_are_left_out(source):
    def fields(name):
        return set(next(iter(values_of(all_pages(source, name)).values())))

    assert "Description" not in fields("Opportunity") | fields("Task")
    assert not {"Phone", "Website", "BillingAddress"} & fields("Account")
    assert {"Name", "Email", "ManagerId", "Department"} <= fields("User")
    assert not {"Phone", "Username"} & fields("User")


def test_custom_fields_are_chosen_by_the_config(server, address):
    source = made(server, address, sync={"custom_fields": ("Region*", "Product_Family")})
    fields = set(next(iter(values_of(all_pages(source, "Opportunity")).values())))
    assert {each for each in fields if each.endswith("__c")} == {"Region__c", "Product_Family__c"}


def test_our_own_scores_are_not_read_as_facts(server, source):
    source.create_fields(SCORES)
    source.write([FieldChange(server.open_deals()[0], {"WinPredict_Odds": 50.0})])
    fields = set(next(iter(values_of(all_pages(source, "Opportunity")).values())))
    assert not {each for each in fields if each.startswith("WinPredict")}
    assert "WinPredict_Odds__c" in server.made_fields
    assert not [each for each in source.describe().custom_fields if each.name.startswith("WinPredict")]


@given(
    st.one_of(
        st.tuples(st.just("currency"), st.floats(-1e12, 1e12, allow_nan=False)),
        st.tuples(st.just("int"), st.integers(-(10**12), 10**12)),
        st.tuples(st.just("boolean"), st.booleans()),
        st.tuples(st.just("datetime"), st.datetimes()),
        st.tuples(st.just("string"), st.text().filter(lambda text: "\r" not in text and "\x00" not in text)),
        st.tuples(st.just("anyType"), st.one_of(st.floats(-1e6, 1e6), st.booleans(), st.sampled_from(["005A", "Web"]))),
    )
)
def test_a_value_has_one_text_however_it_came(kind_and_value):
    kind, value = kind_and_value
    in_json, in_csv = value, value
    if kind == "datetime":
        in_json, in_csv = f"{value:%Y-%m-%dT%H:%M:%S}.000+0000", f"{value:%Y-%m-%dT%H:%M:%S}.000Z"
    if isinstance(value, bool):
        in_csv = str(value).lower()
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerow([in_csv, "end"])
    read = next(csv.reader(io.StringIO(text.getvalue(), newline="")))[0]
    assert as_text(json.loads(json.dumps(in_json)), kind) == as_text(read, kind)


@pytest.mark.parametrize("seed", [0, 1])
def test_faults_on_the_way_change_nothing(server, tmp_path, seed):
    faults = Faults(server.app, seed, share=0.15, kinds=[kind for kind in FAULTS if kind != "slow"])
    with served(faults, server.clock) as address:
        mirror = Mirror()
        source = made(server, address, bulk_from_rows=300, bulk_page_rows=50)
        mirror.sync(source)
        list(apply_random_changes(server, np.random.default_rng(seed), 30))
        server.clock.advance(3600)
        mirror.sync(source)
    assert len(faults.happened) > 5
    assert_same(mirror.imported(), exported(server, tmp_path))


def test_a_touch_that_is_deleted_goes(server, source):
    mirror = Mirror()
    mirror.sync(source)
    touch = server.touches()[0]
    server.clock.advance(7200)
    server.apply(TouchDeletion(touch))
    mirror.sync(source)
    assert touch not in mirror.live("Task") | mirror.live("Event")
