"""Workbooks: every sheet that holds a table, as texts."""

import datetime
import io
import math
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any

import numpy as np
import openpyxl  # type: ignore[import-untyped]
import pyarrow as pa
import pyarrow.compute as pc
import python_calamine
import xlrd  # type: ignore[import-untyped]

from winpredict.errors import InputFileError
from winpredict.ingest.readers.body import (
    EXPLAINS,
    Body,
    Piece,
    aside_remarks,
    columns_of,
    settled_names,
    table_of,
    title_rows,
)
from winpredict.ingest.readers.characters import describe, has_odd_texts
from winpredict.ingest.readers.content import UNPACKING_ERRORS, Content
from winpredict.ingest.readers.content_type import NAMES, Kind
from winpredict.ingest.readers.html_tables import html_rows
from winpredict.ingest.readers.limits import Budget, check_columns
from winpredict.ingest.readers.shape import SAMPLE_RECORDS, Shape, shape_of
from winpredict.ingest.readers.table import BLANK, HEADER, SECOND_HEADER, TITLES, Table
from winpredict.ingest.readers.workbook_size import (
    SheetSize,
    check_members,
    ods_sheet_sizes,
    shared_text_lengths,
    shared_text_size,
    sheet_parts,
    xlsb_shared_lengths,
    xlsb_sheet_size,
    xlsx_sheet_size,
)
from winpredict.locale.text import Text, said, text, texts

_BATCH_ROWS = 20_000
#: Ends the text of a day without a time until it is known whether other cells of its column have one.
_DAY = "\ufdd1"
_MIDNIGHT = " 00:00:00"
BESIDE = "cells beside the table were left out"
_SAVE = text("save it as .xlsx or .csv")
#: Whole numbers up to this size are the same as floats.
_MAX_WHOLE = 1e21
_SIMPLE = {str, float}


@dataclass(frozen=True)
class _Sheet:
    """Values of the rows of a sheet that are not blank, with their numbers."""

    name: str
    rows: Iterable[tuple[int, Sequence[Any]]] = ()


def read_workbook(
    content: Content, where: str, kind: Kind, budget: Budget, *, encoding: str | None = None
) -> Iterator[Table]:
    """Read the sheets of a workbook, or the tables of an HTML page.

    Parameters
    ----------
    content : Content
    where : str
        The file, for people.
    kind : str
        xlsx, xlsb, xls, ods or html.
    budget : Budget
    encoding : str, optional
        Of an HTML page.

    Yields
    ------
    Table
        One a sheet that holds a table; sheets that hold none are named in the remarks. Ledgers count rows.

    Raises
    ------
    InputFileError
        When it is damaged, has a password, no sheet with rows, or breaks a limit.
    """
    try:
        tables, others = _tables(_sheets(content, where, kind, budget, encoding), where, budget)
    except InputFileError:
        raise
    except BaseException as error:  # the library raises errors of its own, and panics that are no Exception
        if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit | MemoryError | NameError):
            raise
        raise _unreadable(error, where, kind) from None
    if not tables:
        raise InputFileError(
            text(
                "{where} is {names} and has no sheet with rows below a header; export it again, or leave it out",
                where=where,
                names=NAMES[kind],
            )
        )
    skipped = [text("sheet {sheet} holds no table and was left out", sheet=name) for name in others]
    for table in tables:
        yield Table(
            frame=table.frame,
            sheet=table.sheet if len(tables) > 1 else "",
            unreadable=table.unreadable,
            remarks=(
                *([text("sheet {sheet}", sheet=table.sheet)] if len(tables) + len(others) > 1 else []),
                *table.remarks,
                *skipped,
            ),
            ledger=table.ledger,
            units=table.units,
            repairs=table.repairs,
            set_aside=table.set_aside,
        )


