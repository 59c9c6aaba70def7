"""A deal's reasons: claims about it that raise or lower its odds, each with its evidence and its size in points."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from winpredict.config import NextSteps
from winpredict.errors import WinPredictError
from winpredict.explain.claims import claim_of, comparison
from winpredict.explain.contributions import contributions
from winpredict.explain.deal_flags import DEFAULTS
from winpredict.explain.next_steps import NextStep, outlook
from winpredict.explain.reason import Reason, given_line, in_points, sentence_of, told_to
from winpredict.explain.themes import NONE, TORN, Verdicts, themes_of
from winpredict.features.cross_deal_history import CrossDealHistory
from winpredict.features.description import Audience, Control, Theme
from winpredict.locale import formats
from winpredict.locale.text import Text, said, text
from winpredict.models.snapshots import pipeline
from winpredict.models.trained import TrainedModel
from winpredict.tables.crm import CRMData, utc

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


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
        next_steps=outlook(model, features, np.array([float(odds["win_probability"])]), settings).steps[0],
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
        self._verdicts = Verdicts(model.info, model.reference_ranges, features, points)
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
        out = np.full(places.shape, NONE, np.intp)
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
        borne_out = self._verdicts.bears_out[rows, speaker] if speaker >= 0 and second == NONE else None
        group = np.full(len(rows), NONE, np.intp)
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
        elif second == TORN:
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


def _why_absent(crm: CRMData, deal_id: str, moment: pd.Timestamp | None) -> str:
    deal = crm.deals[crm.deals["deal_id"] == deal_id]
    if deal.empty:
        return f"there is no deal {deal_id!r} among the {len(crm.deals)} imported; check the id (it is case-sensitive)"
    row = deal.iloc[0]
    return (
        f"deal {deal_id} was not open at {moment}: created {row['created_at']}, {row['outcome']} "
        f"{row['closed_at']}; name a day between with --as-of"
    )
