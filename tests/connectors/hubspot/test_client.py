import logging
from collections import Counter
from contextlib import contextmanager
from types import SimpleNamespace

import httpx
import numpy as np
import pandas as pd
import pytest

from winpredict import Config
from winpredict.connectors.base import FieldChange, FieldOutcome, ScoreField
from winpredict.connectors.mapped_columns import mapped_columns
from winpredict.errors import (
    CRMError,
    CRMFieldError,
    CRMLimitError,
    CRMSignInError,
    CRMUncertainError,
)
from winpredict.ingest.files import RawFile
from winpredict.ingest.importing import import_files, import_raw
from winpredict.ingest.profiles import load_profile
from winpredict.simulate.world import simulate

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from winpredict.connectors.hubspot import api as _hubspot_api
from winpredict.connectors.hubspot.client import HubSpotSource, connect
from winpredict_sandbox.changes import AccountMerge, Closing, DealEdit, DealMerge, NewTouch, apply_random_changes
from winpredict_sandbox.faults import Faults
from winpredict_sandbox.hubspot.server import HubSpotServer
from winpredict_sandbox.serving import served

SCORES = (
    ScoreField("WinPredict_Odds", "Win odds", "percent"),
    ScoreField("WinPredict_Band", "Band", "text"),
    ScoreField("WinPredict_Reasons", "Reasons", "long_text"),
    ScoreField("WinPredict_Scored_At", "Scored at", "time"),
)


@pytest.fixture(scope="module")
def small_world():
    return simulate(120, seed=3)


@pytest.fixture
def server(small_world):
    return HubSpotServer.of(small_world)


@contextmanager
def connected(server, monkeypatch, app=None, waits=None, sync=None, **settings):
    """A client of a served account; waits are counted and not waited."""
    monkeypatch.setenv("WINPREDICT_HUBSPOT_TOKEN", server.rate_limiter.private_token)
    monkeypatch.setenv("WINPREDICT_HUBSPOT_CLIENT_SECRET", server.rate_limiter.client_secret)
    monkeypatch.setenv("WINPREDICT_HUBSPOT_REFRESH_TOKEN", server.rate_limiter.refresh_token)
    with served(app or server.app, server.clock) as address:
        quick = {"base_url": address, "searches_per_s": 1e6, "requests_per_10s": 10**6}
        config = Config.model_validate({"crm": {"hubspot": quick | settings, "sync": sync or {}}})
        source = connect(config, sleep=([] if waits is None else waits).append)
        yield source
        source.close()


@pytest.fixture
def source(server, monkeypatch):
    with connected(server, monkeypatch) as source:
        yield source


def records(source, name, since=None, resume=""):
    return [each for page in source.read(name, since, resume) for each in page.records]


class Kept:
    """The latest version of every record, by object."""

    def __init__(self):
        self.objects = {}

    def take(self, name, found):
        known = self.objects.setdefault(name, {})
        for each in found:
            known.pop(each.record_id, None)
            if not each.deleted:
                known[each.record_id] = dict(each.values)

    def sync(self, source, since=None):
        for name in source.objects:
            self.take(name, records(source, name, since))

    def tables(self, now):
        files = [
            RawFile(name, name, "", pd.json_normalize(list(known.values())))
            for name, known in self.objects.items()
            if known
        ]
        return dict(import_raw(files, load_profile("hubspot"), now=now).crm.tables())


def exported(server, folder):
    server.export(folder)
    return dict(import_files([folder], load_profile("hubspot"), now=server.clock.now).crm.tables())


def assert_equal(tables, expected):
    assert set(tables) == set(expected)
    for name, frame in expected.items():
        pd.testing.assert_frame_equal(tables[name], frame, check_like=True, obj=name)


def made(source, server):
    assert set(source.create_fields(SCORES).values()) == {FieldOutcome("made")}
    return server.open_deals()


def odds(deal_id, value):
    return FieldChange(deal_id, {"WinPredict_Odds": value})


def test_sync_and_export_give_equal_tables_through_all_that_happens(server, source, tmp_path):
    kept = Kept()
    kept.sync(source)
    assert_equal(kept.tables(server.clock.now), exported(server, tmp_path / "first"))
    for number in range(3):
        since, rng = server.clock.now, np.random.default_rng(number)
        happened = Counter(type(each).__name__ for each in apply_random_changes(server, rng, 120))
        assert happened["DealMerge"] + happened["AccountMerge"] > 0
        kept.sync(source, since)
        assert_equal(kept.tables(server.clock.now), exported(server, tmp_path / str(number)))


