"""Taking those who were erased out of records, tables and files, while counts and what else was said stay."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from winpredict._internal.atomic import replacing
from winpredict.privacy.erased import Erased, Kind

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from winpredict.tables.crm import CRMData

_PARTS_OF_NAMES = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
#: Words in the name of a column or key that tell whose id it holds.
_KINDS: Mapping[str, Kind] = {
    **dict.fromkeys(("contact", "contacts", "who", "person", "lead", "leads"), "contact"),
    **dict.fromkeys(
        ("owner", "owners", "user", "users", "manager", "reporting", "host", "assigned", "assignee", "rep", "by"),
        "user",
    ),
    **dict.fromkeys(("account", "accounts", "company", "companies", "organization", "organisation"), "account"),
}
#: Raw objects and tables that hold one of a kind each, by their names in small letters.
_ENTITIES: Mapping[str, Kind] = {
    **dict.fromkeys(("contact", "lead", "leads"), "contact"),
    **dict.fromkeys(("user", "users", "owners", "owner"), "user"),
    **dict.fromkeys(("account", "accounts", "companies", "company"), "account"),
}
#: In the CRMs `contacts` are people; the table of that name tells who of them is on a deal.
_TOUCHES = frozenset(
    ("task", "tasks", "event", "events", "calls", "call", "emails", "email", "meetings", "meeting", "notes", "note",
     "activities")
)  # fmt: skip
_DEALS = frozenset(("opportunity", "opportunities", "deals", "deal", "potentials"))
#: Words in the name of what says who somebody is, or where.
_IDENTIFYING = frozenset(
    ("name", "firstname", "lastname", "fullname", "username", "nickname", "alias", "email", "mail", "phone", "mobile",
     "fax", "street", "address", "city", "zip", "postal", "postcode", "website", "domain", "url", "linkedin",
     "twitter", "facebook", "skype", "description", "title", "salutation", "birthdate", "birthday", "photo", "number",
     "note", "notes", "about", "subject")
)  # fmt: skip
#: Words in the name of what people write about a touch.
_WRITTEN = frozenset(
    ("subject", "title", "body", "description", "note", "notes", "text", "comment", "comments", "summary", "content",
     "number")
)  # fmt: skip
#: Names of deals and what is written about them, in small letters and without signs.
_OF_DEALS = frozenset(("name", "dealname", "opportunityname", "potentialname", "description", "nextstep", "subject"))
#: What of the company's own figures has a name with one of the words above, and stays.
_FIGURES = frozenset(("numberofemployees", "numemployees"))
#: A user's further ids, which lead to the same person.
_OTHER_IDS = frozenset(("userid", "useridincludinginactive"))
#: Of what says who somebody is: where names of one word are looked for.
_FREE = frozenset((*_IDENTIFYING, *_WRITTEN, "account", "reason", "reasons", "old", "new"))


@dataclass
class Scrubber:
    """Takes out who was erased.

    Parameters
    ----------
    erased : Erased
    found : dict of str to int
        How many values were replaced, by the place that `at` names.
    """

    erased: Erased
    found: dict[str, int] = field(default_factory=dict)
    _place: str = ""
    _numbers: bool = False

    def at(self, place: str) -> "Scrubber":
        """Count what follows under a place."""
        self._place = place
        return self

    @property
    def total(self) -> int:
        """How many values were replaced in all places."""
        return sum(self.found.values())

    def count(self, values: int = 1) -> None:
        """Count values as replaced."""
        if values:
            self.found[self._place] = self.found.get(self._place, 0) + values

    # records

    def record(self, name: str, record_id: str, values: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """One record of a raw object, by the object's name: its id and its values."""
        plain = name.casefold()
        kind = "contact" if plain == "contacts" else _ENTITIES.get(plain)
        own = self._id(record_id, kind)
        if own == record_id:
            own = self.erased.text(record_id)
        hits: set[Kind] = set()
        self._numbers = True  # CRMs send ids as numbers too
        try:
            whole = self._mapping(values, kind, hits)
        finally:
            self._numbers = False
        if kind is not None and own in self.erased.pseudonyms:
            whole = self._emptied(whole, lambda key: is_identifying(key) or _joined(key) in _OTHER_IDS, own)
        if plain in _TOUCHES and hits & {"contact"}:
            whole = self._emptied(whole, is_written)
        if plain in _DEALS and "account" in hits:
            whole = self._emptied(whole, is_of_deal)
        return own, whole

    def value(self, value: Any, name: str = "", kind: Kind | None = None) -> Any:
        """A value out of JSON, with all that is in it; `name` and `kind` tell what it is."""
        return self._value(value, name, kind, set())

    def _mapping(self, values: Mapping[str, Any], kind: Kind | None, hits: set[Kind]) -> dict[str, Any]:
        out = {}
        own: str | None = None
        for key, value in values.items():
            changed = self._value(value, key, kind_of(key) or kind, hits)
            if key.casefold() == "id" and isinstance(changed, str) and changed in self.erased.pseudonyms:
                own = changed
            name = self._id(key, kind)
            if name == key and is_id_like(key):
                name = self.erased.text(key)
            self.count(int(name != key))
            out[name] = changed
        return out if own is None else self._emptied(out, is_identifying, own)

    def _value(self, value: Any, name: str, kind: Kind | None, hits: set[Kind]) -> Any:
        if isinstance(value, Mapping):
            return self._mapping(value, kind, hits)
        if isinstance(value, list | tuple):
            return [self._value(each, name, kind, hits) for each in value]
        if isinstance(value, bool) or not isinstance(value, (str, int) if self._numbers else str):
            return value
        plain = str(value)
        changed = self._id(plain, kind)
        if changed == plain and isinstance(value, str):
            changed = self.erased.text(plain, free=is_free(name))
        if kind is not None and changed in self.erased.pseudonyms:
            hits.add(kind)
        if changed == plain:
            return value
        self.count()
        return changed

    def _id(self, value: str, kind: Kind | None) -> str:
        return value if kind is None else self.erased.pseudonym(kind, value) or value

    def _emptied(
        self, values: dict[str, Any], which: Callable[[str], bool], pseudonym: str | None = None
    ) -> dict[str, Any]:
        """Without what some keys say; ids stay, and a last name becomes the pseudonym, as a whole name does."""
        out: dict[str, Any] = {}
        for key, value in values.items():
            if which(key) and not self._is_empty(value) and not _holds_id(value):
                self.count()
                out[key] = pseudonym if _joined(key) == "lastname" else None
            elif isinstance(value, dict) and key == "properties":
                out[key] = self._emptied(value, which, pseudonym)
            else:
                out[key] = value
        return out

    def _is_empty(self, value: Any) -> bool:
        """Whether a value tells nothing of anybody; a pseudonym in the place of a name does not."""
        return value is None or value == "" or (isinstance(value, str) and value in self.erased.pseudonyms)

    # tables

    def frame(self, name: str, frame: "pd.DataFrame") -> "pd.DataFrame":
        """A table, by its name; the same object where nothing is to be replaced."""
        changed: dict[str, Any] = {}
        hit: dict[str, Any] = {}
        for column in map(str, frame.columns):
            values = frame[column]
            if not _is_text(values):
                continue
            kind = kind_of(column)
            new, rows = self._column(values, column, kind)
            if rows is not None:
                self.count(int(rows.sum()))
                changed[column] = new
            if kind is not None:
                hit[column] = changed.get(column, values).isin(self.erased.pseudonyms)
        for place, columns in _to_be_emptied(name, frame, hit):
            for column in columns:
                values = changed.get(column, frame[column])
                filled = place & values.notna() & ~values.isin(self.erased.pseudonyms)
                if filled.any():
                    self.count(int(filled.sum()))
                    changed[column] = values.mask(filled)
        return frame.assign(**changed) if changed else frame

    def _column(self, values: "pd.Series", column: str, kind: Kind | None) -> "tuple[pd.Series, pd.Series | None]":
        """A column without them, and the rows in which anything was replaced; None for none."""
        replaced: dict[str, str] = {}
        nested = False
        for each in values.dropna().unique() if values.dtype != object else _unique(values):
            if isinstance(each, str):
                if (new := self.cell(each, column, kind)) != each:
                    replaced[each] = new
            else:
                nested = nested or isinstance(each, dict | list)
        if nested:  # out of JSON
            quiet = Scrubber(self.erased)
            new_values = [quiet.value(each, column, kind) if each is not None else None for each in values]
            out = values.copy()
            out[:] = new_values
            rows = values.map(repr) != out.map(repr)
            return (out, rows) if quiet.found else (values, None)
        if not replaced:
            return values, None
        rows = values.isin(list(replaced))
        return values.where(~rows, values.map(replaced, na_action="ignore")).astype(values.dtype), rows

    def tables(self, crm: "CRMData") -> "CRMData":
        """Canonical tables; where somebody comes again under the former id, the later row counts."""
        from dataclasses import replace

        from winpredict.tables.schema import TABLES

        changed: dict[str, Any] = {}
        for name, frame in crm.tables():
            scrubbed = self.frame(name, frame)
            key = list(TABLES[name].key)
            if scrubbed is not frame and key:
                scrubbed = scrubbed[~scrubbed.duplicated(key, keep="last")].reset_index(drop=True)
            if scrubbed is not frame:
                changed[name] = scrubbed
        return replace(crm, **changed) if changed else crm

    def folder(self, folder: Path, *, apply: bool = True) -> list[Path]:
        """All files below a folder; see `file`.

        Returns
        -------
        list of Path
            Those in which anything was found.
        """
        paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
        return [path for path in paths if self.file(path, name=_table_of(path), apply=apply)]

    def cell(self, value: str, column: str, kind: Kind | None) -> str:
        """One text of a table; JSON is looked into."""
        if kind is not None and (pseudonym := self.erased.pseudonym(kind, value)) is not None:
            return pseudonym
        if value[:1] in ("{", "["):
            try:
                parsed = json.loads(value)
            except ValueError:
                parsed = None
            if isinstance(parsed, dict | list):
                quiet = Scrubber(self.erased)
                looked = quiet.value(parsed, column, kind)
                return json.dumps(looked) if quiet.found else value
        return self.erased.text(value, free=is_free(column))

    # files

    def file(self, path: Path, *, name: str = "", apply: bool = True) -> int:
        """Take them out of one file: Parquet, JSON, JSON lines, CSV or text.

        Parameters
        ----------
        path : Path
        name : str
            Of the table that it holds, where that is known.
        apply : bool
            False to count only.

        Returns
        -------
        int
            How many values were replaced, or would be.
        """
        before = self.found.get(self._place, 0)
        ending = path.suffix.casefold()
        content = self._parquet(path, name) if ending == ".parquet" else self._written(path, ending)
        found = self.found.get(self._place, 0) - before
        if apply and found and content is not None:
            with replacing(path) as temporary:
                content(temporary)
        return found

    def _parquet(self, path: Path, name: str) -> Callable[[Path], None] | None:
        import pyarrow.parquet as pq

        with path.open("rb") as file:
            table = pq.read_table(file)
        changed = self.arrow(table, name or path.stem)
        return None if changed is table else lambda target: pq.write_table(changed, target)

    def arrow(self, table: "pa.Table", name: str) -> "pa.Table":
        """An Arrow table with the same columns and the same description; the same object where nothing was found."""
        import pyarrow as pa

        texts = [
            each.name for each in table.schema if pa.types.is_string(each.type) or pa.types.is_large_string(each.type)
        ]
        if not texts:
            return table
        from winpredict.tables.schema import text_dtype

        kinds = {pa.string(): text_dtype(), pa.large_string(): text_dtype()}.get
        frame = table.select(texts).to_pandas(types_mapper=kinds, ignore_metadata=True)
        scrubbed = self.frame(name, frame)
        if scrubbed is frame:
            return table
        for column in texts:
            if scrubbed[column] is not frame[column]:
                place = table.schema.get_field_index(column)
                kind = table.schema.field(column)
                table = table.set_column(
                    place, kind, pa.chunked_array([pa.array(scrubbed[column], kind.type, from_pandas=True)])
                )
        return table

    def _written(self, path: Path, ending: str) -> Callable[[Path], None] | None:
        raw = path.read_bytes()
        if b"\0" in raw[:4096] and not raw.startswith((b"\xff\xfe", b"\xfe\xff")):
            return None
        encoding = _encoding(raw)
        words = raw.decode(encoding)
        new = self.document(words, ending)
        return None if new == words else lambda target: _as_bytes(target, new, encoding)

    def document(self, words: str, ending: str) -> str:
        """The text of a file, by its ending."""
        if ending == ".json":
            return self._json(words)
        if ending in (".jsonl", ".ndjson"):
            return "".join(self._line(line) for line in words.splitlines(keepends=True))
        if ending in (".csv", ".tsv", ".txt"):
            return self._csv(words)
        new = self.erased.text(words)
        if new != words:
            self.count()
        return new

    def _json(self, words: str) -> str:
        try:
            parsed = json.loads(words)
        except ValueError:
            return self.document(words, "")
        before = dict(self.found)
        new = self.value(parsed)
        indent = 2 if "\n  " in words else 1 if "\n " in words else None
        return words if self.found == before else json.dumps(new, indent=indent, ensure_ascii=words.isascii()) + "\n"

    def _line(self, line: str) -> str:
        new = self._json(line)
        return line if new == line else json.dumps(json.loads(new)) + "\n"

    def _csv(self, words: str) -> str:
        try:
            dialect: Any = csv.Sniffer().sniff(words[:8192], ",;\t|")
        except csv.Error:
            dialect = csv.excel
        rows = list(csv.reader(io.StringIO(words, newline=""), dialect))
        if not rows:
            return words
        import pandas as pd

        width = max(map(len, rows))
        heads = [*rows[0], *[""] * (width - len(rows[0]))]
        names = [head if head not in heads[:place] else f"{head} {place}" for place, head in enumerate(heads)]
        cells = pd.DataFrame([row + [None] * (width - len(row)) for row in rows[1:]], columns=names, dtype=object)
        before = dict(self.found)
        scrubbed = self.frame("", cells)
        if self.found == before:
            return words
        out = io.StringIO(newline="")
        writer = csv.writer(out, dialect, lineterminator="\r\n" if "\r\n" in words[:8192] else "\n")
        writer.writerow(rows[0])
        writer.writerows([["" if each is None else each for each in row] for row in scrubbed.to_numpy().tolist()])
        return out.getvalue()


