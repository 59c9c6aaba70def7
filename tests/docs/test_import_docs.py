"""The pages on importing say what the code does: their tables, profiles, examples and commands are run.

Comments in the pages say how: ``checked: NAME`` above a table, ``profile``, ``source: TABLE`` or ``config`` above YAML,
``file: NAME`` above the contents of a file, and ``result: TABLE`` above what an example of a profile gives. A
``console`` block with a ``text`` block behind it is a command and lines that it prints, in their order.
"""

import codecs
import doctest
import inspect
import io
import re
import shlex
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

import winpredict
from winpredict.cli import INTERRUPTED, UNEXPECTED, USER_MUST_CHANGE_SOMETHING, app
from winpredict.config import InputLimits, load_config
from winpredict.errors import InputFileError
from winpredict.ingest import import_files, load_profile
from winpredict.ingest.files import read_files
from winpredict.ingest.parsing.date_formats import date_format
from winpredict.ingest.parsing.dates import date_hints, to_times
from winpredict.ingest.parsing.flags import flag_words, to_flags
from winpredict.ingest.parsing.number_formats import number_format
from winpredict.ingest.parsing.numbers import number_hints, to_numbers
from winpredict.ingest.profiles import HELPERS, MISSING, Profile, Source
from winpredict.ingest.readers.characters import cleaned_text
from winpredict.ingest.readers.content import Content
from winpredict.ingest.readers.content_type import KIND_BY_SUFFIX, content_type
from winpredict.ingest.readers.encoding import encoding_of
from winpredict.ingest.vocabulary import classify_outcome, crm_kinds, field_scores, is_never, kind_of, vocabularies
from winpredict.tables.schema import TABLES, text_dtype

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [*sorted((DOCS / "bring-your-data").glob("*.md")), DOCS / "profile.md", DOCS / "what-is-understood.md"]
NOW = pd.Timestamp("2026-01-01", tz="UTC")
#: The label that stands in "What is understood" for each field of a deal.
FIELDS = {
    "the deal's id": "deal_id",
    "name": "name",
    "account": "account_name",
    "created": "created_at",
    "closed": "closed_at",
    "expected close": "expected_close_date",
    "won time": "won_at",
    "lost time": "lost_at",
    "outcome": "outcome",
    "stage": "stage",
    "amount": "amount",
    "currency": "currency",
    "owner": "owner_name",
    "lead source": "lead_source",
}


# --- pages ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """A fenced block or a table of a page, and the comment that stands above it."""

    page: str
    section: str
    mark: str
    kind: str
    text: str = ""
    header: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)

    @property
    def about(self) -> str:
        """What follows the colon of the comment."""
        return self.mark.partition(":")[2].strip()


def blocks(page: Path) -> Iterator[Block]:
    lines = page.read_text(encoding="utf-8").split("\n")
    section = mark = ""
    at = 0
    while at < len(lines):
        line = lines[at].strip()
        if line.startswith("## "):
            section = line
        if comment := re.fullmatch(r"<!-- (.*) -->", line):
            mark = comment[1]
        elif line.startswith("```"):
            indent = len(lines[at]) - len(lines[at].lstrip())
            end = next(row for row in range(at + 1, len(lines)) if lines[row].strip() == "```")
            text = "\n".join(each[indent:] for each in lines[at + 1 : end])
            yield Block(page.name, section, mark, line[3:], text + "\n")
            at, mark = end, ""
        elif line.startswith("|"):
            end = next(row for row in range(at, len(lines) + 1) if row == len(lines) or not lines[row].startswith("|"))
            header, _, *rows = ([cell.strip() for cell in re.split(r"(?<!\\)\|", each)[1:-1]] for each in lines[at:end])
            yield Block(page.name, section, mark, "table", header=header, rows=rows)
            at, mark = end - 1, ""
        elif line and mark:
            yield Block(page.name, section, mark, "paragraph", line)
            mark = ""
        at += 1


