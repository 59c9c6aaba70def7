"""When the evidence says that an attribute leaks: one rule a function, one sentence a finding."""

import re
from collections.abc import Callable

from winpredict.features._leakage_evidence import NO_VALUE, Evidence
from winpredict.features._leakage_population import MIN_DEALS, Separation

#: Lower bound of the AUC of closed against open deals of the same age from which a column is out.
SEPARATES = 0.75
#: The same for a column whose name already speaks of time, counts or the ending.
SEPARATES_WITH_NAME = 0.6
#: Lower bound of the AUC of won against lost from which one column alone is too good to be true.
TOO_GOOD = 0.9
#: The same for a column whose name speaks of time, counts or the ending, where there are no open deals to compare with.
TELLS_WITH_NAME = 0.55
#: Odds of an ending that one value may raise by this factor before it is taken for part of the ending.
PURE_ODDS_RATIO = 20.0
PURE_SHARE = 0.95
#: Chance below which a value that stands (nearly) only on closed deals is no accident.
NO_ACCIDENT = 1e-4
#: Lower bound of the rank correlation with the deal's length from which a column is a clock or a counter.
GROWS = 0.6
GROWS_WITH_NAME = 0.2
#: Rise of the share filled from young to old open deals (lower bound) from which a column is filled in on the way.
FILLED_ON_THE_WAY = 0.25
#: The same rise from short to long closed deals: what was filled in only in earlier times shows none.
FILLED_WITH_LENGTH = 0.1
#: Shares of dates on the closing day, of dates after creation, and of dates in the future.
ON_CLOSING_DAY = 0.3
AFTER_CREATION = 0.2
IN_FUTURE = 0.01
#: Distinct values per filled row from which a text says nothing that a second deal could share.
IDENTIFIES = 0.9

Rule = Callable[[Evidence], str | None]

_ELAPSED = frozenset(["elapsed", "duration", "days", "day", "hours", "weeks", "velocity", "cycle"])
_COUNTED = frozenset(["count", "counts", "number", "num", "total"])
_HAPPENED = frozenset(
    [
        "activity",
        "activities",
        "call",
        "calls",
        "change",
        "changes",
        "email",
        "emails",
        "meeting",
        "meetings",
        "note",
        "notes",
        "reply",
        "replies",
        "stage",
        "stages",
        "task",
        "tasks",
        "touch",
        "touches",
        "update",
        "updates",
        "visit",
        "visits",
    ]
)
_LATEST = frozenset(["last", "latest", "recent"])
_TOUCHED = _HAPPENED | frozenset(["contact", "contacted", "modified", "referenced", "viewed"])
_WINDOW = frozenset(["past", "last", "previous", "prior", "trailing", "rolling"])
_PERIOD = frozenset(["year", "years", "quarter", "quarters", "month", "months", "week", "weeks"])
_ENDING = frozenset(
    [
        "close",
        "closed",
        "closing",
        "final",
        "forecast",
        "invoice",
        "invoiced",
        "lose",
        "loss",
        "lost",
        "outcome",
        "probability",
        "signature",
        "signed",
        "win",
        "won",
    ]
)
_NAMES: tuple[tuple[tuple[frozenset[str], ...], str], ...] = (
    ((_ELAPSED,), "measures elapsed time"),
    ((_COUNTED, _HAPPENED), "counts what happened over the deal's life"),
    ((_LATEST, _TOUCHED), "moves with every touch"),
    ((_WINDOW, _PERIOD), "sums over a window that ends at the export, with the deal's own ending in it"),
    ((_ENDING,), "speaks of the deal's ending"),
)
_NEXT, _STEP = "next", frozenset(["step", "steps"])
_IDENTIFIER = frozenset(["code", "guid", "id", "key", "no", "number", "num", "ref", "reference", "uuid"])


