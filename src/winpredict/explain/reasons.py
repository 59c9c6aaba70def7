"""A deal's reasons: claims about it that raise or lower its odds, each with its evidence and its size in points."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from winpredict.config import NextSteps
from winpredict.errors import WinPredictError
from winpredict.explain.claims import claim_of, comparison, is_compared, rounded
from winpredict.explain.contributions import contributions
from winpredict.explain.deal_flags import DEFAULTS
from winpredict.explain.next_steps import NextStep, next_steps_of
from winpredict.explain.reason import MIN_TO_ACT_ON, Reason, given_line, in_points, sentence_of, told_to
from winpredict.features import wording
from winpredict.features.cross_deal_history import CrossDealHistory
from winpredict.features.description import NO_NEWS, Audience, Control, FeatureInfo, Theme
from winpredict.locale import formats
from winpredict.locale.text import Text, said, text
from winpredict.models.reference_ranges import ReferenceRanges
from winpredict.models.snapshots import pipeline
from winpredict.models.trained import TrainedModel
from winpredict.tables.crm import CRMData, utc

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
_NONE = -1
#: In the place of a feature: of one that speaks, that none does; of a second one, that the theme is torn without one.
_THEME_ONLY = _TORN = -2


@dataclass(frozen=True)
class DealExplanation:
    """Why one deal has its odds.

    Parameters
    ----------
    deal_id : str
    as_of : Timestamp
    win_probability, low, high : float
    base_probability : float
        Odds before anything about the deal is known.
    reasons : tuple of Reason
        Every theme that matters, strongest first; those that came with the deal follow in `given`.
    given : tuple of Reason
        What came with the deal and cannot be changed, strongest first.
    other_points : float
        What all the remaining features add: base + reasons + given + other = win probability.
    next_steps : tuple of NextStep
        What to do next, the most urgent first.
    """

    deal_id: str
    as_of: pd.Timestamp
    win_probability: float
    low: float
    high: float
    base_probability: float
    reasons: tuple[Reason, ...]
    given: tuple[Reason, ...]
    other_points: float
    next_steps: tuple[NextStep, ...] = ()

    def told_to(self, audience: Audience) -> "DealExplanation":
        """The same with the reasons that somebody is told; the others are part of everything else."""
        reasons, given = told_to(self.reasons, audience), told_to(self.given, audience)
        kept = sum(each.points for each in (*reasons, *given))
        told = self.win_probability - self.base_probability - kept
        unchanged = len(reasons) == len(self.reasons) and len(given) == len(self.given)
        return self if unchanged else replace(self, reasons=reasons, given=given, other_points=told)

    def summary(self) -> str:
        """The explanation as text: what speaks for the deal, what speaks against it, and what came with it."""
        values = {"deal": self.deal_id, "odds": self.win_probability, "low": self.low, "high": self.high}
        values["base"] = self.base_probability
        if pd.isna(self.as_of):
            head = said(
                "{deal}: {odds:percent} win odds ({low:percent} to {high:percent}); an average deal here has "
                "{base:percent}",
                **values,
            )
        else:
            head = said(
                "{deal} as of {day:day}: {odds:percent} win odds ({low:percent} to {high:percent}); an average deal "
                "here has {base:percent}",
                day=self.as_of.isoformat(),
                **values,
            )
        lines = [head]
        for title, sign in ((said("For the deal:"), 1), (said("Against it:"), -1)):
            told = [reason.sentence for reason in self.reasons if reason.points * sign > 0]
            lines += [title, *(f"  {sentence}" for sentence in told)] if told else []
        lines += [given_line(self.given)] if self.given else []
        lines.append(said("Everything else: {points}", points=in_points(self.other_points)))
        if self.next_steps:
            lines += [said("Next step:"), *(f"  {step.sentence}" for step in self.next_steps)]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "deal_id": self.deal_id,
            "as_of": None if pd.isna(self.as_of) else self.as_of.isoformat(),
            "win_probability": self.win_probability,
            "low": self.low,
            "high": self.high,
            "base_probability": self.base_probability,
            "reasons": [each.to_dict() for each in self.reasons],
            "given": [each.to_dict() for each in self.given],
            "other_points": self.other_points,
            "next_steps": [each.to_dict() for each in self.next_steps],
        }


def explain_deal(
    model: TrainedModel,
    crm: CRMData,
    deal_id: str,
    *,
    as_of: pd.Timestamp | str | None = None,
    most: int = 10,
    cross_deal_history: CrossDealHistory | None = None,
    settings: NextSteps = DEFAULTS,
) -> DealExplanation:
    """Explain the odds of one open deal.

    Parameters
    ----------
    model : TrainedModel
    crm : CRMData
    deal_id : str
    as_of : Timestamp or str, optional
        By default the end of the data.
    most : int
        Reasons at the most, apart from what came with the deal.
    cross_deal_history : CrossDealHistory, optional
        Cross-deal history of all deals, where `crm` holds only some of them, as `DealScorer` keeps it.
    settings : NextSteps
        From which figures each rule of the next steps fires.

    Returns
    -------
    DealExplanation

    Raises
    ------
    WinPredictError
        When the deal is unknown or was not open then, or the model was trained on later facts.
    """
    moment = crm.known_until if as_of is None else utc(as_of)
    model.refuse_hindsight(moment)
    snapshot = snapshot_of(crm, deal_id, moment)
    features = model.build_features(crm, snapshot, cross_deal_history=cross_deal_history)
    found = contributions(model.classifier, features)
    odds = model.odds_of(found.by_bag).iloc[0]
    told = Telling(model, features, found.points, most)
    return DealExplanation(
        deal_id=str(deal_id),
        as_of=snapshot["as_of"].iloc[0],
        win_probability=float(odds["win_probability"]),
        low=float(odds["low"]),
        high=float(odds["high"]),
        base_probability=float(expit(found.calibrated_base)),
        reasons=told.reasons(0),
        given=told.given(0),
        other_points=told.other(0),
        next_steps=next_steps_of(model, features, np.array([float(odds["win_probability"])]), settings)[0],
    )


def snapshot_of(crm: CRMData, deal_id: str, moment: pd.Timestamp | None) -> pd.DataFrame:
    """The snapshot of one open deal, a frame of one row.

    Raises
    ------
    WinPredictError
        When the deal is unknown or was not open then.
    """
    snapshots = pipeline(crm, moment)
    snapshot = snapshots[snapshots["deal_id"] == str(deal_id)].reset_index(drop=True)
    if snapshot.empty:
        raise WinPredictError(_why_absent(crm, str(deal_id), moment))
    return snapshot


class Telling:
    """What is told of rows that were explained: for each its strongest themes, and who speaks for them.

    Features that tell the same story are told once: those of one theme are added up, and the one speaks for them that
    points the same way, says nothing to the contrary, and is best borne out by what won and lost deals had.

    Parameters
    ----------
    model : TrainedModel
    features : DataFrame of shape (n_rows, n_features)
        The rows' features.
    points : ndarray of shape (n_rows, n_features)
        What each feature adds to the probability.
    most : int
        Reasons a row at the most, apart from what came with the deal.
    """

    def __init__(self, model: TrainedModel, features: pd.DataFrame, points: Floats, most: int) -> None:
        self.info = model.info
        self._ranges = model.reference_ranges
        self._verdicts = _Verdicts(model.info, model.reference_ranges, features, points)
        self._themes = themes_of(model.info)
        self.chosen = self._themes.choose(points, most, self._verdicts)
        self._claims: list[_Claim] = []
        self._reasons = self._claims_at(self.chosen.places)
        self._given = self._claims_at(self.chosen.given_places)

    def reasons(self, row: int) -> tuple[Reason, ...]:
        """The strongest reasons of a row."""
        return self._told(self._reasons[row], self.chosen.points[row])

    def given(self, row: int) -> tuple[Reason, ...]:
        """What came with the deal of a row."""
        return self._told(self._given[row], self.chosen.given_points[row])

    def other(self, row: int) -> float:
        """What everything else adds to the probability of a row."""
        return float(self.chosen.other[row])

    def sentences(self) -> NDArray[np.object_]:
        """The reasons of all rows in words, shape (n_rows, most); empty where a row has fewer.

        Quicker than asking each `Reason`: what is the same in many rows is said once.
        """
        words = [sentence_of(each.claim, each.evidence) for each in self._claims]
        tenths = np.rint(1000 * self.chosen.points).astype(np.int64)
        sizes = {tenth: f" ({in_points(tenth / 1000)})" for tenth in np.unique(tenths).tolist()}
        return _composed(self._reasons, tenths, lambda claim, tenth: words[claim] + sizes[tenth])

    def given_lines(self) -> list[str]:
        """What came with the deal of each row in one line; empty where that is nothing."""
        words = [str(each.claim) for each in self._claims]
        whole = np.rint(100 * self.chosen.given_points).astype(np.int64)
        sizes = {number: formats.points(number / 100) for number in np.unique(whole).tolist()}
        parts = _composed(self._given, whole, lambda claim, number: f"{words[claim]} {sizes[number]}")
        lines = [", ".join(filter(None, row)) for row in parts.tolist()]
        return [said("Given: {parts}", parts=line) if line else "" for line in lines]

    def json(self) -> list[str]:
        """All reasons of each row, given ones last, as a JSON list of what `Reason.to_json` gives."""
        heads = []
        for each in self._claims:
            plain = each.reason(0.0).to_json()
            del plain["points"]
            heads.append(json.dumps(plain, ensure_ascii=False)[1:])
        told = np.hstack([self._reasons, self._given])
        points = np.hstack([self.chosen.points, self.chosen.given_points])
        parts = _composed(told, points, lambda claim, part: f'{{"points": {part!r}, {heads[claim]}')
        return [f"[{', '.join(filter(None, row))}]" for row in parts.tolist()]

    def _told(self, claims: NDArray[np.intp], points: Floats) -> tuple[Reason, ...]:
        return tuple(
            self._claims[claim].reason(part)
            for claim, part in zip(claims.tolist(), points.tolist(), strict=True)
            if claim >= 0
        )

    def _claims_at(self, places: NDArray[np.intp]) -> NDArray[np.intp]:
        """For each theme that is told, what is claimed, as a place in `_claims`; -1 for none."""
        out = np.full(places.shape, _NONE, np.intp)
        rows, columns = np.nonzero(places >= 0)
        if not len(rows):
            return out
        told = places[rows, columns]
        speakers, seconds = self.chosen.speakers[rows, told], self.chosen.seconds[rows, told]
        kinds, kind_of = _different(told, speakers, seconds)
        order = np.argsort(kind_of, kind="stable")
        for (place, speaker, second), cells in zip(
            kinds.tolist(), np.split(order, np.cumsum(np.bincount(kind_of))[:-1]), strict=True
        ):
            out[rows[cells], columns[cells]] = self._claims_of(place, speaker, second, rows[cells])
        return out

    def _claims_of(self, place: int, speaker: int, second: int, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """What is claimed of rows in which the same features speak for a theme, each different claim made once."""
        first, but = (self._verdicts.shown(each, rows) for each in (speaker, second))
        borne_out = self._verdicts.bears_out[rows, speaker] if speaker >= 0 and second == _NONE else None
        group = np.full(len(rows), _NONE, np.intp)
        if borne_out is not None:
            group = np.where(borne_out, self._verdicts.groups[rows], group)
        different, which = _different(first[0], but[0], group)
        start = len(self._claims)
        self._claims += [
            self._claim(place, (speaker, second), (first[1][one], but[1][other]), of)
            for one, other, of in different.tolist()
        ]
        return np.asarray(start + which, dtype=np.intp)

    def _claim(self, place: int, columns: tuple[int, int], values: tuple[Any, Any], group: int) -> "_Claim":
        theme, (speaker, second) = self._themes.themes[place], columns
        about = self.info[speaker] if speaker >= 0 else None
        first = None if about is None else claim_of(about, values[0])
        but = claim_of(self.info[second], values[1]) if second >= 0 else None
        evidence = None
        if about is None or first is None:
            claim = text("{theme}, all in all", theme=theme.name)
        elif second == _TORN:
            claim = text("{theme}, all in all: {fact}", theme=theme.name, fact=first)
        elif but is not None:
            claim = text("{fact}, though {other}", fact=first, other=but)
        else:
            claim = first
            if group >= 0:
                won, lost = (float(each[group, speaker]) for each in self._verdicts.medians)
                evidence = comparison(about, won, lost, self._ranges.closeness[group])
        name = "" if about is None else about.name
        return _Claim(name, theme, claim, evidence, theme.control if about is None else about.controlled_by)


@dataclass(frozen=True)
class _Claim:
    """A reason without its size."""

    feature: str
    theme: Theme
    claim: Text
    evidence: Text | None
    control: Control

    def reason(self, points: float) -> Reason:
        return Reason(
            self.feature, self.theme.key, points, self.claim, self.evidence, self.control, self.theme.audience
        )


def _composed(claims: NDArray[np.intp], sizes: NDArray[Any], words: Callable[[int, Any], str]) -> NDArray[np.object_]:
    """Words of each claim and its size, in the shape of both; empty where there is none."""
    flat = [
        words(claim, size) if claim >= 0 else ""
        for claim, size in zip(claims.ravel().tolist(), sizes.ravel().tolist(), strict=True)
    ]
    out = np.empty(len(flat), dtype=object)
    out[:] = flat
    return out.reshape(claims.shape)


class _Verdicts:
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

    def choose(self, points: Floats, most: int, verdicts: _Verdicts) -> "Chosen":
        """The strongest themes of each row, what came with the deal apart.

        Where a theme against the deal that can be acted on is worth `MIN_TO_ACT_ON`, the strongest such is among them.

        Parameters
        ----------
        points : ndarray of shape (n_rows, n_features)
            What each feature adds to the probability.
        most : int
            Themes a row at the most.
        verdicts : _Verdicts
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
        out = np.where(np.take_along_axis(size, order, axis=1) > 0, order, _NONE)
        return np.pad(out, ((0, 0), (0, max(most - order.shape[1], 0))), constant_values=_NONE)

    def _speakers(
        self, points: Floats, number: int, total: Floats, verdicts: _Verdicts
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The member that speaks for a theme in each row, and one to be told beside it, or `_NONE` or `_TORN`."""
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
        other = np.where(torn, np.where(second >= 0, members[second], _TORN), _NONE)
        speaker = np.where(first >= 0, members[first], _THEME_ONLY)
        named = [place for place, member in enumerate(members.tolist()) if self.info[member].unit == "category"]
        for place in named:  # a stage's name says more than its place in the order, a product's more than its rate
            says = able[:, place] & (agree[:, place] | (self.controls[number] == "context"))
            speaker, other = np.where(says, members[place], speaker), np.where(says, _NONE, other)
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


def _different(*columns: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The different rows of some columns of small whole numbers, and which of them each row is.

    `numpy.unique` sorts all rows, which takes longer than all else that is told.
    """
    sizes = [int(column.max()) - int(column.min()) + 1 for column in columns]
    codes = np.ravel_multi_index([column - column.min() for column in columns], sizes)
    which, different = pd.factorize(codes)
    places = np.unravel_index(different, sizes)
    rows = [place + column.min() for place, column in zip(places, columns, strict=True)]
    return np.column_stack(rows), np.asarray(which, dtype=np.intp)


def _largest(weight: Floats, allowed: Bools) -> NDArray[np.intp]:
    place = np.where(allowed, weight, -1.0).argmax(axis=1)
    return np.where(allowed.any(axis=1), place, _NONE)


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


def _why_absent(crm: CRMData, deal_id: str, moment: pd.Timestamp | None) -> str:
    deal = crm.deals[crm.deals["deal_id"] == deal_id]
    if deal.empty:
        return f"there is no deal {deal_id!r} among the {len(crm.deals)} imported; check the id (it is case-sensitive)"
    row = deal.iloc[0]
    return (
        f"deal {deal_id} was not open at {moment}: created {row['created_at']}, {row['outcome']} "
        f"{row['closed_at']}; name a day between with --as-of"
    )
