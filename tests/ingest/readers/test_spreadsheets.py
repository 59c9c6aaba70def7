"""Workbooks: values as texts, sheets, far cells, errors, and what is no workbook."""

import datetime
import io

import openpyxl
import pytest
from openpyxl.chartsheet import Chartsheet

from winpredict.config import InputLimits
from winpredict.errors import InputFileError

HEADER = ["Deal ID", "Stage", "Amount", "Close Date"]


def deals(count: int = 6) -> list[list[object]]:
    day = datetime.datetime(2024, 1, 1)
    return [
        [f"D-{number:04d}", "Closed Won", 100.5 + number, day + datetime.timedelta(days=number)]
        for number in range(count)
    ]


def saved(sheets: dict[str, list[list[object]]]) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def test_values_become_the_texts_that_people_see(read_all):
    moment = datetime.datetime(2023, 5, 19, 10, 30, 15)
    rows = [
        ["id", "whole", "number", "flag", "day", "moment", "time", "big", "text", "share"],
        ["D1", 5, 5.5, True, datetime.date(2023, 5, 19), moment, datetime.time(9), 10**15, " 0012 ", 0.25],
        ["D2", 7.0, 1e-7, False, moment.date(), datetime.datetime(2023, 5, 20), datetime.time(0), 12, "2023-05-19", 1],
    ]  # fmt: skip
    (table,) = read_all(saved({"Deals": rows}), "deals.xlsx")
    assert table.frame.to_dict("records") == [
        {
            "id": "D1", "whole": "5", "number": "5.5", "flag": "true", "day": "2023-05-19",
            "moment": "2023-05-19 10:30:15", "time": "09:00:00", "big": "1000000000000000", "text": " 0012 ",
            "share": "0.25",
        },
        {
            "id": "D2", "whole": "7", "number": "1e-07", "flag": "false", "day": "2023-05-19",
            "moment": "2023-05-20 00:00:00", "time": "00:00:00", "big": "12", "text": "2023-05-19",
            "share": "1",
        },
    ]  # fmt: skip
    assert table.frame.index.tolist() == [2, 3]
    assert table.ledger == {"header": 1, "records": 2}
    assert table.units == "records"


def test_errors_are_the_texts_that_the_workbook_shows(read_all, build):
    cell = build.text_cell
    rows = f'<row r="1">{cell("A1", "Id")}{cell("B1", "Amount")}</row>'
    for number, error in enumerate(["#REF!", "#DIV/0!", "#N/A"], start=2):
        fault = f'<c r="B{number}" t="e"><f>1/0</f><v>{error}</v></c>'
        rows += f'<row r="{number}">{cell(f"A{number}", f"D{number}")}{fault}</row>'
    (table,) = read_all(build.workbook(rows), "deals.xlsx")
    assert table.frame["Amount"].tolist() == ["#REF!", "#DIV/0!", "#N/A"]


def test_a_table_that_begins_elsewhere(read_all):
    rows = [[], [], [None, None, *HEADER], [], *[[None, None, *row] for row in deals()]]
    (table,) = read_all(saved({"Deals": rows}), "deals.xlsx")
    assert table.frame.columns.tolist() == HEADER
    assert table.frame.index.tolist() == [*range(5, 11)]
    assert sum(table.ledger.values()) == 10


def test_titles_and_footers(read_all):
    rows = [["Won deals"], ["As of", "2025-01-03"], [], HEADER, *deals(), [], ["Grand Totals (6 records)", None, 618]]
    rows.append(["Confidential Information - Do Not Distribute"])
    (table,) = read_all(saved({"Report": rows}), "deals.xlsx")
    assert table.frame["Deal ID"].tolist() == [f"D-{number:04d}" for number in range(6)]
    assert table.frame["Close Date"].iloc[0] == "2024-01-01"
    assert table.ledger == {"title rows": 2, "blank lines": 2, "header": 1, "records": 6, "footer": 2}
    assert "2 title rows above the header" in table.remark
    assert table.set_aside["row"].tolist() == [12, 13]


def test_all_sheets_with_tables_and_the_names_of_the_others(read_all):
    book = openpyxl.load_workbook(
        io.BytesIO(
            saved(
                {
                    "Notes": [["Exported by Ann"], ["for Bob"]],
                    "Deals": [HEADER, *deals()],
                    "Leads": [HEADER, *deals(2)],
                    "Empty": [],
                }
            )
        )
    )
    book.create_chartsheet("Chart")
    out = io.BytesIO()
    book.save(out)
    assert isinstance(book["Chart"], Chartsheet)
    found = read_all(out.getvalue(), "export.xlsx")
    assert [each.name for each in found] == ["Deals", "Leads"]
    assert [len(each.frame) for each in found] == [6, 2]
    for name in ("Notes", "Empty", "Chart"):
        assert f"sheet {name} holds no table and was left out" in found[0].remark
    assert found[0].remark.startswith("sheet Deals")


