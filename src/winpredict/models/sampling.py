"""What to learn from: all deals, or of more than fit into memory whole buckets of them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pandas as pd

from winpredict.config import Config
from winpredict.features.cross_deal_history import CrossDealFacts, CrossDealHistory
from winpredict.features.dataset import gather_cross_deal_history
from winpredict.features.snapshots import every
from winpredict.locale.text import Text, text
from winpredict.models.splits import known_before
from winpredict.tables.buckets import DealBuckets
from winpredict.tables.crm import CRMData

#: Gives the cross-deal facts of some deals.
FactsOf = Callable[[CRMData], CrossDealFacts]
#: From such facts to the cross-deal history of all deals.
Gather = Callable[[FactsOf], CrossDealHistory]


@dataclass(frozen=True)
class LearningSample:
    """Deals to learn from.

    Parameters
    ----------
    exported : CRMData
        Their tables as they were exported.
    known : CRMData
        Their tables as they were known at the day of training.
    gather : callable, optional
        Gives the cross-deal history of all deals, where these are only some of them.
    note : Text or None
        What the reader should know of the choice; None for all deals.
    """

    exported: CRMData
    known: CRMData
    gather: Gather | None = None
    note: Text | None = None


def learning_sample(
    tables: CRMData | DealBuckets, config: Config, as_of: pd.Timestamp | str | None = None
) -> LearningSample:
    """Choose the deals to learn from.

    Parameters
    ----------
    tables : CRMData or DealBuckets
        At most so many deals are taken as make ``config.snapshots.most`` snapshots: of buckets the first ones, which
        are a random sample since a hash parts them; of tables in one piece those whose id has a low hash.
    config : Config
    as_of : Timestamp or str, optional
        Learn as if on that day; by default from all that is recorded.

    Returns
    -------
    LearningSample
    """
    if isinstance(tables, CRMData):
        return _of_whole_tables(tables, known_before(tables, as_of), config)
    taken = _enough_buckets(tables, config)
    exported = tables.some(range(taken))
    then = tables if as_of is None else tables.as_known_at(as_of)
    gather: Gather = partial(gather_cross_deal_history, then)
    known = known_before(exported, as_of)
    if taken == len(tables):
        return LearningSample(exported, known, gather)
    note = text(
        "learned from {taken:count} of {all:count} buckets of deals; `winpredict learning-curve` tells what more would "
        "give",
        taken=taken,
        all=len(tables),
    )
    return LearningSample(exported, known, gather, note)


def _of_whole_tables(exported: CRMData, known: CRMData, config: Config) -> LearningSample:
    snapshots = _number_of_snapshots(known, config)
    if snapshots <= config.snapshots.most:
        return LearningSample(exported, known)
    share = config.snapshots.most / snapshots
    ids = known.deals["deal_id"]
    taken = ids[pd.util.hash_pandas_object(ids, index=False).to_numpy() / 2.0**64 < share]
    note = text(
        "learned from {taken:count} of {all:count} deals, those of {most:count} snapshots (snapshots.most); "
        "`winpredict learning-curve` tells what more would give",
        taken=len(taken),
        all=len(ids),
        most=config.snapshots.most,
    )
    return LearningSample(exported.of_deals(taken), known.of_deals(taken), partial(_cross_deal_history, known), note)


def _cross_deal_history(crm: CRMData, facts_of: FactsOf) -> CrossDealHistory:
    return CrossDealHistory(facts_of(crm))


def _number_of_snapshots(crm: CRMData, config: Config) -> int:
    snapshots = config.snapshots
    dated = crm.dated or not len(crm.deals)
    return len(every(crm, snapshots.every_days, longest_days=snapshots.longest_days) if dated else crm.deals)


def _enough_buckets(buckets: DealBuckets, config: Config) -> int:
    snapshots = 0
    for number in range(len(buckets)):
        snapshots += _number_of_snapshots(buckets.bucket(number), config)
        if snapshots > config.snapshots.most:
            return max(number, 1)
    return len(buckets)
