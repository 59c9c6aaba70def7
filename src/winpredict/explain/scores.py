"""Scores: one row an open deal, with odds, interval, odds by date, band and reasons."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from winpredict.config import NextSteps
from winpredict.explain.contributions import contributions
from winpredict.explain.deal_flags import DEFAULTS
from winpredict.explain.next_steps import outlook
from winpredict.explain.reasons import Telling, snapshot_of
from winpredict.features.cross_deal_history import CrossDealHistory
from winpredict.features.dataset import StepProgress, gather_cross_deal_history
from winpredict.models.snapshots import pipeline
from winpredict.models.trained import TrainedModel
from winpredict.tables.buckets import DealBuckets
from winpredict.tables.crm import CRMData, utc
from winpredict.tables.schema import text_dtype

REASONS = 5
REASON_COLUMNS = [f"reason_{number + 1}" for number in range(REASONS)]
#: Columns of JSON, for whoever tells them in another language.
DETAILS = ("reasons", "next_steps")
#: Lower ends of the bands of win probability.
BANDS = {"very low": 0.0, "low": 0.15, "medium": 0.35, "high": 0.6, "very high": 0.8}


def score(
    model: TrainedModel,
    crm: CRMData | DealBuckets,
    *,
    as_of: pd.Timestamp | str | None = None,
    model_version: str = "",
    scored_at: pd.Timestamp | str | None = None,
    progress: StepProgress | None = None,
    details: bool = False,
    steps: NextSteps = DEFAULTS,
) -> pd.DataFrame:
    """Score every deal that is open at a moment.

    Parameters
    ----------
    model : TrainedModel
    crm : CRMData or DealBuckets
        Buckets are scored one after the other, in the memory of one.
    as_of : Timestamp or str, optional
        By default the end of the data (``crm.known_until``).
    model_version : str
        Written into every row.
    scored_at : Timestamp or str, optional
        Written into every row; by default now.
    progress : callable, optional
        Called with the number of buckets done and the number of all, twice: history is gathered first.
    details : bool
        Whether also to give the columns reasons and next_steps: those of the row as JSON, to be told in any language.
    steps : NextSteps
        From which figures each rule of the next steps fires.

    Returns
    -------
    DataFrame
        One row an open deal, best odds first: deal_id, as_of, win_probability, low, high, p_win_30d (won within 30
        days), p_win_quarter (won by the end of the calendar quarter), band, reason_1 to reason_5, given (what came with
        the deal), next_step, flags (keys of `winpredict.explain.deal_flags.FLAGS` with a comma between), model_version,
        scored_at.

    Raises
    ------
    WinPredictError
        When the model was trained on facts later than `as_of`.
    """
    moment = crm.known_until if as_of is None else utc(as_of)
    model.refuse_hindsight(moment)
    scored = pd.Timestamp.now("UTC") if scored_at is None else utc(scored_at)
    parts = [
        score_rows(model, *part, moment, details=details, steps=steps) for part in _parts(model, crm, moment, progress)
    ]
    out = pd.concat(parts, ignore_index=True).assign(model_version=model_version, scored_at=scored)
    return out.sort_values(["win_probability", "deal_id"], ascending=[False, True], ignore_index=True)


def score_rows(
    model: TrainedModel,
    snapshots: pd.DataFrame,
    features: pd.DataFrame,
    moment: pd.Timestamp | None,
    *,
    details: bool = False,
    steps: NextSteps = DEFAULTS,
) -> pd.DataFrame:
    """Odds, odds by date, band and reasons of snapshots; one pass over the models gives odds and contributions.

    Parameters
    ----------
    model : TrainedModel
    snapshots : DataFrame
        deal_id and as_of.
    features : DataFrame
        Of these snapshots, from `TrainedModel.build_features`.
    moment : Timestamp or None
        The day, for the odds by the end of its quarter.
    details : bool
        Whether also to give the columns reasons and next_steps, as `score` does.
    steps : NextSteps
        From which figures each rule of the next steps fires.
    """
    scored = scored_rows(model, snapshots, features, np.array([30.0, days_to_quarter_end(moment)]))
    todo = outlook(model, features, scored.odds["win_probability"].to_numpy(), steps)
    columns = scored.odds.assign(**scored.texts(), **todo.columns())
    if not details:
        return columns
    plain = [json.dumps([step.to_json() for step in each], ensure_ascii=False) for each in todo.steps]
    return columns.assign(reasons=scored.json(), next_steps=pd.array(plain, dtype=text_dtype()))


@dataclass(frozen=True)
class ScoredRows:
    """Scored snapshots, with what their odds are made of.

    Parameters
    ----------
    odds : DataFrame
        The columns of `score` from deal_id to band.
    base_probability : float
        Odds before anything about a deal is known.
    told : Telling
        The reasons of each row; base + reasons + given + other = win probability.
    """

    odds: pd.DataFrame
    base_probability: float
    told: Telling

    def texts(self) -> dict[str, Any]:
        """The columns reason_1 to reason_5 and given, in the language of the moment."""
        # of the dtype of texts also where there is no row
        columns = {
            name: pd.array(column, dtype=text_dtype())
            for name, column in zip(REASON_COLUMNS, self.told.sentences().T, strict=True)
        }
        return columns | {"given": pd.array(self.told.given_lines(), dtype=text_dtype())}

    def json(self) -> Any:
        """The column reasons: those of each row with what came with the deal, as JSON."""
        return pd.array(self.told.json(), dtype=text_dtype())


def scored_rows(
    model: TrainedModel, snapshots: pd.DataFrame, features: pd.DataFrame, horizons: NDArray[np.float64]
) -> ScoredRows:
    """As `score_rows`, with the figures behind the reasons.

    Parameters
    ----------
    model : TrainedModel
    snapshots, features : DataFrame
    horizons : array of shape (2,) or (n_rows, 2)
        Days to p_win_30d and to p_win_quarter.
    """
    found = contributions(model.classifier, features)
    odds = model.odds_of(found.by_bag)
    by_date = model.win_by(features, horizons, odds["win_probability"].to_numpy())
    columns = {
        "deal_id": snapshots["deal_id"].array,
        "as_of": snapshots["as_of"].array,
        **{name: odds[name].to_numpy() for name in ("win_probability", "low", "high")},
        "p_win_30d": by_date[:, 0],
        "p_win_quarter": by_date[:, 1],
        "band": pd.array(bands(odds["win_probability"].to_numpy()), dtype=text_dtype()),
    }
    base = float(expit(found.calibrated_base))
    return ScoredRows(pd.DataFrame(columns), base, Telling(model, features, found.points, REASONS))


def _parts(
    model: TrainedModel, tables: CRMData | DealBuckets, moment: pd.Timestamp | None, progress: StepProgress | None
) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Snapshots and features, bucket by bucket."""
    if isinstance(tables, CRMData):
        snapshots = pipeline(tables, moment)
        yield snapshots, model.build_features(tables, snapshots)
        return
    tell = progress or (lambda done, of: None)
    every = 2 * len(tables)
    cross_deal_history = gather_cross_deal_history(
        tables, model.recipe.cross_deal_facts, progress=lambda done: tell(done, every)
    )
    for number, crm in enumerate(tables):
        snapshots = pipeline(crm, moment)
        yield (
            snapshots,
            model.build_features(crm.of_deals(snapshots["deal_id"]), snapshots, cross_deal_history=cross_deal_history),
        )
        tell(len(tables) + number + 1, every)


