import pandas as pd
import pytest

from winpredict.ingest.parsing.flags import flag_words, to_flags
from winpredict.tables.schema import text_dtype

YES = [
    "Y",
    "y",
    "Yes",
    "YES",
    "true",
    "TRUE",
    "True",
    "t",
    "T",
    "1",
    "1.0",
    "on",
    "On",
    "checked",
    "Checked",
    "Oui",
    "OUI",
    "oui",
    "VRAI",
    "Vrai",
    "o",
    "ja",
    "Ja",
    "WAHR",
    "j",
    "Sí",
    "sí",
    "Si",
    "si",
    "SÌ",
    "sì",
    "VERDADERO",
    "VERDADEIRO",
    "VERO",
    "v",
    "Sim",
    "sim",
    "WAAR",
    "Tak",
    "tak",
    "PRAWDA",
    "Да",
    "да",
    "ИСТИНА",
    "はい",
    "✓",
    "✔",
    "✔️",
    "☑",
    "☑️",
    "✅",
    "○",
    "x",
    "X",
]
NO = [
    "N",
    "n",
    "No",
    "NO",
    "false",
    "FALSE",
    "False",
    "f",
    "F",
    "0",
    "0.0",
    "off",
    "Off",
    "unchecked",
    "Unchecked",
    "Non",
    "NON",
    "FAUX",
    "Faux",
    "Nein",
    "NEIN",
    "FALSCH",
    "FALSO",
    "falso",
    "Não",
    "não",
    "NAO",
    "ONWAAR",
    "Nee",
    "nee",
    "Nie",
    "nie",
    "FAŁSZ",
    "fałsz",
    "FALSZ",
    "Нет",
    "нет",
    "ЛОЖЬ",
    "いいえ",
    "✗",
    "✘",
    "☐",
    "✖",
    "❌",
    "×",
]
NEITHER = ["maybe", "2", "-1", "10", "Yes - by mail", "yes no", "won", "nope", "", "true1", "?", "oui/non", "xx"]


def _texts(*values):
    return pd.Series(values, dtype=text_dtype())


@pytest.mark.parametrize("text", YES)
def test_yes_in_any_language(text):
    flags, unread = to_flags(_texts(text))
    assert flags.tolist() == [True]
    assert not unread.any()


@pytest.mark.parametrize("text", NO)
def test_no_in_any_language(text):
    flags, unread = to_flags(_texts(text))
    assert flags.tolist() == [False]
    assert not unread.any()


@pytest.mark.parametrize("text", NEITHER)
def test_anything_else_is_unread(text):
    flags, unread = to_flags(_texts(text))
    assert flags.isna().all()
    assert unread.tolist() == [True]


def test_missing_is_missing_and_rows_keep_their_index():
    texts = pd.Series(["Oui", None, "soon", "NON"], index=[7, 3, 5, 1], dtype=text_dtype())
    flags, unread = to_flags(texts)
    assert flags.index.tolist() == unread.index.tolist() == [7, 3, 5, 1]
    assert flags.dtype == "boolean"
    assert unread.dtype == bool
    assert flags.isna().tolist() == [False, True, True, False]
    assert flags.dropna().tolist() == [True, False]
    assert unread.tolist() == [False, False, True, False]


@pytest.mark.parametrize("texts", [_texts(), _texts(None, None), pd.Series([], dtype=object)])
def test_columns_without_values(texts):
    flags, unread = to_flags(texts)
    assert len(flags) == len(texts)
    assert flags.isna().all()
    assert not unread.any()


def test_words_are_lower_case_and_not_shared_to_be_changed():
    words = flag_words()
    assert all(word == word.lower() for word in words)
    words["perhaps"] = True
    assert "perhaps" not in flag_words()
