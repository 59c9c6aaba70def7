"""Forecast: what will be booked this and the next month and quarter, with an honest interval, against quota."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict.features.cross_deal_history import CrossDealHistory
from winpredict.insights._forecast_draws import drawn_bookings
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
Groups = NDArray[np.intp] | slice

LEVEL = 0.8
#: Quantiles of the simulated bookings that are called commit (reached four times in five) and best case.
COMMIT, BEST_CASE = 0.2, 0.8
_RECENT_DAYS = 180
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
    attributes = model.attributes_in(known)
    table = deals_at_end(known, attributes)
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
class _Bookings:
    """What the groups of a rep and a team bring in a period: expected, and in each simulated future.

    Parameters
    ----------
    expected : ndarray of shape (n_groups,)
    drawn : ndarray of shape (n_groups, n_draws)
    """

    expected: Floats
    drawn: Floats

    def of(self, groups: Groups) -> tuple[float, Floats]:
        """Both, added up over some groups."""
        return float(self.expected[groups].sum()), self.drawn[groups].sum(axis=0)


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
        self.groups = self.deals[["rep", "team"]].drop_duplicates(ignore_index=True)
        group = self.deals.groupby(["rep", "team"], dropna=False, sort=False).ngroup()
        self.group: NDArray[np.integer[Any]] = group.to_numpy(np.intp)
        self._won: dict[pd.Timestamp, Floats] = {}
        self.expected_close = _expected_close(crm, snapshots)
        self.periods = periods_at(now)
        self.booked = history.deals[history.won_between(min(period.starts for period in self.periods), now)]

    def forecast(self) -> Forecast:
        """All periods, in all, by team and by rep."""
        rows: dict[str, list[dict[str, object]]] = {"": [], "team": [], "rep": []}
        deals = self.deals.copy()
        for period, chance, drawn, to_come in self._bookings():
            expected = chance * self.amount * self.ratios.mean()
            deals[f"p {period.name}"] = chance
            deals[f"expected {period.name}"] = expected
            open_deals = _Bookings(self._by_group(expected), drawn)
            for level, name, row in self._rows(period, open_deals, to_come):
                rows[level].append({"name": name, **row})
        tables = {level: pd.DataFrame(found, columns=["name", *_COLUMNS]) for level, found in rows.items()}
        booked = self.booked[list(_BOOKED)].reset_index(drop=True)
        return Forecast(
            tables[""].drop(columns="name"), tables["team"], tables["rep"], deals, booked, self.now, tuple(self.notes),
            currency_of(self.crm),
        )  # fmt: skip

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

    def _chance(self, period: Period) -> Floats:
        """Probability of each open deal of being won in what is left of a period."""
        by_start, by_end = map(self._won_by, (max(period.starts, self.now), period.ends))
        return np.asarray(np.clip(by_end - by_start, 0.0, 1.0))

    def _won_by(self, moment: pd.Timestamp) -> Floats:
        """Probability of each open deal of being won until a moment; where one period ends, another begins."""
        if moment not in self._won:
            self._won[moment] = self.model.win_by(self.features, days_to(moment, self.now), self.odds)
        return self._won[moment]

    def _rows(
        self, period: Period, deals: _Bookings, to_come: _Bookings
    ) -> Iterator[tuple[str, str, dict[str, object]]]:
        closed = self.booked["closed_at"]
        booked = self.booked[(closed >= period.starts) & (closed < period.ends)]
        closing = self._by_group(np.where(self._closing(period), self.amount, 0.0))
        quotas = quotas_of(self.crm, period.starts, period.ends)
        target, everyone = quotas.get("overall", {}).get("all", np.nan), slice(None)
        whole = self._row(period, booked["amount"].sum(), deals, to_come, everyone, everyone, closing, target)
        yield "", "", whole
        for level in ("team", "rep"):
            own = booked.groupby(level)["amount"].sum()
            mine, theirs = (dict(frame.groupby(level).indices) for frame in (self.groups, self.owners))
            for name in self._names(level):
                target = quotas.get(level, {}).get(name, np.nan)
                groups, owners = (np.asarray(each.get(name, ()), np.intp) for each in (mine, theirs))
                yield (
                    level,
                    name,
                    self._row(period, own.get(name, 0.0), deals, to_come, groups, owners, closing, target),
                )

    def _bookings(self) -> Iterator[tuple[Period, Floats, Floats, _Bookings]]:
        """Of each period: the deals' chances, what groups of them bring in each future, and what is to come."""
        spans = [(days_to(max(each.starts, self.now), self.now), days_to(each.ends, self.now)) for each in self.periods]
        chances = [self._chance(period) for period in self.periods]
        spreads = [shared_shock(self.history, *span) for span in spans]
        rng = np.random.default_rng(self.seed)  # all periods meet the same shocks, and deals have the same luck in each
        normal = rng.standard_normal(self.draws)
        middles = [middle_log_odds(chance, spread) for chance, spread in zip(chances, spreads, strict=True)]
        shocks = np.outer(spreads, normal)
        drawn = drawn_bookings(rng, np.array(middles), shocks, self.amount, self.ratios, self.group)
        mean_amount = self.new.amount.mean() if len(self.new.amount) else 0.0
        state = rng.bit_generator.state
        for number, (period, span) in enumerate(zip(self.periods, spans, strict=True)):
            rng.bit_generator.state = state
            wins = self.new.wins(*span)
            expected = self.owners["share"].to_numpy(np.float64) * max(wins, 0.0) * mean_amount
            to_come = _Bookings(expected, self._coming(rng, wins, shocks[number], spreads[number]))
            yield period, chances[number], drawn[:, number], to_come

    def _by_group(self, values: Floats) -> Floats:
        """Values of the open deals, added up by their groups."""
        sums: Floats = np.bincount(self.group, weights=values, minlength=max(len(self.groups), 1)).astype(np.float64)
        return sums

    def _coming(self, rng: np.random.Generator, wins: float, shock: Floats, spread: float) -> Floats:
        """What deals not yet created bring to each of the owners in each simulated future, shape (owners, draws)."""
        if wins <= 0 or not len(self.new.amount):
            return np.zeros((len(self.owners), self.draws))
        # a shock in log-odds moves rare wins by its exponential, common ones less, and in the mean not at all; the rate
        # of new deals varies as well
        moved = np.exp(_SHARE_OF_SHOCK * shock - (_SHARE_OF_SHOCK * spread) ** 2 / 2)
        rate = wins * moved * rng.gamma(1 / _NEW_SPREAD**2, _NEW_SPREAD**2, self.draws)
        # deals that fall to owners at random come to each as a Poisson process of its own
        return np.array([self._drawn(rng, share * rate) for share in self.owners["share"]])

    def _drawn(self, rng: np.random.Generator, rate: Floats) -> Floats:
        """Amounts of as many won deals as come at a rate, added up by simulated future."""
        counts = rng.poisson(rate)
        amounts = rng.choice(self.new.amount, int(counts.sum()))
        futures = np.repeat(np.arange(self.draws), counts)
        return np.bincount(futures, weights=amounts, minlength=self.draws).astype(np.float64)

    def _names(self, level: str) -> list[str]:
        """Teams or reps that have open deals, deals lately created, or bookings in any of the periods."""
        every = pd.concat([frame[level] for frame in (self.deals, self.owners, self.booked)])
        return sorted(str(name) for name in every.dropna().unique())

    def _row(
        self,
        period: Period,
        booked: float,
        deals: _Bookings,
        to_come: _Bookings,
        groups: Groups,
        owners: Groups,
        closing: Floats,
        quota: float,
    ) -> dict[str, object]:
        (won, drawn), (new, drawn_new) = deals.of(groups), to_come.of(owners)
        expected = float(booked) + won + new
        total = booked + drawn + drawn_new
        low, commit, best, high = np.quantile(total, ((1 - LEVEL) / 2, COMMIT, BEST_CASE, (1 + LEVEL) / 2))
        # a mean that a rare large deal pulls beyond most futures must not lie outside its own interval
        low, high = min(low, expected), max(high, expected)
        return {
            "period": period.name, "starts": period.starts, "ends": period.ends, "booked": float(booked),
            "open_pipeline": won, "not_yet_created": new, "expected": expected,
            "low": float(low), "high": float(high), "commit": float(commit), "best_case": float(best),
            "pipeline": float(closing[groups].sum()), "quota": quota,
            "attainment": expected / quota if quota > 0 else np.nan,
            "p_quota": float((total >= quota).mean()) if quota > 0 else np.nan,
        }  # fmt: skip

    def _closing(self, period: Period) -> NDArray[np.bool_]:
        if self.expected_close is None:
            return np.ones(len(self.odds), dtype=bool)
        return ((self.expected_close >= period.starts) & (self.expected_close < period.ends)).to_numpy(dtype=bool)


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
