"""Forecast: what will be booked this and the next month and quarter, with an honest interval, against quota."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict.features.cross_deal_history import CrossDealHistory
from winpredict.insights._forecast_draws import Groups, Odds, amounts_drawn, quantiles_of, won_by_owner
from winpredict.insights._forecast_history import History, amount_ratios, new_business, shared_shock
from winpredict.insights._forecast_quota import quotas_of
from winpredict.insights._forecast_shock import middle_log_odds
from winpredict.insights.deals import deals_at_end
from winpredict.insights.labels import PERIOD_TITLES, joined
from winpredict.insights.winrates import currency_of, several_currencies
from winpredict.locale.text import Text, text, texts
from winpredict.models.snapshots import pipeline
from winpredict.models.splits import known_before
from winpredict.models.trained import TrainedModel
from winpredict.tables.crm import CRMData, utc

Floats = NDArray[np.float64]

LEVEL = 0.8
#: Quantiles of the simulated bookings that are called commit (reached four times in five) and best case.
COMMIT, BEST_CASE = 0.2, 0.8
_QUANTILES = ((1 - LEVEL) / 2, COMMIT, BEST_CASE, (1 + LEVEL) / 2)
_RECENT_DAYS = 180
#: Of the futures of periods that are drawn together.
_MOST_BYTES = 600_000_000
#: Part of a shock in log-odds that moves the number of wins, at usual win rates; spread of the number of new deals.
_SHARE_OF_SHOCK, _NEW_SPREAD = 0.7, 0.2
_BOOKED = ("deal_id", "rep", "closed_at", "amount")
_COLUMNS = [
    "period", "starts", "ends", "booked", "open_pipeline", "not_yet_created", "expected", "low", "high", "commit",
    "best_case", "pipeline", "quota", "attainment", "p_quota",
]  # fmt: skip


@dataclass(frozen=True)
class Period:
    """A calendar month or quarter.

    Parameters
    ----------
    name : str
        "this month", "next quarter", ...
    starts, ends : Timestamp
        From, and before.
    """

    name: str
    starts: pd.Timestamp
    ends: pd.Timestamp


@dataclass(frozen=True)
class Forecast:
    """Expected bookings.

    Parameters
    ----------
    periods : DataFrame
        One row a period: period, starts, ends, booked (won since it began), open_pipeline and not_yet_created
        (expected from deals that are open, and from deals to come), expected (their sum), low and high (80%
        interval), commit (reached four times in five), best_case (reached once in five), pipeline (open amounts that
        are expected to close in it by the CRM's dates, or all where it has none), quota, attainment (expected over
        quota), p_quota (probability of reaching it). Amounts in the CRM's currency.
    by_team, by_rep : DataFrame
        The same for each team and rep, after the column name; empty where deals have none.
    deals : DataFrame
        One row an open deal: deal_id, rep, team, amount (what stands in where it has none), win_probability, and for
        each period the probability of being won in it (``p <period>``) and what it is expected to bring in it
        (``expected <period>``), which adds up to open_pipeline.
    booked : DataFrame
        One row a deal won since the first of the periods began: deal_id, rep, closed_at, amount (as booked). Those of a
        period add up to what is booked in it.
    as_of : Timestamp or None
    notes : tuple of Text
        What is missing or was assumed.
    currency : str or None
        Of all amounts: empty where none is recorded, None where there are several.
    """

    periods: pd.DataFrame
    by_team: pd.DataFrame
    by_rep: pd.DataFrame
    deals: pd.DataFrame
    booked: pd.DataFrame
    as_of: pd.Timestamp | None
    notes: tuple[Text, ...] = ()
    currency: str | None = ""

    def sentences(self) -> list[str]:
        """What a sales manager must know, the nearest first."""
        notes = [str(note) for note in self.notes]
        return [_format_period(row, self.currency) for _, row in self.periods.iterrows()] + notes


def forecast(
    model: TrainedModel,
    crm: CRMData,
    *,
    as_of: pd.Timestamp | str | None = None,
    cross_deal_history: CrossDealHistory | None = None,
    at_end: pd.DataFrame | None = None,
    draws: int = 4000,
    seed: int = 0,
) -> Forecast:
    """Expected bookings of this and the next month and quarter.

    Parameters
    ----------
    model : TrainedModel
    crm : CRMData
    as_of : Timestamp or str, optional
        By default the end of the data; nothing recorded at or after it is used.
    cross_deal_history : CrossDealHistory, optional
        Cross-deal history of all deals, where `crm` holds only some of them.
    at_end : DataFrame, optional
        `winpredict.insights.deals.deals_at_end` of what is known then, with the model's attributes, where it is there.
    draws : int
        Simulated futures.
    seed : int

    Returns
    -------
    Forecast

    Raises
    ------
    WinPredictError
        When the model was trained on later facts.

    Notes
    -----
    What is expected is worked out; how far what comes may lie from it is simulated. Every simulated future draws a
    shock that all open deals share (its spread is read off how past months deviated from what their pipeline usually
    gives), then for each deal whether it is won in the period, at odds moved by the shock, and its amount, moved as
    amounts of past deals were. Over all shocks a deal keeps its odds. Deals not yet created come and are won as lately,
    under the same shock; each falls to a rep and team by their shares of the deals lately created. All periods meet the
    same shocks, and in all of them an open deal has the same luck, so that periods with the same end have the same
    figures.
    """
    now = crm.known_until if as_of is None else utc(as_of)
    model.refuse_hindsight(now)
    if not crm.dated or now is None:
        return _empty(None, text("The deals carry no dates, so when they will be booked is unknown."))
    known = known_before(crm, as_of)
    if not len(known.deals):
        return _empty(now, text("No deal was created before {day:day}, so there is nothing to forecast from.", day=now))
    table = deals_at_end(known, model.attributes_in(known)) if at_end is None else at_end
    history = History.of(known, table, now)
    if not (history.deals["amount"] > 0).any():
        return _empty(now, text("No deal has an amount, so there are no bookings to forecast."))
    snapshots = pipeline(known, now).sort_values("deal_id", ignore_index=True)  # draws go by this order
    features = model.build_features(known, snapshots, cross_deal_history=cross_deal_history)
    return _Simulation(model, known, table, history, snapshots, features, now, draws, seed).forecast()


def periods_at(now: pd.Timestamp) -> list[Period]:
    """Calendar month and quarter (UTC) at a moment, and those that come next.

    Examples
    --------
    >>> [(each.name, f"{each.starts:%m-%d}") for each in periods_at(pd.Timestamp("2025-02-10", tz="UTC"))]
    [('this month', '02-01'), ('next month', '03-01'), ('this quarter', '01-01'), ('next quarter', '04-01')]
    """
    day = now.tz_convert(None).normalize()
    month = day.replace(day=1)
    quarter = month.replace(month=3 * ((month.month - 1) // 3) + 1)
    spans = (("month", month, 1), ("quarter", quarter, 3))
    found = []
    for word, first, length in spans:
        edges = [(first + pd.DateOffset(months=length * step)).tz_localize("UTC") for step in range(3)]
        found += [Period(f"this {word}", edges[0], edges[1]), Period(f"next {word}", edges[1], edges[2])]
    return found


@dataclass(frozen=True)
class _Futures:
    """What is drawn of a period: the shock and what the open deals bring, by level; and what draws further."""

    period: Period
    chance: Floats
    shock: Floats
    spread: float
    won: list[NDArray[np.float32]]
    rng: np.random.Generator


class _Level:
    """A way to add deals up: all of them (named "all"), by team, or by rep."""

    def __init__(self, quotas: str, names: list[str], deals: pd.DataFrame, owners: pd.DataFrame) -> None:
        self.quotas, self.names = quotas, names
        self.deals, self.owners = self.rows_of(deals), self.rows_of(owners)

    def rows_of(self, frame: pd.DataFrame) -> Groups:
        """Rows of a frame that has columns team and rep."""
        return Groups.whole(len(frame)) if self.quotas == "overall" else Groups.of(frame[self.quotas], self.names)


class _Simulation:
    """Simulated futures of one pipeline."""

    def __init__(
        self,
        model: TrainedModel,
        crm: CRMData,
        table: pd.DataFrame,
        history: History,
        snapshots: pd.DataFrame,
        features: pd.DataFrame,
        now: pd.Timestamp,
        draws: int,
        seed: int,
    ) -> None:
        self.model, self.crm, self.history, self.features, self.now, self.draws, self.seed = (
            model, crm, history, features, now, draws, seed,
        )  # fmt: skip
        self.odds = model.odds(features)["win_probability"].to_numpy(np.float64)
        of_deal = table.set_index("deal_id").reindex(snapshots["deal_id"])
        self.notes = several_currencies(crm)
        self.amount = self._amounts(of_deal["amount"].to_numpy(np.float64))
        self.ratios = amount_ratios(crm, history)
        self.new = new_business(history, now)
        if not len(self.new.amount):
            self.notes.append(text("No won deal has an amount, so deals not yet created are left out of the forecast."))
        self.owners = _owners(history, now)
        self.deals = of_deal[["rep", "team"]].reset_index().assign(amount=self.amount, win_probability=self.odds)
        self.expected_close = _expected_close(crm, snapshots)
        self.periods = periods_at(now)
        self.booked = history.deals[history.won_between(min(period.starts for period in self.periods), now)]
        self.levels = [
            _Level("overall", ["all"], self.deals, self.owners),
            *(_Level(level, self._names(level), self.deals, self.owners) for level in ("team", "rep")),
        ]

    def forecast(self) -> Forecast:
        """All periods, in all, by team and by rep."""
        tables: list[list[dict[str, object]]] = [[] for _ in self.levels]
        deals = self.deals.copy()
        for futures in self._futures():
            expected = futures.chance * self.amount * self.ratios.mean()
            deals[f"p {futures.period.name}"] = futures.chance
            deals[f"expected {futures.period.name}"] = expected
            for table, rows in zip(tables, self._rows(futures, expected), strict=True):
                table += rows
        overall, team, rep = (pd.DataFrame(found, columns=["name", *_COLUMNS]) for found in tables)
        booked = self.booked[list(_BOOKED)].reset_index(drop=True)
        return Forecast(
            overall.drop(columns="name"), team, rep, deals, booked, self.now, tuple(self.notes), currency_of(self.crm)
        )

    def _amounts(self, amounts: Floats) -> Floats:
        """The amounts of the open deals, with the mean of others where there is none."""
        missing = ~(amounts > 0)
        if not missing.any():
            return amounts
        won = self.history.deals.loc[self.history.deals["won"], "amount"].to_numpy(np.float64)
        for others, of_won in ((won, True), (amounts, False)):
            if (known := others[others > 0]).size:
                mean = float(known.mean())
                values: dict[str, Any] = {"n": int(missing.sum()), "mean": (mean, currency_of(self.crm))}
                self.notes.append(
                    texts(
                        "{n:count} open deal without an amount counts with the average of won deals, "
                        "{mean:rough_money}.",
                        "{n:count} open deals without an amount count with the average of won deals, "
                        "{mean:rough_money}.",
                        **values,
                    )
                    if of_won
                    else texts(
                        "{n:count} open deal without an amount counts with the average of the others, "
                        "{mean:rough_money}.",
                        "{n:count} open deals without an amount count with the average of the others, "
                        "{mean:rough_money}.",
                        **values,
                    )
                )
                return np.where(missing, mean, amounts)
        self.notes.append(text("Neither open nor won deals have an amount, so open deals count as nothing."))
        return np.zeros(len(amounts))

    def _chances(self) -> list[Floats]:
        """For each period the probability of each open deal of being won in what is left of it."""
        ends = [self._window(period) for period in self.periods]
        by = self.model.win_by(self.features, np.array(ends).ravel(), self.odds)
        return [
            np.asarray(np.clip(by[:, 2 * place + 1] - by[:, 2 * place], 0.0, 1.0)) for place in range(len(self.periods))
        ]

    def _window(self, period: Period) -> tuple[float, float]:
        """What is left of a period, in days from now."""
        return days_to(max(period.starts, self.now), self.now), days_to(period.ends, self.now)

    def _futures(self) -> "Iterator[_Futures]":
        """Each period with what is drawn of it."""
        chances, spreads = self._chances(), [shared_shock(self.history, *self._window(each)) for each in self.periods]
        groups = [level.deals for level in self.levels]
        # all periods meet the same luck, which need be drawn but once for as many of them as fit
        size = np.dtype(np.float32).itemsize * self.draws * sum(map(len, groups))
        at_once = max(1, min(len(self.periods), _MOST_BYTES // size))
        for start in range(0, len(self.periods), at_once):
            some = range(start, min(start + at_once, len(self.periods)))
            rng = np.random.default_rng(self.seed)
            shock = rng.standard_normal(self.draws)
            odds = [Odds(middle_log_odds(chances[each], spreads[each]), spreads[each] * shock) for each in some]
            won = won_by_owner(rng, odds, self.amount, self.ratios, groups)
            for each, mine in zip(some, odds, strict=True):
                further = np.random.default_rng()
                further.bit_generator.state = rng.bit_generator.state
                yield _Futures(self.periods[each], chances[each], mine.shock, spreads[each], won.pop(0), further)

    def _rows(self, futures: "_Futures", expected: Floats) -> list[list[dict[str, object]]]:
        """For each level a row for each of its names."""
        period, closed = futures.period, self.booked["closed_at"]
        booked = self.booked[(closed >= period.starts) & (closed < period.ends)]
        wins = self.new.wins(*self._window(period))
        mean_amount = self.new.amount.mean() if len(self.new.amount) else 0.0
        to_come = self.owners["share"].to_numpy(np.float64) * max(wins, 0.0) * mean_amount
        quotas = quotas_of(self.crm, period.starts, period.ends)
        closing = self._closing(period)

        def rows(level: _Level, won: NDArray[np.float32], coming: Iterable[tuple[int, Floats]]) -> list[Any]:
            groups, amounts = level.rows_of(booked), booked["amount"]
            own = [amounts.iloc[mine].sum() if len(mine := groups.rows(place)) else 0.0 for place in range(len(groups))]
            totals = ((place, own[place] + won[place].astype(np.float64) + mine) for place, mine in coming)
            found: list[Any] = [None] * len(groups)
            for place, total, quantiles in quantiles_of(totals, _QUANTILES):
                mine = level.deals.rows(place)
                figures = (
                    float(own[place]), float(expected[mine].sum()), float(to_come[level.owners.rows(place)].sum()),
                    float(self.amount[mine][closing[mine]].sum()),
                )  # fmt: skip
                name = level.names[place]
                quota = quotas.get(level.quotas, {}).get(name, np.nan)
                found[place] = {"name": name, **_row(period, *figures, total, quantiles, quota)}
            return found

        company, team, rep = self.levels
        overall, by_team = np.zeros((1, self.draws)), np.zeros((len(team.names), self.draws))
        # reps first: what comes to them is added up for the others on the way
        of_reps = rows(rep, futures.won[2], self._coming_by_rep(futures, wins, overall, by_team))
        of_teams = rows(team, futures.won[1], enumerate(by_team))
        return [rows(company, futures.won[0], enumerate(overall)), of_teams, of_reps]

    def _coming_by_rep(
        self, futures: "_Futures", wins: float, overall: Floats, by_team: Floats
    ) -> Iterator[tuple[int, Floats]]:
        """What deals not yet created bring to each rep in each simulated future; it is added to the sums of others."""
        _, team, rep = self.levels
        coming, last = np.zeros(self.draws), -1
        missing = set(range(len(rep.names)))
        # the owners are sorted by rep
        drawn = self._coming(futures, wins)
        for place, of_team, mine in zip(rep.owners.places.tolist(), team.owners.places.tolist(), drawn, strict=True):
            if place != last:
                if last >= 0:
                    yield last, coming
                coming, last = np.zeros(self.draws), place
                missing.discard(place)
            coming += mine
            overall[0] += mine
            if of_team >= 0:
                by_team[of_team] += mine
        if last >= 0:
            yield last, coming
        yield from ((place, np.zeros(self.draws)) for place in sorted(missing))

    def _coming(self, futures: "_Futures", wins: float) -> Iterator[Floats]:
        """What deals not yet created bring to each of the owners in each simulated future."""
        if wins <= 0 or not len(self.new.amount):
            yield from (np.zeros(self.draws) for _ in range(len(self.owners)))
            return
        # a shock in log-odds moves rare wins by its exponential, common ones less, and in the mean not at all; the rate
        # of new deals varies as well
        moved = np.exp(_SHARE_OF_SHOCK * futures.shock - (_SHARE_OF_SHOCK * futures.spread) ** 2 / 2)
        rng = futures.rng
        rate = wins * moved * rng.gamma(1 / _NEW_SPREAD**2, _NEW_SPREAD**2, self.draws)
        # deals that fall to owners at random come to each as a Poisson process of its own
        yield from (amounts_drawn(rng, share * rate, self.new.amount) for share in self.owners["share"])

    def _names(self, level: str) -> list[str]:
        """Teams or reps that have open deals, deals lately created, or bookings in any of the periods."""
        every = pd.concat([frame[level] for frame in (self.deals, self.owners, self.booked)])
        return sorted(str(name) for name in every.dropna().unique())

    def _closing(self, period: Period) -> NDArray[np.bool_]:
        if self.expected_close is None:
            return np.ones(len(self.odds), dtype=bool)
        return ((self.expected_close >= period.starts) & (self.expected_close < period.ends)).to_numpy(dtype=bool)


def _row(
    period: Period,
    booked: float,
    open_deals: float,
    to_come: float,
    pipeline: float,
    total: Floats,
    quantiles: Floats,
    quota: float,
) -> dict[str, object]:
    expected = booked + open_deals + to_come
    low, commit, best, high = quantiles
    # a mean that a rare large deal pulls beyond most futures must not lie outside its own interval
    low, high = min(low, expected), max(high, expected)
    return {
        "period": period.name, "starts": period.starts, "ends": period.ends, "booked": booked,
        "open_pipeline": open_deals, "not_yet_created": to_come, "expected": expected,
        "low": float(low), "high": float(high), "commit": float(commit), "best_case": float(best),
        "pipeline": pipeline, "quota": quota,
        "attainment": expected / quota if quota > 0 else np.nan,
        "p_quota": float((total >= quota).mean()) if quota > 0 else np.nan,
    }  # fmt: skip


def _owners(history: History, now: pd.Timestamp) -> pd.DataFrame:
    """Reps with their teams, either may be missing, and the share of the deals lately created that each has."""
    deals = history.deals
    lately = deals[deals["created_at"] >= now - pd.Timedelta(days=_RECENT_DAYS)]
    counts = lately.groupby(["rep", "team"], dropna=False, sort=True).size()
    return (counts / max(len(lately), 1)).rename("share").reset_index()


def days_to(moment: pd.Timestamp, now: pd.Timestamp) -> float:
    """Days from now to a moment."""
    return float((moment - now) / pd.Timedelta(days=1))


def _expected_close(crm: CRMData, snapshots: pd.DataFrame) -> pd.Series | None:
    if "expected_close_date" not in crm.deals:
        return None
    found = crm.deals.set_index("deal_id")["expected_close_date"].reindex(snapshots["deal_id"])
    return found.reset_index(drop=True) if found.notna().any() else None


def _empty(now: pd.Timestamp | None, note: Text) -> Forecast:
    named = pd.DataFrame(columns=["name", *_COLUMNS])
    deals = pd.DataFrame(columns=["deal_id", "rep", "team", "amount", "win_probability"])
    booked = pd.DataFrame(columns=list(_BOOKED))
    return Forecast(pd.DataFrame(columns=_COLUMNS), named, named, deals, booked, now, (note,))


def _format_period(row: pd.Series, currency: str | None) -> str:
    def amount(name: str) -> tuple[float, str | None]:
        return float(row[name]), currency

    expected = text(
        "{period}: {expected:rough_money} expected (80% interval {low:rough_money} to {high:rough_money}).",
        period=PERIOD_TITLES[row["period"]],
        expected=amount("expected"),
        low=amount("low"),
        high=amount("high"),
    )
    booked = quota = None
    if row["booked"] > 0:
        booked = text("{booked:rough_money} of the expected amount is booked already.", booked=amount("booked"))
    commit = text("Commit: {commit:rough_money}.", commit=amount("commit"))
    if row["quota"] > 0:
        quota = text(
            "That is {share:percent} of the quota; the odds of reaching it are {odds:percent}.",
            share=float(row["attainment"]),
            odds=float(row["p_quota"]),
        )
    # "that" is what is expected, so nothing may stand between
    return joined(expected, quota, booked, commit)
