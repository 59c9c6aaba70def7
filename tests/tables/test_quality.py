from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from winpredict.tables.crm import CRMData
from winpredict.tables.quality import check_quality

SHARED = Path(__file__).parents[2] / ".." / "shared" / "data"
START = pd.Timestamp("2024-01-01", tz="UTC")
STAGES = ("Qualify", "Demo")
DAY = pd.Timedelta("1D")


def clean(number=1000):
    """A bundle with nothing to report: 400 days of deals, each worked on for 30 days or still open."""
    created = START + pd.to_timedelta(np.arange(number) * 400 / number, unit="D")
    end = START + pd.Timedelta(days=400)
    closed = pd.Series(created + pd.to_timedelta(20 + np.arange(number) % 20, unit="D"))
    is_open = (closed >= end).to_numpy()
    ending = np.where(is_open, "open", np.where(np.arange(number) % 3 == 0, "won", "lost"))
    ids = pd.Series([f"d{i:04}" for i in range(number)])
    deals = pd.DataFrame(
        {
            "deal_id": ids,
            "created_at": created,
            "closed_at": closed.mask(is_open),
            "outcome": ending,
            "stage": pd.Series(ending).map({"open": "Demo", "won": "Closed Won", "lost": "Closed Lost"}),
            "amount": np.arange(number) + 100.0,
            "currency": "EUR",
            "owner_id": "u0",
            "account_id": "c0",
        }
    )
    steps = [(created, "Qualify"), (created + DAY, "Demo"), (closed, deals["stage"])]
    history = pd.concat([pd.DataFrame({"deal_id": ids, "changed_at": at, "stage": stage}) for at, stage in steps])
    touched = pd.concat([pd.DataFrame({"deal_id": ids, "occurred_at": created + each * DAY}) for each in (3, 9, 15)])
    touched = touched[touched["occurred_at"] < end]
    activities = touched.assign(
        activity_id=np.arange(len(touched)), activity_type="call", user_id="u0", recorded_at=touched["occurred_at"]
    )
    history = history[history["changed_at"] < end]
    # the last deals have no touch yet
    deals = deals[deals["created_at"] < end - 4 * DAY]
    keep = {"deal_history": history, "activities": activities}
    keep = {name: frame[frame["deal_id"].isin(deals["deal_id"])] for name, frame in keep.items()}
    people = {"users": pd.DataFrame({"user_id": ["u0"]}), "accounts": pd.DataFrame({"account_id": ["c0"]})}
    return CRMData.from_tables(deals, stage_order=STAGES, known_until=end, **keep, **people)


CLEAN = clean()


def deals(change):
    """The clean bundle after a change of its first closed deals."""
    frame = CLEAN.deals.copy()
    change(frame)
    return replace(CLEAN, deals=frame)


def table(name, change):
    frame = getattr(CLEAN, name).copy()
    return replace(CLEAN, **{name: change(frame)})


def put(rows, column, value):
    def change(frame):
        frame.loc[frame.index[:rows], column] = value

    return change


def findings(crm):
    return check_quality(crm).findings


def sentence(crm, column, part):
    """The one finding on a column that holds a phrase."""
    found = findings(crm)
    return found[(found["column"] == column) & found["what"].str.contains(part, regex=False)].squeeze()


def test_clean_data_have_nothing_to_report():
    assert findings(CLEAN).to_dict("records") == []
    assert check_quality(CLEAN).summary() == "Data quality: nothing to report."


def early(frame):
    return frame["created_at"] - DAY


DEALS = {
    "no creation time": (put(3, "created_at", pd.NaT), "created_at", 3, "warning"),
    "closed before they were created": (lambda d: put(4, "closed_at", START - DAY)(d), "closed_at", 4, "warning"),
    "within 10 minutes": (
        lambda d: put(2, "closed_at", d["created_at"] + pd.Timedelta("5min"))(d),
        "closed_at",
        2,
        "warning",
    ),
    "dated after the export": (put(2, "closed_at", START + 900 * DAY), "created_at", 2, "warning"),
    "closed without a closing time": (put(5, "closed_at", pd.NaT), "closed_at", 5, "serious"),
    "open and carry a closing time": (
        lambda d: [put(2, "outcome", "open")(d), put(2, "stage", "Demo")(d)],
        "closed_at",
        2,
        "warning",
    ),
    "in an open stage": (put(7, "stage", "Qualify"), "stage", 7, "warning"),
    "another outcome than that stage": (put(1, "outcome", "lost"), "outcome", 1, "warning"),
    "no owner_id": (put(6, "owner_id", None), "owner_id", 6, "info"),
    "no account_id": (put(6, "account_id", None), "account_id", 6, "info"),
    "has no amount": (put(1, "amount", np.nan), "amount", 1, "info"),
    "a negative amount": (put(2, "amount", -5.0), "amount", 2, "warning"),
    "times the median amount": (put(1, "amount", 1e9), "amount", 1, "warning"),
    "won with no amount": (put(1, "amount", 0.0), "amount", 1, "warning"),
    "not in the commonest of 2 currencies (EUR, USD)": (put(9, "currency", "USD"), "currency", 9, "warning"),
    "a owner_id that users lacks": (put(2, "owner_id", "gone"), "owner_id", 2, "warning"),
    "name a account_id that accounts lacks": (put(2, "account_id", "merged"), "account_id", 2, "warning"),
}


