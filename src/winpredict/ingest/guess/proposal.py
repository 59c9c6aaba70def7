"""A profile for unknown files, and what a person should confirm of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from winpredict.config import InputLimits
from winpredict.errors import InputFileError, ProfileError
from winpredict.ingest.files import RawFile, read_files
from winpredict.ingest.guess.columns import RawTable
from winpredict.ingest.guess.deals import DealsProposal, deals_of_parts, deals_proposal
from winpredict.ingest.guess.further_tables import FurtherTables, further_tables
from winpredict.ingest.guess.outcomes import Point
from winpredict.ingest.guess.shipped import shipped_proposal
from winpredict.ingest.guess.unclear_formats import unclear_formats
from winpredict.ingest.profiles import Profile
from winpredict.ingest.vocabulary import field_scores, vocabularies
from winpredict.ingest.wanted_rows import column_key
from winpredict.locale.text import text

#: Of larger tables without deals only so many rows are looked at.
MAX_ROWS_BESIDE_DEALS = 200_000
#: A table that looks so much more like one of deals than any that says how deals ended is the one that is wanted.
_MUCH_LIKELIER = 1.5
#: The column that tells which file a row is from, while files with the same columns are put together.
PART = "\x00part"


@dataclass(frozen=True)
class Guess:
    """A proposed profile.

    Parameters
    ----------
    profile : Profile
    points : list of dict
        What a person should confirm: ``text``, and ``line``, what to write into the profile to change it.
    """

    profile: Profile
    points: list[dict[str, str]] = field(default_factory=list)


def guess_profile(path: Path | str) -> Profile:
    r"""Propose a profile for files of deals.

    Parameters
    ----------
    path : Path or str
        A file, folder or zip.

    Returns
    -------
    Profile
        To be looked through before use: `profile_yaml` writes it.

    Raises
    ------
    InputFileError
        When the file cannot be read, or all of its deals are deleted.
    ProfileError
        When nothing tells won from lost deals, or there are none of one of both.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "pipeline.csv"
    >>> _ = path.write_text("Deal No;Result;Value;Opened\n1;Won;10;2025-01-02\n2;Lost;20;2025-01-03\n")
    >>> guessed = guess_profile(path).tables["deals"][0]
    >>> guessed.columns["outcome"], guessed.values["outcome"]
    (('Result',), {'Won': 'won', 'Lost': 'lost'})
    """
    return propose([path]).profile


def propose(paths: Sequence[Path | str], *, limits: InputLimits | None = None) -> Guess:
    """Propose a profile for files of deals, and say what a person should confirm.

    Parameters
    ----------
    paths : sequence of Path or str
        Files, folders or zips.
    limits : InputLimits, optional
        What a file may hold, see `winpredict.ingest.files.read_files`.

    Returns
    -------
    Guess

    Raises
    ------
    InputFileError
    ProfileError
        As `guess_profile` raises them.
    """
    raw_files = [_lighter(raw) for raw in read_files(paths, limits=limits)]
    if len(raw_files) > 1 or _is_nested(raw_files[0]):
        shipped = shipped_proposal(raw_files)
        if shipped is not None:
            return _guess(*shipped)
    tables = _tables(raw_files)
    deals = _deals(tables)
    further = further_tables(deals, [table for table in tables if table is not deals.table])
    return _guess(_profile(deals, further), _points(deals, further, raw_files))


def _lighter(raw: RawFile) -> RawFile:
    """Some rows of a large file of anything but deals: its columns say what it is, its values how it is linked."""
    if len(raw.frame) <= MAX_ROWS_BESIDE_DEALS:
        return raw
    fields = {field for name in raw.frame.columns for field, score in field_scores(str(name)).items() if score >= 0.5}
    if {"stage", "outcome", "is_won", "is_closed"} & fields and "amount" in fields:
        return raw
    step = -(-len(raw.frame) // MAX_ROWS_BESIDE_DEALS)
    return replace(raw, frame=raw.frame.iloc[::step])


def _is_nested(raw: RawFile) -> bool:
    """Whether a file holds objects inside of objects, as answers of an API do."""
    return any("." in str(name) for name in raw.frame.columns)


def _tables(raw_files: Sequence[RawFile]) -> list[RawTable]:
    """The tables of an export; files with the same columns are parts of one."""
    groups: dict[tuple[str, ...], list[RawFile]] = {}
    for raw in raw_files:
        if len(raw.frame.columns):
            groups.setdefault(tuple(sorted(column_key(name) for name in raw.frame.columns)), []).append(raw)
    tables = []
    for parts in groups.values():
        first = parts[0]
        if len(parts) == 1:
            tables.append(RawTable.of(first))
            continue
        keys = {column_key(name): name for name in first.frame.columns}
        frames = [
            raw.frame.rename(columns={name: keys[column_key(name)] for name in raw.frame.columns}).assign(
                **{PART: raw.name}
            )
            for raw in parts
        ]
        names = tuple(dict.fromkeys(raw.name for raw in parts))
        path = ", ".join(dict.fromkeys(raw.path for raw in parts))
        whole = pd.concat(frames, ignore_index=True)
        tables.append(RawTable(first.name, path, whole.drop(columns=PART), names, parts=whole[PART]))
    return tables


def _deals(tables: Sequence[RawTable]) -> DealsProposal:
    """The proposal for the table that looks the most like one of deals."""
    proposals: list[DealsProposal] = []
    errors: list[tuple[float, InputFileError | ProfileError]] = []
    for table in tables:
        try:
            proposals.append(deals_proposal(table))
        except (InputFileError, ProfileError) as error:
            by_names = deals_of_parts(table)
            if by_names is not None:
                proposals.append(by_names)
            else:
                errors.append((_likeness(table), error))
    best = max(proposals, key=lambda each: each.score, default=None)
    likeliest = max(errors, key=lambda each: each[0], default=None)
    if best is None or (likeliest is not None and likeliest[0] > _likeness(best.table) + _MUCH_LIKELIER):
        raise likeliest[1] if likeliest is not None else InputFileError(text("no table found; export the deals again"))
    return best


def _likeness(table: RawTable) -> float:
    """How much a table looks like one of deals by the names of its columns."""
    best: dict[str, float] = {}
    for name in table.columns:
        for field_name, score in table.scores(name).items():
            best[field_name] = max(best.get(field_name, 0.0), score)
    wanted = ("deal_id", "stage", "outcome", "amount", "created_at", "closed_at", "name", "owner_name")
    return sum(best.get(field_name, 0.0) for field_name in wanted)


def _profile(deals: DealsProposal, further: FurtherTables) -> Profile:
    tables: dict[str, Any] = {"deals": deals.sources}
    if deals.history is not None:
        tables["deal_history"] = [deals.history]
    for name, sources in further.tables.items():
        tables.setdefault(name, []).extend(sources)
    return Profile.model_validate(
        {
            "name": deals.table.name,
            "description": description(deals.table, further.left_out),
            "won": deals.won,
            "lost": deals.lost,
            "stage_order": further.stage_order or deals.stage_order,
            "tables": tables,
        }
    )


def _guess(profile: Profile, points: Sequence[Point]) -> Guess:
    lines = {point.text: point.line for point in points}
    return Guess(profile, [{"text": text, "line": line} for text, line in lines.items()])


def _points(deals: DealsProposal, further: FurtherTables, raw_files: Sequence[RawFile]) -> list[Point]:
    points = deals.points
    if further.stage_order:  # a history tells better than what stands in the deals
        points = [point for point in points if point.line != "stage_order"]
    return [*points, *further.points, *unclear_formats(deals.table, deals.sources)]


def description(table: RawTable, left_out: Sequence[str] = ()) -> str:
    """What a profile is proposed for, what kind of file that is, and which tables beside it are not read."""
    spoken = vocabularies().get(table.language)
    language = f" in {spoken.name}" if spoken is not None and table.language != "en" else ""
    kind = table.kind.name if table.kind else ("a file" if language else "")
    unread = f"; not read: {', '.join(left_out)}" if left_out else ""
    return (
        f"Proposed for {table.name}"
        + (f" ({kind}{language})" if kind else "")
        + f"; please check it before use{unread}"
    )
