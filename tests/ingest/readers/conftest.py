"""Builders of small files of all kinds."""

import base64
import io
import struct
import zipfile
import zlib
from pathlib import Path

import pytest

from winpredict.ingest.files import RawFile, read_files

# An .xls workbook: a title, two blank rows, a header (Id, Amount, Close Date) in row 3, and three deals.
_OLD_WORKBOOK = (
    b"eNrtWE1oE0EU/maz26Sh+euP0AohFKxaW2wtiJc2plaDB0v1UhFBU5ODNE0kjYd6sVp7EkH0pHgp1IOXqhf/Bf8OHoSKHgRBaPXo"
    b"SVDw0HZ972UXkxqhAS1W9lvmzcyb+Wbe/L3Z3dezobmp203zWIYeuLBkVqOqSKcoVNuZIKjcNDlpxx4KpoM1hWoPLWSVgYe+V25e"
    b"Q17veWi4pT8lCXykcBgn0J/NpCKriF6xIaHYhm6SCtdI40ejWFUr8pjIOpE3peYjkTtFc0FkN9WdU4cwG+1v3WHt4oNas5T5we3e"
    b"Fc570XSiAS95F5++qAp1DcRyxxPpNVYQ1mswDVrQeCqTynE+gOvwAmOE9pGR9mRyDvW02NP4ZkaAr/apfhJx9KurVyD991K9+zd6"
    b"Dy3icv1lTQfGYR6VQzIJH7bqXGKgL5VIjy4gzvtAAvnuwWwmkmQ97fa9STrssZHsyUyedsaudHY0FelL5FMG0NGxPdZpxdusuMvL"
    b"TYi7CJa4C58coxqSSQQkHZLDFCR7F258ebNvaCB6RDTjckUULpINbDdMnGEGkf2w2wNdPUCrMLaIPCutrpd0k8h6Gh/FLQMNVmLP"
    b"hNQ5J6Ut1E+X4G10Y1F6E6UnP++/F578FN1M6Zn4/Kn6mXfRKTTT5CSJz88E2lSbunqFcT9qx8pyOh9ENv7igDxa0Bqbad2WASzy"
    b"kSOERHINTUZXWkOTGjwnhZw9f4WcRjmXxXaVYbuEzXP5mCx0Cft8HbvIZ8+ZzTy9DE8XnmHxdOFdUszrfWHzjDI8Q3hVFs8QXlhc"
    b"8gPh9Wi1uMPmkxv+CS8cOHDgwIEDBw4c/BPg107NeuXW5bOh8BLutv7rLFJYcn6T/Lc4gCw9efqo3I0MxTmMVbR/1sFQdltqhRz7"
    b"fyFjkHrPYRhDYsdwxfuXPspU8XhWTAz+uSNUaf9Lldj5l/v/AR2f5Wg="
)
_TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"
_SHEET_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def old_workbook() -> bytes:
    """An .xls workbook."""
    return zlib.decompress(base64.b64decode(_OLD_WORKBOOK))


def workbook(sheet_data: str, shared: str = "", *, more: dict[str, bytes] | None = None) -> bytes:
    """An .xlsx workbook of one sheet, from the XML of its rows."""
    parts = {
        "[Content_Types].xml": f"<Types xmlns='{_TYPES}'>"
        "<Default Extension='rels' ContentType='application/vnd.openxmlformats-package.relationships+xml'/>"
        f"<Override PartName='/xl/workbook.xml' ContentType='{_SHEET_TYPE}.sheet.main+xml'/>"
        f"<Override PartName='/xl/worksheets/sheet1.xml' ContentType='{_SHEET_TYPE}.worksheet+xml'/></Types>",
        "_rels/.rels": f"<Relationships xmlns='{_RELATIONS}'><Relationship Id='rId1' Type='{_OFFICE}/officeDocument'"
        " Target='xl/workbook.xml'/></Relationships>",
        "xl/workbook.xml": f"<workbook xmlns='{_MAIN}' xmlns:r='{_OFFICE}'><sheets>"
        "<sheet name='Deals' sheetId='1' r:id='rId1'/></sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f"<Relationships xmlns='{_RELATIONS}'>"
        f"<Relationship Id='rId1' Type='{_OFFICE}/worksheet' Target='worksheets/sheet1.xml'/>"
        f"<Relationship Id='rId2' Type='{_OFFICE}/sharedStrings' Target='sharedStrings.xml'/></Relationships>",
        "xl/worksheets/sheet1.xml": f"<worksheet xmlns='{_MAIN}'><sheetData>{sheet_data}</sheetData></worksheet>",
        "xl/sharedStrings.xml": f"<sst xmlns='{_MAIN}'>{shared}</sst>",
    }
    return zipped({name: text.encode() for name, text in parts.items()} | (more or {}))


