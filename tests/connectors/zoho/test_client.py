import json

import numpy as np
import pandas as pd
import pytest
from pydantic import SecretStr

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from winpredict.config import Config
from winpredict.connectors.base import FieldChange, FieldOutcome, ScoreField
from winpredict.connectors.zoho import api as _zoho_api
from winpredict.connectors.zoho import reader as _zoho_reading
from winpredict.connectors.zoho.client import ZohoSource, connect
from winpredict.connectors.zoho.objects import Owners, added_contacts, contact_records, custom_fields, timeline_records
from winpredict.errors import CRMError, CRMFieldError, CRMLimitError, CRMSignInError
from winpredict.ingest.files import RawFile
from winpredict.ingest.importing import import_files, import_raw
from winpredict.ingest.profiles import load_profile
from winpredict.simulate.world import simulate
from winpredict_sandbox.changes import DealDeletion, DealEdit, DealMerge, TouchDeletion, apply_random_changes
from winpredict_sandbox.faults import Faults
from winpredict_sandbox.serving import served
from winpredict_sandbox.zoho.server import ZohoServer

OVERLAP, NOW = pd.Timedelta("10min"), pd.Timestamp("2030-01-01", tz="UTC")
SCORES = (
    ScoreField("WinPredict_Odds", "Win odds", "percent"),
    ScoreField("WinPredict_Band", "Band", "text"),
    ScoreField("WinPredict_Reasons", "Reasons", "long_text"),
    ScoreField("WinPredict_Model", "Model", "text"),
    ScoreField("WinPredict_Scored_At", "Scored at", "time"),
    ScoreField("WinPredict_More", "More", "text"),
)


@pytest.fixture(scope="module")
def world():
    return simulate(deals=60, seed=3)


@pytest.fixture
def server(world):
    return ZohoServer.of(world, seed=1)


@pytest.fixture
def address(server):
    with served(server.app, server.clock) as address:
        yield address


@pytest.fixture
def source(server, address):
    return made(server, address)


def made(server, address, sync=None, **settings):
    config = server.config(address, **{"page_size": 20} | settings)
    crm = config.crm.model_copy(update={"sync": config.crm.sync.model_copy(update=sync or {})})
    secrets = SecretStr(server.rate_limiter.client_secret), SecretStr(server.rate_limiter.refresh_token)
    return ZohoSource(config.model_copy(update={"crm": crm}), *secrets, sleep=lambda seconds: None)


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
        marks = dict(self.marks)
        for name in source.objects:
            for page in source.read(name, marks[name] - OVERLAP if name in marks else None):
                json.loads(page.resume)
                self.take(name, page)

    def live(self, name):
        return [dict(each.values) for each in self.records.get(name, {}).values() if not each.deleted]

    def imported(self):
        files = [
            RawFile(name, name, "", pd.json_normalize(self.live(name))) for name in self.records if self.live(name)
        ]
        return import_raw(files, load_profile("zoho"), now=NOW).crm


def exported(server, folder):
    server.export(folder)
    return import_files([folder], load_profile("zoho"), now=NOW).crm


def assert_same(one, other):
    tables, others = dict(one.tables()), dict(other.tables())
    assert tables.keys() == others.keys()
    for name, frame in tables.items():
        assert set(frame) == set(others[name]), name
        pd.testing.assert_frame_equal(frame, others[name][list(frame)], obj=name)


def values_of(pages):
    return {each.record_id: dict(each.values) for page in pages for each in page.records}


def ids_of(pages):
    return [each.record_id for page in pages for each in page.records]


def test_the_organisation_is_described(source):
    description = source.describe()
    assert description.account == "Zylker (60001234567)"
    assert description.readable == source.objects
    assert description.missing == {}
    assert description.writable
    assert [each.name for each in description.stages][:2] == ["Qualification", "Needs Analysis"]
    assert [each.outcome for each in description.stages] == ["open"] * 6 + ["won", "lost", "lost"]
    assert {each.pipeline for each in description.stages} == {"Standard"}
    assert "Region" in {each.name for each in description.custom_fields}
    assert description.records_history == ("Stage", "Amount", "Closing_Date", "Owner")


