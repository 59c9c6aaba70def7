"""The addresses of HubSpot's stand-in."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from winpredict_sandbox.hubspot.rate_limiter import MAKE_SCOPE, READ_SCOPES, WRITE_SCOPE, RefusedError
from winpredict_sandbox.hubspot.reads import invalid
from winpredict_sandbox.hubspot.world import STAGES, iso

if TYPE_CHECKING:
    from winpredict_sandbox.hubspot.server import HubSpotServer

VERSION = "2026-09"
#: Addresses longer than this are refused.
LONGEST_ADDRESS = 4000


def routes(server: "HubSpotServer") -> FastAPI:
    """The API of an account."""
    app = FastAPI(openapi_url=None)
    app.exception_handler(RefusedError)(_refused)
    _accounts(app, server)
    _objects(app, server)
    _batches(app, server)
    _settings(app, server)
    return app


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return JSONResponse(error.body, error.status, headers=error.headers)


def _accounts(app: FastAPI, server: "HubSpotServer") -> None:
    rate_limiter = server.rate_limiter

    @app.get(f"/account-info/{VERSION}/details")
    async def details(request: Request) -> Response:
        _check(request, server)
        return _json_response(
            server, {"portalId": rate_limiter.portal_id, "accountType": "STANDARD", "timeZone": "UTC"}
        )

    @app.post(f"/oauth/{VERSION}/token")
    async def token(request: Request) -> Response:
        return _json_response(server, rate_limiter.token(await request.body()))

    @app.post("/oauth/v2/private-apps/get/access-token-info")
    async def token_info(request: Request) -> Response:
        _check(request, server)
        if (await request.json())["tokenKey"] != rate_limiter.private_token:
            raise RefusedError(404, "OBJECT_NOT_FOUND", "token not found")
        return _json_response(
            server, {"userId": 501, "hubId": rate_limiter.portal_id, "appId": 7, "scopes": sorted(rate_limiter.scopes)}
        )


def _objects(app: FastAPI, server: "HubSpotServer") -> None:
    @app.get(f"/crm/objects/{VERSION}/{{name}}")
    async def listed(name: str, request: Request) -> Response:
        _check(request, server, _scope(name))
        return _json_response(server, server.reads.listed(name, request.query_params))

    @app.get(f"/crm/owners/{VERSION}")
    async def owners(request: Request) -> Response:
        _check(request, server, _scope("owners"))
        return _json_response(server, server.reads.owners(request.query_params))

    @app.delete(f"/crm/objects/{VERSION}/{{name}}/{{record_id}}")
    async def delete(name: str, record_id: str, request: Request) -> Response:
        _check(request, server, WRITE_SCOPE)
        if server.reads.present(name, record_id) is not None:
            server.changing.delete(name, record_id)
        return Response(status_code=204)

    @app.post(f"/crm/objects/{VERSION}/{{name}}/search")
    async def search(name: str, request: Request) -> Response:
        # the answers of searches tell nothing of the limits
        server.rate_limiter.check(request.headers.get("authorization", ""), _scope(name), search=True)
        return JSONResponse(server.reads.searched(name, await request.json()))

    @app.post(f"/crm/objects/{VERSION}/{{name}}/merge")
    async def merge(name: str, request: Request) -> Response:
        _check(request, server, WRITE_SCOPE)
        body = await request.json()
        record = server.changing.merge(name, str(body["primaryObjectId"]), str(body["objectIdToMerge"]))
        return _json_response(server, server.reads.record_json(name, record, (), ()))


def _batches(app: FastAPI, server: "HubSpotServer") -> None:
    @app.post(f"/crm/objects/{VERSION}/{{name}}/batch/read")
    async def read(name: str, request: Request) -> Response:
        _check(request, server, _scope(name))
        status, told = server.reads.batch(name, await request.json())
        return _json_response(server, told, status)

    @app.post(f"/crm/objects/{VERSION}/deals/batch/update")
    async def update(request: Request) -> Response:
        _check(request, server, WRITE_SCOPE)
        status, told = server.changing.update(await request.json())
        return _json_response(server, told, status)

    @app.post(f"/crm/associations/{VERSION}/{{name}}/{{of}}/batch/read")
    async def links(name: str, of: str, request: Request) -> Response:
        _check(request, server, _scope(name))
        status, told = server.reads.links(name, of, await request.json())
        return _json_response(server, told, status)


def _settings(app: FastAPI, server: "HubSpotServer") -> None:
    @app.get(f"/crm/pipelines/{VERSION}/deals")
    async def pipelines(request: Request) -> Response:
        _check(request, server, _scope("deals"))
        return _json_response(server, {"results": [_pipeline(server)]})

    @app.get(f"/crm/properties/{VERSION}/deals")
    async def properties(request: Request) -> Response:
        _check(request, server, _scope("deals"))
        return _json_response(server, {"results": list(server.definitions.values())})

    @app.post(f"/crm/properties/{VERSION}/deals")
    async def make(request: Request) -> Response:
        _check(request, server, MAKE_SCOPE)
        return _json_response(server, server.changing.make_property(await request.json()), 201)


def _check(request: Request, server: "HubSpotServer", scope: str = "") -> None:
    if len(str(request.url)) > LONGEST_ADDRESS:
        raise RefusedError(414, "URI_TOO_LONG", "the address is too long")
    server.rate_limiter.check(request.headers.get("authorization", ""), scope)


def _scope(name: str) -> str:
    if name not in READ_SCOPES:
        raise invalid(f"Unable to infer object type from: {name}")
    return READ_SCOPES[name]


def _json_response(server: "HubSpotServer", body: Mapping[str, Any], status: int = 200) -> Response:
    return JSONResponse(dict(body), status, headers=dict(server.rate_limiter.headers()))


def _pipeline(server: "HubSpotServer") -> dict[str, Any]:
    """The sales pipeline; its stages come in no order, as each carries its place."""
    now = iso(server.clock.now)
    stages = [
        {
            "id": stage,
            "label": label,
            "displayOrder": place,
            "metadata": {"isClosed": str(probability in (0.0, 1.0)).lower(), "probability": str(probability)},
            "archived": False,
            "createdAt": now,
            "updatedAt": now,
        }
        for place, (stage, label, probability) in enumerate(STAGES)
    ]
    return {"id": "default", "label": "Sales Pipeline", "displayOrder": 0, "stages": stages[::-1], "archived": False}
