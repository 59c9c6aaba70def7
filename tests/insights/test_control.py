from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from winpredict import CRMData
from winpredict.errors import TableError
from winpredict.insights.control import changes, control_chart

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "salesforce_export" / "WE_export_2025-06-11.zip"


def company(months=30, a_month=60, turns=20, seed=0, fallen=0.1):
    """Deals of two products, closed 20 days after their creation; product A falls from 40% to `fallen`."""
    random = np.random.default_rng(seed)
    month = np.repeat(np.arange(months), a_month)
    product = np.where(random.random(month.size) < 0.5, "A", "B")
    rate = np.where((product == "A") & (month >= turns), fallen, 0.4)
    starts = pd.Timestamp("2023-01-01", tz="UTC") + pd.to_timedelta(month * 30.4375 + 0.2, unit="D")
    created = starts + pd.to_timedelta(random.random(month.size) * 9, unit="D")
    won = random.random(month.size) < rate
    return pd.DataFrame(
        {
            "deal_id": [f"d{number}" for number in range(month.size)],
            "stage": np.where(won, "Won", "Lost"),
            "outcome": np.where(won, "won", "lost"),
            "created_at": created,
            "closed_at": created + pd.Timedelta(days=20),
            "product": product,
        }
    )


def has_signal(chart):
    return bool((chart.frame["signal"] != "").any())


@pytest.fixture(scope="module")
def found():
    return changes(CRMData.from_tables(company()))


@pytest.mark.parametrize(("volume", "rate"), [(20, 0.2), (60, 0.3), (200, 0.5)])
def test_p_charts_cry_wolf_as_often_as_they_say(volume, rate):
    random, size = np.random.default_rng(7), 200
    charts = [
        control_chart(random.binomial(volume, rate, 24), kind="p", counts=[volume] * 24, rate=0.2, simulations=1000)
        for _ in range(size)
    ]
    stated = np.mean([chart.false_alarm_rate for chart in charts])
    assert 0.17 < stated <= 0.2
    # three standard errors of 200 series
    assert np.mean([has_signal(chart) for chart in charts]) == pytest.approx(stated, abs=3 * np.sqrt(0.16 / size))


def test_xmr_charts_cry_wolf_as_often_as_they_say():
    random, size = np.random.default_rng(8), 300
    charts = [control_chart(row, rate=0.2) for row in random.normal(50, 8, size=(size, 30))]
    stated = charts[0].false_alarm_rate
    assert stated == pytest.approx(0.2, abs=0.01)
    assert np.mean([has_signal(chart) for chart in charts]) == pytest.approx(stated, abs=3 * np.sqrt(0.16 / size))


def test_a_fall_of_ten_points_is_found_within_two_months():
    random, history = np.random.default_rng(9), 12
    rates = np.r_[np.full(history, 0.3), 0.2, 0.2]
    charts = [
        control_chart(random.binomial(200, rates), kind="p", counts=[200] * rates.size, simulations=2000)
        for _ in range(100)
    ]
    assert np.mean([(chart.frame["signal"].iloc[-2:] != "").any() for chart in charts]) >= 0.9


def test_marks_lie_outside_the_limits_and_the_limits_are_exact_for_few_deals():
    won = [2, 3, 1, 2, 4, 2, 3, 2, 1, 3, 2, 12]
    chart = control_chart(won, kind="p", counts=[12] * 12)
    outside = (chart.frame["value"] < chart.frame["low"]) | (chart.frame["value"] > chart.frame["high"])
    assert outside.tolist() == [False] * 11 + [True]
    assert chart.frame["signal"].iloc[-1] == "outside the limits"
    assert (chart.frame["low"] == 0).all()
    assert chart.frame["centre"].iloc[0] == pytest.approx(37 / 144)


