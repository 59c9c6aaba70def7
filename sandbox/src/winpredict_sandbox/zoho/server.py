"""A stand-in of Zoho CRM: a simulated company behind version 8 of the API.

Written from Zoho's documentation. Where that is silent, what is assumed here: merging accounts or deals stamps the
records that it moves, and the record that is swallowed stands among the deleted ones; adding a contact to a deal shows
in the deal's timeline; a stay in a stage is stamped when it begins and not again when it ends; a field that a profile
hides is neither among the fields nor in the records. Where it is simpler than the real one: one pipeline, one currency
until more are switched on, and everybody sees every record.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from winpredict.config import Config
from winpredict.simulate.world import World
from winpredict_sandbox.records import Record
from winpredict_sandbox.zoho import export as _zoho_export
from winpredict_sandbox.zoho.company import ZohoCompany
from winpredict_sandbox.zoho.rate_limiter import RateLimiter, RefusedError
from winpredict_sandbox.zoho.reads import Limits, Reads, modules
from winpredict_sandbox.zoho.settings import all_definitions, currency, definition, module_settings, organisation
from winpredict_sandbox.zoho.world import DEALS, STAYS, TOUCHES, stamp
from winpredict_sandbox.zoho.writes import Writes

if TYPE_CHECKING:
    from fastapi import FastAPI, Request, Response


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
    organisation : dict
        What differs from a usual organisation, such as ``license_details``.
    currencies : list of dict
        Of an organisation that has several; empty where it has one.

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
        self.all_definitions = all_definitions()
        self.definitions = self.all_definitions[DEALS]
        self.reads = Reads(self, self.limits, self.all_definitions)
        self.changing = Writes(self, self.definitions)
        self.stages_as_module = self.has_pipelines = True
        self.without_deleted: tuple[str, ...] = (STAYS,)
        self.organisation: dict[str, Any] = {}
        self.currencies: list[dict[str, Any]] = []

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

    def have_currencies(self, *rates: tuple[str, str, str]) -> None:
        """Switch several currencies on: code, name and rate of each, the organisation's own first."""
        told = stamp(self.now)
        self.currencies = [currency(*each, base=not number, stamp=told) for number, each in enumerate(rates)]
        self.organisation["mc_status"] = True

    def add_formula(self, name: str, gives: Callable[[Record], Any]) -> None:
        """A field of deals that is calculated whenever somebody looks, and that stamps nothing."""
        self.definitions[name] = definition(name, name.replace("_", " "), "formula", custom=True)
        self.reads.formulas[name] = gives

    def calculated(self, module: str, record: Record) -> dict[str, Any]:
        """What the formulas give for a record."""
        return self.reads.calculated(record) if module == DEALS else {}

    def purge(self, before: pd.Timestamp) -> None:
        """Let go of old history: entries of timelines, and stays in stages."""
        for entries in self.timelines.values():
            entries[:] = [each for each in entries if each["audited_time"] >= before]
        for stay in self.records.live(STAYS):
            if stay.modified_at < before:
                self.records.delete(STAYS, stay.record_id)
        self.revision += 1

    def export(self, folder: Path) -> None:
        """Write the live records as JSON lines, one file an object."""
        _zoho_export.export(self, folder)

    @property
    def app(self) -> "FastAPI":
        """The API and the accounts server, to be served."""
        from fastapi import FastAPI, Request, Response

        app = FastAPI(openapi_url=None)

        async def token(request: Request) -> Response:
            address = str(request.base_url).rstrip("/")
            status, told = self.rate_limiter.token(await request.body(), request.url.query, address)
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
        except (ValueError, TypeError, ArithmeticError, KeyError, AttributeError):
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
                return 200, {"org": [organisation(self.organisation)]} if what == "org" else self.reads.users(params)
            case "GET", ["org", "currencies"]:
                self.rate_limiter.check(authorization, "ZohoCRM.settings.currencies.READ")
                if not self.currencies:
                    raise RefusedError(400, "CURRENCIES_NOT_ENABLED", "Multi currency is not enabled")
                return 200, {"currencies": self.currencies}
            case "GET", ["settings", what]:
                self.rate_limiter.check(authorization, f"ZohoCRM.settings.{what}.READ")
                return 200, self._settings(what, params)
            case "POST", ["settings", "fields"]:
                self.rate_limiter.check(authorization, "ZohoCRM.settings.fields.CREATE")
                return self.changing.create(json.loads(body))
            case "PUT", ["Deals"]:
                self.rate_limiter.check(authorization, "ZohoCRM.modules.deals.UPDATE", DEALS)
                return self.changing.update(json.loads(body))
            case "GET", [module, "actions", "count"]:
                scope = f"ZohoCRM.modules.{module.lower()}.READ"
                self.rate_limiter.check(authorization, scope, module)
                if module not in modules():
                    raise RefusedError(400, "INVALID_MODULE", "the module name given seems to be invalid")
                return 200, self.reads.count(module)
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
        if what == "modules":
            return {"modules": [module_settings(name) for name in (DEALS, *TOUCHES, "Accounts")]}
        if what == "layouts":
            return self.reads.layouts()
        if what == "pipeline":
            if "layout_id" not in params:
                raise RefusedError(400, "REQUIRED_PARAM_MISSING", param_name="layout_id")
            return self.reads.pipelines() if self.has_pipelines else None
        module = params.get("module", "")
        if not module:
            raise RefusedError(
                400, "REQUIRED_PARAM_MISSING", "One of the expected parameter is missing", param="module"
            )
        if module not in self.all_definitions or (what == "stages" and module != DEALS):
            raise RefusedError(400, "INVALID_MODULE", "the module name given seems to be invalid")
        if what == "stages":
            return {"stages": self.reads.pipelines()["pipeline"][0]["maps"]}
        if what != "fields":
            raise RefusedError(404, "INVALID_URL_PATTERN", "Please check if the URL trying to access is a correct one")
        return self.reads.fields(module)
