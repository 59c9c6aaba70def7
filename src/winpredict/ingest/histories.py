"""Histories that are not written as changes: stages that are dated when they are left, and states on several days."""

import pandas as pd

from winpredict.ingest.quarantine import FILE, ROW, Quarantine
from winpredict.locale.text import text


def entered_stages(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows (stage left, when) as rows (stage entered, when).

    A stage was entered when the one before it was left. The first one was entered when the deal was created, which
    these rows do not tell: its time is missing. The other values of a row were true when it was written.

    Parameters
    ----------
    rows : DataFrame
        Columns deal_id, changed_at, stage, and values at that time.

    Returns
    -------
    DataFrame
        The same columns; one row a stage entered and one for the other values.
    """
    ordered = rows.sort_values(["deal_id", "changed_at", "stage"], kind="stable", na_position="last")
    entered = ordered.groupby("deal_id", sort=False)["changed_at"].shift()
    stages = ordered.assign(changed_at=entered)[[FILE, ROW, "deal_id", "changed_at", "stage"]]
    others = [name for name in ordered.columns if name not in (FILE, ROW, "deal_id", "changed_at", "stage")]
    there = ordered["changed_at"].notna() & ordered[others].notna().any(axis=1)
    return pd.concat([stages, ordered[there].drop(columns="stage")], ignore_index=True)


def changes_between_snapshots(rows: pd.DataFrame, quarantine: Quarantine) -> pd.DataFrame:
    """Rows that are states of a deal on several days, as the changes between them.

    Parameters
    ----------
    rows : DataFrame
        Columns deal_id, changed_at (the day of the snapshot) and values as they stood then.
    quarantine : Quarantine
        Is told of the rows in which nothing had changed.

    Returns
    -------
    DataFrame
        The same columns; each value is missing where it did not change.
    """
    ordered = rows.sort_values(["deal_id", "changed_at", ROW], kind="stable", na_position="last")
    values = [name for name in ordered.columns if name not in ("deal_id", "changed_at", FILE, ROW)]
    first = ~ordered.duplicated("deal_id")
    changes = ordered.copy()
    for name in values:
        known = ordered.groupby("deal_id", sort=False)[name].ffill()
        before = known.groupby(ordered["deal_id"], sort=False).shift()
        changes[name] = ordered[name].where(first | ordered[name].ne(before))
    changed = changes[values].notna().any(axis=1)
    quarantine.add("deal_history", ordered[~changed], text("the same as in the snapshot before"), "merged")
    return changes[changed].reset_index(drop=True)
