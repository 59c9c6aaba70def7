"""Who may ask HubSpot's stand-in for what, and how often: tokens, scopes, limits."""

import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import numpy as np

READ_SCOPES = {
    "deals": "crm.objects.deals.read",
    "companies": "crm.objects.companies.read",
    "contacts": "crm.objects.contacts.read",
    "line_items": "crm.objects.line_items.read",
    "owners": "crm.objects.owners.read",
    "emails": "sales-email-read",
    "calls": "crm.objects.contacts.read",
    "meetings": "crm.objects.contacts.read",
    "notes": "crm.objects.contacts.read",
    "tasks": "crm.objects.contacts.read",
}
WRITE_SCOPE, MAKE_SCOPE = "crm.objects.deals.write", "crm.schemas.deals.write"
_LASTS_S = 1800


class RefusedError(Exception):
    """An answer other than what was asked for."""

    def __init__(self, status: int, category: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status, self.headers = status, dict(more.pop("headers", {}))
        self.body = {"status": "error", "message": message, "correlationId": "0", "category": category, **more}


@dataclass
class RateLimiter:
    """Checks every request before it is answered.

    Attributes
    ----------
    portal_id : int
    private_token, client_id, client_secret, refresh_token : str
    scopes : set of str
        What the app was granted.
    secrets : list of str
        Every token that there is or was.
    token_lasts : int or None
        Requests after which an access token expires; None: only `expire` ends it.
    per_10s, searches_per_s, per_day : int or None
        Most requests.
    used_today : int
    """

    rng: np.random.Generator
    portal_id: int = 62515
    client_id: str = "0f1e2d3c-client"
    scopes: set[str] = field(default_factory=lambda: {*READ_SCOPES.values(), WRITE_SCOPE, MAKE_SCOPE, "oauth"})
    token_lasts: int | None = None
    per_10s: int | None = None
    searches_per_s: int | None = None
    per_day: int | None = 250_000
    used_today: int = 0

    def __post_init__(self) -> None:
        self.secrets: list[str] = []
        self.private_token = self._made("pat-na1-")
        self.client_secret = self._made("secret-")
        self.refresh_token = self._made("na1-refresh-")
        self._left: dict[str, int | None] = {}
        self._sent: deque[float] = deque()
        self._searched: deque[float] = deque()
        self._refusals: deque[RefusedError] = deque()

    def expire(self) -> None:
        """Let every access token end."""
        self._left.clear()

    def throttle(self, policy: str, times: int = 1, retry_after: float | None = None) -> None:
        """Refuse the next requests by a policy: DAILY, TEN_SECONDLY_ROLLING or SECONDLY."""
        self._refusals.extend([_too_many(policy, retry_after)] * times)

    def token(self, body: bytes) -> dict[str, Any]:
        """Another access token for a refresh token."""
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        wanted = {"client_id": self.client_id, "client_secret": self.client_secret, "grant_type": "refresh_token"}
        if any(form.get(name) != value for name, value in wanted.items()):
            raise RefusedError(400, "BAD_CLIENT_ID", "missing or invalid client id or secret")
        if form.get("refresh_token") != self.refresh_token:
            raise RefusedError(400, "BAD_REFRESH_TOKEN", "missing or invalid refresh token")
        token = self._made("CJ")
        self._left[token] = self.token_lasts
        return {
            "token_type": "bearer",
            "access_token": token,
            "refresh_token": self.refresh_token,
            "expires_in": _LASTS_S,
            "hub_id": self.portal_id,
            "scopes": sorted(self.scopes),
        }

    def check(self, authorization: str, scope: str = "", *, search: bool = False) -> None:
        """Let a request pass, or refuse it."""
        self._check_token(authorization.removeprefix("Bearer "))
        if scope and scope not in self.scopes:
            told = [{"message": "One or more of the following scopes are required."}]
            more = [{**told[0], "context": {"requiredGranularScopes": [scope]}}]
            message = "This app hasn't been granted all required scopes to make this call."
            raise RefusedError(403, "MISSING_SCOPES", message, errors=more)
        self._check_limits(search=search)

    def headers(self) -> Mapping[str, str]:
        """What each answer tells of the limits; only private apps are told of that of the day."""
        if self.per_day is None:
            return {}
        left = max(self.per_day - self.used_today, 0)
        return {"X-HubSpot-RateLimit-Daily": str(self.per_day), "X-HubSpot-RateLimit-Daily-Remaining": str(left)}

    def _check_token(self, token: str) -> None:
        if token == self.private_token:
            return
        left = self._left.get(token, 0)
        if left == 0:
            raise RefusedError(401, "EXPIRED_AUTHENTICATION", "The OAuth token used to make this call expired.")
        self._left[token] = None if left is None else left - 1

    def _check_limits(self, *, search: bool) -> None:
        if self._refusals:
            raise self._refusals.popleft()
        self.used_today += 1
        if self.per_day is not None and self.used_today > self.per_day:
            raise _too_many("DAILY", None)
        if self.per_10s is not None and _within(self._sent, 10.0) >= self.per_10s:
            raise _too_many("TEN_SECONDLY_ROLLING", None)
        if search and self.searches_per_s is not None and _within(self._searched, 1.0) >= self.searches_per_s:
            raise _too_many("SECONDLY", None)
        self._sent.append(time.monotonic())
        if search:
            self._searched.append(time.monotonic())

    def _made(self, prefix: str) -> str:
        token = prefix + "".join(self.rng.choice(list("0123456789abcdef"), 32))
        self.secrets.append(token)
        return token


def _within(moments: deque[float], seconds: float) -> int:
    while moments and moments[0] < time.monotonic() - seconds:
        moments.popleft()
    return len(moments)


def _too_many(policy: str, retry_after: float | None) -> RefusedError:
    headers: Iterable[tuple[str, str]] = [] if retry_after is None else [("Retry-After", str(retry_after))]
    message = f"You have reached your {policy.lower()} limit."
    more = {"errorType": "RATE_LIMIT", "policyName": policy, "headers": headers}
    return RefusedError(429, "RATE_LIMITS", message, **more)
