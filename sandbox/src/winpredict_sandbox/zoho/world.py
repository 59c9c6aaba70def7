"""A simulated company as Zoho CRM records it: modules, stays in stages, timelines and roles."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from winpredict.simulate.world import World
from winpredict.tables.crm import CRMData
from winpredict_sandbox.records import Record, Records, WorldClock

Values = dict[str, Any]

DEALS, STAYS = "Deals", "DealHistory"
#: The first digits of an id say what kind of record it is.
_KINDS = {
    DEALS: "55001",
    STAYS: "55002",
    "Calls": "55003",
    "Events": "55004",
    "Tasks": "55005",
    "Notes": "55006",
    "Accounts": "55007",
    "Contacts": "55008",
    "Users": "55009",
    "Timeline": "55010",
}
TOUCHES = ("Calls", "Events", "Tasks", "Notes")
WON, LOST = "Closed Won", "Closed Lost"
#: Stages of the simulated world as a new Zoho CRM calls them, with their probabilities.
STAGES = {
    "Prospecting": ("Qualification", 10),
    "Qualification": ("Needs Analysis", 20),
    "Needs Analysis": ("Value Proposition", 40),
    "Proposal/Price Quote": ("Proposal/Price Quote", 75),
    "Negotiation/Review": ("Negotiation/Review", 90),
    WON: (WON, 100),
    LOST: (LOST, 0),
}
OPEN_STAGES = tuple(name for name, chance in STAGES.values() if 0 < chance < 100)
PROBABILITIES = dict(STAGES.values())
_TYPES = {"new": "New Business", "existing": "Existing Business"}
_LOSS_REASONS = {"Competitor": "Competition", "No Decision": "Other", "Price": "Price", "Timing": "Timing"}
MODULE_OF = {"call": "Calls", "meeting": "Events", "email": "Tasks"}
#: Every so many e-mails is kept as a note, the others as completed tasks: Zoho lists e-mails a record at a time only.
_NOTES = 7
#: What is edited in a world, as Zoho names it.
REGION = "Region"
OFFSET = "+05:30"


class ZohoWorld:
    """The records of a company, with its clock.

    Parameters
    ----------
    world : World

    Attributes
    ----------
    records : Records
        Of every module, by id.
    timelines : dict of str to list
        Entries of each deal, the oldest first, as the API tells them but for the time.
    roles : dict of str to dict
        By deal and contact: the role and when it was given.
    revision : int
        Grows with every change.
    stage_of : dict of str to str
        The present stage of each deal that is there.
    """

    def __init__(self, world: World) -> None:
        self.records = Records(WorldClock(world.ends_at))
        self.timelines: dict[str, list[Values]] = {}
        self.roles: dict[str, dict[str, tuple[str, pd.Timestamp]]] = {}
        self.revision = 0
        self.stage_of: dict[str, str] = {}
        self._stays: dict[str, str] = {}
        self._numbers = dict.fromkeys(_KINDS, 10**9)
        self._fill(world.crm)

    def deal(self, deal_id: str) -> Record:
        """A deal."""
        record = self.records.get(DEALS, deal_id)
        assert record is not None
        return record

    @property
    def now(self) -> pd.Timestamp:
        """The time in the company."""
        return self.records.clock.now

    def new_id(self, kind: str) -> str:
        """An id that no record of this kind had."""
        self._numbers[kind] += 1
        return f"{_KINDS[kind]}{self._numbers[kind]:012d}"

    def enter(self, deal_id: str, when: pd.Timestamp) -> None:
        """The stay in the stage before ends, and the one in the present stage begins."""
        deal = self.deal(deal_id).values
        last = self.records.get(STAYS, self._stays.get(deal_id, ""))
        if last is not None:
            ended = {"Moved_To__s": deal["Stage"], "Stage_Duration_Calendar_Days": (when - last.created_at).days}
            # the end of a stay does not change when it says that it began
            self.records.add(STAYS, last.record_id, {**last.values, **ended}, last.created_at, last.modified_at)
        stay = {
            "Potential_Name": {"name": deal["Deal_Name"], "id": deal_id},
            **{name: deal[name] for name in ("Stage", "Amount", "Closing_Date", "Probability")},
            "Moved_To__s": None,
            "Stage_Duration_Calendar_Days": None,
        }
        self._stays[deal_id] = self.new_id(STAYS)
        self.records.add(STAYS, self._stays[deal_id], stay, when)

    def give_role(self, deal_id: str, contact: str, role: str, when: pd.Timestamp) -> None:
        """A contact becomes part of a deal."""
        self.roles.setdefault(deal_id, {})[contact] = (role, when)
        record = {"module": {"api_name": "Contacts", "id": _KINDS["Contacts"]}, "name": f"C {contact}", "id": contact}
        self.tell(deal_id, when, {"action": "added", "record": record, "field_history": None})

    def tell(self, deal_id: str, when: pd.Timestamp, entry: Values) -> None:
        """Write into the timeline of a deal."""
        record = {"module": {"api_name": DEALS, "id": _KINDS[DEALS]}, "name": None, "id": deal_id}
        told = {"id": self.new_id("Timeline"), "audited_time": when, "type": "timeline", "source": "crm_ui"}
        self.timelines.setdefault(deal_id, []).append({**told, "record": record, **entry})

    def user(self, user_id: str) -> Values:
        """A user as records name one."""
        user = self.records.get("Users", user_id)
        assert user is not None
        return {"name": user.values["full_name"], "id": user_id, "email": user.values["email"]}

    def _fill(self, crm: CRMData) -> None:
        """The company as it stands at the end of the simulated world."""
        first = crm.deals["created_at"].min()
        assert crm.users is not None
        for user in _rows(crm.users):
            user_id, boss = _id("Users", user.user_id), _id("Users", user.manager_id)
            values = {"full_name": user.name, "email": f"user{user_id[-4:]}@example.com", "status": "active"}
            boss_known = {"id": boss, "name": "Boss"}
            self.records.add(
                "Users", user_id, {**values, "Reporting_To": boss_known, "role": {"name": user.team}}, first
            )
        assert crm.accounts is not None
        for account in _rows(crm.accounts):
            values = {"Account_Name": account.name, "Industry": account.industry, "Employees": int(account.employees)}
            self.records.add("Accounts", _id("Accounts", account.account_id), values, account.created_at)
        self._fill_deals(crm)
        self._fill_touches(crm)
        assert crm.contacts is not None
        for each in _rows(crm.contacts):
            self.give_role(_id(DEALS, each.deal_id), _id("Contacts", each.contact_id), each.role, each.added_at)
        for entries in self.timelines.values():
            entries.sort(key=lambda entry: (entry["audited_time"], entry["id"]))

    def _fill_deals(self, crm: CRMData) -> None:
        assert crm.deal_history is not None
        history = crm.deal_history.sort_values(["deal_id", "changed_at"], kind="stable")
        changes = {str(deal): rows for deal, rows in history.groupby("deal_id", sort=False)}
        for deal in _rows(crm.deals):
            deal_id = _id(DEALS, deal.deal_id)
            names = {"Deal_Name": deal.name, "Account_Name": {"name": "A", "id": _id("Accounts", deal.account_id)}}
            values: Values = {
                **names,
                "Pipeline": "Standard",
                "Currency": "USD",
                "Exchange_Rate": 1.0,
                "Type": _TYPES[deal.deal_type],
                "Lead_Source": deal.lead_source,
                "Product_Family": deal.product,
                REGION: deal.region,
                "Competitor": deal.competitor,
                "Campaign_Code": deal.campaign_code,
                "Reason_For_Loss__s": None,
                "Contract_Signed": None,
            }
            rows = list(_as_recorded(changes[deal.deal_id]))
            self._live_through(deal_id, values, rows)
            closed: Values = {}
            if not pd.isna(deal.loss_reason):
                closed["Reason_For_Loss__s"] = _LOSS_REASONS[deal.loss_reason]
            if not pd.isna(deal.contract_signed):
                closed["Contract_Signed"] = stamp(deal.contract_signed)
            record = self.deal(deal_id)
            self.records.add(DEALS, deal_id, {**record.values, **closed}, record.created_at, record.modified_at)

    def _live_through(self, deal_id: str, values: Values, rows: Sequence[tuple[pd.Timestamp, Values]]) -> None:
        """Let a deal be created and changed as its history says."""
        created, first = rows[0]
        record = self._with_owner({**values, **first})
        self.records.add(DEALS, deal_id, record, created)
        self.enter(deal_id, created)
        self.tell(deal_id, created, {"action": "added", "field_history": None})
        for when, row in rows[1:]:
            after = self._with_owner(row)
            changed = {name: value for name, value in after.items() if record[name] != value}
            told = [timeline_change(name, record[name], value) for name, value in changed.items()]
            record = {**record, **changed}
            self.records.add(DEALS, deal_id, record, created, when)
            if changed:
                self.tell(deal_id, when, {"action": "updated", "field_history": told})
            if "Stage" in changed:
                self.enter(deal_id, when)
        self.stage_of[deal_id] = record["Stage"]

    def _with_owner(self, row: Values) -> Values:
        return {**row, "Owner": self.user(row["Owner"])} if isinstance(row.get("Owner"), str) else row

    def _fill_touches(self, crm: CRMData) -> None:
        assert crm.activities is not None
        for number, touch in enumerate(_rows(crm.activities)):
            module = MODULE_OF[touch.activity_type]
            module = "Notes" if module == "Tasks" and number % _NOTES == 0 else module
            owner = self.user(_id("Users", touch.user_id))
            contact = _id("Contacts", touch.contact_id)
            values = touch_values(module, touch.occurred_at, _id(DEALS, touch.deal_id), owner, contact)
            if module == "Calls":
                values["Call_Type"] = touch.direction.capitalize()
                values["Outgoing_Call_Status"] = "Completed" if values["Call_Type"] == "Outbound" else None
                values["Call_Duration_in_seconds"] = int(touch.duration_s)
            touch_id = f"{_KINDS[module]}{number:012d}"
            recorded = touch.occurred_at if module == "Notes" else touch.recorded_at
            self.records.add(module, touch_id, values, recorded)


def module_of(record_id: str) -> str:
    """The module of a record, by its id."""
    return next(name for name, prefix in _KINDS.items() if record_id.startswith(prefix))


def stamp(moment: pd.Timestamp) -> str:
    """A moment as Zoho writes it, with the organisation's offset."""
    return moment.tz_convert(f"UTC{OFFSET}").floor("s").isoformat()


