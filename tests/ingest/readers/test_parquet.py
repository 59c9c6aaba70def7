"""Parquet: types, parts, damage, and texts that are stored once and repeated."""

import io

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from winpredict.config import InputLimits
from winpredict.errors import InputFileError
from winpredict.ingest import files as files_module


def parquet(table: pa.Table, **options) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def test_types_and_long_ids_stay(read_all):
    day = pd.Timestamp("2024-01-05", tz="UTC")
    table = pa.table({"id": [12345678901234567, None], "name": ["Zoë", None], "amount": [1.5, 2.0], "at": [day, day]})
    (found,) = read_all(parquet(table), "deals.parquet")
    assert found.frame["id"].tolist() == [12345678901234567, None]
    assert found.frame["at"].iloc[0] == day
    assert found.frame.index.tolist() == [1, 2]
    assert (found.ledger, found.units) == ({"records": 2}, "records")


def test_parts_give_what_the_whole_gives(read_all, monkeypatch):
    content = parquet(pa.table({"id": [f"D{number}" for number in range(1000)]}), row_group_size=300)
    (whole,) = read_all(content, "deals.parquet")
    monkeypatch.setattr(files_module, "SMALL_BYTES", 1)
    monkeypatch.setattr(files_module, "ROWS_A_PART", 64)
    parts = read_all(content, "deals.parquet", in_parts=True)
    assert len(parts) > 10
    assert pd.concat([part.frame for part in parts]).equals(whole.frame)
    assert sum(part.ledger["records"] for part in parts) == 1000


def test_a_file_without_rows(read_all):
    (table,) = read_all(parquet(pa.table({"id": pa.array([], pa.string())})), "deals.parquet")
    assert table.frame.shape == (0, 1)
    assert table.ledger == {}


def test_characters_that_nobody_sees_are_removed(read_all):
    (table,) = read_all(parquet(pa.table({"id": ["a\x00b", "c", None], "n": [1, 2, 3]})), "deals.parquet")
    assert table.frame["id"].tolist()[:2] == ["ab", "c"]
    assert table.repairs.to_dict("records") == [{"row": 1, "column": "id", "cause": "NUL bytes"}]


def test_repeated_names_are_numbered(read_all):
    table = pa.table([pa.array([1]), pa.array([2])], names=["amount", "amount"])
    (found,) = read_all(parquet(table), "deals.parquet")
    assert found.frame.columns.tolist() == ["amount", "amount (2)"]


@pytest.mark.parametrize("name", ["deals.parquet", "deals.csv"])
def test_damage_is_told(read_all, name):
    content = parquet(pa.table({"id": [f"D{number}" for number in range(1000)]}))
    with pytest.raises(InputFileError, match=r"cannot be read: .*is it really a Parquet file"):
        read_all(content[:-100], name)


def test_a_parquet_file_of_another_name_is_read(read_all):
    (table,) = read_all(parquet(pa.table({"id": ["a"]})), "deals.csv")
    assert table.frame["id"].tolist() == ["a"]
    assert table.remark == "named .csv, but it is a Parquet file"


@pytest.mark.parametrize("store_schema", [True, False])
def test_a_long_text_in_every_row_is_refused(read_all, store_schema):
    note = pa.DictionaryArray.from_arrays(pa.array([0] * 5000, pa.int32()), pa.array(["x" * 900_000]))
    content = parquet(pa.table({"note": note}), store_schema=store_schema)
    assert len(content) < 1_000_000
    with pytest.raises(InputFileError, match="holds more than 256 MB of text, more than 50 times its size"):
        read_all(content, "deals.parquet")


def test_cells_and_columns_have_limits(read_all):
    content = parquet(pa.table({"a": [1] * 3000, "b": [1] * 3000}))
    with pytest.raises(InputFileError, match=r"has 2 columns, more than 1 \(input_limits.columns\)"):
        read_all(content, "deals.parquet", limits=InputLimits(columns=1))
    content = parquet(pa.table({str(place): [1] * 100_000 for place in range(20)}))
    with pytest.raises(InputFileError, match=r"100,000 rows of 20 columns, more than .* cells \(input_limits.cells\)"):
        read_all(content, "deals.parquet", limits=InputLimits(cells=1000))
