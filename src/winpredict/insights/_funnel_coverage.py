"""How far the open pipeline covers what is left of the quotas."""

import numpy as np
import pandas as pd

from winpredict.errors import TableError
from winpredict.locale.text import text
from winpredict.tables.crm import CRMData
from winpredict.tables.schema import conform

COLUMNS = (
    "level", "name", "period_start", "period_end", "quota", "won", "remaining", "open_deals", "open_amount", "coverage",
)  # fmt: skip
_PERIOD = ["period_start", "period_end"]


def quota_rows(crm: CRMData, quota: pd.DataFrame | float | None) -> pd.DataFrame:
    """Quotas of periods that cover the moment: user_id, team, period_start, period_end, amount.

    Raises
    ------
    TableError
        When `quota` is a negative number or a frame that is no quotas table.
    """
    moment = crm.known_until
    if moment is None:
        return pd.DataFrame(columns=["user_id", "team", *_PERIOD, "amount"])
    table = crm.quotas if quota is None else _given(quota, moment)
    if table is None:
        return pd.DataFrame(columns=["user_id", "team", *_PERIOD, "amount"])
    table = table.assign(**{name: None for name in ("user_id", "team") if name not in table})
    # "31 March" means that whole day, "1 April" at midnight the end of March
    end = table["period_end"]
    date_only = (end == end.dt.normalize()) & (end.dt.day != 1)
    last = end.mask(date_only, end + pd.Timedelta(days=1))
    return table[(table["period_start"] < moment) & (moment <= last)].reset_index(drop=True)


def _given(quota: pd.DataFrame | float, moment: pd.Timestamp) -> pd.DataFrame:
    if isinstance(quota, pd.DataFrame):
        return conform(quota, "quotas")
    if not quota >= 0:
        raise TableError(
            text(
                "quota is {quota}; give what is to be sold in the quarter as a number that is not negative", quota=quota
            )
        )
    quarter = (moment - pd.Timedelta("1us")).tz_localize(None).to_period("Q")
    start, end = quarter.start_time, (quarter + 1).start_time
    return conform(pd.DataFrame({"period_start": [start], "period_end": [end], "amount": [float(quota)]}), "quotas")


def coverage(deals: pd.DataFrame, quotas: pd.DataFrame, users: pd.DataFrame | None) -> pd.DataFrame:
    """Open amount against the rest of the quota, overall, by team and by rep.

    Parameters
    ----------
    deals : DataFrame
        owner_id, owner (name), team, outcome, closed_at, amount.
    quotas : DataFrame
        Of `quota_rows`.
    users : DataFrame or None

    Returns
    -------
    DataFrame
        See `winpredict.insights.funnel.Funnel`. A team without a quota of its own has the sum of its reps' quotas, the
        whole company that of its teams and of the reps without a team.
    """
    parts = [_of_period(deals, rows, users) for _, rows in quotas.groupby(_PERIOD, sort=True)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(COLUMNS))


def _of_period(deals: pd.DataFrame, quotas: pd.DataFrame, users: pd.DataFrame | None) -> pd.DataFrame:
    start, end = quotas["period_start"].iloc[0], quotas["period_end"].iloc[0]
    keys = {"overall": pd.Series("all", index=deals.index), "team": deals["team"], "rep": deals["owner_id"]}
    won = deals["amount"].where((deals["outcome"] == "won") & (deals["closed_at"] >= start))
    is_open = deals["outcome"] == "open"
    rows = []
    for level, target in targets(quotas, users).items():
        figures = pd.DataFrame(
            {
                "won": won.groupby(keys[level]).sum(),
                "open_deals": is_open.groupby(keys[level]).sum(),
                "open_amount": deals["amount"].where(is_open).groupby(keys[level]).sum(),
            }
        ).reindex(target.index)
        rows.append(figures.fillna(0.0).assign(level=level, quota=target).rename_axis("name").reset_index())
    out = pd.concat(rows, ignore_index=True).assign(period_start=start, period_end=end)
    out["open_deals"] = out["open_deals"].astype(np.int64)
    out["remaining"] = (out["quota"] - out["won"]).clip(lower=0.0)
    out["coverage"] = (out["open_amount"] / out["remaining"]).where(out["remaining"] > 0)
    names = deals.drop_duplicates("owner_id").set_index("owner_id")["owner"]
    if users is not None and "name" in users:
        names = users.set_index("user_id")["name"].combine_first(names)
    of_reps = out["level"] == "rep"
    out.loc[of_reps, "name"] = out.loc[of_reps, "name"].map(names).fillna(out.loc[of_reps, "name"])
    return out[list(COLUMNS)]


def targets(quotas: pd.DataFrame, users: pd.DataFrame | None) -> dict[str, pd.Series]:
    """Quota of each level (overall, team, rep) by name; reps by their ids, the company as ``all``."""
    of_rep = quotas["user_id"].notna()
    of_team = quotas["team"].notna() & ~of_rep
    reps = quotas[of_rep].groupby("user_id")["amount"].sum()
    own = quotas[of_team].groupby("team")["amount"].sum()
    team_of = pd.Series(dtype=object)
    if users is not None and "team" in users:
        team_of = users.set_index("user_id")["team"]
    team = reps.index.to_series().map(team_of)
    teams = own.combine_first(reps.groupby(team).sum())
    company = quotas.loc[~of_rep & ~of_team, "amount"]
    total = company.sum() if len(company) else teams.sum() + reps[team.isna()].sum()
    return {"overall": pd.Series({"all": float(total)}), "team": teams.astype(float), "rep": reps.astype(float)}
