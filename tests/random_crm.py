"""Small random CRMs for property tests: ties, late entries, booked meetings, reopened and undated corners."""

import numpy as np
import pandas as pd

from winpredict.tables.crm import CRMData

START = pd.Timestamp("2024-01-01", tz="UTC")
STAGES = ("Lead", "Demo", "Offer")


def random_tables(seed: int, deals: int = 12) -> dict[str, pd.DataFrame]:
    """Canonical tables, not yet conformed; times on whole hours so that ties are common."""
    rng = np.random.default_rng(seed)

    def moments(low: int, high: int, n: int) -> pd.Series:
        return START + pd.to_timedelta(rng.integers(low, high, n), unit="h")

    ids = np.array([f"d{number}" for number in range(deals)])
    created = moments(0, 24 * 30, deals)
    outcome = rng.choice(["won", "lost", "open"], deals, p=[0.4, 0.4, 0.2])
    closed = created + pd.to_timedelta(rng.integers(1, 24 * 60, deals), unit="h")
    table = pd.DataFrame(
        {
            "deal_id": ids,
            "created_at": created,
            "closed_at": pd.Series(closed).where(outcome != "open"),
            "outcome": outcome,
            "stage": np.where(outcome == "open", rng.choice(STAGES, deals), np.where(outcome == "won", "Won", "Lost")),
            "amount": rng.choice([1000.0, 2500.0, np.nan], deals),
            "owner_id": rng.choice(["ann", "bob", None], deals),
            "account_id": rng.choice(["acme", "bolt", "corp"], deals),
            "product": rng.choice(["basic", "plus"], deals),
            "region": rng.choice(["north", "south", None], deals),
            "score": rng.normal(size=deals),
        }
    )
    n = deals * 4
    history = pd.DataFrame(
        {
            "deal_id": rng.choice(ids, n),
            "changed_at": moments(0, 24 * 90, n),
            "stage": rng.choice([*STAGES, None], n),
            "amount": rng.choice([500.0, 1000.0, np.nan], n),
            "expected_close_date": pd.Series(moments(24 * 30, 24 * 120, n)).where(rng.random(n) < 0.5),
            "owner_id": rng.choice(["ann", "bob", None], n, p=[0.2, 0.2, 0.6]),
        }
    )
    n = deals * 8
    occurred = moments(0, 24 * 90, n)
    activities = pd.DataFrame(
        {
            "activity_id": [f"a{number}" for number in range(n)],
            "deal_id": rng.choice(ids, n),
            "occurred_at": occurred,
            "recorded_at": occurred + pd.to_timedelta(rng.choice([-48, 0, 0, 0, 72], n), unit="h"),
            "activity_type": rng.choice(["call", "email", "meeting"], n),
            "direction": rng.choice(["inbound", "outbound", None], n),
            "user_id": rng.choice(["ann", "bob", "cyd"], n),
            "contact_id": rng.choice(["x", "y", None], n),
            "duration_s": rng.choice([60.0, np.nan], n),
        }
    )
    pairs = pd.DataFrame({"deal_id": np.repeat(ids, 2), "contact_id": np.tile(["x", "y"], deals)})
    contacts = pairs.assign(role=rng.choice(["CEO", "Buyer"], len(pairs)), added_at=moments(0, 24 * 60, len(pairs)))
    team = pd.DataFrame({"deal_id": ids, "user_id": "cyd", "added_at": moments(0, 24 * 60, deals)})
    accounts = pd.DataFrame({"account_id": ["acme", "bolt", "corp"], "industry": ["steel", "toys", None]})
    return {
        "deals": table,
        "deal_history": history,
        "activities": activities,
        "contacts": contacts,
        "team_members": team,
        "accounts": accounts,
    }


def random_crm(seed: int, deals: int = 12) -> CRMData:
    """A bundle of `random_tables`."""
    return CRMData.from_tables(**random_tables(seed, deals), stage_order=STAGES)
