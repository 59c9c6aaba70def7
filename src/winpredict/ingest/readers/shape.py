"""Where the table is in a file: the header, what stands above and below it, and what its columns hold."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache

from winpredict.errors import InputFileError
from winpredict.ingest.readers.encoding import BAD_BYTES
from winpredict.ingest.vocabulary.loading import plain, vocabularies
from winpredict.locale.text import text

#: Records at the start of a file by which its shape is told.
SAMPLE_RECORDS = 300
#: The header is looked for among so many records.
_MAX_TITLES = 60
_SAMPLE_SHARE = 0.9
_MAX_NAME_CHARS = 1_000
_MIN_WORDS_SENTENCE = 4
_LONG_CODE = 8
_MAX_GAPS = 4

_DATE = re.compile(
    r"""
    \d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?:[ T].*)?
    | \d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2})(?:,?[ T].*)?
    | \d{1,2}[-. ]\s?[^\W\d_]{3,12}\.?[-., ]\s?\d{2,4}(?:[ ,T].*)?
    | [^\W\d_]{3,12}\.?[ ]\d{1,2},?[ ]\d{4}(?:[ ,T].*)?
    | \d{4}年\d{1,2}月(?:\d{1,2}日.*)?
    | (?:19|20)\d{2}-(?:0[1-9]|1[0-2])
    """,
    re.VERBOSE,
)
_CURRENCY = r"(?:[A-Z]{3}|(?:US|CA|A|R)?\$|[€£¥₽₹]|zł|kr\.?|Fr\.?)"
_NUMBER = re.compile(
    rf"\(?[-+−]?\s?{_CURRENCY}?\s?[-+−]?\s?\d[\d.,'’\s]*(?:[eE][-+]?\d+)?\s?(?:%|[kKmM]|Mio\.?|Mrd\.?)?\s?{_CURRENCY}?\)?-?"
)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_CODE = re.compile(r"(?=(?:\D*\d){3})[\w:.#/-]{4,}")
_YEAR = re.compile(r"(?:19|20|21)\d{2}")
_NO_VALUE = frozenset(("-", "--", "?", "n/a", "na", "nan", "none", "null", "nil", "tbd", "#n/a"))

#: What rows below a table hold, beside the words of the vocabulary.
_FOOTER_SIGNS = re.compile(r"©|\(c\) \d{4}|copyright|https?://|\b\d+ (?:of|/) \d+$", re.IGNORECASE)
#: What may follow the word for a total, beside the names of deals and what the vocabulary has.
_BESIDE_TOTALS = (
    "of",
    "and",
    "records",
    "record",
    "rows",
    "row",
    "lines",
    "items",
    "件",
    "de",
    "des",
    "der",
    "di",
    "do",
)


@dataclass(frozen=True)
class Shape:
    """The table in a file.

    Parameters
    ----------
    header : int
        Place of the header among the records of the sample.
    names : tuple of str
        What the header names, cleaned; names may occur twice.
    width : int
        Cells to read of each row; those beyond the names are empty.
    kinds : tuple of str
        What the cells of each column are, where nearly all are the same: date, number, code, email.
    usual : int
        How many cells of a row are filled, as a rule.
    second_header : bool
        Whether the record below the header explains it (units, formats).
    is_table : bool
        Whether it has two columns and a row.
    short_widths : frozenset of int
        Numbers of cells of rows that lack their last, empty cells.
    """

    header: int
    names: tuple[str, ...]
    width: int
    kinds: tuple[str, ...]
    usual: int
    second_header: bool = False
    is_table: bool = True
    short_widths: frozenset[int] = frozenset()


@lru_cache(maxsize=20_000)
def kind_of(text: str) -> str:
    """Kind of one cell: date, number, code (an id with figures), email, or nothing of these.

    Examples
    --------
    >>> [kind_of(each) for each in ("19-May-23", "14 875,28 €", "006A1000", "rep@acme.com", "Closed Won", "2024")]
    ['date', 'number', 'code', 'email', '', 'number']
    """
    if len(text) > 60 or not text:
        return ""
    for kind, pattern in (("date", _DATE), ("number", _NUMBER), ("email", _EMAIL), ("code", _CODE)):
        if pattern.fullmatch(text):
            return kind
    return ""


def shape_of(records: Sequence[Sequence[str]], where: str, *, complete: bool) -> Shape:
    """Find the header and the columns of a table.

    Parameters
    ----------
    records : sequence of sequence of str
        The first records of the file as stripped cells; blank ones have none.
    where : str
        The file, for people.
    complete : bool
        Whether these are all records.

    Returns
    -------
    Shape

    Raises
    ------
    InputFileError
        When there is no header.

    Examples
    --------
    >>> rows = [["Won 2024", ""], [], ["Id", "Amount"], ["006A1", "10"], ["006A2", "20"]]
    >>> shape = shape_of(rows, "deals.csv", complete=True)
    >>> shape.header, shape.names, shape.kinds
    (2, ('Id', 'Amount'), ('code', 'number'))
    """
    header = _header(records)
    if header is None:
        raise InputFileError(text("{where} has no header; its first row must name the columns", where=where))
    names = tuple(cleaned_name(cell) for cell in records[header])
    if any(len(name) > _MAX_NAME_CHARS for name in names):
        raise InputFileError(
            text(
                "{where} has no header that can be read: a name of a column has more than "
                "{max_name_chars:count} characters; is it really a table?",
                where=where,
                max_name_chars=_MAX_NAME_CHARS,
            )
        )
    body = [record for record in records[header + 1 :] if any(record) and tuple(record) != tuple(records[header])]
    if not complete and body:
        body = body[:-1]  # the last one may be cut
    usual_rows = [record for record in body if len(record) > 1] or body
    names = _without_empty_end(names, usual_rows)
    width = _width(names, usual_rows)
    kinds = _kinds(usual_rows, width)
    if _is_data(names, kinds, usual_rows):
        shown = ", ".join(repr(name) for name in names[:4])
        raise InputFileError(
            text(
                "{where} has no header: the first row looks like data ({shown}, ...); add a first row that "
                "names the columns, or export with column names",
                where=where,
                shown=shown,
            )
        )
    filled = sorted(sum(map(bool, record)) for record in usual_rows)
    shape = Shape(
        header=header,
        names=names,
        width=width,
        kinds=kinds,
        usual=filled[len(filled) // 2] if filled else len(names),
        is_table=len(names) > 1 and any(len(record) > 1 for record in body),
        short_widths=_short_widths(len(names), usual_rows),
    )
    second = _is_second_header(body, shape)
    return replace(shape, second_header=second) if second else shape


def cleaned_name(text: str) -> str:
    r"""Name of a column without spaces around it, line breaks in it and characters that nobody sees.

    Examples
    --------
    >>> cleaned_name("\ufeff Close\nDate\xa0")
    'Close Date'
    """
    text = text.replace(BAD_BYTES, "\ufffd")
    visible = re.sub("[\u0000-\u0008\u000e-\u001f\u007f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]", "", text)
    return " ".join(visible.split())


def named(names: Sequence[str]) -> tuple[list[str], dict[str, list[int]]]:
    """Names that occur once each, and the places of those that the header has several times.

    A column without a name is called by its place.

    Examples
    --------
    >>> named(["Id", "Amount", "", "Amount"])
    (['Id', 'Amount', 'column_3', 'Amount (2)'], {'Amount': [1, 3]})
    """
    filled = [name or f"column_{place}" for place, name in enumerate(names, start=1)]
    places: dict[str, list[int]] = {}
    for place, name in enumerate(filled):
        places.setdefault(name, []).append(place)
    taken = set(filled)
    out = list(filled)
    for name, where in places.items():
        number = 2
        for place in where[1:]:
            while f"{name} ({number})" in taken:
                number += 1
            out[place] = f"{name} ({number})"
            taken.add(out[place])
    return out, {name: where for name, where in places.items() if len(where) > 1}


def is_totals(cells: Sequence[str]) -> bool:
    """Whether a row adds up others: its first filled cell says so, and the others hold numbers.

    Examples
    --------
    >>> is_totals(["", "Grand Totals (80 records)", "", "1,200.50"]), is_totals(["Total Energies", "1,200.50"])
    (True, False)
    """
    filled = [cell for cell in cells if cell]
    return bool(filled) and is_totals_phrase(filled[0]) and all(map(_is_part_of_totals, filled[1:]))


def _is_part_of_totals(cell: str) -> bool:
    return kind_of(cell) == "number" or plain(cell) in _totals()[1] or _begins_as_footer(cell)


def is_totals_phrase(text: str) -> bool:
    """Whether a text says that it is a total, and nothing else.

    Examples
    --------
    >>> is_totals_phrase("Somme"), is_totals_phrase("Sum Up Ltd")
    (True, False)
    """
    words = plain(text).split()
    phrases, beside = _totals()
    for count in range(len(words), 0, -1):
        if " ".join(words[:count]) in phrases:
            return all(re.sub(r"\d+", "", word) in beside for word in words[count:])
    return False


@cache
def _totals() -> tuple[frozenset[str], frozenset[str]]:
    """How rows of totals and footers begin, and what may follow."""
    phrases = frozenset(plain(text) for words in vocabularies().values() for text in words.totals)
    objects = {word for words in vocabularies().values() for text in words.objects for word in plain(text).split()}
    return phrases, frozenset({"", *_BESIDE_TOTALS, *objects, *(word for phrase in phrases for word in phrase.split())})


@cache
def totals_pattern() -> str:
    """Pattern of RE2 for texts that may be totals; `is_totals_phrase` decides."""
    texts = {text for words in vocabularies().values() for text in words.totals}
    return r"(?i)^[^\pL]*(?:" + "|".join(sorted(map(re.escape, texts), reverse=True)) + r")(?:[^\pL]|$)"


def _begins_as_footer(text: str) -> bool:
    words = plain(text).split()
    return any(" ".join(words[:count]) in _totals()[0] for count in range(1, min(len(words), 5) + 1))


def footers(rows: Sequence[tuple[Sequence[str], bool]], shape: Shape) -> int:
    """How many of the last rows stand below the table.

    Parameters
    ----------
    rows : sequence of (cells, whether a blank line is above)
        The last rows of the file.
    shape : Shape

    Returns
    -------
    int
    """
    gaps = [place for place, (_, blank_above) in enumerate(rows) if blank_above]
    # a file with blank lines all over says nothing by one more
    end_of_table = gaps[0] if 0 < len(gaps) <= _MAX_GAPS else len(rows)
    count = 0
    while count < len(rows):
        place = len(rows) - count - 1
        if not _is_footer(rows[place][0], shape, apart=place >= end_of_table):
            break
        count += 1
    return count


def _is_footer(cells: Sequence[str], shape: Shape, *, apart: bool) -> bool:
    filled = [(place, cell) for place, cell in enumerate(cells) if cell]
    if not filled or len(shape.names) == 1:
        return False
    if is_totals(cells):
        return True
    place, text = filled[0]
    short = len(cells) < len(shape.names)
    few = len(filled) == 1 or (len(filled) == 2 and short and len(shape.names) > 3)
    if not few or shape.usual < 2 or len(filled) >= shape.usual > 1:
        return False
    kind = shape.kinds[place] if place < len(shape.kinds) else ""
    if kind and kind_of(text) == kind:
        return False
    if _FOOTER_SIGNS.search(text) or _begins_as_footer(text):
        return True
    sentence = len(text.split()) >= _MIN_WORDS_SENTENCE
    return sentence or apart or (len(filled) == 1 and bool(kind) and " " in text)


def fits_kinds(cells: Sequence[str], kinds: Sequence[str]) -> bool:
    """Whether a row that lacks its last cells is like the others as far as it goes, in two columns at least."""
    judged = [(cell, kind) for cell, kind in zip(cells, kinds, strict=False) if kind and cell]
    return len(judged) > 1 and all(kind_of(cell) == kind for cell, kind in judged)


def _trimmed(record: Sequence[str]) -> int:
    """Cells up to the last filled one."""
    return max((place for place, cell in enumerate(record, start=1) if cell), default=0)


def _header(records: Sequence[Sequence[str]]) -> int | None:
    """Place of the first record that names as many columns as the rows below have."""
    filled = [place for place, record in enumerate(records) if any(record)]
    if not filled:
        return None
    widths = Counter(len(records[place]) for place in filled)
    usual = max(widths, key=lambda width: (widths[width] * min(width, 4), width))
    # title rows are few, so that most rows of the usual width are of the table
    table = [records[place] for place in filled if len(records[place]) == usual]
    ends = sorted(_trimmed(record) for record in table[len(table) // 4 :])
    end = ends[len(ends) // 2] if ends else usual
    for place in filled[:_MAX_TITLES]:
        record = records[place]
        named_cells = sum(map(bool, record))
        if _trimmed(record) >= end and named_cells >= end - max(1, end // 5):
            return place
        if named_cells >= max(3, end * 0.6) and _is_words(record) and _is_above_data(records, place):
            return place
    wide = max(filled[:_MAX_TITLES], key=lambda place: (sum(map(bool, records[place])), -place))
    return wide if sum(map(bool, records[wide])) > 1 else filled[0]


def _is_words(record: Sequence[str]) -> bool:
    """Whether most filled cells differ and none is a date, number or id."""
    filled = [cell for cell in record if cell]
    return len(set(filled)) * 2 > len(filled) and not any(map(kind_of, filled))


def _is_above_data(records: Sequence[Sequence[str]], place: int) -> bool:
    """Whether the next record has two dates, numbers or ids."""
    below = next((record for record in records[place + 1 :] if any(record)), [])
    return sum(map(bool, map(kind_of, below))) > 1


def _without_empty_end(names: tuple[str, ...], rows: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The names, without nameless ones at the end that rows have no cells for."""
    widths = Counter(len(row) for row in rows)
    named = max((place for place, name in enumerate(names, start=1) if name), default=len(names))
    usual = max(widths, key=lambda width: (widths[width], width), default=len(names))
    return names[: max(named, usual)] if usual < len(names) else names