def test_a_single_sheet_is_called_as_the_file(read_all):
    (table,) = read_all(saved({"Sheet1": [HEADER, *deals()]}), "deals.xlsx")
    assert (table.name, table.remarks) == ("deals", ())


def test_a_single_column_is_a_table_where_nothing_else_is(read_all):
    (table,) = read_all(saved({"Ids": [["Deal ID"], ["D1"], ["D2"]]}), "ids.xlsx")
    assert table.frame["Deal ID"].tolist() == ["D1", "D2"]


def test_repeated_and_nameless_columns(read_all):
    rows = [["Id", "Amount", "Amount", None, None], ["D1", 1, 1, None, "x"], ["D2", 2, 2, None, "y"]]
    (table,) = read_all(saved({"Deals": rows}), "deals.xlsx")
    assert table.frame.columns.tolist() == ["Id", "Amount", "column_5"]


def test_a_cell_beside_the_table_is_told(read_all):
    rows = [HEADER, *deals(40)]
    rows[7] = [*rows[7], None, None, "call Ann"]
    (table,) = read_all(saved({"Deals": rows}), "deals.xlsx")
    assert table.frame.columns.tolist() == HEADER
    assert len(table.frame) == 40
    assert table.repairs["cause"].tolist() == ["cells beside the table were left out"]
    assert "1 row has cells beside the table" in table.remark


@pytest.mark.parametrize("place", ["XFD1048576", "A1048576", "XFD3"])
def test_a_far_cell_does_not_allocate_the_sheet(read_all, place):
    book = openpyxl.load_workbook(io.BytesIO(saved({"Deals": [HEADER, *deals(30)]})))
    book.active[place] = "x"
    out = io.BytesIO()
    book.save(out)
    (table,) = read_all(out.getvalue(), "deals.xlsx")
    assert len(table.frame) == 30
    assert table.frame["Close Date"].iloc[1] == "2024-01-02"
    assert table.frame.columns.tolist() == HEADER


def test_too_many_cells_are_refused(read_all, build):
    limits = InputLimits(workbook_cells=1000)
    content = saved({"Deals": [HEADER, *deals(300)]})
    with pytest.raises(
        InputFileError, match=r"reaches over 1,204 cells, more than 1,000 \(input_limits.workbook_cells\)"
    ):
        read_all(content, "deals.xlsx", limits=limits)
    wide = "".join(build.text_cell(f"{chr(65 + place)}1", f"c{place}") for place in range(20))
    with pytest.raises(InputFileError, match=r"has 20 columns, more than 10 \(input_limits.columns\)"):
        read_all(
            build.workbook(f'<row r="1">{wide}</row><row r="2">{wide}</row>'), "w.xlsx", limits=InputLimits(columns=10)
        )


def test_one_long_text_in_many_cells_is_refused(read_all, build):
    rows = "".join(
        f'<row r="{row}"><c r="A{row}" t="s"><v>0</v></c><c r="B{row}" t="s"><v>0</v></c></row>'
        for row in range(1, 2000)
    )
    content = build.workbook(rows, f"<si><t>{'x' * 30_000}</t></si>")
    with pytest.raises(InputFileError, match="MB of text, more than the 1 MB that a file of its size may unpack to"):
        read_all(content, "deals.xlsx", limits=InputLimits(unpacked_free_mb=1))


def test_sheets_that_unpack_to_too_much_are_refused(read_all, build):
    content = build.workbook(f'<row r="1">{" " * 3_000_000}</row>')
    with pytest.raises(InputFileError, match=r"unpacks to more than 1 MB, which is more than 50 times its size"):
        read_all(content, "deals.xlsx", limits=InputLimits(unpacked_free_mb=1))


def test_cells_that_do_not_say_where_they_are(read_all, build):
    rows = "<row><c t='inlineStr'><is><t>Id</t></is></c><c t='inlineStr'><is><t>Amount</t></is></c></row>"
    rows += "".join(f"<row><c><v>{row}</v></c><c><v>{row}.5</v></c></row>" for row in range(3))
    (table,) = read_all(build.workbook(rows), "deals.xlsx")
    assert table.frame["Amount"].tolist() == ["0.5", "1.5", "2.5"]


def test_old_workbooks(read_all, build):
    (table,) = read_all(build.old_workbook(), "deals.xls")
    assert table.frame.to_dict("list") == {
        "Id": ["006A1", "006A2", "006A3"],
        "Amount": ["12.5", "100", "7"],
        "Close Date": ["2024-01-05", "2024-02-06", "2024-03-07"],
    }  # fmt: skip
    assert table.frame.index.tolist() == [4, 5, 6]


