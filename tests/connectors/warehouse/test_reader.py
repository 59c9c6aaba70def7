"""Warehouse in, warehouse out: the same tables as by files, scores merged once, and no secret in any message."""

import json
import os
import re
import secrets
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from urllib.parse import quote

import pandas as pd
import pytest
import sqlalchemy as sa
import yaml
from postgres_server import postgres_server
from typer.testing import CliRunner

from winpredict.cli import app
from winpredict.connectors.warehouse import reader as warehouse
from winpredict.connectors.warehouse import scores_table
from winpredict.connectors.warehouse.reader import read_warehouse, warehouse_name
from winpredict.connectors.warehouse.scores_table import (
    COLUMNS,
    HISTORY,
    LATEST,
    ScoresWritten,
    scores_documentation,
    write_scores,
)
from winpredict.errors import InputFileError, TableError, WinPredictError, WorkspaceError
from winpredict.ingest import import_files, load_profile
from winpredict.ingest.files import is_warehouse, read_files
from winpredict.ingest.importing import import_raw
from winpredict.ingest.out_of_core import import_out_of_core
from winpredict.simulate.world import simulate, write_salesforce_export
from winpredict.workspace import Workspace

ROOT = Path(__file__).resolve().parents[3]
SAMPLES = ROOT.parent / "shared" / "data" / "crm_fixtures"
NOW = pd.Timestamp("2026-01-01", tz="UTC")
# letters that must be written in another way inside a URL
PASSWORD = f"s:e/c@r%t-{secrets.token_hex(6)}"


class Warehouse:
    """A database to fill and to look into."""

    def __init__(self, url: str):
        self.url = url
        self.engine = sa.create_engine(url, poolclass=sa.NullPool)

    def fill(self, schema: str, tables: dict[str, pd.DataFrame], *, typed: bool = False) -> None:
        with self.engine.begin() as connection:
            connection.execute(sa.text(f"create schema if not exists {schema}"))
            for name, frame in tables.items():
                columns = {column: _values(frame[column], typed=typed) for column in frame}
                table = sa.Table(
                    name,
                    sa.MetaData(),
                    *(sa.Column(column, kind) for column, (kind, _) in columns.items()),
                    schema=schema,
                )
                table.create(connection)
                rows = pd.DataFrame({column: values for column, (_, values) in columns.items()}, dtype=object)
                for start in range(0, len(rows), 400):
                    connection.execute(table.insert().values(rows.iloc[start : start + 400].to_dict("records")))

    def run(self, *statements: str) -> None:
        with self.engine.begin() as connection:
            for statement in statements:
                connection.execute(sa.text(statement))

    def rows(self, table: str, order: str = "deal_id, as_of") -> list[tuple]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(sa.text(f"select * from {table} order by {order}"))]


