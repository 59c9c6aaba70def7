"""What all requests share: the workspace, its database, and its tables and models as last read."""

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from winpredict.app.database import Database
from winpredict.app.records import Setting
from winpredict.config import Config
from winpredict.errors import ConfigError
from winpredict.workspace import Workspace

if TYPE_CHECKING:
    from winpredict.explain.scores import DealScorer
    from winpredict.models.trained import TrainedModel
    from winpredict.tables.crm import CRMData

Made = TypeVar("Made")
_SIGNING_KEY = "signing key"
#: Charts, reports and the like that are kept; beyond that the one that was asked for longest ago goes.
_MOST_KEPT = 500


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
        self._loaded: Loaded | None = None
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, Future[Any]] = OrderedDict()
        self._kept_lock = threading.Lock()
        # one at a time: whoever waits for a report must not slow down those who turn pages
        self._long_work, self._short_work = _workers()

    def kept(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What was made before under a key; made now, once, even if several ask at the same time.

        Parameters
        ----------
        key : hashable
            All that it depends on: what it is, the state that it was made of (`Loaded.state`, the id of a scoring run),
            and what the caller may see. Whoever has the same key gets the same answer.
        make : callable
            An error that it raises is not kept.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> from winpredict.app.database import open_database
        >>> folder = Path(tempfile.mkdtemp())
        >>> desk = Desk(Workspace(folder), Config(), open_database("", folder))
        >>> desk.kept(("sum", "state 1"), lambda: 1 + 1), desk.kept(("sum", "state 1"), lambda: 7)
        (2, 2)
        """
        promised, is_new = self._promised(key)
        if is_new:
            self._keep_promise(key, promised, make)
        made: Made = promised.result()
        return made

    def begun(self, key: Hashable, make: Callable[[], Made], *, is_long: bool = True) -> "Future[Made]":
        """What `kept` gives, but made beside the request: for what may take longer than people wait.

        Parameters
        ----------
        key : hashable
            As for `kept`, whose answers these are too.
        make : callable
        is_long : bool
            Whether it takes more than a few seconds; such work is done one after the other and holds up no other.
        """
        promised, is_new = self._promised(key)
        if is_new:
            (self._long_work if is_long else self._short_work).submit(self._keep_promise, key, promised, make)
        return promised

    def drop_begun(self) -> None:
        """Do no more of what was begun and waits for its turn: a program that ends must not wait for it."""
        former = self._long_work, self._short_work
        self._long_work, self._short_work = _workers()
        for each in former:
            each.shutdown(wait=False, cancel_futures=True)
        with self._kept_lock:
            # what is being made right now is not cancelled by this, and kept
            for key in [key for key, promised in self._kept.items() if promised.cancel()]:
                del self._kept[key]

    def forget(self, key: Hashable) -> None:
        """Let what was kept under a key be made anew when it is asked for again."""
        with self._kept_lock:
            self._kept.pop(key, None)

    def _promised(self, key: Hashable) -> "tuple[Future[Any], bool]":
        """What is or will be kept under a key, and whether the caller has to see to it."""
        with self._kept_lock:
            there = self._kept.get(key)
            promised: Future[Any] = Future() if there is None else there
            self._kept[key] = promised
            self._kept.move_to_end(key)
            while len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
        return promised, there is None

    def _keep_promise(self, key: Hashable, promised: "Future[Any]", make: Callable[[], Any]) -> None:
        if not promised.set_running_or_notify_cancel():
            return
        try:
            promised.set_result(make())
        except BaseException as error:
            with self._kept_lock:
                if self._kept.get(key) is promised:  # not what was promised anew since
                    del self._kept[key]
            promised.set_exception(error)

    def loaded(self) -> Loaded:
        """Tables and champion, read again when either has changed.

        Raises
        ------
        WorkspaceError
            When nothing was imported.
        WinPredictError
            When nothing was trained.
        ConfigError
            When the model wants code that the config does not name.
        """
        with self._lock:
            version, state = self._version_and_state()
            while self._loaded is None or self._loaded.state != state:
                loaded = self._load(state, version)
                version, state = self._version_and_state()
                if loaded.state == state:  # else another import or promotion came in between
                    self._loaded = loaded
                    self._forget_former()
            return self._loaded

    def _version_and_state(self) -> tuple[str, str]:
        from winpredict.models.registry import version_of

        version = str(version_of(self.workspace.folder))
        return version, f"{self.workspace.state} {version}"

    def _forget_former(self) -> None:
        """Let go of all that was made: most of it was made of the former state, and nobody asks for that again."""
        with self._kept_lock:
            for key in [key for key, promised in self._kept.items() if promised.done()]:
                del self._kept[key]

    def _load(self, state: str, version: str) -> Loaded:
        from winpredict.explain.scores import DealScorer
        from winpredict.models.registry import load_model

        crm, model = self.workspace.crm(), load_model(self.workspace.folder, version)
        foreign = sorted(set(model.builder_paths) - set(self.config.builders))
        if foreign:  # whoever can write into a model's files must not choose what code runs here
            raise ConfigError(
                f"model {version} computes features by {', '.join(foreign)}, which `builders` in this desk's config "
                "does not name; name it there if you trust that code"
            )
        return Loaded(state, crm, model, version, DealScorer(model, crm))

    def _signing_key(self) -> str:
        with self.database.writing() as session:
            kept = session.get(Setting, _SIGNING_KEY)
            if kept is None:
                kept = Setting(name=_SIGNING_KEY, value=secrets.token_urlsafe(32))
                session.add(kept)
            return kept.value


def _workers() -> tuple[ThreadPoolExecutor, ThreadPoolExecutor]:
    long_work = ThreadPoolExecutor(1, thread_name_prefix="long-work")
    return long_work, ThreadPoolExecutor(2, thread_name_prefix="short-work")


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
