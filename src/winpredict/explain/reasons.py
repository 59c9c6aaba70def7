"""A deal's reasons: which facts raise its odds and which lower them, in words and percentage points."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from winpredict.errors import WinPredictError
from winpredict.explain.contributions import Contributions, contributions
from winpredict.explain.themes import fact, in_points, reference_text, theme
from winpredict.features.build import FeatureInfo
from winpredict.features.cross_deal_history import CrossDealHistory
from winpredict.models.snapshots import pipeline
from winpredict.models.trained import TrainedModel
from winpredict.tables.crm import CRMData, utc

Floats = NDArray[np.float64]

MIN_POINTS = 0.005


@dataclass(frozen=True)
class Reason:
    """One reason: a fact of the deal and what it adds to the odds.

    Parameters
    ----------
    feature : str
        The leading feature of the group.
    sentence : str
        "12 touches in the last 30 days; won deals at this stage: 4 to 9 (+4.1 pts)".
    points : float
        Contribution to the win probability, -1 to 1, of all the features told together.
    """

    feature: str
    sentence: str
    points: float


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
        Every group of features that matters, strongest first.
    other_points : float
        What all the remaining features add: base + reasons + other = win probability.
    """

    deal_id: str
    as_of: pd.Timestamp
    win_probability: float
    low: float
    high: float
    base_probability: float
    reasons: tuple[Reason, ...]
    other_points: float

    def summary(self) -> str:
        """The explanation as text: what speaks for the deal, then what speaks against it."""
        day = "" if pd.isna(self.as_of) else f" as of {self.as_of:%Y-%m-%d}"
        lines = [
            f"{self.deal_id}{day}: {self.win_probability:.0%} win odds "
            f"({self.low:.0%} to {self.high:.0%}); an average deal here has {self.base_probability:.0%}"
        ]
        for title, sign in (("for", 1), ("against", -1)):
            told = [reason.sentence for reason in self.reasons if reason.points * sign > 0]
            lines += [f"{title}:", *(f"  {sentence}" for sentence in told)] if told else []
        lines.append(f"everything else ({in_points(self.other_points)})")
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
            "reasons": [{"feature": r.feature, "sentence": r.sentence, "points": r.points} for r in self.reasons],
            "other_points": self.other_points,
        }


