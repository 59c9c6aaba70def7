import pytest
from hypothesis import given
from hypothesis import strategies as st

from winpredict.errors import WorkspaceError
from winpredict.privacy.erased import FILE, Erased, is_distinct

WORDS = st.lists(st.sampled_from(["Ann", "ann", "LEE", "lee", "x@y.de", "+49 30 1234567", "won", "Lee,"]), max_size=8)


@pytest.fixture
def erased():
    found = Erased(b"key")
    found.add("user", ["4512", "0055g00000AbCdE"])
    found.add_values(["Ann Lee", "ann.lee@example.com", "+49 30 1234567", "Ann", "17"], "erased-1")
    return found


@pytest.mark.parametrize(
    ("words", "without"),
    [
        ("Call with ANN  LEE.", "Call with erased-1."),
        ("Ann-Lee Smith", "erased-1 Smith"),
        ("Annabel Lee", "Annabel Lee"),
        ("mail to Ann.Lee@Example.com!", "mail to [erased]!"),
        ("call +49-30-1234567", "call +[erased]"),
        ("17 of Ann's deals", "17 of Ann's deals"),
        ("4512 deals", "4512 deals"),  # a short number may be anything
    ],
)
def test_names_and_addresses_are_found_in_texts(erased, words, without):
    assert erased.text(words) == without


def test_an_id_is_found_as_such_and_a_long_one_anywhere(erased):
    pseudonym = erased.pseudonym("user", "0055g00000AbCdE")
    assert pseudonym.startswith("005erased-")
    assert erased.text("see /0055g00000AbCdE/view") == f"see /{pseudonym}/view"
    assert erased.pseudonym("user", "0055g00000AbCdEIAV") == pseudonym or is_distinct("0055g00000AbCdEIAV")
    assert erased.pseudonym("user", "4512").startswith("erased-")
    assert erased.pseudonym("contact", "4512") is None


def test_a_salesforce_id_is_known_with_its_last_three_letters_and_without():
    erased = Erased(b"key")
    (pseudonym,) = erased.add("account", ["001D000000IqhSLIAZ"])
    assert erased.pseudonym("account", "001D000000IqhSL") == pseudonym
    again = Erased(b"key")
    (pseudonym,) = again.add("account", ["001D000000IqhSL"])
    assert again.pseudonym("account", "001D000000IqhSLIAZ") == pseudonym


def test_a_name_of_one_word_is_looked_for_where_names_stand():
    erased = Erased(b"key")
    erased.add_values(["Summit"], "erased-7", within=True)
    erased.add_values(["Ann"], "erased-8")
    assert erased.text("Summit renewal", free=True) == "erased-7 renewal"
    assert erased.text("Summit renewal") == "Summit renewal"
    assert erased.text("at the summit", free=True) == "at the summit"
    assert erased.text("Ann", free=True) == "erased-8"
    assert erased.text("Ann Smith", free=True) == "Ann Smith"


def test_the_list_is_kept_without_what_it_knows(erased, tmp_path):
    erased.write(tmp_path)
    kept = (tmp_path / FILE).read_text().casefold()
    assert not any(each in kept for each in ("ann", "lee", "example", "0055g"))
    again = Erased.read(tmp_path)
    assert again == erased
    assert again.text("Ann Lee") == "erased-1"
    assert again.add("user", ["4512"]) == [erased.pseudonym("user", "4512")]


def test_a_damaged_list_is_refused(tmp_path):
    (tmp_path / FILE).write_text("{")
    with pytest.raises(WorkspaceError, match="would come back; restore it from a backup"):
        Erased.read(tmp_path)


def test_pseudonyms_are_random_and_another_workspace_has_other_ones():
    pairs = [(Erased(b"key").add("user", ["4512"]), Erased(b"key").add("user", ["4512"])) for _ in range(20)]
    assert all(one != other for one, other in pairs)


@given(WORDS)
def test_what_was_scrubbed_stays_as_it_is(words):
    erased = Erased(b"key")
    erased.add_values(["Ann Lee", "x@y.de", "+49 30 1234567"], "erased-1")
    once = erased.text(" ".join(words), free=True)
    assert erased.text(once, free=True) == once
    assert "ann lee" not in once.casefold()
