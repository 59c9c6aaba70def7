"""Progress for people: shown on a terminal, silent everywhere else."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

Progress = Callable[[str], None]


class Bar(Protocol):
    """Takes the number of steps done and of all, and if there are any the words for the step under way."""

    def __call__(self, done: int, of: int, words: str = "") -> None:
        """Show them."""


@contextmanager
def progress(title: str) -> Iterator[Progress]:
    """Yield a function to be called with a few words before each step.

    On a terminal a spinner on stderr shows the latest words and the seconds since the start; where stderr is no
    terminal, nothing is written.

    Parameters
    ----------
    title : str
        What is being done as a whole.

    Yields
    ------
    callable
        Takes the words to show.

    Examples
    --------
    >>> with progress("training") as report_progress:
    ...     report_progress("building features")
    """
    if not sys.stderr.isatty():
        yield lambda words: None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda words: bar.update(task, description=f"{title} · {words}")


@contextmanager
def progress_bar(title: str) -> Iterator[Bar]:
    """Yield a function to be called with the number of steps done, the number of all, and a few words if need be.

    On a terminal a bar on stderr shows them with the time that is left; elsewhere nothing is written.

    Parameters
    ----------
    title : str
        What is being done as a whole.

    Yields
    ------
    Bar

    Examples
    --------
    >>> with progress_bar("building features") as bar:
    ...     bar(1, 2)
    """
    if not sys.stderr.isatty():
        yield lambda done, of, words="": None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)

        def show(done: int, of: int, words: str = "") -> None:
            bar.update(task, completed=done, total=of, description=f"{title} · {words}" if words else title)

        yield show
