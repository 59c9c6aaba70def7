"""The contract of a live CRM: what sync and push need of it, whichever it is.

A client knows one vendor's API: signing in, paging, increments, limits and field names. It keeps no state between
calls and writes no files; `winpredict.connectors.sync` and `winpredict.connectors.push.push` do, for all of them alike.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import pandas as pd

#: What a pushed field holds.
FieldKind = Literal["percent", "text", "long_text", "time"]


@dataclass(frozen=True)
class RawRecord:
    """One version of a raw object as the CRM sent it.

    Parameters
    ----------
    record_id : str
        Unique within its object.
    values : mapping of str to Any
        What came, as JSON values, under the names that the CRM's profile maps; empty for a deleted record.
    modified_at : Timestamp
        The CRM's stamp of the last change or deletion, UTC. The next increment starts from the latest of them.
    deleted : bool
        Whether the record is gone (deleted, or merged into another).
    """

    record_id: str
    values: Mapping[str, Any]
    modified_at: pd.Timestamp
    deleted: bool = False


@dataclass(frozen=True)
class Page:
    """Some records that arrived together.

    Parameters
    ----------
    records : tuple of RawRecord
        May be empty.
    resume : str
        Where to go on once these records are kept: what `CRMSource.read` takes as `resume`.
    existing : frozenset of str, optional
        The ids of all records of the object, where the CRM cannot tell which were removed since the last reading: what
        is stored beside them counts as deleted.
    lacking : str
        What the CRM kept back of this reading so far, with what would mend it, in the language of the moment; empty
        for nothing.
    """

    records: tuple[RawRecord, ...]
    resume: str
    existing: frozenset[str] | None = None
    lacking: str = ""


@dataclass(frozen=True)
class Stage:
    """One stage of a pipeline, in order; `outcome` is what a deal in it is."""

    name: str
    label: str
    outcome: Literal["won", "lost", "open"]
    pipeline: str = ""


@dataclass(frozen=True)
class CustomField:
    """A field of deals beyond the standard ones."""

    name: str
    label: str
    kind: str


@dataclass(frozen=True)
class Description:
    """What an account looks like to the credentials that were given.

    Parameters
    ----------
    account : str
        Name or id of the organisation, for people.
    readable : tuple of str
        Raw objects that these credentials may read.
    missing : dict of str to str
        Raw objects that they may not, with what is to be granted.
    writable : bool
        Whether deals may be written to.
    stages : tuple of Stage
        In the order of the CRM.
    custom_fields : tuple of CustomField
        Of deals.
    records_history : tuple of str
        Fields of deals whose changes the CRM itself records.
    hidden : dict of str to tuple of str
        By raw object: mapped fields that exist, or may, and that these credentials are not shown.
    calculated : dict of str to tuple of str
        By raw object: fields whose values change without the record's stamp, such as formulas and roll-ups.
    remarks : tuple of str
        What else these credentials may not see, and what would mend it: sentences in the language of the moment.
    plan : str
        What a first sync takes of the CRM's limits, in the language of the moment; empty where they do not matter.
    """

    account: str
    readable: tuple[str, ...]
    missing: dict[str, str] = field(default_factory=dict)
    writable: bool = False
    stages: tuple[Stage, ...] = ()
    custom_fields: tuple[CustomField, ...] = ()
    records_history: tuple[str, ...] = ()
    hidden: dict[str, tuple[str, ...]] = field(default_factory=dict)
    calculated: dict[str, tuple[str, ...]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    plan: str = ""


@dataclass(frozen=True)
class FieldChange:
    """Values to be written into one deal.

    Parameters
    ----------
    deal_id : str
    values : mapping of str to Any
        JSON values by the name that the config has for a field: a percent as a number from 0 to 100, a time as ISO 8601
        text with an offset; None empties a field. An undo writes what `CRMSource.read_fields` gave.
    """

    deal_id: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class WriteResult:
    """What came of writing one deal.

    Parameters
    ----------
    deal_id : str
    done : bool
        Whether the CRM took it.
    message : str
        Why not, in the CRM's words.
    retry : bool
        Whether trying again may help (a locked row), other than after a refusal (a validation rule).
    """

    deal_id: str
    done: bool
    message: str = ""
    retry: bool = False


@dataclass(frozen=True)
class ScoreField:
    """A field that scores are pushed into, as `CRMSource.create_fields` makes it."""

    name: str
    label: str
    kind: FieldKind


@dataclass(frozen=True)
class FieldOutcome:
    """What became of a field that was to be made.

    Parameters
    ----------
    state : str
        made, there already or not made.
    remark : str
        Why not, or what is left to do, in the language of the moment or the CRM's words.

    Examples
    --------
    >>> str(FieldOutcome("made")), str(FieldOutcome("not made", "no right"))
    ('made', 'not made: no right')
    """

    state: Literal["made", "there already", "not made"]
    remark: str = ""

    def __str__(self) -> str:
        return f"{self.state}: {self.remark}" if self.remark else self.state


class CRMSource(Protocol):
    """A live CRM.

    Every method raises `winpredict.errors.CRMError`, or one of its kinds, with a sentence that says what to do;
    none of its messages holds a secret.
    """

    #: salesforce, hubspot or zoho: also the name of its shipped profile, and of its folder of raw records.
    name: str
    #: Raw objects that `read` knows, deals first; named as the profile's files are.
    objects: tuple[str, ...]
    #: Those of them that only ever grow, such as histories: what the CRM no longer tells was purged, not undone.
    append_only: frozenset[str]
    #: How many deals `write` sends in one request.
    write_batch: int

    def describe(self, mapped: Mapping[str, Mapping[str, Sequence[str]]] | None = None) -> Description:
        """Check credentials and rights, and tell pipelines, stages and custom fields.

        Parameters
        ----------
        mapped : mapping of str to mapping, optional
            By raw object and canonical column: the raw columns that may carry it, as
            `winpredict.connectors.mapped_columns` tells them. What is hidden is told of these only.
        """
        ...

    def clock(self) -> pd.Timestamp:
        """The CRM's own time, not earlier than its last answer, UTC.

        What arrived is known since then: the machine's clock may be wrong.
        """
        ...

    def read(self, name: str, since: pd.Timestamp | None, resume: str = "") -> Iterator[Page]:
        """Records of a raw object, the least recently changed first where the CRM can order them.

        Parameters
        ----------
        name : str
            One of `objects`.
        since : Timestamp or None
            Records changed or deleted at or after this moment; None for all that there are (deleted ones left out).
        resume : str
            `Page.resume` of the last page that was kept of the same reading, to go on after it; empty for the start.

        Raises
        ------
        CRMObjectError
            When the CRM refuses this object and would answer for others: the sync goes on without it.
        """
        ...

    def read_fields(self, deal_ids: Sequence[str], names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The present values of some fields, by deal; deals that are gone are left out.

        Parameters
        ----------
        deal_ids : sequence of str
            Any number of them; the client asks as many at a time as the CRM allows.
        names : sequence of str
            As the config has them, which is also how the values come back: JSON values as the CRM has them, percents
            from 0 to 100 (a number, or its text), times as ISO 8601 text with an offset or as epoch milliseconds.

        Raises
        ------
        CRMFieldError
            When the CRM has no such field; the message names all that are missing.
        """
        ...

    def write(self, changes: Sequence[FieldChange]) -> list[WriteResult]:
        """Write fields of at most `write_batch` deals in one request; one result a deal, in the same order.

        Raises
        ------
        CRMUncertainError
            When the connection broke after the request was sent, so that nobody knows whether it was carried out;
            read the fields again before anything is repeated.
        """
        ...

    def create_fields(self, fields: Sequence[ScoreField]) -> dict[str, FieldOutcome]:
        """Make fields of deals; name to what became of it."""
        ...
