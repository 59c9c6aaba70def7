"""Why deals were lost, where people write it down."""

import re

import pandas as pd

from winpredict.insights._rates import adjusted, difference, share

NOT_RECORDED = "(not recorded)"
#: At least this share of the filled values must be on lost deals (a reopened deal may keep its old reason).
_ON_LOST_DEALS = 0.95
#: Where more than this share of the recorded reasons are different from each other, they are free text.
_FREE_TEXT = 0.5
_COLUMNS = (
    "reason", "n", "share", "amount", "n_before", "share_before", "change", "change_low", "change_high", "p",
    "p_adjusted", "changed",
)  # fmt: skip


def loss_reason_column(deals: pd.DataFrame) -> str | None:
    """Name of the text column that says why a deal was lost; None where there is none.

    Examples
    --------
    >>> deals = pd.DataFrame({"outcome": ["won", "lost"], "Loss_Reason__c": [None, "Price"], "reason": ["a", "b"]})
    >>> loss_reason_column(deals)
    'Loss_Reason__c'
    """
    lost = deals["outcome"] == "lost"
    found = []
    for name in sorted(deals.columns):
        plain = re.sub(r"[^a-z]", "", name.lower())
        fit = ("reason" in plain) + any(word in plain for word in ("loss", "lost"))
        filled = deals[name].notna()
        if fit and _is_text(deals[name]) and filled.any() and lost[filled].mean() >= _ON_LOST_DEALS:
            several = deals.loc[filled, name].nunique() <= max(_FREE_TEXT * filled.sum(), 10)
            found.extend([(-fit, name)] if several else [])
    return min(found)[1] if found else None


def _is_text(values: pd.Series) -> bool:
    return bool(pd.api.types.is_string_dtype(values.dtype) or values.dtype == object)


def loss_reasons(now: pd.DataFrame, before: pd.DataFrame) -> pd.DataFrame:
    """Count, share and amount of each reason among the lost deals of a period, against the period before.

    Parameters
    ----------
    now, before : DataFrame
        Closed deals with outcome, reason and amount (as before the close).

    Returns
    -------
    DataFrame
        See `winpredict.insights.winrates.ClosedWon`; the most frequent reason first.
    """
    counts, earlier = _counted(now), _counted(before)
    reasons = counts.index.union(earlier.index, sort=False)
    counts = counts.reindex(reasons).fillna({"n": 0.0})
    earlier = earlier.reindex(reasons).fillna({"n": 0.0})
    total, total_before = counts["n"].sum(), earlier["n"].sum()
    found = difference(counts["n"], [total] * len(counts), earlier["n"], [total_before] * len(counts))
    out = counts.rename_axis("reason").reset_index()
    out["share"], out["share_before"] = share(counts["n"], total), share(earlier["n"], total_before)
    out["n_before"] = earlier["n"].to_numpy()
    out["change"], out["change_low"], out["change_high"], out["p"] = found
    out["p_adjusted"] = adjusted(out["p"])
    out["changed"] = ((out["change_low"] > 0) | (out["change_high"] < 0)) & (out["p_adjusted"] < 0.05)
    out = out.astype({"n": "int64", "n_before": "int64"}).sort_values(["n", "reason"], ascending=[False, True])
    return out[list(_COLUMNS)].reset_index(drop=True)


def _counted(deals: pd.DataFrame) -> pd.DataFrame:
    lost = deals[deals["outcome"] == "lost"]
    reason = lost["reason"].astype(object).where(lost["reason"].notna(), NOT_RECORDED)
    groups = lost["amount"].groupby(reason, sort=True)
    return pd.DataFrame({"n": groups.size().astype(float), "amount": groups.sum(min_count=1)})