def bands(odds: NDArray[np.float64]) -> NDArray[np.str_]:
    """The band of each win probability."""
    places = np.searchsorted(list(BANDS.values()), odds, side="right") - 1
    return np.array(list(BANDS))[places]


def days_to_quarter_end(moment: pd.Timestamp | None) -> float:
    """Days from a moment to the end of its calendar quarter; NaN without one."""
    if moment is None:
        return np.nan
    year, quarter = moment.year + moment.quarter // 4, moment.quarter % 4  # of the next one, counted from 0
    end = pd.Timestamp(year=year, month=3 * quarter + 1, day=1, tz="UTC")
    return float((end - moment) / pd.Timedelta(days=1))


class DealScorer:
    """Scores one deal after the other, quickly: what they share is kept between calls.

    Parameters
    ----------
    model : TrainedModel
    crm : CRMData
        All deals.
    cross_deal_history : CrossDealHistory, optional
        Cross-deal history of still more deals; by default that of `crm`.
    steps : NextSteps
        From which figures each rule of the next steps fires.

    Examples
    --------
    >>> from winpredict.config import Config
    >>> from winpredict.models.training import train
    >>> from winpredict.simulate.world import simulate
    >>> crm = simulate(deals=400, seed=1).crm
    >>> scorer = DealScorer(train(crm, Config(model={"bags": 1, "trees": 20})), crm)
    >>> deal_id = crm.deals.loc[crm.deals["outcome"] == "open", "deal_id"].iloc[0]
    >>> sorted(scorer.score(deal_id))[:4]
    ['as_of', 'band', 'deal_id', 'flags']
    """

    def __init__(
        self,
        model: TrainedModel,
        crm: CRMData,
        cross_deal_history: CrossDealHistory | None = None,
        steps: NextSteps = DEFAULTS,
    ) -> None:
        self.model = model
        self.steps = steps
        self.crm = crm
        self.cross_deal_history = cross_deal_history or model.cross_deal_history_of(crm)
        self.builders = model.builders
        self._sorted = {name: _by_deal(frame) for name, frame in crm.tables() if "deal_id" in frame}
        accounts = () if crm.accounts is None else crm.accounts["account_id"]
        self._accounts: dict[Any, int] = {account_id: place for place, account_id in enumerate(accounts)}

    def score(self, deal_id: str, *, as_of: pd.Timestamp | str | None = None) -> dict[str, Any]:
        """One row of `score`, without the model's version and the moment of scoring.

        Parameters
        ----------
        deal_id : str
        as_of : Timestamp or str, optional
            By default the end of the data.

        Raises
        ------
        WinPredictError
            When the deal is unknown or was not open then, or the model was trained on later facts.
        """
        moment = self.crm.known_until if as_of is None else utc(as_of)
        self.model.refuse_hindsight(moment)
        alone = self.tables_of(deal_id)
        place = self._open_now[1].get(deal_id) if moment == self.crm.known_until else None
        if place is None:
            snapshot = snapshot_of(alone if len(alone.deals) else self.crm, deal_id, moment)
        else:
            snapshot = _slice(self._open_now[0], place, place + 1)
        features = self.model.build_features(
            alone, snapshot, cross_deal_history=self.cross_deal_history, builders=self.builders
        )
        scored = scored_rows(self.model, snapshot, features, np.array([30.0, days_to_quarter_end(moment)]))
        figures = {str(name): scored.odds[name].iloc[0] for name in scored.odds}
        todo = outlook(self.model, features, scored.odds["win_probability"].to_numpy(), self.steps)
        words = {name: str(column[0]) for name, column in (scored.texts() | todo.columns()).items()}
        return figures | words

    def score_tables(self, tables: CRMData, snapshots: pd.DataFrame) -> ScoredRows:
        """Score deals whose tables are given, beside the history of all the others.

        Parameters
        ----------
        tables : CRMData
            Of these deals, with the columns that the tables of `crm` have.
        snapshots : DataFrame
            deal_id and as_of.

        Raises
        ------
        WinPredictError
            When the model was trained on later facts.
        """
        moments = [None if pd.isna(each) else each for each in snapshots["as_of"]]
        for moment in dict.fromkeys(moments):
            self.model.refuse_hindsight(moment)
        features = self.model.build_features(
            tables, snapshots, cross_deal_history=self.cross_deal_history, builders=self.builders, given=True
        )
        ends = {moment: days_to_quarter_end(moment) for moment in dict.fromkeys(moments)}
        horizons = np.array([[30.0, ends[moment]] for moment in moments])
        return scored_rows(self.model, snapshots, features, horizons)

    @cached_property
    def _open_now(self) -> tuple[pd.DataFrame, dict[str, int]]:
        """The snapshots of all deals that are open at the end of the data, and the place of each deal's."""
        snapshots = pipeline(self.crm, self.crm.known_until)
        return snapshots, {deal_id: place for place, deal_id in enumerate(snapshots["deal_id"])}

    def tables_of(self, deal_id: str) -> CRMData:
        """The tables of one deal; with `company`, all that explaining it needs."""
        rows: dict[str, Any] = {}
        for name, (frame, places) in self._sorted.items():
            first, last = places.get(deal_id, (0, 0))
            rows[name] = _slice(frame, first, last)
        if self.crm.accounts is not None and "account_id" in rows["deals"]:
            account = next(iter(rows["deals"]["account_id"]), None)
            place = self._accounts.get(account)
            rows["accounts"] = _slice(self.crm.accounts, place or 0, 0 if place is None else place + 1)
        return replace(self.crm, **rows)


def _by_deal(frame: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, tuple[int, int]]]:
    """A table sorted by deal, and where the rows of each deal begin and end."""
    codes, ids = pd.factorize(frame["deal_id"])
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=len(ids))).tolist()
    return frame.take(order), dict(zip(ids, zip([0, *ends[:-1]], ends, strict=True), strict=True))


def _slice(frame: pd.DataFrame, first: int, last: int) -> pd.DataFrame:
    """Some rows that lie together, as a table of their own; faster than ``reset_index``."""
    out = frame.iloc[first:last]
    out.index = pd.RangeIndex(last - first)
    return out
