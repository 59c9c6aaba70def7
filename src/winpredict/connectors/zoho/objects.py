"""What is read of Zoho CRM: modules with their fields, and what becomes of a deal's timeline."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import pandas as pd

from winpredict.config import CRM
from winpredict.connectors.base import RawRecord
from winpredict.connectors.zoho.api import Payload

DEALS, STAGES, TIMELINE, CONTACTS, USERS = "Deals", "Stage_History", "Deal_Timeline", "Contact_Roles", "Users"
CURRENCIES = "Currencies"
#: The module behind the related list of a deal's stages.
STAGE_MODULE = "DealHistory"
_STAMPS = ("Created_Time", "Modified_Time")
#: Fields of each module; of deals, custom ones besides.
MODULES: dict[str, tuple[str, ...]] = {
    DEALS: (
        "Deal_Name",
        "Stage",
        "Amount",
        "Currency",
        "Exchange_Rate",
        "Closing_Date",
        "Owner",
        "Account_Name",
        "Pipeline",
        "Type",
        "Lead_Source",
        "Reason_For_Loss__s",
        *_STAMPS,
    ),
    "Calls": (
        "Call_Start_Time",
        "Call_Type",
        "Call_Duration_in_seconds",
        "Call_Result",
        "Outgoing_Call_Status",
        "CTI_Entry",
        "What_Id",
        "Who_Id",
        "Owner",
        *_STAMPS,
    ),
    "Events": ("Start_DateTime", "End_DateTime", "Participants", "What_Id", "Who_Id", "Owner", *_STAMPS),
    "Tasks": ("Status", "Closed_Time", "Due_Date", "What_Id", "Who_Id", "Owner", *_STAMPS),
    "Notes": ("Parent_Id", "Owner", *_STAMPS),
    "Accounts": ("Account_Name", "Industry", "Employees", "Annual_Revenue", "Billing_Country", *_STAMPS),
}
STAGE_FIELDS = ("Stage", "Moved_To__s", "Amount", "Closing_Date", "Stage_Duration_Calendar_Days", "Modified_Time")
OBJECTS = (DEALS, STAGES, TIMELINE, "Calls", "Events", "Tasks", "Notes", CONTACTS, "Accounts", USERS, CURRENCIES)
#: Fields that only some organisations have, by a feature or by their own making.
_OF_SOME = ("Currency", "Exchange_Rate", "Pipeline")
#: Who takes part in a meeting: what Zoho calls them, and where their ids are kept.
_PARTICIPANTS = {"contact": "Participant_Contacts", "lead": "Participant_Leads", "user": "Participant_Users"}
#: Kinds of fields whose values change though nobody changed the record.
_CALCULATED = ("formula", "rollup_summary")
#: Fields whose changes a deal's timeline tells and nothing else does.
TIMELINE_FIELDS = ("Amount", "Closing_Date", "Owner")
_USER_FIELDS = ("id", "full_name", "email", "status", "Reporting_To", "role", "Modified_Time", "created_time")
_CURRENCY_FIELDS = ("iso_code", "name", "exchange_rate", "is_base", "is_active", "created_time", "modified_time")
#: Kinds of custom fields that hold no single value.
_NO_VALUES = ("subform", "fileupload", "imageupload", "multiselectlookup", "multiuserlookup", "profileimage")
_CONTACT_MODULES = ("Contacts", "Contact_Roles")


def custom_fields(definitions: Mapping[str, Payload], settings: CRM) -> list[str]:
    """Names of the custom fields of deals to read; never those that scores are pushed into."""
    own = pushed_names(settings)
    return sorted(
        name
        for name, each in definitions.items()
        if each.get("custom_field")
        and each.get("data_type") not in _NO_VALUES
        and name not in own
        and any(fnmatchcase(name, pattern) for pattern in settings.sync.custom_fields)
    )


def pushed_names(settings: CRM) -> set[str]:
    """Fields of deals that scores are pushed into."""
    return {each for each in settings.push.model_dump().values() if isinstance(each, str)}


def moment(text: str) -> pd.Timestamp:
    """A stamp of Zoho in UTC.

    Examples
    --------
    >>> moment("2021-08-04T14:08:39+03:00")
    Timestamp('2021-08-04 11:08:39+0000', tz='UTC')
    """
    return pd.Timestamp(text).tz_convert("UTC").as_unit("us")


def calculated_fields(definitions: Mapping[str, Payload]) -> frozenset[str]:
    """Names of the fields whose values change though nobody changed the record: formulas and roll-ups."""
    return frozenset(
        name
        for name, each in definitions.items()
        if each.get("data_type") in _CALCULATED or any((each.get(kind) or {}).get("expression") for kind in _CALCULATED)
    )


def hidden_fields(
    module: str, definitions: Mapping[str, Payload], columns: Mapping[str, Sequence[str]], profile: str
) -> tuple[str, ...]:
    """Fields of a module that are mapped and not shown.

    Parameters
    ----------
    module : str
    definitions : mapping of str to dict
        What `ZohoAPI.definitions` tells.
    columns : mapping of str to sequence of str
        Canonical column to the raw columns that may carry it.
    profile : str
        The id of the user's profile.
    """
    found: dict[str, None] = {}
    for names in columns.values():
        fields = [name for name in dict.fromkeys(each.partition(".")[0] for each in names) if name in MODULES[module]]
        fields = [name for name in fields if name not in _OF_SOME]
        if fields and not any(_is_shown(definitions.get(name), profile) for name in fields):
            found[fields[0]] = None
    return tuple(found)


def _is_shown(definition: Payload | None, profile: str) -> bool:
    if definition is None or definition.get("visible") is False:
        return False
    return not any(
        str(each.get("id")) == profile and each.get("permission_type") == "hidden"
        for each in definition.get("profiles") or ()
    )


def has_hiding_profiles(definitions: Mapping[str, Payload]) -> bool:
    """Whether any field is hidden from anybody."""
    return any(
        profile.get("permission_type") == "hidden"
        for each in definitions.values()
        for profile in each.get("profiles") or ()
    )


def raw_record(record: Payload) -> RawRecord:
    """A record of a module; what Zoho adds for its own pages (names with a dollar sign) is left out."""
    values = {name: value for name, value in record.items() if not name.startswith("$")}
    if "Participants" in values:
        values |= _participants(values.pop("Participants"))
    return RawRecord(str(record["id"]), values, moment(str(record.get("Modified_Time") or record["Created_Time"])))


def _participants(listed: Any) -> dict[str, list[str]]:
    """Who takes part in a meeting, by ids only: names and addresses are not kept."""
    found: dict[str, list[str]] = {name: [] for name in _PARTICIPANTS.values()}
    for each in listed if isinstance(listed, list) else ():
        place = _PARTICIPANTS.get(str(each.get("type") or "").lower())
        if place and each.get("participant"):
            found[place].append(str(each["participant"]))
    return {name: sorted(set(ids)) for name, ids in found.items()}


def currency_record(payload: Payload) -> RawRecord:
    """A currency with its rate; the organisation's own says so in is_base."""
    stamp = payload.get("modified_time") or payload.get("created_time") or "1970-01-01T00:00:00Z"
    values = {name: payload.get(name) for name in _CURRENCY_FIELDS}
    return RawRecord(str(payload["iso_code"]), values, moment(str(stamp)))


