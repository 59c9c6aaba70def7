"""What Zoho's stand-in answers to reading requests."""

import secrets
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from winpredict_sandbox.records import Record
from winpredict_sandbox.zoho.company import ZohoCompany
from winpredict_sandbox.zoho.rate_limiter import RefusedError
from winpredict_sandbox.zoho.settings import ADMINISTRATOR, LAYOUTS, PROFILES
from winpredict_sandbox.zoho.stamps import is_moment
from winpredict_sandbox.zoho.world import DEALS, STAGES, STAYS, TOUCHES, stamp

Values = dict[str, Any]
Params = Mapping[str, str]

_FIELDS, _IDS, _LONGEST_PAGE = 50, 100, 200
_STAMPS = ("Created_Time", "Modified_Time")
_SORTS = ("id", *_STAMPS)
#: Stages that an organisation keeps though no deal of the simulated world was ever in them.
_LOST_TO_COMPETITION = ("Closed Lost to Competition", 0)
#: A stage whose name was shortened when it was made: records hold it so, people see the other.
SHORTENED = {"Id. Decision Makers": "Identify Decision Makers"}


@dataclass
class Limits:
    """How far lists go; tests lower them.

    Parameters
    ----------
    by_page : int
        Most records without a page token.
    by_token : int
        Most records with page tokens.
    token_lasts : Timedelta
        How long a page token is good for.
    related : int
        Records of a related list, or entries of a timeline, that come at a time.
    """

    by_page: int = 2000
    by_token: int = 100_000
    token_lasts: pd.Timedelta = field(default_factory=lambda: pd.Timedelta("24h"))
    related: int = 200


@dataclass(frozen=True)
class _Token:
    asked: tuple[Any, ...]
    after: tuple[Any, ...]
    page: int
    ends: pd.Timestamp


