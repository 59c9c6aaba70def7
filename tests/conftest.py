"""A small simulated company, and a model trained on it, for all tests."""

import os

import pytest

# test processes run beside each other: threads that wait for work must not hold a core while they wait
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# many tests start Python anew; without bytecode each would compile every library again, and some look at what is kept
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

from winpredict import Config, train
from winpredict.simulate.world import simulate

QUICK = {"bags": 2, "trees": 60, "learning_rate": 0.1, "large_leaves": 0, "threads": 1}


@pytest.fixture(scope="session")
def quick_config():
    return Config.model_validate({"model": QUICK})


@pytest.fixture(scope="session")
def world():
    return simulate(700, seed=9)


@pytest.fixture(scope="session")
def model(world, quick_config):
    return train(world.crm, quick_config)