def deleted_record(payload: Payload) -> RawRecord:
    """A record that is gone."""
    return RawRecord(str(payload["id"]), {}, moment(str(payload["deleted_time"])), deleted=True)


def stage_record(record: Payload, deal_id: str = "") -> RawRecord:
    """A stay of a deal in a stage; where the deal is not told with it, it is known from where it was asked for."""
    found = raw_record(record)
    values = {**found.values, "deal_id": deal_id or str((record.get("Potential_Name") or {}).get("id") or "")}
    return RawRecord(found.record_id, values, found.modified_at)


def user_record(user: Payload) -> RawRecord:
    """One of ours."""
    stamp = user.get("Modified_Time") or user.get("modified_time") or user.get("created_time")
    values = {name: user.get(name) for name in _USER_FIELDS}
    return RawRecord(str(user["id"]), values, moment(str(stamp or "1970-01-01T00:00:00Z")))


@dataclass(frozen=True)
class Owners:
    """Finds users as timelines tell them: by id, by an object with one, or by name."""

    users: Mapping[str, Payload]

    def id_of(self, payload: Any) -> str | None:
        """The id of a user; None where it cannot be told."""
        if isinstance(payload, Mapping):
            return str(payload["id"]) if payload.get("id") else self.id_of(payload.get("name"))
        if not payload or str(payload) in self.users or str(payload).isdecimal():
            return str(payload) if payload else None
        named = [key for key, user in self.users.items() if user.get("full_name") == payload]
        return named[0] if len(named) == 1 else None


