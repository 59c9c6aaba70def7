from winpredict.explain.drivers import top_drivers
from winpredict.models.training import pipeline


def test_every_feature_is_named_with_its_mean_effect(world, model):
    features = model.build_features(world.crm, pipeline(world.crm, world.crm.known_until))
    drivers = top_drivers(model, features)
    assert set(drivers["feature"]) == {each.name for each in model.info}
    assert drivers["points"].is_monotonic_decreasing
    assert drivers["points"].iloc[0] > 0.01
