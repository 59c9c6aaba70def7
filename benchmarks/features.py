"""Point-in-time features: winpredict beside Polars, DuckDB, pandas and featuretools, in one run, checked equal.

    uv run --group benchmarks python benchmarks/features.py [--deals 100000] [--repeats 5] [--growth] [--chart FILE.svg]

The set: N deals over two years, 20 activities and 8 stage changes each, 4 snapshots each. The columns: days open;
touches in all, in 7 and in 30 days; calls, emails, meetings; different team members and contacts; days since the last
touch; stage changes, days in the stage, the stage; the owner's wins and closings before as_of; whether the account won
before.
Every engine starts from the same columns in its own kind of frame and ends with one column a feature. Memory is the
peak of a process of its own above what it held with the data loaded. featuretools, which takes each cut-off time by
itself, is asked for 7 of the 16 columns of a small set.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
from measuring import (
    amount,
    in_fresh_process,
    in_older_environment,
    interleaved,
    peak,
    ratio,
    start_of_peak,
    table,
)

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


#: The columns by join, aggregate and ASOF join.
QUERY = f"""
WITH touches AS (
    SELECT
        look, count(*) AS touches,
        count(*) FILTER ("at" >= as_of - {7 * DAY}) AS touches_7d,
        count(*) FILTER ("at" >= as_of - {30 * DAY}) AS touches_30d,
        count(*) FILTER (kind = {CALL}) AS calls,
        count(*) FILTER (kind = {EMAIL}) AS emails,
        count(*) FILTER (kind = {MEETING}) AS meetings,
        count(DISTINCT "user") AS users, count(DISTINCT contact) AS contacts, max("at") AS last_touch
    FROM snapshots JOIN activities USING (deal_id) WHERE "at" < as_of GROUP BY look
), changes AS (
    SELECT look, count(*) AS stage_changes, max("at") AS entered, arg_max(stage, "at") AS stage
    FROM snapshots JOIN stages USING (deal_id) WHERE "at" < as_of GROUP BY look
), owners AS (
    SELECT owner, closed, count(*) OVER past AS owner_closed, sum(won::INTEGER) OVER past AS owner_won
    FROM deals WINDOW past AS (PARTITION BY owner ORDER BY closed ROWS UNBOUNDED PRECEDING)
), accounts AS (
    SELECT account, closed, sum(won::INTEGER) OVER past AS wins
    FROM deals WINDOW past AS (PARTITION BY account ORDER BY closed ROWS UNBOUNDED PRECEDING)
), looks AS (
    SELECT look, as_of, created, owner, account FROM snapshots JOIN deals USING (deal_id)
)
SELECT
    (as_of - created) / {DAY} AS days_open,
    coalesce(touches, 0) AS touches, coalesce(touches_7d, 0) AS touches_7d, coalesce(touches_30d, 0) AS touches_30d,
    coalesce(calls, 0) AS calls, coalesce(emails, 0) AS emails, coalesce(meetings, 0) AS meetings,
    coalesce(users, 0) AS users, coalesce(contacts, 0) AS contacts,
    (as_of - last_touch) / {DAY} AS since_touch,
    coalesce(stage_changes, 0) AS stage_changes, (as_of - entered) / {DAY} AS days_in_stage, stage::DOUBLE AS stage,
    coalesce(owner_closed, 0) AS owner_closed, coalesce(owner_won, 0)::DOUBLE AS owner_won,
    coalesce(wins, 0) > 0 AS account_won
FROM looks
ASOF LEFT JOIN owners ON owners.owner = looks.owner AND looks.as_of > owners.closed
ASOF LEFT JOIN accounts ON accounts.account = looks.account AND looks.as_of > accounts.closed
LEFT JOIN touches USING (look)
LEFT JOIN changes USING (look)
ORDER BY look
"""


def in_duckdb(data: dict[str, pd.DataFrame]) -> duckdb.DuckDBPyConnection:
    """The set as DuckDB's own tables in memory."""
    connection = duckdb.connect()
    looks = data["snapshots"].assign(look=np.arange(len(data["snapshots"])))
    for name, frame in {**data, "snapshots": looks}.items():
        connection.register("given", frame)
        connection.execute(f"CREATE TABLE {name} AS SELECT * FROM given")
    connection.unregister("given")
    return connection


def with_duckdb(connection: duckdb.DuckDBPyConnection) -> dict[str, np.ndarray]:
    """Columns by `QUERY`; what is missing becomes NaN."""
    found = connection.execute(QUERY).fetchnumpy()
    return {
        name: values.astype(np.float64).filled(np.nan) if np.ma.isMaskedArray(values) else values
        for name, values in found.items()
    }


def check_equal(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray], engine: str) -> None:
    """Every column of both, to the last bit for counts and 1e-9 for days."""
    for name, values in ours.items():
        other = np.asarray(theirs[name], dtype=np.float64)
        np.testing.assert_allclose(np.asarray(values, np.float64), other, rtol=0, atol=1e-9, err_msg=f"{engine} {name}")


