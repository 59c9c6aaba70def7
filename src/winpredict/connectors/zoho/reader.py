"""Reading objects of Zoho CRM page by page, and where to go on."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import pandas as pd

from winpredict.connectors.base import Page, RawRecord
from winpredict.connectors.zoho.api import FIELDS, Payload, ZohoAPI, ZohoRefusalError, endless, parts
from winpredict.connectors.zoho.objects import DEALS, deleted_record, moment
from winpredict.errors import CRMError, CRMLimitError, CRMSignInError
from winpredict.locale.text import said, text

#: Deals whose related lists make a page.
_DEALS_A_PAGE = 25
#: Refusals of a page that a new list from the last record on gets around: tokens end after a while and 100,000 records.
_BEYOND_PAGING = ("EXPIRED_VALUE", "TOKEN_BOUND_DATA_MISMATCH", "PAGINATION_LIMIT_EXCEEDED")
#: After so many of them in a row something else is wrong.
_MAX_FAILURES = 3
#: Refusals of a list that a module does not have.
_NO_SUCH_LIST = ("INVALID_MODULE", "NOT_SUPPORTED", "INVALID_URL_PATTERN", "INVALID_REQUEST")
#: Of a list that the layout of a deal hides; other layouts may show it.
_HIDDEN_LIST, _LIST_PLACE, _DEAL_PLACE = "INVALID_DATA", 2, 1
#: What is read, see `Cursor`.
RECORDS, DELETED, AGAIN, BY_DEAL, END = "records", "deleted", "again", "by deal", "end"
#: Of a deal, what is asked for before its lists are: when it was changed, and which layout may hide them.
OF_DEALS = ("Created_Time", "Modified_Time", "Layout")

#: The records of one deal, given what `OF_DEALS` names.
OfDeal = Callable[[Payload], Iterable[RawRecord]]


@dataclass(frozen=True)
class Cursor:
    """How far a reading went.

    Parameters
    ----------
    phase : str
        What is read: `RECORDS`, `DELETED` ones, those that change unseen `AGAIN`, lists `BY_DEAL`; or the `END`.
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
    asked : int
        Deals whose lists were read so far.
    lacking : int
        Of these, how many do not show the list.
    layouts : dict of str to str
        The layouts that hide it: names by id.
    """

    phase: str
    since: str = ""
    token: str = ""
    mark: str = ""
    page: int = 1
    done: tuple[str, ...] = ()
    asked: int = 0
    lacking: int = 0
    layouts: Mapping[str, str] = field(default_factory=dict)

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
            if not _is_about_paging(error, cursor) or failures > _MAX_FAILURES:
                raise
            cursor = _anew(module, cursor, advancing=error.code == "PAGINATION_LIMIT_EXCEEDED")
            continue
        failures = 0
        rows = _with_others(api, module, rows, others)
        mark = max([cursor.mark, *(_changed(each).isoformat() for each in rows)])
        last, token = not info.get("more_records"), str(info.get("next_page_token") or "")
        cursor = replace(cursor, token="" if last else token, mark=mark, done=())
        if not last and not token:  # 100,000 records came, and there are more: never the end
            cursor = _anew(module, cursor, advancing=True)
        yield rows, cursor, last


def read_module(
    api: ZohoAPI,
    module: str,
    fields: Sequence[str],
    cursor: Cursor,
    since: pd.Timestamp | None,
    record: Callable[[Payload], RawRecord],
    again: Callable[[Payload], bool] | None = None,
) -> Iterator[Page]:
    """A module's records, then those that were deleted since, then those that change without a stamp.

    `again` chooses the latter: they are read at each increment, whether they were changed or not.
    """
    if cursor.phase == RECORDS:
        for rows, after, last in listed(api, module, fields, cursor):
            cursor = replace(after, phase=DELETED) if last else after
            yield Page(tuple(map(record, rows)), cursor.resume)
    if since is None:
        return
    if cursor.phase == DELETED:
        yield from _deleted(api, module, cursor, since)
        cursor = Cursor(AGAIN)
    if cursor.phase == AGAIN and again is not None:
        yield from _again(api, module, fields, cursor, record, again)


def read_by_deal(
    api: ZohoAPI, name: str, cursor: Cursor, of_deal: OfDeal, left: Callable[[int], str]
) -> Iterator[Page]:
    """What hangs on each deal that was changed since; deals whose layout hides the list are passed over, and told.

    `left` says, after so many deals, what is left to be read when the CRM's limit stops the reading.
    """
    if cursor.phase != BY_DEAL:
        return
    before = cursor
    for rows, after, last in listed(api, DEALS, OF_DEALS, cursor):
        after = replace(after, phase=END) if last else after
        known = set(before.done)
        deals = [each for each in rows if str(each["id"]) not in known]
        progress = before
        for start in range(0, len(deals), _DEALS_A_PAGE):
            group = deals[start : start + _DEALS_A_PAGE]
            records: list[RawRecord] = []
            for deal in group:
                try:
                    found, progress = _of_deal(api, deal, of_deal, progress)
                except CRMLimitError as error:
                    words = left(progress.asked)
                    raise CRMLimitError(
                        text("{error}. {left}", error=error, left=words) if words else str(error)
                    ) from None
                records += found
            known |= {str(deal["id"]) for deal in group}
            done = start + _DEALS_A_PAGE >= len(deals)
            place = after if done else replace(before, done=tuple(sorted(known)))
            place = replace(place, asked=progress.asked, lacking=progress.lacking, layouts=progress.layouts)
            yield Page(tuple(records), place.resume, lacking=_told(name, place))
        before = replace(after, asked=progress.asked, lacking=progress.lacking, layouts=progress.layouts)


def refused(error: CRMError) -> bool:
    """Whether an error says that there is no such list, or that it may not be read."""
    return isinstance(error, CRMSignInError) or (isinstance(error, ZohoRefusalError) and error.code in _NO_SUCH_LIST)


def is_hidden(error: CRMError) -> bool:
    """Whether an error says that a deal's layout hides the list that was asked for."""
    return isinstance(error, ZohoRefusalError) and error.code == _HIDDEN_LIST and error.place == _LIST_PLACE


