"""Scores: one row an open deal, with odds, interval, odds by date, band and reasons."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict.explain.contributions import contributions
from winpredict.explain.reasons import reasons_of_rows
from winpredict.models.training import TrainedModel, pipeline
from winpredict.tables.crm import CRMData, utc

REASONS = 5
#: Lower ends of the bands of win probability.
BANDS = {"very low": 0.0, "low": 0.15, "medium": 0.35, "high": 0.6, "very high": 0.8}


def score(
    model: TrainedModel,
    crm: CRMData,
    *,
    as_of: pd.Timestamp | str | None = None,
    model_version: str = "",
    scored_at: pd.Timestamp | str | None = None,
) -> pd.DataFrame:
    """Score every deal that is open at a moment.

    Parameters
    ----------
    model : TrainedModel
    crm : CRMData
    as_of : Timestamp or str, optional
        By default the end of the data (``crm.known_until``).
    model_version : str
        Written into every row.
    scored_at : Timestamp or str, optional
        Written into every row; by default now.

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
    looks = pipeline(crm, moment)
    features = model.build_features(crm, looks)
    out = looks[["deal_id", "as_of"]].reset_index(drop=True)
    out = pd.concat([out, model.odds(features)], axis=1)
    odds = out["win_probability"].to_numpy()
    out["p_win_30d"] = model.win_by(features, 30.0, odds)
    out["p_win_quarter"] = model.win_by(features, _days_to_quarter_end(moment), odds)
    out["band"] = bands(odds)
    out = pd.concat([out, _reason_columns(model, features)], axis=1)
    out["model_version"] = model_version
    out["scored_at"] = pd.Timestamp.now("UTC") if scored_at is None else utc(scored_at)
    return out.sort_values(["win_probability", "deal_id"], ascending=[False, True], ignore_index=True)


def bands(odds: NDArray[np.float64]) -> NDArray[np.str_]:
    """The band of each win probability."""
    places = np.searchsorted(list(BANDS.values()), odds, side="right") - 1
    return np.array(list(BANDS))[places]


def _reason_columns(model: TrainedModel, features: pd.DataFrame) -> pd.DataFrame:
    names = [f"reason_{number + 1}" for number in range(REASONS)]
    if features.empty:
        return pd.DataFrame(columns=names, dtype=object)
    found = contributions(model.classifier, features)
    told = [reasons for reasons, _ in reasons_of_rows(found, features, model, most=REASONS)]
    rows = [[reason.sentence for reason in reasons] + [""] * (REASONS - len(reasons)) for reasons in told]
    return pd.DataFrame(rows, columns=names)


def _days_to_quarter_end(moment: pd.Timestamp | None) -> float:
    if moment is None:
        return np.nan
    end = (moment.tz_localize(None).normalize() + pd.offsets.QuarterEnd(0) + pd.Timedelta(days=1)).tz_localize("UTC")
    return float((end - moment) / pd.Timedelta(days=1))
