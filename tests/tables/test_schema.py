import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from winpredict.errors import TableError, WinPredictError
from winpredict.tables.schema import OUTCOMES, TABLES, TIME_DTYPE, conform, text_dtype

DTYPES = {
    "id": text_dtype(),
    "text": text_dtype(),
    "time": TIME_DTYPE,
    "number": "float64",
    "flag": "boolean",
}


def deals(**columns):
    frame = {
        "deal_id": ["a", "b"],
        "created_at": ["2025-01-01", "2025-01-02"],
        "closed_at": [None, "2025-02-01"],
        "outcome": ["open", "won"],
        "stage": ["Demo", "Won"],
    }
    return pd.DataFrame(frame | columns)


@pytest.mark.parametrize("table", TABLES)
def test_an_empty_table_gets_its_canonical_dtypes(table):
    columns = TABLES[table].columns
    out = conform(pd.DataFrame({name: [] for name in columns}), table)
    assert {name: out[name].dtype for name in columns} == {
        name: pd.api.types.pandas_dtype(DTYPES[column.kind]) for name, column in columns.items()
    }


@pytest.mark.parametrize("table", TABLES)
def test_every_key_and_time_is_a_column(table):
    definition = TABLES[table]
    assert set(definition.key) <= set(definition.columns)
    assert set(definition.times) <= set(definition.columns)
    assert definition.row


def test_canonical_columns_come_first_and_custom_ones_become_numbers_times_or_text():
    when = pd.to_datetime(["2025-01-01", None])
    custom = {"Region": [1, 2], "Kind": ["x", None], "Checked": [True, False], "Signed": when}
    out = conform(deals(**custom).iloc[:, ::-1].set_index(pd.Index([7, 7])), "deals")
    assert list(out.columns) == ["deal_id", "created_at", "closed_at", "outcome", "stage", *reversed(custom)]
    assert out["Region"].dtype == np.float64
    assert out["Kind"].dtype == out["Checked"].dtype == out["stage"].dtype
    assert out["Kind"].isna().tolist() == [False, True]
    assert str(out["Signed"].dtype) == "datetime64[us, UTC]"
    assert list(out.index) == [0, 1]


def test_the_input_is_not_touched():
    frame = deals()
    before = frame.copy(deep=True)
    conform(frame, "deals")
    pd.testing.assert_frame_equal(frame, before)


@given(st.permutations(["deal_id", "created_at", "closed_at", "outcome", "stage"]))
def test_the_order_of_columns_does_not_matter(order):
    pd.testing.assert_frame_equal(conform(deals()[order], "deals"), conform(deals(), "deals"))


def test_conforming_twice_changes_nothing():
    once = conform(deals(), "deals")
    pd.testing.assert_frame_equal(conform(once, "deals"), once)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2025-03-01T12:00:00+02:00", "2025-03-01T10:00:00Z"),
        ("2020-10-22T21:03:23.000+0000", "2020-10-22T21:03:23Z"),
        ("2025-03-01", "2025-03-01T00:00:00Z"),
    ],
)
def test_times_become_utc(written, meant):
    out = conform(deals(created_at=[written] * 2), "deals")
    assert (out["created_at"] == pd.Timestamp(meant)).all()


def test_numbers_as_ids_become_text():
    assert conform(deals(deal_id=[1, 2]), "deals")["deal_id"].tolist() == ["1", "2"]


def test_missing_columns_are_all_named_with_those_that_are_there():
    with pytest.raises(TableError, match=r"deals lacks the column\(s\) closed_at, stage; it has deal_id, created_at"):
        conform(deals().drop(columns=["closed_at", "stage"]), "deals")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"outcome": ["open", "maybe"]}, r"table deals: outcome is 'maybe' in 1 row \(allowed: won, lost, open\)$"),
        ({"outcome": ["open", None]}, "table deals: outcome is missing in 1 row$"),
        ({"deal_id": ["a", "a"]}, "table deals: 2 rows share their deal_id with another one, such as a$"),
        ({"deal_id": ["b", None]}, "table deals: deal_id is missing in 1 row$"),
        ({"deal_type": ["new", "renewal"]}, r"deal_type is 'renewal' in 1 row \(allowed: new, existing\)$"),
        ({"created_at": ["2025-01-01", "yesterday-ish"]}, r"deals\.created_at does not convert to time"),
        ({"amount": ["12", "a lot"]}, r"deals\.amount does not convert to number"),
    ],
)
def test_a_breach_says_which_column_and_how_often(columns, message):
    with pytest.raises(TableError, match=message) as caught:
        conform(deals(**columns), "deals")
    assert isinstance(caught.value, WinPredictError)


def test_all_breaches_are_named_at_once():
    with pytest.raises(TableError) as caught:
        conform(deals(outcome=["maybe", "perhaps"], deal_type=["x", "y"]), "deals")
    assert str(caught.value) == (
        "table deals: outcome is 'maybe' in 1 row, 'perhaps' in 1 row (allowed: won, lost, open); "
        "deal_type is 'x' in 1 row, 'y' in 1 row (allowed: new, existing)"
    )


def test_the_most_frequent_wrong_values_are_named_and_the_others_counted():
    outcomes = [*"aaabbcdefgh", "won"]
    frame = pd.DataFrame(
        {"deal_id": range(12), "outcome": outcomes, "stage": "Demo", "created_at": None, "closed_at": None}
    )
    with pytest.raises(
        TableError, match="'a' in 3 rows, 'b' in 2 rows, 'c' in 1 row, 'd' in 1 row, 'e' in 1 row, 3 other"
    ):
        conform(frame, "deals")


def test_a_key_of_several_columns_may_share_some_of_them():
    people = pd.DataFrame({"deal_id": ["d", "d", "e"], "contact_id": ["x", "y", "x"], "added_at": "2025-01-01"})
    assert len(conform(people, "contacts")) == 3
    with pytest.raises(
        TableError, match="table contacts: 2 rows share their deal_id and contact_id with another one, such as d, x"
    ):
        conform(people.assign(contact_id="x"), "contacts")


def test_a_missing_optional_value_is_fine():
    out = conform(deals(amount=[None, 5], owner_id=[None, "u"]), "deals")
    assert out["amount"].isna().tolist() == [True, False]
    assert out["owner_id"].isna().tolist() == [True, False]


def test_outcomes_are_those_of_the_words():
    assert OUTCOMES == ("won", "lost", "open")


def test_other_libraries_warnings_are_not_told_to_who_imports_a_table():
    """Where PySpark is installed, pandera imports it, and it warns of pandas 3."""
    asked = "import pandas as pd; from winpredict.tables.schema import conform; "
    asked += "conform(pd.DataFrame({'user_id': [1]}), 'users')"
    found = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert found.stderr == ""
