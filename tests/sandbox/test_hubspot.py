import json

import httpx
import numpy as np
import pandas as pd
import pytest

from winpredict.ingest.importing import import_files
from winpredict.ingest.profiles import load_profile
from winpredict.simulate.world import simulate
from winpredict_sandbox.changes import Closing, DealDeletion, DealMerge, Reopening, apply_random_changes
from winpredict_sandbox.hubspot.server import HubSpotServer
from winpredict_sandbox.hubspot.world import hubspot_id, world_number
from winpredict_sandbox.serving import served

pytest.importorskip("fastapi")

OBJECTS = "/crm/objects/2026-09"


@pytest.fixture(scope="module")
def small_world():
    return simulate(120, seed=3)


@pytest.fixture
def server(small_world):
    return HubSpotServer.of(small_world)


@pytest.fixture
def client(server):
    headers = {"Authorization": f"Bearer {server.rate_limiter.private_token}"}
    with served(server.app, server.clock) as address, httpx.Client(base_url=address, headers=headers) as client:
        yield client


def ids(answer):
    return [each["id"] for each in answer.json()["results"]]


def search(client, name, filters, **body):
    told = [{"propertyName": each, "operator": operator, "value": str(value)} for each, operator, value in filters]
    return client.post(f"{OBJECTS}/{name}/search", json={"filterGroups": [{"filters": told}], **body})


def read(client, name, *record_ids, **body):
    inputs = [{"id": each} for each in record_ids]
    return client.post(f"{OBJECTS}/{name}/batch/read", json={"inputs": inputs, "properties": [], **body})


def update(client, *inputs):
    return client.post(f"{OBJECTS}/deals/batch/update", json={"inputs": list(inputs)})


def change(deal_id, trace=False, **properties):
    return {"id": deal_id, "properties": properties} | ({"objectWriteTraceId": deal_id} if trace else {})


def test_lists_end_and_are_in_the_order_of_ids(client):
    first = client.get(f"{OBJECTS}/deals", params={"limit": 70})
    after = first.json()["paging"]["next"]["after"]
    second = client.get(f"{OBJECTS}/deals", params={"limit": 70, "after": after})
    found = ids(first) + ids(second)
    assert found == [hubspot_id("deals", number) for number in range(120)]
    assert "paging" not in second.json()
    assert client.get(f"{OBJECTS}/deals", params={"limit": 101}).status_code == 400
    assert client.get(f"{OBJECTS}/cats").status_code == 400


def test_addresses_end_somewhere(client):
    assert client.get(f"{OBJECTS}/deals", params={"properties": ",".join(["region"] * 1000)}).status_code == 414


def test_searches_are_sorted_and_end_at_their_limit(server, client):
    server.limits.search_results = 30
    stamps = [("hs_lastmodifieddate", "GTE", 0)]
    sort = [{"propertyName": "hs_lastmodifieddate", "direction": "ASCENDING"}]
    page = search(client, "deals", stamps, sorts=sort, limit=20).json()
    assert page["total"] == 120
    assert page["paging"]["next"]["after"] == "20"
    moments = [each["properties"]["hs_lastmodifieddate"] for each in page["results"]]
    assert moments == sorted(moments)
    assert search(client, "deals", stamps, sorts=sort, limit=20, after="20").status_code == 400
    assert search(client, "deals", stamps, limit=201).status_code == 400
    assert search(client, "deals", [("hs_object_id", "GT", hubspot_id("deals", 117))]).json()["total"] == 2


def test_all_values_are_texts_and_histories_start_with_the_newest(server, client):
    deal_id = server.closed_deals()[0]
    names = list(server.definitions)
    (deal,) = read(client, "deals", deal_id, properties=names, propertiesWithHistory=["dealstage"]).json()["results"]
    assert {type(value) for value in deal["properties"].values()} == {str, type(None)}
    steps = deal["propertiesWithHistory"]["dealstage"]
    assert [each["timestamp"] for each in steps] == sorted((each["timestamp"] for each in steps), reverse=True)
    assert steps[0]["value"] == deal["properties"]["dealstage"]
    (call,) = client.get(f"{OBJECTS}/calls", params={"limit": 1, "properties": "hs_timestamp"}).json()["results"]
    assert call["properties"]["hs_timestamp"].isdigit()
    many = [hubspot_id("deals", number) for number in range(51)]
    assert read(client, "deals", *many, propertiesWithHistory=["amount"]).status_code == 400
    assert read(client, "deals", *many).status_code == 200


