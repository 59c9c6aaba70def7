"""One number as people write it, by its shape: its text with each digit a 9, or a 0 where a run begins with one."""

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

from winpredict.ingest.parsing.currencies import parse_unit
from winpredict.ingest.parsing.number_formats import NumberFormat, Separator, separator_name

#: The exponent of what is not a number in a format.
NOT_READ = -1000
#: A whole number of so many digits would be grouped in a column where numbers are.
_GROUPED_DIGITS = 4
_LOOKALIKES = {ord(mark): "'" for mark in "’‘ʼ′`´＇ʹ"} | {ord(dash): "-" for dash in "−‐‑‒–﹣－"}
#: Marks of direction and of no width, which nobody sees.
_INVISIBLE = dict.fromkeys([*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x206A), 0x061C, 0xFEFF])
_CLEANED = _LOOKALIKES | _INVISIBLE
_FORMULA_TEXT = re.compile(r"=\"(.*)\"")
_SCIENTIFIC = re.compile(r"[+-]?(?=[.,]?[09])[09]*(?P<mark>[.,]?)[09]*[eE][+-]?[09]{1,3}")
_AROUND = re.compile(r"(?P<before>[^09]*)(?P<body>[09](?:[09.,' ]*[09])?)(?P<after>[^09]*)", re.DOTALL)
#: How people write that there are no cents: 1.200,- and 1'200.-- and 1200,= and 500/-
_NO_CENTS = re.compile(r" ?(?:[.,](?:--?|=|—)|/[-=])(.*)")
_BODIES = {
    ".": re.compile(
        r"(?:[09]+|9[09]{0,2}([,' ])[09]{3}(?:\1[09]{3})*|9[09]?(?:,[09]{2})+,[09]{3})?(?:\.(?P<decimals>[09]*))?"
    ),
    ",": re.compile(r"(?:[09]+|9[09]{0,2}([.' ])[09]{3}(?:\1[09]{3})*)?(?:,(?P<decimals>[09]+))?"),
}


class NumberShape(NamedTuple):
    """What the shape of a cell says.

    Attributes
    ----------
    dot, comma : int or None
        Power of ten of the last digit, read with a decimal dot and with a decimal comma; None if it cannot be.
    kind : str
        The count of `NumberHints` that such a cell belongs to, if any.
    separator : str
        The one that is unclear.
    precise : str
        The count of `NumberHints` for three decimals, if any.
    """

    dot: int | None = None
    comma: int | None = None
    sign: int = 1
    kind: str = ""
    separator: str = ""
    precise: str = ""
    currency: str = ""
    names_currency: bool = False
    has_multiplier: bool = False
    is_filled: bool = True
    is_scientific: bool = False
    is_long_integer: bool = False

    def exponent(self, form: NumberFormat) -> int:
        """Power of ten of the last digit in this format, or `NOT_READ`."""
        exponent = self.comma if form.decimal == "," else self.dot
        fits_two = bool(self.separator) and self.separator in form.unclear
        decides = not form.decimal and self.dot != self.comma
        return NOT_READ if exponent is None or fits_two or decides else exponent


MISSING = NumberShape(is_filled=False)
UNREAD = NumberShape()


@lru_cache(maxsize=1 << 14)
def number_shape(text: str) -> NumberShape:
    """What a text says in which each digit is a 9, or a 0 if a run of digits begins with one."""
    clean = _clean(text)
    if clean is None:
        return UNREAD
    if match := _SCIENTIFIC.fullmatch(clean):
        mark = match["mark"]
        kind = {"": "", ".": "dot_decimal", ",": "comma_decimal"}[mark]
        return NumberShape(None if mark == "," else 0, None if mark == "." else 0, kind=kind, is_scientific=True)
    match = _AROUND.fullmatch(clean)
    if match is None:
        return UNREAD
    before, body, after = match["before"], match["body"], match["after"]
    if before[-1:] in (".", ","):
        # 'Fr.1200' has the dot of a word, '$.50' that of a number
        return _amount(before, body, after) or _amount(before[:-1], before[-1] + body, after) or UNREAD
    return _amount(before, body, after) or UNREAD


def _clean(text: str) -> str | None:
    """Plain spaces, apostrophes, hyphens and wide forms; None if there are digits such as ² and ½."""
    text = text.translate(_CLEANED)
    if not text.isascii():
        if any(unicodedata.category(char) in ("No", "Nl") or (char.isdigit() and char not in "09") for char in text):
            return None
        text = unicodedata.normalize("NFKC", text)
        text = "".join(" " if char.isspace() else char for char in text).translate(_LOOKALIKES)
    text = text.replace("\t", " ").strip()
    formula = _FORMULA_TEXT.fullmatch(text)
    return formula[1].strip() if formula else text.removeprefix("'")


def _amount(before: str, body: str, after: str) -> NumberShape | None:
    no_cents = _NO_CENTS.fullmatch(after)
    if no_cents:
        after = no_cents[1]
    elif after == "." and "." not in body:
        body, after = body + ".", ""
    sign, before, after = _sign(before, after)
    unit = parse_unit(before, after) if sign else None
    if unit is None:
        return None
    dot, comma = (_decimals(body, decimal, max_decimals=0 if no_cents else len(body)) for decimal in _BODIES)
    if dot is None and comma is None:
        return None
    out = NumberShape(
        None if dot is None else unit.exponent - dot,
        None if comma is None else unit.exponent - comma,
        sign=sign,
        currency=unit.currency,
        names_currency=unit.names_currency,
        has_multiplier=unit.exponent > 0,
    )
    if dot == comma:
        is_long = len(body) >= _GROUPED_DIGITS and not body.strip("09") and body[0] == "9" and not unit.exponent
        return out._replace(is_long_integer=is_long)
    if dot is None or comma is None:
        name = "comma" if dot is None else "dot"
        precise = f"{name}_precise" if max(dot or 0, comma or 0) >= 3 else ""
        return out._replace(kind=f"{name}_decimal", precise=precise)
    separator: Separator = "." if dot else ","
    name = separator_name(separator)
    return out._replace(kind=f"{name}_unclear", separator=separator, precise=f"{name}_precise" if unit.exponent else "")


def _sign(before: str, after: str) -> tuple[int, str, str]:
    """-1 or 1, and what is left of the texts before and after a number; 0 if there are several signs."""
    brackets = [*re.findall(r"[()]", before), *re.findall(r"[()]", after)]
    before, after = before.replace("(", "", 1).strip(), after.replace(")", "", 1)
    signs = []
    if before[-1:] in ("-", "+") and before:
        signs.append(before[-1])
        before = before[:-1]
    elif before[:1] in ("-", "+") and before:
        signs.append(before[0])
        before = before[1:]
    # SAP's 1200.00-; a hyphen further off is something else
    if after[:1] == "-":
        signs.append("-")
        after = after[1:]
    elif after[-1:] == "-" and not after[-2:-1].isspace():
        signs.append("-")
        after = after[:-1]
    if brackets:
        return (-1 if brackets == ["(", ")"] and not signs else 0), before, after
    return (0 if len(signs) > 1 else -1 if signs == ["-"] else 1), before, after


def _decimals(body: str, decimal: str, *, max_decimals: int) -> int | None:
    """How many digits are decimals in this reading; None where the text cannot be read so."""
    match = _BODIES[decimal].fullmatch(body)
    count = 0 if match is None else len(match["decimals"] or "")
    return None if match is None or count > max_decimals else count
