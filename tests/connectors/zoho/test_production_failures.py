"""What went wrong at live accounts of Zoho CRM, each kind once, from the API to the tables."""

import json
import re
from collections import Counter

import httpx
import numpy as np
import pandas as pd
import pytest
import yaml
from pydantic import SecretStr

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from winpredict.connectors.account_profile import account_profile
from winpredict.connectors.mapped_columns import mapped_columns
from winpredict.connectors.replay import replayed
from winpredict.connectors.store import RawStore
from winpredict.connectors.sync import sync
from winpredict.connectors.zoho.client import ZohoSource
from winpredict.connectors.zoho.plan import Plan
from winpredict.errors import CRMError, CRMLimitError, CRMObjectError
from winpredict.ingest.importing import import_files
from winpredict.ingest.profiles import load_profile
from winpredict.privacy.erased import Erased
from winpredict.privacy.scrubbing import Scrubber
from winpredict.simulate.world import simulate
from winpredict_sandbox.changes import DealDeletion, DealEdit, DealMerge, apply_random_changes
from winpredict_sandbox.serving import served
from winpredict_sandbox.zoho.server import ZohoServer
from winpredict_sandbox.zoho.settings import ADMINISTRATOR, LAYOUTS, STANDARD, definition
from winpredict_sandbox.zoho.world import DEALS

PARTNER = next(key for key, name in LAYOUTS.items() if name == "Partner")
PROFILE = load_profile("zoho")
NOW = pd.Timestamp("2030-01-01", tz="UTC")


@pytest.fixture(scope="module")
def world():
    return simulate(deals=60, seed=3)


@pytest.fixture
def server(world):
    return ZohoServer.of(world, seed=1)


class Account:
    """A served organisation, with the requests that reached it, and a store of what was read."""

    def __init__(self, server, folder, address):
        self.server, self.address = server, address
        self.store = RawStore(folder / "zoho")
        self.asked = Counter()

    def source(self, **settings):
        limiter = self.server.rate_limiter
        config = self.server.config(self.address, **{"page_size": 20, "credits_kept": 0} | settings)
        secrets = SecretStr(limiter.client_secret), SecretStr(limiter.refresh_token)
        return ZohoSource(config, *secrets, sleep=lambda seconds: None)

    def sync(self, **settings):
        full = settings.pop("full", False)
        return sync(self.source(**settings), self.store, profile=PROFILE, full=full)

    def latest(self, name):
        frame = self.store.latest(name)
        return {key: json.loads(words) for key, words in zip(frame["record_id"], frame["record"], strict=True)}

    def tables(self):
        return replayed(self.store, PROFILE).crm


@pytest.fixture
def account(server, tmp_path):
    async def counted(scope, receive, send):
        if scope["type"] == "http":
            made.asked[re.sub(r"^/crm/v8/", "", scope["path"])] += 1
        await server.app(scope, receive, send)

    with served(counted, server.clock) as address:
        made = Account(server, tmp_path, address)
        yield made


def same(one, other):
    ours, theirs = dict(one.tables()), dict(other.tables())
    for name, frame in theirs.items():
        pd.testing.assert_frame_equal(ours[name][list(frame)], frame, obj=name)


def exported(server, folder):
    server.export(folder)
    return import_files([folder], PROFILE, now=NOW).crm


# hidden lists


@pytest.mark.parametrize("related", ["Contact_Roles", "__timeline", "Stage_History"])
def test_hidden_lists_of_one_layout_are_counted_and_the_rest_is_stored(server, account, related):
    server.stages_as_module = related != "Stage_History"
    some = [*server.open_deals()[:3], *server.closed_deals()[:4]]
    server.reads.layout_of.update(dict.fromkeys(some, PARTNER))
    server.reads.hidden_lists.add((PARTNER, related))
    name = {"__timeline": "Deal_Timeline"}.get(related, related)
    found = account.sync()
    assert found.skipped.keys() == {name}
    assert f"7 of 60 deals do not show {name}" in found.skipped[name]
    assert "Partner" in found.skipped[name]
    assert len(account.latest(DEALS)) == 60
    deals = {each["deal_id"] for each in account.latest(name).values()}
    assert deals
    assert not deals & set(some)
    # once a layout refused it, no further deal of it is asked
    assert sum(account.asked[f"Deals/{each}/{related}"] for each in some) <= 3


