"""What a column's name says: the field that it stands for, the language of a file, and the CRM that wrote it."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from types import MappingProxyType

from babel.numbers import list_currencies

from winpredict.ingest.vocabulary.loading import CRMKind, FieldName, crm_kinds, plain, vocabularies

#: How much of its score a label keeps when it is known only without ...
_SEPARATED_PREFIX = 0.97  # "Deal - " or "Opportunity."
_OBJECT_WORD = 0.9  # "deal" in "Deal closing time", "de l'affaire" behind a label
_CURRENCY = 0.95  # "(EUR)", "in k€", "HT"
_CONVERTED = 0.7  # "(converted)": in another currency than the amount itself
_BRACKETS = 0.75  # any other brackets behind it
_CUSTOM_SUFFIX = 0.9  # "__c" of Salesforce
_REPEATED = 0.8  # " (2)", ".1": the second column of a name
#: ... or when it is a label of another language, or an API name that a language uses for another field.
_OTHER_LANGUAGE = 0.8
_OTHER_MEANING = 0.8
#: A label that only shares words with a known one gets at most this, and counts from the least on.
_MAX_SHARED_WORDS = 0.5
_MIN_SHARED_WORDS = 0.15
#: The last label of a list of synonyms gets this much less than the first.
_LAST_PLACE = 0.1
_MAX_WORDS_TAKEN_OFF = 3
#: A word that stands in the labels of so many fields (date, name, id) does not tell one of them.
_FIELDS_OF_A_COMMON_WORD = 7

_PREFIX_SEPARATOR = re.compile(r"^\s*([^\-–—:./>|]{2,30}?)\s*(?:\s[-–—]\s|:|\.|/|>|\|)\s*(.+)$")
_SUFFIX_BRACKETS = re.compile(r"^(.*\S)\s*[(\[（【]([^()\[\]（）【】]*)[)\]）】]\s*$")
_SUFFIX_UNIT = re.compile(r"^(.*?\S)\s+(?:(?:in|en|em|w|в|de)\s+)?(\S{1,8})$", re.IGNORECASE)
_SUFFIX_CUSTOM = re.compile(r"^(.+?)(?:__c|__C|(?<=[a-z0-9])_c)$")  # warehouses write _c
_SUFFIX_NUMBER = re.compile(r"^(.*[^\s\d])[\s._]*(?:\(\d{1,2}\)|[._]\d{1,2})$")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_UMLAUTS = dict(zip(map(ord, "äöüÄÖÜ"), ("ae", "oe", "ue", "Ae", "Oe", "Ue"), strict=True))


@cache
def _units() -> frozenset[str]:
    words = {unit.casefold() for vocabulary in vocabularies().values() for unit in vocabulary.units}
    return frozenset(words | {code.casefold() for code in list_currencies()})


@cache
def _links() -> frozenset[str]:
    return frozenset(plain(word) for vocabulary in vocabularies().values() for word in vocabulary.links)


@cache
def _converted_words() -> frozenset[str]:
    return frozenset(word.casefold() for vocabulary in vocabularies().values() for word in vocabulary.converted)


def _key(text: str) -> str:
    """What two writings of one name share: createdate, Create Date and create_date."""
    return plain(text).replace(" ", "")


@cache
def _language_labels() -> MappingProxyType[str, MappingProxyType[str, dict[FieldName, float]]]:
    """Language: key of a label: field: score by the label's place among its synonyms."""
    labels: dict[str, MappingProxyType[str, dict[FieldName, float]]] = {}
    for language, words in vocabularies().items():
        scores: dict[str, dict[FieldName, float]] = defaultdict(dict)
        for field, synonyms in words.columns.items():
            for place, label in enumerate(synonyms):
                for key in {_key(label), _key(label.translate(_UMLAUTS)) if language == "de" else _key(label)}:
                    scores[key].setdefault(field, 1 - _LAST_PLACE * place / len(synonyms))
        labels[language] = MappingProxyType(scores)
    return MappingProxyType(labels)


