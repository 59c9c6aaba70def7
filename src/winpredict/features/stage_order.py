"""The order of the stages, learned from how won deals went through them, where no profile tells it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict.tables.crm import CRMData

#: With fewer won deals that went through stages, nothing can be learned; a stage that fewer of them visited is placed
#: by all deals.
MIN_DEALS = 5
#: The most recent won deals are enough to learn an order, and processes change.
MAX_DEALS = 20_000
#: Shares of fewer deals than about this count for less.
_PRIOR_DEALS = 5.0
#: Closed is a stage that so large a share of its visits enter at the close.
_CLOSED_SHARE = 0.9
_DAY = pd.Timedelta(days=1)

Floats = NDArray[np.float64]


def learned_stage_order(crm: CRMData) -> tuple[str, ...]:
    """The open stages from the first to the last, by the order in which won deals first visited them.

    Of two stages that the same deals visited, the one that most of them visited first comes first; the order is the
    one that agrees best with all pairs. Going back to a stage says nothing, as first visits alone count, and neither
    does a skipped stage. Of stages of which neither tends to be first (parallel ones), the one is first that comes
    earlier among all stages, then by name. A stage that fewer than five won deals visited is placed by
    all deals that visited it, and left out where these are fewer than five too.

    Stages that deals only enter at their close are not in the order.

    Parameters
    ----------
    crm : CRMData
        As it was known when the order is learned (`CRMData.as_known_at`): it says how deals went on.

    Returns
    -------
    tuple of str
        Empty without a history of stages, or with fewer than five won deals in it.

    Examples
    --------
    >>> ids = [f"d{number}" for number in range(6)]
    >>> deals = pd.DataFrame({
    ...     "deal_id": ids, "stage": "Won", "outcome": "won", "created_at": "2025-01-01", "closed_at": "2025-03-01",
    ... })
    >>> history = pd.DataFrame({
    ...     "deal_id": ids * 3, "stage": ["Demo"] * 6 + ["Offer"] * 6 + ["Won"] * 6,
    ...     "changed_at": ["2025-01-02"] * 6 + ["2025-02-01"] * 6 + ["2025-03-01"] * 6,
    ... })
    >>> learned_stage_order(CRMData.from_tables(deals, deal_history=history))
    ('Demo', 'Offer')
    """
    if not crm.records_changes_of("stage"):
        return ()
    visits = _open_visits(crm)
    won = visits[visits["outcome"] == "won"]
    recent = won.drop_duplicates("deal_id").sort_values(["closed_at", "deal_id"])["deal_id"].tail(MAX_DEALS)
    if len(recent) < MIN_DEALS:
        return ()
    won = won[won["deal_id"].isin(recent)]
    visitors = won["stage"].value_counts()
    common = sorted(visitors.index[visitors >= MIN_DEALS])
    return _with_rare(_ranked(common, _preferences(won, common)), visits)


def _open_visits(crm: CRMData) -> pd.DataFrame:
    """First visits of deals to stages that are not closed: deal_id, stage, at, outcome, closed_at."""
    assert crm.deal_history is not None, "it records changes of stages"
    history = crm.deal_history.loc[crm.deal_history["stage"].notna(), ["deal_id", "stage", "changed_at"]]
    firsts = history.groupby(["deal_id", "stage"], sort=True)["changed_at"].min().rename("at").reset_index()
    last = history.groupby("deal_id")["changed_at"].max().rename("last")
    deals = crm.deals.set_index("deal_id")[["outcome", "closed_at", "stage"]].rename(columns={"stage": "now"})
    visits = firsts.join(deals, on="deal_id", how="inner").join(last, on="deal_id")
    closed = _closed_stages(visits)
    # what is typed at the close says how a deal ended, and not how it went
    at_close = (visits["outcome"] != "open") & (visits["at"] >= visits["closed_at"])
    return visits[~at_close & ~visits["stage"].isin(closed)]


def _closed_stages(visits: pd.DataFrame) -> list[str]:
    """Stages that deals enter only at their close or later, or as their last one less than a day before it."""
    ended = visits["outcome"] != "open"
    before = visits["closed_at"] - visits["at"]
    at_close = ended & (~(before > pd.Timedelta(0)) | ((visits["at"] == visits["last"]) & (before < _DAY)))
    # a deal that is open, or went on from the stage, visited it on its way
    share = at_close.groupby(visits["stage"]).mean()
    return list(share.index[share >= _CLOSED_SHARE])


def _preferences(visits: pd.DataFrame, stages: Sequence[str]) -> Floats:
    """How clearly the first of two stages comes before the second, from -1 (always after it) to 1.

    The share of the deals that visited it first, less that of those that visited it later, drawn to 0 where few deals
    visited both.
    """
    place = pd.Index(stages).get_indexer(pd.Index(visits["stage"]))
    known = place >= 0
    times = visits.loc[known, "at"].to_numpy(dtype="datetime64[us]").astype(np.int64)
    deal, place = pd.factorize(visits.loc[known, "deal_id"])[0], place[known]
    rows = pd.DataFrame({"deal": deal, "place": place, "at": times})
    pairs = rows.merge(rows, on="deal", suffixes=("", "_other"))
    size = len(stages)
    cell = (pairs["place"] * size + pairs["place_other"]).to_numpy()
    sign = np.sign((pairs["at_other"] - pairs["at"]).to_numpy()).astype(np.float64)
    number = np.bincount(cell, minlength=size * size).reshape(size, size)
    sooner = np.bincount(cell, weights=sign, minlength=size * size).reshape(size, size)
    return np.asarray(sooner / (number + _PRIOR_DEALS), dtype=np.float64)


def _ranked(stages: Sequence[str], preferences: Floats) -> list[str]:
    """The order that agrees best with all preferences: by mean preference, then each stage moved where it fits best."""
    compared = np.maximum((preferences != 0).sum(axis=1), 1)
    mean = np.round(preferences.sum(axis=1) / compared, 9)
    order = sorted(range(len(stages)), key=lambda each: (-mean[each], stages[each]))
    for _ in range(len(order)):
        before = list(order)
        for stage in before:
            others = [each for each in order if each != stage]
            order = _inserted(stage, others, preferences, order.index(stage))
        if order == before:
            break
    return [stages[each] for each in order]


def _inserted(stage: int, others: list[int], preferences: Floats, now: int) -> list[int]:
    """A stage put among others where most preferences agree; where it stands now unless another place is better."""
    to_others = preferences[stage, others]
    # at place p the stage comes after the first p others and before the rest
    agreement = np.concatenate([[0.0], np.cumsum(-to_others)]) - np.concatenate([[0.0], np.cumsum(to_others)])
    best = int(np.argmax(agreement))
    place = best if agreement[best] > agreement[now] + 1e-9 else now
    return [*others[:place], stage, *others[place:]]


def _with_rare(order: list[str], visits: pd.DataFrame) -> tuple[str, ...]:
    """The order with the stages that few won deals visited, each placed by all deals that visited it."""
    visitors = visits["stage"].value_counts()
    enough = sorted(visitors.index[visitors >= MIN_DEALS])
    rare = [stage for stage in enough if stage not in order]
    if not rare:
        return tuple(order)
    chosen = visits.loc[visits["stage"].isin(rare), "deal_id"]
    stages = [*order, *rare]
    preferences = _preferences(visits[visits["deal_id"].isin(chosen)], stages)
    placed = list(range(len(order)))
    for stage in range(len(order), len(stages)):
        if (preferences[stage, placed] != 0).any():
            placed = _inserted(stage, placed, preferences, len(placed))
    return tuple(stages[each] for each in placed)
