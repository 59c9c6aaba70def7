"""Where secrets come from, and that nothing tells them."""

import os
import pickle

import pytest
from pydantic import SecretStr

from winpredict.connectors import secrets
from winpredict.connectors.secrets import Redactor, find_secret, secrets_file
from winpredict.errors import CRMSignInError

TOKEN = "pat-eu1-4f1c7c1e"


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """No secrets but those that a test makes."""
    monkeypatch.setenv("WINPREDICT_SECRETS", str(tmp_path / "secrets.yaml"))
    monkeypatch.delenv("WINPREDICT_HUBSPOT_TOKEN", raising=False)
    monkeypatch.setattr(secrets, "_from_keyring", lambda name: None)


def write(tmp_path, text, mode=0o600):
    path = tmp_path / "secrets.yaml"
    path.write_text(text)
    path.chmod(mode)


def test_the_environment_comes_before_the_file_and_that_before_the_keyring(tmp_path, monkeypatch):
    monkeypatch.setattr(secrets, "_from_keyring", lambda name: "from the keyring")
    assert find_secret("hubspot_token").get_secret_value() == "from the keyring"
    write(tmp_path, f"hubspot_token: {TOKEN}\n")
    assert find_secret("hubspot_token").get_secret_value() == TOKEN
    monkeypatch.setenv("WINPREDICT_HUBSPOT_TOKEN", "from the environment")
    assert find_secret("hubspot_token").get_secret_value() == "from the environment"


def test_the_keyring_of_the_system_is_asked(monkeypatch):
    keyring = pytest.importorskip("keyring")
    monkeypatch.undo()
    monkeypatch.setenv("WINPREDICT_SECRETS", "/nowhere.yaml")
    monkeypatch.delenv("WINPREDICT_HUBSPOT_TOKEN", raising=False)
    asked = {("winpredict", "hubspot_token"): TOKEN}
    monkeypatch.setattr(keyring, "get_password", lambda service, name: asked.get((service, name)))
    assert find_secret("hubspot_token").get_secret_value() == TOKEN

    def locked(service, name):
        raise keyring.errors.KeyringLocked("locked")

    monkeypatch.setattr(keyring, "get_password", locked)
    with pytest.raises(CRMSignInError, match="no secret hubspot_token"):
        find_secret("hubspot_token")


def test_a_missing_secret_is_told_with_all_the_places():
    with pytest.raises(CRMSignInError, match="no secret hubspot_token") as caught:
        find_secret("hubspot_token")
    for words in ("$WINPREDICT_HUBSPOT_TOKEN", str(secrets_file()), "keyring set winpredict hubspot_token"):
        assert words in str(caught.value)


@pytest.mark.skipif(os.name != "posix", reason="modes of files")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_may_read_is_refused(tmp_path, mode):
    write(tmp_path, f"hubspot_token: {TOKEN}\n", mode)
    with pytest.raises(CRMSignInError, match="chmod 600") as caught:
        find_secret("hubspot_token")
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("text", [f"hubspot_token: {TOKEN}: [", f"hubspot_token: '{TOKEN}", f"- {TOKEN}\n- x: {{"])
def test_a_broken_file_is_told_without_what_it_holds(tmp_path, text):
    write(tmp_path, text)
    with pytest.raises(CRMSignInError, match="cannot be read") as caught:
        find_secret("hubspot_token")
    assert TOKEN not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "other: x\n", "hubspot_token:\n", "hubspot_token: null\n"])
def test_a_file_without_it_is_no_fault(tmp_path, text):
    write(tmp_path, text)
    with pytest.raises(CRMSignInError, match="no secret hubspot_token"):
        find_secret("hubspot_token")


@pytest.mark.parametrize("text", ["1234567", "01234567", "12_34_567", "0x1F2E3D4C", "2025-06-01", "1234.50"])
def test_what_looks_like_a_number_or_a_date_is_a_secret_too(tmp_path, text):
    write(tmp_path, f"hubspot_token: {text}\n")
    assert find_secret("hubspot_token").get_secret_value() == text


def test_line_breaks_around_a_secret_are_none_of_it(tmp_path, monkeypatch):
    write(tmp_path, f"hubspot_token: |\n  {TOKEN}\n")
    assert find_secret("hubspot_token").get_secret_value() == TOKEN
    monkeypatch.setenv("WINPREDICT_HUBSPOT_TOKEN", f" {TOKEN}\r\n")
    assert find_secret("hubspot_token").get_secret_value() == TOKEN


def test_a_secret_that_holds_another_is_kept_out_whole():
    assert Redactor([SecretStr(TOKEN), SecretStr(f"{TOKEN}-long")])(f"is {TOKEN}-long") == "is ***"


def test_a_secret_does_not_tell_itself(monkeypatch):
    monkeypatch.setenv("WINPREDICT_HUBSPOT_TOKEN", TOKEN)
    found = find_secret("hubspot_token")
    assert TOKEN not in f"{found} {found!r} {[found]} {vars(Redactor([SecretStr('short')]))}"
    assert pickle.loads(pickle.dumps(found)) == found


def test_a_redactor_keeps_out_what_it_was_told():
    redact = Redactor([SecretStr(TOKEN)])
    redact.add("00Dnew-token")
    redact.add("")
    redact.add("abc")  # too short: it would blot out words
    assert redact(f"abc {TOKEN} 00Dnew-token {TOKEN}") == "abc *** *** ***"
