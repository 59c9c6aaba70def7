"""From a live CRM to raw records, and from raw records to canonical tables."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import pandas as pd

from winpredict.config import Sync
from winpredict.connectors.base import CRMSource, Page
from winpredict.connectors.latest import Counts
from winpredict.connectors.mapped_columns import FilledColumns, mapped_columns
from winpredict.connectors.store import ObjectState, RawStore
from winpredict.errors import CRMError, CRMObjectError, CRMSignInError
from winpredict.ingest.profiles import Profile
from winpredict.ingest.wanted_rows import matches
from winpredict.locale.text import said, text, texts
from winpredict.tables.crm import utc

#: Called before an object is read and after each page: its name, records read so far, objects done, and all objects.
StepProgress = Callable[[str, int, int, int], None]
#: A CRM tells its time in whole seconds, rounded up.
_ROUNDED = pd.Timedelta("1s")


@dataclass
class Synced:
    """What a sync read.

    Parameters
    ----------
    account : str
        The organisation.
    read : dict of str to Counts
        What was new, changed and deleted, by raw object.
    skipped : dict of str to str
        Objects that were not read, or not to their end, since the credentials may not or the CRM refused: with what
        would mend it.
    hidden : dict of str to tuple of str
        Mapped fields that the credentials are not shown, or that had values and came without any, by raw object.
    refused : dict of str to str
        Those of them that were to be read and that the CRM refused.
    remarks : list of str
        What else is worth knowing, in the language of the moment.
    emptied : bool
        Whether any field that had values came without any.
    forgotten : int
        Raw records that were let go of, since the CRM had deleted or changed them long enough ago.
    """

    account: str
    read: dict[str, Counts] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    hidden: dict[str, tuple[str, ...]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    emptied: bool = False
    forgotten: int = 0

    @property
    def whole(self) -> bool:
        """Whether all came that was to be read."""
        return not self.refused and not self.emptied

    @property
    def total(self) -> Counts:
        """All objects together."""
        return sum(self.read.values(), Counts())


def sync(
    source: CRMSource,
    store: RawStore,
    settings: Sync | None = None,
    *,
    profile: Profile | None = None,
    full: bool = False,
    progress: StepProgress | None = None,
) -> Synced:
    """Read from a live CRM what is not kept yet.

    The first time everything is read, later only what changed since, a little before the last change that was seen. A
    sync that was stopped, in whatever way, goes on where it was. An object that the CRM refuses is told of, and the
    others are read. What the CRM deleted, or said of people and accounts
    before it said otherwise, goes from the store ``settings.keep_deleted_days`` later.

    Parameters
    ----------
    source : CRMSource
    store : RawStore
        Of the same CRM.
    settings : Sync, optional
        By default ``Sync()``.
    profile : Profile, optional
        By its columns is told what the credentials are not shown; without one nothing is.
    full : bool
        Read everything again. Records that do not come then are gone without a trace, and count as deleted, but for
        those of objects that only ever grow.
    progress : callable, optional
        Told of each page.

    Returns
    -------
    Synced

    Raises
    ------
    CRMSignInError
        When the credentials may not read deals.
    CRMError
        When the CRM cannot be reached or refuses deals, or the records kept are of another organisation. What was read
        so far is kept.
    """
    settings = settings or Sync()
    mapped = {} if profile is None else mapped_columns(profile, source.objects)
    description = source.describe(mapped)
    _same_account(store, description.account, full=full)
    deals = source.objects[0]
    if deals in description.missing:
        raise CRMSignInError(
            text("{name}: deals may not be read ({missing})", name=source.name, missing=description.missing[deals])
        )
    found = Synced(
        description.account,
        skipped=dict(description.missing),
        hidden=dict(description.hidden),
        remarks=list(description.remarks),
    )
    fields = sorted(each.name for each in description.custom_fields if matches(each.name, settings.custom_fields))
    added = _not_asked_for(fields, store.state(deals), store.fields)
    if added:
        remark = texts(
            "{name}: read as a whole, for the new field {fields:listed}",
            "{name}: read as a whole, for the new fields {fields:listed}",
            n=len(added),
            name=deals,
            fields=added,
        )
        found.remarks.append(str(remark))
    wanted = [name for name in source.objects if name not in found.skipped]
    for done, name in enumerate(wanted):

        def tell(records: int, name: str = name, done: int = done) -> None:
            if progress is not None:
                progress(name, records, done, len(wanted))

        overlap = pd.Timedelta(minutes=settings.overlap_minutes)
        of_deals = name == deals
        reader = _Reader(source, store, name, tell, found.remarks, fields if of_deals else [], mapped.get(name, {}))
        try:
            found.read[name] = reader.read(overlap, full=full or (of_deals and bool(added)))
        except CRMObjectError as error:
            if of_deals:
                raise
            found.skipped[name] = found.refused[name] = str(error)
            continue
        if reader.lacking:
            found.skipped[name] = found.refused[name] = reader.lacking
        if reader.emptied:
            found.emptied = True
            found.hidden[name] = tuple(dict.fromkeys([*found.hidden.get(name, ()), *reader.emptied]))
            found.remarks.append(
                said(
                    "{name}: {columns:listed} had values before, and no record came with any: "
                    "is the field hidden from these credentials now?",
                    name=name,
                    columns=reader.emptied,
                )
            )
        if of_deals:
            store.note(store.account, fields)
    until = source.clock() - pd.Timedelta(days=settings.keep_deleted_days)
    found.forgotten = store.compact(until, deals).total
    if found.forgotten:
        remark = texts(
            "{n:count} raw record was let go of: the CRM deleted or changed it long enough ago",
            "{n:count} raw records were let go of: the CRM deleted or changed them long enough ago",
            n=found.forgotten,
        )
        found.remarks.append(str(remark))
    return found


def _not_asked_for(fields: Sequence[str], state: ObjectState, known: Sequence[str]) -> list[str]:
    """Custom fields that were not asked for in what is kept, nor in a reading of everything that is under way."""
    reading = state.under_way
    if reading is not None and reading.whole:
        known = reading.fields
    elif not state.parts:
        return []
    return [name for name in fields if name not in known]


def _same_account(store: RawStore, account: str, *, full: bool) -> None:
    account = account or store.account  # some credentials may not ask
    if store.account and _id_of(store.account) != _id_of(account):
        if not full:
            raise CRMError(
                text(
                    "the records in {folder} are of {account}, and these credentials belong to {signed_in}: "
                    "name another workspace with --workspace, or replace the records with --full",
                    folder=store.folder,
                    account=store.account,
                    signed_in=account,
                )
            )
        store.forget()
    store.note(account, store.fields)


def _id_of(account: str) -> str:
    """What stays the same when an organisation takes another name: its id, which stands behind it in parentheses."""
    match = re.search(r"\(([^()]+)\)$", account)
    return match[1] if match else account


@dataclass
class _Reader:
    """Reads one object."""

    source: CRMSource
    store: RawStore
    name: str
    tell: Callable[[int], None]
    remarks: list[str]
    fields: Sequence[str] = ()
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    emptied: tuple[str, ...] = ()
    lacking: str = ""

    def read(self, overlap: pd.Timedelta, *, full: bool) -> Counts:
        state = self.store.state(self.name)
        reading = state.under_way
        stale = reading is not None and (not set(self.fields) <= set(reading.fields) if reading.whole else full)
        if reading is None or stale:
            high_water = None if full or state.high_water is None else utc(pd.Timestamp(state.high_water)) - overlap
            self._begin(high_water)
        else:
            self.remarks.append(said("{name}: went on with a reading that was stopped", name=self.name))
        began_at = self.source.clock()
        filled = FilledColumns(self.columns)
        counts = self._pages(filled)
        counts += self.store.finish(self.name, self.source.clock(), append_only=self.name in self.source.append_only)
        self.emptied = filled.emptied(self.store, self.name, began_at)
        return counts

    def _begin(self, since: pd.Timestamp | None) -> None:
        self.store.begin(self.name, since, self.source.clock() - _ROUNDED, self.fields)

    def _pages(self, filled: FilledColumns) -> Counts:
        reading = self.store.state(self.name).under_way
        assert reading is not None
        since = None if reading.since is None else utc(pd.Timestamp(reading.since))
        self.tell(0)
        pages = iter(self.source.read(self.name, since, reading.resume))
        try:
            first = next(pages, None)
        except CRMError as error:
            if type(error) not in (CRMError, CRMObjectError) or not reading.resume:
                raise
            # what it was to go on from may be gone, such as the results of a query after some days
            self.remarks.append(
                said(
                    "{name}: read from the start, since it could not be gone on with: {error}",
                    name=self.name,
                    error=error,
                )
            )
            self._begin(since)
            return self._pages(filled)
        return Counts() if first is None else self._kept(first, pages, filled)

    def _kept(self, first: Page, others: Iterable[Page], filled: FilledColumns) -> Counts:
        counts, records = Counts(), 0
        for page in chain([first], others):
            counts += self.store.keep(self.name, page, self.source.clock())
            filled.count(page)
            self.lacking = page.lacking
            records += len(page.records)
            self.tell(records)
        return counts
