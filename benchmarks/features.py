"""Point-in-time features: winpredict beside Polars and pandas, in one run, checked equal.

    uv run python benchmarks/features.py [--deals 100000] [--repeats 5] [--growth]

The set: N deals over two years, 20 activities and 8 stage changes each, 4 snapshots each. The columns: days open;
touches in all, in 7 and in 30 days; calls, emails, meetings; different team members and contacts; days since the last
touch; stage changes, days in the stage, the stage; the owner's wins and closings before as_of; whether the account won
before.
Every engine starts from the same columns in its own kind of frame and ends with one column a feature.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import polars as pl

from winpredict.features.asof import AsOfTable

DAY = 86_400_000_000
SPAN = 730 * DAY
CALL, EMAIL, MEETING = 0, 1, 2


def make(deals: int, looks: int = 4, seed: int = 0) -> dict[str, pd.DataFrame]:
    """The standard set, as pandas frames with integer keys and microseconds."""
    rng = np.random.default_rng(seed)
    created = rng.integers(0, SPAN, deals)
    life = rng.integers(20 * DAY, 200 * DAY, deals)

    def within(n: int) -> tuple[np.ndarray, np.ndarray]:
        deal = rng.integers(0, deals, deals * n)
        return deal, created[deal] + (rng.random(deals * n) * life[deal]).astype(np.int64)

    deal, at = within(20)
    activities = pd.DataFrame(
        {"deal_id": deal, "at": at, "kind": rng.integers(0, 3, at.size), "user": rng.integers(0, 400, at.size)}
    )
    activities["contact"] = deal * 8 + rng.integers(0, 8, at.size)
    deal, at = within(8)
    stages = pd.DataFrame({"deal_id": deal, "at": at, "stage": rng.integers(0, 6, at.size)})
    stages = stages.sort_values(["deal_id", "at", "stage"]).drop_duplicates(["deal_id", "at"])
    table = pd.DataFrame(
        {
            "deal_id": np.arange(deals),
            "created": created,
            "closed": created + life,
            "won": rng.random(deals) < 0.3,
            "owner": rng.integers(0, max(deals // 250, 2), deals),
            "account": rng.integers(0, max(deals // 4, 2), deals),
        }
    )
    order = rng.permutation(deals * looks)
    deal = np.repeat(np.arange(deals), looks)[order]
    share = (np.tile(np.arange(1, looks + 1), deals) / (looks + 1))[order]
    snapshots = pd.DataFrame({"deal_id": deal, "as_of": created[deal] + (share * life[deal]).astype(np.int64)})
    return {
        "activities": activities,
        "stages": stages.sample(frac=1, random_state=1),
        "deals": table,
        "snapshots": snapshots,
    }


def with_winpredict(data: dict[str, pd.DataFrame]) -> dict[str, np.ndarray]:
    """Columns by `AsOfTable`."""
    snapshots, deals = data["snapshots"], data["deals"]
    key, as_of = snapshots["deal_id"], snapshots["as_of"]
    touches = AsOfTable(data["activities"], "deal_id", "at").at(key, as_of)
    kind = touches.column("kind").to_numpy()
    changes = AsOfTable(data["stages"], "deal_id", "at").at(key, as_of)
    by_deal = deals[["created", "owner", "account"]].to_numpy()[key.to_numpy()]
    closings = AsOfTable(deals, "owner", "closed").at(by_deal[:, 1], as_of)
    account = AsOfTable(deals, "account", "closed").at(by_deal[:, 2], as_of)
    return {
        "days_open": (as_of.to_numpy() - by_deal[:, 0]) / DAY,
        "touches": touches.count(),
        "touches_7d": touches.count(window_days=7),
        "touches_30d": touches.count(window_days=30),
        "calls": touches.count(where=kind == CALL),
        "emails": touches.count(where=kind == EMAIL),
        "meetings": touches.count(where=kind == MEETING),
        "users": touches.distinct("user"),
        "contacts": touches.distinct("contact"),
        "since_touch": touches.since_last(),
        "stage_changes": changes.count(),
        "days_in_stage": changes.since_last(),
        "stage": changes.last("stage").to_numpy(np.float64),
        "owner_closed": closings.count(),
        "owner_won": closings.count(where=closings.column("won").to_numpy()),
        "account_won": account.count(where=account.column("won").to_numpy()) > 0,
    }


def with_polars(data: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """Columns by join and group-by."""
    looks = data["snapshots"].with_row_index("row").lazy()
    deals = data["deals"].lazy()
    base = looks.join(deals.select("deal_id", "created", "owner", "account"), on="deal_id")
    touches = (
        looks.join(data["activities"].lazy(), on="deal_id")
        .filter(pl.col("at") < pl.col("as_of"))
        .group_by("row")
        .agg(
            pl.len().alias("touches"),
            (pl.col("at") >= pl.col("as_of") - 7 * DAY).sum().alias("touches_7d"),
            (pl.col("at") >= pl.col("as_of") - 30 * DAY).sum().alias("touches_30d"),
            (pl.col("kind") == CALL).sum().alias("calls"),
            (pl.col("kind") == EMAIL).sum().alias("emails"),
            (pl.col("kind") == MEETING).sum().alias("meetings"),
            pl.col("user").n_unique().alias("users"),
            pl.col("contact").n_unique().alias("contacts"),
            pl.col("at").max().alias("last_touch"),
        )
    )
    changes = (
        looks.join(data["stages"].lazy(), on="deal_id")
        .filter(pl.col("at") < pl.col("as_of"))
        .group_by("row")
        .agg(
            pl.len().alias("stage_changes"),
            pl.col("at").max().alias("entered"),
            pl.col("stage").get(pl.col("at").arg_max()).alias("stage"),
        )
    )
    closed = deals.filter(pl.col("closed").is_not_null()).sort("closed")
    owner = closed.with_columns(
        pl.int_range(1, pl.len() + 1).over("owner").alias("owner_closed"),
        pl.col("won").cast(pl.Int64).cum_sum().over("owner").alias("owner_won"),
    ).select("owner", pl.col("closed").alias("at"), "owner_closed", "owner_won")
    account = closed.with_columns(pl.col("won").cast(pl.Int64).cum_sum().over("account").alias("wins")).select(
        "account", pl.col("closed").alias("at"), "wins"
    )
    asof = {"left_on": "as_of", "right_on": "at", "strategy": "backward", "allow_exact_matches": False}
    return (
        base.sort("as_of")
        .join_asof(owner, by="owner", check_sortedness=False, **asof)
        .join_asof(account, by="account", check_sortedness=False, **asof)
        .join(touches, on="row", how="left")
        .join(changes, on="row", how="left")
        .sort("row")
        .select(
            ((pl.col("as_of") - pl.col("created")) / DAY).alias("days_open"),
            *(pl.col(n).fill_null(0) for n in ("touches", "touches_7d", "touches_30d", "calls", "emails", "meetings")),
            *(pl.col(n).fill_null(0) for n in ("users", "contacts")),
            ((pl.col("as_of") - pl.col("last_touch")) / DAY).alias("since_touch"),
            pl.col("stage_changes").fill_null(0),
            ((pl.col("as_of") - pl.col("entered")) / DAY).alias("days_in_stage"),
            pl.col("stage").cast(pl.Float64),
            pl.col("owner_closed").fill_null(0),
            pl.col("owner_won").fill_null(0),
            (pl.col("wins").fill_null(0) > 0).alias("account_won"),
        )
        .collect()
    )


def with_pandas(data: dict[str, pd.DataFrame]) -> dict[str, np.ndarray]:
    """Columns by merge and group-by."""
    looks = data["snapshots"].assign(row=np.arange(len(data["snapshots"])))
    base = looks.merge(data["deals"][["deal_id", "created", "owner", "account"]], on="deal_id").sort_values("row")
    seen = looks.merge(data["activities"], on="deal_id")
    seen = seen[seen["at"] < seen["as_of"]]
    seen = seen.assign(
        in_7=seen["at"] >= seen["as_of"] - 7 * DAY,
        in_30=seen["at"] >= seen["as_of"] - 30 * DAY,
        call=seen["kind"] == CALL,
        email=seen["kind"] == EMAIL,
        meeting=seen["kind"] == MEETING,
    )
    rows = seen.groupby("row")
    out = rows.agg(
        touches=("at", "size"),
        touches_7d=("in_7", "sum"),
        touches_30d=("in_30", "sum"),
        calls=("call", "sum"),
        emails=("email", "sum"),
        meetings=("meeting", "sum"),
        users=("user", "nunique"),
        contacts=("contact", "nunique"),
        last=("at", "max"),
    ).reindex(looks["row"])
    moved = looks.merge(data["stages"], on="deal_id")
    moved = moved[moved["at"] < moved["as_of"]].sort_values("at")
    stage = moved.groupby("row").agg(n=("at", "size"), entered=("at", "max"), stage=("stage", "last"))
    stage = stage.reindex(looks["row"])
    closed = data["deals"].sort_values("closed")
    closed = closed.assign(
        owner_closed=closed.groupby("owner").cumcount() + 1,
        owner_won=closed.groupby("owner")["won"].cumsum(),
        wins=closed.groupby("account")["won"].cumsum(),
    )
    by_time = base.sort_values("as_of")
    asof = {"left_on": "as_of", "right_on": "closed", "allow_exact_matches": False}
    owner = pd.merge_asof(by_time, closed[["owner", "closed", "owner_closed", "owner_won"]], by="owner", **asof)
    account = pd.merge_asof(by_time, closed[["account", "closed", "wins"]], by="account", **asof)
    owner, account = owner.sort_values("row"), account.sort_values("row")
    as_of = looks["as_of"].to_numpy()
    counts = ["touches", "touches_7d", "touches_30d", "calls", "emails", "meetings", "users", "contacts"]
    return {
        "days_open": (as_of - base["created"].to_numpy()) / DAY,
        **{name: out[name].fillna(0).to_numpy() for name in counts},
        "since_touch": (as_of - out["last"].to_numpy()) / DAY,
        "stage_changes": stage["n"].fillna(0).to_numpy(),
        "days_in_stage": (as_of - stage["entered"].to_numpy()) / DAY,
        "stage": stage["stage"].to_numpy(),
        "owner_closed": owner["owner_closed"].fillna(0).to_numpy(),
        "owner_won": owner["owner_won"].fillna(0).to_numpy(np.float64),
        "account_won": account["wins"].fillna(0).to_numpy(np.float64) > 0,
    }


def check_equal(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray], engine: str) -> None:
    """Every column of both, to the last bit for counts and 1e-9 for days."""
    for name, values in ours.items():
        other = np.asarray(theirs[name], dtype=np.float64)
        np.testing.assert_allclose(np.asarray(values, np.float64), other, rtol=0, atol=1e-9, err_msg=f"{engine} {name}")


def timed(run: Callable[[], object], repeats: int) -> list[float]:
    """Seconds of each of several runs."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return seconds


