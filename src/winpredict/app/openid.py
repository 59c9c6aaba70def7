"""Signing in with a company's account: OpenID Connect, the authorization code flow with PKCE, state and nonce.

The provider says who somebody is. Whether they may come in, and what they may do, is decided here alone.
"""

import logging
import warnings
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import httpx
from fastapi import Request
from sqlalchemy import select
from sqlalchemy.orm import Session as DatabaseSession
from starlette.responses import Response

from winpredict.app.audit_log import audit
from winpredict.app.records import Person
from winpredict.app.sign_in_throttle import AppSignInError
from winpredict.config import App
from winpredict.connectors.secrets import find_secret
from winpredict.errors import ConfigError
from winpredict.locale.text import text

SECRET = "oidc_client_secret"
CALLBACK = "/sign-in/oidc/callback"
_SECONDS = 10.0
_LONGEST_IDENTITY = 600
_log = logging.getLogger(__name__)
# at DEBUG it writes down what only this server and the provider are to know
logging.getLogger("authlib").setLevel(logging.INFO)


class ProviderDownError(AppSignInError):
    """The provider does not answer, or not as providers do."""


@dataclass(frozen=True)
class Identity:
    """Somebody as their company's provider knows them.

    Parameters
    ----------
    name : str
        Issuer and subject, which together are one person for ever.
    email : str
        Empty where the provider has not verified one: anybody could have typed it.
    """

    name: str
    email: str


class Provider:
    """An OpenID provider that people may sign in with.

    Parameters
    ----------
    settings : App
        ``oidc_issuer``, ``oidc_client_id`` and ``public_url``; the client's secret is looked for under
        ``oidc_client_secret``, see `winpredict.connectors.secrets`.

    Raises
    ------
    ConfigError
        When the issuer is reached without TLS, or there is no client id.
    CRMSignInError
        When there is no secret.
    """

    def __init__(self, settings: App) -> None:
        self.issuer, self.public_url = settings.oidc_issuer.rstrip("/"), settings.public_url.rstrip("/")
        if not _is_safe(self.issuer):
            raise ConfigError(text("app.oidc_issuer must be an https:// address: who speaks for it lets anybody in"))
        if not settings.oidc_client_id:
            raise ConfigError(text("app.oidc_issuer is set and app.oidc_client_id is not; the provider tells it"))
        with warnings.catch_warnings():  # that httpx will have a successor is no news for who runs a desk
            warnings.simplefilter("ignore")
            from authlib.integrations.starlette_client import OAuth
        self._client: Any = OAuth().register(
            "company",
            client_id=settings.oidc_client_id,
            client_secret=find_secret(SECRET).get_secret_value(),
            server_metadata_url=f"{self.issuer}/.well-known/openid-configuration",
            client_kwargs={"scope": "openid email", "code_challenge_method": "S256", "timeout": _SECONDS},
        )

    async def send(self, request: Request) -> Response:
        """Send a browser to the provider.

        Raises
        ------
        ProviderDownError
        """
        back = f"{self.public_url}{CALLBACK}" if self.public_url else f"{request.base_url}".rstrip("/") + CALLBACK
        try:
            await self._prepare()
            answer: Response = await self._client.authorize_redirect(request, back)
        except (httpx.HTTPError, ValueError, RuntimeError) as error:
            raise _down(error) from None
        return answer

    async def identity(self, request: Request) -> Identity:
        """Who a browser that comes back from the provider belongs to.

        Raises
        ------
        ProviderDownError
        AppSignInError
            When the answer is not for this browser, not by the provider, too old, or a refusal.
        """
        from authlib.common.errors import AuthlibBaseError
        from joserfc.errors import JoseError

        try:
            await self._prepare()
            wanted = {"iss": {"essential": True, "values": self._issuers}, "aud": self._is(self._client.client_id)}
            token = await self._client.authorize_access_token(request, claims_options=wanted)
            claims = dict(token.get("userinfo") or {})
            if claims.get("sub") and "email" not in claims:  # some providers tell it only when asked
                told = dict(await self._client.userinfo(token=token))
                claims |= told if told.get("sub") == claims["sub"] else {}
        except (AuthlibBaseError, JoseError) as error:
            raise _failed(error) from None
        except (httpx.HTTPError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise _down(error) from None
        if not claims.get("sub"):
            raise _failed(None)
        verified = claims.get("email_verified") is True and isinstance(claims.get("email"), str)
        return Identity(f"{self.issuer} {claims['sub']}", claims["email"].strip().lower() if verified else "")

    async def _prepare(self) -> None:
        """Read what the provider says of itself, once; it must speak for the issuer, and sign."""
        metadata = await self._client.load_server_metadata()
        if str(metadata.get("issuer", "")).rstrip("/") != self.issuer:
            metadata.pop("_loaded_at", None)
            raise ValueError("metadata of another issuer")
        # without a key of its own (none), or with the client's secret for one (HS256), anybody's word would do
        named = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
        metadata["id_token_signing_alg_values_supported"] = [each for each in named if each[:2] in ("RS", "ES", "PS")]

    @property
    def _issuers(self) -> list[str]:
        return [self.issuer, f"{self.issuer}/"]

    @staticmethod
    def _is(value: str) -> dict[str, Any]:
        return {"essential": True, "values": [value]}


def person_of(session: DatabaseSession, identity: Identity) -> Person:
    """The person here that an identity belongs to; the first time they are found by their verified address.

    Raises
    ------
    AppSignInError
        When an admin has not added them, or has shut them out; nobody is made by signing in.
    """
    person = session.scalar(select(Person).where(Person.oidc_identity == identity.name))
    if person is None:
        if not identity.email or len(identity.name) > _LONGEST_IDENTITY:
            raise AppSignInError(
                text("your company's account has no verified e-mail address, by which you could be found")
            )
        person = session.scalar(select(Person).where(Person.email == identity.email))
        if person is not None and person.oidc_identity is not None:
            raise AppSignInError(
                text("this e-mail address belonged to another account of your company; ask your admin")
            )
    if person is None or not person.active:
        raise AppSignInError(text("nobody with your e-mail address may sign in here; ask your admin to add you"))
    if person.oidc_identity is None:
        person.oidc_identity = identity.name
        audit(session, person, "account linked", person.email, {"identity": identity.name})
    return person


def _is_safe(issuer: str) -> bool:
    """Whether an address is reached by TLS, or without leaving this machine."""
    parts = urlsplit(issuer)
    host = parts.hostname or ""
    if parts.scheme == "https":
        return bool(host)
    try:
        return parts.scheme == "http" and (
            parts.hostname == "localhost" or ip_address(parts.hostname or "").is_loopback
        )
    except ValueError:
        return False


def _failed(error: Exception | None) -> AppSignInError:
    # never what it says: it may hold a code or a token, and the browser may have brought it
    _log.warning("signing in by OpenID failed: %s", type(error).__name__)
    return AppSignInError(text("signing in with your company's account failed; start again"))


def _down(error: Exception) -> ProviderDownError:
    _log.warning("the OpenID provider does not answer as it should: %s", type(error).__name__)
    return ProviderDownError(
        text("your company's sign-in does not answer; try again in a minute, or use your password")
    )