class Reads:
    """Lists of records, related lists, timelines and settings.

    Parameters
    ----------
    company : ZohoCompany
    limits : Limits
    definitions : dict of str to dict
        Fields of each module.

    Attributes
    ----------
    hidden : set of tuple
        Module and field that the profile of the user hides.
    hidden_lists : set of tuple
        Layout of deals, by its id, and related list that it does not show.
    layout_of : dict of str to str
        The layout of a deal that has another than the usual one.
    formulas : dict of str to callable
        What a calculated field of deals gives for a record.
    profile : str
        The id of the user's profile.
    """

    def __init__(self, company: ZohoCompany, limits: Limits, definitions: Mapping[str, Mapping[str, Values]]) -> None:
        self._company, self._limits, self._definitions = company, limits, definitions
        self.hidden: set[tuple[str, str]] = set()
        self.hidden_lists: set[tuple[str, str]] = set()
        self.layout_of: dict[str, str] = {}
        self.formulas: dict[str, Callable[[Record], Any]] = {}
        self.profile = ADMINISTRATOR
        self._tokens: dict[str, _Token] = {}
        self._sorted: dict[tuple[str, str], tuple[int, list[Record], list[tuple[Any, ...]]]] = {}

    def records(self, module: str, params: Params, since: str | None) -> Values | None:
        """A page of a module; None for nothing."""
        fields = _asked_fields(params)
        if "ids" in params:
            return self._by_ids(module, params["ids"].split(","), fields)
        sort_by, order = params.get("sort_by", "id"), params.get("sort_order", "desc")
        if sort_by not in _SORTS or order not in ("asc", "desc"):
            raise RefusedError(400, "INVALID_DATA", "invalid data", param_name="sort_by")
        per_page = _page_size(params)
        asked = (module, tuple(fields), sort_by, order, since, per_page)
        rows, keys = self._in_order(module, sort_by)
        start, page, token = 0, int(params.get("page", "1")), params.get("page_token")
        if token is not None:
            known = self._token(token, asked)
            page = known.page
            if (page - 1) * per_page >= self._limits.by_token:
                raise RefusedError(400, "PAGINATION_LIMIT_EXCEEDED", param_name="page_token")
            start = bisect_right(keys, known.after) if order == "asc" else (page - 1) * per_page
        elif page * per_page > max(self._limits.by_page, per_page):
            raise RefusedError(400, "DISCRETE_PAGINATION_LIMIT_EXCEEDED", limit=self._limits.by_page)
        else:
            start = (page - 1) * per_page
        chosen = rows if order == "asc" else rows[::-1]
        if since is not None:
            moment = _moment(since)
            if sort_by == "Modified_Time" and order == "asc":
                start = max(start, bisect_right(keys, (_second(moment), "￿")))
            else:
                chosen = [each for each in chosen if _second(each.modified_at) > moment]
        found = chosen[start : start + per_page]
        more = start + per_page < len(chosen)
        if not found:
            return None
        info = {"per_page": per_page, "count": len(found), "page": page, "sort_by": sort_by, "sort_order": order}
        next_token = self._new_token(asked, _key(found[-1], sort_by), page + 1) if more else None
        ends = stamp(self._company.now + self._limits.token_lasts) if more else None
        tokens = {"next_page_token": next_token, "previous_page_token": None, "page_token_expiry": ends}
        return {
            "data": [self._shown(module, each, fields) for each in found],
            "info": info | tokens | {"more_records": more},
        }

    def count(self, module: str) -> Values:
        """How many records a module has."""
        return {"count": len(self._company.records.live(module))}

    def deleted(self, module: str, params: Params, since: str | None) -> Values | None:
        """A page of what was deleted, the latest first."""
        if params.get("type", "all") not in ("all", "recycle", "permanent"):
            raise RefusedError(400, "PATTERN_NOT_MATCHED", param_name="type")
        after = None if since is None else _moment(since)
        gone = [each for each in self._company.records.all(module) if each.deleted_at is not None]
        if after is not None:
            gone = [each for each in gone if _second(each.modified_at) > after]
        rows = [
            {
                "id": each.record_id,
                "deleted_time": stamp(each.modified_at),
                "type": "permanent" if each.merged_into else "recycle",
                "display_name": None if each.merged_into else "gone",
                "deleted_by": None,
                "created_by": None,
            }
            for each in reversed(gone)
        ]
        return _paged(rows, params, "data")

    def stays(self, deal_id: str, params: Params) -> Values | None:
        """The stages of a deal, the present one first."""
        fields = _asked_fields(params)
        self._deal(deal_id, "Stage_History")
        rows = [each for each in self._company.records.live(STAYS) if each.values["Potential_Name"]["id"] == deal_id]
        return _paged(
            [self._shown(STAYS, each, fields) for each in reversed(rows)], params, "data", self._limits.related
        )

    def contact_roles(self, deal_id: str, params: Params) -> Values | None:
        """The contacts of a deal; nothing says since when."""
        fields = _asked_fields(params)
        self._deal(deal_id, "Contact_Roles")
        rows = [
            {"id": contact, **({"Contact_Role": {"name": role, "id": "1"}} if "Contact_Role" in fields else {})}
            for contact, (role, _) in self._company.roles.get(deal_id, {}).items()
        ]
        return _paged(rows, params, "data", self._limits.related)

    def timeline(self, deal_id: str, params: Params) -> Values | None:
        """What happened to a deal, the latest first unless asked otherwise."""
        self._deal(deal_id, "__timeline")
        token = params.get("page_token")
        if token is not None and "per_page" in params:
            raise RefusedError(400, "INVALID_DATA", "per_page cannot be given with page_token", param_name="per_page")
        entries = self._company.timelines.get(deal_id, [])
        told = [{**each, "audited_time": stamp(each["audited_time"])} for each in entries]
        if params.get("sort_order", "desc") == "desc":
            told.reverse()
        asked = ("__timeline", deal_id, params.get("sort_order"))
        known = None if token is None else self._token(token, asked)
        start, per_page = known.after if known else (0, _page_size(params, self._limits.related))
        found = told[start : start + per_page]
        if not found:
            return None
        more = start + per_page < len(told)
        next_token = self._new_token(asked, (start + per_page, per_page), 2) if more else None
        info = {"count": len(found), "more_records": more, "per_page": per_page, "page": known.page if known else 1}
        return {"__timeline": found, "info": info | {"next_page_token": next_token, "previous_page_token": None}}

    def users(self, params: Params) -> Values | None:
        """Everybody, or the one who asks."""
        profile = {"name": PROFILES[self.profile], "id": self.profile}
        rows = [
            {
                **each.values,
                "id": each.record_id,
                "profile": profile,
                "created_time": stamp(each.created_at),
                "Modified_Time": stamp(each.modified_at),
            }
            for each in self._company.records.live("Users")
        ]
        return _paged(rows[:1] if params.get("type") == "CurrentUser" else rows, params, "users")

    def pipelines(self) -> Values:
        """The one pipeline."""
        maps = [
            {
                "display_value": SHORTENED.get(name, name),
                "actual_value": name,
                "sequence_number": number,
                "forecast_type": "Open" if 0 < chance < 100 else "Closed Won" if chance else "Closed Lost",
                "forecast_category": {"name": "Pipeline", "id": "1"},
                "id": f"{number}",
            }
            for number, (name, chance) in enumerate(_all_stages(), start=1)
        ]
        standard = {"display_value": "Standard", "actual_value": "Standard", "default": True, "id": "7"}
        return {"pipeline": [{**standard, "child_available": False, "parent": None, "maps": maps[::-1]}]}

    def layouts(self) -> Values:
        """The layouts of deals."""
        return {
            "layouts": [
                {"id": key, "name": name, "display_label": name, "visible": True, "status": "active", "sections": []}
                for key, name in LAYOUTS.items()
            ]
        }

    def fields(self, module: str) -> Values:
        """Fields of a module, without those that are hidden from the user."""
        known = self._definitions[module]
        return {"fields": [each for name, each in known.items() if (module, name) not in self.hidden]}

    def _by_ids(self, module: str, ids: Sequence[str], fields: Sequence[str]) -> Values | None:
        if len(ids) > _IDS:
            raise RefusedError(400, "LIMIT_EXCEEDED", limit=_IDS, param_name="ids")
        found = [self._company.records.get(module, each) for each in ids]
        rows = [self._shown(module, each, fields) for each in found if each is not None and each.deleted_at is None]
        return {"data": rows, "info": {"more_records": False, "next_page_token": None}} if rows else None

    def _in_order(self, module: str, sort_by: str) -> tuple[list[Record], list[tuple[Any, ...]]]:
        """Live records of a module with their keys; sorted anew only after something happened."""
        revision, known = self._company.revision, self._sorted.get((module, sort_by))
        if known is None or known[0] != revision:
            rows = sorted(self._company.records.live(module), key=lambda each: _key(each, sort_by))
            known = self._sorted[module, sort_by] = (revision, rows, [_key(each, sort_by) for each in rows])
        return known[1], known[2]

    def layout(self, deal_id: str) -> Values:
        """The layout of a deal."""
        key = self.layout_of.get(deal_id, next(iter(LAYOUTS)))
        return {"name": LAYOUTS[key], "id": key}

    def calculated(self, record: Record) -> Values:
        """What the formulas give for a deal."""
        return {name: formula(record) for name, formula in self.formulas.items()}

    def _deal(self, deal_id: str, related: str) -> Record:
        deal = self._company.records.get(DEALS, deal_id)
        if deal is None or deal.deleted_at is not None:
            raise RefusedError(400, "INVALID_DATA", "the related id given seems to be invalid", resource_path_index=1)
        if (self.layout(deal_id)["id"], related) in self.hidden_lists:
            raise RefusedError(
                400, "INVALID_DATA", "the relation name given seems to be invalid", resource_path_index=2
            )
        return deal

    def _shown(self, module: str, record: Record, fields: Sequence[str]) -> Values:
        """The fields that were asked for; what a module does not have, or hides, is passed over in silence."""
        stamps = {"Created_Time": stamp(record.created_at), "Modified_Time": stamp(record.modified_at)}
        values = {**record.values, **stamps}
        if module == DEALS:
            values |= {"Layout": self.layout(record.record_id), **self.calculated(record)}
        shown = {name: values[name] for name in fields if name in values and (module, name) not in self.hidden}
        return {**shown, "id": record.record_id, "$zia_visions": None}

    def _token(self, token: str, asked: tuple[Any, ...]) -> _Token:
        known = self._tokens.get(token)
        if known is None or known.asked != asked:
            raise RefusedError(400, "TOKEN_BOUND_DATA_MISMATCH", param_name="page_token")
        if known.ends <= self._company.now:
            raise RefusedError(400, "EXPIRED_VALUE", "Page token expired", api_name="page_token")
        return known

    def _new_token(self, asked: tuple[Any, ...], after: tuple[Any, ...], page: int) -> str:
        token = secrets.token_hex(24)
        self._tokens[token] = _Token(asked, after, page, self._company.now + self._limits.token_lasts)
        return token


