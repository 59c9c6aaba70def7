"""Zoho CRM's endpoints: what goes into a request, what comes back, and which refusals mean what."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import httpx
import pandas as pd

from winpredict.connectors.http import Connection
from winpredict.connectors.zoho.auth import ABOUT_RIGHTS, code_of, mapping
from winpredict.errors import CRMError, CRMSignInError, CRMUncertainError
from winpredict.locale.text import said, text

#: Most fields in one request, most records asked for by id, most records of a related list.
FIELDS, IDS, LONGEST_PAGE = 50, 100, 200

Payload = dict[str, Any]
_Value = TypeVar("_Value")
_REFUSED = (400, 401, 403, 404)
_NOTHING = (204, 304)
#: Refusals of a token, not of what it was used for.
_NOT_SIGNED_IN = ("INVALID_TOKEN", "AUTHENTICATION_FAILURE", "INVALID_OAUTHTOKEN")
_SAID = 200


class ZohoRefusalError(CRMError):
    """Zoho refuses a request for a reason that `code` names, such as EXPIRED_VALUE.

    `place` is the part of the path that is not good, counted from 0 at the module; None where Zoho does not tell.
    """

    def __init__(self, message: str, code: str, place: int | None = None) -> None:
        super().__init__(message)
        self.code, self.place = code, place


class ZohoRightsError(CRMSignInError):
    """Zoho refuses one kind of request for want of a right or a scope."""


class ZohoAPI:
    """Requests to one organisation.

    Parameters
    ----------
    connection : Connection
    version : str
        Of the API, as in its paths.
    page_size : int
        Records a page.
    """

    def __init__(self, connection: Connection, version: str, page_size: int) -> None:
        self.connection, self._version, self.page_size = connection, version, page_size
        self._definitions: dict[str, dict[str, Payload]] = {}
        self._users: dict[str, Payload] | None = None
        self._organisation: Payload | None = None
        self._pipelines: list[Payload] | None = None

    def records(
        self,
        module: str,
        fields: Sequence[str],
        *,
        since: pd.Timestamp | None = None,
        token: str = "",
        sort_by: str = "Modified_Time",
    ) -> tuple[list[Payload], Payload]:
        """A page of a module's records, the least recently changed first, and what is said of the paging.

        Parameters
        ----------
        module : str
        fields : sequence of str
            At most `FIELDS`.
        since : Timestamp, optional
            Only records changed at or after this moment.
        token : str
            Of the page, as the one before told it; the other parameters must be the same then.
        sort_by : str
            Field of the order: id, Created_Time or Modified_Time.
        """
        params = {
            "fields": ",".join(fields),
            "per_page": str(self.page_size),
            "sort_by": sort_by,
            "sort_order": "asc",
        }
        params |= {"page_token": token} if token else {}
        return _page(self.get(module, _read(module), params=params, since=since), "data")

    def by_ids(self, module: str, ids: Sequence[str], fields: Sequence[str]) -> dict[str, Payload]:
        """Fields of records, by id; those that are gone are left out."""
        found: dict[str, Payload] = {}
        for some in parts(ids, IDS):
            for names in parts(fields, FIELDS):
                params = {"fields": ",".join(names), "ids": ",".join(some), "per_page": str(LONGEST_PAGE)}
                for record in _page(self.get(module, _read(module), params=params), "data")[0]:
                    found.setdefault(str(record["id"]), {}).update(record)
        return found

    def deleted(self, module: str, since: pd.Timestamp, page: int) -> tuple[list[Payload], bool]:
        """A page of the records deleted since a moment, for now or for good, and whether there are more."""
        params = {"type": "all", "page": str(page), "per_page": str(LONGEST_PAGE)}
        rows, info = _page(self.get(f"{module}/deleted", _read(module), params=params, since=since), "data")
        return rows, _goes_on(rows, info, f"{module}/deleted")

    def count(self, module: str) -> int:
        """How many records a module has."""
        return int(float(self.get(f"{module}/actions/count", _read(module)).get("count") or 0))

    def related(self, deal_id: str, related: str, fields: Sequence[str]) -> Iterator[Payload]:
        """The records of a related list of a deal."""
        # how many come at a time differs from list to list, and is left to Zoho
        path, page = f"Deals/{deal_id}/{related}", 1
        params = {"fields": ",".join(fields)}
        further: dict[str, str] = {}
        while True:
            rows, info = _page(self.get(path, _read("Deals"), params=params | further), "data")
            yield from rows
            if not _goes_on(rows, info, path):
                return
            page += 1
            # numbers end at 2,000 records
            token = str(info.get("next_page_token") or "")
            further = {"page_token": token} if token else {"page": str(page)}

    def timeline(self, deal_id: str) -> Iterator[tuple[list[Payload], bool]]:
        """What happened to a deal, the latest first: entries, and whether there are more."""
        path, params = f"Deals/{deal_id}/__timeline", {"sort_by": "audited_time", "sort_order": "desc"}
        more = True
        while more:
            rows, info = _page(self.get(path, _read("Deals"), params=params), "__timeline")
            more, token = _goes_on(rows, info, path), str(info.get("next_page_token") or "")
            if more and not token:
                raise endless(path)
            yield rows, more
            params = {**params, "page_token": token}

    def users(self) -> dict[str, Payload]:
        """Everybody who has or had an account in the organisation, by id."""
        if self._users is None:
            found: dict[str, Payload] = {}
            page, more = 1, True
            while more:
                params = {"type": "AllUsers", "page": str(page), "per_page": str(LONGEST_PAGE)}
                rows, info = _page(self.get("users", "ZohoCRM.users.READ", params=params), "users")
                found |= {str(each["id"]): each for each in rows}
                page, more = page + 1, _goes_on(rows, info, "users")
            self._users = found
        return self._users

    def profile(self) -> str:
        """The id of the profile of the user whose credentials these are; empty where it is not told."""
        params = {"type": "CurrentUser"}
        rows, _ = _page(self.get("users", "ZohoCRM.users.READ", params=params), "users")
        return str(((rows[0].get("profile") or {}) if rows else {}).get("id") or "")

    def organisation(self, *, again: bool = False) -> Payload:
        """The organisation that the credentials belong to."""
        if self._organisation is None or again:
            self._organisation = next(iter(self.get("org", "ZohoCRM.org.READ").get("org") or ()), {})
        return self._organisation

    def currencies(self) -> list[Payload]:
        """The currencies of an organisation that has several."""
        return _page(self.get("org/currencies", "ZohoCRM.settings.currencies.READ"), "currencies")[0]

    def definitions(self, module: str = "Deals", *, again: bool = False) -> dict[str, Payload]:
        """Fields of a module by name; fields that the user's profile hides are not among them, or say so."""
        if module not in self._definitions or again:
            payload = self.get("settings/fields", "ZohoCRM.settings.fields.READ", params={"module": module})
            self._definitions[module] = {str(each["api_name"]): each for each in payload.get("fields") or ()}
        return self._definitions[module]

    def pipelines(self, *, again: bool = False) -> list[Payload]:
        """The pipelines of deals, with their stages in order."""
        if self._pipelines is None or again:
            self._pipelines = self._found_pipelines()
        return self._pipelines

    def _found_pipelines(self) -> list[Payload]:
        asked = self.get("settings/layouts", "ZohoCRM.settings.layouts.READ", params={"module": "Deals"})
        found: dict[str, Payload] = {}
        for layout in asked.get("layouts") or ():
            params = {"layout_id": str(layout["id"])}
            payload = self.get("settings/pipeline", "ZohoCRM.settings.pipeline.READ", params=params)
            found |= {str(each["id"]): each for each in payload.get("pipeline") or ()}
        return list(found.values())

    def stages(self) -> list[Payload]:
        """The stages of deals, where an organisation has no pipelines."""
        payload = self.get("settings/stages", "ZohoCRM.settings.stages.READ", params={"module": "Deals"})
        return list(payload.get("stages") or ())

    def get(
        self, path: str, scope: str, *, params: dict[str, str] | None = None, since: pd.Timestamp | None = None
    ) -> Payload:
        """The body of an answer; empty where there is nothing.

        Parameters
        ----------
        path : str
            Below the version.
        scope : str
            What the credentials must have been given for it.
        params : dict of str to str, optional
        since : Timestamp, optional

        Raises
        ------
        CRMSignInError
            When the credentials do not allow it.
        ZohoRefusalError
            When it is refused for another reason.
        """
        headers = {} if since is None else {"If-Modified-Since": if_modified_since(since)}
        return self.send("GET", path, scope, params=params or {}, headers=headers)

    def send(self, method: str, path: str, scope: str, *, accept: Sequence[int] = (), **request: Any) -> Payload:
        """The body of an answer to any request; see `get` and `winpredict.connectors.http.Connection.send`."""
        answer = self.connection.send(method, f"/crm/{self._version}/{path}", accept=(*_REFUSED, *accept), **request)
        if answer.status_code in _NOTHING:
            return {}
        payload = dict(mapping(answer))
        if payload and (answer.status_code in accept or answer.status_code < 400):
            return payload
        if answer.status_code < 400 and request.get("writes"):
            raise CRMUncertainError(
                text(
                    "Zoho, {method} {path}: an answer that tells nothing; nobody knows what was written",
                    method=method,
                    path=path,
                )
            )
        raise self._refusal(method, path, scope, answer)

    def _refusal(self, method: str, path: str, scope: str, answer: httpx.Response) -> CRMError:
        code, words = code_of(answer), self.connection.redact(answer.text).strip()[:_SAID]
        told = f"Zoho, {method} {path}: {answer.status_code} {words}"
        if code == "OAUTH_SCOPE_MISMATCH":
            return ZohoRightsError(
                text("{told}. The refresh token lacks the scope {scope}: make one with it", told=told, scope=scope)
            )
        if code in ABOUT_RIGHTS or answer.status_code in (401, 403):
            kind: type[CRMSignInError] = CRMSignInError if code in _NOT_SIGNED_IN else ZohoRightsError
            return kind(
                text(
                    "{told}. The user of the refresh token may not: grant it in the user's profile (Setup > "
                    "Security Control > Profiles), and the scope {scope}",
                    told=told,
                    scope=scope,
                )
            )
        if code == "NOT_SUPPORTED":
            told = said(
                "{told}. Zoho gives these records to administrators only: use the credentials of one", told=told
            )
        place = (mapping(answer).get("details") or {}).get("resource_path_index")
        return ZohoRefusalError(told, code, place if isinstance(place, int) else None)