def _unreadable(error: BaseException, where: str, kind: Kind) -> InputFileError:
    if isinstance(error, python_calamine.PasswordError) or "encrypted" in str(error).lower():
        return InputFileError(text("{where} has a password; save it without one", where=where))
    fault: Text | str = str(error)[:300]
    if isinstance(error, python_calamine.XmlError) or len(str(fault)) < 4:
        fault = text("its XML cannot be understood")
    return InputFileError(
        text(
            "{where} cannot be read: {fault}; it should be {names}, but it is damaged or incomplete: export or "
            "copy it again, or {save}",
            where=where,
            fault=fault,
            names=NAMES[kind],
            save=_SAVE,
        )
    )


def _tables(sheets: Iterable[_Sheet], where: str, budget: Budget) -> tuple[list[Table], list[str]]:
    """Tables, and names of the sheets that hold none."""
    tables: list[Table] = []
    single: list[Table] = []
    others: list[str] = []
    refused: InputFileError | None = None
    for sheet in sheets:
        made = _table(sheet, said("{where}, sheet {sheet}", where=where, sheet=sheet.name), budget)
        if made is None or isinstance(made, InputFileError):
            others.append(sheet.name)
            refused = refused or made
        elif not made[1]:
            single.append(made[0])
        else:
            tables.append(made[0])
    if not tables and not single and refused is not None:
        raise refused
    if not tables and len(single) == 1:  # one column is a table where nothing else is
        return single, others
    return tables, [*others, *(table.sheet for table in single)]


def _table(sheet: _Sheet, where: str, budget: Budget) -> tuple[Table, bool] | InputFileError | None:
    """The table of a sheet, and whether it has several columns; None where the sheet has no rows below a header."""
    rows = iter(sheet.rows)
    sample = [*islice(rows, SAMPLE_RECORDS)]
    cells = [_stripped(values) for _, values in sample]
    if not cells:
        return None
    try:
        shape = shape_of(_even(cells), where, complete=len(sample) < SAMPLE_RECORDS)
    except InputFileError as error:
        return error
    shape = _with_columns(shape, cells)
    check_columns(shape.width, budget.limits, where)
    header = shape.header + int(shape.second_header)
    body = Body(shape, _padded(cells[shape.header], shape.width), where, budget.limits, delimiter="\t")
    pieces, last, below, beside = _pieces(chain(sample[header + 1 :], rows), shape.width, where, budget)
    ledger = Counter({TITLES: shape.header, HEADER: 1, SECOND_HEADER: int(shape.second_header)})
    aside = []
    if shape.second_header:
        aside.append((sample[header][0], "\t".join(cells[header]), EXPLAINS))
    last = max(last, sample[header][0])
    ledger[BLANK] += last - header - 1 - below
    pieces = [*body.without_footers(body.sorted_out(each, clean=has_odd_texts(each.table)) for each in pieces)]
    names = settled_names(shape.names, pieces)
    remarks = _remarks(shape, aside, pieces, len(beside))
    for piece in pieces[:1]:
        piece.repairs += beside
    table = table_of(
        pieces, names, units="records", remarks=[*remarks, *names.remarks], ledger=ledger, sheet=sheet.name, aside=aside
    )
    table = _without_empty_columns(table, shape)
    if not len(table.frame):
        return None
    return table, table.frame.shape[1] > 1


def _stripped(values: Sequence[Any]) -> list[str]:
    return [_text(value).replace(_DAY, "").strip() for value in values]


def _even(rows: Sequence[list[str]]) -> list[list[str]]:
    """Rows of the same width, up to the last column that rows of the table use; titles are no measure of it."""
    ends = [max((place for place, cell in enumerate(row, start=1) if cell), default=0) for row in rows]
    usual = Counter(end for row, end in zip(rows, ends, strict=True) if sum(map(bool, row)) > 1)
    width = max((end for end, number in usual.items() if number * 50 >= len(rows)), default=max(ends))
    return [_padded(row, width) for row in rows]


def _padded(row: Sequence[str], width: int) -> list[str]:
    return [*row[:width], *([""] * (width - len(row)))]


def _with_columns(shape: Shape, rows: Sequence[list[str]]) -> Shape:
    """The shape without the columns right of the header that hold nothing in most rows."""
    named = max((place for place, name in enumerate(shape.names, start=1) if name), default=len(shape.names))
    below = rows[shape.header + 1 :]
    width = named
    for place in range(named, len(shape.names)):
        if sum(bool(row[place]) for row in below if place < len(row)) * 10 >= len(below):
            width = place + 1
    return replace(shape, names=shape.names[:width], width=width, kinds=shape.kinds[:width])


