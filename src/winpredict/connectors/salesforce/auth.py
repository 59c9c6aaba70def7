"""Signing in to Salesforce: OAuth client credentials, or a signed assertion (JWT bearer).

simple-salesforce's own sign-in is not used: it writes the host as ``<domain>.salesforce.com`` itself, so that neither a
stand-in on loopback nor clouds of other names can be reached, it goes around our time-outs and retries, and its errors
quote whatever the server answered.
"""

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from winpredict.config import Salesforce
from winpredict.connectors.http import Connection
from winpredict.errors import CRMSignInError
from winpredict.locale.text import Text, text

_TOKEN = "/services/oauth2/token"
_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
#: Salesforce takes assertions that end within five minutes; a little less leaves room for a clock that is off.
_ASSERTION_S = 180
#: Tries of a request whose answer is no word of OAuth, and so neither a token nor a refusal.
_TRIES = 3
_GENERAL_HOSTS = ("login.salesforce.com", "test.salesforce.com")
#: What to do about a refusal, by a part of what Salesforce says.
_ADVICE: Mapping[str, Text] = {
    "no client credentials user": text("choose a user under Manage > Edit Policies > Client Credentials Flow > Run As"),
    "not supported on this domain": text(
        "set crm.salesforce.login_url to your My Domain, such as https://acme.my.salesforce.com"
    ),
    "hasn't approved": text(
        "let an administrator approve the app for that user: Manage > Edit Policies > Permitted Users, then the "
        "user's profile"
    ),
    "audience": text(
        "set crm.salesforce.login_url to https://login.salesforce.com, or to https://test.salesforce.com for a sandbox"
    ),
    "invalid assertion": text(
        "upload the certificate of your private key to the app, and check the clock of this machine"
    ),
    "expired": text("check the clock of this machine"),
    "unsupported_grant_type": text("allow the flow in the app's OAuth settings"),
    "invalid_client": text("check crm.salesforce.client_id and the secret salesforce_client_secret"),
}
_GENERAL_ADVICE = text("check crm.salesforce in the config, the secret, and the OAuth settings of the app")


class SalesforceSignIn:
    """Tokens of one organisation; see `winpredict.connectors.http.SignIn`.

    Parameters
    ----------
    settings : Salesforce
    secret : SecretStr
        The consumer secret, or the private key as PEM for the jwt flow.
    connection : Connection
        To the login address.
    """

    def __init__(self, settings: Salesforce, secret: SecretStr, connection: Connection) -> None:
        _check(settings)
        self._settings, self._secret, self._connection = settings, secret, connection
        self._token: SecretStr | None = None
        self._instance_url = self._identity = ""

    def header(self) -> Mapping[str, str]:
        """The header, with the token of the last sign-in."""
        if self._token is None:
            self.renew()
        assert self._token is not None
        return {"Authorization": f"Bearer {self._token.get_secret_value()}"}

    def renew(self) -> bool:
        """Sign in again."""
        for _ in range(_TRIES):
            answer = self._connection.send("POST", _TOKEN, accept=(400, 401, 403), **self._request())
            said = _mapping(answer)
            if said.get("access_token") and said.get("instance_url"):
                self._keep(said)
                return True
            if "error" in said:
                break
        raise CRMSignInError(self._refusal(answer, said))

    @property
    def instance_url(self) -> str:
        """Where the organisation is served."""
        self.header()
        return self._instance_url

    @property
    def organisation_id(self) -> str:
        """Id of the organisation; empty where the answer did not name it."""
        self.header()
        return self._identity.rsplit("/", 2)[-2] if self._identity.count("/") > 1 else ""

    @property
    def user_id(self) -> str:
        """Id of the user that was signed in; empty where the answer did not name it."""
        self.header()
        return self._identity.rsplit("/", 1)[-1]

    def _request(self) -> dict[str, Any]:
        secret = self._secret.get_secret_value()
        if self._settings.sign_in == "jwt":
            return {"data": {"grant_type": _BEARER, "assertion": self._assertion(secret)}}
        form = {"grant_type": "client_credentials", "client_id": self._settings.client_id, "client_secret": secret}
        return {"data": form}

    def _assertion(self, private_key: str) -> str:
        import jwt

        claims = {
            "iss": self._settings.client_id,
            "sub": self._settings.username,
            "aud": self._settings.login_url.rstrip("/"),
            "exp": int(time.time()) + _ASSERTION_S,
        }
        try:
            assertion = jwt.encode(claims, private_key, algorithm="RS256")
        except (jwt.PyJWTError, ValueError, TypeError):
            # the parser's own message may quote the key
            raise CRMSignInError(
                text(
                    "the secret salesforce_private_key is no RSA private key in PEM form (-----BEGIN PRIVATE KEY-----)"
                )
            ) from None
        self._connection.redact.add(assertion)
        return assertion

    def _keep(self, said: Mapping[str, Any]) -> None:
        token, instance_url = str(said["access_token"]), str(said["instance_url"])
        if urlsplit(instance_url).scheme != urlsplit(self._settings.login_url).scheme:
            raise CRMSignInError(
                text(
                    "Salesforce sends on to {instance_url}, which is no address of the same kind as "
                    "{login_url}; check crm.salesforce.login_url",
                    instance_url=instance_url,
                    login_url=self._settings.login_url,
                )
            )
        self._connection.redact.add(token)
        self._token, self._instance_url = SecretStr(token), instance_url
        self._identity = str(said.get("id", ""))

    def _refusal(self, answer: httpx.Response, said: Mapping[str, Any]) -> Text:
        told = ": ".join(str(said[name]) for name in ("error", "error_description") if said.get(name))
        told = self._connection.redact(told)
        advice = next((words for part, words in _ADVICE.items() if part in told.lower()), _GENERAL_ADVICE)
        return text(
            "Salesforce refused the sign-in at {url}: {told}. What to do: {advice}",
            url=self._settings.login_url,
            told=told or text("status {status} without a token", status=answer.status_code),
            advice=advice,
        )


def _check(settings: Salesforce) -> None:
    """What can be told before anything is sent."""
    if not settings.client_id:
        raise CRMSignInError(
            text("crm.salesforce.client_id is empty; write the consumer key of the connected app there")
        )
    if settings.sign_in == "jwt" and not settings.username:
        raise CRMSignInError(text("crm.salesforce.username is empty; the jwt flow needs the user to sign in"))
    if settings.sign_in == "client_credentials" and urlsplit(settings.login_url).hostname in _GENERAL_HOSTS:
        raise CRMSignInError(
            text(
                "client credentials are not taken at {login_url}; set crm.salesforce.login_url to your My "
                "Domain, such as https://acme.my.salesforce.com",
                login_url=settings.login_url,
            )
        )


def _mapping(answer: httpx.Response) -> Mapping[str, Any]:
    try:
        said = answer.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
