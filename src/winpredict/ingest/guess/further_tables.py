"""Tables beside the deals: activities, histories, accounts, people and products, where that is safe to say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from winpredict.ingest.guess.columns import ColumnFacts, RawTable, pattern
from winpredict.ingest.guess.deals import DealsProposal
from winpredict.ingest.guess.outcomes import Point
from winpredict.ingest.guess.stage_order import order_by_visits
from winpredict.ingest.vocabulary import plain
from winpredict.locale.text import said

#: Share of a column's values that must be ids of deals, accounts or owners for it to be a reference to them.
_MIN_SHARE_KNOWN = 0.5
#: So much of an activity's kinds must be known by their words.
_MIN_SHARE_OF_KINDS = 0.5
_MIN_READABLE = 0.9
_MAX_KINDS = 200
_MAX_VALUES = 50_000


@dataclass
class FurtherTables:
    """What other tables are proposed for.

    Parameters
    ----------
    tables : dict of str to list of dict
        Sources by canonical table.
    stage_order : list of str
        Open stages by the histories among them; empty where there is none.
    left_out : list of str
        Names of tables that are none of these.
    points : list of Point
    """

    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    stage_order: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)


def further_tables(deals: DealsProposal, tables: Sequence[RawTable]) -> FurtherTables:
    """Propose what the other tables of an export are.

    Parameters
    ----------
    deals : DealsProposal
    tables : sequence of RawTable
        All but the one of the deals.

    Returns
    -------
    FurtherTables
    """
    out = FurtherTables()
    if not tables:
        return out
    columns = deals.sources[0]["columns"]
    known = {name: _values(deals.table, columns.get(name)) for name in ("deal_id", "account_id", "owner_id", "stage")}
    read = []
    for table in tables:
        if not len(table):
            continue
        proposal = _of_deals(deals, table, known, out) or _of_others(table, known)
        if proposal is None:
            out.left_out += table.names
            continue
        name, source = proposal
        others = out.tables.setdefault(name, [])
        if name in ("accounts", "users") and others:
            out.left_out += table.names
            continue
        others.append({"file": [pattern(each) for each in table.names], **source})
        read.append(said("{tables} as {kind}", tables=", ".join(table.names), kind=name.replace("_", " ")))
    if read:
        out.points.append(Point(said("beside the deals are read: {tables}", tables="; ".join(read)), "tables"))
    return out


def _values(table: RawTable, column: Any) -> frozenset[str]:
    return (
        frozenset(table.columns[column].counts) if isinstance(column, str) and column in table.columns else frozenset()
    )


def _of_deals(
    deals: DealsProposal, table: RawTable, known: Mapping[str, frozenset[str]], out: FurtherTables
) -> tuple[str, dict[str, Any]] | None:
    """A table whose rows each belong to a deal."""
    link = _reference(table, known["deal_id"], "deal_id")
    if link is None:
        return None
    rest = [name for name in table.columns if name != link]
    history = _named(table, "deal_history", rest)
    stage = history.get("stage") or _stage_column(table, rest, known["stage"])
    times = {name: each for name, each in history.items() if name == "changed_at" and _is_time(table.columns[each])}
    if stage and times and _share_known(table.columns[stage], known["stage"]) >= _MIN_SHARE_KNOWN:
        out.stage_order = order_by_visits(
            deals.stage_order,
            table.columns[stage].texts,
            table.columns[link].texts,
            table.columns[times["changed_at"]].times,
        )
        values = {"stage": deals.sources[0]["values"]["stage"]} if "stage" in deals.sources[0].get("values", {}) else {}
        return "deal_history", {"columns": {"deal_id": link, **times, "stage": stage}, "values": values}
    return _activities(table, link, rest) or _line_items(table, link, rest)


def _activities(table: RawTable, link: str, rest: Sequence[str]) -> tuple[str, dict[str, Any]] | None:
    columns = _named(table, "activities", rest)
    for name in ("occurred_at", "recorded_at"):
        if name in columns and not _is_time(table.columns[columns[name]]):
            del columns[name]
    if "occurred_at" not in columns and "recorded_at" in columns:
        columns["occurred_at"] = columns.pop("recorded_at")
    if "occurred_at" not in columns:
        return None
    source: dict[str, Any] = {"columns": {"deal_id": link, **columns}, "values": {}, "constants": {}}
    kinds = {} if "activity_type" not in columns else _words(table.columns[columns["activity_type"]], "activity_words")
    if kinds:
        source["values"]["activity_type"] = {**kinds, "*": "other"}
    else:
        of_all = _word(table.name, "activity_words")
        if of_all is None:
            return None
        source["columns"].pop("activity_type", None)
        source["constants"] = {"activity_type": of_all}
    if "direction" in columns:
        directions = _words(table.columns[columns["direction"]], "direction_words")
        if len(directions) == table.columns[columns["direction"]].distinct:
            source["values"]["direction"] = directions
        else:
            del source["columns"]["direction"]
    if "duration_s" in columns and table.columns[columns["duration_s"]].share_numbers < _MIN_READABLE:
        del source["columns"]["duration_s"]
    if "activity_id" in columns and table.columns[columns["activity_id"]].share_filled < 1:
        del source["columns"]["activity_id"]
    return "activities", {name: each for name, each in source.items() if each}


def _line_items(table: RawTable, link: str, rest: Sequence[str]) -> tuple[str, dict[str, Any]] | None:
    columns = _named(table, "line_items", rest)
    for name in ("quantity", "unit_price"):
        if name in columns and table.columns[columns[name]].share_numbers < _MIN_READABLE:
            del columns[name]
    if "added_at" in columns and not _is_time(table.columns[columns["added_at"]]):
        del columns["added_at"]
    if "product_id" not in columns or not {"quantity", "unit_price"} & set(columns):
        return None
    return "line_items", {"columns": {"deal_id": link, **columns}}


def _of_others(table: RawTable, known: Mapping[str, frozenset[str]]) -> tuple[str, dict[str, Any]] | None:
    """A table with one row for each account, or each owner, of the deals."""
    for name, key in (("accounts", "account_id"), ("users", "user_id")):
        values = known["account_id" if name == "accounts" else "owner_id"]
        reference = _one_row_each(table, values)
        if reference is None:
            continue
        columns = {key: reference} | _named(table, name, list(table.columns))
        for numeric in ("employees", "annual_revenue"):
            if numeric in columns and table.columns[columns[numeric]].share_numbers < _MIN_READABLE:
                del columns[numeric]
        return name, {"columns": columns, **({"others": False} if name == "accounts" else {})}
    return None


def _one_row_each(table: RawTable, values: frozenset[str]) -> str | None:
    if len(values) < 2:
        return None
    for name, column in table.columns.items():
        if column.share_distinct == 1 and len(values & set(column.counts)) >= _MIN_SHARE_KNOWN * len(values):
            return name
    return None


def _reference(table: RawTable, ids: frozenset[str], field_name: str) -> str | None:
    """The column whose values are ids of deals."""
    if not ids:
        return None
    shares = []
    for name, column in table.columns.items():
        share = _share_known(column, ids)
        if share >= _MIN_SHARE_KNOWN and column.distinct > 1:
            shares.append((share + table.scores(name).get(field_name, 0.0), name))
    return max(shares, key=lambda each: each[0])[1] if shares else None


def _share_known(column: ColumnFacts, known: frozenset[str]) -> float:
    texts = list(column.counts)[:_MAX_VALUES]
    return sum(text in known for text in texts) / len(texts) if texts else 0.0


def _stage_column(table: RawTable, names: Sequence[str], stages: frozenset[str]) -> str | None:
    scored = [
        (table.scores(name).get("stage", 0.0), name)
        for name in names
        if _share_known(table.columns[name], stages) >= _MIN_SHARE_KNOWN
    ]
    return max(scored, key=lambda each: each[0])[1] if scored else None


def _is_time(column: ColumnFacts) -> bool:
    return column.share_times >= _MIN_READABLE


def _named(table: RawTable, canonical: str, names: Sequence[str]) -> dict[str, str]:
    """The columns of a canonical table by their names; each raw column for one of them."""
    keys = {_key(name): name for name in reversed(names)}
    columns: dict[str, str] = {}
    for field_name, labels in _labels()[canonical].items():
        column = next((keys[label] for label in labels if label in keys and keys[label] not in columns.values()), None)
        if column is not None and table.columns[column].distinct:
            columns[field_name] = column
    return columns


def _key(name: str) -> str:
    return plain(name).replace(" ", "")


@cache
def _data() -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "further_tables.yaml").read_text(encoding="utf-8"))
    return data


@cache
def _labels() -> dict[str, dict[str, tuple[str, ...]]]:
    return {
        table: {name: tuple(map(_key, _flat(labels))) for name, labels in columns.items()}
        for table, columns in _data()["columns"].items()
    }


def _flat(labels: Sequence[Any]) -> list[str]:
    return [each for part in labels for each in (part if isinstance(part, list) else [part])]


def _words(column: ColumnFacts, kind: str) -> dict[str, str]:
    """What each text of a column means; empty where too few do."""
    if column.distinct > _MAX_KINDS:
        return {}
    meanings = {pattern(text): meaning for text in column.counts if (meaning := _word(text, kind)) is not None}
    cells = sum(column.counts.values())
    known = sum(number for text, number in column.counts.items() if pattern(text) in meanings)
    return meanings if cells and known >= _MIN_SHARE_OF_KINDS * cells else {}


def _word(text: str, kind: str) -> str | None:
    words = f" {plain(text)} "
    for meaning, known in _data()[kind].items():
        for each in known:
            wanted = plain(each.removesuffix("*"))
            spaceless = any("\u3040" <= letter <= "\u9fff" for letter in wanted)
            end = "" if each.endswith("*") else " "
            if (wanted in words) if spaceless else (f" {wanted}{end}" in words):
                return str(meaning)
    return None