def _values(texts: pd.Series, *, typed: bool) -> tuple[sa.types.TypeEngine, list]:
    """A column of texts as a loader would write it: flags, days, moments and numbers, else texts."""
    known = texts[texts != ""]
    kinds = [
        (r"true|false", sa.Boolean(), lambda text: text.lower() == "true"),
        (r"\d{4}-\d\d-\d\d", sa.Date(), date.fromisoformat),
        (r"\d{4}-\d\d-\d\dT.*", sa.TIMESTAMP(timezone=True), lambda text: pd.Timestamp(text).to_pydatetime()),
        (r"-?\d+\.\d+", sa.Numeric(18, 4, asdecimal=True), str),
        (r"-?(0|[1-9]\d*)", sa.BigInteger(), int),
    ]
    for pattern, kind, read in kinds if typed and len(known) else []:
        if known.str.fullmatch(pattern, case=False).all():
            return kind, [read(text) if text != "" else None for text in texts]
    return sa.String(), [text if text != "" else None for text in texts]


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server of its own, which asks for a password."""
    with postgres_server(PASSWORD) as address:
        yield address


@pytest.fixture(params=["postgresql", "duckdb"])
def place(request, tmp_path):
    """An empty database."""
    if request.param == "duckdb":
        return Warehouse(f"duckdb:///{tmp_path / 'place.duckdb'}")
    return _new_database(request.getfixturevalue("postgres"))


def _new_database(address: str) -> Warehouse:
    server = f"postgresql+psycopg://me:{quote(PASSWORD, safe='')}@{address}"
    name = f"crm_{secrets.token_hex(4)}"
    with sa.create_engine(f"{server}/postgres", isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(sa.text(f"create database {name}"))
    return Warehouse(f"{server}/{name}")


def same(one, other):
    for (name, frame), (_, again) in zip(one.crm.tables(), other.crm.tables(), strict=True):
        pd.testing.assert_frame_equal(frame, again, obj=name)
    assert one.crm.known_until == other.crm.known_until


def by_files(folder: Path, tables: dict[str, pd.DataFrame], profile: str):
    folder.mkdir()
    for name, frame in tables.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    return import_files([folder], load_profile(profile), now=NOW)


def by_warehouse(place: Warehouse, profile: str, schema: str = "crm"):
    mapping = load_profile(profile)
    return import_raw(read_warehouse(place.url, mapping, schema=schema), mapping, now=NOW)


def snake(name: str) -> str:
    return re.sub(r"_+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)).lower()


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    """A simulated export of Salesforce: the file, and its tables as Fivetran spells them."""
    path = tmp_path_factory.mktemp("export") / "export.zip"
    write_salesforce_export(simulate(80, seed=5), path)
    tables = {snake(raw.name): raw.frame.astype(object).rename(columns=snake) for raw in read_files([path])}
    tables["opportunity"] = tables["opportunity"].drop(columns="is_deleted")
    for frame in tables.values():
        frame["_fivetran_synced"], frame["_fivetran_deleted"] = "2025-12-31T00:00:00Z", "false"
    gone = tables["opportunity"].head(1).assign(id="006Gone", _fivetran_deleted="true")
    tables["opportunity"] = pd.concat([tables["opportunity"], gone], ignore_index=True)
    return path, tables


@pytest.mark.parametrize("typed", [False, True], ids=["texts", "typed"])
def test_a_warehouse_gives_the_tables_that_files_give(place, export, tmp_path, monkeypatch, typed):
    monkeypatch.setattr(warehouse, "_CHUNK", 50)  # several fetches a table
    path, tables = export
    place.fill("crm", tables | {"lead": tables["user"]}, typed=typed)
    result = by_warehouse(place, "fivetran_salesforce")
    same(result, by_files(tmp_path / "csv", tables, "fivetran_salesforce"))
    plain = import_files([path], load_profile("salesforce"), now=NOW).crm
    for (_, frame), (_, loaded) in zip(plain.tables(), result.crm.tables(), strict=True):
        pd.testing.assert_frame_equal(
            loaded.rename(columns=snake)[[*map(snake, frame.columns)]], frame.rename(columns=snake)
        )
    assert {source["path"].rsplit(".", 1)[1] for source in result.sources} == {*tables}
    assert not any(name.startswith("_") for name in result.crm.deals)


def test_dlt_tables_of_salesforce(place, export, tmp_path):
    loaded = ("opportunity", "opportunity_contact_role", "account", "task", "event")
    tables = {name: frame.drop(columns=["_fivetran_synced", "_fivetran_deleted"]) for name, frame in export[1].items()}
    tables = {name: tables[name] for name in loaded} | {"sf_user": tables["user"]}
    tables["opportunity_line_item"] = pd.DataFrame(
        {
            "id": ["1"],
            "opportunity_id": tables["opportunity"]["id"].iloc[:1],
            "product2_id": ["p"],
            "is_deleted": ["false"],
        }
    )
    tables = {name: frame.assign(_dlt_id="x1", _dlt_load_id="1735725600.5") for name, frame in tables.items()}
    place.fill("crm", tables, typed=True)
    result = by_warehouse(place, "dlt_salesforce")
    same(result, by_files(tmp_path / "csv", tables, "dlt_salesforce"))
    assert result.crm.line_items["product_id"].tolist() == ["p"]
    assert len(result.crm.users) > 0
    assert not any(name.startswith("_") for name in [*result.crm.deals, *result.crm.accounts])


def test_a_warehouse_in_parts_gives_the_same_in_buckets(place, export, tmp_path, monkeypatch):
    for name, rows in (("_CHUNK", 50), ("ROWS_A_PART", 100)):
        monkeypatch.setattr(warehouse, name, rows)
    place.fill("crm", export[1], typed=True)
    whole = by_warehouse(place, "fivetran_salesforce")
    mapping = load_profile("fivetran_salesforce")
    raw = list(read_warehouse(place.url, mapping, schema="crm", in_parts=True))
    assert len({each.path for each in raw}) < len(raw) - 3
    result = import_out_of_core(raw, mapping, tmp_path / "work", 5, now=NOW)
    assert [(each["path"], each["sha256"], each["rows"]) for each in result.sources] == [
        (each["path"], each["sha256"], each["rows"]) for each in whole.sources
    ]
    for name, frame in whole.crm.tables():
        columns = list(frame.columns)
        partitioned = getattr(result.buckets.whole(), name)
        pd.testing.assert_frame_equal(
            partitioned[columns].sort_values(columns, ignore_index=True), frame.sort_values(columns, ignore_index=True)
        )


def test_types_of_postgresql_that_files_have_not(postgres, tmp_path):
    place = _new_database(postgres)
    place.run(
        "create schema crm",
        "create table crm.deals (deal_id numeric, stage text, outcome text, created_at timestamp, closed_at timestamp,"
        " seen uuid default gen_random_uuid(), tags text[] default '{a,b}', raw jsonb default '{\"a\": [1]}')",
        "insert into crm.deals values (9007199254740993, 'Demo', 'open', '2025-01-01', null), (7.0, 'Demo', 'open',"
        " '2025-01-02', null)",
    )
    whole = by_warehouse(place, "generic").crm
    assert sorted(whole.deals["deal_id"]) == ["7", "9007199254740993"]
    mapping = load_profile("generic")
    raw = read_warehouse(place.url, mapping, schema="crm", in_parts=True)
    partitioned = import_out_of_core(raw, mapping, tmp_path / "work", 3, now=NOW).buckets.whole()
    columns = list(whole.deals)
    pd.testing.assert_frame_equal(partitioned.deals[columns].sort_values("deal_id", ignore_index=True), whole.deals)


def test_times_of_postgresql_that_are_none_elsewhere_are_told_and_taken_as_missing(postgres):
    place = _new_database(postgres)
    place.run(
        "create schema crm",
        "create table crm.deals (deal_id text, stage text, outcome text, created_at timestamptz, closed_at timestamp,"
        " expected_close_date date)",
        "insert into crm.deals values ('a', 'Demo', 'open', '2025-01-01 10:00+00', 'infinity', 'infinity'),"
        " ('b', 'Demo', 'open', '-infinity', null, '2025-03-01'), ('c', 'Demo', 'open', '0044-03-15 BC', null, null)",
        "insert into crm.deals values ('d', 'Demo', 'open', '2025-01-02 10:00+00', null, null)",
    )
    result = by_warehouse(place, "generic")
    assert result.crm.deals["created_at"].tolist()[0] == pd.Timestamp("2025-01-01T10:00Z")
    assert result.crm.deals["created_at"].isna().tolist() == [False, True, True, False]
    assert result.crm.deals["expected_close_date"].notna().tolist() == [False, True, False, False]
    assert result.repairs["deals: created_at is not a date, taken as missing (repaired)"] == 2
    assert result.repairs["deals: expected_close_date is not a date, taken as missing (repaired)"] == 1


DEALS = {
    "deal_id": ["1", "2", "3"],
    "is_deleted": ["false", "false", "true"],
    "deal_pipeline_id": ["default"] * 3,
    "deal_pipeline_stage_id": ["closedwon", "contractsent", "closedlost"],
    "owner_id": ["7", "7", "7"],
    "property_dealname": ["A", "B", "C"],
    "property_amount": ["100.5", "", "7.0"],
    "property_createdate": ["2025-01-01T10:00:00Z"] * 3,
    "property_closedate": ["2025-02-01T10:00:00Z", "2025-09-01T00:00:00Z", "2025-02-01T10:00:00Z"],
    "property_region": ["East", "West", "East"],
    "_fivetran_synced": ["2025-03-01T00:00:00Z"] * 3,
}
STAGES = {
    "deal_id": ["1", "1", "2"],
    "date_entered": ["2025-01-01T10:00:00Z", "2025-01-20T10:00:00Z", "2025-01-02T10:00:00Z"],
    "value": ["contractsent", "closedwon", "contractsent"],
    "_fivetran_active": ["false", "true", "true"],
}
CHANGES = {
    "deal_id": ["1", "1", "1"],
    "timestamp": ["2025-01-02T10:00:00Z", "2025-01-03T10:00:00Z", "2025-01-04T10:00:00Z"],
    "name": ["amount", "closedate", "hubspot_owner_id"],
    "value": ["90", "2025-01-30", "7"],
}


def engagements(kind: str, **columns: list[str]) -> pd.DataFrame:
    shared = {
        "engagement_id": ["50", "51"],
        "_fivetran_deleted": ["false", "true"],
        "property_hs_timestamp": ["2025-01-05T10:00:00Z"] * 2,
        "property_hs_createdate": ["2025-01-05T11:00:00Z"] * 2,
        "property_hubspot_owner_id": ["7", "7"],
    }
    return pd.DataFrame(shared | columns).assign(engagement_id=lambda frame: kind + frame["engagement_id"])


def views() -> list[str]:
    """The statements that the documentation gives."""
    block = re.search(r"```sql\n(.*?)```", (ROOT / "docs" / "warehouse.md").read_text(), re.DOTALL)
    return [each.strip() for each in block[1].split(";") if each.strip()]


def in_schema(statement: str) -> str:
    return re.sub(r"\b(view|from|join) (\w+)", r"\1 crm.\2", statement)


def test_fivetran_tables_of_hubspot(place):
    kinds = ("call", "email", "meeting", "note", "task")
    touches = {f"engagement_{kind}": engagements(kind) for kind in kinds}
    touches["engagement_call"] = engagements("call", property_hs_call_duration=["60000", "1"])
    done = {
        "property_hs_task_status": ["COMPLETED"] * 2,
        "property_hs_task_completion_date": ["2025-01-06T10:00:00Z"] * 2,
    }
    touches["engagement_task"] = engagements("task", **done)
    links = [(f"{kind}{number}", "1") for kind in kinds for number in (50, 51)] + [("call50", "2"), ("call50", "3")]
    tables = {"deal": DEALS, "deal_stage": STAGES, "deal_property_history": CHANGES}
    tables = {name: pd.DataFrame(columns) for name, columns in tables.items()} | touches
    tables["engagement_deal"] = pd.DataFrame(links, columns=["engagement_id", "deal_id"])
    tables["engagement_contact"] = pd.DataFrame({"engagement_id": ["call50"], "contact_id": ["9"]})
    place.fill("crm", tables, typed=True)
    place.run(*map(in_schema, views()))
    result = by_warehouse(place, "fivetran_hubspot")
    deals = result.crm.deals.set_index("deal_id")
    assert deals["outcome"].to_dict() == {"1": "won", "2": "open"}
    assert deals["amount"].dropna().to_dict() == {"1": 100.5}
    assert deals.loc["1", "closed_at"] == pd.Timestamp("2025-01-20T10:00Z")
    assert "_fivetran_synced" not in deals
    assert len(result.crm.deal_history) >= 6
    touched = result.crm.activities.set_index("activity_id")
    assert sorted(touched.index) == ["call50@1", "call50@2", "email50@1", "meeting50@1", "note50@1", "task50@1"]
    call = touched.loc["call50@1"]
    assert (call["activity_type"], call["duration_s"], call["contact_id"]) == ("call", 60.0, "9")


def test_dlt_tables_of_hubspot(place):
    deals = pd.DataFrame(DEALS).rename(columns=lambda name: name.removeprefix("property_"))
    deals = deals.rename(columns={"deal_id": "id", "deal_pipeline_stage_id": "dealstage"}).drop(
        columns="_fivetran_synced"
    )
    stages = pd.DataFrame(STAGES).rename(columns={"deal_id": "object_id", "date_entered": "timestamp"})
    stages = stages.drop(columns="_fivetran_active").assign(property_name="dealstage")
    others = pd.DataFrame(CHANGES).rename(columns={"deal_id": "object_id", "name": "property_name"})
    history = pd.concat([stages, others, stages], ignore_index=True).assign(
        _dlt_id=lambda frame: frame.index.astype(str)
    )
    place.fill("crm", {"deals": deals.assign(_dlt_load_id="1.5"), "deals_property_history": history}, typed=True)
    result = by_warehouse(place, "dlt_hubspot").crm
    assert result.deals.set_index("deal_id")["outcome"].to_dict() == {"1": "won", "2": "open"}
    assert result.deal_history["stage"].dropna().tolist() == ["Contract Sent", "Closed Won", "Contract Sent"]
    assert not any(name.startswith("_dlt") for name in result.deals)


def sample(folder: str, prefix: str) -> dict[str, pd.DataFrame]:
    """Fivetran's own sample rows, with what they lack."""
    tables = {}
    for path in sorted((SAMPLES / folder).glob("*.csv")):
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
        # columns that hold nothing are those that this loader's mode does not have
        tables[path.stem.removeprefix(prefix).removesuffix("_data")] = frame.loc[:, (frame != "").any()]
    return tables


