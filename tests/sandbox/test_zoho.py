import httpx
import numpy as np
import pandas as pd
import pytest

pytest.importorskip("fastapi")

from winpredict.ingest.importing import import_files
from winpredict.ingest.profiles import load_profile
from winpredict.simulate.world import simulate
from winpredict_sandbox.changes import Closing, Company, DealDeletion, DealMerge, Reopening, apply_random_changes
from winpredict_sandbox.serving import served
from winpredict_sandbox.zoho.server import ZohoServer
from winpredict_sandbox.zoho.world import DEALS, STAYS


@pytest.fixture(scope="module")
def world():
    return simulate(deals=40, seed=1)


@pytest.fixture
def server(world):
    return ZohoServer.of(world)


@pytest.fixture
def zoho(server):
    with served(server.app, server.clock) as address, httpx.Client(base_url=address) as client:
        form = {"client_id": server.rate_limiter.client_id, "client_secret": server.rate_limiter.client_secret}
        form |= {"grant_type": "refresh_token", "refresh_token": server.rate_limiter.refresh_token}
        token = client.post("/oauth/v2/token", data=form).json()["access_token"]
        client.headers["Authorization"] = f"Zoho-oauthtoken {token}"
        yield client


def code_of(answer):
    return answer.status_code, answer.json().get("code")


def stays(server, deal_id):
    return [
        (each.values["Stage"], each.values["Moved_To__s"])
        for each in server.records.live(STAYS)
        if each.values["Potential_Name"]["id"] == deal_id
    ]


def test_it_is_a_company_that_goes_on_living(world):
    def lived(server: Company):
        return [type(change).__name__ for change in apply_random_changes(server, np.random.default_rng(1), 80)]

    one, other = ZohoServer.of(world), ZohoServer.of(world)
    assert lived(one) == lived(other)
    assert len(set(lived(one))) >= 7
    assert one.revision > other.revision


def test_a_stay_is_stamped_when_it_begins_and_not_again_when_it_ends(server):
    deal_id = server.open_deals()[0]
    before = stays(server, deal_id)
    last = server.records.live(STAYS)[-1].modified_at
    began = server.now
    server.apply(Closing(deal_id, won=True))
    server.apply(Reopening(deal_id, server.stages[1]))
    after = stays(server, deal_id)
    stage = before[-1][0]
    assert after == [*before[:-1], (stage, "Closed Won"), ("Closed Won", server.stages[1]), (server.stages[1], None)]
    new = [each for each in server.records.all(STAYS) if each.modified_at > last]
    assert [each.modified_at for each in new] == [began, began + pd.Timedelta("1s")]


def test_the_list_ends_where_the_documentation_says(server, zoho):
    url = "/crm/v8/Calls"
    params = {"fields": "Owner", "per_page": 3, "sort_by": "Modified_Time", "sort_order": "asc"}
    first = zoho.get(url, params=params)
    token = first.json()["info"]["next_page_token"]
    assert first.json()["info"]["more_records"]
    assert code_of(zoho.get(url)) == (400, "REQUIRED_PARAM_MISSING")
    assert code_of(zoho.get(url, params={"fields": ",".join("x" * 51)})) == (400, "LIMIT_EXCEEDED")
    again = params | {"page_token": token}
    assert zoho.get(url, params=again).json()["data"][0]["id"] > first.json()["data"][-1]["id"]
    other = again | {"fields": "What_Id"}
    assert code_of(zoho.get(url, params=other)) == (400, "TOKEN_BOUND_DATA_MISMATCH")
    server.limits.by_page = 6
    assert zoho.get(url, params=params | {"page": 2}).status_code == 200
    assert code_of(zoho.get(url, params=params | {"page": 3})) == (400, "DISCRETE_PAGINATION_LIMIT_EXCEEDED")
    server.limits.by_token = 3
    assert code_of(zoho.get(url, params=again)) == (400, "PAGINATION_LIMIT_EXCEEDED")
    server.clock.advance(90_000)
    server.rate_limiter.token_lasts = pd.Timedelta("7D")
    assert code_of(zoho.get(url, params=again)) == (401, "INVALID_TOKEN")


