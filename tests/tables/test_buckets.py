"""Parted tables: nothing is lost, a deal's rows lie together, and every bucket has the columns of all."""

from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_crm import random_crm

from winpredict.errors import TableError
from winpredict.features.snapshots import every, open_at
from winpredict.tables.buckets import DealBuckets, bucket_of
from winpredict.tables.schema import TIME_DTYPE


def same_rows(left: pd.DataFrame, right: pd.DataFrame) -> None:
    columns = list(left.columns)
    assert set(columns) == set(right.columns)
    ordered = [frame[columns].sort_values(columns, ignore_index=True) for frame in (left, right)]
    pd.testing.assert_frame_equal(*ordered)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 9))
def test_the_whole_is_what_was_parted(tmp_path_factory, seed, number):
    crm = random_crm(seed)
    buckets = DealBuckets.write(crm, tmp_path_factory.mktemp("parted") / "tables", number)
    whole = buckets.whole()
    assert whole.stage_order == crm.stage_order
    assert whole.known_until == crm.known_until
    assert buckets.rows == crm.rows
    for name, frame in crm.tables():
        same_rows(frame, getattr(whole, name))


def test_a_bucket_holds_all_of_its_deals_and_the_columns_of_all(tmp_path):
    crm = random_crm(5, deals=30)
    buckets = DealBuckets.write(crm, tmp_path / "tables", 40)  # more than deals: some are empty
    for number, bucket in enumerate(buckets):
        assert (bucket_of(bucket.deals["deal_id"], 40) == number).all()
        for name, frame in bucket.tables():
            assert dict(frame.dtypes) == dict(getattr(crm, name).dtypes), name
            if name == "accounts":
                assert set(frame["account_id"]) == set(bucket.deals["account_id"])
            else:
                assert len(frame) == getattr(crm, name)["deal_id"].isin(bucket.deals["deal_id"]).sum()


def test_buckets_of_an_earlier_day(tmp_path):
    crm = random_crm(6)
    buckets = DealBuckets.write(crm, tmp_path / "tables", 3).as_known_at("2024-02-01")
    then = crm.as_known_at("2024-02-01")
    same_rows(then.deals, buckets.whole().deals)
    assert buckets.known_until == then.known_until


def test_tables_in_one_piece_are_no_buckets(tmp_path):
    random_crm(1).save(tmp_path / "tables")
    with pytest.raises(TableError, match="not parted"):
        DealBuckets.open(tmp_path / "tables")


def test_buckets_without_a_date_are_part_of_dated_data(tmp_path):
    crm = random_crm(6)
    undated = crm.deals["created_at"].where(crm.deals["deal_id"].isin(["d1", "d2"]))
    crm = replace(crm, deals=crm.deals.assign(created_at=undated))
    buckets = DealBuckets.write(crm, tmp_path / "tables", 30)
    assert all(bucket.dated for bucket in buckets)
    assert sum(len(open_at(bucket, "2024-02-01")) for bucket in buckets) == len(open_at(crm, "2024-02-01"))
    assert sum(len(every(bucket, 7.0)) for bucket in buckets) == len(every(crm, 7.0))
    same_rows(crm.as_known_at("2024-02-01").deals, buckets.as_known_at("2024-02-01").whole().deals)
    never = replace(crm, deals=crm.deals.assign(created_at=pd.Series(pd.NaT, index=crm.deals.index, dtype=TIME_DTYPE)))
    assert not any(bucket.dated for bucket in DealBuckets.write(never, tmp_path / "never", 30))


def test_rows_of_files_of_other_names_are_counted(tmp_path):
    """Spark names its files otherwise, and may write several a bucket."""
    buckets = DealBuckets.write(random_crm(6), tmp_path / "tables", 2)
    expected = buckets.rows
    for number, part in enumerate(sorted((tmp_path / "tables").glob("*/bucket=*/part-0.parquet"))):
        part.rename(part.with_name(f"part-0000{number}-c000.snappy.parquet"))
    (tmp_path / "tables" / "users.parquet").write_bytes(b"left by an earlier import")
    assert DealBuckets.open(tmp_path / "tables").rows == expected
