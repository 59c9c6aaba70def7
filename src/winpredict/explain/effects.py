"""Adjusted effects of what is in our hands, against deals that were alike when they began."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import norm
from sklearn.model_selection import StratifiedKFold

from winpredict._internal.times import days
from winpredict.features.build import build_features
from winpredict.features.builders import Amount, Attributes, Contacts, Team, Touches, TrackRecord
from winpredict.models._frames import category_places, fit_categories, to_matrix
from winpredict.models.linear import LinearLogOdds
from winpredict.models.splits import known_before
from winpredict.tables.crm import CRMData
from winpredict.tables.schema import TIME_DTYPE

Floats = NDArray[np.float64]

#: Days since creation in which a treatment counts; deals closed by then are left out.
LANDMARK_DAYS = 14
#: Fewest deals with and without the treatment.
MIN_DEALS = 60
#: Chances of treatment outside which no like deals are to be found on the other side.
OVERLAP = (0.05, 0.95)
MIN_OVERLAP = 0.5
LEVEL = 0.90

_FOLDS = 5
_STRENGTH = 0.3
_LATEST_WIN = 0.9
_NATURE = (Amount(), TrackRecord(), Attributes())
_COLUMNS = [
    "treatment", "sentence", "treated", "control", "raw", "raw_low", "raw_high",
    "adjusted", "adjusted_low", "adjusted_high", "overlap", "verdict",
]  # fmt: skip


@dataclass(frozen=True)
class Effects:
    """What actions in the first days of a deal go along with, raw and adjusted.

    Parameters
    ----------
    effects : DataFrame
        One row a treatment: treatment, sentence ("a senior contact"), treated and control (deals), raw (difference of
        their win rates), adjusted (difference among deals alike in nature), each with ``_low`` and ``_high`` (90%
        interval), overlap (share of the deals for which there are like ones on the other side), verdict (more, less,
        unclear, no like deals, too few deals).
    landmark_days : int
        Days since creation in which a treatment counts.
    within_days : int
        Days since creation until which a win counts.
    deals : int
        Deals compared.
    alike_in : tuple of str
        What the deals are alike in after adjustment.
    """

    effects: pd.DataFrame
    landmark_days: int
    within_days: int
    deals: int
    alike_in: tuple[str, ...]

    def sentences(self) -> list[str]:
        """One sentence a treatment, and what cannot be concluded."""
        if self.effects.empty:
            return ["No effect can be estimated: the data hold no touches or people with dates, or too few deals."]
        told = [self._sentence(row) for row in self.effects.itertuples()]
        return [*told, self.caution()]

    def caution(self) -> str:
        """What the adjusted figures do not say."""
        return (
            f"Deals are compared with deals alike in what was recorded of them at the start ({len(self.alike_in)} "
            "facts). Whatever else made us act, such as a customer who was keen from the first day, is not recorded "
            "and may be what won the deal."
        )

    def _sentence(self, row: object) -> str:
        treated, verdict = row.sentence, row.verdict  # type: ignore[attr-defined]
        first = f"Deals with {treated} in the first {self.landmark_days} days"
        if verdict == "too few deals":
            return f"{first}: too few to compare ({row.treated} with, {row.control} without)."  # type: ignore[attr-defined]
        raw = f"{first} were won {_difference(row.raw)} than the others"  # type: ignore[attr-defined]
        if verdict == "no like deals":
            return f"{raw}; they are too unlike the others to say what that is worth."
        low, high = 100 * row.adjusted_low, 100 * row.adjusted_high  # type: ignore[attr-defined]
        among = f"among deals alike at the start, {_difference(row.adjusted)} ({low:+.0f} to {high:+.0f})"  # type: ignore[attr-defined]
        doubt = ", which may be chance" if verdict == "unclear" else ""
        return f"{raw}; {among}{doubt}."


def adjusted_effects(
    crm: CRMData,
    *,
    attributes: tuple[str, ...] = (),
    as_of: pd.Timestamp | str | None = None,
    landmark_days: int = LANDMARK_DAYS,
    seed: int = 0,
) -> Effects:
    """Compare deals with and without an action of ours in their first days, among deals alike at the start.

    Parameters
    ----------
    crm : CRMData
    attributes : tuple of str
        Static attributes that the leakage audit kept.
    as_of : Timestamp or str, optional
        Use nothing recorded at or after this moment; by default the end of the data.
    landmark_days : int
        Days since creation in which an action counts. Deals closed by then are left out, so that no deal has the
        action merely because it lived long enough.
    seed : int
        Of the folds.

    Returns
    -------
    Effects

    Notes
    -----
    Augmented inverse probability weighting (Robins, Rotnitzky and Zhao 1994) with cross-fitting (Chernozhukov et al.
    2018): for each deal the chance of the action and the odds of a win with and without it are learnt from other deals,
    by penalised logistic regressions on what was recorded within an hour of its creation. The estimate is right if
    either half is. A win counts within a number of days (those in which nine of ten closed deals had closed), and only
    deals created that long ago are compared, so none is censored.
    """
    empty = Effects(pd.DataFrame(columns=_COLUMNS), landmark_days, 0, 0, ())
    known = known_before(crm, as_of) if crm.dated else crm
    if not known.dated or known.known_until is None:
        return empty
    within = _time_to_win(known)
    deals = _compared(known, known.known_until, landmark_days, within)
    if len(deals) < 2 * MIN_DEALS:
        return empty
    nature = _nature(known, deals, attributes)
    won = np.asarray((deals["outcome"] == "won") & (deals["life"] <= within), dtype=np.float64)
    rows = [
        {"treatment": name, "sentence": sentence, **_effect(nature, treated, won, seed)}
        for name, sentence, treated in _treatments(known, deals, landmark_days)
    ]
    return Effects(
        pd.DataFrame(rows, columns=_COLUMNS), landmark_days, within, len(deals), tuple(str(name) for name in nature)
    )


def _time_to_win(crm: CRMData) -> int:
    life = days(crm.deals["closed_at"] - crm.deals["created_at"])
    life = life[np.isfinite(life)]
    return int(np.ceil(np.quantile(life, _LATEST_WIN) / 30) * 30) if len(life) else 0


def _compared(crm: CRMData, now: pd.Timestamp, landmark: int, within: int) -> pd.DataFrame:
    """Deals old enough to know whether they were won in time, and still open at the landmark."""
    deals = crm.deals[["deal_id", "created_at", "closed_at", "outcome"]].sort_values("deal_id", ignore_index=True)
    deals["life"] = days(deals["closed_at"].fillna(now) - deals["created_at"])
    old = deals["created_at"] <= now - pd.Timedelta(days=within)
    dated = deals["closed_at"].notna() | (deals["outcome"] == "open")
    return deals[old & dated & (deals["life"] > landmark)].reset_index(drop=True)


def _nature(crm: CRMData, deals: pd.DataFrame, attributes: tuple[str, ...]) -> pd.DataFrame:
    snapshots = _snapshots(deals, pd.Timedelta(hours=1))
    usable = [name for name in attributes if name in crm.deals]
    return build_features(crm, snapshots, attributes=usable, builders=_NATURE).frame


def _snapshots(deals: pd.DataFrame, later: pd.Timedelta) -> pd.DataFrame:
    return pd.DataFrame({"deal_id": deals["deal_id"], "as_of": (deals["created_at"] + later).astype(TIME_DTYPE)})


def _treatments(crm: CRMData, deals: pd.DataFrame, landmark: int) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    snapshots = _snapshots(deals, pd.Timedelta(days=landmark))
    frame = build_features(crm, snapshots, builders=(Touches(windows=()), Team(), Contacts())).frame
    if "touches" in frame:
        touches = frame["touches"].to_numpy(np.float64)
        least = max(1.0, float(np.floor(np.median(touches))) + 1)
        yield "touches", f"{least:.0f} or more touches", touches >= least
        wait = frame["days_to_first_touch"].to_numpy(np.float64)
        yield "speed", "a first touch within 2 days", wait <= 2
    for name, source, sentence in (
        ("people", "active_users", "two or more people of ours"),
        ("contacts", "contacts", "two or more contacts"),
    ):
        if source in frame:
            yield name, sentence, frame[source].to_numpy(np.float64) >= 2
    if "senior_contacts" in frame:
        yield "senior contact", "a senior contact", frame["senior_contacts"].to_numpy(np.float64) >= 1


def _effect(nature: pd.DataFrame, treated: NDArray[np.bool_], won: Floats, seed: int) -> dict[str, object]:
    out: dict[str, object] = {"treated": int(treated.sum()), "control": int((~treated).sum())}
    if min(treated.sum(), (~treated).sum()) < MIN_DEALS or len(np.unique(won)) < 2:
        return out | {"verdict": "too few deals"}
    z = norm.ppf(0.5 + LEVEL / 2)
    raw = won[treated].mean() - won[~treated].mean()
    spread = z * np.sqrt(won[treated].var() / treated.sum() + won[~treated].var() / (~treated).sum())
    out |= {"raw": raw, "raw_low": raw - spread, "raw_high": raw + spread}
    chance, with_it, without_it = _cross_fitted(nature, treated, won, seed)
    inside = (chance >= OVERLAP[0]) & (chance <= OVERLAP[1])
    out["overlap"] = float(inside.mean())
    if inside.mean() < MIN_OVERLAP:
        return out | {"verdict": "no like deals"}
    t, y, e, m1, m0 = (each[inside] for each in (treated.astype(float), won, chance, with_it, without_it))
    influence = m1 - m0 + t * (y - m1) / e - (1 - t) * (y - m0) / (1 - e)
    effect, error = float(influence.mean()), z * float(influence.std(ddof=1)) / np.sqrt(len(influence))
    verdict = "unclear" if effect - error <= 0 <= effect + error else "more" if effect > 0 else "less"
    return out | {
        "adjusted": effect, "adjusted_low": effect - error, "adjusted_high": effect + error, "verdict": verdict,
    }  # fmt: skip


def _cross_fitted(
    nature: pd.DataFrame, treated: NDArray[np.bool_], won: Floats, seed: int
) -> tuple[Floats, Floats, Floats]:
    """Chance of the treatment, and odds with and without it, of each deal by models that did not see it."""
    categories = fit_categories(nature)
    matrix, places = to_matrix(nature, categories), tuple(category_places([str(name) for name in nature], categories))
    chance, with_it, without_it = (np.empty(len(won)) for _ in range(3))
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)
    for train, test in folds.split(matrix, 2 * treated + won):
        for out, rows, target in (
            (chance, train, treated.astype(float)),
            (with_it, train[treated[train]], won),
            (without_it, train[~treated[train]], won),
        ):
            out[test] = _odds(matrix, rows, target, places, test)
    return chance, with_it, without_it


def _odds(
    matrix: Floats, rows: NDArray[np.int64], target: Floats, places: tuple[int, ...], asked: NDArray[np.int64]
) -> Floats:
    if len(np.unique(target[rows])) < 2:
        return np.full(len(asked), target[rows].mean())
    model = LinearLogOdds.fit(matrix[rows], target[rows], np.ones(len(rows)), places, _STRENGTH)
    return np.asarray(expit(model.log_odds(matrix[asked])))


def _difference(points: float) -> str:
    number = round(abs(100 * points))
    return f"{number} {'point' if number == 1 else 'points'} {'more' if points >= 0 else 'less'} often"
