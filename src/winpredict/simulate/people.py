"""The reps of a simulated company: how many, how good, how busy in the CRM, and who works a deal."""

from dataclasses import dataclass
from typing import cast

import numpy as np

from winpredict.simulate.chain import Floats, Ints

TEAM = 10
_DEALS_A_REP = 86
#: Below a full team fewer reps have more deals each. Still fewer deals than these are no company of their own, but a
#: sample of one with a full team.
_MIN_REPS, _DEALS_A_FURTHER_REP, _DEALS_OF_A_COMPANY = 2.4, 200, 200
_SPREAD_OF_QUALITY = 0.55
#: Spread of the logarithm of how many touches a rep records, and how far good reps are the ones who record more.
_SPREAD_OF_TOUCHES, _TOUCHES_WITH_QUALITY = 0.35, 0.3


@dataclass(frozen=True)
class Reps:
    """The people who own deals, one value a rep.

    Parameters
    ----------
    quality : ndarray of float64
        What a rep adds to the quality of a deal.
    touches : ndarray of float64
        How many touches a rep records, as a multiple of the mean of all.
    """

    quality: Floats
    touches: Floats

    def __len__(self) -> int:
        return len(self.quality)


def number_of_reps(deals: int) -> int:
    """How many reps work so many deals in the history.

    Examples
    --------
    >>> [number_of_reps(deals) for deals in (300, 800, 3000)]
    [4, 6, 35]
    """
    reps = round(deals / _DEALS_A_REP)
    if reps >= TEAM:
        return reps
    return TEAM if deals < _DEALS_OF_A_COMPANY else round(_MIN_REPS + deals / _DEALS_A_FURTHER_REP)


def reps_of_quality(count: int, quality_rng: np.random.Generator, habit_rng: np.random.Generator) -> Reps:
    """Draw the reps.

    Parameters
    ----------
    count : int
        How many.
    quality_rng, habit_rng : Generator
        The sources of chance of what decides deals and of what is only recorded.

    Returns
    -------
    Reps
    """
    quality = _standardised(quality_rng.normal(size=count))
    own = _standardised(habit_rng.normal(size=count))
    habit = _TOUCHES_WITH_QUALITY * quality + np.sqrt(1 - _TOUCHES_WITH_QUALITY**2) * own
    touches = np.exp(_SPREAD_OF_TOUCHES * habit)
    return Reps(quality * _SPREAD_OF_QUALITY, touches / touches.mean())


def _standardised(drawn: Floats) -> Floats:
    """Spread evenly about zero, since a few dozen free draws would make one world's win rate unlike another's."""
    return cast("Floats", (drawn - drawn.mean()) / drawn.std())


def owner_after(first: Ints, changes: Ints, reps: int) -> Ints:
    """Who has the deal after so many changes of owner: the next of the same team each time."""
    team = first // TEAM * TEAM
    return team + (first - team + changes) % np.minimum(TEAM, reps - team)


def engineer_of(owner: Ints, deal: Ints, number: Ints, reps: int) -> Ints:
    """The first, second or third engineer of a deal: always the same, never its first owner, never one twice."""
    others = reps - 1
    return (owner + 1 + (deal * 7 + number * (others // 3)) % others) % reps