def _width(names: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """Cells to read: more than there are names where rows end with empty cells."""
    longer = Counter(len(row) for row in rows if len(row) > len(names))
    if not longer or sum(longer.values()) * 2 < len(rows):
        return len(names)
    width = max(longer, key=lambda each: (longer[each], each))
    if longer[width] < sum(len(row) == len(names) for row in rows):
        return len(names)
    beyond = [row[len(names) :] for row in rows if len(row) == width]
    return width if sum(not any(cells) for cells in beyond) >= _SAMPLE_SHARE * len(beyond) else len(names)


def _kinds(rows: Sequence[Sequence[str]], width: int) -> tuple[str, ...]:
    kinds = []
    for place in range(width):
        counts = Counter(kind_of(row[place]) for row in rows if place < len(row) and row[place])
        kind, number = max(counts.items(), key=lambda item: (item[1], item[0])) if counts else ("", 0)
        kinds.append(kind if kind and number >= _SAMPLE_SHARE * counts.total() else "")
    return tuple(kinds)


def _is_data(names: Sequence[str], kinds: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether what should name the columns is like the cells below."""
    if not rows:
        kinds = [kind_of(name) for name in names]
        ids = any(kind == "code" and len(name) >= _LONG_CODE for name, kind in zip(names, kinds, strict=True))
        return sum(kind in ("date", "email") for kind in kinds) + ids > 1
    like = unlike = repeated = 0
    for place, (name, kind) in enumerate(zip(names, kinds, strict=False)):
        if name.casefold() in _NO_VALUE or not name:
            continue
        column = [row[place] for row in rows if place < len(row) and row[place]]
        if kind:
            same = kind_of(name) == kind and not _is_year_above_figures(name, column)
            like += same
            unlike += not same
        elif name in column and not kind_of(name):
            repeated += 1
    if unlike:
        return False
    return like > 1 or (like == 1 and (repeated > 0 or len(names) <= 3)) or repeated > 1


def _is_year_above_figures(name: str, column: Sequence[str]) -> bool:
    return bool(_YEAR.fullmatch(name)) and sum(bool(_YEAR.fullmatch(cell)) for cell in column) * 2 < len(column)


def _is_second_header(rows: Sequence[Sequence[str]], shape: Shape) -> bool:
    """Whether the first row has words in every column that holds dates, numbers or ids otherwise."""
    if len(rows) < 4:
        return False
    first = rows[0]
    judged = [
        kind_of(cell) for cell, kind in zip(first, shape.kinds, strict=False) if cell and kind in ("date", "number")
    ]
    ids = [kind_of(cell) for cell, kind in zip(first, shape.kinds, strict=False) if cell and kind in ("code", "email")]
    return len(judged) > 1 and not any(judged) and not any(ids)


def _short_widths(columns: int, rows: Sequence[Sequence[str]]) -> frozenset[int]:
    """Numbers of cells that many rows have because the program that wrote them left out empty cells at the end."""
    counts = Counter(len(row) for row in rows if not is_totals(row))  # a total is as short as it is, of whatever width
    if counts[columns] * 5 < len(rows):
        return frozenset()
    return frozenset(
        width for width, number in counts.items() if 1 < width < columns and number >= max(5, len(rows) // 10)
    )
