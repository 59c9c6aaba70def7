"""What happened to a deal so far: each stage that it was in, each result that its touches had."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winpredict.features import themes
from winpredict.features.asof import AsOfView
from winpredict.features.builders.base import Feature, FeatureBuilder, if_any
from winpredict.features.cross_deal_history import CrossDealHistory
from winpredict.features.description import NO_NEWS
from winpredict.features.naming import word_of
from winpredict.features.past import Past
from winpredict.locale.text import text, texts

Floats = NDArray[np.float64]
#: So many stages, and so many pairs of a type and a result, get columns of their own.
MAX_VALUES = 40
#: Of a long text so many letters are part of a column name.
_MAX_LETTERS = 40
#: Of each type with a result: label, so many, none, days since, and so many days ago.
_KINDS = {
    "call": (
        text("calls with the result {result}"),
        text("no call with the result {result} on record"),
        texts("{n:count} call with the result {result}", "{n:count} calls with the result {result}"),
        text("days since the last call with the result {result}"),
        texts(
            "last call with the result {result} {n:count} day ago",
            "last call with the result {result} {n:count} days ago",
        ),
    ),
    "email": (
        text("emails with the result {result}"),
        text("no email with the result {result} on record"),
        texts("{n:count} email with the result {result}", "{n:count} emails with the result {result}"),
        text("days since the last email with the result {result}"),
        texts(
            "last email with the result {result} {n:count} day ago",
            "last email with the result {result} {n:count} days ago",
        ),
    ),
    "meeting": (
        text("meetings with the result {result}"),
        text("no meeting with the result {result} on record"),
        texts("{n:count} meeting with the result {result}", "{n:count} meetings with the result {result}"),
        text("days since the last meeting with the result {result}"),
        texts(
            "last meeting with the result {result} {n:count} day ago",
            "last meeting with the result {result} {n:count} days ago",
        ),
    ),
    "task": (
        text("tasks with the result {result}"),
        text("no task with the result {result} on record"),
        texts("{n:count} task with the result {result}", "{n:count} tasks with the result {result}"),
        text("days since the last task with the result {result}"),
        texts(
            "last task with the result {result} {n:count} day ago",
            "last task with the result {result} {n:count} days ago",
        ),
    ),
    "note": (
        text("notes with the result {result}"),
        text("no note with the result {result} on record"),
        texts("{n:count} note with the result {result}", "{n:count} notes with the result {result}"),
        text("days since the last note with the result {result}"),
        texts(
            "last note with the result {result} {n:count} day ago",
            "last note with the result {result} {n:count} days ago",
        ),
    ),
    "other": (
        text("touches of other kinds with the result {result}"),
        text("no touch of another kind with the result {result} on record"),
        texts(
            "{n:count} touch of another kind with the result {result}",
            "{n:count} touches of other kinds with the result {result}",
        ),
        text("days since the last touch of another kind with the result {result}"),
        texts(
            "last touch of another kind with the result {result} {n:count} day ago",
            "last touch of another kind with the result {result} {n:count} days ago",
        ),
    ),
}
_LESS_COMMON_RESULT = (
    text("touches with a less common result"),
    text("no touch with a less common result on record"),
    texts("{n:count} touch with a less common result", "{n:count} touches with a less common result"),
    text("days since the last touch with a less common result"),
    texts(
        "last touch with a less common result {n:count} day ago",
        "last touch with a less common result {n:count} days ago",
    ),
)


class Memory(FeatureBuilder):
    """How often a deal entered each stage and had touches of each type and result, and how long ago it last did.

    No order of the stages is needed. The most frequent values have columns of their own and the others share one;
    which these are is fixed by `settled`. Touches without a result are those that `Touches` counts by type, and so is
    a result that all touches of its type have. Times a stage was entered are missing where no stage is on record before
    as_of, and touches with a result where the deal's touches of that type tell none.

    Parameters
    ----------
    max_values : int
        So many stages, and so many pairs of a type and a result, get columns of their own.
    stages : sequence of str, optional
        The stages that have columns of their own; by default the most frequent of the data.
    results : sequence of (str, str), optional
        The pairs of a type and a result that have columns of their own; by default the most frequent of the data.
    other_stages, other_results : bool
        Whether all others together have a column.

    Examples
    --------
    >>> import pandas as pd
    >>> from winpredict import CRMData, build_features
    >>> deals = pd.DataFrame({
    ...     "deal_id": ["a"], "stage": ["Demo"], "outcome": ["open"], "created_at": ["2025-01-01"], "closed_at": [None],
    ... })
    >>> history = pd.DataFrame({
    ...     "deal_id": "a", "stage": ["Demo", "Offer", "Demo"],
    ...     "changed_at": ["2025-01-01", "2025-01-05", "2025-01-08"],
    ... })
    >>> crm = CRMData.from_tables(deals, deal_history=history, known_until="2025-02-01")
    >>> snapshots = pd.DataFrame({"deal_id": ["a"], "as_of": pd.to_datetime(["2025-01-10"], utc=True)})
    >>> found = build_features(crm, snapshots, builders=[Memory()]).frame
    >>> found[["times_entered_demo", "days_since_entered_demo", "days_since_entered_offer"]].values.tolist()
    [[2.0, 2.0, 5.0]]
    """

    def __init__(
        self,
        max_values: int = MAX_VALUES,
        stages: Sequence[str] | None = None,
        results: Sequence[Sequence[str]] | None = None,
        *,
        other_stages: bool = False,
        other_results: bool = False,
    ) -> None:
        self.max_values = max_values
        self.stages = None if stages is None else tuple(stages)
        self.results = None if results is None else tuple((kind, result) for kind, result in results)
        self.other_stages = other_stages
        self.other_results = other_results

    def settled(self, cross_deal_history: CrossDealHistory) -> "Memory":
        """With the most frequent stages and results of all deals; what was named when it was made stays."""
        stages, results = self.stages, self.results
        other_stages, other_results = self.other_stages, self.other_results
        if stages is None:
            stages = cross_deal_history.stages_entered[: self.max_values]
            other_stages = len(cross_deal_history.stages_entered) > self.max_values
        if results is None:
            results = cross_deal_history.touch_results[: self.max_values]
            other_results = len(cross_deal_history.touch_results) > self.max_values
        return Memory(self.max_values, stages, results, other_stages=other_stages, other_results=other_results)

    def settings(self) -> dict[str, Any]:
        """Keyword arguments that make the same builder again."""
        return {
            "max_values": self.max_values,
            "stages": None if self.stages is None else list(self.stages),
            "results": None if self.results is None else [list(pair) for pair in self.results],
            "other_stages": self.other_stages,
            "other_results": self.other_results,
        }

    def build(self, past: Past) -> Iterator[Feature]:
        if self.stages is None or self.results is None:
            yield from self.settled(past.cross_deal_history).build(past)
            return
        if (self.stages or self.other_stages) and past.has("deal_history", "stage"):
            yield from self._entries(past, self.stages)
        if (self.results or self.other_results) and past.has("activities", "result"):
            yield from self._touches(past, self.results)

    def _entries(self, past: Past, stages: tuple[str, ...]) -> Iterator[Feature]:
        changes = past.stage_changes
        places = {stage: float(place) for place, stage in enumerate(stages)}
        others = len(stages) if self.other_stages else None
        place = changes.table.of_values("stage", lambda stage: places.get(stage, others))
        names = [*stages, *([text("a less common stage")] if self.other_stages else [])]
        words = _words([word_of(stage) for stage in stages], "less_common" if self.other_stages else None)
        entered = changes.count()
        for word, name, (count, since) in zip(words, names, _tallied(changes, place, len(words)), strict=True):
            yield Feature(
                f"times_entered_{word}",
                if_any(count, entered),
                "times",
                text("times the deal entered {stage}", stage=name),
                theme=themes.STAGE,
                counts=True,
                zero=NO_NEWS,
                claim=texts("entered {stage} {n:count} time", "entered {stage} {n:count} times", stage=name),
            )
            yield Feature(
                f"days_since_entered_{word}",
                since,
                "days",
                text("days since the deal last entered {stage}", stage=name),
                theme=themes.STAGE,
                zero=text("entered {stage} today", stage=name),
                claim=texts("entered {stage} {n:count} day ago", "entered {stage} {n:count} days ago", stage=name),
            )

    def _touches(self, past: Past, pairs: tuple[tuple[str, str], ...]) -> Iterator[Feature]:
        touches = past.events("activities")
        kinds = {kind: place for place, kind in enumerate(_KINDS)}
        results = {result: place for place, result in enumerate(dict.fromkeys(result for _, result in pairs))}
        unknown = len(results)
        # where the pair of each kind and result stands; a result without a column of its own is among the others
        table = np.full((len(kinds), unknown + 1), len(pairs) if self.other_results else -1, np.int64)
        for number, (kind, result) in enumerate(pairs):
            table[kinds[kind], results[result]] = number
        kind_of = touches.table.of_values("activity_type", kinds.get)
        result_of = touches.table.of_values("result", lambda result: results.get(result, unknown))
        had = ~np.isnan(result_of)
        place = np.full(len(had), np.nan)
        place[had] = table[kind_of[had].astype(np.int64), result_of[had].astype(np.int64)]
        names = [tuple(each.with_values(result=result) for each in _KINDS[kind]) for kind, result in pairs]
        words = [f"{kind}_{word_of(result)}" for kind, result in pairs]
        if self.other_results:
            names.append(_LESS_COMMON_RESULT)
        words = _words(words, "less_common" if self.other_results else None)
        of_kind = {kind: touches.count(where=kind_of == number) for kind, number in kinds.items()}
        with_result = {kind: touches.count(where=(kind_of == number) & had) for kind, number in kinds.items()}
        all_kinds = (touches.count(where=had), touches.count())
        kinds_of: list[str | None] = [*(kind for kind, _ in pairs), None]  # the last is that of all other results
        for word, told, (count, since), of in zip(
            words, names, _tallied(touches, place, len(words)), kinds_of[: len(words)], strict=True
        ):
            label, none, claim, since_label, ago = told
            recorded, events = all_kinds if of is None else (with_result[of], of_kind[of])
            nothing_recorded = (events > 0) & (recorded == 0)
            yield Feature(
                f"result_{word}",
                np.where(nothing_recorded, np.nan, count),
                "touches",
                label,
                theme=themes.RESULTS,
                counts=True,
                claim=claim,
                zero=none,
            )
            yield Feature(f"days_since_result_{word}", since, "days", since_label, theme=themes.RESULTS, claim=ago)


def _tallied(view: AsOfView, place: Floats, number: int) -> Iterator[tuple[Floats, Floats]]:
    """Count and days since the last one of each place, of which an event may have one or none (NaN)."""
    return zip(*view.tally(np.where(np.isnan(place), -1, place).astype(np.int64), number), strict=True)


def _words(words: list[str], others: str | None) -> list[str]:
    """Different words for column names, in the same order: values may come down to the same one."""
    taken = set() if others is None else {others}
    out = []
    for word in words:
        short = word[:_MAX_LETTERS].strip("_") or "unnamed"
        name, number = short, 2
        while name in taken:
            name, number = f"{short}_{number}", number + 1
        taken.add(name)
        out.append(name)
    return out if others is None else [*out, others]