ALL = [block for page in PAGES for block in blocks(page)]


def rows_of(mark: str) -> list[list[str]]:
    rows = [row for block in ALL if block.mark == f"checked: {mark}" for row in block.rows]
    assert rows, f"no table is marked {mark}"
    return rows


def codes(cell: str) -> list[str]:
    """The texts in backticks of a cell; ``3 × `a` `` stands for three of them."""
    found = re.findall(r"(?:(\d+) × )?`((?:[^`\\]|\\.)*)`", cell)
    return [text.replace("\\|", "|") for times, text in found for _ in range(int(times or 1))]


def texts(*cells: str) -> pd.Series:
    return pd.Series(list(cells), dtype=text_dtype())


def rows(mark: str) -> pytest.MarkDecorator:
    every = rows_of(mark)
    return pytest.mark.parametrize("row", every, ids=[unicodedata.normalize("NFC", row[0])[:40] for row in every])


# --- what is understood ---------------------------------------------------------------------------------------------


@rows("numbers")
def test_numbers(row):
    (text,) = codes(row[0])
    numbers = to_numbers(texts(text), number_format(number_hints(texts(text)), money=True))
    currency = numbers.currency[0]
    assert (numbers.values[0], "" if pd.isna(currency) else currency) == (float(row[1]), row[2])


@rows("unread numbers")
def test_numbers_that_are_unread(row):
    (text,) = codes(row[0])
    assert to_numbers(texts(text)).unread.tolist() == [True]


@rows("columns of numbers")
def test_columns_of_numbers(row):
    cells = texts(*codes(row[0]))
    form = number_format(number_hints(cells), money=row[1] == "yes")
    numbers = to_numbers(cells, form)
    read = ["unread" if unread else f"{value:g}" for value, unread in zip(numbers.values, numbers.unread, strict=True)]
    assert list(dict.fromkeys(zip(cells, read, strict=True))) == list(
        zip(dict.fromkeys(cells), row[2].split(", "), strict=True)
    )
    assert bool(form.reason) == (row[3] == "yes"), form.reason


def date_text(time: pd.Timestamp) -> str:
    return f"{time:%Y-%m-%d}" if time == time.normalize() else f"{time:%Y-%m-%d %H:%M}"


@rows("dates")
def test_dates(row):
    (text,) = codes(row[0])
    form = date_format(date_hints(texts(text)), now=NOW)
    times, closes = (to_times(texts(text), "UTC", form, month_end=end) for end in (False, True))
    read = row[1]
    if read.startswith("unread"):
        assert times.unread.tolist() == [True]
        assert times.unclear.tolist() == ["unclear" in read]
    elif read == "empty":
        assert (times.unread[0], times.values.isna()[0]) == (False, True)
    else:
        told = date_text(times.values[0])
        if closes.values[0] != times.values[0]:
            told += f", as a close {date_text(closes.values[0])}"
        assert told == read


@rows("columns of dates")
def test_columns_of_dates(row):
    cells = texts(*codes(row[0]))
    form = date_format(date_hints(cells), now=NOW)
    times = to_times(cells, "UTC", form)
    read = ["unread" if unread else date_text(time) for time, unread in zip(times.values, times.unread, strict=True)]
    assert list(dict.fromkeys(zip(cells, read, strict=True))) == list(
        zip(dict.fromkeys(cells), row[1].split(", "), strict=True)
    )
    assert bool(form.reason) == (row[2] == "yes"), form.reason


def test_flags():
    told = {}
    for _, yes, no in rows_of("flags"):
        assert all(to_flags(texts(*codes(yes)))[0])
        assert not any(to_flags(texts(*codes(no)))[0])
        told |= dict.fromkeys(codes(yes), True) | dict.fromkeys(codes(no), False)
    assert told == flag_words()


def test_missing_words():
    (listed,) = (block.text for block in ALL if block.mark == "checked: missing")
    assert {*codes(listed), ""} == set(MISSING)


