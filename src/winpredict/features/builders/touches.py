"""How much is going on: calls, emails, meetings, and silence."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from winpredict.features import themes
from winpredict.features.asof import AsOfView
from winpredict.features.builders.base import Feature, FeatureBuilder, known_count, ratio
from winpredict.features.description import Theme
from winpredict.features.past import Past
from winpredict.locale.text import Text, text, texts

#: With more different results than this they are texts, and no categories.
MAX_RESULTS = 30


@dataclass(frozen=True)
class _Kind:
    """What touches of a kind are called."""

    plural: str
    theme: Theme
    so_far: Text
    none: Text
    claim: Text


_KINDS = {
    "call": _Kind(
        "calls",
        themes.CALLS,
        text("calls so far"),
        text("no call yet"),
        texts("{n:count} call so far", "{n:count} calls so far"),
    ),
    "email": _Kind(
        "emails",
        themes.EMAILS,
        text("emails so far"),
        text("no email yet"),
        texts("{n:count} email so far", "{n:count} emails so far"),
    ),
    "meeting": _Kind(
        "meetings",
        themes.MEETINGS,
        text("meetings so far"),
        text("no meeting yet"),
        texts("{n:count} meeting so far", "{n:count} meetings so far"),
    ),
    "task": _Kind(
        "tasks",
        themes.TOUCHES,
        text("tasks done so far"),
        text("no task done yet"),
        texts("{n:count} task done so far", "{n:count} tasks done so far"),
    ),
    "note": _Kind(
        "notes",
        themes.TOUCHES,
        text("notes so far"),
        text("no note yet"),
        texts("{n:count} note so far", "{n:count} notes so far"),
    ),
    "other": _Kind(
        "other_touches",
        themes.TOUCHES,
        text("touches of other kinds so far"),
        text("no touch of another kind yet"),
        texts("{n:count} touch of another kind so far", "{n:count} touches of other kinds so far"),
    ),
}
#: In the last 30 days: label, none, and so many; and since the last one: label and so many days.
_RECENT = {
    "call": (
        text("calls in the last 30 days"),
        text("no call in the last 30 days"),
        texts("{n:count} call in the last 30 days", "{n:count} calls in the last 30 days"),
        text("days since the last call"),
        texts("last call {n:count} day ago", "last call {n:count} days ago"),
        text("last call today"),
    ),
    "email": (
        text("emails in the last 30 days"),
        text("no email in the last 30 days"),
        texts("{n:count} email in the last 30 days", "{n:count} emails in the last 30 days"),
        text("days since the last email"),
        texts("last email {n:count} day ago", "last email {n:count} days ago"),
        text("last email today"),
    ),
    "meeting": (
        text("meetings in the last 30 days"),
        text("no meeting in the last 30 days"),
        texts("{n:count} meeting in the last 30 days", "{n:count} meetings in the last 30 days"),
        text("days since the last meeting"),
        texts("last meeting {n:count} day ago", "last meeting {n:count} days ago"),
        text("last meeting today"),
    ),
}


class Touches(FeatureBuilder):
    """Number, kind, rhythm and direction of the touches that had happened and were entered.

    A number of inbound or outbound touches is missing where none is on record but some touches tell no direction, and
    minutes on the phone where no call tells how long it took.
    """

    needs = ("activities",)

    def __init__(self, windows: tuple[int, ...] = (7, 14, 30, 90), max_results: int = MAX_RESULTS) -> None:
        self.windows = windows
        self.max_results = max_results

    def build(self, past: Past) -> Iterator[Feature]:
        touches = past.events("activities")
        count = partial(Feature, unit="touches", theme=themes.TOUCHES, good="more", counts=True)
        yield count(
            "touches",
            touches.count(),
            label=text("touches so far"),
            zero=text("no touch yet"),
            claim=texts("{n:count} touch so far", "{n:count} touches so far"),
        )
        for days in self.windows:
            yield count(
                f"touches_{days}d",
                touches.count(window_days=days),
                label=text("touches in the last {days} days", days=days),
                zero=text("no touch in the last {days} days", days=days),
                claim=texts(
                    "{n:count} touch in the last {days} days", "{n:count} touches in the last {days} days", days=days
                ),
            )
        weeks = np.maximum(past.days_open / 7, 1.0)
        yield Feature(
            "touches_per_week",
            touches.count() / weeks,
            "touches a week",
            text("touches a week since the start"),
            theme=themes.TOUCHES,
            good="more",
            zero=text("no touch since the start"),
            claim=texts("{n:number} touch a week since the start", "{n:number} touches a week since the start"),
        )
        recent, before = touches.count(window_days=14), touches.count(window_days=28)
        yield Feature(
            "touch_trend",
            2 * recent - before,
            "touches",
            text("touches of the last 14 days less those of the 14 days before"),
            theme=themes.TOUCHES,
            good="more",
            neutral=0.0,
            claim=texts(
                "{n:count} touch more in the last 14 days than in the 14 before",
                "{n:count} touches more in the last 14 days than in the 14 before",
            ),
            negative=texts(
                "{n:count} touch fewer in the last 14 days than in the 14 before",
                "{n:count} touches fewer in the last 14 days than in the 14 before",
            ),
            zero=text("as many touches in the last 14 days as in the 14 before"),
        )
        yield from self._by_type(past)
        yield from self._silence(past)
        if past.has("activities", "direction"):
            yield from self._by_direction(past)
        if past.has("activities", "result") and past.number_of_results() <= self.max_results:
            yield Feature(
                "last_result",
                touches.last("result"),
                "category",
                text("result of the last touch that has one"),
                theme=themes.LAST_RESULT,
                claim=text("last touch ended in: {n}"),
            )

    def _by_type(self, past: Past) -> Iterator[Feature]:
        touches = past.events("activities")
        for kind, about in _KINDS.items():
            if not past.has_touches(kind):
                continue
            count = partial(Feature, unit="touches", theme=about.theme, good="more", counts=True)
            of_kind = touches.carries("activity_type", kind)
            yield count(
                about.plural, touches.count(where=of_kind), label=about.so_far, zero=about.none, claim=about.claim
            )
            if kind in _RECENT:
                label, none, claim, since, ago, today = _RECENT[kind]
                recent = touches.count(where=of_kind, window_days=30)
                yield count(f"{about.plural}_30d", recent, label=label, zero=none, claim=claim)
                yield Feature(
                    f"days_since_{kind}",
                    touches.since_last(where=of_kind),
                    "days",
                    since,
                    theme=about.theme,
                    good="less",
                    claim=ago,
                    zero=today,
                    missing=about.none,
                )
            if kind == "meeting":
                yield Feature(
                    "meetings_booked",
                    touches.upcoming(where=of_kind),
                    "meetings",
                    text("meetings booked and still ahead"),
                    theme=about.theme,
                    good="more",
                    counts=True,
                    claim=texts("{n:count} meeting booked", "{n:count} meetings booked"),
                    zero=text("no meeting booked"),
                )
        if past.has("activities", "duration_s"):
            yield self._on_the_phone(touches)

    @staticmethod
    def _on_the_phone(touches: AsOfView) -> Feature:
        call, timed = touches.carries("activity_type", "call"), touches.column("duration_s").notna().to_numpy()
        minutes = touches.sum("duration_s", where=call) / 60
        return Feature(
            "call_minutes",
            known_count(minutes, touches.count(where=call & timed), touches.count(where=call)),
            "minutes",
            text("minutes on the phone so far"),
            theme=themes.CALLS,
            good="more",
            counts=True,
            claim=texts("{n:count} minute on the phone so far", "{n:count} minutes on the phone so far"),
            zero=text("no time on the phone so far"),
        )

    def _silence(self, past: Past) -> Iterator[Feature]:
        touches = past.events("activities")
        silence = partial(Feature, unit="days", theme=themes.SILENCE, good="less", missing=text("no touch yet"))
        since = touches.since_last()
        yield silence(
            "days_since_touch",
            since,
            label=text("days since the last touch"),
            claim=texts("no contact for {n:count} day", "no contact for {n:count} days"),
            zero=text("in touch today"),
        )
        yield silence(
            "longest_silence",
            np.fmax(touches.max(touches.table.gaps()), since),
            label=text("days of the longest silence so far"),
            claim=texts("longest silence so far: {n:count} day", "longest silence so far: {n:count} days"),
        )
        yield silence(
            "days_to_first_touch",
            past.days_open - touches.since_first(),
            label=text("days from the start to the first touch"),
            claim=texts("first touch {n:count} day after the start", "first touch {n:count} days after the start"),
            negative=texts(
                "first touch {n:count} day before the deal was created",
                "first touch {n:count} days before the deal was created",
            ),
            zero=text("first touch on the first day"),
        )

    def _by_direction(self, past: Past) -> Iterator[Feature]:
        touches = past.events("activities")
        inbound = touches.carries("direction", "inbound")
        directed = touches.column("direction").notna().to_numpy()
        with_direction, all_touches = touches.count(where=directed), touches.count()
        count = partial(Feature, unit="touches", theme=themes.INBOUND, good="more", counts=True)
        came_in = touches.count(where=inbound)
        yield count(
            "inbound",
            known_count(came_in, with_direction, all_touches),
            label=text("inbound touches"),
            claim=texts("{n:count} inbound touch", "{n:count} inbound touches"),
            zero=text("no inbound touch yet"),
        )
        yield count(
            "outbound",
            known_count(with_direction - came_in, with_direction, all_touches),
            label=text("outbound touches"),
            theme=themes.TOUCHES,
            claim=texts("{n:count} outbound touch", "{n:count} outbound touches"),
            zero=text("no outbound touch yet"),
        )
        yield Feature(
            "inbound_share",
            ratio(came_in, with_direction),
            "share",
            text("share of inbound touches"),
            theme=themes.INBOUND,
            good="more",
            claim=text("{n:percent} of touches inbound"),
            zero=text("all touches on record are outbound"),
        )
        recent = touches.count(where=inbound, window_days=30)
        recorded, lately = touches.count(where=directed, window_days=30), touches.count(window_days=30)
        yield count(
            "inbound_30d",
            known_count(recent, recorded, lately),
            label=text("inbound touches in the last 30 days"),
            claim=texts("{n:count} inbound touch in the last 30 days", "{n:count} inbound touches in the last 30 days"),
            zero=text("no inbound touch in the last 30 days"),
        )
        yield Feature(
            "days_since_inbound",
            touches.since_last(where=inbound),
            "days",
            text("days since the customer last made contact"),
            theme=themes.INBOUND,
            good="less",
            claim=texts(
                "customer last made contact {n:count} day ago", "customer last made contact {n:count} days ago"
            ),
            zero=text("customer made contact today"),
        )
