"""The door to all readers: endings and contents, folders, zips, links, limits, and what a raw file tells of itself."""

import bz2
import gzip
import hashlib
import os
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from winpredict.config import InputLimits
from winpredict.errors import InputFileError
from winpredict.ingest.files import RawFile, holds_one_table, read_files

TEXT = "Id,Stage,Amount\n006A1,Won,5\n006A2,Lost,6\n006A3,Won,7\n006A4,Won,8\n"


@pytest.fixture
def folder(tmp_path) -> Path:
    path = tmp_path / "export"
    path.mkdir()
    return path


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_a_raw_file_made_by_hand_needs_little():
    raw = RawFile("deals", "raw/deals", "", pd.DataFrame({"a": [1]}))
    assert raw.remark == ""
    assert (raw.ledger, raw.units, raw.delimiter, raw.encoding) == ({}, "records", "", "")
    assert list(raw.unreadable) == ["row", "text"]
    assert list(raw.repairs) == ["row", "column", "cause"]
    assert list(raw.set_aside) == ["row", "text", "cause"]


def test_names_paths_and_hashes(folder):
    packed = gzip.compress(TEXT.encode(), mtime=0)
    (folder / "deals.csv.gz").write_bytes(packed)
    (folder / "users.csv.bz2").write_bytes(bz2.compress(b"Id,Name\n1,Ann\n"))
    one, two = read_files([folder])
    assert (one.name, one.path) == ("deals", str(folder / "deals.csv.gz"))
    assert one.sha256 == hashlib.sha256(packed).hexdigest()
    assert two.name == "users"
    assert two.frame["Name"].tolist() == ["Ann"]


def test_folders_are_read_in_order_and_other_files_passed_over(folder):
    (folder / "b").mkdir()
    for name in ("b/users.csv", "a.csv", ".hidden.csv", "~$deals.xlsx", "picture.png", "notes.md", "old.zip"):
        (folder / name).write_text(TEXT)
    (folder / "readme.txt").write_text("Exported by Ann, on Monday.\nAsk her, if in doubt.\n")
    (folder / "c.txt").write_text(TEXT.replace(",", "\t"))
    assert [raw.name for raw in read_files([folder])] == ["a", "users", "c"]


def test_members_of_zips(tmp_path):
    path = zipped(
        tmp_path / "export.zip",
        {
            "x/users.csv.gz": gzip.compress(b"Id,Name\n1,Ann\n2,Bob\n"),
            "../../deals.csv": TEXT.encode(),
            "__MACOSX/._deals.csv": b"x",
            "readme.txt": b"hello",
        },
    )
    one, two = read_files([path])
    assert [one.name, two.name] == ["deals", "users"]
    assert one.path == f"{path}/../../deals.csv"
    assert two.frame["Name"].tolist() == ["Ann", "Bob"]


def test_a_zip_of_any_name_is_a_zip(tmp_path):
    path = zipped(tmp_path / "export.csv", {"deals.csv": TEXT.encode()})
    (found,) = read_files([path])
    assert len(found.frame) == 4


def test_zips_within_folders_and_zips(folder, tmp_path):
    zipped(folder / "deals.csv", {"deals.csv": TEXT.encode()})
    with pytest.raises(InputFileError, match=r"it is a zip, whatever its ending; unpack it, or name it \.zip"):
        list(read_files([folder]))
    packed = tmp_path / "deals.csv.gz"
    packed.write_bytes(gzip.compress((folder / "deals.csv").read_bytes()))
    with pytest.raises(InputFileError, match="holds a zip in gzip data; unpack it yourself"):
        list(read_files([packed]))


