"""A simulated CRM as Salesforce writes its data export: one CSV an object, with the dirt of real ones."""

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from winpredict._internal.atomic import replacing, replacing_folder
from winpredict.tables.crm import CRMData

_PROBABILITIES = {
    "Prospecting": 10,
    "Qualification": 20,
    "Needs Analysis": 40,
    "Proposal/Price Quote": 65,
    "Negotiation/Review": 85,
    "Closed Won": 100,
    "Closed Lost": 0,
}
_FORECASTS = {"Closed Won": "Closed", "Closed Lost": "Omitted"}
_TYPES = {"new": "New Business", "existing": "Existing Business"}
_SHARE_TWICE = 0.002
_SHARE_ON_ACCOUNTS = 0.015
#: A fixed moment in a zip: the same world gives the same bytes.
_ZIP_TIME = (2025, 1, 1, 0, 0, 0)


def write(crm: CRMData, path: Path, as_of: pd.Timestamp, rng: np.random.Generator) -> None:
    """Write the export of a simulated CRM as it stood at a moment; see `simulate.write_salesforce_export`."""
    # dirt is drawn on the whole history and then cut, so that a later export carries the dirt of an earlier one
    on_accounts = _tasks_on_accounts(crm, rng)
    twice = set(crm.deals["deal_id"][rng.random(len(crm.deals)) < _SHARE_TWICE])
    clean = tables(crm, as_of)
    deals = clean["Opportunity"]
    dirty = {
        "Opportunity": pd.concat([deals, deals[deals["Id"].isin(twice)]]).sort_values("Id", kind="stable"),
        "Task": pd.concat([clean["Task"], on_accounts[on_accounts["CreatedDate"] < as_of]]),
    }
    written = {
        f"{name}.csv": _in_salesforce_times(frame).to_csv(index=False, lineterminator="\n")
        for name, frame in (clean | dirty).items()
    }
    if path.suffix.lower() == ".zip":
        _write_zip(written, path)
    else:
        _write_folder(written, path)


def tables(crm: CRMData, as_of: pd.Timestamp) -> dict[str, pd.DataFrame]:
    """The objects of a simulated CRM as they stood at a moment, without dirt; moments are timestamps."""
    known = crm.as_known_at(as_of)
    return {
        "Opportunity": _opportunities(known, crm.deals),
        "OpportunityHistory": _history(known),
        "OpportunityFieldHistory": _owner_changes(known),
        "OpportunityTeamMember": _team_members(known),
        "OpportunityContactRole": _contact_roles(known),
        "Task": _tasks(known),
        "Event": _events(known),
        "Account": _accounts(known),
        "User": _users(known),
    }


def _opportunities(known: CRMData, today: pd.DataFrame) -> pd.DataFrame:
    """Deals as they stand at the export; `today` holds what was typed at closes up to the end of the world."""
    deals = known.deals
    later = today.set_index("deal_id").reindex(deals["deal_id"]).reset_index()
    lost, won = deals["stage"] == "Closed Lost", deals["stage"] == "Closed Won"
    changed = _table(known, "deal_history").groupby("deal_id")["changed_at"].max()
    return pd.DataFrame(
        {
            "Id": deals["deal_id"],
            "AccountId": deals["account_id"],
            "OwnerId": deals["owner_id"],
            "Name": deals["name"],
            "StageName": deals["stage"],
            "Amount": deals["amount"].mask(lost & later["amount"].isna()),
            "Probability": deals["stage"].map(_PROBABILITIES).astype("int64"),
            "CloseDate": deals["expected_close_date"].dt.strftime("%Y-%m-%d"),
            "Type": deals["deal_type"].map(_TYPES),
            "LeadSource": deals["lead_source"],
            "Product_Family__c": deals["product"],
            "Region__c": deals["region"],
            "Competitor__c": deals["competitor"],
            "Campaign_Code__c": deals["campaign_code"],
            "Loss_Reason__c": later["loss_reason"].where(lost),
            "Contract_Signed__c": later["contract_signed"].where(later["contract_signed"] < known.known_until),
            "ForecastCategoryName": deals["stage"].map(_FORECASTS).fillna("Pipeline"),
            "IsClosed": lost | won,
            "IsWon": won,
            "CreatedDate": deals["created_at"],
            "LastModifiedDate": deals["deal_id"].map(changed),
            "IsDeleted": False,
        }
    )


def _history(known: CRMData) -> pd.DataFrame:
    history = _table(known, "deal_history")
    full = history.groupby("deal_id")[["amount", "expected_close_date", "owner_id"]].ffill()
    return pd.DataFrame(
        {
            "Id": _numbered("008", history),
            "OpportunityId": history["deal_id"],
            "StageName": history["stage"],
            "Amount": full["amount"],
            "Probability": history["stage"].map(_PROBABILITIES).astype("int64"),
            "CloseDate": full["expected_close_date"].dt.strftime("%Y-%m-%d"),
            "ForecastCategory": history["stage"].map(_FORECASTS).fillna("Pipeline"),
            "CreatedById": full["owner_id"],
            "CreatedDate": history["changed_at"],
        }
    )