@pytest.mark.skipif(not SAMPLES.exists(), reason="the data folder is not beside the project")
def test_the_samples_of_fivetran_for_salesforce(place, tmp_path):
    tables = sample("fivetran_dbt_salesforce", "sf_")
    # every opportunity of the sample is deleted, and its tasks are of other ones
    deals = tables["opportunity"]
    deals["is_deleted"] = ["false", "true"] * 5
    deals["_fivetran_active"] = ["true"] * 8 + ["false"] * 2
    tables["opportunity_history"]["is_deleted"] = "false"
    tables["task"]["what_id"] = deals["id"].tolist()
    place.fill("crm", tables)
    result = by_warehouse(place, "fivetran_salesforce")
    same(result, by_files(tmp_path / "csv", tables, "fivetran_salesforce"))
    live = set(deals["id"].iloc[[0, 2, 4, 6]])
    assert set(result.crm.deals["deal_id"]) == live
    assert set(result.crm.deal_history["deal_id"]) <= live
    assert {source["path"].rsplit(".", 1)[1] for source in result.sources} == {
        "account", "event", "opportunity", "opportunity_history", "opportunity_line_item", "task", "user",
    }  # fmt: skip


@pytest.mark.skipif(not SAMPLES.exists(), reason="the data folder is not beside the project")
def test_the_samples_of_fivetran_for_hubspot(place, tmp_path):
    tables = sample("fivetran_dbt_hubspot", "")
    deals = tables["deal"]
    deals.loc[:4, "is_deleted"] = "true"
    deals["deal_pipeline_stage_id"] = "contractsent"  # the sample has no stages, and deals without a label are refused
    tables["deal_stage"]["deal_id"] = deals["deal_id"].tail(len(tables["deal_stage"])).tolist()
    # no engagement of the sample is linked to its deal, and its tasks have no completion
    met = tables["engagement_meeting"]["engagement_id"].head(3).tolist()
    links = {"engagement_id": [*met, "32034933897"], "deal_id": deals["deal_id"].tail(4).tolist()}
    tables["engagement_deal"] = pd.DataFrame(links)
    tables["engagement_task"]["property_hs_task_completion_date"] = "2023-03-04 10:00:00"
    place.fill("crm", tables)
    place.run(*map(in_schema, views()))
    result = by_warehouse(place, "fivetran_hubspot")
    mapped = {name: tables[name] for name in ("deal", "deal_stage", "deal_property_history", "company", "owner")}
    plain = by_files(tmp_path / "csv", mapped, "fivetran_hubspot")
    for name, frame in plain.crm.tables():
        pd.testing.assert_frame_equal(dict(result.crm.tables())[name], frame, obj=name)
    assert len(result.crm.deals) == len(deals) - 5
    assert result.crm.activities["activity_type"].value_counts().to_dict() == {"meeting": 3, "task": 1}


