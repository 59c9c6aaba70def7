"""What is learnt from: all deals, or whole buckets until they are enough."""

import pandas as pd
import pytest

from winpredict.config import Config
from winpredict.models.sampling import learning_sample
from winpredict.models.training import train
from winpredict.tables.buckets import DealBuckets


@pytest.fixture(scope="module")
def buckets(world, tmp_path_factory):
    return DealBuckets.write(world.crm, tmp_path_factory.mktemp("parted") / "tables", 4)


def test_tables_in_one_piece_are_taken_whole(world):
    sample = learning_sample(world.crm, Config())
    assert sample.exported is world.crm
    assert sample.company is None
    assert sample.note == ""


@pytest.mark.parametrize(("most", "taken"), [(1_000, 1), (3_000, 2), (10**6, 4)])
def test_buckets_are_taken_until_they_are_enough(buckets, most, taken):
    sample = learning_sample(buckets, Config(snapshots={"most": most}))
    assert len(sample.exported.deals) == len(buckets.some(range(taken)).deals)
    assert (f"{taken} of 4 buckets" in sample.note) == (taken < 4)


def test_a_sample_is_learnt_with_the_history_of_all_deals(world, buckets, quick_config):
    few = quick_config.model_copy(update={"snapshots": Config(snapshots={"most": 1_000}).snapshots})
    model = train(buckets, few)
    assert any("learnt from 1 of 4 buckets" in note for note in model.notes)
    sample = learning_sample(buckets, few)
    looks = pd.DataFrame({"deal_id": sample.known.deals["deal_id"].head(50), "as_of": world.crm.known_until})
    company = sample.company(model.attributes)
    parted = model.build_features(sample.known, looks, company=company)
    whole = model.build_features(world.crm, looks)
    pd.testing.assert_frame_equal(parted, whole)
