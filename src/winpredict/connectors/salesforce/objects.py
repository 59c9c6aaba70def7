"""Which fields of a Salesforce object are read, and how their values are kept: as the same texts, however they came."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import pandas as pd

from winpredict.config import CRM
from winpredict.connectors.base import RawRecord
from winpredict.errors import CRMError
from winpredict.locale.text import text

DEALS, TEAM, CALLS, USERS = "Opportunity", "OpportunityTeamMember", "VoiceCall", "User"
#: In the order in which they are read: deals first.
OBJECTS = (
    DEALS,
    "OpportunityHistory",
    "OpportunityFieldHistory",
    TEAM,
    "OpportunityContactRole",
    "OpportunityLineItem",
    "Task",
    "Event",
    CALLS,
    "Account",
    USERS,
)
SUFFIX = "__c"
#: When a record was last changed, or made where it is never changed; the first that can be filtered and sorted by.
_STAMPS = ("SystemModstamp", "LastModifiedDate", "CreatedDate")
#: Compound and binary fields; the parts of the compound ones are fields of their own.
_NO_TEXT = ("address", "location", "base64", "complexvalue", "json")
#: Texts about and by people that nothing here needs, unless the organisation added the field itself.
_PERSONAL = ("textarea", "phone", "url", "email", "encryptedstring")
_OF_USERS = ("Id", "Name", "Email", "ManagerId", "Department", "Division", "IsActive", "CreatedDate", "SystemModstamp")
#: Whole numbers below this one are written out; beyond it a float does not know its last digits.
_EXACT = 1e15
_NUMBERS = ("int", "long", "double", "currency", "percent")


@dataclass(frozen=True)
class Table:
    """What is read of one object.

    Parameters
    ----------
    name : str
    fields : dict of str to str
        Type by name.
    stamp : str
        The field that tells of the last change.
    keeps_deleted : bool
        Whether deleted records stay, marked by IsDeleted. Rows of histories count as there: they go with their deal
        and come back with it, and their stamps may tell of neither.
    lists_removals : bool
        Whether Salesforce lists the ids of removed records.
    """

    name: str
    fields: Mapping[str, str]
    stamp: str
    keeps_deleted: bool
    lists_removals: bool = False

    @classmethod
    def of(cls, described: Mapping[str, Any], settings: CRM) -> "Table":
        """From the answer to ``sobjects/X/describe``."""
        name, fields = described["name"], described["fields"]
        stamp = next((stamp for stamp in _STAMPS if _orders(fields, stamp)), None)
        if stamp is None:
            raise CRMError(
                text(
                    "Salesforce's {name} shows no time of change ({stamps}) to the connected user; give it the "
                    "right to read one of them",
                    name=name,
                    stamps=", ".join(_STAMPS),
                )
            )
        kinds = {each["name"]: str(each["type"]) for each in fields if _wanted(name, each, settings)}
        kinds |= {stamp: "datetime"}
        keeps_deleted = bool(described.get("deletable")) and any(each["name"] == "IsDeleted" for each in fields)
        return cls(name, kinds, stamp, keeps_deleted, bool(described.get("replicateable")))

    def record(self, row: Mapping[str, Any]) -> RawRecord:
        """A row of a query as a raw record."""
        values = {name: as_text(row.get(name), kind) for name, kind in self.fields.items()}
        deleted = self.keeps_deleted and values["IsDeleted"] == "true"
        return RawRecord(str(values["Id"]), {} if deleted else values, moment(str(values[self.stamp])), deleted=deleted)


def as_text(value: Any, kind: str) -> str | None:
    """A value of JSON or CSV as one text: equal facts give equal texts.

    REST sends true, 5000.0 and ``2025-06-01T08:00:00.000+0000`` where the Bulk API and exports have the texts "true",
    "5000.0" and ``2025-06-01T08:00:00.000Z``.

    Examples
    --------
    >>> as_text(5000.0, "currency"), as_text("5000.0", "currency"), as_text("", "currency")
    ('5000', '5000', None)
    >>> as_text(-0.0, "anyType"), as_text("-0.0", "anyType")
    ('0', '0')
    >>> as_text(True, "boolean"), as_text("2025-06-01T08:00:00.000Z", "datetime")
    ('true', '2025-06-01T08:00:00.000+0000')
    """
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if kind in _NUMBERS or isinstance(value, int | float):
        return _number(value)
    text = str(value)
    if kind == "anyType":
        return _of_any_type(text)
    if kind == "datetime" and text.endswith("Z"):
        return f"{text[:-1]}+0000"
    return text.lower() if kind == "boolean" else text


def moment(text: str) -> pd.Timestamp:
    """A moment that Salesforce wrote."""
    return pd.Timestamp(text).tz_convert("UTC").as_unit("us")


def literal(time: pd.Timestamp) -> str:
    """A moment as SOQL writes it.

    Examples
    --------
    >>> literal(pd.Timestamp("2025-06-01 10:00:00.5", tz="Europe/Berlin"))
    '2025-06-01T08:00:00.500Z'
    """
    return f"{time.tz_convert('UTC').isoformat(timespec='milliseconds').removesuffix('+00:00')}Z"


def field_name(name: str, known: Collection[str]) -> str:
    """The name of a field of deals as Salesforce has it: custom ones end in ``__c``.

    Examples
    --------
    >>> field_name("WinPredict_Odds", ["NextStep"]), field_name("NextStep", ["NextStep"])
    ('WinPredict_Odds__c', 'NextStep')
    """
    return name if name in known or name.endswith(SUFFIX) else f"{name}{SUFFIX}"


def pushed_names(settings: CRM) -> set[str]:
    """Fields of deals that scores are written into, as Salesforce has them."""
    names = settings.push.model_dump(exclude={"reason_count"}).values()
    return {field_name(name, ()) for name in names if name is not None} | {name for name in names if name is not None}


def _orders(fields: list[Mapping[str, Any]], stamp: str) -> bool:
    return any(each["name"] == stamp and each["filterable"] and each["sortable"] for each in fields)


def _wanted(name: str, field: Mapping[str, Any], settings: CRM) -> bool:
    if field["type"] in _NO_TEXT:
        return False
    if field["custom"]:
        return name != DEALS or _wanted_of_deals(field["name"], settings)
    if name == USERS:
        return field["name"] in _OF_USERS
    return name == CALLS or field["type"] not in _PERSONAL


def _wanted_of_deals(name: str, settings: CRM) -> bool:
    """Whether a custom field is to be read: our own scores are no facts about a deal."""
    if name in pushed_names(settings):
        return False
    names = (name, name.removesuffix(SUFFIX))
    return any(fnmatchcase(each, pattern) for each in names for pattern in settings.sync.custom_fields)


def _number(value: Any) -> str:
    text = str(value)
    if text.removeprefix("-").isdigit():
        return text
    number = float(value)
    return str(int(number)) if number.is_integer() and abs(number) < _EXACT else repr(number)


def _of_any_type(text: str) -> str:
    """Old and new values of the field history have the type of whatever field was changed."""
    whole, point, fraction = text.partition(".")
    is_whole = point and fraction == "0" and whole.removeprefix("-").isdigit()
    return ("0" if whole == "-0" else whole) if is_whole else text
