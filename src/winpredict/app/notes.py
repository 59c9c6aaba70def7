"""What is written down beside requests: when a session was last used, and what programs read.

Most requests only read, and must neither wait for those who write nor fail since the database is busy.
"""

import contextvars
import logging
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from sqlalchemy import update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session as DatabaseSession

from winpredict.app.audit_log import audit
from winpredict.app.database import Database
from winpredict.app.people import now
from winpredict.app.records import Person, Session

_log = logging.getLogger(__name__)
#: Moments at which sessions were last used are written down at most so often, and the same reading at most so often.
_SEEN_EVERY, _READ_EVERY = timedelta(minutes=1), timedelta(hours=1)
#: Of what was noted so much is remembered; beyond that all of it is forgotten, and noted again.
_MOST_REMEMBERED = 10_000


class Notes:
    """Writes down beside requests.

    Parameters
    ----------
    database : Database
    idle_minutes : float
        How long a session lasts without a request: its last use is written down well before.
    """

    def __init__(self, database: Database, *, idle_minutes: float) -> None:
        self.database = database
        self.every = min(_SEEN_EVERY, timedelta(minutes=idle_minutes) / 10)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="notes")
        self._noted: dict[Hashable, datetime] = {}
        self._lock = threading.Lock()

    def seen(self, session: Session) -> None:
        """Write down that a session is used now, unless that was done a moment ago.

        Parameters
        ----------
        session : Session
            As it was read for a request.
        """
        moment = now()
        if session.last_seen_at > moment - self.every or not self._is_due(("seen", session.key_hash), self.every):
            return
        used = update(Session).where(Session.key_hash == session.key_hash, Session.last_seen_at < moment)
        self._write(lambda writing: writing.execute(used.values(last_seen_at=moment)))

    def read(self, person: Person, key_id: int | None, what: str) -> None:
        """Write down that a program reads a list, the first time within an hour.

        Parameters
        ----------
        person : Person
            Whose key it is.
        key_id : int or None
            None for a browser that is signed in.
        what : str
            The route.
        """
        if self._is_due(("read", person.id, key_id, what), _READ_EVERY):
            details = {} if key_id is None else {"key": key_id}
            self._write(lambda session: audit(session, person, "read by API", what, details))

    def settle(self) -> None:
        """Wait until everything that was noted is written."""
        self._thread.submit(lambda: None).result()

    def close(self) -> None:
        """Write no more after what is being written."""
        former, self._thread = self._thread, ThreadPoolExecutor(1, thread_name_prefix="notes")
        former.shutdown(wait=False)

    def _is_due(self, key: Hashable, every: timedelta) -> bool:
        moment = now()
        with self._lock:
            before = self._noted.get(key)
            if before is not None and before > moment - every:
                return False
            if len(self._noted) >= _MOST_REMEMBERED:
                self._noted.clear()
            self._noted[key] = moment
            return True

    def _write(self, change: Callable[[DatabaseSession], object]) -> None:
        context = contextvars.copy_context()  # it knows from where the request came
        self._thread.submit(context.run, self._try, change)

    def _try(self, change: Callable[[DatabaseSession], object]) -> None:
        try:
            with self.database.writing() as session:
                change(session)
        except SQLAlchemyError as error:  # the request has long been answered; the next one notes it again
            _log.warning("a note could not be written: %s", type(error).__name__)
