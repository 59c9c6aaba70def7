"""Which version of each raw record is the latest: told by hashes, in 24 bytes a record."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict.connectors.base import RawRecord

#: Stands for the content of a record that is gone.
_GONE = 0
#: Deletions may be stamped in whole seconds, and so look older than the change just before them.
_COARSE_NS = 1_000_000_000
_FOLD_AT = 200_000

_Known = tuple[int, int]


@dataclass(frozen=True)
class Counts:
    """Records that a reading found new, changed and deleted."""

    new: int = 0
    changed: int = 0
    deleted: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.new + other.new, self.changed + other.changed, self.deleted + other.deleted)

    @property
    def total(self) -> int:
        """All of them."""
        return self.new + self.changed + self.deleted


@dataclass
class News:
    """The records of a page that say something new, with their texts."""

    rows: list[tuple[RawRecord, str]] = field(default_factory=list)
    counts: Counts = Counts()
    latest: dict[int, _Known] = field(default_factory=dict)


class LatestVersions:
    """The content and the stamp of the latest version of every record of an object.

    Parameters
    ----------
    versions : DataFrame
        Columns record_id, modified_at, deleted and record, in the order in which they came.
    """

    def __init__(self, versions: pd.DataFrame) -> None:
        last = versions.drop_duplicates("record_id", keep="last")
        content = np.where(last["deleted"], np.uint64(_GONE), _hashes(last["record"].tolist()))
        self._ids = np.zeros(0, np.uint64)
        self._content, self._modified = self._ids, np.zeros(0, np.int64)
        self._fold(_hashes(last["record_id"].tolist()), content, last["modified_at"].dt.as_unit("ns").astype(np.int64))
        self._recent: dict[int, _Known] = {}

    def news(self, records: Sequence[RawRecord], *, whole: bool) -> News:
        """Which of the records say something new; those that are older than what is known do not.

        Parameters
        ----------
        records : sequence of RawRecord
            As they came.
        whole : bool
            Whether they come from a reading of everything: a record that is there is not deleted, whatever was said
            before.
        """
        found = News()
        texts = [record_text(each) for each in records]
        ids, contents = _hashes([each.record_id for each in records]), _hashes(texts)
        for record, text, key, content in zip(records, texts, ids.tolist(), contents.tolist(), strict=True):
            known = found.latest.get(key) or self._known(key)
            modified = record.modified_at.value
            content = _GONE if record.deleted else content
            if known is None and record.deleted:
                continue
            if known is not None and (content == known[0] or _is_older(record, modified, known, whole=whole)):
                continue
            found.rows.append((record, text))
            found.latest[key] = (content, modified)
            is_new = known is None or known[0] == _GONE
            found.counts += Counts(deleted=1) if record.deleted else Counts(new=1) if is_new else Counts(changed=1)
        return found

    def learn(self, news: News) -> None:
        """Count these versions as known: they are kept."""
        self._recent |= news.latest
        if len(self._recent) > _FOLD_AT:
            known = np.array(list(self._recent.values()), dtype=object)
            self._fold(
                np.fromiter(self._recent, np.uint64), known[:, 0].astype(np.uint64), known[:, 1].astype(np.int64)
            )
            self._recent = {}

    def _known(self, key: int) -> _Known | None:
        if key in self._recent:
            return self._recent[key]
        place = int(np.searchsorted(self._ids, np.uint64(key)))
        if place == len(self._ids) or int(self._ids[place]) != key:
            return None
        return int(self._content[place]), int(self._modified[place])

    def _fold(self, ids: NDArray[np.uint64], content: NDArray[np.uint64], modified: NDArray[np.int64]) -> None:
        kept = ~np.isin(self._ids, ids)
        merged = np.concatenate([self._ids[kept], ids])
        order = np.argsort(merged, kind="stable")
        self._ids = merged[order]
        self._content = np.concatenate([self._content[kept], content])[order]
        self._modified = np.concatenate([self._modified[kept], modified])[order]


def record_text(record: RawRecord) -> str:
    """A record's values as JSON that is equal where they are.

    Examples
    --------
    >>> record_text(RawRecord("7", {"b": 1, "a": None}, pd.Timestamp("2025-06-01T12:00Z")))
    '{"a":null,"b":1}'
    """
    return "{}" if record.deleted else json.dumps(dict(record.values), sort_keys=True, separators=(",", ":"))


def _is_older(record: RawRecord, modified: int, known: _Known, *, whole: bool) -> bool:
    if record.deleted:
        return modified < known[1] - _COARSE_NS
    return modified < known[1] and not (whole and known[0] == _GONE)


def _hashes(texts: Sequence[str]) -> NDArray[np.uint64]:
    """Hashes that stay the same from run to run, none of them `_GONE`."""
    hashed = pd.util.hash_array(np.array(texts, dtype=object), categorize=False)
    return np.maximum(hashed, np.uint64(_GONE + 1))
