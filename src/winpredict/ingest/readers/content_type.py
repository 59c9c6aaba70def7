"""What kind of file it is: its content decides, not its ending."""

import json
import re
import zipfile
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from winpredict.ingest.readers.content import Content
from winpredict.locale.text import Text, text

Kind = Literal[
    "text", "json", "parquet", "xlsx", "xlsb", "xls", "ods", "html", "zip", "gzip", "bzip2", "refused"
]  # fmt: skip

#: Kinds by the endings that files usually have; "text" is any table whose columns are separated by a character.
KIND_BY_SUFFIX: dict[str, Kind] = {
    ".csv": "text",
    ".tsv": "text",
    ".tab": "text",
    ".txt": "text",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".parquet": "parquet",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
    ".xlsb": "xlsb",
    ".xls": "xls",
    ".ods": "ods",
}
WORKBOOKS = ("xlsx", "xlsb", "xls", "ods")
PACKED_SUFFIXES = (".gz", ".bz2")

NAMES: dict[Kind, Text] = {
    "text": text("delimited text"),
    "json": text("JSON"),
    "parquet": text("a Parquet file"),
    "xlsx": text("an Excel workbook (.xlsx)"),
    "xlsb": text("a binary Excel workbook (.xlsb)"),
    "xls": text("an old Excel workbook (.xls)"),
    "ods": text("an OpenDocument spreadsheet (.ods)"),
    "html": text("an HTML table"),
    "zip": text("a zip"),
    "gzip": text("gzip data"),
    "bzip2": text("bzip2 data"),
}

_SAVE_AS_CSV = text("open it in the program that wrote it and save it as .csv or .xlsx")
_EXPORT_AGAIN = text("export the records as .csv or .xlsx")
#: First bytes of files that hold no table that can be read, what they are, and what to do.
_REFUSED: tuple[tuple[bytes, Text, Text], ...] = (
    (b"\x89PNG", text("a picture (PNG)"), _EXPORT_AGAIN),
    (b"\xff\xd8\xff", text("a picture (JPEG)"), _EXPORT_AGAIN),
    (b"GIF8", text("a picture (GIF)"), _EXPORT_AGAIN),
    (b"II*\x00", text("a picture (TIFF)"), _EXPORT_AGAIN),
    (b"MM\x00*", text("a picture (TIFF)"), _EXPORT_AGAIN),
    (b"RIFF", text("a picture, sound or film"), _EXPORT_AGAIN),
    (b"%PDF", text("a PDF"), _EXPORT_AGAIN),
    (b"\x7fELF", text("a program"), _EXPORT_AGAIN),
    (b"MZ\x90\x00", text("a program"), _EXPORT_AGAIN),
    (b"{\\rtf", text("a text document (RTF)"), _SAVE_AS_CSV),
    (b"SQLite format 3\x00", text("an SQLite database"), text("export its tables as .csv")),
    (b"\xfd7zXZ\x00", text("packed with xz"), text("unpack it first")),
    (b"\x28\xb5\x2f\xfd", text("packed with Zstandard"), text("unpack it first")),
    (b"7z\xbc\xaf\x27\x1c", text("a 7z archive"), text("unpack it first, or pack it as .zip")),
    (b"Rar!\x1a\x07", text("a RAR archive"), text("unpack it first, or pack it as .zip")),
    (b"\x1f\x9d", text("packed with compress"), text("unpack it first")),
    (b"ARROW1\x00\x00", text("an Arrow file"), text("save it as .parquet")),
    (b"FEA1", text("a Feather file"), text("save it as .parquet")),
    (b"ORC", text("an ORC file"), text("save it as .parquet")),
    (b"Obj\x01", text("an Avro file"), text("save it as .parquet")),
    (b"\x89HDF\r\n\x1a\n", text("an HDF5 file"), text("save it as .parquet")),
    (
        b"\x80\x04\x95",
        text("a Python pickle"),
        text("save it as .parquet; pickles are never opened, since they can run programs"),
    ),
    (
        b"\x80\x05\x95",
        text("a Python pickle"),
        text("save it as .parquet; pickles are never opened, since they can run programs"),
    ),
)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_HTML = re.compile(rb"<(?:!doctype html|html|head|body|table|meta|div|style)\b", re.IGNORECASE)


@dataclass(frozen=True)
class ContentType:
    """The kind of a file.

    Parameters
    ----------
    kind : str
        One of `KIND_BY_SUFFIX`, html, zip, gzip, bzip2, or refused.
    name : Text
        What it is, for people.
    advice : Text
        What to do where it is refused.
    """

    kind: Kind
    name: Text
    advice: Text | None = None


