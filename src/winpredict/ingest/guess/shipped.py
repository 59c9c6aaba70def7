"""Exports whose tables are those of a shipped profile: the profile is taken, with the stages that the data have."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from winpredict.errors import ProfileError
from winpredict.ingest.files import RawFile
from winpredict.ingest.guess.columns import ColumnFacts
from winpredict.ingest.guess.outcomes import Point
from winpredict.ingest.guess.refusals import one_sided
from winpredict.ingest.guess.stage_order import order_by_visits, stage_order
from winpredict.ingest.importing import add_spellings
from winpredict.ingest.outcomes import renamed_stages, stage_names, with_outcomes
from winpredict.ingest.profiles import Profile, Source, load_profile, shipped_profiles
from winpredict.ingest.quarantine import Quarantine
from winpredict.ingest.rows import canonical_rows, column_hints
from winpredict.ingest.vocabulary import classify_outcome
from winpredict.ingest.wanted_rows import RawColumns, matches, wanted_rows
from winpredict.locale.formats import count
from winpredict.locale.text import said
from winpredict.tables.schema import TABLES

#: Share of the columns of deals that a profile names and the file must have.
_MIN_COLUMNS = 0.5
_NEARLY_ALL = 0.95


def shipped_proposal(raw_files: Sequence[RawFile]) -> tuple[Profile, list[Point]] | None:
    """The shipped profile whose tables these are, fitted to the data.

    Parameters
    ----------
    raw_files : sequence of RawFile

    Returns
    -------
    tuple of Profile and list of Point, or None
        None where the tables are not those of a shipped profile, or no more of them than the deals.

    Raises
    ------
    ProfileError
        When there are no won deals, or no lost ones.
    """
    best: tuple[float, Profile] | None = None
    for name in shipped_profiles():
        profile = load_profile(name)
        fit = _fit(profile, raw_files)
        if fit and (best is None or fit > best[0]):
            best = fit, profile
    if best is None:
        return None
    return _fitted(best[1], raw_files)


def _fit(profile: Profile, raw_files: Sequence[RawFile]) -> float:
    """How much of an export a profile reads; 0 where its deals are not there, or nothing else is."""
    columns_of_deals = 0.0
    read = set()
    for raw in raw_files:
        for table, source in _sources_of(profile, raw):
            columns = _columns(raw, source)
            if table == "deals":
                outcome = {"outcome", "is_closed", "stage"} & columns
                wanted = {name for name in ("deal_id", "created_at") if name in source.columns}
                if not outcome or not wanted <= columns or len(columns) < _MIN_COLUMNS * len(source.columns):
                    continue
                columns_of_deals = max(columns_of_deals, float(len(columns)))
            elif (
                not {
                    name
                    for name in source.columns
                    if TABLES[table].columns.get(name) and TABLES[table].columns[name].filled
                }
                <= columns
            ):
                continue
            read.add((table, raw.path, raw.name, source.explode or ""))
    tables = {table for table, *_ in read}
    if not columns_of_deals or len(read) < 2 or tables == {"deals"}:
        return 0.0
    return columns_of_deals + len(read)


def _sources_of(profile: Profile, raw: RawFile) -> list[tuple[str, Source]]:
    return [
        (table, source)
        for table, sources in profile.tables.items()
        for source in sources
        if matches(raw.name, source.file) and (source.explode is None or source.explode in raw.frame)
    ]


def _columns(raw: RawFile, source: Source) -> set[str]:
    """Canonical columns that a file has."""
    columns = RawColumns(raw.frame.columns)
    names = set(source.constants)
    for name, offered in source.columns.items():
        parts = [part for each in offered for part in (each, each.split(" + ")[0], each.split(".0.")[0])]
        exploded = source.explode and any(each.startswith(f"{source.explode}.") for each in offered)
        if columns.first(parts) is not None or exploded:
            names.add(name)
    return names


def _rows(profile: Profile, raw_files: Sequence[RawFile], table: str) -> tuple[pd.DataFrame, dict[str, int]]:
    """Canonical rows of a table as the profile reads them, and the spellings of their stages."""
    parts, spellings = [], dict[str, int]()
    for raw in raw_files:
        for name, source in _sources_of(profile, raw):
            if name != table or not {"deal_id"} & (_columns(raw, source) | ({"deal_id"} - set(source.columns))):
                continue
            frame = wanted_rows(raw, table, source, profile)
            hints = column_hints(frame, table, source, profile, raw)
            add_spellings(spellings, hints)
            parts.append(
                canonical_rows(
                    frame, raw, table, source.model_copy(update={"others": False}), profile, Quarantine(), hints
                )
            )
    return (pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()), spellings


def _fitted(profile: Profile, raw_files: Sequence[RawFile]) -> tuple[Profile, list[Point]]:
    deals, spellings = _rows(profile, raw_files, "deals")
    history, of_history = _rows(profile, raw_files, "deal_history")
    for text, cells in of_history.items():
        spellings[text] = spellings.get(text, 0) + cells
    names = stage_names(spellings, profile)
    deals, history = renamed_stages(deals, names), renamed_stages(history, names)
    by_flags = with_outcomes(
        deals, profile.model_copy(update={"won": (), "lost": (), "stage_order": ()}), None, Quarantine()
    )
    meanings = _meanings(profile, by_flags, {names.get(text, text) for text in spellings})
    profile, points = _with_stages(profile, meanings, by_flags, history)
    labelled = with_outcomes(deals, profile, None, Quarantine())
    counts = {str(name): int(number) for name, number in labelled["outcome"].value_counts().items()}
    if not counts.get("won") or not counts.get("lost"):
        stages = labelled["stage"].value_counts()
        listed = ", ".join(f"{stage} ({count(number)})" for stage, number in list(stages.items())[:12])
        where = ", ".join(
            raw.path for raw in raw_files if any(table == "deals" for table, _ in _sources_of(profile, raw))
        )
        told = said("stages are {stages}", stages=listed)
        raise ProfileError(one_sided(where, counts, f" ({told})" if listed else ""))
    description = f"{profile.description}; proposed from the shipped profile {profile.name}, please check it before use"
    return profile.model_copy(update={"description": description}), points


def _meanings(profile: Profile, deals: pd.DataFrame, stages: set[str]) -> dict[str, str]:
    """Whether each stage is won, lost or open: by the profile, else by the deals that are at it, else by its words."""
    listed = (
        dict.fromkeys(profile.stage_order, "open")
        | dict.fromkeys(profile.lost, "lost")
        | dict.fromkeys(profile.won, "won")
    )
    counts = pd.crosstab(deals["stage"], deals["outcome"]) if "stage" in deals and len(deals) else pd.DataFrame()
    meanings = {}
    for stage in sorted(stages):
        meaning: str | None = listed.get(stage)
        if meaning is None and stage in counts.index:
            row = counts.loc[stage]
            top = str(row.idxmax())
            # a CRM with flags closes a deal by its stage
            meaning = top if top != "open" and row[top] >= _NEARLY_ALL * row.sum() else None
        meanings[stage] = meaning or classify_outcome(stage) or "open"
    return meanings


def _with_stages(
    profile: Profile, meanings: Mapping[str, str], deals: pd.DataFrame, history: pd.DataFrame
) -> tuple[Profile, list[Point]]:
    """The profile with the stages of the data, where it lacks some."""
    known = {*profile.stage_order, *profile.won, *profile.lost}
    if set(meanings) <= known:
        return profile, []
    update: dict[str, Any] = {}
    for outcome in ("won", "lost"):
        listed = getattr(profile, outcome)
        update[outcome] = (
            *listed,
            *(each for each, meaning in meanings.items() if meaning == outcome and each not in listed),
        )
    is_open = [each for each, meaning in meanings.items() if meaning == "open"]
    points: list[Point] = []
    if {"stage", "changed_at"} <= set(history):
        order = order_by_visits(is_open, history["stage"], history["deal_id"], history["changed_at"])
    else:
        stage = ColumnFacts("stage", deals["stage"], np.arange(len(deals)), None)
        order, points = stage_order(is_open, stage=stage)
    update["stage_order"] = tuple(order)
    return profile.model_copy(update=update), points
