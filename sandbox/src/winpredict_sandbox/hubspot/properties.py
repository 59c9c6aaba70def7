"""Properties of HubSpot's objects: their definitions, and those that HubSpot computes itself."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from winpredict_sandbox.hubspot.world import CUSTOM, LOST, STAGES, WON, History, iso, milliseconds, plain
from winpredict_sandbox.records import Record

_PROBABILITIES = {stage: probability for stage, _, probability in STAGES}
_ORDER = [stage for stage, _, _ in STAGES]
_NUMBERS = ("amount", "numberofemployees", "annualrevenue", "hs_call_duration")
_TIMES = ("createdate", "closedate", "hs_timestamp", "hs_createdate", "contract_signed")
#: Properties of deals that people fill in, other than those of the account's own.
_FILLED = (
    "dealname",
    "dealstage",
    "pipeline",
    "amount",
    "deal_currency_code",
    "createdate",
    "closedate",
    "hubspot_owner_id",
    "dealtype",
    "hs_analytics_source",
    "closed_lost_reason",
    "closed_won_reason",
)
_OF_TOUCHES = ("hs_timestamp", "hs_createdate", "hubspot_owner_id")
#: Those of the other objects.
OF_OTHERS = {
    "companies": ("name", "industry", "numberofemployees", "annualrevenue", "country", "createdate"),
    "contacts": ("createdate", "jobtitle"),
    "line_items": ("name", "hs_product_id", "quantity", "price", "amount", "createdate"),
    "calls": (
        *_OF_TOUCHES,
        "hs_call_title",
        "hs_call_direction",
        "hs_call_duration",
        "hs_call_disposition",
        "hs_call_status",
        "hs_call_source",
        "hs_call_external_id",
        "hs_call_body",
        "hs_call_from_number",
        "hs_call_to_number",
    ),
    "emails": (*_OF_TOUCHES, "hs_email_subject", "hs_email_direction", "hs_email_status"),
    "meetings": (
        *_OF_TOUCHES,
        "hs_meeting_title",
        "hs_meeting_outcome",
        "hs_meeting_start_time",
        "hs_meeting_end_time",
    ),
    "notes": (*_OF_TOUCHES, "hs_note_body"),
    "tasks": (*_OF_TOUCHES, "hs_task_subject", "hs_task_status", "hs_task_type", "hs_task_completion_date"),
}
_DAY_MS = 86_400_000


def modified_name(name: str) -> str:
    """The property that tells when a record was last changed."""
    return "lastmodifieddate" if name == "contacts" else "hs_lastmodifieddate"


def deal_definitions() -> dict[str, dict[str, Any]]:
    """Definitions of deals' properties, by name."""
    filled = {name: definition(name, _type(name), hubspot=True) for name in _FILLED}
    computed = {name: definition(name, "string", hubspot=True, calculated=True) for name in computed_names()}
    custom = {name: definition(name, _type(name), hubspot=False) for name in CUSTOM}
    return filled | computed | custom


def definition(
    name: str, kind: str, *, hubspot: bool, calculated: bool = False, label: str = "", **more: Any
) -> dict[str, Any]:
    """A property as its endpoint tells it."""
    field_type = {"number": "number", "datetime": "date"}.get(kind, "text")
    return {
        "name": name,
        "label": label or name.replace("_", " ").capitalize(),
        "type": kind,
        "fieldType": field_type,
        "groupName": "dealinformation",
        "hubspotDefined": hubspot,
        "calculated": calculated,
        "archived": False,
        "modificationMetadata": {"archivable": not hubspot, "readOnlyDefinition": hubspot, "readOnlyValue": calculated},
        **more,
    }


def computed_names() -> list[str]:
    """Properties of deals that HubSpot fills in."""
    of_stages = [
        f"{prefix}_{stage}"
        for stage in _ORDER
        for prefix in ("hs_date_entered", "hs_date_exited", "hs_time_in", "hs_v2_date_entered")
    ]
    return [
        *of_stages,
        "hs_object_id",
        "hs_lastmodifieddate",
        "hs_createdate",
        "hs_merged_object_ids",
        "hs_is_closed",
        "hs_is_closed_won",
        "hs_deal_stage_probability",
        "hs_projected_amount",
        "hs_forecast_amount",
        "hs_closed_amount",
        "hs_analytics_source_data_1",
        "hs_num_associated_active_deal_registrations",
        "days_to_close",
        "num_associated_contacts",
        "num_notes",
        "notes_last_updated",
        "amount_in_home_currency",
    ]


