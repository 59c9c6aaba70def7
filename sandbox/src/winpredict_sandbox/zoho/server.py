"""A stand-in of Zoho CRM: a simulated company behind version 8 of the API.

Written from Zoho's documentation. Where that is silent, what is assumed here: merging accounts or deals stamps the
records that it moves, and the record that is swallowed stands among the deleted ones; adding a contact to a deal shows
in the deal's timeline; a stay in a stage is stamped when it begins and not again when it ends. Where it is simpler than
the real one: one pipeline, one currency, and everybody sees every record.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from winpredict.config import Config
from winpredict.simulate.world import World
from winpredict_sandbox.zoho import export as _zoho_export
from winpredict_sandbox.zoho.company import ZohoCompany
from winpredict_sandbox.zoho.rate_limiter import RateLimiter, RefusedError
from winpredict_sandbox.zoho.reads import Limits, Reads, modules
from winpredict_sandbox.zoho.world import DEALS, STAYS
from winpredict_sandbox.zoho.writes import Writes, deal_definitions

if TYPE_CHECKING:
    from fastapi import FastAPI, Request, Response

ORGANISATION = {"company_name": "Zylker", "zgid": "60001234567", "id": "5500100000000099", "time_zone": "Asia/Kolkata"}


class ZohoServer(ZohoCompany):
    """An organisation in Zoho CRM; see `winpredict_sandbox.changes.Company` for how it changes.

    Parameters
    ----------
    world : World
    seed : int

    Attributes
    ----------
    rate_limiter : RateLimiter
        Tokens, scopes and credits.
    limits : Limits
        How far lists go.
    changing : Writes
        Validation rules and locks.
    stages_as_module : bool
        Whether stays in stages may be listed for all deals at once.
    has_pipelines : bool
    without_deleted : tuple of str
        Modules that do not tell what was deleted.

    Examples
    --------
    >>> from winpredict.simulate.world import simulate
    >>> server = ZohoServer.of(simulate(deals=50, seed=1))
    >>> len(server.open_deals()) + len(server.closed_deals())
    50
    """

    def __init__(self, world: World, seed: int = 0) -> None:
        super().__init__(world)
        self.clock = self.records.clock
        self.rate_limiter, self.limits = RateLimiter(self.clock, np.random.default_rng([seed, 7])), Limits()
        self.definitions = deal_definitions()
        self.reads = Reads(self, self.limits, self.definitions)
        self.changing = Writes(self, self.definitions)
        self.stages_as_module = self.has_pipelines = True
        self.without_deleted: tuple[str, ...] = (STAYS,)

    @classmethod
    def of(cls, world: World, seed: int = 0) -> "ZohoServer":
        """The organisation of a simulated company, at the end of its world."""
        return cls(world, seed)

    @property
    def writes(self) -> list[tuple[str, str, Any]]:
        """Every field write that was carried out, in order: deal, field, value."""
        return self.changing.done

    @property
    def secrets(self) -> list[str]:
        """Every token that there is or was."""
        return self.rate_limiter.secrets

    def config(self, address: str, **settings: Any) -> Config:
        """A config of a client of this server at an address; its secrets are those of the `rate_limiter`."""
        zoho = {"accounts_url": address, "api_url": address, "client_id": self.rate_limiter.client_id}
        return Config.model_validate({"crm": {"zoho": zoho | settings}})

    def export(self, folder: Path) -> None:
        """Write the live records as JSON lines, one file an object."""
        _zoho_export.export(self, folder)

    @property
    def app(self) -> "FastAPI":
        """The API and the accounts server, to be served."""
        from fastapi import FastAPI, Request, Response

        app = FastAPI(openapi_url=None)

        async def token(request: Request) -> Response:
            status, told = self.rate_limiter.token(await request.body(), request.url.query)
            return Response(json.dumps(told), status, media_type="application/json")

        async def answered(request: Request) -> Response:
            return self._answered(request, await request.body())

        app.post("/oauth/v2/token", response_model=None)(token)
        app.api_route("/crm/v8/{rest:path}", methods=["GET", "POST", "PUT"], response_model=None)(answered)
        return app

    def _answered(self, request: "Request", body: bytes) -> "Response":
        from fastapi import Response

        path = request.url.path.removeprefix("/crm/v8/").split("/")
        try:
            status, told = self._answer_to(request, path, body)
        except RefusedError as error:
            status, told = error.status, error.body
        except (ValueError, TypeError):
            status, told = 400, RefusedError(400, "INVALID_DATA", "invalid data").body
        if told is None:
            status = 304 if status == 200 and "if-modified-since" in request.headers else 204
        content = "" if told is None else json.dumps(told)
        return Response(content, status, headers=dict(self.rate_limiter.headers()), media_type="application/json")

    def _answer_to(self, request: "Request", path: list[str], body: bytes) -> tuple[int, dict[str, Any] | None]:
        authorization, params = request.headers.get("authorization", ""), dict(request.query_params)
        match request.method, path:
            case "GET", ["org" | "users" as what]:
                self.rate_limiter.check(authorization, f"ZohoCRM.{what}.READ")
                return 200, {"org": [ORGANISATION]} if what == "org" else self.reads.users(params)
            case "GET", ["settings", what]:
                self.rate_limiter.check(authorization, f"ZohoCRM.settings.{what}.READ")
                return 200, self._settings(what, params)
            case "POST", ["settings", "fields"]:
                self.rate_limiter.check(authorization, "ZohoCRM.settings.fields.CREATE")
                return self.changing.create(json.loads(body))
            case "PUT", ["Deals"]:
                self.rate_limiter.check(authorization, "ZohoCRM.modules.deals.UPDATE", DEALS)
                return self.changing.update(json.loads(body))
            case "GET", ["Deals", deal_id, related] if related != "deleted":
                self.rate_limiter.check(authorization, "ZohoCRM.modules.deals.READ", DEALS)
                return 200, self._related(deal_id, related, params)
            case "GET", [module, *rest] if rest in ([], ["deleted"]):
                return 200, self._module(module, params, request.headers, gone=bool(rest))
        raise RefusedError(404, "INVALID_URL_PATTERN", "Please check if the URL trying to access is a correct one")

    def _module(self, module: str, params: Any, headers: Any, *, gone: bool) -> dict[str, Any] | None:
        self.rate_limiter.check(headers.get("authorization", ""), f"ZohoCRM.modules.{module.lower()}.READ", module)
        if module not in modules() or (module == STAYS and not self.stages_as_module):
            raise RefusedError(400, "INVALID_MODULE", "the module name given seems to be invalid")
        if gone and module in self.without_deleted:
            raise RefusedError(400, "INVALID_MODULE", "the module name given seems to be invalid")
        since = headers.get("if-modified-since")
        return self.reads.deleted(module, params, since) if gone else self.reads.records(module, params, since)

    def _related(self, deal_id: str, related: str, params: dict[str, str]) -> dict[str, Any] | None:
        lists = {
            "Stage_History": self.reads.stays,
            "Contact_Roles": self.reads.contact_roles,
            "__timeline": self.reads.timeline,
        }
        if related not in lists:
            raise RefusedError(
                400, "INVALID_DATA", "the relation name given seems to be invalid", resource_path_index=2
            )
        return lists[related](deal_id, params)

    def _settings(self, what: str, params: dict[str, str]) -> dict[str, Any] | None:
        if what == "layouts":
            return {"layouts": [{"id": "55", "name": "Standard"}]}
        if what == "pipeline":
            if "layout_id" not in params:
                raise RefusedError(400, "REQUIRED_PARAM_MISSING", param_name="layout_id")
            return self.reads.pipelines() if self.has_pipelines else None
        if params.get("module") != DEALS:
            raise RefusedError(400, "INVALID_MODULE", "the module name given seems to be invalid")
        if what == "stages":
            return {"stages": self.reads.pipelines()["pipeline"][0]["maps"]}
        return self.reads.fields()
