"""Parted imports: the same tables as an import in one piece, whatever the files, and resumed after a kill."""

import json
import os
import zipfile

import numpy as np
import pandas as pd
import pytest
from random_crm import random_tables

from winpredict.errors import InputFileError, ProfileError
from winpredict.ingest import files as files_module
from winpredict.ingest import import_files, load_profile
from winpredict.ingest.files import holds_one_table, read_files
from winpredict.ingest.out_of_core import buckets_for, import_out_of_core, source_plan
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


def assert_same(partitioned: DealBuckets, crm) -> None:
    whole = partitioned.whole()
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
    result = import_out_of_core(raw, profile, tmp_path / "work", number, now=NOW)
    assert_same(result.buckets, expected.crm)
    assert result.repairs == expected.repairs
    assert {each["path"]: each["rows"] for each in result.sources} == {
        each["path"]: each["rows"] for each in expected.sources
    }
    assert {name: len(rows) for name, rows in result.quarantine.items()} == {
        name: len(rows) for name, rows in expected.quarantine.items()
    }


def test_a_later_export_updates_it_bucket_by_bucket(tmp_path, in_parts):
    profile = load_profile("generic")
    first, second = (export(tmp_path / name, "parquet", seed) for name, seed in (("first", 1), ("second", 2)))
    one = import_files([first], profile, now=NOW)
    expected = import_files([second], profile, earlier=one.crm, now=NOW)
    parts = import_out_of_core(read_files([first]), profile, tmp_path / "a", 4, now=NOW)
    result = import_out_of_core(read_files([second]), profile, tmp_path / "b", 4, earlier=parts.buckets, now=NOW)
    for name in ("deals", "accounts", "contacts"):
        assert result.buckets.rows[name] == expected.crm.rows[name]
    same = import_out_of_core(read_files([first]), profile, tmp_path / "c", 4, earlier=parts.buckets, now=NOW)
    assert_same(same.buckets, one.crm)


def later_export(folder, seed):
    """News of some deals: corrections without a date, touches and changes of deals that are not in it, strangers."""
    folder.mkdir()
    tables = random_tables(seed, 60)
    tables["deals"] = tables["deals"].sample(8, random_state=seed).assign(amount=7000.0)
    tables["activities"] = (
        tables["activities"].assign(activity_id=lambda frame: "later" + frame["activity_id"]).head(90)
    )
    tables["deal_history"] = tables["deal_history"].sort_values("changed_at").tail(20)
    strangers = tables["contacts"].head(9).assign(deal_id=[f"stranger{number}" for number in range(9)])
    tables["contacts"] = pd.concat([tables["contacts"].tail(10), strangers])
    tables["accounts"] = tables["accounts"].assign(industry="films")
    for name, frame in tables.items():
        frame.to_parquet(folder / f"{name}.parquet", index=False)
    return folder


@pytest.mark.parametrize("seed", [2, 3, 4])
@pytest.mark.parametrize("turned", [False, True], ids=["in order", "the older one last"])
def test_news_of_some_deals_reach_all_buckets(tmp_path, seed, turned):
    profile = load_profile("generic")
    folders = [export(tmp_path / "first", "parquet", 1), later_export(tmp_path / "second", seed)]
    first, second = folders[::-1] if turned else folders
    one = import_files([first], profile, now=NOW)
    expected = import_files([second], profile, earlier=one.crm, now=NOW)
    parts = import_out_of_core(read_files([first]), profile, tmp_path / "a", 16, now=NOW)
    assert_same(parts.buckets, one.crm)
    assert parts.repairs == one.repairs
    result = import_out_of_core(read_files([second]), profile, tmp_path / "b", 16, earlier=parts.buckets, now=NOW)
    assert_same(result.buckets, expected.crm)
    assert result.repairs == expected.repairs
    for name, frame in expected.crm.tables():
        assert list(getattr(result.buckets.whole(), name)) == list(frame), name


@pytest.mark.parametrize("stop_at", [2, 5, 7])
def test_an_update_that_was_stopped_goes_on(tmp_path, stop_at):
    profile = load_profile("generic")
    first, second = export(tmp_path / "first", "parquet"), later_export(tmp_path / "second", 2)
    earlier = import_out_of_core(read_files([first]), profile, tmp_path / "work", 4, now=NOW).buckets

    def run(place, steps=None):
        raw = read_files([second])
        return import_out_of_core(
            raw, profile, place, 4, plan="it", earlier=earlier, now=NOW, progress=steps
        ).buckets.folder

    def stop(done, of):
        assert of == 8
        if done == stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped", stop)
    at_once, resumed = run(tmp_path / "at once"), run(tmp_path / "stopped")
    files = sorted(path.relative_to(at_once) for path in at_once.rglob("*") if path.is_file())
    assert all((at_once / each).read_bytes() == (resumed / each).read_bytes() for each in files)


def test_lists_and_columns_of_mixed_types(tmp_path):
    """Arrow has columns of one type; JSON, Excel and warehouses have others."""
    folder, profile = tmp_path / "export", load_profile("generic")
    folder.mkdir()
    deals = [
        {
            "deal_id": str(number), "stage": "Demo", "outcome": "open", "created_at": "2024-01-01",
            "closed_at": None, "amount": 12 if number % 2 else "13.5", "tags": [number] if number % 2 else "none",
            "of": {"companies": [{"id": f"c{number}"}] if number else []},
        }
        for number in range(6)
    ]  # fmt: skip
    (folder / "deals.json").write_text("\n".join(map(json.dumps, deals)))
    source = profile.tables["deals"][0]
    source = source.model_copy(update={"columns": source.columns | {"account_id": ("of.companies.0.id",)}})
    profile = profile.model_copy(update={"tables": {"deals": (source,)}})
    expected = import_files([folder], profile, now=NOW)
    assert expected.crm.deals["account_id"].dropna().tolist() == [f"c{number}" for number in range(1, 6)]
    assert_same(import_out_of_core(read_files([folder]), profile, tmp_path / "work", 3, now=NOW).buckets, expected.crm)
    pd.json_normalize(deals).drop(columns=["amount", "tags"]).to_parquet(tmp_path / "deals.parquet")
    typed = import_files([tmp_path / "deals.parquet"], profile, now=NOW)
    assert typed.crm.deals["account_id"].equals(expected.crm.deals["account_id"])


