"""Write-back: only what differs, each value once whatever happens on the way, no other field, and a way back."""

import json
import random
from datetime import UTC, datetime
from functools import partial

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from winpredict.config import Push
from winpredict.connectors.base import WriteResult
from winpredict.connectors.push.push import ROUNDS, create_fields, push, undo
from winpredict.connectors.push.values import plain
from winpredict.errors import (
    ConfigError,
    CRMError,
    CRMFieldError,
    CRMLimitError,
    CRMUncertainError,
    InputFileError,
    TableError,
    WorkspaceError,
)

FIELDS = Push()
KINDS = {
    FIELDS.win_odds: "percent",
    FIELDS.band: "text",
    FIELDS.reasons: "long_text",
    FIELDS.next_step: "long_text",
    FIELDS.flags: "text",
    FIELDS.model_version: "text",
    FIELDS.scored_at: "time",
}
OTHERS = {"Amount": 1000.0, "StageName": "Proposal"}
NOON = pd.Timestamp("2025-06-02T12:00:00.654321", tz="UTC")


class Killed(BaseException):
    """The process is gone: nothing of ours catches it."""


class Memory:
    """A CRM in memory; each write meets the next fault of a list, then none."""

    name, objects, write_batch = "memory", ("deals",), 3

    def __init__(self, deals, faults=(), refusing=()):
        self.deals = {deal: {**OTHERS, **values} for deal, values in deals.items()}
        self.faults, self.refusing = list(faults), dict(refusing)
        self.writes, self.reads, self.asked = [], [], []

    def read_fields(self, deal_ids, names):
        self.reads.append((list(deal_ids), list(names)))
        if missing := [name for name in names if name not in KINDS]:
            raise CRMFieldError(f"no field {', '.join(missing)}")
        return {each: {n: self.deals[each].get(n) for n in names} for each in deal_ids if each in self.deals}

    def write(self, changes):
        assert 0 < len(changes) <= self.write_batch
        self.asked.append(list(changes))
        fault = self.faults.pop(0) if self.faults else "none"
        if fault in ("cut before", "kill before", "limit"):
            self._fail(fault)
        half = len(changes) // 2 if fault == "cut half way" else len(changes)
        results = [
            self._written(each, locked=fault == "locked" and n % 2 == 0) for n, each in enumerate(changes[:half])
        ]
        if fault != "none" and fault != "locked":
            self._fail(fault)
        return results

    def _fail(self, fault):
        if fault.startswith("kill"):
            raise Killed
        raise CRMLimitError("enough for today") if fault == "limit" else CRMUncertainError(f"memory: {fault}")

    def _written(self, change, locked):
        if locked:
            return WriteResult(change.deal_id, False, "row is locked", retry=True)
        if change.deal_id in self.refusing:
            return WriteResult(change.deal_id, False, self.refusing[change.deal_id])
        for name, value in change.values.items():
            self.writes.append((change.deal_id, name, value))
            self.deals[change.deal_id][name] = stored(name, value)
        return WriteResult(change.deal_id, True)

    def create_fields(self, fields):
        return {each.name: each.kind for each in fields}


def stored(name, value):
    """A value as CRMs give it back: in their notation, at their precision."""
    if value is None:
        return ""
    if KINDS[name] == "percent":
        return f"{float(value):.2f}"
    if KINDS[name] == "time":
        moment = datetime.fromisoformat(value).astimezone(UTC)
        return f"{moment:%Y-%m-%dT%H:%M:%S}.000+0000"
    return f" {value}".replace("\n", "\r\n")


def table(deals, odds=0.5, scored_at=NOON, version="1"):
    rows = {
        "deal_id": deals,
        "win_probability": [odds] * len(deals) if isinstance(odds, float) else odds,
        "band": "medium",
        "next_step": "Call them. No contact for 26 days.",
        "flags": "at_risk,silent,let_go",
        "model_version": version,
        "scored_at": scored_at,
    }
    reasons = {f"reason_{number}": f"reason {number}" if number < 3 else None for number in range(1, 6)}
    return pd.DataFrame(rows | reasons)


def run(source, scores, folder, **options):
    return push(source, scores, FIELDS, folder, sleep=lambda seconds: None, **options)


def held(source):
    return {
        deal: {name: plain(kind, values.get(name)) for name, kind in KINDS.items()}
        for deal, values in source.deals.items()
    }


