import httpx
import numpy as np
import pandas as pd
import pytest

from winpredict_sandbox.faults import FAULTS, Faults
from winpredict_sandbox.records import WorldClock
from winpredict_sandbox.serving import served

fastapi = pytest.importorskip("fastapi")


@pytest.fixture
def clock():
    return WorldClock(pd.Timestamp("2025-06-01 12:00", tz="UTC"))


@pytest.fixture
def app():
    app, asked = fastapi.FastAPI(), []

    @app.get("/deals")
    def deals():
        asked.append("deals")
        return {"results": ["a" * 100]}

    app.state.asked = asked
    return app


def test_answers_carry_the_time_of_the_world(app, clock):
    with served(app, clock) as address:
        answer = httpx.get(f"{address}/deals")
    assert answer.headers["date"] == "Sun, 01 Jun 2025 12:00:00 GMT"
    assert answer.json() == {"results": ["a" * 100]}


@pytest.mark.parametrize("kind", FAULTS)
def test_each_fault_is_what_it_says(app, clock, kind):
    faulty = Faults(app, share=1.0, most=1, kinds=[kind], delay_s=0.3)
    with served(faulty, clock) as address:
        if kind.isdigit():
            assert str(httpx.get(f"{address}/deals").status_code) == kind
        else:
            with pytest.raises(httpx.TransportError):
                httpx.get(f"{address}/deals", timeout=0.2)
        done = len(app.state.asked)
        assert httpx.get(f"{address}/deals").status_code == 200
    assert done == (kind in ("cut after", "half an answer"))
    assert faulty.happened == [(kind, "GET", "/deals")]


def test_the_same_seed_gives_the_same_faults(app):
    def drawn(seed):
        rng = np.random.default_rng(seed)
        return [rng.random() < 0.1 for _ in range(50)]

    assert drawn(3) == drawn(3)
    assert Faults(app, 3)._rng.random() == Faults(app, 3)._rng.random()
