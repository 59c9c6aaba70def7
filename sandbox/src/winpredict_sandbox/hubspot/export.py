"""A HubSpot account saved as its owner would: one file of JSON lines an object, live records with all they have."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from winpredict_sandbox.hubspot.properties import (
    OF_OTHERS,
    all_values,
    history_json,
    modified_name,
    stamped_values,
)
from winpredict_sandbox.hubspot.reads import owner
from winpredict_sandbox.hubspot.world import ACTIVITIES, Associations, iso
from winpredict_sandbox.records import Record, Records

_HISTORY = ("dealstage", "amount", "closedate", "hubspot_owner_id")


def export(records: Records, pairs: Associations, definitions: Iterable[str], folder: Path) -> None:
    """Write all live records below a folder; an object without records has no file."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "deals.jsonl", _deals(records, pairs, list(definitions)))
    for name in ACTIVITIES:
        _write(folder / f"{name}.jsonl", _others(records, pairs, name, ("deals", "contacts")))
    _write(folder / "companies.jsonl", _others(records, pairs, "companies", ()))
    _write(folder / "line_items.jsonl", _others(records, pairs, "line_items", ("deals",)))
    _write(folder / "owners.jsonl", (owner(each) for each in records.live("owners")))


def _deals(records: Records, pairs: Associations, names: list[str]) -> Iterator[dict[str, Any]]:
    for deal in records.live("deals"):
        contacts = pairs.of("deals", deal.record_id, "contacts")
        values = all_values(deal, records.clock.now, len(contacts))
        companies = pairs.of("deals", deal.record_id, "companies")
        companies.sort(key=lambda each: pairs.primary.get(deal.record_id) != each)
        history = deal.values["history"]
        yield {
            **_head(deal, {each: values.get(each) for each in names}),
            "propertiesWithHistory": {each: history_json(history[each]) for each in _HISTORY if each in history},
            "associations": {"companies": _linked(companies), "contacts": _linked(contacts)},
        }


def _others(records: Records, pairs: Associations, name: str, kinds: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    for each in records.live(name):
        values = stamped_values(name, each)
        links = {of: _linked(_live(records, of, pairs.of(name, each.record_id, of))) for of in kinds}
        names = (*OF_OTHERS[name], modified_name(name), "hs_object_id")
        yield _head(each, {of: values.get(of) for of in names}) | ({"associations": links} if links else {})


def _live(records: Records, of: str, ids: Iterable[str]) -> list[str]:
    return [each for each in ids if (found := records.get(of, each)) is not None and found.deleted_at is None]


def _head(record: Record, properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": record.record_id,
        "properties": dict(properties),
        "createdAt": iso(record.created_at),
        "updatedAt": iso(record.modified_at),
        "archived": False,
    }


def _linked(ids: Iterable[str]) -> dict[str, Any]:
    return {"results": [{"id": each} for each in ids]}


def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    lines = [json.dumps(each) for each in rows]
    if lines:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
