"""Markdown to people: to chats and by e-mail, through Apprise."""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pydantic import SecretStr

from winpredict.connectors.secrets import Redactor
from winpredict.errors import DigestError
from winpredict.locale.text import text

#: What logs the addresses that it connects to, and with these the secrets in them.
_TALKATIVE = ("apprise", "urllib3", "requests")
_SHORTEST_PART = 4


def send(title: str, markdown: str, addresses: Mapping[str, SecretStr]) -> None:
    """Send a text to every address.

    Parameters
    ----------
    title : str
    markdown : str
    addresses : mapping of str to SecretStr
        Apprise addresses (slack://..., msteams://..., mailto://...) by the names that they are told by. They are
        never shown or logged: Apprise and what it connects with are silent meanwhile.

    Raises
    ------
    DigestError
        When it did not reach all of them; the others have it.
    """
    try:
        import apprise
    except ModuleNotFoundError:
        raise DigestError(
            text('sending needs apprise, which is not installed: pip install "winpredict[crm]"')
        ) from None
    failed = []
    for name, address in addresses.items():
        redact = Redactor([address, *map(SecretStr, _parts(address.get_secret_value()))])
        with _said_by("apprise") as said:
            to = apprise.Apprise()
            if not to.add(address.get_secret_value()):
                failed.append(f"{name} is no address that Apprise knows, such as slack://A/B/C or mailto://...")
            elif not to.notify(title=title, body=markdown, body_format=apprise.NotifyFormat.MARKDOWN):
                failed.append(f"{name} did not take it ({redact('; '.join(said)) or 'no reason was given'})")
    if failed:
        raise DigestError(text("the digest did not reach everybody: {failed}", failed=". ".join(failed)))


def _parts(address: str) -> list[str]:
    """What stands between the punctuation of an address: a message may hold any of it."""
    return [each for each in re.split(r"[/:@?&=,]+", address) if len(each) >= _SHORTEST_PART]


@contextmanager
def _said_by(name: str) -> Iterator[list[str]]:
    """Keep what a logger warns of, and let neither it nor others of `_TALKATIVE` tell anybody."""
    known = [each for each in logging.root.manager.loggerDict if each.partition(".")[0] in _TALKATIVE]
    # those that are made meanwhile, as modules are imported, tell the first ones of their names
    loggers = [logging.getLogger(each) for each in dict.fromkeys([*known, *_TALKATIVE])]
    before = [(each, each.disabled, each.propagate, each.handlers) for each in loggers]
    heard = _Ear(logging.WARNING)
    for each in loggers:
        each.disabled = each.name not in _TALKATIVE
        each.propagate, each.handlers = False, [heard if each.name == name else logging.NullHandler()]
    try:
        yield heard.said
    finally:
        for each, disabled, propagate, handlers in before:
            each.disabled, each.propagate, each.handlers = disabled, propagate, handlers


class _Ear(logging.Handler):
    """Keeps what is logged."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one message."""
        self.said.append(record.getMessage())
