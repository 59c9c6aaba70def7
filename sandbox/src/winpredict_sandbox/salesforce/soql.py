"""As much of SOQL as a client that mirrors objects asks: SELECT ... FROM ... WHERE ... ORDER BY ... LIMIT.

Comparisons (=, !=, <, <=, >, >=, IN) are joined by AND, OR and brackets. Like the real one it refuses to mix AND and OR
without brackets, to put a moment into quotes, and to filter by fields that cannot be filtered by.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from winpredict_sandbox.salesforce.refusal import RefusedError

#: A value of a row by the name of its field.
Getter = Callable[[str], Any]
Test = Callable[[Getter], bool]

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>'(?:[^'\\]|\\.)*')
    |(?P<moment>\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:?\d{2}))
    |(?P<date>\d{4}-\d{2}-\d{2})
    |(?P<number>-?\d+(?:\.\d+)?)
    |(?P<word>[A-Za-z_][\w.]*)
    |(?P<sign><=|>=|!=|<>|=|<|>|\(|\)|,))""",
    re.VERBOSE,
)
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ID = 15
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}


@dataclass(frozen=True)
class Query:
    """A query as it was understood.

    Parameters
    ----------
    fields : tuple of str
        Empty for COUNT().
    table : str
    test : callable
        Whether a row is wanted.
    order : tuple of (str, bool)
        Fields to sort by, and whether downwards.
    limit : int or None
    least : Timestamp or None
        No row is wanted whose SystemModstamp lies before; only a hint.
    """

    fields: tuple[str, ...]
    table: str
    test: Test
    order: tuple[tuple[str, bool], ...]
    limit: int | None
    least: pd.Timestamp | None


def parse(text: str, kinds_of: Callable[[str], Mapping[str, str] | None]) -> Query:
    """Understand a query.

    Parameters
    ----------
    text : str
    kinds_of : callable
        Type by field of an object, None where there is no such object.

    Raises
    ------
    RefusedError

    Examples
    --------
    >>> kinds = {"Account": {"Id": "id", "Name": "string"}}
    >>> query = parse("SELECT Id FROM Account WHERE Name = 'Acme' LIMIT 5", kinds.get)
    >>> query.fields, query.limit, query.test({"Name": "Acme"}.get)
    (('Id',), 5, True)
    """
    return _Parser(text, kinds_of).query()


