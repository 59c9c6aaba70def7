"""Which passwords are taken: long enough, not easy to guess, and not one's own name or address."""

import re
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

from winpredict.errors import WinPredictError
from winpredict.locale.text import text

if TYPE_CHECKING:
    from pwdlib import PasswordHash

SHORTEST_PASSWORD, LONGEST_PASSWORD = 12, 256
#: Of 0 to 4 by zxcvbn: from 3 on somebody who has stolen the hashes needs more than 10^8 guesses.
_LEAST_SCORE = 3
#: zxcvbn takes longer than people wait for what is longer; a strong beginning is enough.
_JUDGED = 72
_PRODUCT = "winpredict"
#: Shorter parts of a name are in many a good password by chance.
_SHORTEST_PART = 4


class WeakPasswordError(WinPredictError):
    """A password that is easy to guess."""


def hash_password(password: str, email: str = "", name: str = "") -> str:
    """An Argon2 hash of a password that is good enough.

    Raises
    ------
    WinPredictError
        As `require_strong` does.
    """
    require_strong(password, email, name)
    return password_hasher().hash(password)


def require_strong(password: str, email: str = "", name: str = "") -> None:
    """Refuse a password that is too short, too long or easy to guess.

    Parameters
    ----------
    password : str
    email, name : str
        Of the person whose it is: passwords made of these, or of the name of their company, are guessed first.

    Raises
    ------
    WinPredictError
        When its length is not allowed.
    WeakPasswordError
        When it is easy to guess.

    Examples
    --------
    >>> require_strong("seven lamps in the hall", "ann@example.com", "Ann")
    >>> for weak in ("password1234", "ann@example.com!", "qwertyuiop123"):
    ...     try:
    ...         require_strong(weak, "ann@example.com", "Ann")
    ...     except WeakPasswordError:
    ...         print("weak")
    weak
    weak
    weak
    """
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise WinPredictError(
            text(
                "a password has {shortest_password} to {longest_password} characters; take a longer one",
                shortest_password=SHORTEST_PASSWORD,
                longest_password=LONGEST_PASSWORD,
            )
        )
    own = _own_words(email, name)
    if _is_own(password, email, own) or _score(password, own) < _LEAST_SCORE:
        raise WeakPasswordError(
            text(
                "this password is easy to guess; take several words that do not belong together, and leave out your "
                "name, your e-mail address and passwords that others use"
            )
        )


def _own_words(email: str, name: str) -> list[str]:
    """What of a person and their company a guesser tries first."""
    local, _, host = email.partition("@")
    parts = re.split(r"[^\w]+|_", f"{email} {name}")
    words = [email, local, host, *host.split("."), name, *parts, _PRODUCT]
    return sorted({each.strip().lower() for each in words if len(each.strip()) > 1})


def _is_own(password: str, email: str, own: Iterable[str]) -> bool:
    """Whether there is little more in a password than its person's address or name."""
    lower = password.lower()
    if email and email.lower() in lower:
        return True
    rests = (lower.replace(each, "") for each in own if len(each) >= _SHORTEST_PART and each in lower)
    return any(len(rest) < SHORTEST_PASSWORD - _SHORTEST_PART for rest in rests)


def _score(password: str, own: list[str]) -> int:
    from zxcvbn import zxcvbn

    return int(zxcvbn(password[:_JUDGED], user_inputs=own)["score"])


@cache
def password_hasher() -> "PasswordHash":
    """Argon2 with the parameters that new passwords get."""
    from pwdlib import PasswordHash

    return PasswordHash.recommended()
