"""HubSpot's endpoints, date-versioned: one method each, with its limits on what goes into a request."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx

from winpredict.config import Config
from winpredict.connectors.http import Connection
from winpredict.connectors.hubspot.auth import body_of
from winpredict.connectors.hubspot.objects import HISTORY, listed_links, read_links
from winpredict.errors import CRMError
from winpredict.locale.text import text

#: Most records in a batch, and most records whose associations are asked for at once.
BATCH, LINKS_BATCH = 100, 1000

Payload = Mapping[str, Any]
#: Associated records by object, of one record.
Links = dict[str, list[dict[str, Any]]]


class HubSpotAPI:
    """Requests to one account.

    Parameters
    ----------
    config : Config
    connection : Connection
    sleep : callable
        Waits so many seconds.
    """

    def __init__(self, config: Config, connection: Connection, sleep: Callable[[float], None] = time.sleep) -> None:
        self.settings, self.connection, self._sleep = config.crm.hubspot, connection, sleep
        self._searched = -float("inf")
        self._definitions: dict[str, Payload] | None = None

    def path(self, area: str, rest: str) -> str:
        """The address of a resource of the API version that is configured."""
        return f"/{area}/{self.settings.api_version}/{rest}"

    def listed(
        self, name: str, properties: Sequence[str], links: Sequence[str], after: str, *, archived: bool = False
    ) -> tuple[list[Payload], str]:
        """A page of an object's records, and where the next starts; empty at the end."""
        params = {"limit": str(self.settings.page_size), "properties": ",".join(properties)}
        params |= {"archived": str(archived).lower()}
        params |= {"associations": ",".join(links)} if links else {}
        params |= {"after": after} if after else {}
        return _page(self.connection.get(self.path("crm/objects", name), params=params))

    def owners(self, after: str, *, archived: bool) -> tuple[list[Payload], str]:
        """A page of owners, and where the next starts; empty at the end."""
        params = {"limit": str(self.settings.page_size), "archived": str(archived).lower()}
        params |= {"after": after} if after else {}
        return _page(self.connection.get(f"/crm/owners/{self.settings.api_version}", params=params))

    def searched(
        self, name: str, filters: Sequence[tuple[str, str, str | None]], by: str, properties: Sequence[str]
    ) -> tuple[list[Payload], bool]:
        """The first page of a search, and whether there are more.

        No search is paged on: its pages are offsets, which skip records that change meanwhile, and end at 10,000.

        Parameters
        ----------
        name : str
        filters : sequence of tuple of str
            Property, operator and value; all of them hold.
        by : str
            Property to sort by, ascending.
        properties : sequence of str
            To be told.
        """
        self._keep_search_pace()
        body = {
            "filterGroups": [{"filters": [_filter(*each) for each in filters]}],
            "sorts": [{"propertyName": by, "direction": "ASCENDING"}],
            "properties": list(properties),
            "limit": self.settings.search_page_size,
        }
        records, after = _page(self.connection.send("POST", self.path("crm/objects", f"{name}/search"), json=body))
        return records, bool(after)

    def read(self, name: str, ids: Sequence[str], properties: Sequence[str], *, history: bool = False) -> list[Payload]:
        """Records by id; those that are gone, or go by another id since a merge, are left out."""
        size = self.settings.history_page_size if history else BATCH
        found: list[Payload] = []
        for some in (ids[start : start + size] for start in range(0, len(ids), size)):
            body: dict[str, Any] = {"inputs": [{"id": each} for each in some], "properties": list(properties)}
            if history:
                body["propertiesWithHistory"] = list(HISTORY)
            answer = self.connection.send("POST", self.path("crm/objects", f"{name}/batch/read"), json=body)
            asked = set(some)
            found += [each for each in self._whole(answer) if str(each["id"]) in asked]
        return found

    def links(self, name: str, of: str, ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        """Ids of associated records, by record; those that have none are left out."""
        path = self.path("crm/associations", f"{name}/{of}/batch/read")
        found: dict[str, list[Payload]] = {}
        inputs = [{"id": each} for each in ids]
        while inputs:
            some, inputs = inputs[:LINKS_BATCH], inputs[LINKS_BATCH:]
            for row in self._whole(self.connection.send("POST", path, json={"inputs": some})):
                record_id = str(row["from"]["id"])
                found.setdefault(record_id, []).extend(row["to"])
                if after := _next(row):
                    inputs.append({"id": record_id, "after": after})
        return {record_id: read_links(to) for record_id, to in found.items()}

    def all_links(self, name: str, kinds: Sequence[str], ids: Sequence[str]) -> dict[str, Links]:
        """Associations of several kinds, by record."""
        by_kind = {of: self.links(name, of, ids) for of in kinds}
        return {each: {of: found.get(each, []) for of, found in by_kind.items()} for each in ids}

    def links_of_listed(self, name: str, kinds: Sequence[str], records: Sequence[Payload]) -> dict[str, Links]:
        """Associations that came with a list of records; where there are more of them, they are asked for."""
        found: dict[str, Links] = {}
        cut: list[str] = []
        for payload in records:
            came = payload.get("associations", {})
            found[str(payload["id"])] = {of: listed_links(came.get(of, {})) for of in kinds}
            cut += [str(payload["id"])] if any(_next(came.get(of, {})) for of in kinds) else []
        return found | (self.all_links(name, kinds, cut) if cut else {})

    def definitions(self, *, again: bool = False) -> dict[str, Payload]:
        """Properties of deals by name."""
        if self._definitions is None or again:
            answer = self.connection.get(self.path("crm/properties", "deals"))
            self._definitions = {str(each["name"]): each for each in answer.json()["results"]}
        return self._definitions

    def _whole(self, answer: httpx.Response) -> list[Payload]:
        """The results of a batch that failed in no part, save for records that are not there."""
        said = body_of(answer)
        for error in said.get("errors", ()):
            if error.get("category") != "OBJECT_NOT_FOUND":
                told = self.connection.redact(str(error.get("message")))[:200]
                raise CRMError(
                    text(
                        "HubSpot answered {path} in part only: {told}. What was read so far is kept; run the "
                        "command again later",
                        path=answer.request.url.path,
                        told=told,
                    )
                )
        return list(said.get("results", ()))

    def _keep_search_pace(self) -> None:
        wait = self._searched + 1.0 / self.settings.searches_per_s - time.monotonic()
        if wait > 0:
            self._sleep(wait)
        self._searched = time.monotonic()


def _filter(name: str, operator: str, value: str | None) -> dict[str, str]:
    payload = {"propertyName": name, "operator": operator}
    return payload if value is None else payload | {"value": value}


def _page(answer: httpx.Response) -> tuple[list[Payload], str]:
    said = body_of(answer)
    return list(said.get("results", ())), _next(said)


def _next(said: Payload) -> str:
    """The place of the next page; empty where there is none."""
    return str(((said.get("paging") or {}).get("next") or {}).get("after") or "")