def modules() -> tuple[str, ...]:
    """Modules whose records may be listed."""
    return (DEALS, STAYS, *TOUCHES, "Accounts")


def _asked_fields(params: Params) -> list[str]:
    if not params.get("fields"):
        raise RefusedError(400, "REQUIRED_PARAM_MISSING", "required param is missing", param_name="fields")
    fields = [each.strip() for each in params["fields"].split(",")]
    if len(fields) > _FIELDS:
        raise RefusedError(400, "LIMIT_EXCEEDED", "limit exceeded", limit=_FIELDS, param_name="fields")
    return fields


def _page_size(params: Params, usual: int = _LONGEST_PAGE) -> int:
    size = int(params.get("per_page", usual))
    if not 1 <= size <= _LONGEST_PAGE:
        raise RefusedError(400, "INVALID_DATA", "invalid data", param_name="per_page")
    return size


def _paged(rows: Sequence[Values], params: Params, name: str, usual: int = _LONGEST_PAGE) -> Values | None:
    """A page by number; None for nothing."""
    size, page = _page_size(params, usual), int(params.get("page", "1"))
    found = list(rows[(page - 1) * size : page * size])
    info = {"per_page": size, "count": len(found), "page": page, "more_records": page * size < len(rows)}
    return {name: found, "info": info} if found else None


def _all_stages() -> list[tuple[str, int]]:
    names = [*STAGES.values(), _LOST_TO_COMPETITION]
    return [*names[:3], ("Id. Decision Makers", 60), *names[3:]]


def _moment(text: str) -> pd.Timestamp:
    """A moment of a header; anything else is refused."""
    if not is_moment(text):
        raise RefusedError(400, "INVALID_DATA", "invalid data", header_name="If-Modified-Since")
    return pd.Timestamp(text)


def _second(moment: pd.Timestamp) -> pd.Timestamp:
    return moment.floor("s")


def _key(record: Record, sort_by: str) -> tuple[Any, ...]:
    moments = {"Created_Time": record.created_at, "Modified_Time": record.modified_at}
    return (_second(moments[sort_by]), record.record_id) if sort_by in moments else (record.record_id,)
