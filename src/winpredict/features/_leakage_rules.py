"""When the evidence says that an attribute leaks: one rule a function, one clause a finding."""

import re
from collections.abc import Callable, Mapping

from winpredict.features._leakage_evidence import NO_VALUE, Evidence
from winpredict.features._leakage_population import MIN_DEALS, Outcome, Separation
from winpredict.locale.text import Text, text, texts

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

Rule = Callable[[Evidence], Text | None]

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
#: What a name says of its column, as a clause whose subject is the column.
_NAMES: tuple[tuple[tuple[frozenset[str], ...], Text], ...] = (
    ((_ELAPSED,), text("measures elapsed time")),
    ((_COUNTED, _HAPPENED), text("counts what happened over the deal's life")),
    ((_LATEST, _TOUCHED), text("moves with every touch")),
    ((_WINDOW, _PERIOD), text("sums over a window that ends at the export, with the deal's own ending in it")),
    ((_ENDING,), text("speaks of the deal's ending")),
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


def suspicion(column: str) -> Text | None:
    """What a column's name says of it, where that is final only at the close; None for any other name.

    Examples
    --------
    >>> print(suspicion("Sales Stage Change Count"))
    counts what happened over the deal's life
    """
    found = words(column)
    return next((meaning for groups, meaning in _NAMES if all(found & group for group in groups)), None)


def leak(evidence: Evidence) -> Text | None:
    """The first reason to drop an attribute, as a clause, or None."""
    return next((reason for reason in (rule(evidence) for rule in RULES) if reason is not None), None)


def _says_nothing(e: Evidence) -> Text | None:
    if e.values == 0:
        return texts("empty on {n:count} deal, the only one", "empty on all {n:count} deals", n=e.deals)
    if e.values == 1 and e.filled == 1:
        return texts("one value on {n:count} deal, the only one", "the same value on all {n:count} deals", n=e.deals)
    return None


def _dates_the_ending(e: Evidence) -> Text | None:
    use = e.date_use
    if use is None:
        return None
    if use.on_closing_day >= ON_CLOSING_DAY:
        return text(
            "a date that falls within a day of the closing on {share:percent} of the closed deals that have it",
            share=use.on_closing_day,
        )
    if use.after_creation >= AFTER_CREATION and use.in_future < IN_FUTURE:
        return text(
            "a date that lies after the deal's creation in {after:percent} of cases and in the future in "
            "{future:percent}: it records something that happened on the way, unknown until then",
            after=use.after_creation,
            future=use.in_future,
        )
    return None


#: Changes at the close, by the ending: of what is filled in, and of a value.
_FILLED: Mapping[Outcome, Text] = {
    "won": text(
        "changes at the close: filled in on {closed:percent} of {closed_deals:count} won deals but on {open:percent} "
        "of {open_deals:count} open deals of the same age"
    ),
    "lost": text(
        "changes at the close: filled in on {closed:percent} of {closed_deals:count} lost deals but on {open:percent} "
        "of {open_deals:count} open deals of the same age"
    ),
}
_CHANGES: Mapping[Outcome, Text] = {
    "won": text(
        "changes at the close: {value!r} on {closed:percent} of {closed_deals:count} won deals but on {open:percent} "
        "of {open_deals:count} open deals of the same age"
    ),
    "lost": text(
        "changes at the close: {value!r} on {closed:percent} of {closed_deals:count} lost deals but on {open:percent} "
        "of {open_deals:count} open deals of the same age"
    ),
}


def _stands_on_one_side(e: Evidence) -> Text | None:
    found = e.tell_tale
    if found is None or found.chance >= NO_ACCIDENT:
        return None
    deals = {"closed_deals": found.closed_deals, "open_deals": found.open_deals}
    if found.value == NO_VALUE:
        return _FILLED[found.outcome].with_values(closed=1 - found.closed, open=1 - found.open, **deals)
    return _CHANGES[found.outcome].with_values(value=found.value, closed=found.closed, open=found.open, **deals)


#: Tells closed deals from open ones, by the ending: for itself, and where the name says as much.
_SEPARATES: Mapping[Outcome, Text] = {
    "won": text(
        "tells won deals from open deals of the same age (AUC {auc:precise}, at least {low:precise}): it is filled in "
        "or changed at the close"
    ),
    "lost": text(
        "tells lost deals from open deals of the same age (AUC {auc:precise}, at least {low:precise}): it is filled in "
        "or changed at the close"
    ),
}
_SEPARATES_AS_NAMED: Mapping[Outcome, Text] = {
    "won": text(
        "its name says that it {meaning}, and it tells won deals from open deals of the same age (AUC {auc:precise}, "
        "at least {low:precise}): it is filled in or changed at the close"
    ),
    "lost": text(
        "its name says that it {meaning}, and it tells lost deals from open deals of the same age (AUC {auc:precise}, "
        "at least {low:precise}): it is filled in or changed at the close"
    ),
}


def _separates_from_open(e: Evidence) -> Text | None:
    meaning = suspicion(e.column)
    threshold = SEPARATES if meaning is None else SEPARATES_WITH_NAME
    sides: tuple[tuple[Outcome, Separation], ...] = (("won", e.won_from_open), ("lost", e.lost_from_open))
    for outcome, found in sides:
        if found.low > threshold:
            told = _SEPARATES[outcome] if meaning is None else _SEPARATES_AS_NAMED[outcome].with_values(meaning=meaning)
            return told.with_values(auc=found.auc, low=found.low)
    return None


def _too_good(e: Evidence) -> Text | None:
    if e.won_from_lost.low > TOO_GOOD:
        return text(
            "too good to be true: alone it tells won from lost deals with an AUC of {auc:precise}, at least "
            "{low:precise}",
            auc=e.won_from_lost.auc,
            low=e.won_from_lost.low,
        )
    return None


#: Values with which nearly all deals end alike, by the ending: none, and any other.
_PURE_EMPTY: Mapping[Outcome, Text] = {
    "won": text(
        "too good to be true: of {deals:count} closed deals where it is empty, {share:percent} are won, at least "
        "{ratio:count} times the odds of all closed deals"
    ),
    "lost": text(
        "too good to be true: of {deals:count} closed deals where it is empty, {share:percent} are lost, at least "
        "{ratio:count} times the odds of all closed deals"
    ),
}
_PURE: Mapping[Outcome, Text] = {
    "won": text(
        "too good to be true: of {deals:count} closed deals where it is {value!r}, {share:percent} are won, at least "
        "{ratio:count} times the odds of all closed deals"
    ),
    "lost": text(
        "too good to be true: of {deals:count} closed deals where it is {value!r}, {share:percent} are lost, at least "
        "{ratio:count} times the odds of all closed deals"
    ),
}


def _pure(e: Evidence) -> Text | None:
    found = e.pure
    if found is None or found.odds_ratio < PURE_ODDS_RATIO or found.share < PURE_SHARE:
        return None
    is_empty = found.value == NO_VALUE
    told = _PURE_EMPTY[found.outcome] if is_empty else _PURE[found.outcome].with_values(value=found.value)
    return told.with_values(deals=found.deals, share=found.share, ratio=found.odds_ratio)


def _grows(e: Evidence) -> Text | None:
    meaning = suspicion(e.column)
    threshold = GROWS if meaning is None else GROWS_WITH_NAME
    grows_open = e.grows_open > threshold or not e.comparable
    if not (grows_open and e.grows_closed > threshold):
        return None
    if meaning is None:
        return text(
            "grows with the deal (rank correlation with its length at least {correlation:multiple} among closed "
            "deals): a clock or a counter, whose earlier values are not recorded",
            correlation=e.grows_closed,
        )
    return text(
        "its name says that it {meaning}, and it grows with the deal (rank correlation with its length at least "
        "{correlation:multiple} among closed deals): a clock or a counter, whose earlier values are not recorded",
        meaning=meaning,
        correlation=e.grows_closed,
    )


def _filled_on_the_way(e: Evidence) -> Text | None:
    if e.filled_with_age > FILLED_ON_THE_WAY and e.filled_with_length > FILLED_WITH_LENGTH:
        return text(
            "filled in on the way: on {young:percent} of the younger and {old:percent} of the older half of open "
            "deals, and nothing records when",
            young=e.filled_young,
            old=e.filled_old,
        )
    return None


def _named_for_the_ending(e: Evidence) -> Text | None:
    meaning = suspicion(e.column)
    if meaning is None or e.comparable or not e.won_from_lost.low > TELLS_WITH_NAME:
        return None
    return text(
        "its name says that it {meaning}, it tells won from lost deals (AUC {auc:precise}, at least {low:precise}), "
        "and there are no open deals of the same age to show that it was so before the close",
        meaning=meaning,
        auc=e.won_from_lost.auc,
        low=e.won_from_lost.low,
    )


def _typed_over(e: Evidence) -> Text | None:
    found = words(e.column)
    if _NEXT not in found or not found & _STEP:
        return None
    return text("is typed over as the deal goes on: it shows the last step, and earlier ones only where syncs saw them")


def identifies(e: Evidence) -> Text | None:
    """That hardly two deals have the same value."""
    if e.kind == "date" or e.distinct < IDENTIFIES or e.filled * e.deals < MIN_DEALS:
        return None
    if e.kind == "number" and not (e.whole and words(e.column) & _IDENTIFIER):
        return None
    return text(
        "like an identifier: {values:count} different values on {deals:count} deals, nothing to learn",
        values=e.values,
        deals=round(e.filled * e.deals),
    )


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
