"""JSON: lists of records, pages of an API, JSON lines, and objects one after the other."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from winpredict.config import InputLimits
from winpredict.errors import InputFileError
from winpredict.ingest.readers.characters import cleaned_frame, describe
from winpredict.ingest.readers.content import Content
from winpredict.ingest.readers.encoding import encoding_of, text_of
from winpredict.ingest.readers.limits import MAX_MISFITS, Budget, check_cell, check_columns
from winpredict.ingest.readers.table import RECORDS, UNREADABLE, Table, ledger_of, rows_frame
from winpredict.locale.text import Text, said, texts

#: Names under which an API puts the list of its records.
_LISTS = ("results", "data", "records", "value", "items")
#: Names that records have and pages have not: an object with one of them is a record, whatever lists are in it.
_IDS = ("id", "deal_id", "dealid", "key", "uuid")
#: Whole numbers with more digits lose some as floats, which columns with missing values are made of.
_EXACT_DIGITS = 15
#: What pages say of themselves beside their records.
_ABOUT_PAGES = re.compile(r"count|total|page|next|prev|cursor|offset|limit|more|success|status|link|@|size|url", re.I)
_MAX_TEXT = 10_000

_Records = list[tuple[int, dict[str, Any]]]
_Bad = list[tuple[int, str]]


def _whole(digits: str) -> int | str:
    """A whole number, as text where a column of floats could not hold it."""
    return int(digits) if len(digits.lstrip("-")) <= _EXACT_DIGITS else digits


_DECODER = json.JSONDecoder(parse_int=_whole)


def read_json(content: Content, where: str, budget: Budget, *, encoding: str | None = None) -> Iterator[Table]:
    """Read JSON records.

    Parameters
    ----------
    content : Content
    where : str
        The file, for people.
    budget : Budget
    encoding : str, optional
        By default it is told from the bytes.

    Yields
    ------
    Table
        One; its ledger counts records.

    Raises
    ------
    InputFileError
        When no record is in it, it is cut short, or breaks a limit.
    """
    known = encoding_of(content, where, encoding)
    text = text_of(content, known)
    budget.check_memory(_memory(text), where)
    try:
        records, bad, deep = _parsed(text, where, budget.limits)
    except _MisfitsError:
        raise InputFileError(
            said(
                "{where}: more than {max_misfits:count} records are no JSON objects, and fewer are; one object "
                "a line is expected, or a list of objects",
                where=where,
                max_misfits=MAX_MISFITS,
            )
        ) from None
    if not records:
        if deep:
            raise InputFileError(
                said(
                    "{where} holds no JSON objects; {n:count} are nested deeper than {levels:count} levels "
                    "(input_limits.nesting); one object a line is expected, or a list of objects",
                    where=where,
                    n=deep,
                    levels=budget.limits.nesting,
                )
            )
        raise InputFileError(
            said(
                "{where} holds no JSON objects; one object a line is expected, or a list of objects",
                where=where,
            )
        )
    _check(records, where, budget)
    frame = pd.json_normalize([record for _, record in records])
    frame.index = pd.Index([row for row, _ in records], name="row")
    frame, repairs = cleaned_frame(frame)
    names = [cause for _, _, cause in repairs]
    plain = [] if known.codec == "utf-8" else [known.name]
    remarks: list[Text | str] = [*plain, *describe(names, known.name)]
    if bad:
        remarks.append(
            texts(
                "{n:count} record cannot be read as a JSON object",
                "{n:count} records cannot be read as JSON objects",
                n=len(bad),
            )
        )
    if deep:
        remarks.append(
            texts(
                "{n:count} of them nested deeper than {levels:count} levels (input_limits.nesting)",
                "{n:count} of them nested deeper than {levels:count} levels (input_limits.nesting)",
                n=deep,
                levels=budget.limits.nesting,
            )
        )
    causes = [
        (row, column, f"bytes that are not {known.name}" if cause.startswith("bytes") else cause)
        for row, column, cause in repairs
    ]
    yield Table(
        frame=frame,
        unreadable=rows_frame(bad, "row", "text"),
        remarks=tuple(remarks),
        ledger=ledger_of({RECORDS: len(records), UNREADABLE: len(bad)}),
        units="records",
        repairs=rows_frame(causes, "row", "column", "cause"),
        encoding=known.name,
    )


def _memory(text: str) -> int:
    """Bytes that the values of a text will take, roughly: a small object or list takes far more than its brackets."""
    return 232 * text.count("{") + 72 * text.count("[") + 64 * text.count(",") + 2 * len(text)


def _lines(text: str) -> Iterator[str]:
    """Lines that are not blank, one by one."""
    place = 0
    while place < len(text):
        end = text.find("\n", place)
        end = len(text) if end < 0 else end
        if line := text[place:end].strip():
            yield line
        place = end + 1


def _check(records: _Records, where: str, budget: Budget) -> None:
    """Refuse more columns or cells than the limits allow, before there is a frame of them."""
    names: dict[str, None] = {}
    for _, record in records:
        for name, value in record.items():
            if isinstance(value, dict):
                names.update(dict.fromkeys(_paths(value, name)))
            else:
                names[name] = None
                if isinstance(value, str) and len(value) > budget.limits.cell_chars:
                    check_cell(len(value), budget.limits, f"{where}, {name},")
        if len(names) > budget.limits.columns:
            check_columns(len(names), budget.limits, where)
    budget.check_cells(len(records), len(names), where)


def _paths(value: dict[str, Any], prefix: str) -> Iterator[str]:
    """Names of the columns that a nested object becomes."""
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from _paths(inner, f"{prefix}.{name}")
        else:
            yield f"{prefix}.{name}"


def _parsed(text: str, where: str, limits: InputLimits) -> tuple[_Records, _Bad, int]:
    """Records with their numbers, what is none, and how many of these are nested too deep."""
    try:
        whole = _DECODER.decode(text.strip())
    except ValueError:
        return _of_lines(text, where, limits)
    except RecursionError:
        if "\n" in text.strip() and text.lstrip().startswith("{"):
            return _of_lines(text, where, limits)
        raise InputFileError(
            said(
                "{where} is nested deeper than {nesting} levels (input_limits.nesting); export flat records, "
                "one object each",
                where=where,
                nesting=limits.nesting,
            )
        ) from None
    return _sorted(list(enumerate(_elements(whole), start=1)), limits)


def _elements(whole: object) -> Sequence[object]:
    """The records of a document: of a list, or under the name that a CRM's API puts the list under."""
    if isinstance(whole, dict):
        page = _page(whole)
        return [whole] if page is None else page
    return whole if isinstance(whole, list) else [whole]


