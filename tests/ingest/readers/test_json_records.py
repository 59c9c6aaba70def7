"""JSON in all the shapes that CRMs and programs write."""

import json

import pytest

from winpredict.config import InputLimits
from winpredict.errors import InputFileError


@pytest.mark.parametrize(
    "text",
    [
        '[{"id": 1}, {"id": 2}]',
        '{"results": [{"id": 1}, {"id": 2}], "paging": {"next": 3}}',
        '{"data": [{"id": 1}, {"id": 2}]}',
        '{"records": [{"id": 1}, {"id": 2}], "totalSize": 2}',
        '{"@odata.context": "x", "value": [{"id": 1}, {"id": 2}]}',
        '{"items": [{"id": 1}, {"id": 2}]}',
        '{"deals": [{"id": 1}, {"id": 2}], "total": 2}',
        '{"data": {"deals": [{"id": 1}, {"id": 2}]}}',
        '{"id": 1}\n{"id": 2}',
        '{"id": 1}\r\n\r\n{"id": 2}\r\n',
        '{"id": 1},\n{"id": 2},\n',
        '{\n  "id": 1\n}\n{\n  "id": 2\n}\n',
        '{"results": [{"id": 1}]}\n{"results": [{"id": 2}]}',
        '[{"id": 1}]\n[{"id": 2}]',
        '[\n{"id": 1},\n{"id": 2}\n]\n',
    ],
)
def test_records_are_found_wherever_they_are(read_all, text):
    (table,) = read_all(text.encode(), "deals.json")
    assert table.frame["id"].tolist() == [1, 2]
    assert table.ledger == {"records": 2}
    assert table.units == "records"


@pytest.mark.parametrize(
    "text",
    ['{"id": 7, "items": [{"sku": "a"}]}', '{"name": "x", "contacts": [{"a": 1}]}', '{"deal_id": 1, "data": [1]}'],
)
def test_a_record_with_lists_is_a_record(read_all, text):
    (table,) = read_all(text.encode(), "deal.json")
    assert table.frame.iloc[0].to_dict() == json.loads(text)


def test_what_is_no_record_is_counted_one_by_one(read_all):
    lines = ['{"id": 1}', "1", '"a"', "null", "true", "[]", "[1, 2]", '{"id": 2}', '{"id": ', "not json"]
    (table,) = read_all("\n".join(lines).encode(), "deals.jsonl")
    assert table.frame["id"].tolist() == [1, 2]
    assert table.ledger == {"records": 2, "unreadable": 8}
    assert table.unreadable["row"].tolist() == [2, 3, 4, 5, 6, 7, 9, 10]
    assert table.unreadable["text"].tolist()[-2:] == ['{"id":', "not json"]
    assert "8 records cannot be read as JSON objects" in table.remark
    (table,) = read_all(b'[{"id": 1}, null, 5, "x", [1], {"id": 2}]', "deals.json")
    assert table.ledger == {"records": 2, "unreadable": 4}


def test_nested_fields_become_columns(read_all):
    (table,) = read_all(
        b'[{"id": "1", "properties": {"amount": "5", "owner": {"id": 3}}, "tags": ["a"]}]', "deals.json"
    )
    assert table.frame.columns.tolist() == ["id", "tags", "properties.amount", "properties.owner.id"]


def test_numbers_are_kept_exactly(read_all):
    (table,) = read_all(b'[{"id": 12345678901234567890123}, {"id": 12345678901234567}, {"id": 12}, {}]', "deals.json")
    assert table.frame["id"].tolist()[:3] == ["12345678901234567890123", "12345678901234567", 12]


def test_odd_values(read_all):
    (table,) = read_all(b'[{"a": NaN, "b": Infinity, "c": 1e400, "d": 1, "d": 2}]', "deals.json")
    record = table.frame.iloc[0].to_dict()
    assert record["a"] != record["a"]
    assert record["b"] == record["c"] == float("inf")
    assert record["d"] == 2


def test_nesting_has_a_limit(read_all):
    deep = '{"a":' * 70 + "1" + "}" * 70
    lines = "\n".join(['{"id": 1}', deep, '{"a":' * 100_000, '{"id": 2}'])
    (table,) = read_all(lines.encode(), "deals.jsonl")
    assert table.frame["id"].tolist() == [1, 2]
    assert table.unreadable["row"].tolist() == [2, 3]
    assert "2 of them nested deeper than 64 levels (input_limits.nesting)" in table.remark
    (table,) = read_all(lines.encode(), "deals.jsonl", limits=InputLimits(nesting=80))
    assert table.ledger == {"records": 3, "unreadable": 1}
    for text in ("[" * 100_000, "[" * 100_000 + "]" * 100_000, '[{"a": ' * 5_000):
        with pytest.raises(InputFileError, match=r"deeper than 64 levels \(input_limits.nesting\)"):
            read_all(text.encode(), "deals.json")


@pytest.mark.parametrize("text", ['[{"id": 1}, {"id": 2', '[\n {\n  "id": 1\n },\n {\n  "i', '[{"id": 1},'])
def test_a_cut_list_is_refused(read_all, text):
    with pytest.raises(InputFileError, match="it is a JSON list that is cut or broken"):
        read_all(text.encode(), "deals.json")


@pytest.mark.parametrize("text", ["[]", "1", '"text"', "nonsense", "null\n1\n", '{"a'])
def test_text_without_objects_is_refused(read_all, text):
    with pytest.raises(InputFileError, match=r"holds no JSON objects.*one object a line is expected"):
        read_all(text.encode(), "deals.json")


def test_sparse_records_do_not_fill_memory(read_all):
    lines = "\n".join(f'{{"k{number}": 1}}' for number in range(6000))
    with pytest.raises(InputFileError, match=r"has 5,001 columns, more than 5,000 \(input_limits.columns\)"):
        read_all(lines.encode(), "deals.jsonl")
    with pytest.raises(InputFileError, match=r"6,000 rows of 6,000 columns, more than .* cells \(input_limits.cells\)"):
        read_all(lines.encode(), "deals.jsonl", limits=InputLimits(columns=10_000, cells=1_000_000))
    with pytest.raises(InputFileError, match=r"name, holds 2,000 characters in one cell, more than 1,000"):
        read_all(json.dumps([{"name": "x" * 2000}]).encode(), "deals.json", limits=InputLimits(cell_chars=1000))


def test_characters_that_nobody_sees_are_removed(read_all):
    text = '[{"id": "a\\u0000b", "name": "x\\u202ey"}, {"id": "c", "name": "d"}]'
    (table,) = read_all(text.encode(), "deals.json")
    assert table.frame.to_dict("list") == {"id": ["ab", "c"], "name": ["xy", "d"]}
    assert table.repairs.to_dict("list") == {
        "row": [1, 1], "column": ["id", "name"],
        "cause": ["NUL bytes", "characters that turn the direction of writing"],
    }  # fmt: skip


def test_delimited_text_named_json_is_read_as_what_it_is(read_all):
    (table,) = read_all(b"Id,Stage\n1,Won\n2,Lost\n", "deals.json")
    assert table.frame["Stage"].tolist() == ["Won", "Lost"]
    assert table.remark == "named .json, but it is delimited text"
