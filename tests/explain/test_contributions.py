import numpy as np
import pytest
import shap

from winpredict.explain.contributions import contributions
from winpredict.models.estimator import WinClassifier
from winpredict.models.snapshots import pipeline


@pytest.fixture(scope="module")
def features(world, model):
    return model.build_features(world.crm, pipeline(world.crm, world.crm.known_until))


def test_the_fast_path_equals_shap_s_tree_explainer(model, features):
    """The members of the blend, one by one: LightGBM's own values against shap's."""
    classifier = model.classifier
    matrix = classifier.to_matrix(features)
    trees, hazards = (
        np.mean([shap.TreeExplainer(each).shap_values(matrix) for each in boosters], axis=0)
        for boosters in (classifier.boosters_, classifier.hazards_)
    )
    linear = np.mean([each.contributions(matrix) for each in classifier.linears_], axis=0)
    assert classifier.hazard_weight_ == 0.25
    assert classifier.trees_weight_ + classifier.linear_weight_ == 0.75
    blended = classifier.trees_weight_ * trees + classifier.linear_weight_ * linear + 0.25 * hazards
    np.testing.assert_allclose(contributions(classifier, features).values.to_numpy(), blended, atol=1e-6)


def test_rows_far_beyond_what_was_learned_add_up_too(model, features):
    numbers = features.select_dtypes("number").columns
    far = features.head(8).copy()
    far[numbers] = np.where(np.arange(len(numbers)) % 2 == 0, 1e9, -1e9)
    found = contributions(model.classifier, far)
    by_bag = model.classifier.bag_log_odds(far)
    np.testing.assert_allclose(found.by_bag, by_bag, atol=1e-9)
    np.testing.assert_allclose(found.values.sum(axis=1) + found.base, by_bag.mean(axis=0), atol=1e-9)


@pytest.mark.parametrize("unit", ["log-odds", "points"])
def test_an_explanation_adds_up_by_feature_and_by_builder(model, features, unit):
    found = contributions(model.classifier, features)
    builders = {each.name: each.builder for each in model.info}
    whole, grouped = (found.explanation(features, unit=unit, groups=groups) for groups in (None, builders))
    assert isinstance(whole, shap.Explanation)
    assert set(grouped.feature_names) == set(builders.values())
    odds = model.odds(features)["win_probability"].to_numpy()
    target = odds if unit == "points" else np.log(odds / (1 - odds))
    for each in (whole, grouped):
        np.testing.assert_allclose(each.base_values + each.values.sum(axis=1), target, atol=1e-6)


def test_plots_of_shap_work_on_it(model, features):
    import matplotlib as mpl

    mpl.use("Agg")
    found = contributions(model.classifier, features).explanation(features)
    shap.plots.bar(found, show=False)
    shap.plots.waterfall(found[0], show=False)


def test_another_fit_of_the_same_classifier_gives_other_contributions(features):
    rng = np.random.default_rng(1)
    X = features.select_dtypes("number")
    won = rng.random(len(X)) < 0.5
    classifier = WinClassifier(bags=1, trees=5)
    for labels in (won, ~won):
        classifier.fit(X, labels.astype(int))
        np.testing.assert_allclose(contributions(classifier, X).by_bag, classifier.bag_log_odds(X), atol=1e-9)
