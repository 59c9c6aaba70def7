"""Scores: one row an open deal, with odds, interval, odds by date, band and reasons."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict.explain.contributions import contributions
from winpredict.explain.reasons import Themes, sentences
from winpredict.features.dataset import Steps, gather_company
from winpredict.models.training import TrainedModel, pipeline
from winpredict.tables.buckets import DealBuckets
from winpredict.tables.crm import CRMData, utc

REASONS = 5
_REASON_COLUMNS = [f"reason_{number + 1}" for number in range(REASONS)]
#: Lower ends of the bands of win probability.
BANDS = {"very low": 0.0, "low": 0.15, "medium": 0.35, "high": 0.6, "very high": 0.8}


def score(
    model: TrainedModel,
    crm: CRMData | DealBuckets,
    *,
    as_of: pd.Timestamp | str | None = None,
    model_version: str = "",
    scored_at: pd.Timestamp | str | None = None,
    steps: Steps | None = None,
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
    steps : callable, optional
        Called with the number of buckets done and the number of all, twice: history is gathered first.

    Returns
    -------
    DataFrame
        One row an open deal, best odds first: deal_id, as_of, win_probability, low, high, p_win_30d (won within 30
        days), p_win_quarter (won by the end of the calendar quarter), band, reason_1 to reason_5, model_version,
        scored_at.

    Raises
    ------
    WinPredictError
        When the model was trained on facts later than `as_of`.
    """
    moment = crm.known_until if as_of is None else utc(as_of)
    model.refuse_hindsight(moment)
    scored = pd.Timestamp.now("UTC") if scored_at is None else utc(scored_at)
    parts = [score_rows(model, *part, moment) for part in _parts(model, crm, moment, steps)]
    out = pd.concat(parts, ignore_index=True).assign(model_version=model_version, scored_at=scored)
    return out.sort_values(["win_probability", "deal_id"], ascending=[False, True], ignore_index=True)


def score_rows(
    model: TrainedModel, looks: pd.DataFrame, features: pd.DataFrame, moment: pd.Timestamp | None
) -> pd.DataFrame:
    """Odds, odds by date, band and reasons of snapshots; one pass over the models gives odds and contributions.

    Parameters
    ----------
    model : TrainedModel
    looks : DataFrame
        deal_id and as_of.
    features : DataFrame
        Of these snapshots, from `TrainedModel.build_features`.
    moment : Timestamp or None
        The day, for the odds by the end of its quarter.
    """
    found = contributions(model.classifier, features)
    out = looks[["deal_id", "as_of"]].reset_index(drop=True)
    out = pd.concat([out, model.odds_of(found.by_bag)], axis=1)
    odds = out["win_probability"].to_numpy()
    horizons = np.array([30.0, _days_to_quarter_end(moment)])
    out[["p_win_30d", "p_win_quarter"]] = model.win_by(features, horizons, odds)
    out["band"] = bands(odds)
    told = sentences(Themes(model.info).choose(found.in_points().to_numpy(), REASONS), features, model)
    return pd.concat([out, pd.DataFrame(told, columns=_REASON_COLUMNS)], axis=1)


def _parts(
    model: TrainedModel, tables: CRMData | DealBuckets, moment: pd.Timestamp | None, steps: Steps | None
) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Snapshots and features, bucket by bucket."""
    if isinstance(tables, CRMData):
        looks = pipeline(tables, moment)
        yield looks, model.build_features(tables, looks)
        return
    tell = steps or (lambda done, of: None)
    every = 2 * len(tables)
    attributes = model.attributes_in(tables.bucket(0))
    company = gather_company(tables, attributes, steps=lambda done: tell(done, every))
    for number, crm in enumerate(tables):
        looks = pipeline(crm, moment)
        yield looks, model.build_features(crm.of_deals(looks["deal_id"]), looks, company=company)
        tell(len(tables) + number + 1, every)


def bands(odds: NDArray[np.float64]) -> NDArray[np.str_]:
    """The band of each win probability."""
    places = np.searchsorted(list(BANDS.values()), odds, side="right") - 1
    return np.array(list(BANDS))[places]


def _days_to_quarter_end(moment: pd.Timestamp | None) -> float:
    if moment is None:
        return np.nan
    end = (moment.tz_localize(None).normalize() + pd.offsets.QuarterEnd(0) + pd.Timedelta(days=1)).tz_localize("UTC")
    return float((end - moment) / pd.Timedelta(days=1))
