import numpy as np
import pandas as pd
import pytest

pytest.importorskip("fastapi")
from fastapi.testclient import TestClient

from winpredict.simulate.world import simulate
from winpredict_sandbox.changes import (
    AccountMerge,
    Closing,
    DealDeletion,
    DealEdit,
    DealMerge,
    NewDeal,
    NewTouch,
    Reopening,
    TouchDeletion,
    apply_random_changes,
)
from winpredict_sandbox.salesforce.server import SalesforceServer

DATA = "/services/data/v65.0"


@pytest.fixture(scope="module")
def world():
    return simulate(deals=60, seed=3)


@pytest.fixture
def server(world):
    return SalesforceServer.of(world, seed=1)


@pytest.fixture
def http(server):
    client = TestClient(server.app)
    form = {
        "grant_type": "client_credentials",
        "client_id": server.client_id,
        "client_secret": server.client_secret,
    }
    token = client.post("/services/oauth2/token", data=form).json()["access_token"]
    client.headers["Authorization"] = f"Bearer {token}"
    return client


def asked(http, soql, resource="query"):
    return http.get(f"{DATA}/{resource}", params={"q": soql})


def rows(http, soql, resource="query"):
    return asked(http, soql, resource).json()["records"]


def code(answer):
    return answer.status_code, answer.json()[0]["errorCode"]


def test_who_is_not_signed_in_is_refused(server, http):
    assert code(http.get(f"{DATA}/query", headers={"Authorization": "Bearer nobody"})) == (401, "INVALID_SESSION_ID")
    assert http.get("/services/data/", headers={"Authorization": ""}).status_code == 200


def test_wrong_credentials_give_no_token(server, http):
    form = {"grant_type": "client_credentials", "client_id": server.client_id, "client_secret": "guess"}
    answer = http.post("/services/oauth2/token", data=form)
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_client"


def test_tokens_expire_by_requests_and_by_time(server, http):
    server.behaviour.token_requests = 2
    soql = "SELECT Id FROM User LIMIT 1"
    assert [asked(http, soql).status_code for _ in range(3)] == [200, 200, 401]
    server.behaviour.token_requests = 0
    assert asked(http, soql).status_code == 200
    server.clock.advance(3 * 3600)
    assert asked(http, soql).status_code == 401


def test_requests_are_counted_and_run_out(server, http):
    soql = "SELECT Id FROM User LIMIT 1"
    assert asked(http, soql).headers["sforce-limit-info"] == "api-usage=1/1000000"
    server.behaviour.daily_limit = 1
    assert code(asked(http, soql)) == (403, "REQUEST_LIMIT_EXCEEDED")


@pytest.mark.parametrize(
    ("where", "wanted"),
    [
        ("Name = 'Rep 1'", 1),
        ("Name IN ('Rep 1', 'Rep 2', 'Nobody')", 2),
        ("Name != 'Rep 1' AND IsActive = true", 9),
        ("Name = 'Rep 1' OR Name = 'Rep 2'", 2),
        ("Name > 'Rep 7' AND (Name = 'Rep 8' OR Name = 'Rep 9')", 2),
        ("ManagerId = null", 0),
        (r"Name = 'O\'Neil'", 0),
        ("CreatedDate < 2023-01-02T00:00:00Z", 0),
        ("CreatedDate <= 2023-01-02T01:00:00+01:00", 10),
    ],
)
def test_conditions(http, where, wanted):
    assert len(rows(http, f"SELECT Id FROM User WHERE {where}")) == wanted


@pytest.mark.parametrize(
    ("soql", "expected"),
    [
        ("SELECT Nothing FROM User", "INVALID_FIELD"),
        ("SELECT Id FROM Nothing", "INVALID_TYPE"),
        ("SELECT Id FROM VoiceCall", "INVALID_TYPE"),
        ("SELECT Id User", "MALFORMED_QUERY"),
        ("SELECT Id FROM User WHERE Name = 'a' AND Name = 'b' OR Name = 'c'", "MALFORMED_QUERY"),
        ("SELECT Id FROM User WHERE CreatedDate > '2023-01-02T00:00:00Z'", "INVALID_FIELD"),
        ("SELECT Id FROM OpportunityFieldHistory WHERE NewValue = 'x'", "INVALID_FIELD"),
        ("SELECT Id FROM User WHERE", "MALFORMED_QUERY"),
        ("SELECT Id FROM User LIMIT 1; DROP", "MALFORMED_QUERY"),
    ],
)
def test_refused_queries(http, soql, expected):
    assert code(asked(http, soql)) == (400, expected)