def test_without_pipelines_the_stages_are_told_all_the_same(server, source):
    server.has_pipelines = False
    assert [each.outcome for each in source.describe().stages] == ["open"] * 6 + ["won", "lost", "lost"]


def test_what_may_not_be_read_is_told_with_what_is_to_be_granted(server, source):
    server.rate_limiter.scopes -= {"ZohoCRM.modules.calls.READ", "ZohoCRM.modules.deals.UPDATE"}
    server.rate_limiter.no_permission = {"Notes"}
    description = source.describe()
    assert set(description.missing) == {"Calls", "Notes"}
    assert "ZohoCRM.modules.calls.READ" in description.missing["Calls"]
    assert "Profiles" in description.missing["Notes"]
    assert not description.writable
    # refusals for good cost no further token
    assert len(server.secrets) == 3


def test_a_sync_gives_the_tables_of_the_export(server, source, tmp_path):
    mirror = Mirror()
    mirror.sync(source)
    tables = mirror.imported()
    assert_same(tables, exported(server, tmp_path))
    assert tables.rows["deals"] == 60
    assert {"stage", "amount", "expected_close_date", "owner_id"} <= set(tables.deal_history)
    assert set(tables.activities["activity_type"]) == {"call", "meeting", "task", "note"}


def test_the_history_is_that_of_the_world(server, source, world):
    mirror = Mirror()
    mirror.sync(source)
    tables = mirror.imported()
    known, closed = tables.deals["closed_at"].notna(), world.crm.deals["closed_at"].notna()
    assert sorted(tables.deals.loc[known, "closed_at"]) == sorted(world.crm.deals.loc[closed, "closed_at"])
    assert sorted(tables.contacts["added_at"]) == sorted(world.crm.contacts["added_at"])
    day = pd.Timestamp("2024-12-01", tz="UTC")
    for column in ("amount", "owner_id"):
        mine = tables.as_known_at(day).deals.sort_values("deal_id")[column]
        theirs = world.crm.as_known_at(day).deals.sort_values("deal_id")[column]
        if column == "amount":
            np.testing.assert_allclose(mine, theirs)
        else:
            assert [int(each[5:]) for each in mine] == [int(each[5:]) for each in theirs]


@pytest.mark.parametrize("stages_as_module", [True, False])
def test_increments_follow_edits_deletions_merges_and_reopened_deals(server, source, tmp_path, stages_as_module):
    server.stages_as_module = stages_as_module
    mirror, rng = Mirror(), np.random.default_rng(5)
    mirror.sync(source)
    for number in range(2):
        server.clock.advance(3600)
        list(apply_random_changes(server, rng, 50))
        mirror.sync(source)
        assert_same(mirror.imported(), exported(server, tmp_path / str(number)))


def test_an_increment_without_changes_brings_nothing(server, source):
    since = server.clock.now + pd.Timedelta("1h")
    for name in source.objects:
        assert ids_of(source.read(name, since)) == []


def test_an_increment_brings_what_was_changed_at_the_moment_itself(server, source):
    server.clock.advance(3600)
    deal_id, now = server.open_deals()[0], server.now
    server.apply(DealEdit(deal_id, {"amount": 77.0}))
    assert ids_of(source.read("Deals", now)) == [deal_id]
    assert [each["new_value"] for each in values_of(source.read("Deal_Timeline", now)).values()] == ["77.0"]
    server.apply(DealDeletion(deal_id))
    gone = [each for page in source.read("Deals", now) for each in page.records if each.deleted]
    assert [each.record_id for each in gone] == [deal_id]


def test_what_was_merged_is_gone_and_what_hung_on_it_moved(server, source):
    server.clock.advance(3600)
    loser, winner = server.open_deals()[:2]
    since = server.now
    server.apply(DealMerge(loser, winner))
    assert {each.record_id: each.deleted for page in source.read("Deals", since) for each in page.records} == {
        loser: True,
        winner: False,
    }