def test_hidden_lists_of_a_deal_are_no_reason_to_do_without_the_object(server, account):
    server.reads.layout_of = {min(server.records.live(DEALS), key=lambda each: each.modified_at).record_id: PARTNER}
    server.reads.hidden_lists.add((PARTNER, "Contact_Roles"))
    description = account.source().describe()
    assert description.missing == {}
    assert any(each.startswith("Contact_Roles: the layout of a deal") for each in description.remarks)


def test_hidden_lists_do_not_hide_a_deal_that_is_gone(server, account):
    pages = account.source(page_size=200).read("Contact_Roles", None)
    next(pages)
    for deal_id in server.open_deals():
        server.apply(DealDeletion(deal_id))
    assert all(page.lacking == "" for page in pages)


# invalid entity: one object is refused, the others are read


def test_invalid_entity_notes_that_are_for_administrators_only(server, account):
    server.rate_limiter.not_supported = {"Notes"}
    found = account.sync()
    assert found.skipped.keys() == {"Notes"}
    assert "administrators" in found.skipped["Notes"]
    assert found.total.new > 500


@pytest.mark.parametrize("kind", ["scope", "permission", "unknown"])
def test_invalid_entity_that_is_refused_while_it_is_read(server, account, kind):
    source = account.source()
    assert source.describe().missing == {}
    if kind == "scope":
        server.rate_limiter.scopes.discard("ZohoCRM.modules.calls.READ")
    elif kind == "permission":
        server.rate_limiter.no_permission.add("Calls")
    else:
        server.rate_limiter.not_supported.add("Calls")
    with pytest.raises(CRMObjectError, match="Calls"):
        list(source.read("Calls", None))
    assert list(source.read("Events", None))


def test_invalid_entity_deals_end_the_sync(server, account):
    server.rate_limiter.no_permission.add(DEALS)
    with pytest.raises(CRMError, match="deals may not be read"):
        account.sync()


# more than 2,000 records


def test_more_than_2000_records_come_by_page_tokens(server, account):
    server.limits.by_page = 40  # numbers of pages end here; tokens go on
    account.sync()
    for name in (DEALS, "Calls", "Events", "Tasks"):
        assert account.latest(name).keys() == {each.record_id for each in server.records.live(name)}
    assert len(account.latest("Calls")) > 100


class Endless:
    """Says that a list goes on, without a word of where."""

    def __init__(self, app, path, name, rows):
        self.app, self.path, self.name, self.rows = app, path, name, rows

    async def __call__(self, scope, receive, send):
        if not re.search(self.path, scope.get("path", "")):
            await self.app(scope, receive, send)
            return
        info = {"more_records": True, "next_page_token": None, "count": len(self.rows)}
        body = json.dumps({self.name: self.rows, "info": info}).encode()
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@pytest.mark.parametrize(
    ("path", "name", "rows", "read"),
    [
        ("/Calls$", "data", [], "Calls"),
        ("/Calls/deleted$", "data", [], "Calls"),
        ("/__timeline$", "__timeline", [{"id": "1", "audited_time": "2020-01-01T00:00:00Z"}], "Deal_Timeline"),
        ("/Contact_Roles$", "data", [], "Contact_Roles"),
        ("/users$", "users", [], "Users"),
    ],
)
def test_more_than_2000_records_without_a_token_are_an_error_and_no_end(server, path, name, rows, read, tmp_path):
    since = pd.Timestamp("2019-01-01", tz="UTC")
    with served(Endless(server.app, path, name, rows), server.clock) as address:
        source = Account(server, tmp_path, address).source()
        with pytest.raises(CRMError, match=r"goes on|changed in the same second"):
            list(source.read(read, since))


# stage ids: what records hold, and what people see


def test_stage_ids_and_labels_are_told_both(server, account, tmp_path):
    deal_id = server.open_deals()[0]
    server.records.change(DEALS, deal_id, {"Stage": "Id. Decision Makers"})
    server.revision += 1
    account.sync()
    description = account.source().describe()
    (stage,) = [each for each in description.stages if each.name != each.label]
    assert (stage.name, stage.label, stage.outcome) == ("Id. Decision Makers", "Identify Decision Makers", "open")
    file = tmp_path / "mine.yaml"
    file.write_text(account_profile("zoho", PROFILE, description))
    assert "Identify Decision Makers" in yaml.safe_load(file.read_text())["stage_order"]
    deals = replayed(account.store, load_profile(file)).crm.deals
    assert deals.set_index("deal_id")["stage"][deal_id] == "Identify Decision Makers"


# records near the cursor


