"""Queries of the Salesforce stand-in: which records match, and how they are written in JSON and CSV."""

import csv
import io
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from winpredict_sandbox.records import Record
from winpredict_sandbox.salesforce.company import Company
from winpredict_sandbox.salesforce.schema import STAMPS
from winpredict_sandbox.salesforce.soql import Query
from winpredict_sandbox.salesforce.world import moment_text

#: Activities that ended so long ago are archived: plain queries leave them out.
_ARCHIVED_AFTER = pd.Timedelta("365D")
_BY_CHANGE = (("SystemModstamp", False), ("Id", False))
_ACTIVITIES = ("Task", "Event")


def matching(company: Company, query: Query, kinds: Mapping[str, str], *, all_rows: bool) -> list[Record]:
    """Records that a query wants, in its order; with `all_rows` deleted and archived ones too."""
    records: Sequence[Record] = company.records.all(query.table)
    if query.least is not None:
        records = records[bisect_left(records, query.least, key=lambda each: each.modified_at) :]
    archived_before = f"{company.clock.now - _ARCHIVED_AFTER:%Y-%m-%d}"
    found = []
    for record in records:
        if (query.table, record.record_id) in company.vanished:
            continue
        if not all_rows and (
            record.deleted_at is not None
            or (query.table in _ACTIVITIES and (record.values.get("ActivityDate") or "9") < archived_before)
        ):
            continue
        if query.test(lambda name, record=record: value_of(record, name, kinds)):  # type: ignore[misc]
            found.append(record)
    # records stand in this order already
    order = () if query.order == _BY_CHANGE else query.order
    for name, downwards in reversed(order):
        found.sort(key=lambda each: _sortable(value_of(each, name, kinds)), reverse=downwards)
    return found[: query.limit] if query.limit is not None else found


def value_of(record: Record, name: str, kinds: Mapping[str, str]) -> Any:
    """A value as queries compare it: moments as timestamps."""
    if name in STAMPS:
        return record.created_at if name == "CreatedDate" else record.modified_at
    if name == "Id":
        return record.record_id
    if name == "IsDeleted":
        return record.deleted_at is not None
    value = record.values.get(name)
    return pd.Timestamp(value) if value is not None and kinds.get(name) == "datetime" else value


def as_json(record: Record, table: str, fields: Iterable[str], version: str) -> dict[str, Any]:
    """A record as the REST API answers it."""
    url = f"/services/data/v{version}/sobjects/{table}/{record.record_id}"
    row: dict[str, Any] = {"attributes": {"type": table, "url": url}}
    for name in fields:
        value = _plain(record, name)
        # SELECT A.B answers a nested object
        if "." in name:
            outer, _, inner = name.partition(".")
            row[outer] = {inner: value}
        else:
            row[name] = value
    return row


def as_csv(records: Iterable[Record], fields: Sequence[str]) -> str:
    """Records as the Bulk API and data exports write them: all is text."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(fields)
    writer.writerows([_text(_plain(record, name)) for name in fields] for record in records)
    return text.getvalue()


def _plain(record: Record, name: str) -> Any:
    value = value_of(record, name, {})
    return moment_text(value) if isinstance(value, pd.Timestamp) else value


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    return f"{text[:-5]}Z" if text.endswith("+0000") and "T" in text else text


def _sortable(value: Any) -> tuple[bool, Any]:
    """Missing values come first."""
    return (value is not None, value)
