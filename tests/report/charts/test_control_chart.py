import json

import pandas as pd
import pytest

from winpredict.insights.control import control_chart
from winpredict.insights.decomposition import decompose
from winpredict.insights.labels import MEASURE_LABELS
from winpredict.locale.language import speaking
from winpredict.report.charts.control import control_chart_picture, decomposition_chart
from winpredict.report.charts.style import NARROW, WIDE

WON = [30, 31, 29, 33, 30, 28, 31, 29, 18, 21, 17, 20]


def series(values, **options):
    months = pd.date_range("2024-01-01", periods=len(values), freq="MS", tz="UTC")
    index = pd.Series(values, index=months)
    return control_chart(index, name="win rate", unit="share", period="month", **options)


def texts(chart):
    title = chart.to_dict()["title"]
    lines = [*title["text"], *title["subtitle"]]  # a long title or subtitle is broken into lines
    return " ".join(lines)


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_a_change_is_in_the_title_and_drawn_as_a_rule(width):
    picture = control_chart_picture(series(WON, kind="p", counts=[100] * 12), width)
    assert "changed in September 2024" in texts(picture)
    assert "30% before, 19% since" in texts(picture)
    marks = [layer["mark"]["type"] for layer in picture.to_dict()["layer"]]
    assert marks.count("rule") == 1


def test_signals_have_their_own_shape_and_a_letter():
    picture = control_chart_picture(series(WON, kind="p", counts=[100] * 12)).to_dict()
    shapes = [layer["mark"].get("shape") for layer in picture["layer"]]
    assert "diamond" in shapes
    rows = next(iter(picture["datasets"].values()))
    assert {row["letter"] for row in rows if row["signal"]} <= set("ABCDE")
    assert all(row["letter"] for row in rows if row["signal"])


@pytest.mark.parametrize("values", [[], [3.0], [3.0, 5, 4, 3, 5, 4, 3, 5]])
def test_series_without_signals_or_limits_are_drawn(values):
    assert control_chart_picture(series(values), NARROW).to_dict()
    assert control_chart_picture(control_chart(values)).to_dict()


def deals(a_won, b_won):
    outcome = ["won"] * a_won + ["lost"] * (50 - a_won) + ["won"] * b_won + ["lost"] * (50 - b_won)
    return pd.DataFrame({"outcome": outcome, "product": ["A"] * 50 + ["B"] * 50})


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_the_largest_part_comes_first(width):
    picture = decomposition_chart(decompose(deals(20, 20), deals(22, 5), "product", draws=100), "product", width)
    rows = next(rows for rows in picture.to_dict()["datasets"].values() if "group" in rows[0])
    assert [row["group"] for row in rows] == ["B", "A"]
    assert texts(picture).startswith("Win rate: −13.0 points, 0.0 of them from the mix by product")


def test_series_are_named_in_words_of_the_language():
    months = pd.date_range("2024-01-01", periods=12, freq="MS", tz="UTC")
    index = pd.Series(WON, index=months)
    chart = control_chart(
        index, name=MEASURE_LABELS["win_rate"], unit="share", period="month", kind="p", counts=[100] * 12
    )
    with speaking("fr"):
        french = texts(control_chart_picture(chart))
        axis = json.dumps(control_chart_picture(chart).to_dict())
    assert french.startswith("Taux de réussite\xa0: changement en septembre 2024")
    assert "nouveau niveau, 30\xa0% avant, 19\xa0% depuis" in french
    assert '"title": "taux de r\\u00e9ussite"' in axis
    with speaking("de"):
        assert "neues Niveau, vorher 30\xa0%, seitdem 19\xa0%" in texts(control_chart_picture(chart))


def test_nothing_to_split_is_drawn_empty():
    result = decompose(deals(20, 20), deals(20, 20).head(0), "product")
    assert decomposition_chart(result, "product").to_dict()