def _pieces(
    rows: Iterable[tuple[int, Sequence[Any]]], width: int, where: str, budget: Budget
) -> tuple[list[Piece], int, int, list[tuple[int, int, str]]]:
    """Rows as texts; the number of the last one, how many there are, and cells beside the table."""
    tables: list[pa.Table] = []
    numbers: list[np.ndarray[Any, Any]] = []
    beside: list[tuple[int, int, str]] = []
    days: set[int] = set()
    times: set[int] = set()
    rows = iter(rows)
    last = below = chars = 0
    while batch := [*islice(rows, _BATCH_ROWS)]:
        for number, values in batch:
            if len(values) > width and any(value not in ("", None) for value in values[width:]):
                beside.append((number, 0, BESIDE))
        columns = []
        for place in range(width):
            values = [values[place] if place < len(values) else "" for _, values in batch]
            kinds = set(map(type, values))
            if datetime.datetime in kinds:
                times |= {place} if any(map(_has_time, values)) else set()
                days.add(place)
            elif datetime.date in kinds:
                days.add(place)
            texts = values if kinds == {str} else [*map(_number_text if kinds <= _SIMPLE else _text, values)]
            chars += sum(map(len, texts))
            budget.check_text(chars, where)
            columns.append(pa.array(texts, pa.string()))
        tables.append(pa.table(columns, names=[str(place) for place in range(width)]))
        numbers.append(np.array([number for number, _ in batch], dtype=np.int64))
        last = batch[-1][0]
        below += len(batch)
    for place in days:
        instead = _MIDNIGHT if place in times else ""
        for at, table in enumerate(tables):
            column = pc.replace_substring(table.column(place), _DAY, instead)
            tables[at] = table.set_column(place, str(place), column)
    if not tables:
        return [Piece(columns_of([], width), np.zeros(0, dtype=np.int64))], 0, 0, beside
    return [Piece(table, each) for table, each in zip(tables, numbers, strict=True)], last, below, beside


def _number_text(value: Any) -> str:
    """The same as `_text` for cells that are texts or numbers alone, as most are."""
    if type(value) is str:
        return value
    return str(int(value)) if value.is_integer() and -_MAX_WHOLE < value < _MAX_WHOLE else repr(value)


def _has_time(value: object) -> bool:
    return isinstance(value, datetime.datetime) and value.time() != datetime.time.min