@cache
def _crm_labels() -> MappingProxyType[str, MappingProxyType[str, dict[FieldName, float]]]:
    """Kind of file: key of a name: field: score."""
    labels: dict[str, MappingProxyType[str, dict[FieldName, float]]] = {}
    for kind in crm_kinds():
        scores: dict[str, dict[FieldName, float]] = defaultdict(dict)
        for field, names in kind.columns.items():
            for place, name in enumerate(names):
                scores[_key(name)].setdefault(field, 1 - _LAST_PLACE * place / len(names))
        labels[kind.kind] = MappingProxyType(scores)
    return MappingProxyType(labels)


@cache
def _objects() -> frozenset[str]:
    return frozenset(plain(name) for words in vocabularies().values() for name in words.objects)


@cache
def _other_columns() -> frozenset[str]:
    return frozenset(_key(label) for words in vocabularies().values() for label in words.others)


@cache
def _never_columns() -> frozenset[str]:
    return frozenset(_key(label) for words in vocabularies().values() for label in words.never)


def field_scores(label: str, language: str = "", kind: str = "") -> dict[FieldName, float]:
    """Fields that a column may stand for, by its name alone.

    Parameters
    ----------
    label : str
        The column's name as the file writes it.
    language : str
        Language of the file's headers where it is known (`language_of`): others than this and English count less.
    kind : str
        Kind of file where it is known (`kind_of`): what this CRM means by a name counts before all else.

    Returns
    -------
    dict of str to float
        Field: 1 for its most telling label or API name, down to 0.9 for the least telling one; less where a prefix, a
        currency or a suffix had to be taken off; at most 0.5 where only words are shared. Empty where the name says
        nothing, or is known to be something else (a contact's name, a note).

    Examples
    --------
    >>> field_scores("Nom de l'opportunité")
    {'name': 1.0}
    >>> field_scores("Deal - Expected close date")
    {'expected_close_date': 1.0}
    >>> field_scores("Montant (EUR)")
    {'amount': 0.95}
    >>> field_scores("Contact Name")
    {}
    """
    return dict(_scores(label, language, kind))


@lru_cache(maxsize=10_000)
def _scores(label: str, language: str, kind: str) -> MappingProxyType[FieldName, float]:
    scores: dict[FieldName, float] = {}
    own = _crm_labels().get(kind, MappingProxyType({})).get(_key(label), {})
    for reading, factor in _readings(label):
        for field, score in _exact(_key(reading), language).items():
            if own and field not in own:
                score = min(score, _MAX_SHARED_WORDS)
            scores[field] = max(scores.get(field, 0.0), round(score * factor, 3))
        if _key(reading) in _other_columns():
            break  # what is left when more is taken off is no better known
    for field, score in own.items():
        scores[field] = max(scores.get(field, 0.0), round(score, 3))
    if not scores and not any(_key(reading) in _other_columns() | _never_columns() for reading, _ in _readings(label)):
        scores = _shared_words(label, language)
    return MappingProxyType(dict(sorted(scores.items(), key=lambda item: (-item[1], item[0]))))


def _exact(key: str, language: str) -> dict[FieldName, float]:
    scores: dict[FieldName, float] = {}
    for label_language, labels in _language_labels().items():
        known = not language or label_language in (language, "en")
        for field, score in labels.get(key, {}).items():
            scores[field] = max(scores.get(field, 0.0), score if known else score * _OTHER_LANGUAGE)
    api: dict[FieldName, float] = {}
    for labels in _crm_labels().values():
        for field, score in labels.get(key, {}).items():
            api[field] = max(api.get(field, 0.0), score)
    elsewhere = bool(scores) or key in _other_columns() or key in _never_columns()
    for field, score in api.items():
        scores.setdefault(field, score * _OTHER_MEANING if elsewhere else score)
    return scores