def test_rows_come_typed_with_their_attributes_and_in_order(server, http):
    soql = "SELECT Id, Amount, IsWon, CreatedDate FROM Opportunity ORDER BY Amount DESC, Id LIMIT 5"
    found = rows(http, soql)
    assert found[0]["attributes"]["type"] == "Opportunity"
    assert isinstance(found[0]["Amount"], float)
    assert isinstance(found[0]["IsWon"], bool)
    assert found[0]["CreatedDate"].endswith(".000+0000")
    amounts = [each["Amount"] for each in found]
    assert amounts == sorted(amounts, reverse=True)
    count = asked(http, "SELECT COUNT() FROM Opportunity").json()
    assert count == {"totalSize": 60, "done": True, "records": []}


def test_pages_end_where_they_end(server, http):
    server.behaviour.page_rows = 25
    page = asked(http, "SELECT Id FROM Opportunity ORDER BY Id").json()
    sizes, ids = [], []
    while True:
        sizes.append(len(page["records"]))
        ids += [each["Id"] for each in page["records"]]
        if page["done"]:
            break
        page = http.get(page["nextRecordsUrl"]).json()
    assert sizes == [25, 25, 10]
    assert len(set(ids)) == 60
    assert "nextRecordsUrl" not in page


def test_only_the_newest_cursors_are_kept(server, http):
    server.behaviour.page_rows, server.behaviour.cursors = 25, 2
    first = asked(http, "SELECT Id FROM Opportunity").json()["nextRecordsUrl"]
    for _ in range(2):
        asked(http, "SELECT Id FROM Opportunity")
    assert code(http.get(first)) == (400, "INVALID_QUERY_LOCATOR")


def test_deleted_and_archived_rows_come_by_query_all_only(server, http):
    deal = server.open_deals()[0]
    server.apply(DealDeletion(deal))
    soql = f"SELECT Id, IsDeleted FROM Opportunity WHERE Id = '{deal}'"
    assert rows(http, soql) == []
    assert [each["IsDeleted"] for each in rows(http, soql, "queryAll")] == [True]
    old = "SELECT COUNT() FROM Task WHERE ActivityDate < 2024-01-01"
    assert asked(http, old).json()["totalSize"] == 0
    assert asked(http, old, "queryAll").json()["totalSize"] > 0


def test_a_deleted_deal_takes_its_parts_along_and_brings_them_back(server, http):
    deal = next(each for each in server.open_deals() if server._parts.get(each))
    parts = list(server._parts[deal])
    server.apply(DealDeletion(deal))
    assert deal not in server.open_deals()
    assert all(server.records.get(name, part).deleted_at is not None for name, part in parts)
    server.restore_deal(deal)
    assert deal in server.open_deals()
    assert all(server.records.get(name, part).deleted_at is None for name, part in parts)


def test_merged_accounts_hand_over_their_deals(server, http):
    deal = server.open_deals()[0]
    loser = server.records.get("Opportunity", deal).values["AccountId"]
    winner = next(each for each in server.accounts() if each != loser)
    server.apply(AccountMerge(loser, winner))
    soql = f"SELECT Id, IsDeleted, MasterRecordId FROM Account WHERE Id = '{loser}'"
    gone = rows(http, soql, "queryAll")[0]
    assert (gone["IsDeleted"], gone["MasterRecordId"]) == (True, winner)
    assert server.records.get("Opportunity", deal).values["AccountId"] == winner
    assert loser not in server.accounts()


def test_changes_write_the_histories(server, http):
    deal = server.open_deals()[0]
    before = server.records.get("Opportunity", deal).values["OwnerId"]
    owner = next(each for each in server.owners() if each != before)
    at = server.clock.now
    server.apply(DealEdit(deal, {"amount": 12345.0, "owner_id": owner, "region": "West", "expected_close_in_days": 10}))
    stamp = f"{at:%Y-%m-%dT%H:%M:%SZ}"
    soql = f"SELECT Amount, StageName FROM OpportunityHistory WHERE OpportunityId = '{deal}' AND CreatedDate >= {stamp}"
    assert [each["Amount"] for each in rows(http, soql)] == [12345.0]
    soql = f"SELECT DataType, OldValue, NewValue FROM OpportunityFieldHistory WHERE CreatedDate >= {stamp}"
    written = {each["DataType"]: (each["OldValue"], each["NewValue"]) for each in rows(http, soql)}
    assert written["EntityId"] == (before, owner)
    assert written["Text"][1].startswith("Rep ")
    server.apply(DealEdit(deal, {"region": "East"}))
    soql = f"SELECT Id FROM OpportunityHistory WHERE CreatedDate > {stamp}"
    assert rows(http, soql) == []


