"""The quotas of a calendar period."""

import pandas as pd

from winpredict.insights._funnel_coverage import targets
from winpredict.tables.crm import CRMData

_SLACK = pd.Timedelta(days=2)


def quotas_of(crm: CRMData, starts: pd.Timestamp, ends: pd.Timestamp) -> dict[str, dict[str, float]]:
    """The quotas that lie within a period and fill it, added up.

    Parameters
    ----------
    crm : CRMData
    starts, ends : Timestamp
        The period; quotas may state its last day or the day after it as their end.

    Returns
    -------
    dict
        Level ("overall", "team", "rep") to name to amount; empty where the period has no quota. The company's name is
        "all", reps have theirs from the users table where it is known.
    """
    quotas = crm.quotas
    if quotas is None or quotas.empty:
        return {}
    rows = quotas[(quotas["period_start"] >= starts - _SLACK) & (quotas["period_end"] <= ends + _SLACK)]
    rows = rows[rows["period_start"] < ends - _SLACK]
    if rows.empty or rows["period_start"].min() > starts + _SLACK or rows["period_end"].max() < ends - _SLACK:
        return {}
    missing = pd.Series(pd.NA, index=rows.index, dtype=object)
    rows = rows.assign(**{name: rows.get(name, missing) for name in ("user_id", "team")})
    found = targets(rows, crm.users)
    if crm.users is not None and "name" in crm.users:
        names = crm.users.set_index("user_id")["name"]
        found["rep"].index = found["rep"].index.to_series().map(names).fillna(found["rep"].index.to_series())
    return {level: {str(name): float(amount) for name, amount in each.items()} for level, each in found.items()}
