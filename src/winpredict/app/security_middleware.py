"""What stands before all routes: headers on every answer, and no request that is too large, too slow or astray."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from fastapi import HTTPException
from starlette.responses import JSONResponse

from winpredict.app.audit_log import asked_from
from winpredict.config import App
from winpredict.locale.text import said

Message = MutableMapping[str, Any]


class SecurityMiddleware:
    """ASGI middleware: security headers on every answer; requests that do harm by their form are refused.

    What is written down in the audit log meanwhile says from which address the request came.

    Parameters
    ----------
    app : ASGI application
    headers : mapping of str to str
    settings : App
        How large and slow requests may be, and the host that browsers know the desk by.
    """

    def __init__(self, app: Any, headers: Mapping[str, str], settings: App) -> None:
        self.app, self.settings = app, settings
        self.most = settings.largest_request_kb * 1024
        self.headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Answer with the headers, or refuse."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message.get("headers", [])}
                further = [each for each in self.headers if each[0] not in present]
                message = {**message, "headers": [*message.get("headers", []), *further]}
            await send(message)

        refused = self._refused(dict(scope["headers"]))
        if refused is not None:
            await refused(scope, receive, guarded)
            return
        client = scope.get("client")
        with asked_from(str(client[0]) if client else ""):
            await self.app(scope, self._limited(receive), guarded)

    def _refused(self, headers: Mapping[bytes, bytes]) -> JSONResponse | None:
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and (len(length) > 18 or int(length) > self.most):
            return problem(413, self._too_large)
        if not is_ours(headers.get(b"host", b"").decode("latin-1"), self.settings.public_url):
            detail = said(
                "this server is not known by that name; its administrator sets app.public_url to the right one"
            )
            return problem(421, detail)
        return None

    def _limited(self, receive: Callable[[], Awaitable[Message]]) -> Callable[[], Awaitable[Message]]:
        """The request's body as it arrives, which need not say how long it is."""
        read, complete = 0, False
        latest = asyncio.get_running_loop().time() + self.settings.slowest_request_s

        async def limited() -> Message:
            nonlocal read, complete
            if complete:  # from here on it is asked whether the caller is still there, for as long as that takes
                return await receive()
            try:
                async with asyncio.timeout_at(latest):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, said("the request took too long to arrive"), {"Connection": "close"}) from None
            read += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if read > self.most:
                raise HTTPException(413, self._too_large, {"Connection": "close"})
            return message

        return limited

    @property
    def _too_large(self) -> str:
        return said("the request is larger than {size:count} kB", size=self.settings.largest_request_kb)


def is_ours(host: str, public_url: str) -> bool:
    """Whether a request is for this desk, by its Host header.

    A page of another site whose name leads to this machine (DNS rebinding) has that site's name there. Addresses, and
    names without a dot, which only the own network knows, cannot be such.

    Parameters
    ----------
    host : str
    public_url : str
        As browsers see the desk.

    Examples
    --------
    >>> [is_ours(host, "https://desk.example.com") for host in ("desk.example.com", "10.0.0.7:8765", "localhost:80")]
    [True, True, True]
    >>> is_ours("evil.example", "https://desk.example.com"), is_ours("", "")
    (False, False)
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
        if "@" in host or "/" in host or not name:
            return False
    except ValueError:
        return False
    if "." not in name and ":" not in name:
        return True
    try:
        return bool(ip_address(name))
    except ValueError:
        return name == (urlsplit(public_url).hostname or "")


def problem(status: int, detail: str, **more: Any) -> JSONResponse:
    """An error as RFC 9457 has it."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    return JSONResponse(body, status, media_type="application/problem+json")
