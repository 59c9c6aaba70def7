"""In which language and currency a request is answered."""

from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import ExitStack
from functools import lru_cache
from typing import Any

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders

from winpredict.app.records import Person
from winpredict.config import Config
from winpredict.locale.formats import counting_in
from winpredict.locale.language import Language, current, language_of, languages, speaking

Message = MutableMapping[str, Any]
#: So much of a header is looked at: browsers send some dozens of characters, and what was looked at is kept.
_MAX_HEADER = 200
#: What is chosen of languages by those who want that of their browser.
BY_BROWSER = "browser"
_VARY = ("Accept-Language", "Cookie")


class LanguageMiddleware:
    """ASGI middleware: a request is answered in the language that its header wishes for, else in that of the config.

    Whoever turns out to be the caller is then spoken to in the language of their own choice, see `speak_to`.

    Parameters
    ----------
    app : ASGI application
    config : Config
        Names the language of those who wish for none, and the currency of amounts that name none.
    """

    def __init__(self, app: Any, config: Config) -> None:
        self.app, self.config = app, config

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Answer, and say in which language."""
        if scope["type"] != "http" or scope["path"].startswith("/static/"):
            await self.app(scope, receive, send)
            return

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message.setdefault("headers", [])
                name_language(MutableHeaders(scope=message))
            await send(message)

        with ExitStack() as spoken:
            spoken.enter_context(speaking(_wished(None, Headers(scope=scope), self.config)))
            spoken.enter_context(counting_in(self.config.currency))
            # what is entered later in the same task ends here too; threads and work beside the request copy it
            scope.setdefault("state", {})["spoken"] = spoken
            await self.app(scope, receive, named)


def speak_to(request: Request, person: Person, config: Config) -> None:
    """Speak a person's language in what is left of a request.

    Parameters
    ----------
    request : Request
    person : Person
    config : Config
    """
    spoken: ExitStack = request.state.spoken
    spoken.enter_context(speaking(_wished(person, request.headers, config)))


def language_for(request: Request, config: Config) -> Language:
    """The language of a request, also outside of the middleware: the caller's, where it is known who that is."""
    caller = getattr(request.state, "caller", None)
    return _wished(None if caller is None else caller.person, request.headers, config)


def name_language(headers: MutableHeaders) -> None:
    """Say in an answer's headers in which language it is, and what that depends on."""
    headers["Content-Language"] = current().lang
    named = {each.strip().lower() for each in headers.get("vary", "").split(",")}
    for each in _VARY:
        if each.lower() not in named:
            headers.add_vary_header(each)


def language_names() -> dict[str, str]:
    """Languages to choose from, each by its own name.

    Examples
    --------
    >>> language_names()["fr"]
    'Français'
    """
    names = {name: str(Language(name).locale.get_display_name(name)) for name in languages()}
    return {name: f"{words[:1].upper()}{words[1:]}" for name, words in names.items()}


def chosen_language(language: str) -> str | None:
    """What is kept of a choice: a language, or None for that of the browser."""
    return None if language == BY_BROWSER else language


def _wished(person: Person | None, headers: Headers, config: Config) -> Language:
    header = ",".join(headers.getlist("accept-language"))[:_MAX_HEADER]
    return _language_of(None if person is None else person.language, header, config.language)


_language_of = lru_cache(256)(language_of)
