"""What HubSpot's stand-in does when it is written to: properties with their histories, merges, new records."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from winpredict_sandbox.hubspot.properties import definition, refusal
from winpredict_sandbox.hubspot.rate_limiter import RefusedError
from winpredict_sandbox.hubspot.reads import Reads, batch_answer, invalid, not_found
from winpredict_sandbox.hubspot.world import Associations, History, crm_record, hubspot_id, note
from winpredict_sandbox.records import Record, Records

_LONGEST_BATCH = 100
MERGED = "hs_merged_object_ids"

#: A rule of the account: values of a deal as they would be, to what is wrong with them; empty for nothing.
Rule = Callable[[Mapping[str, str]], str]


class Writes:
    """Changes of the records.

    Attributes
    ----------
    done : list of tuple of str
        Every field write of a batch that was carried out, in order: deal, field, value.
    rules : list of callable
        Validation rules of the account.
    multi_status : bool
        Whether a batch with a refused record is carried out for the others, where its inputs carry trace ids.
    """

    def __init__(
        self, records: Records, pairs: Associations, reads: Reads, definitions: dict[str, dict[str, Any]]
    ) -> None:
        self._records, self._pairs, self._reads, self._definitions = records, pairs, reads, definitions
        self.done: list[tuple[str, str, str]] = []
        self.rules: list[Rule] = []
        self.multi_status = True
        self._numbers: dict[str, int] = {}

    def set(self, name: str, record_id: str, values: Mapping[str, str]) -> Record:
        """Set properties of a record, and note them in its history."""
        record, now = self._reads.record(name, record_id), self._records.clock.now
        history: History = {each: list(steps) for each, steps in record.values["history"].items()}
        for each, value in values.items():
            note(history, each, value, now)
        properties = {each: value for each, value in {**record.values["properties"], **values}.items() if value}
        self._reads.forget()
        return self._records.change(name, record_id, crm_record(properties, history))

    def add(self, name: str, properties: Mapping[str, str], links: Mapping[str, list[str]]) -> Record:
        """A new record, with the ids of others that belong to it, by object."""
        now, record_id = self._records.clock.now, self._new_id(name)
        history: History = {}
        for each, value in properties.items():
            note(history, each, value, now)
        for of, ids in links.items():
            for each in ids:
                self._pairs.add(name, record_id, of, each)
        self._reads.forget()
        return self._records.add(name, record_id, crm_record(properties, history))

    def delete(self, name: str, record_id: str) -> None:
        """Archive a record."""
        self._reads.forget()
        self._records.delete(name, record_id)

    def merge(self, name: str, primary_id: str, other_id: str) -> Record:
        """Merge two records into a new one, as HubSpot does since 2025; what hangs on them gets no new stamp."""
        primary, other = (self._reads.present(name, each) for each in (primary_id, other_id))
        if primary is None or other is None or primary.record_id == other.record_id:
            raise invalid("both records of a merge must exist")
        now, record_id = self._records.clock.now, self._new_id(name)
        first, second = primary.values, other.values
        properties = {**second["properties"], **first["properties"]}
        gone = ";".join(filter(None, (first["properties"].get(MERGED), second["properties"].get(MERGED))))
        properties[MERGED] = ";".join(filter(None, (gone, primary.record_id, other.record_id)))
        properties["createdate"] = min(each["properties"]["createdate"] for each in (first, second))
        history = _joined(first["history"], second["history"])
        for each in history:
            note(history, each, properties.get(each, ""), now)
        created = min(primary.created_at, other.created_at)
        for merged in (primary, other):
            self._take_over(name, merged.record_id, record_id)
            self._records.delete(name, merged.record_id, merged_into=record_id)
        if name == "deals" and primary.record_id in self._pairs.primary:
            self._pairs.primary[record_id] = self._pairs.primary[primary.record_id]
        self._reads.forget()
        return self._records.add(name, record_id, crm_record(properties, history), created, now)

    def update(self, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """A batch of updates of deals: status and answer."""
        inputs = body["inputs"]
        if not inputs:
            raise invalid("inputs must not be empty")
        if len(inputs) > _LONGEST_BATCH:
            raise invalid("the batch has too many inputs")
        errors: list[dict[str, Any]] = []
        faults = {str(each["id"]): self._faults(each) for each in inputs}
        traced = self.multi_status and all(each.get("objectWriteTraceId") for each in inputs)
        for fault in filter(None, faults.values()):
            if not traced:
                raise invalid(fault)
        results = []
        for each in inputs:
            record, fault = self._reads.present("deals", str(each["id"])), faults[str(each["id"])]
            if record is None:
                errors.append(not_found([str(each["id"])]))
            elif fault:
                errors.append(_validation(fault, each["objectWriteTraceId"]))
            else:
                results.append(self._updated(record, each))
        return batch_answer(results, errors)

    def make_property(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A new property of deals."""
        name = str(body["name"])
        if name in self._definitions:
            raise RefusedError(409, "OBJECT_ALREADY_EXISTS", f"A property named '{name}' already exists.")
        if not name.replace("_", "").isalnum() or name.lower() != name or body.get("groupName") != "dealinformation":
            raise invalid(f"{name} is no valid property")
        made = definition(name, str(body["type"]), hubspot=False)
        self._definitions[name] = {**made, **body}
        return self._definitions[name]

    def _updated(self, record: Record, told: Mapping[str, Any]) -> dict[str, Any]:
        values = {each: str(value) for each, value in told["properties"].items()}
        self.done += [(str(told["id"]), each, value) for each, value in values.items()]
        record = self.set("deals", record.record_id, values)
        answer = self._reads.record_json("deals", record, list(values), ())
        trace = told.get("objectWriteTraceId")
        return answer | ({"objectWriteTraceId": trace} if trace else {})

    def _faults(self, told: Mapping[str, Any]) -> str:
        """What is wrong with an input, in HubSpot's words."""
        record = self._reads.present("deals", str(told["id"]))
        if record is None:
            return ""
        found = refusal(told["properties"], self._definitions)
        after = {**record.values["properties"], **told["properties"]}
        for rule in self.rules:
            if message := rule(after):
                found.append({"isValid": False, "message": message, "error": "RULE", "name": "rule"})
        return f"Property values were not valid: {json.dumps(found)}" if found else ""

    def _take_over(self, name: str, old: str, new: str) -> None:
        for of, ids in self._pairs.drop(name, old).items():
            for each in ids:
                self._pairs.add(name, new, of, each)
                if name == "companies" and self._pairs.primary.get(each) == old:
                    self._pairs.primary[each] = new

    def _new_id(self, name: str) -> str:
        if name not in self._numbers:
            known = [int(each.record_id[1:]) for each in self._records.all(name)]
            self._numbers[name] = max(known, default=-1)
        self._numbers[name] += 1
        return hubspot_id(name, self._numbers[name])


def _joined(first: History, second: History) -> History:
    return {each: sorted([*first.get(each, ()), *second.get(each, ())]) for each in {**second, **first}}


def _validation(message: str, trace: str) -> dict[str, Any]:
    return {
        "status": "error",
        "category": "VALIDATION_ERROR",
        "message": message,
        "context": {"objectWriteTraceId": [trace]},
    }
