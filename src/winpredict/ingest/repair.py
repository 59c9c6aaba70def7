"""What a table holds against itself or the others: duplicates, impossible values, rows that belong nowhere."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from winpredict.ingest.duplicate_calls import joined_calls
from winpredict.ingest.outcomes import renamed_stages, with_outcomes
from winpredict.ingest.profiles import Profile
from winpredict.ingest.quarantine import FILE, ROW, Quarantine
from winpredict.ingest.repeats import in_order, without_repeats
from winpredict.ingest.touches import counted_touches
from winpredict.locale.text import text, texts
from winpredict.tables.rows import is_in, sorted_by
from winpredict.tables.schema import TABLES, TIME_DTYPE, text_dtype

#: Times the median from which an amount cannot be one; smaller ones that look odd are told by `winpredict check`.
IMPOSSIBLE_AMOUNT = 1e6
_ORIGIN = [FILE, ROW]
#: Closes that fall less than this before the creation are of the same day in another time zone.
_SAME_DAY = pd.Timedelta("1D")
#: So many of them, and this share of all that close before their creation, point to a wrong time zone.
_MIN_SAME_DAY, _MIN_SHARE = 5, 0.5


def repaired(
    tables: dict[str, pd.DataFrame],
    profile: Profile,
    known_deals: set[str],
    now: pd.Timestamp,
    quarantine: Quarantine,
    stages: Mapping[str, str] | None = None,
) -> dict[str, pd.DataFrame]:
    """Every table made sound.

    Parameters
    ----------
    tables : dict of str to DataFrame
        Converted rows with their origin; without deals, all belong to `known_deals`. They are taken out of the dict, so
        that their memory is free again.
    profile : Profile
    known_deals : set of str
        Ids of deals imported before.
    now : Timestamp
        Nothing can have been recorded after it.
    quarantine : Quarantine
        Is given what was changed or rejected.
    stages : mapping of str to str, optional
        One name for the spellings of a stage, see `winpredict.ingest.outcomes.stage_names`.

    Returns
    -------
    dict of str to DataFrame
        Without origins.
    """
    out = {}
    for name in list(tables):
        out[name] = _sound(name, renamed_stages(tables.pop(name), stages or {}), now, quarantine)
    known = set(known_deals)
    if "deals" in out:
        if "deal_history" in out:
            out["deal_history"] = _from_creation(out["deal_history"], out["deals"], quarantine)
        deals = with_outcomes(out["deals"], profile, out.get("deal_history"), quarantine)
        out["deals"] = _sound_amounts("deals", _sound_times(deals, quarantine), quarantine)
        known |= {*out["deals"]["deal_id"]}
    if "activities" in out:
        out["activities"], attendees = counted_touches(out["activities"], now, quarantine)
        if len(attendees):
            out["team_members"] = _with_attendees(out.get("team_members"), attendees, quarantine)
        out["activities"], again = joined_calls(out["activities"], out["activities"][FILE])
        quarantine.add("activities", again, text("the same call again, joined with the fuller record"), "merged")
    out = {name: _of_known_deals(name, frame, known, quarantine) for name, frame in out.items()}
    for name, frame in out.items():
        quarantine.accept(name, frame)
    if "deal_history" in out:
        out["deal_history"] = _sound_amounts("deal_history", out["deal_history"], quarantine)
        out["deal_history"] = _first_owners(out["deal_history"], out.get("deals"))
    return {name: frame.drop(columns=_ORIGIN, errors="ignore") for name, frame in out.items()}


def repaired_alone(
    tables: dict[str, pd.DataFrame], now: pd.Timestamp, quarantine: Quarantine
) -> dict[str, pd.DataFrame]:
    """Tables whose rows belong to no deal (accounts, users, quotas) made sound; see `repaired`."""
    out = {}
    for name, frame in tables.items():
        sound = _sound(name, frame, now, quarantine)
        quarantine.accept(name, sound)
        out[name] = sound.drop(columns=_ORIGIN, errors="ignore")
    return out


def _with_attendees(members: pd.DataFrame | None, attendees: pd.DataFrame, quarantine: Quarantine) -> pd.DataFrame:
    """Team members, and whoever of ours took part in a meeting without being one."""
    if members is not None:
        known = pd.MultiIndex.from_frame(members[["deal_id", "user_id"]])
        attendees = attendees[~pd.MultiIndex.from_frame(attendees[["deal_id", "user_id"]]).isin(known)]
    for path, number in attendees[FILE].value_counts().items():
        quarantine.enter("team_members", str(path), int(number))
    return attendees if members is None else pd.concat([members, attendees], ignore_index=True)


def _sound(name: str, frame: pd.DataFrame, now: pd.Timestamp, quarantine: Quarantine) -> pd.DataFrame:
    return without_repeats(name, _not_from_the_future(name, in_order(name, frame), now, quarantine), quarantine)


def _not_from_the_future(name: str, frame: pd.DataFrame, now: pd.Timestamp, quarantine: Quarantine) -> pd.DataFrame:
    """Facts cannot have been recorded after the moment of the import."""
    moments = {
        "deals": ("created_at", "closed_at"),
        "deal_history": ("changed_at",),
        "activities": ("recorded_at",),
        "team_members": ("added_at",),
        "contacts": ("added_at",),
    }
    for column in moments.get(name, ()):
        if column not in frame:
            continue
        later = frame[column] > now
        if not later.any():
            continue
        must = TABLES[name].columns[column].filled
        cause = (
            text("{column} lies in the future", column=column)
            if must
            else text("{column} lies in the future, taken as missing", column=column)
        )
        # an open deal's closing time is the day it is expected, and not used
        told = later & ~_are_open(frame) if column == "closed_at" else later
        quarantine.add(name, frame[told], cause, "rejected" if must else "repaired")
        frame = frame[~later] if must else frame.assign(**{column: frame[column].mask(later)})
    return frame


def _are_open(deals: pd.DataFrame) -> pd.Series:
    """Deals that are said to be open; where only the stage tells, it is not known yet."""
    if "outcome" in deals:
        return deals["outcome"] == "open"
    closed = deals["is_closed"] if "is_closed" in deals else pd.Series(pd.NA, index=deals.index, dtype="boolean")
    return closed.eq(False).fillna(False).astype(bool)


def _sound_times(deals: pd.DataFrame, quarantine: Quarantine) -> pd.DataFrame:
    created, closed = deals["created_at"], deals["closed_at"]
    wrong = closed < created
    if not wrong.any():
        return deals
    quarantine.add("deals", deals[wrong], text("closed before created, created_at taken as missing"), "repaired")
    same_day = int((wrong & (created - closed < _SAME_DAY)).sum())
    if same_day >= max(_MIN_SAME_DAY, _MIN_SHARE * int(wrong.sum())):
        quarantine.confirm(
            texts(
                "{n:count} deal closes less than a day before it was created, as happens where times are of another "
                "zone than the profile says",
                "{n:count} deals close less than a day before they were created, as happens where times are of another "
                "zone than the profile says",
            ),
            "time_zone: Europe/Paris",
            same_day,
        )
    return deals.assign(created_at=created.mask(wrong))


def _sound_amounts(name: str, frame: pd.DataFrame, quarantine: Quarantine) -> pd.DataFrame:
    if "amount" not in frame:
        return frame
    amount = frame["amount"]
    huge = amount > IMPOSSIBLE_AMOUNT * max(1.0, float(np.nan_to_num(amount[amount > 0].median(), nan=1.0)))
    quarantine.add(name, frame[amount < 0], text("negative amount, taken as missing"), "repaired")
    quarantine.add(name, frame[huge], text("impossibly large amount, taken as missing"), "repaired")
    return frame.assign(amount=amount.mask((amount < 0) | huge))


def _first_owners(history: pd.DataFrame, deals: pd.DataFrame | None) -> pd.DataFrame:
    """The owner of each deal at its creation: whoever stood before the first change, else today's."""
    if "owner_id" not in history or deals is None or "owner_id" not in deals:
        return history.drop(columns="owner_before", errors="ignore")
    changes = sorted_by(history[history["owner_id"].notna()], ["deal_id", "changed_at", "owner_id"])
    first = changes.drop_duplicates("deal_id").set_index("deal_id")
    if first.empty:
        first = first.assign(changed_at=pd.Series(dtype=TIME_DTYPE))  # a map of no rows forgets what it held
    before = first["owner_before"] if "owner_before" in first else pd.Series(dtype=text_dtype())
    changed = first["changed_at"].reindex(deals["deal_id"]).set_axis(deals.index).astype(TIME_DTYPE)
    at_creation = changed <= deals["created_at"]
    owner = (
        deals["deal_id"]
        .map(before)
        .astype(text_dtype())
        .fillna(deals["owner_id"].mask(is_in(deals["deal_id"], first.index)))
    )
    rows = pd.DataFrame({"deal_id": deals["deal_id"], "changed_at": deals["created_at"], "owner_id": owner})
    rows = rows[~at_creation & owner.notna() & rows["changed_at"].notna()]
    return pd.concat([history, rows], ignore_index=True).drop(columns="owner_before", errors="ignore")


def _from_creation(history: pd.DataFrame, deals: pd.DataFrame, quarantine: Quarantine) -> pd.DataFrame:
    """Changes without a time (the first stage, see `entered_stages`) dated by the creation of their deal."""
    if history["changed_at"].notna().all():
        return history
    created = pd.Series(pd.NaT, index=history.index, dtype=TIME_DTYPE)
    if "created_at" in deals:
        by_deal = deals.drop_duplicates("deal_id").set_index("deal_id")["created_at"]
        created = by_deal.reindex(history["deal_id"]).set_axis(history.index)
    dated = history.assign(changed_at=history["changed_at"].fillna(created).astype(TIME_DTYPE))
    undated = dated["changed_at"].isna()
    quarantine.add("deal_history", dated[undated], text("neither the change nor its deal is dated"), "rejected")
    return dated[~undated]


def _of_known_deals(name: str, frame: pd.DataFrame, known: set[str], quarantine: Quarantine) -> pd.DataFrame:
    if name == "deals" or "deal_id" not in frame:
        return frame
    unknown = ~is_in(frame["deal_id"], known)
    if not unknown.any():
        return frame
    quarantine.add(name, frame[unknown], text("belongs to no known deal"), "rejected")
    return frame[~unknown]
