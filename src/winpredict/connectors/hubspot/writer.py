"""Writing fields of HubSpot's deals: values in its form, batches, and which records were refused and why."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import httpx

from winpredict.connectors.base import FieldChange, FieldKind, FieldOutcome, ScoreField, WriteResult
from winpredict.connectors.hubspot.api import HubSpotAPI, Payload
from winpredict.connectors.hubspot.auth import body_of, said_in
from winpredict.connectors.hubspot.objects import moment
from winpredict.errors import CRMError, CRMFieldError, CRMUncertainError
from winpredict.locale.text import text

_GROUP = "dealinformation"
_TYPES: dict[FieldKind, dict[str, Any]] = {
    # HubSpot keeps a share and shows it as a percentage
    "percent": {"type": "number", "fieldType": "number", "numberDisplayHint": "percentage"},
    "text": {"type": "string", "fieldType": "text"},
    "long_text": {"type": "string", "fieldType": "textarea"},
    "time": {"type": "datetime", "fieldType": "date"},
}
#: Errors of one record that may pass, other than a refusal.
_PASSING = ("RATE_LIMITS", "CONFLICT", "LOCKED", "INTERNAL_ERROR", "SERVICE_UNAVAILABLE")
_SAID = 300
_REFUSED, _FORBIDDEN, _MISSING, _THERE = 400, 403, 404, 409
_DECIMALS = 10


def property_name(name: str) -> str:
    """A field's name as HubSpot has it.

    Examples
    --------
    >>> property_name("WinPredict_Scored_At")
    'winpredict_scored_at'
    """
    return name.lower()


def read_fields(api: HubSpotAPI, deal_ids: Sequence[str], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Present values; see `winpredict.connectors.base.CRMSource.read_fields`."""
    known = _definitions(api, names)
    payload = api.read("deals", deal_ids, sorted({property_name(name) for name in names}))
    return {
        str(each["id"]): {name: _value(each["properties"].get(property_name(name)), known[name]) for name in names}
        for each in payload
    }


def write(api: HubSpotAPI, changes: Sequence[FieldChange]) -> list[WriteResult]:
    """Write fields of deals; see `winpredict.connectors.base.CRMSource.write`.

    An answer that refuses the batch as a whole has written nothing of it: it is then halved, until the refused records
    stand alone.
    """
    if not changes:
        return []
    known = _definitions(api, {name for change in changes for name in change.values})
    inputs = [
        {
            "id": change.deal_id,
            "objectWriteTraceId": change.deal_id,
            "properties": {property_name(name): _text(value, known[name]) for name, value in change.values.items()},
        }
        for change in changes
    ]
    return _written(api, inputs)


def create_fields(api: HubSpotAPI, fields: Sequence[ScoreField]) -> dict[str, FieldOutcome]:
    """Make properties of deals; see `winpredict.connectors.base.CRMSource.create_fields`."""
    done = {each.name: _created(api, each) for each in fields}
    api.definitions(again=True)
    return done


def _created(api: HubSpotAPI, field: ScoreField) -> FieldOutcome:
    if property_name(field.name) in api.definitions():
        return FieldOutcome("there already")
    body = {"name": property_name(field.name), "label": field.label, "groupName": _GROUP, **_TYPES[field.kind]}
    answer = api.connection.send(
        "POST", api.path("crm/properties", "deals"), json=body, writes=True, accept=(_REFUSED, _FORBIDDEN, _THERE)
    )
    if answer.status_code < _REFUSED:
        return FieldOutcome("made")
    if answer.status_code == _THERE:
        return FieldOutcome("there already")
    return FieldOutcome("not made", _error_text(api, said_in(answer)))


def _definitions(api: HubSpotAPI, names: Iterable[str]) -> dict[str, Payload]:
    """The properties behind field names."""
    known = api.definitions()
    if any(property_name(name) not in known for name in names):
        known = api.definitions(again=True)
    missing = sorted(name for name in set(names) if property_name(name) not in known)
    if missing:
        raise CRMFieldError(
            text(
                "HubSpot's deals have no property {missing}; make it with `winpredict push hubspot "
                "--create-fields`, or name another in the config under crm.push",
                missing=", ".join(map(property_name, missing)),
            )
        )
    return {name: known[property_name(name)] for name in names}