def test_records_near_the_cursor_are_not_missed(server, account):
    account.sync()
    deal_id, other = server.open_deals()[:2]
    server.clock.advance(3600)
    server.apply(DealEdit(deal_id, {"amount": 1.0}))
    account.sync()
    # stamped in the second of the latest record that was read, and visible only afterwards
    stamped = server.deal(deal_id).modified_at
    late = server.deal(other)
    server.records.add(DEALS, other, {**late.values, "Amount": 2.0}, late.created_at, stamped)
    server.revision += 1
    account.sync()
    assert account.latest(DEALS)[other]["Amount"] == 2.0


# new custom field


def test_new_custom_field_comes_for_all_deals(server, account):
    account.sync()
    server.definitions["Tier"] = definition("Tier", "Tier", "picklist", custom=True)
    for record in server.records.live(DEALS):
        stamps = record.created_at, record.modified_at
        server.records.add(DEALS, record.record_id, {**record.values, "Tier": "Gold"}, *stamps)
    server.revision += 1
    found = account.sync()
    assert {each["Tier"] for each in account.latest(DEALS).values()} == {"Gold"}
    assert "Deals: read as a whole, for the new field Tier" in found.remarks


# long property lists


def test_long_property_lists_come_by_fifty_fields(server, account):
    names = [f"Own_{number:03d}" for number in range(120)]
    for name in names:
        server.definitions[name] = definition(name, name, "text", custom=True)
    for record in server.records.live(DEALS):
        values = {**record.values, **{name: f"{name} {record.record_id}" for name in names}}
        server.records.add(DEALS, record.record_id, values, record.created_at, record.modified_at)
    server.revision += 1
    account.sync()
    told = account.latest(DEALS)
    assert len(told) == 60
    for deal_id, values in told.items():
        assert [values[name] for name in names] == [f"{name} {deal_id}" for name in names]


# 0.0 integers


def test_0_0_integers_are_whole_numbers(server, account):
    for record in server.records.live("Accounts"):
        values = {**record.values, "Employees": float(record.values["Employees"])}
        server.records.add("Accounts", record.record_id, values, record.created_at, record.modified_at)
    for record in server.records.live("Calls"):
        values = {**record.values, "Call_Duration_in_seconds": "60.0"}
        server.records.add("Calls", record.record_id, values, record.created_at, record.modified_at)
    server.revision += 1
    server.organisation["license_details"] = {"paid": True, "paid_type": "standard", "users_license_purchased": "4.0"}
    account.sync()
    tables = account.tables()
    calls = tables.activities[tables.activities["activity_type"] == "call"]
    assert set(calls["duration_s"]) == {60}
    told = {each.record_id: each.values["Employees"] for each in server.records.live("Accounts")}
    assert dict(zip(tables.accounts["account_id"], tables.accounts["employees"], strict=True)) == told
    assert Plan.of(server.organisation, 10, 0).credits == 51_000


# stale formulas


def test_stale_formulas_of_open_deals_are_read_again_at_each_sync(server, account):
    score = {"now": 1.0}
    server.add_formula("Own_Score", lambda deal: score["now"])
    account.sync()
    assert account.source().describe().calculated == {DEALS: ("Own_Score",)}
    server.clock.advance(86_400)
    score["now"] = 2.0  # no deal was changed
    account.sync()
    told = account.latest(DEALS)
    assert {told[each]["Own_Score"] for each in server.open_deals()} == {2.0}
    # of closed deals only the one that the overlap reads again
    assert sum(told[each]["Own_Score"] != 1.0 for each in server.closed_deals()) <= 1
    history = account.tables().attribute_history
    seen = history[history["deal_id"] == server.open_deals()[0]]
    assert seen["Own_Score"].astype(float).tolist() == [1.0, 2.0]
    assert (seen["observed_at"].diff().iloc[-1]) >= pd.Timedelta("1D")


def test_stale_formulas_cost_nothing_where_there_are_none(server, account):
    account.sync()
    account.asked.clear()
    server.clock.advance(86_400)
    account.sync()
    assert account.asked["Deals"] <= 5  # the check of rights, and the changes of deals and of their lists


# missed history


@pytest.mark.parametrize("stages_as_module", [True, False])
def test_missed_history_that_zoho_purged_stays(server, account, stages_as_module):
    server.stages_as_module = stages_as_module
    account.sync()
    before = {name: set(account.latest(name)) for name in ("Deal_Timeline", "Stage_History")}
    server.purge(server.now - pd.Timedelta("90D"))
    account.sync(full=True)
    assert {name: set(account.latest(name)) for name in before} == before
    assert all(before.values())


