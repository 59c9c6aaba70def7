"""What all resources of the API have in common: keys, errors, ETags, and how they are documented."""

from collections.abc import Callable, Coroutine
from hashlib import sha256
from typing import Any

from fastapi import FastAPI, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from winpredict.app.identity import Allows, Caller
from winpredict.app.records import Role
from winpredict.app.turns import TurnRoute

MEDIA_TYPE = "application/problem+json"
_PROBLEM = {"$ref": "#/components/schemas/Problem"}
_TOLD_APART = "Authorization, Cookie"
_MEANINGS = {
    401: "no key, or one that is unknown, expired or revoked",
    403: "the key's scopes or the person's role do not allow this",
    404: "there is none, or it is not one that you may see",
    409: "the workspace cannot answer this as it is; the detail says what to do",
    413: "the request is too large",
    415: "the body is not JSON",
    422: "values are missing or impossible; `errors` names each place",
    429: "too many requests at the same time; Retry-After says when to come again",
    503: "the answer is being made, or the desk is not ready; Retry-After says when to come again",
}
_DESCRIPTION = """Win odds of deals, why, and what they add up to. A program sends a key of a person,
`Authorization: Bearer wp_...`, and sees what that person sees in the app. Errors are problem documents (RFC 9457).
Lists are paged by `page` and `limit`; answers to GET carry an ETag. Odds are 0 to 1, moments carry a zone."""


class Fault(BaseModel):
    """A value that will not do."""

    where: str = Field(description="path to the value, such as body.deal.amount")
    what: str


class Problem(BaseModel):
    """An error, as RFC 9457 has it."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[Fault] | None = None


class TaggedRoute(TurnRoute):
    """A route whose answers no shared cache keeps, and which says 304 to those who have the answer already."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with the tag put on what it answers."""
        answer_to = super().get_route_handler()

        async def tagged(request: Request) -> Response:
            answer = await answer_to(request)
            if request.method != "GET" or answer.status_code != 200:
                answer.headers.setdefault("Cache-Control", "private, no-store")
                return answer
            return with_tag(answer, request)

        return tagged


def with_tag(answer: Response, request: Request) -> Response:
    """An answer with its ETag, or 304 where the caller has it.

    The tag is a hash of what is answered and of who asks: nobody's tag fits the answer to somebody else.
    """
    caller: Caller | None = getattr(request.state, "caller", None)
    who = b"" if caller is None else str(caller.person.id).encode()
    tag = f'"{sha256(who + b" " + bytes(answer.body)).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": _TOLD_APART}
    if matches(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    answer.headers.update(headers)
    return answer


def matches(wanted: str, tag: str) -> bool:
    """Whether an If-None-Match header names a tag.

    Examples
    --------
    >>> matches('W/"b", "a"', '"a"'), matches("*", '"a"'), matches('"b"', '"a"')
    (True, True, False)
    """
    named = [each.strip().removeprefix("W/") for each in wanted.split(",")]
    return tag in named or "*" in named


def documented(*errors: int, scope: str = "", tagged: bool = True) -> dict[str, Any]:
    """What a route's decorator is told of its errors, its key and its tag."""
    known = {401, 403, 422, 429, *errors} if scope else set(errors)
    responses: dict[int | str, Any] = {status: _failure(_MEANINGS[status]) for status in sorted(known)}
    responses["default"] = _failure("any other error")
    extra: dict[str, Any] = {"security": [{"key": [scope]}, {"session": []}] if scope else []}
    if tagged:
        responses[304] = {"description": "not changed since the answer whose ETag If-None-Match names"}
        header = {"type": "string", "description": "names the answer as it is"}
        responses[200] = {"headers": {"ETag": {"schema": header}}}
        extra["parameters"] = [{"name": "If-None-Match", "in": "header", "schema": {"type": "string"}}]
    return {"responses": responses, "openapi_extra": extra}


def _failure(meaning: str) -> dict[str, Any]:
    return {"description": meaning, "content": {MEDIA_TYPE: {"schema": _PROBLEM}}}


def describe(app: FastAPI, *bodies: type[BaseModel]) -> None:
    """Give an application's OpenAPI document what routes do not say: the kinds of keys, and what an error is.

    Parameters
    ----------
    app : FastAPI
    *bodies : type of BaseModel
        What routes read by themselves and name in their documentation.
    """
    generated = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generated()
            document["info"]["description"] = _DESCRIPTION
            parts = document.setdefault("components", {})
            told: tuple[type[BaseModel], ...] = (Problem, *bodies)
            for body in told:
                schema = body.model_json_schema(ref_template="#/components/schemas/{model}")
                parts.setdefault("schemas", {}).update(schema.pop("$defs", {}), **{body.__name__: schema})
            parts["securitySchemes"] = {
                "key": {"type": "http", "scheme": "bearer", "description": "a person's key, wp_..., with scopes"},
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "wp_session",
                    "description": "a signed-in browser",
                },
            }
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


WITH_DEALS = Allows(Role.REP, Role.MANAGER, Role.SCIENTIST, scope="read")
OF_TEAMS = Allows(Role.MANAGER, Role.SCIENTIST, scope="read")
OF_MODELS = Allows(Role.SCIENTIST, scope="models")
SCORES = Allows(Role.REP, Role.MANAGER, Role.SCIENTIST, scope="score")
