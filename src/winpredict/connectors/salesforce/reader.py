"""One reading of one Salesforce object: by plain queries or by a bulk job, and to be gone on with after a kill."""

import itertools
import json
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import httpx
import pandas as pd
from simple_salesforce.format import format_soql

from winpredict.connectors.base import Page, RawRecord
from winpredict.connectors.salesforce.api import SalesforceAPI, refusals_of
from winpredict.connectors.salesforce.bulk import (
    TOO_LARGE,
    JobGoneError,
    JobTooLargeError,
    create_job,
    delete_job,
    results,
    wait_for,
)
from winpredict.connectors.salesforce.objects import TEAM, Table, literal, moment
from winpredict.errors import CRMError, CRMObjectError
from winpredict.locale.text import text

#: Queries travel in the address, which is 16 KB at most with everything else; the Bulk API gets them in the body.
_LONGEST_QUERY = 12_000
#: Records that may vanish without leaving a deleted row behind; only a list of removals tells of them.
_VANISHING = (TEAM, "OpportunityContactRole", "OpportunityLineItem")
#: What is never removed, or of which the rest tells nothing: histories are purged after some time.
_NEVER_REMOVED = ("User", "OpportunityHistory", "OpportunityFieldHistory")
#: Refusals of that list where it would be too long, or does not reach back far enough.
_NO_LIST = frozenset({"INVALID_REPLICATION_DATE", "EXCEEDED_ID_LIMIT"})
#: How far back that list may be asked for.
_LISTED_DAYS = 15
#: Refusals of a query that asks for too much at once; a shorter span of time may be read.
_TOO_MUCH = (TOO_LARGE, "QUERY_TIMEOUT")
#: A span that is refused is halved down to this one.
_SHORTEST_SPAN = pd.Timedelta("1D")
#: Open deals of a page that are read again.
_ROWS_A_PAGE = 2000
#: So many jobs are made for one reading, where they vanish.
_JOBS = 3
_SECOND, _MINUTE = pd.Timedelta("1s"), pd.Timedelta("1min")
#: Before Salesforce was, and an id before all others.
_LONG_AGO, _NO_ID = pd.Timestamp("1999-01-01", tz="UTC"), "000000000000000AAA"


@dataclass(frozen=True)
class Cursor:
    """Where a reading stands, as text in `Page.resume`.

    Parameters
    ----------
    bulk : bool
        Whether a bulk job is used.
    at, record_id : str
        Stamp and id of the last record that plain queries gave.
    job, locator : str
        The bulk job, and what it is to give next.
    over : bool
        Whether everything was read.
    until, days : str, float
        The end of the span of time that is read, and its length, where Salesforce refused to read all at once.

    Examples
    --------
    >>> Cursor.read(Cursor(at="2025-05-31T08:00:00.000Z", record_id="006A").text()).record_id
    '006A'
    """

    bulk: bool = False
    at: str = ""
    record_id: str = ""
    job: str = ""
    locator: str = ""
    over: bool = False
    until: str = ""
    days: float = 0.0

    def text(self) -> str:
        """As JSON, without what is not set."""
        return json.dumps({name: value for name, value in asdict(self).items() if value})

    @classmethod
    def read(cls, text: str) -> "Cursor | None":
        """None for the start, and for what another version wrote: reading again does no harm."""
        try:
            return cls(**json.loads(text)) if text else None
        except (ValueError, TypeError):
            return None