def test_a_dry_run_tells_and_writes_nothing(tmp_path):
    source = Memory({"a": {}, "b": {}})
    output = run(source, table(["a", "b"]), tmp_path / "push")
    assert output.counts == {"differs": 2}
    assert output.changes[0].new[FIELDS.win_odds] == 50.0
    assert output.changes[0].old == dict.fromkeys(KINDS)
    assert not source.writes
    assert not (tmp_path / "push").exists()
    assert output.summary() == "2 deals would change"


def test_what_is_written_is_written_once_and_nothing_else(tmp_path):
    source = Memory({"a": {}, "b": {}})
    output = run(source, table(["a", "b"], [0.5, 0.123456]), tmp_path, apply=True)
    assert output.counts == {"written": 2}
    assert source.deals["b"][FIELDS.win_odds] == "12.30"
    assert source.deals["b"][FIELDS.reasons] == " reason 1\r\nreason 2"
    assert {name: source.deals["a"][name] for name in OTHERS} == OTHERS
    assert {name for _, name, _ in source.writes} == set(KINDS)
    assert {name for _, names in source.reads for name in names} == set(KINDS)
    again = run(source, table(["a", "b"], [0.5, 0.123456]), tmp_path, apply=True)
    assert again.counts == {"unchanged": 2}
    assert again.undo_file is None
    assert len(source.writes) == 14


def test_a_later_scoring_with_the_same_outcome_rewrites_nothing(tmp_path):
    source = Memory({"a": {}})
    run(source, table(["a"]), tmp_path, apply=True)
    later = NOON + pd.Timedelta("1D")
    assert run(source, table(["a"], 0.5004, later), tmp_path, apply=True).counts == {"unchanged": 1}
    run(source, table(["a"], 0.6, later), tmp_path, apply=True)
    assert source.writes[7:] == [("a", FIELDS.win_odds, 60.0), ("a", FIELDS.scored_at, "2025-06-03T12:00:00+00:00")]


def test_a_missing_moment_is_filled_in(tmp_path):
    source = Memory({"a": {}})
    run(source, table(["a"]), tmp_path, apply=True)
    source.deals["a"][FIELDS.scored_at] = None
    run(source, table(["a"]), tmp_path, apply=True)
    assert [name for _, name, _ in source.writes[7:]] == [FIELDS.scored_at]


def test_older_scores_are_refused(tmp_path):
    source = Memory({"a": {}, "b": {}})
    run(source, table(["a"]), tmp_path, apply=True)
    output = run(source, table(["a", "b"], 0.9, NOON - pd.Timedelta("1s")), tmp_path, apply=True)
    assert output.verdicts == {"a": "newer", "b": "written"}
    assert output.to_dict()["newer"] == ["a"]
    assert source.deals["a"][FIELDS.win_odds] == "50.00"


def test_deals_that_are_gone_are_told(tmp_path):
    assert run(Memory({"a": {}}), table(["a", "b"]), tmp_path, apply=True).verdicts == {"a": "written", "b": "gone"}


def test_refused_records_are_named_and_the_others_written(tmp_path):
    source = Memory({deal: {} for deal in "abcd"}, refusing={"b": "FIELD_CUSTOM_VALIDATION_EXCEPTION: no, sir"})
    output = run(source, table(list("abcd")), tmp_path, apply=True)
    assert output.refused == {"b": "FIELD_CUSTOM_VALIDATION_EXCEPTION: no, sir"}
    assert output.counts == {"written": 3, "refused": 1}
    assert len([batch for batch in source.asked if any(each.deal_id == "b" for each in batch)]) == 1


def test_locked_rows_are_tried_again_so_many_times(tmp_path):
    source = Memory({"a": {}}, faults=["locked"] * (ROUNDS - 1))
    assert run(source, table(["a"]), tmp_path, apply=True).counts == {"written": 1}
    source = Memory({"a": {}}, faults=["locked"] * ROUNDS)
    assert run(source, table(["a"]), tmp_path, apply=True).refused == {"a": "row is locked"}


@pytest.mark.parametrize("last", ["cut after", "cut before"])
def test_a_last_write_of_unknown_outcome_is_looked_up(tmp_path, last):
    source = Memory({"a": {}}, faults=["cut before"] * (ROUNDS - 1) + [last])
    output = run(source, table(["a"]), tmp_path, apply=True)
    assert output.verdicts["a"] == ("written" if last == "cut after" else "refused")
    assert len(source.writes) == (7 if last == "cut after" else 0)