def stamped_values(name: str, record: Record) -> dict[str, str]:
    """What people filled in of a record, with its id and the moment of its last change."""
    stamps = {"hs_object_id": record.record_id, modified_name(name): iso(record.modified_at)}
    return {**record.values["properties"], **stamps}


def all_values(record: Record, now: pd.Timestamp, contacts: int) -> dict[str, str]:
    """Every value of a deal, those that HubSpot computes included; what is missing is left out.

    Parameters
    ----------
    record : Record
    now : Timestamp
    contacts : int
        How many belong to the deal.
    """
    values = stamped_values("deals", record)
    stage, closed = values["dealstage"], values["dealstage"] in (WON, LOST)
    amount = float(values.get("amount") or 0.0)
    probability = _PROBABILITIES[stage]
    values |= {
        "hs_createdate": values["createdate"],
        "hs_is_closed": str(closed).lower(),
        "hs_is_closed_won": str(stage == WON).lower(),
        "hs_deal_stage_probability": str(probability),
        "hs_projected_amount": plain(amount * probability),
        "hs_forecast_amount": plain(amount),
        "hs_closed_amount": plain(amount if stage == WON else 0.0),
        "hs_analytics_source_data_1": "CRM_UI",
        "hs_num_associated_active_deal_registrations": "0",
        "num_associated_contacts": str(contacts),
        "num_notes": str(3 * contacts),
        "notes_last_updated": iso(record.modified_at),
        "amount_in_home_currency": plain(amount),
    }
    return values | _of_stages(record.values["history"], now, closed=closed)


def _of_stages(history: History, now: pd.Timestamp, *, closed: bool) -> dict[str, str]:
    """When each stage was entered, as HubSpot has it: a close stamps the stages that were skipped, too."""
    steps = [(pd.Timestamp(at), stage) for at, stage in history["dealstage"]]
    ends = [at for at, _ in steps[1:]] + [now]
    values = {}
    for (at, stage), end in zip(steps, ends, strict=True):
        values[f"hs_date_entered_{stage}"] = values[f"hs_v2_date_entered_{stage}"] = iso(at)
        values[f"hs_time_in_{stage}"] = str(int(milliseconds(end)) - int(milliseconds(at)))
        if end is not now:
            values[f"hs_date_exited_{stage}"] = iso(end)
    if closed:
        closed_at, _ = steps[-1]
        for stage in _ORDER[: _ORDER.index(WON)]:
            values.setdefault(f"hs_date_entered_{stage}", iso(closed_at))
        values["days_to_close"] = str((int(milliseconds(closed_at)) - int(milliseconds(steps[0][0]))) // _DAY_MS)
    return values


def history_json(steps: list[tuple[str, str]]) -> list[dict[str, str]]:
    """The history of a property as HubSpot tells it: the newest first."""
    return [
        {"value": value, "timestamp": at, "sourceType": "CRM_UI", "sourceId": "userId:501"}
        for at, value in reversed(steps)
    ]


def refusal(values: Mapping[str, str], definitions: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What HubSpot holds against values to be written; empty for nothing."""
    found = []
    for name, value in values.items():
        known = definitions.get(name)
        if known is None:
            found.append(_invalid(name, f'Property "{name}" does not exist', "PROPERTY_DOESNT_EXIST"))
        elif known["modificationMetadata"]["readOnlyValue"]:
            found.append(_invalid(name, f'"{name}" is a read only property', "READ_ONLY_VALUE"))
        elif value and not _reads_as(value, known["type"]):
            found.append(
                _invalid(name, f"{value} was not a valid {known['type']}.", f"INVALID_{known['type'].upper()}")
            )
    return found


def _invalid(name: str, message: str, error: str) -> dict[str, Any]:
    return {"isValid": False, "message": message, "error": error, "name": name}


def _reads_as(value: str, kind: str) -> bool:
    try:
        if kind == "number":
            float(value)
        elif kind in ("date", "datetime"):
            pd.Timestamp(int(value), unit="ms") if value.isdigit() else pd.Timestamp(value)
    except ValueError:
        return False
    return isinstance(value, str)


def _type(name: str) -> str:
    return "number" if name in _NUMBERS else "datetime" if name in _TIMES else "string"
