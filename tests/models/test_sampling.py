"""What is learnt from: all deals, or whole buckets until they are enough."""

import pandas as pd
import pytest

from winpredict.config import Config
from winpredict.models.sampling import learning_sample
from winpredict.models.snapshots import training_snapshots
from winpredict.models.training import train
from winpredict.tables.buckets import DealBuckets


@pytest.fixture(scope="module")
def buckets(world, tmp_path_factory):
    return DealBuckets.write(world.crm, tmp_path_factory.mktemp("parted") / "tables", 4)


def test_tables_in_one_piece_are_taken_whole(world):
    sample = learning_sample(world.crm, Config())
    assert sample.exported is world.crm
    assert sample.gather is None
    assert sample.note is None


def test_more_snapshots_than_wanted_are_thinned_by_deal(world, quick_config):
    few = Config(snapshots={"most": 3_000})
    sample = learning_sample(world.crm, few)
    snapshots = len(training_snapshots(sample.known, few))
    assert 0.8 * 3_000 < snapshots < 1.2 * 3_000 < len(training_snapshots(world.crm, few))
    ids = set(sample.known.deals["deal_id"])
    assert ids == set(sample.exported.deals["deal_id"]) < set(world.crm.deals["deal_id"])
    assert set(sample.known.activities["deal_id"]) <= ids
    assert f"learned from {len(ids)} of {len(world.crm.deals)} deals" in str(sample.note)
    # what others of the same owner and customer did is told of all deals
    model = train(world.crm, quick_config.model_copy(update={"snapshots": few.snapshots}))
    cross_deal_history = sample.gather(model.recipe.cross_deal_facts)
    assert len(cross_deal_history.facts.deals) == len(world.crm.deals)
    some = pd.DataFrame({"deal_id": sample.known.deals["deal_id"].head(50), "as_of": world.crm.known_until})
    apart = model.build_features(sample.known, some, cross_deal_history=cross_deal_history)
    pd.testing.assert_frame_equal(apart, model.build_features(world.crm, some))


@pytest.mark.parametrize(("most", "taken"), [(1_000, 1), (4_000, 2), (10**6, 4)])
def test_buckets_are_taken_until_they_are_enough(buckets, most, taken):
    sample = learning_sample(buckets, Config(snapshots={"most": most}))
    assert len(sample.exported.deals) == len(buckets.some(range(taken)).deals)
    assert (f"{taken} of 4 buckets" in str(sample.note)) == (taken < 4)


def test_a_sample_is_learnt_with_the_history_of_all_deals(world, buckets, quick_config):
    few = quick_config.model_copy(update={"snapshots": Config(snapshots={"most": 1_000}).snapshots})
    model = train(buckets, few)
    assert any("learned from 1 of 4 buckets" in str(note) for note in model.notes)
    sample = learning_sample(buckets, few)
    snapshots = pd.DataFrame({"deal_id": sample.known.deals["deal_id"].head(50), "as_of": world.crm.known_until})
    cross_deal_history = sample.gather(model.recipe.cross_deal_facts)
    partitioned = model.build_features(sample.known, snapshots, cross_deal_history=cross_deal_history)
    whole = model.build_features(world.crm, snapshots)
    pd.testing.assert_frame_equal(partitioned, whole)
