import dataclasses

import numpy as np
import pandas as pd
import pytest

from winpredict.explain.effects import _way, adjusted_effects
from winpredict.simulate.world import simulate

NATURE = ("account_id", "amount", "product", "lead_source", "deal_type", "competitor", "region")


@pytest.fixture(scope="module")
def worlds():
    return [simulate(2000, seed=seed) for seed in (51, 52, 53)]


def senior(world):
    found = adjusted_effects(world.crm, attributes=NATURE)
    before = world.ends_at - pd.Timedelta(days=found.within_days)
    truth = world.senior_contact_effect(open_after=found.landmark_days, within=found.within_days, created_before=before)
    return found.effects.set_index("treatment").loc["senior contact"], truth


def test_the_adjusted_effect_is_near_the_truth_where_the_raw_one_is_not(worlds):
    """The share of intervals that hold the truth, over 100 worlds, is what benchmarks/effects.py counts."""
    rows = [senior(world) for world in worlds]
    raw = np.mean([row["raw"] - truth for row, truth in rows])
    adjusted = np.mean([row["adjusted"] - truth for row, truth in rows])
    assert abs(adjusted) < 0.06
    assert raw < -0.1
    assert all(row["raw_high"] < truth for row, truth in rows)


def test_every_effect_comes_with_a_sentence_and_a_caution(worlds):
    found = adjusted_effects(worlds[0].crm, attributes=NATURE)
    told = found.sentences()
    assert len(told) == len(found.effects) + 1
    assert told[-1].startswith("Intervals are 90% intervals. Deals are compared with deals alike in ")


def test_the_order_of_the_rows_does_not_matter(worlds):
    crm, day = worlds[0].crm, pd.Timestamp("2024-12-01", tz="UTC")
    one = adjusted_effects(crm, attributes=NATURE, as_of=day)
    shuffled = {name: frame.sample(frac=1, random_state=2).reset_index(drop=True) for name, frame in crm.tables()}
    two = adjusted_effects(dataclasses.replace(crm, **shuffled), attributes=NATURE, as_of=day)
    pd.testing.assert_frame_equal(one.effects, two.effects)


def test_without_dates_touches_or_enough_deals_there_is_no_effect(worlds, world):
    crm = worlds[0].crm
    few = dataclasses.replace(crm, deals=crm.deals.head(80))
    assert adjusted_effects(few).effects.empty
    assert "No effect can be estimated" in adjusted_effects(few).sentences()[0]
    bare = dataclasses.replace(crm, activities=None, contacts=None, team_members=None)
    assert adjusted_effects(bare).effects.empty


def test_by_default_nothing_recorded_after_the_end_of_knowledge_is_used(worlds):
    day = pd.Timestamp("2024-05-01", tz="UTC")
    crm = worlds[0].crm
    by_default = adjusted_effects(dataclasses.replace(crm, known_until=day), attributes=NATURE)
    cut = adjusted_effects(crm, attributes=NATURE, as_of=day)
    pd.testing.assert_frame_equal(by_default.effects, cut.effects)


@pytest.mark.parametrize(
    ("figures", "way"),
    [
        ((0.08, 0.03, 0.13), "more"),
        ((-0.08, -0.13, -0.03), "less"),
        ((0.08, -0.01, 0.17), "unclear"),
        ((0.05, 0.004, 0.09), "unclear"),  # written as "0 to +9"
    ],
)
def test_a_difference_is_clear_if_its_interval_as_written_leaves_out_0(figures, way):
    assert _way(*figures) == way
