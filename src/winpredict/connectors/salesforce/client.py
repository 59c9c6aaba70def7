"""Salesforce: read and written live.

Requests go through `winpredict.connectors.http.Connection`, which knows our time-outs, retries and limits; of
simple-salesforce comes the quoting of SOQL. See `winpredict.connectors.salesforce.auth` for why it does not sign in.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import pandas as pd
from pydantic import SecretStr
from simple_salesforce.format import format_soql

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
from winpredict.connectors.salesforce.api import SalesforceAPI
from winpredict.connectors.salesforce.fields import create_fields
from winpredict.connectors.salesforce.objects import DEALS, OBJECTS, Table, field_name, literal, pushed_names
from winpredict.connectors.salesforce.reader import Reading, open_again
from winpredict.connectors.secrets import find_secret
from winpredict.errors import CRMError, CRMFieldError, CRMSignInError
from winpredict.locale.text import Text, said, text, texts

_SECRETS = {"client_credentials": "salesforce_client_secret", "jwt": "salesforce_private_key"}
_WRITE_BATCH, _IDS_A_QUERY = 200, 200
#: The part of an id that tells records apart; ids come with 15 characters, or with 3 more for readers without case.
_ID = 15
_BY_DEAL_HISTORY = ("StageName", "Amount", "Probability", "CloseDate")
#: What stands in the way of a write for a moment only.
_PASSING = (
    "UNABLE_TO_LOCK_ROW",
    "REQUEST_LIMIT_EXCEEDED",
    "SERVER_UNAVAILABLE",
    "REQUEST_RUNNING_TOO_LONG",
    "CONCURRENT_PROCESSING",
    "TXN_SECURITY_METERING_ERROR",
)
#: Fields that are absent where an organisation has not turned on what they belong to.
_OF_SOME_EDITIONS = ("CurrencyIsoCode", "CallObject", "VendorCallKey", "ActivityId", "IsRecurrence", "IsChild")
_TO_READ = text("not here, or the connected user may not read it: give its permission set the right to read {name}")
_MISSING: Mapping[str, Text] = {
    "OpportunityFieldHistory": text(
        "field history of opportunities is off: Setup > Object Manager > Opportunity > Fields & Relationships > Set "
        "History Tracking; without it changes of the owner have no history"
    ),
    "OpportunityTeamMember": text("opportunity teams are off: Setup > Opportunity Team Settings"),
    "OpportunityLineItem": text("products are off, or the connected user may not read them"),
    "VoiceCall": text("no calls of Salesforce Voice or Sales Dialer here; calls kept as tasks are read all the same"),
}


class SalesforceSource:
    """Salesforce as a `winpredict.connectors.base.CRMSource`.

    Parameters
    ----------
    config : Config
        Sections crm.salesforce, crm.sync and crm.push.
    secret : SecretStr
        The consumer secret of the app, or its private key (PEM) for the jwt flow.
    sleep : callable
        Waits so many seconds.

    Raises
    ------
    CRMSignInError
        When the config lacks what a sign-in needs; nothing is sent before the first request.
    """

    name = "salesforce"
    objects = OBJECTS
    append_only = frozenset({"OpportunityHistory", "OpportunityFieldHistory"})
    write_batch = _WRITE_BATCH

    def __init__(self, config: Config, secret: SecretStr, sleep: Callable[[float], None] = time.sleep) -> None:
        self._config = config
        self._api = SalesforceAPI(config, secret, sleep)
        self._described: dict[str, Mapping[str, Any] | None] = {}

    def describe(self, mapped: Mapping[str, Mapping[str, Sequence[str]]] | None = None) -> Description:
        """Check credentials and rights, and tell stages and custom fields."""
        deals = self._deals()
        readable = tuple(name for name in OBJECTS if self._describe(name) is not None)
        ours = pushed_names(self._config.crm)
        return Description(
            account=self._organisation(),
            readable=readable,
            missing={name: _missing(name) for name in OBJECTS if name not in readable},
            writable=bool(deals["updateable"]),
            stages=self._stages(),
            custom_fields=tuple(
                CustomField(each["name"], each["label"], each["type"])
                for each in deals["fields"]
                if each["custom"] and each["name"] not in ours
            ),
            records_history=self._tracked(readable),
            hidden=self._hidden(mapped or {}, readable),
            calculated=_named({DEALS: _calculated(deals["fields"])}),
            remarks=self._unseen(),
        )

    def clock(self) -> pd.Timestamp:
        """Salesforce's own time, UTC."""
        return self._api.clock()

    def read(self, name: str, since: pd.Timestamp | None, resume: str = "") -> Iterator[Page]:
        """Records of an object; see `winpredict.connectors.base.CRMSource.read`.

        Objects that `describe` misses have no pages. Bulk jobs give records in no order.
        """
        if name not in OBJECTS:
            raise CRMError(
                text(
                    "winpredict does not read {name} of Salesforce; it reads {objects}",
                    name=name,
                    objects=", ".join(OBJECTS),
                )
            )
        described = self._deals() if name == DEALS else self._describe(name)
        if described is None:
            return
        table = Table.of(described, self._config.crm)
        for page in Reading(self._api, table, since).pages(resume):
            resume = page.resume
            yield page
        if name == DEALS and since is not None and table.fields.keys() & set(_calculated(described["fields"])):
            # formulas and roll-ups change without a stamp
            yield from open_again(self._api, table, resume)

    def read_fields(self, deal_ids: Sequence[str], names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The present values of some fields, by deal; see `winpredict.connectors.base.CRMSource.read_fields`."""
        known = self._known(names)
        values: dict[str, dict[str, Any]] = {}
        for start in range(0, len(deal_ids), _IDS_A_QUERY):
            asked = {each[:_ID]: each for each in deal_ids[start : start + _IDS_A_QUERY]}
            fields = ", ".join(dict.fromkeys(["Id", *known.values()]))
            soql = format_soql(f"SELECT {fields} FROM {DEALS} WHERE Id IN {{}}", list(asked.values()))
            for row in self._api.rows(soql):
                values[asked[row["Id"][:_ID]]] = {name: row[field] for name, field in known.items()}
        return values

    def write(self, changes: Sequence[FieldChange]) -> list[WriteResult]:
        """Write fields of at most 200 deals; see `winpredict.connectors.base.CRMSource.write`."""
        if not changes:
            return []
        if len(changes) > _WRITE_BATCH:
            raise CRMError(
                text(
                    "Salesforce takes {write_batch} deals in one request; {n} were given",
                    write_batch=_WRITE_BATCH,
                    n=len(changes),
                )
            )
        known = self._known([name for change in changes for name in change.values])
        records = [
            {"attributes": {"type": DEALS}, "id": change.deal_id}
            | {known[name]: _plain(value) for name, value in change.values.items()}
            for change in changes
        ]
        body = {"allOrNone": False, "records": records}
        answer = self._api.send("PATCH", "composite/sobjects", json=body, writes=True, accept=(400,))
        if answer.status_code == 400:
            raise self._api.refused(answer, texts("writing {n:count} deal", "writing {n:count} deals", n=len(changes)))
        return [self._result(change.deal_id, each) for change, each in zip(changes, answer.json(), strict=True)]

    def create_fields(self, fields: Sequence[ScoreField]) -> dict[str, FieldOutcome]:
        """Make fields of deals; see `winpredict.connectors.base.CRMSource.create_fields`."""
        known = {each["name"]: each for each in self._deals()["fields"]}
        became = create_fields(self._api, fields, known)
        self._described.pop(DEALS, None)
        return became

    def _describe(self, name: str) -> Mapping[str, Any] | None:
        """What Salesforce says of an object; None where it is not to be read."""
        if name not in self._described:
            answer = self._api.get(f"sobjects/{name}/describe", missing_ok=True)
            described = None if answer.status_code == 404 else answer.json()
            self._described[name] = described if described and described["queryable"] else None
        return self._described[name]

    def _unseen(self) -> tuple[str, ...]:
        """Whether the connected user may miss records that others own."""
        try:
            rights = next(self._api.rows("SELECT PermissionsViewAllData FROM UserPermissionAccess LIMIT 1"), None)
        except CRMError:  # older organisations have no such object
            return ()
        if rights is None or rights["PermissionsViewAllData"]:
            return ()
        return (
            said(
                "The connected user lacks the right View All Data: deals and touches that are not shared with it are "
                "missing, and nothing tells how many. Grant it, or View All on opportunities and activities"
            ),
        )

    def _hidden(
        self, mapped: Mapping[str, Mapping[str, Sequence[str]]], readable: Sequence[str]
    ) -> dict[str, tuple[str, ...]]:
        """Mapped fields that field-level security hides: what is hidden is absent from what is described."""
        found = {}
        for name in readable:
            described = self._describe(name) or {"fields": ()}
            shown = {str(each["name"]).lower() for each in described["fields"]}
            found[name] = [
                columns[0]
                for columns in mapped.get(name, {}).values()
                if columns[0] not in _OF_SOME_EDITIONS and not shown & {each.lower() for each in columns}
            ]
        return _named(found)

    def _deals(self) -> Mapping[str, Any]:
        described = self._describe(DEALS)
        if described is None:
            raise CRMSignInError(
                text(
                    "the connected user may not read opportunities in Salesforce: {format}, and View All "
                    "Records, since winpredict must see every deal",
                    format=_TO_READ.with_values(name=DEALS),
                )
            )
        return described

    def _known(self, names: Sequence[str]) -> dict[str, str]:
        """Fields of deals as Salesforce has them, by the names that are configured."""
        there = {each["name"] for each in self._deals()["fields"]}
        fields = {name: field_name(name, there) for name in names}
        missing = sorted({field for field in fields.values() if field not in there})
        if missing:
            raise CRMFieldError(
                text(
                    "Salesforce shows no field {missing} of Opportunity to the connected user; make it with "
                    "`winpredict push salesforce --create-fields`, or give the user the right in Set "
                    "Field-Level Security",
                    missing=", ".join(missing),
                )
            )
        return fields

    def _organisation(self) -> str:
        row = next(self._api.rows("SELECT Id, Name FROM Organization LIMIT 1"), None)
        return f"{row['Name']} ({row['Id']})" if row else self._api.sign_in.organisation_id

    def _stages(self) -> tuple[Stage, ...]:
        soql = "SELECT ApiName, MasterLabel, IsClosed, IsWon, SortOrder FROM OpportunityStage ORDER BY SortOrder"
        return tuple(
            Stage(row["ApiName"], row["MasterLabel"] or row["ApiName"], _outcome(row["IsClosed"], row["IsWon"]))
            for row in self._api.rows(soql)
        )

    def _tracked(self, readable: Sequence[str]) -> tuple[str, ...]:
        """Fields whose changes stand in one of the two histories."""
        tracked = list(_BY_DEAL_HISTORY) if "OpportunityHistory" in readable else []
        if "OpportunityFieldHistory" in readable:
            soql = (
                "SELECT QualifiedApiName, IsFieldHistoryTracked FROM FieldDefinition "
                f"WHERE EntityDefinition.QualifiedApiName = '{DEALS}'"
            )
            try:
                rows = list(self._api.rows(soql, tooling=True))
            except CRMError:  # it takes the right View Setup, and is told for people only
                rows = []
            tracked += [row["QualifiedApiName"] for row in rows if row["IsFieldHistoryTracked"]]
        return tuple(dict.fromkeys(tracked))

    def _result(self, deal_id: str, result: Mapping[str, Any]) -> WriteResult:
        if result["success"]:
            return WriteResult(deal_id, done=True)
        errors = result.get("errors") or [{"statusCode": "UNKNOWN", "message": str(text("Salesforce gave no reason"))}]
        told = self._api.redact("; ".join(f"{each['statusCode']}: {each['message']}" for each in errors))
        return WriteResult(deal_id, False, told, retry=all(each["statusCode"] in _PASSING for each in errors))


def _calculated(fields: Sequence[Mapping[str, Any]]) -> list[str]:
    """Formula and roll-up fields of the organisation's own; Salesforce's are of no use or follow from others."""
    return [str(each["name"]) for each in fields if each.get("calculated") and each.get("custom")]


def _named(found: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(fields) for name, fields in found.items() if fields}


def connect(config: Config) -> SalesforceSource:
    """Salesforce as the config and the secrets have it.

    Parameters
    ----------
    config : Config

    Returns
    -------
    SalesforceSource

    Raises
    ------
    CRMSignInError
        When the secret is missing or the config lacks what a sign-in needs.
    """
    return SalesforceSource(config, find_secret(_SECRETS[config.crm.salesforce.sign_in]))


def _missing(name: str) -> str:
    return str(_MISSING.get(name, _TO_READ.with_values(name=name)))


def _outcome(closed: bool, won: bool) -> Any:
    return "won" if won else "lost" if closed else "open"


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, datetime):
        return literal(pd.Timestamp(value))
    return value.isoformat() if isinstance(value, date) else value
