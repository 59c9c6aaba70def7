"""400 damaged and hostile inputs: each is read with balanced books, or refused with a sentence; none fills memory."""

import bz2
import gzip
import io
import json
import random
import resource
import subprocess
import sys
import tracemalloc

import openpyxl
import pandas as pd
import pytest

from winpredict.errors import InputFileError
from winpredict.ingest.files import RawFile, read_files

SEEDS = 400
ENDINGS = [".csv", ".tsv", ".txt", ".json", ".jsonl", ".parquet", ".xlsx", ".xls", ".xlsb", ".ods", ".zip", ".csv.gz"]
ENCODINGS = ["utf-16", "utf-16-le", "utf-32", "cp1252", "cp1250", "cp1251", "cp932", "euc_jp", "mac_roman", "utf-8-sig"]
NAMES = ["Müller", "Łódź", "Поставка", "株式会社", "Société Générale", "Acme, Inc", 'He said "no"', "two\nlines"]


def records(count: int = 40) -> list[dict[str, object]]:
    return [
        {
            "deal_id": f"006A{1000 + number}",
            "name": f"{NAMES[number % len(NAMES)]} {number}",
            "stage": ["Closed Won", "Closed Lost", "Demo"][number % 3],
            "amount": 100.5 + number,
            "created_at": f"2024-01-{1 + number % 28:02d}",
            "closed_at": None if number % 3 == 2 else f"2024-02-{1 + number % 28:02d}",
        }
        for number in range(count)
    ]


@pytest.fixture(scope="module")
def originals(build) -> dict[str, bytes]:
    """Sound files of all kinds."""
    frame = pd.DataFrame(records())
    text = "Won deals\n\n" + frame.to_csv(index=False) + "\nGrand Totals (40 records)\n"
    book, parquet = openpyxl.Workbook(), io.BytesIO()
    for row in ([*frame.columns], *frame.itertuples(index=False)):
        book.active.append([*row])
    workbook = io.BytesIO()
    book.save(workbook)
    frame.to_parquet(parquet)
    cells = "".join(
        "<table:table-row>"
        + "".join(build.open_cell(str(cell).replace("&", "")) for cell in row)
        + "</table:table-row>"
        for row in ([*frame.columns], *frame[["deal_id", "stage"]].itertuples(index=False))
    )
    binary = {row: {0: f"D{row}", 1: "Won"} for row in range(1, 20)} | {0: {0: "Id", 1: "Stage"}}
    return {
        "deals.csv": text.encode(),
        "deals.tsv": frame.to_csv(index=False, sep="\t").encode(),
        "deals.jsonl": "\n".join(map(json.dumps, records())).encode(),
        "deals.json": json.dumps({"results": records()}, indent=1).encode(),
        "deals.parquet": parquet.getvalue(),
        "deals.xlsx": workbook.getvalue(),
        "deals.xls": build.old_workbook(),
        "deals.xlsb": build.binary_workbook(binary),
        "deals.ods": build.open_workbook(f'<table:table table:name="Deals">{cells}</table:table>'),
        "report.xls": ("<html><table>" + frame.to_html(index=False) + "</table></html>").encode(),
        "deals.csv.gz": gzip.compress(text.encode(), mtime=0),
        "deals.csv.bz2": bz2.compress(text.encode()),
        "export.zip": build.zipped(
            {"deals.csv": text.encode(), "users.csv.gz": gzip.compress(b"id,name\n1,Ann\n2,Bob\n", mtime=0)}
        ),
    }


def mutated(name: str, content: bytes, rng: random.Random) -> tuple[str, bytes]:
    """The same file with one or two things wrong."""
    for _ in range(rng.choice([1, 1, 2])):
        kind = rng.randrange(10)
        place = rng.randrange(len(content) + 1)
        if kind == 0:
            content = content[:place]
        elif kind in (1, 2):
            damaged = bytearray(content)
            for _ in range(rng.choice([1, 3, 30])):
                if damaged:
                    damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
            content = bytes(damaged)
        elif kind == 3:
            content = content[:place] + rng.randbytes(rng.choice([1, 8, 200])) + content[place:]
        elif kind == 4:
            end = rng.randrange(place, len(content) + 1)
            content = content[:place] + content[end:]
        elif kind == 5:
            end = min(len(content), place + rng.randrange(300))
            content = content[:end] + content[place:end] * rng.choice([1, 20]) + content[end:]
        elif kind == 6:
            stem = name.partition(".")[0]
            name = stem + rng.choice(ENDINGS)
        elif kind == 7:
            text = content.decode("utf-8", errors="ignore")
            content = text.encode(rng.choice(ENCODINGS), errors="replace")
        elif kind == 8:
            odd = rng.choice(
                [b"\x00", b'"', b"\r", b"\n", b",", b"\xff", b"\xe2\x80\xae", b"{", b"[", b"\\", b"<", b"\x1a"]
            )
            for _ in range(rng.choice([1, 5, 50])):
                place = rng.randrange(len(content) + 1)
                content = content[:place] + odd + content[place:]
        else:
            content = rng.choice(
                [gzip.compress(content, mtime=0), content * 2, b"\xef\xbb\xbf" + content, content[::-1]]
            )
    return name, content