def test_languages():
    by_name = {words.name: words for words in vocabularies().values()}
    listed = rows_of("languages")
    assert {row[0] for row in listed} == set(by_name)
    for name, decimal, order, closed, amount, won, lost in listed:
        words = by_name[name]
        assert codes(decimal) == [words.decimal]
        assert order == ("3 April" if words.day_first else "open")
        assert field_scores(*codes(closed))["closed_at"] > 0.9
        assert field_scores(*codes(amount))["amount"] > 0.9
        assert (classify_outcome(*codes(won)), classify_outcome(*codes(lost))) == ("won", "lost")


@rows("outcomes")
def test_outcomes(row):
    assert classify_outcome(*codes(row[0])) == (None if row[1] == "says nothing" else row[1])


@rows("labels")
def test_labels(row):
    for label in codes(row[1]):
        if row[0].startswith("never"):
            assert is_never(label), label
        elif row[0].startswith("none"):
            assert field_scores(label) == {}, label
        else:
            assert field_scores(label).get(FIELDS[row[0]], 0) >= 0.85, label


def test_kinds_of_files():
    listed = {row[0]: codes(row[1]) for row in rows_of("kinds")}
    assert set(listed) == {kind.name for kind in crm_kinds()}
    for name, columns in listed.items():
        kind = kind_of(columns)
        assert kind is not None, name
        assert kind.name == name


def test_endings():
    listed = [suffix for row in rows_of("endings") for suffix in codes(row[0])]
    assert sorted(listed) == sorted(KIND_BY_SUFFIX)


@rows("files")
def test_where_lines_go(row, tmp_path):
    (name,), (content,), told = codes(row[0]), codes(row[1]), row[2]
    path = tmp_path / name
    path.write_text(content.replace("¶", "\n"), encoding="utf-8")
    if told.startswith("refused: "):
        with pytest.raises(InputFileError, match=re.escape(told.removeprefix("refused: "))):
            list(read_files([path]))
        return
    (raw,) = read_files([path])
    places, _, remark = told.partition("; ")
    expected = {entry: int(number) for number, _, entry in (each.partition(" ") for each in places.split(", "))}
    assert raw.ledger == expected
    assert remark in raw.remark


def test_refused_files():
    first_bytes = {
        "a picture (PNG)": b"\x89PNG\r\n",
        "a PDF": b"%PDF-1.7",
        "a Word document": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "WordDocument".encode("utf-16-le"),
        "a workbook with a password": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"),
        "an XML spreadsheet of Excel 2003": b"<?xml?><a b='urn:schemas-microsoft-com:office:spreadsheet'>",
        "an SQLite database": b"SQLite format 3\x00",
        "a 7z archive": b"7z\xbc\xaf\x27\x1c",
        "an Arrow file": b"ARROW1\x00\x00",
        "a Python pickle": b"\x80\x04\x95",
    }
    listed = dict(rows_of("refused files"))
    assert set(listed) == set(first_bytes)
    for name, advice in listed.items():
        found = content_type(Content(io.BytesIO(first_bytes[name]), len(first_bytes[name])), ".csv")
        assert (found.kind, str(found.name), str(found.advice)) == ("refused", name, advice)


def test_encodings():
    for name, codecs_of, sample in rows_of("encodings"):
        (text,) = codes(sample)
        for codec in codes(codecs_of):
            encoded = text.replace("¶", "\n").encode(codec)
            assert encoding_of(Content(io.BytesIO(encoded), len(encoded)), "deals.csv").name == name.split(",")[0], (
                codec
            )


@rows("characters")
def test_characters_that_nobody_sees(row):
    (text,), (clean,) = codes(row[0]), codes(row[1])
    assert cleaned_text(codecs.decode(text, "unicode_escape")) == (clean, row[2])


