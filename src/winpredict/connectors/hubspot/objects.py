"""HubSpot's objects as they are read: properties, associations, and what a raw record keeps of an answer."""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import pandas as pd

from winpredict.connectors.base import RawRecord

#: Properties of deals whose history is read.
HISTORY = ("dealstage", "amount", "closedate", "hubspot_owner_id")
#: On the record that two were merged into: the ids of those two, which are no records any more.
MERGED = "hs_merged_object_ids"
_ACTIVITY = ("hs_timestamp", "hs_createdate", "hubspot_owner_id")
#: Properties read of each object. Texts of calls, e-mails and notes stay where they are.
PROPERTIES: dict[str, tuple[str, ...]] = {
    "deals": (
        "dealname",
        "dealstage",
        "pipeline",
        "amount",
        "deal_currency_code",
        "createdate",
        "closedate",
        "hubspot_owner_id",
        "dealtype",
        "hs_is_closed",
        "hs_is_closed_won",
        "hs_analytics_source",
        "closed_lost_reason",
        "closed_won_reason",
    ),
    "calls": (
        *_ACTIVITY,
        "hs_call_title",
        "hs_call_direction",
        "hs_call_duration",
        "hs_call_disposition",
        "hs_call_status",
        "hs_call_source",
        "hs_call_external_id",
        "hs_call_from_number",
        "hs_call_to_number",
    ),
    "emails": (*_ACTIVITY, "hs_email_subject", "hs_email_direction", "hs_email_status"),
    "meetings": (
        *_ACTIVITY,
        "hs_meeting_title",
        "hs_meeting_start_time",
        "hs_meeting_end_time",
        "hs_meeting_outcome",
    ),
    "notes": _ACTIVITY,
    "tasks": (*_ACTIVITY, "hs_task_subject", "hs_task_status", "hs_task_type", "hs_task_completion_date"),
    "companies": ("name", "industry", "numberofemployees", "annualrevenue", "country", "createdate"),
    "line_items": ("name", "hs_product_id", "quantity", "price", "amount", "createdate"),
}
ACTIVITIES = ("calls", "emails", "meetings", "notes", "tasks")
#: Objects whose ids a raw record carries.
ASSOCIATED: dict[str, tuple[str, ...]] = {
    "deals": ("companies", "contacts"),
    **dict.fromkeys(ACTIVITIES, ("deals", "contacts")),
    "companies": (),
    "line_items": ("deals",),
}
#: The scope that reading an object needs. Activities came with that of contacts before they had their own.
SCOPES: dict[str, str] = {
    "deals": "crm.objects.deals.read",
    "companies": "crm.objects.companies.read",
    "contacts": "crm.objects.contacts.read",
    "line_items": "crm.objects.line_items.read",
    "owners": "crm.objects.owners.read",
    "emails": "sales-email-read",
    **dict.fromkeys(("calls", "meetings", "notes", "tasks"), "crm.objects.contacts.read"),
}
WRITE_SCOPE = "crm.objects.deals.write"
_PRIMARY_TYPES = ("deal_to_company",)
_PRIMARY_TYPE_IDS = (5,)


def modified_property(name: str) -> str:
    """The property that holds the last change of an object's records.

    Examples
    --------
    >>> modified_property("deals"), modified_property("contacts")
    ('hs_lastmodifieddate', 'lastmodifieddate')
    """
    return "lastmodifieddate" if name == "contacts" else "hs_lastmodifieddate"


def read_properties(name: str) -> list[str]:
    """Properties of an object to ask for, those of bookkeeping too."""
    kept = (MERGED,) if name in ("deals", "companies") else ()
    return [*PROPERTIES[name], *kept, modified_property(name)]