def test_small_pages_give_the_same(server, small_world, monkeypatch, tmp_path):
    server.limits.links_page, server.limits.search_results = 2, 7
    kept, since = Kept(), server.clock.now
    with connected(server, monkeypatch, page_size=30, history_page_size=7, search_page_size=5) as source:
        kept.sync(source)
        list(apply_random_changes(server, np.random.default_rng(5), 60))
        kept.sync(source, since)
    assert_equal(kept.tables(server.clock.now), exported(server, tmp_path))


def test_a_reading_that_was_stopped_goes_on_with_nothing_lost_or_doubled(server, monkeypatch):
    since = server.clock.now
    list(apply_random_changes(server, np.random.default_rng(8), 80))
    with connected(server, monkeypatch, page_size=30, search_page_size=7) as source:
        for name, start in (("deals", None), ("deals", since), ("emails", since), ("owners", None)):
            whole = records(source, name, start)
            resume, found, pages = "", [], 0
            while pages < 200:
                page = next(iter(source.read(name, start, resume)), None)
                if page is None:
                    break
                found, resume, pages = found + list(page.records), page.resume, pages + 1
            assert found == whole
            assert pages > 1
            assert list(source.read(name, start, resume)) == []


def test_a_place_of_another_version_starts_again(source):
    assert records(source, "companies", resume='{"phase": 1}') == records(source, "companies")


def test_more_records_of_one_moment_than_a_search_gives(server, monkeypatch):
    moment = server.clock.now
    for each in server.records.live("companies"):
        server.records.add("companies", each.record_id, each.values, each.created_at, moment)
    server.reads.forget()
    with connected(server, monkeypatch, search_page_size=4) as source:
        found = records(source, "companies", moment)
    assert sorted(each.record_id for each in found) == sorted(server.accounts())


def test_increments_hold_what_changed_and_what_is_gone(server, source):
    edited, closed, gone, winner, loser = server.open_deals()[:5]
    since = server.clock.now
    server.apply(DealEdit(edited, {"amount": 77.0}))
    server.apply(Closing(closed, won=True))
    server.changing.delete("deals", gone)
    merged = server.changing.merge("deals", winner, loser).record_id
    found = records(source, "deals", since)
    assert {each.record_id for each in found if not each.deleted} == {edited, closed, merged}
    assert {each.record_id for each in found if each.deleted} == {gone, winner, loser}
    assert all(each.modified_at >= since for each in found)
    values = {each.record_id: each.values for each in found}
    assert values[edited]["properties"]["amount"] == "77"
    assert values[closed]["propertiesWithHistory"]["dealstage"][0]["value"] == "closedwon"
    assert records(source, "deals", server.clock.now) == []


def test_touches_of_merged_deals_and_deals_of_merged_companies_are_read_again(server, source):
    winner, loser = server.open_deals()[:2]
    touches = {*server.pairs.of("deals", winner, "emails"), *server.pairs.of("deals", loser, "emails")}
    company, other = server.accounts()[:2]
    deals = {*server.pairs.of("companies", company, "deals"), *server.pairs.of("companies", other, "deals")}
    since = server.clock.now
    server.apply(DealMerge(loser, winner))
    merged = server.open_deals()[-1]
    found = {each.record_id: each.values for each in records(source, "emails", since)}
    assert set(found) == touches
    assert {values["associations"]["deals"]["results"][0]["id"] for values in found.values()} == {merged}
    server.apply(AccountMerge(other, company))
    found = {each.record_id: each for each in records(source, "deals", since)}
    assert deals - {winner, loser} <= set(found)


def test_the_main_company_comes_first(server, source):
    deal_id = server.open_deals()[0]
    first, main = sorted(server.accounts(), key=int)[:2]
    for company in (first, main):
        server.pairs.add("deals", deal_id, "companies", company)
    server.pairs.primary[deal_id] = main
    for since in (None, server.records.get("deals", deal_id).modified_at):
        values = next(each.values for each in records(source, "deals", since) if each.record_id == deal_id)
        ids = [each["id"] for each in values["associations"]["companies"]["results"]]
        assert (ids[0], len(ids), len(set(ids))) == (main, len(set(ids)), len(ids))


