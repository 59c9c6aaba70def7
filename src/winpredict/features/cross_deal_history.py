"""Company: what deals tell of each other. How others of the same owner, account or segment ended, and when."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict._internal.atomic import replacing
from winpredict._internal.threads import loops_for
from winpredict._internal.times import days
from winpredict.features.asof import AsOfTable, find_places, gathered, microseconds, taken
from winpredict.features.events import DealEvents
from winpredict.features.observed import observed_column
from winpredict.features.pace import PaceFacts, PaceHistory
from winpredict.tables.crm import CRMData
from winpredict.tables.schema import ACTIVITY_TYPES, TIME_DTYPE, text_dtype

ALL = "\0all"
#: Before the name of an attribute: what was observed of it first.
_FIRST = "\0first "
#: Of more different results than this nobody asks the number.
_MAX_RESULTS = 1000


@dataclass(frozen=True)
class CrossDealFacts:
    """The facts of some deals that features of other deals may need; those of all buckets make a `CrossDealHistory`.

    Parameters
    ----------
    deals : DataFrame
        One row a deal: deal_id, created_at, closed_at, outcome, ``owner_at_close`` and ``amount_at_close`` (as they
        stood just before the close), owner_id, account_id, ``account_created_at``, and the static attributes, observed
        ones as they were seen last before the close.
    ownerships : DataFrame
        Columns owner, at, change: when an owner got a deal (1.0) or was rid of it (-1.0).
    won_stage_durations : DataFrame
        Columns stage, days, left_at, won_at: how long won deals stayed in each stage.
    occurrences : DataFrame
        Columns table, kind, value, events: how often deals entered each stage (table ``deal_history``, no kind) and
        had touches of each type and result (table ``activities``; no value where a touch has no result), before they
        closed.
    item_values : DataFrame
        Columns deal_id, at, change, value, list_value: line items that were put on deals (change 1.0) or taken off
        (-1.0; the values are negative too), of those that have a list price.
    filled : frozenset of str
        Tables with rows, ``table.column`` with values, and ``activities.activity_type=KIND`` that occur.
    results : frozenset of str
        Different results of touches.
    of_accounts : frozenset of str
        Which of the attributes are the account's and not the deal's own.
    intervals, moves : DataFrame
        Of `winpredict.features.pace.PaceFacts`; without rows where no model of pace is used.
    """

    deals: pd.DataFrame
    ownerships: pd.DataFrame
    won_stage_durations: pd.DataFrame
    occurrences: pd.DataFrame
    item_values: pd.DataFrame
    filled: frozenset[str]
    results: frozenset[str]
    of_accounts: frozenset[str] = frozenset()
    intervals: pd.DataFrame = field(default_factory=lambda: PaceFacts.none().intervals)
    moves: pd.DataFrame = field(default_factory=lambda: PaceFacts.none().moves)

    @classmethod
    def of(cls, events: DealEvents, attributes: Sequence[str] = ()) -> "CrossDealFacts":
        """Gather the facts of a CRM, or of one bucket of its deals.

        Parameters
        ----------
        events : DealEvents
        attributes : sequence of str
            The static attributes that may be used.
        """
        with loops_for(sum(events.crm.rows.values())):
            return cls(
                _deals(events, attributes), _ownerships(events), _won_stage_durations(events), _occurrences(events),
                _item_values(events), _filled(events.crm), _results(events.crm),
                frozenset(name for name in attributes if _is_of_account(events.crm, name)),
            )  # fmt: skip

    def save(self, folder: Path) -> None:
        """Write Parquet files, and last ``done.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        said: dict[str, list[str]] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, pd.DataFrame):
                value.to_parquet(folder / f"{each.name}.parquet", index=False)
            else:
                said[each.name] = sorted(value)
        with replacing(folder / "done.json") as temporary:
            temporary.write_text(json.dumps(said))

    @classmethod
    def load(cls, folder: Path) -> "CrossDealFacts":
        """Read what `save` wrote."""
        said = json.loads((folder / "done.json").read_text())
        frames: dict[str, Any] = {
            each.name: cls.typed(pd.read_parquet(folder / f"{each.name}.parquet", partitioning=None))
            for each in fields(cls)
            if each.name not in said
        }
        frames |= {name: frozenset(values) for name, values in said.items()}
        return cls(**frames)

    @staticmethod
    def typed(frame: pd.DataFrame) -> pd.DataFrame:
        """A frame as it was before it was stored: texts in the text dtype, whatever this pandas reads them as."""
        texts = [name for name in frame if frame[name].dtype == object or isinstance(frame[name].dtype, pd.StringDtype)]
        return frame.astype(dict.fromkeys(texts, text_dtype()))

    @classmethod
    def joined(cls, parts: Sequence["CrossDealFacts"]) -> "CrossDealFacts":
        """The facts of all buckets together."""
        gathered: dict[str, Any] = {}
        for each in fields(cls):
            values = [getattr(part, each.name) for part in parts]
            if isinstance(values[0], pd.DataFrame):
                gathered[each.name] = pd.concat(values, ignore_index=True)
            else:
                gathered[each.name] = frozenset().union(*values)
        return cls(**gathered)


