"""A CRM in memory that goes on living, as a live source: Salesforce's object names, small pages, changes in between."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from winpredict.connectors.base import CustomField, Description, Page, RawRecord
from winpredict.errors import CRMError, CRMObjectError

START = pd.Timestamp("2025-01-01", tz="UTC")
OBJECTS = ("Opportunity", "OpportunityHistory", "Task", "Account")
STAGES = ("Prospecting", "Qualification", "Negotiation/Review")
PAGE = 3


@dataclass
class LivingCRM:
    """Records by object and id; `during` is called before each page, to change something or to fail."""

    seed: int = 0
    now: pd.Timestamp = START
    account: str = "Acme"
    missing: dict[str, str] = field(default_factory=dict)
    custom_fields: tuple[str, ...] = ("Region__c",)
    during: Callable[[str], None] = lambda name: None
    pages: int = 0
    resumes_fail: bool = False
    refused: dict[str, str] = field(default_factory=dict)
    purged: set[str] = field(default_factory=set)

    name = "salesforce"
    objects = OBJECTS
    append_only = frozenset({"OpportunityHistory"})
    write_batch = 1

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.records: dict[str, dict[str, RawRecord]] = {name: {} for name in OBJECTS}
        self.number = 0
        for _ in range(3):
            self.put("Account", self.new_id("001"), {"Name": "Customer", "Industry": str(self.rng.choice(["A", "B"]))})
        for _ in range(8):
            self.new_deal()

    # what happens

    def new_id(self, prefix: str) -> str:
        self.number += 1
        return f"{prefix}{self.number:06d}"

    def put(self, name: str, record_id: str, values: dict[str, Any]) -> None:
        self.now += pd.Timedelta(seconds=int(self.rng.integers(1, 4000)))
        before = dict(self.records[name][record_id].values) if record_id in self.records[name] else {}
        stamp = self.now.isoformat()
        created = before.get("CreatedDate", stamp)
        whole = {"CreatedDate": created} | before | values | {"Id": record_id, "SystemModstamp": stamp}
        self.records[name][record_id] = RawRecord(record_id, whole | {"IsDeleted": False}, self.now)

    def delete(self, name: str, record_id: str) -> None:
        self.now += pd.Timedelta(seconds=1)
        self.records[name][record_id] = RawRecord(record_id, {}, self.now, deleted=True)

    def vanish(self, name: str, record_id: str) -> None:
        """Without a trace."""
        del self.records[name][record_id]

    def live(self, name: str) -> list[str]:
        return sorted(each.record_id for each in self.records[name].values() if not each.deleted)

    def one(self, name: str) -> str | None:
        ids = self.live(name)
        return str(self.rng.choice(ids)) if ids else None

    def new_deal(self) -> None:
        deal = self.new_id("006")
        self.put(
            "Opportunity",
            deal,
            {
                "Name": f"Deal {deal}",
                "AccountId": self.one("Account"),
                "CloseDate": "2025-09-30",
                "Amount": float(self.rng.integers(1, 9)) * 1000.5,
                "LeadSource": str(self.rng.choice(["Web", "Fair"])),
                **{name: self.rng.choice(["East", "West", None]) for name in self.custom_fields},
            },
        )
        self.stage(deal, STAGES[0])

    def stage(self, deal: str, stage: str) -> None:
        closed = stage.startswith("Closed")
        self.put("Opportunity", deal, {"StageName": stage, "IsClosed": closed, "IsWon": stage == "Closed Won"})
        values = self.records["Opportunity"][deal].values
        row = {"OpportunityId": deal, "StageName": stage, "Amount": values["Amount"], "CloseDate": values["CloseDate"]}
        self.put("OpportunityHistory", self.new_id("008"), row)

    def change(self) -> None:
        """Something happens."""
        deal = self.one("Opportunity")
        if deal is None:
            self.new_deal()
            return
        task = {"WhatId": deal, "Status": "Completed", "TaskSubtype": "Call", "CompletedDateTime": self.now.isoformat()}
        kinds: list[Callable[[], object]] = [
            self.new_deal,
            lambda: self.stage(deal, str(self.rng.choice([*STAGES, "Closed Won", "Closed Lost"]))),
            lambda: self.put("Opportunity", deal, {"Region__c": self.rng.choice(["East", "West", "7", None])}),
            lambda: self.put("Opportunity", deal, {"AccountId": self.one("Account")}),
            lambda: self.put("Task", self.new_id("00T"), task),
            lambda: self.put("Task", self.one("Task") or self.new_id("00T"), task),
            lambda: self.delete("Opportunity", deal),
            lambda: self.one("Task") and self.delete("Task", str(self.one("Task"))),
        ]
        kinds[int(self.rng.integers(len(kinds)))]()

    # what a client gives

    def describe(self, mapped: object = None) -> Description:
        readable = tuple(name for name in OBJECTS if name not in self.missing)
        fields = tuple(CustomField(name, name, "picklist") for name in self.custom_fields)
        return Description(self.account, readable, self.missing, custom_fields=fields)

    def clock(self) -> pd.Timestamp:
        return self.now.ceil("s") + pd.Timedelta("1s")

    def read(self, name: str, since: pd.Timestamp | None, resume: str = "") -> Iterator[Page]:
        if resume and self.resumes_fail:
            raise CRMError("the results of this query are gone")
        place = resume
        while True:
            self.during(name)
            self.pages += 1
            wanted = [each for each in self.records[name].values() if self._is_wanted(each, since, place)]
            found = [each for each in wanted if each.record_id not in self.purged]
            found = sorted(found, key=_place)[:PAGE]
            if not found:
                return
            place = _place(found[-1])
            yield Page(tuple(found), place)
            if name in self.refused:
                raise CRMObjectError(self.refused[name])

    @staticmethod
    def _is_wanted(record: RawRecord, since: pd.Timestamp | None, place: str) -> bool:
        if since is None and record.deleted:
            return False
        return (since is None or record.modified_at >= since) and _place(record) > place


def _place(record: RawRecord) -> str:
    return f"{record.modified_at.value:020d} {record.record_id}"
