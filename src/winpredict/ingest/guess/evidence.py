"""Columns that say how a deal ended: by words, by flags, or by both."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import pandas as pd

from winpredict.ingest.guess.columns import ColumnFacts, RawTable
from winpredict.ingest.vocabulary import classify_outcome, field_scores, is_never, plain, vocabularies
from winpredict.tables.schema import text_dtype

#: Codes of labels in arrays.
UNKNOWN, WON, LOST, OPEN = 0, 1, 2, 3
CODES = {"won": WON, "lost": LOST, "open": OPEN}
OUTCOMES = {code: name for name, code in CODES.items()}
#: More different texts than these are no statuses, and no stages.
MAX_STATUSES, MAX_STAGES = 100, 250
#: A column whose texts differ this much is no column of stages, unless the table is short.
MAX_SHARE_DISTINCT, SHORT_TABLE = 0.5, 30
#: From which score on a name counts; a column whose name says nothing needs texts that leave no doubt.
MIN_NAME = 0.3
NAME_OF_CONTENTS_ONLY = 0.25
_MIN_CLASSIFIED, _CLASSIFIED_WITHOUT_NAME = 0.3, 0.5
_CLOSED_WORD = 0.85
#: Fields whose texts may hold words of outcomes and that are none; a date or a number with such words is neither.
_FIELDS_OF_WORDS = (
    "name", "account_id", "account_name", "owner_id", "owner_name", "loss_reason", "deal_type", "product",
    "lead_source", "pipeline",
)  # fmt: skip
#: Single letters that tell outcomes where there are no others.
_LETTERS = {"w": "won", "l": "lost", "o": "open", "p": "open"}
_CANDIDATES = 4


@dataclass(frozen=True, eq=False)
class WordColumn:
    """A column of statuses or stages.

    Parameters
    ----------
    column : ColumnFacts
    score : float
        How well its name fits.
    meanings : mapping of str to str
        Texts that say won, lost or open.
    """

    column: ColumnFacts
    score: float
    meanings: Mapping[str, str]

    @cached_property
    def labels(self) -> "np.ndarray[Any, np.dtype[np.int8]]":
        """The label of each row."""
        codes = {text: CODES[meaning] for text, meaning in self.meanings.items()}
        return np.asarray(self.column.texts.map(codes).fillna(UNKNOWN), dtype=np.int8)

    def count(self, *meanings: str) -> int:
        """Number of texts with one of these meanings; "" for those that say nothing."""
        return sum(self.meanings.get(text, "") in meanings for text in self.column.counts)


@dataclass(frozen=True, eq=False)
class FlagColumn:
    """A column that says yes or no, in whatever words.

    Parameters
    ----------
    column : ColumnFacts
    score : float
        How well its name fits.
    meanings : mapping of str to bool
        All of its texts.
    by_words : bool
        Whether it is a column of statuses that tells open from closed deals.
    by_dates : bool
        Whether it is a column of dates, filled where the answer is yes.
    """

    column: ColumnFacts
    score: float
    meanings: Mapping[str, bool]
    by_words: bool = False
    by_dates: bool = False

    @cached_property
    def is_true(self) -> "np.ndarray[Any, np.dtype[np.bool_]]":
        """Rows that say yes."""
        if self.by_dates:
            return self.column.is_filled
        return self.column.texts.map(dict(self.meanings)).eq(True).fillna(False).to_numpy(bool)

    @cached_property
    def is_false(self) -> "np.ndarray[Any, np.dtype[np.bool_]]":
        """Rows that say no; where nothing but yes is written, empty cells say it."""
        if self.by_dates or all(self.meanings.values()):
            return ~self.is_true
        return self.column.texts.map(dict(self.meanings)).eq(False).fillna(False).to_numpy(bool)

    @property
    def has_blanks(self) -> bool:
        """Whether some cells are empty."""
        return not bool(self.column.is_filled.all())


@dataclass(frozen=True)
class Candidates:
    """The columns that may say how deals ended, the likeliest of each kind first."""

    statuses: list[WordColumn]
    stages: list[WordColumn]
    won: list[FlagColumn]
    closed: list[FlagColumn]
    lost: list[FlagColumn]


def candidates(table: RawTable) -> Candidates:
    """Look for columns that say how deals ended.

    Parameters
    ----------
    table : RawTable

    Returns
    -------
    Candidates

    Examples
    --------
    >>> frame = pd.DataFrame({"Deal Status": ["Won", "Lost"], "Is Closed": ["Y", "Y"]}, dtype="str")
    >>> options = candidates(RawTable("deals", "deals.csv", frame))
    >>> options.statuses[0].meanings, options.closed[0].meanings
    ({'Lost': 'lost', 'Won': 'won'}, {'Y': True})
    """
    statuses, stages = [], []
    flags: dict[str, list[FlagColumn]] = {"is_won": [], "is_closed": [], "is_lost": []}
    for column in table.columns.values():
        if not column.distinct:
            continue
        scores = table.scores(column.name)
        if column.flags is not None:
            for field, columns in flags.items():
                if (score := _flag_score(field, scores)) >= MIN_NAME:
                    columns.append(_flag_column(column, score))
        if status := _status(table, column, scores):
            statuses.append(status)
        if stage := _stage(table, column, scores):
            stages.append(stage)
            if closed := _closed_words(stage):
                flags["is_closed"].append(closed)
    statuses += _archived_leads(table, stages)
    return Candidates(
        _best(statuses), _best(stages), _best(flags["is_won"]), _best(flags["is_closed"]), _best(flags["is_lost"])
    )


def candidates_by_dates(table: RawTable, known: Candidates) -> Candidates:
    """The same with columns that date the end of deals, where nothing else tells won from lost.

    Parameters
    ----------
    table : RawTable
    known : Candidates
        What `candidates` known.

    Returns
    -------
    Candidates
    """
    dates: dict[str, list[FlagColumn]] = {"won_at": [], "lost_at": [], "closed_at": []}
    for column in table.columns.values():
        for field, columns in dates.items():
            score = table.scores(column.name).get(field, 0.0)
            if score >= MIN_NAME and column.are_dates and 0 < column.share_filled < 1:
                columns.append(FlagColumn(column, score, {}, by_dates=True))
    return Candidates(
        known.statuses,
        known.stages,
        known.won or _best(dates["won_at"]),
        known.closed or _best(dates["closed_at"]),
        known.lost or _best(dates["lost_at"]),
    )


def _best(items: list[Any]) -> list[Any]:
    return sorted(items, key=lambda each: -each.score)[:_CANDIDATES]


def _flag_score(field: str, scores: Mapping[str, float]) -> float:
    score = scores.get(field, 0.0)
    # a result that is 1 or 0 says whether the deal was won
    return max(score, 0.8 * scores.get("outcome", 0.0)) if field == "is_won" else score


def _flag_column(column: ColumnFacts, score: float) -> FlagColumn:
    assert column.flags is not None
    pairs = pd.DataFrame({"text": column.texts, "flag": column.flags}).dropna().drop_duplicates("text")
    return FlagColumn(column, score, {str(text): bool(flag) for text, flag in zip(*pairs.T.to_numpy(), strict=True)})


def _meanings(table: RawTable, column: ColumnFacts, field: str) -> dict[str, str]:
    """What each text says of a deal's end: by the codes of this CRM, else by its words."""
    codes: dict[str, str] = {}
    if table.kind is not None:
        known = {plain(name) for name in table.kind.columns.get(field, ())}  # type: ignore[call-overload]
        if plain(column.name) in known:
            codes = {text.casefold(): meaning for text, meaning in table.kind.values.get(field, {}).items()}  # type: ignore[call-overload]
    if {"w", "l"} <= {text.casefold() for text in column.counts} <= set(_LETTERS):
        codes = _LETTERS
    meanings = {text: codes.get(text.casefold()) or classify_outcome(text) for text in column.counts}
    return {text: meaning for text, meaning in meanings.items() if meaning}


