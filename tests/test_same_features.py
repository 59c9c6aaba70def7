"""The same company, by its CRM's export and by syncs: the same features of every deal, and the same odds."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from winpredict import Config, score, train
from winpredict.connectors.registry import CRMS, connect_to
from winpredict.connectors.replay import replayed
from winpredict.connectors.store import RawStore
from winpredict.connectors.sync import sync
from winpredict.features.build import build_features
from winpredict.features.snapshots import every, open_at
from winpredict.ingest.importing import import_files
from winpredict.ingest.profiles import load_profile
from winpredict.simulate.world import simulate
from winpredict_sandbox.changes import apply_random_changes
from winpredict_sandbox.fake_servers import connected, fake_server

QUICK = {"model": {"bags": 1, "trees": 30, "large_leaves": 0, "threads": 1}, "snapshots": {"every_days": 30}}
DAY = 24 * 3600.0


@pytest.fixture(scope="module", params=CRMS)
def both(request, tmp_path_factory):
    """Tables by three syncs, two lively days apart, and by an export after the last of them."""
    name, place = request.param, tmp_path_factory.mktemp(request.param)
    server, rng, store = (
        fake_server(name, simulate(300, seed=5), seed=1),
        np.random.default_rng(2),
        RawStore(place / name),
    )
    with connected(name, server) as config:
        for number in range(3):
            if number:
                list(apply_random_changes(server, rng, 40))
                server.clock.advance(DAY)
            sync(connect_to(name, config), store, config.crm.sync)
    synced = replayed(store, load_profile(name)).crm
    server.export(place / "export")
    exported = import_files([place / "export"], load_profile(name), now=server.clock.now + pd.Timedelta("1D")).crm
    return synced, replace(exported, known_until=synced.known_until)


def looks_at(crm):
    """Every open deal as of now, and every deal on days of its past."""
    now, past = open_at(crm, crm.known_until), every(crm, 30.0)
    assert len(now) > 15
    assert len(past) > 400
    return pd.concat([now, past], ignore_index=True)


def test_every_feature_is_the_same(both):
    synced, exported = both
    assert set(synced.attributes) == set(exported.attributes)
    snapshots = looks_at(exported)
    pd.testing.assert_frame_equal(looks_at(synced), snapshots)
    # an export knows an attribute as it is now; what syncs saw of it before is what they know more
    unwatched = build_features(replace(synced, attribute_history=None), snapshots, attributes=exported.attributes)
    features = build_features(synced, snapshots, attributes=exported.attributes)
    expected = build_features(exported, snapshots, attributes=exported.attributes)
    assert unwatched.info == features.info == expected.info
    assert unwatched.skipped == features.skipped == expected.skipped
    pd.testing.assert_frame_equal(unwatched.frame, expected.frame)
    of_attributes = [name for name in expected.frame if any(each in name for each in exported.attributes)]
    assert len(of_attributes) < 20 < 60 < len(expected.frame.columns)
    pd.testing.assert_frame_equal(
        features.frame.drop(columns=of_attributes), expected.frame.drop(columns=of_attributes)
    )
    differ = [name for name in of_attributes if not features.frame[name].equals(expected.frame[name])]
    assert differ, "no sync saw an attribute change; let more happen"


def test_the_odds_of_every_open_deal_are_the_same(both):
    synced, exported = both
    model = train(exported, Config.model_validate(QUICK))
    found, expected = (score(model, crm) for crm in (replace(synced, attribute_history=None), exported))
    assert len(expected) > 15
    assert expected["win_probability"].nunique() > 10
    pd.testing.assert_frame_equal(found.drop(columns="scored_at"), expected.drop(columns="scored_at"))
