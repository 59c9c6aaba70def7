"""A simulated world as the raw records that Salesforce would hold of it."""

from typing import Any

import numpy as np
import pandas as pd

from winpredict.simulate import salesforce_export
from winpredict.simulate.world import World
from winpredict_sandbox.records import Records

#: Fields beyond those of the export that some records carry: a client that needs them not should not read them.
_EXTRAS: dict[str, dict[str, Any]] = {
    "Opportunity": {"Description": "Long text about the deal"},
    "Task": {"Description": "Text of an e-mail", "CallDisposition": None, "CallObject": None},
    "Event": {"Description": "Agenda", "DurationInMinutes": 60},
    "Account": {
        "Phone": "+1 555 0100",
        "Website": "https://example.com",
        "Description": None,
        "BillingAddress": {"city": "Springfield"},
        "MasterRecordId": None,
    },
    "User": {"Phone": "+1 555 0199", "ProfileId": "00eDn0000000001"},
}
_VENDOR = "tenfold"


def fill(records: Records, world: World, voice_share: float, rng: np.random.Generator) -> None:
    """Add every record of a world as it stands at its end."""
    raw = salesforce_export.tables(world.crm, world.ends_at)
    raw["User"] = _users(raw["User"], world)
    raw["OpportunityFieldHistory"] = _with_names(raw["OpportunityFieldHistory"], raw["User"])
    raw["Event"]["ActivityDate"] = raw["Event"]["StartDateTime"].dt.strftime("%Y-%m-%d")
    began_at = pd.Timestamp(raw["Account"]["CreatedDate"].min()).floor("D")
    for name, frame in raw.items():
        made = frame["CreatedDate"] if "CreatedDate" in frame else pd.Series(began_at, index=frame.index)
        changed = frame.get("LastModifiedDate", made)
        rows = plain_rows(frame.drop(columns=["Id", "CreatedDate", "LastModifiedDate", "IsDeleted"], errors="ignore"))
        extras = _EXTRAS.get(name, {})
        for record_id, values, created_at, modified_at in zip(frame["Id"], rows, made, changed, strict=True):
            records.add(name, record_id, values | extras, created_at, max(created_at, modified_at))
    for record in [each for each in records.all("Task") if each.values["TaskSubtype"] == "Call"]:
        if rng.random() < voice_share:
            add_voice_call(records, record.record_id, record.created_at)


def plain_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows with the values that JSON has: moments as Salesforce writes them, None for what is missing."""
    columns = {}
    for name in frame:
        column = frame[name]
        if isinstance(column.dtype, pd.DatetimeTZDtype):
            column = column.dt.strftime("%Y-%m-%dT%H:%M:%S.000+0000")
        columns[str(name)] = column.astype(object).where(column.notna(), None).tolist()
    names = list(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def moment_text(moment: pd.Timestamp) -> str:
    """A moment as the REST API writes it."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}+0000"


def add_voice_call(records: Records, task_id: str, created_at: pd.Timestamp) -> None:
    """Record a call a second time, as telephony does; the task gets its key too."""
    task = records.get("Task", task_id)
    assert task is not None
    key = f"{_VENDOR}-{task_id}"
    ended = pd.Timestamp(task.values["CompletedDateTime"])
    started = ended - pd.Timedelta(seconds=float(task.values["CallDurationInSeconds"] or 0))
    values = {
        "ActivityId": task_id,
        "RelatedRecordId": task.values["WhatId"],
        "UserId": task.values["OwnerId"],
        "OwnerId": task.values["OwnerId"],
        "VendorCallKey": key,
        "CallType": task.values["CallType"],
        "CallDisposition": "completed",
        "CallDurationInSeconds": task.values["CallDurationInSeconds"],
        "FromPhoneNumber": "+15550100",
        "ToPhoneNumber": "+15550199",
        "CallStartDateTime": moment_text(started),
        "CallAcceptDateTime": moment_text(started),
        "CallEndDateTime": moment_text(ended),
    }
    records.add("VoiceCall", f"0LQ{task_id[3:]}", values, created_at)
    records.add("Task", task_id, {**task.values, "CallObject": key}, task.created_at, task.modified_at)


def _users(users: pd.DataFrame, world: World) -> pd.DataFrame:
    assert world.crm.users is not None
    team = world.crm.users.set_index("user_id")["team"]
    mail = users["Name"].str.lower().str.replace(" ", ".") + "@example.com"
    return users.assign(Department=users["Id"].map(team), Email=mail, Username=mail)


def _with_names(changes: pd.DataFrame, users: pd.DataFrame) -> pd.DataFrame:
    """Salesforce writes two rows for a change of a reference: one with ids, one with the names."""
    names = users.set_index("Id")["Name"]
    named = changes.assign(
        Id=changes["Id"].str.replace("017Dn0", "017Dn7"),
        OldValue=changes["OldValue"].map(names),
        NewValue=changes["NewValue"].map(names),
        DataType="Text",
    )
    both = pd.concat([changes.assign(DataType="EntityId"), named], ignore_index=True)
    return both.assign(CreatedById=None)
