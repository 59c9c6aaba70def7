"""The proposal for one table of deals: its columns, its outcomes, its stages, and what a person should confirm."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from winpredict.errors import InputFileError, ProfileError
from winpredict.ingest.guess.candidates import (
    CERTAIN,
    assigned,
    currency_code,
)
from winpredict.ingest.guess.closing import closing_columns
from winpredict.ingest.guess.columns import ColumnFacts, RawTable, pattern
from winpredict.ingest.guess.contents import (
    amount_by_contents,
    close_by_contents,
    creation_by_contents,
    id_by_contents,
)
from winpredict.ingest.guess.endings import Endings, endings
from winpredict.ingest.guess.leaks import columns_never_used
from winpredict.ingest.guess.outcomes import Labelling, Point, labelling
from winpredict.ingest.guess.refusals import refuse_one_sided
from winpredict.ingest.guess.repeats import RowsPerDeal, rows_per_deal
from winpredict.ingest.guess.stages import stages_of
from winpredict.ingest.vocabulary import classify_outcome, plain
from winpredict.locale.text import Text, said, text
from winpredict.tables.schema import OUTCOME_WORDS, TABLES

_MIN_NAME = 0.6
_NEW = r"^(?:new|nouv|neu|nuev|nov|nuov|nieuw|now|нов|新)"
_EXISTING = (
    r"exist|bestand|bestehend|renew|renouvel|erneuer|upgrade|upsell|up sell|cross|verlang|rinnov|renov|verleng|odnow"
    r"|istniej|существ|продлен|既存|更新"
)
_CENTS = 0.01
#: Fields of which a column is confirmed by people unless its name is clear.
_TO_CONFIRM = ("deal_id", "created_at", "closed_at", "amount")
_NO_IDS = text(
    "no column has the ids of the deals: they are made up of all values of a row, so a later export of the same deals "
    "would add them again"
)
_NO_CREATION = text(
    "no column dates the creation of deals, and the import needs it where their close is dated: export it as well"
)
#: Stands for the outcome that the name of a file or sheet tells.
OUTCOME_OF_PART = "outcome"


@dataclass
class DealsProposal:
    """How a table of deals is to be read.

    Parameters
    ----------
    table : RawTable
    sources : list of dict
        Of the canonical deals; several where `where` parts the rows of one file.
    history : dict or None
        Of deal_history, where rows are states on several days.
    won, lost, stage_order : list of str
    fields : dict of str to str
        Raw column of each field, also of those that the canonical table has not.
    labels : Labelling
    per_deal : RowsPerDeal
    points : list of Point
    """

    table: RawTable
    sources: list[dict[str, Any]]
    history: dict[str, Any] | None
    won: list[str]
    lost: list[str]
    stage_order: list[str]
    fields: dict[str, str]
    labels: Labelling
    per_deal: RowsPerDeal
    points: list[Point] = field(default_factory=list)

    @property
    def score(self) -> float:
        """How much the table looks like one of deals."""
        known = {"deal_id": 2.0, "created_at": 2.0, "closed_at": 1.5, "amount": 1.0, "name": 0.5, "owner_id": 0.5}
        weight_of_columns = sum(weight for name, weight in known.items() if name in self.sources[0]["columns"])
        return self.labels.score + weight_of_columns - (0 if len(self.per_deal.latest) == len(self.table) else 1.5)


def deals_proposal(table: RawTable) -> DealsProposal:
    """Propose how a table of deals is read.

    Parameters
    ----------
    table : RawTable

    Returns
    -------
    DealsProposal

    Raises
    ------
    InputFileError
        When all deals are deleted in the CRM.
    ProfileError
        When nothing tells won from lost deals, or there are none of one of both.

    Examples
    --------
    >>> frame = pd.DataFrame({"Id": ["1", "2", "3"], "Étape": ["Gagné", "Perdu", "Devis envoyé"]}, dtype="str")
    >>> proposal = deals_proposal(RawTable("affaires", "affaires.csv", frame))
    >>> proposal.sources[0]["columns"], proposal.won, proposal.lost, proposal.stage_order
    ({'deal_id': 'Id', 'stage': 'Étape'}, ['Gagné'], ['Perdu'], ['Devis envoyé'])
    """
    per_deal = rows_per_deal(table)
    where, current = _current(table, per_deal)
    labels = refuse_one_sided(current, labelling(current))
    points = [*per_deal.points, *labels.points]
    outcome = endings(table, current, labels)
    points += outcome.points
    where |= outcome.where
    chosen = {"deal_id": per_deal.deal_id} if per_deal.deal_id else {}
    if per_deal.dated_by:
        chosen["snapshot_at"] = per_deal.dated_by
    fields = assigned(current, labels, taken=labels.columns, chosen=chosen)
    points += _completed(current, labels, fields)
    columns, values, scale, further = _columns(current, labels, fields, per_deal)
    points += further
    columns = _in_order(columns | outcome.columns)
    values |= outcome.values
    of_stages = stages_of(table, current, labels, fields, per_deal)
    points += of_stages.points
    if of_stages.values:
        values["stage"] = of_stages.values
    left_out = columns_never_used(table, current, labels, fields, columns, where)
    source: dict[str, Any] = {"file": [pattern(name) for name in table.names], "columns": columns}
    source |= {"where": where, "values": values, "scale": scale, "never": left_out}
    return DealsProposal(
        table=table,
        sources=_partitioned(source, outcome),
        history=_history(table, columns, values, per_deal),
        won=of_stages.won,
        lost=of_stages.lost,
        stage_order=of_stages.open,
        fields=fields,
        labels=labels,
        per_deal=per_deal,
        points=points,
    )


def deals_of_parts(table: RawTable) -> DealsProposal | None:
    """Propose how files of one shape are read whose names tell the outcome: a sheet of won deals, one of lost ones."""
    meanings = {name: classify_outcome(name) for name in table.names}
    if table.parts is None or not {"won", "lost"} <= set(meanings.values()) or not all(meanings.values()):
        return None
    if OUTCOME_OF_PART in table.columns:
        return None
    frame = table.frame.assign(**{OUTCOME_OF_PART: table.parts.map(meanings).to_numpy()})
    try:
        proposal = deals_proposal(RawTable(table.name, table.path, frame, table.names))
    except ProfileError:
        return None
    (source,) = proposal.sources
    if source["columns"].pop("outcome", None) != OUTCOME_OF_PART:
        return None
    source["values"].pop("outcome")
    proposal.sources = [
        {**source, "file": [pattern(name)], "constants": {"outcome": meaning}} for name, meaning in meanings.items()
    ]
    proposal.table = table
    names = ", ".join(f"{name} ({OUTCOME_WORDS[str(meaning)]})" for name, meaning in meanings.items())
    told = said("the outcome of deals is that of the table that they are in: {tables}", tables=names)
    proposal.points.append(Point(told, "constants: {outcome: ...}"))
    return proposal


def _current(table: RawTable, per_deal: RowsPerDeal) -> tuple[dict[str, list[str]], RawTable]:
    """The `where` that leaves out deals that are deleted in the CRM, and the row of each of the others."""
    keep = np.zeros(len(table), bool)
    keep[per_deal.latest] = True
    where: dict[str, list[str]] = {}
    for name, column in table.columns.items():
        if table.scores(name).get("is_deleted", 0.0) < _MIN_NAME or column.flags is None:
            continue
        deleted = column.flags.eq(True).fillna(False).to_numpy(bool)
        if deleted.all():
            raise InputFileError(
                text(
                    "{path}: all {n:count} rows are deleted or archived in the CRM ({name}), so no deals are "
                    "left. Export deals that are not",
                    path=table.path,
                    n=len(table),
                    name=name,
                )
            )
        where[name] = _false_values(column)
        keep &= ~deleted
    positions = np.flatnonzero(keep)
    return where, table if len(positions) == len(table) else table.rows(positions)


def _false_values(column: ColumnFacts) -> list[str]:
    if column.share_filled == 1:
        return ["false"]
    assert column.flags is not None
    words = column.texts[column.flags.eq(False).fillna(False).to_numpy(bool)].unique()
    return ["false", *sorted({str(each).lower() for each in words} - {"false"}), ""]


def _completed(current: RawTable, labels: Labelling, fields: dict[str, str]) -> list[Point]:
    """Add fields whose column only its contents tell, and say what is uncertain."""
    points = [
        Point(
            said('{field} is read from "{column}", whose name does not say so clearly', field=name, column=column),
            _line(name),
        )
        for name, column in fields.items()
        if name in _TO_CONFIRM and current.scores(column).get(name, 0.0) < CERTAIN
    ]

    def unused() -> list[str]:
        return [name for name in current.columns if name not in (*labels.columns, *fields.values())]

    def add(field_name: str, column: str | None, reason: Text) -> None:
        if column is not None:
            fields[field_name] = column
            points.append(Point(str(reason.with_values(column=column)), _line(field_name)))

    if "deal_id" not in fields:
        add(
            "deal_id",
            id_by_contents(current, unused()),
            text('"{column}" is taken for the id of a deal, since it differs from row to row'),
        )
    if "deal_id" not in fields:
        points.append(Point(str(_NO_IDS), _line("deal_id")))
    closed = fields.get("closed_at") or fields.get("expected_close_date")
    if "created_at" not in fields:
        column = creation_by_contents(current, labels, closed, unused())
        add("created_at", column, text('"{column}" is taken for the creation date: no deal closes before it'))
    if "created_at" not in fields and closed is not None:
        points.append(Point(str(_NO_CREATION), _line("created_at")))
    if not {"closed_at", "won_at", "lost_at"} & set(fields):
        column = close_by_contents(current, labels, fields.get("created_at"), unused())
        add("closed_at", column, text('"{column}" is taken for the close: closed deals have it, open ones do not'))
    if "amount" not in fields:
        add(
            "amount",
            amount_by_contents(current, unused()),
            text('"{column}" is taken for the amount, since its numbers carry a currency'),
        )
    return points if "amount" in fields else [*points, *_unreadable_amounts(current)]


def _unreadable_amounts(current: RawTable) -> list[Point]:
    for name, column in current.columns.items():
        if current.scores(name).get("amount", 0.0) >= 0.8 and column.distinct and column.share_numbers < 0.5:
            example = next(iter(column.counts))
            return [
                Point(
                    said(
                        '"{column}" holds no numbers that can be read as amounts, such as {example!r}',
                        column=name,
                        example=example,
                    ),
                    _line("amount"),
                )
            ]
    return []


def _line(name: str) -> str:
    return f"tables.deals.columns.{name}"


def _columns(
    current: RawTable, labels: Labelling, fields: Mapping[str, str], per_deal: RowsPerDeal
) -> tuple[dict[str, Any], dict[str, dict[str, str]], dict[str, float], list[Point]]:
    """Canonical columns from fields, with values and scales."""
    columns: dict[str, Any] = {
        name: fields[name]
        for name in ("deal_id", "created_at", "name", "amount", "pipeline", "lead_source", "product")
        if name in fields
    }
    values: dict[str, dict[str, str]] = {}
    scale: dict[str, float] = {}
    for kind in ("account", "owner"):
        if which := _id_or_name(current, fields.get(f"{kind}_id"), fields.get(f"{kind}_name")):
            columns[f"{kind}_id"] = which
    dates, points = closing_columns(current, labels, fields)
    columns |= dates
    if per_deal.dated_by or "modified_at" in fields:
        columns["modified_at"] = per_deal.dated_by or fields["modified_at"]
    if "currency" in fields:
        columns["currency"] = fields["currency"]
        codes = {text: currency_code(text) for text in current.columns[fields["currency"]].counts}
        values["currency"] = {pattern(text): code for text, code in codes.items() if text != code}
    if "deal_type" in fields:
        types = {text: _deal_type(text) for text in current.columns[fields["deal_type"]].counts}
        if all(types.values()):
            columns["deal_type"] = fields["deal_type"]
            values["deal_type"] = {pattern(text): str(each) for text, each in types.items()}
    if "amount" in columns and current.kind is not None and "amount" in current.kind.scale:
        numbers = current.columns[columns["amount"]].numbers.dropna()
        own = {plain(name) for name in current.kind.columns.get("amount", ())}
        if plain(columns["amount"]) in own and (numbers % 1 == 0).all():
            scale["amount"] = current.kind.scale["amount"]
            points.append(
                Point(
                    said("amounts of {kind} are in cents and are divided by 100", kind=current.kind.name),
                    "scale: {amount: 0.01}",
                )
                if scale["amount"] == _CENTS
                else Point(
                    said(
                        "amounts of {kind} are multiplied by {factor}",
                        kind=current.kind.name,
                        factor=f"{scale['amount']:g}",
                    ),
                    "scale",
                )
            )
    return columns, {name: each for name, each in values.items() if each}, scale, points


def _deal_type(text: str) -> str | None:
    words = plain(text)
    if re.search(_EXISTING, words):
        return "existing"
    return "new" if re.search(_NEW, words) else None


def _id_or_name(current: RawTable, identifier: str | None, name: str | None) -> str | None:
    """Of an id and a name of the same thing: the name, where it is as good as the id, since people read it."""
    if identifier is None or name is None:
        return identifier or name
    pairs = (
        pd.DataFrame({"id": current.columns[identifier].texts, "name": current.columns[name].texts})
        .dropna()
        .drop_duplicates()
    )
    one_to_one = len(pairs) and not pairs["id"].duplicated().any() and not pairs["name"].duplicated().any()
    fuller = current.columns[name].share_filled >= current.columns[identifier].share_filled
    return name if one_to_one and fuller else identifier


def _in_order(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Canonical columns in the order of the schema, helpers at the end."""
    order = [*TABLES["deals"].columns, "is_closed", "is_won", "modified_at"]
    return {name: columns[name] for name in order if name in columns}


def _partitioned(source: dict[str, Any], outcome: Endings) -> list[dict[str, Any]]:
    """One source, or one for each outcome whose rows only `where` can tell."""
    if not outcome.parts:
        return [source]
    return [
        {**source, "where": {**source["where"], **where}, "constants": {"outcome": meaning}}
        for meaning, where in outcome.parts
    ]


def _history(
    table: RawTable, columns: Mapping[str, Any], values: Mapping[str, Any], per_deal: RowsPerDeal
) -> dict[str, Any] | None:
    if not per_deal.are_snapshots:
        return None
    values_of_states = {
        name: columns[name] for name in ("stage", "amount", "expected_close_date", "owner_id") if name in columns
    }
    return {
        "file": [pattern(name) for name in table.names],
        "snapshots": True,
        "columns": {"deal_id": columns["deal_id"], "changed_at": per_deal.dated_by, **values_of_states},
        "values": {name: values[name] for name in ("stage",) if name in values},
    }