class CrossDealHistory:
    """Cross-deal history as as-of tables, made once and shared by every bucket of deals.

    Parameters
    ----------
    facts : CrossDealFacts
        Of all deals.
    """

    def __init__(self, facts: CrossDealFacts) -> None:
        self.facts = facts
        self._closings: dict[str, AsOfTable] = {}
        self._creations: dict[str, AsOfTable] = {}

    def has(self, table: str, column: str | None = None) -> bool:
        """Whether a table holds rows anywhere, and (if asked) a column that is not all missing."""
        return (table if column is None else f"{table}.{column}") in self.facts.filled

    def holds(self, deal_ids: pd.Series) -> bool:
        """Whether all of these deals are among those whose history this is."""
        return all(deal_id in self._deal_ids for deal_id in deal_ids.unique())

    @cached_property
    def _deal_ids(self) -> frozenset[str]:
        return frozenset(self.facts.deals["deal_id"])

    def has_touches(self, kind: str) -> bool:
        """Whether any touch is of a kind."""
        return f"activities.activity_type={kind}" in self.facts.filled

    def number_of_values(self, attribute: str) -> int:
        """How many different values a text attribute has over all deals."""
        return int(self.facts.deals[attribute].nunique())

    @property
    def number_of_results(self) -> int:
        """How many different results touches have."""
        return len(self.facts.results)

    @cached_property
    def stages_entered(self) -> tuple[str, ...]:
        """The stages that deals entered before they closed, most often entered first, then by name."""
        return tuple(value for _, value, _ in self._occurrences("deal_history"))

    @cached_property
    def touch_results(self) -> tuple[tuple[str, str], ...]:
        """Type and result of the touches that deals had before they closed, most frequent first, then by name.

        A result that all touches of its type have says no more than the type, and is left out.
        """
        counted = [*self._occurrences("activities")]
        touches: dict[str, int] = {}
        for kind, _, events in counted:
            touches[kind] = touches.get(kind, 0) + events
        return tuple((kind, value) for kind, value, events in counted if value and events < touches[kind])

    def _occurrences(self, table: str) -> Iterator[tuple[str, str, int]]:
        """Kind and value of the events of a table, with their number, most frequent first; "" where there is none."""
        found = self.facts.occurrences
        found = found[found["table"] == table]
        counts: Counter[tuple[str, str]] = Counter()
        pairs = zip(found["kind"].fillna(""), found["value"].fillna(""), strict=True)
        for pair, events in zip(pairs, found["events"], strict=True):
            counts[pair] += int(events)
        return ((*pair, events) for pair, events in sorted(counts.items(), key=lambda each: (-each[1], each[0])))

    @cached_property
    def item_values(self) -> AsOfTable:
        """Line items with a list price that were put on deals or taken off, by the deal's account."""
        accounts = self.facts.deals.set_index("deal_id")["account_id"]
        frame = self.facts.item_values
        account = accounts.reindex(frame["deal_id"]).set_axis(frame.index)
        return AsOfTable(frame.assign(account_id=account), "account_id", "at", tiebreak=("change",))

    def closings(self, key: str) -> AsOfTable:
        """Closed deals by a column, from the moment of their closing; see `winpredict.features.past.Past.closings`."""
        if key not in self._closings:
            self._closings[key] = self._closed_by(key)
        return self._closings[key]

    def _closed_by(self, key: str) -> AsOfTable:
        closed = self._closed
        # a frame without rows would take on the rows of what is assigned to it
        of = closed.assign(key=self._grouping(key, at_close=True).loc[closed.index])
        if key in self.facts.of_accounts:
            return AsOfTable(of, "key", "closed_at", recorded="known_at")
        return AsOfTable(of.drop(columns="known_at"), "key", "closed_at")

    @cached_property
    def _closed(self) -> pd.DataFrame:
        deals = self.facts.deals
        closed = deals[deals["closed_at"].notna() & deals["outcome"].isin(("won", "lost"))]
        amount = closed["amount_at_close"].to_numpy(np.float64)
        return pd.DataFrame(
            {
                "closed_at": closed["closed_at"],
                "known_at": closed["account_created_at"],
                "deal_id": closed["deal_id"],
                "won": (closed["outcome"] == "won").to_numpy(dtype=bool),
                "cycle_days": days(closed["closed_at"] - closed["created_at"]),
                "amount": amount,
                "log_amount": np.log(np.where(amount > 0, amount, np.nan)),
            }
        )

    def creations(self, key: str) -> AsOfTable:
        """Deals by a column, from the moment of their creation; those whose time of being open is known."""
        if key not in self._creations:
            deals = self.facts.deals
            frame = deals[["created_at", "deal_id"]].assign(key=self._grouping(key))
            self._creations[key] = AsOfTable(frame[_lived(deals)], "key", "created_at")
        return self._creations[key]

    @cached_property
    def pace(self) -> PaceHistory:
        """Observed and expected moves of owners, accounts and deals."""
        return PaceHistory(PaceFacts(self.facts.intervals, self.facts.moves))

    @cached_property
    def ownerships(self) -> AsOfTable:
        """When owners got deals and were rid of them, by owner."""
        return AsOfTable(self.facts.ownerships, "owner", "at")

    @cached_property
    def won_stage_durations(self) -> AsOfTable:
        """Days that won deals spent in each stage; known once the stage was left and the deal was won."""
        return AsOfTable(self.facts.won_stage_durations, "stage", "left_at", recorded="won_at")

    def _grouping(self, key: str, *, at_close: bool = False) -> pd.Series:
        deals = self.facts.deals
        if key == ALL:
            return pd.Series(ALL, index=deals.index)
        if not at_close and f"{_FIRST}{key}" in deals:
            return deals[f"{_FIRST}{key}"]
        return deals["owner_at_close" if at_close and key == "owner_id" else key]


