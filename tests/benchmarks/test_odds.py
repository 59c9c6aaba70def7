"""The benchmark of the odds: what it judges by, and that a small run of it works."""

import dataclasses
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from winpredict.simulate.world import simulate
from winpredict.tables.crm import CRMData

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def odds():
    """The script as a module."""
    sys.path.insert(0, str(FOLDER))
    spec = importlib.util.spec_from_file_location("benchmark_odds", FOLDER / "odds.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["benchmark_odds"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["benchmark_odds"]
    sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def data(odds):
    """The script's data sets."""
    return importlib.import_module("odds_data")


@pytest.fixture(scope="module")
def rows(odds):
    """What the script learns from."""
    return importlib.import_module("odds_rows")


@pytest.fixture(scope="module")
def crm():
    return simulate(400, seed=9).crm


def utc(day):
    return pd.Timestamp(day, tz="UTC")


def test_the_soft_ratio_is_one_for_the_truth_and_rises_with_distance(odds):
    truth = np.array([0.1, 0.5, 0.8, np.nan])
    assert odds.soft_ratio(truth, np.array([0.1, 0.5, 0.8, 0.3])) == pytest.approx(1.0)
    near, far = (odds.soft_ratio(truth, np.array([0.1, 0.5, 0.8, 0.3]) + by) for by in (0.05, 0.15))
    assert 1 < near < far
    by_hand = -(0.5 * np.log(0.9) + 0.5 * np.log(0.1)) / np.log(2)
    assert odds.soft_ratio(np.array([0.5]), np.array([0.9])) == pytest.approx(by_hand)


def test_plain_columns_equal_a_loop(data, rows, crm):
    moments = [utc("2024-03-01"), utc("2024-09-02")]
    snapshots = pd.concat([data.open_at(crm, each) for each in moments], ignore_index=True)
    found = rows.plain_columns(crm, snapshots, ["product", "account_industry"], with_amount=True)
    assert len(found) == len(snapshots) > 30
    deals = crm.deals.set_index("deal_id")
    industry = crm.accounts.set_index("account_id")["industry"]
    for row in range(0, len(snapshots), 3):
        deal, as_of = snapshots.loc[row, "deal_id"], snapshots.loc[row, "as_of"]
        past = crm.deal_history[(crm.deal_history["deal_id"] == deal) & (crm.deal_history["changed_at"] < as_of)]
        stages = past.sort_values("changed_at", kind="stable")["stage"].dropna()
        assert found.loc[row, "stage"] == stages.iloc[-1]
        assert found.loc[row, "stage_changes"] == (stages != stages.shift()).sum()
        touches = crm.activities[(crm.activities["deal_id"] == deal) & (crm.activities["occurred_at"] < as_of)]
        touches = touches[touches["recorded_at"] < as_of]
        assert found.loc[row, "touches"] == len(touches)
        assert found.loc[row, "days_open"] == pytest.approx(
            (as_of - deals.loc[deal, "created_at"]) / pd.Timedelta("1D")
        )
        assert found.loc[row, "product"] == deals.loc[deal, "product"]
        assert found.loc[row, "account_industry"] == industry[deals.loc[deal, "account_id"]]


def test_plain_columns_know_nothing_of_what_comes_later(data, rows, crm):
    moment = utc("2024-06-03")
    snapshots = data.open_at(crm, moment)
    then = rows.plain_columns(crm.as_known_at(moment), snapshots, ["product"], with_amount=False)
    now = rows.plain_columns(crm, snapshots, ["product"], with_amount=False)
    pd.testing.assert_frame_equal(then, now, check_dtype=False)


def test_dated_exams_judge_open_deals_by_their_ending(data, crm):
    moment = utc("2024-06-03")
    (exam,) = data.dated_exams(crm, [moment])
    outcome = crm.deals.set_index("deal_id")["outcome"].reindex(exam.snapshots["deal_id"])
    assert (exam.known.deals.set_index("deal_id")["outcome"].reindex(exam.snapshots["deal_id"]) == "open").all()
    np.testing.assert_array_equal(exam.won == 1, outcome == "won")
    np.testing.assert_array_equal(np.isnan(exam.won), outcome == "open")


def undated(rows):
    rng = np.random.default_rng(3)
    return CRMData.from_tables(
        pd.DataFrame(
            {
                "deal_id": [f"d{number}" for number in range(rows)],
                "created_at": pd.NaT,
                "closed_at": pd.NaT,
                "outcome": np.where(rng.random(rows) < 0.4, "won", "lost"),
                "stage": None,
                "size": rng.choice(["s", "m", "l"], rows),
                "note": [f"n{number // 2}" for number in range(rows)],
                "score": rng.normal(size=rows),
            }
        )
    )


def test_folds_part_all_deals_and_keep_twins_together(data):
    crm = undated(200)
    twins = crm.deals.assign(deal_id=[f"e{number}" for number in range(200)])
    doubled = pd.concat([crm.deals, twins], ignore_index=True)
    folds = data.random_folds(dataclasses.replace(crm, deals=doubled))
    where = np.stack(list(folds.values()))
    assert (where.sum(axis=0) == 1).all()
    assert where.sum(axis=1).min() > 40
    np.testing.assert_array_equal(where[:, :200], where[:, 200:])


def test_undated_exams_hide_what_they_judge(data):
    crm = undated(200)
    for exam in data.undated_exams(crm, data.latest(crm)):
        assert exam.snapshots["deal_id"].tolist() == [f"d{number}" for number in range(140, 200)]
        hidden = exam.known.deals["deal_id"].isin(exam.snapshots["deal_id"])
        assert set(exam.known.deals["outcome"][hidden]) == {"open"}
        assert "open" not in set(exam.known.deals["outcome"][~hidden])
        np.testing.assert_array_equal(exam.won == 1, crm.deals["outcome"].iloc[140:] == "won")


def test_labels_of_few_deals_count_as_missing(rows):
    learnt = pd.DataFrame({"code": ["a"] * 30 + ["b"] * 3, "size": [1, 2, 3] * 11, "empty": np.nan})
    judged = pd.DataFrame({"code": ["a", "b", "c"], "size": [4, 5, None], "empty": [1.0, 2.0, 3.0]})
    deals = pd.Series(range(33))
    found = rows.prepared(learnt, judged, np.arange(33) % 2, deals, (), min_deals=20)
    assert list(found.train) == list(found.test) == ["code", "size"]
    assert found.train["code"].cat.categories.tolist() == ["a"]
    assert found.test["code"].tolist()[0] == "a"
    assert found.test["code"].isna().tolist() == [False, True, True]
    assert found.test["size"].tolist()[:2] == [4.0, 5.0]
    one_deal = rows.prepared(learnt, judged, np.arange(33) % 2, pd.Series([0] * 33), (), min_deals=2)
    assert list(one_deal.train) == ["size"]


@pytest.mark.parametrize("peer", ["lightgbm", "hgb", "logistic", "naive_bayes", "stage_rate"])
def test_every_peer_finds_the_stage(odds, rows, peer):
    rng = np.random.default_rng(5)
    stage = rng.choice(["early", "late"], 2000)
    won = (rng.random(2000) < np.where(stage == "late", 0.8, 0.2)).astype(np.int64)
    learnt = pd.DataFrame({"stage": stage, "noise": rng.integers(0, 3, 2000)})
    judged = pd.DataFrame({"stage": ["early", "late", "unseen"], "noise": [1.0, 1.0, np.nan]})
    # without an order stages are labels like any other, also to the naive Bayes
    given = rows.prepared(learnt, judged, won, pd.Series(range(2000)), ())
    early, late, unseen = odds.IN_PROCESS[peer][1](given, 0)
    assert early == pytest.approx(0.2, abs=0.12)
    assert late == pytest.approx(0.8, abs=0.12)
    assert 0 <= unseen <= 1


def test_a_public_data_set_that_is_not_here_is_left_out_with_a_reason(odds, tmp_path, capsys):
    odds.main(["--only", "olist", "bank", "--data", str(tmp_path), "--shared", str(tmp_path)])
    printed = capsys.readouterr().out
    assert "olist (olist_marketing_qualified_leads_dataset.csv is not in the folder given by --data" in printed
    assert "bank (bank-additional-full.csv is not in" in printed


def test_leads_that_nobody_wins_are_lost_after_half_a_year(data, tmp_path):
    (tmp_path / "olist_marketing_qualified_leads_dataset.csv").write_text(
        "mql_id,first_contact_date,landing_page_id,origin\n"
        "a,01-02-2018,p,social\nb,2018-02-01,p,email\nc,2018-07-01,q,email\nd,2017-07-01,q,email\n"
    )
    (tmp_path / "olist_closed_deals_dataset.csv").write_text(
        "mql_id,seller_id,won_date\na,s,2018-02-26 19:58:54\nd,s,2018-02-26 19:58:54\n"
    )
    deals = data.olist(data.DataOptions(tmp_path, tmp_path, False, 0, 0, 0)).deals.set_index("deal_id")
    assert deals["outcome"].to_dict() == {"a": "won", "b": "lost", "c": "open", "d": "lost"}
    assert deals["created_at"]["a"] == deals["created_at"]["b"] == utc("2018-02-01")
    assert deals["closed_at"]["b"] == utc("2018-07-31")


def test_a_small_run_judges_winpredict_and_its_peers(odds, tmp_path, capsys, monkeypatch):
    odds.main(["--quick", "--only", "worlds", "--json", str(tmp_path / "odds.json"), "--kept", str(tmp_path / "kept")])
    text, figures = capsys.readouterr().out, json.loads((tmp_path / "odds.json").read_text())
    scorers = figures["results"]["worlds"]["scorers"]
    assert "| winpredict | winpredict's |" in text
    assert {name.partition("|")[0] for name in scorers} == {
        "winpredict",
        "features",
        *(title for title, _ in odds.IN_PROCESS.values()),
    }
    assert 1.0 < scorers["winpredict"]["soft"] < 1.7
    assert all(each["log_loss"] > 0 for name, each in scorers.items() if name != "features")
    peer = scorers["LightGBM|winpredict's"]
    assert peer["low"] <= peer["difference"] <= peer["high"]
    assert peer["difference"] == pytest.approx(scorers["winpredict"]["log_loss"] - peer["log_loss"])
    # what is kept is not run again
    monkeypatch.setattr(odds, "judge", None)
    odds.main(["--quick", "--only", "worlds", "--kept", str(tmp_path / "kept")])
    assert capsys.readouterr().out == text


def test_answers_are_kept_and_made_anew_only_where_asked(odds, data, crm, tmp_path, monkeypatch):
    config = odds.Config.model_validate({"model": {"threads": 1, "bags": 1, "trees": 5}})

    def judged(**again):
        exams = data.dated_exams(crm, [utc("2024-09-02")])
        return odds.judge("small", exams, config, ["stage_rate"], {}, tmp_path / "kept", **again).scorers

    first = judged()
    answer = odds.IN_PROCESS["stage_rate"][0]
    monkeypatch.setattr(odds, "rows_of", None)
    assert judged() == first
    monkeypatch.setitem(odds.IN_PROCESS, "stage_rate", (answer, lambda rows, seed: np.full(len(rows.test), 0.5)))
    assert judged() == first
    anew = judged(again=["stage_rate"])
    assert anew[f"{answer}|winpredict's"]["log_loss"] == pytest.approx(np.log(2))
    assert anew["winpredict"] == first["winpredict"]
    # of other looks nothing is taken
    exams = data.dated_exams(crm, [utc("2024-10-01")])
    with pytest.raises(TypeError, match="not callable"):
        odds.judge("small", exams, config, ["stage_rate"], {}, tmp_path / "kept")


@pytest.mark.parametrize("text", ["2018-02-26 19:58", "26-02-2018 19:58"])
def test_dates_with_the_day_first_are_the_same(data, text):
    assert data.any_dates(pd.Series([text, None])).tolist()[0] == pd.Timestamp("2018-02-26 19:58", tz="UTC")


def test_on_worlds_the_order_of_the_answers_does_not_matter(odds, data):
    snapshots = pd.DataFrame({"deal_id": [f"d{n}" for n in range(40)]})
    true = np.linspace(0.1, 0.9, 40)
    won = (np.arange(40) % 2).astype(float)
    exams = [data.Exam(f"{seed} 2024-10-01", None, None, None, snapshots, won, true) for seed in (7001, 7002)]
    answers = {
        name: 2 * [odds.Answer(said, 1.0, 1.0)] for name, said in (("winpredict", true), ("LightGBM|plain", 1 - true))
    }
    backwards = dict(reversed(answers.items()))
    first, second = (odds.judged("worlds", exams, each, [], 0).scorers for each in (answers, backwards))
    assert first == second
    assert first["winpredict"]["soft"] == pytest.approx(1.0)
    assert first["LightGBM|plain"]["soft_difference"] == pytest.approx(1 - first["LightGBM|plain"]["soft"])