def test_the_spread_is_that_of_the_moving_ranges():
    chart = control_chart([1.0, 3, 1, 3, 1, 3, 1, 3])
    assert chart.frame["centre"].iloc[0] == 2
    sigma = 2 / 1.1284
    assert chart.frame["high"].iloc[0] == pytest.approx(2 + chart.bounds["outside"] * sigma, rel=1e-3)
    assert chart.frame["low"].iloc[0] == 0  # what cannot be negative has no limit below zero


def test_the_month_of_a_change_and_what_is_plausible_beside_it():
    won = [30, 31, 29, 33, 30, 28, 31, 29, 18, 21, 17, 20]
    months = pd.date_range("2024-01-01", periods=12, freq="MS", tz="UTC")
    chart = control_chart(
        pd.Series(won, index=months), kind="p", counts=[100] * 12, name="win rate", unit="share", period="month"
    )
    assert len(chart.changes) == 1
    assert chart.change["period"] == pd.Timestamp("2024-09-01", tz="UTC")
    assert chart.change["earliest"] <= chart.change["period"] <= chart.change["latest"]
    assert chart.change["before"] == pytest.approx(241 / 800)
    assert chart.change["after"] == pytest.approx(76 / 400)
    assert chart.sentences()[0] == (
        "Win rate: changed from 30% to 19% since September 2024 (400 deals). It may have begun at any time from "
        "August 2024 to October 2024."
    )


def test_two_changes_are_both_found():
    values = np.r_[np.full(10, 10.0), np.full(10, 20.0), np.full(10, 5.0)] + np.tile([0.5, -0.5, 0.2], 10)
    chart = control_chart(values)
    assert chart.changes["period"].tolist() == [11, 21]
    assert chart.sentences()[1] == "Earlier change of value: 10 until period 11, then 20."


def test_logarithms_are_compared_and_told_as_values():
    chart = control_chart([10.0, 20, 10, 20, 10, 20, 10, 20], log=True)
    assert chart.frame["centre"].iloc[0] == pytest.approx(np.sqrt(200))
    assert chart.frame["low"].iloc[0] > 0


@pytest.mark.parametrize("values", [[], [3], [0, 0, 0, 0, 0, 0, 0, 0], [5] * 8])
def test_too_little_or_no_noise_gives_no_limits_but_the_values(values):
    for chart in (control_chart(values), control_chart(values, kind="p", counts=[5] * len(values))):
        assert len(chart.frame) == len(values)
        assert chart.frame["low"].isna().all()
        assert len(chart.sentences()) == 1


def test_months_without_deals_are_gaps():
    chart = control_chart([3, 4, 0, 3, 5, 4, 3, 4], kind="p", counts=[10, 10, 0, 10, 10, 10, 10, 10])
    assert chart.frame["value"].isna().tolist() == [False, False, True] + [False] * 5
    assert chart.frame["low"].isna().sum() == 1
    assert control_chart([3.0, 4, np.nan, 3, 5, 4, 3, 4]).frame["low"].isna().sum() == 1


def test_what_does_not_fit_is_refused():
    with pytest.raises(TableError, match="counts"):
        control_chart([1, 2], kind="p")
    with pytest.raises(TableError, match="2 values but 1 counts"):
        control_chart([1, 2], counts=[1])
    with pytest.raises(TableError, match="rate"):
        control_chart([1, 2], rate=1.5)


def test_the_fallen_product_is_named_with_its_month(found):
    row = found.frame[(found.frame["measure"] == "win_rate") & (found.frame["group"] == "A")].iloc[0]
    assert row["verdict"] == "change"
    assert abs(row["changed_at"] - pd.Timestamp("2024-09-01", tz="UTC")) <= pd.Timedelta(days=31)
    assert (row["cause_segment"], row["cause_group"]) == ("product", "A")
    assert row["cause_points"] < -0.08
    assert any(each.startswith("Win rate, product A: changed from ") for each in found.sentences())


