import json

import pandas as pd
import pytest

from winpredict.insights.winrates import closed_won
from winpredict.locale.language import speaking
from winpredict.report.charts.style import NARROW, WIDE
from winpredict.report.charts.winrates import MAX_GROUPS, loss_reasons_chart, win_rate_chart


@pytest.fixture(scope="module")
def found(world):
    return closed_won(world.crm)


def pixels(path):
    """Width of a PNG, as its header says."""
    return int.from_bytes(path.read_bytes()[16:20])


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_charts_are_drawn_and_keep_to_their_width(found, width, tmp_path):
    groups = found.segments[found.segments["segment"] == "lead_source"]
    for number, chart in enumerate(
        (win_rate_chart(groups, found.overall, width), loss_reasons_chart(found.loss_reasons, width))
    ):
        chart.save(str(tmp_path / f"{number}.png"))
        assert pixels(tmp_path / f"{number}.png") <= width + 10


def test_groups_keep_their_order_and_the_rate_of_all_is_a_rule(found):
    groups = found.segments[found.segments["segment"] == "touches_band"]
    drawn = json.loads(win_rate_chart(groups, found.overall).to_json())
    rows = max(drawn["datasets"].values(), key=len)
    assert [row["label"].split(" (")[0] for row in rows] == groups["group"].tolist()
    assert [{"rate": found.overall["win_rate"].iloc[0]}] in drawn["datasets"].values()


def test_of_many_groups_the_largest_are_drawn_and_it_is_said(found):
    row = found.segments.iloc[[0]]
    many = pd.concat([row.assign(group=f"Rep {k}", n=100 + k) for k in range(40)], ignore_index=True)
    drawn = json.loads(win_rate_chart(many, found.overall).to_json())
    assert len(max(drawn["datasets"].values(), key=len)) == MAX_GROUPS
    assert f"the {MAX_GROUPS} largest of 40" in " ".join(drawn["title"]["subtitle"])


def test_without_a_period_before_there_is_no_ring_in_the_words(world):
    start = world.crm.as_known_at("2023-09-01")
    result = closed_won(start)
    groups = result.segments[result.segments["segment"] == "product"]
    drawn = json.loads(win_rate_chart(groups, result.overall).to_json())
    assert "ring" not in " ".join(drawn["title"]["subtitle"])


def test_groups_are_named_in_the_language(found):
    groups = found.segments[found.segments["segment"] == "touches_band"]
    with speaking("fr"):
        drawn = json.loads(win_rate_chart(groups, found.overall).to_json())
    rows = max(drawn["datasets"].values(), key=len)
    assert rows[1]["label"] == f"1 à 4 ({groups['n'].iloc[1]})"
    assert drawn["title"]["text"] == ["Taux de réussite par segment\xa0: nombre d’échanges"]
    assert drawn["title"]["subtitle"][0].startswith("Point\xa0: taux de réussite, avec son intervalle à 95\xa0%\xa0; ")


def test_long_names_are_broken_into_lines_and_keep_to_their_room(found, tmp_path):
    groups = found.segments[found.segments["segment"] == "product"].copy()
    groups["group"] = [f"{name} with a name that goes on and on for two lines" for name in groups["group"]]
    for width in (WIDE, NARROW):
        chart = win_rate_chart(groups, found.overall, width)
        axis = chart.to_dict()["layer"][0]["encoding"]["y"]["axis"]
        assert "goes on and" in axis["labelExpr"]
        chart.save(str(tmp_path / "a.png"))
        assert pixels(tmp_path / "a.png") <= width + 10


def test_empty_frames_are_drawn_too(found, tmp_path):
    win_rate_chart(found.segments.head(0), found.overall).save(str(tmp_path / "a.png"))
    loss_reasons_chart(found.loss_reasons.head(0)).save(str(tmp_path / "b.png"))
