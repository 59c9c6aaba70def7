import pandas as pd
import pytest

from winpredict.explain.drivers import drivers
from winpredict.explain.effects import adjusted_effects
from winpredict.insights.forecast import forecast
from winpredict.locale.language import speaking
from winpredict.report.charts.drivers import effects_chart, shape_chart, strength_chart, value_name
from winpredict.report.charts.forecast import forecast_backtest_chart, forecast_chart, quota_chart
from winpredict.report.charts.style import NARROW, WIDE


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_charts_of_a_forecast_draw(world, model, width):
    result = forecast(model, world.crm, draws=100)
    periods = result.periods.assign(quota=1e6)
    rows = result.by_team[result.by_team["period"] == "this quarter"]
    past = pd.DataFrame(
        {
            "starts": pd.date_range("2024-01-01", periods=3, freq="MS", tz="UTC"), "expected": 2.0, "low": 1.0,
            "high": 3.0, "stage_weighted": 4.0, "last_year": 1.0, "actual": [1.0, 2.0, 3.0],
        }
    )  # fmt: skip
    for chart in (forecast_chart(periods, width), quota_chart(rows, width), forecast_backtest_chart(past, width)):
        assert chart.to_dict()["title"]["text"]


def test_parts_and_periods_are_named_in_the_language(world, model):
    result = forecast(model, world.crm, draws=100)
    rows = result.by_team[result.by_team["period"] == "this quarter"]
    with speaking("fr"):
        parts = forecast_chart(result.periods).to_dict()
        title = quota_chart(rows).to_dict()["title"]["text"]
    names = parts["layer"][0]["encoding"]["color"]["scale"]["domain"]
    assert names == ["déjà conclu", "affaires en cours", "affaires pas encore créées"]
    assert {"Ce mois-ci", "Ce trimestre"} <= {row["period"] for row in next(iter(parts["datasets"].values()))}
    assert title == ["Ventes conclues ce trimestre"]


def test_what_came_with_a_deal_is_named_and_names_from_the_crm_stay():
    with speaking("fr"):
        assert str(value_name("deal_type", "existing")) == "existant"
        assert str(value_name("product", "existing")) == "existing"
        assert str(value_name("product", "not known")) == "inconnu"


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_charts_of_drivers_draw(world, model, width):
    result = drivers(model, world.crm)
    effects = adjusted_effects(world.crm, attributes=model.attributes).effects
    charts = [strength_chart(result.themes, width), effects_chart(effects, width)]
    charts += [
        shape_chart(result.dependence[result.dependence["theme"] == name], name, width) for name in ("amount", "stage")
    ]
    for chart in charts:
        assert chart.to_dict()["title"]["text"]