@pytest.mark.parametrize("name", ["Deals", "Calls", "Stage_History", "Deal_Timeline", "Contact_Roles"])
def test_a_reading_goes_on_after_any_page(server, source, monkeypatch, name):
    monkeypatch.setattr(_zoho_reading, "_DEALS_A_PAGE", 7)
    whole = list(source.read(name, None))
    assert len(whole) > 2
    for number in range(len(whole)):
        rest = list(source.read(name, None, whole[number].resume))
        assert ids_of(rest) == ids_of(whole[number + 1 :])


def test_page_tokens_end_and_lists_too(server, source, monkeypatch):
    expected = set(ids_of(source.read("Calls", None)))
    server.limits.by_token = 60
    assert set(ids_of(source.read("Calls", None))) == expected
    server.limits.by_token = 100_000
    pages = source.read("Calls", None)
    seen = ids_of([next(pages)])
    server.clock.advance(90_000)
    server.rate_limiter.expire()
    assert {*seen, *ids_of(pages)} == expected


def test_more_records_of_one_second_than_a_list_holds_are_named(server, source):
    server.limits.by_token = 40
    for record in server.records.live("Calls"):
        server.records.add("Calls", record.record_id, record.values, server.now)
    server.revision += 1
    with pytest.raises(CRMError, match="changed in the same second"):
        list(source.read("Calls", None))


def test_more_fields_than_a_request_takes_come_by_several(server, source, monkeypatch):
    whole = values_of(source.read("Deals", None))
    monkeypatch.setattr(_zoho_reading, "FIELDS", 5)
    monkeypatch.setattr(_zoho_api, "FIELDS", 4)
    assert values_of(source.read("Deals", None)) == whole


def test_related_lists_and_timelines_come_by_pages_too(server, source):
    server.stages_as_module = False
    whole = {name: values_of(source.read(name, None)) for name in ("Stage_History", "Deal_Timeline", "Contact_Roles")}
    server.limits.related = 2
    for name, values in whole.items():
        assert values_of(source.read(name, None)) == values


@pytest.mark.parametrize("body", [b"<html>sign in to the proxy</html>", b"[]", b"{}", b'{"rows": []}'])
def test_an_answer_that_is_no_list_is_not_taken_for_an_empty_one(server, source, body):
    class Proxy:
        """Answers for Zoho, but for the tokens."""

        async def __call__(self, scope, receive, send):
            if scope.get("path", "").startswith("/oauth"):
                await server.app(scope, receive, send)
                return
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": body})

    with served(Proxy(), server.clock) as address:
        source = made(server, address)
        with pytest.raises(CRMError):
            list(source.read("Calls", None))


def test_custom_fields_are_chosen_by_the_config_and_never_those_of_scores(server, address):
    server.definitions["WinPredict_Odds"] = {"api_name": "WinPredict_Odds", "custom_field": True}
    chosen = custom_fields(server.definitions, Config().crm)
    assert chosen == ["Campaign_Code", "Competitor", "Contract_Signed", "Product_Family", "Region"]
    some = made(server, address, sync={"custom_fields": ("Re*",)})
    assert "Competitor" not in next(iter(values_of(some.read("Deals", None)).values()))


def test_deals_that_vanish_while_their_lists_are_read_are_passed_over(server, source):
    pages = source.read("Deal_Timeline", None)
    next(pages)
    for deal_id in server.open_deals():
        server.apply(DealDeletion(deal_id))
    list(pages)


def test_tokens_are_renewed_when_they_end_and_never_stand_in_addresses(server, source):
    pages = source.read("Calls", None)
    next(pages)
    server.clock.advance(4000)
    server.rate_limiter.expire()
    assert ids_of(pages)
    assert len(server.secrets) == 4


