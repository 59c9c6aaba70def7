"""The rules of next steps: when each fires, and what it says."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winpredict.explain._next_step_facts import Facts, is_none
from winpredict.explain.deal_flags import (
    whole,
)
from winpredict.locale.text import Text, text, texts

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: Answers that say that there is nothing to do.
NOTHING_TO_DO = ("booked", "customer_has_it")
#: A contact of ours is later than the last one of theirs by more than this, in days.
_LATER = 1e-6


@dataclass(frozen=True)
class Told:
    action: Text
    why: Text
    usual: Text | None = None
    evidence: Text | None = None


def _where(fires: Bools, urgency: Any) -> Floats:
    """The urgency where a rule fires, NaN elsewhere."""
    return np.where(fires, urgency, np.nan)


def _beyond(value: Floats, limit: Floats, least: float, most: float) -> Floats:
    """Urgency that rises from the limit to three times the limit."""
    return np.asarray(least + (most - least) * np.clip((value / limit - 1) / 2, 0, 1))


def _let_go(facts: Facts) -> Floats:
    return _where(facts.flagged("let_go"), 0.1)


def _tell_let_go(facts: Facts, row: int) -> Told:
    return Told(
        text("Consider letting it go: close it as lost, or agree a date to try again."),
        texts(
            "Win odds below {floor:percent}, and no contact for {n:count} day.",
            "Win odds below {floor:percent}, and no contact for {n:count} days.",
            floor=facts.settings.hopeless_odds,
            n=float(facts.silent_for[row]),
        ),
        _usual_stay(facts, row),
    )


def _call(facts: Facts) -> Floats:
    fires = facts.flagged("silent") & ~facts.is_booked
    return _where(fires, _beyond(facts.silent_for, facts.silence_limit.values, 0.6, 1.0))


def _tell_call(facts: Facts, row: int) -> Told:
    n, nothing_booked = float(facts.silent_for[row]), bool(facts.nothing_booked[row])
    if facts.never_touched[row]:
        why = texts(
            "No contact on record since the deal was created {n:count} day ago.",
            "No contact on record since the deal was created {n:count} days ago.",
            n=n,
        )
        return Told(text("Make the first call, or send an introduction by email."), why, _usual_silence(facts, row))
    why = (
        texts(
            "No contact for {n:count} day, and no meeting booked.",
            "No contact for {n:count} days, and no meeting booked.",
            n=n,
        )
        if nothing_booked
        else texts("No contact for {n:count} day.", "No contact for {n:count} days.", n=n)
    )
    return Told(text("Call them, or send a recap with one clear question."), why, _usual_silence(facts, row))


def _usual_silence(facts: Facts, row: int) -> Text | None:
    days = facts.usual_silence.values[row]
    if np.isnan(days):
        return None
    if facts.usual_silence.of_stage[row]:
        return texts(
            "9 times in 10, deals won from {stage} went no more than {n:count} day without contact.",
            "9 times in 10, deals won from {stage} went no more than {n:count} days without contact.",
            n=float(days),
            stage=facts.stage[row],
        )
    return texts(
        "9 times in 10, deals that were won went no more than {n:count} day without contact.",
        "9 times in 10, deals that were won went no more than {n:count} days without contact.",
        n=float(days),
    )


def _book(facts: Facts) -> Floats:
    waiting = (facts.silent_for >= facts.settings.unbooked_days) & (facts.silent_for > facts.settings.recent_days)
    return _where(facts.nothing_booked & waiting & ~facts.never_touched, 0.35)


def _tell_book(facts: Facts, row: int) -> Told:
    share, stage = facts.usually_booked.values[row], facts.stage[row]
    usual = None
    if share >= 0.5:
        usual = (
            text(
                "{share:percent} of deals won from {stage} had a meeting booked at this point.",
                share=float(share),
                stage=stage,
            )
            if facts.usually_booked.of_stage[row]
            else text("{share:percent} of deals that were won had a meeting booked.", share=float(share))
        )
    return Told(
        text("Book the next meeting: agree a date and who should be there."),
        texts(
            "No meeting booked, and the last contact was {n:count} day ago.",
            "No meeting booked, and the last contact was {n:count} days ago.",
            n=float(facts.silent_for[row]),
        ),
        usual,
    )


def _correct_date(facts: Facts) -> Floats:
    return _where(facts.flagged("overdue"), 0.5 + 0.4 * np.clip(facts.overdue_for / 30, 0, 1))


def _tell_correct_date(facts: Facts, row: int) -> Told:
    return Told(
        text("Ask the customer for a new date, and correct the expected close."),
        texts(
            "The expected close was {n:count} day ago.",
            "The expected close was {n:count} days ago.",
            n=float(facts.overdue_for[row]),
        ),
    )


def _close_plan(facts: Facts) -> Floats:
    usual = np.nan_to_num(facts.usual_pushes.values, nan=0.0)
    fires = (facts.pushes >= facts.settings.pushes) & (facts.pushes > usual)
    return _where(fires, np.clip(0.4 + 0.1 * (facts.pushes - facts.settings.pushes), 0, 0.8))


def _tell_close_plan(facts: Facts, row: int) -> Told:
    return Told(
        text("Agree a close plan with the customer: who does what by when."),
        texts(
            "The expected close was pushed {n:count} time.",
            "The expected close was pushed {n:count} times.",
            n=float(facts.pushes[row]),
        ),
        _usual_pushes(facts, row),
    )


def _usual_pushes(facts: Facts, row: int) -> Text | None:
    number, stage = facts.usual_pushes.values[row], facts.stage[row]
    if np.isnan(number):
        return None
    if facts.usual_pushes.of_stage[row]:
        if number == 0:
            return text("9 times in 10, the close of deals won from {stage} had never been pushed.", stage=stage)
        if number == 1:
            return text("9 times in 10, the close of deals won from {stage} had been pushed once at most.", stage=stage)
        return texts(
            "9 times in 10, the close of deals won from {stage} had been pushed no more than {n:count} time.",
            "9 times in 10, the close of deals won from {stage} had been pushed no more than {n:count} times.",
            n=float(number),
            stage=stage,
        )
    if number == 0:
        return text("9 times in 10, the close of deals that were won had never been pushed.")
    if number == 1:
        return text("9 times in 10, the close of deals that were won had been pushed once at most.")
    return texts(
        "9 times in 10, the close of deals that were won had been pushed no more than {n:count} time.",
        "9 times in 10, the close of deals that were won had been pushed no more than {n:count} times.",
        n=float(number),
    )


def _check_date(facts: Facts) -> Floats:
    usual = facts.usual_days_left.values
    fires = (facts.closes_in >= 0) & (facts.closes_in < usual)
    return _where(fires, 0.3 + 0.3 * (1 - facts.closes_in / np.fmax(usual, 1.0)))


def _tell_check_date(facts: Facts, row: int) -> Told:
    days = float(facts.closes_in[row])
    return Told(
        text("Check the close date: ask the customer what has to happen before they sign."),
        texts("Expected to close in {n:count} day.", "Expected to close in {n:count} days.", n=days)
        if days
        else text("Expected to close today."),
        texts(
            "9 times in 10, deals won from {stage} took at least {n:count} more day.",
            "9 times in 10, deals won from {stage} took at least {n:count} more days.",
            n=float(facts.usual_days_left.values[row]),
            stage=facts.stage[row],
        ),
    )


def _unblock(facts: Facts) -> Floats:
    return _where(facts.flagged("stalled"), _beyond(facts.in_stage_for, facts.stay_limit.values, 0.4, 0.8))


def _tell_unblock(facts: Facts, row: int) -> Told:
    n, stage = float(facts.in_stage_for[row]), facts.stage[row]
    why = (
        texts("In the same stage for {n:count} day.", "In the same stage for {n:count} days.", n=n)
        if stage is None
        else texts("In {stage} for {n:count} day.", "In {stage} for {n:count} days.", n=n, stage=stage)
    )
    action = (
        text("Use the booked meeting to ask what is holding it up, and agree what has to happen next.")
        if facts.is_booked[row]
        else text("Ask what is holding it up, and agree what has to happen next.")
    )
    return Told(action, why, _usual_stay(facts, row))


def _usual_stay(facts: Facts, row: int) -> Text | None:
    if not facts.usual_stay.of_stage[row]:
        return None
    return texts(
        "9 in 10 deals won from {stage} moved on within {n:count} day.",
        "9 in 10 deals won from {stage} moved on within {n:count} days.",
        n=float(facts.usual_stay.values[row]),
        stage=facts.stage[row],
    )


def _senior(facts: Facts) -> Floats:
    share = facts.usually_senior.values
    none = facts.figure("senior_contacts") == 0
    fires = none & (share > facts.settings.senior_share) & (not facts.speaks_against("senior_contacts"))
    return _where(fires, 0.2 + 0.2 * share)


def _tell_senior(facts: Facts, row: int) -> Told:
    share = float(facts.usually_senior.values[row])
    return Told(
        text("Get to the decision maker: ask your contact who else has to agree, and meet them."),
        text("No contact in a senior role is named on the deal."),
        text("{share:percent} of deals won from {stage} had one at this point.", share=share, stage=facts.stage[row])
        if facts.usually_senior.of_stage[row]
        else text("{share:percent} of deals that were won had one.", share=share),
        _cited(facts, "senior_contacts", _SENIOR_EVIDENCE, _SENIOR_EVIDENCE_UP_TO),
    )


def _colleague(facts: Facts) -> Floats:
    alone = (facts.figure("active_users") == 1) & ~(facts.figure("team_members") >= 2)
    share = facts.usually_a_team.values
    fires = alone & facts.norms.is_large(facts.amounts, facts.currencies) & ~(share < 0.5)
    return _where(fires & (not facts.speaks_against("active_users")), 0.3)


def _tell_colleague(facts: Facts, row: int) -> Told:
    share = facts.usually_a_team.values[row]
    usual = None
    if not np.isnan(share):
        usual = (
            text(
                "{share:percent} of large deals won from {stage} had two or more of us on them at this point.",
                share=float(share),
                stage=facts.stage[row],
            )
            if facts.usually_a_team.of_stage[row]
            else text("{share:percent} of large deals that were won had two or more of us on them.", share=float(share))
        )
    return Told(
        text("Bring in a colleague, such as a specialist or your manager."),
        text(
            "Only one of us has worked on it, and it is a large deal: {amount:money}.",
            amount=(float(facts.amounts[row]), facts.currencies[row]),
        ),
        usual,
        _cited(facts, "active_users", _TEAM_EVIDENCE, _TEAM_EVIDENCE_UP_TO),
    )


def _competitor_named(facts: Facts) -> Floats:
    return _where(~is_none(facts.competitor), 0.3)


def _tell_competitor(facts: Facts, row: int) -> Told:
    name = facts.competitor[row]
    return Told(
        text("Ask how you compare, and what would decide it for you."),
        text("A competitor is on the deal: {name}.", name=name)
        if name
        else text("A competitor is recorded on the deal."),
    )


def _booked(facts: Facts) -> Floats:
    return _where(facts.is_booked, 0.0)


def _tell_booked(facts: Facts, row: int) -> Told:
    number = float(facts.meetings_booked[row])
    return Told(
        text("Nothing to do: the next meeting is booked."),
        texts("{n:count} meeting is booked.", "{n:count} meetings are booked.", n=number),
    )


def _customer_has_it(facts: Facts) -> Floats:
    inbound, outbound = facts.figure("inbound"), facts.figure("outbound")
    # only where every touch tells its direction is the last one known to be ours
    known = (inbound + outbound == facts.figure("touches")) & (outbound > 0)
    since = facts.figure("days_since_touch")
    ours = (inbound == 0) | (facts.figure("days_since_inbound") > since + _LATER)
    return _where(known & ours & (whole(since) <= facts.settings.recent_days), 0.0)


def _tell_customer_has_it(facts: Facts, row: int) -> Told:
    days = float(facts.silent_for[row])
    return Told(
        text("Nothing to do for now: it is the customer's turn."),
        texts("We contacted them {n:count} day ago.", "We contacted them {n:count} days ago.", n=days)
        if days
        else text("We contacted them today."),
    )


_SENIOR_EVIDENCE = texts(
    "Among deals alike at the start, those with an early senior contact were won {low:size_points} to "
    "{high:size_points} point more often; there may be other causes.",
    "Among deals alike at the start, those with an early senior contact were won {low:size_points} to "
    "{high:size_points} points more often; there may be other causes.",
    counted="high",
)
_SENIOR_EVIDENCE_UP_TO = texts(
    "Among deals alike at the start, those with an early senior contact were won up to {high:size_points} point more "
    "often; there may be other causes.",
    "Among deals alike at the start, those with an early senior contact were won up to {high:size_points} points more "
    "often; there may be other causes.",
    counted="high",
)
_TEAM_EVIDENCE = texts(
    "Among deals alike at the start, those that two or more of us worked on early were won {low:size_points} to "
    "{high:size_points} point more often; there may be other causes.",
    "Among deals alike at the start, those that two or more of us worked on early were won {low:size_points} to "
    "{high:size_points} points more often; there may be other causes.",
    counted="high",
)
_TEAM_EVIDENCE_UP_TO = texts(
    "Among deals alike at the start, those that two or more of us worked on early were won up to {high:size_points} "
    "point more often; there may be other causes.",
    "Among deals alike at the start, those that two or more of us worked on early were won up to {high:size_points} "
    "points more often; there may be other causes.",
    counted="high",
)


def _cited(facts: Facts, feature: str, between: Text, up_to: Text) -> Text | None:
    """The interval of an effect in words, where it lies above 0 as people read it."""
    low, high = facts.effects.get(feature, (0.0, 0.0))
    if not low > 0 or round(100 * high) == 0:
        return None
    if round(100 * low) in (0, round(100 * high)):
        return up_to.with_values(high=float(high))
    return between.with_values(low=float(low), high=float(high))


@dataclass(frozen=True)
class Rule:
    """One rule.

    Parameters
    ----------
    key : str
    urgency : callable
        Facts to the urgency of each deal, NaN where the rule does not fire.
    tell : callable
        Facts and the position of a deal to its words.
    subject : str
        Of the rules about one subject, the most urgent alone is told.
    """

    key: str
    urgency: Callable[[Facts], Floats]
    tell: Callable[[Facts, int], Told]
    subject: str = ""


#: In the order in which they are told where they are as urgent as each other.
RULES = (
    Rule("let_go", _let_go, _tell_let_go),
    Rule("call", _call, _tell_call, "contact"),
    Rule("book", _book, _tell_book, "contact"),
    Rule("correct_date", _correct_date, _tell_correct_date, "expected close"),
    Rule("close_plan", _close_plan, _tell_close_plan, "expected close"),
    Rule("check_date", _check_date, _tell_check_date, "expected close"),
    Rule("unblock", _unblock, _tell_unblock),
    Rule("senior", _senior, _tell_senior),
    Rule("colleague", _colleague, _tell_colleague),
    Rule("competitor", _competitor_named, _tell_competitor),
    Rule("booked", _booked, _tell_booked),
    Rule("customer_has_it", _customer_has_it, _tell_customer_has_it),
)
LET_GO = 0
NOTHING = [place for place, rule in enumerate(RULES) if rule.key in NOTHING_TO_DO]
