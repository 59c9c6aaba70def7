"""Which of the columns that say how deals ended are to be believed, and what each row's outcome is by them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from winpredict.ingest.guess.columns import ColumnFacts, RawTable
from winpredict.ingest.guess.evidence import (
    CODES,
    LOST,
    OPEN,
    OUTCOMES,
    UNKNOWN,
    WON,
    Candidates,
    FlagColumn,
    WordColumn,
    candidates,
    candidates_by_dates,
)
from winpredict.ingest.vocabulary import field_scores
from winpredict.locale.text import Text, said, text
from winpredict.tables.schema import OUTCOME_WORDS

#: What speaks for a set of columns: their names, labels of both endings; and against it: contradictions, rows
#: without a label, stages that say nothing.
_BOTH_ENDINGS, _ONE_ENDING = 10.0, 4.0
_FLAG_BONUS = 0.3
_STAGES_RATHER_THAN_STATUS = 0.3
_CONFLICT, _UNLABELLED, _ASSUMED = 6.0, 3.0, 0.5
#: From which share of its rows on a stage is known by what else they hold.
_NEARLY_ALL, _HARDLY_ANY = 0.95, 0.05
_MIN_ROWS = 3
#: So many deals of one ending, and none else, make a stage of a CRM with statuses an end rather than a step.
_MIN_ENDED = 10
_CERTAIN = 100.0

Labels = Any  # an array of the codes of `winpredict.ingest.guess.evidence`, one a row


@dataclass(frozen=True)
class Point:
    """What a person should confirm.

    Parameters
    ----------
    text : str
    line : str
        What to write into the profile to change it.
    """

    text: str
    line: str = ""


@dataclass(frozen=True)
class Labelling:
    """The outcome of each row, and the columns that it follows from.

    Parameters
    ----------
    status, stage : WordColumn or None
    closed, won, lost : FlagColumn or None
    labels : ndarray of int
        A code a row.
    assumed : ndarray of bool
        Rows that count as open because nothing says more.
    score : float
        How well the columns fit together.
    points : list of Point
    """

    status: WordColumn | None
    stage: WordColumn | None
    closed: FlagColumn | None
    won: FlagColumn | None
    lost: FlagColumn | None
    labels: Labels
    assumed: Labels
    score: float
    points: list[Point] = field(default_factory=list)

    @property
    def columns(self) -> list[str]:
        """The names of the columns; dates of the end are none of them, since they are more than a flag."""
        words = [part.column.name for part in (self.status, self.stage) if part is not None]
        flags = [
            part.column.name for part in (self.closed, self.won, self.lost) if part is not None and not part.by_dates
        ]
        return list(dict.fromkeys([*words, *flags]))

    def count(self, outcome: str) -> int:
        """Rows with an outcome."""
        return int((self.labels == CODES[outcome]).sum())

    @property
    def is_weak(self) -> bool:
        """Whether one of the endings is missing, or lost deals are only those that are not won."""
        lost_by_default = self.status is None and self.stage is None and self.closed is None and self.lost is None
        return lost_by_default or not (self.count("won") and self.count("lost"))

    @property
    def ended(self) -> Labels:
        """Rows of deals that are won or lost."""
        return (self.labels == WON) | (self.labels == LOST)


def labelling(table: RawTable) -> Labelling | None:
    """The outcome of each row by the columns that fit together best.

    Parameters
    ----------
    table : RawTable
        One row a deal.

    Returns
    -------
    Labelling or None
        None where no column says anything.

    Examples
    --------
    >>> frame = pd.DataFrame({"Stage": ["Closed Won", "Closed Lost", "Demo"], "Won": ["1", "0", "0"]}, dtype="str")
    >>> result = labelling(RawTable("deals", "deals.csv", frame))
    >>> [OUTCOMES[code] for code in result.labels], result.columns
    (['won', 'lost', 'open'], ['Stage', 'Won'])
    """
    closing = _closing_dates(table)
    options = candidates(table)
    best = _best_labelling(table, options)
    if best is None or best.is_weak:
        dated = _best_labelling(table, candidates_by_dates(table, options))
        if dated is not None and not dated.is_weak:
            return dated
    if best is None:
        return None
    best = _with_contradicted_stages(best)
    best = _with_stages_by_evidence(table, best, closing)
    return _labelled_again(table, best)


def _best_labelling(table: RawTable, options: Candidates) -> Labelling | None:
    best: Labelling | None = None
    for parts in _combinations(options):
        each = _labelled(table, parts)
        if each is not None and (best is None or each.score > best.score):
            best = each
    return best


def _closing_dates(table: RawTable) -> ColumnFacts | None:
    """The column that is the likeliest to date the close, by its name."""
    scored = [
        (score, column)
        for column in table.columns.values()
        if (score := table.scores(column.name).get("closed_at", 0.0)) >= 0.5 and column.share_times > 0.5
    ]
    return max(scored, key=lambda each: each[0])[1] if scored else None


class _Parts(NamedTuple):
    """Columns that may tell outcomes together."""

    status: WordColumn | None
    stage: WordColumn | None
    closed: FlagColumn | None
    won: FlagColumn | None
    lost: FlagColumn | None


def _combinations(options: Candidates) -> Iterator[_Parts]:
    flags = [(each[0] if each else None) for each in (options.closed, options.won, options.lost)]
    for status, stage in product([None, *options.statuses], [None, *options.stages]):
        if status is not None and stage is not None and status.column is stage.column:
            continue
        for wanted in product(*((None,) if flag is None else (None, flag) for flag in flags)):
            closed, won, lost = wanted
            if status is None and stage is None and won is None and lost is None:
                continue
            columns = [part.column for part in (status, closed, won, lost) if part is not None]
            if len(set(map(id, columns))) < len(columns):
                continue
            yield _Parts(status, stage, closed, won, lost)


def _labelled(table: RawTable, parts: _Parts) -> Labelling | None:
    """What the columns say together; None where they say nothing."""
    status, stage, closed, won, lost = parts
    rows = len(table)
    nothing = np.zeros(rows, np.int8)
    by_status = nothing if status is None else status.labels
    by_stage = nothing if stage is None else stage.labels
    by_flags = _by_flags(rows, closed, won, lost)
    labels = by_status.copy()
    for further in (by_flags, by_stage):
        labels = np.where(labels == UNKNOWN, further, labels)
    conflicts = _contradict(by_status, by_stage) | _contradict(by_flags, by_status)
    ends_by_stage = bool(((by_stage == WON) | (by_stage == LOST)).any())
    conflicts |= _contradict(by_flags, by_stage) | (
        ends_by_stage & (by_stage == OPEN) & ((by_flags == WON) | (by_flags == LOST))
    )
    if closed is not None and ends_by_stage and not closed.by_words:
        conflicts |= closed.is_true & (by_stage == OPEN)
    unknown = labels == UNKNOWN
    if stage is not None or status is not None or won is None or closed is not None:
        has_stage = np.zeros(rows, bool) if stage is None else stage.column.is_filled
        assumed, unlabelled = unknown & has_stage, unknown & ~has_stage
        labels = np.where(unknown, OPEN, labels)
    else:
        # false is the value of open deals too, but nothing tells these from lost ones
        assumed = unknown & won.is_false
        labels = np.where(assumed, LOST, labels)
        unlabelled = labels == UNKNOWN
        labels = np.where(unlabelled, OPEN, labels)
    labels = labels.astype(np.int8)
    endings = bool((labels == WON).any()) + bool((labels == LOST).any())
    if not endings and stage is None:
        return None
    score = {0: 0.0, 1: _ONE_ENDING, 2: _BOTH_ENDINGS}[endings]
    score += _names_score(status, stage) + _FLAG_BONUS * sum(each is not None for each in (closed, won or lost))
    score -= _CONFLICT * conflicts.mean() + _UNLABELLED * unlabelled.mean() + _ASSUMED * assumed.mean()
    return Labelling(status, stage, closed, won, lost, labels, assumed | unlabelled, score)


def _by_flags(rows: int, closed: FlagColumn | None, won: FlagColumn | None, lost: FlagColumn | None) -> Labels:
    labels = np.zeros(rows, np.int8)
    if closed is not None:
        labels[closed.is_false] = OPEN
        if won is not None:
            labels[closed.is_true & won.is_true], labels[closed.is_true & won.is_false] = WON, LOST
        if lost is not None:
            labels[closed.is_true & lost.is_true] = LOST
            if won is None:
                labels[closed.is_true & lost.is_false] = WON
        return labels
    if won is not None and lost is not None:
        labels[~won.is_true & ~lost.is_true] = OPEN
        labels[won.is_true & ~lost.is_true] = WON
        labels[lost.is_true & ~won.is_true] = LOST
    elif won is not None:
        labels[won.is_true] = WON
    elif lost is not None:
        labels[lost.is_true] = LOST
    return labels


def _contradict(one: Labels, other: Labels) -> Labels:
    """Rows of which one says won or lost by its stage and the other says something else."""
    ending = (other == WON) | (other == LOST)
    return ending & (one != UNKNOWN) & (one != other)


def _names_score(status: WordColumn | None, stage: WordColumn | None) -> float:
    score = 0.0 if status is None else status.score
    if stage is not None:
        score += stage.score
        if status is None and stage.count("open", "") > 1:
            score += _STAGES_RATHER_THAN_STATUS
    return score


def _with_contradicted_stages(labelled: Labelling) -> Labelling:
    """Without the meaning of stages that a status or flags contradict in most of their rows."""
    stage = labelled.stage
    if stage is None or (labelled.status is None and labelled.closed is None and labelled.won is None):
        return labelled
    meanings, points = dict(stage.meanings), list(labelled.points)
    texts = stage.column.texts
    for word, meaning in stage.meanings.items():
        if meaning == "open":
            continue
        rows = texts.eq(word).to_numpy()
        against = (labelled.labels[rows] != CODES[meaning]).mean()
        if against > 0.5 and rows.sum() >= _MIN_ROWS:
            meanings[word] = "open"
            points.append(
                Point(
                    said(
                        'the stage "{stage}" sounds {outcome}, but {share:percent} of its {n:count} deals are '
                        "something else by the columns that tell outcomes; it counts as an open stage",
                        stage=word,
                        outcome=OUTCOME_WORDS[meaning],
                        share=against,
                        n=int(rows.sum()),
                    ),
                    f"{meaning}: [{word}]",
                )
            )
    return replace(labelled, stage=replace(stage, meanings=meanings), points=points)


def _with_stages_by_evidence(table: RawTable, labelled: Labelling, closing: ColumnFacts | None) -> Labelling:
    """With the meaning of stages and statuses whose words say nothing, where other columns do."""
    words = labelled.status if labelled.stage is None else labelled.stage
    if words is None:
        return labelled
    meanings, points = dict(words.meanings), list(labelled.points)
    named = "outcome" if labelled.stage is None else "stage"
    unclear: list[str] = []
    for value, cells in words.column.counts.items():
        if value in words.meanings or (labelled.closed is not None and labelled.closed.column is words.column):
            continue
        rows = words.column.texts.eq(value).to_numpy()
        meaning, reason = _meaning_of_rows(table, labelled, rows, closing)
        if meaning in ("won", "lost"):
            meanings[value] = meaning
            if reason:
                told = reason.with_values(value=value, n=cells, outcome=OUTCOME_WORDS[meaning])
                points.append(Point(str(told), _line(named, value, meaning)))
        elif meaning == "closed":
            unclear.append(value)
    missing = [each for each in ("won", "lost") if each not in meanings.values() and not labelled.count(each)]
    for value in unclear:
        cells = words.column.counts[value]
        if len(missing) > 1 or (missing and len(unclear) > 1):
            undecided = said(
                'nothing says whether "{value}" is won or lost, although its {n:count} deals have closed; it counts as '
                "open",
                value=value,
                n=cells,
            )
            points.append(Point(undecided, _line(named, value, "won")))
            continue
        # where won deals are known, what else has an end is hardly ever one more kind of them
        meanings[value] = missing[0] if missing else "lost"
        ended = _NOTHING_ELSE if missing else _NOTHING_SAID
        told = ended.with_values(value=value, n=cells, outcome=OUTCOME_WORDS[meanings[value]])
        points.append(Point(str(told), _line(named, value, "won" if meanings[value] == "lost" else "lost")))
    words = replace(words, meanings=meanings)
    if labelled.stage is None:
        return replace(labelled, status=words, points=points)
    return replace(labelled, stage=words, points=points)


_ALWAYS_100 = text('"{value}" ({n:count} deals) is taken as {outcome}, since its {column} is always 100')
_ALWAYS_0 = text('"{value}" ({n:count} deals) is taken as {outcome}, since its {column} is always 0')
_FILLED_IN = text('"{value}" ({n:count} deals) is taken as {outcome}, since its {column} is filled')
_NOTHING_ELSE = text(
    '"{value}" ({n:count} deals) is taken as {outcome}: all of its deals have closed, and nothing else is {outcome}'
)
_NOTHING_SAID = text(
    '"{value}" ({n:count} deals) is taken as {outcome}: all of its deals have closed, and its words say nothing of how '
    "they ended"
)


def _line(named: str, text: str, meaning: str) -> str:
    return f"{meaning}: [{text}]" if named == "stage" else f"values: {{outcome: {{{text}: {meaning}}}}}"


def _meaning_of_rows(
    table: RawTable, labelled: Labelling, rows: Labels, closing: ColumnFacts | None
) -> tuple[str, Text | None]:
    """What the other columns say of the rows of a stage that says nothing: won, lost, closed, or ""."""
    if labelled.status is not None or labelled.closed is not None:
        if rows.sum() >= _MIN_ENDED:
            for code in (WON, LOST):
                if (labelled.labels[rows] == code).all() and not labelled.assumed[rows].any():
                    return OUTCOMES[code], None
        if labelled.stage is not None:
            return "", None
    if rows.sum() < _MIN_ROWS:
        return "", None
    others = ~rows & (labelled.labels == OPEN)
    for column in table.columns.values():
        scores = table.scores(column.name)
        top = max(scores, key=lambda name: scores[name], default="")
        if top == "probability" and column.share_numbers + column.texts.str.endswith("%").mean() >= _NEARLY_ALL:
            chances = column.numbers / (1.0 if column.numbers.max() > 1 else 1 / _CERTAIN)
            if rows.any() and chances[rows].eq(_CERTAIN).all() and not chances[others].eq(_CERTAIN).all():
                return "won", _ALWAYS_100.with_values(column=column.name)
            if chances[rows].eq(0).all() and others.any() and chances[others].gt(0).mean() >= _NEARLY_ALL:
                return "lost", _ALWAYS_0.with_values(column=column.name)
        if top in ("loss_reason", "lost_at", "won_at") and scores[top] >= 0.5:
            meaning = "won" if top == "won_at" else "lost"
            opposite = labelled.labels == (LOST if meaning == "won" else WON)
            if _fill(column, rows) >= _NEARLY_ALL and _fill(column, opposite | others) <= _HARDLY_ANY:
                return meaning, _FILLED_IN.with_values(column=column.name)
    if closing is not None and _fill(closing, rows) >= _NEARLY_ALL:
        clearly_open = others & ~labelled.assumed
        others = clearly_open if clearly_open.sum() >= _MIN_ROWS else others
        if others.sum() >= _MIN_ROWS and _fill(closing, others) <= _HARDLY_ANY:
            return "closed", None
    return "", None


def _fill(column: ColumnFacts, rows: Labels) -> float:
    return float(column.is_filled[rows].mean()) if rows.any() else 0.0


def _labelled_again(table: RawTable, labelled: Labelling) -> Labelling:
    again = _labelled(table, _Parts(labelled.status, labelled.stage, labelled.closed, labelled.won, labelled.lost))
    return labelled if again is None else replace(again, points=labelled.points)


def is_deleted_word(text: str) -> bool:
    """Whether a status says that the deal was deleted in the CRM.

    Examples
    --------
    >>> is_deleted_word("Deleted"), is_deleted_word("Lost")
    (True, False)
    """
    return field_scores(text).get("is_deleted", 0.0) >= 0.85


def texts_by_label(words: WordColumn, labels: Labels, texts: Sequence[str]) -> Mapping[str, str]:
    """The outcome that most rows of each text have."""
    counts = pd.crosstab(words.column.texts, labels)
    most = {str(text): int(label) for text, label in counts.idxmax(axis=1).items()}
    return {text: OUTCOMES.get(most[text], "open") for text in texts if text in most}
