"""Fields of deals in Salesforce that scores are pushed into: made, and opened to the user that is connected."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx
from simple_salesforce.format import format_soql

from winpredict.connectors.base import FieldKind, FieldOutcome, ScoreField
from winpredict.connectors.salesforce.api import SalesforceAPI, refusals_of
from winpredict.connectors.salesforce.objects import DEALS, field_name
from winpredict.errors import CRMError
from winpredict.locale.text import said

_MADE, _THERE = FieldOutcome("made"), FieldOutcome("there already")
_EXISTS = ("DUPLICATE_DEVELOPER_NAME", "DUPLICATE_VALUE")
_TYPES: dict[FieldKind, dict[str, Any]] = {
    "percent": {"type": "Percent", "precision": 4, "scale": 1},
    "text": {"type": "Text", "length": 255},
    "long_text": {"type": "LongTextArea", "length": 32_768, "visibleLines": 5},
    "time": {"type": "DateTime"},
}


def create_fields(
    api: SalesforceAPI, fields: Sequence[ScoreField], known: Mapping[str, Any]
) -> dict[str, FieldOutcome]:
    """Make fields by the Tooling API; name to what became of it.

    Fields made this way are hidden from everybody at first, so the connected user's profile is given the right to them.
    """
    became = {each.name: _made(api, each, known) for each in fields}
    hidden = [
        each for each in fields if field_name(each.name, known) not in known and became[each.name] in (_MADE, _THERE)
    ]
    if hidden:
        opened = _open(api, [field_name(each.name, known) for each in hidden])
        for each in hidden:
            remark = _who_sees(field_name(each.name, known), is_open=opened)
            became[each.name] = replace(became[each.name], remark=remark)
    return became


def _who_sees(name: str, *, is_open: bool) -> str:
    """Who may read a new field."""
    if is_open:
        return said("the connected user's profile may read and edit it, others may not yet (Set Field-Level Security)")
    return said(
        "nobody may read it yet: give the connected user (read, edit) and those who are to see it (read) the right in "
        "Setup > Object Manager > Opportunity > Fields & Relationships > {name} > Set Field-Level Security",
        name=name,
    )


def _made(api: SalesforceAPI, field: ScoreField, known: Mapping[str, Any]) -> FieldOutcome:
    name = field_name(field.name, known)
    if name in known:
        return _THERE
    body = {"FullName": f"{DEALS}.{name}", "Metadata": {"label": field.label, "required": False, **_TYPES[field.kind]}}
    # a field of a name is made once at most, so that asking again does no harm
    answer = api.send("POST", "tooling/sobjects/CustomField", json=body, accept=(400, 401, 403, 404))
    if answer.status_code < 400:
        return _MADE
    refusals = refusals_of(answer)
    if any(each.code in _EXISTS for each in refusals):
        return _THERE
    if answer.status_code != 400 or any(each.code.startswith("INSUFFICIENT_ACCESS") for each in refusals):
        remark = said(
            "the connected user lacks the right Customize Application. Make it by hand in Setup > Object Manager > "
            "Opportunity > Fields & Relationships: {kind}, API name {name}",
            kind=_TYPES[field.kind]["type"],
            name=name,
        )
        return FieldOutcome("not made", remark)
    return FieldOutcome("not made", api.redact("; ".join(each.message for each in refusals) or answer.text)[:300])


def _open(api: SalesforceAPI, names: Sequence[str]) -> bool:
    """Give the profile of the connected user the right to read and edit fields; whether that went well."""
    try:
        user = next(iter(api.rows(format_soql("SELECT ProfileId FROM User WHERE Id = {}", api.sign_in.user_id))), None)
        if user is None:
            return False
        soql = "SELECT Id FROM PermissionSet WHERE IsOwnedByProfile = true AND ProfileId = {}"
        rights = next(iter(api.rows(format_soql(soql, user["ProfileId"]))), None)
        if rights is None:
            return False
        records = [_right(rights["Id"], name) for name in names]
        body = {"allOrNone": False, "records": records}
        answer = api.send("POST", "composite/sobjects", json=body, accept=(400, 403))
    except CRMError:
        return False
    return answer.status_code < 400 and all(_granted(each) for each in _results(answer))


def _right(parent: str, name: str) -> dict[str, Any]:
    return {
        "attributes": {"type": "FieldPermissions"},
        "ParentId": parent,
        "SobjectType": DEALS,
        "Field": f"{DEALS}.{name}",
        "PermissionsRead": True,
        "PermissionsEdit": True,
    }


def _results(answer: httpx.Response) -> list[Mapping[str, Any]]:
    results = answer.json()
    return results if isinstance(results, list) else []


def _granted(result: Mapping[str, Any]) -> bool:
    return bool(result["success"]) or any(each.get("statusCode") in _EXISTS for each in result.get("errors", ()))
