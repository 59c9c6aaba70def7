"""What a simulated CRM records of the lives of its deals: changes, touches, people.

Every record of an open deal depends on the deal's state that morning, on its quality and on the habits of its owner,
and on nothing that comes later. So a record tells of the state, and the odds given the state stay exact.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict.simulate.chain import ENGAGEMENTS, STAGES, STATES, WON, Days, Floats, Ints
from winpredict.simulate.people import Reps, owner_after

Flags = NDArray[np.bool_]

STAGE_NAMES = (
    "Prospecting",
    "Qualification",
    "Needs Analysis",
    "Proposal/Price Quote",
    "Negotiation/Review",
    "Closed Won",
    "Closed Lost",
)
CLOSED_WON, CLOSED_LOST = STAGES, STAGES + 1
FIRST_DAY = pd.Timestamp("2023-01-02", tz="UTC")
LAST_DAY = pd.Timestamp("2025-03-13", tz="UTC")
DAYS = (LAST_DAY - FIRST_DAY).days

SECONDS_A_DAY, _HOUR = 86_400, 3_600
_OFFICE_OPENS, _OFFICE_HOURS = 8 * _HOUR, 10 * _HOUR
_MAX_ENGINEERS, _MAX_CONTACTS = 3, 50

#: Rates a working day by engagement (cold, normal, hot), and what the stage multiplies them with.
_TOUCHES = np.array([0.03, 0.13, 0.40])
_TOUCHES_BY_STAGE = np.array([0.8, 1.0, 1.1, 1.2, 1.4])
_TOUCHES_BY_QUALITY = 0.4
_BOOKINGS = np.array([0.004, 0.012, 0.045])
_NEW_CONTACTS = np.array([0.003, 0.010, 0.030])
_NEW_ENGINEERS = np.array([0.012, 0.016, 0.028])
_PUSHES = np.array([0.020, 0.010, 0.005])
_REVALUATIONS = np.array([0.002, 0.004, 0.007])
_HANDED_ON = 0.001
_MISTAKEN_CLOSES = 0.00015
#: Shares by engagement.
_MEETINGS = np.array([0.10, 0.16, 0.26])
_INBOUND = np.array([0.12, 0.30, 0.55])
_SENIOR = np.array([0.03, 0.08, 0.20])
_CALLS = 0.36
_BY_ENGINEER = 0.30
_RECORDED_LATE = 0.08
_ONBOARDED = 0.62


@dataclass(frozen=True)
class Records:
    """The recorded tables, people and deals still as positions, times as seconds since `FIRST_DAY`."""

    history: pd.DataFrame
    activities: pd.DataFrame
    engineers: pd.DataFrame
    contacts: pd.DataFrame


def record(deals: pd.DataFrame, days: Days, quality: Floats, reps: Reps, rng: np.random.Generator) -> Records:
    """Draw everything that the CRM recorded before `LAST_DAY`.

    Parameters
    ----------
    deals : DataFrame
        One row a deal: amount (at creation), senior (whether the first contact is), owner, back_filled, lost_amount
        (kept, zero or blank).
    days : Days
        The lives of the deals.
    quality : ndarray of shape (rows of days,)
        The quality of the deal on that day.
    reps : Reps
        The owners: who has a deal decides how many of its touches are recorded.
    rng : Generator
        The source of chance.

    Returns
    -------
    Records
        Each table sorted by time.
    """
    chosen = (days.day < DAYS) & ~deals["back_filled"].to_numpy()[days.deal]
    days, quality = days.where(chosen), quality[chosen]
    clock = _Clock(days, rng)
    handed_on = clock.happens(np.full(len(days.deal), _HANDED_ON)) & (days.next_state < STATES)
    owners_before = clock.before(handed_on.astype(np.int64)).astype(np.int64)
    changes = _changes(deals, days, clock, owners_before + handed_on, rng)
    history = _with_lost_amounts(pd.concat([changes, _back_filled(deals, rng)]), deals)
    history = pd.concat([history, _mistaken_closes(days, clock, rng)])
    engineers, engineers_before = _joined(days, clock, rng, _NEW_ENGINEERS, first=0, most=_MAX_ENGINEERS)
    contacts, contacts_before = _joined(days, clock, rng, _NEW_CONTACTS, first=1, most=_MAX_CONTACTS)
    owner = owner_after(deals["owner"].to_numpy()[days.deal], owners_before, len(reps))
    touches = _touches(days, quality, reps.touches[owner], clock, rng)
    met = pd.concat([touches, _bookings(days, clock, rng)])
    activities = _with_people(met, engineers_before, contacts_before, owners_before, rng)
    activities = pd.concat([activities, _onboarding(changes, rng)])
    return Records(
        _in_time(history, "second"),
        _in_time(activities[activities["recorded"] < DAYS * SECONDS_A_DAY], "recorded", "occurred"),
        _in_time(engineers, "second"),
        _in_time(_with_roles(contacts, deals, rng), "second"),
    )


class _Clock:
    """Moments in office hours on the days of a `Days`, never before the deal was created."""

    def __init__(self, days: Days, rng: np.random.Generator) -> None:
        self._rng = rng
        self.first = np.flatnonzero(np.diff(days.deal, prepend=-1))
        self.is_first = np.zeros(len(days.deal), dtype=bool)
        self.is_first[self.first] = True
        self.working = days.day % 7 < 5
        self.opens = days.day * SECONDS_A_DAY + _OFFICE_OPENS
        self._hours = np.full(len(days.deal), _OFFICE_HOURS)
        created = rng.integers(0, _OFFICE_HOURS, len(self.first))
        self.opens[self.first] += created
        self._hours[self.first] -= created

    def moment(self, rows: Ints | Flags) -> Ints:
        """Any moment of the office hours; on the day of creation, one after the deal was entered."""
        hours = self._hours[rows]
        later = (self._rng.random(len(hours)) * hours).astype(np.int64)
        return cast("Ints", self.opens[rows] + later)

    def before(self, amounts: Floats | Ints) -> Floats:
        """Of each row, the sum of `amounts` over the earlier days of its deal."""
        earlier = np.cumsum(amounts, dtype=np.float64) - amounts
        lengths = np.diff(np.append(self.first, len(amounts)))
        return earlier - np.repeat(earlier[self.first], lengths)

    def happens(self, rate: Floats) -> Flags:
        """Whether something that happens at this rate a working day happens on the day, after the first."""
        return self.working & ~self.is_first & (self._rng.random(len(rate)) < rate)


def _changes(deals: pd.DataFrame, days: Days, clock: _Clock, owners: Ints, rng: np.random.Generator) -> pd.DataFrame:
    """A row for the creation of a deal and for each day on which its stage, amount, close date or owner changed."""
    closes = days.next_state >= STATES
    stage = np.where(closes, np.where(days.next_state == WON, CLOSED_WON, CLOSED_LOST), days.next_state // ENGAGEMENTS)
    pushed = clock.happens(_PUSHES[days.engagement]) & ~closes
    pushes = np.where(pushed, rng.integers(7, 46, len(stage)), 0)
    revalued = clock.happens(_REVALUATIONS[days.engagement]) & ~closes
    growth = np.where(revalued, rng.normal(-0.03, 0.25, len(stage)), 0.0)
    handed_on = np.diff(owners, prepend=0) * ~clock.is_first > 0
    rows = np.flatnonzero(clock.is_first | (stage != days.stage) | pushed | revalued | handed_on)
    deal = days.deal[rows]
    expected = deals["expected_close_day"].to_numpy()[deal] + (clock.before(pushes) + pushes)[rows]
    amount = deals["amount"].to_numpy()[deal] * np.exp((clock.before(growth) + growth)[rows])
    return pd.DataFrame(
        {
            "deal": deal,
            "second": np.where(clock.is_first[rows], clock.opens[rows], clock.moment(rows)),
            "stage": stage[rows],
            "owners": owners[rows],
            "amount": _in_hundreds(amount),
            "expected_close_day": np.where(closes[rows], days.day[rows], expected).astype(np.int64),
        }
    )


def _in_hundreds(amount: Floats) -> Floats:
    return np.maximum(np.round(amount, -2), 100.0)


def _back_filled(deals: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Deals entered after the fact: created and closed within minutes."""
    entered = deals.index[deals["back_filled"]].to_numpy()
    created = deals["born"].to_numpy()[entered] * SECONDS_A_DAY + _OFFICE_OPENS
    created += rng.integers(0, _OFFICE_HOURS, len(entered))
    rows = {"deal": entered, "owners": 0, "amount": deals["amount"].to_numpy()[entered]}
    closed = np.where(deals["won"].to_numpy()[entered], CLOSED_WON, CLOSED_LOST)
    opening = {"second": created, "stage": 0, "expected_close_day": deals["expected_close_day"].to_numpy()[entered]}
    minutes = rng.integers(30, 300, len(entered))
    closing = {"second": created + minutes, "stage": closed, "expected_close_day": created // SECONDS_A_DAY}
    return pd.concat([pd.DataFrame(rows | opening), pd.DataFrame(rows | closing)])


def _with_lost_amounts(history: pd.DataFrame, deals: pd.DataFrame) -> pd.DataFrame:
    """Amounts as typed at the close of lost deals: kept, zero or blank."""
    habit = deals["lost_amount"].to_numpy()[history["deal"]]
    lost = history["stage"] == CLOSED_LOST
    amount = history["amount"].mask(lost & (habit == "zero"), 0.0)
    return history.assign(amount=amount.mask(lost & (habit == "blank")))


def _mistaken_closes(days: Days, clock: _Clock, rng: np.random.Generator) -> pd.DataFrame:
    """Deals closed by mistake and reopened hours later, on days on which their stage stayed as it was."""
    mistaken = clock.happens(np.full(len(days.deal), _MISTAKEN_CLOSES)) & (days.next_state == days.state)
    rows = np.flatnonzero(mistaken)
    # the rest is not touched: a missing amount and -1 stand for unchanged
    frame = pd.DataFrame({"deal": days.deal[rows], "owners": -1, "amount": np.nan, "expected_close_day": -1})
    closed = clock.opens[rows] + _OFFICE_HOURS
    closing = frame.assign(second=closed, stage=CLOSED_LOST)
    reopening = frame.assign(second=closed + rng.integers(_HOUR, 3 * _HOUR, len(rows)), stage=days.stage[rows])
    return pd.concat([closing, reopening])


def _joined(
    days: Days, clock: _Clock, rng: np.random.Generator, rates: Floats, *, first: int, most: int
) -> tuple[pd.DataFrame, Ints]:
    """Who joins a deal when, numbered within the deal, and of each row of `days` how many were there before."""
    joins = clock.happens(rates[days.engagement]).astype(np.int64)
    joins[clock.first] = first
    earlier = clock.before(joins).astype(np.int64)
    rows = np.flatnonzero((joins > 0) & (earlier < most))
    second = np.where(clock.is_first[rows], clock.opens[rows], clock.moment(rows))
    people = {"deal": days.deal[rows], "number": earlier[rows], "second": second, "engagement": days.engagement[rows]}
    return pd.DataFrame(people), np.minimum(earlier, most)


def _with_roles(contacts: pd.DataFrame, deals: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    senior = rng.random(len(contacts)) < _SENIOR[contacts["engagement"]]
    is_first = contacts["number"].to_numpy() == 0
    senior = np.where(is_first, deals["senior"].to_numpy()[contacts["deal"]], senior)
    return contacts.assign(role=np.where(senior, "Executive Sponsor", "Business User"))


def _touches(
    days: Days, quality: Floats, owners_habit: Floats, clock: _Clock, rng: np.random.Generator
) -> pd.DataFrame:
    """E-mails, calls and meetings of a deal; some are entered days later."""
    rate = (
        _TOUCHES[days.engagement]
        * _TOUCHES_BY_STAGE[days.stage]
        * np.exp(_TOUCHES_BY_QUALITY * quality)
        * owners_habit
        * clock.working
    )
    row = np.repeat(np.arange(len(rate)), rng.poisson(rate))
    engagement = days.engagement[row]
    other = np.where(rng.random(len(row)) < _CALLS, "call", "email")
    kind = np.where(rng.random(len(row)) < _MEETINGS[engagement], "meeting", other)
    inbound = np.where(rng.random(len(row)) < _INBOUND[engagement], "inbound", "outbound")
    occurred = clock.moment(row)
    late = np.where(rng.random(len(row)) < _RECORDED_LATE, rng.exponential(3.0, len(row)) * SECONDS_A_DAY, 0.0)
    touches = {"row": row, "deal": days.deal[row], "occurred": occurred, "recorded": occurred + late.astype(np.int64)}
    return pd.DataFrame(touches | {"kind": kind, "direction": pd.Series(inbound).where(kind == "call")})


def _bookings(days: Days, clock: _Clock, rng: np.random.Generator) -> pd.DataFrame:
    """Meetings entered before they take place; they stay in the CRM where the deal closes before."""
    row = np.flatnonzero(clock.happens(_BOOKINGS[days.engagement]))
    recorded = clock.moment(row)
    ahead = rng.integers(1, 15, len(row)) * SECONDS_A_DAY
    times = {"occurred": recorded + ahead, "recorded": recorded}
    return pd.DataFrame({"row": row, "deal": days.deal[row], **times, "kind": "meeting", "direction": None})


def _with_people(
    touches: pd.DataFrame, engineers: Ints, contacts: Ints, owners: Ints, rng: np.random.Generator
) -> pd.DataFrame:
    """Number the engineer (-1 for the owner) and the contact who took part, among those on the deal before that day."""
    row = touches["row"].to_numpy()
    there, theirs = engineers[row], np.maximum(contacts[row], 1)
    by_engineer = (there > 0) & (rng.random(len(row)) < _BY_ENGINEER)
    engineer = np.where(by_engineer, (rng.random(len(row)) * there).astype(np.int64), -1)
    contact = (rng.random(len(row)) * theirs).astype(np.int64)
    seconds = np.where(touches["kind"] == "call", rng.integers(20, 1800, len(row)), np.nan)
    people = {"engineer": engineer, "contact": contact, "owners": owners[row]}
    return touches.drop(columns="row").assign(**people, duration_s=seconds)


def _onboarding(history: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Meetings with the new customer in the two weeks after the deal was won."""
    won = history.loc[history["stage"] == CLOSED_WON]
    won = won[rng.random(len(won)) < _ONBOARDED]
    won = won.iloc[np.repeat(np.arange(len(won)), rng.integers(1, 7, len(won)))]
    held = won["second"].to_numpy() + rng.integers(0, 14 * SECONDS_A_DAY, len(won))
    meetings = won[["deal", "owners"]].assign(occurred=held, recorded=held, kind="meeting", direction=None)
    return meetings.assign(engineer=-1, contact=0, duration_s=np.nan)


def _in_time(frame: pd.DataFrame, *times: str) -> pd.DataFrame:
    return frame.sort_values([*times, "deal"], kind="stable").reset_index(drop=True)
