"""What HubSpot's stand-in answers to reading requests: lists, searches, batches, associations."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from winpredict_sandbox.hubspot.properties import all_values, history_json, modified_name, stamped_values
from winpredict_sandbox.hubspot.rate_limiter import RefusedError
from winpredict_sandbox.hubspot.world import Associations, iso, milliseconds
from winpredict_sandbox.records import Record, Records

_LONGEST_LIST, _LONGEST_HISTORY_LIST, _LONGEST_BATCH, _LONGEST_SEARCH = 100, 50, 100, 200
_LONGEST_LINKS = 1000
_STAMPS = ("hs_lastmodifieddate", "lastmodifieddate")


@dataclass
class Limits:
    """Numbers that tests lower.

    Parameters
    ----------
    search_results : int
        Records that a search pages through.
    links_page : int
        Associated records told at once.
    """

    search_results: int = 10_000
    links_page: int = 100


class Reads:
    """Answers to reading requests.

    Parameters
    ----------
    records : Records
    pairs : Associations
    limits : Limits
    """

    def __init__(self, records: Records, pairs: Associations, limits: Limits) -> None:
        self.records, self.pairs, self.limits = records, pairs, limits
        self._kept: dict[tuple[str, str], list[Any]] = {}

    def forget(self) -> None:
        """Forget the order of records, since some have changed."""
        self._kept.clear()

    def listed(self, name: str, query: Mapping[str, str]) -> dict[str, Any]:
        """A page of the records of an object, in the order of their ids."""
        limit, histories = int(query.get("limit", "10")), _names(query.get("propertiesWithHistory", ""))
        if limit > (_LONGEST_HISTORY_LIST if histories else _LONGEST_LIST):
            raise invalid(f"limit {limit} is too large")
        archived = query.get("archived", "false") == "true"
        ids = self._in_order(name, "archived" if archived else "live", self._archived if archived else self._live_ids)
        start = bisect_right(ids, int(query.get("after", "0")))
        page, kinds = ids[start : start + limit], _names(query.get("associations", ""))
        records = [self.record(name, str(each)) for each in page]
        told = [self.record_json(name, each, _names(query.get("properties", "")), histories) for each in records]
        for each in told:
            links = {of: self._links_page(name, str(each["id"]), of) for of in kinds}
            each |= {"associations": links} if any(links.values()) else {}
        return _paged(told, str(page[-1]) if start + limit < len(ids) else "")

    def owners(self, query: Mapping[str, str]) -> dict[str, Any]:
        """A page of owners."""
        archived = query.get("archived", "false") == "true"
        ids = sorted(int(each.record_id) for each in self.records.live("owners") if each.values["archived"] == archived)
        limit = int(query.get("limit", "100"))
        start = bisect_right(ids, int(query.get("after", "0")))
        page = ids[start : start + limit]
        told = [owner(self.record("owners", str(each))) for each in page]
        return _paged(told, str(page[-1]) if start + limit < len(ids) else "")

    def searched(self, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """A page of the records that filters find."""
        limit, start = int(body.get("limit", 10)), int(body.get("after") or 0)
        groups = [group["filters"] for group in body.get("filterGroups", ())]
        if limit > _LONGEST_SEARCH or len(groups) > 5 or any(len(group) > 6 for group in groups):
            raise invalid("the search asks for too much")
        if start + limit > self.limits.search_results:
            raise invalid("paging beyond the first records that a search finds is not supported")
        found = self._candidates(name, groups)
        if groups:
            found = [each for each in found if any(self._fits(name, each, group) for group in groups)]
        found = self._sorted(name, found, body.get("sorts", ()))
        page, wanted = found[start : start + limit], list(body.get("properties", ()))
        told = [self.record_json(name, each, wanted, ()) for each in page]
        answer = _paged(told, str(start + limit) if start + limit < len(found) else "")
        return {"total": len(found), **answer}

    def batch(self, name: str, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """Records by their ids; an id that was merged into another gives the other."""
        histories = list(body.get("propertiesWithHistory", ()))
        if len(body["inputs"]) > (_LONGEST_HISTORY_LIST if histories else _LONGEST_BATCH):
            raise invalid("the batch has too many inputs")
        ids = [str(each["id"]) for each in body["inputs"]]
        found = {each: self.present(name, each) for each in ids}
        there = {record.record_id: record for record in found.values() if record is not None}
        told = [self.record_json(name, each, list(body.get("properties", ())), histories) for each in there.values()]
        missing = [each for each, record in found.items() if record is None]
        return batch_answer(told, [not_found(missing)] if missing else [])

    def links(self, name: str, of: str, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """Associations of records, a page of each."""
        if len(body["inputs"]) > _LONGEST_LINKS:
            raise invalid("the batch has too many inputs")
        told, errors = [], []
        for each in body["inputs"]:
            record_id, start = str(each["id"]), int(each.get("after") or 0)
            ids = self._live_links(name, record_id, of)
            page = ids[start : start + self.limits.links_page]
            to = [{"toObjectId": other, "associationTypes": self._types(name, record_id, of, other)} for other in page]
            row: dict[str, Any] = {"from": {"id": record_id}, "to": to}
            if start + len(page) < len(ids):
                row["paging"] = {"next": {"after": str(start + len(page)), "link": "?"}}
            if ids:
                told.append(row)
            else:
                errors.append(_unlinked(record_id, of))
        return batch_answer(told, errors)

    def record_json(self, name: str, record: Record, wanted: Sequence[str], histories: Sequence[str]) -> dict[str, Any]:
        """A record as HubSpot tells it."""
        values = self.values(name, record, wanted)
        stamps = ("hs_object_id", modified_name(name), "createdate" if "createdate" in values else "hs_createdate")
        archived = record.deleted_at is not None
        answer = {
            "id": record.record_id,
            "properties": {each: values.get(each) for each in (*stamps, *wanted)},
            "createdAt": iso(record.created_at),
            "updatedAt": iso(record.modified_at),
            "archived": archived,
            "url": f"https://app.hubspot.com/{name}/{record.record_id}",
        }
        if histories:
            known = record.values["history"]
            answer["propertiesWithHistory"] = {each: history_json(known[each]) for each in histories if each in known}
        return answer | ({"archivedAt": iso(record.deleted_at)} if record.deleted_at is not None else {})

    def values(self, name: str, record: Record, wanted: Sequence[str] | None = None) -> dict[str, str]:
        """Properties of a record, by default all."""
        plain = {*record.values["properties"], *_STAMPS, "hs_object_id"}
        if name != "deals" or (wanted is not None and plain.issuperset(wanted)):
            return stamped_values(name, record)
        contacts = len(self.pairs.of(name, record.record_id, "contacts"))
        return all_values(record, self.records.clock.now, contacts)

    def record(self, name: str, record_id: str) -> Record:
        """A record that there is, or was."""
        record = self.records.get(name, record_id)
        if record is None:
            raise RefusedError(404, "OBJECT_NOT_FOUND", f"Object not found. objectId are usually numeric: {record_id}")
        return record

    def present(self, name: str, record_id: str) -> Record | None:
        """The record that an id leads to now; None where that was deleted."""
        record = self.records.get(name, record_id)
        while record is not None and record.merged_into:
            record = self.records.get(name, record.merged_into)
        return None if record is None or record.deleted_at is not None else record

    def _links_page(self, name: str, record_id: str, of: str) -> dict[str, Any]:
        """The associations that come with a list: one row a type, so that a main company comes twice."""
        ids = self._live_links(name, record_id, of)
        rows = [
            {"id": other, "type": each["type"]}
            for other in ids[: self.limits.links_page]
            for each in self._types(name, record_id, of, other)
        ]
        after = str(self.limits.links_page) if len(ids) > self.limits.links_page else ""
        return _paged(rows, after) if rows else {}

    def _live_links(self, name: str, record_id: str, of: str) -> list[str]:
        record = self.records.get(name, record_id)
        if record is None or record.deleted_at is not None:
            return []
        ids = self.pairs.of(name, record_id, of)
        live = [each for each in ids if (other := self.records.get(of, each)) and other.deleted_at is None]
        return sorted(live, key=lambda each: each[::-1])  # in no order that a reader could rely on

    def _types(self, name: str, record_id: str, of: str, other: str) -> list[dict[str, Any]]:
        singular = {"companies": "company"}
        kind = f"{singular.get(name, name[:-1])}_to_{singular.get(of, of[:-1])}"
        if (name, of) != ("deals", "companies"):
            return [{"category": "HUBSPOT_DEFINED", "typeId": 200, "label": None, "type": kind}]
        unlabelled = {"category": "HUBSPOT_DEFINED", "typeId": 341, "label": None, "type": f"{kind}_unlabeled"}
        main = {"category": "HUBSPOT_DEFINED", "typeId": 5, "label": "Primary", "type": kind}
        return [unlabelled, main] if self.pairs.primary.get(record_id) == other else [unlabelled]

    def _in_order(self, name: str, kind: str, make: Callable[[str], list[Any]]) -> list[Any]:
        if (name, kind) not in self._kept:
            self._kept[(name, kind)] = make(name)
        return self._kept[(name, kind)]

    def _live_ids(self, name: str) -> list[int]:
        return sorted(int(each.record_id) for each in self.records.live(name))

    def _archived(self, name: str) -> list[int]:
        gone = (each for each in self.records.all(name) if each.deleted_at is not None and not each.merged_into)
        return sorted(int(each.record_id) for each in gone)

    def _by_change(self, name: str) -> list[tuple[int, str, Record]]:
        # records of one moment stand in no order that a reader could rely on
        rows = [(int(milliseconds(each.modified_at)), each.record_id[::-1], each) for each in self.records.live(name)]
        return sorted(rows, key=lambda row: row[:2])

    def _candidates(self, name: str, groups: Sequence[Sequence[Mapping[str, str]]]) -> list[Record]:
        rows = self._in_order(name, "changed", self._by_change)
        starts = [
            int(each["value"])
            for group in groups
            for each in group
            if each["propertyName"] in _STAMPS and each["operator"] in ("GTE", "GT", "EQ")
        ]
        start = bisect_left(rows, (min(starts),)) if len(groups) == 1 and starts else 0
        return [record for _, _, record in rows[start:]]

    def _fits(self, name: str, record: Record, filters: Iterable[Mapping[str, str]]) -> bool:
        return all(self._passes(name, record, each) for each in filters)

    def _passes(self, name: str, record: Record, each: Mapping[str, str]) -> bool:
        told, operator = self._number(name, record, each["propertyName"]), each["operator"]
        if operator == "HAS_PROPERTY":
            return told is not None
        if told is None:
            return False
        wanted = float(each["value"])
        return {
            "GTE": told >= wanted,
            "GT": told > wanted,
            "LTE": told <= wanted,
            "LT": told < wanted,
            "EQ": told == wanted,
        }[operator]

    def _number(self, name: str, record: Record, of: str) -> float | None:
        if of in _STAMPS:
            return float(milliseconds(record.modified_at))
        if of == "hs_object_id":
            return float(record.record_id)
        value = record.values["properties"].get(of)
        return None if not value else float(value) if value.replace(".", "").isdigit() else 0.0

    def _sorted(self, name: str, found: list[Record], sorts: Sequence[Mapping[str, str]]) -> list[Record]:
        if len(sorts) > 1:
            raise invalid("only one sort is supported")
        by = sorts[0]["propertyName"] if sorts else "hs_object_id"
        if by in _STAMPS:
            return found
        return sorted(found, key=lambda each: self._number(name, each, by) or 0.0)


def owner(record: Record) -> dict[str, Any]:
    """An owner as HubSpot tells it."""
    return {
        "id": record.record_id,
        "type": "PERSON",
        **record.values,
        "userIdIncludingInactive": record.values["userId"],
        "createdAt": iso(record.created_at),
        "updatedAt": iso(record.modified_at),
    }


def invalid(message: str) -> RefusedError:
    """A request that HubSpot cannot make sense of."""
    return RefusedError(400, "VALIDATION_ERROR", message)


def batch_answer(
    results: Sequence[Mapping[str, Any]], errors: Sequence[Mapping[str, Any]]
) -> tuple[int, dict[str, Any]]:
    """A batch: status and body."""
    body: dict[str, Any] = {"status": "COMPLETE", "results": list(results)}
    return (207, body | {"numErrors": len(errors), "errors": list(errors)}) if errors else (200, body)


def not_found(ids: Sequence[str]) -> dict[str, Any]:
    """The error of a batch about records that are not there."""
    message = "Could not get some objects, they may be deleted or not exist. Check that ids are valid."
    return {"status": "error", "category": "OBJECT_NOT_FOUND", "message": message, "context": {"ids": list(ids)}}


def _unlinked(record_id: str, of: str) -> dict[str, Any]:
    return {
        "status": "error",
        "category": "OBJECT_NOT_FOUND",
        "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
        "message": f"No {of} are associated with {record_id}.",
        "context": {"fromObjectId": [record_id]},
    }


def _paged(results: Sequence[Mapping[str, Any]], after: str) -> dict[str, Any]:
    answer: dict[str, Any] = {"results": list(results)}
    return answer | ({"paging": {"next": {"after": after, "link": "?"}}} if after else {})


def _names(text: str) -> list[str]:
    return [each for each in text.split(",") if each]