def compare(deals: int, repeats: int) -> None:
    """Print seconds, snapshot rows a second and ratios."""
    data = make(deals)
    frames = {name: pl.from_pandas(frame) for name, frame in data.items()}
    ours = with_winpredict(data)
    polars = with_polars(frames)
    check_equal(ours, {name: polars[name].to_numpy() for name in ours}, "Polars")
    check_equal(ours, with_pandas(data), "pandas")
    print(f"{deals:,} deals, {len(data['activities']):,} activities, {len(data['snapshots']):,} snapshots: all equal")
    runs = {"winpredict": [], "Polars": [], "pandas": []}
    for number in range(repeats):  # side by side, so that a drifting machine hits all alike
        runs["winpredict"] += timed(lambda: with_winpredict(data), 1)
        runs["Polars"] += timed(lambda: with_polars(frames), 1)
        if number < max(2, repeats // 2):
            runs["pandas"] += timed(lambda: with_pandas(data), 1)
    base = float(np.median(runs["winpredict"]))
    print("| engine | seconds (median) | snapshot rows a second | times as long |")
    print("|---|---|---|---|")
    for engine, seconds in runs.items():
        median = float(np.median(seconds))
        print(f"| {engine} | {median:.3f} | {len(data['snapshots']) / median:,.0f} | {median / base:.1f} |")


def growth(deals: int, repeats: int) -> None:
    """Print what 52 snapshots a deal cost beside 4."""
    medians = {}
    for looks in (4, 52):
        data = make(deals, looks)
        with_winpredict(data)
        medians[looks] = float(np.median(timed(lambda data=data: with_winpredict(data), repeats)))
        print(f"{looks} snapshots a deal: {medians[looks]:.3f} s")
    print(f"52 snapshots cost {medians[52] / medians[4]:.1f} times what 4 cost")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deals", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--growth", action="store_true", help="also compare 52 snapshots a deal with 4")
    arguments = parser.parse_args()
    compare(arguments.deals, arguments.repeats)
    if arguments.growth:
        growth(arguments.deals, arguments.repeats)
