"""The least that a model learns from, and the refusal of less."""

import pandas as pd

from winpredict.errors import TooLittleDataError
from winpredict.locale.text import text
from winpredict.tables.crm import CRMData

#: Won, and lost, deals.
MIN_EACH = 20
#: Won, and lost, deals that were open on a day that is looked at.
MIN_SEEN = 10
#: Closed deals that the full model wants; a logistic regression stands in for it below that.
MIN_FOR_TREES = 200


def require_enough(crm: CRMData) -> None:
    """Refuse what no model could learn from.

    Raises
    ------
    TooLittleDataError
        With fewer than 20 won or 20 lost deals.
    """
    outcomes = crm.deals["outcome"].value_counts()
    won, lost = int(outcomes.get("won", 0)), int(outcomes.get("lost", 0))
    if min(won, lost) < MIN_EACH:
        raise TooLittleDataError(
            text(
                "there are {won} won and {lost} lost deals; {min_each} of each are the least to learn from. "
                "Import a longer history, or check that the profile's won and lost stages are right",
                won=won,
                lost=lost,
                min_each=MIN_EACH,
            )
        )


def require_snapshots(snapshots: pd.DataFrame) -> None:
    """Refuse deals that were never seen open: entered on the day they closed, say."""
    seen = snapshots.drop_duplicates("deal_id")["outcome"].value_counts()
    won, lost = int(seen.get("won", 0)), int(seen.get("lost", 0))
    if min(won, lost) < MIN_SEEN:
        raise TooLittleDataError(
            text(
                "only {won} won and {lost} lost deals were open on any day that is looked at; {min_seen} of "
                "each are the least to learn from. Deals entered when already closed teach nothing about open "
                "ones; import a longer history, or set snapshots.every_days lower",
                won=won,
                lost=lost,
                min_seen=MIN_SEEN,
            )
        )