def test_an_error_on_the_way_tells_how_far_it_came(tmp_path):
    source = Memory({deal: {} for deal in "abcdef"}, faults=["none", "limit"])
    with pytest.raises(CRMLimitError, match=r"enough for today\. 3 deals were written .*jsonl"):
        run(source, table(list("abcdef")), tmp_path, apply=True)
    assert run(source, table(list("abcdef")), tmp_path, apply=True).counts == {"unchanged": 3, "written": 3}


def test_an_error_of_a_client_of_its_own_is_told_too(tmp_path):
    class RefusalError(CRMError):
        def __init__(self, message, code):
            super().__init__(message)
            self.code = code

    source = Memory({"a": {}})

    def refuse(deal_ids, names):
        raise RefusalError("memory refuses", "EXPIRED_VALUE")

    source.read_fields = refuse
    with pytest.raises(RefusalError, match=r"^memory refuses\. Nothing was written$") as caught:
        run(source, table(["a"]), tmp_path, apply=True)
    assert caught.value.code == "EXPIRED_VALUE"


class Slow(Memory):
    """Carries the first batch out only after the fields were read again."""

    late = None

    def write(self, changes):
        if self.late is None:
            self.late = list(changes)
            raise CRMUncertainError("memory: no answer in time")
        return super().write(changes)

    def read_fields(self, deal_ids, names):
        found = super().read_fields(deal_ids, names)
        if self.late:
            late, self.late = self.late, []
            super().write(late)
        return found


def test_a_write_that_arrives_after_all_is_sent_twice_and_can_be_undone(tmp_path):
    source = Slow({"a": {FIELDS.band: "mine"}})
    before = held(source)
    output = run(source, table(["a"]), tmp_path, apply=True)
    assert output.verdicts == {"a": "written"}
    assert len(source.writes) == 2 * len(KINDS)
    assert len(set(source.writes)) == len(KINDS)
    assert undo(source, output.undo_file, tmp_path, apply=True).verdicts == {"a": "written"}
    assert held(source) == before


def test_only_so_many_are_changed_best_odds_first(tmp_path):
    source = Memory({deal: {} for deal in "abcdef"})
    output = run(source, table(list("abcdef")), tmp_path, apply=True, limit=4)
    assert [each.deal_id for each in output.changes] == list("abcd")
    assert len(source.writes) == 28


def test_fields_that_the_config_leaves_out_are_neither_read_nor_written(tmp_path):
    source = Memory({"a": {FIELDS.scored_at: "2099-01-01T00:00:00Z"}})
    others = ("band", "reasons", "next_step", "flags", "model_version", "scored_at")
    few = Push(win_odds=FIELDS.win_odds, **dict.fromkeys(others))
    push(source, table(["a"])[["deal_id", "win_probability"]], few, tmp_path, apply=True)
    assert source.writes == [("a", FIELDS.win_odds, 50.0)]
    assert source.reads[0][1] == [FIELDS.win_odds]


def test_next_step_and_flags_are_written_as_people_read_them(tmp_path):
    source = Memory({"a": {}, "b": {}})
    scores = table(["a", "b"])
    scores.loc[1, ["next_step", "flags"]] = ""
    run(source, scores, tmp_path, apply=True)
    assert [held(source)[deal][FIELDS.next_step] for deal in "ab"] == ["Call them. No contact for 26 days.", None]
    assert [held(source)[deal][FIELDS.flags] for deal in "ab"] == ["at risk, silent, let go", None]


def test_fields_are_made_as_the_config_has_them():
    assert create_fields(Memory({}), FIELDS) == KINDS


def test_unfit_scores_and_fields_are_sentences(tmp_path):
    with pytest.raises(ConfigError, match="two scores for the field Odds"):
        push(Memory({}), table(["a"]), Push(win_odds="Odds", band="Odds"), tmp_path)
    nothing = Push(win_odds=None, band=None, reasons=None, next_step=None, flags=None, model_version=None)
    with pytest.raises(ConfigError, match="names no field"):
        push(Memory({}), table(["a"]), nothing, tmp_path)
    with pytest.raises(TableError, match="reason_2"):
        push(Memory({}), table(["a"]).drop(columns="reason_2"), FIELDS, tmp_path)
    with pytest.raises(TableError, match="same deal twice"):
        push(Memory({}), table(["a", "a"]), FIELDS, tmp_path)
    with pytest.raises(CRMFieldError, match="no field Odds"):
        push(Memory({"a": {}}), table(["a"]), Push(win_odds="Odds"), tmp_path)


