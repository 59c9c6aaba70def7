"""Every figure of AsOfTable against a loop over plain rows."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winpredict.features.asof import MICROSECONDS_A_DAY, AsOfTable, find_places, microseconds

DAY = pd.Timedelta(days=1)
START = pd.Timestamp("2025-01-01", tz="UTC")

# whole and half days, so that equal moments, and windows that end on an event, are common
moments = st.integers(0, 40).map(lambda halves: START + halves * DAY / 2)


@st.composite
def worlds(draw, late=True):
    n = draw(st.integers(0, 25))
    events = pd.DataFrame(
        {
            "key": draw(st.lists(st.sampled_from(["a", "b", "c", None]), min_size=n, max_size=n)),
            "occurred": pd.Series(draw(st.lists(moments, min_size=n, max_size=n)), dtype="datetime64[us, UTC]"),
            "who": draw(st.lists(st.sampled_from(["x", "y", "z", None]), min_size=n, max_size=n)),
            "size": draw(st.lists(st.sampled_from([np.nan, -1.0, 0.5, 2.0, 7.0]), min_size=n, max_size=n)),
        }
    )
    delays = draw(st.lists(st.integers(-10, 10), min_size=n, max_size=n)) if late else [0] * n
    events["recorded"] = events["occurred"] + pd.Series(delays, dtype="int64") * DAY / 2
    m = draw(st.integers(1, 8))
    snapshots = pd.DataFrame(
        {
            "key": draw(st.lists(st.sampled_from(["a", "b", "nobody"]), min_size=m, max_size=m)),
            "as_of": pd.Series(draw(st.lists(moments, min_size=m, max_size=m)), dtype="datetime64[us, UTC]"),
        }
    )
    return events, snapshots


def known(events, key, as_of):
    """Rows of a key that had happened and were entered strictly before as_of, in the order they came to be known."""
    rows = events[(events["key"] == key) & (events["occurred"] < as_of) & (events["recorded"] < as_of)]
    return rows.assign(known=rows[["occurred", "recorded"]].max(axis=1))


def look(events, snapshots):
    table = AsOfTable(events, "key", "occurred", recorded="recorded")
    return table.at(snapshots["key"], snapshots["as_of"])


def by_loop(events, snapshots, figure):
    return [
        figure(known(events, key, as_of), as_of)
        for key, as_of in zip(snapshots["key"], snapshots["as_of"], strict=True)
    ]


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_count(world):
    events, snapshots = world
    seen = look(events, snapshots)
    assert seen.count().tolist() == by_loop(events, snapshots, lambda rows, _: len(rows))
    by_x = (seen.column("who") == "x").to_numpy(dtype=bool)
    expected = by_loop(events, snapshots, lambda rows, _: (rows["who"] == "x").sum())
    assert seen.count(where=by_x).tolist() == expected


@settings(max_examples=60, deadline=None)
@given(worlds(), st.sampled_from([0.5, 1, 3, 7.5]))
def test_count_in_a_window(world, days):
    events, snapshots = world
    seen = look(events, snapshots)

    def inside(rows, as_of):
        return rows[rows["occurred"] >= as_of - days * DAY]

    assert seen.count(window_days=days).tolist() == by_loop(events, snapshots, lambda r, t: len(inside(r, t)))
    expected = by_loop(events, snapshots, lambda r, t: inside(r, t)["who"].nunique())
    assert seen.distinct("who", window_days=days).tolist() == expected


@settings(max_examples=60, deadline=None)
@given(worlds(late=False), st.sampled_from([0.5, 3, 7.5]))
def test_windows_of_a_table_without_late_rows(world, days):
    events, snapshots = world
    seen = AsOfTable(events, "key", "occurred").at(snapshots["key"], snapshots["as_of"])

    def inside(rows, as_of):
        return rows[rows["occurred"] >= as_of - days * DAY]

    assert seen.count(window_days=days).tolist() == by_loop(events, snapshots, lambda r, t: len(inside(r, t)))
    sums = by_loop(events, snapshots, lambda r, t: inside(r, t)["size"].sum())
    np.testing.assert_allclose(seen.sum("size", window_days=days), sums, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_distinct_sum_mean_and_max(world):
    events, snapshots = world
    seen = look(events, snapshots)
    assert seen.distinct("who").tolist() == by_loop(events, snapshots, lambda rows, _: rows["who"].nunique())
    np.testing.assert_allclose(seen.sum("size"), by_loop(events, snapshots, lambda rows, _: rows["size"].sum()))
    np.testing.assert_allclose(seen.mean("size"), by_loop(events, snapshots, lambda rows, _: rows["size"].mean()))
    np.testing.assert_allclose(seen.max("size"), by_loop(events, snapshots, lambda rows, _: rows["size"].max()))


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_time_since_and_upcoming(world):
    events, snapshots = world
    seen = look(events, snapshots)
    last = by_loop(events, snapshots, lambda rows, as_of: (as_of - rows["occurred"].max()) / DAY)
    np.testing.assert_allclose(seen.since_last(), last)
    first = by_loop(events, snapshots, lambda rows, as_of: (as_of - rows["occurred"].min()) / DAY)
    np.testing.assert_allclose(seen.since_first(), first)
    ahead = [
        ((events["key"] == key) & (events["recorded"] < as_of) & (events["occurred"] >= as_of)).sum()
        for key, as_of in zip(snapshots["key"], snapshots["as_of"], strict=True)
    ]
    assert seen.upcoming().tolist() == ahead


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_last_and_first(world):
    events, snapshots = world
    events = events[~events.assign(known=events[["occurred", "recorded"]].max(axis=1)).duplicated(["key", "known"])]
    seen = look(events, snapshots)

    def filled(rows):
        return rows[rows["size"].notna()].sort_values("known")["size"]

    last = by_loop(events, snapshots, lambda rows, _: filled(rows).iloc[-1] if len(filled(rows)) else np.nan)
    first = by_loop(events, snapshots, lambda rows, _: filled(rows).iloc[0] if len(filled(rows)) else np.nan)
    np.testing.assert_array_equal(seen.last("size").to_numpy(float), last)
    np.testing.assert_array_equal(seen.first("size").to_numpy(float), first)


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_some_of_the_events_are_a_table_of_their_own(world):
    events, snapshots = world
    seen = look(events, snapshots)
    some = seen.table.only(seen.carries("who", "x")).at(snapshots["key"], snapshots["as_of"])
    plain = look(events[events["who"] == "x"], snapshots)
    assert some.count(window_days=3).tolist() == plain.count(window_days=3).tolist()
    assert some.upcoming().tolist() == plain.upcoming().tolist()
    np.testing.assert_array_equal(some.since_last(), plain.since_last())
    np.testing.assert_array_equal(some.sum("size"), plain.sum("size"))


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_codes_of_the_value_before_tell_what_changed(world):
    events, snapshots = world
    table = look(events, snapshots).table
    now, before = table.column("who"), table.previous("who")
    codes, earlier = table.value_codes("who"), table.previous_codes("who")
    assert (codes >= 0).tolist() == now.notna().tolist()
    assert (earlier >= 0).tolist() == before.notna().tolist()
    assert (codes == earlier).tolist() == [
        a == b or bool(pd.isna(a) and pd.isna(b)) for a, b in zip(now, before, strict=True)
    ]
    for name in ("x", "nobody"):
        assert table.carries("who", name).tolist() == (now == name).tolist()


@settings(max_examples=40, deadline=None)
@given(worlds(), st.randoms(use_true_random=False))
def test_row_order_never_matters(world, random):
    events, snapshots = world
    shuffled = events.sample(frac=1, random_state=random.randrange(2**31))
    for view, other in [(look(events, snapshots), look(shuffled, snapshots))]:
        pd.testing.assert_series_equal(view.last("who"), other.last("who"))
        np.testing.assert_array_equal(view.max(view.table.gaps()), other.max(other.table.gaps()))
        np.testing.assert_array_equal(view.sum("size"), other.sum("size"))
        busiest = [v.max(v.table.occurrence_number("who")) for v in (view, other)]
        np.testing.assert_array_equal(*busiest)


@settings(max_examples=40, deadline=None)
@given(worlds())
def test_later_events_never_matter(world):
    events, snapshots = world
    cut = snapshots["as_of"].min()
    snapshots = snapshots.assign(as_of=cut)
    earlier = events[(events["recorded"] < cut) | (events["occurred"] < cut)]
    earlier = earlier[earlier["recorded"] < cut]
    view, other = look(events, snapshots), look(earlier, snapshots)
    assert view.count().tolist() == other.count().tolist()
    assert view.upcoming().tolist() == other.upcoming().tolist()
    pd.testing.assert_series_equal(view.last("who"), other.last("who"), check_dtype=False)


@pytest.mark.parametrize("n", [10, 300])
def test_occurrence_number_and_previous(n):
    rng = np.random.default_rng(n)
    events = pd.DataFrame(
        {"key": 0, "t": np.sort(rng.choice(10**6, n, replace=False)), "who": rng.choice(list("abcdef"), n)}
    )
    table = AsOfTable(events, "key", "t")
    assert table.occurrence_number("who").tolist() == (events.groupby("who").cumcount() + 1).tolist()
    assert table.previous("who").tolist()[1:] == events["who"].tolist()[:-1]
    np.testing.assert_allclose(table.gaps()[1:], np.diff(events["t"]) / MICROSECONDS_A_DAY)


def test_integer_keys_beyond_the_table_are_simply_empty():
    table = AsOfTable(pd.DataFrame({"key": [0, 1, 1], "t": [5, 6, 7]}), "key", "t")
    assert table.at([1, 2, -1, 99], pd.Series([10, 10, 10, 10])).count().tolist() == [2, 0, 0, 0]


@pytest.mark.parametrize("known", [3, 30])
@pytest.mark.parametrize("asked", [1, 40])
@pytest.mark.parametrize("dtype", ["str", object])
def test_places_of_few_keys_are_found_as_those_of_many(known, asked, dtype):
    different = pd.Series([f"k{number}" for number in range(known)], dtype=dtype)
    keys = pd.Series(["k2", "nobody", None, "k0"] * (asked // 4) or ["k2"], dtype=dtype)
    expected = [{"k2": 2, "k0": 0}.get(key, -1) for key in keys]
    assert find_places(different, keys).tolist() == expected
    assert find_places(different, keys, lambda: pd.Index(different)).tolist() == expected


def test_columns_of_events_that_lie_in_order_are_those_of_events_that_do_not():
    events = pd.DataFrame({"key": ["a", "a", "b"], "at": [1, 2, 3], "who": ["x", None, "y"]})
    shuffled = events.iloc[[2, 0, 1]]
    for frame in (events, shuffled, shuffled.reset_index(drop=True), events.set_axis([7, 8, 9])):
        table = AsOfTable(frame, "key", "at")
        at = table.at(["a", "b"], [9, 9])
        assert at.last("who").tolist() == ["x", "y"]
        assert table.column("at").tolist() == [table.column("at")[place] for place in range(3)]
        assert sorted(table.column("at")) == [1, 2, 3]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_moments_of_any_unit_and_zone_are_microseconds(unit):
    times = pd.Series(pd.to_datetime(["2025-01-01T00:00:01Z", None])).astype(f"datetime64[{unit}, UTC]")
    expected = [1_735_689_601_000_000, np.iinfo(np.int64).min]
    assert microseconds(times).tolist() == expected
    assert microseconds(times.dt.tz_convert("Europe/Paris")).tolist() == expected
