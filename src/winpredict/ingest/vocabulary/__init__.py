"""The words of sales files in ten languages, as data: labels of columns, words of outcomes, and the CRMs' names.

One YAML file a language and ``crms.yaml`` hold the words; the head of ``en.yaml`` says how to add one.
"""

from winpredict.ingest.vocabulary.columns import field_scores, is_never, kind_of, language_of
from winpredict.ingest.vocabulary.loading import (
    CRMKind,
    FieldName,
    Outcome,
    Vocabulary,
    crm_kinds,
    plain,
    vocabularies,
)
from winpredict.ingest.vocabulary.outcomes import classify_outcome

__all__ = [
    "CRMKind",
    "FieldName",
    "Outcome",
    "Vocabulary",
    "classify_outcome",
    "crm_kinds",
    "field_scores",
    "is_never",
    "kind_of",
    "language_of",
    "plain",
    "vocabularies",
]
