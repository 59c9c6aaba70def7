"""The company whose records the Salesforce stand-in holds, and how Salesforce records what happens to it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from winpredict.simulate.world import World
from winpredict_sandbox.changes import (
    AccountMerge,
    Change,
    Closing,
    DealDeletion,
    DealEdit,
    DealMerge,
    NewDeal,
    NewTouch,
    Reopening,
    TouchDeletion,
)
from winpredict_sandbox.records import Record, Records, WorldClock
from winpredict_sandbox.salesforce.schema import OF_DEALS, WITHOUT_BIN, fields_of
from winpredict_sandbox.salesforce.world import add_voice_call, fill, moment_text

_DEALS, _TEAM = "Opportunity", "OpportunityTeamMember"
_WON, _LOST = "Closed Won", "Closed Lost"
#: Stage, odds in per cent and forecast category, in order.
_STAGES = (
    ("Prospecting", 10, "Pipeline"),
    ("Qualification", 20, "Pipeline"),
    ("Needs Analysis", 40, "Pipeline"),
    ("Proposal/Price Quote", 65, "Pipeline"),
    ("Negotiation/Review", 85, "Pipeline"),
    (_WON, 100, "Closed"),
    (_LOST, 0, "Omitted"),
)
_IN_HISTORY = ("StageName", "Amount", "Probability", "CloseDate")
_LOSS_REASONS = ("Competitor", "No Decision", "Price", "Timing")
_FIRST_OF_NEW = 5_000_000_000
_DAYS_TO_CLOSE = 60


class Company:
    """See `winpredict_sandbox.changes.Company`.

    Parameters
    ----------
    world : World
    seed : int
        Of what Salesforce fills in where a change leaves it open.
    voice_share : float
        Share of the calls that are recorded a second time as VoiceCall, 0 to 1.
    """

    stages: Sequence[str] = tuple(name for name, _, _ in _STAGES[:-2])
    merges_deals = False

    def __init__(self, world: World, seed: int, voice_share: float) -> None:
        self._rng, self._voice_share = np.random.default_rng([seed, 5]), voice_share
        self.clock = WorldClock(world.ends_at)
        self.records = Records(self.clock)
        fill(self.records, world, voice_share, self._rng)
        _fill_setup(self.records, world.ends_at)
        #: Records that were deleted without a trace: object and id.
        self.vanished: set[tuple[str, str]] = set()
        deals = self.records.live(_DEALS)
        self._open = {each.record_id: None for each in deals if not each.values["IsClosed"]}
        self._closed = {each.record_id: None for each in deals if each.values["IsClosed"]}
        self._accounts = {each.record_id: None for each in self.records.live("Account")}
        self._owners = [each.record_id for each in self.records.live("User")]
        self._touches = {each.record_id: name for name in ("Task", "Event") for each in self.records.live(name)}
        self._deals_of: dict[str, dict[str, None]] = {}
        for each in deals:
            self._deals_of.setdefault(each.values["AccountId"], {})[each.record_id] = None
        self._parts: dict[str, list[tuple[str, str]]] = {}
        for name, field in OF_DEALS.items():
            for each in self.records.live(name):
                self._parts.setdefault(each.values[field], []).append((name, each.record_id))
        self._made = 0

    def open_deals(self) -> Sequence[str]:
        """Ids of the deals that are open."""
        return list(self._open)

    def closed_deals(self) -> Sequence[str]:
        """Ids of the deals that are won or lost."""
        return list(self._closed)

    def touches(self) -> Sequence[str]:
        """Ids of the tasks and events."""
        return list(self._touches)

    def accounts(self) -> Sequence[str]:
        """Ids of the accounts."""
        return list(self._accounts)

    def owners(self) -> Sequence[str]:
        """Ids of the users."""
        return self._owners

    def amount(self, deal_id: str) -> float | None:
        """The present amount of a deal."""
        amount: float | None = self._deal(deal_id).values["Amount"]
        return amount

    def apply(self, change: Change) -> None:
        """Let it happen, with everything that Salesforce writes because of it."""
        match change:
            case NewDeal(like):
                self._new_deal(self._deal(like).values)
            case NewTouch(deal_id, activity_type):
                self._new_touch(deal_id, activity_type)
            case DealEdit(deal_id, values):
                self.edit(deal_id, self._raw(values))
            case Closing(deal_id, won):
                self._close(deal_id, won=won)
            case Reopening(deal_id, stage):
                self.edit(deal_id, {"StageName": stage, "CloseDate": self._day(_DAYS_TO_CLOSE)})
            case DealDeletion(deal_id):
                self._delete_deal(deal_id)
            case TouchDeletion(activity_id):
                self.records.delete(self._touches.pop(activity_id), activity_id)
            case AccountMerge(loser, winner):
                self._merge_accounts(loser, winner)
            case DealMerge():
                raise ValueError("Salesforce merges no opportunities")

    def edit(self, deal_id: str, values: Mapping[str, Any]) -> None:
        """Change fields of a deal, and write its histories."""
        before = self._deal(deal_id)
        values = dict(values)
        if "StageName" in values:
            values |= _of_stage(values["StageName"])
        after = self.records.change(_DEALS, deal_id, values)
        changed = {name for name in values if before.values.get(name) != values[name]}
        if changed & set(_IN_HISTORY):
            self._add_history(after)
        if "OwnerId" in changed:
            self._add_owners(after, before.values["OwnerId"])
        closed = after.values["IsClosed"]
        (self._open if closed else self._closed).pop(deal_id, None)
        (self._closed if closed else self._open)[deal_id] = None

    def join_team(self, deal_id: str, user_id: str, role: str = "Sales Engineer") -> str:
        """Put a user on the team of a deal; the id of the membership."""
        values = {"OpportunityId": deal_id, "UserId": user_id, "TeamMemberRole": role}
        return self._add_part(_TEAM, "00q", deal_id, values)

    def leave_team(self, member_id: str) -> None:
        """Take a member off a team: the row is gone, and only the list of removals tells of it."""
        self.records.delete(_TEAM, member_id)
        if _TEAM in WITHOUT_BIN:
            self.vanished.add((_TEAM, member_id))

    def restore_deal(self, deal_id: str) -> None:
        """Take a deleted deal out of the recycle bin, with everything that went with it."""
        self._restore(_DEALS, deal_id)
        for name, part in self._parts.get(deal_id, ()):
            record = self.records.get(name, part)
            if record is not None and record.deleted_at is not None and (name, part) not in self.vanished:
                self._restore(name, part)
                if name in ("Task", "Event"):
                    self._touches[part] = name
        record = self._deal(deal_id)
        (self._closed if record.values["IsClosed"] else self._open)[deal_id] = None

    def _restore(self, name: str, record_id: str) -> None:
        record = self.records.get(name, record_id)
        assert record is not None
        self.records.add(name, record_id, record.values, record.created_at, self.clock.now)
        self.clock.advance()

    def _deal(self, deal_id: str) -> Record:
        record = self.records.get(_DEALS, deal_id)
        assert record is not None
        return record

    def _raw(self, values: Mapping[str, Any]) -> dict[str, Any]:
        names = {"stage": "StageName", "amount": "Amount", "owner_id": "OwnerId", "region": "Region__c"}
        raw = {names[name]: value for name, value in values.items() if name in names}
        if "expected_close_in_days" in values:
            raw["CloseDate"] = self._day(values["expected_close_in_days"])
        return raw

    def _day(self, days: int) -> str:
        return f"{self.clock.now + pd.Timedelta(days=days):%Y-%m-%d}"

    def _id(self, prefix: str) -> str:
        self._made += 1
        return f"{prefix}Dn{_FIRST_OF_NEW + self._made:010d}"

    def _close(self, deal_id: str, *, won: bool) -> None:
        values: dict[str, Any] = {"StageName": _WON if won else _LOST, "CloseDate": self._day(0)}
        if won:
            values["Contract_Signed__c"] = moment_text(self.clock.now.floor("s"))
        else:
            values["Loss_Reason__c"] = str(self._rng.choice(_LOSS_REASONS))
            values["Amount"] = 0.0 if self._rng.random() < 0.5 else self.amount(deal_id)
        self.edit(deal_id, values)

    def _new_deal(self, like: Mapping[str, Any]) -> None:
        deal_id = self._id("006")
        values = {**like, **_of_stage(_STAGES[0][0]), "StageName": _STAGES[0][0], "Name": f"Opp {deal_id}"}
        values |= {"CloseDate": self._day(_DAYS_TO_CLOSE), "Loss_Reason__c": None, "Contract_Signed__c": None}
        self._open[deal_id] = None
        self._deals_of.setdefault(values["AccountId"], {})[deal_id] = None
        self._add_history(self.records.add(_DEALS, deal_id, values))
        role = {"OpportunityId": deal_id, "ContactId": self._id("003"), "Role": "Business User"}
        self._add_part("OpportunityContactRole", "00K", deal_id, role)
        self.join_team(deal_id, str(self._rng.choice(self._owners)))

    def _new_touch(self, deal_id: str, activity_type: str) -> None:
        name, prefix = ("Event", "00U") if activity_type == "meeting" else ("Task", "00T")
        happened = self.clock.now.floor("s") - pd.Timedelta(minutes=int(self._rng.integers(1, 60)))
        values: dict[str, Any] = {
            "WhatId": deal_id,
            "WhoId": self._contact(deal_id),
            "OwnerId": self._deal(deal_id).values["OwnerId"],
            "ActivityDate": f"{happened:%Y-%m-%d}",
        }
        if name == "Event":
            values |= {"Subject": "Meeting", "StartDateTime": moment_text(happened), "DurationInMinutes": 30}
        else:
            kind = activity_type.capitalize()
            values |= {"Subject": kind, "TaskSubtype": kind, "Status": "Completed"}
            values["CompletedDateTime"] = moment_text(happened)
        if activity_type == "call":
            values |= {"CallType": str(self._rng.choice(["Inbound", "Outbound"])), "CallDurationInSeconds": 120.0}
        touch = self._add_part(name, prefix, deal_id, values)
        self._touches[touch] = name
        if activity_type == "call" and self._rng.random() < self._voice_share:
            add_voice_call(self.records, touch, self.clock.advance())

    def _contact(self, deal_id: str) -> str | None:
        roles = [part for name, part in self._parts.get(deal_id, ()) if name == "OpportunityContactRole"]
        record = self.records.get("OpportunityContactRole", roles[0]) if roles else None
        return None if record is None else str(record.values["ContactId"])

    def _add_part(self, name: str, prefix: str, deal_id: str, values: dict[str, Any]) -> str:
        part = self._id(prefix)
        self.records.add(name, part, values)
        self._parts.setdefault(deal_id, []).append((name, part))
        return part

    def _add_history(self, deal: Record) -> None:
        values = {name: deal.values[name] for name in _IN_HISTORY}
        values |= {"ForecastCategory": deal.values["ForecastCategoryName"], "CreatedById": deal.values["OwnerId"]}
        self._add_of_change("OpportunityHistory", "008", deal, values)

    def _add_owners(self, deal: Record, before: str) -> None:
        """Two rows for a change of a reference: one with ids, one with the names."""
        pairs = {"EntityId": (before, deal.values["OwnerId"])}
        pairs["Text"] = (self._name(before), self._name(deal.values["OwnerId"]))
        for kind, (old, new) in pairs.items():
            values = {"Field": "Owner", "DataType": kind, "OldValue": old, "NewValue": new, "CreatedById": before}
            self._add_of_change("OpportunityFieldHistory", "017", deal, values)

    def _add_of_change(self, name: str, prefix: str, deal: Record, values: dict[str, Any]) -> None:
        part = self._id(prefix)
        self.records.add(name, part, {"OpportunityId": deal.record_id, **values}, deal.modified_at)
        self._parts.setdefault(deal.record_id, []).append((name, part))

    def _name(self, user_id: str) -> str:
        record = self.records.get("User", user_id)
        return user_id if record is None else str(record.values["Name"])

    def _delete_deal(self, deal_id: str) -> None:
        self.records.delete(_DEALS, deal_id)
        self._open.pop(deal_id, None)
        self._closed.pop(deal_id, None)
        for name, part in self._parts.get(deal_id, ()):
            record = self.records.get(name, part)
            if record is not None and record.deleted_at is None:
                self.records.delete(name, part)
            self._touches.pop(part, None)

    def _merge_accounts(self, loser: str, winner: str) -> None:
        for deal_id in self._deals_of.pop(loser, {}):
            if self._deal(deal_id).deleted_at is None:
                self.records.change(_DEALS, deal_id, {"AccountId": winner})
                self._deals_of.setdefault(winner, {})[deal_id] = None
        self.records.touch("Account", winner)
        self.records.change("Account", loser, {"MasterRecordId": winner})
        self.records.delete("Account", loser, merged_into=winner)
        del self._accounts[loser]


def _of_stage(stage: str) -> dict[str, Any]:
    """What follows from a stage."""
    odds, forecast = next((odds, forecast) for name, odds, forecast in _STAGES if name == stage)
    return {
        "Probability": odds,
        "ForecastCategoryName": forecast,
        "IsClosed": stage in (_WON, _LOST),
        "IsWon": stage == _WON,
    }


def _fill_setup(records: Records, now: pd.Timestamp) -> None:
    """What an administrator has set up."""
    for number, (stage, odds, _) in enumerate(_STAGES, start=1):
        values = {
            "ApiName": stage,
            "MasterLabel": stage,
            "IsActive": True,
            "SortOrder": number,
            "DefaultProbability": odds,
        }
        values |= {"IsClosed": stage in (_WON, _LOST), "IsWon": stage == _WON}
        records.add("OpportunityStage", f"01JDn{number:010d}", values, now)
    organisation = {"Name": "Simulated Sales Ltd", "OrganizationType": "Enterprise Edition", "IsSandbox": True}
    records.add("Organization", "00DDn0000000001", organisation, now)
    rights = {"Name": "X00ex", "IsOwnedByProfile": True, "ProfileId": "00eDn0000000001"}
    records.add("PermissionSet", "0PSDn0000000001", rights, now)
    for name in fields_of(_DEALS):
        values = {"QualifiedApiName": name, "EntityDefinition.QualifiedApiName": _DEALS}
        values["IsFieldHistoryTracked"] = name == "OwnerId"
        records.add("FieldDefinition", name, values, now)
