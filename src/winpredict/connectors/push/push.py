"""Scores into the fields of a live CRM: what changed and nothing else, each value once, with a way back.

Everything here goes by the contract of `winpredict.connectors.base`, so it is the same for every CRM. What is written
is decided by what the CRM holds at that moment: a push that was killed at any point and is run again writes what is
still missing.

One thing cannot be told from outside: after a connection broke, the CRM may still be at work on what was sent, and the
fields look as before when they are read again. The same values are then sent a second time. They are the same, so the
fields and the undo file are right whichever comes last; automations that such a write sets off may run twice.
"""

import random
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from winpredict.config import Push
from winpredict.connectors.base import CRMSource, FieldChange, FieldKind, FieldOutcome
from winpredict.connectors.push.undo import Replaced, UndoFile, read_undo
from winpredict.connectors.push.values import moment_of, same, score_fields, wanted_values
from winpredict.errors import CRMError, CRMUncertainError
from winpredict.locale.text import Text, said, text, texts

#: Deals whose fields are read at a time.
_READ_AT_ONCE = 1_000
#: Rounds over what was not written, and the longest wait before one, in seconds.
ROUNDS = 4
_LONGEST_WAIT_S = 30.0

#: What became of a deal. differs: it would be written with `apply`; newer: the CRM holds later scores; gone: the CRM
#: has no such deal any more; kept: somebody changed what an undo would put back.
Verdict = Literal["unchanged", "differs", "written", "refused", "newer", "gone", "kept"]
#: Values to be written into a deal that has these now, or why there are none.
_Choice = Callable[[str, Mapping[str, Any]], "dict[str, Any] | Verdict"]
StepProgress = Callable[[int, int], None]


#: What became of deals, but for those that were or would be changed.
_VERDICTS: Mapping[str, Text] = {
    "refused": texts("{n:count} deal refused by the CRM", "{n:count} deals refused by the CRM"),
    "unchanged": texts("{n:count} deal already up to date", "{n:count} deals already up to date"),
    "newer": texts(
        "{n:count} deal with later scores left as it is", "{n:count} deals with later scores left as they are"
    ),
    "kept": texts(
        "{n:count} deal changed by somebody else left as it is",
        "{n:count} deals changed by somebody else left as they are",
    ),
    "gone": texts("{n:count} deal no longer in the CRM", "{n:count} deals no longer in the CRM"),
}


@dataclass(frozen=True)
class Change:
    """What is replaced in one deal: values before and after, by field."""

    deal_id: str
    old: Mapping[str, Any]
    new: Mapping[str, Any]


@dataclass(frozen=True)
class Pushed:
    """What a push did, or would do.

    Parameters
    ----------
    crm : str
    applied : bool
        Whether anything was to be written.
    changes : tuple of Change
        Deals whose fields differ.
    verdicts : dict of str to str
        What became of each deal.
    refused : dict of str to str
        Deals that the CRM did not take, with its words.
    undo_file : Path or None
        Where the old values stand.
    """

    crm: str
    applied: bool
    changes: tuple[Change, ...]
    verdicts: Mapping[str, Verdict]
    refused: Mapping[str, str]
    undo_file: Path | None = None

    @property
    def counts(self) -> dict[str, int]:
        """Deals of each verdict."""
        found = list(self.verdicts.values())
        return {verdict: found.count(verdict) for verdict in dict.fromkeys(found)}

    def summary(self) -> str:
        """What became of how many deals, in words."""
        return ", ".join(map(str, self.outcome()))

    def outcome(self) -> list[Text]:
        """What became of how many deals."""
        counts = self.counts
        changed = (
            texts("{n:count} deal written", "{n:count} deals written", n=counts.get("written", 0))
            if self.applied
            else texts("{n:count} deal would change", "{n:count} deals would change", n=counts.get("differs", 0))
        )
        return [changed, *(words.with_values(n=counts[name]) for name, words in _VERDICTS.items() if name in counts)]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "crm": self.crm,
            "applied": self.applied,
            "counts": self.counts,
            "changes": [asdict(each) for each in self.changes],
            "refused": dict(self.refused),
            "newer": [deal for deal, verdict in self.verdicts.items() if verdict == "newer"],
            "undo_file": None if self.undo_file is None else str(self.undo_file),
        }


