"""What has changed since a model was trained: the open deals it is asked about, and how its odds have come true."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import chi2_contingency, false_discovery_control, ks_2samp, wasserstein_distance

from winpredict.errors import TooLittleDataError
from winpredict.locale.text import text
from winpredict.models.snapshots import pipeline
from winpredict.models.trained import TrainedModel
from winpredict.tables.crm import CRMData

#: Fewest open deals on either day for a comparison.
MIN_DEALS = 20
#: Shifts below this are small, however sure.
SMALL = 0.2
#: Of the shifts that are called clear, the share that chance may have made.
LEVEL = 0.05
#: Builders of figures that all deals of an owner, an account or a category share.
_SHARED = ("TrackRecord", "Pace")
_COLUMNS = ("feature", "sentence", "unit", "then", "now", "category", "shift", "p_value")
_WITHIN_CHANCE = text(
    "Of {deals:count} deals that were open at training the model expected {expected:number} to be won by now "
    "({low:count} to {high:count} with chance); {won:count} were, and {lost:count} were lost. That is within chance."
)
_MORE = text(
    "Of {deals:count} deals that were open at training the model expected {expected:number} to be won by now "
    "({low:count} to {high:count} with chance); {won:count} were, and {lost:count} were lost. That is more than chance "
    "explains: train again."
)
_FEWER = text(
    "Of {deals:count} deals that were open at training the model expected {expected:number} to be won by now "
    "({low:count} to {high:count} with chance); {won:count} were, and {lost:count} were lost. That is fewer than "
    "chance explains: train again."
)
_Z_95 = 1.96
_DAY = pd.Timedelta(days=1)


@dataclass(frozen=True)
class Drift:
    """Open deals on the day of training beside those of now.

    Parameters
    ----------
    since, until : Timestamp
        The day of training, and the end of the data.
    deals_then, deals_now : int
        Open on each.
    odds_then, odds_now : float
        Their mean win odds by the model.
    features : DataFrame
        One row a feature, the largest shift first: feature, sentence, unit, then and now (median, or share of the
        category whose share changed most), category (that one; missing for numbers), shift (of numbers how far the
        distribution has moved, in standard deviations; of categories the share of deals that moved), p_value
        (adjusted for the number of features), is_clear (bool: not small, and beyond what chance makes of so few
        deals). Numbers that are the same for all deals of a day (they follow the day, not the deals) are left out.
    expected, low, high : float
        Deals open at training of which the model said that they would be won by now, with a 95% interval.
    won : int
        Those of them that were won by now.
    lost : int
        Those that were lost.
    """

    since: pd.Timestamp
    until: pd.Timestamp
    deals_then: int
    deals_now: int
    odds_then: float
    odds_now: float
    features: pd.DataFrame
    expected: float
    low: float
    high: float
    won: int
    lost: int

    @property
    def days(self) -> int:
        """Days since training."""
        return int((self.until - self.since) / _DAY)

    @property
    def is_calibrated(self) -> bool:
        """Whether as many deals were won as the model said, give or take chance."""
        return self.low <= self.won <= self.high

    @property
    def sentence(self) -> str:
        """How the odds have come true, in the language of the moment."""
        told = _WITHIN_CHANCE if self.is_calibrated else _MORE if self.won > self.high else _FEWER
        return str(
            told.with_values(
                deals=self.deals_then,
                expected=self.expected,
                low=self.low,
                high=self.high,
                won=self.won,
                lost=self.lost,
            )
        )


def drift_since_training(model: TrainedModel, crm: CRMData) -> Drift:
    """Compare the open deals of the day of training with those of now.

    Parameters
    ----------
    model : TrainedModel
    crm : CRMData

    Returns
    -------
    Drift

    Raises
    ------
    TooLittleDataError
        For undated data, when less than a day has passed since training, or with fewer than 20 open deals on either
        day.

    Notes
    -----
    Deals that were open on both days make the two samples alike, so a shift that is called clear is clear; a small one
    may go unnoticed.
    """
    since, until = model.trained_as_of, crm.known_until
    if since is None or until is None:
        raise TooLittleDataError(text("the data have no dates, so nothing can be said of the time since training"))
    if until - since < _DAY:
        raise TooLittleDataError(
            text("the model was trained on all that is known; drift shows once there are newer data")
        )
    snapshots, snapshots_now = pipeline(crm, since), pipeline(crm, until)
    if min(len(snapshots), len(snapshots_now)) < MIN_DEALS:
        raise TooLittleDataError(
            text(
                "{n} deals were open at training and {now} are now; a comparison needs {min_deals}",
                n=len(snapshots),
                now=len(snapshots_now),
                min_deals=MIN_DEALS,
            )
        )
    then, now = model.build_features(crm, snapshots), model.build_features(crm, snapshots_now)
    odds, odds_now = (model.odds(each)["win_probability"].to_numpy() for each in (then, now))
    expected, spread = _wins(model, then, odds, (until - since) / _DAY)
    ended = crm.deals.set_index("deal_id")["outcome"].reindex(snapshots["deal_id"])
    return Drift(
        since=since,
        until=until,
        deals_then=len(then),
        deals_now=len(now),
        odds_then=float(odds.mean()),
        odds_now=float(odds_now.mean()),
        features=shifts(model, then, now),
        expected=expected,
        low=max(0.0, expected - spread),
        high=expected + spread,
        won=int((ended == "won").sum()),
        lost=int((ended == "lost").sum()),
    )


def shifts(model: TrainedModel, then: pd.DataFrame, now: pd.DataFrame) -> pd.DataFrame:
    """How far each feature's distribution has moved; the frame `Drift.features`.

    Parameters
    ----------
    model : TrainedModel
    then, now : DataFrame
        From `TrainedModel.build_features`.
    """
    rows = [
        {"feature": each.name, "sentence": str(each.label), "unit": each.unit}
        | (
            _of_categories(then[each.name], now[each.name])
            if each.unit == "category"
            else _of_numbers(then[each.name], now[each.name], is_shared=each.builder in _SHARED)
        )
        for each in model.info
        if _can_move(each.unit, then[each.name], now[each.name])
    ]
    frame = pd.DataFrame(rows, columns=_COLUMNS)
    if rows:
        frame["p_value"] = false_discovery_control(frame["p_value"])
    frame["is_clear"] = (frame["p_value"] < LEVEL) & (frame["shift"] >= SMALL)
    return frame.sort_values(["is_clear", "shift"], ascending=False, kind="stable", ignore_index=True)


def _can_move(unit: str, then: pd.Series, now: pd.Series) -> bool:
    """Whether a shift of a feature would be one of the deals: whether it differs among them or was filled otherwise."""
    if unit == "category":
        return len(pd.concat([then.astype(object), now.astype(object)]).drop_duplicates()) > 1
    differs = max(len(then.drop_duplicates()), len(now.drop_duplicates())) > 1
    return bool(differs or then.isna().mean() != now.isna().mean())


def _of_numbers(then: pd.Series, now: pd.Series, *, is_shared: bool) -> dict[str, object]:
    first, second = then.astype(np.float64), now.astype(np.float64)
    return {
        "then": float(first.median()),
        "now": float(second.median()),
        "category": None,
        "shift": max(
            _distance(first.dropna(), second.dropna()), abs(float(first.isna().mean() - second.isna().mean()))
        ),
        # a missing value is a value too, below all others
        "p_value": _chance(first.fillna(-np.inf), second.fillna(-np.inf), is_shared=is_shared),
    }


def _chance(first: pd.Series, second: pd.Series, *, is_shared: bool) -> float:
    """Kolmogorov and Smirnov's p-value.

    A track record is the same for all deals of an owner, account or category and differs every day: sixty deals of
    three products are three observations, not sixty, and would always seem to have moved.
    """
    if is_shared:
        return float(ks_2samp(first.drop_duplicates(), second.drop_duplicates()).pvalue)
    return min(1.0, float(ks_2samp(first, second, method="asymp").pvalue))


def _distance(first: pd.Series, second: pd.Series) -> float:
    """How far one distribution must be moved to become the other, in standard deviations of both together."""
    if first.empty or second.empty:
        return 0.0
    spread = float(pd.concat([first, second]).std(ddof=0))
    return float(wasserstein_distance(first, second)) / spread if spread > 0 else 0.0


def _of_categories(then: pd.Series, now: pd.Series) -> dict[str, object]:
    counts = pd.DataFrame(
        {
            name: each.astype(object).where(each.notna(), "(none)").value_counts()
            for name, each in (("then", then), ("now", now))
        }
    ).fillna(0.0)
    shares = counts / counts.sum()
    moved = (shares["now"] - shares["then"]).abs()
    most = str(moved.idxmax())
    p_value = float(chi2_contingency(counts.to_numpy()).pvalue) if len(counts) > 1 else 1.0
    return {
        "then": float(shares["then"][most]),
        "now": float(shares["now"][most]),
        "category": most,
        "shift": float(moved.sum() / 2),
        "p_value": p_value,
    }


def _wins(model: TrainedModel, features: pd.DataFrame, odds: NDArray[np.float64], days: float) -> tuple[float, float]:
    """Wins to be expected within so many days, and half their 95% interval."""
    by_then = np.nan_to_num(model.win_by(features, days, odds))
    return float(by_then.sum()), _Z_95 * float(np.sqrt((by_then * (1 - by_then)).sum()))
