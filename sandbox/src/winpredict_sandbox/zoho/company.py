"""What happens to a company in Zoho CRM after the end of its simulated world."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

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
from winpredict_sandbox.zoho.world import (
    DEALS,
    LOST,
    MODULE_OF,
    OPEN_STAGES,
    PROBABILITIES,
    REGION,
    STAYS,
    TOUCHES,
    WON,
    Values,
    ZohoWorld,
    deal_of,
    module_of,
    stamp,
    timeline_change,
    touch_values,
)


class ZohoCompany(ZohoWorld):
    """A company that goes on living; see `winpredict_sandbox.changes.Company`."""

    stages: Sequence[str] = OPEN_STAGES
    merges_deals = True

    def open_deals(self) -> Sequence[str]:
        """Ids of the deals that are open."""
        return [deal_id for deal_id, stage in self.stage_of.items() if stage in OPEN_STAGES]

    def closed_deals(self) -> Sequence[str]:
        """Ids of the deals that are won or lost."""
        return [deal_id for deal_id, stage in self.stage_of.items() if stage not in OPEN_STAGES]

    def touches(self) -> Sequence[str]:
        """Ids of the touches."""
        return [each.record_id for name in TOUCHES for each in self.records.live(name)]

    def accounts(self) -> Sequence[str]:
        """Ids of the accounts."""
        return [each.record_id for each in self.records.live("Accounts")]

    def owners(self) -> Sequence[str]:
        """Ids of the users who own deals."""
        return [each.record_id for each in self.records.live("Users")]

    def amount(self, deal_id: str) -> float | None:
        """The present amount of a deal."""
        amount = self.deal(deal_id).values["Amount"]
        return None if amount is None else float(amount)

    def apply(self, change: Change) -> None:
        """Let it happen."""
        self.revision += 1
        match change:
            case NewDeal(like):
                self._new_deal(like)
            case NewTouch(deal_id, activity_type):
                self._new_touch(deal_id, activity_type)
            case DealEdit(deal_id, values):
                self.edit(deal_id, self._as_named(values))
            case Closing(deal_id, won):
                self.edit(deal_id, self._closed(deal_id, won=won))
            case Reopening(deal_id, stage):
                closing = (self.now + pd.Timedelta("30D")).strftime("%Y-%m-%d")
                self.edit(deal_id, {"Stage": stage, "Closing_Date": closing, "Reason_For_Loss__s": None})
            case DealDeletion(deal_id):
                self._delete_deal(deal_id)
            case TouchDeletion(activity_id):
                self.records.delete(module_of(activity_id), activity_id)
            case AccountMerge(loser, winner):
                self._merge_accounts(loser, winner)
            case DealMerge(loser, winner):
                self._merge_deals(loser, winner)

    def edit(self, deal_id: str, values: Mapping[str, Any]) -> None:
        """Change fields of a deal, as a user or a program does: the timeline tells of it."""
        before = self.deal(deal_id).values
        changed = {name: value for name, value in values.items() if before.get(name) != value}
        if not changed:
            return
        now = self.now
        if "Stage" in changed:
            changed["Probability"] = PROBABILITIES[changed["Stage"]]
        self.records.change(DEALS, deal_id, changed)
        told = [timeline_change(name, before.get(name), value) for name, value in changed.items()]
        self.tell(deal_id, now, {"action": "updated", "field_history": told})
        if "Stage" in changed:
            self.stage_of[deal_id] = changed["Stage"]
            self.enter(deal_id, now)

    def _as_named(self, values: Mapping[str, Any]) -> Values:
        found: Values = {}
        for name, value in values.items():
            if name == "owner_id":
                found["Owner"] = self.user(value)
            elif name == "expected_close_in_days":
                found["Closing_Date"] = (self.now + pd.Timedelta(days=value)).strftime("%Y-%m-%d")
            else:
                found[{"stage": "Stage", "amount": "Amount", "region": REGION}[name]] = value
        return found

    def _closed(self, deal_id: str, *, won: bool) -> Values:
        today = self.now.strftime("%Y-%m-%d")
        if won:
            return {"Stage": WON, "Closing_Date": today, "Contract_Signed": stamp(self.now)}
        return {"Stage": LOST, "Closing_Date": today, "Amount": 0, "Reason_For_Loss__s": "Price"}

    def _new_deal(self, like: str) -> None:
        now, deal_id = self.now, self.new_id(DEALS)
        values = {**self.deal(like).values, "Deal_Name": f"Deal {deal_id}", "Stage": OPEN_STAGES[0]}
        values |= {"Closing_Date": (now + pd.Timedelta("60D")).strftime("%Y-%m-%d"), "Amount": 5000.0}
        values |= {"Probability": PROBABILITIES[OPEN_STAGES[0]], "Reason_For_Loss__s": None, "Contract_Signed": None}
        self.records.add(DEALS, deal_id, values, now)
        self.stage_of[deal_id] = values["Stage"]
        self.enter(deal_id, now)
        self.tell(deal_id, now, {"action": "added", "field_history": None})
        self.records.clock.advance()

    def _new_touch(self, deal_id: str, activity_type: str) -> None:
        deal, module = self.deal(deal_id), MODULE_OF[activity_type]
        happened = self.now - pd.Timedelta("5min")
        contact = next(iter(self.roles.get(deal_id, {})), None)
        record = touch_values(module, happened, deal_id, deal.values["Owner"], contact)
        self.records.add(module, self.new_id(module), record)
        self.records.clock.advance()

    def _delete_deal(self, deal_id: str) -> None:
        self._remove_deal(deal_id)
        for module, touch in self._touches_of(deal_id):
            self.records.delete(module, touch)

    def _remove_deal(self, deal_id: str, merged_into: str = "") -> None:
        self.records.delete(DEALS, deal_id, merged_into)
        del self.stage_of[deal_id]
        for stay in self.records.live(STAYS):
            if stay.values["Potential_Name"]["id"] == deal_id:
                self.records.delete(STAYS, stay.record_id)

    def _touches_of(self, deal_id: str) -> list[tuple[str, str]]:
        return [
            (module, each.record_id)
            for module in TOUCHES
            for each in self.records.live(module)
            if deal_of(module, each.values) == deal_id
        ]

    def _merge_accounts(self, loser: str, winner: str) -> None:
        account = self.records.get("Accounts", winner)
        assert account is not None
        for deal in self.records.live(DEALS):
            if (deal.values["Account_Name"] or {}).get("id") == loser:
                name = {"name": account.values["Account_Name"], "id": winner}
                self.records.change(DEALS, deal.record_id, {"Account_Name": name})
        self.records.delete("Accounts", loser, merged_into=winner)

    def _merge_deals(self, loser: str, winner: str) -> None:
        now = self.now
        for module, touch in self._touches_of(loser):
            field = "Parent_Id" if module == "Notes" else "What_Id"
            self.records.change(module, touch, {field: {"id": winner}})
        for contact, (role, _) in self.roles.pop(loser, {}).items():
            if contact not in self.roles.get(winner, {}):
                self.give_role(winner, contact, role, now)
        self.records.touch(DEALS, winner)
        self.tell(winner, now, {"action": "find_and_merge_duplicate", "field_history": None})
        self._remove_deal(loser, merged_into=winner)