def _deals(events: DealEvents, attributes: Sequence[str]) -> pd.DataFrame:
    deals = events.crm.deals
    wanted = ("deal_id", "created_at", "closed_at", "outcome", "owner_id", "account_id", *attributes)
    facts = deals[[name for name in dict.fromkeys(wanted) if name in deals]].copy()
    facts["owner_at_close"] = at_close(events, "owner_id", attributes)
    facts["amount_at_close"] = at_close(events, "amount", attributes)
    facts["account_created_at"] = account_created(events.crm)
    for name in attributes:
        if _is_of_account(events.crm, name):
            facts[name] = account_column(events.crm, name)
    return facts.assign(**_observed(events, attributes))


def _is_of_account(crm: CRMData, name: str) -> bool:
    return name not in crm.deals and observed_column(crm, name) is None


def _observed(events: DealEvents, attributes: Sequence[str]) -> dict[str, pd.Series]:
    """Observed attributes just before each deal's close, and as they were seen first; by row of deals."""
    deals, seen = events.crm.deals, events.observed
    end = deals["closed_at"].fillna(events.crm.known_until)
    found = {}
    for name in attributes:
        column = observed_column(events.crm, name)
        if column is not None:
            found[name] = seen.before(column, deals["deal_id"], end)
            # at its creation nothing was observed of a deal
            found[f"{_FIRST}{name}"] = found[name].where(pd.Series(False, index=found[name].index))
        elif name in seen.names:
            found[name] = seen.before_or_first(name, deals["deal_id"], end)
            found[f"{_FIRST}{name}"] = seen.first(name, deals["deal_id"])
    return {name: values.set_axis(deals.index) for name, values in found.items()}


