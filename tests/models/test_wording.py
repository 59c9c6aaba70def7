"""Texts among the features: taken where they help on later deals and do not leak, and told by their words."""

import dataclasses
import json
import re

import numpy as np
import pandas as pd
import pytest

from winpredict import CRMData, explain_deal, features, score, train
from winpredict.errors import ConfigError
from winpredict.explain.contributions import contributions
from winpredict.features.wording import SUBJECTS, Mentions
from winpredict.models import wording
from winpredict.models.blend import is_worth_more
from winpredict.models.snapshots import pipeline
from winpredict.models.trained import TrainedModel
from winpredict.models.training import training_set
from winpredict.models.wording import _splits
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
    assert 'words of the Wishes that count: "legacy"' in map(str, model.notes)


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
    assert reason.sentence == f'"legacy" mentioned in the Wishes (+{100 * reason.points:.1f} points)'
    silent = snapshots["deal_id"][~said].iloc[0]
    told = explain_deal(model, telling, silent, most=100).reasons
    (reason,) = (each for each in told if each.feature == "Wishes__c_mentions_legacy")
    assert reason.sentence.startswith('No mention of "legacy" in the Wishes (−')


def test_a_saved_model_scores_alike(model, telling, tmp_path):
    model.save(tmp_path)
    loaded = TrainedModel.load(tmp_path)
    assert loaded.recipe.wording == (Mentions("Wishes__c", ("legacy",)),)
    described = json.loads((tmp_path / "features" / "features.json").read_text())
    assert described["wording"] == [{"column": "Wishes__c", "words": ["legacy"]}]
    columns = ["deal_id", "win_probability", "reason_1"]
    pd.testing.assert_frame_equal(score(loaded, telling)[columns], score(model, telling)[columns])


def noted(data):
    """What the notes say of texts."""
    return [note for note in map(str, data.notes) if note.startswith(("words of", "no word of"))]


def test_texts_that_say_nothing_or_are_switched_off_change_nothing(world, telling, quick_config):
    shuffled = telling.deals["Wishes__c"].sample(frac=1, random_state=1).reset_index(drop=True)
    random = dataclasses.replace(world.crm, deals=world.crm.deals.assign(Wishes__c=shuffled))
    nothing = ["no word of the Wishes tells won from lost deals"]
    for crm, config, notes in (
        (random, quick_config, nothing),
        (random, with_text(quick_config, ("Wishes__c",)), nothing),
        (telling, with_text(quick_config, "off"), []),
    ):
        data = training_set(crm, config)
        assert data.recipe.wording == ()
        assert not [each for each in data.features.info if each.builder == "Wording"]
        assert noted(data) == notes


def company_of(rng, n, texts_of):
    """Deals whose endings depend on their source alone, and on what `texts_of` adds, given what will be won."""
    created = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(np.sort(rng.uniform(0, 700, n)), unit="D")
    closed = created + pd.to_timedelta(rng.gamma(2, 25, n), unit="D")
    is_open = closed >= pd.Timestamp("2025-12-01", tz="UTC")
    source = rng.choice(["web", "fair"], n)
    will_win = rng.random(n) < np.where(source == "web", 0.35, 0.5)
    deals = pd.DataFrame(
        {
            "deal_id": [f"d{number:04}" for number in range(n)], "stage": "Demo", "lead_source": source,
            "outcome": np.where(is_open, "open", np.where(will_win, "won", "lost")), "created_at": created,
            "closed_at": pd.Series(closed).where(~is_open), "Wishes__c": texts_of(will_win),
        }
    )  # fmt: skip
    return CRMData.from_tables(deals)


def test_noise_is_never_taken(quick_config):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        crm = company_of(rng, 500, lambda will_win, rng=rng: filler(rng, len(will_win)))
        data = training_set(crm, quick_config)
        assert data.recipe.wording == ()
        assert len(noted(data)) == 1


def test_words_that_earlier_deals_chose_by_chance_are_refused_with_a_note(quick_config, monkeypatch):
    """Where any words are let through to the trial, it refuses what noise there is."""
    monkeypatch.setattr(features.telling_words, "FALSE_DISCOVERIES", 1.0)
    taken = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        crm = company_of(rng, 500, lambda will_win, rng=rng: filler(rng, len(will_win)))
        for config in (quick_config, with_text(quick_config, ("Wishes__c",))):
            data = training_set(crm, config)
            taken += data.recipe.wording
            (note,) = noted(data)
            assert re.fullmatch(
                r"words of the Wishes are not used: on 1\d\d deals that closed later, odds that know "
                r'("\w+"(, )?){1,24} are not better beyond chance than odds without',
                note,
            )
    assert taken == []