def _page(whole: dict[str, Any]) -> list[object] | None:
    """The records of a page of an API; None where the object is a record itself."""
    if any(name.lower() in _IDS for name in whole):
        return None
    for name in _LISTS:
        if isinstance(whole.get(name), list):
            page: list[object] = whole[name]
            return page
    inner = [name for name, value in whole.items() if isinstance(value, dict | list) and value]
    about = [name for name in whole if name not in inner]
    if len(inner) != 1 or not all(_ABOUT_PAGES.search(name) for name in about):
        return None
    value = whole[inner[0]]
    if isinstance(value, list):
        return value if all(isinstance(each, dict) for each in value) else None
    return _page(value) if inner[0].lower() in _LISTS else None


def _sorted(elements: Sequence[tuple[int, object]], limits: InputLimits) -> tuple[_Records, _Bad, int]:
    records: _Records = []
    bad: _Bad = []
    deep = 0
    for row, element in elements:
        if not isinstance(element, dict):
            bad.append((row, _as_text(element)))
        elif _deeper_than(element, limits.nesting):
            deep += 1
            bad.append((row, _as_text(element)))
        else:
            records.append((row, element))
        _refuse_misfits(bad, records)
    return records, bad, deep


def _refuse_misfits(bad: _Bad, records: _Records) -> None:
    """Stop before a file of something else fills memory."""
    if len(bad) > MAX_MISFITS and len(bad) > len(records):
        raise _MisfitsError


class _MisfitsError(Exception):
    """Most elements are no records."""


def _as_text(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)[:_MAX_TEXT]
    except (RecursionError, ValueError):
        return "(nested too deep to be shown)"


def _deeper_than(value: object, levels: int) -> bool:
    """Whether objects and lists are nested in more levels."""
    layer: list[object] = [value]
    for _ in range(levels):
        layer = [
            inner
            for each in layer
            for inner in (each.values() if isinstance(each, dict) else each if isinstance(each, list) else ())
            if isinstance(inner, dict | list)
        ]
        if not layer:
            return False
    return True


def _of_lines(text: str, where: str, limits: InputLimits) -> tuple[_Records, _Bad, int]:
    """JSON lines; where most lines are no JSON, objects one after the other."""
    records: _Records = []
    bad: _Bad = []
    deep = broken = row = lines = 0
    for line in _lines(text):
        lines += 1
        if bad and broken * 2 <= lines:
            _refuse_misfits(bad, records)
        value, fault = _loaded(line)
        if fault is not None:
            row += 1
            bad.append((row, line[:_MAX_TEXT]))
            deep += fault == "deep"
            broken += fault == "broken"
            continue
        page = _page(value) if isinstance(value, dict) else None
        of_records = isinstance(value, list) and value and all(isinstance(each, dict) for each in value)
        elements: Sequence[object] = page if page is not None else value if of_records else [value]  # type: ignore[assignment]
        some, none, too_deep = _sorted(list(enumerate(elements, start=row + 1)), limits)
        row += len(elements)
        records += some
        bad += none
        deep += too_deep
    if broken * 2 > lines or not records:
        if text.lstrip().startswith("{"):
            return _one_after_the_other(text, where, limits)
        if broken and text.lstrip().startswith("["):
            raise InputFileError(
                said("{where} cannot be read: it is a JSON list that is cut or broken; export it again", where=where)
            )
        return [], [], deep
    return records, bad, deep


def _loaded(line: str) -> tuple[object, str | None]:
    try:
        return _DECODER.decode(line), None
    except RecursionError:
        return None, "deep"
    except ValueError:
        return None, "broken"


def _one_after_the_other(text: str, where: str, limits: InputLimits) -> tuple[_Records, _Bad, int]:
    """Objects that go over several lines each, with or without commas between."""
    elements: list[tuple[int, object]] = []
    bad: _Bad = []
    place = row = deep = 0
    while True:
        while place < len(text) and text[place] in " \t\r\n,":
            place += 1
        if place >= len(text):
            break
        row += 1
        try:
            value, place = _DECODER.raw_decode(text, place)
            elements.append((row, value))
        except (ValueError, RecursionError) as error:
            # the next object begins on a line of its own, as this one did
            after = text.find("\n{", place + 1)
            bad.append((row, text[place : after if after > 0 else None][:_MAX_TEXT]))
            deep += isinstance(error, RecursionError)
            if after < 0:
                break
            place = after + 1
    records, none, too_deep = _sorted(elements, limits)
    return records, sorted([*bad, *none]), deep + too_deep