def test_a_disk_without_hard_links(tmp_path, monkeypatch):
    def refuse(source, target):
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    folder, profile = export(tmp_path / "export", "parquet"), load_profile("generic")
    result = import_out_of_core(read_files([folder]), profile, tmp_path / "work", 3, now=NOW)
    assert_same(result.buckets, import_files([folder], profile, now=NOW).crm)


@pytest.mark.parametrize("stop_at", [1, 2, 4])
def test_an_import_that_was_stopped_goes_on_and_gives_the_same_bytes(tmp_path, stop_at):
    folder, profile = export(tmp_path / "export", "parquet"), load_profile("generic")

    def run(place, steps=None):
        return import_out_of_core(
            read_files([folder]), profile, place, 4, plan="it", now=NOW, progress=steps
        ).buckets.folder

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
    result = import_out_of_core(
        read_files([path], in_parts=True), load_profile("generic"), tmp_path / "work", 3, now=NOW
    )
    assert result.buckets.rows["deals"] == 399
    assert result.quarantine["deals"]["row"].tolist() == ["252"]


def test_what_cannot_be_parted_is_said(tmp_path):
    records = [{"account_id": "1", "name": "Acme"}]
    path = tmp_path / "accounts.json"
    path.write_text(json.dumps(records))
    with pytest.raises(InputFileError, match="no file holds deals"):
        import_out_of_core(read_files([path]), load_profile("generic"), tmp_path / "work", 2)
    nameless = tmp_path / "deals.csv"
    nameless.write_text("stage,outcome,created_at,closed_at\nDemo,open,2024-01-01,\n")
    with pytest.raises(ProfileError, match="without --buckets"):
        import_out_of_core(read_files([nameless]), load_profile("generic"), tmp_path / "other", 2)


def test_only_large_files_are_parted_unasked(tmp_path, monkeypatch):
    generic = load_profile("generic")
    path = tmp_path / "deals.csv"
    path.write_text("x" * 1000)
    assert buckets_for([path], generic) is None
    monkeypatch.setattr("winpredict.ingest.out_of_core.LARGE_BYTES", 100)
    monkeypatch.setattr("winpredict.ingest.out_of_core.BYTES_A_BUCKET", 300)
    assert buckets_for([tmp_path], generic) == 4
    plan = source_plan([tmp_path])
    path.write_text("y" * 1001)
    assert source_plan([tmp_path]) != plan
    hubspot = load_profile("hubspot")
    assert buckets_for([tmp_path], hubspot) == 4
    (tmp_path / "deals.json").write_text("x" * 1000)  # its lists cannot be parted
    assert buckets_for([tmp_path], hubspot) is None


def test_an_import_of_a_warehouse_does_not_go_on_with_rows_of_another_day(monkeypatch):
    days = iter(pd.to_datetime(["2024-09-01T08:00Z", "2024-09-01T09:00Z", "2024-09-02T08:00Z"]))
    monkeypatch.setattr(pd.Timestamp, "now", lambda zone: next(days))
    plans = [source_plan(["postgresql://me:secret@host/crm"]) for _ in range(3)]
    assert plans[0] == plans[1] != plans[2]


def test_a_single_table_holds_the_deals_and_only_then(tmp_path):
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "mine.csv").write_text("x\n1\n")
    with zipfile.ZipFile(tmp_path / "one.zip", "w") as archive:
        archive.write(folder / "mine.csv", "mine.csv")
    assert all(map(holds_one_table, ([folder], [folder / "mine.csv"], [tmp_path / "one.zip"])))
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.write(folder / "mine.csv", "deals.csv")
        archive.write(folder / "mine.csv", "leads.csv")
    with pd.ExcelWriter(tmp_path / "two.xlsx") as book:
        for sheet in ("deals", "leads"):
            pd.DataFrame({"x": [1]}).to_excel(book, sheet_name=sheet)
    assert not any(map(holds_one_table, ([tmp_path / "two.zip"], [tmp_path / "two.xlsx"], [tmp_path])))


def test_files_with_a_header_alone_are_as_good_as_absent(tmp_path):
    folder = export(tmp_path / "export", "csv")
    (folder / "quotas.csv").write_text("user_id,period_start,period_end,amount\n")
    (folder / "team_members.csv").write_text((folder / "team_members.csv").read_text().splitlines()[0] + "\n")
    whole = import_files([folder], load_profile("generic"), now=NOW)
    files = list(read_files([folder]))
    result = import_out_of_core(files, load_profile("generic"), tmp_path / "work", 3, plan="", now=NOW)
    assert_same(result.buckets, whole.crm)
    (folder / "deals.csv").write_text((folder / "deals.csv").read_text().splitlines()[0] + "\n")
    with pytest.raises(InputFileError, match="no rows of deals"):
        import_out_of_core(list(read_files([folder])), load_profile("generic"), tmp_path / "none", 3, plan="", now=NOW)
