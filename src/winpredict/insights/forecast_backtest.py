"""How good past forecasts would have been, beside what sales tools do."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from winpredict.config import Config
from winpredict.errors import TooLittleDataError
from winpredict.insights.deals import deals_at_end
from winpredict.insights.forecast import LEVEL, days_to, forecast
from winpredict.insights.labels import FORECAST_LABELS
from winpredict.locale.text import said, text, texts
from winpredict.models.splits import known_before
from winpredict.models.training import fit_model, training_set
from winpredict.tables.crm import CRMData, utc

#: Columns of the forecasts that are compared.
RIVALS = {"expected": "winpredict", "stage_weighted": "stage-weighted", "last_year": "same period last year"}
_MIN_EACH = 20
_CUTOFFS = 6


@dataclass(frozen=True)
class ForecastBacktest:
    """Past forecasts and what was booked.

    Parameters
    ----------
    forecasts : DataFrame
        One row a cut-off and period: cutoff, period, starts, ends, actual (booked in it), expected, low, high,
        stage_weighted (open amount expected to close in it times the win rate of its stage), last_year (booked in the
        same period a year before, or where the data do not go back so far in the period before).
    overall : DataFrame
        One row a forecaster: periods, mean_absolute_error (amount), relative_error (sum of absolute errors over sum of
        bookings), bias (sum of forecasts over sum of bookings, less one), coverage (share of intervals that held what
        came; winpredict alone).
    """

    forecasts: pd.DataFrame
    overall: pd.DataFrame

    def sentences(self) -> list[str]:
        """The comparison in words."""
        own = self.overall.iloc[0]
        out = [
            str(
                texts(
                    "Over {n:count} past forecast the mean error was {error:percent} of the bookings; the "
                    "{level:percent} "
                    "interval held what came in {held:percent} of cases.",
                    "Over {n:count} past forecasts the mean error was {error:percent} of the bookings; the "
                    "{level:percent} "
                    "interval held what came in {held:percent} of cases.",
                    n=int(own["periods"]),
                    error=float(own["relative_error"]),
                    level=LEVEL,
                    held=float(own["coverage"]),
                )
            )
        ]
        others = tuple(
            text(
                "{error:percent} ({name})",
                error=float(row["relative_error"]),
                name=FORECAST_LABELS.get(str(name), name),
            )
            for name, row in self.overall.iloc[1:].iterrows()
        )
        if others:
            out.append(said("Mean error of simpler forecasts: {errors:listed}.", errors=others))
        return out


def backtest_forecast(
    crm: CRMData,
    config: Config | None = None,
    *,
    cutoffs: int | Sequence[pd.Timestamp | str] = _CUTOFFS,
    draws: int = 2000,
    progress: Callable[[str], None] | None = None,
) -> ForecastBacktest:
    """Forecast as of past days by models of those days, and compare with what was booked.

    Parameters
    ----------
    crm : CRMData
    config : Config, optional
    cutoffs : int or sequence of Timestamp
        Days, or how many month beginnings (the latest for which the quarter after is known); nothing recorded at or
        after the end of the data is looked at.
    draws : int
        Simulated futures of each forecast.
    progress : callable, optional

    Returns
    -------
    ForecastBacktest

    Raises
    ------
    TooLittleDataError
        When the deals carry no dates, or there is no cut-off with enough deals before and a whole period after.
    """
    config = config or Config()
    until = crm.known_until
    if not crm.dated or until is None:
        raise TooLittleDataError(
            text(
                "the deals carry no dates, so past forecasts cannot be judged; import deals.created_at and "
                "deals.closed_at, or leave the backtest of the forecast out"
            )
        )
    whole = known_before(crm)
    won = _bookings(whole, deals_at_end(whole))
    rows = []
    for cutoff in _month_beginnings(until, cutoffs) if isinstance(cutoffs, int) else [utc(each) for each in cutoffs]:
        known = crm.as_known_at(cutoff)
        counts = known.deals["outcome"].value_counts()
        if min(counts.get("won", 0), counts.get("lost", 0)) < 2 * _MIN_EACH:
            continue
        if progress:
            progress(f"forecast as of {cutoff:%Y-%m-%d}")
        model = fit_model(training_set(known, config, exported=crm), known, config)
        found = forecast(model, known, draws=draws, seed=config.seed).periods
        for _, row in found.iterrows():
            if row["ends"] <= until and row["ends"] > cutoff:
                rows.append(_compared(row, known, won, cutoff))
    if not rows:
        raise TooLittleDataError(
            text(
                "no cut-off leaves {value} won and lost deals before it and a whole month after it; a backtest "
                "of forecasts needs a longer history",
                value=2 * _MIN_EACH,
            )
        )
    forecasts = pd.DataFrame(rows)
    return ForecastBacktest(forecasts, _overall(forecasts))


def _month_beginnings(until: pd.Timestamp, count: int) -> list[pd.Timestamp]:
    last = until.tz_localize(None).to_period("M").start_time
    return [(last - pd.DateOffset(months=back)).tz_localize("UTC") for back in range(count + 2, 2, -1)]


def _bookings(crm: CRMData, table: pd.DataFrame) -> pd.DataFrame:
    """Won deals with the moment of the win and the amount as booked."""
    booked = crm.deals["amount"].to_numpy() if "amount" in crm.deals else np.full(len(table), np.nan)
    amount = pd.Series(booked, index=table.index).fillna(table["amount"])
    return table.assign(amount=amount).loc[table["outcome"] == "won", ["deal_id", "closed_at", "amount"]]


def _compared(row: pd.Series, known: CRMData, won: pd.DataFrame, cutoff: pd.Timestamp) -> dict[str, object]:
    return {
        "cutoff": cutoff,
        **{name: row[name] for name in ("period", "starts", "ends", "expected", "low", "high")},
        "actual": _between(won, row["starts"], row["ends"]),
        "stage_weighted": row["booked"] + _stage_weighted(known, cutoff, row["starts"], row["ends"]),
        "last_year": _last_year(won, row["starts"], row["ends"], cutoff, known.deals["created_at"].min()),
    }


def _between(won: pd.DataFrame, starts: pd.Timestamp, ends: pd.Timestamp) -> float:
    return float(won.loc[(won["closed_at"] >= starts) & (won["closed_at"] < ends), "amount"].sum())


def _stage_weighted(known: CRMData, now: pd.Timestamp, starts: pd.Timestamp, ends: pd.Timestamp) -> float:
    """Open amount expected to close in the period, times the win rate of deals that ever stood in its stage."""
    deals = known.deals
    still_open = deals[deals["outcome"] == "open"]
    if "expected_close_date" in deals and still_open["expected_close_date"].notna().any():
        # what should have closed by now is expected to close next
        expected = still_open["expected_close_date"]
        expected = expected.where(expected >= now, now)
        still_open = still_open[(expected >= starts) & (expected < ends)]
    closed = deals[deals["outcome"].isin(("won", "lost"))].set_index("deal_id")["outcome"] == "won"
    overall = float(closed.mean())
    rates = pd.Series(dtype=float)
    if known.deal_history is not None and "stage" in known.deal_history:
        visits = known.deal_history[["deal_id", "stage"]].dropna().drop_duplicates()
        visits = visits[visits["deal_id"].isin(closed.index)]
        rates = visits["deal_id"].map(closed).astype(float).groupby(visits["stage"]).mean()
    rate = still_open["stage"].map(rates).astype(float).fillna(overall)
    return float((still_open["amount"].fillna(0.0) * rate).sum())


def _last_year(
    won: pd.DataFrame, starts: pd.Timestamp, ends: pd.Timestamp, now: pd.Timestamp, first: pd.Timestamp
) -> float:
    """Booked a year before, or where the data do not go back so far in the last whole period before."""
    year = pd.DateOffset(years=1)
    if starts - year >= first:
        return _between(won, starts - year, ends - year)
    length = pd.DateOffset(months=round(days_to(ends, starts) / 30))
    while ends > now:
        starts, ends = starts - length, ends - length
    return _between(won, starts, ends)


def _overall(forecasts: pd.DataFrame) -> pd.DataFrame:
    actual = forecasts["actual"]
    rows = {}
    for column, name in RIVALS.items():
        miss = (forecasts[column] - actual).abs()
        rows[name] = {
            "periods": len(forecasts),
            "mean_absolute_error": miss.mean(),
            "relative_error": miss.sum() / actual.sum() if actual.sum() > 0 else np.nan,
            "bias": forecasts[column].sum() / actual.sum() - 1 if actual.sum() > 0 else np.nan,
            "coverage": np.nan,
        }
    held = (actual >= forecasts["low"]) & (actual <= forecasts["high"])
    rows["winpredict"]["coverage"] = held.mean()
    return pd.DataFrame(rows).T.rename_axis("forecast")
