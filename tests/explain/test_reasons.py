"""Reasons as claims with a verdict: what speaks, what is borne out, what came with the deal, and that all adds up."""

import json

import numpy as np
import pandas as pd
import pytest
from reason_checks import contradictions, share_with_something_to_act_on, told
from scipy.special import expit

from winpredict import train
from winpredict.explain.claims import claim_of
from winpredict.explain.contributions import contributions
from winpredict.explain.reason import Reason, given_line, leading, told_to
from winpredict.explain.reasons import Telling, explain_deal
from winpredict.explain.themes import themes_of
from winpredict.explain.what_if import what_if
from winpredict.features.builders import Feature, FeatureBuilder, default_builders
from winpredict.features.description import FeatureInfo, Theme
from winpredict.features.snapshots import every
from winpredict.locale.language import Language
from winpredict.locale.text import Text, text, texts
from winpredict.models.reference_ranges import ReferenceRanges
from winpredict.models.snapshots import pipeline
from winpredict.simulate.world import simulate


@pytest.fixture(scope="module")
def looked_at(world, model, quick_config):
    """Five worlds, a model of each, and one snapshot of each deal: some 2,000 in all."""
    small = quick_config.model_copy(update={"model": quick_config.model.model_copy(update={"trees": 30})})
    companies = [simulate(deals=400, seed=seed).crm for seed in (61, 62, 63, 64)]
    models = [(world.crm, model), *((crm, train(crm, small)) for crm in companies)]
    out = []
    for crm, fitted in models:
        snapshots = every(crm, 14.0).sample(frac=1, random_state=1).drop_duplicates("deal_id").sort_values("deal_id")
        out.append((fitted, fitted.build_features(crm, snapshots.reset_index(drop=True))))
    assert 1900 < sum(len(features) for _, features in out) < 2200
    return out


def test_no_sentence_of_two_thousand_deals_contradicts_itself(looked_at):
    for fitted, features in looked_at:
        assert contradictions(fitted, features) == []


def test_nearly_every_deal_with_something_to_act_on_is_told_it(looked_at):
    found = [share_with_something_to_act_on(fitted, features) for fitted, features in looked_at]
    assert sum(share * deals for share, deals in found) / sum(deals for _, deals in found) >= 0.95
    assert sum(deals for _, deals in found) > 500


def test_what_is_told_and_everything_else_add_up(looked_at):
    fitted, features = looked_at[1]
    found = contributions(fitted.classifier, features)
    telling = Telling(fitted, features, found.points, 5)
    odds = fitted.odds_of(found.by_bag)["win_probability"].to_numpy()
    for row in range(0, len(features), 7):
        parts = [each.points for each in (*telling.reasons(row), *telling.given(row))]
        assert expit(found.calibrated_base) + sum(parts) + telling.other(row) == pytest.approx(odds[row], abs=1e-9)


def test_every_sentence_can_be_kept_and_told_again(looked_at):
    fitted, features = looked_at[2]
    for reasons in told(fitted, features)[:60]:
        for reason in reasons:
            assert Reason.from_json(reason.to_json()) == reason
            with_points = reason.sentence
            assert with_points[0] == with_points[0].upper()
            assert with_points.endswith((" points)", " point)"))


def test_many_rows_are_told_as_each_alone(looked_at):
    fitted, features = looked_at[0]
    telling = Telling(fitted, features, contributions(fitted.classifier, features).points, 5)
    sentences, lines, plain = telling.sentences(), telling.given_lines(), telling.json()
    for row in range(0, len(features), 9):
        reasons, given = telling.reasons(row), telling.given(row)
        assert [each for each in sentences[row] if each] == [each.sentence for each in reasons]
        assert lines[row] == (given_line(given) if given else "")
        assert tuple(Reason.from_json(each) for each in json.loads(plain[row])) == (*reasons, *given)
    one = Telling(fitted, features.iloc[[9]].reset_index(drop=True), contributions(
        fitted.classifier, features.iloc[[9]].reset_index(drop=True)).points, 5)  # fmt: skip
    assert [each.sentence for each in one.reasons(0)] == [each.sentence for each in telling.reasons(9)]


def info_of(name: str, theme: Theme, **about) -> FeatureInfo:
    return FeatureInfo(
        name=name, unit=about.pop("unit", "touches"), label=Text(name), builder="B", theme=theme, **about
    )


TOUCHES = Theme("touches", text("number of touches"), "controllable")
DEAL_TYPE = Theme("deal_type", text("deal type"), "context")


class FakeModel:
    """What `Telling` needs of a model."""

    def __init__(self, info, won=(), lost=()):
        self.info = tuple(info)
        self.reference_ranges = ReferenceRanges(won={"": dict(won)}, lost={"": dict(lost)})


def telling(info, values, points, won=(), lost=()):
    features = pd.DataFrame({each.name: [value] for each, value in zip(info, values, strict=True)})
    return Telling(FakeModel(info, won, lost), features, np.array([points]), 5)


