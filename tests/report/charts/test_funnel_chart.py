import json

import pandas as pd
import pytest

from winpredict.insights.funnel import funnel
from winpredict.locale.formats import rough_money
from winpredict.locale.language import speaking
from winpredict.report.charts.funnel import conversion_chart, history_chart, stage_chart
from winpredict.report.charts.style import NARROW, WIDE


@pytest.fixture(scope="module")
def found(world):
    return funnel(world.crm)


def pixels(path):
    """Width of a PNG, as its header says."""
    return int.from_bytes(path.read_bytes()[16:20])


def drawn_of(found, width=WIDE):
    return (
        stage_chart(found.now, width),
        history_chart(found.history, width),
        conversion_chart(found.conversion, width),
    )


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_charts_are_drawn_and_keep_to_their_width(found, width, tmp_path):
    for number, chart in enumerate(drawn_of(found, width)):
        chart.save(str(tmp_path / f"{number}.png"))
        assert pixels(tmp_path / f"{number}.png") <= width + 10


def test_stages_stand_in_their_order(found, world):
    drawn = json.loads(stage_chart(found.now).to_json())
    rows = max(drawn["datasets"].values(), key=len)
    assert tuple(row["stage"] for row in rows) == world.crm.stage_order


def test_a_month_end_is_named_by_the_month_that_ends(found):
    text = history_chart(found.history).to_json()
    last = found.history["month_end"].max()
    assert f"{last - pd.Timedelta('1us'):%b %y}" in text
    assert f'"{last:%b %y}"' not in text
    with speaking("fr"):
        assert "févr. 25" in str(history_chart(found.history).to_dict())


def test_shares_and_days_are_written_out(found):
    drawn = json.loads(conversion_chart(found.conversion).to_json())
    rows = max(drawn["datasets"].values(), key=len)
    first = found.conversion.iloc[0]
    assert rows[0]["lost_text"] == f"{100 * first['lost_finally']:.0f}% lost"
    assert rows[0]["label"] == f"Prospecting ({first['median_days']:.0f} days)"
    with speaking("fr"):
        french = json.loads(conversion_chart(found.conversion).to_json())
    rows = max(french["datasets"].values(), key=len)
    assert rows[0]["lost_text"] == f"{100 * first['lost_finally']:.0f}\xa0% perdues"
    assert rows[0]["label"] == f"Prospecting ({first['median_days']:.0f} jours)"


def test_amounts_are_rounded_and_have_their_currency(found):
    drawn = json.loads(stage_chart(found.now, currency="EUR").to_json())
    rows = max(drawn["datasets"].values(), key=len)
    amounts = found.now["amount"].astype(float)
    assert rows[0]["amount_text"] == rough_money((amounts.iloc[0], "EUR"))
    assert rows[0]["amount_text"].startswith("€")


def test_empty_frames_are_drawn_too(found, tmp_path):
    for number, chart in enumerate(
        (
            stage_chart(found.now.head(0)),
            history_chart(found.history.head(0)),
            conversion_chart(found.conversion.head(0)),
        )
    ):
        chart.save(str(tmp_path / f"{number}.png"))