def _is_category(column: ColumnFacts, table: RawTable, most: int) -> bool:
    return column.distinct <= most and (column.share_distinct <= MAX_SHARE_DISTINCT or len(table) < SHORT_TABLE)


def _status(table: RawTable, column: ColumnFacts, scores: Mapping[str, float]) -> WordColumn | None:
    if not _is_category(column, table, MAX_STATUSES):
        return None
    name = max(
        scores.get("outcome", 0.0), *(0.9 * scores.get(each, 0.0) for each in ("is_won", "is_closed", "is_lost"))
    )
    meanings = _meanings(table, column, "outcome")
    cells = sum(column.counts.values())
    classified = sum(column.counts[text] for text in meanings) / cells
    if not {"won", "lost"} & set(meanings.values()) or classified < _MIN_CLASSIFIED:
        return None
    if name < MIN_NAME:
        # only texts that say how a deal ended make up for a name that says nothing
        is_telling = {"won", "lost"} <= set(meanings.values()) and classified >= _CLASSIFIED_WITHOUT_NAME
        of_words = max((scores.get(each, 0.0) for each in _FIELDS_OF_WORDS), default=0.0)
        is_other = of_words >= MIN_NAME or not _may_be_anything(column.name, table)
        if not is_telling or is_other:
            return None
        name = NAME_OF_CONTENTS_ONLY
    return WordColumn(column, name, meanings)


