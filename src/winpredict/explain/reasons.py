"""A deal's reasons: which facts raise its odds and which lower them, in words and percentage points."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from winpredict._common.errors import WinPredictError
from winpredict.explain.contributions import Contributions, contributions
from winpredict.features.build import FeatureInfo
from winpredict.models.training import TrainedModel, pipeline
from winpredict.tables.crm import CRMData, utc

#: Features that a rep can neither see nor act upon are told in reasons only when nothing else is left.
_QUIET_BUILDERS = ("Calendar",)
LEAST_POINTS = 0.005


@dataclass(frozen=True)
class Reason:
    """One reason: a fact of the deal and what it adds to the odds.

    Parameters
    ----------
    feature : str
        The leading feature of the group.
    sentence : str
        "12 touches in the last 30 days (+4.1 pts)".
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
        """The explanation as text."""
        day = "" if pd.isna(self.as_of) else f" as of {self.as_of:%Y-%m-%d}"
        lines = [
            f"{self.deal_id}{day}: {self.win_probability:.0%} win odds "
            f"({self.low:.0%} to {self.high:.0%}); an average deal here has {self.base_probability:.0%}"
        ]
        lines += [f"  {reason.sentence}" for reason in self.reasons]
        lines.append(f"  everything else ({_points(self.other_points)})")
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
    looks = pipeline(crm, moment)
    look = looks[looks["deal_id"] == str(deal_id)].reset_index(drop=True)
    if look.empty:
        raise WinPredictError(_why_absent(crm, str(deal_id), moment))
    features = model.build_features(crm, look)
    found = contributions(model.classifier, features)
    odds = model.odds(features).iloc[0]
    reasons, other = deal_reasons(found, features, model.info, row=0, most=most)
    base = float(1 / (1 + np.exp(-found.calibrated_base)))
    return DealExplanation(
        deal_id=str(deal_id),
        as_of=look["as_of"].iloc[0],
        win_probability=float(odds["win_probability"]),
        low=float(odds["low"]),
        high=float(odds["high"]),
        base_probability=base,
        reasons=reasons,
        other_points=other,
    )


def deal_reasons(
    found: Contributions, features: pd.DataFrame, info: Sequence[FeatureInfo], *, row: int, most: int
) -> tuple[tuple[Reason, ...], float]:
    """The strongest reasons of one row, and the points of everything that they leave out."""
    return reasons_of_rows(found, features.iloc[[row]], info, most=most, rows=[row])[0]


def reasons_of_rows(
    found: Contributions,
    features: pd.DataFrame,
    info: Sequence[FeatureInfo],
    *,
    most: int,
    rows: Sequence[int] | None = None,
) -> list[tuple[tuple[Reason, ...], float]]:
    """Reasons of many rows.

    Features that tell the same story are told once: those of one theme (see `theme`) are added up, and the one with
    the strongest contribution speaks for them.

    Parameters
    ----------
    found : Contributions
    features : DataFrame
        The rows' features.
    info : sequence of FeatureInfo
    most : int
        Reasons a row at the most.
    rows : sequence of int, optional
        Which rows of `found` the features belong to; by default all, in order.

    Returns
    -------
    list of (reasons, other points)
    """
    points = found.in_points().to_numpy()[list(rows) if rows is not None else slice(None)]
    themes = pd.factorize(np.array([theme(each) for each in info]))[0]
    by_theme = np.zeros((len(points), themes.max() + 1))
    np.add.at(by_theme.T, themes, points.T)
    members = [np.flatnonzero(themes == number) for number in range(themes.max() + 1)]
    values = features.to_numpy(dtype=object)
    return [_row_reasons(points[i], by_theme[i], members, values[i], info, most) for i in range(len(points))]