def timeline_records(deal_id: str, entries: Iterable[Payload], owners: Owners) -> Iterator[RawRecord]:
    """One record a change of a field of `TIMELINE_FIELDS`."""
    for entry in entries:
        for change in entry.get("field_history") or ():
            name, value = change.get("api_name"), change.get("_value") or {}
            if name not in TIMELINE_FIELDS:
                continue
            old, new = (
                owners.id_of(each) if name == "Owner" else each for each in (value.get("old"), value.get("new"))
            )
            audited = str(entry["audited_time"])
            values = {
                "deal_id": deal_id,
                "audited_time": audited,
                "field": name,
                "old_value": old,
                "new_value": new,
            }
            yield RawRecord(f"{entry['id']}:{name}", values, moment(audited))


def added_contacts(entries: Iterable[Payload]) -> dict[str, str]:
    """When each contact came to a deal, as its timeline tells it."""
    added: dict[str, str] = {}
    for entry in entries:
        for record in (entry.get("record") or {}, entry.get("related_record") or {}):
            module = record.get("module") or {}
            if (module.get("api_name") or module.get("name")) in _CONTACT_MODULES and record.get("id"):
                known, stamp = added.get(str(record["id"])), str(entry["audited_time"])
                added[str(record["id"])] = stamp if known is None or moment(stamp) < moment(known) else known
    return added


def contact_records(
    deal_id: str, changed: pd.Timestamp, contacts: Iterable[Payload], added: Mapping[str, str]
) -> Iterator[RawRecord]:
    """The contacts of a deal.

    Zoho does not say when a contact was added to a deal. Its timeline may, and else all that is known is that it was
    there when the deal was read: the stamp of the deal's last change is taken then, which is never too early.

    Parameters
    ----------
    deal_id : str
    changed : Timestamp
        The last change of the deal.
    contacts : iterable of dict
        As the related list tells them.
    added : mapping of str to str
        What `added_contacts` tells.
    """
    for contact in contacts:
        contact_id = str(contact["id"])
        values = {
            "id": contact_id,
            "deal_id": deal_id,
            "Contact_Role": contact.get("Contact_Role"),
            "Added_Time": added.get(contact_id, changed.isoformat()),
        }
        yield RawRecord(f"{deal_id}:{contact_id}", values, changed)


@dataclass
class Additions:
    """When contacts came to deals, kept from the reading of timelines to that of contacts: each is asked for once.

    Examples
    --------
    >>> kept = Additions()
    >>> kept.keep("7", "2025-06-01T12:00:00Z", {"8": "2025-05-01T12:00:00Z"})
    >>> kept.take("7", "2025-06-01T12:00:00Z"), kept.take("7", "2025-06-01T12:00:00Z")
    ({'8': '2025-05-01T12:00:00Z'}, None)
    """

    _known: dict[str, tuple[str, dict[str, str]]] = field(default_factory=dict)

    def keep(self, deal_id: str, changed: str, added: dict[str, str]) -> None:
        """Keep what the whole timeline of a deal tells, as of its last change."""
        self._known[deal_id] = (changed, added)

    def take(self, deal_id: str, changed: str) -> dict[str, str] | None:
        """What is kept of a deal, which is then let go of; None where it was changed since, or nothing is kept."""
        known = self._known.pop(deal_id, None)
        return known[1] if known is not None and known[0] == changed else None
