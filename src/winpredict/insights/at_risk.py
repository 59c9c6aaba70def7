"""Big deals at risk: those whose odds fall, and those that nobody touches."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict._internal.times import days
from winpredict.config import Run


def deals_at_risk(deals: pd.DataFrame, settings: Run) -> pd.DataFrame:
    """The big ones among some open deals whose odds fall or that nobody touches, the largest first.

    Parameters
    ----------
    deals : DataFrame
        amount (none above zero counts as unknown), currency (if there are several), move (of the odds lately; missing
        where unknown) and silent (days since the last touch; likewise). A deal is big among those of its currency.
    settings : Run
        From which size, move and silence.

    Returns
    -------
    DataFrame
        Those rows, with falls and is_silent (bool) added.

    Examples
    --------
    >>> deals = pd.DataFrame({"amount": [9.0, 8.0, 7.0, 1.0], "move": [-0.2, 0.1, 0.0, -0.3], "silent": [1, 2, 30, 9]})
    >>> deals_at_risk(deals, Run(big_share=0.75))[["amount", "falls", "is_silent"]].values.tolist()
    [[9.0, True, False], [7.0, False, True]]
    """
    amount = deals["amount"].where(deals["amount"] > 0)
    same_money = amount.groupby(deals["currency"], dropna=False) if "currency" in deals else amount
    big = same_money.rank(pct=True, method="max") > 1 - settings.big_share
    told = deals.assign(
        falls=deals["move"].fillna(0.0) <= -settings.moved_points / 100,
        is_silent=deals["silent"] >= settings.silent_days,
    )
    return told[big & (told["falls"] | told["is_silent"])].sort_values("amount", ascending=False, kind="stable")


def silence(last_touch: pd.Series, created_at: pd.Series, now: pd.Timestamp) -> NDArray[np.float64]:
    """Days since the last touch, or since the creation where there was none; NaN for all where no touch is on record.

    Without a single touch, nobody can say which deals are left alone.

    Examples
    --------
    >>> touched, created = pd.to_datetime(["2025-03-01", None]), pd.to_datetime(["2025-01-01", "2025-03-03"])
    >>> silence(pd.Series(touched), pd.Series(created), pd.Timestamp("2025-03-08")).tolist()
    [7.0, 5.0]
    """
    since = last_touch.fillna(created_at) if last_touch.notna().any() else last_touch
    return days(pd.Series(now, index=created_at.index) - since)
