"""The list of who was erased: it knows them when they come again, but nobody can read from it who they were."""

import hmac
import json
import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from winpredict._internal.atomic import point_to
from winpredict.errors import WorkspaceError
from winpredict.locale.text import text

Kind = Literal["contact", "user", "account"]
KINDS: tuple[Kind, ...] = ("contact", "user", "account")
#: Below a workspace.
FILE = "erased.json"
#: Stands where a name or an address was found in a longer text.
REPLACEMENT = "[erased]"
_FORMAT = 1
_WORD = re.compile(r"[^\W_]+")
_SALESFORCE_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")
_ADDRESS = re.compile(r"@|://|^www\.|\.[a-z]{2,}$", re.IGNORECASE)
_SHORTEST_WORD = 3
_LONGEST_PHRASE = 12
_LEAST_DIGITS = 7


@dataclass
class Erased:
    """Who was erased from a workspace.

    Of ids, names, e-mail addresses and phone numbers only keyed hashes are kept, with the pseudonym that stands for
    each id from now on. A pseudonym is random: nothing leads from it to the id.

    Parameters
    ----------
    key : bytes
        Of the hashes; made at random for each workspace.
    ids : dict of str to str
        Hash of a kind and an id: its pseudonym.
    phrases : dict of str to str
        Hash of words that follow each other: what takes their place, in any text.
    names : dict of str to str
        The same of names of one word, which may mean something else: they are looked for in names and free texts only.
    firsts : set of str
        Hashes of the first words of `phrases`, so that most words need no further look.
    longest : int
        Words of the longest phrase.

    Examples
    --------
    >>> erased = Erased(b"key")
    >>> erased.add_values(["Ann Lee", "ann@example.com"])
    >>> erased.text("call by ANN LEE <ann@example.com>, not by Ann")
    'call by [erased] <[erased]>, not by Ann'
    """

    key: bytes
    ids: dict[str, str] = field(default_factory=dict)
    phrases: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    firsts: set[str] = field(default_factory=set)
    longest: int = 1
    _hashes: dict[str, str] = field(default_factory=dict, repr=False, compare=False)
    _pseudonyms: frozenset[str] = field(default=frozenset(), repr=False, compare=False)
    _of_ids: int = field(default=0, repr=False, compare=False)

    @classmethod
    def read(cls, folder: Path) -> "Erased":
        """The list of a workspace; a new one where nobody was erased.

        Raises
        ------
        WorkspaceError
            When it is damaged: without it, who was erased would come back.
        """
        path = Path(folder) / FILE
        try:
            plain = json.loads(path.read_text(encoding="utf-8"))
            if plain["format"] != _FORMAT:
                raise ValueError(f"format {plain['format']}")
            return cls(
                bytes.fromhex(plain["key"]),
                {str(name): str(value) for name, value in plain["ids"].items()},
                {str(name): str(value) for name, value in plain["phrases"].items()},
                {str(name): str(value) for name, value in plain["names"].items()},
                set(map(str, plain["firsts"])),
                int(plain["longest"]),
            )
        except FileNotFoundError:
            return cls(secrets.token_bytes(32))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise WorkspaceError(
                text(
                    "{path} cannot be read ({error}), so that those who were erased would come back; restore it from "
                    "a backup",
                    path=path,
                    error=f"{type(error).__name__}: {error}"[:200],
                )
            ) from None

    def write(self, folder: Path) -> None:
        """Keep the list, whole or not at all."""
        plain = {
            "format": _FORMAT,
            "key": self.key.hex(),
            "ids": self.ids,
            "phrases": self.phrases,
            "names": self.names,
            "firsts": sorted(self.firsts),
            "longest": self.longest,
        }
        point_to(Path(folder) / FILE, json.dumps(plain, indent=1) + "\n")

    def __bool__(self) -> bool:
        return bool(self.ids)

    def add(self, kind: Kind, ids: Iterable[str]) -> list[str]:
        """Put ids on the list, unless they are there; returns their pseudonyms, those of one thing being the same."""
        found = []
        for each in ids:
            pseudonym = self.pseudonym(kind, each) or _new_pseudonym(each)
            for form in _forms(each):
                self.ids[self._hash(f"id {kind} {form}")] = pseudonym
                if is_distinct(form):
                    self._add_phrase(form, pseudonym)
            found.append(pseudonym)
        return found

    def add_values(self, values: Iterable[str], name: str = REPLACEMENT, *, within: bool = False) -> None:
        """Put names, addresses and numbers on the list; what is too short to mean anything is left out.

        Parameters
        ----------
        values : iterable of str
        name : str
            What takes the place of a name, such as the pseudonym: some CRMs tell by name who did something.
        within : bool
            Whether a name of one word is looked for within longer names and texts too, as that of an account; the
            first name of a person is that of others too.
        """
        for value in sorted(values):
            replacement = name if any(map(str.isalpha, value)) and not _ADDRESS.search(value) else REPLACEMENT
            words = _WORD.findall(value)
            if not words or len(words) > _LONGEST_PHRASE:
                continue
            digits = sum(map(str.isdecimal, "".join(words)))
            if "".join(words).isdecimal() and digits < _LEAST_DIGITS:
                continue
            if len(words) > 1:
                self._add_phrase(value, replacement)
            elif len(words[0]) >= _SHORTEST_WORD:
                self.names[self._hash(f"{'name' if within else 'whole'} {words[0]}")] = replacement

    def pseudonym(self, kind: Kind, value: str) -> str | None:
        """What stands for an id from now on; None where it was not erased."""
        return self.ids.get(self._hash(f"id {kind} {value}")) if self.ids else None

    @property
    def pseudonyms(self) -> frozenset[str]:
        """All that stand for somebody."""
        if self._of_ids != len(self.ids):
            self._pseudonyms, self._of_ids = frozenset(self.ids.values()), len(self.ids)
        return self._pseudonyms

    def mark(self, kind: Kind, value: str) -> str:
        """The keyed hash of an id, by which a receipt names it."""
        return self._hash(f"id {kind} {value}")

    def text(self, value: str, *, free: bool = False) -> str:
        """A text without what was erased.

        Parameters
        ----------
        value : str
        free : bool
            Whether it is a name or written by people, where names of one word are looked for too.
        """
        if free and self.names and (whole := self.names.get(self._hash(f"whole {value.strip()}"))):
            return whole
        pieces, end = [], 0
        for start, stop, replacement in self._found(value, free=free):
            pieces += [value[end:start], replacement]
            end = stop
        return value if not pieces else "".join([*pieces, value[end:]])

    def _found(self, value: str, *, free: bool) -> Iterator[tuple[int, int, str]]:
        if not self.phrases and not self.names:
            return
        words = [(match.group(), match.start(), match.end()) for match in _WORD.finditer(value)]
        place = 0
        while place < len(words):
            word, start, _ = words[place]
            reach = 1
            if self._hash(f"first {word.casefold()}") in self.firsts:
                for count in range(min(self.longest, len(words) - place), 0, -1):
                    phrase = " ".join(each[0].casefold() for each in words[place : place + count])
                    replacement = self.phrases.get(self._hash(f"phrase {phrase}"))
                    if replacement is not None:
                        yield start, words[place + count - 1][2], replacement
                        reach = count
                        break
                else:
                    if free and (replacement := self._of_name(word)):
                        yield start, words[place][2], replacement
            elif free and (replacement := self._of_name(word)):
                yield start, words[place][2], replacement
            place += reach

    def _of_name(self, word: str) -> str | None:
        return self.names.get(self._hash(f"name {word}")) if self.names else None

    def _add_phrase(self, value: str, replacement: str) -> None:
        words = [word.casefold() for word in _WORD.findall(value)]
        self.phrases[self._hash(f"phrase {' '.join(words)}")] = replacement
        self.firsts.add(self._hash(f"first {words[0]}"))
        self.longest = max(self.longest, len(words))

    def _hash(self, value: str) -> str:
        found = self._hashes.get(value)
        if found is None:
            if len(self._hashes) > 500_000:
                self._hashes.clear()
            found = self._hashes[value] = hmac.digest(self.key, value.encode("utf-8", "replace"), "sha256").hex()[:40]
        return found