def _rows(frame: pd.DataFrame) -> Iterator[Any]:
    return frame.itertuples(index=False)


def _id(kind: str, world_id: str) -> str:
    return f"{_KINDS[kind]}{int(world_id[5:]):012d}"


def deal_of(module: str, values: Mapping[str, Any]) -> str:
    return str((values["Parent_Id" if module == "Notes" else "What_Id"] or {}).get("id", ""))


def touch_values(module: str, when: pd.Timestamp, deal_id: str, owner: Values, contact: str | None) -> Values:
    people = {"Owner": owner, "Who_Id": None if contact is None else {"name": "C", "id": contact}}
    on_deal = {"name": "D", "id": deal_id}
    if module == "Notes":
        return {"Owner": owner, "Parent_Id": on_deal, "Note_Content": "private"}
    values = {**people, "What_Id": on_deal, "Subject": "private"}
    if module == "Calls":
        call = {"Call_Type": "Outbound", "Call_Duration_in_seconds": 60, "Call_Result": None, "CTI_Entry": True}
        return {**values, **call, "Outgoing_Call_Status": "Completed", "Call_Start_Time": stamp(when)}
    if module == "Events":
        times = {"Start_DateTime": stamp(when), "End_DateTime": stamp(when + pd.Timedelta("1h"))}
        return {**values, **times, "Participants": _participants(owner, contact)}
    done = {"Status": "Completed", "Due_Date": when.strftime("%Y-%m-%d"), "Closed_Time": stamp(when)}
    return {**values, **done}


