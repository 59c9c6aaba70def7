"""Signing in to Zoho: access tokens of an hour, made from a refresh token at the accounts server of the data centre."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx
from pydantic import SecretStr

from winpredict.config import Config, Zoho
from winpredict.connectors.http import Connection, Unsigned
from winpredict.connectors.secrets import Redactor
from winpredict.errors import CRMLimitError, CRMSignInError
from winpredict.locale.text import Text, text

_TOKEN = "/oauth/v2/token"
_CREDITS_LEFT = "x-api-credits-remaining"
#: An access token is renewed so long before it ends.
_MARGIN_S = 60.0
#: Tries of a request whose answer is no word of OAuth, and so neither a token nor a refusal.
_TRIES = 3
#: Data centres whose addresses do not follow from their names.
_ACCOUNTS = {"ca": "https://accounts.zohocloud.ca"}
#: Refusals of a request that another token would not change.
ABOUT_RIGHTS = ("OAUTH_SCOPE_MISMATCH", "NO_PERMISSION", "AUTHORIZATION_FAILED")
#: What to do about a refusal, by a part of what Zoho says.
_ADVICE: Mapping[str, Text] = {
    "invalid_client": text(
        "check crm.zoho.client_id and the secret zoho_client_secret, and that crm.zoho.data_centre is the one of your "
        "organisation: a client of another data centre is unknown there"
    ),
    "invalid_code": text(
        "the refresh token was revoked, belongs to another client, or to another data centre; make one at the API "
        "console of your data centre and store it as the secret zoho_refresh_token"
    ),
}
_GENERAL_ADVICE = text("check crm.zoho in the config and the secrets zoho_client_secret and zoho_refresh_token")


class ZohoSignIn:
    """Access tokens of one organisation; see `winpredict.connectors.http.SignIn`.

    Parameters
    ----------
    client_id : str
    client_secret, refresh_token : SecretStr
    connection : Connection
        To the accounts server; signs nothing, and its redactor learns every token.
    """

    def __init__(
        self, client_id: str, client_secret: SecretStr, refresh_token: SecretStr, connection: Connection
    ) -> None:
        if not client_id:
            raise CRMSignInError(text("crm.zoho.client_id is empty; write the client id of the API console there"))
        self._client_id, self._client_secret, self._refresh_token = client_id, client_secret, refresh_token
        self._connection = connection
        self._token: SecretStr | None = None
        self._ends = 0.0

    def header(self) -> Mapping[str, str]:
        """The header, with an access token that lasts."""
        if self._token is None or time.monotonic() > self._ends:
            self.renew()
        assert self._token is not None
        return {"Authorization": f"Zoho-oauthtoken {self._token.get_secret_value()}"}

    def renew(self) -> bool:
        """Get another access token; Zoho gives ten in ten minutes."""
        form = {
            "grant_type": "refresh_token",
            "client_id": self._client_id,
            "client_secret": self._client_secret.get_secret_value(),
            "refresh_token": self._refresh_token.get_secret_value(),
        }
        said: Mapping[str, Any] = {}
        for _ in range(_TRIES):
            # in the body: addresses end up in logs
            answer = self._connection.send("POST", _TOKEN, data=form, accept=(400, 401, 403))
            said = mapping(answer)
            if said.get("access_token"):
                self._keep(said)
                return True
            if "error" in said:
                break
        raise self._refusal(said)

    def _keep(self, said: Mapping[str, Any]) -> None:
        token = str(said["access_token"])
        self._connection.redact.add(token)
        self._token = SecretStr(token)
        self._ends = time.monotonic() + max(float(said.get("expires_in", 3600)) - _MARGIN_S, 0.0)

    def _refusal(self, said: Mapping[str, Any]) -> Exception:
        message = self._connection.redact(
            ": ".join(str(said[name]) for name in ("error", "error_description") if said.get(name))
        )
        if "too many requests" in message.lower() or message.lower().startswith("access denied"):
            return CRMLimitError(
                text(
                    "Zoho's accounts server gives no more access tokens for now ({message}). What was read so "
                    "far is kept; run the command again in ten minutes",
                    message=message,
                )
            )
        advice = next((told for part, told in _ADVICE.items() if part in message.lower()), _GENERAL_ADVICE)
        return CRMSignInError(
            text(
                "Zoho refused the sign-in: {message}. What to do: {advice}",
                message=message or text("an answer without a token"),
                advice=advice,
            )
        )


class CreditLimit:
    """Tells when enough of an organisation's API credits are used; see `Connection`.

    Zoho tells how many are left once half of those of 24 hours are used.

    Parameters
    ----------
    kept : int
        Credits to leave for others.
    """

    def __init__(self, kept: int) -> None:
        self._kept = kept

    def __call__(self, answer: httpx.Response) -> None:
        """Look at an answer."""
        message = answer.headers.get(_CREDITS_LEFT, "")
        if message.isdecimal() and int(message) <= self._kept:
            raise CRMLimitError(
                text(
                    "Zoho: {message:count} API credits are left for the 24 hours, and crm.zoho.credits_kept "
                    "leaves {kept:count} for others. What was read so far is kept; run the command again later",
                    message=int(message),
                    kept=self._kept,
                )
            )


def signed_in(
    config: Config, client_secret: SecretStr, refresh_token: SecretStr, sleep: Callable[[float], None] = time.sleep
) -> Connection:
    """A connection to the API of an organisation's data centre.

    Raises
    ------
    CRMSignInError
        When the config lacks the client id.
    """
    settings, sync = config.crm.zoho, config.crm.sync
    redact = Redactor([client_secret, refresh_token])
    asking = Connection("Zoho", _accounts_url(settings), Unsigned(), sync, redact, sleep=sleep)
    return Connection(
        "Zoho",
        settings.api_url or f"https://www.zohoapis.{settings.data_centre}",
        ZohoSignIn(settings.client_id, client_secret, refresh_token, asking),
        sync,
        redact,
        limits=CreditLimit(settings.credits_kept),
        for_good=lambda answer: code_of(answer) in ABOUT_RIGHTS,
        sleep=sleep,
    )


def mapping(answer: httpx.Response) -> Mapping[str, Any]:
    """The body of an answer, where it is a JSON object; else nothing."""
    try:
        said = answer.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def code_of(answer: httpx.Response) -> str:
    """The code of a refusal, of the request or of its first record; empty where there is none."""
    said = mapping(answer)
    rows = said.get("data")
    first = rows[0] if isinstance(rows, list) and rows and isinstance(rows[0], dict) else {}
    return str(said.get("code") or first.get("code") or "")


def _accounts_url(settings: Zoho) -> str:
    return settings.accounts_url or _ACCOUNTS.get(settings.data_centre, f"https://accounts.zoho.{settings.data_centre}")
