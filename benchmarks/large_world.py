"""A sales world of any size as canonical Parquet files, written in pieces: what the large benchmarks run on.

    uv run python benchmarks/large_world.py FOLDER --deals 2000000

20 activities, up to 4 stages, 2 contacts and 2 people of ours a deal; an account has four deals, an owner 250.
Deals run over two years; about 15 in a hundred are open at the end. Wins depend on how keen the customer is, which
touches show.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

START = np.datetime64("2023-01-01", "us")
DAY = np.timedelta64(86_400_000_000, "us")
SPAN_DAYS = 730
STAGES = np.array(["Lead", "Demo", "Offer", "Contract"])
KINDS = np.array(["call", "email", "meeting"])
PIECE = 100_000


def write(folder: Path, deals: int, seed: int = 0) -> None:
    """Write the tables of a world."""
    folder.mkdir(parents=True, exist_ok=True)
    writers: dict[str, pq.ParquetWriter] = {}
    for number, first in enumerate(range(0, deals, PIECE)):
        rng = np.random.default_rng([seed, number])
        for name, frame in piece(rng, first, min(PIECE, deals - first), deals).items():
            table = pa.Table.from_pandas(frame, preserve_index=False)
            if name not in writers:
                writers[name] = pq.ParquetWriter(folder / f"{name}.parquet", table.schema)
            writers[name].write_table(table)
    for writer in writers.values():
        writer.close()
    owners = np.arange(max(deals // 250, 2))
    users = pd.DataFrame({"user_id": names("u", owners), "team": names("team ", owners % 20)})
    users.to_parquet(folder / "users.parquet", index=False)
    accounts = np.arange(max(deals // 4, 2))
    pd.DataFrame(
        {"account_id": names("c", accounts), "industry": names("industry ", accounts % 12), "employees": accounts % 977}
    ).to_parquet(folder / "accounts.parquet", index=False)


def names(prefix: str, numbers: np.ndarray) -> pd.Series:
    """Numbers as ids."""
    return prefix + pd.Series(numbers).astype(str)


def piece(rng: np.random.Generator, first: int, n: int, deals: int) -> dict[str, pd.DataFrame]:
    """The tables of `n` deals from number `first` on."""
    number = np.arange(first, first + n)
    ids = names("d", number)
    created = START + (rng.random(n) * SPAN_DAYS * DAY.astype(np.int64)).astype("timedelta64[us]")
    life = (rng.uniform(20, 200, n) * DAY.astype(np.int64)).astype("timedelta64[us]")
    owner = rng.integers(0, max(deals // 250, 2), n)
    keen = rng.normal(size=n) + 0.5 * np.sin(owner)
    end = START + SPAN_DAYS * DAY
    is_open = created + life > end
    won = rng.random(n) < 1 / (1 + np.exp(0.9 - keen))
    last = np.where(is_open, end, created + life)
    table = pd.DataFrame(
        {
            "deal_id": ids,
            "created_at": created,
            "closed_at": pd.Series(last).where(~is_open),
            "outcome": np.where(is_open, "open", np.where(won, "won", "lost")),
            "stage": np.where(is_open, rng.choice(STAGES, n), np.where(won, "Won", "Lost")),
            "amount": rng.lognormal(9, 1, n).round(),
            "owner_id": names("u", owner),
            "account_id": names("c", rng.integers(0, max(deals // 4, 2), n)),
            "product": rng.choice(["Core", "Plus", "Pro"], n),
            "lead_source": rng.choice(["web", "partner", "event", "call"], n),
            "region": rng.choice(["north", "south", "east", "west"], n),
        }
    )

    def moments(deal: np.ndarray, share: np.ndarray) -> np.ndarray:
        whole = (last - created)[deal].astype(np.int64)
        return created[deal] + (share * whole).astype("timedelta64[us]")

    counts = np.maximum(rng.poisson(20 * np.exp(0.3 * keen) / 1.05), 1)
    deal = np.repeat(np.arange(n), counts)
    occurred = moments(deal, rng.random(deal.size))
    activities = pd.DataFrame(
        {
            "activity_id": names(f"a{first}-", np.arange(deal.size)),
            "deal_id": ids.to_numpy()[deal],
            "occurred_at": occurred,
            "activity_type": KINDS[rng.integers(0, 3, deal.size)],
            "direction": np.where(rng.random(deal.size) < 0.4, "inbound", "outbound"),
            "user_id": names("u", (owner[deal] + rng.integers(0, 3, deal.size)) % max(deals // 250, 2)),
            "contact_id": names("p", number[deal] * 4 + rng.integers(0, 4, deal.size)),
        }
    )
    changes = np.repeat(np.arange(n), len(STAGES))
    rank = np.tile(np.arange(len(STAGES)), n)
    reached = np.repeat(np.where(won | is_open, len(STAGES), rng.integers(1, len(STAGES) + 1, n)), len(STAGES))
    kept = rank < reached
    changed = moments(changes, (rank + rng.random(rank.size)) / (len(STAGES) + 1))
    changed = np.where(rank == 0, created[changes], changed)
    stages = pd.DataFrame(
        {
            "deal_id": ids.to_numpy()[changes[kept]],
            "changed_at": changed[kept],
            "stage": STAGES[rank[kept]],
            "amount": (table["amount"].to_numpy()[changes] * rng.choice([0.8, 1.0, 1.2], rank.size))[kept],
            "owner_id": pd.Series(table["owner_id"].to_numpy()[changes]).where(rank == 0)[kept],
            "expected_close_date": (last[changes] + rng.integers(-30, 30, rank.size) * DAY)[kept],
        }
    )
    pairs = np.repeat(np.arange(n), 2)
    contacts = pd.DataFrame(
        {
            "deal_id": ids.to_numpy()[pairs],
            "contact_id": names("p", number[pairs] * 4 + np.tile([0, 1], n)),
            "role": rng.choice(["CEO", "Buyer", "User"], pairs.size),
            "added_at": moments(pairs, rng.random(pairs.size) * 0.5),
        }
    )
    team = pd.DataFrame(
        {
            "deal_id": ids.to_numpy()[pairs],
            "user_id": names("u", (owner[pairs] + np.tile([0, 1], n)) % max(deals // 250, 2)),
            "added_at": moments(pairs, rng.random(pairs.size) * 0.5),
        }
    )
    return {
        "deals": table,
        "activities": activities,
        "deal_history": stages,
        "contacts": contacts,
        "team_members": team,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--deals", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    write(arguments.folder, arguments.deals, arguments.seed)
