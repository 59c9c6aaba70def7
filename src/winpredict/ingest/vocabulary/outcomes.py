"""What a stage or a status says of a deal's end."""

import re
from collections.abc import Iterator
from functools import cache, lru_cache

from winpredict.ingest.vocabulary.loading import Outcome, crm_kinds, plain, vocabularies

#: Clauses of a status: "Lost - price", "Lost contact, follow up". A hyphen inside a word joins ("closed-won").
_CLAUSES = re.compile(r"\s[-–—]+\s|[–—,;:/|()\[\]（）【】、。!?.]+|->|→|\n")
_QUESTION = re.compile(r"[?？؟]")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])")
_BRACKETS = re.compile(r"[(\[（【].*?[)\]）】]")
_SPACELESS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
#: Signs that turn the next Japanese word round: not yet, not.
_SPACELESS_PREFIXES = {
    "未": {"won": "open", "lost": "open"},
    "不": {"won": "lost", "lost": "open"},
    "非": {"won": "lost", "lost": "open"},
}
#: A negation reaches this many words: "not a won deal".
_NEGATION_REACH = 2


class _Lexicon:
    """All languages' words in plain form: phrases by their words, from the longest on."""

    def __init__(self) -> None:
        self.phrases: dict[tuple[str, ...], str] = {}
        self.joined: dict[str, str] = {}
        self.spaceless: dict[str, str] = {}
        self.alone: dict[str, str] = {}
        self.sets: dict[str, set[tuple[str, ...]]] = {
            name: set() for name in ("not_deals", "negations", "not_yet", "doubts")
        }
        self.spaceless_doubts: set[str] = set()
        for words in vocabularies().values():
            # neutral phrases go last: they take back a word of another list
            for meaning, phrases in (*words.outcomes.items(), ("", words.neutral)):
                for phrase in phrases:
                    self._add(phrase, meaning)
            for outcome, phrases in words.alone.items():
                self.alone.update({plain(phrase): outcome for phrase in phrases})
            for name, known in self.sets.items():
                known |= {tuple(plain(phrase).split()) for phrase in getattr(words, name)}
            self.spaceless_doubts |= {plain(phrase) for phrase in words.doubts if _SPACELESS.search(phrase)}
        for kind in crm_kinds():
            for outcome, phrases in kind.outcomes.items():
                for phrase in phrases:
                    if tuple(plain(phrase).split()) not in self.phrases:
                        self._add(phrase, outcome)
        self.longest = max(map(len, self.phrases))

    def _add(self, phrase: str, meaning: str) -> None:
        text = plain(phrase)
        if _SPACELESS.search(text):
            self.spaceless[text.replace(" ", "")] = meaning
            return
        self.phrases[tuple(text.split())] = meaning
        if " " in text and len(text) > 5:
            self.joined.setdefault(text.replace(" ", ""), meaning)


@cache
def _lexicon() -> _Lexicon:
    return _Lexicon()


def classify_outcome(text: str) -> Outcome | None:
    """Whether a stage or status ends a deal, in any of the languages.

    Words count as whole words, negations turn them round, and what is lost, signed or cancelled without ending the deal
    (a contact, an NDA, a meeting) does not count.

    Parameters
    ----------
    text : str
        A stage or a status.

    Returns
    -------
    {"won", "lost", "open"} or None
        None where it says nothing of the deal's end, or both that it was won and that it was lost.

    Examples
    --------
    >>> [classify_outcome(text) for text in ("Closed Won (Sales Pipeline)", "closedlost", "C6:WON", "5. Gagné")]
    ['won', 'lost', 'won', 'won']
    >>> [classify_outcome(text) for text in ("Not lost - signed", "Not sold", "Lost contact", "Unsuccessful")]
    ['won', 'lost', None, 'lost']
    >>> [classify_outcome(text) for text in ("Closed", "Signed NDA", "Won?", "失注(価格)", "受注見込")]
    [None, None, None, 'lost', 'open']
    """
    return _classified(text)