# deletes and merges


def test_deletes_and_merges_follow(server, account, tmp_path):
    account.sync()
    server.clock.advance(3600)
    gone, loser, winner = server.open_deals()[:3]
    server.apply(DealDeletion(gone))
    server.apply(DealMerge(loser, winner))
    account.sync()
    assert not {gone, loser} & account.latest(DEALS).keys()
    assert winner in account.latest(DEALS)
    same(account.tables(), exported(server, tmp_path / "export"))


# too many calls


def test_too_many_calls_timelines_are_read_once_and_of_changed_deals_only(server, account, tmp_path):
    account.sync()
    timelines = {path: n for path, n in account.asked.items() if path.endswith("/__timeline")}
    first = min(server.records.live(DEALS), key=lambda each: (each.modified_at.floor("s"), each.record_id)).record_id
    assert timelines.pop(f"Deals/{first}/__timeline") == 2  # and once when rights were checked
    assert set(timelines.values()) == {1}
    latest = max(each.modified_at for each in server.records.live(DEALS))
    again = {each.record_id for each in server.records.live(DEALS) if each.modified_at > latest - pd.Timedelta("11min")}
    server.clock.advance(3600)
    changed = server.open_deals()[:4]
    for deal_id in changed:
        server.apply(DealEdit(deal_id, {"amount": 5.0}))
    account.asked.clear()
    account.sync()
    timelines = {path: n for path, n in account.asked.items() if path.endswith("/__timeline")}
    expected = {f"Deals/{each}/__timeline" for each in {first, *again, *changed}}
    assert {f"Deals/{each}/__timeline" for each in changed} <= timelines.keys() <= expected
    assert set(timelines.values()) == {1}
    same(account.tables(), exported(server, tmp_path / "export"))


def test_too_many_calls_a_deal_that_nobody_changed_has_no_timeline_to_read(server, account):
    for record in server.records.live(DEALS):
        server.records.add(DEALS, record.record_id, record.values, record.created_at, record.created_at)
        server.roles.pop(record.record_id, None)
    server.revision += 1
    account.sync()
    assert sum(n for path, n in account.asked.items() if path.endswith("/__timeline")) == 1  # the check of rights


def test_too_many_calls_are_told_before_the_first_sync(server, account):
    plan = account.source(credits_kept=1000).describe().plan
    assert "about 182 requests for 60 deals" in plan
    assert "(enterprise) has 60,000 API credits" in plan
    assert "1,000 of them for others" in plan
    server.organisation["license_details"] = {"paid": True, "paid_type": "free", "users_license_purchased": 3}
    description = account.source(credits_kept=4900).describe()
    assert "it takes 3 days" in description.plan
    assert description.plan in description.remarks
    assert "lower it" in account.source(credits_kept=5000).describe().plan
    server.organisation["license_details"] = {"paid": True, "paid_type": "special"}
    assert "is not told" in account.source().describe().plan


def test_too_many_calls_spread_over_days(server, account, tmp_path):
    limiter = server.rate_limiter
    limiter.credits, told, days = 90, [], 0
    while days < 12:
        days += 1
        limiter.used = 0
        try:
            account.sync()
        except CRMLimitError as error:
            told.append(str(error))
            server.clock.advance(86_400)
            limiter.expire()
        else:
            break
    assert 3 <= days <= 8
    left = [
        re.search(r"(Deal_Timeline|Contact_Roles) is read of (\d+) of 60 deals; about (\d+) requests", each)
        for each in told
    ]
    left = [int(each[3]) for each in left if each]
    assert left == sorted(left, reverse=True)
    assert len(set(left)) >= 2
    same(account.tables(), exported(server, tmp_path / "export"))


# hidden fields


def test_hidden_fields_are_told_by_name(server, account):
    server.reads.hidden |= {(DEALS, "Amount"), (DEALS, "Lead_Source"), ("Calls", "Call_Start_Time")}
    mapped = mapped_columns(PROFILE, account.source().objects)
    hidden = account.source().describe(mapped).hidden
    assert {name: set(fields) for name, fields in hidden.items()} == {
        DEALS: {"Amount", "Lead_Source"},
        "Calls": {"Call_Start_Time"},
    }
    assert account.source().describe().hidden == {}
    assert account.sync().hidden == hidden