@lru_cache(10_000)
def kind_of(name: str) -> Kind | None:
    """Whose id a column or key holds, by its name.

    Examples
    --------
    >>> kind_of("OwnerId"), kind_of("contact_id"), kind_of("AccountId"), kind_of("deal_id")
    ('user', 'contact', 'account', None)
    """
    for word in reversed(_words(name)):
        if word in _KINDS:
            return _KINDS[word]
    return None


@lru_cache(10_000)
def is_identifying(name: str) -> bool:
    """Whether something of that name says who somebody is, or where."""
    return bool(_IDENTIFYING.intersection(_words(name))) and _joined(name) not in _FIGURES and not is_id_key(name)


@lru_cache(10_000)
def is_written(name: str) -> bool:
    """Whether something of that name was written by people about a touch."""
    return bool(_WRITTEN.intersection(_words(name))) and not is_id_key(name)


@lru_cache(10_000)
def is_of_deal(name: str) -> bool:
    """Whether something of that name is what people call a deal, or wrote about it."""
    return _joined(name) in _OF_DEALS


@lru_cache(10_000)
def is_free(name: str) -> bool:
    """Whether something of that name is a name, or free text."""
    return bool(_FREE.intersection(_words(name)))


def without_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """A record of a deal without what people call it and wrote about it."""
    return Scrubber(Erased(b""))._emptied(dict(values), is_of_deal)


