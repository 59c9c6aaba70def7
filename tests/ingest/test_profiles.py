import json

import pandas as pd
import pytest

from winpredict.config import Push
from winpredict.connectors.push.values import score_fields
from winpredict.errors import ProfileError
from winpredict.ingest import import_files, load_profile, profile_yaml, shipped_profiles
from winpredict.ingest.profiles import Profile
from winpredict.tables.schema import text_dtype

NOW = pd.Timestamp("2026-01-01", tz="UTC")


def json_lines(path, *records):
    path.write_text("\n".join(json.dumps(record) for record in records))


@pytest.mark.parametrize("name", shipped_profiles())
def test_shipped_profiles_are_sound(name):
    profile = load_profile(name)
    assert profile.description
    assert Profile.model_validate(profile.model_dump()) == profile


def test_all_promised_profiles_are_shipped():
    assert {"salesforce", "hubspot", "zoho", "generic", "ibm", "maven", "bpic2012", "salvirt"} <= set(
        shipped_profiles()
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tables: {deals: [{file: x, columns: {deal: Id}}]}", "deals has no column deal"),
        ("tables: {}", "must map at least one file"),
        ("tables: {offers: [{file: x}]}", "offers is not a canonical table"),
        ("tables: {deals: [{file: x}], offers: [{file: x}]}", "offers is not a canonical table"),
        ("time_zone: Mars/Olympus\ntables: {deals: [{file: x}]}", "not a time zone"),
        ("colour: red\ntables: {deals: [{file: x}]}", "colour"),
        ("- a\n- b", "no names with values"),
        ("tables: {deals: [", "cannot read the profile"),
        ("extends: nothing\ntables: {deals: [{file: x}]}", "profile 'nothing' not found"),
    ],
)
def test_faulty_profiles_are_refused_with_a_sentence(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ProfileError, match=message):
        load_profile(path)


def test_an_unknown_name_lists_those_that_there_are():
    with pytest.raises(ProfileError, match="salesforce"):
        load_profile("pipedrive")