def _written(api: HubSpotAPI, inputs: Sequence[dict[str, Any]]) -> list[WriteResult]:
    answer = api.connection.send(
        "POST",
        api.path("crm/objects", "deals/batch/update"),
        json={"inputs": list(inputs)},
        writes=True,
        accept=(_REFUSED, _MISSING),
    )
    # one record that is not there has the whole batch answered with 404
    if answer.status_code not in (_REFUSED, _MISSING):
        return _results(api, answer, inputs)
    said = str(body_of(answer).get("message") or answer.text)
    if "PROPERTY_DOESNT_EXIST" in said:
        raise CRMFieldError(text("HubSpot's deals lack a property: {api}", api=_error_text(api, said)))
    if len(inputs) == 1:
        return [WriteResult(str(inputs[0]["id"]), False, _error_text(api, said))]
    half = len(inputs) // 2
    first = _written(api, inputs[:half])
    try:
        return first + _written(api, inputs[half:])
    except CRMUncertainError:
        raise
    except CRMError as error:
        # what was written must be told, whatever stands in the way of the rest
        return first + [WriteResult(str(each["id"]), False, str(error), retry=True) for each in inputs[half:]]


def _results(api: HubSpotAPI, answer: httpx.Response, inputs: Sequence[dict[str, Any]]) -> list[WriteResult]:
    said = body_of(answer)
    done = {str(each.get("objectWriteTraceId") or each["id"]) for each in said.get("results", ())}
    errors = {of: error for error in said.get("errors", ()) for of in _named(error)}
    unnamed = next(
        (error for error in said.get("errors", ()) if not _named(error)), {"message": str(text("HubSpot gave no word"))}
    )
    results = []
    for deal_id in (str(each["id"]) for each in inputs):
        error = errors.get(deal_id, unnamed)
        if deal_id in done:
            results.append(WriteResult(deal_id, True))
        else:
            retry = error is unnamed or error.get("category") in _PASSING
            results.append(WriteResult(deal_id, False, _error_text(api, str(error.get("message", ""))), retry))
    return results


def _named(error: Mapping[str, Any]) -> set[str]:
    """The records that an error of a batch is about."""
    context = error.get("context") or {}
    payload = [*context.get("objectWriteTraceId", ()), *context.get("ids", ()), *context.get("id", ())]
    return {str(each) for each in [*payload, error.get("id")] if each}


def _error_text(api: HubSpotAPI, message: str) -> str:
    """What an error says, without the JSON that HubSpot wraps it in."""
    start, end = message.find("["), message.rfind("]")
    try:
        parts = json.loads(message[start : end + 1]) if start >= 0 else []
        text = "; ".join(f"{each['name']}: {each['message']}" for each in parts)
    except (ValueError, TypeError, KeyError):
        text = ""
    return api.connection.redact(text or message)[:_SAID]


def _text(value: Any, definition: Payload) -> str:
    """A value as HubSpot takes it: all are strings, and an empty one empties the property."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        number = value / 100 if _is_percentage(definition) else value
        return str(int(number)) if float(number).is_integer() else repr(round(float(number), _DECIMALS))
    if definition["type"] in ("date", "datetime"):
        stamp = moment(str(value))
        return f"{stamp:%Y-%m-%d}" if definition["type"] == "date" else f"{stamp:%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"
    return str(value)


def _value(text: Any, definition: Payload) -> Any:
    if text is None or text == "":
        return None
    if definition["type"] == "number":
        number = float(text)
        return round(number * 100, _DECIMALS) if _is_percentage(definition) else number
    return str(text)


def _is_percentage(definition: Payload) -> bool:
    return definition.get("numberDisplayHint") == "percentage"
