"""A stand-in of HubSpot: a simulated company behind the date-versioned API.

It holds to what HubSpot's documentation says, and where that leaves room to the less convenient case: records of one
moment come in no order, a main company is told twice, a merge makes a new id and stamps nothing that hangs on it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from winpredict.simulate.world import World
from winpredict_sandbox import changes as changes
from winpredict_sandbox.hubspot import export as _hubspot_export
from winpredict_sandbox.hubspot.properties import deal_definitions
from winpredict_sandbox.hubspot.rate_limiter import RateLimiter
from winpredict_sandbox.hubspot.reads import Limits, Reads
from winpredict_sandbox.hubspot.world import (
    FIRST_DIGITS,
    LOST,
    STAGES,
    TOUCHES,
    WON,
    Associations,
    close_moment,
    fill,
    plain,
    touch,
)
from winpredict_sandbox.hubspot.world import hubspot_id as hubspot_id
from winpredict_sandbox.hubspot.writes import Writes
from winpredict_sandbox.records import Records, WorldClock

if TYPE_CHECKING:
    from fastapi import FastAPI

_LABELS = {label: stage for stage, label, _ in STAGES}
_OBJECTS = {digit: name for name, digit in FIRST_DIGITS.items()}
_TOUCH_AGE = pd.Timedelta("10min")
_REOPENED_DAYS = 30


class HubSpotServer:
    """A HubSpot account; see `winpredict_sandbox.changes.Company` for how it changes.

    Parameters
    ----------
    records : Records
    pairs : Associations
    rng : numpy.random.Generator

    Attributes
    ----------
    rate_limiter : RateLimiter
        Tokens, scopes and limits.
    limits : Limits
        Page sizes that tests lower.
    changing : Writes
        Validation rules, and how the records are changed.
    """

    stages: Sequence[str] = tuple(label for _, label, _ in STAGES[:-2])
    merges_deals = True

    def __init__(self, records: Records, pairs: Associations, rng: np.random.Generator) -> None:
        self.records, self.pairs, self.clock = records, pairs, records.clock
        self.rate_limiter, self.limits = RateLimiter(rng), Limits()
        self.definitions = deal_definitions()
        self.reads = Reads(records, pairs, self.limits)
        self.changing = Writes(records, pairs, self.reads, self.definitions)

    @classmethod
    def of(cls, world: World, seed: int = 0) -> "HubSpotServer":
        """The account of a simulated company, at the end of its world."""
        records, pairs = Records(WorldClock(world.ends_at)), Associations()
        fill(records, pairs, world)
        return cls(records, pairs, np.random.default_rng([seed, 7]))

    @property
    def app(self) -> "FastAPI":
        """The API, to be served."""
        from winpredict_sandbox.hubspot.routes import routes

        return routes(self)

    @property
    def writes(self) -> list[tuple[str, str, str]]:
        """Every field write that was carried out, in order: deal, field, value."""
        return self.changing.done

    @property
    def secrets(self) -> list[str]:
        """Every token that there is or was."""
        return self.rate_limiter.secrets

    def export(self, folder: Path) -> None:
        """Write the live records as JSON lines, one file an object."""
        _hubspot_export.export(self.records, self.pairs, list(self.definitions), folder)

    def open_deals(self) -> list[str]:
        """Ids of the deals that are open."""
        return self._deals(closed=False)

    def closed_deals(self) -> list[str]:
        """Ids of the deals that are won or lost."""
        return self._deals(closed=True)

    def touches(self) -> list[str]:
        """Ids of the calls, e-mails and meetings."""
        return [each.record_id for name in TOUCHES.values() for each in self.records.live(name)]

    def accounts(self) -> list[str]:
        """Ids of the companies."""
        return [each.record_id for each in self.records.live("companies")]

    def owners(self) -> list[str]:
        """Ids of the owners who are there."""
        return [each.record_id for each in self.records.live("owners") if not each.values["archived"]]

    def amount(self, deal_id: str) -> float | None:
        """The present amount of a deal."""
        told = self._properties(deal_id).get("amount")
        return float(told) if told else None

    def apply(self, change: changes.Change) -> None:
        """Let a change happen."""
        match change:
            case changes.NewDeal():
                self._new_deal(change.like)
            case changes.NewTouch():
                self._new_touch(change.deal_id, TOUCHES[change.activity_type])
            case changes.DealEdit():
                self.changing.set("deals", change.deal_id, self._edited(change.values))
            case changes.Closing():
                values = {"dealstage": WON if change.won else LOST, "closedate": close_moment(self.clock.now, 0)}
                self.changing.set("deals", change.deal_id, values | ({} if change.won else {"amount": "0"}))
            case changes.Reopening():
                values = {"dealstage": _LABELS[change.stage]}
                values["closedate"] = close_moment(self.clock.now, _REOPENED_DAYS)
                self.changing.set("deals", change.deal_id, values)
            case changes.DealDeletion():
                self.changing.delete("deals", change.deal_id)
            case changes.TouchDeletion():
                self.changing.delete(_OBJECTS[change.activity_id[0]], change.activity_id)
            case changes.AccountMerge():
                self.changing.merge("companies", change.winner, change.loser)
            case changes.DealMerge():
                self.changing.merge("deals", change.winner, change.loser)

    def leave(self, owner_id: str) -> None:
        """Let an owner leave the company."""
        self.reads.forget()
        self.records.change("owners", owner_id, {"archived": True})

    def _deals(self, *, closed: bool) -> list[str]:
        return [
            each.record_id
            for each in self.records.live("deals")
            if (each.values["properties"]["dealstage"] in (WON, LOST)) == closed
        ]

    def _properties(self, deal_id: str) -> dict[str, str]:
        return dict(self.reads.record("deals", deal_id).values["properties"])

    def _new_deal(self, like: str) -> None:
        now, model = self.clock.now, self._properties(like)
        properties = {name: model[name] for name in model if name not in ("hs_merged_object_ids", "contract_signed")}
        properties |= {
            "dealname": f"{model['dealname']} again",
            "dealstage": STAGES[0][0],
            "createdate": f"{now:%Y-%m-%dT%H:%M:%S}.000Z",
            "closedate": close_moment(now, 60),
        }
        companies = self.pairs.of("deals", like, "companies")
        links = {"companies": companies, "contacts": self.pairs.of("deals", like, "contacts")[:1]}
        deal = self.changing.add("deals", properties, links)
        if like in self.pairs.primary:
            self.pairs.primary[deal.record_id] = self.pairs.primary[like]

    def _new_touch(self, deal_id: str, name: str) -> None:
        now = self.clock.now
        properties = touch(name, now - _TOUCH_AGE, now, self._properties(deal_id)["hubspot_owner_id"])
        if name == "calls":
            properties |= {"hs_call_direction": "OUTBOUND", "hs_call_duration": "90000", "hs_call_status": "COMPLETED"}
        links = {"deals": [deal_id], "contacts": self.pairs.of("deals", deal_id, "contacts")[:1]}
        self.changing.add(name, properties, links)

    def _edited(self, values: Any) -> dict[str, str]:
        told: dict[str, str] = {}
        for name, value in values.items():
            if name == "stage":
                told["dealstage"] = _LABELS[value]
            elif name == "amount":
                told["amount"] = plain(value)
            elif name == "owner_id":
                told["hubspot_owner_id"] = value
            elif name == "expected_close_in_days":
                told["closedate"] = close_moment(self.clock.now, value)
            else:
                told[name] = str(value)
        return told