def test_too_many_tokens_are_a_limit_and_wrong_secrets_are_not(server, address):
    server.rate_limiter.tokens_in_10_minutes = 0
    with pytest.raises(CRMLimitError, match="in ten minutes"):
        made(server, address).describe()
    server.rate_limiter.tokens_in_10_minutes = None
    for settings, advice in (({"client_id": "1000.OTHER"}, "crm.zoho.data_centre"), ({"client_id": ""}, "is empty")):
        with pytest.raises(CRMSignInError, match=advice):
            made(server, address, **settings).describe()
    server.rate_limiter.refresh_token = "1000.revoked"
    wrong = made(server, address)
    server.rate_limiter.refresh_token = "1000.present"
    with pytest.raises(CRMSignInError, match="the refresh token was revoked") as error:
        wrong.describe()
    assert "1000.revoked" not in str(error.value)


def test_credits_are_left_for_others(server, address):
    server.rate_limiter.credits = 60
    source = made(server, address, credits_kept=20)
    with pytest.raises(CRMLimitError, match="20 for others"):
        Mirror().sync(source)
    assert server.rate_limiter.used == 40


def test_too_many_requests_at_a_time_are_waited_for(server, source):
    server.rate_limiter.busy = 3
    assert ids_of(source.read("Accounts", None))


def test_faults_change_nothing(world, tmp_path):
    server = ZohoServer.of(world, seed=1)
    faulty = Faults(server.app, seed=2, share=0.2, delay_s=0.01)
    with served(faulty, server.clock) as address:
        mirror = Mirror()
        mirror.sync(made(server, address, sync={"attempts": 12}))
    assert len({kind for kind, _, _ in faulty.happened}) == 9
    assert_same(mirror.imported(), exported(server, tmp_path))


def test_fields_are_made_five_at_a_time_and_only_once(server, source):
    assert source.create_fields(SCORES) == {field.name: FieldOutcome("made") for field in SCORES}
    assert source.create_fields(SCORES) == {field.name: FieldOutcome("there already") for field in SCORES}
    told = {each.name for each in source.describe().custom_fields if each.name.startswith("WinPredict")}
    assert told == {"WinPredict_More"}  # the config pushes nothing into that one
    server.changing.most_fields = 0
    found = source.create_fields((ScoreField("Other", "Other", "text"),))
    assert "FIELD_LIMIT_EXCEEDED" in found["Other"].remark
    server.rate_limiter.scopes.discard("ZohoCRM.settings.fields.CREATE")
    with pytest.raises(CRMSignInError, match=r"ZohoCRM\.settings\.fields\.CREATE"):
        source.create_fields((ScoreField("Another", "Another", "text"),))


def test_scores_are_written_and_refusals_are_named(server, source):
    source.create_fields(SCORES)
    good, refused, locked, gone = (*server.open_deals()[:3], "55001999999999999")
    server.changing.refusals[refused] = "MANDATORY_NOT_FOUND"
    server.changing.locks[locked] = 1
    values = {"WinPredict_Odds": 41.5, "WinPredict_Scored_At": "2025-06-01T12:00:00.123456Z", "WinPredict_Band": None}
    found = source.write([FieldChange(deal_id, values) for deal_id in (good, refused, locked, gone)])
    assert [(each.done, each.retry) for each in found] == [(True, False), (False, False), (False, True), (False, False)]
    assert found[1].message == "MANDATORY_NOT_FOUND: Next_Step: required field not found"
    assert server.writes == [
        (good, "WinPredict_Odds", 41.5),
        (good, "WinPredict_Scored_At", "2025-06-01T12:00:00+00:00"),
        (good, "WinPredict_Band", None),
    ]
    assert source.read_fields([good, gone], ["WinPredict_Odds", "WinPredict_Band"]) == {
        good: {"WinPredict_Odds": 41.5, "WinPredict_Band": None}
    }
    assert [each.done for each in source.write([FieldChange(refused, {"WinPredict_Odds": 1.0})])] == [False]
    assert source.write([]) == []


def test_unknown_fields_are_all_named(source):
    with pytest.raises(CRMFieldError, match="Odds, Band"):
        source.read_fields([], ["Odds", "Amount", "Band"])


def test_writing_without_the_scope_says_which(server, source):
    server.rate_limiter.scopes.discard("ZohoCRM.modules.deals.UPDATE")
    with pytest.raises(CRMSignInError, match=r"ZohoCRM\.modules\.deals\.UPDATE"):
        source.write([FieldChange(server.open_deals()[0], {"Region": "East"})])


