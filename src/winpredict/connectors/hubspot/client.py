"""HubSpot through its date-versioned API; see `winpredict.connectors.base.CRMSource`."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import httpx
import pandas as pd

from winpredict.config import Config
from winpredict.connectors.base import (
    CustomField,
    Description,
    FieldChange,
    FieldOutcome,
    Page,
    ScoreField,
    Stage,
    WriteResult,
)
from winpredict.connectors.http import Connection
from winpredict.connectors.hubspot import writer as writing
from winpredict.connectors.hubspot.api import BATCH, HubSpotAPI
from winpredict.connectors.hubspot.auth import PrivateToken, RefreshedToken, body_of, signed_in
from winpredict.connectors.hubspot.objects import (
    ACTIVITIES,
    ASSOCIATED,
    HISTORY,
    SCOPES,
    WRITE_SCOPE,
    custom_properties,
)
from winpredict.connectors.hubspot.reader import Reading
from winpredict.errors import CRMSignInError
from winpredict.locale.text import texts

_REFUSED, _FORBIDDEN, _MISSING = 400, 403, 404
_TOKEN_INFO = "/oauth/v2/private-apps/get/access-token-info"


def connect(config: Config, *, sleep: Callable[[float], None] = time.sleep) -> "HubSpotSource":
    """HubSpot as a config says, with secrets from where `winpredict.connectors.secrets` finds them.

    Parameters
    ----------
    config : Config
    sleep : callable
        Waits so many seconds.

    Returns
    -------
    HubSpotSource

    Raises
    ------
    CRMSignInError
        When a secret is missing.
    """
    return HubSpotSource(config, signed_in(config, sleep), sleep=sleep)


#: Under this name a record has its properties.
_PROPERTY = "properties."


class HubSpotSource:
    """A HubSpot account; see `connect`.

    Parameters
    ----------
    config : Config
    connection : Connection
    sleep : callable
        Waits so many seconds.
    """

    name = "hubspot"
    objects: tuple[str, ...] = ("deals", *ACTIVITIES, "companies", "line_items", "owners")
    append_only = frozenset[str]()
    write_batch = BATCH

    def __init__(self, config: Config, connection: Connection, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._config, self._connection = config, connection
        self._api = HubSpotAPI(config, connection, sleep)

    def describe(self, mapped: Mapping[str, Mapping[str, Sequence[str]]] | None = None) -> Description:
        """Check credentials and rights, and tell pipelines, stages and custom properties."""
        answer = self._connection.get(self._api.path("account-info", "details"), accept=(_FORBIDDEN, _MISSING))
        account = str(body_of(answer).get("portalId", ""))
        missing = self._missing()
        can_read_deals = "deals" not in missing
        return Description(
            account=account,
            readable=tuple(name for name in self.objects if name not in missing),
            missing=missing,
            writable=self._writable(),
            stages=self._stages() if can_read_deals else (),
            custom_fields=self._custom_fields() if can_read_deals else (),
            records_history=HISTORY,
            hidden=self._hidden((mapped or {}).get("deals", {})) if can_read_deals else {},
            calculated=self._calculated() if can_read_deals else {},
        )

    def clock(self) -> pd.Timestamp:
        """HubSpot's own time, not earlier than its last answer."""
        return self._connection.clock()

    def read(self, name: str, since: pd.Timestamp | None, resume: str = "") -> Iterator[Page]:
        """Records of an object; see `winpredict.connectors.base.CRMSource.read`."""
        return Reading(self._api, name, since, self._custom).pages(resume)

    def read_fields(self, deal_ids: Sequence[str], names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The present values of some properties; see `winpredict.connectors.base.CRMSource.read_fields`."""
        return writing.read_fields(self._api, deal_ids, names)

    def write(self, changes: Sequence[FieldChange]) -> list[WriteResult]:
        """Write properties of at most `write_batch` deals in one request, or more where some are refused."""
        return writing.write(self._api, changes)

    def create_fields(self, fields: Sequence[ScoreField]) -> dict[str, FieldOutcome]:
        """Make properties of deals; name to what became of it."""
        return writing.create_fields(self._api, fields)

    def close(self) -> None:
        """Let go of the connections."""
        self._connection.close()

    def _custom(self) -> list[str]:
        patterns = self._config.crm.sync.custom_fields
        return custom_properties(self._api.definitions().values(), patterns, self._pushed())

    def _pushed(self) -> set[str]:
        """Properties that scores are pushed into."""
        push = self._config.crm.push.model_dump().values()
        return {writing.property_name(each) for each in push if isinstance(each, str)}

    def _missing(self) -> dict[str, str]:
        """Objects that cannot be read, with what is to be granted: an object's own scope, and those of its links."""
        lacking = {name: self._lacking(name) for name in (*self.objects, "contacts")}
        missing = {}
        for name in self.objects:
            scopes = [scope for each in (name, *ASSOCIATED.get(name, ())) for scope in lacking[each]]
            if scopes:
                wanted = list(dict.fromkeys(scopes))
                missing[name] = str(
                    texts(
                        "grant the app the scope {scopes:listed}",
                        "grant the app the scopes {scopes:listed}",
                        n=len(wanted),
                        scopes=wanted,
                    )
                )
        return missing

    def _lacking(self, name: str) -> list[str]:
        """Scopes to be granted before an object can be read."""
        path = (
            f"/crm/owners/{self._api.settings.api_version}" if name == "owners" else self._api.path("crm/objects", name)
        )
        answer = self._connection.get(path, params={"limit": "1"}, accept=(_FORBIDDEN,))
        if answer.status_code != _FORBIDDEN:
            return []
        named = _scopes_named(answer)
        # several are alternatives, of which most are about other objects
        return named if len(named) == 1 else [SCOPES[name]]

    def _writable(self) -> bool:
        """Whether the token carries the scope; where HubSpot does not tell, whether it lets an empty batch through."""
        scopes = self._scopes()
        if scopes is not None:
            return WRITE_SCOPE in scopes
        path = self._api.path("crm/objects", "deals/batch/update")
        answer = self._connection.send("POST", path, json={"inputs": []}, accept=(_REFUSED, _FORBIDDEN))
        return answer.status_code != _FORBIDDEN

    def _scopes(self) -> tuple[str, ...] | None:
        sign_in = self._connection.sign_in
        if isinstance(sign_in, RefreshedToken):
            return sign_in.scopes or None
        if not isinstance(sign_in, PrivateToken):
            return None
        body = {"tokenKey": sign_in.token.get_secret_value()}
        try:
            answer = self._connection.send("POST", _TOKEN_INFO, json=body, accept=(_REFUSED, _MISSING))
        except CRMSignInError:
            return None  # service keys and tokens of newer apps are not told about
        told = body_of(answer).get("scopes") if answer.status_code < _REFUSED else None
        return tuple(map(str, told)) if isinstance(told, list) else None

    def _stages(self) -> tuple[Stage, ...]:
        pipelines = self._connection.get(self._api.path("crm/pipelines", "deals")).json()["results"]
        return tuple(
            Stage(str(stage["id"]), str(stage["label"]), _outcome(stage.get("metadata", {})), str(pipeline["label"]))
            for pipeline in sorted(pipelines, key=_order)
            for stage in sorted(pipeline["stages"], key=_order)
        )

    def _hidden(self, mapped: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
        """Mapped properties of deals that the app is not shown, such as sensitive ones without their scope."""
        known = self._api.definitions()
        of_api = [
            [name.removeprefix(_PROPERTY) for name in columns if name.startswith(_PROPERTY)]
            for columns in mapped.values()
        ]
        hidden = tuple(names[0] for names in of_api if names and not known.keys() & {*names})
        return {"deals": hidden} if hidden else {}

    def _calculated(self) -> dict[str, tuple[str, ...]]:
        """The account's own properties that HubSpot works out."""
        known = self._api.definitions().values()
        names = tuple(str(each["name"]) for each in known if each.get("calculated") and not each.get("hubspotDefined"))
        return {"deals": names} if names else {}

    def _custom_fields(self) -> tuple[CustomField, ...]:
        known, ours = self._api.definitions().values(), self._pushed()
        own = [each for each in known if not each.get("hubspotDefined") and each["name"] not in ours]
        return tuple(CustomField(str(each["name"]), str(each["label"]), str(each["type"])) for each in own)


def _order(of: Mapping[str, Any]) -> tuple[int, str]:
    return int(of.get("displayOrder", 0)), str(of.get("label", ""))


def _outcome(metadata: Mapping[str, Any]) -> Literal["won", "lost", "open"]:
    """What a deal in a stage is; all values are texts, and accounts of old lack the flag."""
    try:
        probability = float(metadata.get("probability", ""))
    except ValueError:
        return "open"
    if str(metadata.get("isClosed", probability in (0.0, 1.0))).lower() != "true":
        return "open"
    return "won" if probability >= 1.0 else "lost"


def _scopes_named(answer: httpx.Response) -> list[str]:
    """The scopes that an answer of 403 asks for."""
    named: list[str] = []
    for error in body_of(answer).get("errors", ()):
        context = error.get("context") if isinstance(error, Mapping) else None
        if isinstance(context, Mapping):
            named += [
                str(each) for name in ("requiredGranularScopes", "requiredScopes") for each in context.get(name, ())
            ]
    return list(dict.fromkeys(named))
