"""The records of a company in Zoho as JSON lines, one file a module: what an export of the same moment would hold."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from winpredict_sandbox.zoho.world import DEALS, STAYS, TOUCHES, stamp

if TYPE_CHECKING:
    from winpredict_sandbox.zoho.server import ZohoServer

#: What a sync does not ask for, since it says nothing of the deals or too much of people.
_LEFT_OUT = ("Probability", "Subject", "Note_Content", "Files")
_TOLD = ("Amount", "Closing_Date", "Owner")


def export(server: "ZohoServer", folder: Path) -> None:
    """Write every live record; fields of deals that were made later for scores are left out."""
    folder.mkdir(parents=True, exist_ok=True)
    later = {name for name, each in server.definitions.items() if each["created_source"] == "api"}
    for name in (DEALS, *TOUCHES, "Accounts"):
        _write(folder / f"{name}.jsonl", _records(server, name, later))
    _write(folder / "Stage_History.jsonl", _records(server, STAYS, later))
    _write(folder / "Users.jsonl", ({**each.values, "id": each.record_id} for each in server.records.live("Users")))
    _write(folder / "Deal_Timeline.jsonl", _changes(server))
    _write(folder / "Contact_Roles.jsonl", _roles(server))


def _records(server: "ZohoServer", name: str, later: set[str]) -> Iterator[dict[str, Any]]:
    for each in server.records.live(name):
        times = {"Created_Time": stamp(each.created_at), "Modified_Time": stamp(each.modified_at)}
        values = {**each.values, **server.calculated(name, each)}
        values = {field: value for field, value in values.items() if field not in (*_LEFT_OUT, *later)}
        yield {"id": each.record_id, **values, **times}


def _changes(server: "ZohoServer") -> Iterator[dict[str, Any]]:
    users = {each.values["full_name"]: each.record_id for each in server.records.live("Users")}
    for deal_id in server.stage_of:
        for entry in server.timelines.get(deal_id, ()):
            for change in entry["field_history"] or ():
                if change["api_name"] not in _TOLD:
                    continue
                old, new = change["_value"]["old"], change["_value"]["new"]
                if change["api_name"] == "Owner":
                    old, new = users[old], users[new]
                what = {"field": change["api_name"], "old_value": old, "new_value": new}
                yield {"deal_id": deal_id, "audited_time": stamp(entry["audited_time"]), **what}


def _roles(server: "ZohoServer") -> Iterator[dict[str, Any]]:
    for deal_id in server.stage_of:
        for contact, (role, added) in server.roles.get(deal_id, {}).items():
            yield {"id": contact, "deal_id": deal_id, "Contact_Role": {"name": role}, "Added_Time": stamp(added)}


def _write(path: Path, records: Iterator[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(record) + "\n")
