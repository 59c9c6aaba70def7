"""Deals that the tests of several parts of a model share."""

import dataclasses

import numpy as np
import pandas as pd
import pytest


@pytest.fixture(scope="package")
def noise():
    """Deals without any signal and without a history, half of them won."""
    rng = np.random.default_rng(0)
    n = 300
    created = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(rng.integers(0, 500, n), unit="D")
    outcome = np.where(rng.random(n) < 0.2, "open", np.where(rng.random(n) < 0.5, "won", "lost"))
    closed = pd.Series(created + pd.to_timedelta(rng.integers(10, 120, n), unit="D")).where(outcome != "open")
    return pd.DataFrame(
        {
            "deal_id": [f"d{number}" for number in range(n)], "stage": "Demo", "outcome": outcome,
            "created_at": created, "closed_at": closed, "owner_id": rng.choice(list("abc"), n),
            "amount": rng.lognormal(8, 1, n), "lead_source": rng.choice(["web", "fair"], n),
        }
    )  # fmt: skip


@pytest.fixture
def few(world):
    """Gives the company with so many won and so many lost deals, and no open one."""

    def taken(won, lost):
        deals = world.crm.deals
        kept = pd.concat([deals[deals["outcome"] == name].head(n) for name, n in (("won", won), ("lost", lost))])
        return dataclasses.replace(world.crm, deals=kept.reset_index(drop=True))

    return taken