#: How each engine takes the set in, and how it works on it.
ENGINES: dict[str, tuple[Callable[[dict[str, pd.DataFrame]], Any], Callable[[Any], Any]]] = {
    "winpredict": (lambda data: data, with_winpredict),
    "Polars": (lambda data: {name: pl.from_pandas(frame) for name, frame in data.items()}, with_polars),
    "DuckDB": (in_duckdb, with_duckdb),
    "pandas": (lambda data: data, with_pandas),
}


def compare(deals: int, repeats: int) -> dict[str, dict[str, float]]:
    """Print seconds, snapshot rows a second, ratios and memory; return them by engine."""
    data = make(deals)
    runs = {name: _run_of(name, data) for name in ENGINES}
    ours = with_winpredict(data)
    for name, run in runs.items():
        found = run()
        check_equal(ours, {column: np.asarray(found[column]) for column in ours}, name)
    looks = len(data["snapshots"])
    print(f"{deals:,} deals, {len(data['activities']):,} activities, {looks:,} snapshots: all columns of all equal\n")
    seconds = interleaved(runs, repeats)
    told = {}
    for name, each in seconds.items():
        memory = in_fresh_process(__file__, "--memory", name, "--deals", deals)
        told[name] = {
            "seconds": float(np.median(each)),
            "rows a second": looks / float(np.median(each)),
            "times as long": ratio(each, seconds["winpredict"]),
            "GB": memory / 1024,
        }
    header = ["engine", "seconds (median)", "snapshot rows a second", "times as long (median)", "extra peak memory, GB"]
    print(table(header, [[name, *map(amount, each.values())] for name, each in told.items()]))
    return told


def _run_of(name: str, data: dict[str, pd.DataFrame]) -> Callable[[], Any]:
    load, run = ENGINES[name]
    loaded = load(data)
    return lambda: run(loaded)


def extra_memory(name: str, deals: int) -> float:
    """Peak megabytes of one run above what the loaded data take."""
    _run_of(name, make(200))()  # what is compiled once is not of the data
    run = _run_of(name, make(deals))
    before = start_of_peak()
    run()
    return peak() - before


def compare_featuretools(deals: int) -> None:
    """Print how much longer featuretools takes for fewer columns of a small set."""
    data = make(deals)
    ours = with_winpredict(data)
    before = interleaved({"ours": lambda: with_winpredict(data)}, 5)["ours"]
    with tempfile.TemporaryDirectory() as folder:
        for name, frame in data.items():
            np.savez(Path(folder) / f"in_{name}.npz", **{column: frame[column].to_numpy() for column in frame})
        said = in_older_environment("featuretools", Path(folder))
        if said is None:
            print("\nfeaturetools could not be run here.")
            return
        theirs = dict(np.load(Path(folder) / "result.npz"))
    after = interleaved({"ours": lambda: with_winpredict(data)}, 5)["ours"]
    check_equal({name: ours[name] for name in theirs}, theirs, "featuretools")
    mine, rows, took = float(np.median([*before, *after])), len(data["snapshots"]), said["seconds"][0]
    print(
        f"\nfeaturetools (`dfs` with cut-off times, in an environment of its own with pandas 2) on {deals:,} deals, "
        f"{rows:,} snapshots, {len(theirs)} of the {len(ours)} columns, equal: {amount(took)} s, "
        f"{amount(rows / took)} rows a second; winpredict takes {amount(mine * 1000)} ms for all columns of the same "
        f"set, {amount(took / mine)} times less."
    )


def growth(deals: int, repeats: int) -> None:
    """Print what 52 snapshots a deal cost beside 4."""
    runs = {looks: _run_of("winpredict", make(deals, looks)) for looks in (4, 52)}
    for run in runs.values():
        run()
    seconds = interleaved({str(looks): run for looks, run in runs.items()}, repeats)
    print(
        f"\n52 snapshots a deal take {amount(float(np.median(seconds['52'])))} s, 4 take "
        f"{amount(float(np.median(seconds['4'])))} s: 13 times the rows for "
        f"{amount(ratio(seconds['52'], seconds['4']))} times the time."
    )


def draw(told: dict[str, dict[str, float]], deals: int, path: Path) -> None:
    """Rows a second of every engine, as bars."""
    from drawing import bars, save

    frame = pd.DataFrame({"name": list(told), "value": [each["rows a second"] for each in told.values()]})
    subtitle = f"Snapshot rows a second, 16 columns, {deals:,} deals with 20 activities and 8 stage changes each"
    save(bars(frame, "Point-in-time features: how many rows each engine makes", subtitle), path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deals", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--growth", action="store_true", help="also compare 52 snapshots a deal with 4")
    parser.add_argument(
        "--featuretools", type=int, default=0, metavar="DEALS", help="also ask featuretools, of so many"
    )
    parser.add_argument("--chart", type=Path, help="draw the rows a second to this SVG file")
    parser.add_argument("--memory", choices=ENGINES, help="only print the extra peak megabytes of one engine")
    args = parser.parse_args()
    if args.memory:
        print(json.dumps(extra_memory(args.memory, args.deals)))
        return
    told = compare(args.deals, args.repeats)
    if args.featuretools:
        compare_featuretools(args.featuretools)
    if args.growth:
        growth(args.deals, args.repeats)
    if args.chart:
        draw(told, args.deals, args.chart)


if __name__ == "__main__":
    main()