def test_a_close_stamps_the_stages_that_were_skipped(server, client):
    deal_id = next(each for each in server.open_deals() if len(_stages(server, each)) == 1)
    server.apply(Closing(deal_id, won=True))
    names = [
        "hs_date_entered_contractsent",
        "hs_date_entered_closedwon",
        "hs_is_closed_won",
        "hs_deal_stage_probability",
    ]
    (deal,) = read(client, "deals", deal_id, properties=names).json()["results"]
    assert deal["properties"]["hs_date_entered_contractsent"] == deal["properties"]["hs_date_entered_closedwon"]
    assert (deal["properties"]["hs_is_closed_won"], deal["properties"]["hs_deal_stage_probability"]) == ("true", "1.0")
    server.apply(Reopening(deal_id, "Contract Sent"))
    assert deal_id in server.open_deals()


def _stages(server, deal_id):
    return server.records.get("deals", deal_id).values["history"]["dealstage"]


def test_deleted_records_are_listed_apart(server, client):
    deal_id = server.open_deals()[0]
    assert client.delete(f"{OBJECTS}/deals/{deal_id}").status_code == 204
    assert deal_id not in ids(client.get(f"{OBJECTS}/deals", params={"limit": 100}))
    (gone,) = client.get(f"{OBJECTS}/deals", params={"archived": "true"}).json()["results"]
    assert (gone["id"], gone["archived"], gone["archivedAt"]) == (deal_id, True, gone["updatedAt"])
    answer = read(client, "deals", deal_id, server.open_deals()[0])
    assert (answer.status_code, len(answer.json()["results"])) == (207, 1)
    assert answer.json()["errors"][0]["context"] == {"ids": [deal_id]}


def test_a_merge_makes_a_new_record_that_both_ids_lead_to(server, client):
    winner, loser = server.open_deals()[:2]
    touches = [*server.pairs.of("deals", winner, "emails"), *server.pairs.of("deals", loser, "emails")]
    before = {each: server.records.get("emails", each).modified_at for each in touches}
    body = {"primaryObjectId": winner, "objectIdToMerge": loser}
    new_id = client.post(f"{OBJECTS}/deals/merge", json=body).json()["id"]
    assert new_id not in (winner, loser)
    assert ids(read(client, "deals", winner)) == ids(read(client, "deals", loser)) == [new_id]
    assert ids(client.get(f"{OBJECTS}/deals", params={"archived": "true"})) == []
    (deal,) = read(client, "deals", new_id, properties=["hs_merged_object_ids"]).json()["results"]
    assert deal["properties"]["hs_merged_object_ids"] == f"{winner};{loser}"
    assert set(touches) == set(server.pairs.of("deals", new_id, "emails"))
    assert before == {each: server.records.get("emails", each).modified_at for each in touches}


def test_associations_come_in_pages_and_the_main_company_twice(server, client):
    server.limits.links_page = 2
    deal_id = max(server.open_deals(), key=lambda each: len(server.pairs.of("deals", each, "emails")))
    path = "/crm/associations/2026-09/deals"
    answer = client.post(f"{path}/emails/batch/read", json={"inputs": [{"id": deal_id}, {"id": "19"}]})
    (row,) = answer.json()["results"]
    assert (answer.status_code, len(row["to"]), row["paging"]["next"]["after"]) == (207, 2, "2")
    assert answer.json()["errors"][0]["subCategory"] == "crm.associations.NO_ASSOCIATIONS_FOUND"
    listed = client.get(f"{OBJECTS}/deals", params={"associations": "companies", "limit": 1}).json()["results"][0]
    kinds = [each["type"] for each in listed["associations"]["companies"]["results"]]
    assert kinds == ["deal_to_company_unlabeled", "deal_to_company"]


def test_writes_are_logged_and_kept_in_the_history(server, client):
    deal_id = server.open_deals()[0]
    answer = update(client, change(deal_id, amount="1234.5"), change("1", amount="5"))
    assert (answer.status_code, ids(answer)) == (207, [deal_id])
    assert server.writes == [(deal_id, "amount", "1234.5")]
    assert server.records.get("deals", deal_id).values["history"]["amount"][-1][1] == "1234.5"
    assert server.amount(deal_id) == 1234.5


