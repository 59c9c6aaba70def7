"""Adjusted effects of what is controllable, against deals that were alike when they began."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import norm
from sklearn.model_selection import StratifiedKFold

from winpredict._internal.times import days
from winpredict.features.build import build_features
from winpredict.features.builders import Amount, Attributes, Contacts, Team, Touches, TrackRecord
from winpredict.locale.text import Text, said, text, texts
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

#: What is compared, by the keys of treatments.
ACTIONS: Mapping[str, Text] = {
    "touches": texts("{n:count} or more touches", "{n:count} or more touches"),
    "speed": texts("a first touch within {n:count} day", "a first touch within {n:count} days"),
    "people": texts("{n:count} or more colleagues involved", "{n:count} or more colleagues involved"),
    "contacts": texts("{n:count} or more contacts", "{n:count} or more contacts"),
    "senior contact": text("a senior contact"),
}
#: Deals that had it, as a sentence begins.
_DEALS: Mapping[str, Text] = {
    "touches": texts(
        "Deals with {n:count} or more touches in the first {days:count} days",
        "Deals with {n:count} or more touches in the first {days:count} days",
    ),
    "speed": texts(
        "Deals with a first touch within {n:count} day",
        "Deals with a first touch within {n:count} days",
    ),
    "people": texts(
        "Deals with {n:count} or more colleagues involved in the first {days:count} days",
        "Deals with {n:count} or more colleagues involved in the first {days:count} days",
    ),
    "contacts": texts(
        "Deals with {n:count} or more contacts in the first {days:count} days",
        "Deals with {n:count} or more contacts in the first {days:count} days",
    ),
    "senior contact": text("Deals with a senior contact in the first {days:count} days"),
}
#: What a difference says: won more or less often, or neither as far as one can tell.
Way = Literal["more", "less", "unclear"]
#: Treatments that a next step is about, with its feature.
_FEATURES = {"senior contact": "senior_contacts", "people": "active_users"}

_FOLDS = 5
_STRENGTH = 0.3
_LATEST_WIN = 0.9
_NATURE = (Amount(), TrackRecord(), Attributes())
_COLUMNS = [
    "treatment", "sentence", "least", "treated", "control", "raw", "raw_low", "raw_high",
    "adjusted", "adjusted_low", "adjusted_high", "overlap", "verdict",
]  # fmt: skip


@dataclass(frozen=True)
class Effects:
    """What actions in the first days of a deal go along with, raw and adjusted.

    Parameters
    ----------
    effects : DataFrame
        One row a treatment: treatment, sentence ("a senior contact"), least (touches, days or people from which it
        counts), treated and control (deals), raw (difference of their win rates), adjusted (difference among deals
        alike in nature), each with ``_low`` and ``_high`` (90% interval), overlap (share of the deals for which there
        are like ones on the other side), verdict (more, less, unclear, no like deals, too few deals).
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
            return [
                said("No effect can be estimated: the data hold no touches or people with dates, or too few deals.")
            ]
        return [*(self.sentence(str(name)) for name in self.effects["treatment"]), self.caution()]

    def intervals(self) -> dict[str, tuple[float, float]]:
        """The interval of each adjusted effect, by the feature that next steps know it by.

        Examples
        --------
        >>> row = {"treatment": "senior contact", "adjusted_low": 0.01, "adjusted_high": 0.08, "verdict": "more"}
        >>> Effects(pd.DataFrame([row]), 14, 90, 500, ()).intervals()
        {'senior_contacts': (0.01, 0.08)}
        """
        estimated = self.effects[self.effects["verdict"].isin(("more", "less", "unclear"))]
        return {
            _FEATURES[row["treatment"]]: (float(row["adjusted_low"]), float(row["adjusted_high"]))
            for _, row in estimated.iterrows()
            if row["treatment"] in _FEATURES
        }

    def caution(self) -> str:
        """What the adjusted figures do not say."""
        return str(
            texts(
                "Intervals are {level:percent} intervals. Deals are compared with deals alike in {n:count} recorded "
                "fact at the start. Other causes, such as a customer who was keen from the first day, are not recorded "
                "and may be what won the deal.",
                "Intervals are {level:percent} intervals. Deals are compared with deals alike in {n:count} recorded "
                "facts at the start. Other causes, such as a customer who was keen from the first day, are not "
                "recorded and may be what won the deal.",
                n=len(self.alike_in),
                level=LEVEL,
            )
        )

    def action(self, treatment: str) -> Text:
        """What was done: "2 or more touches"."""
        return ACTIONS[treatment].with_values(n=float(self._row(treatment)["least"]))

    def sentence(self, treatment: str) -> str:
        """The raw difference, and what is left of it among deals alike at the start.

        Where the two differ, it says so and why.
        """
        row = self._row(treatment)
        deals = _DEALS[treatment].with_values(n=float(row["least"]), days=self.landmark_days)
        if row["verdict"] == "too few deals":
            return said(
                "{deals}: too few to compare ({treated:count} with, {control:count} without).",
                deals=deals,
                treated=int(row["treated"]),
                control=int(row["control"]),
            )
        return f"{_raw(row, deals)} {_adjusted(row)}"

    def way(self, treatment: str) -> Way | None:
        """Which way the adjusted effect points; None where none could be estimated."""
        verdict = self._row(treatment)["verdict"]
        return cast(Way, verdict) if verdict in ("more", "less", "unclear") else None

    def _row(self, treatment: str) -> "pd.Series[Any]":
        return self.effects[self.effects["treatment"] == treatment].iloc[0]