#: What each kind of answer must have, as Zoho's published description of its API says.
SHAPES = {
    "org": {"company_name", "zgid", "id", "iso_code", "mc_status", "time_zone", "license_details", "max_per_page"},
    "license_details": {"paid", "paid_type", "paid_expiry", "trial_type", "trial_expiry", "users_license_purchased"},
    "fields": {
        *("api_name", "field_label", "display_label", "data_type", "json_type", "custom_field", "visible", "read_only"),
        *(
            "field_read_only",
            "profiles",
            "view_type",
            "operation_type",
            "formula",
            "rollup_summary",
            "length",
            "lookup",
        ),
        *("id", "type", "created_source", "layout_associations", "available_in_user_layout", "pick_list_values"),
    },
    "profiles": {"name", "id", "permission_type"},
    "maps": {"display_value", "actual_value", "sequence_number", "forecast_category", "forecast_type", "id"},
    "currencies": {"iso_code", "symbol", "name", "exchange_rate", "is_base", "is_active", "modified_time", "format"},
    "info": {"per_page", "count", "page", "more_records", "next_page_token", "page_token_expiry", "sort_by"},
    "data": {"id"},
    "users": {"id", "full_name", "email", "status", "role", "profile"},
}


@pytest.mark.parametrize(
    "path",
    [
        *("org", "org/currencies", "users?type=AllUsers", "Deals?fields=Stage", "settings/pipeline?layout_id=1"),
        *(f"settings/fields?module={name}" for name in ("Deals", "Calls", "Events", "Tasks", "Notes", "Accounts")),
    ],
)
def test_answers_have_the_shape_that_zoho_publishes(server, zoho, path):
    server.have_currencies(("USD", "US Dollar", "1.000000000"), ("EUR", "Euro", "0.900000000"))
    seen = set()

    def look(name, value):
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, dict):
                if path.startswith("Deals") or name != "info":
                    assert SHAPES.get(name, set()) <= each.keys(), name
                seen.add(name)
                for inner, what in each.items():
                    look(inner, what)

    look("", zoho.get(f"/crm/v8/{path}").json())
    assert seen & SHAPES.keys()


def test_refusals_have_a_code_details_and_a_status(server, zoho):
    server.rate_limiter.no_permission = {"Tasks"}
    server.rate_limiter.not_supported = {"Notes"}
    server.rate_limiter.scopes -= {"ZohoCRM.modules.events.READ"}
    refusals = {
        "Tasks?fields=Owner": (403, "NO_PERMISSION"),
        "Notes?fields=Owner": (400, "NOT_SUPPORTED"),
        "Events?fields=Owner": (401, "OAUTH_SCOPE_MISMATCH"),
        "org/currencies": (400, "CURRENCIES_NOT_ENABLED"),
        "settings/fields": (400, "REQUIRED_PARAM_MISSING"),
        "settings/fields?module=Nothing": (400, "INVALID_MODULE"),
        "nothing/at/all/here": (404, "INVALID_URL_PATTERN"),
        "Deals/1/__timeline": (400, "INVALID_DATA"),
    }
    for path, expected in refusals.items():
        answer = zoho.get(f"/crm/v8/{path}")
        assert code_of(answer) == expected, path
        assert answer.json().keys() == {"code", "details", "message", "status"}


@pytest.mark.parametrize("since", ["yesterday", "2025-13-01T00:00:00Z", "2025-06-01", "999999-01-01T00:00:00Z", "NaT"])
@pytest.mark.parametrize("path", ["Deals?fields=Stage", "Deals/deleted"])
def test_a_bad_date_is_refused_and_no_failure(zoho, path, since):
    answer = zoho.get(f"/crm/v8/{path}", headers={"If-Modified-Since": since})
    assert code_of(answer) == (400, "INVALID_DATA")