@lru_cache(maxsize=50_000)
def _classified(text: str) -> Outcome | None:
    lexicon = _lexicon()
    # a known phrase may hold what divides clauses elsewhere: "Closed - No Sale", "Ganada/Perdida"
    whole = lexicon.phrases.get(tuple(plain(text).split()))
    outside = _BRACKETS.sub(" ", text)
    if whole is None:
        words = tuple(word for word in plain(outside).split() if not word.isdigit())
        whole = lexicon.phrases.get(words) or lexicon.alone.get(" ".join(words))
    meanings = {whole} if whole is not None else _meanings(outside) or _meanings(text)
    return _outcome(meanings - {"won", "lost"} if _QUESTION.search(text) else meanings)


def _meanings(text: str) -> set[str]:
    clauses = [clause for clause in _CLAUSES.split(_CAMEL.sub(" ", text)) if plain(clause)]
    meanings = {meaning for clause in clauses for meaning in _of_clause(clause)}
    answered_no = any(tuple(plain(clause).split()) in _lexicon().sets["negations"] for clause in clauses)
    return meanings - {"won", "lost"} if answered_no else meanings  # "Won: no"


def _outcome(meanings: set[str]) -> Outcome | None:
    if "won" in meanings or "lost" in meanings:
        if {"won", "lost"} <= meanings:
            return None
        return "won" if "won" in meanings else "lost"
    return "open" if meanings & {"open", "not lost", "not yet"} else None


def _of_clause(clause: str) -> Iterator[str]:
    words = plain(clause).split()
    if _SPACELESS.search("".join(words)):
        yield from _of_spaceless("".join(words))
        return
    lexicon = _lexicon()
    doubtful = _contains(words, lexicon.sets["doubts"])
    position = 0
    while position < len(words):
        length, meaning = _match(words, position)
        if not length:
            position += 1
            continue
        if meaning == "open" or not doubtful:
            yield from _turned(words, position, length, meaning)
        position += length


def _match(words: list[str], position: int) -> tuple[int, str]:
    """Length and meaning of the longest known phrase that begins here."""
    lexicon = _lexicon()
    for length in range(min(lexicon.longest, len(words) - position), 0, -1):
        meaning = lexicon.phrases.get(tuple(words[position : position + length]))
        if meaning is not None:
            return length, meaning
    meaning = lexicon.joined.get(words[position])
    return (1, meaning) if meaning is not None else (0, "")


def _turned(words: list[str], position: int, length: int, meaning: str) -> Iterator[str]:
    """The meaning of a phrase beside its neighbours: negations before it, things that are no deals on either side."""
    if not meaning:
        return
    lexicon = _lexicon()
    before, after = words[:position], words[position + length :]
    if meaning != "open" and (_starts(after, lexicon.sets["not_deals"]) or _ends(before, lexicon.sets["not_deals"])):
        return
    negations = lexicon.sets["negations"]
    negated = _contains(before[-_NEGATION_REACH:], negations)
    negative = negated or _contains(words[position : position + length], negations)  # "no ganada" is one phrase
    if negative and _contains(words, lexicon.sets["not_yet"]):
        yield "not yet"
    elif not negated:
        yield meaning
    elif meaning == "won":
        yield "lost"
    elif meaning == "lost":
        yield "not lost"


def _of_spaceless(text: str) -> Iterator[str]:
    lexicon = _lexicon()
    taken = [False] * len(text)
    for phrase in sorted(lexicon.spaceless, key=lambda phrase: (-len(phrase), phrase)):
        start = text.find(phrase)
        while start >= 0:
            end = start + len(phrase)
            if not any(taken[start:end]):
                taken[start:end] = [True] * len(phrase)
                meaning = lexicon.spaceless[phrase]
                doubtful = any(doubt in text for doubt in lexicon.spaceless_doubts)
                if meaning and not (doubtful and meaning != "open"):
                    yield _SPACELESS_PREFIXES.get(text[start - 1 : start], {}).get(meaning, meaning)
            start = text.find(phrase, end)


def _contains(words: list[str], phrases: set[tuple[str, ...]]) -> bool:
    return any(_starts(words[start:], phrases) for start in range(len(words)))


def _starts(words: list[str], phrases: set[tuple[str, ...]]) -> bool:
    return any(tuple(words[:length]) in phrases for length in range(1, min(4, len(words)) + 1))


def _ends(words: list[str], phrases: set[tuple[str, ...]]) -> bool:
    return any(tuple(words[-length:]) in phrases for length in range(1, min(4, len(words)) + 1))