def _way(value: float, low: float, high: float) -> Way:
    """Which way a difference points: none where its interval holds 0 as people read it, in whole points."""
    shown = [round(100 * each) for each in (low, value, high)]
    if shown[0] <= 0 <= shown[2] or shown[1] == 0:
        return "unclear"
    return "more" if value > 0 else "less"


def _raw_way(row: "pd.Series[Any]") -> Way:
    return _way(float(row["raw"]), float(row["raw_low"]), float(row["raw_high"]))


def _raw(row: "pd.Series[Any]", deals: Text) -> Text:
    way, difference = _raw_way(row), float(row["raw"])
    if way == "more":
        return texts(
            "{deals} were won {n:size_points} point more often.",
            "{deals} were won {n:size_points} points more often.",
            n=difference,
            deals=deals,
        )
    if way == "less":
        return texts(
            "{deals} were won {n:size_points} point less often.",
            "{deals} were won {n:size_points} points less often.",
            n=difference,
            deals=deals,
        )
    return text(
        "{deals} were won about as often as others (difference: {low:points} to {high:points} points).",
        deals=deals,
        low=float(row["raw_low"]),
        high=float(row["raw_high"]),
    )


def _adjusted(row: "pd.Series[Any]") -> Text:
    if row["verdict"] == "no like deals":
        return text("They were too unlike the others from the start to say whether that made the difference.")
    raw = _raw_way(row)
    interval: dict[str, Any] = {"low": float(row["adjusted_low"]), "high": float(row["adjusted_high"])}
    if row["verdict"] == "unclear":
        return _none_left(raw, float(row["raw"]), interval)
    values = interval | {"n": float(row["adjusted"])}
    if raw == "unclear":
        return texts(
            "Compared with deals alike at the start, the difference is {n:points} point ({low:points} to "
            "{high:points}): the raw figure hides it, since these deals were unlike the others from the start.",
            "Compared with deals alike at the start, the difference is {n:points} points ({low:points} to "
            "{high:points}): the raw figure hides it, since these deals were unlike the others from the start.",
            **values,
        )
    if raw != row["verdict"]:
        return texts(
            "Compared with deals alike at the start, it is the other way round: {n:points} point ({low:points} to "
            "{high:points}). The raw difference reflects which deals these are.",
            "Compared with deals alike at the start, it is the other way round: {n:points} points ({low:points} to "
            "{high:points}). The raw difference reflects which deals these are.",
            **values,
        )
    return texts(
        "Compared with deals alike at the start, the difference is {n:points} point ({low:points} to {high:points}).",
        "Compared with deals alike at the start, the difference is {n:points} points ({low:points} to {high:points}).",
        **values,
    )


def _none_left(raw: Way, difference: float, interval: Mapping[str, float]) -> Text:
    """What it means that the adjusted interval holds 0."""
    if raw == "unclear":
        return text(
            "Compared with deals alike at the start, no clear difference is shown either ({low:points} to "
            "{high:points} points).",
            **interval,
        )
    # only an interval without the raw difference says that it comes from which deals had the action
    if interval["low"] <= difference <= interval["high"]:
        return text(
            "Compared with deals alike at the start, it is not certain ({low:points} to {high:points} points): it may "
            "only reflect which deals these are.",
            **interval,
        )
    return text(
        "Compared with deals alike at the start, no clear difference is shown ({low:points} to {high:points} points): "
        "the raw difference reflects which deals these are.",
        **interval,
    )


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
        {
            "treatment": name,
            "sentence": str(ACTIONS[name].with_values(n=least)),
            "least": least,
            **_effect(nature, treated, won, seed),
        }
        for name, least, treated in _treatments(known, deals, landmark_days)
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


def _treatments(crm: CRMData, deals: pd.DataFrame, landmark: int) -> Iterator[tuple[str, float, NDArray[np.bool_]]]:
    """Each action with its least number, and the deals that had it."""
    snapshots = _snapshots(deals, pd.Timedelta(days=landmark))
    frame = build_features(crm, snapshots, builders=(Touches(windows=()), Team(), Contacts())).frame
    if "touches" in frame:
        touches = frame["touches"].to_numpy(np.float64)
        least = max(1.0, float(np.floor(np.median(touches))) + 1)
        yield "touches", least, touches >= least
        yield "speed", 2.0, frame["days_to_first_touch"].to_numpy(np.float64) <= 2
    for name, source, least in (
        ("people", "active_users", 2.0),
        ("contacts", "contacts", 2.0),
        ("senior contact", "senior_contacts", 1.0),
    ):
        if source in frame:
            yield name, least, frame[source].to_numpy(np.float64) >= least


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
    low, high = effect - error, effect + error
    return out | {
        "adjusted": effect, "adjusted_low": low, "adjusted_high": high, "verdict": _way(effect, low, high),
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
