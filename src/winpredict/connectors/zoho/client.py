"""Zoho CRM: read and written live, by version 8 of its API."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import pandas as pd
from pydantic import SecretStr

from winpredict.config import Config
from winpredict.connectors.base import (
    CustomField,
    Description,
    FieldChange,
    FieldOutcome,
    Page,
    RawRecord,
    ScoreField,
    Stage,
    WriteResult,
)
from winpredict.connectors.secrets import find_secret
from winpredict.connectors.zoho import writer as writing
from winpredict.connectors.zoho.api import Payload, ZohoAPI, ZohoRefusalError, ZohoRightsError
from winpredict.connectors.zoho.auth import signed_in
from winpredict.connectors.zoho.objects import (
    CONTACTS,
    DEALS,
    MODULES,
    OBJECTS,
    STAGE_FIELDS,
    STAGE_MODULE,
    STAGES,
    TIMELINE,
    TIMELINE_FIELDS,
    USERS,
    Owners,
    contact_records,
    custom_fields,
    moment,
    pushed_names,
    raw_record,
    stage_record,
    timeline_records,
    user_record,
)
from winpredict.connectors.zoho.reader import BY_DEAL, END, RECORDS, Cursor, read_by_deal, read_module, refused, start
from winpredict.errors import CRMError, CRMFieldError, CRMObjectError, CRMSignInError
from winpredict.locale.text import text

_WRITE_BATCH = 100
_Outcome = Literal["won", "lost", "open"]
_OUTCOMES: dict[str, _Outcome] = {"closed won": "won", "closed lost": "lost"}


class ZohoSource:
    """Zoho CRM as a `winpredict.connectors.base.CRMSource`.

    Parameters
    ----------
    config : Config
        Sections crm.zoho, crm.sync and crm.push.
    client_secret, refresh_token : SecretStr
        Of the client in the API console of the organisation's data centre.
    sleep : callable
        Waits so many seconds.

    Raises
    ------
    CRMSignInError
        When the config lacks what a sign-in needs; nothing is sent before the first request.
    """

    name = "zoho"
    objects = OBJECTS
    append_only = frozenset({STAGES, TIMELINE})
    write_batch = _WRITE_BATCH

    def __init__(
        self,
        config: Config,
        client_secret: SecretStr,
        refresh_token: SecretStr,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._crm = config.crm
        self._connection = signed_in(config, client_secret, refresh_token, sleep)
        self._api = ZohoAPI(self._connection, config.crm.zoho.api_version, config.crm.zoho.page_size)

    def describe(self, mapped: Mapping[str, Mapping[str, Sequence[str]]] | None = None) -> Description:
        """Check credentials and rights, and tell pipelines, stages and custom fields."""
        organisation = self._api.organisation()
        missing = self._missing()
        return Description(
            account=f"{organisation.get('company_name')} ({organisation.get('zgid') or organisation.get('id')})",
            readable=tuple(name for name in OBJECTS if name not in missing),
            missing=missing,
            writable=DEALS not in missing and writing.may_write(self._api),
            stages=tuple(self._stages()),
            custom_fields=tuple(
                CustomField(name, str(each.get("field_label") or name), str(each.get("data_type") or ""))
                for name, each in self._api.definitions(again=True).items()
                if each.get("custom_field") and name not in pushed_names(self._crm)
            ),
            records_history=("Stage", *TIMELINE_FIELDS),
        )

    def clock(self) -> pd.Timestamp:
        """Zoho's time by its last answer."""
        return self._connection.clock()

    def read(self, name: str, since: pd.Timestamp | None, resume: str = "") -> Iterator[Page]:
        """Records of an object, the least recently changed first; see `CRMSource.read`."""
        try:
            yield from self._pages(name, since, resume)
        except (ZohoRightsError, ZohoRefusalError) as error:
            raise CRMObjectError(str(error)) from error

    def _pages(self, name: str, since: pd.Timestamp | None, resume: str) -> Iterator[Page]:
        if name == USERS:
            yield from self._users(since, resume)
        elif name in (TIMELINE, CONTACTS):
            cursor = Cursor.of(resume) if resume else start(BY_DEAL, since)
            yield from read_by_deal(self._api, cursor, self._timeline(since) if name == TIMELINE else self._contacts)
        elif name == STAGES:
            yield from self._stays(since, resume)
        else:
            cursor = Cursor.of(resume) if resume else start(RECORDS, since)
            yield from read_module(self._api, name, self._fields(name), cursor, since, raw_record)

    def read_fields(self, deal_ids: Sequence[str], names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The present values of some fields, by deal; deals that are gone are left out."""
        absent = [name for name in names if name not in self._api.definitions()]
        if absent and (absent := [name for name in names if name not in self._api.definitions(again=True)]):
            raise CRMFieldError(
                text(
                    "deals in Zoho have no field {absent}: name others in crm.push of the config, or make them "
                    "with `winpredict push zoho --create-fields`",
                    absent=", ".join(absent),
                )
            )
        found = self._api.by_ids(DEALS, deal_ids, names)
        return {deal_id: {name: record.get(name) for name in names} for deal_id, record in found.items()}

    def write(self, changes: Sequence[FieldChange]) -> list[WriteResult]:
        """Write fields of at most 100 deals in one request."""
        return writing.write(self._api, changes) if changes else []

    def create_fields(self, fields: Sequence[ScoreField]) -> dict[str, FieldOutcome]:
        """Make fields of deals."""
        return writing.create_fields(self._api, fields)

    def close(self) -> None:
        """Let go of the connections."""
        self._connection.close()

    def _fields(self, name: str) -> list[str]:
        fields = list(MODULES[name])
        if name == DEALS:
            custom = custom_fields(self._api.definitions(), self._crm)
            # the stamps come with the first request, by which the others are joined
            fields += [each for each in custom if each not in fields]
        return fields

    def _users(self, since: pd.Timestamp | None, resume: str) -> Iterator[Page]:
        if resume:
            return
        records = map(user_record, self._api.users().values())
        changed = tuple(each for each in records if since is None or each.modified_at >= since)
        yield Page(changed, Cursor(END).resume)

    def _stays(self, since: pd.Timestamp | None, resume: str) -> Iterator[Page]:
        """Stays in stages: from the module of all deals where it may be read, else deal by deal."""
        cursor = Cursor.of(resume) if resume else start(RECORDS, since)
        if cursor.phase != BY_DEAL:
            try:
                fields = ("Potential_Name", *STAGE_FIELDS)
                yield from read_module(self._api, STAGE_MODULE, fields, cursor, None, stage_record)
            except CRMError as error:
                if resume or not refused(error):
                    raise
                cursor = start(BY_DEAL, since)
        yield from read_by_deal(self._api, cursor, self._stays_of)

    def _stays_of(self, deal_id: str, changed: pd.Timestamp) -> Iterator[RawRecord]:
        return (stage_record(each, deal_id) for each in self._api.related(deal_id, STAGES, STAGE_FIELDS))

    def _timeline(self, since: pd.Timestamp | None) -> Callable[[str, pd.Timestamp], Iterable[RawRecord]]:
        owners = Owners(self._api.users())

        def of_deal(deal_id: str, changed: pd.Timestamp) -> Iterator[RawRecord]:
            return timeline_records(deal_id, self._entries(deal_id, since), owners)

        return of_deal

    def _entries(self, deal_id: str, since: pd.Timestamp | None) -> Iterator[Payload]:
        """A deal's timeline, the latest first, back to a moment."""
        for entry in self._api.timeline(deal_id):
            if since is not None and moment(str(entry["audited_time"])) < since.floor("s"):
                return
            yield entry

    def _contacts(self, deal_id: str, changed: pd.Timestamp) -> Iterator[RawRecord]:
        contacts = list(self._api.related(deal_id, CONTACTS, ("Contact_Role",)))
        return contact_records(deal_id, changed, contacts, self._api.timeline(deal_id) if contacts else ())

    def _missing(self) -> dict[str, str]:
        """Objects that may not be read, with why not."""
        found: dict[str, str] = {}
        deal_id = ""
        for name in MODULES:
            try:
                rows, _ = self._api.records(name, ("Modified_Time",))
            except CRMError as error:
                found[name] = _why_not(error)
            else:
                deal_id = str(rows[0]["id"]) if name == DEALS and rows else deal_id
        for name, look in self._looks(deal_id).items():
            try:
                look()
            except CRMError as error:
                found[name] = _why_not(error)
        return found

    def _looks(self, deal_id: str) -> dict[str, Callable[[], object]]:
        """How to find out whether the objects that are no modules of their own may be read."""
        if not deal_id:
            return {USERS: self._api.users}
        return {
            STAGES: lambda: self._check_stage_history(deal_id),
            TIMELINE: lambda: next(self._api.timeline(deal_id), None),
            CONTACTS: lambda: next(self._api.related(deal_id, CONTACTS, ("Contact_Role",)), None),
            USERS: self._api.users,
        }

    def _check_stage_history(self, deal_id: str) -> None:
        try:
            self._api.records(STAGE_MODULE, ("Modified_Time",))
        except CRMError as error:
            if not refused(error):
                raise
            next(self._api.related(deal_id, STAGES, STAGE_FIELDS), None)

    def _stages(self) -> Iterator[Stage]:
        try:
            pipelines = self._api.pipelines()
        except (CRMSignInError, ZohoRefusalError):
            pipelines = []
        for pipeline in pipelines:
            name = str(pipeline.get("display_value") or "")
            yield from (_stage(each, name) for each in sorted(pipeline.get("maps") or (), key=_place_of))
        if not pipelines:
            yield from (_stage(each, "") for each in sorted(self._api.stages(), key=_place_of))


def connect(config: Config) -> ZohoSource:
    """Zoho CRM with the secrets that the user keeps for it.

    Raises
    ------
    CRMSignInError
        When a secret or the client id is missing.
    """
    return ZohoSource(config, find_secret("zoho_client_secret"), find_secret("zoho_refresh_token"))


def _stage(payload: Payload, pipeline: str) -> Stage:
    # records hold the actual value, people see the other: "Id. Decision Makers" and "Identify Decision Makers"
    label = str(payload.get("display_value") or payload.get("actual_value") or "")
    name = str(payload.get("actual_value") or label)
    outcome: _Outcome = _OUTCOMES.get(str(payload.get("forecast_type") or "").lower(), "open")
    return Stage(name, label, outcome, pipeline)


def _place_of(payload: Payload) -> int:
    return int(payload.get("sequence_number") or 0)


def _why_not(error: CRMError) -> str:
    """What is to be granted; a connection that fails is another matter."""
    if not isinstance(error, CRMSignInError | ZohoRefusalError):
        raise error
    return str(error)