def content_type(content: Content, suffix: str = "") -> ContentType:
    """Tell a file by its first bytes, and a zip by its members.

    Parameters
    ----------
    content : Content
    suffix : str
        Its ending in lower case; decides only where the bytes allow several kinds.

    Returns
    -------
    ContentType

    Examples
    --------
    >>> import io
    >>> str(content_type(Content(io.BytesIO(b"%PDF-1.7"), 8), ".csv").name)
    'a PDF'
    >>> content_type(Content(io.BytesIO(b'{"id": 1}'), 9), ".csv").kind
    'json'
    """
    head = content.head
    for first, name, advice in _REFUSED:
        if head.startswith(first):
            return ContentType("refused", name, advice)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zipped(content)
    if head.startswith(_OLE):
        return _ole(content)
    if head.startswith(b"PAR1"):
        return _of("parquet")
    if head.startswith(b"\x1f\x8b"):
        return _of("gzip")
    if re.match(rb"BZh[1-9]1AY&SY", head):
        return _of("bzip2")
    if head[257:262] == b"ustar":
        return ContentType("refused", text("a tar archive"), text("unpack it first, or pack it as .zip"))
    return _of_text(head, suffix)


def _of(kind: Kind) -> ContentType:
    return ContentType(kind, NAMES[kind])


def _zipped(content: Content) -> ContentType:
    try:
        with zipfile.ZipFile(content.opened()) as archive:
            names = set(archive.namelist())
            kind = archive.read("mimetype")[:80] if "mimetype" in names else b""
    except Exception:  # a damaged one is told by its reader, which says what is wrong with it
        head = content.head
        return _of("xlsx" if b"xl/" in head or b"[Content_Types].xml" in head[:200] else "zip")
    if "xl/workbook.bin" in names:
        return _of("xlsb")
    if "xl/workbook.xml" in names:
        return _of("xlsx")
    if kind.startswith(b"application/vnd.oasis.opendocument"):
        if b"spreadsheet" in kind:
            return _of("ods")
        return ContentType("refused", text("an OpenDocument text or drawing"), _SAVE_AS_CSV)
    for folder, name in (("word/", text("a Word document")), ("ppt/", text("a PowerPoint presentation"))):
        if any(each.startswith(folder) for each in names) and "[Content_Types].xml" in names:
            return ContentType("refused", name, _EXPORT_AGAIN)
    if "Index/Document.iwa" in names:
        return ContentType("refused", text("a Numbers, Pages or Keynote document"), _SAVE_AS_CSV)
    if "[Content_Types].xml" in names and any(each.startswith("xl/") for each in names):
        return _of("xlsx")
    return _of("zip")


def _ole(content: Content) -> ContentType:
    """Old Office files are one file system each, whose directory has names in UTF-16."""
    whole = content.read(0, min(content.size, 64 * 2**20))

    def holds(name: str) -> bool:
        return name.encode("utf-16-le") in whole

    if holds("EncryptedPackage") or holds("EncryptionInfo"):
        return ContentType("refused", text("a workbook with a password"), text("save it without one"))
    if holds("Workbook") or holds("Book"):
        return _of("xls")
    if holds("WordDocument"):
        return ContentType("refused", text("a Word document"), _EXPORT_AGAIN)
    return ContentType("refused", text("an old Office file without a workbook"), _SAVE_AS_CSV)


def _of_text(head: bytes, suffix: str) -> ContentType:
    first = _as_utf8(head).lstrip()
    if _HTML.match(first):
        return _of("html")
    if first.startswith(b"<"):
        if _HTML.search(first[:4096]):
            return _of("html")
        if b"urn:schemas-microsoft-com:office:spreadsheet" in first[:4096]:
            return ContentType("refused", text("an XML spreadsheet of Excel 2003"), _SAVE_AS_CSV)
        if first.startswith(b"<?xml"):
            return ContentType("refused", text("an XML file"), _EXPORT_AGAIN)
    if KIND_BY_SUFFIX.get(suffix) == "json" or _begins_json(first):
        return _of("json")
    return _of("text")


def _as_utf8(head: bytes) -> bytes:
    """The start of a text in UTF-8, or in UTF-16 with or without a byte-order mark, as UTF-8."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head.decode("utf-16", errors="replace").encode(errors="replace")
    if head[1:2] == b"\x00" and head[3:4] == b"\x00":
        return head.decode("utf-16-le", errors="replace").encode(errors="replace")
    return head.removeprefix(b"\xef\xbb\xbf")


def _begins_json(first: bytes) -> bool:
    """Whether text begins as JSON does: { with a name behind it, or [ with a value."""
    if re.match(rb'\{\s*(?:"(?:[^"\\\r\n]|\\.)*"\s*:|\})', first):
        return True
    if not re.match(rb'\[\s*(?:[\[{"\]0-9-]|true|false|null)', first):
        return False
    try:  # a title such as [2024] Deals, won is no JSON
        _, end = json.JSONDecoder().raw_decode(first.decode("utf-8", errors="replace"))
    except ValueError:
        return re.match(rb"\[\s*[{\[]", first) is not None
    except RecursionError:
        return True
    return first[end : end + 1] in (b"", b"\r", b"\n")


def suffix_of(name: str) -> str:
    """The ending of a name that tells its kind, without that of gzip or bzip2.

    Examples
    --------
    >>> suffix_of("deals.CSV.gz"), suffix_of("deals.xlsx"), suffix_of("notes")
    ('.csv', '.xlsx', '')
    """
    suffixes = [each.lower() for each in PurePosixPath(name).suffixes]
    if suffixes and suffixes[-1] in PACKED_SUFFIXES:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""