def if_modified_since(moment: pd.Timestamp) -> str:
    """A moment for the header; a second early, since Zoho stamps whole seconds and leaves out the moment itself.

    Examples
    --------
    >>> if_modified_since(pd.Timestamp("2025-06-01T12:00:00.5Z"))
    '2025-06-01T11:59:59+00:00'
    """
    return (moment.floor("s") - pd.Timedelta("1s")).isoformat(timespec="seconds")


def parts(values: Sequence[_Value], size: int) -> list[Sequence[_Value]]:
    """A sequence in pieces of at most so many.

    Examples
    --------
    >>> parts("abcde", 2)
    ['ab', 'cd', 'e']
    """
    return [values[start : start + size] for start in range(0, len(values), size)]


def _page(payload: Payload, name: str) -> tuple[list[Payload], Payload]:
    if payload and name not in payload:
        raise CRMError(
            text(
                "Zoho answered with {payload} where {name} was asked for; run the command again later",
                payload=", ".join(payload),
                name=name,
            )
        )
    return list(payload.get(name) or ()), dict(payload.get("info") or {})


def _goes_on(rows: Sequence[Payload], info: Payload, path: str) -> bool:
    """Whether there are more records after a page."""
    more = bool(info.get("more_records"))
    if more and not rows:
        raise endless(path)
    return more


def endless(path: str) -> CRMError:
    """The error for a list that goes on, without a word of where: taking it for the end would lose records."""
    return CRMError(
        text("Zoho says that {path} goes on, and does not say where; run the command again later", path=path)
    )


def _read(module: str) -> str:
    return f"ZohoCRM.modules.{module.lower()}.READ"
