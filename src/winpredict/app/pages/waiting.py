"""Parts of a page that take longer than people wait: begun beside the request, shown as soon as they are there."""

import logging
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYetError
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from winpredict.app.desk import Desk, Loaded, made
from winpredict.app.pages.rendering import sentence
from winpredict.app.shared_work import SharedWork
from winpredict.app.turns import asking
from winpredict.app.work_queue import TooMuchWaitingError
from winpredict.errors import WinPredictError
from winpredict.locale.text import Text, text

Result = TypeVar("Result")
#: Seconds that a page waits for all its parts together.
PATIENCE = 1.0
_LOG = logging.getLogger(__name__)
_FAILED = text(
    "This could not be computed because of a fault in the program. Your administrator finds it in the server’s log. "
    "Reload the page to try again."
)
_CROWDED = text("This waits until what you asked for before has been computed. Reload the page in a minute.")


@dataclass(frozen=True)
class Part(Generic[Result]):
    """A part of a page: made, not yet made, or impossible.

    Parameters
    ----------
    result : object or None
    problem : str or Text
        Why it cannot be made; empty where it is or will be.
    passing : bool
        Whether the problem may be gone at the next try.
    """

    result: Result | None = None
    problem: str | Text = ""
    passing: bool = False

    @property
    def is_waiting(self) -> bool:
        """Whether it is still being made."""
        return self.result is None and not self.problem


class Waiting:
    """The parts of one page.

    Parameters
    ----------
    desk : Desk
    patience : float
        Seconds to wait for all of them together, from the start of the request.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from winpredict.app.database import open_database
    >>> from winpredict.config import Config
    >>> from winpredict.workspace import Workspace
    >>> folder = Path(tempfile.mkdtemp())
    >>> desk = Desk(Workspace(folder), Config(), open_database("", folder))
    >>> Waiting(desk).part(("sum", "state 1"), lambda: 1 + 1)
    Part(result=2, problem='', passing=False)
    """

    def __init__(self, desk: Desk, patience: float = PATIENCE) -> None:
        self._desk, self._patience, self._since = desk, patience, time.monotonic()

    def loaded(self) -> tuple[Loaded | None, str]:
        """Tables and champion; or None, and in words what is missing."""
        try:
            return self._desk.loaded(), ""
        except WinPredictError as error:
            return None, sentence(error)

    def shared(self, loaded: Loaded, owners: frozenset[str] | None) -> SharedWork:
        """What parts of several pages go on from."""
        return SharedWork(self._desk, loaded, owners)

    def part(self, key: Hashable, compute: Callable[[], Result], *, is_long: bool = False) -> Part[Result]:
        """A part, if it is there in time; else it goes on being made for the next who ask.

        Parameters
        ----------
        key : hashable
            As for `Desk.get_or_compute`; what is worded or drawn has the language in it, `current().name`.
        compute : callable
            Must not give None. What it says with a WinPredictError is told, and kept like an answer.
        is_long : bool
            As for `Desk.submit`.
        """
        try:
            future = self.submit(key, compute, is_long=is_long)
            part = self._part(key, future)
        except TooMuchWaitingError:
            return Part(problem=_CROWDED, passing=True)
        if part is None:
            return Part()
        if part.passing:
            self._desk.forget(key)
        return part

    def needed(self, key: Hashable, compute: Callable[[], Result]) -> Result:
        """A part without which there is no page.

        Parameters
        ----------
        key : hashable
        compute : callable
            As for `part`.

        Raises
        ------
        NotYetError
            In a request, where it is still being made.
        WinPredictError
            When it cannot be made.
        """
        part = made(key, self.submit(key, compute))
        if part.result is None:
            if part.passing:
                self._desk.forget(key)
            raise WinPredictError(part.problem)
        return part.result

    def _part(self, key: Hashable, future: "Future[Part[Result]]") -> Part[Result] | None:
        """The part, if it is there; a request comes again when it is."""
        request = asking()
        if request is None:
            with suppress(NotYetError):
                return future.result(max(0.0, self._since + self._patience - time.monotonic()))
            return None
        if future.done():
            return future.result()
        request.would_like(key, future, self._patience)
        return None

    def submit(self, key: Hashable, compute: Callable[[], Result], *, is_long: bool = False) -> "Future[Part[Result]]":
        """A part to come, for work that goes on from it."""
        return self._desk.submit(key, lambda: _tried(compute), is_long=is_long)


def _tried(compute: Callable[[], Result]) -> Part[Result]:
    try:
        return Part(compute())
    except WinPredictError as error:
        return Part(problem=sentence(error))
    except Exception:
        _LOG.exception("a part of a page could not be made")
        return Part(problem=_FAILED, passing=True)