def _readings(label: str) -> list[tuple[str, float]]:
    """The label itself and what is left of it when prefixes and suffixes that change no meaning are taken off."""
    best: dict[str, float] = {label: 1.0}
    frontier = [(label, 1.0)]
    for _ in range(_MAX_WORDS_TAKEN_OFF):
        shortened: list[tuple[str, float]] = []
        for text, factor in frontier:
            for shorter, share in _shorter(text):
                if shorter and factor * share > best.get(shorter, 0.0):
                    best[shorter] = factor * share
                    shortened.append((shorter, factor * share))
        frontier = shortened
    return sorted(best.items(), key=lambda item: -item[1])


def _shorter(text: str) -> Iterator[tuple[str, float]]:
    if "#" in text:
        yield text.replace("#", " No "), 1.0
    if custom := _SUFFIX_CUSTOM.match(text):
        yield custom[1], _CUSTOM_SUFFIX
    if (parts := _PREFIX_SEPARATOR.match(text)) and plain(parts[1]) in _objects():
        yield parts[2], _SEPARATED_PREFIX
    if brackets := _SUFFIX_BRACKETS.match(text):
        yield brackets[1], _bracket_factor(brackets[2])
    elif (unit := _SUFFIX_UNIT.match(text)) and unit[2].casefold().strip(".()") in _units():
        yield unit[1], _CURRENCY
    if repeated := _SUFFIX_NUMBER.match(text):
        yield repeated[1], _REPEATED
    words = plain(_CAMEL.sub(" ", text)).split()
    for count in (1, 2):
        if len(words) > count and " ".join(words[:count]) in _objects():
            yield " ".join(words[count:]), _OBJECT_WORD
        if len(words) > count + 1 and " ".join(words[-count:]) in _objects():
            rest = words[:-count]
            links = 0
            while len(rest) > 1 and rest[-1] in _links():
                rest, links = rest[:-1], links + 1
            if links or len(rest) < len(words) - 1 or words[-1] == "сделки":
                yield " ".join(rest), _OBJECT_WORD
    if len(words) == 1:
        for name in _objects():
            if len(name) > 1 and not name.isascii() and words[0].startswith(name) and words[0] != name:
                yield words[0][len(name) :], _OBJECT_WORD


def _bracket_factor(inside: str) -> float:
    words = [word.strip(".,%") for word in inside.casefold().replace("/", " ").split()]
    if any(word in _converted_words() for word in words):
        return _CONVERTED
    return _CURRENCY if words and all(word in _units() | _links() for word in words) else _BRACKETS


@cache
def _word_index() -> tuple[dict[str, float], frozenset[str], dict[str, list[tuple[FieldName, frozenset[str]]]]]:
    """How telling each word is, the common words, and each language's labels as sets of words."""
    labels: dict[str, list[tuple[FieldName, frozenset[str]]]] = defaultdict(list)
    fields: dict[str, set[str]] = defaultdict(set)
    counts: Counter[str] = Counter()
    for language, words in vocabularies().items():
        for field, synonyms in words.columns.items():
            for label in synonyms:
                tokens = _tokens(label)
                labels[language].append((field, tokens))
                counts.update(tokens)
                for token in tokens:
                    fields[token].add(field)
    total = sum(map(len, labels.values()))
    weights = {token: math.log(total / count) for token, count in counts.items()}
    common = frozenset(token for token, where in fields.items() if len(where) >= _FIELDS_OF_A_COMMON_WORD)
    return weights, common, labels


def _tokens(label: str) -> frozenset[str]:
    return frozenset(word for word in plain(_CAMEL.sub(" ", label)).split() if not word.isdigit()) - _links()


