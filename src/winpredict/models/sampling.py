"""What to learn from: all deals, or of more than fit into memory whole buckets of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from winpredict.config import Config
from winpredict.features.company import Company
from winpredict.features.dataset import gather_company
from winpredict.features.snapshots import every
from winpredict.tables.buckets import DealBuckets
from winpredict.tables.crm import CRMData, utc

#: From the static attributes in use to the cross-deal history of all deals.
CompanyOf = Callable[[Sequence[str]], Company]


@dataclass(frozen=True)
class LearningSample:
    """Deals to learn from.

    Parameters
    ----------
    exported : CRMData
        Their tables as they were exported.
    known : CRMData
        Their tables as they were known at the day of training.
    company : callable, optional
        Gives the cross-deal history of all deals, where these are only some of them.
    note : str
        What the reader should know of the choice; empty for all deals.
    """

    exported: CRMData
    known: CRMData
    company: CompanyOf | None = None
    note: str = ""


def known_before(crm: CRMData, as_of: pd.Timestamp | str | None = None) -> CRMData:
    """The data without anything dated at or after a moment, by default the end of knowledge."""
    moment = crm.known_until if as_of is None else utc(as_of)
    last = crm.last_recorded()
    if moment is None or (as_of is None and (last is None or last <= moment)):
        return crm
    return crm.as_known_at(moment)


def learning_sample(
    tables: CRMData | DealBuckets, config: Config, as_of: pd.Timestamp | str | None = None
) -> LearningSample:
    """Choose the deals to learn from.

    Parameters
    ----------
    tables : CRMData or DealBuckets
        Of buckets the first ones are taken, a random sample since a hash parts them, until they make
        ``config.snapshots.most`` snapshots.
    config : Config
    as_of : Timestamp or str, optional
        Learn as if on that day; by default from all that is recorded.

    Returns
    -------
    LearningSample
    """
    if isinstance(tables, CRMData):
        return LearningSample(tables, known_before(tables, as_of))
    taken = _enough_buckets(tables, config)
    exported = tables.some(range(taken))
    then = tables if as_of is None else tables.as_known_at(as_of)
    gathered: dict[tuple[str, ...], Company] = {}

    def company(attributes: Sequence[str]) -> Company:
        key = tuple(attributes)
        if key not in gathered:
            gathered.clear()
            gathered[key] = gather_company(then, key)
        return gathered[key]

    known = known_before(exported, as_of)
    if taken == len(tables):
        return LearningSample(exported, known, company)
    note = (
        f"learnt from {taken} of {len(tables)} buckets of deals; `winpredict learning-curve` tells what more would give"
    )
    return LearningSample(exported, known, company, note)


def _enough_buckets(buckets: DealBuckets, config: Config) -> int:
    looks = 0
    for number in range(len(buckets)):
        crm = buckets.bucket(number)
        dated = crm.dated or not len(crm.deals)
        snapshots = config.snapshots
        looks += len(every(crm, snapshots.every_days, longest_days=snapshots.longest_days) if dated else crm.deals)
        if looks > config.snapshots.most:
            return max(number, 1)
    return len(buckets)
