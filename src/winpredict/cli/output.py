"""What commands print: JSON for machines, tables and sentences for people."""

import math
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console
    from rich.table import Table

#: Columns kept free when the output is no terminal, so that tables in logs and pipes are not folded.
_WIDTH_OF_PIPES = 160


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


def table(frame: "pd.DataFrame", title: str, formats: Mapping[str, str] | None = None) -> "Table":
    """A frame as a Rich table.

    Parameters
    ----------
    frame : DataFrame
        Its index is not shown.
    title : str
    formats : mapping of str to str, optional
        Format of the numbers of a column, such as ``{"odds": ".0%"}``.

    Returns
    -------
    rich.table.Table
    """
    from rich.table import Table
    from rich.text import Text

    out = Table(title=title, title_justify="left")
    for name in frame.columns:
        number = frame[name].dtype.kind in "if"
        out.add_column(str(name).replace("_", " "), justify="right" if number else "left", overflow="fold")
    formats = formats or {}
    for row in frame.itertuples(index=False):
        cells = (cell(value, formats.get(str(name), "")) for name, value in zip(frame.columns, row, strict=True))
        out.add_row(*(Text(each) for each in cells))
    return out


def cell(value: Any, form: str = "") -> str:
    r"""One value as text; missing is empty, and nothing unprintable reaches the terminal.

    Examples
    --------
    >>> cell(0.25, ".0%"), cell(float("nan")), cell("a\x1b[2Jb")
    ('25%', '', 'a [2Jb')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float | int) and form:
        return format(value, form)
    return "".join(letter if letter.isprintable() or letter == "\n" else " " for letter in str(value))


def _fallback(value: Any) -> Any:
    import pandas as pd

    if isinstance(value, pd.DataFrame):
        records = value.astype(object).where(value.notna(), None).to_dict("records")
        return [{str(name): each for name, each in record.items()} for record in records]
    if isinstance(value, pd.Interval):
        return str(value)
    return value.item() if hasattr(value, "item") else str(value)