def test_closing_and_reopening(server):
    deal = server.open_deals()[0]
    server.apply(Closing(deal, won=True))
    values = server.records.get("Opportunity", deal).values
    assert (values["StageName"], values["Probability"], values["IsWon"]) == ("Closed Won", 100, True)
    assert values["Contract_Signed__c"]
    assert deal in server.closed_deals()
    server.apply(Reopening(deal, "Qualification"))
    values = server.records.get("Opportunity", deal).values
    assert (values["StageName"], values["IsClosed"]) == ("Qualification", False)
    assert deal in server.open_deals()
    server.apply(Closing(deal, won=False))
    assert server.records.get("Opportunity", deal).values["Loss_Reason__c"]


def test_new_deals_and_touches(server):
    deals, touches = len(server.open_deals()), len(server.touches())
    server.apply(NewDeal(server.open_deals()[0]))
    deal = server.open_deals()[-1]
    server.apply(NewTouch(deal, "call"))
    server.apply(NewTouch(deal, "meeting"))
    assert (len(server.open_deals()), len(server.touches())) == (deals + 1, touches + 2)
    server.apply(TouchDeletion(server.touches()[-1]))
    assert len(server.touches()) == touches + 1
    with pytest.raises(ValueError, match="merges no opportunities"):
        server.apply(DealMerge("a", "b"))


def test_random_changes_keep_the_books_straight(server):
    done = list(apply_random_changes(server, np.random.default_rng(0), 200))
    assert len({type(each) for each in done}) == 8
    live = {each.record_id: each.values["IsClosed"] for each in server.records.live("Opportunity")}
    assert set(server.open_deals()) == {each for each, closed in live.items() if not closed}
    assert set(server.closed_deals()) == {each for each, closed in live.items() if closed}
    assert set(server.touches()) == {each.record_id for name in ("Task", "Event") for each in server.records.live(name)}


def test_team_members_vanish_and_stand_in_the_list_of_removals_only(server, http):
    deal, user = server.open_deals()[0], server.owners()[0]
    member = server.join_team(deal, user)
    server.leave_team(member)
    soql = f"SELECT Id FROM OpportunityTeamMember WHERE Id = '{member}'"
    assert rows(http, soql, "queryAll") == []
    now = server.clock.now

    def listed(start, end):
        params = {"start": f"{start:%Y-%m-%dT%H:%M:%S}+00:00", "end": f"{end:%Y-%m-%dT%H:%M:%S}+00:00"}
        return http.get(f"{DATA}/sobjects/OpportunityTeamMember/deleted/", params=params)

    minute = pd.Timedelta("1min")
    found = listed(now - 5 * minute, now + minute).json()
    assert [each["id"] for each in found["deletedRecords"]] == [member]
    assert listed(now - 9 * minute, now - 5 * minute).json()["deletedRecords"] == []
    assert code(listed(now, now)) == (400, "INVALID_REPLICATION_DATE")
    assert code(listed(now - pd.Timedelta("31D"), now)) == (400, "INVALID_REPLICATION_DATE")


def test_bulk_jobs_come_in_states_and_pages(server, http):
    body = {"operation": "queryAll", "query": "SELECT Id, Amount, IsWon, CreatedDate FROM Opportunity"}
    job = http.post(f"{DATA}/jobs/query", json=body).json()
    path = f"{DATA}/jobs/query/{job['id']}"
    assert job["state"] == "UploadComplete"
    assert code(http.get(f"{path}/results")) == (400, "INVALIDJOBSTATE")
    assert [http.get(path).json()["state"] for _ in range(2)] == ["InProgress", "JobComplete"]
    first = http.get(f"{path}/results", params={"maxRecords": 50})
    assert first.headers["sforce-numberofrecords"] == "50"
    rest = http.get(f"{path}/results", params={"maxRecords": 50, "locator": first.headers["sforce-locator"]})
    assert (rest.headers["sforce-numberofrecords"], rest.headers["sforce-locator"]) == ("10", "null")
    header, row = first.text.splitlines()[:2]
    assert header == '"Id","Amount","IsWon","CreatedDate"'
    assert '"true"' in row or '"false"' in row
    assert row.endswith('.000Z"')
    assert http.delete(path).status_code == 204
    assert code(http.get(path)) == (404, "NOT_FOUND")


def test_bulk_refuses_what_it_cannot(server, http):
    def made(query):
        return http.post(f"{DATA}/jobs/query", json={"operation": "query", "query": query})

    assert code(made("SELECT COUNT() FROM Account")) == (400, "API_ERROR")
    assert code(made("SELECT BillingAddress FROM Account")) == (400, "FUNCTIONALITY_NOT_ENABLED")
    server.behaviour.without_bulk = ("User",)
    assert code(made("SELECT Id FROM User")) == (400, "INVALIDENTITY")


def test_jobs_expire(server, http):
    job = http.post(f"{DATA}/jobs/query", json={"operation": "query", "query": "SELECT Id FROM User"}).json()
    server.clock.advance(8 * 86_400)
    server.behaviour.token_lives = pd.Timedelta("30D")
    assert http.get(f"{DATA}/jobs/query/{job['id']}").status_code == 404


