"""Languages: which ones are there, which one is spoken now, and their catalogues of messages."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path

from babel import Locale, UnknownLocaleError
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from winpredict.errors import ConfigError

CATALOGUES = Path(__file__).parent / "catalogues"
#: English is what the messages are written in; the others have a catalogue each.
SOURCE = "en"
#: English made longer by two fifths, with accents: what is not translated, or has no room, is seen at once.
PSEUDO = "en_XA"
_PLACEHOLDER = re.compile(r"(\{[^{}]*\}|<[^<>]*>|&\w+;)")
#: One wish of a header: a tag, its further parts, and how much it is wanted.
_WISH = re.compile(r"\s*([a-z]{2,3})((?:[-_][a-z0-9]{1,8})*)\s*(?:;\s*q=([0-9.]+)\s*)?", re.IGNORECASE | re.ASCII)
#: So many wishes of a header are looked at; nobody speaks more languages, and looking costs time.
_MAX_WISHES = 20
_ACCENTS = str.maketrans("aceinouyACEINOUY", "àçéîñôûýÀÇÉÎÑÔÛÝ")
_NO_CATALOGUE = NullTranslations()
_PSEUDO_WORD = 9


@dataclass(frozen=True)
class Language:
    """A language that people are spoken to in.

    Parameters
    ----------
    name : str
        As Babel knows it: ``en_US``, ``fr``, ``de_CH``. Numbers, dates and money follow it also where no messages are
        translated into it, which then are English.

    Raises
    ------
    ConfigError
        When there is no such language.

    Examples
    --------
    >>> Language("fr_CA").lang, Language("nl").lang
    ('fr', 'en')
    """

    name: str

    def __post_init__(self) -> None:
        _ = self.locale

    @property
    def locale(self) -> Locale:
        """How numbers, dates and money are written."""
        return _locale(self.name)

    @property
    def lang(self) -> str:
        """The language of the messages, for the attribute ``lang`` of a page."""
        return self.locale.language if self.locale.language in languages() else SOURCE

    def message(self, one: str, many: str = "", n: int = 1) -> str:
        """A message in this language; of two, the form for `n`."""
        if self.name == PSEUDO:
            return _stretched(one if n == 1 or not many else many)
        catalogue = _catalogue(self.lang)
        found = catalogue.ngettext(one, many, n) if many else catalogue.gettext(one)
        if found in (one, many):  # what a plug-in says, or what stands as it is in this language too
            chosen = one if not many or self.locale.plural_form(n) == "one" else many
            return _OFFERED.get(self.lang, {}).get(chosen, found)
        return found


_OFFERED: dict[str, dict[str, str]] = {}


def current() -> Language:
    """The language spoken now, by default English."""
    return _CURRENT.get()


@contextmanager
def speaking(language: Language | str) -> Iterator[Language]:
    """Speak a language within a block.

    Examples
    --------
    >>> with speaking("de_DE") as language:
    ...     current().lang
    'de'
    """
    spoken = Language(language) if isinstance(language, str) else language
    token = _CURRENT.set(spoken)
    try:
        yield spoken
    finally:
        _CURRENT.reset(token)


@cache
def languages() -> tuple[str, ...]:
    """The languages that messages are translated into, English first."""
    return (SOURCE, *sorted(path.stem for path in CATALOGUES.glob("*.po")))


def language_of(*wishes: str | None) -> Language:
    """The first of several wishes that can be granted; English where none can.

    Parameters
    ----------
    *wishes : str or None
        Names of languages, or a whole ``Accept-Language`` header each; what is unknown is passed over, of a region
        or a variant that is unknown the language remains.

    Examples
    --------
    >>> language_of(None, "xx", "fr-CH, fr;q=0.9, en;q=0.8").name
    'fr_CH'
    """
    for wish in wishes:
        for name in _by_preference(wish or ""):
            if name == PSEUDO:
                return Language(PSEUDO)
            language = _closest(name)
            if language is not None and language.locale.language in languages():
                return language
    return ENGLISH


def offer(translations: Mapping[str, Mapping[str, str]]) -> None:
    """Add translations of a plug-in's messages; those of the catalogues come first.

    Parameters
    ----------
    translations : mapping of str to mapping of str to str
        Language to message to translation; both forms of a message with two are messages.

    Examples
    --------
    >>> offer({"fr": {"touches at night": "échanges de nuit"}})
    >>> Language("fr").message("touches at night")
    'échanges de nuit'
    """
    for language, messages in translations.items():
        _OFFERED.setdefault(language, {}).update(messages)


def _by_preference(header: str) -> list[str]:
    """The languages of an ``Accept-Language`` header, best first; a name alone is one of a single language."""
    weighed = []
    for place, part in enumerate(header.split(",", _MAX_WISHES)[:_MAX_WISHES]):
        wish = _WISH.fullmatch(part)
        try:
            weight = float(wish[3] or 1) if wish else 0.0
        except ValueError:
            weight = 0.0
        if wish and weight > 0:
            weighed.append((-weight, place, f"{wish[1]}{wish[2]}".replace("-", "_")))
    return [name for _, _, name in sorted(weighed)]


def _closest(name: str) -> Language | None:
    """A language by as many parts of its name as are known: of ``de_CH_1996`` ``de_CH``."""
    parts = name.split("_")[:3]
    for number in range(len(parts), 0, -1):
        try:
            locale = Locale.parse("_".join(parts[:number]))
        except (UnknownLocaleError, ValueError):
            continue
        # Babel guesses a language where only a script or a country is known
        if locale.language == parts[0].lower() and not locale.variant:
            return Language(str(locale))
    return None


@cache
def _locale(name: str) -> Locale:
    if name == PSEUDO:
        return Locale("en")
    try:
        return Locale.parse(name)
    except (UnknownLocaleError, ValueError, TypeError):
        raise ConfigError(
            f"unknown language {name!r}; write it as language or language_COUNTRY, such as fr, en_US or de_DE"
        ) from None


@cache
def _catalogue(lang: str) -> NullTranslations:
    path = CATALOGUES / f"{lang}.po"
    if lang == SOURCE or not path.exists():
        return _NO_CATALOGUE
    compiled = BytesIO()
    with path.open("rb") as file:
        write_mo(compiled, read_po(file, locale=lang))
    compiled.seek(0)
    return GNUTranslations(compiled)


def _stretched(message: str) -> str:
    """A message with accents and longer by two fifths; placeholders and tags stay."""
    parts = [part if _PLACEHOLDER.fullmatch(part) else part.translate(_ACCENTS) for part in _PLACEHOLDER.split(message)]
    letters = len(_PLACEHOLDER.sub("", message))
    # in words, since a long sentence becomes longer by words and not by one that no line can hold
    longer = "".join(" " if place % _PSEUDO_WORD == 0 else "~" for place in range(1, round(0.4 * letters) + 1))
    return f"[{''.join(parts)}{longer}]"


ENGLISH = Language("en_US")
_CURRENT: ContextVar[Language] = ContextVar("language", default=ENGLISH)
