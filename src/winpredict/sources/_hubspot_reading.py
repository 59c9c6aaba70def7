"""One reading of one HubSpot object, to be gone on with after a kill: each step of it follows from a `Place`.

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

from winpredict.sources._hubspot_api import HubSpotAPI, Told
from winpredict.sources._hubspot_objects import (
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
from winpredict.sources.source import Page, RawRecord

Step = Literal["all", "changed", "same moment", "moved", "deleted", "owners", "over"]


@dataclass(frozen=True)
class Place:
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
    >>> Place.read(Place("all", after="512").text())
    Place(step='all', after='512', at=0, of='')
    """

    step: Step
    after: str = ""
    at: int = 0
    of: str = ""

    def text(self) -> str:
        """As JSON, without what is not set."""
        return json.dumps({name: value for name, value in asdict(self).items() if value})

    @classmethod
    def read(cls, text: str) -> "Place | None":
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
        steps: dict[Step, Callable[[Place], tuple[list[RawRecord], Place]]] = {
            "all": self._all,
            "changed": self._changed,
            "same moment": self._same_moment,
            "moved": self._moved,
            "deleted": self._deleted,
            "owners": self._owners,
        }
        place = Place.read(resume) or self._start()
        while place.step in steps:
            records, place = steps[place.step](place)
            yield Page(tuple(records), place.text())

    def _start(self) -> Place:
        if self._name == "owners":
            return Place("owners")
        return Place("all") if self._since is None else Place("changed", at=milliseconds(self._since))

    def _all(self, place: Place) -> tuple[list[RawRecord], Place]:
        told, after = self._api.listed(self._name, self._short_properties, self._links, place.after)
        links = self._api.links_of_listed(self._name, self._links, told)
        records = [self._record(each, links) for each in self._filled(told)]
        return records, Place("all", after=after) if after else Place("over")

    def _changed(self, place: Place) -> tuple[list[RawRecord], Place]:
        stamp = modified_property(self._name)
        found, more = self._api.searched(
            self._name, [(stamp, "GTE", str(place.at))], by=stamp, properties=self._short_properties
        )
        if not more:
            return self._records(found), Place("moved")
        last = milliseconds(modified_at(self._name, found[-1]))
        earlier = [each for each in found if milliseconds(modified_at(self._name, each)) < last]
        # those of the last moment may go on beyond the page; where they fill one, their ids part them
        next_place = Place("changed", at=last) if earlier else Place("same moment", at=last)
        return self._records(earlier), next_place

    def _same_moment(self, place: Place) -> tuple[list[RawRecord], Place]:
        stamp = modified_property(self._name)
        filters = [(stamp, "GTE", str(place.at)), (stamp, "LTE", str(place.at))]
        found, more = self._api.searched(
            self._name,
            [*filters, ("hs_object_id", "GT", place.after or "0")],
            by="hs_object_id",
            properties=self._short_properties,
        )
        if more:
            return self._records(found), Place("same moment", after=str(found[-1]["id"]), at=place.at)
        return self._records(found), Place("changed", at=place.at + 1)

    def _moved(self, place: Place) -> tuple[list[RawRecord], Place]:
        """Records that hang on others which were merged."""
        if not self._links or self._since is None:
            return [], Place("deleted")
        of = place.of or self._links[0]
        filters = [
            (MERGED, "HAS_PROPERTY", None),
            (modified_property(of), "GTE", str(milliseconds(self._since))),
            ("hs_object_id", "GT", place.after or "0"),
        ]
        merged, more = self._api.searched(of, filters, by="hs_object_id", properties=[MERGED])
        links = self._api.links(of, self._name, [str(each["id"]) for each in merged]) if merged else {}
        ids = sorted({str(to["id"]) for found in links.values() for to in found})
        # deals are read in `_filled`
        told = [{"id": each} for each in ids] if self._name == "deals" else self._read(ids)
        records = self._records(told)
        if more:
            return records, Place("moved", after=str(merged[-1]["id"]), of=of)
        others = self._links[self._links.index(of) + 1 :]
        return records, Place("moved", of=others[0]) if others else Place("deleted")

    def _deleted(self, place: Place) -> tuple[list[RawRecord], Place]:
        told, after = self._api.listed(self._name, ["hs_object_id"], (), place.after, archived=True)
        gone = [
            RawRecord(str(each["id"]), {}, moment(each.get("archivedAt") or each["updatedAt"]), deleted=True)
            for each in told
        ]
        records = [each for each in gone if self._since is None or each.modified_at >= self._since]
        return records, Place("deleted", after=after) if after else Place("over")

    def _owners(self, place: Place) -> tuple[list[RawRecord], Place]:
        """All of them each time, since no search finds those that changed; who left is told as archived."""
        left = place.of == "left"
        told, after = self._api.owners(place.after, archived=left)
        records = [RawRecord(str(each["id"]), dict(each), moment(each["updatedAt"])) for each in told]
        if after:
            return records, Place("owners", after=after, of=place.of)
        return records, Place("over") if left else Place("owners", of="left")

    def _records(self, told: Sequence[Told]) -> list[RawRecord]:
        """Records that were found by a search, with their associations, and those that were merged into them."""
        if not told:
            return []
        links = self._api.all_links(self._name, self._links, [str(each["id"]) for each in told])
        filled = self._filled(told)
        return [gone for each in filled for gone in merged_away(self._name, each)] + [
            self._record(each, links) for each in filled
        ]

    def _read(self, ids: Sequence[str]) -> list[Told]:
        return self._api.read(self._name, ids, self._properties)

    def _filled(self, told: Sequence[Told]) -> list[Told]:
        """Records with all that is read of them: deals come with histories, and with properties too many for a list."""
        if self._name != "deals":
            return list(told)
        return self._api.read(self._name, [str(each["id"]) for each in told], self._properties, history=True)

    def _record(self, told: Told, links: dict[str, Any]) -> RawRecord:
        return raw_record(self._name, told, links.get(str(told["id"]), {}), self._properties)

    @cached_property
    def _properties(self) -> list[str]:
        own = self._custom() if self._name == "deals" else ()
        return [*read_properties(self._name), *own]

    @cached_property
    def _short_properties(self) -> list[str]:
        return [modified_property(self._name)] if self._name == "deals" else self._properties