def text_cell(place: str, text: str) -> str:
    """A cell of an .xlsx sheet with a text in it."""
    return f'<c r="{place}" t="inlineStr"><is><t>{text}</t></is></c>'


def zipped(files: dict[str, bytes]) -> bytes:
    """A zip of some files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2025, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def open_workbook(table: str) -> bytes:
    """An .ods workbook, from the XML of its tables."""
    spaces = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "table", "text")
    )
    content = (
        f"<office:document-content {spaces}><office:body><office:spreadsheet>{table}"
        "</office:spreadsheet></office:body></office:document-content>"
    )
    kind = b"application/vnd.oasis.opendocument.spreadsheet"
    manifest = (
        b"<manifest:manifest xmlns:manifest='urn:oasis:names:tc:opendocument:xmlns:manifest:1.0'>"
        b"<manifest:file-entry manifest:full-path='/' manifest:media-type='" + kind + b"'/></manifest:manifest>"
    )
    return zipped({"mimetype": kind, "META-INF/manifest.xml": manifest, "content.xml": content.encode()})


def open_cell(text: str, repeated: int = 1) -> str:
    """A cell of an .ods sheet."""
    return (
        f'<table:table-cell office:value-type="string" table:number-columns-repeated="{repeated}">'
        f"<text:p>{text}</text:p></table:table-cell>"
    )


def binary_workbook(rows: dict[int, dict[int, str]]) -> bytes:
    """An .xlsb workbook with texts, by row and column from 0."""

    def record(kind: int, content: bytes = b"") -> bytes:
        first = bytes([kind]) if kind < 0x80 else bytes([(kind & 0x7F) | 0x80, kind >> 7])
        size, length = b"", len(content)
        while True:
            size += bytes([(length & 0x7F) | (0x80 if length > 0x7F else 0)])
            length >>= 7
            if not length:
                return first + size + content

    def wide(text: str) -> bytes:
        return struct.pack("<I", len(text)) + text.encode("utf-16-le")

    sheet = record(0x81) + record(0x94, struct.pack("<4I", 0, max(rows), 0, 20)) + record(0x91)
    for row, cells in rows.items():
        sheet += record(0, struct.pack("<IIHHBI", row, 0, 0, 0, 0, 0))
        for column, text in cells.items():
            sheet += record(6, struct.pack("<II", column, 0) + wide(text))
    sheet += record(0x92) + record(0x82)
    book = record(0x83) + record(0x8F)
    book += record(0x9C, struct.pack("<II", 0, 1) + wide("rId1") + wide("Deals")) + record(0x90) + record(0x84)
    relations = (
        f"<Relationships xmlns='{_RELATIONS}'><Relationship Id='rId1' Type='{_OFFICE}/worksheet' "
        "Target='worksheets/sheet1.bin'/></Relationships>"
    )
    return zipped(
        {
            "[Content_Types].xml": f"<Types xmlns='{_TYPES}'/>".encode(),
            "xl/workbook.bin": book,
            "xl/_rels/workbook.bin.rels": relations.encode(),
            "xl/worksheets/sheet1.bin": sheet,
        }
    )


class Builders:
    """The functions above, for tests."""

    old_workbook = staticmethod(old_workbook)
    workbook = staticmethod(workbook)
    text_cell = staticmethod(text_cell)
    zipped = staticmethod(zipped)
    open_workbook = staticmethod(open_workbook)
    open_cell = staticmethod(open_cell)
    binary_workbook = staticmethod(binary_workbook)


@pytest.fixture(scope="session")
def build() -> type[Builders]:
    """Builders of files."""
    return Builders


@pytest.fixture
def read_all(tmp_path):
    """Reads bytes under a name, as all tables."""

    def reader(content: bytes, name: str, **options) -> list[RawFile]:
        path: Path = tmp_path / name
        path.write_bytes(content)
        return list(read_files([path], **options))

    return reader
