"""Query jobs of Salesforce's Bulk API 2.0: made, waited for, fetched page by page."""

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from winpredict.connectors.salesforce.api import SalesforceAPI, refusals_of
from winpredict.errors import CRMError
from winpredict.locale.text import Text, text

_JOBS = "jobs/query"
_FIRST_WAIT_S = 0.5
_DONE, _LOST = "JobComplete", ("Failed", "Aborted")
#: Objects that the Bulk API does not know are read by plain queries.
#: Refused where a user without View All Data would see records of more than 100,000 distinct parents.
TOO_LARGE = "OPERATION_TOO_LARGE"
_UNSUPPORTED = ("INVALIDENTITY", "INVALIDJOB", "FUNCTIONALITY_NOT_ENABLED")


class JobGoneError(Exception):
    """A job that is no longer there: Salesforce keeps its results for seven days."""


class JobTooLargeError(Exception):
    """A job that asks for records with too many distinct parents at once."""


def create_job(api: SalesforceAPI, soql: str) -> str | None:
    """Start a job that reads deleted rows too; its id, or None where the object cannot be read this way."""
    body = {
        "operation": "queryAll",
        "query": soql,
        "contentType": "CSV",
        "columnDelimiter": "COMMA",
        "lineEnding": "LF",
    }
    # a job made twice, since an answer was lost, costs nothing but itself
    answer = api.send("POST", _JOBS, json=body, accept=(400,))
    if answer.status_code != 400:
        return str(answer.json()["id"])
    if any(each.code in _UNSUPPORTED or "not supported" in each.message for each in refusals_of(answer)):
        return None
    raise api.refused(answer, text("the bulk query {query}", query=soql[:300]))


def wait_for(api: SalesforceAPI, job: str) -> None:
    """Wait until a job is complete.

    Raises
    ------
    JobGoneError
        When there is no such job any more.
    JobTooLargeError
        When it failed since it asks for too much at once.
    CRMError
        When it failed for another reason or was aborted.
    """
    wait = _FIRST_WAIT_S
    while True:
        answer = api.get(f"{_JOBS}/{job}", missing_ok=True)
        if answer.status_code == 404:
            raise JobGoneError
        state = answer.json()
        if state["state"] == _DONE:
            return
        if state["state"] in _LOST:
            delete_job(api, job)
            if TOO_LARGE in str(state.get("errorMessage")):
                raise JobTooLargeError
            raise CRMError(api.redact(str(_loss(state, job))))
        api.sleep(min(wait, api.settings.bulk_poll_s))
        wait *= 2


def results(api: SalesforceAPI, job: str, locator: str) -> Iterator[tuple[list[dict[str, str]], str]]:
    """Pages of a complete job from a locator on (empty: from the start), each with the locator of the next.

    Raises
    ------
    JobGoneError
        When there is no such job any more.
    """
    while True:
        params = {"maxRecords": str(api.settings.bulk_page_rows)} | ({"locator": locator} if locator else {})
        answer = api.get(f"{_JOBS}/{job}/results", params=params, missing_ok=True, headers={"Accept": "text/csv"})
        if answer.status_code == 404:
            raise JobGoneError
        rows = _rows(answer, job)
        locator = answer.headers.get("sforce-locator", "null")
        yield rows, "" if locator == "null" else locator
        if locator == "null":
            return


def delete_job(api: SalesforceAPI, job: str) -> None:
    """Let go of a job's results; one that is gone already is as good."""
    api.send("DELETE", f"{_JOBS}/{job}", accept=(400, 404))


def _rows(answer: httpx.Response, job: str) -> list[dict[str, str]]:
    answer.encoding = "utf-8"
    try:
        rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    except csv.Error as error:
        raise CRMError(
            text(
                "Salesforce's bulk job {job} sent rows that cannot be read ({error}); raise "
                "crm.salesforce.bulk_from_rows so that plain queries are used",
                job=job,
                error=error,
            )
        ) from None
    promised = answer.headers.get("sforce-numberofrecords")
    if promised is not None and int(promised) != len(rows):
        raise CRMError(
            text(
                "Salesforce's bulk job {job} sent {n:count} rows where it promised {promised}; run the command again",
                job=job,
                n=len(rows),
                promised=promised,
            )
        )
    return rows


def _loss(state: Mapping[str, Any], job: str) -> Text:
    of = state.get("object") or text("an object")
    if state["state"] == "Aborted":
        return text(
            "Salesforce's bulk job {job} on {object} was aborted by somebody in Salesforce; run the command again",
            job=job,
            object=of,
        )
    return text(
        "Salesforce's bulk job {job} on {object} failed: {reason}. Run the command again; where it fails again, raise "
        "crm.salesforce.bulk_from_rows so that plain queries are used",
        job=job,
        object=of,
        reason=state.get("errorMessage") or text("no reason was given"),
    )