def is_distinct(value: str) -> bool:
    """Whether an id is so long that whatever reads so is that id, wherever it stands.

    Examples
    --------
    >>> is_distinct("0035g00000AbCdE"), is_distinct("4512"), is_distinct("deal-7")
    (True, False, False)
    """
    plain = "".join(_WORD.findall(value))
    return len(plain) >= 15 or (len(plain) >= 8 and not plain.isalpha() and not plain.isdecimal())


def _forms(value: str) -> tuple[str, ...]:
    """An id as it may be written: Salesforce leaves the last three letters out in some exports."""
    if not _SALESFORCE_ID.fullmatch(value) or value.isdecimal():
        return (value,)
    short = value[:15]
    return tuple(dict.fromkeys((value, short, short + _checksum(short))))


def _checksum(short: str) -> str:
    """The three letters that tell which letters of a Salesforce id are capitals."""
    places = (sum(1 << place for place, letter in enumerate(short[start : start + 5]) if letter.isupper())
              for start in (0, 5, 10))  # fmt: skip
    return "".join("ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"[place] for place in places)


def _new_pseudonym(value: str) -> str:
    """Random; of a Salesforce id the first three letters stay, which tell the kind of record and are looked at."""
    kept = value[:3] if _SALESFORCE_ID.fullmatch(value) and value[:2] == "00" and not value.isdecimal() else ""
    return f"{kept}erased-{secrets.token_hex(6)}"