def custom_properties(
    definitions: Iterable[Mapping[str, Any]], patterns: Sequence[str], without: Iterable[str]
) -> list[str]:
    """Names of an account's own properties that a config wants.

    Parameters
    ----------
    definitions : iterable of mapping
        As the properties endpoint tells them.
    patterns : sequence of str
        See `winpredict.config.Sync.custom_fields`; case does not count.
    without : iterable of str
        Those that scores are pushed into: read back, they would be features.

    Examples
    --------
    >>> told = [{"name": "region"}, {"name": "winpredict_odds"}, {"name": "hs_x", "hubspotDefined": True}]
    >>> custom_properties(told, ["*"], ["winpredict_odds"])
    ['region']
    """
    own = (str(each["name"]) for each in definitions if not each.get("hubspotDefined"))
    lower = [pattern.lower() for pattern in patterns]
    wanted = (name for name in own if any(fnmatchcase(name.lower(), pattern) for pattern in lower))
    return sorted(set(wanted) - set(without))


def listed_links(of: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Associations as a list of records tells them, in the form of `linked`."""
    rows = of.get("results", [])
    return linked((str(each["id"]), str(each.get("type")) in _PRIMARY_TYPES) for each in rows)


def read_links(to: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Associations as the associations endpoint tells them, in the form of `linked`."""
    return linked((str(each["toObjectId"]), any(map(_is_primary, each.get("associationTypes", ())))) for each in to)


def linked(links: Iterable[tuple[str, bool]]) -> list[dict[str, Any]]:
    """Each associated id once, the primary one first, in an order that is the same whichever endpoint told them.

    Examples
    --------
    >>> linked([("20", False), ("3", False), ("20", True)])
    [{'id': '20', 'primary': True}, {'id': '3', 'primary': False}]
    """
    primary: dict[str, bool] = {}
    for record_id, is_primary in links:
        primary[record_id] = primary.get(record_id, False) or is_primary
    ids = sorted(primary, key=lambda each: (not primary[each], len(each), each))
    return [{"id": each, "primary": primary[each]} for each in ids]


def raw_record(
    name: str, payload: Mapping[str, Any], links: Mapping[str, Sequence[Mapping[str, Any]]], wanted: Iterable[str]
) -> RawRecord:
    """A record with its associations, as the profile maps it, and no properties but those that were asked for."""
    values = {key: value for key, value in payload.items() if key not in ("associations", "url")}
    properties = payload.get("properties", {})
    values["properties"] = {each: properties[each] for each in wanted if each in properties}
    if links:
        values["associations"] = {of: {"results": list(found)} for of, found in links.items()}
    return RawRecord(str(payload["id"]), values, modified_at(name, payload))


def modified_at(name: str, payload: Mapping[str, Any]) -> pd.Timestamp:
    """When a record was last changed."""
    return moment(payload.get("properties", {}).get(modified_property(name)) or payload["updatedAt"])


def merged_away(name: str, payload: Mapping[str, Any]) -> list[RawRecord]:
    """The records that were merged into this one, as deleted ones."""
    ids = str(payload.get("properties", {}).get(MERGED) or "").split(";")
    gone = [each.strip() for each in ids if each.strip() not in ("", str(payload["id"]))]
    return [RawRecord(each, {}, modified_at(name, payload), deleted=True) for each in gone]


def moment(text: str | int) -> pd.Timestamp:
    """A time as HubSpot writes it: ISO 8601, or milliseconds since 1970.

    Examples
    --------
    >>> moment("1736935200000") == moment("2025-01-15T10:00:00Z")
    True
    """
    plain = str(text)
    stamp = pd.Timestamp(int(plain), unit="ms", tz="UTC") if plain.isdigit() else pd.Timestamp(plain)
    stamp = stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")
    return stamp.as_unit("us")


def milliseconds(stamp: pd.Timestamp) -> int:
    """A time as search filters want it."""
    return int(stamp.value // 1_000_000)


def _is_primary(kind: Mapping[str, Any]) -> bool:
    return kind.get("label") == "Primary" or kind.get("typeId") in _PRIMARY_TYPE_IDS
