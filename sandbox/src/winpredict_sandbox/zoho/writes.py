"""Writes into deals of Zoho's stand-in: what is carried out, and what is refused."""

import re
from collections.abc import Mapping
from typing import Any

from winpredict_sandbox.zoho.company import ZohoCompany
from winpredict_sandbox.zoho.rate_limiter import RefusedError
from winpredict_sandbox.zoho.settings import definition
from winpredict_sandbox.zoho.stamps import is_date, is_moment
from winpredict_sandbox.zoho.world import DEALS, stamp

Values = dict[str, Any]

_BATCH, _NEW_FIELDS = 100, 5
_NEW_KINDS = ("percent", "text", "textarea", "datetime", "date", "double", "integer", "boolean", "currency")


class Writes:
    """Carries writes out.

    Parameters
    ----------
    company : ZohoCompany
    definitions : dict of str to dict
        Fields of deals; new ones are added.

    Attributes
    ----------
    done : list of tuple
        Deal, field and value of every write that was carried out.
    refusals : dict of str to str
        Code with which writes to a deal are refused, such as MANDATORY_NOT_FOUND or RECORD_LOCKED.
    locks : dict of str to int
        So many of the next writes to a deal come upon a lock.
    most_fields : int
        Custom fields that the edition of the organisation allows.
    """

    def __init__(self, company: ZohoCompany, definitions: dict[str, Values]) -> None:
        self._company, self._definitions = company, definitions
        self.done: list[tuple[str, str, Any]] = []
        self.refusals: dict[str, str] = {}
        self.locks: dict[str, int] = {}
        self.most_fields = 300

    def update(self, body: Mapping[str, Any]) -> tuple[int, Values]:
        """Status and answer of an update of deals."""
        rows = body.get("data")
        if not isinstance(rows, list) or not rows:
            raise RefusedError(400, "INVALID_DATA", "invalid data", api_name="data", expected_data_type="jsonarray")
        if len(rows) > _BATCH:
            raise RefusedError(400, "LIMIT_EXCEEDED", maximum_length=_BATCH, api_name="data")
        results = [self._update_one(place, dict(row)) for place, row in enumerate(rows)]
        successes = sum(each["status"] == "success" for each in results)
        return 400 if not successes else 200 if successes == len(results) else 207, {"data": results}

    def create(self, body: Mapping[str, Any]) -> tuple[int, Values]:
        """Status and answer of making fields."""
        fields = body.get("fields")
        if not isinstance(fields, list) or not fields or len(fields) > _NEW_FIELDS:
            raise RefusedError(400, "LIMIT_EXCEEDED", maximum_length=_NEW_FIELDS, api_name="fields")
        results = [self._create_one(place, each) for place, each in enumerate(fields)]
        successes = sum(each["status"] == "success" for each in results)
        return 400 if not successes else 201 if successes == len(results) else 207, {"fields": results}

    def _update_one(self, place: int, row: Values) -> Values:
        deal_id = str(row.pop("id", ""))
        deal = self._company.records.get(DEALS, deal_id)
        if deal is None or deal.deleted_at is not None:
            return _error("INVALID_DATA", "the id given seems to be invalid", "id", place)
        if self.locks.get(deal_id, 0):
            self.locks[deal_id] -= 1
            return _error(
                "RECORD_LOCKED", "Sorry, you cannot perform this operation as the record is locked.", "id", place
            )
        if deal_id in self.refusals:
            return _error(self.refusals[deal_id], "required field not found", "Next_Step", place)
        for name, value in row.items():
            if (kind := self._fault(name, value)) is not None:
                return _error("INVALID_DATA", "invalid data", name, place, **kind)
        self._company.revision += 1
        self._company.edit(deal_id, row)
        self.done += [(deal_id, name, value) for name, value in row.items()]
        times = {"Modified_Time": stamp(self._company.deal(deal_id).modified_at)}
        return {
            "code": "SUCCESS",
            "details": {"id": deal_id, **times},
            "message": "record updated",
            "status": "success",
        }

    def _fault(self, name: str, value: Any) -> Values | None:
        """What is wrong with a value; None for nothing."""
        known = self._definitions.get(name)
        if known is None:
            return {}
        kind, length = known["data_type"], known["length"]
        if value is None:
            return None
        if kind in ("percent", "currency", "double", "integer"):
            fits = isinstance(value, int | float) and not isinstance(value, bool)
            return None if fits else {"expected_data_type": "integer" if kind == "integer" else "double"}
        if kind in ("datetime", "date"):
            fits = isinstance(value, str) and (is_moment(value) if kind == "datetime" else is_date(value))
            return None if fits else {"expected_data_type": kind}
        if not isinstance(value, str):
            return {"expected_data_type": "string"}
        return None if len(value) <= length else {"maximum_length": length}

    def _create_one(self, place: int, asked: Values) -> Values:
        label, kind = str(asked.get("field_label", "")), asked.get("data_type")
        name = re.sub(r"\W+", "_", label).strip("_")
        if kind not in _NEW_KINDS:
            return _error("INVALID_DATA", "invalid data", "data_type", place, of="fields")
        if not name or name in self._definitions:
            return _error("DUPLICATE_DATA", "duplicate data", "field_label", place, of="fields")
        if sum(bool(each["custom_field"]) for each in self._definitions.values()) >= self.most_fields:
            return _error("FIELD_LIMIT_EXCEEDED", "no more fields in this edition", "data_type", place, of="fields")
        made = definition(name, label, str(kind), custom=True, length=asked.get("length", 255))
        self._definitions[name] = {**made, "created_source": "api"}
        return {"code": "SUCCESS", "details": {"id": made["id"]}, "message": "field created", "status": "success"}


def _error(code: str, message: str, api_name: str, place: int, *, of: str = "data", **details: Any) -> Values:
    details = {**details, "api_name": api_name, "json_path": f"$.{of}[{place}].{api_name}"}
    return {"code": code, "details": details, "message": message, "status": "error"}