def test_what_is_read_of_deals(server, source):
    made(source, server)
    values = records(source, "deals")[0].values
    names = set(values["properties"])
    assert {"region", "contract_signed", "dealstage", "hs_is_closed"} <= names
    assert not [name for name in names if name.startswith(("hs_date_entered", "winpredict", "num_", "hs_forecast"))]
    assert set(values["propertiesWithHistory"]) == {"dealstage", "amount", "closedate", "hubspot_owner_id"}
    assert "hs_call_body" not in records(source, "calls")[0].values["properties"]


def test_custom_properties_are_chosen_by_patterns(server, monkeypatch):
    with connected(server, monkeypatch, sync={"custom_fields": ["Comp*"]}) as source:
        names = set(records(source, "deals")[0].values["properties"])
    assert "competitor" in names
    assert "region" not in names


def test_many_custom_properties_make_no_address_too_long(server, source):
    for number in range(400):
        name = f"a_property_of_which_there_are_many_{number}"
        server.changing.make_property({"name": name, "type": "string", "groupName": "dealinformation", "label": name})
    assert len(records(source, "deals")[0].values["properties"]) > 400


def test_owners_who_left_stay_known(server, source):
    kept, (gone, *_) = Kept(), server.owners()
    server.leave(gone)
    kept.sync(source)
    users = kept.tables(server.clock.now)["users"].set_index("user_id")
    assert users.loc[gone, "active"] == False  # noqa: E712
    assert users["active"].sum() == len(users) - 1
    assert users.loc[gone, ["name", "team"]].tolist() == ["Rep 0", "Team 0"]


def test_tasks_and_notes_become_touches(server, source):
    kept, now = Kept(), server.clock.now
    deal_id, owner = server.open_deals()[0], server.owners()[0]
    at = f"{now:%Y-%m-%dT%H:%M:%SZ}"
    common = {"hs_createdate": at, "hs_timestamp": "2030-01-01T00:00:00Z", "hubspot_owner_id": owner}
    done = common | {"hs_task_status": "COMPLETED", "hs_task_completion_date": at}
    server.changing.add("tasks", done, {"deals": [deal_id]})
    server.changing.add("notes", common | {"hs_timestamp": at}, {"deals": [deal_id]})
    kept.sync(source)
    touches = kept.tables(server.clock.now)["activities"]
    added = touches[touches["activity_type"].isin(["task", "note"])]
    assert sorted(added["activity_type"]) == ["note", "task"]
    assert set(added["occurred_at"]) == {now}


def test_describe(source):
    description = source.describe()
    assert description.account == "62515"
    assert (description.readable, description.missing, description.writable) == (source.objects, {}, True)
    assert [stage.outcome for stage in description.stages] == ["open"] * 5 + ["won", "lost"]
    assert (description.stages[0].name, description.stages[0].label) == (
        "appointmentscheduled",
        "Appointment Scheduled",
    )
    assert {each.name: each.kind for each in description.custom_fields}["contract_signed"] == "datetime"
    assert description.records_history == ("dealstage", "amount", "closedate", "hubspot_owner_id")


def test_describe_names_the_scopes_that_are_missing(server, source):
    server.rate_limiter.scopes -= {"sales-email-read", "crm.objects.deals.write"}
    description = source.describe()
    assert description.missing == {"emails": "grant the app the scope sales-email-read"}
    server.rate_limiter.scopes.discard("crm.objects.line_items.read")
    assert source.describe().missing["line_items"] == "grant the app the scope crm.objects.line_items.read"
    assert "emails" not in description.readable
    assert not description.writable
    with pytest.raises(CRMSignInError, match="403"):
        records(source, "emails")


def test_line_items_come_with_their_deals(server, source, small_world):
    kept = Kept()
    kept.sync(source)
    items = kept.tables(server.clock.now)["line_items"]
    told = small_world.crm.deals.iloc[::3].reset_index(drop=True)
    assert len(items) == len(told) == 40
    first = items.set_index("deal_id").loc[f"1{told['deal_id'][1][-10:]}"]
    product = sorted(small_world.crm.deals["product"].unique()).index(told["product"][1]) + 1
    assert first["product_id"] == str(500 + product)
    assert first[["quantity", "list_price", "total_price"]].tolist() == [2.0, 100.0 * product, 180.0 * product]
    assert first["added_at"] == told["created_at"][1].floor("ms")
    by_hand = items.set_index("deal_id").loc[f"1{told['deal_id'][10][-10:]}"]
    assert by_hand["product_id"] == told["product"][10]  # of no product of the library


