"""Reading objects of Zoho CRM page by page, and where to go on."""

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import pandas as pd

from winpredict.connectors.base import Page, RawRecord
from winpredict.connectors.zoho.api import FIELDS, Payload, ZohoAPI, ZohoRefusalError, parts
from winpredict.connectors.zoho.objects import DEALS, deleted_record, moment
from winpredict.errors import CRMError, CRMSignInError
from winpredict.locale.text import text

_log = logging.getLogger(__name__)
#: Deals whose related lists make a page.
_DEALS_A_PAGE = 25
#: Refusals of a page that a new list from the last record on gets around: tokens end after a while and 100,000 records.
_BEYOND_PAGING = ("EXPIRED_VALUE", "TOKEN_BOUND_DATA_MISMATCH", "PAGINATION_LIMIT_EXCEEDED")
#: After so many of them in a row something else is wrong.
_MAX_FAILURES = 3
#: Refusals of a list that a module does not have.
_NO_SUCH_LIST = ("INVALID_MODULE", "NOT_SUPPORTED", "INVALID_URL_PATTERN", "INVALID_REQUEST")
#: Of a list that the layout of one deal hides, and that of another may show.
_HIDDEN_LIST = "INVALID_DATA"
#: What is read, see `Cursor`.
RECORDS, DELETED, BY_DEAL, END = "records", "deleted", "by deal", "end"

#: The records of one deal, given its id and when it was last changed.
OfDeal = Callable[[str, pd.Timestamp], Iterable[RawRecord]]


@dataclass(frozen=True)
class Cursor:
    """How far a reading went.

    Parameters
    ----------
    phase : str
        What is read: `RECORDS`, `DELETED` ones, lists `BY_DEAL`; or the `END`.
    since : str
        Records changed at or after this moment are listed; empty for all.
    token : str
        The page of this list that comes next; empty for the first.
    mark : str
        The latest change that was read.
    page : int
        Of the deleted records.
    done : tuple of str
        Of the page that comes next, the deals that were read already.
    """

    phase: str
    since: str = ""
    token: str = ""
    mark: str = ""
    page: int = 1
    done: tuple[str, ...] = ()

    @classmethod
    def of(cls, resume: str) -> "Cursor":
        """Read `Cursor.resume` back."""
        payload = json.loads(resume)
        return cls(**{**payload, "done": tuple(payload["done"])})

    @property
    def resume(self) -> str:
        """As text."""
        return json.dumps(asdict(self))


def start(phase: str, since: pd.Timestamp | None) -> Cursor:
    """The beginning of a reading."""
    return Cursor(phase, since="" if since is None else since.isoformat())


def listed(
    api: ZohoAPI, module: str, fields: Sequence[str], cursor: Cursor
) -> Iterator[tuple[list[Payload], Cursor, bool]]:
    """Pages of a module's records, the place after each, and whether it is the last.

    More fields than a request takes come by further requests, joined by id.
    """
    first, *others = parts(fields, FIELDS)
    last, failures = False, 0
    while not last:
        try:
            rows, info = api.records(module, first, since=_stamp(cursor.since), token=cursor.token)
        except ZohoRefusalError as error:
            failures += 1
            if error.code not in _BEYOND_PAGING or not cursor.token or failures > _MAX_FAILURES:
                raise
            cursor = _anew(module, cursor, advancing=error.code == "PAGINATION_LIMIT_EXCEEDED")
            continue
        failures = 0
        if others and rows:
            more = api.by_ids(module, [str(each["id"]) for each in rows], [name for names in others for name in names])
            rows = [{**more.get(str(each["id"]), {}), **each} for each in rows]
        mark = max([cursor.mark, *(_changed(each).isoformat() for each in rows)])
        last, token = not info.get("more_records"), str(info.get("next_page_token") or "")
        cursor = replace(cursor, token="" if last else token, mark=mark, done=())
        if not last and not token:  # 100,000 records came, and there are more
            cursor = _anew(module, cursor, advancing=True)
        yield rows, cursor, last


def read_module(
    api: ZohoAPI,
    module: str,
    fields: Sequence[str],
    cursor: Cursor,
    since: pd.Timestamp | None,
    record: Callable[[Payload], RawRecord],
) -> Iterator[Page]:
    """A module's records, then those that were deleted since."""
    if cursor.phase == RECORDS:
        for rows, after, last in listed(api, module, fields, cursor):
            cursor = replace(after, phase=DELETED) if last else after
            yield Page(tuple(map(record, rows)), cursor.resume)
    if cursor.phase == DELETED and since is not None:
        yield from _deleted(api, module, cursor, since)


def read_by_deal(api: ZohoAPI, cursor: Cursor, of_deal: OfDeal) -> Iterator[Page]:
    """What hangs on each deal that was changed since."""
    if cursor.phase != BY_DEAL:
        return
    before = cursor
    for rows, after, last in listed(api, DEALS, ("Modified_Time",), cursor):
        after = replace(after, phase=END) if last else after
        known = set(before.done)
        deals = [each for each in rows if str(each["id"]) not in known]
        for start in range(0, len(deals), _DEALS_A_PAGE):
            group = deals[start : start + _DEALS_A_PAGE]
            records = [found for deal in group for found in _of_deal(api, deal, of_deal)]
            known |= {str(deal["id"]) for deal in group}
            done = start + _DEALS_A_PAGE >= len(deals)
            yield Page(tuple(records), (after if done else replace(before, done=tuple(sorted(known)))).resume)
        before = after


def refused(error: CRMError) -> bool:
    """Whether an error says that there is no such list, or that it may not be read."""
    return isinstance(error, CRMSignInError) or (isinstance(error, ZohoRefusalError) and error.code in _NO_SUCH_LIST)


def _of_deal(api: ZohoAPI, deal: Payload, of_deal: OfDeal) -> list[RawRecord]:
    deal_id = str(deal["id"])
    try:
        return list(of_deal(deal_id, _changed(deal)))
    except ZohoRefusalError as error:
        if not api.by_ids(DEALS, [deal_id], ["Modified_Time"]):
            return []  # deleted since it was listed
        if error.code != _HIDDEN_LIST:
            raise
        _log.warning("%s; the layout of this deal hides the list, so nothing of it is read", error)
        return []


def _deleted(api: ZohoAPI, module: str, cursor: Cursor, since: pd.Timestamp) -> Iterator[Page]:
    more = True
    while more:
        try:
            rows, more = api.deleted(module, since, cursor.page)
        except ZohoRefusalError as error:
            if refused(error):
                return  # some modules keep no list of what was deleted
            raise
        cursor = replace(cursor, page=cursor.page + 1)
        if rows:
            yield Page(tuple(map(deleted_record, rows)), cursor.resume)


def _anew(module: str, cursor: Cursor, *, advancing: bool) -> Cursor:
    """The list from the last record on."""
    if advancing and cursor.mark == cursor.since:
        raise CRMError(
            text(
                "Zoho lists more {module} that were changed in the same second ({mark}) than it gives out, so "
                "that they cannot all be read; change some of them, or import an export of them",
                module=module,
                mark=cursor.mark,
            )
        )
    return replace(cursor, since=cursor.mark or cursor.since, token="", done=())


def _changed(record: Payload) -> pd.Timestamp:
    return moment(str(record["Modified_Time"]))


def _stamp(text: str) -> pd.Timestamp | None:
    return pd.Timestamp(text) if text else None
