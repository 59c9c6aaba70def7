"""Columns that are overwritten or filled when a deal closes, or say again what another one says: never features."""

from collections.abc import Mapping
from typing import Any

from winpredict.ingest.guess.columns import RawTable, pattern
from winpredict.ingest.guess.outcomes import Labelling
from winpredict.ingest.vocabulary import is_never

#: Scores that winpredict pushed into the CRM, by their names and labels.
PUSHED = ("*winpredict*", "Win odds", "Win odds: *")
#: Unmapped columns that stand for these are known at the close only, or tell the outcome.
_KNOWN_AT_THE_CLOSE = (
    "closed_at", "expected_close_date", "won_at", "lost_at", "outcome", "is_won", "is_closed", "is_lost", "probability",
    "loss_reason", "modified_at", "snapshot_at", "is_deleted",
)  # fmt: skip
_MIN_NAME = 0.6
_MIN_NAME = 0.6
#: A column filled for this share of closed deals and hardly any open one is filled at the close, unless that is chance.
_FILLED_AT_CLOSE, _FILLED_WHILE_OPEN, _CHANCE = 0.3, 0.01, 0.005


def columns_never_used(
    table: RawTable,
    current: RawTable,
    labels: Labelling,
    fields: Mapping[str, str],
    columns: Mapping[str, Any],
    where: Mapping[str, Any],
) -> list[str]:
    """Columns that are overwritten or filled at the close, or say again what another one says."""
    used = set(_raw_names(columns)) | set(where)
    kind = table.kind.kind if table.kind else ""
    redundant = {fields[name] for name in ("account_id", "account_name", "owner_id", "owner_name") if name in fields}
    left_out = []
    ended, is_open = labels.ended, ~labels.ended
    for name, column in table.columns.items():
        if name in used:
            continue
        scores = table.scores(name)
        top = max(scores, key=lambda each: scores[each], default="")
        leaks = is_never(name, kind) or (top in _KNOWN_AT_THE_CLOSE and scores[top] >= _MIN_NAME)
        if leaks or name in redundant or name in labels.columns:
            left_out.append(pattern(name))
        elif ended.any() and column.distinct:
            filled = current.columns[name].is_filled
            share = float(filled[ended].mean())
            by_chance = (1 - share) ** int(is_open.sum())
            if share >= _FILLED_AT_CLOSE and by_chance < _CHANCE and filled[is_open].mean() <= _FILLED_WHILE_OPEN:
                left_out.append(pattern(name))
    kinds_own = list(table.kind.never) if table.kind else []
    wild = [name for name in kinds_own if "*" in name]
    return [*left_out, *wild, *PUSHED]


def _raw_names(columns: Mapping[str, Any]) -> list[str]:
    names = []
    for offered in columns.values():
        each = offered["first_of"] if isinstance(offered, Mapping) else [offered]
        names += [part for name in each for part in (name, *name.split(" + "))]
    return names
