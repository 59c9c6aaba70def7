"""The canonical tables of a simulated CRM: positions become ids, seconds become moments."""

import numpy as np
import pandas as pd

from winpredict.simulate.people import TEAM, engineer_of, owner_after
from winpredict.simulate.records import (
    CLOSED_LOST,
    CLOSED_WON,
    DAYS,
    FIRST_DAY,
    LAST_DAY,
    SECONDS_A_DAY,
    STAGE_NAMES,
    Records,
)
from winpredict.tables.crm import CRMData

_LOSS_REASONS = ("Competitor", "No Decision", "Price", "Timing")


def canonical_tables(
    deals: pd.DataFrame, accounts: pd.DataFrame, reps: int, records: Records, rng: np.random.Generator
) -> CRMData:
    """Build the canonical tables out of attributes and records.

    Parameters
    ----------
    deals : DataFrame
        One row a deal, as `simulate` draws them.
    accounts : DataFrame
        One row an account: industry, employees, created (seconds since `FIRST_DAY`).
    reps : int
        How many there are.
    records : Records
        What the CRM recorded.
    rng : Generator
        The source of chance of what is typed at the close.

    Returns
    -------
    CRMData
    """
    history = records.history.assign(deal_id=text_ids("006", records.history["deal"]))
    history["changed_at"] = _times(history["second"])
    history["stage"] = np.array(STAGE_NAMES)[history["stage"]]
    close_days = history["expected_close_day"].where(history["expected_close_day"] >= 0)
    history["expected_close_date"] = _times(close_days * SECONDS_A_DAY)
    owner = owner_after(deals["owner"].to_numpy()[history["deal"]], history["owners"].clip(lower=0).to_numpy(), reps)
    history["owner_id"] = text_ids("005", pd.Series(owner)).where(history["owners"] >= 0)
    return CRMData.from_tables(
        _deals_today(deals, records.history, history.groupby("deal")["owner_id"].last(), rng),
        deal_history=history[["deal_id", "changed_at", "stage", "amount", "expected_close_date", "owner_id"]],
        activities=_activities(deals, records.activities, reps),
        team_members=_team_members(deals, records.engineers, reps),
        contacts=_contacts(records.contacts),
        accounts=_accounts_table(accounts),
        users=_users(reps),
        stage_order=STAGE_NAMES[:CLOSED_WON],
        known_until=LAST_DAY,
    )


def _deals_today(
    deals: pd.DataFrame, history: pd.DataFrame, owner_id: pd.Series, rng: np.random.Generator
) -> pd.DataFrame:
    """Every deal as it stands at the end, with what was typed at the close."""
    close_day = history["expected_close_day"].where(history["expected_close_day"] >= 0)
    by_deal = history.assign(expected_close_day=close_day).groupby("deal", sort=True)
    today = by_deal.last().reindex(deals.index)
    closed = (today["stage"] >= CLOSED_WON).to_numpy()
    lost = (today["stage"] == CLOSED_LOST).to_numpy()
    out = deals[["deal_type", "lead_source", "product"]].assign(
        deal_id=text_ids("006", deals.index.to_series()),
        name=[f"Opp {number}" for number in deals.index],
        created_at=_times(by_deal.first()["second"]),
        closed_at=_times(today["second"].where(closed)),
        outcome=np.select([lost, closed], ["lost", "won"], "open"),
        stage=np.array(STAGE_NAMES)[today["stage"]],
        amount=today["amount"].mask(lost & (deals["lost_amount"] == "blank")),
        owner_id=owner_id,
        account_id=text_ids("001", deals["account"]),
        expected_close_date=_times(today["expected_close_day"] * SECONDS_A_DAY),
    )
    for attribute in ("region", "campaign_code", "competitor"):
        out[attribute] = deals[attribute]
    out["loss_reason"] = pd.Series(rng.choice(_LOSS_REASONS, len(out)), dtype=object).where(lost)
    # on the day of the close at the earliest, so that no morning knows more than the odds do
    signed = today["second"] + rng.integers(-28_800, 36_000, len(out))
    out["contract_signed"] = _times(signed.where(closed & ~lost & (signed < DAYS * SECONDS_A_DAY)))
    return out


def _activities(deals: pd.DataFrame, touches: pd.DataFrame, reps: int) -> pd.DataFrame:
    first_owner = deals["owner"].to_numpy()[touches["deal"]]
    owner = owner_after(first_owner, touches["owners"].to_numpy(), reps)
    colleague = engineer_of(first_owner, touches["deal"].to_numpy(), touches["engineer"].clip(lower=0).to_numpy(), reps)
    prefix = np.where(touches["kind"] == "meeting", "00UDn", "00TDn")
    return pd.DataFrame(
        {
            "activity_id": [f"{start}{number:010d}" for number, start in enumerate(prefix)],
            "deal_id": text_ids("006", touches["deal"]),
            "occurred_at": _times(touches["occurred"]),
            "recorded_at": _times(touches["recorded"]),
            "activity_type": touches["kind"],
            "direction": touches["direction"],
            "user_id": text_ids("005", pd.Series(np.where(touches["engineer"] < 0, owner, colleague))),
            "contact_id": text_ids("003", touches["deal"] * 50 + touches["contact"]),
            "duration_s": touches["duration_s"],
        }
    )


def _team_members(deals: pd.DataFrame, engineers: pd.DataFrame, reps: int) -> pd.DataFrame:
    owner = deals["owner"].to_numpy()[engineers["deal"]]
    user = engineer_of(owner, engineers["deal"].to_numpy(), engineers["number"].to_numpy(), reps)
    return pd.DataFrame(
        {
            "deal_id": text_ids("006", engineers["deal"]),
            "user_id": text_ids("005", pd.Series(user)),
            "role": "Sales Engineer",
            "added_at": _times(engineers["second"]),
        }
    )


def _contacts(contacts: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "deal_id": text_ids("006", contacts["deal"]),
            "contact_id": text_ids("003", contacts["deal"] * 50 + contacts["number"]),
            "role": contacts["role"],
            "added_at": _times(contacts["second"]),
        }
    )


def _accounts_table(accounts: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "account_id": text_ids("001", accounts.index.to_series()),
            "name": [f"Account {number}" for number in accounts.index],
            "industry": accounts["industry"],
            "employees": accounts["employees"],
            "created_at": _times(accounts["created"]),
        }
    )


def _users(reps: int) -> pd.DataFrame:
    """Reps in teams of ten, each led by its first."""
    numbers = pd.Series(range(reps))
    return pd.DataFrame(
        {
            "user_id": text_ids("005", numbers),
            "name": [f"Rep {number}" for number in numbers],
            "manager_id": text_ids("005", numbers // TEAM * TEAM),
            "team": [f"Team {number // TEAM}" for number in numbers],
            "active": True,
        }
    )


def text_ids(prefix: str, numbers: pd.Series) -> pd.Series:
    """Ids in the form of Salesforce: the prefix says what kind of record it is."""
    return pd.Series([f"{prefix}Dn{number:010d}" for number in numbers], index=numbers.index, dtype=object)


def _times(seconds: pd.Series) -> pd.Series:
    """Seconds since the first day as moments."""
    return FIRST_DAY + pd.to_timedelta(seconds, unit="s")
