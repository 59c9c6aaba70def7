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
    CURRENCIES,
    DEALS,
    MODULES,
    OBJECTS,
    STAGE_FIELDS,
    STAGE_MODULE,
    STAGES,
    TIMELINE,
    TIMELINE_FIELDS,
    USERS,
    Additions,
    Owners,
    added_contacts,
    calculated_fields,
    contact_records,
    currency_record,
    custom_fields,
    has_hiding_profiles,
    hidden_fields,
    moment,
    pushed_names,
    raw_record,
    stage_record,
    timeline_records,
    user_record,
)
from winpredict.connectors.zoho.plan import A_DEAL, Plan, whole_number
from winpredict.connectors.zoho.reader import (
    BY_DEAL,
    END,
    RECORDS,
    Cursor,
    is_hidden,
    layout_of,
    read_by_deal,
    read_module,
    refused,
    start,
)
from winpredict.errors import CRMError, CRMFieldError, CRMObjectError, CRMSignInError
from winpredict.locale.text import said, text

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
        self._additions = Additions()
        self._without_timeline: set[str] = set()
        self._plan: Plan | None = None

    def describe(self, mapped: Mapping[str, Mapping[str, Sequence[str]]] | None = None) -> Description:
        """Check credentials and rights, and tell pipelines, stages and custom fields."""
        organisation = self._api.organisation(again=True)
        remarks: list[str] = []
        missing, deals = self._missing(remarks)
        definitions = self._api.definitions(again=True)
        plan = self._plan = Plan.of(organisation, deals, self._crm.zoho.credits_kept)
        if plan.days is None or plan.days > 1:
            remarks.append(str(plan))
        calculated = tuple(sorted(calculated_fields(definitions).intersection(self._fields(DEALS))))
        return Description(
            account=f"{organisation.get('company_name')} ({organisation.get('zgid') or organisation.get('id')})",
            readable=tuple(name for name in OBJECTS if name not in missing),
            missing=missing,
            writable=DEALS not in missing and writing.may_write(self._api),
            stages=tuple(self._stages(again=True)),
            custom_fields=tuple(
                CustomField(name, str(each.get("field_label") or name), str(each.get("data_type") or ""))
                for name, each in definitions.items()
                if each.get("custom_field") and name not in pushed_names(self._crm)
            ),
            records_history=("Stage", *TIMELINE_FIELDS),
            hidden=self._hidden(mapped or {}, missing, remarks),
            calculated={DEALS: calculated} if calculated else {},
            remarks=tuple(remarks),
            plan=str(plan),
        )

    def clock(self) -> pd.Timestamp:
        """Zoho's time by its last answer."""
        return self._connection.clock()

    def read(self, name: str, since: pd.Timestamp | None, resume: str = "") -> Iterator[Page]:
        """Records of an object, the least recently changed first; see `CRMSource.read`."""
        try:
            yield from self._pages(name, since, resume)
        except (ZohoRightsError, ZohoRefusalError) as error:
            if name == DEALS:
                raise
            raise CRMObjectError(str(error)) from error

    def _pages(self, name: str, since: pd.Timestamp | None, resume: str) -> Iterator[Page]:
        if name == USERS:
            yield from self._users(since, resume)
        elif name == CURRENCIES:
            yield from self._currencies(since, resume)
        elif name in (TIMELINE, CONTACTS):
            cursor = Cursor.of(resume) if resume else start(BY_DEAL, since)
            of_deal = self._timeline(since) if name == TIMELINE else self._contacts
            yield from read_by_deal(self._api, name, cursor, of_deal, self._left(name, since))
        elif name == STAGES:
            yield from self._stays(since, resume)
        else:
            cursor = Cursor.of(resume) if resume else start(RECORDS, since)
            again = self._is_calculated() if name == DEALS and since is not None else None
            yield from read_module(self._api, name, self._fields(name), cursor, since, raw_record, again)

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
        yield from read_by_deal(self._api, STAGES, cursor, self._stays_of, self._left(STAGES, since))

    def _stays_of(self, deal: Payload) -> Iterator[RawRecord]:
        deal_id = str(deal["id"])
        return (stage_record(each, deal_id) for each in self._api.related(deal_id, STAGES, STAGE_FIELDS))

    def _timeline(self, since: pd.Timestamp | None) -> Callable[[Payload], Iterable[RawRecord]]:
        owners = Owners(self._api.users())

        def of_deal(deal: Payload) -> Iterator[RawRecord]:
            if deal.get("Created_Time") == deal.get("Modified_Time"):
                return iter(())  # nobody changed it yet
            return timeline_records(str(deal["id"]), self._entries(deal, since), owners)

        return of_deal

    def _entries(self, deal: Payload, since: pd.Timestamp | None) -> Iterator[Payload]:
        """A deal's timeline, the latest first, back to a moment; what it tells of contacts is kept."""
        deal_id, whole = str(deal["id"]), []
        for entries, more in self._api.timeline(deal_id):
            whole += entries
            if not more:
                self._additions.keep(deal_id, str(deal["Modified_Time"]), added_contacts(whole))
            for entry in entries:
                if since is not None and moment(str(entry["audited_time"])) < since.floor("s"):
                    return
                yield entry

    def _contacts(self, deal: Payload) -> Iterator[RawRecord]:
        deal_id, stamp = str(deal["id"]), str(deal["Modified_Time"])
        contacts = list(self._api.related(deal_id, CONTACTS, ("Contact_Role",)))
        added = self._additions.take(deal_id, stamp)
        layout = layout_of(deal)
        if contacts and added is None and layout not in self._without_timeline:
            try:
                added = added_contacts(entry for entries, _ in self._api.timeline(deal_id) for entry in entries)
            except ZohoRefusalError as error:
                if not is_hidden(error):
                    raise
                self._without_timeline |= {layout} if layout else set()
        return contact_records(deal_id, moment(stamp), contacts, added or {})

    def _left(self, name: str, since: pd.Timestamp | None) -> Callable[[int], str]:
        """What is left of a first sync after so many deals of a list."""
        plan = self._plan
        if plan is None or since is not None:
            return lambda read: ""
        lists = A_DEAL - 1 if name == CONTACTS else A_DEAL if name == TIMELINE else A_DEAL + 1
        return lambda read: said(
            "{name} is read of {read:count} of {deals:count} deals; about {left:count} requests are left of the first "
            "sync, which goes on here when `winpredict sync zoho` is run again",
            name=name,
            read=read,
            deals=max(plan.deals, read),
            left=plan.left(read, lists=lists),
        )

    def _currencies(self, since: pd.Timestamp | None, resume: str) -> Iterator[Page]:
        if resume:
            return
        organisation = self._api.organisation()
        found = self._api.currencies() if organisation.get("mc_status") else []
        if not found and organisation.get("iso_code"):
            found = [{"iso_code": organisation["iso_code"], "name": organisation.get("currency"), "is_base": True}]
            found[0] |= {"exchange_rate": "1.0", "is_active": True}
        changed = (each for each in map(currency_record, found) if since is None or each.modified_at >= since)
        yield Page(tuple(changed), Cursor(END).resume)

    def _is_calculated(self) -> Callable[[Payload], bool] | None:
        """Which deals are read whether they were changed or not: open ones, where fields are calculated."""
        if not calculated_fields(self._api.definitions()).intersection(self._fields(DEALS)):
            return None
        closed = {name for each in self._stages() if each.outcome != "open" for name in (each.name, each.label)}
        return lambda deal: deal.get("Stage") not in closed

    def _hidden(
        self, mapped: Mapping[str, Mapping[str, Sequence[str]]], missing: Mapping[str, str], remarks: list[str]
    ) -> dict[str, tuple[str, ...]]:
        """Mapped fields that are not shown, by object."""
        found: dict[str, tuple[str, ...]] = {}
        profile = ""
        for name, columns in mapped.items():
            if name not in MODULES or name in (*missing, "Notes") or not columns:
                continue  # Zoho tells no fields of notes
            try:
                definitions = self._api.definitions(name, again=name != DEALS)
                if not profile and has_hiding_profiles(definitions):
                    profile = self._api.profile()
            except (ZohoRightsError, ZohoRefusalError) as error:
                remarks.append(said("{name}: whether fields are hidden is not told ({error})", name=name, error=error))
                continue
            if hidden := hidden_fields(name, definitions, columns, profile):
                found[name] = hidden
        return found

    def _missing(self, remarks: list[str]) -> tuple[dict[str, str], int]:
        """Objects that may not be read, with why not; and the number of deals."""
        found: dict[str, str] = {}
        deal_id, deals = "", 0
        for name in MODULES:
            try:
                rows, info = self._api.records(name, ("Modified_Time",))
            except CRMError as error:
                found[name] = _why_not(error)
            else:
                if name == DEALS and rows:
                    deal_id, deals = str(rows[0]["id"]), len(rows)
                    deals = self._number(DEALS, deals) if info.get("more_records") else deals
        for name, look in self._looks(deal_id).items():
            try:
                look()
            except CRMError as error:
                if is_hidden(error):
                    remarks.append(
                        said(
                            "{name}: the layout of a deal does not show this related list, so that the deals of this "
                            "layout come without it; add it to all layouts of deals (Setup > Customization > Modules "
                            "and Fields > Deals)",
                            name=name,
                        )
                    )
                    continue
                found[name] = _why_not(error)
        return found, deals

    def _number(self, module: str, at_least: int) -> int:
        try:
            return max(self._api.count(module), at_least)
        except (ZohoRightsError, ZohoRefusalError):
            return at_least

    def _looks(self, deal_id: str) -> dict[str, Callable[[], object]]:
        """How to find out whether the objects that are no modules of their own may be read."""
        looks: dict[str, Callable[[], object]] = {USERS: self._api.users}
        if self._api.organisation().get("mc_status"):
            looks[CURRENCIES] = self._api.currencies
        if not deal_id:
            return looks
        return {
            STAGES: lambda: self._check_stage_history(deal_id),
            TIMELINE: lambda: next(self._api.timeline(deal_id), None),
            CONTACTS: lambda: next(self._api.related(deal_id, CONTACTS, ("Contact_Role",)), None),
            **looks,
        }

    def _check_stage_history(self, deal_id: str) -> None:
        try:
            self._api.records(STAGE_MODULE, ("Modified_Time",))
        except CRMError as error:
            if not refused(error):
                raise
            next(self._api.related(deal_id, STAGES, STAGE_FIELDS), None)

    def _stages(self, *, again: bool = False) -> Iterator[Stage]:
        try:
            pipelines = self._api.pipelines(again=again)
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
    return whole_number(payload.get("sequence_number"))


def _why_not(error: CRMError) -> str:
    """What is to be granted; a connection that fails is another matter."""
    if not isinstance(error, CRMSignInError | ZohoRefusalError):
        raise error
    return str(error)
