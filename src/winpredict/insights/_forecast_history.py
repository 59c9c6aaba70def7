"""What past months tell of the months ahead: shocks that hit all deals, amounts that move, deals not yet created."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict._internal.times import days
from winpredict.features.build import build_features
from winpredict.features.builders import Amount
from winpredict.insights.deals import booked_amounts
from winpredict.tables.crm import CRMData
from winpredict.tables.schema import TIME_DTYPE

Floats = NDArray[np.float64]

#: Months looked back.
MONTHS = 12
#: Shock that all deals share as long as the history says nothing, in log-odds, and the windows that this counts for.
USUAL_SHOCK, USUAL_WINDOWS = 0.5, 12
#: Days that new business is read off.
RECENT_DAYS = 120
_AGES = np.array([0.0, 14.0, 30.0, 60.0, 120.0])
_LEAD_DAYS = 30.0
_MIN_RATIOS = 20
_PRIOR_DEALS = 5.0
#: An amount that moved by more than this factor before the win was no price but a placeholder, such as 1; what moved
#: less is counted as at most so much, as one deal must not multiply the whole forecast.
_PLACEHOLDER, _LARGEST_MOVE = 20.0, 5.0
_AGE_BIN, _AGE_BINS = 7, 78


@dataclass(frozen=True)
class History:
    """Past deals, prepared once for all periods.

    Parameters
    ----------
    deals : DataFrame
        deal_id, created_at, closed_at, won (bool), amount (won deals: as booked; others: before the close), owner.
    stages : DataFrame
        Entries into stages: deal_id, changed_at, stage, sorted by time; empty without a history.
    starts : DatetimeIndex
        Moments looked back to, about a month apart; the first months of the data are left out.
    """

    deals: pd.DataFrame
    stages: pd.DataFrame
    starts: pd.DatetimeIndex
    _looks: dict[pd.Timestamp, tuple[pd.Series, pd.Series, NDArray[np.int64]]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @classmethod
    def of(cls, crm: CRMData, table: pd.DataFrame, now: pd.Timestamp) -> "History":
        """Read it off a CRM as known now.

        Parameters
        ----------
        crm : CRMData
        table : DataFrame
            `winpredict.insights.deals.deals_at_end` of it.
        now : Timestamp
        """
        deals = table[["deal_id", "outcome", "created_at", "closed_at", "rep", "team"]].copy()
        deals["won"] = deals["outcome"] == "won"
        deals["amount"] = booked_amounts(crm, table)
        history = crm.deal_history
        stages = pd.DataFrame({"deal_id": [], "changed_at": pd.Series([], dtype=TIME_DTYPE), "stage": []})
        if history is not None and "stage" in history:
            stages = history.loc[history["stage"].notna(), ["deal_id", "changed_at", "stage"]]
            stages = stages.sort_values(["changed_at", "deal_id", "stage"], ignore_index=True)
        cycle = days(deals["closed_at"] - deals["created_at"])
        # a deal entered after its close has a negative cycle
        settled = max(float(np.nanmedian(cycle)), 0.0) if np.isfinite(cycle).any() else 0.0
        first = deals["created_at"].min() + pd.Timedelta(days=2 * settled)
        starts = pd.DatetimeIndex([now - pd.Timedelta(days=30 * back) for back in range(1, MONTHS + 1)])
        return cls(deals, stages, starts[starts > first])

    def windows(self, from_days: float, to_days: float) -> pd.DatetimeIndex:
        """The starts whose window of so many days ahead lies in the past; the latest start is a month ago."""
        if self.starts.empty:
            return self.starts
        latest = self.starts.max() + pd.Timedelta(days=30)
        return self.starts[self.starts + pd.Timedelta(days=to_days) <= latest]

    def open_at(self, start: pd.Timestamp) -> tuple[pd.Series, pd.Series, NDArray[np.int64]]:
        """Which deals were open at a moment, and stage and age of these; looked up once for all windows."""
        if start not in self._looks:
            deals = self.deals
            is_open = (deals["created_at"] < start) & ~(deals["closed_at"] < start)
            is_open &= deals["closed_at"].notna() | (deals["outcome"] == "open")
            known = deals[is_open]
            last = self.stages[self.stages["changed_at"] < start].drop_duplicates("deal_id", keep="last")
            stage = known["deal_id"].map(last.set_index("deal_id")["stage"])
            age = np.searchsorted(_AGES, days(start - known["created_at"]), side="right")
            self._looks[start] = is_open, stage.fillna(""), age
        return self._looks[start]

    def won_between(self, start: pd.Timestamp, end: pd.Timestamp) -> pd.Series:
        """Which deals were won from one moment to before another."""
        closed = self.deals["closed_at"]
        return self.deals["won"] & (closed >= start) & (closed < end)


def shared_shock(history: History, from_days: float, to_days: float) -> float:
    """Spread, in log-odds, of what hits all open deals alike in a window ahead.

    At every past start the wins of the then open deals in the window are compared with what deals of their stage and
    age had given in the windows before. What exceeds the spread of independent deals is a shock that they share: a
    shock s moves the expected wins by s times the sum of p (1 - p). As few windows say little, the estimate is drawn
    towards `USUAL_SHOCK` as if that had been seen in `USUAL_WINDOWS` more.

    Parameters
    ----------
    history : History
    from_days, to_days : float
        The window, in days after the start.

    Returns
    -------
    float
        Standard deviation.
    """
    windows = [(start, _open_at(history, start, from_days, to_days)) for start in history.windows(from_days, to_days)]
    counts = [(start, _counts(rows)) for start, rows in windows]
    misses, spreads = [], []
    for start, rows in windows:
        ended = [count for begun, count in counts if begun + pd.Timedelta(days=to_days) <= start and len(count)]
        if not ended or rows.empty:
            continue
        p = _usual_share(pd.concat(ended).groupby(["stage", "age"]).sum(), rows)
        misses.append(float((rows["won"] - p).sum()))
        spreads.append(float((p * (1 - p)).sum()))
    spread = np.array(spreads)
    beyond = (np.square(misses) - spread).sum() / np.square(spread).sum() if spread.sum() > 0 else 0.0
    seen = len(misses)
    return float(np.sqrt((USUAL_WINDOWS * USUAL_SHOCK**2 + seen * max(beyond, 0.0)) / (USUAL_WINDOWS + seen)))


def _counts(rows: pd.DataFrame) -> pd.DataFrame:
    """Deals won and all deals, by stage and age."""
    return rows.groupby(["stage", "age"])["won"].agg(["sum", "size"])


def _usual_share(past: pd.DataFrame, rows: pd.DataFrame) -> Floats:
    """Share won in earlier windows of deals of the same stage and age, drawn a little towards all deals."""
    overall = past["sum"].sum() / past["size"].sum()
    share = (past["sum"] + _PRIOR_DEALS * overall) / (past["size"] + _PRIOR_DEALS)
    keys = pd.MultiIndex.from_frame(rows[["stage", "age"]])
    return np.asarray(share.reindex(keys).fillna(overall), dtype=np.float64)


def _open_at(history: History, start: pd.Timestamp, from_days: float, to_days: float) -> pd.DataFrame:
    is_open, stage, age = history.open_at(start)
    won = history.won_between(start + pd.Timedelta(days=from_days), start + pd.Timedelta(days=to_days))
    return pd.DataFrame({"stage": stage, "age": age, "won": won[is_open].astype(np.float64)})


def amount_ratios(crm: CRMData, history: History) -> Floats:
    """Amount at the win against the amount a month before (or at half its life), of past won deals; 1 if unknown.

    Placeholders are left out, and extreme moves are counted as less extreme ones.
    """
    won = history.deals[history.deals["won"] & (history.deals["amount"] > 0)]
    # a deal without a creation, or entered after its close, has no moment before the win to look at
    won = won[won["closed_at"] > won["created_at"]]
    if not crm.records_changes_of("amount") or len(won) < _MIN_RATIOS:
        return np.ones(1)
    ratio = won["amount"].to_numpy(np.float64) / _amounts_before(crm, won)
    ratio = np.sort(ratio[(ratio >= 1 / _PLACEHOLDER) & (ratio <= _PLACEHOLDER)])
    return np.clip(ratio, 1 / _LARGEST_MOVE, _LARGEST_MOVE) if len(ratio) >= _MIN_RATIOS else np.ones(1)


def _amounts_before(crm: CRMData, won: pd.DataFrame) -> Floats:
    """Amount of each won deal a month before the win, or at half its life; NaN where it had none above 0."""
    life = pd.to_timedelta(np.minimum(days(won["closed_at"] - won["created_at"]) / 2, _LEAD_DAYS), unit="D")
    snapshots = pd.DataFrame({"deal_id": won["deal_id"].to_numpy(), "as_of": (won["closed_at"] - life).to_numpy()})
    snapshots["as_of"] = snapshots["as_of"].dt.as_unit("us")
    before = build_features(crm, snapshots, builders=(Amount(),)).frame["amount"].to_numpy(np.float64)
    return np.where(before > 0, before, np.nan)


@dataclass(frozen=True)
class NewBusiness:
    """Deals to come, if things go on as lately.

    Parameters
    ----------
    a_day : float
        Deals created a day.
    won_by_age : ndarray
        Probability that a new deal is won within so many days, from 0 on.
    amount : ndarray
        Amounts of the deals lately won.
    """

    a_day: float
    won_by_age: Floats
    amount: Floats

    def wins(self, from_days: float, to_days: float) -> float:
        """Expected wins, in a window ahead, of deals that are created from now on."""
        return self.a_day * (self._within(to_days) - self._within(from_days))

    def _within(self, horizon: float) -> float:
        """Wins within so many days for one creation a day."""
        days_left = np.minimum(np.arange(int(np.ceil(horizon))), len(self.won_by_age) - 1)
        return float(self.won_by_age[days_left].sum())


def new_business(history: History, now: pd.Timestamp) -> NewBusiness:
    """How many deals are created, and how fast they are won, by what happened lately.

    The chance of a win by age is put together from the closings of the last `RECENT_DAYS` days at each age (a period
    life table), so that deals still open count as what they are, and a change of the market shows at once.
    """
    deals, recent = history.deals, now - pd.Timedelta(days=RECENT_DAYS)
    created = deals["created_at"]
    ended = deals["closed_at"].fillna(now)
    dated = created.notna() & (deals["closed_at"].notna() | (deals["outcome"] == "open"))
    first = np.maximum(days(recent - created), 0.0)[dated]
    last = np.maximum(days(ended - created), 0.0)[dated]  # a deal entered after its close is won at the age of 0
    seen = np.maximum(last - first, 0.0)
    closed = ((deals["closed_at"] >= recent) & deals["closed_at"].notna())[dated].to_numpy()
    age = np.minimum(last // _AGE_BIN, _AGE_BINS - 1).astype(np.int64)
    edges = np.arange(_AGE_BINS) * _AGE_BIN
    at_risk = np.array(
        [
            np.clip(np.minimum(last, edge + _AGE_BIN) - np.maximum(first, edge), 0, None)[seen > 0].sum()
            for edge in edges
        ]
    )
    won = np.bincount(age[closed & deals["won"][dated].to_numpy()], minlength=_AGE_BINS)
    ending = np.bincount(age[closed], minlength=_AGE_BINS)
    rate_won, rate = (np.divide(each, at_risk, out=np.zeros(_AGE_BINS), where=at_risk > 0) for each in (won, ending))
    rate_won, rate = np.repeat(rate_won, _AGE_BIN), np.repeat(rate, _AGE_BIN)
    still_open = np.exp(-np.append(0.0, np.cumsum(rate)[:-1]))
    amounts = deals.loc[deals["won"] & (deals["closed_at"] >= recent) & (deals["amount"] > 0), "amount"]
    if len(amounts) < _MIN_RATIOS:
        amounts = deals.loc[deals["won"] & (deals["amount"] > 0), "amount"]
    span = min(RECENT_DAYS, max(float((now - created.min()) / pd.Timedelta(days=1)), 1.0))
    return NewBusiness(
        float((created >= recent).sum()) / span, np.cumsum(still_open * rate_won), np.sort(amounts.to_numpy(np.float64))
    )
