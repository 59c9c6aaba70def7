"""HTTP as live CRMs want it: signed in, patient with limits, tried again where that is safe, silent about secrets."""

import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

import httpx
import pandas as pd
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from winpredict.config import Sync
from winpredict.connectors.secrets import Redactor
from winpredict.errors import CRMError, CRMLimitError, CRMSignInError, CRMUncertainError
from winpredict.locale.text import said, text

_TOO_MANY, _UNAUTHORISED, _FORBIDDEN = 429, 401, 403
#: Statuses that pass, besides all above 500: too slow, locked, and HubSpot's of an account that is being moved.
_TRANSIENT = (406, 408, 423, 477)
_NOT_IMPLEMENTED = 501
#: Tokens that are asked for, one after the other, for a request that is answered with 401.
_RENEWALS = 2
_SAID = 300


class SignIn(Protocol):
    """Gives the header that signs a request in."""

    def header(self) -> Mapping[str, str]:
        """The header, with a token that was asked for already if there is one."""
        ...

    def renew(self) -> bool:
        """Get another token after a 401; False where there is no other."""
        ...


class Unsigned:
    """Signs nothing: for asking for a token."""

    def header(self) -> Mapping[str, str]:
        """No header."""
        return {}

    def renew(self) -> bool:
        """There is nothing to renew."""
        return False


class _PassingError(Exception):
    """A try that failed in a way that may pass; `wait` seconds if the CRM named them."""

    def __init__(self, words: str, wait: float | None = None) -> None:
        super().__init__(words)
        self.wait = wait


