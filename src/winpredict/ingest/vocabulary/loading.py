"""The vocabulary as data: one YAML file a language and one for the CRMs, read once and checked against a schema."""

import re
import unicodedata
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictStr, TypeAdapter, ValidationError

from winpredict.errors import ProfileError
from winpredict.locale.text import text

#: Fields of a deal that a column can stand for.
FieldName = Literal[
    "deal_id", "name", "account_id", "account_name", "created_at", "closed_at", "expected_close_date", "won_at",
    "lost_at", "outcome", "stage", "amount", "currency", "owner_id", "owner_name", "pipeline", "lead_source", "product",
    "deal_type", "is_won", "is_closed", "is_lost", "is_deleted", "probability", "modified_at", "snapshot_at",
    "loss_reason",
]  # fmt: skip
Outcome = Literal["won", "lost", "open"]

_ACCENTS = re.compile("[\u0300-\u036f]")  # the marks of Japanese kana stand elsewhere and must stay
_LETTERS = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ð": "d", "œ": "oe", "æ": "ae", "ı": "i"})
_SEPARATORS = re.compile(r"[\W_]+")


def plain(text: str) -> str:
    """The form in which names and words are compared: no case, accents or punctuation, single blanks.

    Examples
    --------
    >>> plain("  Étape_de l’Opportunité (€) ")
    'etape de l opportunite'
    >>> plain("商談　ＩＤ")
    '商談 id'
    """
    decomposed = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text).casefold())
    letters = unicodedata.normalize("NFC", _ACCENTS.sub("", decomposed)).translate(_LETTERS)
    return _SEPARATORS.sub(" ", letters).strip()


def _words(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


# A YAML list of "no" or "on" holds flags: strings only, so that a missing quotation mark is an error.
Words = Annotated[tuple[StrictStr, ...], BeforeValidator(_words)]


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Vocabulary(_Data):
    """The words of one language; ``en.yaml`` says what each list is for.

    Examples
    --------
    >>> vocabularies()["fr"].columns["stage"][0]
    'Étape'
    """

    language: StrictStr = Field(description="two letters, as the file is called")
    name: StrictStr = Field(description="the language's English name")
    decimal: Literal[".", ","] = Field(description="the decimal separator that people who write the language use")
    day_first: bool | None = Field(description="whether 03/04/2025 is in April; null where the language does not tell")
    objects: Words = Field(description="what a deal is called in front of a label: Deal - Value")
    links: Words = Field((), description="small words between a label and what a deal is called")
    units: Words = Field((), description="what may stand behind a label without changing it, beside currency codes")
    converted: Words = Field((), description="words behind a label that make it an amount in another currency")
    columns: dict[FieldName, Words] = Field(description="field: labels of its column, the most telling first")
    ambiguous: Words = Field((), description="labels that stand under two fields on purpose")
    outcomes: dict[Outcome, Words] = Field(description="words of stages and statuses")
    alone: dict[Outcome, Words] = Field({}, description="words that mean an outcome only where they are the whole text")
    neutral: Words = Field((), description="phrases with an outcome word that say nothing of the deal's end")
    not_deals: Words = Field((), description="things that are signed, lost or cancelled without ending the deal")
    negations: Words = Field((), description="words that turn the next outcome round")
    not_yet: Words = Field((), description="words that make a negated outcome an open one")
    doubts: Words = Field((), description="words that make an outcome a guess")
    totals: Words = Field(description="how a row of totals or a footer begins")
    never: Words = Field((), description="columns written or overwritten when the deal closes, or computed from it")
    others: Words = Field((), description="columns that are none of the fields")


class CRMKind(_Data):
    """A kind of file that a CRM writes; ``crms.yaml`` says what each part is for.

    Examples
    --------
    >>> next(crm for crm in crm_kinds() if crm.kind == "close").scale
    {'amount': 0.01}
    """

    kind: StrictStr
    name: StrictStr = Field(description="what it is called to people")
    signature: Annotated[tuple[Words, ...], BeforeValidator(_words)] = Field(
        description="a file is of this kind if it has one column of each group"
    )
    columns: dict[FieldName, Words] = Field(description="field: names of its column, the most telling first")
    outcomes: dict[Outcome, Words] = Field({}, description="words of stages and statuses beside the languages' own")
    values: dict[FieldName, dict[StrictStr, Outcome]] = Field({}, description="field: code: outcome")
    scale: dict[FieldName, float] = Field({}, description="field: what its numbers are multiplied by")
    never: Words = Field((), description="columns written or overwritten when the deal closes; * for anything")


_FOLDER = Path(__file__).parent
#: Ten times as fast where PyYAML was built with libyaml, as its wheels are.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_KINDS = "crms.yaml"
_T = TypeVar("_T")


@cache
def vocabularies() -> MappingProxyType[str, Vocabulary]:
    """The languages by their two letters, English first.

    Returns
    -------
    mapping of str to Vocabulary

    Raises
    ------
    ProfileError
        When a file is not as its schema says; each fault is named.

    Examples
    --------
    >>> sorted(vocabularies())
    ['de', 'en', 'es', 'fr', 'it', 'ja', 'nl', 'pl', 'pt', 'ru']
    """
    paths = sorted(path for path in _FOLDER.glob("*.yaml") if path.name != _KINDS)
    paths.sort(key=lambda path: path.stem != "en")
    return MappingProxyType({path.stem: _read(path, TypeAdapter(Vocabulary)) for path in paths})


@cache
def crm_kinds() -> tuple[CRMKind, ...]:
    """Kinds of files that CRMs write, in the order of ``crms.yaml``.

    Raises
    ------
    ProfileError
        When the file is not as its schema says.

    Examples
    --------
    >>> [crm.name for crm in crm_kinds()][:2]
    ['Salesforce objects', 'Salesforce report']
    """
    return _read(_FOLDER / _KINDS, TypeAdapter(tuple[CRMKind, ...]))


def _read(path: Path, schema: TypeAdapter[_T]) -> _T:
    try:
        return schema.validate_python(yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER))
    except yaml.YAMLError as error:
        raise ProfileError(text("vocabulary {path} is not YAML: {error}", path=path, error=error)) from None
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise ProfileError(
            text('vocabulary {path}: {faults}; quote words such as "no" and "on"', path=path, faults=faults)
        ) from None
