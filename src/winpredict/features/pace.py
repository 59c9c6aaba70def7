"""Pace: how fast deals move through the stages, against what is usual for deals in their state.

A model of forward moves per day (`winpredict.models.pace`) says how many moves to expect of a deal in its state. Where
a rep's deals move more often than that, the rep is fast; where a customer's deals do, given who works on them, the
customer is; and what is left is the deal's own. Each is a ratio of observed and expected moves, drawn towards 1 where
little was seen: the posterior mean of a gamma frailty whose prior is worth so many expected moves (Klein 1992; the
three levels one after the other, as in sequential empirical Bayes).

Expected moves accrue at a steady rate from one look at a deal to the next, so the sums of a rep's deals are piecewise
linear in time and can be read at any moment off prefix sums: strictly what was known before it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from winpredict._internal.threads import loops_for
from winpredict.features.asof import MICROSECONDS_A_DAY, AsOfTable, microseconds
from winpredict.features.events import DealEvents
from winpredict.tables.schema import TIME_DTYPE

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Expected moves that the prior of each level is worth. Moment estimates come out two to three times too large, since
#: the moves of one deal are more regular than a Poisson process.
PRIOR_MOVES = {"owner": 10.0, "account": 4.0, "deal": 6.0}
_LOWEST_RATE = 1e-5
_DIGITS = {"days_to_next_move": 2}
#: So few names are hashed one by one, which saves laying them out as categories.
_FEW_NAMES = 8
_EPOCH_DAYS = 10_957.0  # 2000-01-01, to keep the products of rates and days small


@dataclass(frozen=True)
class PaceFacts:
    """What deals tell about pace; those of all buckets together make a `PaceHistory`.

    Parameters
    ----------
    intervals : DataFrame
        One row from each look at a deal to the next one: deal, owner, account (hashes, see `hashed`; the last two as of
        the look), since, until (missing where the deal was last known open), and rate (expected moves a day).
    moves : DataFrame
        Moves forward: deal (hash), at and moves (stages; a win counts from the deal's stage to the end).
    """

    intervals: pd.DataFrame
    moves: pd.DataFrame

    @classmethod
    def none(cls) -> "PaceFacts":
        """Of no deals."""
        times = pd.Series(pd.NaT, index=range(0), dtype=TIME_DTYPE)
        keys = {name: np.zeros(0, np.int64) for name in ("deal", "owner", "account")}
        intervals = pd.DataFrame({**keys, "since": times, "until": times, "rate": np.zeros(0)})
        return cls(intervals, pd.DataFrame({"deal": keys["deal"], "at": times, "moves": np.zeros(0)}))


def hashed(names: Any) -> Ints:
    """Names as 63-bit hashes, which take less memory than texts; -1 for a missing one."""
    values = pd.Series(names, copy=False)
    if len(values) <= _FEW_NAMES and isinstance(values.dtype, pd.StringDtype):
        return np.array([_hash_of(name) if isinstance(name, str) else -1 for name in values], dtype=np.int64)
    return _hashes(values)


def _hash_of(name: str) -> int:
    found = pd.util.hash_array(np.array([name], dtype=object), categorize=False)
    return int(found[0] >> np.uint64(1))


def _hashes(values: pd.Series) -> Ints:
    hashes = pd.util.hash_pandas_object(values, index=False).to_numpy() >> np.uint64(1)
    return np.where(values.isna(), -1, hashes.astype(np.int64))


def moves_of(events: DealEvents) -> pd.DataFrame:
    """Moves forward through the stages in their order, the win included; see `PaceFacts`."""
    with loops_for(sum(events.crm.rows.values())):
        return _moves_of(events)


def _moves_of(events: DealEvents) -> pd.DataFrame:
    changes = events.stage_changes
    moved = events.stage_rank(changes.column("stage")) - events.stage_rank(changes.previous("stage"))
    deal, at = changes.column("deal_id")[moved > 0], changes.column("changed_at")[moved > 0]
    forward = pd.DataFrame({"deal": hashed(deal), "at": at.array, "moves": moved[moved > 0]})
    deals = events.crm.deals
    won = deals.loc[(deals["outcome"] == "won") & deals["closed_at"].notna(), ["deal_id", "closed_at"]]
    last = len(events.crm.stage_order) - 1
    rank = events.stage_rank(changes.at(won["deal_id"], won["closed_at"]).last("stage"))
    left = 1.0 + last - np.where(np.isnan(rank), last, rank)
    wins = pd.DataFrame({"deal": hashed(won["deal_id"]), "at": won["closed_at"].array, "moves": left})
    return pd.concat([forward, wins], ignore_index=True)


class PaceHistory:
    """Observed and expected moves of owners, accounts and deals, to be read at any moment.

    Parameters
    ----------
    facts : PaceFacts
        Of all deals.
    """

    def __init__(self, facts: PaceFacts) -> None:
        self._rows = len(facts.intervals) + len(facts.moves)
        with loops_for(self._rows):
            self._sort(facts)

    def _sort(self, facts: PaceFacts) -> None:
        spans = _Spans.of(facts.intervals)
        moves = _Moves.of(spans, facts.moves)
        rate = np.maximum(facts.intervals["rate"].to_numpy(np.float64), _LOWEST_RATE)
        self._by_owner = _Level("owner", spans, moves, rate)
        rate = rate * self._by_owner.pace_of_others(spans.owner, spans.deal, spans.since)
        self._by_account = _Level("account", spans, moves, rate)
        rate = rate * self._by_account.pace_of_others(spans.account, spans.deal, spans.since)
        self._by_deal = _Level("deal", spans, moves, rate)

    def at(self, who: pd.DataFrame, as_of: ArrayLike, rate: Floats, own: PaceFacts | None = None) -> dict[str, Floats]:
        """The features of snapshots.

        Parameters
        ----------
        who : DataFrame of shape (n_snapshots, ...)
            deal, owner and account (hashes) of each snapshot, as of then.
        as_of : sequence of UTC timestamps
        rate : array of shape (n_snapshots,)
            Expected moves a day at the snapshot.
        own : PaceFacts, optional
            Of these deals, in place of what the history holds of them.

        Returns
        -------
        dict of str to array of shape (n_snapshots,)
            pace_owner, pace_account, pace_deal and pace (ratios; NaN without an owner or account), moves_expected, and
            days_to_next_move.
        """
        with loops_for(self._rows + len(who)):
            return self._at(who, microseconds(as_of), rate, own)

    def _at(self, who: pd.DataFrame, moment: Ints, rate: Floats, own: PaceFacts | None) -> dict[str, Floats]:
        deal, owner, account = (who[name].to_numpy(np.int64) for name in ("deal", "owner", "account"))
        of_owner = self._by_owner.pace_of_others(owner, deal, moment)
        of_account = self._by_account.pace_of_others(account, deal, moment)
        observed, expected = (self._by_deal if own is None else self._alone(own)).sums(deal, moment)
        of_deal = (observed + PRIOR_MOVES["deal"]) / (expected + PRIOR_MOVES["deal"])
        pace = of_owner * of_account * of_deal
        found = {
            "pace_owner": np.where(owner < 0, np.nan, of_owner),
            "pace_account": np.where(account < 0, np.nan, of_account),
            "pace_deal": of_deal,
            "pace": pace,
            "moves_expected": expected,
            "days_to_next_move": 1.0 / (np.maximum(rate, _LOWEST_RATE) * pace),
        }
        # sums over long histories are exact to some ten digits, and a model must not see the rest
        return {name: np.round(values, _DIGITS.get(name, 4)) for name, values in found.items()}

    def _alone(self, own: PaceFacts) -> "_Level":
        """Deals by their own facts, against what the history tells of their owners and accounts."""
        spans = _Spans.of(own.intervals)
        rate = np.maximum(own.intervals["rate"].to_numpy(np.float64), _LOWEST_RATE)
        rate = rate * self._by_owner.pace_of_others(spans.owner, spans.deal, spans.since)
        rate = rate * self._by_account.pace_of_others(spans.account, spans.deal, spans.since)
        return _Level("deal", spans, _Moves.of(spans, own.moves), rate)


def observed_moves(moves: pd.DataFrame, intervals: pd.DataFrame) -> Floats:
    """Moves forward within each interval, after its start and up to its end.

    Parameters
    ----------
    moves : DataFrame
        See `PaceFacts`.
    intervals : DataFrame
        deal, since, and until without missing values.
    """
    moments = (intervals[name] + pd.Timedelta("1us") for name in ("since", "until"))
    with loops_for(len(moves) + len(intervals)):
        table = AsOfTable(moves, "deal", "at")
        started, ended = (table.at(intervals["deal"], moment).sum("moves") for moment in moments)
    return np.asarray(ended - started)


@dataclass(frozen=True)
class _Spans:
    """Intervals in plain numbers; `until` is -1 where it is unknown."""

    deal: Ints
    owner: Ints
    account: Ints
    since: Ints
    until: Ints

    @classmethod
    def of(cls, intervals: pd.DataFrame) -> "_Spans":
        ended = intervals["until"].notna().to_numpy()
        until = np.where(ended, microseconds(intervals["until"]), -1)
        deal, owner, account = (intervals[name].to_numpy(np.int64) for name in ("deal", "owner", "account"))
        return cls(deal, owner, account, microseconds(intervals["since"]), until)


@dataclass(frozen=True)
class _Moves:
    """Moves with those who had the deal then."""

    deal: Ints
    owner: Ints
    account: Ints
    at: Ints
    moves: Floats

    @classmethod
    def of(cls, spans: _Spans, moves: pd.DataFrame) -> "_Moves":
        """Moves of deals that were looked at before; where nothing was expected, nothing counts as observed."""
        snapshots = pd.DataFrame(
            {"deal": spans.deal, "since": spans.since, "place": np.arange(len(spans.deal), dtype=float)}
        )
        deal, moment = moves["deal"].to_numpy(np.int64), microseconds(moves["at"])
        place = AsOfTable(snapshots, "deal", "since").at(deal, moment).last("place").to_numpy(np.float64)
        seen = ~np.isnan(place)
        row = place[seen].astype(np.int64)
        number = moves["moves"].to_numpy(np.float64)[seen]
        return cls(deal[seen], spans.owner[row], spans.account[row], moment[seen], number)


class _Level:
    """Observed and expected moves by owner, by account or by deal."""

    def __init__(self, level: str, spans: _Spans, moves: _Moves, rate: Floats) -> None:
        self._prior = PRIOR_MOVES[level]
        ended = spans.until >= 0
        key, key_of_moves = getattr(spans, level), getattr(moves, level)
        at = np.concatenate([spans.since, spans.until[ended], moves.at])
        rates = np.concatenate([rate, -rate[ended], np.zeros(len(moves.at))])
        events = pd.DataFrame(
            {
                "key": np.concatenate([key, key[ended], key_of_moves]),
                "deal": np.concatenate([spans.deal, spans.deal[ended], moves.deal]),
                "at": at,
                "rate": rates,
                "rate_days": rates * _days(at),
                "moves": np.concatenate([np.zeros(len(at) - len(moves.at)), moves.moves]),
            }
        )
        events = events[events["key"] >= 0].reset_index(drop=True)
        self._all = AsOfTable(events, "key", "at")
        if level != "deal":
            pair = _pair(events["key"].to_numpy(), events["deal"].to_numpy())
            self._of_one_deal = AsOfTable(events.assign(key=pair), "key", "at")

    def sums(self, key: Ints, moment: Ints) -> tuple[Floats, Floats]:
        """Observed and expected moves of each key before a moment."""
        return _sums(self._all, key, moment)

    def pace_of_others(self, key: Ints, deal: Ints, moment: Ints) -> Floats:
        """The ratio of observed to expected moves of the key's other deals; 1 where there is no key."""
        observed, expected = _sums(self._all, key, moment)
        own_observed, own_expected = _sums(self._of_one_deal, _pair(key, deal), moment)
        observed, expected = np.maximum(observed - own_observed, 0.0), np.maximum(expected - own_expected, 0.0)
        return np.where(key >= 0, (observed + self._prior) / (expected + self._prior), 1.0)


def _sums(table: AsOfTable, key: Ints, moment: Ints) -> tuple[Floats, Floats]:
    view = table.at(key, moment)
    expected = _days(moment) * view.sum("rate") - view.sum("rate_days")
    return view.sum("moves"), np.maximum(expected, 0.0)


def _pair(key: Ints, deal: Ints) -> Ints:
    """One hash of two."""
    mixed = key.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + deal.astype(np.uint64)
    return np.where((key < 0) | (deal < 0), -1, (mixed >> np.uint64(1)).astype(np.int64))


def _days(moment: Ints) -> Floats:
    return moment / MICROSECONDS_A_DAY - _EPOCH_DAYS