def test_long_ids_beside_missing_ones_keep_their_digits(place):
    rows = pd.DataFrame({"deal_id": ["9007199254740993", ""], "outcome": ["won", "lost"], "stage": ["Won", "Lost"]})
    place.fill("crm", {"deals": rows}, typed=True)
    raw = next(read_warehouse(place.url, load_profile("generic"), schema="crm"))
    assert raw.frame["deal_id"].tolist() == [9007199254740993, None]
    result = import_raw([raw], load_profile("generic"), now=NOW)
    assert result.crm.deals["deal_id"].tolist() == ["9007199254740993"]


def test_the_digest_tells_other_rows_and_not_another_order(place):
    rows = pd.DataFrame({"deal_id": ["a", "b"], "stage": ["Won", ""]})
    place.fill("one", {"deals": rows})
    place.fill("two", {"deals": rows.iloc[::-1]})
    place.fill("three", {"deals": rows.assign(stage=["", "Won"])})
    read = {
        name: next(read_warehouse(place.url, load_profile("generic"), schema=name)).sha256
        for name in ("one", "two", "three")
    }
    assert read["one"] == read["two"] != read["three"]


def test_an_empty_table_beside_others_is_no_error(place):
    rows = pd.DataFrame({"deal_id": ["a"], "stage": ["Won"]})
    touches = pd.DataFrame({"activity_id": [], "deal_id": [], "occurred_at": [], "activity_type": []}, dtype=object)
    place.fill("crm", {"deals": rows, "activities": touches})
    assert len(by_warehouse(place, "generic").crm.deals) == 1


