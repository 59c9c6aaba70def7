"""Who did what, written down, exported, and forgotten in time; never with a secret."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, delete, func, select
from sqlalchemy.orm import Session as DatabaseSession
from sqlalchemy.orm import joinedload

from winpredict.app.records import AuditEntry, Person

if TYPE_CHECKING:
    import pandas as pd

    from winpredict.app.database import Database

#: Columns of an export.
COLUMNS = ("id", "at", "person", "address", "action", "subject", "details")
FAILED_SIGN_IN, EXPORTED = "sign-in failed", "deals exported"
#: Failed sign-ins that are written down within an hour: of one address, and of all.
FAILURES_AN_ADDRESS, FAILURES_AN_HOUR = 20, 1000
_HOUR = timedelta(hours=1)
_LONGEST_ACTION, _LONGEST_SUBJECT, _LONGEST_ADDRESS = 50, 300, 64
_ENTRIES_AT_A_TIME = 1000
_asked_from: ContextVar[str] = ContextVar("asked_from", default="")


@contextmanager
def asked_from(address: str) -> Iterator[None]:
    """Let what is written down in a request say from which network address it came."""
    token = _asked_from.set(address[:_LONGEST_ADDRESS])
    try:
        yield
    finally:
        _asked_from.reset(token)


def client_address() -> str:
    """The network address of who asks, behind a known proxy that of its client; empty outside of requests."""
    return _asked_from.get()


def audit(session: DatabaseSession, by: Person | None, action: str, subject: str, details: dict[str, Any]) -> None:
    """Write down who did what; never with a secret."""
    session.add(
        AuditEntry(
            at=datetime.now(UTC),
            person_id=None if by is None else by.id,
            action=action[:_LONGEST_ACTION],
            subject=_storable(subject)[:_LONGEST_SUBJECT],
            details=details,
            address=client_address(),
        )
    )


def write_down(database: "Database", by: Person | None, action: str, subject: str, details: dict[str, Any]) -> None:
    """The same beside nothing else that is written, such as what somebody takes away."""
    with database.writing() as session:
        audit(session, by, action, subject, details)


def audit_failure(session: DatabaseSession, email: str, *, waits: bool = False) -> None:
    """Write down that somebody could not sign in; of a flood of them only the first ones of an hour.

    Parameters
    ----------
    session : DatabaseSession
    email : str
        As it was given.
    waits : bool
        Whether it was refused since there had been too many.
    """
    recent = (AuditEntry.action == FAILED_SIGN_IN, AuditEntry.at > datetime.now(UTC) - _HOUR)
    counted = select(func.count()).where(*recent)
    same = session.scalar(counted.where(AuditEntry.address == client_address())) or 0
    everywhere = session.scalar(counted) or 0
    if same >= FAILURES_AN_ADDRESS or everywhere >= FAILURES_AN_HOUR:
        return
    last = same + 1 == FAILURES_AN_ADDRESS or everywhere + 1 == FAILURES_AN_HOUR
    details = ({"refused": "too many"} if waits else {}) | ({"further": "left out"} if last else {})
    audit(session, None, FAILED_SIGN_IN, email.strip().lower(), details)


def entries(since: datetime | None = None, until: datetime | None = None) -> Select[AuditEntry]:
    """The log from a moment on and before another, the oldest first."""
    wanted = select(AuditEntry).options(joinedload(AuditEntry.person)).order_by(AuditEntry.id)
    if since is not None:
        wanted = wanted.where(AuditEntry.at >= since)
    if until is not None:
        wanted = wanted.where(AuditEntry.at < until)
    return wanted


def exported(
    session: DatabaseSession, since: datetime | None = None, until: datetime | None = None
) -> Iterator[dict[str, Any]]:
    """Rows of an export, with `COLUMNS`; what was done is named as it is on record, in any language of the reader."""
    rows = session.scalars(entries(since, until).execution_options(yield_per=_ENTRIES_AT_A_TIME))
    for each in rows:
        yield {
            "id": each.id,
            "at": each.at.isoformat(timespec="seconds"),
            "person": each.person.email if each.person else "",
            "address": each.address,
            "action": each.action,
            "subject": each.subject,
            "details": each.details,
        }


def table_of(rows: Iterator[dict[str, Any]]) -> "pd.DataFrame":
    """Rows of an export as a table for spreadsheets."""
    import pandas as pd

    written = [row | {"details": json.dumps(row["details"], ensure_ascii=False)} for row in rows]
    return pd.DataFrame(written, columns=[*COLUMNS])


def forget_old_entries(database: "Database", days: float) -> int:
    """Delete entries that are older than so many days; that, too, is written down.

    Returns
    -------
    int
        Entries that were deleted.
    """
    oldest = datetime.now(UTC) - timedelta(days=days)
    old = AuditEntry.at < oldest
    with database.reading() as session:
        if session.scalar(select(AuditEntry.id).where(old).limit(1)) is None:
            return 0  # nobody has to wait for those who write
    with database.writing() as session:
        count = session.scalar(select(func.count()).where(old)) or 0
        session.execute(delete(AuditEntry).where(old))
        if count:
            audit(session, None, "audit log pruned", f"{oldest:%Y-%m-%d}", {"entries": count})
    return count


def _storable(words: str) -> str:
    """What a database takes: PostgreSQL has no NUL in texts, and half a surrogate is no letter."""
    return words.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