def _shared_words(label: str, language: str) -> dict[FieldName, float]:
    weights, common, labels = _word_index()
    tokens = _tokens(label)
    unknown = max(weights.values())
    scores: dict[FieldName, float] = {}
    for label_language, known in labels.items():
        if language and label_language not in (language, "en"):
            continue
        for field, others in known:
            shared = tokens & others
            if shared - common:
                whole = sum(weights.get(token, unknown) for token in tokens | others)
                score = _MAX_SHARED_WORDS * sum(weights[token] for token in shared) / whole
                if score >= _MIN_SHARED_WORDS:
                    scores[field] = max(scores.get(field, 0.0), round(score, 3))
    return scores


def is_never(label: str, kind: str = "") -> bool:
    """Whether a column is known to be written or overwritten when a deal closes, or to be computed from its end.

    Examples
    --------
    >>> is_never("Forecast Category"), is_never("Catégorie de prévision"), is_never("Montant")
    (True, True, False)
    >>> is_never("properties.hs_closed_amount", "hubspot_api")
    True
    """
    if any(_key(reading) in _never_columns() for reading, factor in _readings(label) if factor >= _CURRENCY):
        return True
    kinds = [crm for crm in crm_kinds() if crm.kind == kind]
    return any(fnmatchcase(label.casefold(), name.casefold()) for crm in kinds for name in crm.never)


def language_of(headers: Sequence[str]) -> str:
    """The language of a file's headers.

    Each header that is a label of a language counts for it, whether or not other languages have the label too. A
    language other than English needs a label that English lacks.

    Parameters
    ----------
    headers : sequence of str
        Column names.

    Returns
    -------
    str
        Two letters, or "" where two languages have as much for them.

    Examples
    --------
    >>> language_of(["ID", "Name", "Firma", "Status", "Betrag", "Erstellt am"])
    'de'
    >>> language_of(["Id", "Status"])
    ''
    """
    counts: Counter[str] = Counter()
    alone: Counter[str] = Counter()  # a label counts the more, the fewer languages share it
    for header in headers:
        keys = {_key(reading) for reading, factor in _readings(str(header)) if factor >= _CURRENCY}
        known = {language for language, labels in _language_labels().items() if any(key in labels for key in keys)}
        counts.update(known)
        alone.update({language: 1 / len(known) for language in known} if "en" not in known else {})
    candidates = [language for language in counts if language == "en" or alone[language] > 0]
    if not candidates:
        return ""
    ranks = {name: (counts[name], name != "en", round(alone[name], 6)) for name in candidates}
    best = max(ranks.values())
    leaders = [language for language in candidates if ranks[language] == best]
    if len(leaders) > 1 or (leaders == ["en"] and _all_shared(headers)):
        return ""
    return leaders[0]


def _all_shared(headers: Sequence[str]) -> bool:
    """Whether each header that English knows is known to another language as well."""
    others = [labels for language, labels in _language_labels().items() if language != "en"]
    known = [_key(header) for header in map(str, headers) if _key(header) in _language_labels()["en"]]
    return all(any(key in labels for labels in others) for key in known)


def kind_of(headers: Sequence[str]) -> CRMKind | None:
    """The kind of file, recognised by its columns.

    Parameters
    ----------
    headers : sequence of str
        Column names.

    Returns
    -------
    CRMKind or None
        Of the kinds whose signature fits, the one that knows most of the columns.

    Examples
    --------
    >>> kind_of(["ID", "STAGE_ID", "OPPORTUNITY", "DATE_CREATE", "CLOSED"]).name
    'Bitrix24 API'
    >>> kind_of(["deal", "who", "when"]) is None
    True
    """
    keys = {_key(str(header)) for header in headers}
    fitting = [kind for kind in crm_kinds() if all(keys & {_key(name) for name in group} for group in kind.signature)]
    return max(fitting, key=lambda kind: _columns_known(kind, keys), default=None)


def _columns_known(kind: CRMKind, keys: set[str]) -> int:
    names = {_key(name) for names in (*kind.columns.values(), *kind.signature, kind.never) for name in names}
    return len(keys & names)
