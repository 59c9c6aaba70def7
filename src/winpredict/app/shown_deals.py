"""The deals of the run that is shown, as columns in memory: lists filter, sort and sum these, and read only a page.

A run does not change, so its columns are read once; whatever else decides what a list shows (who reports to whom, names
that were erased) leaves a new mark in the database when it is written (`winpredict.app.database`), and what was read
under another mark is read anew.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from operator import itemgetter
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sqlalchemy import String, select, type_coerce
from sqlalchemy.orm import Session as DatabaseSession

from winpredict.app.records import LISTS_MARK, Person, Score, Setting, UTCTime
from winpredict.app.visibility import latest_run, visible_owners

Made = TypeVar("Made")
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
#: Where a session has what was read before.
KEPT = "shown deals"
#: Choices, searches and orders that are kept of a run; beyond that the one that was asked for longest ago goes.
_MOST_MADE = 300
#: Runs that are kept: whoever began to read before the latest was published goes on with the one before.
_RUNS = 2
IDS_A_STATEMENT = 500
#: Share of a run from which on all of its rows are read in one go.
_WHOLE_RUN = 0.25
#: Owners that a form offers at the most.
OWNERS_OFFERED = 500
_COLUMNS = (
    "deal_id", "owner_id", "stage", "band", "currency", "flags", "amount", "win_probability", "week_before",
)  # fmt: skip


class Words:
    """A column of texts of which many are the same; missing ones have the code -1."""

    def __init__(self, values: Sequence[str | None]) -> None:
        codes, words = pd.factorize(np.array(values, dtype=object))
        self.codes: NDArray[np.int64] = np.asarray(codes, dtype=np.int64)
        self.words: tuple[str, ...] = tuple(words)

    def are(self, wanted: Callable[[str], bool]) -> Mask:
        """Rows whose text is as wanted; a missing one never is."""
        # one more at the end, where the code of what is missing points
        return np.array([*(wanted(each) for each in self.words), False], dtype=bool)[self.codes]

    def present(self, rows: Mask) -> list[str]:
        """The texts of some rows, each once."""
        codes = np.unique(self.codes[rows])
        return [self.words[code] for code in codes if code >= 0]


class ShownDeals:
    """The deals of the run that is shown, in the order of their ids.

    Parameters
    ----------
    session : DatabaseSession
        Reads them; it is not kept.
    run_id : int or None
        None before the first run.

    Notes
    -----
    What is read later on, such as names at the first search, must be read by a session that sees the same mark.
    """

    def __init__(self, session: DatabaseSession, run_id: int | None) -> None:
        self.run_id = run_id
        rows = _plain(session, run_id, *_COLUMNS)
        rows.sort(key=itemgetter(0))
        columns: list[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [()] * len(_COLUMNS)
        ids, owners, stages, bands, currencies, flags, amounts, odds, before = columns
        self.ids: Sequence[str] = ids
        self.owners, self.stages, self.bands = Words(owners), Words(stages), Words(bands)
        self.flags = Words(flags)
        #: Empty text where none is recorded.
        self.currencies = Words([each or "" for each in currencies])
        self.amounts, self.odds, self.week_before = (
            np.array(each, dtype=np.float64) for each in (amounts, odds, before)
        )
        self._made: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def changes(self) -> Floats:
        """How the odds changed since the week before; NaN where they were not known then."""
        return self.odds - self.week_before

    def made(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What was made of this run under a key; whoever has the same key gets the same."""
        with self._lock:
            if key in self._made:
                self._made.move_to_end(key)
                there: Made = self._made[key]
                return there
        result = make()
        with self._lock:
            self._made[key] = result
            while len(self._made) > _MOST_MADE:
                self._made.popitem(last=False)
        return result

    def owners_seen_by(self, session: DatabaseSession, person: Person) -> frozenset[str] | None:
        """`winpredict.app.visibility.visible_owners`, found once for everybody who sees the same."""
        return self.made(("owners", *_sight(person)), lambda: visible_owners(session, person))

    def seen_by(self, session: DatabaseSession, person: Person) -> Mask:
        """The deals that a person may see."""
        owners = self.owners_seen_by(session, person)
        return self.made(("seen", *_sight(person)), lambda: self.of_owners(owners))

    def of_owners(self, owners: Collection[str] | None) -> Mask:
        """The deals of some users of the CRM; of everybody and of nobody for None."""
        return np.ones(len(self), dtype=bool) if owners is None else self.owners.are(lambda owner: owner in owners)

    def busiest(self, rows: Mask) -> list[str]:
        """Owners of some deals; of very many, those with the most."""
        codes = self.owners.codes[rows]
        counts = np.bincount(codes[codes >= 0], minlength=len(self.owners.words))
        most = sorted(np.flatnonzero(counts).tolist(), key=lambda code: (-counts[code], self.owners.words[code]))
        return [self.owners.words[code] for code in most[:OWNERS_OFFERED]]

    def found(self, session: DatabaseSession, search: str, *, with_names: bool) -> Mask:
        """The deals with a text in their id or, if names may be searched, in their name or account.

        Capitals and small letters are the same, in whatever alphabet.
        """

        def find() -> Mask:
            wanted, parts = search.lower(), self._searched(session, with_names=with_names)
            if "\0" in wanted:  # it stands between the texts of a deal
                return np.zeros(len(self), dtype=bool)
            return np.fromiter((wanted in each for each in parts), dtype=bool, count=len(self))

        return self.made(("search", search, with_names), find)

    def ranked(
        self, key: Hashable, session: DatabaseSession, values: Callable[[DatabaseSession], Floats], *, falls: bool
    ) -> NDArray[np.int64]:
        """Places of all deals in an order; what is not known comes last, and deals alike by their ids.

        Parameters
        ----------
        key : hashable
            Of the order.
        session : DatabaseSession
        values : callable
            What the deals are sorted by; NaN is not known.
        falls : bool
            Whether the largest comes first.
        """

        def rank() -> NDArray[np.int64]:
            by = self.made(("values", key), lambda: values(session))
            return np.argsort(-by if falls else by, kind="stable")

        return self.made(("order", key, falls), rank)

    def moments(self, session: DatabaseSession, column: str) -> Floats:
        """A column of moments, as seconds."""
        (found,) = self._read(session, column)
        moments = pd.to_datetime(pd.Series(found, dtype=object), utc=True, format="ISO8601").astype(
            "datetime64[us, UTC]"
        )
        seconds = moments.astype(np.int64).to_numpy() / 1e6
        return np.where(moments.isna(), np.nan, seconds)

    def touches_known(self, session: DatabaseSession) -> bool:
        """Whether any touch is on record: without one, nobody can say that a deal is silent."""
        touched = select(Score.deal_id).where(Score.run_id == self.run_id, Score.last_touch_at.is_not(None))
        return self.made("touches known", lambda: bool(session.scalar(select(touched.exists()))))

    def name_places(self, session: DatabaseSession) -> Floats:
        """The place of each deal's name among all, whatever its capitals; a deal without one goes by its id."""
        names, _ = self._named(session)
        shown = [(deal_id if name is None else name).lower() for name, deal_id in zip(names, self.ids, strict=True)]
        return np.asarray(pd.factorize(np.array(shown, dtype=object), sort=True)[0], dtype=np.float64)

    def rows(self, session: DatabaseSession, places: NDArray[np.int64]) -> list[Score]:
        """Whole rows of some deals, in the order of the places."""
        wanted = [self.ids[place] for place in places]
        there: dict[str, Score] = {}
        of_run = select(Score).where(Score.run_id == self.run_id)
        if len(wanted) > max(IDS_A_STATEMENT, _WHOLE_RUN * len(self)):
            there = {row.deal_id: row for row in session.scalars(of_run)}
        else:
            for some in batched(wanted, IDS_A_STATEMENT):
                there |= {row.deal_id: row for row in session.scalars(of_run.where(Score.deal_id.in_(some)))}
        return [there[deal_id] for deal_id in wanted]

    def _named(self, session: DatabaseSession) -> list[list[Any]]:
        """Names of the deals and of their accounts."""
        return self.made("names", lambda: self._read(session, "name", "account"))

    def _searched(self, session: DatabaseSession, *, with_names: bool) -> list[str]:
        """What a search looks through, in small letters: one text a deal."""

        def read() -> list[str]:
            if not with_names:
                return [each.lower() for each in self.ids]
            parts = zip(self.ids, *self._named(session), strict=True)
            return ["\0".join(each or "" for each in of_deal).lower() for of_deal in parts]

        return self.made(("searched", with_names), read)

    def _read(self, session: DatabaseSession, *columns: str) -> list[list[Any]]:
        """Further columns."""
        found = {row[0]: row for row in _plain(session, self.run_id, "deal_id", *columns)}
        return [[found[each][place + 1] for each in self.ids] for place in range(len(columns))]


