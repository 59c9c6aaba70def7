"""A message that can be said in any language: written once in English, with named placeholders."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from string import Formatter
from typing import Any

from markupsafe import Markup, escape

from winpredict.locale import formats
from winpredict.locale.language import Language, current, speaking


@dataclass(frozen=True)
class Text:
    """A message with what stands in its places, said in the language of the moment by ``str``.

    A sentence that is kept, such as a deal's reason, is kept as this and not as words: who reads it later may speak
    another language.

    Parameters
    ----------
    one : str
        The message in English, by which catalogues know it; ``{value:number}`` is a place, and after the colon stands
        how its value is written (see `winpredict.locale.formats.STYLES`).
    many : str
        The same of several; empty where there is but one form.
    counted : str
        The placeholder whose value decides between the two.
    values : tuple of (str, object)
        What stands in the places: numbers, texts, other `Text` objects.

    Examples
    --------
    >>> touches = Text("{n:count} touch", "{n:count} touches", "n")
    >>> str(touches.with_values(n=1)), str(touches.with_values(n=1200))
    ('1 touch', '1,200 touches')
    """

    one: str
    many: str = ""
    counted: str = ""
    values: tuple[tuple[str, Any], ...] = ()

    def with_values(self, **values: Any) -> "Text":
        """The same message with these values in addition."""
        return replace(self, values=tuple((dict(self.values) | values).items()))

    def said_in(self, language: Language) -> str:
        """The message in a language."""
        with speaking(language):
            return str(self)

    def __str__(self) -> str:
        return _FORMATTER.vformat(self._message(), (), dict(self.values))

    def html(self) -> Markup:
        """The message with its markup, such as a link within a sentence; what stands in its places is escaped.

        Examples
        --------
        >>> text('<b>{name}</b> is open', name="A&B").html()
        Markup('<b>A&amp;B</b> is open')
        """
        return Markup(_HTML_FORMATTER.vformat(self._message(), (), dict(self.values)))

    def _message(self) -> str:
        """The message in the language of the moment, its places not yet filled."""
        n = 1
        if self.many:
            n = formats.plural_number(dict(self.values)[self.counted], self.style_of(self.counted))
        return current().message(self.one, self.many, n)

    def style_of(self, name: str) -> str:
        """How the value at a place is written; empty where the message says nothing of it."""
        places = (place for message in (self.one, self.many) for place in _FORMATTER.parse(message))
        return next((style or "" for _, field, style, _ in places if field == name), "")

    def to_json(self) -> list[Any]:
        """Plain values, which `from_json` reads."""
        values = {name: _plain(value) for name, value in self.values}
        return [self.one, self.many, self.counted, values] if self.many else [self.one, values]

    @classmethod
    def from_json(cls, plain: Any) -> "Text":
        """What `to_json` gave.

        Examples
        --------
        >>> deal = Text("{what} of {deal}", values=(("what", Text("Stage")), ("deal", "Acme")))
        >>> Text.from_json(deal.to_json()) == deal
        True
        """
        *(one, *further), values = plain
        many, counted = further or ("", "")
        return cls(one, many, counted, tuple((name, _value(value)) for name, value in values.items()))


def text(message: str, /, **values: Any) -> Text:
    """A message with values; what extraction finds.

    Examples
    --------
    >>> str(text("{share:percent} of {name}", share=0.25, name="Acme"))
    '25% of Acme'
    """
    return Text(message, values=tuple(values.items()))


def texts(one: str, many: str, /, counted: str = "n", **values: Any) -> Text:
    """A message with a form for one and one for several; what extraction finds.

    Examples
    --------
    >>> str(texts("{n:count} deal", "{n:count} deals", n=3))
    '3 deals'
    """
    return Text(one, many, counted, tuple(values.items()))


def said(message: str, /, **values: Any) -> str:
    """A message in the language of the moment."""
    return str(text(message, **values))


class _Formatter(Formatter):
    """Fills places: a style after the colon says how a value is written."""

    def format_field(self, value: Any, format_spec: str) -> str:
        if value is None:
            return formats.MISSING
        if isinstance(value, Text):
            return str(value)
        return formats.STYLES[format_spec](value) if format_spec else str(value)


class _HtmlFormatter(_Formatter):
    """Fills places of a message that holds markup: values are escaped, unless they are markup themselves."""

    def format_field(self, value: Any, format_spec: str) -> str:
        return str(value if isinstance(value, Markup) else escape(super().format_field(value, format_spec)))


_FORMATTER = _Formatter()
_HTML_FORMATTER = _HtmlFormatter()


def _plain(value: Any) -> Any:
    if isinstance(value, Text):
        return {"text": value.to_json()}
    return [_plain(each) for each in value] if isinstance(value, tuple | list) else value


def _value(plain: Any) -> Any:
    if isinstance(plain, Mapping):
        return Text.from_json(plain["text"])
    return tuple(_value(each) for each in plain) if isinstance(plain, list) else plain
