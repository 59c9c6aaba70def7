"""The books balance: every physical line, record or row of a file is in one entry of the ledger, whatever is in it."""

import csv
import io
import json

import openpyxl
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from winpredict.errors import InputFileError
from winpredict.ingest import files as files_module
from winpredict.ingest.files import RawFile, read_files
from winpredict.ingest.readers import delimited

COLUMNS = ["Opportunity ID", "Name", "Stage", "Amount", "Created Date", "Close Date"]
STAGES = ["Closed Won", "Closed Lost", "Negotiation"]
FOOTERS = [
    ["Grand Totals (12 records)"],
    ["Total", "", "", "1200"],
    ["Confidential Information - Do Not Distribute"],
    ["Copyright (c) 2000-2025 acme inc. All rights reserved."],
]
SETTINGS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def physical_lines(text: str) -> int:
    """Lines as an editor counts them: each ends with a newline, but perhaps the last."""
    text = text.replace("\r\n", "\n")
    return text.count("\n") + (len(text) > 0 and not text.endswith("\n"))


def row(number: int, name: str = "Deal") -> list[str]:
    day = f"2024-{1 + number % 12:02d}-{1 + number % 28:02d}"
    return [f"006A{1000 + number}", f"{name} {number}", STAGES[number % 3], f"{100 + number}.50", day, day]


def line(cells: list[str], delimiter: str) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="").writerow(cells)
    return out.getvalue()


@st.composite
def exports(draw):
    """Text of an export and how many sound rows are in it."""
    delimiter = draw(st.sampled_from([",", ";", "\t"]))
    ending = draw(st.sampled_from(["\n", "\r\n"]))
    lines = []
    if draw(st.booleans()) and draw(st.booleans()):
        lines.append(f"sep={delimiter}")
    lines += draw(st.lists(st.sampled_from(["# exported by a program", "# 2024"]), max_size=2))
    lines += draw(
        st.lists(st.sampled_from(["Won and lost deals", "As of 2025-01-03 10:11", "", "Filtered By"]), max_size=4)
    )
    lines.append(line(COLUMNS, delimiter))
    rows = draw(st.integers(8, 40))
    sound = short = 0
    for number in range(rows):
        kind = draw(
            st.sampled_from(["plain"] * 8 + ["note", "blank", "header", "short", "long", "trailing", "delimiters"])
        )
        short += kind == "short"
        if kind == "short" and short > 4:  # many short rows of a width are another thing: they lack empty cells
            kind = "plain"
        if kind == "blank":
            lines.append("")
        elif kind == "header":
            lines.append(line(COLUMNS, delimiter))
        elif kind == "short":
            lines.append(delimiter.join(row(number)[: draw(st.integers(2, 5))]))
        elif kind == "long":
            lines.append(line([*row(number), "too", "many"], delimiter))
        elif kind == "delimiters":
            lines.append(delimiter * 5)
        elif kind == "trailing":
            lines.append(line([*row(number), ""], delimiter))
            sound += 1
        elif kind == "note":
            lines.append(line(row(number, 'two lines,\nand a "quote"\n\nmore'), delimiter))
            sound += 1
        else:
            lines.append(line(row(number), delimiter))
            sound += 1
    footers = draw(st.lists(st.sampled_from(FOOTERS), max_size=3))
    if footers:
        lines.append("")
        lines += [line(each, delimiter) for each in footers]
    text = ending.join(lines)
    if draw(st.booleans()):
        text += ending
    return text, sound


def assert_balanced(parts: list[RawFile], total: int) -> None:
    ledger: dict[str, int] = {}
    for part in parts:
        for entry, number in part.ledger.items():
            assert number > 0
            ledger[entry] = ledger.get(entry, 0) + number
    assert sum(ledger.values()) == total, ledger
    assert sum(len(part.frame) for part in parts) == ledger.get("records", 0)
    assert sum(len(part.unreadable) for part in parts) == ledger.get("unreadable", 0)
    aside = sum(ledger.get(entry, 0) for entry in ("footer", "repeated header", "second header row"))
    assert sum(len(part.set_aside) for part in parts) == aside
    rows = [number for part in parts for number in (*part.frame.index, *part.unreadable["row"], *part.set_aside["row"])]
    assert len(set(rows)) == len(rows)


