"""Forty deals, and files of many kinds that hold them."""

import io
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from winpredict.ingest.guess import propose
from winpredict.ingest.importing import import_files
from winpredict.ingest.profiles import load_profile, profile_yaml

NOW = pd.Timestamp("2026-06-01", tz="UTC")
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


@dataclass(frozen=True)
class Deal:
    """A deal as it is in truth."""

    number: int
    outcome: str
    created: date
    closed: date | None
    expected: date
    amount: float
    step: int
    account: int
    owner: int

    @property
    def id(self) -> str:
        return str(self.number)


def _deals() -> list[Deal]:
    draw = random.Random(16)
    deals = []
    for place in range(40):
        outcome = ("won", "lost", "open")[(place * 7 + place // 3) % 3] if place > 2 else ("won", "lost", "open")[place]
        created = date(2024, 1, 8) + timedelta(days=draw.randrange(500))
        end = created + timedelta(days=draw.randrange(9, 160))
        deals.append(
            Deal(
                number=1001 + place,
                outcome=outcome,
                created=created,
                closed=None if outcome == "open" else end,
                expected=end + timedelta(days=draw.randrange(-5, 30)),
                amount=round(draw.uniform(900, 60_000), 2),
                step=draw.randrange(4),
                account=draw.randrange(13),
                owner=draw.randrange(5),
            )
        )
    return deals


DEALS = _deals()


@pytest.fixture(scope="session")
def truth() -> list[Deal]:
    return DEALS


def day_text(day: date | None, form: str) -> str:
    """A day as a file writes it."""
    if day is None:
        return ""
    if form == "serial":
        return str((day - date(1899, 12, 30)).days)
    if form == "month words":
        return f"{day.day:02d}-{_MONTHS[day.month - 1]}-{day.year % 100:02d}"
    if form == "epoch":
        return str(int(pd.Timestamp(day).timestamp() * 1000))
    return day.strftime(form)


def amount_text(amount: float, layout: Mapping[str, Any]) -> str:
    """An amount as a file writes it."""
    text = f"{amount:,.2f}"
    if layout.get("cents"):
        return str(round(amount * 100))
    if "thousands" not in layout:
        text = text.replace(",", "")
    text = text.translate(str.maketrans({",": layout.get("thousands", ""), ".": layout.get("decimal", ".")}))
    return f"{layout.get('before', '')}{text}{layout.get('behind', '')}"


def cells(deal: Deal, layout: Mapping[str, Any]) -> dict[str, str]:
    """What a deal may have in its columns, by role."""
    form, yes_no = layout.get("dates", "%Y-%m-%d"), layout.get("flags", ["Yes", "No"])
    won, lost = (_one_of(layout.get(outcome, outcome.title()), deal.number) for outcome in ("won", "lost"))
    steps = layout.get("stages", ["Prospecting", "Qualification", "Proposal", "Negotiation"])
    status = layout.get("status", {"open": "Open", "won": "Won", "lost": "Lost"})
    ended, day = deal.outcome != "open", lambda moment: day_text(moment, form)
    chance = {"won": 100, "lost": 0}.get(deal.outcome, (10, 25, 50, 75)[deal.step])
    return {
        "id": layout.get("id_form", "{}").format(deal.number),
        "name": f"{layout.get('name_form', 'Project')} {deal.number}",
        "account": f"Client {deal.account}",
        "account_id": f"A{deal.account:04d}",
        "owner": f"Rep {deal.owner}",
        "owner_id": f"U{deal.owner:03d}",
        "stage": {"won": won, "lost": lost}.get(deal.outcome, steps[deal.step % len(steps)]),
        "step": steps[deal.step % len(steps)],
        "status": _one_of(status[deal.outcome], deal.number),
        "amount": amount_text(deal.amount, layout),
        "created": day(deal.created),
        "closed": day(deal.closed),
        "close_date": day(deal.closed or deal.expected),
        "expected": day(deal.expected),
        "won_at": day(deal.closed if deal.outcome == "won" else None),
        "lost_at": day(deal.closed if deal.outcome == "lost" else None),
        "is_won": yes_no[deal.outcome != "won"],
        "is_lost": yes_no[deal.outcome != "lost"],
        "is_closed": yes_no[not ended],
        "deleted": yes_no[1],
        "state": "Closed" if ended else "Open",
        "is_active": yes_no[deal.outcome == "lost"],
        "odoo_stage": "Won" if deal.outcome == "won" else steps[deal.step % len(steps)],
        "chance": str(chance),
        "chance_of_one": str(chance / 100),
        "modified": day((deal.closed or deal.expected) + timedelta(days=2)),
        "reason": "Price too high" if deal.outcome == "lost" else "",
        "source": ("Web", "Partner", "Phone")[deal.number % 3],
        "currency": layout.get("currency", "EUR"),
        "pipeline": ("Sales", "Renewals")[deal.number % 2],
        "new": ("New Business", "Existing Business")[deal.number % 2],
    }


def _one_of(words: Any, number: int) -> str:
    return words if isinstance(words, str) else words[number % len(words)]


def frame_of(layout: Mapping[str, Any]) -> pd.DataFrame:
    """The deals as a table with the labels of a layout."""
    rows = [cells(deal, layout) for deal in DEALS]
    further = layout.get("constants", {})
    return pd.DataFrame(
        [{**{label: row[role] for label, role in layout["columns"].items()}, **further} for row in rows], dtype="str"
    )


def write(frame: pd.DataFrame, path: Path, layout: Mapping[str, Any]) -> Path:
    """Write a table in the format of a layout; returns the file."""
    kind = layout.get("file", "csv")
    file = path / f"{layout.get('named', 'export')}.{kind}"
    if kind in ("csv", "txt", "tsv"):
        text = frame.to_csv(index=False, sep=layout.get("delimiter", ","), lineterminator="\r\n")
        text = "".join(f"{line}\r\n" for line in layout.get("above", ())) + text
        file.write_bytes((text + "".join(layout.get("below", ()))).encode(layout.get("encoding", "utf-8")))
    elif kind == "xlsx":
        frame.to_excel(file, index=False)
    elif kind == "parquet":
        frame.to_parquet(file)
    elif kind == "jsonl":
        records = frame.to_dict(orient="records")
        file.write_text("\n".join(json.dumps(_nested(each)) for each in records), encoding="utf-8")
    elif kind == "json":
        file.write_text(
            json.dumps({"data": [_nested(each) for each in frame.to_dict(orient="records")]}), encoding="utf-8"
        )
    return file


def _nested(record: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, value in record.items():
        *outer, inner = name.split(".")
        place = out
        for each in outer:
            place = place.setdefault(each, {})
        place[inner] = value or None
    return out


@dataclass(frozen=True)
class Result:
    """What came of a guess and the import with it."""

    guess: Any
    imported: Any

    @property
    def points(self) -> str:
        return "\n".join(point["text"] for point in self.guess.points)

    @property
    def deals(self) -> pd.DataFrame:
        return self.imported.crm.deals


@pytest.fixture
def imported(tmp_path) -> Callable[..., Result]:
    """Guess a profile, write it down, and import with what was written."""

    def run(path: Path) -> Result:
        guess = propose([path])
        file = tmp_path / "guessed.yaml"
        file.write_text(profile_yaml(guess.profile), encoding="utf-8")
        return Result(guess, import_files([path], load_profile(file), now=NOW))

    return run


@pytest.fixture
def differences() -> Callable[..., list[str]]:
    """How imported deals differ from the truth."""

    def compare(
        deals: pd.DataFrame, *, without: tuple[str, ...] = (), days: int = 0, tolerance: float = 0.005
    ) -> list[str]:
        found = []
        numbers = deals["deal_id"].str.extract(r"(10\d\d)$")[0]
        by_number = dict(zip(numbers, deals.to_dict("records"), strict=True))
        if len(deals) != len(DEALS):
            found.append(f"{len(deals)} deals")
        for deal in DEALS:
            row = by_number.get(deal.id)
            if row is None:
                found.append(f"{deal.id} is missing")
                continue
            if row["outcome"] != deal.outcome and "outcome" not in without:
                found.append(f"{deal.id} is {row['outcome']}, not {deal.outcome}")
            if "created" not in without and str(row["created_at"])[:10] != str(deal.created):
                found.append(f"{deal.id} is created {row['created_at']}, not {deal.created}")
            if "closed" not in without and deal.closed is not None:
                apart = abs((pd.Timestamp(str(row["closed_at"])[:10]) - pd.Timestamp(deal.closed)).days)
                if not apart <= days:
                    found.append(f"{deal.id} is closed {row['closed_at']}, not {deal.closed}")
            amount = row.get("amount", float("nan"))
            if "amount" not in without and not abs(amount - deal.amount) <= tolerance * deal.amount + 0.5:
                found.append(f"{deal.id} is {amount}, not {deal.amount}")
        return found

    return compare


@pytest.fixture
def render(tmp_path) -> Callable[..., Path]:
    """Write the deals in a layout."""

    def make(layout: Mapping[str, Any]) -> Path:
        return write(frame_of(layout), tmp_path, layout)

    return make


@pytest.fixture
def table() -> Callable[..., pd.DataFrame]:
    """The deals as a table in a layout, to be changed and written."""
    return frame_of


@pytest.fixture
def save(tmp_path) -> Callable[..., Path]:
    """Write a table."""

    def make(frame: pd.DataFrame, **layout: Any) -> Path:
        return write(frame, tmp_path, layout)

    return make


def workbook(sheets: Mapping[str, pd.DataFrame]) -> bytes:
    """A workbook with several sheets."""
    buffer = io.BytesIO()
    with pd.ExcelWriter(buffer) as writer:
        for name, frame in sheets.items():
            frame.to_excel(writer, sheet_name=name, index=False)
    return buffer.getvalue()


@pytest.fixture
def save_workbook(tmp_path) -> Callable[..., Path]:
    """Write a workbook with several sheets."""

    def make(sheets: Mapping[str, pd.DataFrame]) -> Path:
        path = tmp_path / "report.xlsx"
        path.write_bytes(workbook(sheets))
        return path

    return make