def test_the_overall_change_is_put_down_to_the_product_and_not_to_the_mix(found):
    row = found.frame[(found.frame["measure"] == "win_rate") & (found.frame["segment"] == "")].iloc[0]
    assert (row["verdict"], row["cause_group"]) == ("change", "A")
    assert abs(row["mix_points"]) < 0.03
    first = found.sentences()[0]
    assert "Most likely cause: product A, down from " in first
    assert "The mix of deals explains only " in first


def test_the_untouched_product_wobbles(found):
    verdicts = found.frame.set_index(["measure", "group"])["verdict"]
    assert verdicts["win_rate", "B"] == "wobble"
    assert verdicts["touches", "all"] == "no limits"
    assert "Without a table of activities, touches are not looked at." in map(str, found.notes)


def test_the_order_of_the_rows_changes_nothing(found):
    again = changes(CRMData.from_tables(company().sample(frac=1, random_state=3)))
    pd.testing.assert_frame_equal(found.frame, again.frame, rtol=1e-9)
    assert found.sentences() == again.sentences()


def test_nothing_recorded_later_is_used(found):
    deals = company()
    day = pd.Timestamp("2024-12-01", tz="UTC")
    early = deals[deals["created_at"] < day].copy()
    late = early["closed_at"] >= day
    early.loc[late, ["outcome", "closed_at"]] = ["open", pd.NaT]
    then = changes(CRMData.from_tables(deals), as_of=day)
    pd.testing.assert_frame_equal(then.frame, changes(CRMData.from_tables(early, known_until=day)).frame)
    assert then.charts["win_rate", "", "all"].frame["period"].max() < day


def test_weeks_are_an_option():
    result = changes(CRMData.from_tables(company(months=12)), period="week")
    chart = result.charts["win_rate", "", "all"]
    assert (chart.frame["period"].dt.day_of_week == 0).all()
    with pytest.raises(TableError, match="month or week"):
        changes(CRMData.from_tables(company(months=2)), period="day")


def test_companies_without_dates_deals_or_wins_get_sentences_instead_of_errors():
    deals = company(months=12)
    undated = deals.assign(created_at=pd.NaT, closed_at=pd.NaT)
    assert "no dates" in changes(CRMData.from_tables(undated)).sentences()[0]
    assert "no dates" in changes(CRMData.from_tables(deals.head(0))).sentences()[0]
    assert "needed" in " ".join(changes(CRMData.from_tables(deals.head(1))).sentences())
    lost = changes(CRMData.from_tables(deals.assign(outcome="lost")))
    assert lost.frame.set_index(["measure", "group"])["verdict"]["win_rate", "all"] == "no limits"
    open_only = deals.assign(outcome="open", closed_at=pd.NaT)
    assert changes(CRMData.from_tables(open_only)).sentences()


def test_the_simulated_company_runs_through(world):
    result = changes(world.crm)
    assert set(result.frame["measure"]) == {"win_rate", "new_deals", "cycle_days", "touches"}
    assert result.sentences()


@pytest.mark.skipif(not DATA.exists(), reason="the data folder is not beside the project")
def test_the_product_that_fell_in_the_salesforce_export_is_named():
    from winpredict.ingest import import_files, load_profile

    result = changes(import_files([DATA], load_profile("salesforce")).crm)
    row = result.frame[(result.frame["measure"] == "win_rate") & (result.frame["group"] == "Core")].iloc[0]
    assert row["verdict"] == "change"
    assert row["changed_at"] == pd.Timestamp("2024-12-01", tz="UTC")
    assert row["cause_group"] == "Core"
    assert result.sentences()[0].startswith("Win rate, product Core: changed from ")
    assert "since December 2024" in result.sentences()[0]


def test_by_default_nothing_recorded_after_the_end_of_knowledge_is_used(world):
    day = pd.Timestamp("2024-11-15", tz="UTC")
    by_default, cut = changes(replace(world.crm, known_until=day)), changes(world.crm, as_of=day)
    pd.testing.assert_frame_equal(by_default.frame, cut.frame)
