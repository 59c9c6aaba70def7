"""The Spark engine gives what one machine gives: counts to the bit, floats within 1e-12."""

import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pandas as pd
import pytest
from postgres_server import postgres_server
from random_crm import random_tables

from winpredict.cli import app
from winpredict.config import Config
from winpredict.connectors.warehouse.reader import read_warehouse
from winpredict.errors import ProfileError, TableError, WinPredictError
from winpredict.explain.scores import score
from winpredict.features.dataset import build_dataset
from winpredict.ingest import import_files, load_profile
from winpredict.ingest.files import read_files
from winpredict.ingest.importing import import_raw
from winpredict.ingest.out_of_core import import_out_of_core
from winpredict.models.registry import log_training
from winpredict.models.snapshots import pipeline
from winpredict.models.training import train
from winpredict.simulate.world import simulate
from winpredict.tables.buckets import DealBuckets, bucket_of

pytest.importorskip("pyspark", reason="PySpark is not installed")
if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
    pytest.skip("there is no Java for Spark", allow_module_level=True)

from winpredict import spark as engine

#: PostgreSQL's driver as Debian installs it (libpostgresql-jdbc-java).
JDBC = Path("/usr/share/java/postgresql.jar")
BUCKETS = 3
NOW = pd.Timestamp("2026-01-01", tz="UTC")
ATTRIBUTES = ("account_id", "product", "lead_source", "region", "account_industry", "account_employees")
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def session():
    os.environ["PYSPARK_PYTHON"] = sys.executable
    from pyspark.sql import SparkSession

    settings = {"spark.ui.enabled": "false", "spark.sql.shuffle.partitions": "2", "spark.sql.session.timeZone": "UTC"}
    settings["spark.driver.extraJavaOptions"] = "-Duser.timezone=Asia/Tokyo"  # wherever the cluster stands
    if JDBC.exists():
        settings["spark.jars"] = str(JDBC)
    builder = SparkSession.builder.master("local[2]").appName("tests")
    for name, value in settings.items():
        builder = builder.config(name, value)
    running = builder.getOrCreate()
    running.sparkContext.setLogLevel("OFF")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with raw Parquet tables, and what one machine makes of them."""
    folder = tmp_path_factory.mktemp("spark")
    (folder / "raw").mkdir()
    for name, frame in simulate(deals=700, seed=3).crm.tables():
        frame.to_parquet(folder / "raw" / f"{name}.parquet", index=False)
    return folder


@pytest.fixture(scope="module")
def local(place):
    raw = read_files([place / "raw"], in_parts=True)
    return import_out_of_core(raw, load_profile("generic"), place / "work", BUCKETS, now=NOW).buckets


@pytest.fixture(scope="module")
def tables(session, place):
    """What Spark makes of them, written and read again."""
    found, repairs = engine.import_tables(
        engine.read_raw(session, str(place / "raw")), load_profile("generic"), BUCKETS, now=NOW
    )
    assert repairs == {}
    found.write(str(place / "tables"))
    return engine.SparkTables.read(session, str(place / "tables"))


def assert_alike(ours: pd.DataFrame, theirs: pd.DataFrame, key: list[str]) -> None:
    assert set(ours.columns) == set(theirs.columns)
    ordered = [frame[ours.columns].sort_values(key, ignore_index=True) for frame in (ours, theirs)]
    pd.testing.assert_frame_equal(*ordered, check_dtype=False, rtol=0, atol=1e-12)
    whole = [name for name in ours.select_dtypes("number") if (ours[name].dropna() % 1 == 0).all()]
    pd.testing.assert_frame_equal(*(frame[whole] for frame in ordered), check_dtype=False, check_exact=True)


def test_an_import_gives_the_same_tables(local, tables, place):
    ours, theirs = local.whole(), DealBuckets.open(place / "tables").whole()
    assert (ours.stage_order, ours.known_until) == (theirs.stage_order, theirs.known_until)
    for name, frame in ours.tables():
        assert_alike(frame, getattr(theirs, name), list(frame.columns))


def test_features_are_the_same(local, tables, tmp_path):
    ours = pd.concat(list(build_dataset(local, tmp_path / "features", attributes=ATTRIBUTES)))
    theirs = engine.build_dataset(tables, attributes=ATTRIBUTES).toPandas().drop(columns="bucket")
    assert len(ours) > 3000
    assert_alike(ours, theirs, ["deal_id", "as_of"])


def test_scores_and_reasons_are_the_same_from_the_command_line_too(local, tables, place, tmp_path):
    from typer.testing import CliRunner

    model = train(local, Config(model={"bags": 2, "trees": 20}))
    ours = score(model, local, scored_at=NOW)
    theirs = engine.score(tables, model, scored_at=NOW).toPandas().drop(columns="bucket")
    assert_alike(ours, theirs, ["deal_id"])
    assert ours.sort_values("deal_id")["reason_1"].tolist() == theirs.sort_values("deal_id")["reason_1"].tolist()
    example = model.build_features(local.whole(), pipeline(local.whole(), local.known_until))
    log_training(tmp_path / "workspace", model, config=Config(), fingerprint="", example=example)
    asked = ["spark", "score", str(place / "tables"), "--out", str(tmp_path / "scores"), "--json"]
    done = CliRunner().invoke(app, [*asked, "--workspace", str(tmp_path / "workspace")], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    written = pd.read_parquet(tmp_path / "scores")
    assert (
        written.set_index("deal_id")["win_probability"].sub(ours.set_index("deal_id")["win_probability"]).abs().max()
        < 1e-12
    )


def test_what_is_not_there_is_said(session, tmp_path):
    with pytest.raises(WinPredictError, match="does not exist"):
        engine.read_raw(session, str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(WinPredictError, match="holds no tables"):
        engine.read_raw(session, str(tmp_path / "empty"))
    (tmp_path / "crm.json").write_text(json.dumps({"schema_version": 1}))
    with pytest.raises(TableError, match="not parted"):
        engine.SparkTables.read(session, str(tmp_path))


def assert_same_tables(ours, theirs: DealBuckets) -> None:
    assert {name: len(frame) for name, frame in ours.tables()} == theirs.rows
    assert ours.known_until == theirs.known_until
    for name, frame in ours.tables():
        assert_alike(frame, getattr(theirs.whole(), name), list(frame.columns))


def raw_folder(place: Path, seed: int, **changed: pd.DataFrame) -> Path:
    """Raw Parquet tables of a few deals, fewer than there are buckets."""
    place.mkdir()
    for name, frame in (random_tables(seed, 5) | changed).items():
        frame.to_parquet(place / f"{name}.parquet", index=False)
    return place


def test_tables_that_leave_buckets_empty(session, tmp_path):
    """Orphans are counted, owners hold from the start, a table without a row is read, and ids keep their digits."""
    many = 2**53 + 1  # the next float is one less
    tables = random_tables(3, 5)
    numbers = {f"d{number}": many + 2 * number for number in range(5)}
    tables = {
        name: frame.assign(deal_id=frame["deal_id"].map(numbers).astype("Int64")) if "deal_id" in frame else frame
        for name, frame in tables.items()
    }
    tables["deal_history"] = tables["deal_history"].head(2)
    tables["activities"].loc[::3, "deal_id"] = pd.NA
    tables["contacts"]["deal_id"] = range(10)  # all of strangers
    folder = raw_folder(tmp_path / "raw", 3, **tables)
    ours = import_files([folder], load_profile("generic"), now=NOW)
    found, repairs = engine.import_tables(engine.read_raw(session, str(folder)), load_profile("generic"), 9, now=NOW)
    assert repairs == ours.repairs
    found.write(f"file://{tmp_path}/tables")
    assert (tmp_path / "tables" / "crm.json").is_file()
    theirs = DealBuckets.open(tmp_path / "tables")
    assert_same_tables(ours.crm, theirs)
    again = engine.SparkTables.read(session, f"file://{tmp_path}/tables")
    assert again.frames["contacts"].count() == 0
    rows = engine.build_dataset(again).toPandas().drop(columns="bucket")
    assert_alike(pd.concat(list(build_dataset(theirs, tmp_path / "features"))), rows, ["deal_id", "as_of"])


def test_stages_that_are_told_when_they_are_left(session, tmp_path):
    profile = load_profile("generic")
    history = tuple(source.model_copy(update={"left_stages": True}) for source in profile.tables["deal_history"])
    profile = profile.model_copy(update={"tables": profile.tables | {"deal_history": history}})
    history = random_tables(4, 5)["deal_history"].drop_duplicates(["deal_id", "changed_at"]).dropna(subset="stage")
    folder = raw_folder(tmp_path / "raw", 4, deal_history=history)
    found, _ = engine.import_tables(engine.read_raw(session, str(folder)), profile, 2, now=NOW)
    found.write(str(tmp_path / "tables"))
    assert_same_tables(import_files([folder], profile, now=NOW).crm, DealBuckets.open(tmp_path / "tables"))


def test_buckets_without_an_open_deal_are_scored(local, tmp_path, session):
    model = train(local, Config(model={"bags": 1, "trees": 5}))
    crm = local.whole()
    is_open, bucket = crm.deals["outcome"] == "open", bucket_of(crm.deals["deal_id"], 7)
    one_open = crm.deals[is_open & (bucket == 3)].head(1)
    DealBuckets.write(crm.of_deals(pd.concat([crm.deals[~is_open], one_open])["deal_id"]), tmp_path / "tables", 7)
    tables = engine.SparkTables.read(session, str(tmp_path / "tables"))
    assert tables.first().deals["outcome"].ne("open").all()
    found = engine.score(tables, model, scored_at=NOW).toPandas()
    assert found["deal_id"].tolist() == one_open["deal_id"].tolist()
    assert found["scored_at"].tolist() == [NOW.tz_localize(None)]


def test_errors_are_sentences_on_the_command_line(session, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    def told(*words: object) -> str:
        done = CliRunner().invoke(app, ["spark", *map(str, words)])
        assert done.exit_code == 2, done.output
        assert "Traceback" not in done.stderr
        return done.stderr

    assert "holds no imported tables" in told("features", tmp_path / "nowhere", "--out", tmp_path / "out")
    unclear = random_tables(1, 5)["deals"].assign(created_at="03/04/2024")
    asked = ["--profile", "generic", "--buckets", 2, "--out", tmp_path / "out"]
    words = told("import", raw_folder(tmp_path / "unclear", 1, deals=unclear), *asked)
    assert "start with the day or the month" in words
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "deals.parquet").write_text("no Parquet")
    assert "Spark cannot do this" in told("import", tmp_path / "broken", *asked)
    (tmp_path / "delta" / "deals" / "_delta_log").mkdir(parents=True)
    assert "cannot read Delta tables" in told("import", tmp_path / "delta", *asked)


def test_columns_that_spark_cannot_tell_apart_are_refused(session, tmp_path):
    deals = random_tables(1, 5)["deals"].rename(columns={"region": "Bucket"})
    raw = engine.read_raw(session, str(raw_folder(tmp_path / "raw", 1, deals=deals)))
    with pytest.raises(WinPredictError, match="Bucket and bucket for one"):
        engine.import_tables(raw, load_profile("generic"), 2)
    with pytest.raises(ProfileError, match="out of lists"):
        engine.import_tables({"deals": raw["activities"]}, load_profile("hubspot"), 2)


def test_a_run_that_was_killed_leaves_no_mixture_of_tables(session, tables, tmp_path, monkeypatch):
    tables.write(str(tmp_path / "tables"))
    broken = replace(tables, shared={"accounts": None})
    with pytest.raises(Exception, match="NoneType"):
        broken.write(str(tmp_path / "tables"))
    with pytest.raises(TableError, match="holds no imported tables"):
        engine.SparkTables.read(session, str(tmp_path / "tables"))


def test_tables_of_a_postgresql_by_jdbc(session, tmp_path):
    if not JDBC.exists():
        pytest.skip("PostgreSQL's JDBC driver is not installed (libpostgresql-jdbc-java)")
    sa = pytest.importorskip("sqlalchemy", reason="SQLAlchemy is not installed")
    raw = simulate(deals=80, seed=5).crm
    with postgres_server("s:e/c@r%t") as address:
        url = f"postgresql+psycopg://me:{quote('s:e/c@r%t', safe='')}@{address}/postgres"
        to = sa.create_engine(url, poolclass=sa.NullPool)
        for name, frame in raw.tables():
            # a loader keeps some moments without their zone
            naive = {each: frame[each].dt.tz_localize(None) for each in frame if each in ("changed_at", "added_at")}
            frame.assign(**naive).astype(object).where(frame.notna(), None).to_sql(
                name, to, index=False,
                dtype={each: _kind(sa, frame.assign(**naive)[each]) for each in frame},
            )  # fmt: skip
        with to.begin() as connection:
            connection.execute(sa.text("alter table activities add column seen uuid default gen_random_uuid()"))
            connection.execute(sa.text("alter table deals add column number numeric default 7"))
        profile = load_profile("generic").model_copy(update={"time_zone": "America/New_York"})
        expected = import_raw(read_warehouse(url, profile), profile, now=NOW).crm
        options = {"user": "me", "password": "s:e/c@r%t", "driver": "org.postgresql.Driver"}
        options["preferTimestampNTZ"] = "true"
        read = {
            name: session.read.jdbc(f"jdbc:postgresql://{address}/postgres", name, properties=options)
            for name, _ in raw.tables()
        }
        found, repairs = engine.import_tables(read, profile, BUCKETS, now=NOW)
        found.write(str(tmp_path / "tables"))
    assert repairs == {}
    assert_same_tables(expected, DealBuckets.open(tmp_path / "tables"))


def _kind(sa, values: pd.Series):
    if values.dtype.kind == "M":
        return sa.TIMESTAMP(timezone=values.dt.tz is not None)
    return {"float64": sa.Double(), "boolean": sa.Boolean()}.get(str(values.dtype), sa.Text())
