"""Signing in to HubSpot: the token of a private app, or OAuth with a refresh token."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx
from pydantic import SecretStr

from winpredict.config import Config, HubSpot
from winpredict.connectors.http import Connection, Unsigned
from winpredict.connectors.secrets import Redactor, find_secret
from winpredict.errors import CRMLimitError, CRMSignInError
from winpredict.locale.text import text

#: An access token is renewed so long before it ends.
_MARGIN_S = 60.0
_SAID = 200


class PrivateToken:
    """The token of a private app, or a service key; see `winpredict.connectors.http.SignIn`.

    Parameters
    ----------
    token : SecretStr
    """

    def __init__(self, token: SecretStr) -> None:
        self.token = token

    def header(self) -> Mapping[str, str]:
        """The header."""
        return {"Authorization": f"Bearer {self.token.get_secret_value()}"}

    def renew(self) -> bool:
        """The same token again: HubSpot says that a 401 is no proof of a bad one."""
        return True


class RefreshedToken:
    """Access tokens of an OAuth app, made from a refresh token; see `winpredict.connectors.http.SignIn`.

    Parameters
    ----------
    settings : HubSpot
    client_secret, refresh_token : SecretStr
    connection : Connection
        That signs nothing; its redactor learns every token.
    """

    def __init__(
        self, settings: HubSpot, client_secret: SecretStr, refresh_token: SecretStr, connection: Connection
    ) -> None:
        if not settings.client_id:
            raise CRMSignInError(text("crm.hubspot.client_id is empty; write the client id of the OAuth app there"))
        self._settings, self._client_secret, self._refresh_token = settings, client_secret, refresh_token
        self._connection = connection
        self._token: SecretStr | None = None
        self._ends = 0.0
        self.scopes: tuple[str, ...] = ()

    def header(self) -> Mapping[str, str]:
        """The header, with an access token that lasts."""
        if self._token is None or time.monotonic() > self._ends:
            self.renew()
        assert self._token is not None
        return {"Authorization": f"Bearer {self._token.get_secret_value()}"}

    def renew(self) -> bool:
        """Get another access token."""
        form = {
            "grant_type": "refresh_token",
            "client_id": self._settings.client_id,
            "client_secret": self._client_secret.get_secret_value(),
            "refresh_token": self._refresh_token.get_secret_value(),
        }
        path = f"/oauth/{self._settings.api_version}/token"
        answer = self._connection.send("POST", path, data=form, accept=(400, 401, 403))
        said = body_of(answer)
        token = said.get("access_token")
        if answer.status_code >= 400 or not token:
            raise CRMSignInError(
                text(
                    "HubSpot did not take the refresh token: {answer}. Check crm.hubspot.client_id and the "
                    "secrets hubspot_client_secret and hubspot_refresh_token; install the app again where it "
                    "was removed",
                    answer=self._connection.redact(said_in(answer))[:_SAID],
                )
            )
        self._keep(said, str(token))
        return True

    def _keep(self, said: Mapping[str, Any], token: str) -> None:
        self._connection.redact.add(token)
        self._token = SecretStr(token)
        self._ends = time.monotonic() + max(float(said.get("expires_in", 1800)) - _MARGIN_S, 0.0)
        self.scopes = tuple(map(str, said.get("scopes", ())))
        if said.get("refresh_token"):
            self._connection.redact.add(str(said["refresh_token"]))
            self._refresh_token = SecretStr(str(said["refresh_token"]))


SignIn = PrivateToken | RefreshedToken


def signed_in(config: Config, sleep: Callable[[float], None] = time.sleep) -> Connection:
    """A connection to HubSpot, with the secrets that the config's way of signing in needs.

    Raises
    ------
    CRMSignInError
        When one of them is missing.
    """
    settings, sync = config.crm.hubspot, config.crm.sync
    sign_in: SignIn
    if settings.sign_in == "token":
        token = find_secret("hubspot_token")
        redact, sign_in = Redactor([token]), PrivateToken(token)
    else:
        client_secret, refresh_token = find_secret("hubspot_client_secret"), find_secret("hubspot_refresh_token")
        redact = Redactor([client_secret, refresh_token])
        asking = Connection("HubSpot", settings.base_url, Unsigned(), sync, redact, sleep=sleep)
        sign_in = RefreshedToken(settings, client_secret, refresh_token, asking)
    return Connection(
        "HubSpot",
        settings.base_url,
        sign_in,
        sync,
        redact,
        requests_per_10s=settings.requests_per_10s,
        limits=DailyLimit(settings, redact),
        sleep=sleep,
    )


class DailyLimit:
    """Tells when enough of an account's requests of the day are used; see `Connection`.

    Parameters
    ----------
    settings : HubSpot
    redact : Redactor
    """

    def __init__(self, settings: HubSpot, redact: Redactor) -> None:
        self._share, self._redact = settings.daily_share, redact

    def __call__(self, answer: httpx.Response) -> None:
        """Look at an answer."""
        if answer.status_code == 429 and body_of(answer).get("policyName") == "DAILY":
            raise CRMLimitError(
                text(
                    "the account's daily requests to HubSpot are used up ({answer}). What was read so far is "
                    "kept; run the command again after midnight in the account's time zone",
                    answer=self._redact(said_in(answer))[:_SAID],
                )
            )
        # only private apps are told
        try:
            total = int(answer.headers["x-hubspot-ratelimit-daily"])
            used = total - int(answer.headers["x-hubspot-ratelimit-daily-remaining"])
        except (KeyError, ValueError):
            return
        if used + 1 > self._share * total:
            raise CRMLimitError(
                text(
                    "{used:count} of the account's {total:count} daily requests to HubSpot are used, by "
                    "whatever program, and crm.hubspot.daily_share allows {share:percent}. What was read so "
                    "far is kept; run the command again after midnight in the account's time zone, or raise "
                    "the share",
                    used=used,
                    total=total,
                    share=self._share,
                )
            )


def body_of(answer: httpx.Response) -> Mapping[str, Any]:
    """The JSON object of an answer; empty where it holds none."""
    try:
        said = answer.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def said_in(answer: httpx.Response) -> str:
    """What an answer says, in words.

    Examples
    --------
    >>> said_in(httpx.Response(400, json={"status": "BAD_REFRESH_TOKEN", "message": "missing or invalid"}))
    'missing or invalid'
    """
    said = body_of(answer)
    payload = said.get("message") or said.get("error_description") or said.get("error")
    return str(payload or f"status {answer.status_code}")
