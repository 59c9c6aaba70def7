"""Finds what a page says that no message says: text that is not stretched in the pseudo-locale en_XA."""

import re
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser

#: Attributes that people read or hear; of inputs the value too, where it is what a button says.
_READ = frozenset({"title", "alt", "placeholder", "aria-label", "data-label", "label"})
#: What scripts say.
_SAID_BY_SCRIPTS = frozenset(
    f"data-{name}" for name in ("keys-on", "keys-off", "no-answer", "signed-out", "trouble", "ready")
)
_BUTTONS = frozenset({"submit", "button", "reset"})
_VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"})
#: Elements within a sentence: a message may go through several of them.
_INLINE = frozenset({"a", "abbr", "b", "br", "code", "em", "i", "kbd", "mark", "output", "small", "span", "strong"})
#: Nobody translates what these hold: programs, commands, names of files and keys of the keyboard.
_NOT_WORDS = frozenset({"code", "kbd", "pre", "script", "style", "template"})
# a message of places alone is not longer
_STRETCHED = re.compile(r"\[[^\[\]]*\]")
#: What the pseudo-locale writes as English does.
_WRITTEN = re.compile(
    r"\b\d{1,2} (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)(?: \d{4})?\b|\b[A-Z]{3}\s?[\d,.]+"
)
_NAME = "winpredict"


def untranslated(html: str, data: Iterable[str] = ()) -> list[str]:
    """The words of a page in en_XA that come neither from a message nor from data, in the order of the page.

    Parameters
    ----------
    html : str
        A page as ``Accept-Language: en_XA`` gives it.
    data : iterable of str
        What comes from data and is never translated: names of people, deals, stages. It counts as whole words, the
        longest first, and as a whole text in any case. What stands in an element with ``translate="no"`` or with a
        ``lang`` of its own, in code or in keys needs no mention.

    Examples
    --------
    >>> untranslated('<p>[Ôpéñ déàl~~~~] <b>Acme</b></p><p title="Total">7 Mar 2025</p>', {"Acme"})
    ['Total']
    >>> untranslated('<p>[Ônly Déàls of Acme. <a href="/">Shôw àll</a>~~~]</p><li>and more</li>')
    ['and more']
    """
    reader = _Reader()
    reader.feed(html)
    reader.close()
    names = sorted({_in_one_line(each) for each in data} | {_NAME}, key=len, reverse=True)
    rests = ((words, _rest(words, names)) for words in reader.words())
    return [words for words, rest in rests if any(letter.isalpha() for letter in rest)]


def _rest(words: str, names: list[str]) -> str:
    """What is left of words without messages, names and dates."""
    before = None
    while words != before:  # messages stand within messages
        before, words = words, _STRETCHED.sub(" ", words)
    if _in_one_line(words) in names:
        return ""
    for name in names:
        if name and name in words:
            words = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", " ", words)
    return _WRITTEN.sub(" ", words)


class _Reader(HTMLParser):
    """Texts of a page, those of a block together, and attributes that people read."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._blocks: list[str] = [""]
        self._attributes: list[str] = []
        # open elements, and of each whether its text is not to be translated
        self._open: list[tuple[str, bool]] = []

    def words(self) -> Iterator[str]:
        """Texts and attributes, each in one line."""
        yield from filter(None, map(_in_one_line, (*self._blocks, *self._attributes)))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        # what says of itself that it is in another language is none of the page's
        foreign = tag != "html" and "lang" in values
        skipped = tag in _NOT_WORDS or values.get("translate") == "no" or foreign or self._is_skipped
        if not skipped:
            read = {name for name in values if name in _READ or name in _SAID_BY_SCRIPTS}
            if tag == "input" and values.get("type") in _BUTTONS:
                read.add("value")
            self._attributes += [values[name] or "" for name in values if name in read]
        self._separate(tag)
        if tag not in _VOID:
            self._open.append((tag, skipped))

    def handle_endtag(self, tag: str) -> None:
        self._separate(tag)
        while any(tag == each for each, _ in self._open):
            if self._open.pop()[0] == tag:
                break

    def handle_data(self, data: str) -> None:
        self._blocks[-1] += "" if self._is_skipped else data

    def _separate(self, tag: str) -> None:
        if tag in _INLINE:
            self._blocks[-1] += " "
        else:
            self._blocks.append("")

    @property
    def _is_skipped(self) -> bool:
        return bool(self._open) and self._open[-1][1]


def _in_one_line(words: str) -> str:
    return " ".join(words.split())
