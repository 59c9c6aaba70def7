"""One reading of one HubSpot object, to be gone on with after a kill: each step of it follows from a `Cursor`.

Everything is read through lists, which are ordered by id. What changed is found by searching for the least recently
changed records from a moment on, over and over, each time from the last moment seen: a record that changes meanwhile
only comes again. Deleted records are told by lists of their own. Two kinds of change leave no stamp on a record: that
it was merged into another (the other one tells), and that what it hangs on was merged (then it is read again).
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

import pandas as pd

from winpredict.connectors.base import Page, RawRecord
from winpredict.connectors.hubspot.api import HubSpotAPI, Payload
from winpredict.connectors.hubspot.objects import (
    ASSOCIATED,
    MERGED,
    merged_away,
    milliseconds,
    modified_at,
    modified_property,
    moment,
    raw_record,
    read_properties,
)

Step = Literal["all", "changed", "same moment", "moved", "deleted", "owners", "over"]


@dataclass(frozen=True)
class Cursor:
    """Where a reading stands, as text in `Page.resume`.

    Parameters
    ----------
    step : str
        What is read next.
    after : str
        The place in a list, or the last id seen.
    at : int
        The moment that a search starts from, in milliseconds.
    of : str
        Moved records: what was merged. Owners: whether those who left are told.

    Examples
    --------
    >>> Cursor.read(Cursor("all", after="512").text())
    Cursor(step='all', after='512', at=0, of='')
    """

    step: Step
    after: str = ""
    at: int = 0
    of: str = ""

    def text(self) -> str:
        """As JSON, without what is not set."""
        return json.dumps({name: value for name, value in asdict(self).items() if value})

    @classmethod
    def read(cls, text: str) -> "Cursor | None":
        """None for the start, and for what another version wrote: reading again does no harm."""
        try:
            return cls(**json.loads(text)) if text else None
        except (ValueError, TypeError):
            return None


class Reading:
    """Reads what was changed in one object since a moment.

    Parameters
    ----------
    api : HubSpotAPI
    name : str
        The object.
    since : Timestamp or None
        None for all that there is, deleted records left out.
    custom : callable
        Names of the account's own properties of deals to be read.
    """

    def __init__(
        self, api: HubSpotAPI, name: str, since: pd.Timestamp | None, custom: Callable[[], Sequence[str]]
    ) -> None:
        self._api, self._name, self._since, self._custom = api, name, since, custom
        self._links = ASSOCIATED.get(name, ())

    def pages(self, resume: str) -> Iterator[Page]:
        """Pages from a place on."""
        steps: dict[Step, Callable[[Cursor], tuple[list[RawRecord], Cursor]]] = {
            "all": self._all,
            "changed": self._changed,
            "same moment": self._same_moment,
            "moved": self._moved,
            "deleted": self._deleted,
            "owners": self._owners,
        }
        cursor = Cursor.read(resume) or self._start()
        while cursor.step in steps:
            records, cursor = steps[cursor.step](cursor)
            yield Page(tuple(records), cursor.text())

    def _start(self) -> Cursor:
        if self._name == "owners":
            return Cursor("owners")
        return Cursor("all") if self._since is None else Cursor("changed", at=milliseconds(self._since))

    def _all(self, cursor: Cursor) -> tuple[list[RawRecord], Cursor]:
        payload, after = self._api.listed(self._name, self._short_properties, self._links, cursor.after)
        links = self._api.links_of_listed(self._name, self._links, payload)
        records = [self._record(each, links) for each in self._filled(payload)]
        return records, Cursor("all", after=after) if after else Cursor("over")

    def _changed(self, cursor: Cursor) -> tuple[list[RawRecord], Cursor]:
        stamp = modified_property(self._name)
        found, more = self._api.searched(
            self._name, [(stamp, "GTE", str(cursor.at))], by=stamp, properties=self._short_properties
        )
        if not more:
            return self._records(found), Cursor("moved")
        last = milliseconds(modified_at(self._name, found[-1]))
        earlier = [each for each in found if milliseconds(modified_at(self._name, each)) < last]
        # those of the last moment may go on beyond the page; where they fill one, their ids part them
        next_cursor = Cursor("changed", at=last) if earlier else Cursor("same moment", at=last)
        return self._records(earlier), next_cursor

    def _same_moment(self, cursor: Cursor) -> tuple[list[RawRecord], Cursor]:
        stamp = modified_property(self._name)
        filters = [(stamp, "GTE", str(cursor.at)), (stamp, "LTE", str(cursor.at))]
        found, more = self._api.searched(
            self._name,
            [*filters, ("hs_object_id", "GT", cursor.after or "0")],
            by="hs_object_id",
            properties=self._short_properties,
        )
        if more:
            return self._records(found), Cursor("same moment", after=str(found[-1]["id"]), at=cursor.at)
        return self._records(found), Cursor("changed", at=cursor.at + 1)

    def _moved(self, cursor: Cursor) -> tuple[list[RawRecord], Cursor]:
        """Records that hang on others which were merged."""
        if not self._links or self._since is None:
            return [], Cursor("deleted")
        of = cursor.of or self._links[0]
        filters = [
            (MERGED, "HAS_PROPERTY", None),
            (modified_property(of), "GTE", str(milliseconds(self._since))),
            ("hs_object_id", "GT", cursor.after or "0"),
        ]
        merged, more = self._api.searched(of, filters, by="hs_object_id", properties=[MERGED])
        links = self._api.links(of, self._name, [str(each["id"]) for each in merged]) if merged else {}
        ids = sorted({str(to["id"]) for found in links.values() for to in found})
        # deals are read in `_filled`
        payload = [{"id": each} for each in ids] if self._name == "deals" else self._read(ids)
        records = self._records(payload)
        if more:
            return records, Cursor("moved", after=str(merged[-1]["id"]), of=of)
        others = self._links[self._links.index(of) + 1 :]
        return records, Cursor("moved", of=others[0]) if others else Cursor("deleted")

    def _deleted(self, cursor: Cursor) -> tuple[list[RawRecord], Cursor]:
        payload, after = self._api.listed(self._name, ["hs_object_id"], (), cursor.after, archived=True)
        gone = [
            RawRecord(str(each["id"]), {}, moment(each.get("archivedAt") or each["updatedAt"]), deleted=True)
            for each in payload
        ]
        records = [each for each in gone if self._since is None or each.modified_at >= self._since]
        return records, Cursor("deleted", after=after) if after else Cursor("over")

    def _owners(self, cursor: Cursor) -> tuple[list[RawRecord], Cursor]:
        """All of them each time, since no search finds those that changed; who left is told as archived."""
        left = cursor.of == "left"
        payload, after = self._api.owners(cursor.after, archived=left)
        records = [RawRecord(str(each["id"]), dict(each), moment(each["updatedAt"])) for each in payload]
        if after:
            return records, Cursor("owners", after=after, of=cursor.of)
        return records, Cursor("over") if left else Cursor("owners", of="left")

    def _records(self, payload: Sequence[Payload]) -> list[RawRecord]:
        """Records that were found by a search, with their associations, and those that were merged into them."""
        if not payload:
            return []
        links = self._api.all_links(self._name, self._links, [str(each["id"]) for each in payload])
        filled = self._filled(payload)
        return [gone for each in filled for gone in merged_away(self._name, each)] + [
            self._record(each, links) for each in filled
        ]

    def _read(self, ids: Sequence[str]) -> list[Payload]:
        return self._api.read(self._name, ids, self._properties)

    def _filled(self, payload: Sequence[Payload]) -> list[Payload]:
        """Records with all that is read of them: deals come with histories, and with properties too many for a list."""
        if self._name != "deals":
            return list(payload)
        return self._api.read(self._name, [str(each["id"]) for each in payload], self._properties, history=True)

    def _record(self, payload: Payload, links: dict[str, Any]) -> RawRecord:
        return raw_record(self._name, payload, links.get(str(payload["id"]), {}), self._properties)

    @cached_property
    def _properties(self) -> list[str]:
        own = self._custom() if self._name == "deals" else ()
        return [*read_properties(self._name), *own]

    @cached_property
    def _short_properties(self) -> list[str]:
        return [modified_property(self._name)] if self._name == "deals" else self._properties
