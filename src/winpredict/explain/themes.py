"""Which themes are told of a deal, and which feature speaks for each: by size, sign, and what other deals bear out."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict.explain.claims import is_compared, rounded
from winpredict.explain.reason import MIN_TO_ACT_ON
from winpredict.features import wording
from winpredict.features.description import NO_NEWS, FeatureInfo, Theme
from winpredict.locale.text import Text
from winpredict.models.reference_ranges import ReferenceRanges

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MIN_POINTS = 0.005
#: A theme for which no feature can speak is told by its name alone, and only if it is worth as much.
MIN_UNSPOKEN = 0.05
#: What came with the deal is told in one line of so many, each worth so many points.
GIVEN = 4
MIN_GIVEN = 0.02
#: A theme is told as a whole where what points the other way within it comes to this share of what points its way.
_DISAGREES = 0.5
#: A feature whose comparison bears it out speaks rather than one that is up to so much stronger.
_BORNE_OUT = 1.6
#: Won and lost deals are told apart by a figure where the larger median is so many times the smaller.
_CLEARLY = 1.25
#: Two distances that differ by less are even.
_EVEN = 1e-9
NONE = -1
#: In the place of a feature: of one that speaks, that none does; of a second one, that the theme is torn without one.
THEME_ONLY = TORN = -2


class Verdicts:
    """For each row and feature: whether it may speak with its sign, and whether other deals bear it out.

    Parameters
    ----------
    info : sequence of FeatureInfo
    ranges : ReferenceRanges
    features : DataFrame of shape (n_rows, n_features)
    points : ndarray of shape (n_rows, n_features)
    """

    def __init__(
        self, info: Sequence[FeatureInfo], ranges: ReferenceRanges, features: pd.DataFrame, points: Floats
    ) -> None:
        self._features, self._info = features, info
        self._codes: dict[int, tuple[NDArray[np.intp], list[Any]]] = {}
        self.medians = _medians_of(ranges, tuple(info))
        unknown = np.full(len(features), None, dtype=object)
        stages = features["stage"].to_numpy(dtype=object) if "stage" in features else unknown
        ages = features["days_open"].to_numpy(np.float64) if "days_open" in features else np.full(len(features), np.nan)
        self.groups = ranges.group_of(stages, ages)
        # column by column, since a table of all values in several versions would not fit into the caches
        self.able: Bools = np.empty(points.shape, dtype=bool, order="F")
        self.bears_out: Bools = np.zeros(points.shape, dtype=bool, order="F")
        for place, about in enumerate(info):
            raises = points[:, place] > 0
            if about.unit == "category":
                self.able[:, place] = features.iloc[:, place].notna().to_numpy()
                continue
            written = self._written(place)
            self.able[:, place] = _able(about, written, raises)
            won, lost = (each[:, place] for each in self.medians)
            if not np.isnan(won).all():
                nearer = np.abs(written - won[self.groups]) - np.abs(written - lost[self.groups])
                # 0.3 is no nearer to 0.2 than to 0.4, whatever the last bit says
                self.bears_out[:, place] = np.where(raises, nearer < -_EVEN, nearer > _EVEN) & (written >= 0)

    def shown(self, place: int, rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], list[Any]]:
        """Values of a feature in some rows as they are written: a code for each row, and the value of each code."""
        if place < 0:
            return np.zeros(len(rows), np.intp), [None]
        if place not in self._codes:
            codes, different = pd.factorize(self._written(place))
            self._codes[place] = codes, [*different.tolist(), None]  # the last is what a missing one's -1 stands for
        of_all, named = self._codes[place]
        return np.asarray(of_all[rows], dtype=np.intp), named

    def _written(self, place: int) -> NDArray[Any]:
        """The values of a feature with the digits that are written."""
        values, about = self._features.iloc[:, place], self._info[place]
        if about.unit == "category":
            return values.to_numpy(dtype=object)
        return rounded(about, values.to_numpy(dtype=np.float64))


def _able(about: FeatureInfo, values: Floats, raises: Bools) -> Bools:
    """Whether each value of a feature can be said without a word against its sign.

    "No call yet" speaks against a deal and not for it, and so does a difference for what it names.
    """
    missing = np.isnan(values)
    silent = missing if about.missing is None else missing & raises
    if about.zero == NO_NEWS or (about.unit == wording.UNIT and about.zero is None):
        silent |= values == 0
    if not about.good:
        return ~silent
    against_good = raises if about.good == "less" else ~raises  # where a value that is high speaks against its sign
    if about.zero is not None:
        silent |= (values == 0) & ~against_good
    if about.neutral is not None:
        beyond = values - about.neutral
        silent |= np.where(against_good, beyond > 0, beyond < 0)
    return ~silent


class Themes:
    """Features grouped by theme, for adding up what one story contributes.

    Parameters
    ----------
    info : sequence of FeatureInfo
    """

    def __init__(self, info: Sequence[FeatureInfo]) -> None:
        self.info = info
        codes, keys = pd.factorize(np.array([each.story.key for each in info], dtype=object))
        self.codes: NDArray[np.intp] = codes
        self.names: list[str] = [str(key) for key in keys]
        self.members = [np.flatnonzero(codes == number).tolist() for number in range(len(keys))]
        self.themes: list[Theme] = [info[members[0]].story for members in self.members]
        self.controls = np.array([each.control for each in self.themes], dtype=object)

    def name_of(self, key: str) -> Text:
        """A theme in words."""
        return self.themes[self.names.index(key)].name

    def sums(self, points: Floats) -> Floats:
        """Contributions added up by theme, shape (n_rows, n_themes)."""
        out = np.zeros((len(points), len(self.names)))
        np.add.at(out.T, self.codes, points.T)
        return out

    def choose(self, points: Floats, most: int, verdicts: Verdicts) -> "Chosen":
        """The strongest themes of each row, what came with the deal apart.

        Where a theme against the deal that can be acted on is worth `MIN_TO_ACT_ON`, the strongest such is among them.

        Parameters
        ----------
        points : ndarray of shape (n_rows, n_features)
            What each feature adds to the probability.
        most : int
            Themes a row at the most.
        verdicts : Verdicts
        """
        points = np.ascontiguousarray(points)  # see `shared_out`: a deal has the same figures alone and among others
        sums = self.sums(points)
        spoken = [self._speakers(points, number, sums[:, number], verdicts) for number in range(len(self.names))]
        speakers = np.column_stack([each[0] for each in spoken])
        seconds = np.column_stack([each[1] for each in spoken])
        given = self.controls == "context"
        least = np.where(speakers >= 0, MIN_POINTS, MIN_UNSPOKEN)
        size = np.where(np.abs(sums) < least, 0.0, np.abs(sums))
        places = self._strongest(np.where(given, 0.0, size), most)
        to_act_on = np.where((self.controls == "controllable") & (sums <= -MIN_TO_ACT_ON), size, 0.0)
        places = _with_one_of(places, to_act_on)
        given_places = self._strongest(np.where(given & (speakers >= 0) & (size >= MIN_GIVEN), size, 0.0), GIVEN)
        chosen, of_given = (
            np.where(each >= 0, np.take_along_axis(sums, np.maximum(each, 0), axis=1), 0.0)
            for each in (places, given_places)
        )
        told = np.ascontiguousarray(chosen).sum(axis=1) + np.ascontiguousarray(of_given).sum(axis=1)
        return Chosen(places, chosen, given_places, of_given, speakers, seconds, points.sum(axis=1) - told)

    @staticmethod
    def _strongest(size: Floats, most: int) -> NDArray[np.intp]:
        """The places of the largest of each row, largest first; -1 where a row has fewer."""
        order = np.argsort(-size, axis=1, kind="stable")[:, :most]
        out = np.where(np.take_along_axis(size, order, axis=1) > 0, order, NONE)
        return np.pad(out, ((0, 0), (0, max(most - order.shape[1], 0))), constant_values=NONE)

    def _speakers(
        self, points: Floats, number: int, total: Floats, verdicts: Verdicts
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The member that speaks for a theme in each row, and one to be told beside it, or `NONE` or `TORN`."""
        members = np.array(self.members[number])
        parts = points[:, members]
        agree = parts * total[:, None] > 0
        able, borne_out = verdicts.able[:, members], verdicts.bears_out[:, members]
        weight = np.abs(parts) * np.where(borne_out, _BORNE_OUT, 1.0)
        first = _largest(weight, agree & able)
        against = np.where(agree, 0.0, np.abs(parts)).sum(axis=1)
        in_favour = np.where(agree, np.abs(parts), 0.0).sum(axis=1)
        torn = against > _DISAGREES * in_favour
        second = _largest(np.abs(parts), ~agree & able & borne_out & (parts != 0))
        other = np.where(torn, np.where(second >= 0, members[second], TORN), NONE)
        speaker = np.where(first >= 0, members[first], THEME_ONLY)
        named = [place for place, member in enumerate(members.tolist()) if self.info[member].unit == "category"]
        for place in named:  # a stage's name says more than its place in the order, a product's more than its rate
            says = able[:, place] & (agree[:, place] | (self.controls[number] == "context"))
            speaker, other = np.where(says, members[place], speaker), np.where(says, NONE, other)
        return speaker, other


