"""Real and simulated exports that lie beside the project: what the tool must make of them."""

from pathlib import Path

import pandas as pd
import pytest
from reason_checks import contradictions, share_with_something_to_act_on

from winpredict import Config, backtest, score, train
from winpredict.explain.drivers import drivers
from winpredict.features.leakage import audit_attributes
from winpredict.ingest import import_files, load_profile
from winpredict.models.snapshots import pipeline

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the data folder is not beside the project")
QUICK = Config.model_validate({"model": {"bags": 2, "trees": 120, "learning_rate": 0.06, "threads": 1}})


def read(name, folder):
    return import_files([DATA / folder], load_profile(name))


@pytest.fixture(scope="module")
def first():
    return read("salesforce", "salesforce_export/WE_export_2025-03-13.zip")


@pytest.fixture(scope="module")
def model(first):
    return train(first.crm, QUICK)


def test_a_later_salesforce_export_updates_the_first(first):
    profile = load_profile("salesforce")
    path = DATA / "salesforce_export" / "WE_export_2025-06-11.zip"
    alone, updated = import_files([path], profile), import_files([path], profile, earlier=first.crm)
    assert first.repairs == {"deals: the same row again (merged)": 9}
    for (name, frame), (_, again) in zip(alone.crm.tables(), updated.crm.tables(), strict=True):
        pd.testing.assert_frame_equal(frame, again, obj=name)


def test_no_reason_of_the_salesforce_export_contradicts_itself(first, model):
    features = model.build_features(first.crm, pipeline(first.crm, first.crm.known_until))
    assert len(features) == 330
    assert contradictions(model, features) == []
    share, deals = share_with_something_to_act_on(model, features)
    assert share >= 0.95
    assert deals > 100


def test_the_salesforce_leaks_are_dropped_and_what_has_no_effect_is_no_driver(first, model):
    audit = audit_attributes(first.crm)
    assert set(audit.dropped) == {"Loss_Reason__c", "Contract_Signed__c"}
    scores = score(model, first.crm)
    assert len(scores) == 330
    told = pd.concat([scores[f"reason_{n}"] for n in range(1, 6)])
    assert told.str.contains("Region|Campaign").mean() < 0.05


def test_drivers_of_the_later_salesforce_export_have_evidence_and_the_right_sign(first):
    crm = import_files(
        [DATA / "salesforce_export" / "WE_export_2025-06-11.zip"], load_profile("salesforce"), earlier=first.crm
    ).crm
    themes = drivers(train(crm, QUICK), crm).themes.set_index("theme")
    ours = ["touches", "contacts", "team", "senior_contacts"]
    assert themes.loc[ours, "evidence"].all()
    assert (themes.loc[ours, "direction"] == "more is better").all()
    assert not themes.loc[["Region__c", "Campaign_Code__c"], "evidence"].any()


def test_ibm_is_not_fooled_by_columns_of_the_close():
    crm = read("ibm", "ibm_sales_win_loss").crm
    dropped = set(audit_attributes(crm).dropped)
    assert {name for name in crm.attributes if "Days" in name or "Stage Change Count" in name} <= dropped


def test_maven_carries_no_signal_and_it_is_said():
    result = backtest(read("maven", "maven_crm_sales").crm, QUICK, folds=2)
    assert "No usable signal" in str(result.verdict)
    losses = result.overall["log_loss"]
    assert losses["winpredict"] < losses["overall_rate"] + 0.005


def test_salvirt_duplicates_stay_in_one_fold():
    crm = read("salvirt", "salvirt_b2b").crm
    scored = backtest(crm, QUICK).predictions.set_index("deal_id")["cutoff"]
    alike = crm.deals.drop(columns="deal_id").astype(object).map(str).agg("|".join, axis=1)
    twins = alike.duplicated(keep=False)
    folds = crm.deals[twins]["deal_id"].map(scored).groupby(alike[twins]).nunique()
    assert len(folds) > 0
    assert (folds == 1).all()


def test_bpic2012_beats_the_stage_win_rate():
    result = backtest(read("bpic2012", "bpic2012").crm, QUICK, folds=2)
    assert result.comparisons["stage_win_rate"].beats_baseline
    assert {"O_SENT", "O_SENT_BACK"} <= set(result.by_stage.index.get_level_values(0))
