"""The application: routes, headers, limits, and errors as pages or as problem documents."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware.sessions import SessionMiddleware
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from winpredict._common.errors import WinPredictError
from winpredict.app.database import open_database
from winpredict.app.desk import Desk, security_headers
from winpredict.app.identity import NotSignedInError, over_tls
from winpredict.config import Config
from winpredict.workspace import Workspace

API = "/api/v1"
STATIC = Path(__file__).parent / "static"
_VISIT_SECONDS = 1800
_MEDIA_TYPE = "application/problem+json"


def create_app(workspace: Workspace, config: Config | None = None) -> FastAPI:
    """The win desk of a workspace as an ASGI application.

    Parameters
    ----------
    workspace : Workspace
    config : Config, optional

    Raises
    ------
    WorkspaceError
        When the database cannot be used.
    """
    from winpredict.app import api, pages

    config = config or Config()
    desk = Desk(workspace, config, open_database(config.app.database, workspace.folder))
    app = FastAPI(title="winpredict", version="1", docs_url=None, redoc_url=None, openapi_url=f"{API}/openapi.json")
    app.state.desk = desk
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    pages.add_to(app)
    api.add_to(app)
    _handle_errors(app)
    # for the moments before signing in: the state of an OpenID sign-in, and the sign-in form's own CSRF token
    app.add_middleware(
        SessionMiddleware,
        secret_key=desk.signing_key,
        session_cookie="wp_visit",
        max_age=_VISIT_SECONDS,
        same_site="lax",
        https_only=over_tls(desk),
    )
    app.add_middleware(Guarded, headers=security_headers(over_tls=over_tls(desk)), most=config.app.largest_request_kb)
    return app


class Guarded:
    """Security headers on every answer, and no request larger than is allowed.

    Parameters
    ----------
    app : ASGI application
    headers : mapping of str to str
    most : int
        Kilobytes.
    """

    def __init__(self, app: Any, headers: Mapping[str, str], most: int) -> None:
        self.app, self.most = app, most * 1024
        self.headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        """Answer with the headers, or refuse."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        read = 0

        async def counted() -> MutableMapping[str, Any]:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self.most:
                raise HTTPException(413, f"the request is larger than {self.most // 1024} kB")
            return message

        async def guarded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message.get("headers", [])}
                further = [each for each in self.headers if each[0] not in present]
                message = {**message, "headers": [*message.get("headers", []), *further]}
            await send(message)

        length = dict(scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and int(length) > self.most:
            answer = problem(413, f"the request is larger than {self.most // 1024} kB")
            await answer(scope, receive, guarded)
            return
        await self.app(scope, counted, guarded)


def problem(status: int, detail: str, **more: Any) -> JSONResponse:
    """An error as RFC 9457 has it."""
    from http import HTTPStatus

    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    return JSONResponse(body, status, media_type=_MEDIA_TYPE)


def _handle_errors(app: FastAPI) -> None:
    async def not_signed_in(request: Request, error: Exception) -> Response:
        return RedirectResponse(f"/sign-in?{_return_to(request)}", 303)

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, StarletteHTTPException)
        return _told(request, error.status_code, str(error.detail), dict(error.headers or {}))

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        faults = [{"where": ".".join(map(str, each["loc"])), "what": each["msg"]} for each in error.errors()]
        if _is_api(request):
            return problem(422, "some values are missing or impossible", errors=faults)
        return _told(request, 422, "; ".join(f"{each['where']}: {each['what']}" for each in faults), {})

    async def wanting(request: Request, error: Exception) -> Response:
        return _told(request, 409, str(error), {})

    app.add_exception_handler(NotSignedInError, not_signed_in)
    app.add_exception_handler(StarletteHTTPException, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(WinPredictError, wanting)


def _told(request: Request, status: int, detail: str, headers: dict[str, str]) -> Response:
    if _is_api(request):
        answer: Response = problem(status, detail)
    else:
        from winpredict.app.pages import error_page

        answer = error_page(request, status, detail)
    answer.headers.update(headers)
    return answer


def _is_api(request: Request) -> bool:
    return request.url.path.startswith("/api/")


def _return_to(request: Request) -> str:
    from urllib.parse import urlencode

    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return urlencode({"next": path}) if request.method == "GET" else ""