def test_deals_need_the_scopes_of_what_they_are_linked_to(server, source):
    server.rate_limiter.scopes.discard("crm.objects.companies.read")
    wanted = "grant the app the scope crm.objects.companies.read"
    assert source.describe().missing == {"deals": wanted, "companies": wanted}


def test_describe_where_nothing_may_be_read(server, source):
    server.rate_limiter.scopes.clear()
    description = source.describe()
    assert (description.readable, description.stages, description.custom_fields) == ((), (), ())
    assert "crm.objects.deals.read" in description.missing["deals"]


def test_whether_deals_may_be_written_is_tried_where_the_token_is_not_told(server, source, monkeypatch):
    monkeypatch.setattr(HubSpotSource, "_scopes", lambda self: None)
    assert source.describe().writable
    server.rate_limiter.scopes.discard("crm.objects.deals.write")
    assert not source.describe().writable
    assert server.writes == []


def test_a_wrong_token(server, monkeypatch):
    with connected(server, monkeypatch) as source:
        pass
    monkeypatch.setenv("WINPREDICT_HUBSPOT_TOKEN", "pat-na1-wrong-token")
    with served(server.app, server.clock) as address:
        config = Config.model_validate({"crm": {"hubspot": {"base_url": address}}})
        source = connect(config)
        with pytest.raises(CRMSignInError, match="401") as refused:
            source.describe()
    assert "pat-na1" not in str(refused.value)


def test_access_tokens_are_renewed(server, monkeypatch):
    server.rate_limiter.token_lasts = 3
    with connected(
        server, monkeypatch, sign_in="oauth", client_id=server.rate_limiter.client_id, page_size=30
    ) as source:
        assert source.describe().writable
        assert len(records(source, "deals")) == 120
    assert len(server.secrets) > 5


def test_access_tokens_are_renewed_before_they_end(server, monkeypatch):
    with connected(server, monkeypatch, sign_in="oauth", client_id=server.rate_limiter.client_id) as source:
        source.describe()
        tokens = len(server.secrets)
        source._connection.sign_in._ends = 0.0
        source.describe()
    assert len(server.secrets) > tokens


@pytest.mark.parametrize(("client_id", "said"), [("other", "client id"), ("", "client_id is empty")])
def test_an_oauth_app_that_is_not_known(server, monkeypatch, client_id, said):
    with pytest.raises(CRMSignInError, match=said) as refused:  # noqa: SIM117
        with connected(server, monkeypatch, sign_in="oauth", client_id=client_id) as source:
            source.describe()
    assert not [secret for secret in server.secrets if secret in str(refused.value)]


def test_waits_out_short_limits(server, monkeypatch):
    waits = []
    with connected(server, monkeypatch, waits=waits) as source:
        server.rate_limiter.throttle("TEN_SECONDLY_ROLLING", times=2, retry_after=7)
        assert len(records(source, "deals")) == 120
        server.rate_limiter.throttle("SECONDLY")
        assert records(source, "deals", server.clock.now) == []
    assert len(waits) == 3
    assert min(waits[:2]) >= 7


def test_stops_at_the_limit_of_the_day(server, source):
    server.rate_limiter.throttle("DAILY")
    with pytest.raises(CRMLimitError, match=r"daily requests .* used up"):
        records(source, "deals")


def test_leaves_requests_to_others(server, monkeypatch):
    server.rate_limiter.per_day = 20
    with connected(server, monkeypatch, daily_share=0.25, page_size=10) as source, pytest.raises(CRMLimitError) as stop:
        records(source, "emails")
    assert "crm.hubspot.daily_share allows 25%" in str(stop.value)
    assert server.rate_limiter.used_today == 5


def test_searches_keep_their_pace(server, monkeypatch):
    waits = []
    # time stands still for the client, so that a slow machine changes nothing
    monkeypatch.setattr(_hubspot_api, "time", SimpleNamespace(monotonic=lambda: 1000.0))
    with connected(server, monkeypatch, waits=waits, searches_per_s=2) as source:
        records(source, "deals", server.clock.now)
    assert waits == [0.5, 0.5]


def test_fields_are_made_once(server, source):
    assert set(source.create_fields(SCORES).values()) == {FieldOutcome("made")}
    assert set(source.create_fields(SCORES).values()) == {FieldOutcome("there already")}
    made_here = {name: server.definitions[name.lower()] for name in ("WinPredict_Odds", "WinPredict_Reasons")}
    assert made_here["WinPredict_Odds"]["numberDisplayHint"] == "percentage"
    assert made_here["WinPredict_Reasons"]["fieldType"] == "textarea"
    assert not [each for each in source.describe().custom_fields if each.name.startswith("winpredict")]


