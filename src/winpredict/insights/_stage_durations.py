"""When deals were in which stage, and when they got beyond each."""

import warnings
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from statsmodels.duration.survfunc import CumIncidenceRight, SurvfuncRight

from winpredict._internal.times import days
from winpredict.tables.crm import CRMData
from winpredict.tables.schema import TIME_DTYPE

HORIZONS = (30, 60, 90, 180)
_NEVER = np.iinfo(np.int64).max
_DAY = 86_400_000_000
_MOVED_ON, _LOST = 1, 2


class Stages(NamedTuple):
    """Open stages from the first to the last, and whether the order had to be guessed from the history."""

    order: tuple[str, ...]
    guessed: bool


def open_stages(crm: CRMData) -> Stages:
    """The open stages in order; without a stage order, by their mean place in the deals' histories.

    Stages that only closed deals are in now count as closing ones. Without a history, the open deals' stages by name.
    """
    if crm.stage_order:
        return Stages(crm.stage_order, False)
    is_open = crm.deals["outcome"] == "open"
    closing = set(crm.deals.loc[~is_open, "stage"].dropna()) - set(crm.deals.loc[is_open, "stage"].dropna())
    history = _while_open(crm)
    if not len(history):
        return Stages(tuple(sorted(set(crm.deals.loc[is_open, "stage"].dropna()))), True)
    history = history[~history["stage"].isin(closing)]
    first = history.sort_values(["deal_id", "changed_at", "stage"]).drop_duplicates(["deal_id", "stage"])
    place = first.groupby("deal_id").cumcount().groupby(first["stage"]).mean()
    names = place.rename_axis("stage").rename("place").reset_index().sort_values(["place", "stage"])["stage"]
    return Stages(tuple(names), True)


def _while_open(crm: CRMData) -> pd.DataFrame:
    """Recorded stages of deals before their close, with the deal's outcome and close."""
    columns = ["deal_id", "changed_at", "stage", "outcome", "closed_at"]
    if crm.deal_history is None or "stage" not in crm.deal_history:
        return pd.DataFrame(columns=columns)
    history = crm.deal_history[["deal_id", "changed_at", "stage"]]
    dated = crm.deals[(crm.deals["outcome"] == "open") | crm.deals["closed_at"].notna()]
    found = history[history["stage"].notna()].merge(dated[["deal_id", "outcome", "closed_at"]], on="deal_id")
    return found[~(found["changed_at"] >= found["closed_at"])][columns]


def stage_durations(crm: CRMData, order: tuple[str, ...]) -> pd.DataFrame:
    """One row each time that a deal was in an open stage.

    Returns
    -------
    DataFrame
        deal_id, stage, rank (int, place in the order), entered_at, left_at (the next change of stage or the close;
        missing while the deal is there), next_rank (NaN where no stage followed), outcome, days (in the stage; of
        those still there until now). Stages that are not in the order are passed over.
    """
    found = _while_open(crm)
    found = found[found["stage"].isin(order)]
    found["rank"] = found["stage"].map({name: place for place, name in enumerate(order)}).astype(np.int64)
    found = found.sort_values(["deal_id", "changed_at", "rank"], kind="stable")
    found = found[~(found[["deal_id", "rank"]] == found[["deal_id", "rank"]].shift()).all(axis=1)]
    same = found.groupby("deal_id", sort=False)
    found["left_at"] = same["changed_at"].shift(-1).fillna(found["closed_at"]).astype(TIME_DTYPE)
    found["next_rank"] = same["rank"].shift(-1).astype(np.float64)
    found["entered_at"] = found["changed_at"].astype(TIME_DTYPE)
    until = found["left_at"].fillna(crm.known_until) if len(found) else found["left_at"]
    found["days"] = days(until.astype(TIME_DTYPE) - found["entered_at"])
    columns = ["deal_id", "stage", "rank", "entered_at", "left_at", "next_rank", "outcome", "closed_at", "days"]
    return found[columns].reset_index(drop=True)


