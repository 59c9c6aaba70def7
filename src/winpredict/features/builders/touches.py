"""How much is going on: calls, emails, meetings, and silence."""

from collections.abc import Iterator

import numpy as np

from winpredict.features.builders.base import Feature, FeatureBuilder, ratio
from winpredict.features.past import Past
from winpredict.tables.schema import ACTIVITY_TYPES

_PLURAL = {"call": "calls", "email": "emails", "meeting": "meetings", "task": "tasks", "note": "notes"}
#: With more different results than this they are texts, and no categories.
MAX_RESULTS = 30


class Touches(FeatureBuilder):
    """Number, kind, rhythm and direction of the touches that had happened and were entered."""

    needs = ("activities",)

    def __init__(self, windows: tuple[int, ...] = (7, 14, 30, 90), max_results: int = MAX_RESULTS) -> None:
        self.windows = windows
        self.max_results = max_results

    def build(self, past: Past) -> Iterator[Feature]:
        touches = past.events("activities")
        yield Feature("touches", touches.count(), "touches", "touches so far")
        for days in self.windows:
            count = touches.count(window_days=days)
            yield Feature(f"touches_{days}d", count, "touches", f"touches in the last {days} days")
        weeks = np.maximum(past.days_open / 7, 1.0)
        yield Feature("touches_per_week", touches.count() / weeks, "touches a week", "touches a week since the start")
        recent, before = touches.count(window_days=14), touches.count(window_days=28)
        trend = 2 * recent - before
        yield Feature("touch_trend", trend, "touches", "touches of the last 14 days less those of the 14 before")
        yield from self._by_type(past)
        yield from self._silence(past)
        if past.has("activities", "direction"):
            yield from self._by_direction(past)
        if past.has("activities", "result") and past.number_of_results() <= self.max_results:
            yield Feature("last_result", touches.last("result"), "category", "result of the last touch that has one")

    def _by_type(self, past: Past) -> Iterator[Feature]:
        touches = past.events("activities")
        for kind in ACTIVITY_TYPES:
            if not past.has_touches(kind):
                continue
            of_kind = touches.carries("activity_type", kind)
            plural = _PLURAL.get(kind, "other touches")
            yield Feature(plural.replace(" ", "_"), touches.count(where=of_kind), "touches", f"{plural} so far")
            if kind in ("call", "email", "meeting"):
                recent = touches.count(where=of_kind, window_days=30)
                yield Feature(f"{plural}_30d", recent, "touches", f"{plural} in the last 30 days")
                since = touches.since_last(where=of_kind)
                yield Feature(f"days_since_{kind}", since, "days", f"days since the last {kind}")
            if kind == "meeting":
                ahead = touches.upcoming(where=of_kind)
                yield Feature("meetings_booked", ahead, "meetings", "meetings booked and still ahead")
        if past.has("activities", "duration_s"):
            on_phone = touches.sum("duration_s", where=touches.carries("activity_type", "call")) / 60
            yield Feature("call_minutes", on_phone, "minutes", "minutes on the phone so far")

    def _silence(self, past: Past) -> Iterator[Feature]:
        touches = past.events("activities")
        since = touches.since_last()
        yield Feature("days_since_touch", since, "days", "days since the last touch")
        longest = np.fmax(touches.max(touches.table.gaps()), since)
        yield Feature("longest_silence", longest, "days", "days of the longest silence so far")
        wait = past.days_open - touches.since_first()
        yield Feature("days_to_first_touch", wait, "days", "days from the start to the first touch")

    def _by_direction(self, past: Past) -> Iterator[Feature]:
        touches = past.events("activities")
        inbound = touches.carries("direction", "inbound")
        directed = touches.column("direction").notna().to_numpy()
        count = touches.count(where=inbound)
        yield Feature("inbound", count, "touches", "touches begun by the customer")
        yield Feature("outbound", touches.count(where=directed & ~inbound), "touches", "touches begun by us")
        share = ratio(count, touches.count(where=directed))
        yield Feature("inbound_share", share, "share", "share of touches begun by the customer")
        recent = touches.count(where=inbound, window_days=30)
        yield Feature("inbound_30d", recent, "touches", "touches begun by the customer in the last 30 days")
        since = touches.since_last(where=inbound)
        yield Feature("days_since_inbound", since, "days", "days since the customer last made contact")