def _owner_changes(known: CRMData) -> pd.DataFrame:
    """The one field whose changes Salesforce keeps in another object."""
    history = _table(known, "deal_history").dropna(subset="owner_id")
    earlier = history.groupby("deal_id")["owner_id"].shift()
    changed = history[earlier.notna() & (earlier != history["owner_id"])]
    return pd.DataFrame(
        {
            "Id": _numbered("017", changed),
            "OpportunityId": changed["deal_id"],
            "Field": "Owner",
            "OldValue": earlier[changed.index],
            "NewValue": changed["owner_id"],
            "CreatedDate": changed["changed_at"],
        }
    )


def _team_members(known: CRMData) -> pd.DataFrame:
    members = _table(known, "team_members")
    return pd.DataFrame(
        {
            "Id": _numbered("00q", members),
            "OpportunityId": members["deal_id"],
            "UserId": members["user_id"],
            "TeamMemberRole": members["role"],
            "CreatedDate": members["added_at"],
        }
    )


def _contact_roles(known: CRMData) -> pd.DataFrame:
    contacts = _table(known, "contacts")
    return pd.DataFrame(
        {
            "Id": _numbered("00K", contacts),
            "OpportunityId": contacts["deal_id"],
            "ContactId": contacts["contact_id"],
            "Role": contacts["role"],
            "CreatedDate": contacts["added_at"],
        }
    )


def _tasks(known: CRMData) -> pd.DataFrame:
    activities = _table(known, "activities")
    tasks = activities[activities["activity_type"] != "meeting"]
    kind = tasks["activity_type"].str.capitalize()
    return pd.DataFrame(
        {
            "Id": tasks["activity_id"],
            "WhatId": tasks["deal_id"],
            "WhoId": tasks["contact_id"],
            "OwnerId": tasks["user_id"],
            "Subject": kind,
            "TaskSubtype": kind,
            "CallType": tasks["direction"].str.capitalize(),
            "Status": "Completed",
            "ActivityDate": tasks["occurred_at"].dt.strftime("%Y-%m-%d"),
            "CreatedDate": tasks["recorded_at"],
            "CompletedDateTime": tasks["occurred_at"],
            "CallDurationInSeconds": tasks["duration_s"],
        }
    )


def _tasks_on_accounts(crm: CRMData, rng: np.random.Generator) -> pd.DataFrame:
    """Tasks that hang on the customer, where nobody can say which deal they were for."""
    tasks = _tasks(crm)
    tasks = tasks[rng.random(len(tasks)) < _SHARE_ON_ACCOUNTS]
    account = crm.deals.set_index("deal_id")["account_id"]
    return tasks.assign(Id=tasks["Id"].str.replace("00TDn0", "00TDn9"), WhatId=tasks["WhatId"].map(account))


def _events(known: CRMData) -> pd.DataFrame:
    activities = _table(known, "activities")
    meetings = activities[activities["activity_type"] == "meeting"]
    return pd.DataFrame(
        {
            "Id": meetings["activity_id"],
            "WhatId": meetings["deal_id"],
            "WhoId": meetings["contact_id"],
            "OwnerId": meetings["user_id"],
            "Subject": "Meeting",
            "StartDateTime": meetings["occurred_at"],
            "CreatedDate": meetings["recorded_at"],
        }
    )


def _accounts(known: CRMData) -> pd.DataFrame:
    accounts = _table(known, "accounts")
    return pd.DataFrame(
        {
            "Id": accounts["account_id"],
            "Name": accounts["name"],
            "Industry": accounts["industry"],
            "NumberOfEmployees": accounts["employees"].astype("int64"),
            "CreatedDate": accounts["created_at"],
        }
    )


def _users(known: CRMData) -> pd.DataFrame:
    users = _table(known, "users")
    return pd.DataFrame(
        {
            "Id": users["user_id"],
            "Name": users["name"],
            "ManagerId": users["manager_id"],
            "IsActive": users["active"],
        }
    )


def _table(known: CRMData, name: str) -> pd.DataFrame:
    return next(frame for present, frame in known.tables() if present == name)


def _numbered(prefix: str, frame: pd.DataFrame) -> list[str]:
    return [f"{prefix}Dn{number:010d}" for number in range(len(frame))]


def _in_salesforce_times(frame: pd.DataFrame) -> pd.DataFrame:
    """Moments as Salesforce writes them: no colon in the offset."""
    moments = frame.select_dtypes("datetimetz").columns
    return frame.assign(**{name: frame[name].dt.strftime("%Y-%m-%dT%H:%M:%S.000+0000") for name in moments})


def _write_zip(texts: dict[str, str], path: Path) -> None:
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, text in texts.items():
            entry = zipfile.ZipInfo(name, _ZIP_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, text)


def _write_folder(texts: dict[str, str], path: Path) -> None:
    with replacing_folder(path) as temporary:
        for name, text in texts.items():
            (temporary / name).write_text(text, encoding="utf-8", newline="")
