"""One text that names a day or a month: in digits, in words, in Chinese, Japanese or Korean."""

import re
from functools import cache
from typing import NamedTuple

from winpredict.ingest.parsing.month_words import month_words, weekday_words

# Kinds of texts.
UNREAD, EMPTY, DAY, MONTH = range(4)
#: How a date is written: with the year in front, with the month in words, or with day and month in either order around
#: one of these separators.
YEAR_FIRST, WORDS = 0, 1
SEPARATORS = {"/": 2, "-": 3, ".": 4, " ": 5}
MIN_YEAR, MAX_YEAR = 1900, 2199


class DateText(NamedTuple):
    """What a text says.

    Parameters
    ----------
    kind : int
        `UNREAD`, `EMPTY` (as programs write that there is no date), `DAY` or `MONTH`.
    first, second : int
        Day and month, or month and day, as they stand; day and month where the form leaves no choice.
    year : int
    form : int
        `YEAR_FIRST`, `WORDS`, or the number of a separator.
    short : bool
        Whether the year has two digits.
    """

    kind: int
    first: int = 0
    second: int = 0
    year: int = 0
    form: int = YEAR_FIRST
    short: bool = False


_UNREAD, _EMPTY = DateText(UNREAD), DateText(EMPTY)
_COMPACT = re.compile(r"(\d{4})(\d\d)(\d\d)")
#: Six digits that cannot be two of a year, two of a month and two of a day.
_COMPACT_MONTH = re.compile(r"(20(?:1[3-9]|[2-9]\d))(0[1-9]|1[0-2])")
_DIGITS = re.compile(r"(\d{1,4})([-/. ])(\d{1,2})\2(\d{1,4})\.?")
_YEAR_MONTH = re.compile(r"(\d{4})(?:[-/ ](\d{1,2})|\.(\d\d))")
_MONTH_YEAR = re.compile(r"(\d{1,2})[-/. ](\d{4})")
_AROUND_SEPARATOR = re.compile(r"\s*([-/.])\s*")
_EAST_ASIAN = re.compile(r"(\D*)(\d{1,4}|元)\s*[年년]\s*(\d{1,2})\s*[月월](?:\s*(\d{1,2})\s*[日号號일])?(.*)")
_EAST_ASIAN_WEEKDAY = re.compile(
    r"\s*[(（]?(?:[月火水木金土日](?:曜日?)?|(?:星期|周|週)[一二三四五六日天]|[월화수목금토일](?:요일)?)[)）]?"
)
_CHINESE_SIGN = re.compile("[\u2e80-\u9fff]")
_ERAS = {"令和": 2018, "平成": 1988, "昭和": 1925}
_BRACKETS = re.compile(r"\s*[(\[]([^)\]]*)[)\]]\s*")
#: "of the year" behind a Polish or Russian date.
_YEAR_WORDS = ("r", "roku", "г", "год", "года")
_YEAR_WORD = re.compile(rf"(?<=\d)\s*(?:{'|'.join(_YEAR_WORDS)})\.?$")
#: What stands between a date and a time of the day that has been taken away.
_BEFORE_CLOCK = re.compile(r"(?:\s+(?:a\s+las?|o|w|в|во|(?:o\s+)?godz\.?)|\s*[,;:@-])\s*$")
_TOKEN = re.compile(r"\d+|[^\W\d_]+|[^\w\s]|_|\s+")
#: Words between the parts of a date, or between a date and a time.
_FILLERS = frozenset(
    {
        *("of", "the", "on", "at"),
        *("de", "du", "le", "la", "à"),
        *("den", "der", "um", "am"),
        *("del", "el", "las"),
        *("do", "da", "às"),
        *("dei", "di", "il", "al", "alle", "ore"),
        *("op", "om", "godz", "в", "во"),
    }
)
#: What stands behind the number of a day.
_ORDINALS = frozenset({"st", "nd", "rd", "th", "er", "re", "e", "ste", "de", "o", "a", "°"})
_PUNCTUATION = frozenset(".,-/'’` ")
_YEAR_SIGNS = frozenset("-'’`/")
#: 0 as a day or a month, the years 0 and 1, and day 0 of spreadsheets and of their libraries.
_NO_DATES = frozenset({(0, 0, 0), (1, 1, 1), (0, 1, 1900), (1, 0, 1900), (0, 0, 1900), (30, 12, 1899), (31, 12, 1899)})
_NO_SHORT_DATES = frozenset({(0, 0, 0), (0, 1, 0), (1, 0, 0)})


def parse_date(text: str) -> DateText:
    """Read a text that names a day or a month.

    Parameters
    ----------
    text : str
        In lower case, stripped, without a time of the day.

    Returns
    -------
    DateText

    Examples
    --------
    >>> parse_date("ven. 19 mai 2023")
    DateText(kind=2, first=19, second=5, year=2023, form=1, short=False)
    >>> parse_date("03/04/2025")
    DateText(kind=2, first=3, second=4, year=2025, form=2, short=False)
    >>> parse_date("q1 2024").kind == UNREAD
    True
    """
    return _in_digits(text) or _in_east_asian(text) or _in_words(text) or _UNREAD


@cache
def date_words() -> frozenset[str]:
    """The words of which the first of a date is one; of words in Chinese signs the first sign."""
    words = {*month_words(), *weekday_words(), *_FILLERS, *_ORDINALS, *_YEAR_WORDS, *_ERAS, *"年년월月日号號"}
    return frozenset(words | {word[0] for word in words if _CHINESE_SIGN.match(word)})


