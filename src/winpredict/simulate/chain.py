"""The life of a simulated deal: a Markov chain in days, whose odds of being won are known exactly.

A deal that is open in the morning stands in one of 15 states (5 stages x 3 engagements). On a day at most one of six
things happens to it: it is won, it is lost, it moves a stage up or back, the customer warms up or cools down. How
likely each is depends on the state, the deal's quality and its speed alone, and these change at most once, on the day
the market turns. Quality makes moves up and wins more likely and losses less; speed makes everything happen sooner or
later and so decides when, not how, a deal ends. All that a CRM records of an open deal follows from these states, so
given the state nothing recorded adds to the odds.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

STAGES = 5
ENGAGEMENTS = 3
STATES = STAGES * ENGAGEMENTS
WON = STATES
LOST = STATES + 1

#: Rates a day of a deal of quality 0, by stage.
_UP = np.array([0.0245, 0.0370, 0.0430, 0.0500, 0.0])
_BACK = np.array([0.0, 0.0019, 0.0019, 0.0019, 0.0019])
_WON = np.array([0.0, 0.0, 0.0003, 0.0022, 0.066])
_LOST = np.array([0.0068, 0.0046, 0.0036, 0.0032, 0.0045])
_WARMER = np.array([0.021, 0.015, 0.0])
_COOLER = np.array([0.0, 0.021, 0.033])
#: What engagement (cold, normal, hot) and a unit of quality add to the logarithm of a rate.
_UP_BY_ENGAGEMENT = np.array([-0.9, 0.0, 0.7])
_LOST_BY_ENGAGEMENT = np.array([0.6, 0.0, -0.9])
_PULL = 0.65
_DEALS_AT_ONCE = 4096


@dataclass(frozen=True)
class Days:
    """Every deal on every day it was open: one row a deal and day, sorted by both.

    Parameters
    ----------
    deal, day : ndarray of int64
        Positions of the deal and the day. The first row of a deal is the day it was created.
    state : ndarray of int64
        Where it stood in the morning.
    next_state : ndarray of int64
        Where it stood in the evening; `WON` or `LOST` on its last day.
    """

    deal: Ints
    day: Ints
    state: Ints
    next_state: Ints

    @property
    def stage(self) -> Ints:
        """The stage in the morning, 0 to 4."""
        return self.state // ENGAGEMENTS

    @property
    def engagement(self) -> Ints:
        """0 cold, 1 normal, 2 hot, in the morning."""
        return self.state % ENGAGEMENTS

    def where(self, chosen: NDArray[np.bool_]) -> "Days":
        """The chosen rows."""
        return Days(self.deal[chosen], self.day[chosen], self.state[chosen], self.next_state[chosen])


@dataclass(frozen=True)
class Lives:
    """What decides the lives of the deals, one value a deal.

    Parameters
    ----------
    born : ndarray of int64
        The day of creation; the first chance of a change is the day after.
    state : ndarray of int64
        The state at creation.
    quality, later_quality : ndarray of float64
        Before the market turns and from then on.
    speed, later_speed : ndarray of float64
        What the rates of all events are multiplied with, before the market turns and from then on.
    turn : int
        The day the market turns.
    """

    born: Ints
    state: Ints
    quality: Floats
    later_quality: Floats
    speed: Floats
    later_speed: Floats
    turn: int

    def part(self, chosen: slice | Ints) -> "Lives":
        """The chosen deals."""
        return Lives(
            self.born[chosen],
            self.state[chosen],
            self.quality[chosen],
            self.later_quality[chosen],
            self.speed[chosen],
            self.later_speed[chosen],
            self.turn,
        )

    def odds_a_day(self) -> tuple[Floats, Floats]:
        """`daily_odds` before the market turns and from then on."""
        return daily_odds(self.quality, self.speed), daily_odds(self.later_quality, self.later_speed)


def daily_odds(quality: Floats, speed: Floats) -> Floats:
    """Chance of each state tomorrow given today's.

    Parameters
    ----------
    quality, speed : ndarray of shape (deals,)

    Returns
    -------
    ndarray of shape (deals, 15, 17)
        By deal, state in the morning and state in the evening (the last two: `WON`, `LOST`). Each row sums to one.
    """
    here = np.arange(STATES)
    stage, engagement = here // ENGAGEMENTS, here % ENGAGEMENTS
    better = _PULL * quality[:, None]
    rates = {
        "up": _UP[stage] * np.exp(_UP_BY_ENGAGEMENT[engagement] + better),
        "back": _BACK[stage] * np.exp(-better),
        "won": _WON[stage] * np.exp(_UP_BY_ENGAGEMENT[engagement] + better),
        "lost": _LOST[stage] * np.exp(_LOST_BY_ENGAGEMENT[engagement] - better),
        "warmer": _WARMER[engagement] * np.exp(better),
        "cooler": _COOLER[engagement] * np.exp(-better),
    }
    targets = {
        "up": np.minimum(here + ENGAGEMENTS, STATES - 1),
        "back": np.maximum(here - ENGAGEMENTS, 0),
        "won": np.full(STATES, WON),
        "lost": np.full(STATES, LOST),
        "warmer": np.minimum(here + 1, STATES - 1),
        "cooler": np.maximum(here - 1, 0),
    }
    total = np.sum(list(rates.values()), axis=0)
    faster = total * speed[:, None]
    happens = -np.expm1(-faster) / total
    odds = np.zeros((len(quality), STATES, STATES + 2))
    odds[:, here, here] = np.exp(-faster)
    for event, rate in rates.items():
        odds[:, here, targets[event]] += rate * happens
    return odds


def live(lives: Lives, rng: np.random.Generator) -> Days:
    """Let every deal live from its creation until it is won or lost.

    Parameters
    ----------
    lives : Lives
        The deals.
    rng : Generator
        The source of chance.

    Returns
    -------
    Days
    """
    starts = range(0, len(lives.born), _DEALS_AT_ONCE)
    parts = [_live_some(lives.part(slice(start, start + _DEALS_AT_ONCE)), start, rng) for start in starts]
    deal, day, state, next_state = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((day, deal))
    return Days(deal[order], day[order], state[order], next_state[order])


def _live_some(lives: Lives, first: int, rng: np.random.Generator) -> Ints:
    """Rows of deal, day, state and next state, a column of the result each; deals are counted from `first`."""
    cumulative = np.stack(lives.odds_a_day(), axis=1).cumsum(axis=-1)
    alive, day, state = np.arange(len(lives.born)), lives.born, lives.state
    rows = [np.stack([alive + first, day, state, state])]
    while len(alive):
        day = day + 1
        odds = cumulative[alive, (day >= lives.turn).astype(np.int64), state]
        drawn = (rng.random(len(alive))[:, None] > odds).sum(axis=1)
        next_state = np.minimum(drawn, LOST)
        rows.append(np.stack([alive + first, day, state, next_state]))
        goes_on = next_state < STATES
        alive, day, state = alive[goes_on], day[goes_on], next_state[goes_on]
    return np.concatenate(rows, axis=1)


def won_between(lives: Lives, first: int, last: int) -> Floats:
    """Exact probability of being won on a day of the deal's life after `first` and up to `last`, if open after `first`.

    Parameters
    ----------
    lives : Lives
        The deals.
    first, last : int
        Days since creation, ``0 <= first < last``.

    Returns
    -------
    ndarray of float64, shape (deals,)
    """
    odds = lives.odds_a_day()
    standing = np.zeros((len(lives.born), STATES))
    standing[np.arange(len(lives.born)), lives.state] = 1.0
    won, still_open = np.zeros(len(lives.born)), np.ones(len(lives.born))
    for day in range(1, last + 1):
        turned = (lives.born + day >= lives.turn)[:, None]
        step = [np.einsum("ds,dst->dt", standing, each) for each in odds]
        after = np.where(turned, step[1], step[0])
        standing = after[:, :STATES]
        if day > first:
            won += after[:, WON]
        elif day == first:
            still_open = standing.sum(axis=1)
    return won / still_open


def odds_of_winning(lives: Lives, day: int, state: Ints) -> Floats:
    """Exact probability of being won in the end, of deals that stand in `state` in the morning of `day`.

    Once the market has turned the odds of a state no longer depend on the day, so they solve a linear system; before,
    they follow from those of the next morning.

    Parameters
    ----------
    lives : Lives
        The deals.
    day : int
        The morning at which all of them stand in their state.
    state : ndarray of int64, shape (deals,)

    Returns
    -------
    ndarray of float64, shape (deals,)
    """
    before, later = lives.odds_a_day()
    among = np.eye(STATES) - later[:, :, :STATES]
    value = np.linalg.solve(among, later[:, :, WON, None])
    for _ in range(day, lives.turn):
        value = before[:, :, WON, None] + before[:, :, :STATES] @ value
    return cast("Floats", value[np.arange(len(state)), state, 0])