def _plain(session: DatabaseSession, run_id: int | None, *columns: str) -> list[Any]:
    """Columns of all scores of a run, without the cost of objects."""
    table = Score.__table__
    of_run = (table.c[name] for name in columns)
    # moments as the driver gives them: SQLite has texts, which are read faster all at once
    plain = (type_coerce(each, String) if isinstance(each.type, UTCTime) else each for each in of_run)
    wanted = select(*plain).where(table.c.run_id == run_id)
    return list(session.connection().execute(wanted).all())


class KeptDeals:
    """The shown deals of one database, as last read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shown: OrderedDict[Hashable, ShownDeals] = OrderedDict()

    def of(self, session: DatabaseSession, mark: Hashable, run_id: int | None) -> ShownDeals:
        """What was read under a mark; read now, once, even if several ask at the same time."""
        with self._lock:
            if mark not in self._shown:
                self._shown[mark] = ShownDeals(session, run_id)
            self._shown.move_to_end(mark)
            while len(self._shown) > _RUNS:
                self._shown.popitem(last=False)
            return self._shown[mark]


def shown_deals(session: DatabaseSession) -> ShownDeals:
    """The deals of the run that is shown, as a session sees them."""
    mark = session.scalar(select(Setting.value).where(Setting.name == LISTS_MARK))
    run_id = session.scalar(latest_run())
    kept: KeptDeals | None = session.info.get(KEPT)
    return ShownDeals(session, run_id) if kept is None else kept.of(session, (mark, run_id), run_id)


def batched(values: Iterable[str], size: int) -> Iterator[list[str]]:
    """So many at a time, for statements that take a list."""
    left = iter(values)
    while some := list(islice(left, size)):
        yield some


def _sight(person: Person) -> tuple[Hashable, ...]:
    """All of a person that decides what they see."""
    return person.active, str(person.role), person.crm_user_id