SILENCE = info_of(
    "days_since_touch", TOUCHES, unit="days", good="less", zero=text("in touch today"), missing=text("no touch yet"),
    claim=texts("no contact for {n:count} day", "no contact for {n:count} days"),
)  # fmt: skip
COUNT = info_of(
    "touches_30d", TOUCHES, good="more", counts=True, zero=text("no touch in the last 30 days"),
    claim=texts("{n:count} touch in the last 30 days", "{n:count} touches in the last 30 days"),
)  # fmt: skip


def test_a_comparison_is_shown_only_where_it_bears_the_sign_out():
    usual = {"won": {"days_since_touch": 8.0}, "lost": {"days_since_touch": 21.0}}
    (reason,) = telling([SILENCE], [26.0], [-0.08], **usual).reasons(0)
    assert reason.sentence == (
        "No contact for 26 days; usual: 8 days for deals that were won, 21 days for lost ones (−8.0 points)"
    )
    (reason,) = telling([SILENCE], [26.0], [0.08], **usual).reasons(0)
    assert reason.sentence == "No contact for 26 days (+8.0 points)"
    (reason,) = telling([SILENCE], [3.0], [0.011], **usual).reasons(0)
    assert reason.evidence is not None


def test_won_and_lost_deals_that_are_alike_are_no_evidence():
    (reason,) = telling(
        [SILENCE], [26.0], [-0.08], won={"days_since_touch": 20.0}, lost={"days_since_touch": 21.0}
    ).reasons(0)
    assert reason.evidence is None


def test_what_is_below_zero_is_not_compared():
    close = info_of(
        "days_to_close", TOUCHES, unit="days", claim=texts("closes in {n:count} day", "closes in {n:count} days"),
        negative=texts("{n:count} day overdue", "{n:count} days overdue"),
    )  # fmt: skip
    for won, lost, value in ((-61.0, 20.0, -150.0), (20.0, 61.0, -150.0), (-20.0, -61.0, 5.0)):
        found = telling([close], [value], [-0.05], won={"days_to_close": won}, lost={"days_to_close": lost})
        assert found.reasons(0)[0].evidence is None


def test_none_yet_never_speaks_for_a_deal():
    assert telling([COUNT], [0.0], [0.04]).reasons(0) == ()
    assert telling([COUNT], [0.0], [-0.04]).reasons(0)[0].sentence == "No touch in the last 30 days (−4.0 points)"
    assert telling([SILENCE], [np.nan], [0.04]).reasons(0) == ()
    assert telling([SILENCE], [np.nan], [-0.04]).reasons(0)[0].sentence == "No touch yet (−4.0 points)"


def test_a_theme_that_is_torn_says_both_sides():
    usual = {"won": {"touches_30d": 6.0}, "lost": {"touches_30d": 2.0}}
    (reason,) = telling([SILENCE, COUNT], [26.0, 9.0], [-0.10, 0.06], **usual).reasons(0)
    assert str(reason.claim) == "no contact for 26 days, though 9 touches in the last 30 days"
    assert reason.points == pytest.approx(-0.04)
    (reason,) = telling([SILENCE, COUNT], [26.0, 9.0], [-0.10, 0.06]).reasons(0)
    assert str(reason.claim) == "number of touches, all in all: no contact for 26 days"


def test_what_came_with_the_deal_stands_in_one_line():
    kind = info_of("deal_type", DEAL_TYPE, unit="category", claim=text("{n}"))
    rate = info_of("win_rate_deal_type", DEAL_TYPE, unit="points", good="more", neutral=0.0)
    found = telling([kind, rate, COUNT], ["existing", 0.12, 4.0], [-0.02, 0.36, 0.03])
    assert [each.feature for each in found.reasons(0)] == ["touches_30d"]
    assert given_line(found.given(0)) == "Given: existing customer +34"
    assert found.other(0) == pytest.approx(0.0)


def test_a_list_leads_with_what_can_be_acted_on():
    stage = Reason("stage", "stage", 0.30, text("in stage Demo"))
    quiet = Reason("days_since_touch", "silence", -0.02, text("no contact for 26 days"), control="controllable")
    busy = Reason("touches", "touches", 0.09, text("12 touches so far"), control="controllable")
    given = Reason("product", "product", 0.5, text("product Core"), control="context")
    assert leading([given, stage, busy, quiet]) == quiet
    assert leading([given, stage, busy]) == busy
    assert leading([given, stage]) == stage
    assert leading([given]) == given
    assert leading([]) is None


def test_an_owner_s_record_is_for_managers():
    mine = Reason("win_rate_owner", "owner", 0.1, text("x"), control="context", audience="managers")
    other = Reason("touches", "touches", 0.1, text("y"))
    assert told_to([mine, other], "everyone") == (other,)
    assert told_to([mine, other], "managers") == (mine, other)