class _Parser:
    def __init__(self, text: str, kinds_of: Callable[[str], Mapping[str, str] | None]) -> None:
        self._tokens, self._at, self._kinds_of = _tokens(text), 0, kinds_of
        self._kinds: Mapping[str, str] = {}
        self._least: pd.Timestamp | None = None

    def query(self) -> Query:
        self._word("SELECT")
        fields = self._fields()
        self._word("FROM")
        table = self._name()
        kinds = self._kinds_of(table)
        if kinds is None:
            raise RefusedError(400, "INVALID_TYPE", f"sObject type '{table}' is not supported.")
        self._kinds = kinds
        for each in fields:
            self._kind(each, table)
        test = self._any_of(top=True) if self._taken("WHERE") else _everything
        order = self._order() if self._taken("ORDER") else ()
        limit = int(self._next("number")) if self._taken("LIMIT") else None
        if self._at < len(self._tokens):
            raise RefusedError(400, "MALFORMED_QUERY", f"unexpected token: '{self._tokens[self._at][1]}'")
        return Query(fields, table, test, order, limit, self._least)

    def _fields(self) -> tuple[str, ...]:
        names = [self._name()]
        if names[0].upper() == "COUNT" and self._taken("("):
            self._sign(")")
            return ()
        while self._taken(","):
            names.append(self._name())
        return tuple(names)

    def _order(self) -> tuple[tuple[str, bool], ...]:
        self._word("BY")
        order = []
        while True:
            name = self._name()
            if self._kind(name) in ("textarea", "anyType", "address"):
                raise RefusedError(400, "MALFORMED_QUERY", f"field '{name}' can not be sorted in a query call")
            downwards = self._taken("DESC") or (self._taken("ASC") and False)
            order.append((name, downwards))
            if not self._taken(","):
                return tuple(order)

    def _any_of(self, *, top: bool = False) -> Test:
        """Tests joined by AND or by OR, never by both."""
        tests, joined = [self._one(top=top)], ""
        while True:
            word = next((each for each in ("AND", "OR") if self._taken(each)), "")
            if not word:
                return tests[0] if len(tests) == 1 else _joined(tests, joined)
            if joined and word != joined:
                raise RefusedError(400, "MALFORMED_QUERY", f"unexpected token: '{word}'")
            if word == "OR":
                self._least = None
            joined = word
            tests.append(self._one(top=top and joined == "AND"))

    def _one(self, *, top: bool) -> Test:
        if self._taken("("):
            least = self._least
            test = self._any_of()
            self._least = least
            self._sign(")")
            return test
        name = self._name()
        kind = self._kind(name)
        if kind in ("textarea", "anyType", "address", "base64"):
            raise RefusedError(400, "INVALID_FIELD", f"field '{name}' can not be filtered in a query call")
        if self._taken("IN"):
            return _among(name, self._values(kind, name))
        sign = self._next("sign")
        value = self._value(kind, name)
        if top and name == "SystemModstamp" and sign in (">", ">="):
            self._least = value
        return _comparison(name, sign, value)

    def _values(self, kind: str, name: str) -> frozenset[Any]:
        self._sign("(")
        values = {self._value(kind, name)}
        while self._taken(","):
            values.add(self._value(kind, name))
        self._sign(")")
        return frozenset(values)

    def _value(self, kind: str, name: str) -> Any:
        if self._at >= len(self._tokens):
            raise RefusedError(400, "MALFORMED_QUERY", "unexpected end of the query")
        form, text = self._tokens[self._at]
        self._at += 1
        if form == "word" and text.lower() in ("null", "true", "false"):
            return {"null": None, "true": True, "false": False}[text.lower()]
        fits = {"datetime": "moment", "date": "date", "boolean": "word"}
        wanted = fits.get(kind, "number" if kind in ("int", "double", "currency", "percent") else "text")
        if form != wanted:
            quoted = "should" if wanted == "text" else "should not"
            raise RefusedError(
                400,
                "INVALID_FIELD",
                f"value of filter criterion for field '{name}' must be of type {kind} and {quoted} stand in quotes",
            )
        if form == "moment":
            return pd.Timestamp(text).tz_convert("UTC")
        if form == "number":
            return float(text)
        if kind in ("id", "reference"):
            return _unquoted(text)[:_ID]  # three more characters are for readers without case
        return _unquoted(text) if form == "text" else text

    def _kind(self, name: str, table: str = "") -> str:
        kind = self._kinds.get(name)
        if kind is None:
            raise RefusedError(
                400,
                "INVALID_FIELD",
                f"No such column '{name}' on entity '{table}'. If you are attempting to use a custom field, be sure to "
                "append the '__c' after the custom field name.",
            )
        return kind

    def _taken(self, text: str) -> bool:
        taken = self._at < len(self._tokens) and self._tokens[self._at][1].upper() == text
        self._at += taken
        return taken

    def _word(self, text: str) -> None:
        if not self._taken(text):
            found = self._tokens[self._at][1] if self._at < len(self._tokens) else "<EOF>"
            raise RefusedError(400, "MALFORMED_QUERY", f"unexpected token: '{found}', expected {text}")

    _sign = _word

    def _name(self) -> str:
        return self._next("word")

    def _next(self, form: str) -> str:
        if self._at >= len(self._tokens) or self._tokens[self._at][0] != form:
            found = self._tokens[self._at][1] if self._at < len(self._tokens) else "<EOF>"
            raise RefusedError(400, "MALFORMED_QUERY", f"unexpected token: '{found}'")
        self._at += 1
        return self._tokens[self._at - 1][1]


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at = [], 0
    end = len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            raise RefusedError(400, "MALFORMED_QUERY", f"unexpected token: '{text[at : at + 10].strip()}'")
        found.append((str(match.lastgroup), match[str(match.lastgroup)]))
        at = match.end()
    return found


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), text[1:-1])


def _everything(_: Getter) -> bool:
    return True


def _joined(tests: list[Test], word: str) -> Test:
    if word == "AND":
        return lambda get: all(test(get) for test in tests)
    return lambda get: any(test(get) for test in tests)


def _among(name: str, values: frozenset[Any]) -> Test:
    return lambda get: get(name) in values


def _comparison(name: str, sign: str, value: Any) -> Test:
    if sign == "=":
        return lambda get: bool(get(name) == value)
    if sign in ("!=", "<>"):
        return lambda get: bool(get(name) != value)
    compare = _COMPARE[sign]

    def test(get: Getter) -> bool:
        found = get(name)
        return found is not None and value is not None and compare(found, value)

    return test
