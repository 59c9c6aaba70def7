"""A workspace in buckets does what one in one piece does."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from printed_words import untranslated_words
from typer.testing import CliRunner

from winpredict.cli import app
from winpredict.simulate.world import simulate, write_salesforce_export
from winpredict.workspace import Workspace

QUICK = "model: {bags: 2, trees: 20, large_leaves: 0}\nsnapshots: {every_days: 14, most: 1000000}\n"


def run(*command: object) -> dict:
    """What a command prints as JSON."""
    done = CliRunner().invoke(app, [*map(str, command), "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("parted")
    write_salesforce_export(simulate(600, seed=4), place / "export.zip")
    (place / "quick.yaml").write_text(QUICK)
    return place


def scores_of(folder: Path, name: str, *options: object) -> tuple[dict, pd.DataFrame]:
    imported = run("import", folder / "export.zip", "--profile", "salesforce", "--workspace", folder / name, *options)
    run("train", "--workspace", folder / name, "--config", folder / "quick.yaml")
    run("score", "--workspace", folder / name, "--out", folder / f"{name}.parquet")
    return imported, pd.read_parquet(folder / f"{name}.parquet").drop(columns="scored_at")


@pytest.fixture(scope="module")
def whole(folder):
    """What an import into one piece printed, and the scores of a model that was trained on it."""
    return scores_of(folder, "whole")


def test_odds_and_reasons_are_the_same(folder, whole):
    (whole, one), (partitioned, other) = whole, scores_of(folder, "parted", "--buckets", 3)
    assert whole["rows"] == partitioned["rows"]
    assert whole["fingerprint"] == partitioned["fingerprint"]
    assert (Workspace(folder / "parted").version().folder / "tables" / "deals" / "bucket=2").is_dir()
    assert not (folder / "parted" / ".importing").exists()
    pd.testing.assert_frame_equal(one, other, rtol=0, atol=1e-9)


def test_importing_again_changes_nothing_and_keeps_the_buckets(folder):
    again = [
        run("import", folder / "export.zip", "--profile", "salesforce", "--workspace", folder / "parted") for _ in "ab"
    ]
    assert again[0]["fingerprint"] == again[1]["fingerprint"]
    assert (Workspace(folder / "parted").version().folder / "tables" / "deals" / "bucket=2").is_dir()


def test_a_workspace_in_one_piece_can_be_parted(folder, whole):
    shutil.copytree(folder / "whole", folder / "grown")
    (folder / "grown" / "versions" / ".unfinished-000009").mkdir()
    output = run(
        "import", folder / "export.zip", "--profile", "salesforce", "--workspace", folder / "grown", "--buckets", 2
    )
    assert output["rows"]["deals"] > 500
    assert not list((folder / "grown" / "versions").glob(".*"))
    assert run("backtest", "--workspace", folder / "grown", "--config", folder / "quick.yaml", "--folds", 1)


def test_feature_rows_are_written_once(folder, whole):
    asked = ["features", "--workspace", folder / "whole", "--out", folder / "features"]
    facts = run(*asked)
    times = [path.stat().st_mtime_ns for path in (folder / "features").rglob("*.parquet")]
    assert run(*asked) == facts
    assert [path.stat().st_mtime_ns for path in (folder / "features").rglob("*.parquet")] == times
    parts = list((folder / "features" / "rows").glob("bucket=*/*.parquet"))
    assert facts["rows"] == sum(len(pd.read_parquet(part)) for part in parts) > 1000
    printed = CliRunner().invoke(app, [*map(str, asked), "--locale", "en_XA"], catch_exceptions=False).output
    assert untranslated_words(printed, [str(folder / "features")]) == []
