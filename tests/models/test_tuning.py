import dataclasses
import itertools

import numpy as np
import pandas as pd
import pytest
from random_crm import random_crm

from winpredict import Config
from winpredict.errors import TooLittleDataError
from winpredict.features.snapshots import labelled
from winpredict.models import tuning
from winpredict.models.snapshots import pipeline
from winpredict.models.splits import cutoffs
from winpredict.models.training import fit_model, training_set
from winpredict.models.tuning import tune


def small(trials, minutes=5.0, **model):
    return Config.model_validate(
        {
            "model": {"trees": 110, "bags": 2, "threads": 1, **model},
            "tuning": {"trials": trials, "minutes": minutes},
            "backtest": {"min_history_days": 20, "horizon_days": 10},
        }
    )


def without_dates(crm):
    closed = crm.deals[crm.deals["outcome"] != "open"].assign(created_at=None, closed_at=None)
    deals = closed.astype(crm.deals.dtypes.to_dict())
    return dataclasses.replace(crm, deals=deals, deal_history=None, activities=None, known_until=None)


@pytest.fixture(scope="module")
def crm():
    return random_crm(3, deals=260)


@pytest.fixture
def losses(monkeypatch):
    """Settings are judged by their L2 penalty; what was judged is kept."""
    judged = []

    def by_penalty(config, exams, deals, end=np.inf):
        judged.append(config)
        return config.model.l2

    monkeypatch.setattr(tuning, "_loss", by_penalty)
    return judged


def test_one_setting_is_the_one_given(crm):
    assert tune(crm, small(1)) == small(1)


def test_the_setting_given_is_tried_first_and_as_it_is_even_beyond_the_space(crm, losses, recwarn):
    given = small(3, trees=7, leaves=90, l2=0.0)
    assert tune(crm, given) == given
    assert losses[0] == given
    assert len(losses) == 3
    assert not [warning for warning in recwarn if "range" in str(warning.message)]


def test_the_better_setting_wins_and_the_blend_is_left_to_the_fit(crm, losses):
    found = tune(crm, small(8, l2=90.0))
    assert found.model.l2 == min(each.model.l2 for each in losses) < 90
    assert found.model.linear_weight is None


def test_the_search_is_repeatable_and_only_changes_the_classifier(crm):
    found = tune(crm, small(4))
    assert found == tune(crm, small(4))
    assert found.model_copy(update={"model": small(4).model}) == small(4)
    assert found.model.bags == 2


@pytest.mark.parametrize("dated", [True, False])
def test_the_order_of_rows_changes_nothing(crm, dated):
    straight = crm if dated else without_dates(crm)
    mixed = dataclasses.replace(straight, deals=straight.deals.sample(frac=1, random_state=1, ignore_index=True))
    assert tune(mixed, small(3)) == tune(straight, small(3))


def test_the_search_ends_with_its_time(crm):
    said = []
    assert tune(crm, small(50, minutes=1e-9), progress=said.append).model == small(50).model
    assert [words for words in said if words.startswith("setting")] == [said[-1]]
    assert said[-1].startswith("setting 1 of 50")


def test_a_setting_that_time_runs_out_on_is_left_unjudged(crm, monkeypatch):
    clock = itertools.count()
    monkeypatch.setattr(tuning.time, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(tuning, "_odds", lambda config, exam, deals: np.full(len(exam.answers), 0.5))
    said = []
    # the clock is read once at the start and once an exam: five seconds end within the second setting
    tune(crm, small(50, minutes=5 / 60), progress=said.append)
    assert said[-1].startswith("setting 1 of 50")
    assert next(clock) <= 8


def test_what_is_judged_is_the_model_that_training_fits(crm):
    config = small(1, bags=1)
    exam, cutoff = next(tuning._dated_exams(crm, config, crm)), cutoffs(crm, 3, config)[0]
    then = crm.as_known_at(cutoff)
    data = training_set(then, config, exported=crm)
    model = fit_model(data, then, config)
    snapshots = labelled(crm, pipeline(then, cutoff))
    snapshots = snapshots[snapshots["outcome"] != "open"].reset_index(drop=True)
    expected = model.odds(model.build_features(then, snapshots))["win_probability"]
    deals = data.snapshots.loc[data.closed, "deal_id"].nunique()
    np.testing.assert_array_equal(tuning._odds(config, exam, deals), expected)


def test_nothing_recorded_on_the_day_or_later_is_looked_at(crm):
    day = pd.Timestamp("2024-02-20", tz="UTC")
    later = crm.deals["created_at"] >= day
    turned = crm.deals["outcome"].map({"won": "lost", "lost": "won", "open": "open"}).astype(crm.deals["outcome"].dtype)
    after = crm.deals["closed_at"] >= day
    changed = dataclasses.replace(
        crm, deals=crm.deals.assign(outcome=crm.deals["outcome"].where(~after, turned))[~later].reset_index(drop=True)
    )
    config = Config.model_validate(small(3).model_dump() | {"attributes": {"keep": ["product", "region", "score"]}})
    assert tune(changed, config, as_of=day) == tune(crm, config, as_of=day)


def test_with_few_deals_only_the_logistic_regression_is_tuned():
    few = random_crm(5, deals=120)
    given = small(4, l2=7.0)
    found = tune(few, given)
    assert found == tuning._with(given, {"linear_strength": found.model.linear_strength})


def test_too_few_deals_are_refused():
    with pytest.raises(TooLittleDataError, match="20 of each"):
        tune(random_crm(1), small(2))


def test_undated_deals_are_judged_by_folds_without_shared_duplicates(crm):
    exams = list(tuning._undated_exams(without_dates(crm), small(1)))
    assert len(exams) == 3
    for exam in exams:
        assert not set(map(tuple, exam.features.astype(str).values)) & set(map(tuple, exam.asked.astype(str).values))
