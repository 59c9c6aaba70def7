"""Which snapshots of deals, dated or not, are learnt from, and which are scored."""

import numpy as np
import pandas as pd

from winpredict.config import Config
from winpredict.features.snapshots import every, labelled, open_at
from winpredict.tables.crm import CRMData
from winpredict.tables.schema import TIME_DTYPE


def undated_snapshots(crm: CRMData) -> pd.DataFrame:
    """One row a closed deal, for data without dates."""
    deals = crm.deals[crm.deals["outcome"] != "open"]
    return pd.DataFrame(
        {
            "deal_id": deals["deal_id"].to_numpy(),
            "as_of": pd.Series(pd.NaT, index=range(len(deals)), dtype=TIME_DTYPE),
            "outcome": deals["outcome"].to_numpy(),
            "days_to_close": np.nan,
            "look": 1.0,
        }
    )


def pipeline(crm: CRMData, as_of: pd.Timestamp | None) -> pd.DataFrame:
    """The open deals to score: at a moment, or for undated data all that are open."""
    if crm.dated and as_of is not None:
        return open_at(crm, as_of)
    deals = crm.deals[crm.deals["outcome"] == "open"]
    return pd.DataFrame(
        {"deal_id": deals["deal_id"].to_numpy(), "as_of": pd.Series(as_of, index=range(len(deals)), dtype=TIME_DTYPE)}
    )


def training_snapshots(crm: CRMData, config: Config) -> pd.DataFrame:
    """The snapshots that training looks at, with what became of the deals."""
    if not crm.dated:
        return undated_snapshots(crm)
    snapshots = every(crm, config.snapshots.every_days, longest_days=config.snapshots.longest_days)
    return labelled(crm, snapshots)