def ods_rows(build, rows: list[list[str]]) -> str:
    cells = "".join(f"<table:table-row>{''.join(map(build.open_cell, row))}</table:table-row>" for row in rows)
    return f'<table:table table:name="Deals">{cells}</table:table>'


def test_open_document_workbooks(read_all, build):
    rows = [["Id", "Stage"], ["D1", "Won"], ["D2", "Lost"]]
    (table,) = read_all(build.open_workbook(ods_rows(build, rows)), "deals.ods")
    assert table.frame.to_dict("list") == {"Id": ["D1", "D2"], "Stage": ["Won", "Lost"]}


def test_cells_that_an_open_document_repeats_are_counted(read_all, build):
    row = f'<table:table-row table:number-rows-repeated="1048576">{build.open_cell("x", 16384)}</table:table-row>'
    with pytest.raises(InputFileError, match="reaches over 17,179,869,184 cells"):
        read_all(build.open_workbook(f'<table:table table:name="Deals">{row}</table:table>'), "deals.ods")
    long = f"<table:table-row>{build.open_cell('x' * 10_000, 10_000)}</table:table-row>"
    with pytest.raises(InputFileError, match="MB of text"):
        read_all(
            build.open_workbook(f'<table:table table:name="Deals">{long}</table:table>'), "deals.ods",
            limits=InputLimits(unpacked_free_mb=1),
        )  # fmt: skip


def test_binary_workbooks(read_all, build):
    rows = {0: {0: "Id", 1: "Stage"}, 1: {0: "D1", 1: "Won"}, 2: {0: "D2", 1: "Lost"}}
    (table,) = read_all(build.binary_workbook(rows), "deals.xlsb")
    assert table.frame.to_dict("list") == {"Id": ["D1", "D2"], "Stage": ["Won", "Lost"]}
    with pytest.raises(InputFileError, match="reaches over 17,179,869,184 cells"):
        read_all(build.binary_workbook(rows | {1048575: {16383: "far"}}), "deals.xlsb")


HTML = "<html><body><table><tr><th>Opportunity Name</th><th>Stage</th></tr>{}</table></body></html>"
HTML_ROWS = "".join(f"<tr><td>Deal&nbsp;{number}</td><td>Closed Won</td></tr>" for number in range(4))


@pytest.mark.parametrize("content", [HTML.format(HTML_ROWS).encode(), HTML.format(HTML_ROWS).encode("utf-16")])
def test_html_named_xls(read_all, content):
    (table,) = read_all(content, "report.xls")
    assert table.frame["Opportunity Name"].tolist() == [f"Deal {number}" for number in range(4)]
    assert table.remark == "named .xls, but it is an HTML table"


def test_html_without_rows_is_refused(read_all):
    with pytest.raises(InputFileError, match=r"report\.xls is an HTML table and has no sheet with rows"):
        read_all(HTML.format("").encode(), "report.xls")


def test_html_without_its_library_says_what_to_do(read_all, monkeypatch):
    import builtins

    known = builtins.__import__

    def missing(name, *rest):
        if name.startswith("lxml"):
            raise ImportError
        return known(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(InputFileError, match=r"is an HTML table.*save it as .xlsx or .csv"):
        read_all(HTML.format(HTML_ROWS).encode(), "report.xls")


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9, 0.99])
def test_cut_workbooks_are_refused(read_all, keep):
    content = saved({"Deals": [HEADER, *deals(200)]})
    with pytest.raises(InputFileError, match="cannot be read"):
        read_all(content[: int(len(content) * keep)], "deals.xlsx")


def test_a_sheet_that_ends_in_the_middle_is_refused(read_all, build):
    whole = build.workbook(f'<row r="1">{build.text_cell("A1", "Id")}{build.text_cell("B1", "Stage")}</row>')
    import zipfile

    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["xl/worksheets/sheet1.xml"] = parts["xl/worksheets/sheet1.xml"].partition(b"</sheetData>")[0]
    with pytest.raises(InputFileError, match="sheet Deals ends in the middle"):
        read_all(build.zipped(parts), "deals.xlsx")


def test_a_workbook_with_a_password_is_refused(read_all):
    content = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504) + "EncryptedPackage".encode("utf-16-le") + bytes(512)
    with pytest.raises(InputFileError, match="it is a workbook with a password; save it without one"):
        read_all(content, "deals.xlsx")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["[Content_Types].xml", "word/document.xml"], "a Word document"),
        (["[Content_Types].xml", "ppt/presentation.xml"], "a PowerPoint presentation"),
        (["Index/Document.iwa"], "a Numbers, Pages or Keynote document"),
    ],
)
def test_other_documents_are_named(read_all, build, names, message):
    with pytest.raises(InputFileError, match=message):
        read_all(build.zipped(dict.fromkeys(names, b"x")), "deals.xlsx")