@pytest.mark.parametrize(
    ("name", "content", "remark"),
    [
        ("deals.csv", gzip.compress(TEXT.encode(), mtime=0), "it is gzip data, whatever its ending"),
        ("deals.csv.gz", TEXT.encode(), "it is not packed, whatever its ending"),
        ("deals.xlsx", TEXT.encode(), "named .xlsx, but it is delimited text"),
        (
            "deals.xls", TEXT.replace(",", "\t").encode("utf-16"),
            "named .xls, but it is delimited text; UTF-16; columns separated by tabs",
        ),
        ("deals.csv", b'[{"Id": 1}, {"Id": 2}, {"Id": 3}, {"Id": 4}]', "named .csv, but it is JSON"),
        ("deals.txt", b'{"Id": 1}\n{"Id": 2}\n{"Id": 3}\n{"Id": 4}', "named .txt, but it is JSON"),
        ("export", TEXT.encode(), ""),
        ("deals.dat", TEXT.replace(",", ";").encode(), "columns separated by semicolons"),
        ("deals.TXT", TEXT.encode(), "named .txt, but it is delimited text"),
    ],
)  # fmt: skip
def test_the_content_decides(tmp_path, name, content, remark):
    (tmp_path / name).write_bytes(content)
    (found,) = read_files([tmp_path / name])
    assert len(found.frame) == 4
    assert found.remark == remark.removeprefix("named .txt, but it is delimited text")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(100), r"it is a picture \(PNG\); export the records as .csv or .xlsx"),
        (b"\xff\xd8\xff\xe0" + bytes(100), r"a picture \(JPEG\)"),
        (b"%PDF-1.7\n" + b"x" * 100, "it is a PDF"),
        (b"MZ\x90\x00" + bytes(100), "it is a program"),
        (b"\x7fELF" + bytes(100), "it is a program"),
        (b"SQLite format 3\x00" + bytes(100), "an SQLite database; export its tables as .csv"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(100), "a 7z archive; unpack it first"),
        (b"\x80\x04\x95" + bytes(100), "pickles are never opened"),
        (bytes(257) + b"ustar" + bytes(300), "a tar archive"),
        (b"<?xml version='1.0'?><Workbook xmlns='urn:schemas-microsoft-com:office:spreadsheet'/>", "Excel 2003"),
        (b"<?xml version='1.0'?><rows/>", "it is an XML file"),
        (b"<!DOCTYPE html><html><body>Please sign in</body></html>", "an HTML page without a table"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "an old Office file without a workbook"),
        (b"", "is empty; export it again, or leave it out"),
        (b"\xef\xbb\xbf \r\n", "is empty"),
        (bytes(100), "is empty"),
    ],
)
@pytest.mark.parametrize("name", ["deals.csv", "deals.xlsx"])
def test_what_holds_no_table_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputFileError, match=message) as caught:
        list(read_files([tmp_path / name]))
    assert str(caught.value).startswith(str(tmp_path / name))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("deals.pdf", b"x", "is none of .csv, .json"),
        ("README.md", b"# Deals\n\n| a | b |\n|---|---|\n| 1 | 2 |\n", "is none of"),
        ("profile.yaml", b"name: x\ntables:\n  deals: [a, b]\n", "is none of"),
        ("deals.xlsx", b"not a workbook", "cannot be read: its ending says an Excel workbook .*text without a table"),
        ("deals.parquet", b"not parquet", "cannot be read: its ending says a Parquet file"),
        ("deals.csv.gz", b"not gzip", "cannot be read: it is neither packed as its ending says nor a table"),
        ("deals.csv.gz", gzip.compress(TEXT.encode() * 50, mtime=0)[:-20], "cannot be read: its gzip data are damaged"),
        ("deals.csv.bz2", bz2.compress(TEXT.encode() * 50)[:-20], "cannot be read: its bzip2 data are damaged"),
        ("export.zip", b"no zip", "is no readable zip"),
        ("export.zip", b"PK\x03\x04" + bytes(100), "is no readable zip"),
    ],
)
def test_damaged_and_unknown_files_are_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputFileError, match=message):
        list(read_files([tmp_path / name]))


def test_a_missing_path_is_named_but_no_password():
    with pytest.raises(InputFileError, match=r"nowhere\.csv does not exist; name a folder or file with the export"):
        list(read_files(["nowhere.csv"]))
    with pytest.raises(InputFileError, match="the path with an @") as caught:
        list(read_files(["postgresql:/me:secret@host/db"]))
    assert "secret" not in str(caught.value)


def test_an_encrypted_zip_is_refused(tmp_path):
    path = zipped(tmp_path / "export.zip", {"deals.csv": TEXT.encode()})
    content = bytearray(path.read_bytes())
    for header, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(header) + place] |= 1
    path.write_bytes(bytes(content))
    with pytest.raises(InputFileError, match=r"deals\.csv has a password; pack it without one"):
        list(read_files([path]))


