import json

import numpy as np
import pandas as pd
import pytest

from winpredict.models.charts import drivers_chart, quality_charts


@pytest.fixture
def predictions():
    generator = np.random.default_rng(0)
    odds = generator.uniform(size=5_000)
    return (generator.uniform(size=5_000) < odds).astype(int), odds


def test_every_chart_is_drawn_and_small_however_many_deals_there_are(predictions, tmp_path):
    for name, chart in quality_charts(*predictions).items():
        chart.save(str(tmp_path / f"{name}.png"))
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert len(chart.to_json()) < 60_000


def test_the_curves_start_and_end_where_they_must(predictions):
    drawn = json.loads(quality_charts(*predictions)["roc"].to_json())
    curve = max(drawn["datasets"].values(), key=len)
    assert (curve[0]["x"], curve[0]["y"]) == (0, 0)
    assert (curve[-1]["x"], curve[-1]["y"]) == (1, 1)


def test_only_the_strongest_drivers_are_drawn():
    drivers = pd.DataFrame({"sentence": [f"driver {n}" for n in range(20)], "points": np.arange(20) / 100})
    drawn = json.loads(drivers_chart(drivers, most=3).to_json())
    (rows,) = drawn["datasets"].values()
    assert [row["sentence"] for row in rows] == ["driver 19", "driver 18", "driver 17"]
