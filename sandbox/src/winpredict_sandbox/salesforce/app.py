"""The Salesforce stand-in's resources: sign-in, describe, queries, removals, bulk jobs, writes and custom fields."""

import base64
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pandas as pd
from fastapi import FastAPI, Request, Response

from winpredict_sandbox.records import Record
from winpredict_sandbox.salesforce.refusal import RefusedError
from winpredict_sandbox.salesforce.rows import as_csv, as_json, matching
from winpredict_sandbox.salesforce.schema import described
from winpredict_sandbox.salesforce.soql import Query, parse
from winpredict_sandbox.salesforce.world import moment_text
from winpredict_sandbox.salesforce.writes import Writes

if TYPE_CHECKING:
    from winpredict_sandbox.salesforce.server import SalesforceServer

_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_REMOVALS_DAYS = 15
_COUNTED = "/services/data/v"


@dataclass
class _Cursor:
    """The rest of a query: ids whose rows are looked up when they are fetched."""

    query: Query
    ids: list[str]


@dataclass
class _Job:
    """A bulk query job."""

    job_id: str
    query: Query
    records: list[Record]
    made_at: pd.Timestamp
    polls_left: int
    state: str = "UploadComplete"


class Resources:
    """Answers requests out of the records of a server."""

    def __init__(self, server: "SalesforceServer") -> None:
        self._server, self._writes = server, Writes(server)
        self._cursors: OrderedDict[str, _Cursor] = OrderedDict()
        self._jobs: dict[str, _Job] = {}
        self._numbers = 0

    def sign_in(self, form: Mapping[str, str]) -> dict[str, Any]:
        """A token for a client that proves who it is."""
        if form.get("grant_type") == "client_credentials":
            if (form.get("client_id"), form.get("client_secret")) != (
                self._server.client_id,
                self._server.client_secret,
            ):
                raise RefusedError(400, "invalid_client", "invalid client credentials")
        elif form.get("grant_type") == _BEARER:
            self._server.check_assertion(form.get("assertion", ""))
        else:
            raise RefusedError(400, "unsupported_grant_type", "grant type not supported")
        return self._server.hand_out_token()

    def describe(self, name: str) -> dict[str, Any]:
        """What an object is like to the user that is signed in."""
        fields = self._server.visible_fields(name)
        if fields is None:
            raise RefusedError(404, "NOT_FOUND", "The requested resource does not exist")
        return described(name, fields, self._server.made_fields)

    def query(self, soql: str, *, all_rows: bool) -> dict[str, Any]:
        """The first page of a query."""
        query = self._parsed(soql)
        records = matching(self._server, query, self._kinds(query.table), all_rows=all_rows)
        self._refuse_too_many_parents(query.table, records)
        if not query.fields:
            return {"totalSize": len(records), "done": True, "records": []}
        cursor = _Cursor(query, [each.record_id for each in records])
        key = self._numbered("01g")
        self._cursors[key] = cursor
        while len(self._cursors) > self._server.behaviour.cursors:
            self._cursors.popitem(last=False)
        return self._page(key, cursor, 0)

    def _refuse_too_many_parents(self, table: str, records: Sequence[Record]) -> None:
        if table not in ("Task", "Event"):
            return
        parents = {each.values.get(name) for each in records for name in ("WhoId", "WhatId")} - {None}
        if len(parents) > self._server.behaviour.most_parents:
            raise RefusedError(
                400, "OPERATION_TOO_LARGE", f"exceeded {self._server.behaviour.most_parents} distinct who/what's"
            )

    def query_more(self, locator: str) -> dict[str, Any]:
        """A further page of a query."""
        key, _, start = locator.rpartition("-")
        cursor = self._cursors.get(key)
        if cursor is None or not start.isdigit():
            raise RefusedError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        return self._page(key, cursor, int(start))

    def removals(self, name: str, start: str, end: str) -> dict[str, Any]:
        """Ids of the records that were removed between two minutes."""
        self.describe(name)
        try:
            first, last = (pd.Timestamp(each).tz_convert("UTC").floor("min") for each in (start, end))
        except (ValueError, TypeError):
            raise RefusedError(400, "INVALID_FIELD", "start and end must be dates with a time zone") from None
        now = self._server.clock.now
        if last <= first:
            raise RefusedError(400, "INVALID_REPLICATION_DATE", "endDate must be a minute after startDate")
        if first < now - pd.Timedelta(days=_REMOVALS_DAYS):
            raise RefusedError(400, "INVALID_REPLICATION_DATE", "startDate cannot be more than 15 days ago")
        removed = [
            {"id": each.record_id, "deletedDate": moment_text(each.deleted_at.floor("s"))}
            for each in self._server.records.all(name)
            if each.deleted_at is not None and first <= each.deleted_at < last
        ]
        if len(removed) > self._server.behaviour.most_removals:
            raise RefusedError(400, "EXCEEDED_ID_LIMIT", "the number of ids exceeds 600000; use a shorter time span")
        earliest = moment_text(now - pd.Timedelta(days=_REMOVALS_DAYS))
        return {
            "deletedRecords": removed,
            "earliestDateAvailable": earliest,
            "latestDateCovered": moment_text(min(last, now)),
        }

    def create_job(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Start a bulk query."""
        soql = str(body.get("query", ""))
        query = self._parsed(soql)
        if query.table in self._server.behaviour.without_bulk:
            raise RefusedError(400, "INVALIDENTITY", f"Entity '{query.table}' is not supported by the Bulk API.")
        if not query.fields or any("." in name for name in query.fields):
            raise RefusedError(400, "API_ERROR", "aggregate and relationship queries are not supported in bulk query")
        kinds = self._kinds(query.table)
        if any(kinds[name] in ("address", "location", "base64") for name in query.fields):
            raise RefusedError(400, "FUNCTIONALITY_NOT_ENABLED", "Selecting compound data not supported in Bulk Query")
        if body.get("operation") not in ("query", "queryAll"):
            raise RefusedError(400, "INVALIDJOB", "operation must be query or queryAll")
        records = matching(self._server, query, kinds, all_rows=body["operation"] == "queryAll")
        behaviour = self._server.behaviour
        job = _Job(self._numbered("750"), query, records, self._server.clock.now, behaviour.polls)
        self._jobs[job.job_id] = job
        return self._job_json(job)

    def job(self, job_id: str) -> dict[str, Any]:
        """How a job stands; each look brings it on."""
        job = self._job(job_id)
        if job.state in ("UploadComplete", "InProgress"):
            job.polls_left -= 1
            job.state = self._server.behaviour.job_ends if job.polls_left < 0 else "InProgress"
        return self._job_json(job)

    def job_results(self, job_id: str, locator: str, most: int) -> Response:
        """A page of what a job found."""
        job = self._job(job_id)
        if job.state != "JobComplete":
            raise RefusedError(400, "INVALIDJOBSTATE", f"the job is {job.state}")
        start = int(base64.b64decode(locator)) if locator else 0
        most = min(most, self._server.behaviour.bulk_rows)
        records = job.records[start : start + most]
        more = start + most < len(job.records)
        headers = {
            "Sforce-NumberOfRecords": str(len(records)),
            "Sforce-Locator": base64.b64encode(str(start + most).encode()).decode() if more else "null",
        }
        return Response(as_csv(records, job.query.fields), media_type="text/csv", headers=headers)

    def delete_job(self, job_id: str) -> None:
        """Forget a job."""
        if self._job(job_id).state == "InProgress":
            raise RefusedError(400, "INVALIDJOBSTATE", "Cannot delete a job that is in progress; abort it first")
        del self._jobs[job_id]

    def jobs(self) -> list[str]:
        """Jobs that are there."""
        return list(self._jobs)

    def write(self, method: str, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Update deals, or grant rights to fields."""
        return self._writes.update(body) if method == "PATCH" else self._writes.grant(body)

    def create_field(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Make a custom field of deals."""
        return self._writes.create_field(body)

    def _parsed(self, soql: str) -> Query:
        return parse(soql, self._server.visible_fields)

    def _kinds(self, name: str) -> Mapping[str, str]:
        return self._server.visible_fields(name) or {}

    def _page(self, key: str, cursor: _Cursor, start: int) -> dict[str, Any]:
        end = start + self._server.behaviour.page_rows
        version, table = self._server.behaviour.version, cursor.query.table
        found = (self._server.records.get(table, each) for each in cursor.ids[start:end])
        rows = [as_json(each, table, cursor.query.fields, version) for each in found if each is not None]
        page = {"totalSize": len(cursor.ids), "done": end >= len(cursor.ids), "records": rows}
        if not page["done"]:
            page["nextRecordsUrl"] = f"{_COUNTED}{version}/query/{key}-{end}"
        return page

    def _job(self, job_id: str) -> _Job:
        job = self._jobs.get(job_id)
        if job is None or self._server.clock.now - job.made_at > self._server.behaviour.job_lives:
            raise RefusedError(404, "NOT_FOUND", "The requested resource does not exist")
        return job

    def _job_json(self, job: _Job) -> dict[str, Any]:
        told = {
            "id": job.job_id,
            "operation": "queryAll",
            "object": job.query.table,
            "createdDate": moment_text(job.made_at),
            "state": job.state,
            "contentType": "CSV",
        }
        return told | ({"errorMessage": "InternalServerError: try later"} if job.state == "Failed" else {})

    def _numbered(self, prefix: str) -> str:
        self._numbers += 1
        return f"{prefix}Dn{self._numbers:010d}"


def build_app(server: "SalesforceServer") -> FastAPI:
    """The web application of a server; requests are answered one after the other."""
    app, resources = FastAPI(openapi_url=None), Resources(server)
    app.state.resources = resources

    @app.exception_handler(RefusedError)
    async def refuse(request: Request, error: RefusedError) -> Response:
        if "oauth2" in request.url.path:
            return _json({"error": error.code, "error_description": error.message}, error.status)
        return _json([{"message": error.message, "errorCode": error.code}], error.status)

    @app.middleware("http")
    async def count(request: Request, call_next: Any) -> Response:
        if not request.url.path.startswith(_COUNTED):
            return await call_next(request)  # type: ignore[no-any-return]
        try:
            server.admit(request.headers.get("authorization", ""))
        except RefusedError as error:
            return await refuse(request, error)
        answer: Response = await call_next(request)
        answer.headers["Sforce-Limit-Info"] = f"api-usage={server.used_requests}/{server.behaviour.daily_limit}"
        return answer

    @app.post("/services/oauth2/token")
    async def token(request: Request) -> Response:
        form = parse_qs((await request.body()).decode())
        return _json(resources.sign_in({name: values[0] for name, values in form.items()}))

    @app.get("/services/data/")
    async def versions() -> Response:
        return _json(
            [{"label": "any", "url": f"{_COUNTED}{server.behaviour.version}", "version": server.behaviour.version}]
        )

    @app.get("/services/data/v{version}/sobjects/{name}/describe")
    async def describe(name: str) -> Response:
        return _json(resources.describe(name))

    @app.get("/services/data/v{version}/sobjects/{name}/deleted/")
    async def removals(name: str, start: str, end: str) -> Response:
        return _json(resources.removals(name, start, end))

    @app.get("/services/data/v{version}/query")
    @app.get("/services/data/v{version}/tooling/query")
    async def query(q: str) -> Response:
        return _json(resources.query(q, all_rows=False))

    @app.get("/services/data/v{version}/queryAll")
    async def query_all(q: str) -> Response:
        return _json(resources.query(q, all_rows=True))

    @app.get("/services/data/v{version}/query/{locator}")
    async def query_more(locator: str) -> Response:
        return _json(resources.query_more(locator))

    @app.post("/services/data/v{version}/jobs/query")
    async def create_job(request: Request) -> Response:
        return _json(resources.create_job(await request.json()))

    @app.get("/services/data/v{version}/jobs/query/{job_id}")
    async def job(job_id: str) -> Response:
        return _json(resources.job(job_id))

    @app.get("/services/data/v{version}/jobs/query/{job_id}/results")
    async def job_results(job_id: str, locator: str = "", maxRecords: int = 50_000) -> Response:
        return resources.job_results(job_id, locator, maxRecords)

    @app.delete("/services/data/v{version}/jobs/query/{job_id}")
    async def delete_job(job_id: str) -> Response:
        resources.delete_job(job_id)
        return Response(status_code=204)

    @app.patch("/services/data/v{version}/composite/sobjects")
    @app.post("/services/data/v{version}/composite/sobjects")
    async def write(request: Request) -> Response:
        return _json(resources.write(request.method, await request.json()))

    @app.post("/services/data/v{version}/tooling/sobjects/CustomField")
    async def create_field(request: Request) -> Response:
        return _json(resources.create_field(await request.json()), 201)

    return app


def _json(value: Mapping[str, Any] | Sequence[Any], status: int = 200) -> Response:
    return Response(json.dumps(value), status, media_type="application/json")