def test_fields_that_may_not_be_made(server, source):
    server.rate_limiter.scopes.discard("crm.schemas.deals.write")
    assert "scopes" in source.create_fields(SCORES[:1])["WinPredict_Odds"].remark


def test_written_values_come_back(server, source):
    one, other = made(source, server)[:2]
    values = {
        "WinPredict_Odds": 57.3,
        "WinPredict_Band": "high",
        "WinPredict_Reasons": "a\nb",
        "WinPredict_Scored_At": "2025-03-13T09:30:00+01:00",
    }
    done = source.write([FieldChange(one, values), odds(other, None)])
    assert [(each.deal_id, each.done) for each in done] == [(one, True), (other, True)]
    assert (one, "winpredict_odds", "0.573") in server.writes
    assert (one, "winpredict_scored_at", "2025-03-13T08:30:00.000Z") in server.writes
    found = source.read_fields([one, other, "1999"], list(values))
    assert found == {
        one: values | {"WinPredict_Scored_At": "2025-03-13T08:30:00.000Z"},
        other: dict.fromkeys(values),
    }


def test_plain_numbers_and_dates_of_fields_that_were_there(server, source):
    for name, kind in (("odds", "number"), ("day", "date")):
        body = {"name": name, "label": name, "type": kind, "groupName": "dealinformation"}
        server.changing.make_property(body)
    deal_id = server.open_deals()[0]
    source.write([FieldChange(deal_id, {"Odds": 57.0, "Day": "2025-03-13T23:30:00Z"})])
    assert server.writes == [(deal_id, "odds", "57"), (deal_id, "day", "2025-03-13")]
    assert source.read_fields([deal_id], ["Odds"]) == {deal_id: {"Odds": 57.0}}


def test_fields_that_are_not_there(source, server):
    with pytest.raises(CRMFieldError, match="winpredict_band, winpredict_odds"):
        source.read_fields(["1"], ["WinPredict_Odds", "WinPredict_Band", "amount"])
    with pytest.raises(CRMFieldError, match="winpredict_odds"):
        source.write([odds(server.open_deals()[0], 5.0)])


def test_an_old_id_of_a_merged_deal_is_gone(server, source):
    winner, loser = made(source, server)[:2]
    server.apply(DealMerge(loser, winner))
    assert source.read_fields([winner, loser], ["WinPredict_Odds"]) == {}


@pytest.mark.parametrize("multi_status", [True, False])
def test_only_refused_records_fail_and_are_named(server, source, multi_status):
    server.changing.multi_status = multi_status
    deals = [*made(source, server), *server.closed_deals()][:20]
    bad, gone = deals[3], deals[11]
    server.changing.delete("deals", gone)
    rule = {"dealname": server.records.get("deals", bad).values["properties"]["dealname"]}
    server.changing.rules.append(lambda values: "Amount is required" if values["dealname"] == rule["dealname"] else "")
    results = source.write([odds(each, 40.0) for each in deals])
    assert [each.deal_id for each in results] == deals
    assert {each.deal_id for each in results if not each.done} == {bad, gone}
    told = {each.deal_id: each for each in results}
    assert told[bad].message == "rule: Amount is required"
    assert not told[bad].retry
    assert "deleted" in told[gone].message
    assert Counter(deal_id for deal_id, _, _ in server.writes) == dict.fromkeys(set(deals) - {bad, gone}, 1)


def test_what_was_written_is_told_when_the_rest_cannot_be(server, source):
    server.changing.multi_status = False
    deals = made(source, server)[:4]
    names = {server.records.get("deals", each).values["properties"]["dealname"] for each in deals[3:]}

    def refuse(values):
        if len(server.writes) == 2:
            server.rate_limiter.throttle("DAILY")
        return "no" if values["dealname"] in names else ""

    server.changing.rules.append(refuse)
    results = source.write([odds(each, 40.0) for each in deals])
    assert [each.done for each in results] == [True, True, False, False]
    assert results[2].retry
    assert [deal_id for deal_id, _, _ in server.writes] == deals[:2]