def _text(value: object) -> str:
    """A cell as text: dates as in ISO 8601, whole numbers without decimals."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < _MAX_WHOLE else repr(value)
    if isinstance(value, datetime.datetime):
        value = _rounded(value)
        return f"{value:%Y-%m-%d}{_DAY}" if value.time() == datetime.time.min else value.isoformat(sep=" ")
    if isinstance(value, datetime.date):
        return value.isoformat() + _DAY
    if isinstance(value, datetime.time):
        return value.isoformat()
    return str(value)


def _rounded(value: datetime.datetime) -> datetime.datetime:
    """A time without the error of the fraction of a day that a workbook keeps it as."""
    beyond = value.microsecond % 1000
    if beyond and (beyond < 10 or beyond > 990):
        value += datetime.timedelta(microseconds=1000 - beyond if beyond > 990 else -beyond)
    return value


def _remarks(shape: Shape, aside: Sequence[tuple[int, str, str]], pieces: Sequence[Piece], beside: int) -> list[Text]:
    remarks: list[Text] = []
    if shape.header:
        remarks.append(title_rows(shape.header))
    if shape.second_header:
        remarks.append(text("a second header row below the first"))
    remarks += aside_remarks([*aside, *(each for piece in pieces for each in piece.aside)])
    remarks += describe([cause for piece in pieces for _, _, cause in piece.repairs], "text")
    if beside:
        remarks.append(
            texts(
                "{n:count} row has cells beside the table, which were left out",
                "{n:count} rows have cells beside the table, which were left out",
                n=beside,
            )
        )
    return remarks


def _without_empty_columns(table: Table, shape: Shape) -> Table:
    """The table without columns that have neither name nor contents."""
    nameless = [f"column_{place}" for place, name in enumerate(shape.names, start=1) if not name]
    empty = [name for name in nameless if name in table.frame and not table.frame[name].str.strip().ne("").any()]
    return replace(table, frame=table.frame.drop(columns=empty)) if empty else table


def _sheets(content: Content, where: str, kind: Kind, budget: Budget, encoding: str | None) -> Iterator[_Sheet]:
    if kind == "html":
        for number, rows in enumerate(html_rows(content, where, encoding), start=1):
            filled = [(row, cells) for row, cells in enumerate(rows, start=1) if any(cells)]
            yield _Sheet(f"table {number}", filled)
        return
    if kind == "xls":
        yield from _old_sheets(content)
        return
    sizes = _sizes(content, where, kind, budget)
    sparse = {
        name: size for name, size in sizes.items() if size.area > budget.limits.workbook_cells or not size.certain
    }
    for name, size in sparse.items():
        if size.cells > budget.limits.workbook_cells or kind != "xlsx":
            raise _too_large(said("{where}, sheet {sheet},", where=where, sheet=name), size, budget)
    with python_calamine.load_workbook(content.opened()) as book:
        for sheet in book.sheets_metadata:
            reach = sizes.get(sheet.name)
            empty = reach is not None and not reach.cells and reach.certain
            if empty or sheet.typ != python_calamine.SheetTypeEnum.WorkSheet:
                yield _Sheet(sheet.name)
            elif sheet.name in sparse:
                yield _Sheet(sheet.name, _sparse_rows(content, sheet.name, where, budget))
            else:
                yield _Sheet(sheet.name, _dense_rows(book.get_sheet_by_name(sheet.name), reach))


def _sizes(content: Content, where: str, kind: Kind, budget: Budget) -> dict[str, SheetSize]:
    """How far the sheets reach; refuses a workbook that would fill memory."""
    try:
        with zipfile.ZipFile(content.opened()) as archive:
            if any(member.flag_bits & 1 for member in archive.infolist()):
                raise InputFileError(text("{where} has a password; save it without one", where=where))
            check_members(archive, budget)
            if kind == "ods":
                sizes = ods_sheet_sizes(archive.open("content.xml"), budget)
                for name, size in sizes.items():
                    if size.area > budget.limits.workbook_cells:
                        raise _too_large(said("{where}, sheet {sheet},", where=where, sheet=name), size, budget)
                budget.check_text(sum(size.chars for size in sizes.values()), where)
                return sizes
            parts = sheet_parts(archive) if kind == "xlsx" else {}
            if kind == "xlsx":
                sizes = {
                    name: xlsx_sheet_size(archive.open(part), budget)
                    for name, part in parts.items()
                    if part in archive.namelist() and "/worksheets/" in part
                }
                for name, size in sizes.items():
                    if not size.complete:
                        raise _unreadable(ValueError(f"sheet {name} ends in the middle"), where, kind)
                _check_shared_texts(archive, {parts[name]: size for name, size in sizes.items()}, where, budget)
                return sizes
            members = archive.namelist()
            lengths = []
            if "xl/sharedStrings.bin" in members:
                lengths = xlsb_shared_lengths(archive.open("xl/sharedStrings.bin"), budget)
            chars = 0
            for name in members:
                if name.startswith("xl/worksheets/") and name.endswith(".bin"):
                    size = xlsb_sheet_size(archive.open(name), budget, lengths)
                    chars += size.chars
                    if size.area > budget.limits.workbook_cells:
                        raise _too_large(where, size, budget)
            budget.check_text(chars, where)
            return {}
    except UNPACKING_ERRORS as error:
        raise _unreadable(error, where, kind) from None


def _check_shared_texts(archive: zipfile.ZipFile, sizes: Mapping[str, SheetSize], where: str, budget: Budget) -> None:
    """Refuse long texts that are stored once and stand in many cells."""
    path = "xl/sharedStrings.xml"
    if path not in archive.namelist() or not any(size.shared for size in sizes.values()):
        return
    free = Budget(budget.limits.model_copy(update={"unpacked_ratio": math.inf}), 1, where)
    with archive.open(path) as stream:
        lengths = shared_text_lengths(stream, free)
    if not len(lengths):
        return
    if sum(size.shared for size in sizes.values()) * int(lengths.max()) <= budget.most:
        return
    total = 0
    for part in sizes:
        with archive.open(part) as stream:
            total += shared_text_size(stream, lengths, free)
    budget.check_text(total, where)


def _too_large(where: str, size: SheetSize, budget: Budget) -> InputFileError:
    return InputFileError(
        text(
            "{where} reaches over {area:count} cells, more than {workbook_cells:count} "
            "(input_limits.workbook_cells); delete what is far from the table, save it as .csv, or raise the "
            "limit",
            where=where,
            area=size.area,
            workbook_cells=budget.limits.workbook_cells,
        )
    )


def _dense_rows(sheet: Any, size: SheetSize | None) -> Iterator[tuple[int, Sequence[Any]]]:
    """Rows that are not blank, with their numbers; errors are told as the workbook shows them."""
    if sheet.start is None:
        return
    lead = [""] * sheet.start[1]  # the library gives blank rows above the first used one, but no columns left of it
    errors: dict[int, list[tuple[int, str]]] = {}
    for (row, column), message in (size.errors if size is not None else {}).items():
        errors.setdefault(row, []).append((column, message))
    for row, values in enumerate(sheet.iter_rows()):
        if row in errors:
            values = [*lead, *values]
            for column, message in errors[row]:
                values += [""] * (column + 1 - len(values))
                values[column] = message
            yield row + 1, values
        elif any(value != "" for value in values):
            yield row + 1, [*lead, *values] if lead else values


def _old_sheets(content: Content) -> Iterator[_Sheet]:
    """Sheets of an .xls workbook, one in memory at a time, whose rows end with their last cell."""
    # the library for the other formats makes room for all cells of all sheets at once, which a damaged file may say
    # to be any number
    with xlrd.open_workbook(
        file_contents=content.all(), ragged_rows=True, on_demand=True, logfile=io.StringIO()
    ) as book:
        for place, name in enumerate(book.sheet_names()):
            sheet = book.sheet_by_index(place)
            yield _Sheet(name, _old_rows(sheet, book.datemode))
            book.unload_sheet(place)


def _old_rows(sheet: Any, datemode: int) -> Iterator[tuple[int, Sequence[Any]]]:
    for row in range(sheet.nrows):
        values = [_old_value(cell, datemode) for cell in sheet.row(row)]
        if any(value != "" for value in values):
            yield row + 1, values


def _old_value(cell: Any, datemode: int) -> object:
    if cell.ctype == xlrd.XL_CELL_DATE:
        if 0 <= cell.value < 1:
            return xlrd.xldate_as_datetime(cell.value, datemode).time()
        return xlrd.xldate_as_datetime(cell.value, datemode)
    if cell.ctype == xlrd.XL_CELL_BOOLEAN:
        return bool(cell.value)
    if cell.ctype == xlrd.XL_CELL_ERROR:
        return xlrd.error_text_from_code.get(cell.value, "#N/A")
    return cell.value


def _sparse_rows(content: Content, name: str, where: str, budget: Budget) -> Iterator[tuple[int, Sequence[Any]]]:
    """Rows of a sheet with a cell far away, one by one, without room for what is between."""
    book = openpyxl.load_workbook(content.opened(), read_only=True, data_only=True, keep_links=False)
    sheet = book[name]
    sheet.reset_dimensions()
    cells = 0
    for number, values in enumerate(sheet.iter_rows(values_only=True), start=1):
        if any(value not in (None, "") for value in values):
            cells += len(values)
            if cells > budget.limits.workbook_cells:
                raise _too_large(
                    said("{where}, sheet {sheet},", where=where, sheet=name), SheetSize(rows=cells, columns=1), budget
                )
            yield number, values
