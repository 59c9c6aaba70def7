"""Features in people's words: which story one belongs to, whose doing it is, and how its value is said."""

from dataclasses import replace
from typing import Any, Literal

import numpy as np

from winpredict.features import wording
from winpredict.features.build import FeatureInfo
from winpredict.models.reference_ranges import ReferenceRanges

Influence = Literal["in our hands", "the deal's nature", "the customer's"]

#: Names of the themes that are not called after a column, for titles and tables.
THEME_NAMES = {
    "Age": "age of the deal",
    "Amount": "amount",
    "Contacts": "contacts involved",
    "ExpectedClose": "expected close date",
    "LineItems": "products on the deal",
    "Team": "people of ours involved",
    "calls": "calls",
    "changes of products": "changes of the products on the deal",
    "customer": "history with the customer",
    "discount": "discount",
    "emails": "emails",
    "inbound": "touches begun by the customer",
    "meetings": "meetings",
    "owner": "the owner's track record",
    "pace": "pace through the stages",
    "results": "results of touches",
    "senior contacts": "senior contacts",
    "silence": "silence since the last touch",
    "stage": "stage",
    "time in stages": "time spent in stages",
    "touches": "number of touches",
}
_OUR_THEMES = {"Contacts", "Team", "calls", "emails", "meetings", "senior contacts", "silence", "touches"}
_OUR_THEMES |= {"time in stages", "ExpectedClose"}
_THEIR_THEMES = {"customer", "inbound", "last result", "results"}
_BEYOND, _SHORT_OF = " beyond what ", " short of what "
_CUSTOMER = ("account", "account_wins", "account_losses", "account_open", "days_since_account_win")
_KINDS = ("meeting", "call", "email", "inbound")


def theme(info: FeatureInfo) -> str:
    """The story that a feature belongs to; correlated features share one, so that a story is told once."""
    if info.builder == "TrackRecord":
        return _track_record(info.name)
    if info.builder == "Attributes":
        return info.name
    if info.builder == "Stage":
        return "time in stages" if info.name.startswith(("days_in_", "stay_")) else "stage"
    if info.builder == "Touches":
        return _touches(info.name)
    if info.builder == "Pace":
        return {"pace_owner": "owner", "pace_account": "customer"}.get(info.name, "pace")
    if info.builder == "Memory":
        return "results" if info.name.startswith(("result_", "days_since_result_")) else "stage"
    if info.builder == "LineItems":
        return _line_items(info.name)
    if info.builder == wording.BUILDER:
        return f"wording of the {wording.label_of_feature(info.name)}"
    if info.builder == "Contacts" and "senior" in info.name:
        return "senior contacts"
    return info.builder


def theme_name(of: str) -> str:
    """A theme in words.

    Examples
    --------
    >>> theme_name("Team"), theme_name("Region__c")
    ('people of ours involved', 'Region')
    """
    return THEME_NAMES.get(of, of.removesuffix("__c").replace("_", " "))


def influence(of: str) -> Influence:
    """Whose doing the facts of a theme are: ours, the customer's, or given with the deal.

    Examples
    --------
    >>> influence("touches"), influence("inbound"), influence("product")
    ('in our hands', "the customer's", "the deal's nature")
    """
    if of in _OUR_THEMES:
        return "in our hands"
    return "the customer's" if of in _THEIR_THEMES or of.startswith("account_") else "the deal's nature"


def fact(info: FeatureInfo, value: Any) -> str:
    """A feature's value as a rep would say it.

    Examples
    --------
    >>> fact(FeatureInfo("touches_30d", "touches", "touches in the last 30 days", "Touches"), 1.0)
    '1 touch in the last 30 days'
    >>> stay = FeatureInfo("stay_vs_won", "days", "days in the stage beyond what won deals took there", "Stage")
    >>> fact(stay, -5.8)
    '5.8 days in the stage short of what won deals took there'
    >>> fact(FeatureInfo("amount_vs_owner", "ratio", "amount against the usual one of the owner", "Amount"), 9.8)
    'amount 9.8 times the usual one of the owner'
    >>> fact(FeatureInfo("days_since_entered_demo", "days", "days since the deal last entered Demo", "Memory"), None)
    'the deal never entered Demo'
    >>> fact(FeatureInfo("days_since_call", "days", "days since the last call", "Touches"), None)
    'no call'
    >>> fact(FeatureInfo("Plan_mentions_legal", "mention", 'mention of "legal" in the Plan', "Wording"), 0.0)
    'no mention of "legal" in the Plan'
    """
    if is_missing(value):
        return _absent(info.sentence)
    if info.unit == "category":
        return f"{info.sentence}: {value}"
    if info.unit == wording.UNIT:
        return info.sentence if value else f"no {info.sentence}"
    if info.unit == "share":
        return f"{float(value):.0%} {info.sentence}"
    if info.unit == "points":
        return _comparison(info.sentence, float(value))
    if info.unit == "ratio":
        return _multiple(info.sentence, float(value))
    if info.unit == "currency":
        return f"{info.sentence} {float(value):,.0f}"
    if _BEYOND in info.sentence and float(value) < 0:
        return fact(replace(info, sentence=info.sentence.replace(_BEYOND, _SHORT_OF)), -float(value))
    number = amount(info, value)
    return f"{number} {_singular(info.sentence) if number == '1' else info.sentence}"


