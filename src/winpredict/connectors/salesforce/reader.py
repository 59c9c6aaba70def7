"""One reading of one Salesforce object: by plain queries or by a bulk job, and to be gone on with after a kill."""

import json
import logging
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import pandas as pd
from simple_salesforce.format import format_soql

from winpredict.connectors.base import Page, RawRecord
from winpredict.connectors.salesforce.api import SalesforceAPI, refusals_of
from winpredict.connectors.salesforce.bulk import JobGoneError, create_job, delete_job, results, wait_for
from winpredict.connectors.salesforce.objects import TEAM, Table, literal, moment
from winpredict.errors import CRMError
from winpredict.locale.text import text

_log = logging.getLogger(__name__)
#: Queries travel in the address, which is 16 KB at most with everything else; the Bulk API gets them in the body.
_LONGEST_QUERY = 12_000
#: Records that may vanish without leaving a deleted row behind; only a list of removals tells of them.
_VANISHING = (TEAM, "OpportunityContactRole", "OpportunityLineItem")
#: How far back that list may be asked for.
_LISTED_DAYS = 30
#: So many jobs are made for one reading, where they vanish.
_JOBS = 3
_SECOND, _MINUTE = pd.Timedelta("1s"), pd.Timedelta("1min")


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
            yield from self._by_queries(cursor)

    def _is_large(self) -> bool:
        soql = f"SELECT COUNT() FROM {self._table.name}{_where(self._bounds(Cursor()))}"
        answer = self._api.get("queryAll", params={"q": soql}, accept=(400,))
        if answer.status_code != 400:
            return bool(answer.json()["totalSize"] >= self._api.settings.bulk_from_rows)
        if any(each.code == "QUERY_TIMEOUT" for each in refusals_of(answer)):
            return True
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
                raise self._api.refused(answer, text("reading {name}", name=self._table.name))
            while answer.status_code < 400:
                page = answer.json()
                if page["records"]:
                    cursor = self._after(page["records"], asked_after, cursor)
                    yield Page(tuple(map(self._table.record, page["records"])), cursor.text())
                if page["done"]:
                    return
                answer = self._api.connection.get(page["nextRecordsUrl"], accept=(400, 404))
            # the cursor is gone, as it is after two days or ten newer ones: a new query goes on after the last record
        raise self._api.refused(answer, text("the further pages of {name}", name=self._table.name))

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
        """Records that vanished since the last reading, where Salesforce lists them."""
        if self._since is None or self._table.name not in _VANISHING or not self._table.lists_removals:
            return
        now = self._api.clock()
        earliest = (now - pd.Timedelta(days=_LISTED_DAYS)).ceil("min") + _MINUTE
        start, end = max(self._since, earliest).floor("min"), now.ceil("min") + _MINUTE
        if self._since < earliest and self._table.name == TEAM:
            _log.warning(
                "Salesforce lists removals of the last %s days only: of those from %s between %s and %s it tells "
                "nothing. If no sync ran in these days, run `winpredict sync salesforce --full`",
                _LISTED_DAYS,
                self._table.name,
                f"{self._since:%Y-%m-%d %H:%M}",
                f"{start:%Y-%m-%d %H:%M}",
            )
        path = f"sobjects/{self._table.name}/deleted/"
        params = {name: f"{time:%Y-%m-%dT%H:%M:%S}+00:00" for name, time in (("start", start), ("end", end))}
        answer = self._api.get(path, params=params, accept=(400,))
        if answer.status_code == 400:
            refused = self._api.refused(answer, text("the list of removals from {name}", name=self._table.name))
            if any(each.code == "INVALID_REPLICATION_DATE" for each in refusals_of(answer)):
                _log.warning("%s; removals since %s stay unknown", refused, f"{self._since:%Y-%m-%d %H:%M}")
                return
            raise refused
        removed = [(each["id"], moment(each["deletedDate"])) for each in answer.json()["deletedRecords"]]
        if removed:
            yield Page(tuple(RawRecord(each, {}, when, deleted=True) for each, when in removed), cursor.text())


def _where(bounds: list[str]) -> str:
    return f" WHERE {' AND '.join(bounds)}" if bounds else ""