def patched(http, *records):
    body = {"allOrNone": False, "records": [{"attributes": {"type": "Opportunity"}, **each} for each in records]}
    return http.patch(f"{DATA}/composite/sobjects", json=body)


def test_writes_succeed_and_fail_each_for_itself(server, http):
    good, locked, refused, gone = server.open_deals()[:4]
    server.locks[locked] = 1
    server.refusals[refused] = "Region must be one of ours"
    server.apply(DealDeletion(gone))
    region = {"Region__c": "West"}
    records = [{"id": each, **region} for each in (good, locked, refused, gone, "006000000000000")]
    results = patched(http, *records).json()
    assert [each["success"] for each in results] == [True, False, False, False, False]
    assert [each["errors"][0]["statusCode"] for each in results[1:]] == [
        "UNABLE_TO_LOCK_ROW",
        "FIELD_CUSTOM_VALIDATION_EXCEPTION",
        "ENTITY_IS_DELETED",
        "INVALID_CROSS_REFERENCE_KEY",
    ]
    assert server.writes == [(good, "Region__c", "West")]
    assert patched(http, {"id": locked, **region}).json()[0]["success"]


def test_writes_are_checked(server, http):
    deal = server.open_deals()[0]
    assert code(patched(http, {"id": deal, "Nothing__c": 1})) == (400, "INVALID_FIELD")
    assert code(patched(http, *({"id": deal, "Region__c": "West"} for _ in range(201)))) == (400, "EXCEEDED_MAX_SIZE")
    for name, value, expected in (
        ("IsWon", True, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ("Amount", "much", "NUMBER_OUTSIDE_VALID_RANGE"),
        ("Campaign_Code__c", "x" * 256, "STRING_TOO_LONG"),
        ("Contract_Signed__c", "soon", "INVALID_TYPE_ON_FIELD_IN_RECORD"),
    ):
        assert patched(http, {"id": deal, name: value}).json()[0]["errors"][0]["statusCode"] == expected
    assert server.writes == []


def test_fields_are_made_hidden_and_opened(server, http):
    body = {
        "FullName": "Opportunity.Odds__c",
        "Metadata": {"label": "Odds", "type": "Percent", "precision": 4, "scale": 1},
    }
    made = http.post(f"{DATA}/tooling/sobjects/CustomField", json=body)
    assert made.status_code == 201
    assert code(http.post(f"{DATA}/tooling/sobjects/CustomField", json=body)) == (400, "DUPLICATE_DEVELOPER_NAME")

    def names():
        return [each["name"] for each in http.get(f"{DATA}/sobjects/Opportunity/describe").json()["fields"]]

    assert "Odds__c" not in names()
    right = {
        "attributes": {"type": "FieldPermissions"},
        "ParentId": "0PSDn0000000001",
        "SobjectType": "Opportunity",
        "Field": "Opportunity.Odds__c",
        "PermissionsRead": True,
        "PermissionsEdit": True,
    }
    assert http.post(f"{DATA}/composite/sobjects", json={"records": [right]}).json()[0]["success"]
    assert "Odds__c" in names()
    server.behaviour.customizes = False
    body["FullName"] = "Opportunity.More__c"
    answer = http.post(f"{DATA}/tooling/sobjects/CustomField", json=body)
    assert code(answer) == (403, "INSUFFICIENT_ACCESS_OR_READONLY")


def test_calls_are_recorded_twice_where_asked(world):
    server = SalesforceServer.of(world, seed=1, voice_share=0.5)
    calls = server.records.live("VoiceCall")
    tasks = [each for each in server.records.live("Task") if each.values["TaskSubtype"] == "Call"]
    assert 0.3 < len(calls) / len(tasks) < 0.7
    for call in calls:
        task = server.records.get("Task", call.values["ActivityId"])
        assert task.values["CallObject"] == call.values["VendorCallKey"]
        assert task.values["WhatId"] == call.values["RelatedRecordId"]
        assert task.values["CompletedDateTime"] == call.values["CallEndDateTime"]


def test_the_export_holds_what_is_live(server, tmp_path):
    gone = server.open_deals()[0]
    server.apply(DealDeletion(gone))
    server.export(tmp_path)
    deals = pd.read_csv(tmp_path / "Opportunity.csv", dtype=str)
    assert set(deals["Id"]) == {*server.open_deals(), *server.closed_deals()}
    assert set(deals["IsDeleted"]) == {"false"}
    assert deals["SystemModstamp"].str.endswith("Z").all()
    assert "BillingAddress" not in pd.read_csv(tmp_path / "Account.csv").columns
    assert not (tmp_path / "VoiceCall.csv").exists()
