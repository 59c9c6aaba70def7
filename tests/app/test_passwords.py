import pytest

from winpredict.app.database import open_database
from winpredict.app.passwords import WeakPasswordError, hash_password, require_strong
from winpredict.app.people import add_person, change_password
from winpredict.app.records import Role
from winpredict.errors import WinPredictError


@pytest.mark.parametrize(
    "password",
    [
        "password1234",
        "123456789012",
        "qwertyuiop[]",
        "aaaaaaaaaaaaaaaa",
        "letmeinletmein",
        "winpredict2026",
        "Winpredict!!!!",
        "rita.meyer@lumen-tools.example",
        "xX rita.meyer@lumen-tools.example Xx",
        "rita.meyer12345",
        "lumen-tools2026",
        "Rita Meyer 1984",
        "MeyerMeyerMeyer",
        "a" * 256,
    ],
)
def test_what_others_guess_first_is_refused(password):
    with pytest.raises(WeakPasswordError, match="easy to guess"):
        require_strong(password, "rita.meyer@lumen-tools.example", "Rita Meyer")


@pytest.mark.parametrize(
    "password",
    [
        "seven lamps in the hall",
        "correct horse battery",
        "S7f_kQ-9zLw0aXt3",
        "Müde Gärtner säen Dill",
        "kettle" * 3 + "x9!Qz",
    ],
)
def test_what_is_hard_to_guess_is_taken(password):
    require_strong(password, "rita.meyer@lumen-tools.example", "Rita Meyer")


def test_a_short_name_within_a_word_does_no_harm():
    require_strong("planning annual dances", "ann@example.com", "Ann")


@pytest.mark.parametrize("length", [0, 11, 257])
def test_lengths(length):
    with pytest.raises(WinPredictError, match="12 to 256 characters"):
        hash_password("x" * length)


def test_the_longest_is_judged_in_no_time_and_taken():
    assert hash_password("seven lamps in the hall, " + "4@8({[6321!7|+%2" * 14).startswith("$argon2id$")


def test_wherever_a_password_is_set_it_is_judged_with_whose_it_is(tmp_path):
    database = open_database("", tmp_path)
    with database.writing() as session, pytest.raises(WeakPasswordError):
        add_person(session, "rita.meyer@example.com", "", Role.REP, password="rita.meyer12345")
    with database.writing() as session:
        rita = add_person(session, "rita.meyer@example.com", "", Role.REP, password="seven lamps in the hall")
        with pytest.raises(WeakPasswordError):
            change_password(session, rita, "rita.meyer12345", rita)
    database.close()
