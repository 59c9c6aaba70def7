"""Secrets of live CRMs: from the environment, a file that only its owner may read, or the system's keyring.

They are never written, printed or logged. Inside they travel as `pydantic.SecretStr`, whose text says nothing, and
`Redactor` keeps them out of what others say.
"""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

import yaml
from pydantic import SecretStr

from winpredict.errors import CRMSignInError
from winpredict.locale.text import text

PREFIX, SERVICE = "WINPREDICT_", "winpredict"
FILE_VARIABLE = "WINPREDICT_SECRETS"
_SHORTEST = 6


def find_secret(name: str) -> SecretStr:
    """A secret by its name.

    Parameters
    ----------
    name : str
        Such as ``hubspot_token``: read from ``$WINPREDICT_HUBSPOT_TOKEN``, else from the file that
        ``$WINPREDICT_SECRETS`` names (by default ``~/.config/winpredict/secrets.yaml``, mode 0600, a YAML mapping of
        names to values), else from the keyring, service ``winpredict``.

    Raises
    ------
    CRMSignInError
        When none has it, or others may read the file.

    Examples
    --------
    >>> os.environ["WINPREDICT_HUBSPOT_TOKEN"] = "pat-1234567"
    >>> find_secret("hubspot_token")
    SecretStr('**********')
    >>> del os.environ["WINPREDICT_HUBSPOT_TOKEN"]
    """
    variable = f"{PREFIX}{name.upper()}"
    value = (os.environ.get(variable) or _from_file(name) or _from_keyring(name) or "").strip()
    if not value:
        raise CRMSignInError(
            text(
                "no secret {name}: set ${variable}, write `{name}: ...` into {secrets_file} (mode 0600), or "
                "run `keyring set {service} {name}`",
                name=name,
                variable=variable,
                secrets_file=secrets_file(),
                service=SERVICE,
            )
        )
    return SecretStr(value)


def secrets_file() -> Path:
    """The file of secrets, whether it is there or not."""
    return Path(os.environ.get(FILE_VARIABLE) or Path.home() / ".config" / SERVICE / "secrets.yaml")


class Redactor:
    """Replaces secrets in texts.

    Parameters
    ----------
    secrets : iterable of SecretStr

    Examples
    --------
    >>> Redactor([SecretStr("pat-1234567")])("401: token pat-1234567 has expired")
    '401: token *** has expired'
    """

    def __init__(self, secrets: Iterable[SecretStr] = ()) -> None:
        self._values: list[str] = []
        for secret in secrets:
            self.add(secret.get_secret_value())

    def add(self, value: str) -> None:
        """Keep another value out, such as a token that was just handed out."""
        if len(value) >= _SHORTEST and value not in self._values:
            self._values.append(value)
            self._values.sort(key=len, reverse=True)  # one may hold another

    def __call__(self, text: str) -> str:
        """The text without them."""
        for value in self._values:
            text = text.replace(value, "***")
        return text


def _from_file(name: str) -> str | None:
    path = secrets_file()
    try:
        if not path.is_file():
            return None
        if os.name == "posix" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise CRMSignInError(text("{path} holds secrets and others may read it; run `chmod 600 {path}`", path=path))
        # this loader makes no numbers of texts: a secret may look like one
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        # the parser's own message would quote the line, and with it the secret
        raise CRMSignInError(
            text("{path} cannot be read; it must be YAML with a line `name: value` a secret", path=path)
        ) from None
    value = values.get(name) if isinstance(values, dict) else None
    return value if isinstance(value, str) and value not in ("null", "~") else None


def _from_keyring(name: str) -> str | None:
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        return None
    try:
        return keyring.get_password(SERVICE, name)
    except (KeyringError, RuntimeError, OSError):  # no keyring on this machine, or it is locked
        return None
