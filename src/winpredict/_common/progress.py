"""Progress for people: shown on a terminal, silent everywhere else."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[str], None]


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
    >>> with progress("training") as say:
    ...     say("building features")
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
        yield lambda words: bar.update(task, description=f"{title}: {words}")
