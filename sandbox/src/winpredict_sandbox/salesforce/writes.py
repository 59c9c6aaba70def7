"""What the Salesforce stand-in does with writes: all or nothing of a record, each record for itself."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from winpredict_sandbox.records import Record
from winpredict_sandbox.salesforce.refusal import RefusedError

if TYPE_CHECKING:
    from winpredict_sandbox.salesforce.server import SalesforceServer

_MAX_RECORDS = 200
_ID = 15
_READ_ONLY = ("IsDeleted", "IsClosed", "IsWon", "CreatedDate", "LastModifiedDate", "SystemModstamp")
_TYPES = {"Percent": "percent", "Text": "string", "LongTextArea": "textarea", "DateTime": "datetime"}
_NO_ACCESS = "INSUFFICIENT_ACCESS_OR_READONLY"


class Writes:
    """Carries out writes on the records of a server."""

    def __init__(self, server: "SalesforceServer") -> None:
        self._server = server

    def update(self, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        """A PATCH of ``composite/sobjects``; one result a record, in order."""
        records = body["records"]
        if len(records) > _MAX_RECORDS:
            raise RefusedError(400, "EXCEEDED_MAX_SIZE", f"record limit of {_MAX_RECORDS} exceeded")
        fields = self._server.visible_fields("Opportunity") or {}
        for record in records:
            for name in record:
                if name not in ("attributes", "id") and name not in fields:
                    raise RefusedError(400, "INVALID_FIELD", f"No such column '{name}' on sobject of type Opportunity")
        return [self._updated(record, fields) for record in records]

    def grant(self, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        """A POST of ``composite/sobjects``: rights to fields."""
        results = []
        for record in body["records"]:
            name = record["Field"].partition(".")[2]
            if record["attributes"]["type"] != "FieldPermissions" or not self._server.behaviour.grants:
                results.append(_failed("", _NO_ACCESS, "insufficient access rights on object id"))
            else:
                self._server.hidden_fields.discard(name)
                results.append({"id": f"01kDn{len(results):010d}", "success": True, "errors": []})
        return results

    def create_field(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A POST of ``tooling/sobjects/CustomField``: the field is there, and hidden from everybody."""
        table, _, name = body["FullName"].partition(".")
        made = body["Metadata"]
        if not self._server.behaviour.customizes:
            raise RefusedError(403, _NO_ACCESS, "insufficient access rights on cross-reference id")
        if table != "Opportunity" or not name.endswith("__c"):
            raise RefusedError(400, "FIELD_INTEGRITY_EXCEPTION", "FullName: a custom field's name ends in __c")
        if name in self._server.fields[table]:
            message = f"There is already a field named {name.removesuffix('__c')} on Opportunity."
            raise RefusedError(400, "DUPLICATE_DEVELOPER_NAME", message)
        if made["type"] not in _TYPES:
            raise RefusedError(400, "FIELD_INTEGRITY_EXCEPTION", f"Type: no field type {made['type']}")
        self._server.fields[table][name] = _TYPES[made["type"]]
        self._server.made_fields[name] = dict(made)
        self._server.hidden_fields.add(name)
        return {"id": f"00NDn{len(self._server.made_fields):010d}", "success": True, "errors": []}

    def _updated(self, record: Mapping[str, Any], fields: Mapping[str, str]) -> dict[str, Any]:
        deal_id = str(record.get("id", ""))[:_ID]
        values = {name: value for name, value in record.items() if name not in ("attributes", "id")}
        deal = self._server.records.get("Opportunity", deal_id)
        refusal = self._refusal(deal_id, deal, values, fields)
        if refusal is not None:
            return _failed(deal_id, *refusal)
        stored = {name: _stored(value, fields[name]) for name, value in values.items()}
        self._server.edit(deal_id, stored)
        self._server.writes += [(deal_id, name, value) for name, value in stored.items()]
        return {"id": deal_id, "success": True, "errors": []}

    def _refusal(
        self, deal_id: str, deal: Record | None, values: Mapping[str, Any], fields: Mapping[str, str]
    ) -> tuple[str, str] | None:
        if deal is None:
            return "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id"
        if deal.deleted_at is not None:
            return "ENTITY_IS_DELETED", "entity is deleted"
        for name, value in values.items():
            wrong = _wrong(name, value, fields[name], self._server.made_fields.get(name, {}))
            if wrong is not None:
                return wrong
        if self._server.locks.get(deal_id, 0) > 0:
            self._server.locks[deal_id] -= 1
            return "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record"
        if deal_id in self._server.refusals:
            return "FIELD_CUSTOM_VALIDATION_EXCEPTION", self._server.refusals[deal_id]
        return None


def _wrong(name: str, value: Any, kind: str, made: Mapping[str, Any]) -> tuple[str, str] | None:
    if name in _READ_ONLY:
        return "INVALID_FIELD_FOR_INSERT_UPDATE", f"Unable to create/update fields: {name}"
    if value is None:
        return None
    if kind in ("percent", "double", "currency"):
        whole = int(made.get("precision", 18)) - int(made.get("scale", 2))
        if not isinstance(value, int | float) or abs(value) >= 10**whole:
            return "NUMBER_OUTSIDE_VALID_RANGE", f"{name}: value outside of valid range on numeric field: {value}"
    if kind in ("string", "textarea") and len(str(value)) > int(made.get("length", 255)):
        return "STRING_TOO_LONG", f"{name}: data value too large: {str(value)[:20]}"
    if kind == "datetime" and (not isinstance(value, str) or "T" not in value):
        return "INVALID_TYPE_ON_FIELD_IN_RECORD", f"{name}: value not of required type: {value}"
    return None


def _stored(value: Any, kind: str) -> Any:
    """As it is read back: moments lose their fraction of a second, and come in UTC."""
    if value is None or value == "":
        return None
    if kind == "datetime":
        return f"{pd.Timestamp(value).tz_convert('UTC'):%Y-%m-%dT%H:%M:%S}.000+0000"
    return float(value) if kind in ("percent", "double", "currency") else value


def _failed(record_id: str, code: str, message: str) -> dict[str, Any]:
    return {"id": record_id, "success": False, "errors": [{"statusCode": code, "message": message, "fields": []}]}
