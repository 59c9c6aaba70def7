"""Raw records of a live CRM as they came: every version that was seen of each, but of those who were erased."""

import hashlib
import json
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from winpredict._internal.atomic import replacing
from winpredict._internal.private import make_folder, open_private
from winpredict.connectors.base import Page, RawRecord
from winpredict.connectors.latest import Counts, LatestVersions
from winpredict.errors import WorkspaceError
from winpredict.locale.text import text
from winpredict.privacy.erased import Erased, Kind
from winpredict.privacy.scrubbing import Scrubber, personal_values, without_names
from winpredict.tables.crm import utc
from winpredict.tables.schema import text_dtype

_STATE, _SEEN = "state.json", "seen.txt"
_VERSION = 1
_SCHEMA = pa.schema(
    [
        ("record_id", pa.string()),
        ("modified_at", pa.timestamp("us", "UTC")),
        ("read_at", pa.timestamp("us", "UTC")),
        ("deleted", pa.bool_()),
        ("record", pa.string()),
    ]
)
#: So many parts in a row with fewer rows than these are put together: a part is written for every page.
MAX_SMALL_PARTS, SMALL_ROWS = 64, 50_000


class _Said(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Part(_Said):
    """One file of versions; the later ones stand in the parts with the higher numbers."""

    number: int
    rows: int
    sha256: str


class Reading(_Said):
    """A reading of one object that is under way.

    `fields` are the custom ones that are asked for. `highest` is the latest change that it came upon. `seen` counts the
    bytes in the list of the records that it came upon, which is kept where the whole object is read again; None where
    it is not.
    """

    since: datetime | None
    began_at: datetime
    fields: tuple[str, ...] = ()
    resume: str = ""
    highest: datetime | None = None
    seen: int | None = None

    @property
    def whole(self) -> bool:
        """Whether everything is read, and not only what changed."""
        return self.since is None


class ObjectState(_Said):
    """What is kept of one object: its parts, how far changes were read, and a reading that has not ended."""

    parts: tuple[Part, ...] = ()
    high_water: datetime | None = None
    read_at: datetime | None = None
    under_way: Reading | None = None


class _State(_Said):
    version: int = _VERSION
    account: str = ""
    fields: tuple[str, ...] = ()
    objects: dict[str, ObjectState] = {}


class RawStore:
    """The raw records of one CRM below a folder, which is named as the CRM.

    It holds a folder an object, with the versions of its records in ``part-*.parquet``, and ``state.json``, which says
    which parts count and how far reading went. Both are replaced whole, the state after the part, so that a kill at
    any moment leaves what was kept before; the page under way is read again, and its part overwritten.

    Parameters
    ----------
    folder : Path
    erased : Erased, optional
        Who was erased: what comes of them is kept without them.

    Examples
    --------
    >>> import tempfile
    >>> store, noon = RawStore(Path(tempfile.mkdtemp()) / "salesforce"), pd.Timestamp("2025-06-01T12:00Z")
    >>> store.begin("Account", None, noon)
    >>> store.keep("Account", Page((RawRecord("001A", {"Name": "Acme"}, noon),), resume=""), noon)
    Counts(new=1, changed=0, deleted=0)
    >>> store.finish("Account", noon)
    Counts(new=0, changed=0, deleted=0)
    >>> store.latest("Account")["record"].tolist()
    ['{"Name":"Acme"}']
    """

    def __init__(self, folder: Path, erased: Erased | None = None) -> None:
        self.folder = Path(folder)
        self._erased = erased
        self._state = _read_state(self.folder)
        self._latest: dict[str, LatestVersions] = {}

    @property
    def crm(self) -> str:
        """Name of the CRM."""
        return self.folder.name

    @property
    def exists(self) -> bool:
        """Whether anything was read."""
        return (self.folder / _STATE).exists()

    @property
    def account(self) -> str:
        """The organisation that the records belong to; empty before the first reading."""
        return self._state.account

    @property
    def objects(self) -> tuple[str, ...]:
        """Objects of which there are records, sorted."""
        return tuple(sorted(name for name, state in self._state.objects.items() if state.parts))

    @property
    def read_at(self) -> pd.Timestamp | None:
        """The CRM's time when something was last read; None before the first reading."""
        moments = [state.read_at for state in self._state.objects.values() if state.read_at is not None]
        return _stamp(max(moments)) if moments else None

    @property
    def known_until(self) -> pd.Timestamp | None:
        """Just after `read_at`, so that what was read lies strictly before it."""
        return None if self.read_at is None else self.read_at + pd.Timedelta("1us")

    def state(self, name: str) -> ObjectState:
        """What is kept of an object."""
        return self._state.objects.get(name, ObjectState())

    def sha256(self, name: str) -> str:
        """A hash over the parts of an object."""
        return hashlib.sha256("".join(part.sha256 for part in self.state(name).parts).encode()).hexdigest()

    @property
    def fields(self) -> tuple[str, ...]:
        """The custom fields of deals that were there when these were last read."""
        return self._state.fields

    def note(self, account: str, fields: Sequence[str]) -> None:
        """Note the organisation that the records belong to, and the custom fields of its deals."""
        if (account, tuple(fields)) != (self.account, self.fields):
            self._save(self._state.model_copy(update={"account": account, "fields": tuple(fields)}))

    def forget(self) -> None:
        """Let go of everything that is kept."""
        names = list(self._state.objects)
        self._save(_State())
        self._latest.clear()
        for name in names:
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def begin(self, name: str, since: pd.Timestamp | None, now: pd.Timestamp, fields: Sequence[str] = ()) -> None:
        """Begin to read an object.

        Parameters
        ----------
        name : str
        since : Timestamp or None
            Only what changed at or after this moment comes; None for everything.
        now : Timestamp
            The CRM's time, no later than what comes.
        fields : sequence of str
            The custom fields that are asked for.
        """
        again = since is None and bool(self.state(name).parts)
        since_then = None if since is None else since.to_pydatetime()
        began = now.to_pydatetime()
        reading = Reading(since=since_then, began_at=began, fields=tuple(fields), seen=0 if again else None)
        self._put(name, self.state(name).model_copy(update={"under_way": reading}))

    def keep(self, name: str, page: Page, read_at: pd.Timestamp) -> Counts:
        """Keep the records of a page that are not known yet, and where to go on after it.

        Parameters
        ----------
        name : str
        page : Page
        read_at : Timestamp
            The CRM's time when the page was there.

        Returns
        -------
        Counts
        """
        state, reading = self._under_way(name)
        page = self._without_erased(name, page)
        if page.existing is not None:
            page = replace(page, records=(*page.records, *self._absent(name, page.existing)))
        news = self._index(name).news(page.records, whole=reading.whole)
        highest = max((each.modified_at.to_pydatetime() for each in page.records), default=None)
        if reading.seen is not None:
            reading = reading.model_copy(update={"seen": self._note_seen(name, page.records, reading.seen)})
        known = [moment for moment in (reading.highest, highest) if moment is not None]
        reading = reading.model_copy(update={"resume": page.resume, "highest": max(known, default=None)})
        parts = self._with_part(name, state.parts, _table(news.rows, read_at))
        update = {"parts": parts, "read_at": read_at.to_pydatetime(), "under_way": reading}
        self._put(name, state.model_copy(update=update))
        self._index(name).learn(news)
        if len(parts) < len(state.parts):
            self._sweep(name)
        return news.counts

    def finish(self, name: str, read_at: pd.Timestamp, *, append_only: bool = False) -> Counts:
        """End a reading.

        Where everything was read, records that did not come count as deleted, unless the object only ever grows: of a
        history that the CRM purged, what was read before is all that there is. The next increment starts from the
        latest change that was seen, but no later than this reading began: what changed since may have been missed.

        Returns
        -------
        Counts
            Of the records that vanished.
        """
        state, reading = self._under_way(name)
        gone = [] if reading.seen is None or append_only else self._vanished(name, reading.seen)
        news = self._index(name).news(gone, whole=False)
        seen = [moment for moment in (state.high_water, reading.highest) if moment is not None]
        update = {
            "parts": self._with_part(name, state.parts, _table(news.rows, read_at)),
            "high_water": min(max(seen), reading.began_at) if seen else None,
            "read_at": read_at.to_pydatetime(),
            "under_way": None,
        }
        self._put(name, state.model_copy(update=update))
        self._index(name).learn(news)
        self._sweep(name)
        return news.counts

    def scrub(self, scrubber: Scrubber, *, apply: bool = True) -> None:
        """Take those who were erased out of every version of every record.

        Parameters
        ----------
        scrubber : Scrubber
        apply : bool
            False to count only.
        """
        for name, state in self._state.objects.items():
            tables = (self._scrubbed(name, self._read(name, part, _SCHEMA.names), scrubber) for part in state.parts)
            if not apply:
                for _ in tables:
                    pass
                continue
            counted = scrubber.total
            parts = self._rewritten(name, state.parts, tables)
            if scrubber.total > counted:
                self._replace(name, parts, scrubber)
            else:
                self._sweep(name)

    def personal_values(self, kind: Kind, ids: Collection[str]) -> set[str]:
        """Names, addresses and numbers that the records tell of a person or an account."""
        found: set[str] = set()
        marks = [json.dumps(each)[1:-1] for each in ids]
        for name in self.objects:
            texts = self.versions(name, ["record"])["record"]
            if not len(texts):
                continue
            likely = pd.Series(False, index=texts.index)
            for mark in marks:
                likely |= texts.str.contains(mark, regex=False)
            for each in texts[likely].unique():
                found |= personal_values(kind, name, json.loads(each), ids)
        return found

    def compact(self, until: pd.Timestamp, deals: str) -> Counts:
        """Let go of records that the CRM deleted, and of what it said of people and accounts before it said otherwise.

        Of deals earlier versions stay, without their names: what was seen of their attributes is told from them.

        Parameters
        ----------
        until : Timestamp
            Only of what was read before this moment.
        deals : str
            Name of the object that holds the deals.

        Returns
        -------
        Counts
            Versions of deleted records, and earlier versions of others or what was emptied in them (changed).
        """
        total = Counts()
        for name, state in list(self._state.objects.items()):
            if not state.parts or state.under_way is not None:
                continue
            frame = self.versions(name, ["record_id", "read_at", "deleted"])
            counts, stays, emptied = _outdated(frame, until, keep_earlier=name == deals)
            tables, start = [], 0
            for part in state.parts:
                table = self._read(name, part, _SCHEMA.names)
                place = slice(start, start + part.rows)
                start += part.rows
                tables.append(_compacted(table, stays[place], emptied[place], name))
            emptied_now = sum(number for _, number in tables)
            counts += Counts(changed=emptied_now)
            if counts.total:
                self._replace(name, self._rewritten(name, state.parts, (table for table, _ in tables)))
            total += counts
        return total

    def _replace(self, name: str, parts: tuple[Part, ...], scrubber: Scrubber | None = None) -> None:
        """Have other parts count, and remove the former ones."""
        state = self.state(name)
        reading = state.under_way
        if reading is not None and reading.seen and scrubber is not None:
            reading = reading.model_copy(update={"seen": self._scrub_seen(name, reading.seen, scrubber)})
        self._latest.pop(name, None)
        self._put(name, state.model_copy(update={"parts": parts, "under_way": reading}))
        self._sweep(name)

    def _rewritten(self, name: str, parts: tuple[Part, ...], tables: Iterable[pa.Table]) -> tuple[Part, ...]:
        """Other tables in the place of the parts, behind them, so that a kill leaves the former ones."""
        written = list(parts)
        for table in tables:
            if table.num_rows:
                written.append(self._write(name, written, table))
        return tuple(written[len(parts) :])

    def _scrub_seen(self, name: str, length: int, scrubber: Scrubber) -> int:
        """The list of the records that a reading came upon, without those who were erased; its new length."""
        path = self.folder / name / _SEEN
        lines = [json.loads(line) for line in path.read_bytes()[:length].splitlines()]
        new = b"".join(
            json.dumps([scrubber.record(name, each, {})[0] for each in line]).encode() + b"\n" for line in lines
        )
        with replacing(path) as temporary:
            temporary.write_bytes(new)
        return len(new)

    def _scrubbed(self, name: str, table: pa.Table, scrubber: Scrubber) -> pa.Table:
        ids, texts = table["record_id"].to_pylist(), table["record"].to_pylist()
        for place, (record_id, words) in enumerate(zip(ids, texts, strict=True)):
            counted = scrubber.total
            ids[place], values = scrubber.record(name, record_id, json.loads(words))
            if scrubber.total > counted:
                texts[place] = _as_json(values)
            elif ids[place] != record_id:  # of a deletion nothing but the id is there
                scrubber.count()
        columns = {"record_id": pa.array(ids, pa.string()), "record": pa.array(texts, pa.string())}
        for column, values in columns.items():
            table = table.set_column(table.schema.get_field_index(column), column, values)
        return table

    def _without_erased(self, name: str, page: Page) -> Page:
        if not self._erased:
            return page
        scrubber = Scrubber(self._erased)
        records = []
        for each in page.records:
            record_id, values = scrubber.record(name, each.record_id, each.values)
            records.append(replace(each, record_id=record_id, values=values))
        existing = page.existing
        if existing is not None:  # those who were erased are kept under other ids, and are not gone
            existing = frozenset(scrubber.record(name, each, {})[0] for each in existing)
        return replace(page, records=tuple(records), existing=existing)

    def versions(self, name: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Every version that was seen of the records of an object, in the order in which they came.

        Returns
        -------
        DataFrame
            Columns record_id, modified_at, read_at, deleted and record (JSON; ``{}`` for a deletion).
        """
        wanted = list(_SCHEMA.names if columns is None else columns)
        tables = [self._read(name, part, wanted) for part in self.state(name).parts]
        empty = pa.schema([_SCHEMA.field(column) for column in wanted]).empty_table()
        texts = {pa.string(): text_dtype()}.get
        frame: pd.DataFrame = pa.concat_tables([empty, *tables]).to_pandas(types_mapper=texts)
        return frame

    def latest(self, name: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The latest version of each record of an object that is not deleted, by record_id; see `versions`."""
        wanted = list(_SCHEMA.names if columns is None else columns)
        found = self.versions(name, [*{**dict.fromkeys(wanted), "record_id": None, "deleted": None}])
        found = found.drop_duplicates("record_id", keep="last").sort_values("record_id", ignore_index=True)
        return found.loc[~found["deleted"], wanted].reset_index(drop=True)

    def _index(self, name: str) -> LatestVersions:
        if name not in self._latest:
            self._latest.clear()  # one object at a time is read
            self._latest[name] = LatestVersions(self.versions(name, ["record_id", "modified_at", "deleted", "record"]))
        return self._latest[name]

    def _under_way(self, name: str) -> tuple[ObjectState, Reading]:
        state = self.state(name)
        if state.under_way is None:
            raise ValueError(f"no reading of {name} is under way")
        return state, state.under_way

    def _vanished(self, name: str, seen: int) -> list[RawRecord]:
        """Records that a reading of everything did not come upon; dated as they were, in case they come again."""
        path = self.folder / name / _SEEN
        lines = path.read_bytes()[:seen].splitlines() if seen else []
        return self._absent(name, {each for line in lines for each in json.loads(line)})

    def _absent(self, name: str, ids: Collection[str]) -> list[RawRecord]:
        known = self.latest(name, ["record_id", "modified_at"])
        gone = known[~known["record_id"].isin(ids)]
        return [
            RawRecord(record_id, {}, modified_at, deleted=True)
            for record_id, modified_at in zip(gone["record_id"], gone["modified_at"], strict=True)
        ]

    def _note_seen(self, name: str, records: Iterable[RawRecord], length: int) -> int:
        """Write down which records came, after so many bytes that count; returns how many count then."""
        path = self.folder / name / _SEEN
        make_folder(path.parent)
        line = json.dumps([each.record_id for each in records if not each.deleted]).encode() + b"\n"
        with open(path, "ab", opener=open_private) as file:
            file.truncate(length)  # what a killed page left
            file.write(line)
        return length + len(line)

    def _with_part(self, name: str, parts: tuple[Part, ...], table: pa.Table) -> tuple[Part, ...]:
        if not table.num_rows:
            return parts
        parts = (*parts, self._write(name, parts, table))
        small = 0
        while small < len(parts) and parts[-1 - small].rows < SMALL_ROWS:
            small += 1
        if small < MAX_SMALL_PARTS:
            return parts
        tables = [self._read(name, part, _SCHEMA.names) for part in parts[-small:]]
        return (*parts[:-small], self._write(name, parts, pa.concat_tables(tables)))

    def _write(self, name: str, before: Sequence[Part], table: pa.Table) -> Part:
        number = before[-1].number + 1 if before else 1
        with replacing(self._path(name, number)) as temporary:
            pq.write_table(table, temporary, compression="zstd")
            with temporary.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Part(number=number, rows=table.num_rows, sha256=digest)

    def _read(self, name: str, part: Part, columns: Sequence[str]) -> pa.Table:
        path = self._path(name, part.number)
        try:
            return pq.read_table(path, columns=list(columns), partitioning=None)
        except (OSError, pa.ArrowException) as error:
            raise WorkspaceError(
                text(
                    "{path} cannot be read ({error}); remove the folder {folder} and sync again",
                    path=path,
                    error=str(error)[:200],
                    folder=self.folder,
                )
            ) from None

    def _path(self, name: str, number: int) -> Path:
        return self.folder / name / f"part-{number:06d}.parquet"

    def _sweep(self, name: str) -> None:
        """Remove files that no longer count."""
        state = self.state(name)
        wanted = {self._path(name, part.number) for part in state.parts}
        if state.under_way is not None:
            wanted.add(self.folder / name / _SEEN)
        for path in (self.folder / name).glob("*"):
            if path not in wanted:
                path.unlink(missing_ok=True)

    def _put(self, name: str, state: ObjectState) -> None:
        self._save(self._state.model_copy(update={"objects": self._state.objects | {name: state}}))

    def _save(self, state: _State) -> None:
        with replacing(self.folder / _STATE) as temporary:
            temporary.write_text(state.model_dump_json(indent=1) + "\n", encoding="utf-8")
        self._state = state


def _read_state(folder: Path) -> _State:
    path = folder / _STATE
    if not path.exists():
        return _State()
    try:
        state = _State.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError):
        state = None
    if state is None or state.version != _VERSION:
        raise WorkspaceError(
            text(
                "{path} cannot be read or is of another winpredict; remove the folder {folder} and sync again",
                path=path,
                folder=folder,
            )
        )
    return state


def _outdated(
    frame: pd.DataFrame, until: pd.Timestamp, *, keep_earlier: bool
) -> tuple[Counts, NDArray[np.bool_], NDArray[np.bool_]]:
    """How many versions go, which stay, and of which only what is no name stays."""
    of_record = frame.groupby("record_id", sort=False)
    last = frame[~frame.duplicated("record_id", keep="last")].set_index("record_id").reindex(frame["record_id"])
    is_gone = ((last["read_at"] < until) & last["deleted"].astype(bool)).to_numpy()
    # when the CRM told otherwise; the latest version was never told otherwise
    is_earlier = (of_record["read_at"].shift(-1) < until).to_numpy() & ~is_gone
    goes = is_gone if keep_earlier else is_gone | is_earlier
    counts = Counts(deleted=int(is_gone.sum()), changed=0 if keep_earlier else int(is_earlier.sum()))
    return counts, ~goes, is_earlier & keep_earlier


def _compacted(
    table: pa.Table, stays: NDArray[np.bool_], emptied: NDArray[np.bool_], name: str
) -> tuple[pa.Table, int]:
    """What stays of a part, and in how many rows something was emptied."""
    texts, changed = table["record"].to_pylist(), 0
    for place in np.flatnonzero(emptied & stays):
        values = json.loads(texts[place])
        without = without_names(values)
        if without != values:
            texts[place] = _as_json(without)
            changed += 1
    if changed:
        table = table.set_column(table.schema.get_field_index("record"), "record", pa.array(texts, pa.string()))
    return (table if stays.all() else table.filter(pa.array(stays))), changed


def _as_json(values: Mapping[str, Any]) -> str:
    """As `winpredict.connectors.latest.record_text` writes it."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"))


def _table(rows: Sequence[tuple[RawRecord, str]], read_at: pd.Timestamp) -> pa.Table:
    return pa.Table.from_pydict(
        {
            "record_id": [record.record_id for record, _ in rows],
            "modified_at": [record.modified_at.to_pydatetime() for record, _ in rows],
            "read_at": [read_at.to_pydatetime()] * len(rows),
            "deleted": [record.deleted for record, _ in rows],
            "record": [text for _, text in rows],
        },
        schema=_SCHEMA,
    )


def _stamp(moment: datetime) -> pd.Timestamp:
    return utc(pd.Timestamp(moment))