def test_a_bad_date_in_a_write_is_refused_and_no_failure(server, zoho):
    deal_id = server.closed_deals()[0]
    for name, value in (("Closing_Date", "2025-02-30"), ("Contract_Signed", "2025-06-01T25:00:00+00:00")):
        answer = zoho.put("/crm/v8/Deals", json={"data": [{"id": deal_id, name: value}]})
        (told,) = answer.json()["data"]
        assert (answer.status_code, told["code"], told["details"]["api_name"]) == (400, "INVALID_DATA", name)
        assert told["details"]["json_path"] == f"$.data[0].{name}"
    for body in (b"{", b"[]", b"null", b'{"data": {}}', b'{"data": [1]}'):
        assert zoho.put("/crm/v8/Deals", content=body).status_code == 400


def test_records_are_counted(server, zoho):
    assert zoho.get("/crm/v8/Deals/actions/count").json() == {"count": 40}


def test_nothing_is_no_body(server, zoho):
    later = {"If-Modified-Since": (server.now + pd.Timedelta("1h")).isoformat()}
    answer = zoho.get("/crm/v8/Deals", params={"fields": "Stage"}, headers=later)
    assert (answer.status_code, answer.content) == (304, b"")
    assert zoho.get("/crm/v8/Deals/deleted").status_code == 204


def test_what_was_deleted_and_merged_is_listed_the_latest_first(server, zoho):
    first, loser, winner = server.open_deals()[:3]
    server.apply(DealDeletion(first))
    server.apply(DealMerge(loser, winner))
    rows = zoho.get("/crm/v8/Deals/deleted", params={"type": "all"}).json()["data"]
    assert [(each["id"], each["type"]) for each in rows] == [(loser, "permanent"), (first, "recycle")]
    assert all(each["deleted_time"].endswith("+05:30") for each in rows)
    related = zoho.get(f"/crm/v8/Deals/{loser}/Contact_Roles", params={"fields": "Contact_Role"})
    assert code_of(related) == (400, "INVALID_DATA")


def test_an_update_may_fail_in_part(server, zoho):
    good, bad = server.open_deals()[:2]
    server.changing.refusals[bad] = "MANDATORY_NOT_FOUND"
    rows = [{"id": good, "Amount": 5}, {"id": bad, "Amount": 5}, {"id": good, "Amount": "x"}, {"id": good, "No": 1}]
    answer = zoho.put("/crm/v8/Deals", json={"data": rows})
    assert answer.status_code == 207
    codes = [each["code"] for each in answer.json()["data"]]
    assert codes == ["SUCCESS", "MANDATORY_NOT_FOUND", "INVALID_DATA", "INVALID_DATA"]
    assert server.writes == [(good, "Amount", 5)]
    assert server.deal(good).values["Amount"] == 5
    assert zoho.put("/crm/v8/Deals", json={"data": rows[1:]}).status_code == 400
    assert code_of(zoho.put("/crm/v8/Deals", json={"data": []})) == (400, "INVALID_DATA")


def test_credits_that_are_left_are_told_once_half_are_used(server, zoho):
    server.rate_limiter.credits = 4
    told = [zoho.get("/crm/v8/org") for _ in range(5)]
    assert [each.headers.get("x-api-credits-remaining") for each in told] == [None, "2", "1", "0", "0"]
    assert [each.status_code for each in told] == [200] * 4 + [429]


def test_secrets_in_an_address_are_refused(server, zoho):
    assert zoho.post(f"/oauth/v2/token?refresh_token={server.rate_limiter.refresh_token}").status_code == 400


def test_the_export_is_what_the_profile_reads(server, world, tmp_path):
    server.export(tmp_path)
    result = import_files([tmp_path], load_profile("zoho"), now=pd.Timestamp("2030-01-01", tz="UTC"))
    told = {cause for cause in result.repairs if not cause.endswith("(left out)")}
    assert told <= {"deals: closed before created, created_at taken as missing (repaired)"}
    outcomes = world.crm.deals["outcome"].value_counts().to_dict()
    assert result.crm.deals["outcome"].value_counts().to_dict() == outcomes
    assert len(result.crm.activities) == len(world.crm.activities)
    assert len(server.records.live(DEALS)) == len(result.crm.deals)