def amount(info: FeatureInfo, value: Any) -> str:
    """A feature's value alone, with as many digits as people need."""
    if is_missing(value):
        return "none"
    if info.unit == "category":
        return str(value)
    if info.unit == wording.UNIT:
        return "yes" if value else "no"
    if info.unit == "share":
        return f"{float(value):.0%}"
    if info.unit == "points":
        return _points(value)
    if info.unit == "ratio":
        return f"{float(value):.2g}"
    number = float(value)
    return f"{number:,.0f}" if abs(number) >= 10 or number == round(number) else f"{number:.1f}"


def reference_text(info: FeatureInfo, stage: object, ranges: ReferenceRanges) -> str:
    """What won deals have of it: "won deals at this stage: 2 to 4"; empty where that cannot be said."""
    found = ranges.of_won(info.name, stage)
    if found is None or info.unit in ("category", "points", wording.UNIT) or _BEYOND in info.sentence:
        return ""  # points and what lies beyond are compared with others already
    low, high, at_stage = found
    first, last = amount(info, low), amount(info, high)
    words = first if first == last else f"{first} to {last}"
    return f"won deals{' at this stage' if at_stage else ''}: {words}"


def in_points(points: float) -> str:
    """A contribution in percentage points.

    Examples
    --------
    >>> in_points(0.0412)
    '+4.1 pts'
    """
    return f"{100 * points:+.1f} pts"


def is_missing(value: Any) -> bool:
    """Whether a feature has no value."""
    return value is None or (isinstance(value, float) and np.isnan(value))


def _track_record(name: str) -> str:
    bare = name.removeprefix("win_rate_").removesuffix("_change")
    if bare in _CUSTOMER:
        return "customer"
    return "owner" if bare in ("owner_closed", "owner_load") else bare


def _touches(name: str) -> str:
    if name == "last_result":
        return "last result"
    for word in _KINDS:
        if word in name:
            return word if word == "inbound" else f"{word}s"
    return "silence" if "since" in name or "silence" in name else "touches"


def _line_items(name: str) -> str:
    if "discount" in name:
        return "discount"
    if "change" in name or name in ("items_added_later", "items_removed"):
        return "changes of products"
    return "LineItems"


def _absent(words: str) -> str:
    """What a missing value means: "days since the last call" is that there was no call."""
    if not words.startswith("days since "):
        return f"not known: {words}"
    rest = words.removeprefix("days since ")
    if rest.startswith("the last "):
        return f"no {rest.removeprefix('the last ')}"
    return rest.replace(" last ", " never ", 1) if " last " in rest else f"no {rest}"


def _comparison(sentence: str, value: float) -> str:
    """A difference in win rates as a clause: "deals of the owner are won 8 points more often than the company's"."""
    more = "more" if value >= 0 else "less"
    points = f"{abs(100 * value):.0f} points {more} often"
    if sentence.startswith("win rate") and sentence.endswith(" against the company's"):
        whose = sentence.removeprefix("win rate ").removesuffix(" against the company's")
        return f"deals {whose} are won {points} than the company's"
    return f"{sentence}: {_points(value)}"


def _multiple(sentence: str, value: float) -> str:
    """A ratio as a clause: "amount 9.8 times the usual one of the owner"."""
    what, against, whose = sentence.partition(" against ")
    return f"{what} {value:.2g} times {whose}" if against else f"{value:.2g} times: {sentence}"


def _points(value: Any) -> str:
    return f"{100 * float(value):+.0f} points"


def _singular(words: str) -> str:
    """A phrase about several things, said of one."""
    first, _, rest = words.partition(" ")
    return f"{_ONE.get(first, first)} {rest}"


_ONE = {
    "calls": "call",
    "changes": "change",
    "contacts": "contact",
    "days": "day",
    "deals": "deal",
    "emails": "email",
    "items": "item",
    "meetings": "meeting",
    "minutes": "minute",
    "moves": "move",
    "notes": "note",
    "people": "person",
    "pieces": "piece",
    "products": "product",
    "tasks": "task",
    "times": "time",
    "touches": "touch",
}
