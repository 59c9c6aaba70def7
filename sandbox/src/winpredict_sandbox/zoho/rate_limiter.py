"""Who may ask Zoho's stand-in for what, and how often: tokens, scopes, credits."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import pandas as pd

from winpredict_sandbox.records import WorldClock

READ_MODULES = ("deals", "dealhistory", "calls", "events", "tasks", "notes", "accounts", "contacts")
_SCOPES = {
    *(f"ZohoCRM.modules.{name}.READ" for name in READ_MODULES),
    "ZohoCRM.modules.deals.UPDATE",
    "ZohoCRM.settings.fields.READ",
    "ZohoCRM.settings.fields.CREATE",
    "ZohoCRM.settings.layouts.READ",
    "ZohoCRM.settings.pipeline.READ",
    "ZohoCRM.settings.stages.READ",
    "ZohoCRM.settings.modules.READ",
    "ZohoCRM.settings.currencies.READ",
    "ZohoCRM.users.READ",
    "ZohoCRM.org.READ",
}
_TEN_MINUTES = pd.Timedelta("10min")


class RefusedError(Exception):
    """An answer other than what was asked for."""

    def __init__(self, status: int, code: str, message: str = "", **details: Any) -> None:
        super().__init__(message or code)
        self.status = status
        self.body = {"code": code, "details": details, "message": message or code.lower(), "status": "error"}


@dataclass
class RateLimiter:
    """Checks every request before it is answered.

    Attributes
    ----------
    client_id, client_secret, refresh_token : str
    scopes : set of str
        What the refresh token was granted.
    no_permission : set of str
        Modules that the user's profile does not show.
    not_supported : set of str
        Modules that are given to administrators only.
    secrets : list of str
        Every token that there is or was.
    token_lasts : Timedelta
        How long an access token is good for, by the company's clock.
    tokens_in_10_minutes : int or None
        Most access tokens of one refresh token; Zoho gives ten, faults may need more.
    credits, used : int
        API credits of 24 hours, and how many of them are used.
    busy : int
        So many of the next requests are too many at a time.
    """

    clock: WorldClock
    rng: np.random.Generator
    client_id: str = "1000.CLIENT"
    scopes: set[str] = field(default_factory=lambda: set(_SCOPES))
    no_permission: set[str] = field(default_factory=set)
    not_supported: set[str] = field(default_factory=set)
    token_lasts: pd.Timedelta = field(default_factory=lambda: pd.Timedelta("1h"))
    tokens_in_10_minutes: int | None = None
    credits: int = 1_000_000
    used: int = 0
    busy: int = 0

    def __post_init__(self) -> None:
        self.secrets: list[str] = []
        self.client_secret, self.refresh_token = self._made(""), self._made("1000.refresh.")
        self._ends: dict[str, pd.Timestamp] = {}
        self._given: deque[pd.Timestamp] = deque()

    def expire(self) -> None:
        """Let every access token end."""
        self._ends.clear()

    def token(self, body: bytes, query: str, address: str) -> tuple[int, Mapping[str, Any]]:
        """Another access token for a refresh token, good at an address: status and body."""
        if query:  # secrets do not belong into addresses
            return 400, {"error": "secrets_in_url"}
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        if form.get("client_id") != self.client_id:
            return 200, {"error": "invalid_client"}
        if form.get("client_secret") != self.client_secret:
            return 200, {"error": "invalid_client_secret"}
        if form.get("refresh_token") != self.refresh_token or form.get("grant_type") != "refresh_token":
            return 200, {"error": "invalid_code"}
        while self._given and self._given[0] <= self.clock.now - _TEN_MINUTES:
            self._given.popleft()
        if self.tokens_in_10_minutes is not None and len(self._given) >= self.tokens_in_10_minutes:
            said = "You have made too many requests continuously. Please try again after some time."
            return 400, {"error_description": said, "error": "Access Denied", "status": "failure"}
        self._given.append(self.clock.now)
        token = self._made("1000.")
        self._ends[token] = self.clock.now + self.token_lasts
        lasts = int(self.token_lasts.total_seconds())
        return 200, {"access_token": token, "api_domain": address, "token_type": "Bearer", "expires_in": lasts}

    def check(self, authorization: str, scope: str, module: str = "") -> None:
        """Let a request pass, or refuse it."""
        kind, _, token = authorization.partition(" ")
        if kind != "Zoho-oauthtoken" or self._ends.get(token, self.clock.now) <= self.clock.now:
            raise RefusedError(401, "INVALID_TOKEN", "invalid oauth token")
        if self.busy or self.used >= self.credits:
            self.busy = max(self.busy - 1, 0)
            raise RefusedError(429, "TOO_MANY_REQUESTS", "too many requests fired in concurrent from a user")
        self.used += 1
        if scope not in self.scopes:
            raise RefusedError(401, "OAUTH_SCOPE_MISMATCH", "invalid oauth scope to access this URL")
        if module in self.no_permission:
            permission = f"Crm_Implied_View_{module}"
            raise RefusedError(403, "NO_PERMISSION", "permission denied", permissions=[permission])
        if module in self.not_supported:
            raise RefusedError(400, "NOT_SUPPORTED", "The given module is not supported for this user")

    def headers(self) -> Mapping[str, str]:
        """What each answer tells of the credits, once half of them are used."""
        if self.used * 2 < self.credits:
            return {}
        return {"X-API-CREDITS-REMAINING": str(max(self.credits - self.used, 0))}

    def _made(self, prefix: str) -> str:
        token = f"{prefix}{self.rng.bytes(16).hex()}.{self.rng.bytes(16).hex()}"
        self.secrets.append(token)
        return token
