"""Work that is done in a workspace every day: step after step under its lock, with a log and an exit code."""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Literal

from winpredict._internal.error_log import unexpected_error
from winpredict._internal.private import make_folder, open_private
from winpredict.errors import WinPredictError, WorkspaceError
from winpredict.locale.text import text
from winpredict.workspace import Workspace

#: How a run ends: all done; done, with problems; something did not happen and must be changed; another run is at work;
#: winpredict itself failed in a step.
DONE, PROBLEMS, NOT_DONE, BUSY, CRASHED = 0, 1, 2, 3, 70


@dataclass(frozen=True)
class StepResult:
    """What came of a step.

    Parameters
    ----------
    counts : mapping
        Figures and names for the log, as JSON values.
    problems : sequence of str
        What people should look at, a sentence each.
    """

    counts: Mapping[str, Any] = field(default_factory=dict)
    problems: Sequence[str] = ()


@dataclass(frozen=True)
class Step:
    """One step of a run.

    Parameters
    ----------
    name : str
    work : callable
        Does it. An error ends the step: of one made for people the message is kept, of any other, which is a fault
        of winpredict, where its details were written.
    needed : bool
        Whether the steps after it make no sense without it.
    always : bool
        Whether it is done even after a needed one has failed.
    """

    name: str
    work: Callable[[], StepResult]
    needed: bool = False
    always: bool = False


@dataclass(frozen=True)
class StepDone:
    """A line of the log."""

    step: str
    started_at: str
    seconds: float
    outcome: Literal["done", "problems", "failed", "crashed", "skipped", "stopped"]
    counts: Mapping[str, Any] = field(default_factory=dict)
    problems: Sequence[str] = ()


@dataclass(frozen=True)
class Run:
    """What came of a run.

    Parameters
    ----------
    steps : tuple of StepDone
    log : Path
        Where they are recorded, a JSON line each.
    """

    steps: tuple[StepDone, ...]
    log: Path

    @property
    def code(self) -> int:
        """How it ended: `DONE`, `PROBLEMS`, `NOT_DONE` or `CRASHED`."""
        outcomes = {each.outcome for each in self.steps}
        if "crashed" in outcomes:
            return CRASHED
        if outcomes & {"failed", "skipped", "stopped"}:
            return NOT_DONE
        return PROBLEMS if "problems" in outcomes else DONE

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"code": self.code, "log": str(self.log), "steps": [asdict(each) for each in self.steps]}


def run_steps(workspace: Workspace, name: str, steps: Callable[[list[StepDone]], Sequence[Step]]) -> Run:
    """Do steps one after the other, under the lock of a workspace.

    Parameters
    ----------
    workspace : Workspace
    name : str
        What the run is about, for the log.
    steps : callable
        Takes the list of the steps done so far, which grows, and returns the steps.

    Returns
    -------
    Run

    Raises
    ------
    WorkspaceBusyError
        When another process holds the lock.
    WorkspaceError
        When the log cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> workspace = Workspace(Path(tempfile.mkdtemp()))
    >>> step = Step("count", lambda: StepResult({"deals": 3}, ["one is odd"]))
    >>> result = run_steps(workspace, "hubspot", lambda done: [step])
    >>> result.code, result.steps[0].problems, len(result.log.read_text().splitlines())
    (1, ['one is odd'], 3)
    """
    with workspace.writing(), _Log(workspace.folder / "runs") as log:
        log.write({"run": name, "started_at": _now(), "process": os.getpid()})
        done: list[StepDone] = []
        halted = False
        for step in steps(done):
            if halted and not step.always:
                done.append(StepDone(step.name, _now(), 0.0, "skipped"))
            else:
                done.append(_done(step, log))
                halted |= step.needed and done[-1].outcome in ("failed", "crashed")
            log.write(asdict(done[-1]))
        result = Run(tuple(done), log.path)
        log.write({"run": name, "ended_at": _now(), "code": result.code})
    return result


def _done(step: Step, log: "_Log") -> StepDone:
    started, clock = _now(), time.monotonic()

    def finished(outcome: Literal["done", "problems", "failed", "crashed", "stopped"], result: StepResult) -> StepDone:
        seconds = round(time.monotonic() - clock, 3)
        return StepDone(step.name, started, seconds, outcome, dict(result.counts), list(result.problems))

    try:
        result = step.work()
    except WinPredictError as error:
        return finished("failed", StepResult(problems=[str(error)]))
    except Exception as error:  # the steps after it may well be done, and people must hear of it
        return finished("crashed", StepResult(problems=[unexpected_error(error)]))
    except BaseException as error:
        # its message may hold anything, and a log is kept
        log.write(asdict(finished("stopped", StepResult(problems=[type(error).__name__]))))
        raise
    return finished("problems" if result.problems else "done", result)


class _Log:
    """JSON lines in a new file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}.jsonl"
        self._file: IO[str] | None = None

    def __enter__(self) -> "_Log":
        try:
            make_folder(self.path.parent, private=True)
            self._file = open(self.path, "x", encoding="utf-8", opener=open_private)
        except OSError as error:
            raise WorkspaceError(
                text("cannot write {path}: {strerror}", path=self.path, strerror=error.strerror or error)
            ) from None
        return self

    def __exit__(self, *_: object) -> None:
        assert self._file is not None
        self._file.close()

    def write(self, values: Mapping[str, Any]) -> None:
        """One line, at once: a run that is killed has logged what it had done."""
        assert self._file is not None
        try:
            self._file.write(json.dumps(values, default=str) + "\n")
            self._file.flush()
        except OSError as error:
            raise WorkspaceError(
                text("cannot write {path}: {strerror}", path=self.path, strerror=error.strerror or error)
            ) from None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