def test_limits():
    listed = {codes(row[0])[0]: row[1] for row in rows_of("limits")}
    assert listed == {
        name: f"{yaml.safe_dump(value)}".split("\n")[0] for name, value in InputLimits().model_dump().items()
    }


# --- profiles -------------------------------------------------------------------------------------------------------


def test_every_key_of_a_profile_is_explained():
    assert [codes(row[0])[0] for row in rows_of("profile keys")] == [*Profile.model_fields, "extends"]
    assert {codes(row[0])[0] for row in rows_of("source keys")} == set(Source.model_fields)
    for key, default, _ in rows_of("profile keys"):
        if default in ("guess", "UTC"):
            assert Profile.model_fields[codes(key)[0]].default == default
    page = (DOCS / "profile.md").read_text(encoding="utf-8")
    assert all(written_so in page for written_so in ("{first_of: [", "First + Last", ".0."))


def test_canonical_tables():
    listed = {codes(table)[0]: set(codes(columns)) for table, columns in rows_of("tables")}
    assert listed == {name: {*table.columns, *HELPERS.get(name, ())} for name, table in TABLES.items()}


@pytest.mark.parametrize("block", [each for each in ALL if each.kind == "yaml"], ids=lambda each: each.page)
def test_yaml_blocks_load(block, tmp_path):
    path = tmp_path / "mine.yaml"
    if block.mark == "profile":
        path.write_text(block.text, encoding="utf-8")
        assert load_profile(path).tables
    elif block.mark.startswith("source"):
        Profile.checked({"tables": {block.about: [yaml.safe_load(block.text)]}})
    else:
        assert block.mark == "config", f"{block.page}: say what this block is: profile, source: TABLE or config"
        path.write_text(block.text, encoding="utf-8")
        load_config(path)


@dataclass(frozen=True)
class Example:
    """Files, a profile, and what a table then holds."""

    files: list[Block]
    profile: Block
    result: Block

    def __str__(self) -> str:
        return self.files[-1].about


def examples() -> Iterator[Example]:
    files: list[Block] = []
    profile: Block | None = None
    for block in blocks(DOCS / "profile.md"):
        if block.mark.startswith("file"):
            if profile is not None:
                files, profile = [], None
            files.append(block)
        elif block.mark == "profile":
            profile = block
        elif block.mark.startswith("result"):
            assert profile is not None
            yield Example(files, profile, block)


@pytest.mark.parametrize("example", list(examples()), ids=str)
def test_examples_of_profiles(example, tmp_path):
    paths = written(example.files, tmp_path)
    (mine,) = written([example.profile], tmp_path, "mine.yaml")
    profile = load_profile(mine)
    table = getattr(import_files(paths, profile, now=NOW).crm, example.result.about)
    read = [[cell_text(value, profile.time_zone) for value in row] for row in table[example.result.header].to_numpy()]
    assert read == example.result.rows


def cell_text(value: object, zone: str) -> str:
    if pd.isna(value):
        return ""
    if isinstance(value, pd.Timestamp):
        return f"{value.tz_convert(zone):%Y-%m-%d}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def written(files: list[Block], folder: Path, name: str = "") -> list[Path]:
    paths = [folder / (name or block.about) for block in files]
    for path, block in zip(paths, files, strict=True):
        path.write_text(block.text, encoding="utf-8")
    return paths


# --- commands -------------------------------------------------------------------------------------------------------


def sessions() -> Iterator[tuple[Block, Block, Block]]:
    """A file, the command that imports it, and some of what that says, in its order."""
    for page in PAGES:
        listed = list(blocks(page))
        for file, command, said in zip(listed, listed[1:], listed[2:], strict=False):
            if file.mark.startswith("file") and (command.kind, said.kind) == ("console", "text"):
                yield file, command, said