@SETTINGS
@given(exports())
def test_delimited_text_balances_and_gives_its_rows(tmp_path, export):
    text, sound = export
    note(text)
    path = tmp_path / "deals.csv"
    path.write_bytes(text.encode())
    found = list(read_files([path]))
    assert_balanced(found, physical_lines(text))
    assert list(found[0].frame.columns) == COLUMNS
    assert len(found[0].frame) == sound
    assert found[0].frame["Opportunity ID"].str.match(r"006A1\d{3}$").all()
    # row numbers are those of the records, blank ones counted
    records = list(csv.reader(io.StringIO(text.replace("\r\n", "\n"), newline=""), delimiter=found[0].delimiter))
    for number, name in found[0].frame["Name"].items():
        assert records[number - 1][1].replace("\n", "") == name.replace("\n", "").replace("\r", "")


@SETTINGS
@given(exports(), st.integers(200, 2000))
def test_parts_give_what_the_whole_gives(tmp_path, export, size):
    path = tmp_path / "deals.csv"
    path.write_bytes(export[0].encode())
    whole = next(read_files([path]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files_module, "SMALL_BYTES", 1)
        patch.setattr(files_module, "_BYTES_A_PART", size)
        parts = list(read_files([path], in_parts=True))
    assert_balanced(parts, physical_lines(export[0]))
    rows = [(number, *cells) for part in parts for number, *cells in part.frame.itertuples()]
    assert rows == [(number, *cells) for number, *cells in whole.frame.itertuples()]
    assert [text for part in parts for text in part.unreadable["text"]] == whole.unreadable["text"].tolist()
    assert sorted(str(each) for part in parts for each in part.remarks) == sorted(map(str, whole.remarks))


@SETTINGS
@given(st.text(alphabet='ab,;"\n\r\t 12', max_size=200), st.booleans())
def test_any_text_balances_or_is_refused(tmp_path, text, blocks):
    path = tmp_path / "deals.csv"
    path.write_bytes(("Id,Name\n" + text).encode())
    with pytest.MonkeyPatch.context() as patch:
        if blocks:
            patch.setattr(delimited, "_BLOCK_BYTES", 16)
        try:
            found = list(read_files([path]))
        except InputFileError:
            return
    ledger = found[0].ledger
    assert len(found[0].frame) == ledger.get("records", 0)
    assert len(found[0].unreadable) == ledger.get("unreadable", 0)
    lone = text.replace("\r\n", "").count("\r")
    if not lone:
        assert_balanced(found, physical_lines("Id,Name\n" + text))


RECORD = st.fixed_dictionaries(
    {"id": st.integers(0, 10**20), "name": st.text(max_size=5), "amount": st.none() | st.floats()}
)


@SETTINGS
@given(
    st.lists(RECORD | st.none() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2), min_size=1)
)
def test_json_balances(tmp_path, elements):
    records = [each for each in elements if isinstance(each, dict)]
    for name, text in (
        ("list.json", json.dumps(elements)),
        ("page.json", json.dumps({"results": elements})),
        ("lines.jsonl", "\n".join(map(json.dumps, elements))),
    ):
        path = tmp_path / name
        path.write_text(text)
        if not records:
            with pytest.raises(InputFileError, match="no JSON objects"):
                list(read_files([path]))
            continue
        (found,) = read_files([path])
        assert_balanced([found], len(elements))
        assert len(found.frame) == len(records)
        assert found.frame["id"].astype(str).tolist() == [str(record["id"]) for record in records]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    titles=st.lists(st.sampled_from(["Won deals", "As of 2025-01-03", None]), max_size=3),
    kinds=st.lists(st.sampled_from(["plain"] * 6 + ["blank", "header"]), min_size=6, max_size=30),
    footer=st.sampled_from([None, *FOOTERS]),
)
def test_workbooks_balance(tmp_path, titles, kinds, footer):
    book = openpyxl.Workbook()
    sheet = book.active
    rows: list[list[object]] = [[title] for title in titles]
    rows.append(list(COLUMNS))
    for number, kind in enumerate(kinds):
        rows.append([None] if kind == "blank" else list(COLUMNS) if kind == "header" else [*row(number)])
    rows.append(row(99))
    if footer:
        rows += [[None], list(footer)]
    for cells in rows:
        sheet.append(cells)
    book.save(tmp_path / "deals.xlsx")
    (found,) = read_files([tmp_path / "deals.xlsx"])
    assert_balanced([found], len(rows))
    assert len(found.frame) == kinds.count("plain") + 1
    assert [rows[number - 1][0] for number in found.frame.index] == found.frame["Opportunity ID"].tolist()