# ---- scores


def scored(as_of: str, odds: dict[str, float | None], version: str = "1") -> pd.DataFrame:
    moment = pd.Timestamp(as_of, tz="UTC")
    frame = pd.DataFrame({"deal_id": list(odds), "win_probability": list(odds.values())}).assign(
        as_of=moment, low=0.1, high=0.9, p_win_30d=0.2, p_win_quarter=float("nan"), band="low", model_version=version,
        scored_at=pd.Timestamp.now("UTC"), given="", next_step="Call", flags="at_risk,silent",
        **{f"reason_{number}": "" for number in range(1, 6)},
    )  # fmt: skip
    return frame[list(COLUMNS)]


@pytest.fixture
def out(place):
    place.run("create schema analytics")
    return place


def write(place: Warehouse, scores: pd.DataFrame) -> ScoresWritten:
    return write_scores(place.url, scores, schema="analytics")


def held(place: Warehouse, table: str) -> list[tuple]:
    return [(row[0], f"{row[1]:%m-%d}", row[2]) for row in place.rows(f"analytics.{table}")]


def test_scores_merged_twice_change_nothing(out):
    march = scored("2025-03-01", {"a": 0.5, "b": 1 / 3})
    assert write(out, march) == ScoresWritten(new=2, changed=0, unchanged=0)
    before = out.rows(f"analytics.{LATEST}"), out.rows(f"analytics.{HISTORY}")
    assert write(out, scored("2025-03-01", {"b": 1 / 3, "a": 0.5})) == ScoresWritten(new=0, changed=0, unchanged=2)
    assert (out.rows(f"analytics.{LATEST}"), out.rows(f"analytics.{HISTORY}")) == before
    assert before[0] == before[1]
    row = dict(zip(COLUMNS, before[0][1], strict=True))
    assert row["win_probability"] == 1 / 3
    assert row["p_win_quarter"] is None
    assert row["as_of"] == pd.Timestamp("2025-03-01", tz="UTC")
    assert write(out, scored("2025-03-01", {"a": 0.6, "c": 0.1})) == ScoresWritten(new=1, changed=1, unchanged=0)
    assert write(out, march.head(0)) == ScoresWritten(0, 0, 0)
    assert held(out, LATEST) == [("a", "03-01", 0.6), ("c", "03-01", 0.1)]