class Reading:
    """Reads what was changed in one object since a moment.

    Parameters
    ----------
    api : SalesforceAPI
    table : Table
    since : Timestamp or None
        None for all that there is, deleted records left out.
    """

    def __init__(self, api: SalesforceAPI, table: Table, since: pd.Timestamp | None) -> None:
        self._api, self._table, self._since = api, table, since

    def pages(self, resume: str) -> Iterator[Page]:
        """Pages from a place on."""
        cursor = Cursor.read(resume)
        if cursor is None:
            cursor = Cursor(bulk=self._is_large())
            yield from self._removals(cursor)
        if cursor.over:
            delete_job(self._api, cursor.job)
            return
        done = False
        if cursor.bulk or len(self._soql(cursor)) > _LONGEST_QUERY:
            done = yield from self._by_job(cursor)
        if not done:
            yield from self._by_queries(replace(cursor, bulk=False))

    def _is_large(self) -> bool:
        soql = f"SELECT COUNT() FROM {self._table.name}{_where(self._bounds(Cursor()))}"
        answer = self._api.get("queryAll", params={"q": soql}, accept=(400,))
        if answer.status_code != 400:
            return bool(answer.json()["totalSize"] >= self._api.settings.bulk_from_rows)
        codes = {each.code for each in refusals_of(answer)}
        if "QUERY_TIMEOUT" in codes:
            return True
        if TOO_LARGE in codes:  # bulk jobs are refused for the same reason; queries go on by spans of time
            return False
        raise self._api.refused(answer, text("the query {query}", query=soql))

    def _bounds(self, cursor: Cursor) -> list[str]:
        stamp, bounds = self._table.stamp, []
        if self._since is not None:
            bounds.append(f"{stamp} >= {literal(self._since)}")
        elif self._table.keeps_deleted:
            bounds.append("IsDeleted = false")
        if cursor.record_id:
            after = "({stamp:literal} > {at:literal} OR ({stamp:literal} = {at:literal} AND Id > {id}))"
            bounds.append(format_soql(after, stamp=stamp, at=cursor.at, id=cursor.record_id))
        if cursor.until:
            bounds.append(f"{stamp} < {cursor.until}")
        return bounds

    def _soql(self, cursor: Cursor) -> str:
        return f"SELECT {', '.join(self._table.fields)} FROM {self._table.name}{_where(self._bounds(cursor))}"

    def _by_queries(self, cursor: Cursor) -> Iterator[Page]:
        before = None
        while cursor != before:
            before, asked_after = cursor, literal(self._api.clock() - _SECOND)
            soql = f"{self._soql(cursor)} ORDER BY {self._table.stamp}, Id"
            answer = self._api.get("queryAll", params={"q": soql}, accept=(400,))
            if answer.status_code == 400:
                cursor = self._shorter(cursor, answer)
                continue
            while answer.status_code < 400:
                page = answer.json()
                if page["records"]:
                    cursor = self._after(page["records"], asked_after, cursor)
                    yield Page(tuple(map(self._table.record, page["records"])), cursor.text())
                if page["done"]:
                    if not cursor.until:
                        return
                    cursor = self._next_span(cursor)
                    break
                answer = self._api.connection.get(page["nextRecordsUrl"], accept=(400, 404))
            # the cursor is gone, as it is after two days or ten newer ones: a new query goes on after the last record
        raise self._api.refused(answer, text("the further pages of {name}", name=self._table.name))

    def _shorter(self, cursor: Cursor, answer: httpx.Response) -> Cursor:
        """The first half of the span that was refused as too much; what cannot be halved is refused for good."""
        refused = self._api.refused(answer, text("reading {name}", name=self._table.name))
        if not any(each.code in _TOO_MUCH for each in refusals_of(answer)):
            raise refused
        begins = moment(cursor.at) if cursor.at else self._since or _LONG_AGO
        ends = moment(cursor.until) if cursor.until else self._api.clock() + _MINUTE
        half = (ends - begins) / 2
        if half < _SHORTEST_SPAN:
            raise CRMObjectError(
                text(
                    "{refused}. Give the connected user the right View All Data, or View All on {name}, and sync again",
                    refused=str(refused),
                    name=self._table.name,
                )
            )
        return replace(cursor, until=literal(begins + half), days=half / pd.Timedelta("1D"))

    def _next_span(self, cursor: Cursor) -> Cursor:
        """The span after one that was read, twice as long: where there was little there may be little more."""
        begins = moment(cursor.until)
        ends = begins + 2 * pd.Timedelta(days=cursor.days)
        is_last = ends > self._api.clock() + _MINUTE
        after = replace(cursor, at=literal(begins), record_id=_NO_ID, days=2 * cursor.days)
        return replace(after, until="" if is_last else literal(ends))

    def _after(self, rows: list[dict[str, Any]], asked_after: str, cursor: Cursor) -> Cursor:
        """Where to go on after rows.

        A row that changed between the query and the page it came with has left its place in the order.
        """
        for row in reversed(rows):
            stamp = literal(moment(row[self._table.stamp]))
            if stamp < asked_after:
                return replace(cursor, at=stamp, record_id=row["Id"])
        return cursor

    def _by_job(self, cursor: Cursor) -> Generator[Page, None, bool]:
        """By a bulk job; False where the object cannot be read that way."""
        start = Cursor(bulk=True)
        for _ in range(_JOBS):
            if not cursor.job:
                job = create_job(self._api, self._soql(start))
                if job is None:
                    return False
                cursor = replace(start, job=job)
                # a kill while the job is under way does not start another
                yield Page((), cursor.text())
            try:
                wait_for(self._api, cursor.job)
                for rows, locator in results(self._api, cursor.job, cursor.locator):
                    cursor = replace(cursor, locator=locator, over=not locator)
                    yield Page(tuple(map(self._table.record, rows)), cursor.text())
            except JobGoneError:
                cursor = start
                continue
            except JobTooLargeError:
                return False
            delete_job(self._api, cursor.job)
            return True
        raise CRMError(
            text(
                "Salesforce's bulk jobs on {name} vanish before they are read; see Setup > Bulk Data Load "
                "Jobs, or raise crm.salesforce.bulk_from_rows so that plain queries are used",
                name=self._table.name,
            )
        )

    def _removals(self, cursor: Cursor) -> Iterator[Page]:
        """Records that vanished since the last reading: by Salesforce's list of them, or by the ids that are left.

        The list reaches back some days only, as deleted rows do: after a longer time nothing else tells of them.
        """
        if self._since is None or self._table.name in _NEVER_REMOVED:
            return
        now = self._api.clock()
        if self._since < now - pd.Timedelta(days=_LISTED_DAYS) + _MINUTE:
            yield self._remaining(cursor)
            return
        if self._table.name not in _VANISHING or not self._table.lists_removals:
            return
        start, end = self._since.floor("min"), now.ceil("min") + _MINUTE
        path = f"sobjects/{self._table.name}/deleted/"
        params = {name: f"{time:%Y-%m-%dT%H:%M:%S}+00:00" for name, time in (("start", start), ("end", end))}
        answer = self._api.get(path, params=params, accept=(400,))
        if answer.status_code == 400:
            refused = self._api.refused(answer, text("the list of removals from {name}", name=self._table.name))
            if not {each.code for each in refusals_of(answer)} & _NO_LIST:
                raise refused
            yield self._remaining(cursor)
            return
        listed = answer.json()
        earliest = listed.get("earliestDateAvailable")
        if earliest and moment(earliest) > self._since:
            yield self._remaining(cursor)
            return
        removed = [(each["id"], moment(each["deletedDate"])) for each in listed["deletedRecords"]]
        if removed:
            yield Page(tuple(RawRecord(each, {}, when, deleted=True) for each, when in removed), cursor.text())

    def _remaining(self, cursor: Cursor) -> Page:
        """The ids of all records that there are."""
        there = " WHERE IsDeleted = false" if "IsDeleted" in self._table.fields else ""
        rows = self._api.rows(f"SELECT Id FROM {self._table.name}{there}", all_rows=True)  # archived activities too
        ids = frozenset(row["Id"] for row in rows)
        return Page((), cursor.text(), existing=ids)


def open_again(api: SalesforceAPI, table: Table, resume: str) -> Iterator[Page]:
    """Open deals as they are now, whether they changed or not.

    Parameters
    ----------
    api : SalesforceAPI
    table : Table
    resume : str
        Where the reading stands, which these pages do not bring on.
    """
    soql = f"SELECT {', '.join(table.fields)} FROM {table.name} WHERE IsClosed = false"
    rows = api.rows(soql)
    while page := tuple(map(table.record, itertools.islice(rows, _ROWS_A_PAGE))):
        yield Page(page, resume)


def _where(bounds: list[str]) -> str:
    return f" WHERE {' AND '.join(bounds)}" if bounds else ""
