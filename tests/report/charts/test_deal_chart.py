import dataclasses
import json

import pandas as pd
import pytest

from winpredict.explain.scores import DealScorer
from winpredict.explain.story import tell_story
from winpredict.report.charts.deal import KINDS, _days_axis, _lines, deal_chart, steps_frame
from winpredict.report.charts.style import NARROW, WIDE
from winpredict.report.page import Picture
from winpredict.report.writing import drawn


@pytest.fixture(scope="module")
def story(world, model):
    deals = world.crm.deals
    eldest = deals[deals["outcome"] == "open"].sort_values("created_at", kind="stable")["deal_id"].iloc[0]
    scorer = DealScorer(model, world.crm)
    return tell_story(
        model, scorer.tables_of(eldest), eldest, cross_deal_history=scorer.cross_deal_history, builders=scorer.builders
    )


def svg(story, width=WIDE):
    return drawn(Picture(lambda pixels: deal_chart(story, pixels), ""), width)


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_stages_touches_and_moves_are_drawn(story, width):
    text = svg(story, width)
    kinds = set(story.events["kind"])
    assert all((str(name) in text) == (kind in kinds) for kind, name in KINDS.items() if kind != "other")
    assert all(f">{stage}<" in text for stage in story.events.loc[story.events["kind"] == "stage", "label"])
    assert all(f">{number + 1}<" in text for number in range(len(story.largest_moves())))
    assert f"{story.steps[-1].win_probability:.0%} now" in text
    assert "prefers-color-scheme:dark" in text


def test_a_new_deal_without_events_is_drawn(story):
    nothing = story.events.iloc[:0]
    alone = dataclasses.replace(story, steps=story.steps[:1], events=nothing)
    assert "Win odds: " in svg(alone)


def test_markup_in_a_stage_stays_text(story):
    events = pd.DataFrame({"at": [story.steps[0].as_of], "kind": ["stage"], "label": ["<script>alert(1)</script>"]})
    assert "<script>" not in svg(dataclasses.replace(story, events=events))


def test_the_table_has_a_row_a_step(story):
    frame = steps_frame(story)
    assert frame["win_probability"].tolist() == [step.win_probability for step in story.steps]
    assert frame["day"].is_monotonic_increasing
    json.dumps(deal_chart(story).to_dict())


@pytest.mark.parametrize("days", [1, 6, 20, 45, 100, 149, 151, 900])
@pytest.mark.parametrize("room", [242, 672])
def test_days_of_the_axis_stand_apart(days, room):
    ends = [pd.Timestamp("2025-01-28 13:30"), pd.Timestamp("2025-01-28 13:30") + pd.Timedelta(days=days)]
    axis = _days_axis(ends, room).to_dict()
    if days > 150 or days < 2:
        assert axis["tickCount"] >= 2
        assert ("%H" in axis["format"]) == (days < 2)
    else:
        assert 1 <= len(axis["values"]) <= max(3, room // 70) + 1


def test_names_do_not_overlap():
    places, widths = [0.0, 10.0, 20.0, 180.0, 195.0], [80.0, 60.0, 30.0, 50.0, 60.0]
    lines = _lines(places, widths, room=200)
    spans = [(p - w, p) if p + w > 200 else (p, p + w) for p, w in zip(places, widths, strict=True)]
    for one in range(len(spans)):
        for other in range(one):
            apart = spans[one][0] >= spans[other][1] or spans[one][1] <= spans[other][0]
            assert apart or lines[one] != lines[other]
