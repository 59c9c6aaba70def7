"""The audit log as a file, for admins."""

import datetime as dt
from typing import Annotated

from fastapi import Depends, Query
from starlette.responses import Response

from winpredict.app.audit_log import exported, table_of, write_down
from winpredict.app.identity import Allows, Caller, DeskOfRequest
from winpredict.app.pages.tables import csv_answer
from winpredict.app.records import Role
from winpredict.app.turns import PageRouter

router = PageRouter()
AUDIT_EXPORTED = "audit log exported"


@router.get("/audit.csv")
def export(
    desk: DeskOfRequest,
    caller: Annotated[Caller, Depends(Allows(Role.ADMIN))],
    since: Annotated[dt.date | None, Query()] = None,
    until: Annotated[dt.date | None, Query()] = None,
) -> Response:
    """The log as a table for spreadsheets, harmless to open; `since` is the first day and `until` the last one."""
    with desk.database.reading() as session:
        first = None if since is None else _start_of(since)
        last = None if until is None else _start_of(until + dt.timedelta(days=1))
        table = table_of(exported(session, first, last))
    write_down(desk.database, caller.person, AUDIT_EXPORTED, "audit.csv", {"rows": len(table)})
    return csv_answer(table, "audit.csv")


def _start_of(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), dt.UTC)