def layout_of(deal: Payload) -> str:
    """The id of a deal's layout; empty where it is not told."""
    return str(_layout(deal).get("id") or "")


def _layout(deal: Payload) -> Payload:
    layout = deal.get("Layout") or deal.get("$layout_id")
    return layout if isinstance(layout, dict) else {}


def _of_deal(api: ZohoAPI, deal: Payload, of_deal: OfDeal, progress: Cursor) -> tuple[list[RawRecord], Cursor]:
    """The records of a deal, and how far the reading is after it."""
    layout_id = layout_of(deal)
    if layout_id and layout_id in progress.layouts:
        return [], replace(progress, asked=progress.asked + 1, lacking=progress.lacking + 1)
    try:
        return list(of_deal(deal)), replace(progress, asked=progress.asked + 1)
    except ZohoRefusalError as error:
        if error.code != _HIDDEN_LIST or error.place == _DEAL_PLACE:
            if api.by_ids(DEALS, [str(deal["id"])], ["Modified_Time"]):
                raise
            return [], progress  # deleted since it was listed
        if error.place is None and not api.by_ids(DEALS, [str(deal["id"])], ["Modified_Time"]):
            return [], progress
        hiding = {layout_id: _layout(deal).get("name") or layout_id} if layout_id else {}
        return [], replace(
            progress,
            asked=progress.asked + 1,
            lacking=progress.lacking + 1,
            layouts={**progress.layouts, **hiding},
        )


def _told(name: str, place: Cursor) -> str:
    """How many deals do not show a list, and what would mend it."""
    if not place.lacking:
        return ""
    facts = {"lacking": place.lacking, "asked": place.asked, "name": name}
    if not place.layouts:
        return said(
            "{lacking:count} of {asked:count} deals do not show {name}: add this related list to their layouts "
            "(Setup > Customization > Modules and Fields > Deals), then read everything again with --full",
            **facts,
        )
    return said(
        "{lacking:count} of {asked:count} deals do not show {name}: add this related list to the layouts "
        "{layouts:listed} (Setup > Customization > Modules and Fields > Deals), then read everything again with --full",
        layouts=sorted(place.layouts.values()),
        **facts,
    )


def _again(
    api: ZohoAPI,
    module: str,
    fields: Sequence[str],
    cursor: Cursor,
    record: Callable[[Payload], RawRecord],
    wanted: Callable[[Payload], bool],
) -> Iterator[Page]:
    """Records that change without a stamp, whatever was changed."""
    first, *others = parts(fields, FIELDS)
    more = True
    while more:
        try:
            rows, info = api.records(module, first, token=cursor.token, sort_by="id")
        except ZohoRefusalError as error:
            if not _is_about_paging(error, cursor):
                raise
            cursor = Cursor(AGAIN)  # a token that ended: from the start
            continue
        chosen = _with_others(api, module, [each for each in rows if wanted(each)], others)
        more, token = bool(info.get("more_records")), str(info.get("next_page_token") or "")
        if more and not token:
            raise endless(module)
        cursor = replace(cursor, phase=AGAIN if more else END, token=token if more else "")
        yield Page(tuple(map(record, chosen)), cursor.resume)


def _with_others(api: ZohoAPI, module: str, rows: list[Payload], others: Sequence[Sequence[str]]) -> list[Payload]:
    """Records with the fields that one request did not take."""
    if not others or not rows:
        return rows
    more = api.by_ids(module, [str(each["id"]) for each in rows], [name for names in others for name in names])
    return [{**more.get(str(each["id"]), {}), **each} for each in rows]


def _is_about_paging(error: ZohoRefusalError, cursor: Cursor) -> bool:
    """Whether a refusal is of the page's token, which another list gets around."""
    return bool(cursor.token) and (error.code in _BEYOND_PAGING or error.code == _HIDDEN_LIST)


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
    if advancing and not cursor.mark:
        raise endless(module)
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
