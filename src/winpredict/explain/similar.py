"""Closed deals that stood, at the same age, much as an open deal stands now, and how they ended."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from winpredict._common.errors import WinPredictError
from winpredict._common.times import days
from winpredict.explain.contributions import contributions
from winpredict.explain.reasons import Themes, look_at
from winpredict.models.sampling import known_before
from winpredict.models.training import TrainedModel
from winpredict.tables.crm import CRMData, utc

#: Closed deals that are compared, the latest first.
CANDIDATES = 2000
#: Fewest candidates in the deal's own stage for the others to be left out.
LEAST_IN_STAGE = 40


@dataclass(frozen=True)
class SimilarDeals:
    """Comparable closed deals.

    Parameters
    ----------
    deal_id : str
    deals : DataFrame
        Most alike first: deal_id, outcome, closed_at, days_more (days from the like moment to the close), amount (as
        it stood then), win_probability (by the model, at the like moment), distance (in log-odds, 0 is alike in all
        that matters).
    """

    deal_id: str
    deals: pd.DataFrame

    def summary(self) -> str:
        """How they ended, in words."""
        if self.deals.empty:
            return "No closed deal was ever as old as this one is, so there is none to compare it with."
        won = self.deals["outcome"] == "won"
        took = self.deals.loc[won, "days_more"].median()
        time = "" if np.isnan(took) else f"; those won took {took:.0f} more days (median)"
        return f"Of the {len(won)} closed deals most like {self.deal_id} at its age, {won.sum()} were won{time}."


def similar(
    model: TrainedModel, crm: CRMData, deal_id: str, *, as_of: pd.Timestamp | str | None = None, most: int = 20
) -> SimilarDeals:
    """Closed deals that stood, at the same age, much as this one does.

    Parameters
    ----------
    model : TrainedModel
    crm : CRMData
    deal_id : str
    as_of : Timestamp or str, optional
        By default the end of the data; deals closed at or after it are not looked at.
    most : int
        Deals at the most.

    Returns
    -------
    SimilarDeals

    Raises
    ------
    WinPredictError
        When the deal was not open, the data are undated, or the model was trained on later facts.

    Notes
    -----
    Deals are alike when the same things speak for and against them: the distance is taken between contributions by
    theme, so that what does not matter for the odds does not count, and what matters twice counts twice. Deals of the
    same stage are preferred where there are enough.
    """
    if not crm.dated:
        raise WinPredictError("these deals carry no dates, so deals cannot be compared at the same age")
    moment = crm.known_until if as_of is None else utc(as_of)
    model.refuse_hindsight(moment)
    own = look_at(crm, deal_id, moment)
    known = known_before(crm, as_of)
    looks = _at_the_age_of(own, known, moment)
    if looks.empty:
        return SimilarDeals(str(deal_id), looks.reindex(columns=_COLUMNS))
    features = model.build_features(known, pd.concat([own, looks[["deal_id", "as_of"]]], ignore_index=True))
    if "stage" in features:
        same = (features["stage"] == features["stage"].iloc[0]).to_numpy(dtype=bool)
        if same.sum() > LEAST_IN_STAGE:
            features, looks = features[same].reset_index(drop=True), looks[same[1:]].reset_index(drop=True)
    by_theme = Themes(model.info).sums(contributions(model.classifier, features).calibrated.to_numpy())
    distance = np.sqrt(((by_theme[1:] - by_theme[0]) ** 2).sum(axis=1))
    found = looks.assign(
        distance=distance,
        amount=features["amount"].to_numpy()[1:] if "amount" in features else np.nan,
        win_probability=model.classifier.predict_proba(features)[1:, 1],
    )
    ranked = found.sort_values(["distance", "deal_id"], ignore_index=True).head(most)
    return SimilarDeals(str(deal_id), ranked[_COLUMNS])


_COLUMNS = ["deal_id", "outcome", "closed_at", "days_more", "amount", "win_probability", "distance"]


def _at_the_age_of(own: pd.DataFrame, crm: CRMData, moment: pd.Timestamp | None) -> pd.DataFrame:
    """Closed deals, looked at when they were as old as the deal is; those that did not live so long are left out."""
    deals = crm.deals
    created = deals.loc[deals["deal_id"] == own["deal_id"].iloc[0], "created_at"].iloc[0]
    closed = deals[(deals["closed_at"] < moment) & (deals["outcome"] != "open")]
    closed = closed.assign(as_of=closed["created_at"] + (own["as_of"].iloc[0] - created))
    closed = closed[closed["as_of"] <= closed["closed_at"]].nlargest(CANDIDATES, "closed_at", keep="all")
    closed = closed.assign(days_more=days(closed["closed_at"] - closed["as_of"]))
    return closed[["deal_id", "as_of", "outcome", "closed_at", "days_more"]].reset_index(drop=True)