@dataclass(frozen=True)
class Chosen:
    """The themes that are told of each row.

    Parameters
    ----------
    places : int array of shape (n_rows, most)
        Place of each theme, strongest first; -1 where a row has fewer.
    points : array of shape (n_rows, most)
        What it adds to the probability.
    given_places, given_points : arrays of shape (n_rows, GIVEN)
        The same of what came with the deal.
    speakers : int array of shape (n_rows, n_themes)
        The feature that speaks for each theme; negative where none does.
    seconds : int array of shape (n_rows, n_themes)
        A feature that is told beside it since it points the other way; negative for none.
    other : array of shape (n_rows,)
        What everything else adds.
    """

    places: NDArray[np.intp]
    points: Floats
    given_places: NDArray[np.intp]
    given_points: Floats
    speakers: NDArray[np.intp]
    seconds: NDArray[np.intp]
    other: Floats


@lru_cache(maxsize=8)
def themes_of(info: tuple[FeatureInfo, ...]) -> Themes:
    """The themes of a model's features, kept between deals."""
    return Themes(info)


def _largest(weight: Floats, allowed: Bools) -> NDArray[np.intp]:
    place = np.where(allowed, weight, -1.0).argmax(axis=1)
    return np.where(allowed.any(axis=1), place, NONE)


