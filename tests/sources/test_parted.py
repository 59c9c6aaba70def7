"""Parted imports: the same tables as an import in one piece, whatever the files, and resumed after a kill."""

import json

import numpy as np
import pandas as pd
import pytest
from random_crm import random_tables

from winpredict._common.errors import InputFileError, ProfileError
from winpredict.sources import files as files_module
from winpredict.sources import import_files, load_profile
from winpredict.sources.files import read_files
from winpredict.sources.parted import buckets_for, import_parted, source_plan
from winpredict.tables.buckets import DealBuckets

NOW = pd.Timestamp("2024-09-01", tz="UTC")


@pytest.fixture
def in_parts(monkeypatch):
    """Small files come in parts too."""
    for name, value in (("SMALL_BYTES", 1), ("ROWS_A_PART", 37), ("_BYTES_A_PART", 2000)):
        monkeypatch.setattr(files_module, name, value)


def export(folder, kind, seed=0, deals=60):
    """Files with odd dates, decimal commas, numbers as text and repeated rows."""
    folder.mkdir(exist_ok=True)
    tables = random_tables(seed, deals)
    rng = np.random.default_rng(seed)
    odd = tables["deals"]
    odd["code"] = [f"0{number}" for number in range(deals)]
    odd["size"] = rng.integers(1, 9, deals).astype(str)
    odd["since"] = pd.Series(pd.date_range("2020-01-01", periods=deals).strftime("%Y-%m-%d"))
    if kind == "csv":
        odd["amount"] = odd["amount"].map(
            lambda value: None if value != value else f"{value / 7:.2f}".replace(".", ",")
        )
        odd["created_at"] = odd["created_at"].dt.strftime("%d/%m/%Y %H:%M")
    tables["deals"] = pd.concat([odd, odd.head(3)])
    for name, frame in tables.items():
        if kind == "csv":
            frame.to_csv(folder / f"{name}.csv", index=False)
        else:
            frame.to_parquet(folder / f"{name}.parquet", index=False)
    return folder


def assert_same(parted: DealBuckets, crm) -> None:
    whole = parted.whole()
    assert (whole.stage_order, whole.known_until) == (crm.stage_order, crm.known_until)
    for name, frame in crm.tables():
        columns = list(frame.columns)
        other = getattr(whole, name)
        assert set(columns) == set(other.columns), name
        ordered = [each[columns].sort_values(columns, ignore_index=True) for each in (frame, other)]
        pd.testing.assert_frame_equal(*ordered)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("number", [1, 7])
def test_it_equals_an_import_in_one_piece(tmp_path, in_parts, kind, number):
    folder, profile = export(tmp_path / "export", kind), load_profile("generic")
    expected = import_files([folder], profile, now=NOW)
    raw = list(read_files([folder], in_parts=True))
    assert len(raw) > 6  # in parts indeed
    found = import_parted(raw, profile, tmp_path / "work", number, now=NOW)
    assert_same(found.buckets, expected.crm)
    assert found.repairs == expected.repairs
    assert {each["path"]: each["rows"] for each in found.sources} == {
        each["path"]: each["rows"] for each in expected.sources
    }
    assert {name: len(rows) for name, rows in found.quarantine.items()} == {
        name: len(rows) for name, rows in expected.quarantine.items()
    }


def test_a_later_export_updates_it_bucket_by_bucket(tmp_path, in_parts):
    profile = load_profile("generic")
    first, second = (export(tmp_path / name, "parquet", seed) for name, seed in (("first", 1), ("second", 2)))
    one = import_files([first], profile, now=NOW)
    expected = import_files([second], profile, earlier=one.crm, now=NOW)
    parts = import_parted(read_files([first]), profile, tmp_path / "a", 4, now=NOW)
    found = import_parted(read_files([second]), profile, tmp_path / "b", 4, earlier=parts.buckets, now=NOW)
    for name in ("deals", "accounts", "contacts"):
        assert found.buckets.rows[name] == expected.crm.rows[name]
    same = import_parted(read_files([first]), profile, tmp_path / "c", 4, earlier=parts.buckets, now=NOW)
    assert_same(same.buckets, one.crm)


@pytest.mark.parametrize("stop_at", [1, 2, 4])
def test_an_import_that_was_stopped_goes_on_and_gives_the_same_bytes(tmp_path, stop_at):
    folder, profile = export(tmp_path / "export", "parquet"), load_profile("generic")

    def run(place, steps=None):
        return import_parted(read_files([folder]), profile, place, 4, plan="it", now=NOW, steps=steps).buckets.folder

    def stop(done, of):
        if done == stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped", stop)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "stopped" / "done").glob("*/done.json")}
    assert len(before) == stop_at
    at_once, resumed = run(tmp_path / "at once"), run(tmp_path / "stopped")
    assert all(path.stat().st_mtime_ns == moment for path, moment in before.items())
    files = sorted(path.relative_to(at_once) for path in at_once.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(resumed) for path in resumed.rglob("*") if path.is_file())
    assert all((at_once / each).read_bytes() == (resumed / each).read_bytes() for each in files)


def test_lines_that_do_not_fit_are_kept_and_numbered(tmp_path, in_parts):
    lines = [f"d{number},Demo,open,2024-01-0{1 + number % 9},," for number in range(400)]
    lines[250] = "d250,Demo,open,2024-01-01,,,,,too,many"
    path = tmp_path / "deals.csv"
    path.write_text("\n".join(["deal_id,stage,outcome,created_at,closed_at,note", *lines]) + "\n")
    found = import_parted(read_files([path], in_parts=True), load_profile("generic"), tmp_path / "work", 3, now=NOW)
    assert found.buckets.rows["deals"] == 399
    assert found.quarantine["deals"]["row"].tolist() == ["252"]


def test_what_cannot_be_parted_is_said(tmp_path):
    records = [{"account_id": "1", "name": "Acme"}]
    path = tmp_path / "accounts.json"
    path.write_text(json.dumps(records))
    with pytest.raises(InputFileError, match="no file holds deals"):
        import_parted(read_files([path]), load_profile("generic"), tmp_path / "work", 2)
    nameless = tmp_path / "deals.csv"
    nameless.write_text("stage,outcome,created_at,closed_at\nDemo,open,2024-01-01,\n")
    with pytest.raises(ProfileError, match="without --buckets"):
        import_parted(read_files([nameless]), load_profile("generic"), tmp_path / "other", 2)


def test_only_large_files_are_parted_unasked(tmp_path, monkeypatch):
    path = tmp_path / "deals.csv"
    path.write_text("x" * 1000)
    assert buckets_for([path]) is None
    monkeypatch.setattr("winpredict.sources.parted.LARGE_BYTES", 100)
    monkeypatch.setattr("winpredict.sources.parted.BYTES_A_BUCKET", 300)
    assert buckets_for([tmp_path]) == 4
    plan = source_plan([tmp_path])
    path.write_text("y" * 1001)
    assert source_plan([tmp_path]) != plan