def assert_balanced(found: list[RawFile]) -> None:
    for raw in found:
        ledger = raw.ledger
        assert all(number > 0 for number in ledger.values())
        assert len(raw.frame) == ledger.get("records", 0)
        assert len(raw.unreadable) == ledger.get("unreadable", 0)
        aside = sum(ledger.get(entry, 0) for entry in ("footer", "repeated header", "second header row"))
        assert len(raw.set_aside) == aside
        assert raw.frame.columns.is_unique
        assert list(raw.repairs.columns) == ["row", "column", "cause"]


@pytest.mark.parametrize("block", range(10))
def test_damaged_files_are_read_or_refused(tmp_path, originals, block):
    refused = 0
    names = sorted(originals)
    for seed in range(block * SEEDS // 10, (block + 1) * SEEDS // 10):
        rng = random.Random(seed)
        original = names[seed % len(names)]
        name, content = mutated(original, originals[original], rng)
        path = tmp_path / name
        path.write_bytes(content)
        try:
            found = list(read_files([path]))
        except InputFileError as error:
            refused += 1
            message = str(error)
            assert str(path) in message, seed
            assert len(message) > len(str(path)) + 20, seed
        else:
            assert_balanced(found)
            packed = name.endswith(("gz", "bz2")) or content.startswith(b"\x1f\x8b")
            if len(found) == 1 and found[0].units == "lines" and not packed:
                assert sum(found[0].ledger.values()) == lines_of(content, found[0].encoding), seed
        path.unlink()
    assert 0 < refused < SEEDS // 10


def lines_of(content: bytes, encoding: str) -> int:
    """Physical lines of a text that is one byte a character as far as line ends go."""
    if encoding.startswith("UTF-") and encoding != "UTF-8":
        content = content.decode(encoding, errors="replace").encode(errors="replace")
    content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return content.count(b"\n") + (len(content) > 0 and not content.endswith(b"\n"))


def bombs(build) -> dict[str, bytes]:
    """Small files that would be large."""
    zeros, rows = bytes(300 * 2**20), b"a,b\n" * 12_000_000
    cell = build.text_cell
    far = (
        f'<row r="1">{cell("A1", "Id")}{cell("B1", "Stage")}</row><row r="2">{cell("A2", "1")}{cell("B2", "Won")}</row>'
    )
    far += f'<row r="1048576">{cell("XFD1048576", "x")}</row>'
    shared = "".join(f'<row r="{row}"><c r="A{row}" t="s"><v>0</v></c></row>' for row in range(1, 50_000))
    return {
        "zeros.csv.gz": gzip.compress(zeros, 1),
        "rows.csv.gz": gzip.compress(b"Id,Stage\n" + rows, 1),
        "objects.json.gz": gzip.compress(b'{"a":1}\n' * 8_000_000, 1),
        "zeros.zip": build.zipped({"deals.csv": zeros}),
        "nested.zip": build.zipped({"deals.csv.gz": gzip.compress(zeros, 1)}),
        "far.xlsx": build.workbook(far),
        "shared.xlsx": build.workbook(shared, f"<si><t>{'x' * 30_000}</t></si>"),
        "commas.csv": b"Id,Stage\n" + b"," * 2_000_000,
        "quotes.csv": b"Id,Stage\n" + b'a,"b\n' * 220_000,
        "keys.jsonl": b"\n".join(b'{"k%d":1}' % (number % 4000) for number in range(60_000)),
        "lists.json": b"[" + b"[]," * 300_000 + b"1]",
        "deep.json": b"[" * 500_000,
    }


def test_none_takes_a_gigabyte(tmp_path, build):
    """Each in the same fresh process, whose memory is measured."""
    for name, content in bombs(build).items():
        (tmp_path / name).write_bytes(content)
    code = (
        "import pathlib, sys\n"
        "from winpredict.errors import InputFileError\n"
        "from winpredict.ingest.files import read_files\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):\n"
        "    try:\n"
        "        print(path.name, 'read', [len(raw.frame) for raw in read_files([path])])\n"
        "    except InputFileError as error:\n"
        "        print(path.name, 'refused', error)\n"
        # ru_maxrss would count the process that forked this one, which is large at the end of a run of all tests
        "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "print(int(peak.split()[1]) // 1024)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=300, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (4 * 2**30,) * 2),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    *lines, memory = done.stdout.splitlines()
    said = {line.split(" ", 1)[0]: line for line in lines}
    assert int(memory) < 1024
    assert "more than 256 MB" in said["zeros.csv.gz"]
    assert "more than 256 MB" in said["zeros.zip"]
    assert "more than 256 MB" in said["nested.zip"]
    assert "input_limits.cells" in said["rows.csv.gz"]
    assert "input_limits.unpacked_ratio" in said["objects.json.gz"]
    assert said["far.xlsx"].endswith("read [1]")
    assert "MB of text" in said["shared.xlsx"]
    assert "input_limits.cells" in said["keys.jsonl"]
    assert "nested deeper than 64 levels" in said["deep.json"]
    assert "are no JSON objects" in said["lists.json"]


def test_a_clean_file_takes_little_more_than_its_text(tmp_path):
    path = tmp_path / "deals.csv"
    path.write_text(
        "deal_id,stage,amount\n" + "".join(f"006A{number},Closed Won,{number}\n" for number in range(200_000))
    )
    tracemalloc.start()
    (found,) = read_files([path])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found.frame) == 200_000
    assert peak < 4 * path.stat().st_size + 20 * 2**20
