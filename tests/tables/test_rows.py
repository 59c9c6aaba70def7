"""Faster ways to sort, compare and hash rows give what pandas gives."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winpredict.tables.rows import MAX_BYTES, is_ascending, is_in, repeats_previous, row_digests, row_hashes, sorted_by
from winpredict.tables.schema import TIME_DTYPE, text_dtype

LONG = "x" * MAX_BYTES
#: Ids that look alike: in length, accents, zero bytes, long common beginnings.
ALIKE = (
    "",
    "a",
    "a\0",
    "aa",
    "Z",
    "z",
    "é",
    "日本",
    "0065g0000000001",
    "0065g0000000010",
    LONG,
    LONG + "a",
    LONG + "b",
)
UUIDS = tuple(f"18a7f0c2-77f3-4f6a-9d7b-00000000000{number}" for number in range(4))
texts = st.sampled_from([*ALIKE, *UUIDS, None]) | st.text(alphabet="aé\0 9", max_size=20)
times = st.sampled_from([pd.Timestamp("2025-01-01", tz="UTC"), pd.Timestamp("2025-01-01T00:00:00.000001Z"), pd.NaT])
numbers = st.sampled_from([0.0, -0.0, 1.5, -np.inf, np.inf, np.nan])


@st.composite
def frames(draw, alike=texts):
    size = draw(st.integers(0, 25))

    def column(values, dtype):
        return pd.Series(draw(st.lists(values, min_size=size, max_size=size)), dtype=dtype)

    return pd.DataFrame(
        {
            "one": column(alike, text_dtype()),
            "two": column(alike, text_dtype()),
            "at": column(times, TIME_DTYPE),
            "number": column(numbers, "float64"),
            "flag": column(st.sampled_from([True, False, None]), "boolean"),
            "place": np.arange(size),
        }
    )


keys = st.lists(st.sampled_from(["one", "two", "at", "number", "flag"]), min_size=1, max_size=5, unique=True)


@settings(max_examples=300, deadline=None)
@given(frames(), keys)
def test_rows_are_sorted_as_pandas_sorts_them(frame, key):
    expected = frame.sort_values(key, kind="stable", ignore_index=True)
    pd.testing.assert_frame_equal(sorted_by(frame.set_axis(frame.index * 2), key), expected)
    pd.testing.assert_frame_equal(sorted_by(expected, key), expected)


def test_many_rows_are_moved_with_all_their_values():
    rng = np.random.default_rng(1)
    size = 6000
    frame = pd.DataFrame(
        {
            "id": pd.Series([f"id{number:05d}" for number in rng.permutation(size)], dtype=text_dtype()),
            "kind": pd.Series(rng.choice(["call", "mail", None], size), dtype=text_dtype()),
            "at": pd.Series(pd.Timestamp("2025-01-01", tz="UTC") + pd.to_timedelta(rng.integers(0, 9, size), unit="h")),
            "amount": rng.choice([1.0, np.nan], size),
            "flag": pd.Series(rng.choice([True, False, None], size), dtype="boolean"),
            "file": pd.Categorical(rng.choice(["a.csv", "b.csv"], size)),
            "row": rng.permutation(size),
        },
        index=np.arange(size) + 7,
    )
    pd.testing.assert_frame_equal(sorted_by(frame, ["id"]), frame.sort_values("id", ignore_index=True))


def test_without_columns_to_sort_by_rows_stay():
    frame = pd.DataFrame({"one": ["b", "a"]}, index=[3, 1])
    pd.testing.assert_frame_equal(sorted_by(frame, []), frame.reset_index(drop=True))


def test_ids_of_one_length_are_sorted_by_their_last_letters():
    ids = [f"00T5g000000{number:04d}" for number in range(3000)]
    order = np.random.default_rng(0).permutation(3000)
    frame = pd.DataFrame({"id": pd.Series(ids, dtype=text_dtype()).iloc[order], "place": order})
    assert sorted_by(frame, ["id"])["place"].tolist() == list(range(3000))


@settings(max_examples=200, deadline=None)
@given(frames(st.sampled_from(["a", "b", None])), keys)
def test_repeats_of_the_row_before_are_those_with_equal_or_missing_values(frame, key):
    told = repeats_previous(frame, key).tolist()
    rows = [
        tuple("missing" if pd.isna(value) else value for value in row) for row in frame[key].astype(object).to_numpy()
    ]
    assert told == [place > 0 and row == rows[place - 1] for place, row in enumerate(rows)]


@pytest.mark.parametrize(
    ("values", "ascending"),
    [
        (["a", "b", "ba"], True),
        (["a", "a"], False),
        (["b", "a"], False),
        (["a", None], False),
        (["a"], True),
        ([], True),
    ],
)
def test_a_column_ascends_where_each_value_is_greater(values, ascending):
    assert is_ascending(pd.DataFrame({"id": pd.Series(values, dtype=text_dtype())}), ["id"]) is ascending


def test_a_later_column_decides_where_the_first_is_alike():
    frame = pd.DataFrame({"deal_id": ["a", "a", "b"], "contact_id": ["x", "y", "a"]})
    assert is_ascending(frame, ["deal_id", "contact_id"])
    assert not is_ascending(frame.assign(contact_id=["y", "x", "a"]), ["deal_id", "contact_id"])
    assert not is_ascending(frame.assign(contact_id=["x", "x", "a"]), ["deal_id", "contact_id"])


@given(st.lists(texts, max_size=20), st.lists(texts.filter(lambda text: text is not None), max_size=5))
def test_texts_are_found_among_others(values, known):
    series = pd.Series(values, dtype=text_dtype())
    assert is_in(series, set(known)).tolist() == [value in known for value in values]
    assert is_in(series, pd.Series(known, dtype=text_dtype())).tolist() == [value in known for value in values]


@pytest.mark.parametrize("digest", [row_digests, row_hashes])
def test_the_digest_of_a_row_is_decided_by_its_values_alone(digest):
    frame = pd.DataFrame(
        {
            "a": pd.Series(["x", "y", None, "x"], dtype=text_dtype()),
            "n": [1.0, 1.0, np.nan, 1.0],
            "b": ["q", None, "q", "q"],
        }
    )
    digests = digest(frame)
    assert digests[0] == digests[3]
    assert len(set(digests)) == 3
    turned = digest(frame[["n", "b", "a"]].assign(empty=np.nan).iloc[::-1])
    assert turned[::-1].tolist() == digests.tolist()
    # the same values in other columns are another row
    assert digest(frame.rename(columns={"a": "c"}))[0] != digests[0]


@settings(max_examples=200, deadline=None)
@given(st.lists(texts, min_size=1, max_size=20))
def test_texts_have_one_hash_where_they_are_equal_and_several_else(values):
    hashes = row_hashes(pd.DataFrame({"id": pd.Series(values, dtype=text_dtype())})).tolist()
    by_text = dict(zip(values, hashes, strict=True))
    assert hashes == [by_text[value] for value in values]
    assert len(set(hashes)) == len(by_text)
    for value, hashed in by_text.items():  # whatever other texts are beside it
        assert row_hashes(pd.DataFrame({"id": pd.Series([value], dtype=text_dtype())})).tolist() == [hashed]


@pytest.mark.parametrize("digest", [row_digests, row_hashes])
def test_hundred_thousand_ids_have_as_many_digests(digest):
    ids = pd.Series([f"0065g0000{number:06d}" for number in range(100_000)], dtype=text_dtype())
    assert len(np.unique(digest(pd.DataFrame({"id": ids})))) == 100_000


def test_the_digest_does_not_depend_on_how_often_values_occur():
    many = pd.DataFrame({"id": pd.Series([f"id{number}" for number in range(9000)], dtype=text_dtype())})
    few = pd.DataFrame({"id": pd.Series(["id7"] * 9000, dtype=text_dtype())})
    assert row_digests(many)[7] == row_digests(few)[0] == row_digests(many.iloc[7:8])[0]


def test_the_digests_are_the_same_on_every_machine():
    """Ids are made of them where a file has none, and a later import must make the same ones."""
    frame = pd.DataFrame({"deal_id": pd.Series(["d1", "é"], dtype=text_dtype()), "amount": [12.5, np.nan]})
    assert row_digests(frame).tolist() == [16187867136973733833, 5455758600479698347]
