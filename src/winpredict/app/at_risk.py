"""Shown deals with a flag, and the big ones among those that a person may see."""

from functools import partial
from operator import eq

import numpy as np

from winpredict.app.shown_deals import Mask, ShownDeals
from winpredict.config import Run


def has_flag(deals: ShownDeals, flag: str) -> Mask:
    """Deals with one of the flags of `winpredict.explain.deal_flags`."""
    return deals.flags.are(lambda flags: flag in flags.split(","))


def big(deals: ShownDeals, seen: Mask, settings: Run) -> Mask:
    """The largest deals in each currency among those that a person may see, as `winpredict.explain.deal_flags.big`.

    Parameters
    ----------
    deals : ShownDeals
    seen : ndarray of bool
    settings : Run
        From which size on a deal is big.
    """
    out, priced = np.zeros(len(deals), dtype=bool), seen & ~np.isnan(deals.amounts)
    for currency in deals.currencies.present(priced):
        rows = np.flatnonzero(priced & deals.currencies.are(partial(eq, currency)))
        amounts = deals.amounts[rows]
        # the share of deals that are not larger
        place = np.searchsorted(np.sort(amounts), amounts, side="right") / len(amounts)
        out[rows] = place > 1 - settings.big_share
    return out
