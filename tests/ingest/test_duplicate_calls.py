"""A call that arrives twice is one touch, however its records are told apart or shuffled."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winpredict.ingest.duplicate_calls import joined_calls

START = pd.Timestamp("2025-03-03T10:00:00Z")


def call(number, seconds=0, **values):
    plain = {
        "activity_id": f"a{number}",
        "deal_id": "d1",
        "occurred_at": START + pd.Timedelta(seconds=seconds),
        "activity_type": "call",
        "user_id": "u1",
        "contact_id": "c1",
        "duration_s": float("nan"),
        "call_id": None,
        "same_as": None,
        "origin": "Task",
    }
    return plain | values


def joined(*records):
    frame = pd.DataFrame(list(records))
    kept, again = joined_calls(frame.drop(columns="origin"), frame["origin"])
    assert len(kept) + len(again) == len(frame)
    assert "same_as" not in kept
    return kept


def test_by_call_id_the_fuller_record_stays_and_takes_what_it_lacks():
    kept = joined(
        call(1, call_id="t9", direction="inbound", result="busy"),
        call(2, 4000, call_id="t9", duration_s=30.0, direction=None, result=None, contact_id=None),
        call(3, call_id="t8"),
    )
    assert kept["activity_id"].tolist() == ["a1", "a3"]
    assert kept.loc[0, ["duration_s", "direction", "contact_id"]].tolist() == [30.0, "inbound", "c1"]
    assert kept.loc[0, "occurred_at"] == START


def test_a_subject_goes_to_the_fuller_record_and_makes_none_fuller():
    kept = joined(
        call(1, 900, call_id="t9", subject="Price was agreed"), call(2, call_id="t9", duration_s=30.0, subject=None)
    )
    assert kept[["activity_id", "subject"]].values.tolist() == [["a2", "Price was agreed"]]
    alike = joined(call(1, call_id="t9", subject=None), call(2, 60, call_id="t9", subject="Price was agreed"))
    assert alike[["activity_id", "subject"]].values.tolist() == [["a1", "Price was agreed"]]


def test_one_call_on_two_deals_is_a_touch_of_both():
    assert len(joined(call(1, call_id="t9"), call(2, call_id="t9", deal_id="d2"))) == 2


def test_by_the_record_that_one_names_in_the_other():
    kept = joined(
        call(1, 900, activity_type="task", contact_id=None),
        call(2, same_as="a1", call_id="t1", duration_s=5.0, origin="VoiceCall"),
        call(3, 4000, activity_type="task"),
    )
    assert kept["activity_id"].tolist() == ["a2", "a3"]
    assert kept["activity_type"].tolist() == ["call", "task"]


@pytest.mark.parametrize(
    ("other", "one_call"),
    [
        ({"seconds": 60}, True),
        ({"seconds": 61}, False),
        ({"user_id": "u2"}, False),
        ({"contact_id": "c2"}, False),
        ({"contact_id": None}, False),
        ({"deal_id": "d2"}, False),
        ({"origin": "Task"}, False),
        ({"call_id": "t1"}, True),
        ({"call_id": "t2"}, False),
        ({"activity_type": "meeting"}, False),
    ],
)
def test_by_who_with_whom_and_when(other, one_call):
    plain = {"origin": "VoiceCall", "seconds": 20}
    kept = joined(call(1, call_id="t1"), call(2, **plain | other))
    assert len(kept) == (1 if one_call else 2)


def test_somebody_who_dials_again_within_the_minute_made_two_calls():
    kept = joined(call(1), call(2, 40), call(3, 1, origin="VoiceCall"), call(4, 41, origin="VoiceCall"))
    assert kept["activity_id"].tolist() == ["a1", "a2"]


def test_touches_that_are_no_calls_are_left_alone():
    frame = pd.DataFrame([call(1, activity_type="email"), call(2, activity_type="email")]).drop(columns="call_id")
    kept, again = joined_calls(frame, frame["origin"])
    assert again.empty
    assert kept["activity_id"].tolist() == ["a1", "a2"]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_shuffled_and_doubled_records_give_the_same_touches(data):
    records = [
        call(
            number,
            data.draw(st.integers(0, 400)),
            user_id=data.draw(st.sampled_from(["u1", "u2"])),
            call_id=data.draw(st.sampled_from([None, None, f"t{number % 4}"])),
            duration_s=data.draw(st.sampled_from([float("nan"), 9.0])),
            origin=data.draw(st.sampled_from(["Task", "VoiceCall", "calls.csv"])),
        )
        for number in range(data.draw(st.integers(1, 12)))
    ]
    expected = joined(*records).sort_values("activity_id").reset_index(drop=True)
    assert not expected["call_id"].dropna().duplicated().any()
    # the telephony sends some calls again, under new ids of its own and with less in them
    doubled = [
        record | {"activity_id": "z" + record["activity_id"], "duration_s": float("nan"), "contact_id": None}
        for record in records
        if record["call_id"] is not None and data.draw(st.booleans())
    ]
    again = joined(*data.draw(st.permutations(records + doubled)))
    pd.testing.assert_frame_equal(again.sort_values("activity_id").reset_index(drop=True), expected)
    settled, more = joined_calls(expected, pd.Series("now", index=expected.index))
    assert more.empty
    pd.testing.assert_frame_equal(settled, expected)
