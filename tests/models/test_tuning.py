import dataclasses

import pytest
from random_crm import random_crm

from winpredict import Config
from winpredict.models import tuning
from winpredict.models.tuning import tune


def small(trials, minutes=5.0):
    return Config.model_validate(
        {
            "model": {"trees": 110, "bags": 2, "threads": 1},
            "tuning": {"trials": trials, "minutes": minutes},
            "backtest": {"min_history_days": 20, "horizon_days": 10},
        }
    )


@pytest.fixture(scope="module")
def crm():
    return random_crm(3, deals=250)


def test_the_first_setting_is_the_one_given(crm):
    assert tune(crm, small(1)) == small(1)


def test_the_search_is_repeatable_and_only_changes_the_classifier(crm):
    found = tune(crm, small(4))
    assert found == tune(crm, small(4))
    assert found.model_copy(update={"model": small(4).model}) == small(4)
    assert found.model.bags == 2


def test_the_search_ends_with_its_time(crm):
    said = []
    tune(crm, small(50, minutes=1e-9), progress=said.append)
    assert [words for words in said if words.startswith("setting")] == [said[-1]]
    assert said[-1].startswith("setting 1 of 50")


def test_the_better_setting_wins(crm, monkeypatch):
    monkeypatch.setattr(tuning, "_loss", lambda config, exams: config.model.l2)
    assert tune(crm, small(8)).model.l2 <= Config().model.l2


def test_undated_deals_are_judged_by_folds_without_shared_duplicates(crm):
    closed = crm.deals[crm.deals["outcome"] != "open"].assign(created_at=None, closed_at=None)
    undated = dataclasses.replace(
        crm, deals=closed.astype(crm.deals.dtypes.to_dict()), deal_history=None, activities=None, known_until=None
    )
    exams = list(tuning._undated_exams(undated, small(1)))
    assert len(exams) == 3
    for exam in exams:
        assert not set(map(tuple, exam.features.astype(str).values)) & set(map(tuple, exam.asked.astype(str).values))