class Passage(NamedTuple):
    """How the deals that reached one stage got on."""

    days: NDArray[np.float64]
    status: NDArray[np.int64]
    skipped: NDArray[np.bool_]


def passages(visits: pd.DataFrame, order: tuple[str, ...], known_until: pd.Timestamp) -> Iterator[tuple[str, Passage]]:
    """By stage, days from reaching it to getting beyond it (1), to being lost (2), or so far (0).

    A deal reaches a stage when it first enters that one or a later one, and is beyond it when it first enters a later
    one or is won; time spent back in earlier stages counts. So a stage that was skipped, also by winning early, counts
    as passed through in no time, and the shares of all stages multiply to the win rate.
    """
    if not len(visits):
        return
    by_deal = visits.groupby("deal_id", sort=True).agg(outcome=("outcome", "first"), closed_at=("closed_at", "first"))
    entered = np.full((len(by_deal), len(order)), _NEVER)
    rows = by_deal.index.get_indexer(pd.Index(visits["deal_id"]))
    np.minimum.at(entered, (rows, visits["rank"].to_numpy()), _microseconds(visits["entered_at"]))
    won, lost = (by_deal["outcome"] == "won").to_numpy(), (by_deal["outcome"] == "lost").to_numpy()
    end = _microseconds(by_deal["closed_at"].fillna(known_until))
    passed = np.column_stack([entered, np.where(won, end, _NEVER)])
    reached = np.minimum.accumulate(passed[:, ::-1], axis=1)[:, ::-1]
    for place, stage in enumerate(order):
        came = reached[:, place] < _NEVER
        start, beyond = reached[came, place], reached[came, place + 1]
        status = np.where(beyond < _NEVER, _MOVED_ON, np.where(lost[came], _LOST, 0))
        length = (np.minimum(beyond, end[came]) - start) / _DAY
        yield stage, Passage(length, status, entered[came, place] != start)


def _microseconds(times: pd.Series) -> NDArray[np.int64]:
    return times.astype(TIME_DTYPE).to_numpy(dtype="datetime64[us]").astype(np.int64)


def incidence(passage: Passage) -> dict[str, float]:
    """Aalen-Johansen shares of deals moved on and lost after each of `HORIZONS` days, and finally.

    Deals still there are censored. Beyond the longest observed time the share is unknown (NaN), unless nothing is
    left to happen. Source: Aalen and Johansen, Scandinavian Journal of Statistics 1978.
    """
    names = {"moved_on": _MOVED_ON, "lost": _LOST}
    if not (passage.status > 0).any():
        return {f"{name}_{when}": np.nan for name in names for when in (*HORIZONS, "finally")}
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        curves = CumIncidenceRight(passage.days, passage.status)
    out: dict[str, float] = {}
    longest = passage.days.max()
    settled = np.isclose(sum(curve[-1] for curve in curves.cinc), 1.0)
    for name, cause in names.items():
        curve = curves.cinc[cause - 1] if cause <= len(curves.cinc) else np.zeros(len(curves.times))
        for horizon in HORIZONS:
            place = int(np.searchsorted(curves.times, horizon, side="right"))
            value = float(curve[place - 1]) if place else 0.0
            out[f"{name}_{horizon}"] = value if horizon <= longest or settled else np.nan
        out[f"{name}_finally"] = float(curve[-1])
    return out


def median_duration(passage: Passage) -> dict[str, float]:
    """Kaplan-Meier median of the days in the stage, whatever ended them, with its 95% interval.

    Skipped stages do not count. NaN where the median, or a limit of it, is not reached.
    """
    stayed = ~passage.skipped
    left = passage.status[stayed] > 0
    if not left.any():
        return {"median_days": np.nan, "median_days_low": np.nan, "median_days_high": np.nan}
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        curve = SurvfuncRight(passage.days[stayed], left.astype(np.int64))
        median = float(curve.quantile(0.5))
        low, high = curve.quantile_ci(0.5)
    known = not np.isnan(median)
    return {
        "median_days": median,
        "median_days_low": float(low) if known else np.nan,
        "median_days_high": float(high) if known and np.isfinite(high) else np.nan,
    }