def explain_deal(
    model: TrainedModel,
    crm: CRMData,
    deal_id: str,
    *,
    as_of: pd.Timestamp | str | None = None,
    most: int = 10,
    cross_deal_history: CrossDealHistory | None = None,
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
        Reasons at the most.
    cross_deal_history : CrossDealHistory, optional
        Cross-deal history of all deals, where `crm` holds only some of them, as `DealScorer` keeps it.

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
    reasons, other = reasons_of_rows(found, features, model, most=most)[0]
    return DealExplanation(
        deal_id=str(deal_id),
        as_of=snapshot["as_of"].iloc[0],
        win_probability=float(odds["win_probability"]),
        low=float(odds["low"]),
        high=float(odds["high"]),
        base_probability=float(expit(found.calibrated_base)),
        reasons=reasons,
        other_points=other,
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


def reasons_of_rows(
    found: Contributions, features: pd.DataFrame, model: TrainedModel, *, most: int
) -> list[tuple[tuple[Reason, ...], float]]:
    """The strongest reasons of each row, and the points of everything that they leave out.

    Features that tell the same story are told once: those of one theme (see `winpredict.explain.themes.theme`) are
    added up, and the one with the strongest contribution speaks for them.

    Parameters
    ----------
    found : Contributions
    features : DataFrame
        The rows' features.
    model : TrainedModel
    most : int
        Reasons a row at the most.

    Returns
    -------
    list of (reasons, other points)
    """
    chosen = themes_of(model.info).choose(found.points, most)
    told = sentences(chosen, features, model)
    return [(reasons_of_row(chosen, told, model, row), float(chosen.other[row])) for row in range(len(features))]


def reasons_of_row(chosen: "Chosen", told: NDArray[np.object_], model: TrainedModel, row: int) -> tuple[Reason, ...]:
    """The chosen reasons of one row, from their figures and their `sentences`."""
    return tuple(
        Reason(model.info[speaker].name, told[row, place], float(chosen.points[row, place]))
        for place, speaker in enumerate(chosen.speakers[row].tolist())
        if speaker >= 0
    )


def sentences(chosen: "Chosen", features: pd.DataFrame, model: TrainedModel) -> NDArray[np.object_]:
    """The words of every chosen reason, shape (n_rows, most); empty where a row has fewer.

    Parameters
    ----------
    chosen : Chosen
    features : DataFrame
        The rows' features.
    model : TrainedModel
    """
    out = np.full(chosen.speakers.shape, "", dtype=object)
    stages = features["stage"].to_numpy(dtype=object) if "stage" in features else np.full(len(features), None)
    for speaker in np.unique(chosen.speakers[chosen.speakers >= 0]).tolist():
        info = model.info[speaker]
        rows, places = np.nonzero(chosen.speakers == speaker)
        values = features.iloc[:, speaker].to_numpy(dtype=object)[rows]
        words: dict[tuple[object, object], str] = {}
        for row, place, value, points in zip(rows, places, values, chosen.points[rows, places].tolist(), strict=True):
            key = (None if value != value else value, stages[row])
            if key not in words:
                reference = reference_text(info, stages[row], model.reference_ranges)
                words[key] = fact(info, value) + (f"; {reference}" if reference else "")
            out[row, place] = f"{words[key]} ({in_points(points)})"
    return out


@dataclass(frozen=True)
class Chosen:
    """The strongest themes of every row, and who speaks for them.

    Parameters
    ----------
    speakers : int array of shape (n_rows, most)
        Place of the feature that speaks for the theme; -1 where a row has fewer.
    points : array of shape (n_rows, most)
        What the theme adds to the probability.
    other : array of shape (n_rows,)
        What everything else adds.
    """

    speakers: NDArray[np.intp]
    points: Floats
    other: Floats


class Themes:
    """Features grouped by theme, for adding up what one story contributes.

    Parameters
    ----------
    info : sequence of FeatureInfo
    """

    def __init__(self, info: Sequence[FeatureInfo]) -> None:
        self.info = info
        codes, names = pd.factorize(np.array([theme(each) for each in info], dtype=object))
        self.codes: NDArray[np.intp] = codes
        self.names: list[str] = [str(name) for name in names]
        self.members = [np.flatnonzero(codes == number).tolist() for number in range(len(names))]
        self._figures = np.array([each.unit in ("place", "points", "changes") for each in info])

    def sums(self, points: Floats) -> Floats:
        """Contributions added up by theme, shape (n_rows, n_themes)."""
        out = np.zeros((len(points), len(self.names)))
        np.add.at(out.T, self.codes, points.T)
        return out

    def choose(self, points: Floats, most: int) -> Chosen:
        """The strongest themes of rows that can be told.

        Parameters
        ----------
        points : ndarray of shape (n_rows, n_features)
            What each feature adds to the probability.
        most : int
            Themes a row at the most.
        """
        points = np.ascontiguousarray(points)  # see `shared_out`: a deal has the same figures alone and among others
        sums = self.sums(points)
        by_theme = [self._speakers(points, number, sums[:, number]) for number in range(len(self.names))]
        speakers = np.column_stack(by_theme)
        untold = (np.abs(sums) < MIN_POINTS) | (speakers < 0)
        order = np.argsort(np.where(untold, np.inf, -np.abs(sums)), axis=1, kind="stable")[:, :most]
        told = ~np.take_along_axis(untold, order, axis=1)
        fewer = ((0, 0), (0, max(most - order.shape[1], 0)))  # there may be fewer themes than are asked for
        chosen = np.pad(np.where(told, np.take_along_axis(sums, order, axis=1), 0.0), fewer)
        who = np.pad(np.where(told, np.take_along_axis(speakers, order, axis=1), -1), fewer, constant_values=-1)
        return Chosen(who, chosen, points.sum(axis=1) - np.ascontiguousarray(chosen).sum(axis=1))

    def _speakers(self, points: Floats, number: int, total: Floats) -> NDArray[np.intp]:
        """The member that speaks for a theme in each row: the strongest that points the same way; -1 for none."""
        members = np.array(self.members[number])
        able = points[:, members] * total[:, None] > 0
        strongest = members[np.where(able, np.abs(points[:, members]), -1.0).argmax(axis=1)]
        named = [m for m in members.tolist() if self.info[m].unit == "category"]
        if named:  # a stage's name says more than its place or what went before, a product's than its rate
            strongest = np.where(self._figures[strongest], named[0], strongest)
        return np.where(able.any(axis=1), strongest, -1)


@lru_cache(maxsize=8)
def themes_of(info: tuple[FeatureInfo, ...]) -> Themes:
    """The themes of a model's features, kept between deals."""
    return Themes(info)


def _why_absent(crm: CRMData, deal_id: str, moment: pd.Timestamp | None) -> str:
    deal = crm.deals[crm.deals["deal_id"] == deal_id]
    if deal.empty:
        return f"there is no deal {deal_id!r} among the {len(crm.deals)} imported; check the id (it is case-sensitive)"
    row = deal.iloc[0]
    return (
        f"deal {deal_id} was not open at {moment}: created {row['created_at']}, {row['outcome']} "
        f"{row['closed_at']}; name a day between with --as-of"
    )