def _in_digits(text: str) -> DateText | None:
    if match := _COMPACT.fullmatch(text):
        year, month, day = map(int, match.groups())
        return _calendar_date(year, month, day)
    if match := _COMPACT_MONTH.fullmatch(text):
        return DateText(MONTH, 1, int(match[2]), int(match[1]))
    match = _DIGITS.fullmatch(text) or _DIGITS.fullmatch(_AROUND_SEPARATOR.sub(r"\1", text))
    if match:
        first, separator, second, last = match.groups()
        if len(first) == 4 and len(last) <= 2:
            return _calendar_date(int(first), int(second), int(last))
        if len(first) > 2 or len(last) not in (2, 4):
            return _UNREAD
        date = int(first), int(second), int(last)
        swapped = date[1], date[0], date[2]
        empty = _NO_DATES if len(last) == 4 else _NO_SHORT_DATES
        if date in empty or swapped in empty:
            return _EMPTY
        return DateText(DAY, *date, SEPARATORS[separator], len(last) == 2)
    if match := _YEAR_MONTH.fullmatch(text):
        return DateText(MONTH, 1, int(match[2] or match[3]), int(match[1]))
    if match := _MONTH_YEAR.fullmatch(text):
        return DateText(MONTH, 1, int(match[1]), int(match[2]))
    return None


def _calendar_date(year: int, month: int, day: int) -> DateText:
    return _EMPTY if (day, month, year) in _NO_DATES else DateText(DAY, day, month, year)


def _in_east_asian(text: str) -> DateText | None:
    match = _EAST_ASIAN.fullmatch(text)
    if match is None:
        return None
    era, written, month, day, rest = match.groups()
    if rest and not _EAST_ASIAN_WEEKDAY.fullmatch(rest):
        return _UNREAD
    year = 1 if written == "元" else int(written)
    short = not era and len(written) == 2
    if era:
        if era not in _ERAS:
            return _UNREAD
        year += _ERAS[era]
    elif len(written) not in (2, 4):
        return _UNREAD
    return DateText(DAY if day else MONTH, int(day or 1), int(month), year, WORDS, short)


def _in_words(text: str) -> DateText | None:
    tokens = _date_tokens(text)
    if tokens is None:
        return None
    months = [index for index, token in enumerate(tokens) if token in month_words()]
    if len(months) > 1 or (len(months) == 1 and sum(token.isdigit() for token in tokens) > 2):
        # Tuesday and March share an abbreviation in French, Spanish and Italian
        weekday = months.pop(0)
        if tokens[weekday] not in weekday_words():
            return None
        del tokens[weekday]
        months = [index - 1 for index in months]
    if not months:
        return _in_digits("".join(tokens).strip(" .,-"))
    if len(months) > 1:
        return None
    return _around_month(tokens, months[0])


def _date_tokens(text: str) -> list[str] | None:
    """The numbers, month names and signs of a date; None if there is anything else."""
    for inside in _BRACKETS.findall(text):
        if inside not in weekday_words() and not _EAST_ASIAN_WEEKDAY.fullmatch(inside):
            return None
    text = _YEAR_WORD.sub("", _BEFORE_CLOCK.sub("", _BRACKETS.sub(" ", text).strip()))
    tokens: list[str] = []
    after_dropped_word = False
    for token in _TOKEN.findall(text):
        if token.isdigit() or token in month_words():
            tokens.append(token)
        elif token.isspace():
            tokens.append(" ")
        elif token in _PUNCTUATION:
            if not after_dropped_word:
                tokens.append(token)
        elif tokens and tokens[-1].isdigit() and token in _ORDINALS:
            tokens.append("°")
        elif token in weekday_words() or token in _FILLERS:
            after_dropped_word = True
            continue
        else:
            return None
        after_dropped_word = False
    return tokens


def _around_month(tokens: list[str], month_index: int) -> DateText | None:
    month = month_words()[tokens[month_index]]
    before = [token for token in tokens[:month_index] if token.isdigit()]
    after = [token for token in tokens[month_index + 1 :] if token.isdigit()]
    lengths = tuple(map(len, before)), tuple(map(len, after))
    match lengths:
        case ((1 | 2,), (2 | 4 as digits,)):
            return DateText(DAY, int(before[0]), month, int(after[0]), WORDS, digits == 2)
        case ((), (1 | 2, 2 | 4 as digits)):
            return DateText(DAY, int(after[0]), month, int(after[1]), WORDS, digits == 2)
        case ((4,), (1 | 2,)):
            return DateText(DAY, int(after[0]), month, int(before[0]), WORDS)
        case ((4, 1 | 2), ()):
            return DateText(DAY, int(before[1]), month, int(before[0]), WORDS)
        case ((), (4,)):
            return DateText(MONTH, 1, month, int(after[0]), WORDS)
        case ((4,), ()):
            return DateText(MONTH, 1, month, int(before[0]), WORDS)
        case ((), (2,)) if _YEAR_SIGNS.intersection(tokens[month_index + 1 :]):
            # Mar-24 and Mar '24 are how spreadsheets show a month; Mar 24 may be a day
            return DateText(MONTH, 1, month, int(after[0]), WORDS, True)
    return None
