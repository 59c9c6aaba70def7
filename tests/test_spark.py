"""The Spark engine gives what one machine gives: counts to the bit, floats within 1e-12."""

import json
import os
import shutil
import sys

import pandas as pd
import pytest

from winpredict._common.errors import TableError, WinPredictError
from winpredict.cli import app
from winpredict.config import Config
from winpredict.explain.scores import score
from winpredict.features.dataset import build_dataset
from winpredict.models.registry import log_training
from winpredict.models.training import pipeline, train
from winpredict.sources import load_profile
from winpredict.sources.files import read_files
from winpredict.sources.parted import import_parted
from winpredict.sources.simulate import simulate

pytest.importorskip("pyspark", reason="PySpark is not installed")
if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
    pytest.skip("there is no Java for Spark", allow_module_level=True)

from winpredict import spark as engine

BUCKETS = 3
NOW = pd.Timestamp("2026-01-01", tz="UTC")
ATTRIBUTES = ("account_id", "product", "lead_source", "region", "account_industry", "account_employees")
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def session():
    os.environ["PYSPARK_PYTHON"] = sys.executable
    from pyspark.sql import SparkSession

    settings = {"spark.ui.enabled": "false", "spark.sql.shuffle.partitions": "2", "spark.sql.session.timeZone": "UTC"}
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
    return import_parted(raw, load_profile("generic"), place / "work", BUCKETS, now=NOW).buckets


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
    from winpredict.tables.buckets import DealBuckets

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