def test_later_scores_replace_the_latest_and_earlier_ones_do_not(out):
    write(out, scored("2025-03-01", {"a": 0.5, "b": 0.4}))
    assert write(out, scored("2025-03-08", {"b": 0.3, "c": 0.2})).new == 2
    latest = [("b", "03-08", 0.3), ("c", "03-08", 0.2)]
    assert held(out, LATEST) == latest
    assert write(out, scored("2025-03-01", {"a": 0.7, "b": 0.9, "d": 0.1})) == ScoresWritten(1, 2, 0)
    assert held(out, LATEST) == latest
    assert held(out, HISTORY) == [
        ("a", "03-01", 0.7), ("b", "03-01", 0.9), ("b", "03-08", 0.3), ("c", "03-08", 0.2), ("d", "03-01", 0.1),
    ]  # fmt: skip


def test_scores_of_several_moments_at_once(out):
    both = pd.concat([scored("2025-03-01", {"a": 0.5, "b": 0.5}), scored("2025-03-08", {"a": 0.6})])
    assert write(out, both).new == 3
    assert held(out, LATEST) == [("a", "03-08", 0.6)]


def test_many_scores(out):
    many = scored("2025-03-01", {f"deal {number}": number / 1234 for number in range(1234)})
    assert write(out, many) == ScoresWritten(1234, 0, 0)
    assert write(out, many) == ScoresWritten(0, 0, 1234)


def test_a_failure_in_between_leaves_the_old_state(out, monkeypatch):
    write(out, scored("2025-03-01", {"a": 0.5}))
    before = out.rows(f"analytics.{LATEST}"), out.rows(f"analytics.{HISTORY}")

    def fail(*_):
        raise RuntimeError("power cut")

    monkeypatch.setattr(scores_table, "_renew", fail)
    with pytest.raises(RuntimeError, match="power cut"):
        write(out, scored("2025-03-08", {"a": 0.6, "b": 0.1}))
    assert (out.rows(f"analytics.{LATEST}"), out.rows(f"analytics.{HISTORY}")) == before
    monkeypatch.undo()
    assert write(out, scored("2025-03-08", {"a": 0.6, "b": 0.1})).new == 2


KILLED = """
import os, sys
import pandas as pd
from winpredict.connectors.warehouse import scores_table
from winpredict.connectors.warehouse import reader as warehouse
merge = scores_table._merge
def killed(connection, stage, table):
    merge(connection, stage, table)
    if table.name == scores_table.LATEST:
        os._exit(9)
scores_table._merge = killed
scores_table.write_scores("env:PLACE", pd.read_parquet(sys.argv[1]), schema="analytics")
"""


def test_a_killed_run_leaves_the_old_state(out, tmp_path):
    write(out, scored("2025-03-01", {"a": 0.5}))
    before = out.rows(f"analytics.{LATEST}"), out.rows(f"analytics.{HISTORY}")
    later = scored("2025-03-08", {"a": 0.6, "b": 0.1})
    later.to_parquet(tmp_path / "later.parquet")
    command = [sys.executable, "-c", KILLED, tmp_path / "later.parquet"]
    assert subprocess.run(command, env=os.environ | {"PLACE": out.url}, capture_output=True).returncode == 9
    assert (out.rows(f"analytics.{LATEST}"), out.rows(f"analytics.{HISTORY}")) == before
    assert write(out, later).new == 2


def test_scores_without_a_column_or_with_a_deal_twice_are_refused(out):
    march = scored("2025-03-01", {"a": 0.5})
    with pytest.raises(TableError, match=r"lack the column\(s\) band"):
        write(out, march.drop(columns="band"))
    with pytest.raises(TableError, match="twice"):
        write(out, pd.concat([march, march]))
    with pytest.raises(TableError, match="no place in a history"):
        write(out, march.assign(as_of=pd.NaT))


def test_tables_of_an_earlier_version_get_the_newer_columns(out):
    march = scored("2025-03-01", {"a": 0.5})
    write(out, march)
    for table in (LATEST, HISTORY):
        for column in ("given", "next_step", "flags"):
            out.run(f"alter table analytics.{table} drop column {column}")
    assert write(out, scored("2025-04-01", {"a": 0.6})).new == 1
    told = out.rows(f"(select as_of, next_step from analytics.{HISTORY}) of_each", "as_of")
    assert [(f"{at:%m-%d}", step) for at, step in told] == [("03-01", None), ("04-01", "Call")]


def test_a_table_of_another_shape_is_left_alone(out):
    out.run(f"create table analytics.{LATEST} (deal_id varchar, mine varchar)")
    with pytest.raises(WorkspaceError, match=f"{LATEST} has the columns deal_id, mine instead of .*; rename it"):
        write(out, scored("2025-03-01", {"a": 0.5}))
    assert out.rows(f"analytics.{LATEST}", "1") == []


