"""The stages of a table of deals: one spelling of each, what it means, and the order of the open ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from winpredict.ingest.guess.columns import ColumnFacts, RawTable, pattern
from winpredict.ingest.guess.outcomes import Labelling, Point
from winpredict.ingest.guess.repeats import RowsPerDeal
from winpredict.ingest.guess.stage_order import is_typical, order_by_visits, stage_order
from winpredict.ingest.outcomes import stage_names
from winpredict.ingest.profiles import Profile
from winpredict.ingest.vocabulary import classify_outcome, plain
from winpredict.locale.formats import count
from winpredict.locale.text import said

_MAX_NAMED = 8


@dataclass(frozen=True)
class Stages:
    """The stages of a profile.

    Parameters
    ----------
    won, lost, open : list of str
    values : dict of str to str
        Spellings that the profile must rename.
    points : list of Point
    """

    won: list[str]
    lost: list[str]
    open: list[str]
    values: dict[str, str]
    points: list[Point]


def stages_of(
    table: RawTable, current: RawTable, labels: Labelling, fields: Mapping[str, str], per_deal: RowsPerDeal
) -> Stages:
    """One spelling of each stage, by what it means, the open ones in their likely order."""
    if labels.stage is None:
        return Stages([], [], [], {}, [])
    everywhere = table.columns[labels.stage.column.name]
    names, values = _spellings(everywhere.counts)
    meanings: dict[str, str] = {}
    for text, name in names.items():
        meaning = labels.stage.meanings.get(text)
        if meaning is None and text not in labels.stage.column.counts:
            meaning = classify_outcome(text)
        if meaning in ("won", "lost") or name not in meanings:
            meanings[name] = meaning or "open"
    closed = labels.closed
    if closed is not None and closed.by_words and closed.column.name == labels.stage.column.name:
        for text, is_closed in closed.meanings.items():
            if is_closed:
                meanings.pop(names[text], None)
    is_open = [name for name, meaning in meanings.items() if meaning == "open"]
    points: list[Point] = []
    if per_deal.are_snapshots and per_deal.dated_by and per_deal.deal_id:
        texts = everywhere.texts.map(names)
        ids, times = table.columns[per_deal.deal_id].texts, table.columns[per_deal.dated_by].times
        order = order_by_visits(is_open, texts, ids, times)
    else:
        stage = ColumnFacts(
            "stage", current.columns[labels.stage.column.name].texts.map(names), np.arange(len(current)), None
        )
        chances = current.columns[fields["probability"]].numbers if "probability" in fields else None
        ages = None
        if "created_at" in fields:
            created = current.columns[fields["created_at"]].times
            ages = (created.max() - created).dt.total_seconds()
        order, points = stage_order(is_open, stage=stage, chances=chances, ages=ages)
    points = [*points, *_unknown_point(labels, names, is_open)]
    ends = {outcome: [name for name, meaning in meanings.items() if meaning == outcome] for outcome in ("won", "lost")}
    return Stages(ends["won"], ends["lost"], order, values, points)


def _unknown_point(labels: Labelling, names: Mapping[str, str], is_open: Sequence[str]) -> list[Point]:
    """Stages that count as open only because their names say nothing, where nothing else tells outcomes."""
    if labels.stage is None or labels.status is not None or labels.closed is not None:
        return []
    known = {names[text] for text, meaning in labels.stage.meanings.items() if meaning and text in names}
    counts: dict[str, int] = {}
    for text, cells in labels.stage.column.counts.items():
        counts[names[text]] = counts.get(names[text], 0) + cells
    unknown = [name for name in is_open if name not in known and not is_typical(name) and counts.get(name)]
    if not unknown:
        return []
    listed = ", ".join(f"{name} ({count(counts[name])})" for name in unknown[:_MAX_NAMED])
    told = (
        said(
            "stages whose names say nothing of the end count as open: {stages} and {n:count} more",
            stages=listed,
            n=len(unknown) - _MAX_NAMED,
        )
        if len(unknown) > _MAX_NAMED
        else said("stages whose names say nothing of the end count as open: {stages}", stages=listed)
    )
    return [Point(told, f"lost: [{unknown[0]}]")]


def _spellings(counts: Mapping[str, int]) -> tuple[dict[str, str], dict[str, str]]:
    """The name of the stage that each text is, and the texts that the profile must rename."""
    empty = Profile.model_validate({"tables": {"deals": [{"file": "*"}]}})
    renamed = stage_names(counts, empty)
    names = {text: renamed.get(text, text) for text in counts}
    by_key: dict[str, str] = {}
    values: dict[str, str] = {}
    for text in counts:  # the most frequent first
        name = names[text]
        key = plain(name) or name
        known = by_key.setdefault(key, name)
        if known != name:
            values[pattern(name)] = known
            names[text] = known
    return names, values
