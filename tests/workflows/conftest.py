"""A workspace with a champion that was trained before much of what it holds happened."""

import shutil

import pandas as pd
import pytest

from winpredict import train
from winpredict.config import Retraining
from winpredict.models.registry import log_training
from winpredict.models.snapshots import pipeline
from winpredict.workspace import Workspace

DAY = pd.Timestamp("2024-04-01", tz="UTC")


@pytest.fixture(scope="session")
def earlier(world, quick_config):
    return train(world.crm, quick_config, as_of=DAY)


@pytest.fixture(scope="session")
def original(tmp_path_factory, world, earlier, quick_config):
    workspace = Workspace(tmp_path_factory.mktemp("workflows") / "w")
    workspace.save_import(world.crm, profile="simulated")
    example = earlier.build_features(world.crm, pipeline(world.crm, DAY))
    log_training(workspace.folder, earlier, config=quick_config, fingerprint=workspace.state, example=example)
    return workspace


@pytest.fixture
def workspace(original, tmp_path):
    return Workspace(shutil.copytree(original.folder, tmp_path / "w"))


@pytest.fixture(scope="session")
def retraining_config(quick_config):
    return quick_config.model_copy(update={"retraining": Retraining(rounds=1, least_deals=30)})
