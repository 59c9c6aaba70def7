"""Calls of a telephony system: recorded in the CRM, in a file beside it, or in both."""

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from winpredict.cli import app
from winpredict.errors import InputFileError
from winpredict.ingest.files import read_files
from winpredict.ingest.importing import import_files
from winpredict.ingest.out_of_core import import_out_of_core
from winpredict.ingest.profiles import load_profile
from winpredict.tables.buckets import DealBuckets
from winpredict.workspace import Workspace

NOW = pd.Timestamp("2025-06-01T00:00:00Z")
DEALS = (
    "Id,StageName,CreatedDate,CloseDate,IsClosed,IsWon,IsDeleted\n"
    "006A,Prospecting,2025-01-01T09:00:00Z,2025-05-01,false,false,false\n"
    "006B,Negotiation/Review,2025-01-01T09:00:00Z,2025-05-01,false,false,false\n"
)
TASKS = (
    "Id,WhatId,WhoId,OwnerId,TaskSubtype,Status,CreatedDate,CompletedDateTime,CallObject,CallDisposition\n"
    "00T1,006A,003C,005U,Call,Completed,2025-01-08T10:00:00Z,2025-01-08T09:00:00Z,t1,Interested\n"
    "00T2,006A,003C,005U,Task,Completed,2025-01-09T10:00:00Z,2025-01-09T09:05:00Z,,\n"
    "00T3,006B,003D,005U,Call,Completed,2025-01-10T10:00:00Z,2025-01-10T09:00:00Z,,\n"
)
VOICE_CALLS = (
    "Id,RelatedRecordId,ActivityId,VendorCallKey,CallStartDateTime,CreatedDate,CallType,OwnerId,CallDurationInSeconds\n"
    "0LQ1,006A,,t1,2025-01-08T08:58:00Z,2025-01-08T09:01:00Z,Inbound,005U,60\n"
    "0LQ2,006A,00T2,t2,2025-01-09T09:00:00Z,2025-01-09T09:01:00Z,Outbound,005U,300\n"
    "0LQ3,001X,,t3,2025-01-09T09:00:00Z,2025-01-09T09:01:00Z,Outbound,005U,300\n"
)
#: t1 is in the CRM with its id, t4 without one, t5 nowhere, t6 of an unknown deal.
CALLS = [
    {"callId": "t1", "opportunityId": "006A", "startTime": "2025-01-08T08:58:03Z", "direction": "Inbound"},
    {
        "callId": "t4",
        "opportunityId": "006B",
        "startTime": "2025-01-10T09:00:30Z",
        "userId": "005U",
        "contactId": "003D",
        "duration": 77,
    },
    {"callId": "t5", "opportunityId": "006B", "startTime": "2025-02-10T09:00:30Z", "direction": "Outbound"},
    {"callId": "t6", "opportunityId": "006Z", "startTime": "2025-02-10T09:00:30Z"},
]


@pytest.fixture
def export(tmp_path):
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "Opportunity.csv").write_text(DEALS)
    (folder / "Task.csv").write_text(TASKS)
    return folder


@pytest.fixture
def calls(tmp_path):
    path = tmp_path / "export of March.jsonl"
    path.write_text("\n".join(map(json.dumps, CALLS)))
    return path


def salesforce(folder):
    return import_files([folder], load_profile("salesforce"), now=NOW)


def tenfold(calls, crm):
    return import_files([calls], load_profile("tenfold"), earlier=crm, now=NOW)


def test_a_task_and_its_voice_call_are_one_touch(export):
    (export / "VoiceCall.csv").write_text(VOICE_CALLS)
    found = salesforce(export)
    assert found.repairs == {
        "activities: RelatedRecordId is not 006* (left out)": 1,
        "activities: the same call again, joined with the fuller record (merged)": 2,
    }
    touches = found.crm.activities.set_index("activity_id")
    assert touches.index.tolist() == ["00T1", "00T3", "0LQ2"]
    assert touches.loc["00T1", ["direction", "duration_s", "result"]].tolist() == ["inbound", 60, "Interested"]
    assert touches.loc["0LQ2", ["activity_type", "contact_id", "call_id"]].tolist() == ["call", "003C", "t2"]


def test_a_file_of_calls_adds_to_deals_that_are_known(export, calls):
    before = salesforce(export).crm
    found = tenfold(calls, before)
    assert found.repairs == {"activities: belongs to no known deal (rejected)": 1}
    assert found.crm.stage_order == before.stage_order
    pd.testing.assert_frame_equal(found.crm.deals, before.deals)
    touches = found.crm.activities.set_index("activity_id")
    assert touches.index.tolist() == ["00T1", "00T2", "t4", "t5"]
    assert touches.loc["00T1", ["direction", "occurred_at"]].tolist() == ["inbound", pd.Timestamp("2025-01-08T09:00Z")]
    assert touches.loc["t4", ["duration_s", "recorded_at"]].tolist() == [77, pd.Timestamp("2025-01-10T10:00Z")]


def test_the_same_files_again_change_nothing(export, calls):
    once = tenfold(calls, salesforce(export).crm).crm
    again = tenfold(calls, once).crm
    exported = import_files([export], load_profile("salesforce"), earlier=again, now=NOW).crm
    for crm in (again, exported):
        pd.testing.assert_frame_equal(crm.activities, once.activities)


def test_calls_are_added_bucket_by_bucket(export, calls, tmp_path):
    before = salesforce(export).crm
    whole = tenfold(calls, before).crm
    buckets = DealBuckets.write(before, tmp_path / "buckets", 2)
    partitioned = import_out_of_core(
        read_files([calls]), load_profile("tenfold"), tmp_path / "work", 2, alone=True, earlier=buckets, now=NOW
    )
    joined = partitioned.buckets.whole().activities.sort_values("activity_id", ignore_index=True)
    pd.testing.assert_frame_equal(joined[whole.activities.columns], whole.activities)
    assert partitioned.repairs == {"activities: belongs to no known deal (rejected)": 1}


def test_calls_without_deals_say_what_to_import_first(calls, tmp_path):
    with pytest.raises(InputFileError, match="import or sync the CRM's deals first"):
        tenfold(calls, None)
    with pytest.raises(InputFileError, match="import or sync the CRM's deals first"):
        import_out_of_core(read_files([calls]), load_profile("tenfold"), tmp_path / "work", 2, alone=True, now=NOW)


def test_from_the_command_line(export, calls, tmp_path):
    def winpredict(*arguments):
        return CliRunner().invoke(app, [*map(str, arguments), "--workspace", str(tmp_path / "workspace")])

    refused = winpredict("import", calls, "--profile", "tenfold")
    assert refused.exit_code == 2
    assert "import or sync the CRM's deals first" in refused.output
    assert winpredict("import", export, "--profile", "salesforce").exit_code == 0
    assert winpredict("import", calls, "--profile", "tenfold").exit_code == 0
    touches = Workspace(tmp_path / "workspace").crm().activities
    assert touches["activity_id"].tolist() == ["00T1", "00T2", "t4", "t5"]
