"""Memory of what happened: each figure against a loop, and columns that are the same of every part of the data."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_crm import STAGES, START, random_tables

from winpredict import CRMData
from winpredict.explain.claims import claim_of
from winpredict.features.build import build_features
from winpredict.features.builders import Memory, default_builders
from winpredict.features.cross_deal_history import CrossDealFacts
from winpredict.features.dataset import build_dataset, gather_cross_deal_history
from winpredict.features.events import DealEvents
from winpredict.features.past import Past
from winpredict.features.snapshots import every, labelled, on_dates
from winpredict.tables.buckets import DealBuckets

AS_OF = START + pd.Timedelta(days=35)
SEEDS = st.integers(0, 10_000)
RESULTS = ("Answered", "No answer", "Busy", None)


def tables_of(seed: int) -> dict[str, pd.DataFrame]:
    """Random tables with results of touches; notes always have the same one."""
    tables, rng = random_tables(seed), np.random.default_rng([seed, 3])
    touches = tables["activities"]
    kinds = np.where(rng.random(len(touches)) < 0.1, "note", touches["activity_type"])
    results = rng.choice(np.array(RESULTS, dtype=object), len(touches), p=[0.4, 0.3, 0.1, 0.2])
    results = np.where(kinds == "note", "Written", np.where(kinds == "email", None, results))
    return tables | {"activities": touches.assign(activity_type=kinds, result=results)}


def crm_of(tables: dict[str, pd.DataFrame], stage_order=STAGES) -> CRMData:
    return CRMData.from_tables(**tables, stage_order=stage_order, known_until=START + pd.Timedelta(days=120))


def settled_on(crm: CRMData, **values) -> Memory:
    return Memory(**values).settled(Past(crm, every(crm, 30.0)).cross_deal_history)


def frame(crm: CRMData, snapshots: pd.DataFrame, memory: Memory) -> pd.DataFrame:
    return build_features(crm, snapshots, builders=[memory]).frame


def entries_by_loop(crm: CRMData, deal: str, as_of: pd.Timestamp) -> list[tuple[pd.Timestamp, str]]:
    """Stages with the moment of their entry; of changes at the same moment the order of the stages decides."""
    rows = crm.deal_history[crm.deal_history["stage"].notna()]
    rows = rows[(rows["deal_id"] == deal) & (rows["changed_at"] < as_of)]
    rank = {stage: number for number, stage in enumerate(crm.stage_order)}
    changes = sorted((at, rank[stage], stage) for at, stage in zip(rows["changed_at"], rows["stage"], strict=True))
    out: list[tuple[pd.Timestamp, str]] = []
    for at, _, stage in changes:
        if not out or out[-1][1] != stage:
            out.append((at, stage))
    return out


def touches_by_loop(crm: CRMData, deal: str, as_of: pd.Timestamp) -> list[tuple[pd.Timestamp, str, str]]:
    """When touches happened that were entered by then, with type and result."""
    rows = crm.activities[(crm.activities["deal_id"] == deal) & crm.activities["result"].notna()]
    known = rows[(rows["occurred_at"] < as_of) & (rows["recorded_at"].fillna(rows["occurred_at"]) < as_of)]
    return list(zip(known["occurred_at"], known["activity_type"], known["result"], strict=True))


def tells_no_result(crm: CRMData, deal: str, as_of: pd.Timestamp, kind: str | None) -> bool:
    """Whether touches of a kind (or any) happened and were entered by then, and none of them has a result."""
    rows = crm.activities[crm.activities["deal_id"] == deal]
    known = rows[(rows["occurred_at"] < as_of) & (rows["recorded_at"].fillna(rows["occurred_at"]) < as_of)]
    known = known if kind is None else known[known["activity_type"] == kind]
    return len(known) > 0 and bool(known["result"].isna().all())


def days_since(moments, as_of):
    return (as_of - max(moments)) / pd.Timedelta(days=1) if moments else np.nan


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.sampled_from([40, 2, 0]))
def test_every_figure_equals_a_loop(seed, most):
    crm = crm_of(tables_of(seed))
    snapshots = every(crm, 11.0)
    memory = settled_on(crm, max_values=most)
    found = frame(crm, snapshots, memory)
    expected = []
    for deal, as_of in snapshots.itertuples(index=False):
        entries, touches = entries_by_loop(crm, deal, as_of), touches_by_loop(crm, deal, as_of)
        row = {}
        groups = [(stage.lower(), {stage}) for stage in memory.stages]
        if memory.other_stages:
            groups.append(("less_common", set(STAGES) - set(memory.stages)))
        for word, members in groups:
            moments = [at for at, stage in entries if stage in members]
            row[f"times_entered_{word}"] = float(len(moments)) if entries else np.nan
            row[f"days_since_entered_{word}"] = days_since(moments, as_of)
        pairs = set(memory.results)
        groups = [
            (f"{kind}_{result.lower().replace(' ', '_')}", {(kind, result)}, kind) for kind, result in memory.results
        ]
        if memory.other_results:
            groups.append(("less_common", {(kind, result) for _, kind, result in touches} - pairs, None))
        for word, members, of_kind in groups:
            moments = [at for at, kind, result in touches if (kind, result) in members]
            unknown = tells_no_result(crm, deal, as_of, of_kind)
            row[f"result_{word}"] = np.nan if unknown else float(len(moments))
            row[f"days_since_result_{word}"] = days_since(moments, as_of)
        expected.append(row)
    pd.testing.assert_frame_equal(found, pd.DataFrame(expected, columns=list(found.columns)), check_dtype=False)


@settings(max_examples=20, deadline=None)
@given(SEEDS, SEEDS)
def test_nothing_at_or_after_as_of_matters(seed, other_seed):
    tables, other = tables_of(seed), tables_of(other_seed)
    crm = crm_of(tables)
    snapshots, memory = on_dates(crm, [AS_OF]), settled_on(crm)
    expected = frame(crm, snapshots, memory)
    pd.testing.assert_frame_equal(expected, frame(crm.as_known_at(AS_OF), snapshots, memory))
    mixed = dict(tables)
    for name, clock in (("deal_history", "changed_at"), ("activities", "recorded_at")):
        later = other[name][other[name][clock] >= AS_OF]
        mixed[name] = pd.concat([tables[name][tables[name][clock] < AS_OF], later], ignore_index=True)
    mixed["activities"]["activity_id"] = [f"n{number}" for number in range(len(mixed["activities"]))]
    pd.testing.assert_frame_equal(expected, frame(crm_of(mixed), snapshots, memory))


@settings(max_examples=10, deadline=None)
@given(SEEDS)
def test_order_of_rows_and_of_stages_changes_nothing(seed):
    tables = tables_of(seed)
    shuffled = {name: table.sample(frac=1, random_state=seed) for name, table in tables.items()}
    crm, other = crm_of(tables), crm_of(shuffled)
    snapshots = every(crm, 11.0)
    expected = build_features(crm, snapshots, builders=[Memory()])
    features = build_features(other, snapshots, builders=[Memory()])
    assert features.info == expected.info
    pd.testing.assert_frame_equal(features.frame, expected.frame)


def test_no_stage_order_is_needed():
    crm = crm_of(tables_of(4), stage_order=())
    snapshots = every(crm, 11.0)
    frame = build_features(crm, snapshots, builders=[Memory()]).frame
    entered = frame[[f"times_entered_{stage.lower()}" for stage in STAGES]]
    assert (entered.max() >= 1).all()
    assert entered.sum(axis=1).tolist() == Past(crm, snapshots).stage_changes.count().tolist()


def test_columns_are_in_the_order_of_frequency_then_name():
    crm = crm_of(tables_of(4))
    cross_deal_history = Past(crm, every(crm, 30.0)).cross_deal_history
    end = crm.deals.set_index("deal_id")["closed_at"].fillna(crm.known_until)
    entered: dict[str, int] = dict.fromkeys(STAGES, 0)
    for deal, until in end.items():
        for _, stage in entries_by_loop(crm, deal, until):
            entered[stage] += 1
    assert cross_deal_history.stages_entered == tuple(sorted(entered, key=lambda stage: (-entered[stage], stage)))
    touches: dict[tuple[str, str], int] = {}
    for deal, until in end.items():
        for _, kind, result in touches_by_loop(crm, deal, until):
            touches[kind, result] = touches.get((kind, result), 0) + 1
    touches.pop(("note", "Written"))  # all notes have this result, so it says no more than that they are notes
    assert cross_deal_history.touch_results == tuple(sorted(touches, key=lambda pair: (-touches[pair], pair)))


@settings(max_examples=8, deadline=None)
@given(SEEDS, st.integers(1, 5))
def test_buckets_have_the_columns_and_the_rows_of_the_whole(tmp_path_factory, seed, number):
    crm = crm_of(tables_of(seed))
    place = tmp_path_factory.mktemp("parted")
    buckets = DealBuckets.write(crm, place / "tables", number)
    dataset = build_dataset(buckets, place / "features", builders=[Memory(max_values=3)])
    snapshots = labelled(crm, every(crm, 7.0))
    whole = build_features(crm, snapshots, builders=[Memory(max_values=3)])
    assert dataset.info == whole.info
    frame = pd.concat(list(dataset)).sort_values(["deal_id", "as_of"], ignore_index=True)
    expected = pd.concat([snapshots, whole.frame], axis=1).sort_values(["deal_id", "as_of"], ignore_index=True)
    names = ["deal_id", "as_of", *whole.frame]
    pd.testing.assert_frame_equal(frame[names], expected[names], check_exact=True)


def test_the_counts_of_buckets_come_together_also_when_they_were_stored(tmp_path):
    crm = crm_of(tables_of(2))
    buckets = DealBuckets.write(crm, tmp_path / "tables", 4)
    whole = Past(crm, every(crm, 30.0)).cross_deal_history
    for _ in range(2):  # the second time they are read from disk
        cross_deal_history = gather_cross_deal_history(
            buckets, lambda each: CrossDealFacts.of(DealEvents(each)), keep=tmp_path / "company"
        )
        assert cross_deal_history.stages_entered == whole.stages_entered
        assert cross_deal_history.touch_results == whole.touch_results
    facts = CrossDealFacts.of(DealEvents(crm))
    facts.save(tmp_path / "facts")
    pd.testing.assert_frame_equal(CrossDealFacts.load(tmp_path / "facts").occurrences, facts.occurrences)


def test_a_settled_builder_is_made_again_from_its_settings_and_later_data_change_no_column():
    crm = crm_of(tables_of(5))
    memory = settled_on(crm, max_values=2)
    again = Memory(**json.loads(json.dumps(memory.settings())))
    assert (
        again.settings()
        == memory.settings()
        == again.settled(Past(crm, every(crm, 30.0)).cross_deal_history).settings()
    )
    tables = tables_of(6)
    tables["deal_history"].loc[tables["deal_history"]["stage"] == "Demo", "stage"] = "Procurement"
    later = crm_of(tables, stage_order=())
    snapshots = every(later, 11.0)
    features = build_features(later, snapshots, builders=[again])
    assert list(features.frame) == list(build_features(crm, every(crm, 11.0), builders=[memory]).frame)
    # a stage that training never saw is one of the less common ones
    entered = features.frame.filter(like="times_entered_").sum(axis=1)
    changes = Past(later, snapshots).stage_changes.count()
    assert entered.tolist() == changes.tolist()
    assert not frame(later, snapshots, settled_on(crm)).filter(like="less_common").shape[1]


def test_builders_without_data_of_their_own_are_settled_as_they_are():
    cross_deal_history = Past(crm_of(tables_of(1)), every(crm_of(tables_of(1)), 30.0)).cross_deal_history
    for each in default_builders():
        made = each.settled(cross_deal_history)
        assert type(made) is type(each)
        assert type(made)(**made.settings()).settings() == made.settings()


def test_names_that_come_down_to_the_same_word_keep_apart():
    stages = ("Demo/Call", "Demo Call", "demo-call", "less common", "?", "契約", "x" * 100, "x" * 101)
    deals = pd.DataFrame(
        {"deal_id": ["a"], "stage": ["Demo"], "outcome": ["open"], "created_at": [START], "closed_at": [None]}
    )
    moments = [START + pd.Timedelta(days=number + 1) for number in range(len(stages))]
    history = pd.DataFrame({"deal_id": "a", "stage": stages, "changed_at": moments})
    crm = CRMData.from_tables(deals, deal_history=history)
    snapshots = pd.DataFrame({"deal_id": ["a"], "as_of": [START + pd.Timedelta(days=20)]})
    for most in (40, 7):
        features = build_features(crm, snapshots, builders=[Memory(max_values=most)])
        assert [each.name for each in features.info] == list(features.frame)
        assert not any(name.startswith("memory_") for name in features.frame)
        assert (features.frame.filter(like="times_entered_") == 1.0).all().all()
        assert max(map(len, features.frame)) < 65
    assert features.frame.shape[1] == 16  # of 8 stages 7 stand alone, and the eighth is the less common one


def test_stages_that_are_entered_only_at_the_close_get_no_column():
    deals = pd.DataFrame(
        {
            "deal_id": ["a", "b"], "stage": ["Won", "Demo"], "outcome": ["won", "open"],
            "created_at": [START] * 2, "closed_at": [START + pd.Timedelta(days=9), None],
        }
    )  # fmt: skip
    history = pd.DataFrame(
        {
            "deal_id": ["a", "a", "b"],
            "stage": ["Demo", "Won", "Demo"],
            "changed_at": [START, START + pd.Timedelta(days=9), START],
        }
    )
    crm = CRMData.from_tables(deals, deal_history=history, known_until=START + pd.Timedelta(days=30))
    frame = build_features(crm, every(crm, 2.0), builders=[Memory()]).frame
    assert list(frame) == ["times_entered_demo", "days_since_entered_demo"]


@pytest.mark.parametrize("without", ["deal_history", "activities", "both"])
def test_what_is_not_recorded_is_left_out(without):
    tables = tables_of(1)
    for name in ("deal_history", "activities") if without == "both" else (without,):
        del tables[name]
    crm = crm_of(tables)
    names = set(build_features(crm, every(crm, 11.0), builders=[Memory()]).frame)
    assert any("entered" in name for name in names) == (without == "activities")
    assert any("result" in name for name in names) == (without == "deal_history")


def test_facts_are_told_in_words():
    crm = crm_of(tables_of(4))
    info = {each.name: each for each in build_features(crm, every(crm, 11.0), builders=[Memory()]).info}
    told = {name: (str(claim_of(info[name], value)), info[name].controlled_by) for name, value in (
        ("times_entered_demo", 2.0), ("times_entered_demo", 0.0), ("days_since_entered_offer", 3.0),
        ("result_call_no_answer", 1.0), ("result_meeting_busy", 4.0), ("result_meeting_answered", 0.0),
        ("days_since_result_call_no_answer", None),
    )}  # fmt: skip
    assert told == {
        "times_entered_demo": ("None", "deal"),  # where a deal never was is no news
        "days_since_entered_offer": ("entered Offer 3 days ago", "deal"),
        "result_call_no_answer": ("1 call with the result No answer", "customer"),
        "result_meeting_busy": ("4 meetings with the result Busy", "customer"),
        "result_meeting_answered": ("no meeting with the result Answered on record", "customer"),
        "days_since_result_call_no_answer": ("None", "customer"),
    }
    assert str(claim_of(info["times_entered_demo"], 2.0)) == "entered Demo 2 times"


def test_memory_is_among_the_builders_that_are_used_by_default(tmp_path: Path):
    crm = crm_of(tables_of(4))
    assert "times_entered_demo" in build_features(crm, every(crm, 11.0)).frame