def test_a_rep_s_explanation_adds_up_without_the_owner_s_record(world, model):
    deals = world.crm.deals.query("outcome == 'open'")["deal_id"]
    found = next(
        each for each in (explain_deal(model, world.crm, deal) for deal in deals)
        if any(reason.audience == "managers" for reason in each.given)
    )  # fmt: skip
    for_rep = found.told_to("everyone")
    assert all(each.theme != "owner" for each in (*for_rep.reasons, *for_rep.given))
    parts = sum(each.points for each in (*for_rep.reasons, *for_rep.given)) + for_rep.other_points
    assert for_rep.base_probability + parts == pytest.approx(for_rep.win_probability)
    assert "owner" not in for_rep.summary()


class NightTouches(FeatureBuilder):
    """A plug-in's builder, of ten lines."""

    needs = ("activities",)
    translations = {"fr": {"touches at night": "échanges de nuit"}}

    def build(self, past):
        touches = past.events("activities")
        at_night = touches.column("occurred_at").dt.hour.isin((22, 23, 0, 1, 2, 3)).to_numpy()
        yield Feature("night_touches", touches.count(where=at_night), "touches", "touches at night")


NIGHT = Theme("night", text("touches at night"), "controllable")


class DescribedNightTouches(FeatureBuilder):
    """The same, with what docs/reasons.md says of it."""

    needs = ("activities",)

    def build(self, past):
        touches = past.events("activities")
        at_night = touches.column("occurred_at").dt.hour.isin((18, 19, 20, 21, 22, 23, 0)).to_numpy()
        yield Feature(
            "night_touches",
            touches.count(where=at_night),
            "touches",
            text("touches at night"),
            theme=NIGHT,
            good="less",
            counts=True,
            claim=texts("{n:count} touch at night", "{n:count} touches at night"),
            zero=text("no touch at night"),
        )


def test_a_plug_in_s_feature_can_be_asked_about_and_is_told_in_its_words(world, quick_config):
    small = quick_config.model_copy(
        update={
            "builders": (f"{__name__}:DescribedNightTouches",),
            "model": quick_config.model.model_copy(update={"trees": 20, "bags": 1}),
        }
    )
    fitted = train(world.crm, small)
    deal = world.crm.deals.query("outcome == 'open'")["deal_id"].iloc[0]
    _, high = fitted.reference_ranges.covered["night_touches"]
    answer = what_if(fitted, world.crm, deal, {"night_touches": high})
    assert f"touches at night: {high:.0f} instead of" in answer.sentence
    info = next(each for each in fitted.info if each.name == "night_touches")
    assert [str(claim_of(info, value)) for value in (0.0, 1.0, 7.0)] == [
        "no touch at night",
        "1 touch at night",
        "7 touches at night",
    ]
    assert themes_of(fitted.info).name_of("night") == text("touches at night")


def test_a_plug_in_s_feature_is_told_with_defaults_and_translated(world):
    snapshots = pipeline(world.crm, world.crm.known_until)
    from winpredict.features.build import build_features

    found = build_features(world.crm, snapshots, builders=[*default_builders(), NightTouches()])
    info = next(each for each in found.info if each.name == "night_touches")
    assert str(claim_of(info, 1.0)) == "touches at night: 1"
    assert claim_of(info, 12.0).said_in(Language("fr")) == "échanges de nuit\xa0: 12"
    assert info.story.key == "night_touches"
    assert str(info.story.name) == "touches at night"
    assert FeatureInfo.from_json(info.to_json()) == info


def test_references_are_of_the_stage_and_age_where_enough_deals_are():
    rng = np.random.default_rng(0)
    n = 900
    stage = np.where(np.arange(n) < 600, "Demo", "Offer")
    age = rng.uniform(0, 90, n)
    won = (np.arange(n) % 2).astype(np.int64)
    touches = np.where(won == 1, age / 10 + 5, age / 10)
    frame = pd.DataFrame({"stage": stage, "days_open": age, "touches": touches})
    ranges = ReferenceRanges.fit(frame, won)
    again = ReferenceRanges.from_dict(
        {"won": ranges.won, "lost": ranges.lost, "ages": ranges.ages, "covered": ranges.covered}
    )
    groups = again.group_of(
        np.array(["Demo", "Demo", "Nowhere", None], dtype=object), np.array([80.0, np.nan, 80.0, 80.0])
    )
    assert [again.closeness[group] for group in groups] == ["stage and age", "stage", "any", "any"]
    wins, losses = again.medians(["touches"])
    late = (frame["stage"] == "Demo") & (frame["days_open"] >= ranges.ages["Demo"][1])
    assert wins[groups[0], 0] == pytest.approx(touches[late & (won == 1)].mean(), abs=0.5)
    assert losses[groups[0], 0] == pytest.approx(touches[late & (won == 0)].mean(), abs=0.5)
    assert wins[groups[0], 0] - losses[groups[0], 0] == pytest.approx(5.0, abs=0.6)
