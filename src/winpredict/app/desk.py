"""What all requests share: the workspace, its database, and its tables and models as last read."""

import contextvars
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from winpredict._internal.memory import give_back
from winpredict._internal.threads import on_this_thread
from winpredict.app.database import Database
from winpredict.app.notes import Notes
from winpredict.app.records import Setting
from winpredict.app.turns import NotYetError, asking, not_asking
from winpredict.app.work_queue import TooMuchWaitingError, WorkQueue
from winpredict.config import Config
from winpredict.errors import ConfigError
from winpredict.locale.text import text
from winpredict.workspace import Workspace

if TYPE_CHECKING:
    from winpredict.explain.scores import DealScorer
    from winpredict.models.trained import TrainedModel
    from winpredict.tables.crm import CRMData

Result = TypeVar("Result")
_SIGNING_KEY = "signing key"
#: Charts, reports and the like that are kept; beyond that the one that was asked for longest ago goes.
_MAX_CACHED = 500
#: Pieces of work beside requests that one person, and that all together, may have waiting or under way.
_MOST_WORK_A_PERSON, _MOST_WORK = 24, 400
#: Seconds that requests wait for tables that have just changed; from then on they are answered by the former ones.
_RELOADING_S = 3.0
_LOADED = "tables and champion"


@dataclass(frozen=True)
class Loaded:
    """The workspace as it was when it was last read.

    Parameters
    ----------
    state : str
        Hash of the tables and the champion's version: another means that it is to be read anew.
    crm : CRMData
    model : TrainedModel
    version : str
    scorer : DealScorer
    """

    state: str
    crm: "CRMData"
    model: "TrainedModel"
    version: str
    scorer: "DealScorer"