def words(column: str) -> frozenset[str]:
    """The words of a column name, in lower case.

    Examples
    --------
    >>> sorted(words("Contract_SignedDate__c"))
    ['c', 'contract', 'date', 'signed']
    """
    return frozenset(word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", column))


def suspicion(column: str) -> str | None:
    """What a column's name says of it, where that is final only at the close; None for any other name.

    Examples
    --------
    >>> suspicion("Sales Stage Change Count")
    "counts what happened over the deal's life"
    """
    found = words(column)
    return next((meaning for groups, meaning in _NAMES if all(found & group for group in groups)), None)


def leak(evidence: Evidence) -> str | None:
    """The first reason to drop an attribute, or None."""
    return next((reason for reason in (rule(evidence) for rule in RULES) if reason is not None), None)


def _says_nothing(e: Evidence) -> str | None:
    if e.values == 0:
        return f"empty on all {e.deals:,} deals"
    if e.values == 1 and e.filled == 1:
        return f"the same value on all {e.deals:,} deals"
    return None


def _dates_the_ending(e: Evidence) -> str | None:
    use = e.date_use
    if use is None:
        return None
    if use.on_closing_day >= ON_CLOSING_DAY:
        share = _percent(use.on_closing_day)
        return f"a date that falls within a day of the closing on {share} of the closed deals that have it"
    if use.after_creation >= AFTER_CREATION and use.in_future < IN_FUTURE:
        return (
            f"a date that lies after the deal's creation in {_percent(use.after_creation)} of cases and in the future "
            f"in {_percent(use.in_future)}: it records something that happened on the way, unknown until then"
        )
    return None


def _stands_on_one_side(e: Evidence) -> str | None:
    found = e.tell_tale
    if found is None or found.chance >= NO_ACCIDENT:
        return None
    closed, still_open = found.closed, found.open
    what = f"{found.value!r}"
    if found.value == NO_VALUE:
        what, closed, still_open = "filled in", 1 - closed, 1 - still_open
    return (
        f"changes at the close: {what} on {_percent(closed)} of {found.closed_deals:,} {found.outcome} deals but on "
        f"{_percent(still_open)} of {found.open_deals:,} open deals of the same age"
    )


def _separates_from_open(e: Evidence) -> str | None:
    name = suspicion(e.column)
    threshold = SEPARATES if name is None else SEPARATES_WITH_NAME
    for outcome, found in (("won", e.won_from_open), ("lost", e.lost_from_open)):
        if found.low > threshold:
            because = "" if name is None else f"its name says that it {name}, and it "
            return (
                f"{because}tells {outcome} deals from open deals of the same age (AUC {_auc(found)}): it is "
                "filled in or changed at the close"
            )
    return None


def _too_good(e: Evidence) -> str | None:
    if e.won_from_lost.low > TOO_GOOD:
        return f"too good to be true: alone it tells won from lost deals with an AUC of {_auc(e.won_from_lost)}"
    return None


def _pure(e: Evidence) -> str | None:
    found = e.pure
    if found is None or found.odds_ratio < PURE_ODDS_RATIO or found.share < PURE_SHARE:
        return None
    what = "empty" if found.value == NO_VALUE else f"{found.value!r}"
    return (
        f"too good to be true: of {found.deals:,} closed deals where it is {what}, {_percent(found.share)} are "
        f"{found.outcome}, at least {found.odds_ratio:.0f} times the odds of all closed deals"
    )


def _grows(e: Evidence) -> str | None:
    name = suspicion(e.column)
    threshold = GROWS if name is None else GROWS_WITH_NAME
    grows_open = e.grows_open > threshold or not e.comparable
    if grows_open and e.grows_closed > threshold:
        because = "" if name is None else f"its name says that it {name}, and it "
        return (
            f"{because}grows with the deal (rank correlation with its length at least {e.grows_closed:.2f} among "
            f"closed deals): a clock or a counter, whose earlier values are not recorded"
        )
    return None


def _filled_on_the_way(e: Evidence) -> str | None:
    if e.filled_with_age > FILLED_ON_THE_WAY and e.filled_with_length > FILLED_WITH_LENGTH:
        return (
            f"filled in on the way: on {_percent(e.filled_young)} of the younger and {_percent(e.filled_old)} of the "
            "older half of open deals, and nothing records when"
        )
    return None


def _named_for_the_ending(e: Evidence) -> str | None:
    name = suspicion(e.column)
    if name is None or e.comparable or not e.won_from_lost.low > TELLS_WITH_NAME:
        return None
    return (
        f"its name says that it {name}, it tells won from lost deals (AUC {_auc(e.won_from_lost)}), and there are no "
        "open deals of the same age to show that it was so before the close"
    )


def _typed_over(e: Evidence) -> str | None:
    found = words(e.column)
    if _NEXT not in found or not found & _STEP:
        return None
    return "is typed over as the deal goes on: it shows the last step, and earlier ones only where syncs saw them"


def identifies(e: Evidence) -> str | None:
    """That hardly two deals have the same value."""
    if e.kind == "date" or e.distinct < IDENTIFIES or e.filled * e.deals < MIN_DEALS:
        return None
    if e.kind == "number" and not (e.whole and words(e.column) & _IDENTIFIER):
        return None
    return f"like an identifier: {e.values:,} different values on {round(e.filled * e.deals):,} deals, nothing to learn"


#: In the order in which they are tried; the first that fires gives the reason.
RULES: tuple[Rule, ...] = (
    _says_nothing,
    _dates_the_ending,
    _stands_on_one_side,
    _separates_from_open,
    _too_good,
    _pure,
    _grows,
    _filled_on_the_way,
    _named_for_the_ending,
    _typed_over,
    identifies,
)


def _percent(share: float) -> str:
    share = round(share, 3)
    return f"{share:.1%}" if 0 < share < 0.1 or 0.9 < share < 1 else f"{share:.0%}"


def _auc(separation: Separation) -> str:
    return f"{separation.auc:.2f}, at least {separation.low:.2f}"
