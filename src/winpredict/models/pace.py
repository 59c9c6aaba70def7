"""PaceModel: how many moves forward a day are usual for a deal in its state."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict._internal.threads import run_parallel, threads_for
from winpredict.features import themes
from winpredict.features.build import features_of
from winpredict.features.builders import FeatureBuilder
from winpredict.features.cross_deal_history import CrossDealFacts, CrossDealHistory
from winpredict.features.description import FeatureInfo
from winpredict.features.events import DealEvents
from winpredict.features.pace import PaceFacts, hashed, moves_of, observed_moves
from winpredict.features.past import Past
from winpredict.features.snapshots import every
from winpredict.locale.text import text, texts
from winpredict.models._frames import (
    Floats,
    canonical_order,
    category_places,
    fit_categories,
    select_columns,
    to_matrix,
)
from winpredict.models.learners import read_booster, write_booster
from winpredict.tables.crm import CRMData
from winpredict.tables.schema import TIME_DTYPE

#: Fewer moves than this tell nothing of what is usual.
MIN_MOVES = 100
_FOLDS = 3
_TREES = 150
_LEARNING_RATE = 0.08
_SHORTEST_DAYS = 0.5
#: What a deal's state is, by builder: what it is and how it stands now. Not how fast it got there, nor who works on it
#: and how that went before: that is what pace is compared with it for.
_STATE = {
    "Attributes": ("",),
    "Amount": ("amount",),
    "Stage": ("stage", "stage_rank", "days_in_stage"),
    "Touches": ("days_since_", "_7d", "_14d", "_30d"),
    "Contacts": ("contacts", "senior_contacts", "days_since_contact"),
}
_WHOLE_NAMES = ("Amount", "Stage", "Contacts")
BUILDER = "Pace"
_of_pace = partial(FeatureInfo, builder=BUILDER, unit="ratio", theme=themes.PACE, neutral=1.0, good="more")
_INFO = {
    each.name: each
    for each in (
        _of_pace(
            name="pace_owner",
            theme=themes.OWNER,
            label=text("pace of the owner's other deals against that of deals like them"),
            claim=text("the owner's other deals move at {n:percent} of the pace of deals like them"),
        ),
        _of_pace(
            name="pace_account",
            theme=themes.CUSTOMER,
            label=text("pace of the customer's other deals against that of deals like them"),
            claim=text("the customer's other deals move at {n:percent} of the pace of deals like them"),
        ),
        _of_pace(
            name="pace_deal",
            label=text("pace of this deal against that of deals like it"),
            claim=text("moving at {n:percent} of the pace of deals like it"),
        ),
        _of_pace(
            name="pace",
            label=text("pace to expect of this deal against that of deals like it"),
            claim=text("expected to move at {n:percent} of the pace of deals like it"),
        ),
        FeatureInfo(
            name="moves_expected",
            unit="moves",
            builder=BUILDER,
            theme=themes.PACE,
            label=text("moves forward to be expected by now"),
            claim=texts(
                "deals like it have made {n:number} move forward by now",
                "deals like it have made {n:number} moves forward by now",
            ),
        ),
        FeatureInfo(
            name="days_to_next_move",
            unit="days",
            builder=BUILDER,
            theme=themes.PACE,
            label=text("days to the next move forward, as deals like this go"),
            claim=texts("next stage expected in about {n:count} day", "next stage expected in about {n:count} days"),
        ),
    )
}


@dataclass(frozen=True)
class PaceModel:
    """Expected moves forward a day, by models that never saw the deal's account.

    A Poisson regression by boosted trees on the intervals between looks at deals, open and closed ones. It is fitted
    once for each fold of accounts on the others, so that no deal, and no other deal of its customer, lends its own
    moves to what is expected of it: neither in training nor later.

    Parameters
    ----------
    columns : tuple of str
        Features it uses.
    categories : dict of str to list of str
    boosters : tuple of lightgbm.Booster
        One a fold.
    every_days, longest_days : float
        The looks it expects; see `winpredict.features.snapshots.every`.
    """

    columns: tuple[str, ...]
    categories: dict[str, list[str]]
    boosters: tuple[lgb.Booster, ...]
    every_days: float
    longest_days: float

    @classmethod
    def fit(
        cls,
        features: pd.DataFrame,
        info: Sequence[FeatureInfo],
        intervals: pd.DataFrame,
        moves: pd.DataFrame,
        *,
        known_until: pd.Timestamp,
        every_days: float,
        longest_days: float,
        threads: int | None = None,
        random_state: int = 0,
    ) -> "PaceModel | None":
        """Fit on the looks at all deals, those still open included.

        Parameters
        ----------
        features : DataFrame of shape (n_looks, n_features)
        info : sequence of FeatureInfo
            Of its columns: which of them describe a deal's state.
        intervals : DataFrame of shape (n_looks, ...)
            From `intervals_of`, in the order of the features.
        moves : DataFrame
            From `moves_of`.
        known_until : Timestamp
            The end of intervals that were not seen to end.
        every_days, longest_days : float
            How the looks were chosen.
        threads : int, optional
        random_state : int

        Returns
        -------
        PaceModel, or None where too few moves are recorded.
        """
        seen = intervals.assign(until=intervals["until"].fillna(known_until))
        days = (seen["until"] - seen["since"]).to_numpy() / np.timedelta64(1, "D")
        observed = observed_moves(moves, seen)
        if observed.sum() < MIN_MOVES:
            return None
        columns = state_columns(info)
        categories = fit_categories(features[columns])
        matrix = to_matrix(features[columns], categories)
        fold = folds_of(intervals)
        used = days > 0
        days = np.maximum(days, _SHORTEST_DAYS)
        fit = partial(_fitted, matrix, observed / days, days, category_places(columns, categories), random_state)
        boosters = run_parallel([partial(fit, used & (fold != number)) for number in range(_FOLDS)], threads)
        return cls(tuple(columns), categories, tuple(boosters), every_days, longest_days)

    def rates(self, features: pd.DataFrame, intervals: pd.DataFrame, threads: int | None = None) -> Floats:
        """Expected moves a day.

        Parameters
        ----------
        features : DataFrame of shape (n_rows, n_features)
        intervals : DataFrame of shape (n_rows, ...)
            deal and account (hashes) of each row.

        Returns
        -------
        ndarray of shape (n_rows,)
        """
        matrix = to_matrix(select_columns(features, self.columns), self.categories)
        fold = folds_of(intervals)
        out = np.zeros(len(matrix))
        places = [np.flatnonzero(fold == number) for number in range(_FOLDS)]
        calls = [
            partial(booster.predict, matrix[rows], num_threads=1)
            for booster, rows in zip(self.boosters, places, strict=True)
            if len(rows)
        ]
        found = run_parallel(calls, threads_for(len(matrix), threads))
        for rows, rate in zip((rows for rows in places if len(rows)), found, strict=True):
            out[rows] = rate
        return out

    def facts_of(
        self,
        crm: CRMData,
        attributes: Sequence[str],
        builders: Sequence[FeatureBuilder],
        cross_deal_history: CrossDealHistory | None = None,
    ) -> PaceFacts:
        """What the deals of a CRM, or of one bucket of it, tell about pace.

        Parameters
        ----------
        crm : CRMData
        attributes : sequence of str
            Static attributes of the model that these data have.
        builders : sequence of FeatureBuilder
            Those of the model.
        cross_deal_history : CrossDealHistory, optional
            Cross-deal history, where it is known already.
        """
        if not crm.dated or not crm.records_changes_of("stage"):
            return PaceFacts.none()
        snapshots = every(crm, self.every_days, longest_days=self.longest_days)
        events = DealEvents(crm)
        cross_deal_history = cross_deal_history or CrossDealHistory(CrossDealFacts.of(events, attributes))
        wanted = [each for each in builders if each.name in _STATE]
        past = Past(crm, snapshots, attributes, cross_deal_history)
        built = features_of(past, wanted).frame
        intervals = intervals_of(past, self.every_days)
        rate = self.rates(built.reindex(columns=list(self.columns)), intervals)
        return PaceFacts(intervals.assign(rate=rate), moves_of(events))

    def columns_of(
        self,
        past: Past,
        features: pd.DataFrame,
        own: PaceFacts | None = None,
    ) -> dict[str, Floats]:
        """The features of snapshots; see `PaceHistory.at`.

        Parameters
        ----------
        past : Past
            At the snapshots; with the history of pace.
        features : DataFrame
            Of these snapshots, with the columns that this model uses.
        own : PaceFacts, optional
            Of these deals, in place of what the history holds of them.
        """
        who = _who(past)
        rate = self.rates(features, who)
        return past.cross_deal_history.pace.at(who, past.as_of, rate, own)

    def save(self, folder: Path) -> None:
        """Write LightGBM text files and ``pace.json``; reading them runs no code."""
        folder.mkdir(parents=True, exist_ok=True)
        for number, booster in enumerate(self.boosters):
            write_booster(booster, folder / f"moves_{number}.txt")
        description: dict[str, Any] = {
            "columns": self.columns,
            "categories": self.categories,
            "every_days": self.every_days,
            "longest_days": self.longest_days,
        }
        (folder / "pace.json").write_text(json.dumps(description))

    @classmethod
    def load(cls, folder: Path) -> "PaceModel":
        """Read what `save` wrote."""
        description = json.loads((folder / "pace.json").read_text())
        return cls(
            columns=tuple(description["columns"]),
            categories=description["categories"],
            boosters=tuple(read_booster(folder / f"moves_{number}.txt") for number in range(_FOLDS)),
            every_days=description["every_days"],
            longest_days=description["longest_days"],
        )


def intervals_of(past: Past, every_days: float) -> pd.DataFrame:
    """The time from each look at a deal to the next, with who had the deal then; see `PaceFacts`.

    Parameters
    ----------
    past : Past
        At the looks of `winpredict.features.snapshots.every`.
    every_days : float
        Days between looks; the last one before the age at which looks end counts as long.

    Returns
    -------
    DataFrame
        In the order of the looks, without rate.
    """
    snapshots = past.snapshots[["deal_id", "as_of"]].reset_index(drop=True)
    order = snapshots.sort_values(["deal_id", "as_of"], kind="stable").index.to_numpy()
    ids, since = snapshots["deal_id"].iloc[order], snapshots["as_of"].iloc[order]
    following = since.shift(-1).where(ids.eq(ids.shift(-1)))
    deals = past.crm.deals.set_index("deal_id")
    closed = deals["closed_at"].reindex(ids).set_axis(ids.index)
    # a deal beyond the greatest age is not looked at again, so nothing is expected of it
    limit = since + pd.Timedelta(days=every_days)
    until = following.fillna(closed.where(closed < limit, limit))
    known_until = past.crm.known_until
    if known_until is not None:
        until = until.where(until <= known_until)
    return _who(past).assign(since=snapshots["as_of"], until=until.sort_index().astype(TIME_DTYPE))


def _who(past: Past) -> pd.DataFrame:
    """The deal of each snapshot, and who had it then, as hashes."""
    nobody = np.full(len(past), -1, np.int64)
    return pd.DataFrame(
        {
            "deal": hashed(past.snapshots["deal_id"]),
            "owner": hashed(past.versioned("owner_id")) if past.has_link("owner_id") else nobody,
            "account": hashed(past.account_id()) if past.has_link("account_id") else nobody,
        }
    )


def pace_info(columns: Iterable[str]) -> tuple[FeatureInfo, ...]:
    """What a person needs to read each column of `PaceHistory.at`."""
    return tuple(_INFO[name] for name in columns)


def state_columns(info: Sequence[FeatureInfo]) -> list[str]:
    """The features that say what a deal is and how it stands, not how it got there."""
    return [each.name for each in info if _is_state(each)]


def folds_of(intervals: pd.DataFrame) -> NDArray[np.int64]:
    """The fold of each row, by its account, or its deal where it has none."""
    account, deal = (intervals[name].to_numpy(np.int64) for name in ("account", "deal"))
    return np.where(account >= 0, account, deal) % _FOLDS


def _is_state(info: FeatureInfo) -> bool:
    marks = _STATE.get(info.builder, ())
    if info.builder in _WHOLE_NAMES:
        return info.name in marks
    return any(info.name.startswith(mark) or info.name.endswith(mark) for mark in marks)


def _fitted(
    matrix: Floats, rate: Floats, days: Floats, categories: list[int], seed: int, used: NDArray[np.bool_]
) -> lgb.Booster:
    rows = np.flatnonzero(used)
    rows = rows[canonical_order(matrix[rows], rate[rows], days[rows])]
    data = lgb.Dataset(matrix[rows], rate[rows], weight=days[rows], categorical_feature=categories)
    return lgb.train(_parameters(seed), data, num_boost_round=_TREES)


def _parameters(seed: int) -> dict[str, Any]:
    return {
        "objective": "poisson",
        "learning_rate": _LEARNING_RATE,
        "num_leaves": 15,
        "min_data_in_leaf": 100,
        "feature_fraction": 0.6,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "lambda_l2": 10.0,
        "num_threads": 1,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