class Desk:
    """The win desk of one workspace.

    Parameters
    ----------
    workspace : Workspace
    config : Config
    database : Database
    """

    def __init__(self, workspace: Workspace, config: Config, database: Database) -> None:
        self.workspace, self.config, self.database = workspace, config, database
        self.signing_key = self._signing_key()
        #: Called when tables and champion have been read; for the process that serves, which knows more of itself.
        self.after_loading: Callable[[], None] = lambda: None
        self.notes = Notes(database, idle_minutes=config.app.idle_minutes)
        self._loaded: Loaded | None = None
        self._loading: tuple[Future[Loaded], float] | None = None
        self._lock = threading.Lock()
        self._cache: OrderedDict[Hashable, Future[Any]] = OrderedDict()
        self._cache_lock = threading.Lock()
        # one at a time: whoever waits for a report must not slow down those who turn pages
        self._long_work, self._short_work = _queue(1, "long-work"), _queue(2, "short-work")

    def get_or_compute(self, key: Hashable, compute: Callable[[], Result]) -> Result:
        """What was made before under a key; made now, once, even if several ask at the same time.

        Parameters
        ----------
        key : hashable
            All that it depends on: what it is, the state that it was made of (`Loaded.state`, the id of a scoring run),
            what the caller may see, and the language, `current().name`, of what is worded or drawn. Whoever has the
            same key gets the same answer.
        compute : callable
            An error that it raises is not kept.

        Raises
        ------
        NotYetError
            In a request, which is not to wait, where somebody else is making it.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> from winpredict.app.database import open_database
        >>> folder = Path(tempfile.mkdtemp())
        >>> desk = Desk(Workspace(folder), Config(), open_database("", folder))
        >>> desk.get_or_compute(("sum", "state 1"), lambda: 1 + 1), desk.get_or_compute(("sum", "state 1"), lambda: 7)
        (2, 2)
        """
        future, is_new = self._future_of(key)
        if is_new:
            with not_asking():
                self._compute(key, future, compute)
        result: Result = made(key, future)
        return result

    def submit(self, key: Hashable, compute: Callable[[], Result], *, is_long: bool = True) -> "Future[Result]":
        """What `get_or_compute` gives, but made beside the request: for what may take longer than people wait.

        Parameters
        ----------
        key : hashable
            As for `get_or_compute`, whose answers these are too.
        compute : callable
        is_long : bool
            Whether it takes more than a few seconds; such work is done one after the other and holds up no other.

        Raises
        ------
        TooMuchWaitingError
            When whoever asks has too much of this waiting already.
        """
        future, is_new = self._future_of(key)
        if is_new:
            request = asking()
            with not_asking():
                # in the language and the currency of the one who asks; what is worded has the language in its key
                context = contextvars.copy_context()
            work, who = self._long_work if is_long else self._short_work, None if request is None else request.who
            try:
                work.submit(who, lambda: self._work(context, key, future, compute))
            except TooMuchWaitingError as error:
                self.forget(key)
                future.set_exception(error)
                raise
        return future

    def cancel_pending(self) -> None:
        """Do no more of what was begun and waits for its turn: a program that ends must not wait for it."""
        self.notes.close()
        for each in (self._long_work, self._short_work):
            each.cancel()
        with self._cache_lock:
            # what is being made right now is not cancelled by this, and kept
            for key in [key for key, future in self._cache.items() if future.cancel()]:
                del self._cache[key]

    def forget(self, key: Hashable) -> None:
        """Let what was kept under a key be made anew when it is asked for again."""
        with self._cache_lock:
            self._cache.pop(key, None)

    def _future_of(self, key: Hashable) -> "tuple[Future[Any], bool]":
        """What is or will be kept under a key, and whether the caller has to see to it."""
        request = asking()
        if request is not None and key in request.met:
            return request.met[key], False
        with self._cache_lock:
            there = self._cache.get(key)
            future: Future[Any] = Future() if there is None else there
            self._cache[key] = future
            self._cache.move_to_end(key)
            while len(self._cache) > _MAX_CACHED:
                self._cache.popitem(last=False)
        return future, there is None

    def _work(
        self, context: contextvars.Context, key: Hashable, future: "Future[Any]", compute: Callable[[], Any]
    ) -> None:
        with on_this_thread():
            context.run(self._compute, key, future, compute)
        give_back()

    def _compute(self, key: Hashable, future: "Future[Any]", compute: Callable[[], Any]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(compute())
        except BaseException as error:
            with self._cache_lock:
                if self._cache.get(key) is future:  # not what was promised anew since
                    del self._cache[key]
            future.set_exception(error)

    def loaded(self) -> Loaded:
        """Tables and champion, read again when either has changed.

        A request is answered by the former ones where it takes long to read the new.

        Raises
        ------
        NotYetError
            In a request, while they are read for the first time.
        WorkspaceError
            When nothing was imported.
        WinPredictError
            When nothing was trained.
        ConfigError
            When the model wants code that the config does not name.
        """
        request = asking()
        if request is not None and _LOADED in request.met:
            former = request.met[_LOADED]
            if former.done():
                loaded: Loaded = former.result()
                return loaded
        version, state = self._version_and_state()
        there = self._loaded
        if there is not None and there.state == state:
            return there
        future, since = self._begin_loading(version, state)
        if request is not None and there is not None and time.monotonic() > since + _RELOADING_S:
            return there
        return made(_LOADED, future)

    def _begin_loading(self, version: str, state: str) -> "tuple[Future[Loaded], float]":
        """The tables that are being read, and since when."""
        with self._lock:
            if self._loading is None or self._loading[0].done():
                future: Future[Loaded] = Future()
                self._loading = future, time.monotonic()
                # a thread of its own: what waits for tables may fill all others
                threading.Thread(target=self._read, args=[future, version, state], name="tables", daemon=True).start()
            return self._loading

    def _read(self, future: "Future[Loaded]", version: str, state: str) -> None:
        try:
            while True:
                loaded = self._load(state, version)
                version, state = self._version_and_state()
                if loaded.state == state:  # else another import or promotion came in between
                    break
            self._loaded = loaded
            self._forget_former()
            self.after_loading()
            give_back()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(loaded)

    def _version_and_state(self) -> tuple[str, str]:
        from winpredict.models.registry import version_of

        version = str(version_of(self.workspace.folder))
        return version, f"{self.workspace.state} {version}"

    def _forget_former(self) -> None:
        """Let go of all that was made: most of it was made of the former state, and nobody asks for that again."""
        with self._cache_lock:
            for key in [key for key, future in self._cache.items() if future.done()]:
                del self._cache[key]

    def _load(self, state: str, version: str) -> Loaded:
        from winpredict.explain.scores import DealScorer
        from winpredict.models.registry import load_model

        tables = self.workspace.version()
        crm, model = tables.crm(), load_model(self.workspace.folder, version)
        foreign = sorted(set(model.builder_paths) - set(self.config.builders))
        if foreign:  # whoever can write into a model's files must not choose what code runs here
            raise ConfigError(
                text(
                    "model {version} computes features by {foreign}, which `builders` in this desk's config "
                    "does not name; name it there if you trust that code",
                    version=version,
                    foreign=", ".join(foreign),
                )
            )
        return Loaded(f"{tables.state} {version}", crm, model, version, DealScorer(model, crm))

    def _signing_key(self) -> str:
        with self.database.writing() as session:
            setting = session.get(Setting, _SIGNING_KEY)
            if setting is None:
                setting = Setting(name=_SIGNING_KEY, value=secrets.token_urlsafe(32))
                session.add(setting)
            return setting.value


def made(key: Hashable, future: "Future[Result]") -> Result:
    """What a future holds; a request does not wait for it.

    Raises
    ------
    NotYetError
        In a request, where it is still being made.
    """
    if asking() is not None and not future.done():
        raise NotYetError(key, future)
    return future.result()


def _queue(threads: int, name: str) -> WorkQueue:
    return WorkQueue(threads, name, most_a_person=_MOST_WORK_A_PERSON, most=_MOST_WORK)


def security_headers(*, over_tls: bool) -> Mapping[str, str]:
    """Headers that every answer carries: nothing from elsewhere runs or is shown, and no other site frames a page."""
    headers = {
        "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    }
    return headers | ({"Strict-Transport-Security": "max-age=31536000"} if over_tls else {})