@pytest.mark.parametrize("seed", [0, 2])
def test_one_unlucky_fifth_of_the_deals_does_not_refuse_a_clear_word(quick_config, monkeypatch, seed):
    """In these two companies the deals that closed last show less of the word by chance; those before show it well."""

    def said(will_win):
        champion = rng.random(len(will_win)) < np.where(will_win, 0.5, 0.2)
        texts = zip(filler(rng, len(will_win)), champion, strict=True)
        return [text + (" champion" if yes else "") for text, yes in texts]

    rng = np.random.default_rng(seed)
    crm = company_of(rng, 700, said)
    assert noted(training_set(crm, quick_config)) == ['words of the Wishes that count: "champion"']
    monkeypatch.setattr(wording, "_splits", lambda rows, share: _splits(rows, share)[-1:])
    (note,) = noted(training_set(crm, quick_config))
    assert note.startswith("words of the Wishes are not used: on 12")


def test_each_trial_judges_by_deals_that_closed_after_all_it_learns_from():
    rows = pd.DataFrame(
        {
            "deal_id": [f"d{number}" for number in range(100)], "as_of": pd.Timestamp("2025-01-01", tz="UTC"),
            "days_to_close": np.arange(100.0), "outcome": ["won", "lost"] * 50,
        }
    )  # fmt: skip
    found = [(np.flatnonzero(learnt), np.flatnonzero(judged)) for learnt, judged in _splits(rows, 0.2)]
    assert [(learnt.tolist(), judged.tolist()) for learnt, judged in found] == [
        (list(range(64)), list(range(64, 80))),
        (list(range(80)), list(range(80, 100))),
    ]
    assert _splits(rows, 0.0) == []
    undated = _splits(rows.assign(days_to_close=np.nan), 0.2)
    assert len(undated) == 5
    assert all((learnt == ~judged).all() for learnt, judged in undated)
    assert np.sum([judged for _, judged in undated], axis=0).tolist() == [1] * 100


def test_a_text_written_at_the_close_is_refused_unless_the_config_insists(world, quick_config):
    rng = np.random.default_rng(2)
    deals = world.crm.deals
    texts = written(filler(rng, len(deals)))
    ended = deals["outcome"].eq("won") & (rng.random(len(deals)) < 0.5)
    crm = dataclasses.replace(world.crm, deals=deals.assign(Notes=texts.mask(ended, texts + " invoice")))
    data = training_set(crm, quick_config)
    assert data.recipe.wording == ()
    (note,) = noted(data)
    assert note.startswith("words of the Notes would tell won from lost, but are not used: it ")
    insisted = training_set(crm, with_text(quick_config, ("Notes",)))
    assert insisted.recipe.wording == (Mentions("Notes", ("invoice",)),)


def test_a_column_that_holds_no_text_is_refused(telling, quick_config):
    with pytest.raises(ConfigError, match="Plan, not found among the text columns of these data; those are Wishes__c"):
        training_set(telling, with_text(quick_config, ("Plan",)))


def test_texts_of_too_few_deals_are_told_and_not_refused(world, telling, quick_config):
    few = telling.deals["Wishes__c"].where(np.arange(len(telling.deals)) < 150)
    crm = dataclasses.replace(world.crm, deals=world.crm.deals.assign(Wishes__c=few))
    data = training_set(crm, with_text(quick_config, ("Wishes__c",)))
    assert data.recipe.wording == ()
    assert noted(data) == ["words of the Wishes are not read: it takes 200 deals with such a text, and there are 150"]


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
    np.testing.assert_equal(early.to_numpy(), np.where(seen, said.str.contains("legacy"), np.nan))


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
    np.testing.assert_equal(found.to_numpy(), np.where(touched, mentioned, np.nan))
    assert (mentioned & ~touched).sum() > 0


def test_losses_are_compared_by_deal():
    deals = np.repeat(np.arange(50), 2)
    weight = np.ones(100)
    others = np.full(100, 0.6)
    assert is_worth_more(np.full(100, 0.5), others, weight, deals)
    assert not is_worth_more(np.full(100, 0.599), others, weight, deals)  # surely, but by too little
    by_chance = np.where(deals == 0, -20.0, 0.6)
    assert not is_worth_more(by_chance, others, weight, deals)  # on one deal alone
