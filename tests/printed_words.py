"""Finds what a command prints in en_XA that comes neither from a message nor from data."""

import re
from collections.abc import Iterable
from html import escape

from untranslated import untranslated

_CELLS = re.compile(r"[│┃\n]")


def untranslated_words(printed: str, data: Iterable[str] = ()) -> list[str]:
    """The words of an output that no message says, cell by cell and line by line.

    Examples
    --------
    >>> untranslated_words("[Déàl~~] │ 006 │ Acme\\nand more", ["Acme"])
    ['and more']
    """
    cells = (cell.strip() for cell in _CELLS.split(printed))
    names = [each for each in data if any(letter.isalpha() for letter in each)]
    return untranslated("".join(f"<p>{escape(cell)}</p>" for cell in cells), names)
