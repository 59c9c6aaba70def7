"""What counts as a touch, as exports of three CRMs have it."""

import json

import pandas as pd
import pytest

from winpredict.ingest.importing import Imported, import_files
from winpredict.ingest.profiles import load_profile

NOW = pd.Timestamp("2025-03-01T12:00Z")
OPPORTUNITIES = """Id,IsDeleted,Name,CreatedDate,CloseDate,IsClosed,IsWon,SystemModstamp,StageName,Amount,OwnerId
006A1,false,One,2025-01-02T08:00:00.000Z,2025-03-01,true,true,2025-02-20T10:00:00.000Z,Closed Won,1000,005A
006A2,false,Two,2025-01-02T08:00:00.000Z,2025-02-01,true,false,2025-02-10T10:00:00.000Z,Closed Lost,1000,005A
"""
EVENTS = """Id,WhatId,IsDeleted,StartDateTime,CreatedDate,OwnerId,IsChild,IsRecurrence,RecurrenceActivityId
00U1,006A1,false,2025-02-01T09:00:00.000Z,2025-01-20T09:00:00.000Z,005A,false,false,
00U2,006A1,false,2025-02-01T09:00:00.000Z,2025-01-20T09:00:00.000Z,0052,true,false,
00U3,006A1,false,2025-02-01T09:00:00.000Z,2025-01-20T09:00:00.000Z,0053,true,false,
00U4,006A1,false,2025-04-01T09:00:00.000Z,2025-01-20T09:00:00.000Z,0054,true,false,
00US,006A2,false,2025-01-10T09:00:00.000Z,2025-01-05T09:00:00.000Z,005A,false,true,00US
00V1,006A2,false,2025-01-10T09:00:00.000Z,2025-01-05T09:00:00.000Z,005A,false,false,00US
00V2,006A2,false,2025-01-17T09:00:00.000Z,2025-01-05T09:00:00.000Z,005A,false,false,00US
"""
TASKS = """Id,WhatId,IsDeleted,Status,CompletedDateTime,ActivityDate,LastModifiedDate,CreatedDate,TaskSubtype,OwnerId
00T1,006A1,false,Completed,2025-01-21T10:00:00.000Z,2025-01-25,2025-01-30T08:00:00.000Z,2025-01-20T09:00:00.000Z,Call,005A
00T2,006A1,false,Completed,,2025-01-25,2025-01-30T08:00:00.000Z,2025-01-20T09:00:00.000Z,Task,005A
00T3,006A1,false,Completed,,,2025-01-30T08:00:00.000Z,2025-01-20T09:00:00.000Z,Task,005A
"""


@pytest.fixture(scope="module")
def salesforce(tmp_path_factory) -> Imported:
    folder = tmp_path_factory.mktemp("salesforce")
    for name, words in (("Opportunity", OPPORTUNITIES), ("Event", EVENTS), ("Task", TASKS)):
        (folder / f"{name}.csv").write_text(words)
    return import_files(sorted(folder.iterdir()), load_profile("salesforce"), now=NOW)


def test_a_meeting_with_colleagues_is_one_touch_and_they_are_involved(salesforce):
    activities, members = salesforce.crm.activities, salesforce.crm.team_members
    meetings = activities[(activities["deal_id"] == "006A1") & (activities["activity_type"] == "meeting")]
    assert meetings["activity_id"].tolist() == ["00U1"]
    # 0054 is invited to one that is still to come
    assert sorted(members["user_id"]) == ["0052", "0053"]
    assert members["added_at"].unique().tolist() == [pd.Timestamp("2025-02-01T09:00Z")]
    assert set(members["role"]) == {"attendee"}


def test_the_header_of_a_series_is_none_of_its_meetings(salesforce):
    activities = salesforce.crm.activities
    assert sorted(activities.loc[activities["deal_id"] == "006A2", "activity_id"]) == ["00V1", "00V2"]
    assert salesforce.repairs["activities: the header of a series of meetings (left out)"] == 1


def test_a_completed_task_without_a_time_counts_at_its_due_date_or_last_change_and_is_told(salesforce):
    tasks = salesforce.crm.activities.set_index("activity_id")["occurred_at"]
    assert tasks["00T1"] == pd.Timestamp("2025-01-21T10:00Z")
    assert tasks["00T2"] == pd.Timestamp("2025-01-25T00:00Z")
    assert tasks["00T3"] == pd.Timestamp("2025-01-30T08:00Z")
    cause = "activities: done without a time, so it counts at its due date or its last change (repaired)"
    assert salesforce.repairs[cause] == 2