def is_id_key(name: str) -> bool:
    """Whether a key is that of an id."""
    return bool({"id", "ids"}.intersection(_words(name)))


def is_id_like(name: str) -> bool:
    """Whether a key of JSON may itself be an id, or a name with more than one word."""
    return any(map(str.isdigit, name)) or " " in name


def personal_values(kind: Kind, name: str, values: Mapping[str, Any], own: Iterable[str]) -> set[str]:
    """Names, addresses and numbers of a person or account out of a record of a raw object.

    Parameters
    ----------
    kind : {"contact", "user", "account"}
    name : str
        Of the object.
    values : mapping
    own : iterable of str
        Ids of whom they are looked for: what stands beside one of them is theirs.
    """
    wanted = set(own)
    found: set[str] = set()
    plain = name.casefold()
    is_entity = _ENTITIES.get(plain) == kind or (plain == "contacts" and kind == "contact")

    def look(inner: Mapping[str, Any], here: Kind | None) -> None:
        theirs = here == kind and any(
            key.casefold() == "id" and str(value) in wanted
            for key, value in inner.items()
            if not isinstance(value, dict)
        )
        if theirs:
            found.update(_telling(inner))
            properties = inner.get("properties")
            if isinstance(properties, Mapping):
                found.update(_telling(properties))
        for key, value in inner.items():
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, Mapping):
                    look(each, kind_of(key) or here)

    look(values, kind if is_entity else None)
    return found