def _row_reasons(
    points: Any, by_theme: Any, members: list[Any], values: Any, info: Sequence[FeatureInfo], most: int
) -> tuple[tuple[Reason, ...], float]:
    told: list[Reason] = []
    for number in np.argsort(-np.abs(by_theme), kind="stable"):
        if len(told) == most or abs(by_theme[number]) < LEAST_POINTS:
            break
        speaker = _speaker(points, members[number], by_theme[number], info)
        if speaker is None:
            continue
        told.append(
            Reason(info[speaker].name, _sentence(info[speaker], values[speaker], by_theme[number]), by_theme[number])
        )
    return tuple(told), float(points.sum() - sum(reason.points for reason in told))


def _speaker(points: Any, members: Any, total: float, info: Sequence[FeatureInfo]) -> int | None:
    """The member that speaks for its theme: the strongest that points the same way."""
    able = [m for m in members if info[m].builder not in _QUIET_BUILDERS and points[m] * total > 0]
    if not able:
        return None
    strongest: int = max(able, key=lambda m: (abs(points[m]), -m))
    names = [m for m in members if info[strongest].unit == "place" and info[m].unit == "category"]
    return names[0] if names else strongest  # a stage's name says more than its place


def theme(info: FeatureInfo) -> str:
    """The story that a feature belongs to; correlated features share one, so that a story is told once."""
    name = info.name
    if info.builder in ("TrackRecord", "Attributes"):
        bare = name.removeprefix("win_rate_").removesuffix("_change")
        return (
            bare if bare not in ("account", "account_wins", "account_losses", "days_since_account_win") else "customer"
        )
    if info.builder == "Stage":
        return "time in stages" if name.startswith(("days_in_", "stay_")) else "stage"
    if info.builder == "Touches":
        return _touch_theme(name)
    return info.builder


def _touch_theme(name: str) -> str:
    for word in ("meeting", "call", "email", "inbound"):
        if word in name:
            return f"{word}s"
    return "silence" if "since" in name or "silence" in name else "touches"


def _sentence(info: FeatureInfo, value: Any, points: float) -> str:
    return f"{_fact(info, value)} ({_points(points)})"


def _fact(info: FeatureInfo, value: Any) -> str:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return (
            f"not known: {info.sentence}" if not info.sentence.startswith("days since") else f"no {info.sentence[11:]}"
        )
    if info.unit == "category":
        return f"{info.sentence}: {value}"
    if info.unit == "share":
        return f"{float(value):.0%} {info.sentence}"
    if info.unit == "points":
        return f"{info.sentence}: {100 * float(value):+.0f} points"
    if info.unit == "ratio":
        return f"{float(value):.2g} times: {info.sentence}"
    if info.unit == "currency":
        return f"{info.sentence} {float(value):,.0f}"
    number = (
        f"{float(value):,.0f}" if abs(float(value)) >= 10 or float(value) == round(float(value)) else f"{value:.1f}"
    )
    return f"{number} {_singular(info.sentence) if number == '1' else info.sentence}"


def _singular(words: str) -> str:
    """A phrase about several things, said of one."""
    first, _, rest = words.partition(" ")
    return f"{_ONE.get(first, first)} {rest}"


_ONE = {
    "calls": "call",
    "changes": "change",
    "contacts": "contact",
    "days": "day",
    "deals": "deal",
    "emails": "email",
    "meetings": "meeting",
    "minutes": "minute",
    "moves": "move",
    "people": "person",
    "times": "time",
    "touches": "touch",
}


def _points(points: float) -> str:
    return f"{100 * points:+.1f} pts"


def _why_absent(crm: CRMData, deal_id: str, moment: pd.Timestamp | None) -> str:
    deal = crm.deals[crm.deals["deal_id"] == deal_id]
    if deal.empty:
        return f"there is no deal {deal_id!r} among the {len(crm.deals)} imported; check the id (it is case-sensitive)"
    row = deal.iloc[0]
    return (
        f"deal {deal_id} was not open at {moment}: created {row['created_at']}, {row['outcome']} "
        f"{row['closed_at']}; name a day between with --as-of"
    )
