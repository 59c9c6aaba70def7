"""Names of months and weekdays in the languages of exports, from the Unicode locale data that Babel carries."""

import unicodedata
from collections.abc import Iterator
from functools import cache

from babel import Locale

LANGUAGES = ("en", "fr", "de", "es", "pt", "it", "nl", "pl", "ru", "ja")
#: Shorter than this, a beginning of a name may be anything.
_SHORTEST_BEGINNING = 3
#: Spellings that the locale data lack: older and regional ones, and those of programs that write no accents.
_FURTHER_MONTHS = {
    "jänner": 1,
    "jaenner": 1,
    "feber": 2,
    "mrz": 3,
    "maerz": 3,
    "juill": 7,
    "agto": 8,
    "setiembre": 9,
    "сен": 9,
    "ноя": 11,
}
_FURTHER_WEEKDAYS = (
    *("tues", "wedn", "weds", "thur", "thurs", "sonnabend", "zat", "zon", "maa", "din", "woe", "don", "vrij"),
    *(f"{word}{day}" for word in ("星期", "周", "週") for day in "一二三四五六日天"),
    *(f"{day}요일" for day in "월화수목금토일"),
)


@cache
def month_words() -> dict[str, int]:
    """Months by their names and abbreviations in all languages, in lower case.

    Each stands with and without its dots and its accents. What two languages use for different months is left out, and
    so are single letters.

    Returns
    -------
    dict of str to int

    Examples
    --------
    >>> words = month_words()
    >>> words["maja"], words["févr."], words["fevr"], words["мая"], words["mrt"]
    (5, 2, 2, 5, 3)
    """
    words: dict[str, set[int]] = {}
    beginnings: dict[str, set[int]] = {}
    for month, name in _locale_months():
        for spelling in _spellings(name):
            words.setdefault(spelling, set()).add(month)
            beginnings.setdefault(spelling[:_SHORTEST_BEGINNING], set()).add(month)
    for name, month in _FURTHER_MONTHS.items():
        for spelling in _spellings(name):
            words.setdefault(spelling, set()).add(month)
    # spreadsheets cut names after three letters where the locale data use four or another abbreviation
    words = {word: months for word, months in beginnings.items() if len(word) == _SHORTEST_BEGINNING} | words
    return {word: min(months) for word, months in sorted(words.items()) if len(months) == 1}


@cache
def weekday_words() -> frozenset[str]:
    """Names and abbreviations of weekdays in all languages, in lower case, with and without dots and accents.

    Returns
    -------
    frozenset of str

    Examples
    --------
    >>> {"fri", "ven", "venerdi", "金曜日", "pt."} <= weekday_words()
    True
    """
    names = list(_FURTHER_WEEKDAYS)
    for language in LANGUAGES:
        for forms in Locale.parse(language).days.values():
            for width, by_day in forms.items():
                if width != "narrow":
                    names += [part for name in by_day.values() for part in (name, *name.split("-"))]
    # a single letter, such as the Japanese one for Sunday, is also that for day
    return frozenset(spelling for name in names if len(name) > 1 for spelling in _spellings(name))


def _locale_months() -> Iterator[tuple[int, str]]:
    for language in LANGUAGES:
        for forms in Locale.parse(language).months.values():
            for width, by_month in forms.items():
                # the narrow ones are single letters, and those with digits are read as numbers
                if width != "narrow":
                    yield from ((month, name) for month, name in by_month.items() if not name[0].isdigit())


def _spellings(name: str) -> set[str]:
    lower = unicodedata.normalize("NFKC", name).lower().rstrip(".")
    # Polish ł is a letter of its own, which normalization leaves as it is
    decomposed = unicodedata.normalize("NFD", lower.replace("ł", "l"))
    without_accents = "".join(char for char in decomposed if not unicodedata.combining(char))
    without_accents = unicodedata.normalize("NFC", without_accents)  # Korean syllables were taken apart as well
    return {spelling + dot for spelling in (lower, without_accents) for dot in ("", ".")}