def test_the_books_of_touches_balance(salesforce):
    books = {(source["name"], table): book for source in salesforce.sources for table, book in source["books"].items()}
    for book in books.values():
        assert book["rows"] == book["accepted"] + book["merged"] + book["left_out"] + book["rejected"]
    assert books["Event", "activities"] == {"rows": 7, "accepted": 3, "merged": 0, "left_out": 4, "rejected": 0}
    assert books["Event", "team_members"]["accepted"] == 2


def engagement(number: int, at: str, **properties: str) -> dict[str, object]:
    return {
        "id": str(number),
        "properties": {"hs_timestamp": at, "hs_createdate": "2025-01-20T09:00:00Z", "hubspot_owner_id": "9"}
        | properties,
        "createdAt": "2025-01-20T09:00:00Z",
        "archived": False,
        "associations": {"deals": {"results": [{"id": "100"}]}},
    }


def hubspot(folder, meetings: list[dict[str, object]], calls: list[dict[str, object]]) -> Imported:
    deal = {
        "id": "100",
        "properties": {
            "dealname": "D", "dealstage": "qualifiedtobuy", "amount": "5", "createdate": "2025-01-02T08:00:00Z",
            "closedate": "2025-04-01T08:00:00Z", "hubspot_owner_id": "9", "hs_is_closed": "false",
            "hs_is_closed_won": "false",
        },
        "updatedAt": "2025-02-01T08:00:00Z",
        "archived": False,
    }  # fmt: skip
    for name, records in (("deals", [deal]), ("meetings", meetings), ("calls", calls)):
        if records:
            (folder / f"{name}.jsonl").write_text("".join(json.dumps(each) + "\n" for each in records))
    return import_files(sorted(folder.iterdir()), load_profile("hubspot"), now=NOW)


@pytest.mark.parametrize(
    ("outcome", "counts"),
    [("COMPLETED", True), ("", True), ("CANCELED", False), ("NO_SHOW", False), ("RESCHEDULED", False),
     ("SCHEDULED", False)],
)  # fmt: skip
def test_only_held_meetings_of_hubspot_are_touches(tmp_path, outcome, counts):
    past = engagement(1, "2025-02-01T09:00:00Z", hs_meeting_outcome=outcome)
    held = engagement(2, "2025-02-02T09:00:00Z", hs_meeting_outcome="COMPLETED")
    activities = hubspot(tmp_path, [past, held], []).crm.activities
    assert ("1" in set(activities["activity_id"])) == counts
    assert "state" not in activities


def test_a_meeting_that_is_still_to_come_stays_and_is_told(tmp_path):
    to_come = engagement(1, "2025-03-08T09:00:00Z", hs_meeting_outcome="SCHEDULED")
    called_off = engagement(2, "2025-03-09T09:00:00Z", hs_meeting_outcome="CANCELED")
    found = hubspot(tmp_path, [to_come, called_off], [])
    assert found.crm.activities["activity_id"].tolist() == ["1"]
    # what time alone will change is known by these words
    assert found.repairs["activities: lies in the future, a touch once it is held (repaired)"] == 1


def test_a_call_that_nobody_took_is_an_attempt_and_one_called_off_is_none(tmp_path):
    calls = [
        engagement(1, "2025-02-01T09:00:00Z", hs_call_status="NO_ANSWER"),
        engagement(2, "2025-02-01T10:00:00Z", hs_call_status="CANCELED"),
        engagement(3, "2025-02-01T11:00:00Z", hs_call_status="COMPLETED"),
    ]
    assert sorted(hubspot(tmp_path, [], calls).crm.activities["activity_id"]) == ["1", "3"]


def test_only_made_calls_of_zoho_are_touches(tmp_path):
    deal = {
        "id": "5", "Deal_Name": "D", "Stage": "Qualification", "Amount": 10.0, "Closing_Date": "2025-04-01",
        "Owner": {"id": "9"}, "Created_Time": "2025-01-02T08:00:00+01:00", "Modified_Time": "2025-02-01T08:00:00+01:00",
        "Pipeline": "Standard",
    }  # fmt: skip
    statuses = ["Completed", "Scheduled", "Overdue", "Cancelled", None]
    calls = [
        {
            "id": str(number), "Call_Start_Time": "2025-02-01T09:00:00+01:00", "Call_Type": "Outbound",
            "Outgoing_Call_Status": status, "What_Id": {"id": "5"}, "Owner": {"id": "9"},
            "Created_Time": f"2025-01-2{number}T09:00:00+01:00",
        }
        for number, status in enumerate(statuses)
    ]  # fmt: skip
    for name, records in (("Deals", [deal]), ("Calls", calls)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(each) + "\n" for each in records))
    found = import_files(sorted(tmp_path.iterdir()), load_profile("zoho"), now=NOW)
    assert sorted(found.crm.activities["activity_id"]) == ["0", "4"]
