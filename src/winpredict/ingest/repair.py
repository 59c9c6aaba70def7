"""What a table holds against itself or the others: duplicates, impossible values, rows that belong nowhere."""

import numpy as np
import pandas as pd

from winpredict.ingest.duplicate_calls import joined_calls
from winpredict.ingest.profiles import Profile
from winpredict.ingest.quarantine import FILE, ROW, Quarantine
from winpredict.tables.schema import TABLES, TIME_DTYPE, text_dtype

#: Times the median from which an amount cannot be one; smaller ones that look odd are told by `winpredict check`.
IMPOSSIBLE_AMOUNT = 1e6
_ORIGIN = [FILE, ROW]
#: Ids made up where a file has none; a deal without its id in a file that has ids is rejected instead.
_MADE_UP_IDS = {"deals": "deal_id", "activities": "activity_id"}


def repaired(
    tables: dict[str, pd.DataFrame], profile: Profile, known_deals: set[str], now: pd.Timestamp, quarantine: Quarantine
) -> dict[str, pd.DataFrame]:
    """Every table made sound.

    Parameters
    ----------
    tables : dict of str to DataFrame
        Converted rows with their origin; without deals, all belong to `known_deals`.
    profile : Profile
    known_deals : set of str
        Ids of deals imported before.
    now : Timestamp
        Nothing can have been recorded after it.
    quarantine : Quarantine
        Is given what was changed or rejected.

    Returns
    -------
    dict of str to DataFrame
        Without origins.
    """
    out = {name: _sound(name, frame, now, quarantine) for name, frame in tables.items()}
    known = set(known_deals)
    if "deals" in out:
        if "deal_history" in out:
            out["deal_history"] = _from_creation(out["deal_history"], out["deals"])
        deals = with_outcomes(out["deals"], profile, out.get("deal_history"), quarantine)
        out["deals"] = _sound_amounts("deals", _sound_times(deals, quarantine), quarantine)
        known |= {*out["deals"]["deal_id"]}
    if "deal_history" in out:
        out["deal_history"] = _sound_amounts("deal_history", out["deal_history"], quarantine)
        out["deal_history"] = _first_owners(out["deal_history"], out.get("deals"))
    if "activities" in out:
        out["activities"], again = joined_calls(out["activities"], out["activities"][FILE])
        quarantine.add("activities", again, "the same call again, joined with the fuller record", "rejected")
    return {
        name: _of_known_deals(name, frame, known, quarantine).drop(columns=_ORIGIN, errors="ignore")
        for name, frame in out.items()
    }


def repaired_alone(
    tables: dict[str, pd.DataFrame], now: pd.Timestamp, quarantine: Quarantine
) -> dict[str, pd.DataFrame]:
    """Tables whose rows belong to no deal (accounts, users, quotas) made sound; see `repaired`."""
    return {
        name: _sound(name, frame, now, quarantine).drop(columns=_ORIGIN, errors="ignore")
        for name, frame in tables.items()
    }


def _sound(name: str, frame: pd.DataFrame, now: pd.Timestamp, quarantine: Quarantine) -> pd.DataFrame:
    in_order = _in_order(name, frame)
    return _without_repeats(name, _not_from_the_future(name, in_order, now, quarantine), quarantine)


