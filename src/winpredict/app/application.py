"""The application: routes, headers, limits, and errors as pages or as problem documents."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DataError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionError
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware.sessions import SessionMiddleware
from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from winpredict.app.database import open_database
from winpredict.app.desk import Desk, security_headers
from winpredict.app.identity import (
    VISIT_COOKIE,
    NotSignedInError,
    PasswordMustChangeError,
    cookie_name,
    over_tls,
)
from winpredict.app.language import LanguageMiddleware, language_for, name_language
from winpredict.app.openid import Provider
from winpredict.app.password_reset import Resets, resets_by_mail
from winpredict.app.security_middleware import SecurityMiddleware, problem
from winpredict.app.turns import Turns, TurnsMiddleware
from winpredict.app.work_queue import TooMuchWaitingError
from winpredict.config import Config
from winpredict.errors import WinPredictError
from winpredict.locale.language import speaking
from winpredict.locale.text import said
from winpredict.workspace import Workspace

API = "/api/v1"
_log = logging.getLogger(__name__)
STATIC = Path(__file__).parent / "static"
_VISIT_SECONDS = 1800


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
    ConfigError, CRMSignInError
        When the OpenID provider or the server for e-mail is not named rightly, or their secret is not there.
    """
    from winpredict.app import api, pages

    config = config or Config()
    desk = Desk(workspace, config, open_database(config.app.database, workspace.folder))
    app = FastAPI(
        title="winpredict", version="1", docs_url=None, redoc_url=None, openapi_url=f"{API}/openapi.json",
        redirect_slashes=False,  # it would lead to whatever host the request names
        lifespan=_lifespan,
    )  # fmt: skip
    app.state.desk = desk
    app.state.openid = Provider(config.app) if config.app.oidc_issuer else None
    app.state.resets = Resets(desk.database, config.app) if resets_by_mail(config.app) else None
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    # routers are gone through in order, and programs ask most often
    api.add_to(app)
    pages.add_to(app)
    _handle_errors(app)
    # for the moments before signing in: the state of an OpenID sign-in, and the sign-in form's own CSRF token
    app.add_middleware(
        SessionMiddleware,
        secret_key=desk.signing_key,
        session_cookie=cookie_name(desk, VISIT_COOKIE),
        max_age=_VISIT_SECONDS,
        same_site="lax",
        https_only=over_tls(desk),
    )
    app.add_middleware(TurnsMiddleware, turns=Turns(config.app.requests_per_person))
    app.add_middleware(SecurityMiddleware, headers=security_headers(over_tls=over_tls(desk)), settings=config.app)
    app.add_middleware(LanguageMiddleware, config=config)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    app.state.desk.cancel_pending()
    if app.state.resets is not None:
        app.state.resets.close()


def _handle_errors(app: FastAPI) -> None:
    async def not_signed_in(request: Request, error: Exception) -> Response:
        return RedirectResponse(f"/sign-in?{_return_to(request)}", 303)

    async def must_change(request: Request, error: Exception) -> Response:
        return RedirectResponse("/account/password", 303)

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, StarletteHTTPException)
        return _error_response(request, error.status_code, str(error.detail), dict(error.headers or {}))

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        faults = [{"where": ".".join(map(str, each["loc"])), "what": each["msg"]} for each in error.errors()]
        if _is_api(request):
            return problem(422, said("some values are missing or impossible"), errors=faults)
        return _error_response(request, 422, "; ".join(f"{each['where']}: {each['what']}" for each in faults), {})

    async def wanting(request: Request, error: Exception) -> Response:
        return _error_response(request, 409, str(error), {})

    async def crowded(request: Request, error: Exception) -> Response:
        detail = said("what you asked for before is still being computed; try again when it is there")
        return _error_response(request, 429, detail, {"Retry-After": "10"})

    async def impossible(request: Request, error: Exception) -> Response:
        _log.warning("a value that the database does not take: %s", error)
        detail = said("a value is too large, or holds a character that cannot be stored")
        return _error_response(request, 422, detail, {})

    async def unreachable(request: Request, error: Exception) -> Response:
        _log.error("the database does not answer: %s", error)
        detail = said("the database does not answer; try again in a minute")
        return _error_response(request, 503, detail, {"Retry-After": "60"})

    async def broken(request: Request, error: Exception) -> Response:
        # answers outside of all middleware, and the error is then raised again for the log; at that the server closes
        # the connection, and whoever is not told sends the next request into nothing
        headers = {**security_headers(over_tls=over_tls(app.state.desk)), "Connection": "close"}
        with speaking(language_for(request, app.state.desk.config)):
            detail = said(
                "something went wrong on the server; try again, and tell your administrator the time "
                "if it happens again"
            )
            answer = _error_response(request, 500, detail, headers)
            name_language(answer.headers)
        return answer

    app.add_exception_handler(NotSignedInError, not_signed_in)
    app.add_exception_handler(PasswordMustChangeError, must_change)
    app.add_exception_handler(StarletteHTTPException, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(WinPredictError, wanting)
    app.add_exception_handler(TooMuchWaitingError, crowded)
    # what the databases' drivers refuse: a number beyond 64 bits, and of PostgreSQL a text with NUL
    app.add_exception_handler(OverflowError, impossible)
    app.add_exception_handler(DataError, impossible)
    app.add_exception_handler(OperationalError, unreachable)
    app.add_exception_handler(NoConnectionError, unreachable)
    app.add_exception_handler(Exception, broken)


def _error_response(request: Request, status: int, detail: str, headers: dict[str, str]) -> Response:
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