def test_a_table_of_other_types_is_left_alone(out):
    out.run(f"create table analytics.{LATEST} ({', '.join(f'{name} varchar' for name in COLUMNS)})")
    with pytest.raises(WorkspaceError, match=f"rename a {LATEST} or {HISTORY} whose columns have other types"):
        write(out, scored("2025-03-01", {"a": 0.5}))
    assert HISTORY not in sa.inspect(out.engine).get_table_names("analytics")


def test_bigquery_takes_no_scores(out, monkeypatch):
    monkeypatch.setattr(type(out.engine.dialect), "name", "bigquery")
    with pytest.raises(WorkspaceError, match="cannot be merged into BigQuery in one transaction"):
        write(out, scored("2025-03-01", {"a": 0.5}))


def test_the_documentation_has_every_column():
    models = {model["name"]: model for model in yaml.safe_load(scores_documentation())["models"]}
    assert list(models) == [LATEST, HISTORY]
    for model in models.values():
        assert [column["name"] for column in model["columns"]] == list(COLUMNS)
        assert all(column["description"] for column in model["columns"])
    tests = {name: model["columns"][0].get("data_tests") for name, model in models.items()}
    assert tests == {LATEST: ["not_null", "unique"], HISTORY: ["not_null"]}


# ---- what goes wrong


def refused(call) -> str:
    """The message of an error of the family, and everything a traceback would print of it."""
    with pytest.raises(WinPredictError) as told:
        call()
    chain, error = [], told.value
    while error is not None:
        chain.append(f"{error} {error!r}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    assert "hunter2" not in " ".join(chain)
    assert PASSWORD not in " ".join(chain)
    return str(told.value)


def both_ways(url: str) -> list[str]:
    return [
        refused(lambda: list(read_warehouse(url, load_profile("generic")))),
        refused(lambda: write_scores(url, scored("2025-03-01", {"a": 0.5}))),
    ]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://me:hunter2@nowhere.invalid/crm", "postgresql://nowhere.invalid/crm cannot be opened"),
        ("postgresql://me:hunter2@127.0.0.1:1/crm", "cannot be opened: .*check host"),
        ("postgresql://me:hunter2@127.0.0.1:port/crm", "cannot be understood"),
        ("postgresql://me:hunter2@x@127.0.0.1/crm", "cannot be understood; .*%40 for @"),
        ("postgresql://me@127.0.0.1:1/crm?sslpassword=hunter2", "cannot be opened"),
        ("postgresql://me@127.0.0.1:1/crm?nonsense_token=hunter2", "cannot be opened"),
        ("postgresql hunter2://", "cannot be understood"),
        ("snowflake://me:hunter2@account/db/schema", "pip install 'snowflake-sqlalchemy'"),
        ("bigquery://project/dataset?credentials_base64=hunter2", "pip install 'sqlalchemy-bigquery'"),
        ("oracle9://me:hunter2@host/db", "oracle9 cannot be reached from here; install the package"),
        ("env:postgresql://me:hunter2@host/crm", "such as env:WAREHOUSE"),
        ("duckdb:////nowhere/at/all.duckdb", "cannot be opened"),
        ("env:NOT_SET_AT_ALL", "environment variable NOT_SET_AT_ALL is not set"),
    ],
)
def test_what_cannot_be_reached_is_a_sentence_without_secrets(url, message):
    for told in both_ways(url):
        assert re.search(message, told), told


@pytest.mark.parametrize("typed", ["postgres:/me:hunter2@host/crm", "postgres//me:hunter2@host", "pg:me:hunter2@host"])
def test_a_mistyped_url_that_passes_for_a_path_is_not_repeated(typed):
    assert not is_warehouse(typed)
    with pytest.raises(InputFileError, match=r"the path with an @ .* does not exist") as caught:
        import_files([typed], load_profile("generic"))
    assert "hunter2" not in str(caught.value)


def test_a_wrong_password_is_a_sentence_without_it(postgres, monkeypatch):
    monkeypatch.delenv("PGPASSWORD", raising=False)
    wrong = f"postgresql://me:hunter2@{postgres}/postgres"
    monkeypatch.setenv("WAREHOUSE", wrong)
    for told in [*both_ways(wrong), *both_ways("env:WAREHOUSE"), *both_ways(f"postgresql://me@{postgres}/postgres")]:
        assert "password" in told


def test_the_password_may_come_from_outside_the_url(postgres, monkeypatch):
    place = _new_database(postgres)
    place.fill("crm", {"deals": pd.DataFrame({"deal_id": ["a"], "stage": ["Won"]})})
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    plain = f"postgresql://me@{postgres}/{place.engine.url.database}"
    raw = next(read_warehouse(plain, load_profile("generic"), schema="crm"))
    assert raw.path == f"{plain.replace('me@', '')}/crm.deals"