@pytest.mark.parametrize("session", list(sessions()), ids=lambda each: f"{each[0].page} {each[0].about}")
def test_commands_say_what_the_pages_show(session, tmp_path, monkeypatch):
    file, command, said = session
    written([file], tmp_path)
    monkeypatch.chdir(tmp_path)
    program, *words = shlex.split(command.text)
    assert program == "winpredict"
    ended = CliRunner().invoke(
        app, [*words, "--workspace", str(tmp_path / "w"), *([] if "--profile" in words else ["-y"])]
    )
    assert ended.exit_code == 0, ended.output
    lines = iter(ended.output.split("\n"))
    for line in said.text.strip("\n").split("\n"):
        assert line in lines, f"{line!r} is not in its place in:\n{ended.output}"


def report(
    stages: tuple[str, ...] = ("Closed Won", "Closed Lost", "Qualification"), **columns: str
) -> dict[str, pd.DataFrame]:
    """A Salesforce report of twelve deals; each column is written by a pattern of the deal's number and dates."""
    patterns = {
        "Opportunity ID": columns.get("number", "006A{i}"),
        "Created Date": columns.get("created", "2025-{m:02}-{d:02}"),
        "Close Date": columns.get("closed", "2025-{n:02}-{d:02}"),
        "Amount": columns.get("amount", "{i}00"),
    }
    deals = [{"i": i + 1, "d": i % 11 + 1, "m": i % 3 + 1, "n": i % 3 + 4} for i in range(12)]
    cells = {name: [pattern.format(**deal) for deal in deals] for name, pattern in patterns.items()}
    return {"Opportunity": pd.DataFrame(cells | {"Stage": (list(stages) * 12)[:12]})}


def test_points_to_confirm():
    two_currencies = report(("Closed Won", "Closed Lost", "Qualification", "Signed"), amount="{i}00 €")
    two_currencies["Opportunity"].loc[:5, "Amount"] = "CHF 500"
    frames = (
        report(closed="{d:02}/{n:02}/2025", amount="12.500", number="1.24{i:02}E+11"),
        report(created="2025-{m:02}-{d:02} 15:30", closed="2025-{m:02}-{d:02} 14:10", amount="${i}00"),
        two_currencies,
        report(("Closed Won", "Qualification")),
    )
    every = [winpredict.import_frames(each, profile="salesforce", now=NOW).understood.points for each in frames]
    told = [point["text"] for points in every for point in points]
    for row in rows_of("points"):
        (says,) = codes(row[0])
        assert any(text.startswith(says) for text in told), f"{says} is none of {told}"


def test_exit_codes():
    listed = [int(row[0]) for row in rows_of("exit codes")]
    assert listed == [0, USER_MUST_CHANGE_SOMETHING, UNEXPECTED, INTERRUPTED]
    page = (DOCS / "bring-your-data" / "index.md").read_text(encoding="utf-8")
    assert all(
        option in page for option in ("--profile", "--guess", "--yes", "--json", "--config", "--buckets", "--workspace")
    )


# --- DataFrames -----------------------------------------------------------------------------------------------------


def test_arguments_for_frames_are_explained():
    page = (DOCS / "bring-your-data" / "dataframes.md").read_text(encoding="utf-8")
    for function in (winpredict.import_frames, winpredict.CRMData.from_frames):
        for name in inspect.signature(function).parameters:
            assert f"`{name}`" in page or name in ("deals", "tables"), name


def test_examples_with_frames():
    page = DOCS / "bring-your-data" / "dataframes.md"
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    ended = doctest.testfile(str(page), module_relative=False, optionflags=options, encoding="utf-8")
    assert (ended.failed, ended.attempted > 10) == (0, True)


# --- links ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", page.read_text(encoding="utf-8")):
        linked = page.parent / target if target else page
        assert linked.is_file(), target
        if anchor:
            titles = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles], anchor


def test_every_page_is_linked():
    index = (DOCS / "bring-your-data" / "index.md").read_text(encoding="utf-8")
    assert all(f"({page.name})" in index for page in (DOCS / "bring-your-data").glob("*.md") if page.stem != "index")