def test_a_refused_record_fails_alone_with_trace_ids_and_else_all(server, client):
    one, other = server.open_deals()[:2]
    server.changing.rules.append(lambda values: "too much" if values.get("amount") == "7" else "")
    whole = update(client, change(one, amount="7"), change(other, amount="8"))
    assert (whole.status_code, server.writes) == (400, [])
    parts = update(client, change(one, trace=True, amount="7"), change(other, trace=True, amount="8"))
    assert (parts.status_code, ids(parts)) == (207, [other])
    (error,) = parts.json()["errors"]
    assert error["context"] == {"objectWriteTraceId": [one]}
    assert "too much" in error["message"]
    assert server.writes == [(other, "amount", "8")]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("amount", "much", "INVALID_NUMBER"),
        ("closedate", "soon", "INVALID_DATETIME"),
        ("nothing", "1", "PROPERTY_DOESNT_EXIST"),
        ("hs_is_closed", "true", "READ_ONLY_VALUE"),
    ],
)
def test_values_are_checked(server, client, name, value, said):
    answer = update(client, change(server.open_deals()[0], **{name: value}))
    assert answer.status_code == 400
    assert said in answer.json()["message"]


def test_tokens_and_scopes(server, client):
    rate_limiter = server.rate_limiter
    assert client.get(f"{OBJECTS}/deals", headers={"Authorization": "Bearer x"}).status_code == 401
    rate_limiter.scopes.discard("crm.objects.deals.read")
    refused = client.get(f"{OBJECTS}/deals")
    assert refused.status_code == 403
    assert refused.json()["errors"][0]["context"] == {"requiredGranularScopes": ["crm.objects.deals.read"]}
    form = {
        "grant_type": "refresh_token",
        "client_id": rate_limiter.client_id,
        "client_secret": rate_limiter.client_secret,
    }
    assert client.post("/oauth/2026-09/token", data={**form, "refresh_token": "x"}).status_code == 400
    rate_limiter.token_lasts = 1
    said = client.post("/oauth/2026-09/token", data={**form, "refresh_token": rate_limiter.refresh_token}).json()
    headers = {"Authorization": f"Bearer {said['access_token']}"}
    assert [client.get(f"{OBJECTS}/companies", headers=headers).status_code for _ in range(2)] == [200, 401]
    assert {
        rate_limiter.private_token,
        rate_limiter.client_secret,
        rate_limiter.refresh_token,
        said["access_token"],
    } == set(server.secrets)


def test_limits_name_their_policy(server, client):
    server.rate_limiter.throttle("TEN_SECONDLY_ROLLING", retry_after=3)
    first = client.get(f"{OBJECTS}/deals")
    assert (first.status_code, first.headers["retry-after"]) == (429, "3")
    assert first.json()["policyName"] == "TEN_SECONDLY_ROLLING"
    left = int(client.get(f"{OBJECTS}/deals").headers["x-hubspot-ratelimit-daily-remaining"])
    assert left == server.rate_limiter.per_day - 1
    server.rate_limiter.searches_per_s = 1
    answers = [search(client, "deals", []) for _ in range(2)]
    assert [each.json().get("policyName") for each in answers] == [None, "SECONDLY"]
    assert "x-hubspot-ratelimit-daily" not in answers[0].headers
    server.rate_limiter.per_day = 3
    assert client.get(f"{OBJECTS}/deals").json()["policyName"] == "DAILY"


def test_the_export_is_the_world(small_world, server, tmp_path):
    server.export(tmp_path)
    result = import_files([tmp_path], load_profile("hubspot"), now=server.clock.now)
    assert [cause for cause in result.repairs if not cause.endswith("(left out)")] == []
    deals, known = result.crm.deals, small_world.crm.deals
    numbers = known["deal_id"].map(world_number)
    assert deals["deal_id"].tolist() == [hubspot_id("deals", number) for number in numbers]
    for name in ("outcome", "created_at", "closed_at", "amount", "deal_type", "lead_source", "region", "product"):
        pd.testing.assert_series_equal(deals[name], known[name])
    assert set(result.crm.attributes) == {
        "region",
        "competitor",
        "campaign_code",
        "contract_signed",
        "closed_lost_reason",
        "closed_won_reason",
    }
    touches = small_world.crm.activities
    assert len(result.crm.activities) == len(touches)
    assert sorted(result.crm.activities["activity_type"]) == sorted(touches["activity_type"])
    assert sorted(result.crm.activities["recorded_at"]) == sorted(touches["recorded_at"])
    assert result.crm.users["name"].tolist() == small_world.crm.users["name"].tolist()
    assert result.crm.contacts is None


def test_exports_hold_live_records_only(server, tmp_path):
    gone, winner, loser = server.open_deals()[:3]
    server.apply(DealDeletion(gone))
    server.apply(DealMerge(loser, winner))
    server.export(tmp_path)
    found = {json.loads(line)["id"] for line in (tmp_path / "deals.jsonl").read_text().splitlines()}
    assert len(found) == 119 - 1
    assert not {gone, winner, loser} & found


def test_a_company_lives_on(server):
    happened = list(apply_random_changes(server, np.random.default_rng(0), 200))
    assert len({type(each) for each in happened}) == 9