def _participants(owner: Values, contact: str | None) -> list[Values]:
    """Who takes part in a meeting: one of ours, theirs, and somebody whom only an address tells."""
    told = [("user", owner["id"], owner["name"], owner["email"]), ("email", "x@example.com", None, "x@example.com")]
    told += [] if contact is None else [("contact", contact, "C", "c@example.com")]
    return [
        {"type": kind, "participant": who, "name": name, "Email": address, "invited": True, "status": "accepted"}
        for kind, who, name, address in told
    ]


def timeline_change(name: str, old: Any, new: Any) -> Values:
    """A change as a timeline tells it: texts, and users by name."""
    return {"api_name": name, "_value": {"old": _text(old), "new": _text(new)}}


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return str(value["name"]) if isinstance(value, dict) else str(value)


def _as_recorded(rows: pd.DataFrame) -> Iterator[tuple[pd.Timestamp, Values]]:
    """When, and what the fields were then; a value that is missing stayed as it was."""
    known: Values = {"Amount": None}
    for row in _rows(rows):
        stage, chance = STAGES[row.stage]
        known = {**known, "Stage": stage, "Probability": chance}
        if not pd.isna(row.amount):
            known["Amount"] = float(row.amount)
        if not pd.isna(row.expected_close_date):
            known["Closing_Date"] = row.expected_close_date.strftime("%Y-%m-%d")
        if not pd.isna(row.owner_id):
            known["Owner"] = _id("Users", row.owner_id)
        yield row.changed_at, known