def test_a_profile_may_start_from_another(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("extends: salesforce\nstage_order: [Scoping, Contract]\ntime_zone: America/New_York\n")
    profile = load_profile(path)
    assert profile.name == "mine"
    assert profile.stage_order == ("Scoping", "Contract")
    assert profile.tables == load_profile("salesforce").tables


def test_a_profile_survives_being_written(tmp_path):
    path = tmp_path / "again.yaml"
    path.write_text(profile_yaml(load_profile("hubspot")))
    assert load_profile(path) == load_profile("hubspot").model_copy(update={"name": "hubspot"})


def test_hubspot_objects(tmp_path):
    history = {
        "dealstage": [
            {"value": "closedwon", "timestamp": "2025-03-01T10:00:00Z"},
            {"value": "contractsent", "timestamp": "2025-02-01T10:00:00Z"},
            {"value": "appointmentscheduled", "timestamp": "2025-01-01T10:00:00Z"},
        ],
        "amount": [{"value": "500", "timestamp": "2025-01-01T10:00:00Z"}],
    }
    properties = {
        "dealname": "A",
        "dealstage": "closedwon",
        "amount": "600",
        "createdate": "2025-01-01T10:00:00Z",
        "closedate": "2025-03-05T00:00:00Z",
        "dealtype": "newbusiness",
        "hs_is_closed": "true",
        "hs_is_closed_won": "true",
        "hs_date_entered_closedwon": "2025-03-01T10:00:00Z",
        "region": "EMEA",
    }
    link = {"deals": {"results": [{"id": "1"}, {"id": "2"}]}, "contacts": {"results": [{"id": "c9"}]}}
    companies = {"companies": {"results": [{"id": "88"}]}}
    json_lines(
        tmp_path / "deals.jsonl",
        {"id": "1", "properties": properties, "propertiesWithHistory": history, "associations": companies},
        {"id": "2", "properties": {"dealstage": "contractsent", "createdate": "2025-02-02T00:00:00Z"}},
    )
    call = {"hs_timestamp": "1736935200000", "hs_call_direction": "INBOUND", "hs_call_duration": "90000"}
    json_lines(tmp_path / "calls.jsonl", {"id": "77", "properties": call, "associations": link})
    result = import_files([tmp_path], load_profile("hubspot"), now=NOW)
    assert result.repairs == {}
    won, still_open = result.crm.deals.to_dict("records")
    assert (won["outcome"], won["stage"], won["deal_type"], won["account_id"]) == ("won", "Closed Won", "new", "88")
    assert won["closed_at"] == pd.Timestamp("2025-03-01T10:00:00Z")
    assert (still_open["outcome"], still_open["stage"]) == ("open", "Contract Sent")
    assert result.crm.attributes == ("region",)
    stages = result.crm.deal_history["stage"].dropna().tolist()
    assert stages == ["Appointment Scheduled", "Contract Sent", "Closed Won"]
    touches = result.crm.activities
    assert touches["activity_id"].tolist() == ["77@1", "77@2"]
    assert touches["occurred_at"].iloc[0] == pd.Timestamp("2025-01-15T10:00:00Z")
    assert touches[["direction", "duration_s", "contact_id"]].iloc[0].tolist() == ["inbound", 90.0, "c9"]


def test_hubspot_csv_export(tmp_path):
    (tmp_path / "hubspot-crm-exports-all-deals-2025-03-01.csv").write_text(
        "Record ID,Deal Name,Deal Stage,Pipeline,Amount,Close Date,Create Date,Deal owner\n"
        "1,A,Closed Won,Sales Pipeline,500,2025-03-01 10:00,2025-01-01 10:00,Ann\n"
        "2,B,Contract Sent (Sales Pipeline),Sales Pipeline,100,2025-06-01 10:00,2025-02-01 10:00,Bob\n"
    )
    result = import_files([tmp_path], load_profile("hubspot"), now=NOW)
    assert result.crm.deals["outcome"].tolist() == ["won", "open"]
    assert result.crm.deals["stage"].tolist() == ["Closed Won", "Contract Sent"]
    assert result.repairs == {}


def test_a_stay_in_a_stage_is_dated_by_its_beginning_unless_the_profile_says_its_end(tmp_path):
    json_lines(
        tmp_path / "Deals.jsonl",
        {
            "id": "d1",
            "Deal_Name": "A",
            "Stage": "Closed Won",
            "Created_Time": "2025-01-01T10:00:00+02:00",
            "Closing_Date": "2025-03-09",
            "Owner": {"name": "Ann", "id": "u1"},
            "Account_Name": {"name": "Acme", "id": "a1"},
        },
    )
    left = {"Deal_Name": {"id": "d1"}, "Amount": 100}
    json_lines(
        tmp_path / "Stage_History.jsonl",
        left | {"Stage": "Closed Won", "Moved_To__s": None, "Modified_Time": "2025-03-02T00:00:00+02:00"},
        left
        | {"Stage": "Qualification", "Moved_To__s": "Needs Analysis", "Modified_Time": "2025-02-01T00:00:00+02:00"},
        left | {"Stage": "Needs Analysis", "Moved_To__s": "Closed Won", "Modified_Time": "2025-03-01T00:00:00+02:00"},
    )
    call = {"Call_Type": "Missed", "Call_Duration_in_seconds": 30, "What_Id": {"id": "d1"}, "Who_Id": {"id": "c1"}}
    json_lines(tmp_path / "Calls.jsonl", {"id": "1", "Call_Start_Time": "2025-01-05T09:00:00+02:00"} | call)
    zoho = load_profile("zoho")
    result = import_files([tmp_path], zoho, now=NOW)
    assert result.repairs == {}
    deal = result.crm.deals.iloc[0]
    assert (deal["owner_id"], deal["account_id"]) == ("u1", "a1")
    assert deal["closed_at"] == pd.Timestamp("2025-03-01T22:00:00Z")
    by_end = tuple(source.model_copy(update={"left_stages": True}) for source in zoho.tables["deal_history"])
    left = zoho.model_copy(update={"tables": zoho.tables | {"deal_history": by_end}})
    result = import_files([tmp_path], left, now=NOW)
    assert result.crm.deals["closed_at"].tolist() == [pd.Timestamp("2025-02-28T22:00:00Z")]
    entered = result.crm.deal_history.dropna(subset="stage")
    assert entered[["stage", "changed_at"]].astype(str).values.tolist() == [
        ["Qualification", "2025-01-01 08:00:00+00:00"],
        ["Needs Analysis", "2025-01-31 22:00:00+00:00"],
        ["Closed Won", "2025-02-28 22:00:00+00:00"],
    ]
    assert result.crm.activities["direction"].tolist() == ["inbound"]


@pytest.mark.parametrize(
    ("profile", "columns"),
    [
        ("salesforce", "Id,CreatedDate,StageName"),
        ("hubspot", "Record ID,Create Date,Deal Stage"),
        ("zoho", "Record Id,Created Time,Stage"),
    ],
)
def test_scores_that_were_pushed_never_come_back_as_attributes(tmp_path, profile, columns):
    ours = score_fields(Push()).values()
    names = [name for each in ours for name in (each.name, f"{each.name}__c", each.name.replace("_", " "), each.label)]
    (tmp_path / "deals.csv").write_text(
        f"{columns},Region,{','.join(names)}\n7,2025-01-05T10:00:00Z,Closed Won,East{',1' * len(names)}\n"
    )
    result = import_files([tmp_path], load_profile(profile), now=NOW)
    assert result.crm.attributes == ("Region",)


def test_salesforce_tasks_on_accounts_and_open_ones_are_no_touches(tmp_path):
    (tmp_path / "Opportunity.csv").write_text(
        "Id,StageName,CreatedDate,CloseDate,IsClosed,IsWon,IsDeleted,Probability,Region__c\n"
        "006A,Closed Won,2025-01-01T09:00:00.000+0000,2025-02-01,true,true,false,100,East\n"
        "006B,Prospecting,2025-01-01T09:00:00.000+0000,2025-09-01,false,false,false,10,West\n"
        "006C,Prospecting,2025-01-01T09:00:00.000+0000,2025-09-01,false,false,true,10,West\n"
    )
    (tmp_path / "Task.csv").write_text(
        "Id,WhatId,TaskSubtype,Status,ActivityDate,CreatedDate,CompletedDateTime\n"
        "00T1,006A,Call,Completed,2025-05-01,2025-01-09T09:00:00.000Z,2025-01-08T09:00:00.000Z\n"
        "00T2,001Z,Call,Completed,2025-05-01,2025-01-09T09:00:00.000Z,2025-01-08T09:00:00.000Z\n"
        "00T3,006A,Call,Not Started,2025-05-01,2025-01-09T09:00:00.000Z,\n"
    )
    result = import_files([tmp_path], load_profile("salesforce"), now=NOW)
    assert result.repairs == {
        "activities: Status is not Completed (left out)": 1,
        "activities: WhatId is not 006* (left out)": 1,
        "deals: IsDeleted is not false (left out)": 1,
    }
    assert result.crm.deals["deal_id"].tolist() == ["006A", "006B"]
    assert result.crm.attributes == ("Region__c",)
    touch = result.crm.activities.iloc[0]
    assert (touch["activity_id"], touch["activity_type"]) == ("00T1", "call")
    assert touch["occurred_at"] == pd.Timestamp("2025-01-08T09:00:00Z")


def test_the_subject_of_a_salesforce_task_or_event_is_that_of_the_touch(tmp_path):
    (tmp_path / "Opportunity.csv").write_text(
        "Id,StageName,CreatedDate,CloseDate,IsClosed,IsWon\n"
        "006A,Prospecting,2025-01-01T09:00:00Z,2025-09-01,false,false\n"
    )
    task = "Id,WhatId,TaskSubtype,Status,CreatedDate,CompletedDateTime{}\n"
    task += "00T1,006A,Call,Completed,2025-01-09T09:00:00Z,2025-01-08T09:00:00Z{}\n"
    (tmp_path / "Task.csv").write_text(task.format("", ""))
    without = import_files([tmp_path], load_profile("salesforce"), now=NOW).crm.activities
    assert "subject" not in without
    (tmp_path / "Task.csv").write_text(task.format(",Subject,Description", ",Price was agreed,Dear Ann"))
    (tmp_path / "Event.csv").write_text(
        "Id,WhatId,StartDateTime,CreatedDate,Subject\n00U1,006A,2025-01-12T09:00:00Z,2025-01-10T09:00:00Z,\n"
    )
    touches = import_files([tmp_path], load_profile("salesforce"), now=NOW).crm.activities.set_index("activity_id")
    assert touches["subject"].dtype == text_dtype()
    assert touches.loc["00T1", "subject"] == "Price was agreed"
    assert pd.isna(touches.loc["00U1", "subject"])
    pd.testing.assert_frame_equal(touches.drop(index="00U1", columns="subject"), without.set_index("activity_id"))


@pytest.mark.parametrize(
    ("kind", "title"),
    [
        ("calls", "hs_call_title"),
        ("emails", "hs_email_subject"),
        ("meetings", "hs_meeting_title"),
        ("tasks", "hs_task_subject"),
    ],
)
def test_the_title_of_a_hubspot_touch_is_its_subject(tmp_path, kind, title):
    deal = {"dealstage": "contractsent", "createdate": "2025-01-02T00:00:00Z"}
    json_lines(tmp_path / "deals.jsonl", {"id": "1", "properties": deal})
    moment = "2025-02-02T00:00:00Z"
    done = {"hs_timestamp": moment, "hs_task_completion_date": moment, "hs_task_status": "COMPLETED"}
    link = {"deals": {"results": [{"id": "1"}]}}
    touch = {"id": "7", "properties": done | {title: "Price was agreed"}, "associations": link}
    json_lines(tmp_path / f"{kind}.jsonl", touch)
    result = import_files([tmp_path], load_profile("hubspot"), now=NOW)
    assert result.crm.activities["subject"].tolist() == ["Price was agreed"]


@pytest.mark.parametrize(
    ("module", "time", "title"),
    [
        ("Calls", "Call_Start_Time", "Subject"),
        ("Events", "Start_DateTime", "Event_Title"),
        ("Tasks", "Closed_Time", "Subject"),
        ("Notes", "Created_Time", "Note_Title"),
    ],
)
def test_the_title_of_a_zoho_touch_is_its_subject(tmp_path, module, time, title):
    deal = {"id": "1", "Stage": "Qualification", "Created_Time": "2025-01-02T00:00:00Z"}
    json_lines(tmp_path / "Deals.jsonl", deal)
    touch = {"id": "7", "What_Id": {"id": "1"}, "Parent_Id": {"id": "1"}, "Status": "Completed"}
    json_lines(tmp_path / f"{module}.jsonl", touch | {time: "2025-02-02T00:00:00Z", title: "Price was agreed"})
    result = import_files([tmp_path], load_profile("zoho"), now=NOW)
    assert result.crm.activities["subject"].tolist() == ["Price was agreed"]
