"""The quotas of a calendar period."""

from typing import Any

import numpy as np
import pandas as pd

from winpredict.insights._funnel_coverage import targets
from winpredict.insights.deals import names_of_users
from winpredict.tables.crm import CRMData

_SLACK = pd.Timedelta(days=2)
_OWNER, _SPAN = ["user_id", "team"], ["period_start", "period_end"]


def quotas_of(crm: CRMData, starts: pd.Timestamp, ends: pd.Timestamp) -> dict[str, dict[str, float]]:
    """The quotas that lie within a period and fill it.

    A quota of the whole period goes before shorter ones, which are added up only where they fill it without a gap. Who
    has quotas of a part of the period alone has none for it, nor have the team and the company that theirs would be
    added up to.

    Parameters
    ----------
    crm : CRMData
    starts, ends : Timestamp
        The period; quotas may state its last day or the day after it as their end.

    Returns
    -------
    dict
        Level ("overall", "team", "rep") to name to amount; empty where the period has no quota. The company's name is
        "all", reps have the names of `winpredict.insights.deals.names_of_users` where those are known.
    """
    quotas = crm.quotas
    if quotas is None or quotas.empty:
        return {}
    rows = quotas[(quotas["period_start"] >= starts - _SLACK) & (quotas["period_end"] <= ends + _SLACK)]
    rows = rows[(rows["period_start"] < ends - _SLACK) & (rows["period_end"] > starts + _SLACK)]
    if rows.empty:
        return {}
    missing = pd.Series(pd.NA, index=rows.index, dtype=object)
    rows = rows.assign(**{name: rows.get(name, missing) for name in _OWNER})
    rows["team"] = rows["team"].where(rows["user_id"].isna())  # of a rep's quota the users table knows the team
    found = targets(_one_an_owner(rows, starts, ends), crm.users)
    found["rep"] = found["rep"].rename(index=names_of_users(crm.users).to_dict())
    return {level: _known(each) for level, each in found.items()}


def _known(amounts: pd.Series) -> dict[str, float]:
    return {str(name): float(amount) for name, amount in amounts.items() if np.isfinite(amount)}


def _one_an_owner(rows: pd.DataFrame, starts: pd.Timestamp, ends: pd.Timestamp) -> pd.DataFrame:
    """The quota of the period of each rep, team or company; infinite where theirs do not fill it, as sums are then."""
    parts = []
    for (user_id, team), own in rows.groupby(_OWNER, dropna=False, sort=True):
        spans = own.groupby(_SPAN, as_index=False)["amount"].sum()
        amount = _filling(list(spans.itertuples(index=False, name=None)), starts, ends)
        parts.append((user_id, team, np.inf if amount is None else amount))
    return pd.DataFrame(parts, columns=[*_OWNER, "amount"])


def _filling(spans: list[Any], starts: pd.Timestamp, ends: pd.Timestamp) -> float | None:
    """Sum of the amounts of spans that follow each other from start to end, the longest first; None if none do."""
    if starts >= ends - _SLACK:
        return 0.0
    next_ones = [span for span in spans if abs(span[0] - starts) <= _SLACK and span[1] > starts + _SLACK]
    for _, end, amount in sorted(next_ones, key=lambda span: (span[1], span[0]), reverse=True):
        rest = _filling(spans, end, ends)
        if rest is not None:
            return float(amount + rest)
    return None
