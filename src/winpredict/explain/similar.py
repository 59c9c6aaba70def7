"""Closed deals that stood, at the same age, much as an open deal stands now, and how they ended."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict._internal.times import days
from winpredict.errors import WinPredictError
from winpredict.explain.contributions import contributions
from winpredict.explain.reasons import snapshot_of
from winpredict.explain.themes import themes_of
from winpredict.features.cross_deal_history import CrossDealHistory
from winpredict.locale.text import said, text, texts
from winpredict.models.splits import known_before
from winpredict.models.trained import TrainedModel
from winpredict.tables.crm import CRMData, utc

#: Closed deals that are compared, the latest first.
CANDIDATES = 2000
#: Fewest candidates in the deal's own stage for the others to be left out.
MIN_IN_STAGE = 40


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
            return said("No closed deal was ever this old, so there is none to compare it with.")
        won = self.deals["outcome"] == "won"
        wins = texts(
            "Of the {count:count} closed deals most like {deal} at the same age, {won:count} was won.",
            "Of the {count:count} closed deals most like {deal} at the same age, {won:count} were won.",
            counted="won",
            won=int(won.sum()),
            count=len(won),
            deal=self.deal_id,
        )
        days_more = self.deals.loc[won, "days_more"].median()
        if np.isnan(days_more):
            return str(wins)
        time = texts(
            "Winning took {n:count} more day (median).", "Winning took {n:count} more days (median).", n=days_more
        )
        return f"{wins} {time}"


@dataclass(frozen=True)
class Comparables:
    """Closed deals as they stood at one age, to compare several open deals with.

    Parameters
    ----------
    deals : DataFrame
        deal_id, outcome, closed_at, days_more, amount, win_probability.
    by_theme : ndarray of shape (n_deals, n_themes)
        What speaks for and against each, in log-odds.
    stages : ndarray of shape (n_deals,) or None
        Where each stood; None where the model knows no stages.
    """

    deals: pd.DataFrame
    by_theme: NDArray[np.float64]
    stages: NDArray[np.object_] | None


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
        By default the end of the data; deals closed at or after it are left out.
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
        raise WinPredictError(text("these deals carry no dates, so deals cannot be compared at the same age"))
    moment = crm.known_until if as_of is None else utc(as_of)
    model.refuse_hindsight(moment)
    own = snapshot_of(crm, deal_id, moment)
    created = crm.deals.loc[crm.deals["deal_id"] == str(deal_id), "created_at"].iloc[0]
    known = known_before(crm, as_of)
    cross_deal_history = model.cross_deal_history_of(known)
    at_its_age = comparables(
        model, known, own["as_of"].iloc[0] - created, moment, cross_deal_history=cross_deal_history
    )
    return most_alike(
        model, model.build_features(known, own, cross_deal_history=cross_deal_history), deal_id, at_its_age, most=most
    )


def comparables(
    model: TrainedModel,
    crm: CRMData,
    age: pd.Timedelta,
    moment: pd.Timestamp | None,
    *,
    cross_deal_history: CrossDealHistory | None = None,
    most: int = CANDIDATES,
) -> Comparables:
    """Closed deals as they stood at an age; those that closed younger are left out.

    Parameters
    ----------
    model : TrainedModel
    crm : CRMData
    age : Timedelta
    moment : Timestamp or None
        Deals closed at or after it are left out.
    cross_deal_history : CrossDealHistory, optional
        Cross-deal history of all deals, where it was gathered before.
    most : int
        Deals at the most, the last closed ones.
    """
    snapshots = _at_age(crm, age, moment, most)
    # then their own rows are enough, and sorting everybody's takes twenty times as long
    if cross_deal_history is not None:
        crm = crm.of_deals(snapshots["deal_id"])
    features = model.build_features(crm, snapshots[["deal_id", "as_of"]], cross_deal_history=cross_deal_history)
    found = contributions(model.classifier, features)
    deals = snapshots.assign(
        amount=features["amount"].to_numpy() if "amount" in features else np.nan,
        win_probability=model.odds_of(found.by_bag)["win_probability"].to_numpy(),
    )
    stages = features["stage"].to_numpy(dtype=object) if "stage" in features else None
    return Comparables(deals, themes_of(model.info).sums(found.calibrated.to_numpy()), stages)


def most_alike(
    model: TrainedModel, features: pd.DataFrame, deal_id: str, among: Comparables, *, most: int = 20
) -> SimilarDeals:
    """Those of some closed deals that are most like an open one.

    Parameters
    ----------
    model : TrainedModel
    features : DataFrame
        One row, of the open deal.
    deal_id : str
        The open deal.
    among : Comparables
    most : int
        Deals at the most.
    """
    if among.deals.empty:
        return SimilarDeals(str(deal_id), among.deals.reindex(columns=_COLUMNS))
    own = themes_of(model.info).sums(contributions(model.classifier, features).calibrated.to_numpy())
    found = among.deals.assign(distance=np.sqrt(((among.by_theme - own) ** 2).sum(axis=1)))
    if among.stages is not None:
        same = among.stages == features["stage"].iloc[0]
        found = found[same] if same.sum() >= MIN_IN_STAGE else found
    ranked = found.sort_values(["distance", "deal_id"], ignore_index=True).head(most)
    return SimilarDeals(str(deal_id), ranked[_COLUMNS])


_COLUMNS = ["deal_id", "outcome", "closed_at", "days_more", "amount", "win_probability", "distance"]


def _at_age(crm: CRMData, age: pd.Timedelta, moment: pd.Timestamp | None, most: int) -> pd.DataFrame:
    """Closed deals at an age; those that closed younger are left out."""
    deals = crm.deals
    closed = deals[(deals["closed_at"] < moment) & (deals["outcome"] != "open")]
    closed = closed.assign(as_of=closed["created_at"] + age)
    closed = closed[closed["as_of"] <= closed["closed_at"]].nlargest(most, "closed_at", keep="all")
    closed = closed.assign(days_more=days(closed["closed_at"] - closed["as_of"]))
    return closed[["deal_id", "as_of", "outcome", "closed_at", "days_more"]].reset_index(drop=True)