class Connection:
    """Requests to one CRM.

    Parameters
    ----------
    crm : str
        Its name, for people.
    base_url : str
    sign_in : SignIn
    settings : Sync
        Attempts, waits and time-outs.
    redact : Redactor
        Applied to everything that is told.
    requests_per_10s : int, optional
        Most requests in any ten seconds.
    limits : callable, optional
        Called with every answer; raises `CRMLimitError` where the CRM's own count says that it is enough. An answer
        that came is used all the same (it may tell what was written), and no further request is sent.
    for_good : callable, optional
        Called with every 401; true where it is about rights, so that another token would not help.
    too_many : callable, optional
        Called with every refusal; true where it is about too many requests at a time, whatever its status.
    sleep : callable
        Waits so many seconds.
    """

    def __init__(
        self,
        crm: str,
        base_url: str,
        sign_in: SignIn,
        settings: Sync,
        redact: Redactor,
        *,
        requests_per_10s: int | None = None,
        limits: Callable[[httpx.Response], None] | None = None,
        for_good: Callable[[httpx.Response], bool] = lambda answer: False,
        too_many: Callable[[httpx.Response], bool] = lambda answer: False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.crm, self.sign_in, self.settings, self.redact = crm, sign_in, settings, redact
        try:
            self._client = httpx.Client(base_url=base_url, timeout=settings.timeout_s, follow_redirects=False)
            if self._client.base_url.scheme not in ("http", "https"):
                raise ValueError(said("it does not begin with https://"))
        except (httpx.InvalidURL, ValueError) as error:
            raise CRMError(
                text(
                    "{crm}: {base_url!r} is no address ({error}); correct it in the config under crm",
                    crm=crm,
                    base_url=base_url,
                    error=error,
                )
            ) from None
        self._sent: deque[float] = deque(maxlen=requests_per_10s)
        self._limits, self._for_good, self._too_many, self._sleep = limits, for_good, too_many, sleep
        self._last_date: datetime | None = None
        self._enough = ""

    def clock(self) -> pd.Timestamp:
        """The CRM's time by its last answer, rounded up to the second since that is how fine the header is."""
        if self._last_date is None:
            return pd.Timestamp.now("UTC").as_unit("us")
        return (pd.Timestamp(self._last_date) + pd.Timedelta("1s")).tz_convert("UTC").as_unit("us")

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def get(self, url: str, *, missing_ok: bool = False, **request: Any) -> httpx.Response:
        """An answer to a reading request; tried again whatever went wrong on the way."""
        return self.send("GET", url, missing_ok=missing_ok, **request)

    def send(
        self,
        method: str,
        url: str,
        *,
        writes: bool = False,
        missing_ok: bool = False,
        accept: Collection[int] = (),
        **request: Any,
    ) -> httpx.Response:
        """An answer below 400, or of a status that is allowed.

        Parameters
        ----------
        method, url : str
            The address is relative to the base, or absolute on the same host.
        writes : bool
            Whether the request changes something: it is then repeated only if it was surely not carried out.
        missing_ok : bool
            Whether 404 is an answer.
        accept : collection of int
            Further statuses that are answers.
        **request
            Of `httpx.Client.request`: params, json, content, headers.

        Raises
        ------
        CRMSignInError, CRMLimitError, CRMUncertainError, CRMError
        """
        retrying = Retrying(
            retry=retry_if_exception_type(_PassingError),
            stop=stop_after_attempt(self.settings.attempts),
            wait=self._wait,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            allowed = {*accept, 404} if missing_ok else accept
            answer: httpx.Response = retrying(self._once, method, url, writes, allowed, request)
        except _PassingError as error:
            raise CRMError(
                text(
                    "{crm} did not answer {method} after {attempts} tries: {error}. What was read so far is "
                    "kept; run the command again later",
                    crm=self.crm,
                    method=self._request_text(method, url),
                    attempts=self.settings.attempts,
                    error=error,
                )
            ) from None
        return answer

    def _once(
        self, method: str, url: str, writes: bool, allowed: Collection[int], request: dict[str, Any]
    ) -> httpx.Response:
        if self._enough:
            raise CRMLimitError(self._enough)
        answer = self._signed_answer(method, url, writes, request)
        self._keep_date(answer)
        self._heed_limits(answer)
        if answer.status_code in allowed or (answer.status_code < 400 and not _astray(answer)):
            return answer
        raise self._fault(method, url, writes, answer)

    def _signed_answer(self, method: str, url: str, writes: bool, request: dict[str, Any]) -> httpx.Response:
        """An answer, with another token after a 401.

        A token that was just made may be refused once more: not all of the CRM knows it yet.
        """
        answer = self._answer(method, url, writes, request)
        for number in range(_RENEWALS):
            if answer.status_code != _UNAUTHORISED or self._for_good(answer):
                break
            if number:
                self._sleep(1.0)
            if not self.sign_in.renew():
                break
            answer = self._answer(method, url, writes, request)
        return answer

    def _heed_limits(self, answer: httpx.Response) -> None:
        if self._limits is None:
            return
        try:
            self._limits(answer)
        except CRMLimitError as error:
            if answer.status_code >= 400:
                raise
            self._enough = str(error)

    def _answer(self, method: str, url: str, writes: bool, request: dict[str, Any]) -> httpx.Response:
        self._keep_pace()
        headers = {**self.sign_in.header(), **request.get("headers", {})}
        if not all(value.isascii() and value.isprintable() for value in headers.values()):
            # the error of the library would quote it
            raise CRMSignInError(
                text("the token for {crm} holds a line break or letters that no token has; copy it again", crm=self.crm)
            )
        try:
            return self._client.request(method, url, **{**request, "headers": headers})
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise _PassingError(self.redact(said("no connection ({error})", error=error))) from None
        except (httpx.TransportError, httpx.DecodingError) as error:
            told = self.redact(str(error) or type(error).__name__)
            if writes:
                raise CRMUncertainError(
                    text(
                        "{crm}: the connection broke at {method}: {said}",
                        crm=self.crm,
                        method=self._request_text(method, url),
                        said=told,
                    )
                ) from None
            raise _PassingError(told) from None

    def _fault(self, method: str, url: str, writes: bool, answer: httpx.Response) -> Exception:
        answered = f"{answer.status_code} {self.redact(answer.text).strip()[:_SAID]}"
        told = f"{self.crm}, {self._request_text(method, url)}: {answered}"
        if answer.has_redirect_location:
            place = self.redact(answer.headers.get("location", "").partition("?")[0])
            return CRMError(
                text("{told} sends on to {place}; correct the address in the config under crm", told=told, place=place)
            )
        if answer.status_code < 400:
            page = said("a web page came in place of an answer")
            told = f"{self.crm}, {self._request_text(method, url)}: {page}"
            return CRMUncertainError(told) if writes else _PassingError(page)
        if answer.status_code == _TOO_MANY or self._too_many(answer):
            wait = retry_after(answer, self.clock())
            if wait is not None and wait > self.settings.longest_wait_s:
                return CRMLimitError(
                    text(
                        "{told}. Its limit is used up for {wait} s; run the command again after that",
                        told=told,
                        wait=f"{wait:.0f}",
                    )
                )
            return _PassingError(answered, wait)
        if answer.status_code in _TRANSIENT or _fails(answer.status_code):
            wait = retry_after(answer, self.clock())
            unsure = writes and not (answer.status_code == 503 and wait is not None)
            return CRMUncertainError(told) if unsure else _PassingError(answered, wait)
        if answer.status_code in (_UNAUTHORISED, _FORBIDDEN):
            return CRMSignInError(
                text("{told}. Check the credentials and their rights: `winpredict connect`", told=told)
            )
        return CRMError(told)

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        jittered: float = wait_random_exponential(multiplier=0.5, max=self.settings.longest_wait_s)(state)
        named = error.wait if isinstance(error, _PassingError) else None
        return jittered if named is None else named + min(jittered, 1.0)

    def _keep_pace(self) -> None:
        if self._sent.maxlen is None:
            return
        now = time.monotonic()
        if len(self._sent) == self._sent.maxlen and (left := self._sent[0] + 10.0 - now) > 0:
            self._sleep(left)
        self._sent.append(time.monotonic())

    def _keep_date(self, answer: httpx.Response) -> None:
        try:
            moment = parsedate_to_datetime(answer.headers["date"])
        except (KeyError, ValueError, TypeError):
            return
        self._last_date = max(filter(None, (self._last_date, moment.astimezone(UTC))))

    def _request_text(self, method: str, url: str) -> str:
        return f"{method} {self.redact(httpx.URL(url).path)}"


def _fails(status: int) -> bool:
    """Whether the server, or what stands before it, failed."""
    return status >= 500 and status != _NOT_IMPLEMENTED


def _astray(answer: httpx.Response) -> bool:
    """Whether an answer is none of the CRM's: it sends elsewhere, or is a page for people."""
    return answer.has_redirect_location or answer.headers.get("content-type", "").startswith("text/html")


def retry_after(answer: httpx.Response, now: pd.Timestamp) -> float | None:
    """Seconds that an answer asks to wait; None where it names none.

    Examples
    --------
    >>> retry_after(httpx.Response(429, headers={"Retry-After": "3"}), pd.Timestamp.now("UTC"))
    3.0
    """
    asked = answer.headers.get("retry-after", "")
    try:
        return max(float(asked), 0.0)
    except ValueError:
        pass
    try:
        return max((pd.Timestamp(parsedate_to_datetime(asked)) - now).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return None
