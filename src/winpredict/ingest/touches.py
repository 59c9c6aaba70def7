"""What counts as a touch: what took place, or is still to come; a meeting once, however many were invited."""

import pandas as pd

from winpredict.ingest.quarantine import FILE, ROW, Quarantine
from winpredict.locale.text import Text, text
from winpredict.tables.rows import sorted_by
from winpredict.tables.schema import TIME_DTYPE, text_dtype

#: What a CRM may say of a meeting or a call, as profiles map it; what is not among them took place.
DONE, SCHEDULED, CANCELED, NO_SHOW, NOT_DONE = STATES = ("done", "scheduled", "canceled", "no_show", "not_done")
#: Columns that only say what counts; none of them is stored.
HELPERS_OF_TOUCHES = ("state", "is_child", "is_series", "exact_at")
_NOT_HELD: dict[str, Text] = {
    CANCELED: text("canceled or moved, so no touch"),
    NO_SHOW: text("nobody came, so no touch"),
    NOT_DONE: text("not done, so no touch"),
    SCHEDULED: text("scheduled for a time that is past and never marked as held, so no touch"),
}
_ATTENDEE = "attendee"


def counted_touches(
    activities: pd.DataFrame, now: pd.Timestamp, quarantine: Quarantine
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The touches among activities, and the people of ours whom meetings bring in.

    A meeting with colleagues has a record for each of them in some CRMs (`is_child`): it is one touch, and they are
    people involved from its time on. The header of a series (`is_series`) is none of its meetings. What was canceled,
    moved, missed or not done is no touch, and what is scheduled is one only once it was held.

    Parameters
    ----------
    activities : DataFrame
        Canonical rows with their origin.
    now : Timestamp
        What lies after it is still to come.
    quarantine : Quarantine
        Is given what does not count, and what stands at another time than its own.

    Returns
    -------
    touches, attendees : DataFrame
        Rows of ``activities`` and of ``team_members``, each with its origin.
    """
    is_child, is_series = (_flags(activities, name) for name in ("is_child", "is_series"))
    children = activities[is_child & ~is_series]
    quarantine.add("activities", activities[is_series], text("the header of a series of meetings"), "left out")
    quarantine.add(
        "activities", children, text("a colleague's record of a meeting, who counts as involved"), "left out"
    )
    kept = activities[~is_child & ~is_series]
    if "state" in kept:
        is_past = kept["occurred_at"] <= now
        for state, cause in _NOT_HELD.items():
            not_held = (kept["state"] == state).fillna(False) & (is_past if state == SCHEDULED else True)
            quarantine.add("activities", kept[not_held], cause, "left out")
            kept, is_past = kept[~not_held], is_past[~not_held]
        to_come = (kept["state"] == SCHEDULED).fillna(False)
        quarantine.add("activities", kept[to_come], text("lies in the future, a touch once it is held"), "repaired")
    if "exact_at" in kept:
        # files without such a column have none to lack
        of_files = kept["exact_at"].notna().groupby(kept[FILE], observed=True).transform("any")
        cause = text("done without a time, so it counts at its due date or its last change")
        quarantine.add("activities", kept[kept["exact_at"].isna() & of_files], cause, "repaired")
    kept = kept.drop(columns=[*HELPERS_OF_TOUCHES], errors="ignore")
    return kept, _attendees(children[children["occurred_at"] <= now])


def _flags(activities: pd.DataFrame, name: str) -> pd.Series:
    if name not in activities:
        return pd.Series(False, index=activities.index)
    return activities[name].fillna(False).astype(bool)


def _attendees(children: pd.DataFrame) -> pd.DataFrame:
    """Colleagues who took part in meetings, each once a deal, from the first of them on."""
    if "user_id" not in children:
        children = children.assign(user_id=pd.Series(dtype=text_dtype()))
    first = sorted_by(children[children["user_id"].notna()], ["deal_id", "user_id", "occurred_at"])
    first = first.drop_duplicates(["deal_id", "user_id"])
    found = first[["deal_id", "user_id", FILE, ROW]].assign(
        role=pd.Series(_ATTENDEE, index=first.index, dtype=text_dtype()),
        added_at=first["occurred_at"].astype(TIME_DTYPE),
    )
    return found.reset_index(drop=True)
