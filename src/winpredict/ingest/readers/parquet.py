"""Parquet files, whole or in parts."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from winpredict.errors import InputFileError
from winpredict.ingest.readers.characters import cleaned_frame, describe, has_odd_texts
from winpredict.ingest.readers.content import Content
from winpredict.ingest.readers.limits import Budget, check_cell, check_columns
from winpredict.ingest.readers.shape import named
from winpredict.ingest.readers.table import RECORDS, Table, ledger_of, rows_frame
from winpredict.locale.text import Text, said, text
from winpredict.tables.schema import text_dtype

#: In larger files than this the texts are not compared with the size of the file.
_SMALL_BYTES = 64 * 2**20
_BYTES_PER_BYTE = 50
_MIN_TEXT_BYTES = 256 * 2**20


def with_whole_ids(rows: pa.Table | pa.RecordBatch) -> pd.DataFrame:
    """Rows in pandas. Whole numbers are not made floats for the sake of a missing one: ids may have more digits.

    Examples
    --------
    >>> with_whole_ids(pa.table({"id": [12345678901234567, None]}))["id"].tolist()
    [12345678901234567, None]
    """
    texts = {pa.string(): text_dtype(), pa.large_string(): text_dtype()}
    frame: pd.DataFrame = rows.to_pandas(types_mapper=texts.get, integer_object_nulls=True)
    return frame


def read_parquet(content: Content, where: str, budget: Budget, *, part_rows: int | None = None) -> Iterator[Table]:
    """Read a Parquet file.

    Parameters
    ----------
    content : Content
    where : str
        The file, for people.
    budget : Budget
    part_rows : int, optional
        Yield several tables, each of so many rows.

    Yields
    ------
    Table
        Its values keep their types; its ledger counts records.

    Raises
    ------
    InputFileError
        When it is damaged or breaks a limit.
    """
    try:
        file = pq.ParquetFile(content.opened())
        check_columns(len(file.schema_arrow), budget.limits, where)
        budget.check_cells(file.metadata.num_rows, len(file.schema_arrow), where)
        _refuse_huge_texts(file, content, where, budget)
        if part_rows is None:
            table = file.read()
            frame = with_whole_ids(table).reset_index(drop=True)
            yield _table(frame, 1, where, budget, odd=has_odd_texts(table))
            return
        start = 1
        for batch in file.iter_batches(part_rows):
            frame = with_whole_ids(batch)
            yield _table(frame, start, where, budget, odd=has_odd_texts(pa.table(batch)))
            start += len(frame)
        if start == 1:
            yield _table(with_whole_ids(file.schema_arrow.empty_table()), 1, where, budget, odd=False)
    except InputFileError:
        raise
    except Exception as error:  # the library's errors are of many families, those of damaged files among them
        raise InputFileError(
            text(
                "{where} cannot be read: {error}; is it really a Parquet file? Export or copy it again",
                where=where,
                error=str(error)[:300],
            )
        ) from None


def _table(frame: pd.DataFrame, start: int, where: str, budget: Budget, *, odd: bool) -> Table:
    frame.index = pd.RangeIndex(start, start + len(frame), name="row")
    remarks: list[Text] = []
    if not frame.columns.is_unique:
        names, repeated = named([str(name) for name in frame.columns])
        frame.columns = pd.Index(names)
        remarks.append(
            text("several columns are named {names}: the further ones are numbered", names=", ".join(repeated))
        )
    repairs: list[tuple[Any, str, str]] = []
    if odd:
        frame, repairs = cleaned_frame(frame)
    return Table(
        frame=frame,
        remarks=(*remarks, *describe([cause for _, _, cause in repairs], "UTF-8")),
        ledger=ledger_of({RECORDS: len(frame)}),
        units="records",
        repairs=rows_frame(repairs, "row", "column", "cause"),
    )


def _refuse_huge_texts(file: pq.ParquetFile, content: Content, where: str, budget: Budget) -> None:
    """A text that is stored once may be repeated in every row: its size in memory is looked at before it is there."""
    if content.size > _SMALL_BYTES:
        return
    texts = [field.name for field in file.schema_arrow if _is_text(field.type)]
    stored = dict.fromkeys(texts, 0)
    for group in range(file.metadata.num_row_groups):
        for place in range(file.metadata.num_columns):
            column = file.metadata.row_group(group).column(place)
            if column.path_in_schema in stored:
                stored[column.path_in_schema] += column.total_uncompressed_size
    most = max(_MIN_TEXT_BYTES, _BYTES_PER_BYTE * content.size)
    # in the worst case every row holds all that is stored of its column
    doubtful = [name for name in texts if stored[name] * file.metadata.num_rows > most]
    if not doubtful:
        return
    coded = pq.ParquetFile(content.opened(), read_dictionary=doubtful)
    total = 0
    for batch in coded.iter_batches(2**16, columns=doubtful):
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if not pa.types.is_dictionary(column.type) or not len(column.dictionary):
                continue
            lengths = pc.binary_length(column.dictionary)
            check_cell(
                pc.max(lengths).as_py() or 0, budget.limits, said("{where}, column {column},", where=where, column=name)
            )
            total += pc.sum(lengths.take(column.indices)).as_py() or 0
        if total > most:
            raise InputFileError(
                text(
                    "{where} holds more than {most} MB of text, more than {bytes_per_byte} times its size; "
                    "leave out columns, or split it",
                    where=where,
                    most=f"{most / 2**20:,.0f}",
                    bytes_per_byte=_BYTES_PER_BYTE,
                )
            )


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