def push(
    source: CRMSource,
    scores: pd.DataFrame,
    fields: Push,
    folder: Path,
    *,
    apply: bool = False,
    limit: int | None = None,
    progress: StepProgress | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Pushed:
    """Write scores into fields of deals, or tell what would be written.

    Only values that differ are written. The moment of scoring is written only along with another value, or where there
    is none yet: a deal whose odds, band, reasons and model stay as they are is left alone, else every run would rewrite
    every deal. Deals that carry scores of a later moment are left.

    Parameters
    ----------
    source : CRMSource
    scores : DataFrame
        As `winpredict.explain.scores.score` gives them.
    fields : Push
        Which score goes into which field; no other field is read or written.
    folder : Path
        Where the undo file is made: old and new value of every field, one JSON line each, on the disk before a
        batch is sent.
    apply : bool
        Whether to write; by default what would change is only told.
    limit : int, optional
        Most deals to change, in the order of the scores.
    progress : callable, optional
        Called with the number of deals looked at, and of all.
    sleep : callable
        Waits so many seconds.

    Returns
    -------
    Pushed

    Raises
    ------
    ConfigError
        When the config names no field.
    CRMFieldError
        When the CRM lacks one of the fields; `create_fields` makes them.
    CRMError
        When the CRM cannot be reached. What was written stays, and the next run writes the rest.
    """
    named = score_fields(fields)
    wanted = wanted_values(scores, fields)
    kinds = {field.name: field.kind for field in named.values()}
    stamp = fields.scored_at or ""

    def choose(deal_id: str, present: Mapping[str, Any]) -> "dict[str, Any] | Verdict":
        values = wanted[deal_id]
        if _later(present.get(stamp), values.get(stamp)):
            return "newer"
        changed = {name: value for name, value in values.items() if not same(kinds[name], present.get(name), value)}
        if set(changed) == {stamp} and moment_of(present.get(stamp)) is not None:
            return {}
        return changed

    return _Run(source, kinds, choose, progress, sleep).carry_out(wanted, UndoFile(folder, source.name), apply, limit)


def undo(
    source: CRMSource,
    file: Path,
    folder: Path,
    *,
    apply: bool = False,
    progress: StepProgress | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Pushed:
    """Put back what a push replaced, where its values still stand.

    Parameters
    ----------
    source : CRMSource
    file : Path
        The undo file of that push. One that was killed and run again has left two; undo the later one first.
    folder : Path
        Where this leaves an undo file of its own.
    apply : bool
        Whether to write; by default what would change is only told.
    progress : callable, optional
        Called with the number of deals looked at, and of all.
    sleep : callable
        Waits so many seconds.

    Raises
    ------
    InputFileError
        When the file cannot be read, or is of another CRM.
    CRMError
        When the CRM cannot be reached.
    """
    rows: dict[str, dict[str, Replaced]] = {}
    for each in read_undo(file, source.name):
        rows.setdefault(each.deal_id, {})[each.field] = each
    kinds = {name: each.kind for of_deal in rows.values() for name, each in of_deal.items()}

    def choose(deal_id: str, present: Mapping[str, Any]) -> "dict[str, Any] | Verdict":
        ours = {name: each for name, each in rows[deal_id].items() if same(each.kind, present.get(name), each.new)}
        back = {name: each.old for name, each in ours.items() if not same(each.kind, each.old, each.new)}
        if back:
            return back
        others = (each for name, each in rows[deal_id].items() if not same(each.kind, present.get(name), each.old))
        return "kept" if any(others) else {}

    return _Run(source, kinds, choose, progress, sleep).carry_out(rows, UndoFile(folder, source.name), apply)


def create_fields(source: CRMSource, fields: Push) -> dict[str, FieldOutcome]:
    """Make the fields that scores are pushed into; name to what became of it.

    Raises
    ------
    ConfigError
        When the config names none.
    CRMError
        When the credentials may not.
    """
    return source.create_fields(list(score_fields(fields).values()))


class _Run:
    """One pass over deals: read, choose, keep the old values, write; then rounds over what was not written."""

    def __init__(
        self,
        source: CRMSource,
        kinds: Mapping[str, FieldKind],
        choose: _Choice,
        progress: StepProgress | None,
        sleep: Callable[[float], None],
    ) -> None:
        self._source, self._kinds, self._choose, self._sleep = source, kinds, choose, sleep
        self._progress = progress or (lambda done, of: None)
        self._changes: dict[str, Change] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._refused: dict[str, str] = {}

    def carry_out(
        self, deal_ids: Collection[str], undo_file: UndoFile, apply: bool, limit: int | None = None
    ) -> Pushed:
        """Look at deals and, if asked, write them."""
        differing = islice(self._differing(list(deal_ids)), limit)
        if apply:
            try:
                self._write_until_done(differing, undo_file)
            except CRMError as error:
                # the same error with more words: its class may need more than these to be made
                error.args = (self._with_progress(str(error), undo_file),)
                raise
            finally:
                undo_file.close()
        else:
            for change in differing:
                self._verdicts[change.deal_id] = "differs"
        place = undo_file.path if undo_file.begun else None
        changes = tuple(self._changes.values())
        return Pushed(self._source.name, apply, changes, self._verdicts, self._refused, place)

    def _differing(self, deal_ids: Sequence[str], *, again: bool = False) -> Iterator[Change]:
        """Deals whose fields are to be written, as they stand now; `again`: after a write whose outcome is unknown."""
        for start in range(0, len(deal_ids), _READ_AT_ONCE):
            ids = deal_ids[start : start + _READ_AT_ONCE]
            present = self._source.read_fields(ids, list(self._kinds))
            for deal_id in ids:
                chosen = self._choose(deal_id, present[deal_id]) if deal_id in present else "gone"
                if isinstance(chosen, str):
                    self._verdicts[deal_id] = chosen
                elif not chosen:
                    self._verdicts[deal_id] = "written" if again else "unchanged"
                else:
                    old = {name: present[deal_id].get(name) for name in chosen}
                    change = Change(deal_id, old, chosen)
                    self._changes.setdefault(deal_id, change)
                    yield change
            if not again:
                self._progress(min(start + _READ_AT_ONCE, len(deal_ids)), len(deal_ids))

    def _write_until_done(self, differing: Iterable[Change], undo_file: UndoFile) -> None:
        left = self._write(differing, undo_file)
        for number in range(1, ROUNDS):
            if not left:
                return
            self._sleep(_wait(number))
            left = self._write(self._differing(list(left), again=True), undo_file)
        # the last of them may have arrived, too
        for change in self._differing(list(left), again=True):
            self._refuse(change.deal_id, left[change.deal_id])

    def _write(self, changes: Iterable[Change], undo_file: UndoFile) -> dict[str, str]:
        """Write batch by batch; deals to look at again, and why."""
        left: dict[str, str] = {}
        broken = 0
        for batch in _batches(changes, self._source.write_batch):
            undo_file.keep(row for change in batch for row in self._replaced(change))
            try:
                results = self._source.write([FieldChange(each.deal_id, each.new) for each in batch])
            except CRMUncertainError as error:
                left |= {each.deal_id: str(error) for each in batch}
                broken += 1
                self._sleep(_wait(broken))
                continue
            broken = 0
            for result in results:
                if result.done:
                    self._verdicts[result.deal_id] = "written"
                elif result.retry:
                    left[result.deal_id] = result.message
                else:
                    self._refuse(result.deal_id, result.message)
        return left

    def _replaced(self, change: Change) -> Iterator[Replaced]:
        for name, new in change.new.items():
            yield Replaced(change.deal_id, name, self._kinds[name], change.old[name], new)

    def _refuse(self, deal_id: str, message: str) -> None:
        self._verdicts[deal_id] = "refused"
        self._refused[deal_id] = message or said("refused without a word")

    def _with_progress(self, error: str, undo_file: UndoFile) -> Text:
        """An error, and what had been written before it."""
        if not undo_file.begun:
            return text("{error}. Nothing was written", error=error)
        return texts(
            "{error}. {n:count} deal was written until then, and what it held stands in {path}; the next run writes "
            "the rest",
            "{error}. {n:count} deals were written until then, and what they held stands in {path}; the next run "
            "writes the rest",
            n=list(self._verdicts.values()).count("written"),
            error=error,
            path=undo_file.path,
        )


def _later(present: Any, ours: Any) -> bool:
    """Whether the scores in the CRM are of a later moment than ours."""
    there, here = moment_of(present), moment_of(ours)
    return there is not None and here is not None and there > here


def _batches(changes: Iterable[Change], size: int) -> Iterator[list[Change]]:
    rest = iter(changes)
    while batch := list(islice(rest, size)):
        yield batch


def _wait(number: int) -> float:
    """Seconds before the next try, longer each time and never quite the same."""
    return float(min(2.0**number, _LONGEST_WAIT_S) * random.uniform(0.5, 1.0))
