"""Features bucket by bucket: the same to the bit as of the whole, resumed after a kill, and of their own plan."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_crm import random_crm

from winpredict.errors import WorkspaceError
from winpredict.features import dataset as dataset_module
from winpredict.features.build import build_features
from winpredict.features.builders import Feature, FeatureBuilder
from winpredict.features.cross_deal_history import CrossDealFacts
from winpredict.features.dataset import SnapshotGrid, build_dataset, gather_cross_deal_history, open_dataset
from winpredict.features.events import DealEvents
from winpredict.features.snapshots import every, labelled
from winpredict.tables.buckets import DealBuckets

ATTRIBUTES = ("account_id", "product", "region", "score", "account_industry")


def whole(crm) -> pd.DataFrame:
    snapshots = labelled(crm, every(crm, 7.0))
    built = build_features(crm, snapshots, attributes=ATTRIBUTES).frame
    return pd.concat([snapshots, built], axis=1).sort_values(["deal_id", "as_of"], ignore_index=True)


def together(dataset) -> pd.DataFrame:
    return pd.concat(list(dataset), ignore_index=True).sort_values(["deal_id", "as_of"], ignore_index=True)


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 7))
def test_rows_equal_those_of_the_whole_to_the_bit(tmp_path_factory, seed, number):
    crm = random_crm(seed)
    place = tmp_path_factory.mktemp("parted")
    buckets = DealBuckets.write(crm, place / "tables", number)
    found = together(build_dataset(buckets, place / "features", attributes=ATTRIBUTES))
    expected = whole(crm)
    pd.testing.assert_frame_equal(found, expected[found.columns], check_exact=True)


@pytest.mark.parametrize("stop_at", [1, 4, 6, 9])
def test_a_run_that_was_stopped_goes_on_and_gives_the_same_bytes(tmp_path, monkeypatch, stop_at):
    buckets = DealBuckets.write(random_crm(3, deals=40), tmp_path / "tables", 5)
    build_dataset(buckets, tmp_path / "at once", attributes=ATTRIBUTES)

    def stop(done, of):
        if done == stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_dataset(buckets, tmp_path / "stopped", attributes=ATTRIBUTES, progress=stop)
    built = []
    monkeypatch.setattr(
        dataset_module, "build_features", lambda *given, **named: built.append(1) or build_features(*given, **named)
    )
    build_dataset(buckets, tmp_path / "stopped", attributes=ATTRIBUTES)
    assert len(built) == 5 - max(stop_at - 5, 0)  # the first pass has five steps too
    assert digests(tmp_path / "stopped") == digests(tmp_path / "at once")


def test_another_plan_starts_afresh_and_other_files_are_left_alone(tmp_path):
    buckets = DealBuckets.write(random_crm(3), tmp_path / "tables", 2)
    first = build_dataset(buckets, tmp_path / "features", attributes=ATTRIBUTES)
    second = build_dataset(buckets, tmp_path / "features", grid=SnapshotGrid(3.0))
    assert second.rows > first.rows or len(second.info) < len(first.info)
    assert len(open_dataset(tmp_path / "features").info) == len(second.info)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(WorkspaceError, match="holds other files"):
        build_dataset(buckets, tmp_path / "mine")
    with pytest.raises(WorkspaceError, match="no feature rows"):
        open_dataset(tmp_path / "mine")
    (tmp_path / "mine" / "plan.json").write_text("{}")  # not ours, though it is called so
    with pytest.raises(WorkspaceError, match="holds other files"):
        build_dataset(buckets, tmp_path / "mine")
    (tmp_path / "features" / "notes.txt").write_text("mine")
    build_dataset(buckets, tmp_path / "features", grid=SnapshotGrid(5.0))
    assert (tmp_path / "features" / "notes.txt").exists()


def test_an_edited_builder_starts_afresh(tmp_path):
    def builder(value):
        class Mine(FeatureBuilder):
            def build(self, past):
                yield Feature("mine", np.full(len(past), value), "number", "mine")

        Mine.__module__ = "typed_in_a_notebook"
        Mine.build.__code__ = Mine.build.__code__.replace(co_consts=(*Mine.build.__code__.co_consts, value))
        return Mine()

    buckets = DealBuckets.write(random_crm(3), tmp_path / "tables", 2)
    for value in (1.0, 2.0):
        made = build_dataset(buckets, tmp_path / "features", builders=[builder(value)])
        assert {*pd.concat(list(made))["mine"]} == {value}


def test_what_a_killed_run_left_half_written_goes(tmp_path):
    buckets = DealBuckets.write(random_crm(3), tmp_path / "tables", 1)
    build_dataset(buckets, tmp_path / "features")
    place = tmp_path / "features" / "rows" / "bucket=0"
    (place / "info.json").unlink()
    (place / ".part-0-abcd.parquet").write_bytes(b"half")
    build_dataset(buckets, tmp_path / "features")
    assert sorted(path.name for path in place.iterdir()) == ["info.json", "part-0.parquet"]


def test_history_of_all_buckets_is_kept_for_going_on(tmp_path):
    buckets = DealBuckets.write(random_crm(8), tmp_path / "tables", 3)

    def facts_of(crm):
        return CrossDealFacts.of(DealEvents(crm), ATTRIBUTES)

    once, again = (gather_cross_deal_history(buckets, facts_of, keep=tmp_path / "company").facts for _ in range(2))
    for name in ("deals", "ownerships", "won_stage_durations", "occurrences", "item_values"):
        pd.testing.assert_frame_equal(getattr(once, name), getattr(again, name))
    assert (once.filled, once.results, once.of_accounts) == (again.filled, again.results, again.of_accounts)
