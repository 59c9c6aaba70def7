"""Rows in an order of their own, ids where there are none, and one row of each thing."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winpredict.ingest.quarantine import FILE, ROW, Quarantine
from winpredict.ingest.repeats import in_order, without_repeats
from winpredict.tables.schema import TABLES, TIME_DTYPE, text_dtype

AGAIN = "the same row again (merged)"
OTHER = "the same id with other values, the later row counts (merged)"


def deals(*rows, file="deals.csv"):
    """Rows of (deal_id, stage, amount)."""
    frame = pd.DataFrame(rows, columns=["deal_id", "stage", "amount"])
    frame = frame.astype({"deal_id": text_dtype(), "stage": text_dtype(), "amount": "float64"})
    return frame.assign(**{FILE: file, ROW: np.arange(2, len(frame) + 2)})


def settled(name, frame):
    quarantine = Quarantine()
    return without_repeats(name, in_order(name, frame), quarantine), quarantine


def test_rows_are_sorted_by_their_key():
    found = in_order("deals", deals(("b", "Won", 1), ("a", "Demo", 2), (None, "Demo", 3), ("é", "Demo", 4)))
    assert found["deal_id"].fillna("-").tolist() == ["a", "b", "é", "-"]
    assert found[ROW].tolist() == [3, 2, 5, 4]
    assert found.index.tolist() == [0, 1, 2, 3]


def test_the_same_row_again_is_merged_and_the_first_one_stays():
    rows = deals(("b", "Won", 1), ("a", "Demo", np.nan), ("b", "Won", 1), ("a", "Demo", np.nan))
    found, quarantine = settled("deals", rows)
    assert found[ROW].tolist() == [3, 2]
    assert quarantine.counts == {f"deals: {AGAIN}": 2}
    assert sorted(quarantine.frames["deals"]["row"]) == [4, 5]


def test_of_rows_with_one_id_the_one_furthest_down_counts():
    found, quarantine = settled("deals", deals(("a", "Won", 1), ("a", "Demo", 2), ("b", "Demo", 3), ("a", "Offer", 1)))
    assert found[["deal_id", "stage"]].to_numpy().tolist() == [["a", "Offer"], ["b", "Demo"]]
    assert quarantine.counts == {f"deals: {OTHER}": 2}


def test_a_later_file_counts_more_by_its_name():
    rows = pd.concat([deals(("a", "March", 1), file="2025-03.csv"), deals(("a", "April", 1), file="2025-04.csv")])
    for turned in (rows, rows.iloc[::-1]):
        assert settled("deals", turned.reset_index(drop=True))[0]["stage"].tolist() == ["April"]


def test_files_as_categories_count_by_their_names_too():
    rows = pd.concat([deals(("a", "April", 1), file="2025-04.csv"), deals(("a", "March", 1), file="2025-03.csv")])
    rows[FILE] = pd.Categorical(rows[FILE], categories=["2025-04.csv", "2025-03.csv"])
    assert settled("deals", rows.reset_index(drop=True))[0]["stage"].tolist() == ["April"]


def test_the_last_modified_row_counts_before_the_last_in_the_file():
    modified = pd.Series(pd.to_datetime(["2025-05-01", "2025-04-01", None], utc=True), dtype=TIME_DTYPE)
    rows = deals(("a", "May", 1), ("a", "April", 1), ("a", "never", 1)).assign(modified_at=modified)
    assert settled("deals", rows)[0]["stage"].tolist() == ["May"]


def test_a_deal_without_an_id_among_deals_with_ids_is_rejected():
    found, quarantine = settled("deals", deals((None, "Won", 1), ("a", "Demo", 2), (None, "Won", 1), (None, "Lost", 3)))
    assert found["deal_id"].tolist() == ["a"]
    assert quarantine.counts == {"deals: deal_id is missing (rejected)": 2, f"deals: {AGAIN}": 1}


def test_deals_of_a_file_without_ids_get_ids_that_their_values_decide():
    rows = deals((None, "Won", 1), (None, "Demo", 2), (None, "Won", 1)).drop(columns="deal_id")
    found, quarantine = settled("deals", rows)
    assert len(found) == 3
    assert quarantine.counts == {}
    by_row = found.set_index(ROW)["deal_id"]
    assert by_row[4].split("-") == [by_row[2].split("-")[0], "1"]  # said twice, so there are two
    again = settled("deals", rows.iloc[[1]].assign(**{FILE: "another.csv"}))[0]
    assert again["deal_id"].tolist() == [by_row[3]]


def test_made_up_ids_stay_the_same_from_import_to_import():
    rows = deals((None, "Won", 12.5), (None, "Demo", np.nan)).drop(columns="deal_id")
    assert in_order("deals", rows)["deal_id"].tolist() == ["68ba5aac617b55b1-0", "bc2fa364e069a5bb-0"]


def test_touches_without_an_id_get_one_and_the_others_keep_theirs():
    touches = pd.DataFrame(
        {
            "activity_id": ["x", None, None],
            "deal_id": "d",
            "activity_type": ["call", "call", "email"],
            FILE: "f",
            ROW: [2, 3, 4],
        }
    ).astype({"activity_id": text_dtype(), "deal_id": text_dtype(), "activity_type": text_dtype()})
    found, quarantine = settled("activities", touches)
    assert found.set_index(ROW).loc[2, "activity_id"] == "x"
    assert found["activity_id"].nunique() == 3
    assert found["activity_id"].str.fullmatch(r"x|[0-9a-f]{16}-0").all()
    assert quarantine.counts == {}


def test_rows_of_a_table_without_a_key_are_merged_only_where_all_values_are_alike():
    history = pd.DataFrame(
        {"deal_id": ["d", "d", "d"], "stage": ["Demo", "Won", "Demo"], FILE: ["a", "b", "c"], ROW: [2, 3, 4]}
    )
    found, quarantine = settled("deal_history", history)
    assert sorted(found[ROW]) == [2, 3]
    assert quarantine.counts == {f"deal_history: {AGAIN}": 1}


def test_rows_that_a_repair_made_alike_are_merged():
    """Times in the future are taken as missing between the two steps; two rows may say the same then."""
    rows = in_order("deals", deals(("a", "Won", 1), ("a", "Won", 2), ("b", "Won", 3)))
    quarantine = Quarantine()
    found = without_repeats("deals", rows.assign(amount=rows["amount"].where(rows["deal_id"] == "b")), quarantine)
    assert found["deal_id"].tolist() == ["a", "b"]
    assert quarantine.counts == {f"deals: {AGAIN}": 1}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_without_rows_stays_without(name):
    columns = {column: pd.Series(dtype=text_dtype()) for column in (*TABLES[name].key, "stage", FILE, ROW)}
    found, quarantine = settled(name, pd.DataFrame(columns))
    assert found.empty
    assert quarantine.counts == {}


def test_nothing_repeated_is_nothing_copied():
    rows = in_order("deals", deals(("a", "Won", 1), ("b", "Won", 1)))
    assert without_repeats("deals", rows, Quarantine()) is rows


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_the_order_of_rows_and_columns_in_a_file_does_not_matter(data):
    size = data.draw(st.integers(1, 20))
    letters = st.lists(st.sampled_from(["a", "b", "é", None]), min_size=size, max_size=size)
    table = data.draw(st.sampled_from(["deals", "activities", "deal_history", "accounts"]))
    key = {"deals": "deal_id", "activities": "activity_id", "accounts": "account_id"}.get(table, "deal_id")
    frame = pd.DataFrame({name: pd.Series(data.draw(letters), dtype=text_dtype()) for name in (key, "stage", "note")})
    modified = st.lists(st.sampled_from([1, 2]), min_size=size, max_size=size)
    # each row was modified at a time of its own, so that the file has no say in which one counts
    frame["modified_at"] = pd.to_datetime(np.arange(size) * 10 + data.draw(modified), unit="D", utc=True)
    frame = frame.assign(**{FILE: "f", ROW: np.arange(size)})
    order = data.draw(st.permutations(range(size)))
    columns = data.draw(st.permutations(list(frame.columns)))
    found, one = settled(table, frame)
    turned, other = settled(table, frame.iloc[order].reset_index(drop=True)[columns])
    pd.testing.assert_frame_equal(
        turned[list(found.columns)].drop(columns=ROW).reset_index(drop=True),
        found.drop(columns=ROW).reset_index(drop=True),
    )
    assert one.counts == other.counts
