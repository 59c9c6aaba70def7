"""Writing into deals of Zoho CRM: values, fields, and what came of each."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from winpredict.connectors.base import FieldChange, FieldKind, FieldOutcome, ScoreField, WriteResult
from winpredict.connectors.zoho.api import Payload, ZohoAPI, ZohoRefusalError, parts
from winpredict.errors import CRMSignInError, CRMUncertainError
from winpredict.locale.text import said, text

#: Most fields made in one request.
_NEW_FIELDS = 5
_MULTI_STATUS = (400,)
#: What stands in the way of a write for a while only.
_PASSING = ("RECORD_LOCKED", "INTERNAL_ERROR", "ALREADY_MODIFIED", "TOO_MANY_REQUESTS", "DEPENDENT_SERVICE_ERROR")
_UPDATE, _CREATE = "ZohoCRM.modules.deals.UPDATE", "ZohoCRM.settings.fields.CREATE"
_KINDS: dict[FieldKind, Payload] = {
    "percent": {"data_type": "percent"},
    "text": {"data_type": "text", "length": 255},
    "long_text": {"data_type": "textarea", "length": 2000, "textarea": {"type": "small"}},
    "time": {"data_type": "datetime"},
}


def write(api: ZohoAPI, changes: Sequence[FieldChange]) -> list[WriteResult]:
    """Write fields of at most 100 deals; automations of the organisation are not set off by scores."""
    kinds = {name: str(each.get("data_type")) for name, each in api.definitions().items()}
    rows = [
        {"id": change.deal_id, **{name: _value(value, kinds.get(name, "")) for name, value in change.values.items()}}
        for change in changes
    ]
    body = {"data": rows, "trigger": []}
    payload = api.send("PUT", "Deals", _UPDATE, json=body, writes=True, accept=_MULTI_STATUS)
    results = payload.get("data")
    if not isinstance(results, list):
        return [WriteResult(change.deal_id, False, _told(api, payload)) for change in changes]
    if len(results) != len(changes):
        raise CRMUncertainError(
            text(
                "Zoho was sent {n} deals to be written and told of {answered}: what came of each is unknown",
                n=len(changes),
                answered=len(results),
            )
        )
    return [_result(api, change.deal_id, result) for change, result in zip(changes, results, strict=True)]


def may_write(api: ZohoAPI) -> bool:
    """Whether deals may be written to: told by a request that writes nothing."""
    try:
        api.send("PUT", "Deals", _UPDATE, json={"data": [], "trigger": []}, accept=_MULTI_STATUS)
    except CRMSignInError:
        return False
    return True


def create_fields(api: ZohoAPI, fields: Sequence[ScoreField]) -> dict[str, FieldOutcome]:
    """Make fields of deals that are not there."""
    found = {field.name: FieldOutcome("there already") for field in fields if field.name in api.definitions(again=True)}
    wanted = [field for field in fields if field.name not in found]
    for some in parts(wanted, _NEW_FIELDS):
        body = {"fields": [{"field_label": _label(field), **_KINDS[field.kind]} for field in some]}
        request: dict[str, Any] = {"params": {"module": "Deals"}, "json": body, "writes": True}
        try:
            payload = api.send("POST", "settings/fields", _CREATE, accept=_MULTI_STATUS, **request)
        except ZohoRefusalError as error:
            found |= {field.name: FieldOutcome("not made", str(error)) for field in some}
            continue
        results = payload.get("fields") or [payload] * len(some)
        found |= {field.name: _made(api, result) for field, result in zip(some, results, strict=False)}
    return {field.name: _as_named(api, field, found[field.name]) for field in fields} if wanted else found


def _label(field: ScoreField) -> str:
    """Zoho names a field after its label, with underscores for blanks: this label gives the name that is wanted."""
    return field.name.replace("_", " ")


def _made(api: ZohoAPI, result: Payload) -> FieldOutcome:
    if result.get("status") == "success":
        return FieldOutcome("made")
    return FieldOutcome("not made", _told(api, result))


def _as_named(api: ZohoAPI, field: ScoreField, outcome: FieldOutcome) -> FieldOutcome:
    if outcome.state != "made":
        return outcome
    definitions = api.definitions(again=field.name not in api.definitions())
    if field.name in definitions:
        return outcome
    named = [name for name, each in definitions.items() if each.get("field_label") == _label(field)]
    if not named:
        return FieldOutcome("made", said("Zoho does not list it yet"))
    remark = said(
        "Zoho calls it {named}: write that name in place of {name} into crm.push of the config",
        named=named[0],
        name=field.name,
    )
    return FieldOutcome("made", remark)


def _value(value: Any, kind: str) -> Any:
    if value is None or kind not in ("datetime", "date"):
        return value
    stamp = pd.Timestamp(value)
    stamp = stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp
    return stamp.strftime("%Y-%m-%d") if kind == "date" else stamp.floor("s").isoformat()


def _result(api: ZohoAPI, deal_id: str, payload: Mapping[str, Any]) -> WriteResult:
    if payload.get("status") == "success":
        return WriteResult(deal_id, True)
    return WriteResult(deal_id, False, _told(api, payload), retry=str(payload.get("code")) in _PASSING)


def _told(api: ZohoAPI, payload: Mapping[str, Any]) -> str:
    details = payload.get("details") or {}
    where = details.get("api_name") or re.sub(r"^\$\.data\[\d+]\.?", "", str(details.get("json_path") or ""))
    told = ": ".join(str(part) for part in (payload.get("code"), where, payload.get("message")) if part)
    return api.connection.redact(told)
