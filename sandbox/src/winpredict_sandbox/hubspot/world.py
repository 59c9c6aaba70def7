"""A simulated company as HubSpot holds it: strings, property histories, and associations between records."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd

from winpredict.simulate.world import World
from winpredict_sandbox.records import Records

#: Stages of the default pipeline in order: id, label, probability.
STAGES = (
    ("appointmentscheduled", "Appointment Scheduled", 0.2),
    ("qualifiedtobuy", "Qualified To Buy", 0.4),
    ("presentationscheduled", "Presentation Scheduled", 0.6),
    ("decisionmakerboughtin", "Decision Maker Bought-In", 0.8),
    ("contractsent", "Contract Sent", 0.9),
    ("closedwon", "Closed Won", 1.0),
    ("closedlost", "Closed Lost", 0.0),
)
WON, LOST = "closedwon", "closedlost"
TOUCHES = {"call": "calls", "email": "emails", "meeting": "meetings"}
ACTIVITIES = ("calls", "emails", "meetings", "notes", "tasks")
_WORLD_STAGES = (
    "Prospecting",
    "Qualification",
    "Needs Analysis",
    "Proposal/Price Quote",
    "Negotiation/Review",
    "Closed Won",
    "Closed Lost",
)
#: The first digits of an id tell its object; ten more follow.
FIRST_DIGITS = {
    "deals": "1",
    "companies": "2",
    "contacts": "3",
    "calls": "4",
    "emails": "5",
    "meetings": "6",
    "owners": "7",
    "tasks": "8",
    "notes": "9",
    "line_items": "10",
}
_DEAL_TYPES = {"new": "newbusiness", "existing": "existingbusiness"}
#: Properties of deals that the account made itself, by attribute of the world.
CUSTOM = ("product", "region", "competitor", "campaign_code", "contract_signed")
#: Every hundredth deal has a task that nobody did, and a note that hangs on no deal is left beside it.
_DIRT_EVERY = 100
#: Every third deal lists its product, at a tenth off the price.
_ITEM_EVERY = 3
_PAID = 0.9

History = dict[str, list[tuple[str, str]]]


@dataclass
class Associations:
    """Which records belong together, of whatever objects; both ways, each pair once.

    Examples
    --------
    >>> pairs = Associations()
    >>> pairs.add("calls", "40", "deals", "10")
    >>> pairs.of("deals", "10", "calls")
    ['40']
    """

    _pairs: dict[tuple[str, str], dict[str, list[str]]] = field(default_factory=lambda: defaultdict(dict))
    #: The company that is the main one of a deal.
    primary: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, record_id: str, other: str, other_id: str) -> None:
        """Associate two records."""
        for pair, here, there in (((name, other), record_id, other_id), ((other, name), other_id, record_id)):
            known = self._pairs[pair].setdefault(here, [])
            if there not in known:
                known.append(there)

    def of(self, name: str, record_id: str, other: str) -> list[str]:
        """Ids of an object that belong to a record, sorted."""
        return sorted(self._pairs[(name, other)].get(record_id, ()), key=int)

    def drop(self, name: str, record_id: str) -> dict[str, list[str]]:
        """Take a record out; returns what belonged to it, by object."""
        found = {}
        for (here, other), known in self._pairs.items():
            if here == name and record_id in known:
                found[other] = known.pop(record_id)
        for other, ids in found.items():
            for each in ids:
                self._pairs[(other, name)][each].remove(record_id)
        return found


def hubspot_id(name: str, number: int) -> str:
    """The id of a record, by its number within its object.

    Examples
    --------
    >>> hubspot_id("deals", 12)
    '10000000012'
    """
    return f"{FIRST_DIGITS[name]}{number:010d}"


def world_number(world_id: str) -> int:
    """The number in an id of the world."""
    return int(world_id[-10:])


def iso(moment: pd.Timestamp) -> str:
    """A time as HubSpot tells it."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def milliseconds(moment: pd.Timestamp) -> str:
    """A time as HubSpot tells that of calls and e-mails."""
    return str(moment.value // 1_000_000)


def plain(number: float) -> str:
    """A number as HubSpot tells it: 500, not 500.0."""
    return str(int(number)) if float(number).is_integer() else repr(float(number))


def fill(records: Records, pairs: Associations, world: World) -> None:
    """Put a world into records."""
    _add_owners(records, world)
    _add_companies(records, world)
    _add_deals(records, pairs, world)
    _add_contacts(records, pairs, world)
    _add_touches(records, pairs, world)
    _add_line_items(records, pairs, world)
    _add_dirt(records, pairs)


def crm_record(properties: Mapping[str, str], history: History) -> dict[str, Any]:
    """The values of a record of the CRM: properties, and how they came to be, the oldest first."""
    return {"properties": dict(properties), "history": history}


def _add_owners(records: Records, world: World) -> None:
    users = _table(world, "users")
    start = world.crm.deals["created_at"].min() - pd.Timedelta("30D")
    for row in _rows(users):
        number = world_number(row["user_id"])
        first, _, last = row["name"].partition(" ")
        team = {"id": row["team"].split()[-1], "name": row["team"], "primary": True}
        values = {"email": f"rep{number}@example.com", "firstName": first, "lastName": last, "userId": 500 + number}
        records.add("owners", hubspot_id("owners", number), {**values, "archived": False, "teams": [team]}, start)


def _add_companies(records: Records, world: World) -> None:
    for row in _rows(_table(world, "accounts")):
        properties = {
            "name": row["name"],
            "industry": row["industry"],
            "numberofemployees": plain(row["employees"]),
            "createdate": iso(row["created_at"]),
        }
        record_id = hubspot_id("companies", world_number(row["account_id"]))
        records.add("companies", record_id, crm_record(properties, {}), row["created_at"])


def _add_deals(records: Records, pairs: Associations, world: World) -> None:
    histories = dict(_histories(world))
    for row in _rows(world.crm.deals):
        deal_id, company_id = _ids(row, deals="deal_id", companies="account_id")
        history, changed_at = histories[row["deal_id"]]
        properties = {name: steps[-1][1] for name, steps in history.items() if steps[-1][1]}
        properties |= {
            "dealname": row["name"],
            "pipeline": "default",
            "createdate": iso(row["created_at"]),
            "dealtype": _DEAL_TYPES[row["deal_type"]],
            "hs_analytics_source": row["lead_source"],
        }
        properties |= {name: _value_text(row[name]) for name in CUSTOM if row[name] is not None}
        properties |= {} if row["loss_reason"] is None else {"closed_lost_reason": row["loss_reason"]}
        records.add("deals", deal_id, crm_record(properties, history), row["created_at"], changed_at)
        pairs.add("deals", deal_id, "companies", company_id)
        pairs.primary[deal_id] = company_id


def _histories(world: World) -> Iterator[tuple[str, tuple[History, pd.Timestamp]]]:
    """Property histories of each deal, and when it was last changed; HubSpot records a value only where it changed."""
    table = _table(world, "deal_history").sort_values(["deal_id", "changed_at"], kind="stable")
    today = world.crm.deals.set_index("deal_id")["amount"].to_dict()
    stage_ids = dict(zip(_WORLD_STAGES, (each for each, _, _ in STAGES), strict=True))
    for deal_id, rows in groupby(_rows(table), key=lambda row: str(row["deal_id"])):
        history: History = {"dealstage": [], "amount": [], "closedate": [], "hubspot_owner_id": []}
        at = table["changed_at"].iloc[0]
        for row in rows:
            at, stage = row["changed_at"], stage_ids[row["stage"]]
            expected = row["expected_close_date"]
            values = {
                "dealstage": stage,
                "amount": None if row["amount"] is None else plain(row["amount"]),
                # HubSpot stamps the moment of the close; the world names its day
                "closedate": None if expected is None else iso(at if stage in (WON, LOST) else expected),
                "hubspot_owner_id": None if row["owner_id"] is None else _ids(row, owners="owner_id")[0],
            }
            for name, value in values.items():
                if value is not None:
                    note(history, name, value, at)
        if history["amount"] and pd.isna(today[deal_id]):
            note(history, "amount", "", at)
        yield deal_id, ({name: steps for name, steps in history.items() if steps}, at)


def note(history: History, name: str, value: str, at: pd.Timestamp) -> None:
    """Record a value if it is another than the last one."""
    steps = history.setdefault(name, [])
    if not steps or steps[-1][1] != value:
        steps.append((iso(at), value))


def _add_contacts(records: Records, pairs: Associations, world: World) -> None:
    for row in _rows(_table(world, "contacts")):
        contact_id, deal_id = _ids(row, contacts="contact_id", deals="deal_id")
        if records.get("contacts", contact_id) is None:
            created = {"createdate": iso(row["added_at"]), "jobtitle": row["role"]}
            records.add("contacts", contact_id, crm_record(created, {}), row["added_at"])
        pairs.add("deals", deal_id, "contacts", contact_id)


def _add_touches(records: Records, pairs: Associations, world: World) -> None:
    for row in _rows(_table(world, "activities")):
        name = TOUCHES[row["activity_type"]]
        touch_id = hubspot_id(name, world_number(row["activity_id"]))
        (owner_id,) = _ids(row, owners="user_id")
        properties = touch(name, row["occurred_at"], row["recorded_at"], owner_id)
        if name == "calls":
            properties["hs_call_duration"] = plain(row["duration_s"] * 1000)
            properties["hs_call_direction"] = str(row["direction"]).upper()
            properties["hs_call_status"] = "COMPLETED"
        records.add(name, touch_id, crm_record(properties, {}), row["recorded_at"])
        deal_id, contact_id = _ids(row, deals="deal_id", contacts="contact_id")
        pairs.add(name, touch_id, "deals", deal_id)
        pairs.add(name, touch_id, "contacts", contact_id)


def _add_line_items(records: Records, pairs: Associations, world: World) -> None:
    products = {name: place for place, name in enumerate(sorted(world.crm.deals["product"].dropna().unique()), start=1)}
    for number, row in enumerate(_rows(world.crm.deals.iloc[::_ITEM_EVERY])):
        place, quantity = products[row["product"]], number % 5 + 1
        price = 100.0 * place
        properties = {
            "name": row["product"],
            "quantity": plain(quantity),
            "price": plain(price),
            "amount": plain(_PAID * price * quantity),
            "createdate": iso(row["created_at"]),
        }
        # an item that was typed by hand stands for no product of the library
        properties |= {} if number % 10 == 0 else {"hs_product_id": str(500 + place)}
        item_id = hubspot_id("line_items", number)
        records.add("line_items", item_id, crm_record(properties, {}), row["created_at"])
        pairs.add("line_items", item_id, "deals", _ids(row, deals="deal_id")[0])


def touch(name: str, occurred_at: pd.Timestamp, recorded_at: pd.Timestamp, owner_id: str) -> dict[str, str]:
    """Properties of any touch; the time of calls and e-mails is told in milliseconds, that of others in ISO 8601."""
    stamp = milliseconds if name in ("calls", "emails") else iso
    return {"hs_timestamp": stamp(occurred_at), "hs_createdate": iso(recorded_at), "hubspot_owner_id": owner_id}


def _add_dirt(records: Records, pairs: Associations) -> None:
    for number, deal in enumerate(sorted(records.live("deals"), key=lambda each: each.record_id)[::_DIRT_EVERY]):
        properties = touch("tasks", deal.modified_at, deal.created_at, deal.values["properties"]["hubspot_owner_id"])
        task_id, note_id = hubspot_id("tasks", number), hubspot_id("notes", number)
        records.add("tasks", task_id, crm_record(properties | {"hs_task_status": "NOT_STARTED"}, {}), deal.created_at)
        pairs.add("tasks", task_id, "deals", deal.record_id)
        records.add("notes", note_id, crm_record(properties, {}), deal.created_at)


def _table(world: World, name: str) -> pd.DataFrame:
    return next(frame for present, frame in world.crm.tables() if present == name)


def _rows(frame: pd.DataFrame) -> Iterable[dict[str, Any]]:
    """Rows as mappings, None where a value is missing."""
    columns = [frame[name].astype(object).where(frame[name].notna(), None).to_numpy() for name in frame]
    names = list(frame.columns)
    return (dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True))


def _ids(row: Mapping[str, Any], **columns: str) -> tuple[str, ...]:
    return tuple(hubspot_id(name, world_number(row[column])) for name, column in columns.items())


def _value_text(value: Any) -> str:
    return iso(value) if isinstance(value, pd.Timestamp) else plain(value) if isinstance(value, float) else str(value)


def close_moment(now: pd.Timestamp, days: int) -> str:
    """Midnight so many days from now, as reps name the day of an expected close."""
    return iso(now.floor("D") + pd.Timedelta(np.timedelta64(days, "D")))