@pytest.mark.parametrize("phrase", DEALS)
def test_what_is_wrong_with_deals_is_counted(phrase):
    change, column, count, severity = DEALS[phrase]
    found = sentence(deals(change), column, phrase)
    assert found["count"] == count
    assert found["severity"] == severity
    assert found["share"] == pytest.approx(count / len(CLEAN.deals))
    assert found["what"].startswith(f"{count:,} of {len(CLEAN.deals):,} deals ")
    assert found["advice"]


def test_amounts_zeroed_at_the_close():
    def change(frame):
        frame.loc[frame["outcome"] == "lost", "amount"] = 0.0

    found = sentence(deals(change), "amount", "lost with an amount of zero")
    assert found["what"].endswith(f"of zero, against 0 of {(CLEAN.deals['outcome'] == 'open').sum()} open ones")


@pytest.mark.parametrize(("name", "phrase"), [("owner_id", "no column owner_id"), ("amount", "no column amount")])
def test_absent_columns_are_named(name, phrase):
    assert phrase in sentence(replace(CLEAN, deals=CLEAN.deals.drop(columns=name)), name, phrase)["what"]


def test_undated_deals_are_serious_and_nothing_else_about_time_is_said():
    never = pd.Series(pd.NaT, index=CLEAN.deals.index, dtype=CLEAN.deals["created_at"].dtype)
    crm = replace(CLEAN, deals=CLEAN.deals.assign(created_at=never, closed_at=never))
    found = findings(crm)
    assert found["severity"].tolist() == ["serious"]
    assert found["share"].tolist() == [1.0]


def test_unknown_stages_are_named_in_deals_and_history():
    crm = replace(CLEAN, stage_order=("Qualify",))
    found = findings(crm)
    unknown = found[found["what"].str.contains("stage_order lacks")]
    assert set(unknown["table"]) == {"deals", "deal_history"}
    assert unknown["what"].str.contains("(Demo)", regex=False).all()


def test_a_missing_stage_order_is_a_warning():
    assert (
        sentence(replace(CLEAN, stage_order=()), "stage", "order of the stages is not known")["severity"] == "warning"
    )


@pytest.mark.parametrize(("number", "part", "severity"), [(30, "won and", "serious"), (150, "closed deals", "warning")])
def test_few_closed_deals(number, part, severity):
    found = sentence(clean(number), "outcome", part)
    assert found["what"].startswith("only ")
    assert found["severity"] == severity


@pytest.mark.parametrize("share", [0.03, 0.97])
def test_a_share_of_won_that_is_hard_to_believe(share):
    def change(frame):
        won = np.arange(len(frame)) % 100 < 100 * share
        closed = frame["outcome"] != "open"
        frame.loc[closed, "outcome"] = np.where(won, "won", "lost")[closed]
        frame.loc[closed, "stage"] = np.where(won, "Closed Won", "Closed Lost")[closed]

    assert "closed deals are won" in sentence(deals(change), "outcome", "are won")["what"]


def first(rows, **values):
    def change(frame):
        frame = frame.copy()
        for column, value in values.items():
            frame.loc[frame.index[:rows], column] = value
        return frame

    return change


