"""Texts among the features: taken where they help on later deals and do not leak, and told by their words."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from winpredict import explain_deal, score, train
from winpredict.errors import ConfigError
from winpredict.explain.contributions import contributions
from winpredict.features.wording import SUBJECTS, Mentions
from winpredict.models.blend import is_worth_more
from winpredict.models.snapshots import pipeline
from winpredict.models.trained import TrainedModel
from winpredict.models.training import training_set
from winpredict.tables.schema import text_dtype

FILLER = ["office", "sales", "phone", "licences", "brochure", "visit", "reports", "import", "mobile", "budget", "offer"]


def written(texts):
    return pd.Series(texts, dtype=text_dtype())


def filler(rng, n):
    return [" ".join(rng.choice(FILLER, 4, replace=False)) for _ in range(n)]


@pytest.fixture(scope="module")
def wishes(world):
    """What each customer wants, in words; most that will be won want to replace a legacy system."""
    rng = np.random.default_rng(0)
    deals = world.crm.deals
    will_win = deals["deal_id"].map(world.outcomes).eq("won").to_numpy()
    said = rng.random(len(deals)) < np.where(will_win, 0.8, 0.1)
    texts = [text + (" legacy" if yes else "") for text, yes in zip(filler(rng, len(deals)), said, strict=True)]
    return written(texts)


@pytest.fixture(scope="module")
def telling(world, wishes):
    return dataclasses.replace(world.crm, deals=world.crm.deals.assign(Wishes__c=wishes))


@pytest.fixture(scope="module")
def model(telling, quick_config):
    return train(telling, quick_config)


def with_text(config, text):
    return config.model_copy(update={"model": config.model.model_copy(update={"text": text})})


def test_words_that_help_on_later_deals_become_features(model):
    assert [each.name for each in model.info if each.builder == "Wording"] == ["Wishes__c_mentions_legacy"]
    assert 'words of the Wishes that count: "legacy"' in model.notes


def test_words_raise_the_odds_of_open_deals_that_mention_them(model, telling, wishes):
    snapshots = pipeline(telling, telling.known_until)
    features = model.build_features(telling, snapshots)
    mentioned = snapshots["deal_id"].map(wishes.set_axis(telling.deals["deal_id"])).str.contains("legacy").to_numpy()
    assert features["Wishes__c_mentions_legacy"].tolist() == mentioned.astype(float).tolist()
    found = contributions(model.classifier, features)
    assert found.log_odds == pytest.approx(model.classifier.bag_log_odds(features).mean(axis=0))
    by_word = found.values["Wishes__c_mentions_legacy"].to_numpy()
    assert by_word[mentioned].min() > 0.2 > 0 > by_word[~mentioned].max()


def test_a_reason_names_the_word(model, telling):
    scored = score(model, telling).set_index("deal_id")
    snapshots = pipeline(telling, telling.known_until)
    said = model.build_features(telling, snapshots)["Wishes__c_mentions_legacy"].to_numpy() == 1
    deal_id = scored.loc[snapshots["deal_id"][said], "win_probability"].idxmax()
    told = explain_deal(model, telling, deal_id, most=100).reasons
    (reason,) = (each for each in told if each.feature == "Wishes__c_mentions_legacy")
    assert reason.sentence == f'mention of "legacy" in the Wishes (+{100 * reason.points:.1f} pts)'
    silent = snapshots["deal_id"][~said].iloc[0]
    told = explain_deal(model, telling, silent, most=100).reasons
    (reason,) = (each for each in told if each.feature == "Wishes__c_mentions_legacy")
    assert reason.sentence.startswith('no mention of "legacy" in the Wishes (-')


def test_a_saved_model_scores_alike(model, telling, tmp_path):
    model.save(tmp_path)
    loaded = TrainedModel.load(tmp_path)
    assert loaded.recipe.wording == (Mentions("Wishes__c", ("legacy",)),)
    described = json.loads((tmp_path / "features" / "features.json").read_text())
    assert described["wording"] == [{"column": "Wishes__c", "words": ["legacy"]}]
    columns = ["deal_id", "win_probability", "reason_1"]
    pd.testing.assert_frame_equal(score(loaded, telling)[columns], score(model, telling)[columns])


def test_texts_that_say_nothing_or_are_switched_off_change_nothing(world, telling, quick_config):
    shuffled = telling.deals["Wishes__c"].sample(frac=1, random_state=1).reset_index(drop=True)
    random = dataclasses.replace(world.crm, deals=world.crm.deals.assign(Wishes__c=shuffled))
    for crm, config in ((random, quick_config), (telling, with_text(quick_config, "off"))):
        data = training_set(crm, config)
        assert data.recipe.wording == ()
        assert not [each for each in data.features.info if each.builder == "Wording"]
        assert not [note for note in data.notes if "words of" in note]


def test_a_text_written_at_the_close_is_refused_unless_the_config_insists(world, quick_config):
    rng = np.random.default_rng(2)
    deals = world.crm.deals
    texts = written(filler(rng, len(deals)))
    ended = deals["outcome"].eq("won") & (rng.random(len(deals)) < 0.5)
    crm = dataclasses.replace(world.crm, deals=deals.assign(Notes=texts.mask(ended, texts + " invoice")))
    data = training_set(crm, quick_config)
    assert data.recipe.wording == ()
    (note,) = (note for note in data.notes if "words of" in note)
    assert note.startswith("words of the Notes would tell won from lost, but are not used: it ")
    insisted = training_set(crm, with_text(quick_config, ("Notes",)))
    assert insisted.recipe.wording == (Mentions("Notes", ("invoice",)),)


def test_a_column_that_holds_no_text_is_refused(telling, quick_config):
    with pytest.raises(ConfigError, match="Plan, which is no column of texts in these data; those are Wishes__c"):
        training_set(telling, with_text(quick_config, ("Plan",)))


def test_what_syncs_saw_is_read_as_it_was_then(world, wishes, quick_config):
    deals = world.crm.deals
    first = deals[["deal_id"]].assign(observed_at=deals["created_at"] + pd.Timedelta(days=1), Plan=wishes)
    later = deals[["deal_id"]].assign(observed_at=deals["closed_at"], Plan="all was said and done")
    later = later.assign(outcome=deals["outcome"])[deals["closed_at"].notna()]
    history = pd.concat([first.assign(outcome="open"), later], ignore_index=True)
    now = wishes.where(deals["closed_at"].isna(), "all was said and done")
    crm = dataclasses.replace(world.crm, deals=deals.assign(Plan=now), attribute_history=history)
    data = training_set(crm, quick_config)
    assert data.recipe.wording == (Mentions("observed_Plan", ("legacy",)),)
    early = data.features.frame["observed_Plan_mentions_legacy"][data.snapshots["look"] == 1]
    said = data.snapshots["deal_id"][data.snapshots["look"] == 1].map(wishes.set_axis(deals["deal_id"]))
    age = data.snapshots["as_of"] - data.snapshots["deal_id"].map(deals.set_index("deal_id")["created_at"])
    seen = (age[data.snapshots["look"] == 1] > pd.Timedelta(days=1)).to_numpy()
    assert early.tolist() == (said.str.contains("legacy").to_numpy() & seen).astype(float).tolist()


def test_subjects_of_touches_are_read_as_of_each_look(world, wishes, quick_config):
    deals, touches = world.crm.deals, world.crm.activities
    said = wishes.set_axis(deals["deal_id"])
    crm = dataclasses.replace(world.crm, activities=touches.assign(subject=written(touches["deal_id"].map(said))))
    data = training_set(crm, quick_config)
    assert data.recipe.wording == (Mentions(SUBJECTS, ("legacy",)),)
    counts_from = touches[["occurred_at", "recorded_at"]].max(axis=1).groupby(touches["deal_id"]).min()
    touched = (data.snapshots["deal_id"].map(counts_from) < data.snapshots["as_of"]).to_numpy()
    mentioned = data.snapshots["deal_id"].map(said).str.contains("legacy").to_numpy()
    found = data.features.frame["touch_subject_mentions_legacy"]
    assert found.tolist() == (mentioned & touched).astype(float).tolist()
    assert (mentioned & ~touched).sum() > 0


def test_losses_are_compared_by_deal():
    deals = np.repeat(np.arange(50), 2)
    weight = np.ones(100)
    others = np.full(100, 0.6)
    assert is_worth_more(np.full(100, 0.5), others, weight, deals)
    assert not is_worth_more(np.full(100, 0.599), others, weight, deals)  # surely, but by too little
    by_chance = np.where(deals == 0, -20.0, 0.6)
    assert not is_worth_more(by_chance, others, weight, deals)  # on one deal alone
