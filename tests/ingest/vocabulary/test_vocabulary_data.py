"""The YAML files themselves: complete, unambiguous, readable."""

import re
from collections import defaultdict

import pytest
import yaml
from pydantic import TypeAdapter

from winpredict.errors import ProfileError
from winpredict.ingest.vocabulary import (
    classify_outcome,
    crm_kinds,
    field_scores,
    kind_of,
    loading,
    plain,
    vocabularies,
)

LANGUAGES = sorted(vocabularies())
IMPORTANT = (
    "deal_id", "name", "account_name", "created_at", "closed_at", "expected_close_date", "outcome", "stage", "amount",
    "currency", "owner_name", "won_at", "lost_at", "pipeline", "lead_source", "deal_type", "probability", "modified_at",
    "loss_reason", "is_won", "is_closed", "is_lost", "is_deleted", "account_id", "owner_id", "product", "snapshot_at",
)  # fmt: skip


def key(label):
    return plain(label).replace(" ", "")


def test_these_languages_are_known():
    assert LANGUAGES == ["de", "en", "es", "fr", "it", "ja", "nl", "pl", "pt", "ru"]
    assert next(iter(vocabularies())) == "en"
    assert all(words.language == language for language, words in vocabularies().items())


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_every_field_and_outcome(language):
    words = vocabularies()[language]
    assert {field for field in IMPORTANT if not words.columns.get(field)} == set()
    assert all(len(words.outcomes[outcome]) >= 10 for outcome in ("won", "lost", "open"))
    assert words.totals
    assert words.never
    assert words.others


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_label_stands_under_one_field_unless_it_is_listed_as_ambiguous(language):
    words = vocabularies()[language]
    fields = defaultdict(set)
    for field, labels in words.columns.items():
        for label in labels:
            fields[key(label)].add(field)
    twice = {label for label, where in fields.items() if len(where) > 1}
    assert twice == {key(label) for label in words.ambiguous}


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_word_is_listed_twice_and_no_column_is_a_field_and_something_else(language):
    words = vocabularies()[language]
    for labels in (*words.columns.values(), words.others, words.never):
        assert len({key(label) for label in labels}) == len(labels)
    fields = {key(label) for labels in words.columns.values() for label in labels}
    assert fields.isdisjoint(map(key, words.others))
    meanings = defaultdict(set)
    for meaning, phrases in (*words.outcomes.items(), ("neutral", words.neutral)):
        for phrase in phrases:
            meanings[plain(phrase)].add(meaning)
    assert {phrase: found for phrase, found in meanings.items() if len(found) > 1} == {}


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_outcome_word_means_in_all_languages_what_it_means_in_its_own(language):
    words = vocabularies()[language]
    wrong = {
        phrase: (outcome, classify_outcome(phrase))
        for outcome, phrases in words.outcomes.items()
        for phrase in phrases
        if classify_outcome(phrase) != outcome
    }
    assert wrong == {}
    assert {phrase: found for phrase in words.neutral if (found := classify_outcome(phrase)) is not None} == {}


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_label_is_found_under_its_own_field(language):
    missing = {
        (field, label)
        for field, labels in vocabularies()[language].columns.items()
        for label in labels
        if field_scores(label, language).get(field, 0) < 0.9
    }
    assert missing == set()


@pytest.mark.parametrize("kind", crm_kinds(), ids=lambda each: each.kind)
def test_each_kind_of_file_has_the_main_fields_and_is_told_by_its_signature(kind):
    assert {"deal_id", "created_at", "stage", "amount"} <= set(kind.columns)
    assert set(kind.columns) & {"outcome", "is_won", "closed_at"}
    assert len(kind.signature) >= 2
    headers = [names[0] for names in kind.columns.values()] + [group[0] for group in kind.signature]
    assert kind_of(headers) is not None
    for field, names in kind.columns.items():
        assert all(field_scores(name, kind=kind.kind)[field] >= 0.9 for name in names)


def test_kinds_have_names_of_their_own():
    assert len({each.kind for each in crm_kinds()}) == len(crm_kinds()) >= 19


def test_the_head_of_the_english_file_explains_every_list():
    text = (loading._FOLDER / "en.yaml").read_text(encoding="utf-8")
    head = text[: text.index("\nlanguage:")]
    explained = set(re.findall(r"^# (\w+) {2,}", head, re.MULTILINE))
    assert set(loading.Vocabulary.model_fields) - explained == {"language", "name", "decimal", "day_first"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_file_says_in_its_head_how_to_contribute(language):
    text = (loading._FOLDER / f"{language}.yaml").read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert "To add a word" in text.split("\nlanguage:")[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("language: xx\nname: [", "is not YAML"),
        ("language: xx\nnegations: [no]", "negations"),
        ("language: xx\ncolumns: {dealid: [ID]}", "dealid"),
    ],
)
def test_a_faulty_file_is_told_with_its_fault(tmp_path, text, said):
    path = tmp_path / "xx.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ProfileError, match=said) as error:
        loading._read(path, TypeAdapter(loading.Vocabulary))
    assert "xx.yaml" in str(error.value)


def test_words_that_yaml_takes_for_flags_are_strings():
    for path in loading._FOLDER.glob("*.yaml"):
        assert isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict | list)
    assert "no" in vocabularies()["en"].negations
    assert "No" in vocabularies()["en"].columns["deal_id"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Étape", "etape"),
        ("  Nom_de l’opportunité:", "nom de l opportunite"),
        ("PROBABILITÉ (%)", "probabilite"),
        ("Größe/Straße", "grosse strasse"),
        ("Właściciel", "wlasciciel"),
        ("Ёлка й", "елка и"),
        ("商談　ＩＤ", "商談 id"),
        ("ﾌｪｰｽﾞ", "フェーズ"),
        ("が", "が"),
        ("Cœur", "coeur"),
        ("\u200f", ""),
        ("", ""),
    ],
)
def test_plain_form(text, expected):
    assert plain(text) == expected
    assert plain(plain(text)) == plain(text)