def at_close(events: DealEvents, column: str, attributes: Sequence[str]) -> pd.Series:
    """A versioned column just before each deal's close (a CRM may overwrite it then), by row of deals."""
    deals = events.crm.deals
    if events.crm.records_changes_of(column):
        seen = events.table("deal_history").at(deals["deal_id"], deals["closed_at"].fillna(events.crm.known_until))
        return seen.last(column).set_axis(deals.index)
    if column in deals and column in attributes:
        return deals[column]
    dtype = "float64" if column == "amount" else text_dtype()
    return pd.Series(np.nan, index=deals.index, dtype=dtype)


def account_created(crm: CRMData) -> pd.Series:
    """When each deal's account was entered, by row of deals; missing where that is not recorded."""
    if crm.accounts is None or "created_at" not in crm.accounts or "account_id" not in crm.deals:
        return pd.Series(pd.NaT, index=crm.deals.index, dtype=TIME_DTYPE)
    return account_column(crm, "account_created_at")


def account_column(crm: CRMData, name: str) -> pd.Series:
    """A column of accounts, asked for as ``account_<column>``, by row of deals."""
    assert crm.accounts is not None, f"{name} was kept by the audit, so there are accounts"
    values = gathered(crm.accounts[name.removeprefix("account_")], account_places(crm))
    return values.set_axis(crm.deals.index)


def account_places(crm: CRMData) -> NDArray[np.int64]:
    """The row of accounts of each deal, -1 where there is none; by row of deals."""
    if crm.accounts is None or "account_id" not in crm.deals:
        return np.full(len(crm.deals), -1, np.int64)
    return find_places(crm.accounts["account_id"], crm.deals["account_id"])


def _ownerships(events: DealEvents) -> pd.DataFrame:
    deals = events.crm.deals[_lived(events.crm.deals)].set_index("deal_id")
    held = _owners_over_time(events).join(deals[["created_at", "closed_at"]], on="deal_id", how="inner")
    held["since"] = held["since"].where(held["since"] > held["created_at"], held["created_at"])
    held = held[~(held["since"] >= held["closed_at"])]  # what is typed at the close hands nothing on
    held = held.reset_index(drop=True)
    until = held.groupby("deal_id", sort=False)["since"].shift(-1).fillna(held["closed_at"])
    got = pd.DataFrame({"owner": held["owner"], "at": held["since"], "change": 1.0})
    rid = pd.DataFrame({"owner": held["owner"], "at": until, "change": -1.0})
    return pd.concat([got, rid[rid["at"].notna()]], ignore_index=True)


def _owners_over_time(events: DealEvents) -> pd.DataFrame:
    """Each deal's owners with the moment from which they had it, in order; without a history today's owner."""
    deals = events.crm.deals
    if not events.crm.records_changes_of("owner_id"):
        owner = deals["owner_id"] if "owner_id" in deals else pd.Series(None, index=deals.index, dtype=text_dtype())
        held = pd.DataFrame({"deal_id": deals["deal_id"], "owner": owner, "since": deals["created_at"]})
        return held[owner.notna()]
    history = events.table("deal_history")
    owner = history.column("owner_id")
    new = (owner.notna() & ~(owner == history.previous("owner_id"))).to_numpy(dtype=bool)
    columns = {"deal_id": "deal_id", "owner": "owner_id", "since": "changed_at"}
    return pd.DataFrame({name: history.column(source)[new] for name, source in columns.items()})


def _won_stage_durations(events: DealEvents) -> pd.DataFrame:
    if not events.crm.records_changes_of("stage"):
        times = pd.Series(pd.NaT, index=range(0), dtype=TIME_DTYPE)
        return pd.DataFrame(
            {"stage": pd.Series(dtype=text_dtype()), "days": np.zeros(0), "left_at": times, "won_at": times}
        )
    changes = events.stage_changes
    deals = events.crm.deals.set_index("deal_id")
    won = deals["closed_at"].where(deals["outcome"] == "won")
    frame = pd.DataFrame(
        {
            "stage": changes.previous("stage"),
            "days": changes.gaps(),
            "left_at": changes.column("changed_at"),
            "won_at": won.reindex(changes.column("deal_id")).reset_index(drop=True),
        }
    )
    return frame.dropna().reset_index(drop=True)