def test_a_schema_without_such_tables_tells_what_is_there(place):
    place.fill("crm", {"leads": pd.DataFrame({"id": ["1"]})})
    told = refused(lambda: by_warehouse(place, "generic"))
    assert "schema crm has no table that profile generic maps" in told
    assert "there are leads" in told
    assert "there are none" in refused(lambda: by_warehouse(place, "generic", "nowhere"))
    assert refused(lambda: write_scores(place.url, scored("2025-03-01", {"a": 0.5}), schema="nowhere"))


def test_a_table_that_may_not_be_read_is_a_sentence(postgres):
    place = _new_database(postgres)
    place.fill("crm", {"deals": pd.DataFrame({"deal_id": ["a"]})})
    user = f"reader_{secrets.token_hex(3)}"
    place.run(f"create role {user} login password 'hunter2'", f"grant usage on schema crm to {user}")
    url = f"postgresql://{user}:hunter2@{postgres}/{place.engine.url.database}"
    told = refused(lambda: list(read_warehouse(url, load_profile("generic"), schema="crm")))
    assert "permission denied" in told


def test_reading_leaves_no_file_behind(tmp_path):
    refused(lambda: list(read_warehouse(f"duckdb:///{tmp_path / 'no.duckdb'}", load_profile("generic"))))
    assert list(tmp_path.iterdir()) == []


def test_sqlalchemy_is_asked_for_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    assert "pip install 'winpredict[warehouse]'" in refused(lambda: warehouse_name("postgresql://me:hunter2@host/db"))


def test_the_command_line_starts_without_sqlalchemy():
    code = "import sys, winpredict.cli.data, winpredict.cli.scoring; sys.exit('sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_two_runs_at_once_write_one_after_the_other(postgres):
    place = _new_database(postgres)
    scores = scored("2025-03-01", {f"d{number}": 0.5 for number in range(200)})
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: write_scores(place.url, scores), range(4)))
    assert sorted(each.new for each in found) == [0, 0, 0, 200]
    assert len(place.rows(HISTORY)) == len(place.rows(LATEST)) == 200


# ---- the commands


def run(*words, code=0):
    found = CliRunner().invoke(app, [str(word) for word in words])
    assert found.exit_code == code, found.output
    assert PASSWORD not in found.output + found.stderr
    return found


QUICK = "model: {bags: 2, trees: 30, learning_rate: 0.2, threads: 1}\n"


def test_from_a_warehouse_to_scores_in_it(place, tmp_path, monkeypatch, caplog):
    caplog.set_level("DEBUG")
    write_salesforce_export(simulate(500, seed=5), tmp_path / "export.zip")
    tables = {
        snake(raw.name): raw.frame.astype(object).rename(columns=snake) for raw in read_files([tmp_path / "export.zip"])
    }
    place.fill("salesforce", tables)
    place.run("create schema analytics")
    monkeypatch.setenv("WAREHOUSE", place.url)
    (tmp_path / "quick.yaml").write_text(QUICK)
    w = ["--workspace", tmp_path / "w"]
    words = ["import", "env:WAREHOUSE", "--profile", "fivetran_salesforce", "--schema", "salesforce", *w, "--json"]
    first = json.loads(run(*words).output)
    assert json.loads(run(*words).output)["fingerprint"] == first["fingerprint"]
    manifest = (Workspace(tmp_path / "w").version().folder / "manifest.json").read_text()
    assert f"{warehouse_name(place.url)}/salesforce.opportunity" in manifest
    for text in (manifest, caplog.text):
        assert PASSWORD not in text
        assert quote(PASSWORD, safe="") not in text
    run("train", *w, "--config", tmp_path / "quick.yaml")
    to = ["score", *w, "--to", "env:WAREHOUSE", "--to-schema", "analytics"]
    parsed = json.loads(run(*to, "--json", "--out", tmp_path / "scores.parquet").output)
    assert parsed["warehouse"] == {"new": parsed["deals"], "changed": 0, "unchanged": 0}
    assert list(pd.read_parquet(tmp_path / "scores.parquet").columns) == list(COLUMNS)
    assert f"0 new, 0 changed, {parsed['deals']:,} unchanged" in run(*to, "--dbt", tmp_path / "m" / "scores.yml").output
    assert (tmp_path / "m" / "scores.yml").read_text() == scores_documentation()
    assert len(place.rows(f"analytics.{LATEST}")) == parsed["deals"]
    assert "cannot be opened" in run("score", *w, "--to", "duckdb:////nowhere/at/all.duckdb", code=2).stderr


def test_a_profile_is_not_guessed_from_a_warehouse():
    told = run("import", "postgresql://me:hunter2@host/crm", "--guess", code=2)
    assert "Save the table" in told.output + told.stderr
    assert "hunter2" not in told.output + told.stderr
