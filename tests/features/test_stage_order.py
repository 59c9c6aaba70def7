"""The order of stages that is learned is that of the process which made the data."""

import numpy as np
import pandas as pd
import pytest

from winpredict import CRMData
from winpredict.features.stage_order import MIN_DEALS, learned_stage_order

START = pd.Timestamp("2025-01-01", tz="UTC")
# by name they stand in another order
PROCESS = ("Qualify", "Meet", "Demo", "Offer", "Negotiate", "Contract")


def world(walks, outcomes=None, *, closing_stage=True):
    """Deals that go through stages, a day each; `walks` holds the stages of each."""
    outcomes = ["won"] * len(walks) if outcomes is None else outcomes
    changes, deals = [], []
    for number, (walk, outcome) in enumerate(zip(walks, outcomes, strict=True)):
        deal = f"d{number:04d}"
        created = START + pd.Timedelta(days=number)
        times = [created + pd.Timedelta(days=3 * step) for step in range(len(walk) + 1)]
        changes += [(deal, stage, at) for stage, at in zip(walk, times, strict=False)]
        closed = None if outcome == "open" else times[-1]
        if closed is not None and closing_stage:
            changes.append((deal, outcome.title(), closed))
        now = outcome.title() if closing_stage and closed is not None else walk[-1]
        deals.append((deal, now, outcome, created, closed))
    return CRMData.from_tables(
        pd.DataFrame(deals, columns=["deal_id", "stage", "outcome", "created_at", "closed_at"]),
        deal_history=pd.DataFrame(changes, columns=["deal_id", "stage", "changed_at"]),
    )


def walks(number, seed, *, skip=0.0, back=0.0):
    """Walks through the process; each stage is skipped and gone back from with some probability."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(number):
        walk = [stage for stage in PROCESS if rng.random() >= skip] or [PROCESS[0]]
        for place in range(len(walk) - 1, 0, -1):
            if rng.random() < back:
                walk[place + 1 : place + 1] = [walk[place - 1], walk[place]]
        out.append(walk)
    return out


@pytest.mark.parametrize(("skip", "back"), [(0.0, 0.0), (0.5, 0.0), (0.0, 0.6), (0.6, 0.5)])
@pytest.mark.parametrize("closing_stage", [True, False])
def test_the_order_is_that_of_the_process(skip, back, closing_stage):
    for seed in range(5):
        crm = world(walks(200, seed, skip=skip, back=back), closing_stage=closing_stage)
        assert learned_stage_order(crm) == PROCESS


def test_the_order_of_rows_says_nothing():
    crm = world(walks(60, 3, skip=0.7, back=0.4))
    expected = learned_stage_order(crm)
    for seed in range(5):
        shuffled = CRMData.from_tables(
            crm.deals.sample(frac=1, random_state=seed), deal_history=crm.deal_history.sample(frac=1, random_state=seed)
        )
        assert learned_stage_order(shuffled) == expected


def test_lost_deals_do_not_tell_how_deals_are_won():
    won, lost = walks(40, 1), [list(reversed(PROCESS))] * 400
    assert learned_stage_order(world(won + lost, ["won"] * 40 + ["lost"] * 400)) == PROCESS


def test_a_rare_stage_is_placed_by_all_deals_and_left_out_where_they_are_too_few():
    won = walks(60, 1)
    lost = [["Qualify", "Meet", "On hold", "Demo", "Offer"]] * MIN_DEALS
    rare = [["Qualify", "Meet", "Demo", "Legal", "Offer"]] * (MIN_DEALS - 1)
    crm = world(won + lost + rare, ["won"] * 60 + ["lost"] * (MIN_DEALS * 2 - 1))
    assert learned_stage_order(crm) == ("Qualify", "Meet", "On hold", *PROCESS[2:])


def test_a_stage_of_few_won_deals_that_meets_no_other_is_left_out():
    crm = world(walks(60, 1) + [["Import"]] * MIN_DEALS, ["won"] * 60 + ["open"] * MIN_DEALS)
    assert learned_stage_order(crm) == PROCESS


def test_a_stage_that_lies_late_is_late_though_it_meets_only_the_latest():
    usual = [list(PROCESS)] * 50
    short = [["Contract", "Signature"]] * 20
    assert learned_stage_order(world(usual + short)) == (*PROCESS, "Signature")


def test_parallel_stages_stand_together():
    one, other = ["Qualify", "Legal", "Budget", "Contract"], ["Qualify", "Budget", "Legal", "Contract"]
    assert learned_stage_order(world([one, other] * 50)) == ("Qualify", "Budget", "Legal", "Contract")


def test_a_closed_stage_is_told_by_when_it_is_entered_also_where_deals_are_reopened():
    reopened = [["Qualify", "Meet", "Lost", "Meet", "Offer"]] * 3
    crm = world(walks(60, 1) + reopened + [["Qualify", "Meet"]] * 80, ["won"] * 63 + ["lost"] * 80)
    assert learned_stage_order(crm) == PROCESS


def test_without_a_history_or_with_few_won_deals_there_is_no_order():
    crm = world(walks(60, 1))
    assert learned_stage_order(CRMData.from_tables(crm.deals)) == ()
    assert learned_stage_order(world(walks(MIN_DEALS - 1, 1))) == ()
    assert learned_stage_order(world(walks(60, 1), ["lost"] * 60)) == ()


def test_deals_that_only_know_one_stage_have_an_order_of_one():
    assert learned_stage_order(world([["Open"]] * 10)) == ("Open",)