def _with_one_of(places: NDArray[np.intp], wanted: Floats) -> NDArray[np.intp]:
    """The chosen themes with the strongest of the wanted ones among them, in the place of the weakest chosen."""
    if not places.shape[1] or not wanted.shape[1]:
        return places
    strongest = wanted.argmax(axis=1)
    is_there = (places == strongest[:, None]).any(axis=1) | (wanted.max(axis=1) <= 0)
    out = places.copy()
    out[~is_there, -1] = strongest[~is_there]
    return out


@lru_cache(maxsize=8)
def _medians_of(ranges: ReferenceRanges, info: tuple[FeatureInfo, ...]) -> tuple[Floats, Floats]:
    """Medians of won and lost deals by group as they are written; where they are close, they compare nothing."""
    won, lost = ranges.medians([each.name for each in info])
    for place, about in enumerate(info):
        if not is_compared(about):
            won[:, place] = lost[:, place] = np.nan
            continue
        won[:, place], lost[:, place] = rounded(about, won[:, place]), rounded(about, lost[:, place])
    with np.errstate(invalid="ignore"):
        larger, smaller = np.maximum(np.abs(won), np.abs(lost)), np.minimum(np.abs(won), np.abs(lost))
        # "14 days overdue" is no figure to hold against -61 days: what is below 0 has words of its own
        apart = (won >= 0) & (lost >= 0) & (won != lost) & (larger >= _CLEARLY * smaller)
    return np.where(apart, won, np.nan), np.where(apart, lost, np.nan)
