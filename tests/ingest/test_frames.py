"""Frames come in through the same door as files: same values, same repairs, same sentences."""

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import winpredict as wp
from winpredict.errors import ProfileError, TableError
from winpredict.ingest import import_files, load_profile

COLUMNS = {
    "deal_id": ["a", "b", "c"],
    "stage": ["Won", "Lost", "Demo"],
    "outcome": ["Won", "LOST", "open"],
    "created_at": ["2025-01-01 10:00", "2025-01-02 10:00", "2025-01-03 10:00"],
    "closed_at": ["2025-02-01", "2025-02-13", None],
    "amount": ["1.250,50 €", "€ 900", "12.000,00 €"],
}
FRAME = pd.DataFrame(COLUMNS)


class Stream:
    """Nothing but the Arrow stream interface."""

    def __init__(self, table):
        self._table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self._table.__arrow_c_stream__(requested_schema)


@pytest.mark.parametrize(
    "frame",
    [
        FRAME,
        pl.DataFrame(COLUMNS),
        pl.DataFrame(COLUMNS).lazy(),
        pa.table(COLUMNS),
        Stream(pa.table(COLUMNS)),
        FRAME.set_index(pd.Index([7, 7, 7])),
    ],
    ids=["pandas", "polars", "lazy polars", "arrow", "arrow stream", "pandas with a repeated index"],
)
def test_frames_of_every_kind_give_what_a_file_gives(tmp_path, frame):
    FRAME.to_csv(tmp_path / "deals.csv", index=False)
    expected = import_files([tmp_path / "deals.csv"], load_profile("generic")).crm
    imported = wp.import_frames(frame)
    pd.testing.assert_frame_equal(imported.crm.deals, expected.deals)
    assert imported.crm.deals["amount"].tolist() == [1250.5, 900.0, 12000.0]
    assert imported.crm.deals["currency"].tolist() == ["EUR"] * 3
    assert imported.understood.outcomes == {"won": 1, "lost": 1, "open": 1}
    assert wp.CRMData.from_frames(frame).deals.equals(expected.deals)


def test_the_day_is_first_where_a_cell_of_the_column_says_so():
    deals = pd.DataFrame({"deal_id": [1, 2], "outcome": "open", "created_at": ["06/12/2024", "25/11/2024"]})
    assert wp.CRMData.from_frames(deals).deals["created_at"].dt.strftime("%m-%d").tolist() == ["12-06", "11-25"]


def test_where_nothing_says_so_the_argument_that_mends_it_is_named():
    deals = pd.DataFrame({"deal_id": [1, 2], "outcome": "open", "created_at": ["06/12/2024", "07/11/2024"]})
    with pytest.raises(ProfileError, match=r"2 of 2 deals the creation date cannot be read.*dates: day_first"):
        wp.CRMData.from_frames(deals)
    read = wp.CRMData.from_frames(deals, dates="day_first").deals["created_at"]
    assert read.dt.strftime("%m-%d").tolist() == ["12-06", "11-07"]


def test_whole_numbers_of_eight_digits_are_days():
    deals = pd.DataFrame({"deal_id": [1], "outcome": ["open"], "created_at": [20240101]})
    assert wp.CRMData.from_frames(deals).deals["created_at"].tolist() == [pd.Timestamp("2024-01-01", tz="UTC")]


def test_times_without_a_zone_are_of_the_zone_that_is_named():
    deals = pd.DataFrame({"deal_id": [1], "outcome": ["open"], "created_at": pd.to_datetime(["2024-07-01 10:00"])})
    read = wp.CRMData.from_frames(deals, time_zone="Europe/Paris").deals["created_at"]
    assert read.tolist() == [pd.Timestamp("2024-07-01 08:00", tz="UTC")]
    with pytest.raises(ProfileError, match="'Mars' is not a time zone"):
        wp.CRMData.from_frames(deals, time_zone="Mars")


def test_words_of_outcomes_and_stages_can_be_named():
    deals = pd.DataFrame({"deal_id": [1, 2, 3], "outcome": ["Zack", "Futsch", "läuft"], "created_at": "2024-01-01"})
    crm = wp.CRMData.from_frames(deals, outcomes={"Zack": "won", "Futsch": "lost", "läuft": "open"})
    assert crm.deals["outcome"].tolist() == ["won", "lost", "open"]
    with pytest.raises(TableError, match="mean none of won, lost, open"):
        wp.CRMData.from_frames(deals, outcomes={"Zack": "gewonnen"})
    staged = deals.rename(columns={"outcome": "stage"})
    crm = wp.CRMData.from_frames(staged, won=["Zack"], lost=["Futsch"], stage_order=["läuft"])
    assert crm.deals["outcome"].tolist() == ["won", "lost", "open"]
    assert crm.stage_order == ("läuft",)


def test_undated_deals_need_no_invented_columns_and_touches_no_ids():
    crm = wp.CRMData.from_frames(pd.DataFrame({"outcome": ["won", "lost"], "size": [1.5, 2]}))
    assert crm.deals["closed_at"].isna().all()
    assert not crm.dated
    touches = pd.DataFrame({"deal_id": ["a"] * 2, "occurred_at": "2025-01-05 09:00", "activity_type": "Call"})
    crm = wp.CRMData.from_frames(FRAME, activities=touches)
    assert crm.activities is not None
    assert crm.activities["activity_type"].tolist() == ["call", "call"]


def test_characters_that_nobody_sees_and_blanks_around_ids_do_not_make_other_ids():
    deals = FRAME.assign(deal_id=[" a", "b\u200b", "c\x00"])
    touches = pd.DataFrame({"deal_id": ["a", "b", "c "], "occurred_at": "2025-01-05", "activity_type": "call"})
    imported = wp.import_frames({"deals": deals, "activities": touches})
    assert imported.crm.deals["deal_id"].tolist() == ["a", "b", "c"]
    assert imported.crm.rows["activities"] == 3
    assert imported.repairs == {"deals: NUL bytes (repaired)": 1, "deals: zero-width characters (repaired)": 1}
    assert imported.understood.remarks == ["deal_id: 2 ids have blanks around them, which do not count"]


def test_what_does_not_come_in_is_warned_of_and_returned():
    deals = FRAME.assign(amount=["TBD 500", "12", "13"])
    with pytest.warns(UserWarning, match="1 x deals: amount is not a number, taken as missing"):
        crm = wp.CRMData.from_frames(deals)
    assert crm.deals["amount"].isna().tolist() == [True, False, False]
    imported = wp.import_frames(deals)
    assert imported.quarantine["deals"][["row", "amount"]].values.tolist() == [[0, "TBD 500"]]
    assert imported.understood.examples == {"deals: amount is not a number, taken as missing (repaired)": ["TBD 500"]}


def test_what_is_not_a_table_is_refused_with_a_sentence():
    with pytest.raises(TableError, match="deals is a list; a frame of pandas, Polars or PyArrow is expected"):
        wp.import_frames({"deals": [1, 2]})
    with pytest.raises(TableError, match=r"unknown table.s. offers"):
        wp.CRMData.from_frames(FRAME, offers=FRAME)
    twice = pd.DataFrame([[1, 2]], columns=["deal_id", "deal_id"])
    with pytest.raises(TableError, match=r"column.s. deal_id more than once"):
        wp.import_frames(twice)
