"""A deal's reasons: which facts raise its odds and which lower them, in words and percentage points."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from winpredict._common.errors import WinPredictError
from winpredict.explain.contributions import Contributions, contributions
from winpredict.explain.themes import fact, in_points, theme, usually
from winpredict.features.build import FeatureInfo
from winpredict.models.training import TrainedModel, pipeline
from winpredict.tables.crm import CRMData, utc

Floats = NDArray[np.float64]

#: Themes that a rep can neither see in the CRM nor act upon; what they add is told as part of "everything else".
_QUIET_THEMES = ("Calendar", "company")
LEAST_POINTS = 0.005


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
    model: TrainedModel, crm: CRMData, deal_id: str, *, as_of: pd.Timestamp | str | None = None, most: int = 10
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
    look = look_at(crm, deal_id, moment)
    features = model.build_features(crm, look)
    found = contributions(model.classifier, features)
    odds = model.odds(features).iloc[0]
    reasons, other = reasons_of_rows(found, features, model, most=most)[0]
    return DealExplanation(
        deal_id=str(deal_id),
        as_of=look["as_of"].iloc[0],
        win_probability=float(odds["win_probability"]),
        low=float(odds["low"]),
        high=float(odds["high"]),
        base_probability=float(expit(found.calibrated_base)),
        reasons=reasons,
        other_points=other,
    )


def look_at(crm: CRMData, deal_id: str, moment: pd.Timestamp | None) -> pd.DataFrame:
    """The snapshot of one open deal, a frame of one row.

    Raises
    ------
    WinPredictError
        When the deal is unknown or was not open then.
    """
    looks = pipeline(crm, moment)
    look = looks[looks["deal_id"] == str(deal_id)].reset_index(drop=True)
    if look.empty:
        raise WinPredictError(_why_absent(crm, str(deal_id), moment))
    return look


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
    points = found.in_points().to_numpy()
    values = features.to_numpy(dtype=object)
    stages = features["stage"].to_numpy(dtype=object) if "stage" in features else [None] * len(features)
    groups = Themes(model.info)

    def told(row: int) -> tuple[tuple[Reason, ...], float]:
        def sentence(speaker: int) -> str:
            info = model.info[speaker]
            usual = usually(info, stages[row], model.usual)
            return fact(info, values[row, speaker]) + (f"; {usual}" if usual else "")

        return groups.told(points[row], sentence, most)

    return [told(row) for row in range(len(points))]


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

    def sums(self, points: Floats) -> Floats:
        """Contributions added up by theme, shape (n_rows, n_themes)."""
        out = np.zeros((len(points), len(self.names)))
        np.add.at(out.T, self.codes, points.T)
        return out

    def told(self, points: Floats, sentence: Any, most: int) -> tuple[tuple[Reason, ...], float]:
        """The strongest themes of one row as reasons, and the points that are left.

        Parameters
        ----------
        points : ndarray of shape (n_features,)
        sentence : callable
            The words for the feature at a place.
        most : int
        """
        sums = self.sums(points[None])[0]
        reasons: list[Reason] = []
        for number in np.argsort(-np.abs(sums), kind="stable").tolist():
            if len(reasons) == most or abs(sums[number]) < LEAST_POINTS:
                break
            speaker = self._speaker(points, number, sums[number])
            if speaker is not None:
                words = f"{sentence(speaker)} ({in_points(sums[number])})"
                reasons.append(Reason(self.info[speaker].name, words, float(sums[number])))
        return tuple(reasons), float(points.sum() - sum(reason.points for reason in reasons))

    def _speaker(self, points: Floats, number: int, total: float) -> int | None:
        """The member that speaks for its theme: the strongest that points the same way."""
        members = self.members[number]
        able = [m for m in members if points[m] * total > 0]
        if not able or self.names[number] in _QUIET_THEMES:
            return None
        strongest = max(able, key=lambda m: (abs(float(points[m])), -m))
        if self.info[strongest].unit not in ("place", "points"):
            return strongest
        named = [m for m in members if self.info[m].unit == "category"]
        return named[0] if named else strongest  # a stage's name says more than its place, a product's than its rate


def _why_absent(crm: CRMData, deal_id: str, moment: pd.Timestamp | None) -> str:
    deal = crm.deals[crm.deals["deal_id"] == deal_id]
    if deal.empty:
        return f"there is no deal {deal_id!r} among the {len(crm.deals)} imported; check the id (it is case-sensitive)"
    row = deal.iloc[0]
    return (
        f"deal {deal_id} was not open at {moment}: created {row['created_at']}, {row['outcome']} "
        f"{row['closed_at']}; name a day between with --as-of"
    )