#: What is looked for wherever it stands; a city or a title alone says little of anybody.
_TELLING = frozenset(("name", "fullname", "username", "email", "mail", "phone", "mobile", "fax", "website", "domain"))
_NOT_TELLING = frozenset(("first", "last", "firstname", "lastname", "middle", "parent"))


def _telling(values: Mapping[str, Any]) -> set[str]:
    texts = {key: value.strip() for key, value in values.items() if isinstance(value, str) and value.strip()}
    found = {
        value
        for key, value in texts.items()
        if _TELLING.intersection(_words(key)) and not _NOT_TELLING.intersection(_words(key)) and not is_id_key(key)
    }
    names = {_joined(key): value for key, value in texts.items()}
    if "firstname" in names and "lastname" in names:
        found |= {f"{names['firstname']} {names['lastname']}", f"{names['lastname']} {names['firstname']}"}
    return {part for each in found for part in (each, re.sub(r"^https?://(www\.)?|/.*$", "", each))}


def _to_be_emptied(name: str, frame: "pd.DataFrame", hit: Mapping[str, Any]) -> Iterable[tuple[Any, list[str]]]:
    """Rows in which some columns are to be emptied, as somebody who was erased is named beside them."""
    columns = [str(column) for column in frame.columns if _is_text(frame[column])]
    if name in ("users", "accounts"):
        own = hit.get("user_id" if name == "users" else "account_id")
        if own is not None:
            yield own, [column for column in columns if is_identifying(column)]
    if name == "deals" and (rows := hit.get("account_id")) is not None:
        yield rows, [column for column in columns if is_of_deal(column)]
    if name == "activities" and (rows := hit.get("contact_id")) is not None:
        yield rows, [column for column in columns if is_written(column)]


def _unique(values: "pd.Series") -> list[Any]:
    """The different texts of a column, and one of whatever else it holds."""
    texts = {each for each in values if isinstance(each, str)}
    nested = next((each for each in values if isinstance(each, dict | list)), None)
    return [*sorted(texts), *([] if nested is None else [nested])]


def _table_of(path: Path) -> str:
    """The table that a file holds a part of."""
    return path.parent.parent.name if path.parent.name.startswith("bucket=") else path.stem


def _holds_id(value: Any) -> bool:
    return isinstance(value, Mapping) and any(key.casefold() == "id" for key in value)


def _is_text(values: "pd.Series") -> bool:
    import pandas as pd

    return values.dtype == object or isinstance(values.dtype, pd.StringDtype)


@lru_cache(10_000)
def _words(name: str) -> tuple[str, ...]:
    return tuple(word.casefold() for word in _PARTS_OF_NAMES.findall(name))


@lru_cache(10_000)
def _joined(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _encoding(raw: bytes) -> str:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8-sig" if raw.startswith(b"\xef\xbb\xbf") else "utf-8"


def _as_bytes(target: Path, words: str, encoding: str) -> None:
    target.write_bytes(words.encode(encoding))