def _may_be_anything(name: str, table: RawTable) -> bool:
    """Whether nothing is known of a name: not that it is a contact's or a payment's, say."""
    return not is_never(name, table.kind.kind if table.kind else "") and plain(name) not in _other_labels()


@cache
def _other_labels() -> frozenset[str]:
    return frozenset(plain(label) for words in vocabularies().values() for label in words.others)


def _stage(table: RawTable, column: ColumnFacts, scores: Mapping[str, float]) -> WordColumn | None:
    name = scores.get("stage", 0.0)
    if name < MIN_NAME or not _is_category(column, table, MAX_STAGES) or column.flags is not None:
        return None
    if column.are_dates:  # of a stage
        return None
    return WordColumn(column, name, _meanings(table, column, "stage"))


def _closed_words(stage: WordColumn) -> FlagColumn | None:
    """A column of which one text says no more than that a deal is closed."""
    texts = stage.column.counts
    closed = {
        text
        for text in texts
        if text not in stage.meanings and field_scores(text).get("is_closed", 0.0) >= _CLOSED_WORD
    }
    if not closed or len(closed) == len(texts):
        return None
    meanings = {text: text in closed for text in texts if text in closed or stage.meanings.get(text, "open") == "open"}
    return FlagColumn(stage.column, 0.8 * stage.score, meanings, by_words=True)


def _archived_leads(table: RawTable, stages: Iterable[WordColumn]) -> list[WordColumn]:
    """Odoo archives a lead when it is lost: it is not active any more, and its stage stays."""
    if table.kind is None or not table.kind.kind.startswith("odoo"):
        return []
    active = next((each for name, each in table.columns.items() if plain(name) == "active"), None)
    stage = next(iter(_best(list(stages))), None)
    if active is None or active.flags is None or stage is None or not active.is_filled.all():
        return []
    joined = joined_column(active, stage.column)
    pairs = dict.fromkeys(zip(joined.texts, active.flags, stage.column.texts.astype(object), strict=True))
    meanings = {
        str(text): "lost" if not is_active else stage.meanings.get(status, "open") for text, is_active, status in pairs
    }
    return [WordColumn(joined, 0.95, meanings)] if "lost" in meanings.values() else []


def joined_column(*columns: ColumnFacts) -> ColumnFacts:
    """A column as a profile makes it of several with ``a + b``.

    Examples
    --------
    >>> frame = pd.DataFrame({"Won": ["1", "0"], "Lost": ["0", "1"]}, dtype="str")
    >>> joined = joined_column(*RawTable("deals", "deals.csv", frame).columns.values())
    >>> joined.name, joined.texts.tolist()
    ('Won + Lost', ['1 0', '0 1'])
    """
    texts = [column.texts.fillna("").to_numpy(object) for column in columns]
    joined = [" ".join(filter(None, row)) for row in zip(*texts, strict=True)]
    cells = pd.Series(joined, dtype=text_dtype(), index=columns[0].texts.index)
    return ColumnFacts(" + ".join(column.name for column in columns), cells, np.arange(len(cells)), None)