TABLES = {
    "have no recorded change": ("deal_history", lambda h: h[h["deal_id"] > "d0009"], 10),
    "more than a day after the close": ("deal_history", first(4, changed_at=START + 390 * DAY), 4),
    "more than a day before the creation": ("deal_history", first(3, changed_at=START - 9 * DAY), 3),
    "begins more than a day after": (
        "deal_history",
        lambda h: h[(h["stage"] != "Qualify") & (h["stage"] != "Demo")],
        None,
    ),
    "closed and opened again": ("deal_history", first(2, changed_at=START + 300 * DAY), 2),
    "have no touch": ("activities", lambda a: a[a["deal_id"] > "d0004"], 5),
    "lie before their deal's creation": ("activities", first(3, occurred_at=START - DAY), 3),
    "lie after their deal's close": ("activities", first(3, occurred_at=START + 399 * DAY), 3),
    "lie in the future": ("activities", first(3, occurred_at=START + 500 * DAY), 3),
    "more than 2 days after they happened": ("activities", first(3, recorded_at=START + 300 * DAY), 3),
    "a user_id that users lacks": ("activities", first(3, user_id="gone"), 3),
    "belong to no deal": ("activities", first(3, deal_id="merged"), 3),
    "not recorded when touches were entered": ("activities", lambda a: a.drop(columns="recorded_at"), None),
    "equal another touch": (
        "activities",
        lambda a: pd.concat([a, a.head(4).assign(activity_id=["w", "x", "y", "z"])]),
        4,
    ),
}


@pytest.mark.parametrize("phrase", TABLES)
def test_what_is_wrong_with_other_tables_is_counted(phrase):
    name, change, count = TABLES[phrase]
    found = findings(table(name, change))
    found = found[found["what"].str.contains(phrase, regex=False)]
    assert len(found) == 1
    assert count is None or found["count"].item() == count


def test_touches_often_entered_late_are_a_warning():
    late = table("activities", lambda a: a.assign(recorded_at=a["occurred_at"] + 5 * DAY))
    assert sentence(late, "recorded_at", "entered more than")["severity"] == "warning"


@pytest.mark.parametrize(("name", "severity"), [("deal_history", "serious"), ("activities", "warning")])
def test_absent_tables_are_named(name, severity):
    for absent in (None, getattr(CLEAN, name).iloc[:0]):
        found = findings(replace(CLEAN, **{name: absent}))
        assert found[found["table"] == name]["severity"].tolist() == [severity]


def test_weeks_without_a_new_deal_are_a_gap():
    gone = CLEAN.deals["created_at"].between(START + 100 * DAY, START + 130 * DAY)
    found = sentence(replace(CLEAN, deals=CLEAN.deals[~gone]), "created_at", "no new deal")
    assert found["count"] == 3
    assert " Apr 2024" in found["what"]


@pytest.mark.parametrize(("earlier", "words"), [(True, "went from"), (False, "went from")])
def test_a_jump_in_touches_says_when(earlier, words):
    def fewer(activities):
        outside = (activities["occurred_at"] < START + 200 * DAY) == earlier
        return activities[~outside | (activities["activity_id"].astype(int) % 4 == 0)]

    found = sentence(table("activities", fewer), "occurred_at", words)
    assert "July 2024" in found["what"] or "August 2024" in found["what"]
    assert "not comparable" in found["advice"]


def test_the_same_deal_under_two_ids():
    twin = CLEAN.deals.head(3).assign(deal_id=["x", "y", "z"])
    found = sentence(replace(CLEAN, deals=pd.concat([CLEAN.deals, twin])), "deal_id", "equal another deal")
    assert found["count"] == 3


def test_the_weightiest_findings_come_first_and_the_summary_reads():
    report = check_quality(replace(deals(put(5, "closed_at", pd.NaT)), activities=None))
    assert report.findings["severity"].tolist() == ["serious", "warning"]
    assert report.summary().splitlines()[0] == "Data quality: 1 serious problem, 1 warning."
    assert report.summary().splitlines()[1].startswith("  serious: 5 of 990 deals are closed without a closing time (")


def test_the_order_of_rows_does_not_matter():
    crm = replace(deals(put(5, "owner_id", None)), stage_order=("Qualify",))
    shuffled = {name: frame.sample(frac=1, random_state=1) for name, frame in crm.tables()}
    pd.testing.assert_frame_equal(findings(crm), findings(replace(crm, **shuffled)))


def test_one_deal_and_none_are_no_reason_to_fail():
    assert "only 1 won and 0 lost deals" in check_quality(replace(CLEAN, deals=CLEAN.deals.head(1))).summary()
    assert "only 0 won and 0 lost deals" in check_quality(CRMData.from_tables(CLEAN.deals.iloc[:0])).summary()


def test_the_real_b2b_deals_hold_83_twins():
    path = SHARED / "salvirt_b2b" / "Salvirt_B2B_ML_dataset.csv"
    if not path.exists():
        pytest.skip("shared data are not beside the project")
    raw = pd.read_csv(path, sep=";", keep_default_na=False)
    frame = raw.drop(columns="Status").assign(
        deal_id=np.arange(len(raw)), outcome=raw["Status"].str.lower(), created_at=None, closed_at=None, stage=None
    )
    assert sentence(CRMData.from_tables(frame), "deal_id", "equal another deal")["count"] == 83
