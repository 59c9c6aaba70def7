"""How a profile writes what tells won from lost."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from winpredict.ingest.guess.columns import ColumnFacts, RawTable, pattern
from winpredict.ingest.guess.evidence import CODES, NAME_OF_CONTENTS_ONLY, FlagColumn, WordColumn, joined_column
from winpredict.ingest.guess.outcomes import Labelling, Point, is_deleted_word, texts_by_label
from winpredict.ingest.vocabulary import classify_outcome
from winpredict.ingest.wanted_rows import one_of
from winpredict.locale.text import said
from winpredict.tables.schema import OUTCOME_WORDS

#: More rows without a label than this, and the import refuses the file: they are then written as open by `where`.
_MAX_UNLABELLED = 0.4


@dataclass
class Endings:
    """The part of a profile that tells won from lost.

    Parameters
    ----------
    columns : dict of str to str
    values : dict of str to dict of str to str
    where : dict of str to list of str
        Values to keep.
    parts : list of tuple
        Outcome and `where` of rows that no single column can tell.
    points : list of Point
    """

    columns: dict[str, str] = field(default_factory=dict)
    values: dict[str, dict[str, str]] = field(default_factory=dict)
    where: dict[str, list[str]] = field(default_factory=dict)
    parts: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)


def endings(table: RawTable, current: RawTable, labels: Labelling) -> Endings:
    """Write down what tells won from lost.

    Parameters
    ----------
    table : RawTable
        All rows.
    current : RawTable
        The rows that labels are of.
    labels : Labelling

    Returns
    -------
    Endings
    """
    out = Endings()
    if labels.stage is not None:
        out.columns["stage"] = labels.stage.column.name
    if labels.status is not None:
        _write_status(out, table, labels, labels.status)
    closed, won, lost = labels.closed, labels.won, labels.lost
    if closed is not None and won is not None and _need_parts(labels, closed, won):
        _write_together(out, labels, [closed, won])
    elif closed is not None and won is not None:
        _write_flag(out, "is_closed", closed)
        _write_flag(out, "is_won", won)
    elif closed is not None and lost is not None:
        _write_flag(out, "is_closed", closed)
        out.columns["is_won"] = lost.column.name
        out.values["is_won"] = {pattern(text): "false" if says else "true" for text, says in lost.meanings.items()}
    elif closed is not None:
        _write_flag(out, "is_closed", closed)
    elif labels.status is None and lost is not None:
        _write_together(out, labels, [part for part in (won, lost) if part is not None])
    elif won is not None:
        _write_won_flag(out, labels, won)
    return out


def _need_parts(labels: Labelling, closed: FlagColumn, won: FlagColumn) -> bool:
    """Whether the two flags leave too many deals unlabelled: an empty date of the close is no flag to the import."""
    if not closed.by_dates:
        return False
    unlabelled = labels.stage is None and (~labels.ended).mean() > _MAX_UNLABELLED
    return won.has_blanks or unlabelled


def _write_flag(out: Endings, name: str, flag: FlagColumn) -> None:
    out.columns[name] = flag.column.name
    if flag.by_dates:
        out.values[name] = {"*": "true"}
    if flag.by_words:
        meanings = {pattern(text): str(says).lower() for text, says in flag.meanings.items()}
        closed = {text: says for text, says in meanings.items() if says == "true"}
        out.values[name] = {**closed, "*": "false"}


def _write_status(out: Endings, table: RawTable, labels: Labelling, status: WordColumn) -> None:
    name = status.column.name
    out.columns["outcome"] = name
    everywhere = table.columns.get(name, status.column)
    by_rows = texts_by_label(
        status, labels.labels, [each for each in status.column.counts if each not in status.meanings]
    )
    values: dict[str, str] = {}
    deleted = []
    for text, cells in everywhere.counts.items():
        meaning = status.meanings.get(text) or by_rows.get(text) or classify_outcome(text) or "open"
        if text not in status.meanings and is_deleted_word(text):
            deleted.append(text)
            continue
        values[pattern(text)] = meaning
        if text not in status.meanings and classify_outcome(text) is None and not (labels.stage or labels.closed):
            out.points.append(
                Point(
                    said(
                        '{column} "{value}" ({n:count} deals) is taken as {outcome}',
                        column=name,
                        value=text,
                        n=cells,
                        outcome=OUTCOME_WORDS[meaning],
                    ),
                    f"values: {{outcome: {{{text}: {meaning}}}}}",
                )
            )
    out.values["outcome"] = dict(sorted(values.items(), key=lambda item: CODES[item[1]]))
    if deleted:
        out.where[name] = [*values, *([""] if everywhere.share_filled < 1 else [])]
        out.points.append(
            Point(
                said("deals that are {values} by {column} are left out", values=one_of(deleted), column=name),
                f"where: {{{name}: ...}}",
            )
        )
    if status.score <= NAME_OF_CONTENTS_ONLY:
        out.points.append(
            Point(
                said('"{column}" is taken for the outcome by its words, not by its name', column=name),
                "tables.deals.columns.outcome",
            )
        )
    _write_blank_status(out, labels, status)


def _write_blank_status(out: Endings, labels: Labelling, status: WordColumn) -> None:
    if labels.stage is not None or labels.closed is not None:
        return
    blank = ~status.column.is_filled
    if not blank.any():
        return
    name = status.column.name
    out.points.append(
        Point(
            said("{n:count} deals without {column} are taken as open", n=int(blank.sum()), column=name),
            f"tables.deals.columns.outcome: {name}",
        )
    )
    if blank.mean() > _MAX_UNLABELLED:
        values = out.values.pop("outcome")
        del out.columns["outcome"]
        for meaning in ("won", "lost", "open"):
            texts = [text for text, each in values.items() if each == meaning]
            texts += [""] if meaning == "open" else []
            if texts:
                out.parts.append((meaning, {name: texts}))


def _write_won_flag(out: Endings, labels: Labelling, won: FlagColumn) -> None:
    name = won.column.name
    if labels.status is not None or labels.stage is not None:
        out.columns["is_won"] = name
        return
    yes = [pattern(text) for text, says in won.meanings.items() if says]
    no = [pattern(text) for text, says in won.meanings.items() if not says]
    out.points.append(
        Point(
            said(
                "no column tells lost deals from open ones: all {n:count} deals whose {column} is {values} are taken "
                "as lost",
                n=int(won.is_false.sum()),
                column=name,
                values=one_of(no),
            ),
            "tables.deals.columns.stage, or is_closed",
        )
    )
    if not no:
        out.parts += [("won", {name: yes}), ("lost", {name: [""]})]
    elif (~won.column.is_filled).mean() > _MAX_UNLABELLED:
        out.parts += [("won", {name: yes}), ("lost", {name: no}), ("open", {name: [""]})]
    else:
        out.columns["outcome"] = name
        out.values["outcome"] = dict.fromkeys(yes, "won") | dict.fromkeys(no, "lost")


def _write_together(out: Endings, labels: Labelling, flags: Sequence[FlagColumn]) -> None:
    """An outcome that several columns tell together: as texts of both, or by `where` if cells are empty."""
    columns: list[ColumnFacts] = [flag.column for flag in flags]
    if len(columns) == 1 and labels.stage is not None:
        columns.append(labels.stage.column)
    if all(column.is_filled.all() for column in columns):
        joined = joined_column(*columns)
        out.columns["outcome"] = joined.name
        together = WordColumn(joined, 1.0, {})
        outcomes = texts_by_label(together, labels.labels, list(joined.counts))
        out.values["outcome"] = {pattern(text): meaning for text, meaning in outcomes.items()}
        return
    for meaning, code in (("won", 1), ("lost", 2), ("open", 3)):
        rows = labels.labels == code
        if rows.any():
            out.parts.append((meaning, {flag.column.name: _texts_of(flag, rows) for flag in flags}))


def _texts_of(flag: FlagColumn, rows: Any) -> list[str]:
    column = flag.column
    if flag.by_dates:
        return ["*"] if column.is_filled[rows].any() else [""]
    texts = [pattern(str(text)) for text in sorted(column.texts[rows].dropna().unique())]
    return [*texts, *([""] if not column.is_filled[rows].all() else [])]
