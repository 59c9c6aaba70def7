"""Salesforce's REST API: addresses, queries, what its errors mean, and its daily limit."""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx
import pandas as pd
from pydantic import SecretStr

from winpredict.config import Config
from winpredict.connectors.http import Connection, Unsigned
from winpredict.connectors.salesforce.auth import SalesforceSignIn
from winpredict.connectors.secrets import Redactor
from winpredict.errors import CRMError, CRMFieldError, CRMLimitError, CRMObjectError, CRMSignInError
from winpredict.locale.text import Text, text

_USAGE = re.compile(r"\bapi-usage=(\d+)/(\d+)")
_SAID = 300
#: Refusals that are about one kind of records and say nothing of the others.
OF_ONE_OBJECT = frozenset({"OPERATION_TOO_LARGE", "INSUFFICIENT_ACCESS", "INSUFFICIENT_ACCESS_OR_READONLY"})
_REQUEST_LIMIT = "REQUEST_LIMIT_EXCEEDED"
#: What an answer of 403 is told as, by its code.
_FORBIDDEN: Mapping[str, Text] = {
    "API_DISABLED_FOR_ORG": text("the edition of Salesforce has no API, or the user lacks the right API Enabled"),
    "API_CURRENTLY_DISABLED": text("the user lacks the right API Enabled"),
}


@dataclass(frozen=True)
class Refusal:
    """One error of an answer: its code, such as INVALID_FIELD, and its text."""

    code: str
    message: str


class SalesforceAPI:
    """Requests to one organisation.

    Parameters
    ----------
    config : Config
    secret : SecretStr
        See `winpredict.connectors.salesforce.auth.SalesforceSignIn`.
    sleep : callable
        Waits so many seconds.
    """

    def __init__(self, config: Config, secret: SecretStr, sleep: Callable[[float], None] = time.sleep) -> None:
        self.settings, self.sync, self.sleep = config.crm.salesforce, config.crm.sync, sleep
        self.redact = Redactor([secret])
        login = Connection("Salesforce", self.settings.login_url, Unsigned(), self.sync, self.redact, sleep=sleep)
        self.sign_in = SalesforceSignIn(self.settings, secret, login)
        self._answered = False

    @cached_property
    def connection(self) -> Connection:
        """Signed in, to where the organisation is served."""
        return Connection(
            "Salesforce",
            self.sign_in.instance_url,
            self.sign_in,
            self.sync,
            self.redact,
            limits=self._heed_limits,
            too_many=lambda answer: any(map(_at_a_time, refusals_of(answer))),
            sleep=self.sleep,
        )

    def clock(self) -> pd.Timestamp:
        """Salesforce's time by its last answer."""
        if not self._answered:
            # the list of versions is not counted against the organisation's daily requests
            self.connection.get("/services/data/")
        return self.connection.clock()

    def path(self, path: str) -> str:
        """The address of a resource of the API version that is configured."""
        return f"/services/data/v{self.settings.api_version}/{path}"

    def send(self, method: str, path: str, **request: Any) -> httpx.Response:
        """An answer; see `Connection.send`."""
        return self.connection.send(method, self.path(path), **request)

    def get(self, path: str, **request: Any) -> httpx.Response:
        """An answer to a reading request."""
        return self.send("GET", path, **request)

    def rows(self, soql: str, *, tooling: bool = False, all_rows: bool = False) -> Iterator[Mapping[str, Any]]:
        """Rows of a query, all its pages; deleted and archived ones are left out unless all are asked for.

        Raises
        ------
        CRMFieldError
            When a field or an object does not exist.
        CRMError
        """
        path = "tooling/query" if tooling else "queryAll" if all_rows else "query"
        answer = self.get(path, params={"q": soql}, accept=(400,))
        while True:
            if answer.status_code == 400:
                raise self.refused(answer, text("the query {query}", query=soql[:_SAID]))
            page = answer.json()
            yield from page["records"]
            if page["done"]:
                return
            answer = self.connection.get(page["nextRecordsUrl"], accept=(400,))

    def refused(self, answer: httpx.Response, what: Text) -> CRMError:
        """The error that tells of a request that was refused."""
        refusals = refusals_of(answer)
        told = "; ".join(f"{each.code}: {each.message}" for each in refusals)
        told = self.redact(told or answer.text)[: 2 * _SAID]
        codes = {each.code for each in refusals}
        kind: type[CRMError] = CRMError
        if codes & {"INVALID_FIELD", "INVALID_TYPE"}:
            kind = CRMFieldError
        elif codes & OF_ONE_OBJECT:
            kind = CRMObjectError
        return kind(text("Salesforce refused {what}: {told}", what=what, told=told))

    def _heed_limits(self, answer: httpx.Response) -> None:
        self._answered = True
        if answer.status_code == 403:
            self._tell_forbidden(refusals_of(answer))
        found = _USAGE.search(answer.headers.get("sforce-limit-info", ""))
        if found is None:
            return
        used, total = int(found[1]), int(found[2])
        allowed = self.settings.daily_share * total
        # the next request would be one more
        if used + 1 > allowed:
            raise CRMLimitError(
                text(
                    "{used:count} of the organisation's {total:count} daily requests to Salesforce are used, "
                    "by whatever program, and crm.salesforce.daily_share allows {daily_share:percent}. What "
                    "was read so far is kept; run the command again when the count of the last 24 hours has "
                    "fallen, or raise the share",
                    used=used,
                    total=total,
                    daily_share=self.settings.daily_share,
                )
            )

    def _tell_forbidden(self, refusals: list[Refusal]) -> None:
        for each in refusals:
            if each.code == _REQUEST_LIMIT and not _at_a_time(each):
                raise CRMLimitError(
                    text(
                        "the organisation's daily requests to Salesforce are used up ({message}). What was "
                        "read so far is kept; run the command again later",
                        message=self.redact(each.message),
                    )
                )
            if each.code in _FORBIDDEN:
                raise CRMSignInError(
                    text("Salesforce refuses the connected user: {forbidden}", forbidden=_FORBIDDEN[each.code])
                )


def _at_a_time(refusal: Refusal) -> bool:
    """Whether it is about requests at the same time, which passes, and not about those of the day."""
    return refusal.code == _REQUEST_LIMIT and "concurrent" in refusal.message.lower()


def refusals_of(answer: httpx.Response) -> list[Refusal]:
    """The errors of an answer that refuses something; empty where it is written in no known way.

    Examples
    --------
    >>> refusals_of(httpx.Response(400, json=[{"errorCode": "MALFORMED_QUERY", "message": "unexpected token: ;"}]))
    [Refusal(code='MALFORMED_QUERY', message='unexpected token: ;')]
    """
    try:
        said = answer.json()
    except ValueError:
        return []
    errors = said if isinstance(said, list) else [said]
    return [
        Refusal(str(each.get("errorCode") or each.get("statusCode") or ""), str(each.get("message", "")))
        for each in errors
        if isinstance(each, dict)
    ]
