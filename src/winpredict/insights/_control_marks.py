"""Where the rules of a process-behaviour chart mark a series, and where new levels begin."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from winpredict.insights._control_limits import LATEST, RULES, Calibration, Floats, Process

#: Share of the plausible beginnings of a change that lies between its earliest and its latest.
PLAUSIBLE = 0.95

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Split:
    """Places of the first period of a new level: the best, the earliest and the latest plausible one."""

    at: int
    earliest: int
    latest: int


def marked(process: Process, bounds: Sequence[float], broken: Sequence[str], period: str) -> NDArray[np.object_]:
    """The rule in words that marks each period, or an empty text; where several do, the first of `RULES`."""
    points, shifts = process.points()[0], process.shifts()[0]
    places = np.arange(points.size)
    outside, of_three, longest, *_ = bounds
    marks: dict[str, tuple[str, Flags]] = {
        "outside": ("outside the limits", np.abs(points) > outside),
        "two of three": ("2 of 3 far on one side", _two_of_three(points, of_three)),
        "run": ("long run on one side", _in_run(points, longest)),
        "latest": ("latest periods together", places >= points.size - LATEST),
        "level": ("new level", places == int(np.abs(shifts).argmax()) + LATEST),
    }
    names = np.full(points.size, "", dtype=object)
    for rule in broken:
        name, where = marks[rule]
        names[where & (names == "")] = name
    return names


def _two_of_three(points: Floats, bound: float) -> Flags:
    out = np.zeros(points.size, dtype=bool)
    for side in (1, -1):
        far = side * points > bound
        for first in range(points.size - 2):
            if far[first : first + 3].sum() >= 2:
                out[first : first + 3] |= far[first : first + 3]
    return out


def _in_run(points: Floats, longest: float) -> Flags:
    side = np.sign(points)
    run = np.cumsum(np.diff(side, prepend=side[0]) != 0)
    return np.asarray((np.bincount(run)[run] > longest) & (side != 0))


def splits(
    process_of: Callable[[int, int], Process | None],
    calibrated: Callable[[Process], Calibration],
    rate: float,
    first: int,
    last: int,
    certain: bool = True,
) -> list[Split]:
    """Beginnings of new levels in the periods from `first` to before `last`, in time order.

    Parameters
    ----------
    process_of : callable
        The series of a part of the periods; None where it is too short or does not vary.
    calibrated : callable
    rate : float
        A level is split again when its two best parts are as far apart in at most this share of series without change.
    first, last : int
    certain : bool
        Whether it is already known that there is a change.
    """
    process = process_of(first, last)
    if process is None or not (certain or _two_levels(process, calibrated(process), rate)):
        return []
    likelihood = np.exp(process.fit_of_splits())
    reached = np.cumsum(likelihood) / likelihood.sum()
    low, high = np.searchsorted(reached, ((1 - PLAUSIBLE) / 2, (1 + PLAUSIBLE) / 2))
    best = int(likelihood.argmax())
    at, earliest, latest = (first + LATEST + int(place) for place in (best, min(low, best), max(high, best)))
    return [
        *splits(process_of, calibrated, rate, first, at, certain=False),
        Split(at, earliest, latest),
        *splits(process_of, calibrated, rate, at, last, certain=False),
    ]


def _two_levels(process: Process, calibration: Calibration, rate: float) -> bool:
    drawn = calibration.sorted_statistics[:, RULES.index("level")]
    return bool((drawn >= np.abs(process.shifts()).max()).mean() <= rate)