def test_links_within_a_folder_are_followed_and_others_refused(folder, tmp_path):
    (folder / "deals.csv").write_text(TEXT)
    (folder / "again.csv").symlink_to(folder / "deals.csv")
    assert [raw.name for raw in read_files([folder])] == ["again", "deals"]
    outside = tmp_path / "secret.csv"
    outside.write_text(TEXT)
    (folder / "x.csv").symlink_to(outside)
    with pytest.raises(
        InputFileError, match=r"x\.csv is a symbolic link that leads out of the folder, to .*secret\.csv"
    ):
        list(read_files([folder]))
    assert len(list(read_files([folder], limits=InputLimits(outside_links=True)))) == 3
    (folder / "x.csv").unlink()
    (folder / "x.csv").symlink_to(tmp_path / "nothing.csv")
    with pytest.raises(InputFileError, match="a symbolic link that leads nowhere"):
        list(read_files([folder]))
    (folder / "x.csv").unlink()
    (folder / "link").symlink_to(tmp_path)
    with pytest.raises(InputFileError, match="leads out of the folder"):
        list(read_files([folder]))


def test_a_link_that_is_named_itself_is_followed(folder, tmp_path):
    (folder / "deals.csv").write_text(TEXT)
    (tmp_path / "link").symlink_to(folder)
    (tmp_path / "link.csv").symlink_to(folder / "deals.csv")
    assert len(list(read_files([tmp_path / "link", tmp_path / "link.csv"]))) == 2


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (InputLimits(unpacked_free_mb=1, unpacked_ratio=1), r"input_limits.unpacked_ratio"),
        (InputLimits(unpacked_mb=1), r"unpacks to more than 1 MB, which is the limit input_limits.unpacked_mb"),
        (InputLimits(zip_members=1), r"holds 2 files, more than 1 \(input_limits.zip_members\)"),
    ],
)
def test_zips_have_limits_over_all_members(tmp_path, limits, message):
    big = (TEXT + "".join(f"006A{number},Won,1\n" for number in range(40_000))).encode()
    path = zipped(tmp_path / "export.zip", {"a.csv": big, "b.csv.gz": gzip.compress(big, mtime=0)})
    assert [len(raw.frame) for raw in read_files([path])] == [40_004, 40_004]
    with pytest.raises(InputFileError, match=message):
        list(read_files([path], limits=limits))


def test_an_unexpected_fault_becomes_a_sentence_and_a_bug_stays_one(tmp_path, monkeypatch):
    (tmp_path / "deals.csv").write_text(TEXT)

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("odd")

    monkeypatch.setattr("winpredict.ingest.files.read_delimited", broken)
    with pytest.raises(
        InputFileError, match=r"deals\.csv cannot be read \(ZeroDivisionError: odd\); export or copy it"
    ):
        list(read_files([tmp_path / "deals.csv"]))


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_must_not_be_read(tmp_path):
    (tmp_path / "deals.csv").write_text(TEXT)
    (tmp_path / "deals.csv").chmod(0)
    with pytest.raises(InputFileError, match="cannot be opened: Permission denied"):
        list(read_files([tmp_path / "deals.csv"]))


def test_one_table_or_several(folder, tmp_path):
    (folder / "mine.csv").write_text(TEXT)
    assert holds_one_table([folder])
    assert holds_one_table([folder / "mine.csv"])
    zipped(tmp_path / "one.zip", {"mine.csv": TEXT.encode(), "readme.txt": b"hello"})
    assert holds_one_table([tmp_path / "one.zip"])
    zipped(tmp_path / "two.zip", {"deals.csv": TEXT.encode(), "leads.csv": TEXT.encode()})
    assert not holds_one_table([tmp_path / "two.zip"])
    with pd.ExcelWriter(tmp_path / "two.csv.xlsx") as book:
        for sheet in ("deals", "leads"):
            pd.DataFrame({"Id": [1], "Stage": ["Won"]}).to_excel(book, sheet_name=sheet, index=False)
    (tmp_path / "two.csv").write_bytes((tmp_path / "two.csv.xlsx").read_bytes())  # a workbook whatever its ending
    assert not holds_one_table([tmp_path / "two.csv"])
    assert not holds_one_table([folder / "mine.csv", tmp_path / "one.zip"])