def test_deleted_touches_come_without_their_values(server, source):
    server.clock.advance(3600)
    touch = next(each for each in server.touches() if each in {r.record_id for r in server.records.live("Calls")})
    since = server.now
    server.apply(TouchDeletion(touch))
    (page,) = [page for page in source.read("Calls", since) if page.records]
    assert [(each.record_id, dict(each.values), each.deleted) for each in page.records] == [(touch, {}, True)]


def test_a_module_that_does_not_tell_what_was_deleted_is_read_all_the_same(server, source):
    server.without_deleted = ("Notes",)
    assert ids_of(source.read("Notes", pd.Timestamp("2024-01-01", tz="UTC")))


def test_owners_are_told_by_id_object_or_name():
    owners = Owners({"7": {"full_name": "Ann"}, "8": {"full_name": "Bob"}, "9": {"full_name": "Bob"}})
    told = ("7", {"id": "8"}, {"name": "Ann"}, "Ann", "Bob", "Zoe", None, "123")
    assert [owners.id_of(each) for each in told] == ["7", "8", "7", "7", None, None, None, "123"]


def test_a_timeline_gives_one_record_a_change_and_passes_over_the_rest():
    entry = {"id": "e1", "audited_time": "2025-01-01T10:00:00+05:30", "field_history": None}
    change = {"api_name": "Amount", "_value": {"old": "10", "new": None}}
    entries = [entry, entry | {"field_history": [change, change | {"api_name": "Next_Step"}]}]
    (record,) = timeline_records("d1", entries, Owners({}))
    assert record.record_id == "e1:Amount"
    assert record.modified_at == pd.Timestamp("2025-01-01T04:30Z")
    assert (record.values["old_value"], record.values["new_value"]) == ("10", None)


def test_a_contact_that_no_timeline_tells_of_counts_from_the_last_change_of_the_deal():
    changed = pd.Timestamp("2025-03-01T00:00Z")
    entry = {"record": {"id": "c1", "module": {"api_name": "Contacts"}}, "audited_time": "2025-01-01T00:00:00+00:00"}
    later = entry | {"audited_time": "2025-02-01T00:00:00+00:00"}
    found = list(contact_records("d1", changed, [{"id": "c1"}, {"id": "c2"}], added_contacts([later, entry])))
    assert [each.values["Added_Time"] for each in found] == ["2025-01-01T00:00:00+00:00", changed.isoformat()]


def test_secrets_come_from_where_the_user_keeps_them(monkeypatch, server, address):
    monkeypatch.setenv("WINPREDICT_ZOHO_CLIENT_SECRET", server.rate_limiter.client_secret)
    monkeypatch.setenv("WINPREDICT_ZOHO_REFRESH_TOKEN", server.rate_limiter.refresh_token)
    source = connect(server.config(address))
    assert source.describe().readable
    assert source.clock() >= server.now
    source.close()


def test_no_secret_is_told(server, address, caplog):
    caplog.set_level("DEBUG")
    source = made(server, address)
    server.rate_limiter.scopes.clear()
    told = []
    for call in (source.describe, lambda: list(source.read("Deals", None)), lambda: source.read_fields(["1"], ["x"])):
        with pytest.raises(CRMSignInError) as error:
            call()
        told.append(str(error.value))
    text = "\n".join([*told, caplog.text])
    assert not [secret for secret in server.secrets if secret in text]


def test_stages_are_known_by_both_of_their_names(source, monkeypatch):
    stages = [{"display_value": "Identify Decision Makers", "actual_value": "Id. Decision Makers"}]
    monkeypatch.setattr(source._api, "pipelines", lambda again=False: [{"display_value": "Sales", "maps": stages}])
    (stage,) = source.describe().stages
    assert (stage.name, stage.label) == ("Id. Decision Makers", "Identify Decision Makers")
    assert load_profile("zoho").tables["deals"][0].values["stage"] == {stage.name: stage.label}