def _in_order(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Rows sorted by what they say, so that their order in the file never matters; ids where there are none."""
    digest = _digest(frame.drop(columns=_ORIGIN))
    order = np.argsort(digest.to_numpy(), kind="stable")
    frame, digest = frame.iloc[order].reset_index(drop=True), digest.iloc[order].reset_index(drop=True)
    identifier = _MADE_UP_IDS.get(name)
    if identifier is None or (name == "deals" and identifier in frame):
        return frame
    made_up = digest.map("{:016x}".format) + "-" + digest.groupby(digest).cumcount().astype(str)
    given = frame[identifier] if identifier in frame else pd.Series(np.nan, index=frame.index, dtype=text_dtype())
    return frame.assign(**{identifier: given.fillna(made_up.astype(text_dtype()))})


def _digest(values: pd.DataFrame) -> pd.Series:
    """A number for each row that only its values decide; a column without values adds nothing."""
    total = np.zeros(len(values), np.uint64)
    for name in values:
        salt = pd.util.hash_array(np.array([str(name)], dtype=object))[0] | np.uint64(1)
        hashed = pd.util.hash_pandas_object(values[name], index=False).to_numpy() * salt
        total += np.where(values[name].isna(), np.uint64(0), hashed ^ (hashed >> np.uint64(29)))
    return pd.Series(total, index=values.index)


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
        must = TABLES[name].columns[column].filled
        cause = f"{column} lies in the future" + ("" if must else ", taken as missing")
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


def _without_repeats(name: str, frame: pd.DataFrame, quarantine: Quarantine) -> pd.DataFrame:
    values = [column for column in frame.columns if column not in _ORIGIN]
    exact = frame.duplicated(values, keep="first")
    quarantine.add(name, frame[exact], "the same row again", "rejected")
    frame = frame[~exact]
    key = list(TABLES[name].key)
    if not key:
        return frame
    if name == "deals":
        no_id = frame["deal_id"].isna()
        quarantine.add(name, frame[no_id], "deal_id is missing", "rejected")
        frame = frame[~no_id]
    latest = _latest_last(frame)
    disagreeing = latest.duplicated(key, keep="last")
    quarantine.add(name, latest[disagreeing], "the same id with other values, the later row counts", "rejected")
    return latest[~disagreeing].sort_index()


def _latest_last(frame: pd.DataFrame) -> pd.DataFrame:
    """Of rows with one id the last modified counts, else the one furthest down in the file."""
    by = [column for column in ("modified_at", "added_at", FILE, ROW) if column in frame]
    return frame.sort_values(by, kind="stable", na_position="first")


def with_outcomes(
    deals: pd.DataFrame, profile: Profile, history: pd.DataFrame | None, quarantine: Quarantine
) -> pd.DataFrame:
    """Won, lost or open; from the outcome itself, the flags, or the stage, in this order."""
    outcome = deals["outcome"] if "outcome" in deals else pd.Series(np.nan, index=deals.index, dtype=text_dtype())
    if "is_closed" in deals:
        closed, won = deals["is_closed"], deals.get("is_won", pd.Series(pd.NA, index=deals.index, dtype="boolean"))
        outcome = outcome.mask(outcome.isna() & closed.eq(False).fillna(False), "open")
        outcome = outcome.mask(outcome.isna() & (closed & won).fillna(False), "won")
        outcome = outcome.mask(outcome.isna() & (closed & ~won).fillna(False), "lost")
    stage = deals["stage"] if "stage" in deals else pd.Series(np.nan, index=deals.index, dtype=text_dtype())
    by_stage = {**dict.fromkeys(profile.stage_order, "open"), **dict.fromkeys(profile.lost, "lost")}
    by_stage |= dict.fromkeys(profile.won, "won")
    if profile.stage_order:
        unknown = stage.notna() & ~stage.isin(list(by_stage))
        quarantine.add("deals", deals[unknown & outcome.notna()], "a stage that the profile lacks", "repaired")
        quarantine.add(
            "deals", deals[unknown & outcome.isna()], "a stage that the profile lacks, taken as open", "repaired"
        )
    outcome = outcome.fillna(stage.map(by_stage).astype(text_dtype())).fillna("open")
    closed_at = deals["closed_at"] if "closed_at" in deals else pd.Series(pd.NaT, index=deals.index, dtype=TIME_DTYPE)
    closed_at = _closing_times(deals, outcome, history, profile).fillna(closed_at)
    created_at = (
        deals["created_at"] if "created_at" in deals else pd.Series(pd.NaT, index=deals.index, dtype=TIME_DTYPE)
    )
    out = deals.assign(
        outcome=outcome.astype(text_dtype()),
        stage=stage,
        created_at=created_at.astype(TIME_DTYPE),
        closed_at=closed_at.mask(outcome == "open").astype(TIME_DTYPE),
    )
    return out.drop(columns=["is_won", "is_closed", "modified_at"], errors="ignore")


def _closing_times(
    deals: pd.DataFrame, outcome: pd.Series, history: pd.DataFrame | None, profile: Profile
) -> pd.Series:
    """When a closed deal entered its last run of stages of its outcome, where the history tells."""
    missing = pd.Series(pd.NaT, index=deals.index, dtype=TIME_DTYPE)
    if history is None or "stage" not in history:
        return missing
    stages = history[history["stage"].notna()].sort_values(["deal_id", "changed_at", "stage"], kind="stable")
    ending = stages["stage"].map({**dict.fromkeys(profile.lost, "lost"), **dict.fromkeys(profile.won, "won")})
    run = (ending.fillna("open") != ending.fillna("open").groupby(stages["deal_id"]).shift()).astype(int)
    run = run.groupby(stages["deal_id"]).cumsum()
    firsts = stages.assign(ending=ending, run=run).drop_duplicates(["deal_id", "run"], keep="first")
    last = firsts.drop_duplicates("deal_id", keep="last").set_index("deal_id")
    last = last.reindex(deals["deal_id"]).set_axis(deals.index)
    return last["changed_at"].where(last["ending"] == outcome).astype(TIME_DTYPE)


def _sound_times(deals: pd.DataFrame, quarantine: Quarantine) -> pd.DataFrame:
    created, closed = deals["created_at"], deals["closed_at"]
    wrong = closed < created
    quarantine.add("deals", deals[wrong], "closed before created, created_at taken as missing", "repaired")
    return deals.assign(created_at=created.mask(wrong))


def _sound_amounts(name: str, frame: pd.DataFrame, quarantine: Quarantine) -> pd.DataFrame:
    if "amount" not in frame:
        return frame
    amount = frame["amount"]
    huge = amount > IMPOSSIBLE_AMOUNT * max(1.0, float(np.nan_to_num(amount[amount > 0].median(), nan=1.0)))
    for wrong, cause in ((amount < 0, "negative amount"), (huge, "impossibly large amount")):
        quarantine.add(name, frame[wrong], f"{cause}, taken as missing", "repaired")
    return frame.assign(amount=amount.mask((amount < 0) | huge))


def _first_owners(history: pd.DataFrame, deals: pd.DataFrame | None) -> pd.DataFrame:
    """The owner of each deal at its creation: whoever stood before the first change, else today's."""
    if "owner_id" not in history or deals is None or "owner_id" not in deals:
        return history.drop(columns="owner_before", errors="ignore")
    changes = history[history["owner_id"].notna()].sort_values(["deal_id", "changed_at", "owner_id"], kind="stable")
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
        .fillna(deals["owner_id"].mask(deals["deal_id"].isin(first.index)))
    )
    rows = pd.DataFrame({"deal_id": deals["deal_id"], "changed_at": deals["created_at"], "owner_id": owner})
    rows = rows[~at_creation & owner.notna() & rows["changed_at"].notna()]
    return pd.concat([history, rows], ignore_index=True).drop(columns="owner_before", errors="ignore")


def _from_creation(history: pd.DataFrame, deals: pd.DataFrame) -> pd.DataFrame:
    """Changes without a time (the first stage, see `entered_stages`) dated by the creation of their deal."""
    if "created_at" not in deals:
        return history[history["changed_at"].notna()]
    created = deals.drop_duplicates("deal_id").set_index("deal_id")["created_at"]
    created = created.reindex(history["deal_id"]).set_axis(history.index)
    dated = history.assign(changed_at=history["changed_at"].fillna(created).astype(TIME_DTYPE))
    return dated[dated["changed_at"].notna()]


def _of_known_deals(name: str, frame: pd.DataFrame, known: set[str], quarantine: Quarantine) -> pd.DataFrame:
    if name == "deals" or "deal_id" not in frame:
        return frame
    unknown = ~frame["deal_id"].isin(known)
    quarantine.add(name, frame[unknown], "belongs to no known deal", "rejected")
    return frame[~unknown]