def _occurrences(events: DealEvents) -> pd.DataFrame:
    found = []
    if events.crm.records_changes_of("stage"):
        found.append(_counted(events, "deal_history", events.stage_changes, None, "stage"))
    if events.crm.activities is not None and "result" in events.crm.activities:
        found.append(_counted(events, "activities", events.table("activities"), "activity_type", "result"))
    texts = dict.fromkeys(("table", "kind", "value"), text_dtype())
    columns = {name: pd.Series(dtype=dtype) for name, dtype in (texts | {"events": np.dtype(np.int64)}).items()}
    return pd.concat([pd.DataFrame(columns), *found], ignore_index=True).astype(texts | {"events": np.int64})


def _counted(events: DealEvents, name: str, table: AsOfTable, kind: str | None, value: str) -> pd.DataFrame:
    """How often each value occurs among what a look at a deal, taken before it closed, can see."""
    seen = table.times < _last_snapshots(events.crm, table)
    codes = table.value_codes(value) + 1
    if kind is not None:
        codes = codes + table.value_codes(kind) * (codes.max(initial=0) + 1)
    places = np.flatnonzero(seen)
    _, first, number = np.unique(codes[places], return_index=True, return_counts=True)
    kinds = None if kind is None else taken(table.column(kind), places[first])
    return pd.DataFrame(
        {"table": name, "kind": kinds, "value": taken(table.column(value), places[first]), "events": number}
    )


def _last_snapshots(crm: CRMData, table: AsOfTable) -> NDArray[np.int64]:
    """The last moment at which the deal of each event is looked at: its close, or the end of what is known."""
    sizes = np.diff(table.starts)
    of_run = taken(table.column("deal_id"), table.starts[:-1][sizes > 0])
    end = crm.deals["closed_at"] if crm.known_until is None else crm.deals["closed_at"].fillna(crm.known_until)
    row = find_places(crm.deals["deal_id"], of_run)
    moments = gathered(end, row)
    last = np.where(moments.isna(), np.iinfo(np.int64).max, microseconds(moments))
    return np.asarray(np.repeat(last, sizes[sizes > 0]), dtype=np.int64)


def _item_values(events: DealEvents) -> pd.DataFrame:
    items = events.crm.line_items
    if items is None or "list_price" not in items:
        times = pd.Series(pd.NaT, index=range(0), dtype=TIME_DTYPE)
        figures = {name: np.zeros(0) for name in ("change", "value", "list_value")}
        return pd.DataFrame({"deal_id": pd.Series(dtype=text_dtype()), "at": times} | figures)
    changes = events.item_changes
    priced = (changes.column("value").notna() & changes.column("list_value").notna()).to_numpy()
    names = ("deal_id", "at", "change", "value", "list_value")
    frame = pd.DataFrame({name: changes.column(name)[priced] for name in names}).reset_index(drop=True)
    # others know nothing of a deal before it is created
    row = find_places(events.crm.deals["deal_id"], frame["deal_id"])
    created = gathered(events.crm.deals["created_at"], row)
    frame = frame.assign(at=frame["at"].where(frame["at"] > created, created))
    return frame[frame["at"].notna()].reset_index(drop=True)


def _filled(crm: CRMData) -> frozenset[str]:
    found = set()
    for table, frame in crm.tables():
        if frame.empty:
            continue
        found.add(table)
        found |= {f"{table}.{name}" for name in frame if frame[name].notna().any()}
    if "activities" in found and crm.activities is not None:
        kinds = set(crm.activities["activity_type"].unique())
        found |= {f"activities.activity_type={kind}" for kind in ACTIVITY_TYPES if kind in kinds}
    return frozenset(found)


def _results(crm: CRMData) -> frozenset[str]:
    if crm.activities is None or "result" not in crm.activities:
        return frozenset()
    return frozenset(sorted(crm.activities["result"].dropna().unique())[: _MAX_RESULTS + 1])


def _lived(deals: pd.DataFrame) -> pd.Series:
    """Deals whose time of being open is known: a closed one without the day of its close would seem open for good."""
    return deals["created_at"].notna() & (deals["closed_at"].notna() | (deals["outcome"] == "open"))