def test_without_an_undo_file_nothing_is_written(tmp_path):
    (tmp_path / "push").write_text("a file where the folder should be")
    source = Memory({"a": {}})
    with pytest.raises(WorkspaceError, match="could not be undone"):
        run(source, table(["a"]), tmp_path / "push", apply=True)
    assert not source.asked


def test_undo_puts_back_what_still_stands(tmp_path):
    source = Memory({"a": {FIELDS.band: "mine"}, "b": {}, "c": {}})
    before = held(source)
    file = run(source, table(list("abc")), tmp_path, apply=True).undo_file
    source.deals["b"][FIELDS.win_odds] = 99
    del source.deals["c"]
    told = undo(source, file, tmp_path)
    assert told.verdicts == {"a": "differs", "b": "differs", "c": "gone"}
    back = undo(source, file, tmp_path, apply=True, sleep=lambda seconds: None)
    assert back.verdicts == {"a": "written", "b": "written", "c": "gone"}
    assert held(source)["a"] == before["a"]
    assert held(source)["b"] == before["b"] | {FIELDS.win_odds: 99.0}
    assert undo(source, file, tmp_path, apply=True).verdicts == {"a": "unchanged", "b": "kept", "c": "gone"}
    # and the undo itself can be undone
    assert undo(source, back.undo_file, tmp_path, apply=True).verdicts == {"a": "written", "b": "written"}
    assert held(source)["a"][FIELDS.band] == "medium"


def test_a_torn_last_line_is_left_out_and_a_damaged_one_refused(tmp_path):
    source = Memory({"a": {}})
    file = run(source, table(["a"]), tmp_path, apply=True).undo_file
    whole = file.read_text()
    file.write_text(whole + '{"deal_id": "b", "fie')
    assert undo(source, file, tmp_path).counts == {"differs": 1}
    file.write_text(whole.replace('"deal_id"', '"deal_i', 1))
    with pytest.raises(InputFileError, match="line 2 is damaged"):
        undo(source, file, tmp_path)
    file.write_text(whole.replace('"memory"', '"zoho"', 1))
    with pytest.raises(InputFileError, match="is of zoho and not of memory"):
        undo(source, file, tmp_path)
    file.write_text("")
    with pytest.raises(InputFileError, match="is no undo file"):
        undo(source, file, tmp_path)
    with pytest.raises(InputFileError, match="cannot read"):
        undo(source, tmp_path / "none.jsonl", tmp_path)


def test_the_undo_file_is_on_the_disk_before_a_batch_is_sent(tmp_path):
    source = Memory({"a": {}}, faults=["kill before"])
    with pytest.raises(Killed):
        run(source, table(["a"]), tmp_path, apply=True)
    head, *rows = [json.loads(line) for line in next(tmp_path.glob("memory-*.jsonl")).read_text().splitlines()]
    assert head["crm"] == "memory"
    assert {(row["deal_id"], row["field"]) for row in rows} == {("a", name) for name in KINDS}


FAULTS = st.sampled_from(
    ["none", "locked", "cut before", "cut after", "cut half way", "kill before", "kill after", "limit"]
)


def until_done(source, action):
    """Run it again and again, as cron does, until the faults are used up and once more."""
    while source.faults:
        try:
            if set(action().counts) <= {"unchanged", "kept"}:
                break
        except (Killed, CRMError):
            continue
    action()


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(faults=st.lists(FAULTS, max_size=25), deals=st.integers(1, 14), seed=st.integers(0, 99))
def test_whatever_happens_each_value_is_written_once_and_can_be_undone(tmp_path_factory, faults, deals, seed):
    folder = tmp_path_factory.mktemp("push")
    rng = random.Random(seed)
    ids = [f"d{number}" for number in range(deals)]
    scores = table(ids, [rng.random() for _ in ids])
    clean = Memory({deal: {} for deal in ids})
    run(clean, scores, folder / "clean", apply=True)
    # some deals carry all or some of it already, some another model's
    source = Memory({deal: dict(rng.choice([{}, clean.deals[deal], {FIELDS.band: "low"}])) for deal in ids}, faults)
    before = held(source)
    until_done(source, lambda: run(source, scores, folder / "push", apply=True))
    assert held(source) == held(clean)
    assert len(set(source.writes)) == len(source.writes)
    assert {name for _, name, _ in source.writes} <= set(KINDS)
    assert all({name: values[name] for name in OTHERS} == OTHERS for values in source.deals.values())
    for file in sorted((folder / "push").glob("*.jsonl"), reverse=True):
        until_done(source, partial(undo, source, file, folder / "back", apply=True, sleep=lambda seconds: None))
    assert held(source) == before