def test_hidden_fields_of_the_users_profile(server, account):
    server.reads.profile = STANDARD
    for module, name, key in ((DEALS, "Amount", STANDARD), (DEALS, "Type", ADMINISTRATOR)):
        server.all_definitions[module][name]["profiles"] = [
            {"permission_type": "hidden" if each == key else "read_only", "name": "P", "id": each}
            for each in (STANDARD, ADMINISTRATOR)
        ]
    mapped = mapped_columns(PROFILE, account.source().objects)
    assert account.source().describe(mapped).hidden == {DEALS: ("Amount",)}


def test_nothing_is_hidden_from_an_administrator(server, account):
    del server.definitions["Currency"], server.definitions["Pipeline"], server.definitions["Exchange_Rate"]
    mapped = mapped_columns(PROFILE, account.source().objects)
    assert account.source().describe(mapped).hidden == {}


# currencies


def test_currencies_of_an_organisation_with_one(server, account):
    account.sync()
    (own,) = account.latest("Currencies").values()
    assert (own["iso_code"], own["is_base"], float(own["exchange_rate"])) == ("USD", True, 1.0)
    assert {each["Exchange_Rate"] for each in account.latest(DEALS).values()} == {1.0}


def test_currencies_of_an_organisation_with_several(server, account):
    server.have_currencies(("USD", "US Dollar", "1.000000000"), ("EUR", "Euro", "0.900000000"))
    account.sync()
    found = account.latest("Currencies")
    assert {key: (each["exchange_rate"], each["is_base"]) for key, each in found.items()} == {
        "USD": ("1.000000000", True),
        "EUR": ("0.900000000", False),
    }
    server.rate_limiter.scopes.discard("ZohoCRM.settings.currencies.READ")
    assert "ZohoCRM.settings.currencies.READ" in account.sync().skipped["Currencies"]


# touches


def test_touches_come_with_what_became_of_them_and_with_people_by_id_only(server, account):
    account.sync()
    outbound = [each for each in account.latest("Calls").values() if each["Call_Type"] == "Outbound"]
    assert {each["Outgoing_Call_Status"] for each in outbound} == {"Completed"}
    assert {each["Status"] for each in account.latest("Tasks").values()} == {"Completed"}
    meetings = account.latest("Events")
    for key, values in meetings.items():
        told = next(each for each in server.records.live("Events") if each.record_id == key).values["Participants"]
        ids = {kind: [each["participant"] for each in told if each["type"] == kind] for kind in ("contact", "user")}
        assert (values["Participant_Contacts"], values["Participant_Users"]) == (ids["contact"], ids["user"])
    assert "example.com" not in json.dumps([each.get("Participant_Contacts") for each in meetings.values()])
    assert all("Participants" not in each for each in meetings.values())


def test_people_of_meetings_can_be_erased(server, account):
    account.sync()
    key, values = next(iter(account.latest("Events").items()))
    contact = values["Participant_Contacts"][0]
    erased = Erased(b"key")
    erased.add("contact", [contact])
    scrubber = Scrubber(erased)
    _, scrubbed = scrubber.record("Events", key, values)
    assert contact not in json.dumps(scrubbed)


# the whole: changes at random, stops, refusals


def test_faithful_after_refusals_have_been_mended(server, account, tmp_path):
    server.rate_limiter.no_permission = {"Tasks"}
    assert account.sync().skipped.keys() == {"Tasks"}
    server.rate_limiter.no_permission = set()
    server.clock.advance(3600)
    list(apply_random_changes(server, np.random.default_rng(4), 40))
    assert account.sync().skipped == {}
    same(account.tables(), exported(server, tmp_path / "export"))


def test_no_answer_points_to_zoho(server, account):
    form = {"client_id": server.rate_limiter.client_id, "client_secret": server.rate_limiter.client_secret}
    form |= {"grant_type": "refresh_token", "refresh_token": server.rate_limiter.refresh_token}
    with httpx.Client(base_url=account.address) as client:
        told = client.post("/oauth/v2/token", data=form)
        assert told.json()["api_domain"] == account.address
        client.headers["Authorization"] = f"Zoho-oauthtoken {told.json()['access_token']}"
        paths = ["org", "users", "settings/fields?module=Deals", "settings/layouts?module=Deals", "settings/modules"]
        paths += [
            "Deals?fields=Deal_Name",
            "settings/pipeline?layout_id=1",
            f"Deals/{server.open_deals()[0]}/__timeline",
        ]
        for path in paths:
            answer = client.get(f"/crm/v8/{path}")
            assert answer.status_code == 200
            assert not re.search(r"zohoapis|zoho\.(com|eu|in|jp)", answer.text), path
