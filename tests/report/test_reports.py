import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from winpredict import CRMData, WinPredictError, backtest, train
from winpredict.report.drivers import drivers_report
from winpredict.report.forecast import forecast_report
from winpredict.report.model_card import model_card
from winpredict.report.pipeline import pipeline_report
from winpredict.report.writing import write_report


def titles(report):
    return [str(section.title) for section in report.sections if not section.empty]


def appendix(report):
    return [str(section.title) for section in report.appendix if not section.empty]


def test_the_driver_report(world, model, tmp_path):
    report = drivers_report(model, world.crm, segment="customer")
    assert titles(report) == [
        "Win rate: real change or normal variation", "What separates won from lost deals", "Where deals get stuck",
    ]  # fmt: skip
    assert appendix(report) == [
        "All drivers", "Which way, and how far", "Drivers by new or existing customer", "What is controllable",
        "What won deals have in common", "Why deals were lost", "Signal or noise",
    ]  # fmt: skip
    text = write_report(report, tmp_path / "d.md")[0].read_text()
    assert "loss_reason" in text  # among what was left out
    assert {"d-drivers.csv", "d-closed-won.csv", "d-changes.csv"} <= {path.name for path in tmp_path.iterdir()}
    with pytest.raises(WinPredictError, match="no segment 'nonsense' in these data; known here: customer, "):
        drivers_report(model, world.crm, segment="nonsense")


def test_the_pipeline_report(world, model, tmp_path):
    report = pipeline_report(model, world.crm, segment="product")
    assert {"Where the deals are", "Open deals by product", "Where deals stall"} <= set(titles(report))
    odds = next(table for table in report.tables if table.name == "odds")
    assert len(odds.frame) == (world.crm.deals["outcome"] == "open").sum()
    assert write_report(report, tmp_path / "p.md")[0].exists()


def test_the_forecast_report(world, model, tmp_path):
    report = forecast_report(model, world.crm)
    assert report.summary[0].startswith("This month")
    assert write_report(report, tmp_path / "f.md")[0].exists()


def test_the_model_card(world, model, quick_config, tmp_path):
    assert model_card(model).summary[2].startswith("No backtest on record; run `winpredict backtest` before")
    result = backtest(world.crm, quick_config, folds=2)
    tables = {name: getattr(result, name).reset_index() for name in ("overall", "by_cutoff", "by_stage", "by_age")}
    report = model_card(model, backtest={**tables, "reliability": result.reliability}, verdict=result.verdict)
    text = write_report(report, tmp_path / "m.md")[0].read_text()
    assert str(result.verdict) in text
    own = result.overall.loc["winpredict"]
    assert report.summary[2] == (
        f"Backtest on {own['n']:,.0f} scored deals: of a won and a lost deal, the won one had the better odds in "
        f"{own['auc']:.0%} of cases; the odds were off by {own['expected_calibration_error']:.0%} on average."
    )
    json.dumps(report.summary)
    assert "win rate of the stage" in text


def test_a_deals_only_file_gives_what_it_can(quick_config, tmp_path):
    rng = np.random.default_rng(2)
    n = 500
    product = rng.choice(["a", "b", "c"], n)
    won = rng.random(n) < np.where(product == "a", 0.6, 0.25)
    deals = pd.DataFrame(
        {
            "deal_id": [f"d{i}" for i in range(n)], "stage": "any", "created_at": None, "closed_at": None,
            "outcome": np.where(won, "won", "lost"), "product": product, "amount": rng.lognormal(9, 1, n),
        }
    )  # fmt: skip
    crm = CRMData.from_tables(deals)
    model = train(crm, quick_config)
    told = []
    for name, make in (("d", drivers_report), ("p", pipeline_report), ("f", forecast_report)):
        report = make(model, crm)
        told += report.summary
        assert write_report(report, tmp_path / f"{name}.md")[0].exists()
    assert any("no dates" in sentence for sentence in told)


def test_an_empty_pipeline_gets_its_reports(world, model, tmp_path):
    crm = world.crm
    closed = dataclasses.replace(crm, deals=crm.deals[crm.deals["outcome"] != "open"].reset_index(drop=True))
    for make in (pipeline_report, forecast_report):
        assert write_report(make(model, closed), tmp_path / "r.md")[0].exists()


def test_groups_that_are_all_too_small_get_a_sentence(world, model, tmp_path):
    crm = world.crm
    owner = "rep " + (crm.deals.index.to_series() % 40).astype(str)
    many = dataclasses.replace(crm, deals=crm.deals.assign(owner_id=owner), users=None)
    report = drivers_report(model, many, segment="rep")
    section = next(each for each in report.appendix if each.title == "Drivers by rep")
    assert section.sentences == ["No group has enough deals for figures of its own."]
    assert write_report(report, tmp_path / "d.md")[0].exists()


def test_reports_use_nothing_recorded_after_the_end_of_knowledge(world, quick_config):
    day = pd.Timestamp("2024-11-15", tz="UTC")
    model = train(world.crm, quick_config, as_of=day)
    ends_there = dataclasses.replace(world.crm, known_until=day)
    assert drivers_report(model, ends_there).subtitle == drivers_report(model, world.crm.as_known_at(day)).subtitle
    by_default, cut = pipeline_report(model, ends_there), pipeline_report(model, world.crm, as_of=day)
    assert (by_default.subtitle, by_default.summary[0]) == (cut.subtitle, cut.summary[0])


def test_reports_on_days_before_training_or_before_all_deals_are_refused(world, model):
    before = world.crm.as_known_at("2001-01-01")
    timeless = dataclasses.replace(model, trained_as_of=None)
    for make in (drivers_report, pipeline_report):
        with pytest.raises(WinPredictError, match="would know the future"):
            make(model, world.crm.as_known_at("2024-06-01"))
        with pytest.raises(WinPredictError, match="no deal was known on 2001-01-01"):
            make(timeless, before)
