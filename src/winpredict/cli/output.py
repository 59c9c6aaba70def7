"""What commands print: JSON for machines, tables and sentences for people."""

import math
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from winpredict.locale.formats import STYLES, or_missing
from winpredict.locale.text import Text, said

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console
    from rich.table import Table

#: Columns kept free when the output is no terminal, so that tables in logs and pipes are not folded.
_WIDTH_OF_PIPES = 160


class Column(NamedTuple):
    """How a column of a table is shown.

    Parameters
    ----------
    head : Text or str
    style : str
        A key of `winpredict.locale.formats.STYLES`; empty for values that are shown as they are.
    """

    head: Text | str
    style: str = ""


def respond(data: Mapping[str, Any], show: "Callable[[Console], None]", *, as_json: bool) -> None:
    """Print the outcome of a command.

    Parameters
    ----------
    data : mapping
        What ``--json`` prints; frames become lists of records, missing numbers null.
    show : callable
        Prints the same for people on a Rich console.
    as_json : bool
        Which of the two.
    """
    if as_json:
        sys.stdout.write(to_json(data) + "\n")
        return
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    show(console if console.is_terminal else Console(width=_WIDTH_OF_PIPES, highlight=False, markup=False, emoji=False))


def to_json(data: Any) -> str:
    """JSON text of frames, dataclasses, times and plain values.

    Examples
    --------
    >>> print(to_json({"odds": float("nan"), "deals": 2}))
    {
      "odds": null,
      "deals": 2
    }
    """
    from pydantic_core import to_json as dump

    return dump(data, indent=2, inf_nan_mode="null", fallback=_fallback).decode()


def warn(warning: Text) -> None:
    """Print a warning on stderr."""
    print(said("warning: {warning}", warning=warning), file=sys.stderr, flush=True)


def table(frame: "pd.DataFrame", title: str, columns: Mapping[str, Column]) -> "Table":
    """A frame as a Rich table.

    Parameters
    ----------
    frame : DataFrame
        Its index is not shown.
    title : str
    columns : mapping of str to Column
        The columns to show, in this order; those that the frame lacks are passed over.

    Returns
    -------
    rich.table.Table
    """
    from rich.table import Table
    from rich.text import Text as Cells

    shown = {name: column for name, column in columns.items() if name in frame}
    out = Table(title=title, title_justify="left")
    for name, column in shown.items():
        number = bool(column.style) or frame[name].dtype.kind in "if"
        out.add_column(str(column.head), justify="right" if number else "left", overflow="fold")
    for row in frame[[*shown]].itertuples(index=False):
        out.add_row(*(Cells(cell(value, each.style)) for each, value in zip(shown.values(), row, strict=True)))
    return out


def cell(value: Any, style: str = "") -> str:
    r"""One value as text; missing is empty, or with a style a dash, and nothing unprintable reaches the terminal.

    Examples
    --------
    >>> cell(0.25, "percent"), cell(float("nan"), "percent"), cell(None), cell("a\x1b[2Jb")
    ('25%', '–', '', 'a [2Jb')
    """
    if style:
        return or_missing(STYLES[style])(value)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return "".join(letter if letter.isprintable() or letter == "\n" else " " for letter in str(value))


def _fallback(value: Any) -> Any:
    import pandas as pd

    if isinstance(value, pd.DataFrame):
        records = value.astype(object).where(value.notna(), None).to_dict("records")
        return [{str(name): each for name, each in record.items()} for record in records]
    if isinstance(value, pd.Interval):
        return str(value)
    return value.item() if hasattr(value, "item") else str(value)