@pytest.mark.parametrize(("kind", "written"), [("cut after", 1), ("cut before", 0), ("500", 0)])
def test_an_uncertain_write_is_not_repeated(server, monkeypatch, kind, written):
    with connected(server, monkeypatch) as source:
        deal_id = made(source, server)[0]
    faulty = Faults(server.app, share=1.0, most=0, kinds=[kind])
    with connected(server, monkeypatch, app=faulty) as source:
        source.read_fields([deal_id], ["WinPredict_Odds"])
        faulty.most = 1
        with pytest.raises(CRMUncertainError):
            source.write([odds(deal_id, 12.0)])
        assert len(server.writes) == written
        assert source.read_fields([deal_id], ["WinPredict_Odds"])[deal_id]["WinPredict_Odds"] == (
            12.0 if written else None
        )


def test_faults_change_nothing_of_what_is_read(server, monkeypatch, tmp_path):
    faulty = Faults(server.app, seed=1, share=0.3, kinds=["429", "500", "502", "503", "cut before", "half an answer"])
    kept, since = Kept(), server.clock.now
    with connected(server, monkeypatch, app=faulty, sync={"attempts": 20}) as source:
        kept.sync(source)
        list(apply_random_changes(server, np.random.default_rng(2), 60))
        kept.sync(source, since)
    assert len(faulty.happened) > 15
    assert_equal(kept.tables(server.clock.now), exported(server, tmp_path))


def test_a_batch_that_failed_in_part_is_no_answer(server, source, monkeypatch):
    fault = {"category": "INTERNAL_ERROR", "message": "internal error"}
    monkeypatch.setattr(server.reads, "batch", lambda name, body: (207, {"results": [], "errors": [fault]}))
    with pytest.raises(CRMError, match="in part only: internal error"):
        records(source, "deals")


def test_the_clock_is_that_of_the_account(server, source):
    source.describe()
    assert pd.Timedelta(0) <= source.clock() - server.clock.now <= pd.Timedelta("2s")


def test_no_secret_is_told(server, monkeypatch, caplog, capsys):
    caplog.set_level(logging.DEBUG)
    settings = {"sign_in": "oauth", "client_id": server.rate_limiter.client_id}
    with connected(server, monkeypatch, sync={"attempts": 1}, **settings) as source:
        source.describe()
        server.apply(NewTouch(server.open_deals()[0], "call"))
        records(source, "calls", server.clock.now)
        server.rate_limiter.scopes.clear()
        server.rate_limiter.refresh_token = "changed-refresh-token"
        server.rate_limiter.expire()
        with pytest.raises(CRMSignInError) as error:
            records(source, "deals")
    told = caplog.text + "".join(capsys.readouterr()) + str(error.value) + repr(error.value) + repr(vars(source))
    assert not [secret for secret in server.secrets if secret in told]


def test_a_batch_that_is_answered_with_404_fails_only_the_record_that_is_gone(server, source, monkeypatch):
    source.create_fields(SCORES)
    deals = [each.record_id for each in records(source, "deals")][:3]
    send = source._connection.send

    def gone(method, url, **request):
        inputs = request.get("json", {}).get("inputs", ())
        if url.endswith("deals/batch/update") and any(each["id"] == deals[1] for each in inputs):
            assert 404 in request["accept"]
            body = {"status": "error", "category": "OBJECT_NOT_FOUND", "message": f"Object {deals[1]} not found"}
            return httpx.Response(404, json=body)
        return send(method, url, **request)

    monkeypatch.setattr(source._connection, "send", gone)
    results = source.write([FieldChange(each, {"WinPredict_Band": "low"}) for each in deals])
    assert [(each.deal_id, each.done, each.retry) for each in results] == [
        (deals[0], True, False), (deals[1], False, False), (deals[2], True, False),
    ]  # fmt: skip
    assert results[1].message == f"Object {deals[1]} not found"


def test_hidden_properties_are_told_by_what_the_profile_maps(source, monkeypatch):
    mapped = mapped_columns(load_profile("hubspot"), source.objects)
    assert source.describe(mapped).hidden == {}
    known = {name: each for name, each in source._api.definitions().items() if name != "amount"}
    monkeypatch.setattr(source._api, "definitions", lambda *, again=False: known)
    assert source.describe(mapped).hidden == {"deals": ("amount",)}


def test_calculated_properties_are_told(source, monkeypatch):
    known = dict(source._api.definitions())
    name = next(name for name, each in known.items() if not each.get("hubspotDefined"))
    known[name] = known[name] | {"calculated": True}
    monkeypatch.setattr(source._api, "definitions", lambda *, again=False: known)
    assert source.describe().calculated == {"deals": (name,)}
