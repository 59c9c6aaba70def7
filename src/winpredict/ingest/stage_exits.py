"""Stage histories that are written when a stage is left (Zoho), turned into the stages entered."""

import pandas as pd

from winpredict.ingest.quarantine import FILE, ROW


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
    values = ordered.drop(columns="stage")
    return pd.concat([stages, values[values["changed_at"].notna()]], ignore_index=True)
