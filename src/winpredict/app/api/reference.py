"""The OpenAPI document as a page to read: no script, nothing from elsewhere."""

from itertools import groupby
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from winpredict.app.pages.rendering import render
from winpredict.app.turns import TurnRoute

router = APIRouter(route_class=TurnRoute, include_in_schema=False)
_METHODS = ("get", "post", "put", "patch", "delete")


@router.get("/docs")
def reference(request: Request) -> Response:
    """All operations of the API, for everybody: it tells nothing of the data."""
    document = request.app.openapi()
    return render(
        request,
        None,
        "api_reference.html",
        description=document["info"]["description"].replace("`", ""),
        document=request.app.openapi_url,
        base=f"{request.url.scheme}://{request.url.netloc}{request.app.openapi_url.rpartition('/')[0]}",
        groups=[
            (tag, list(operations)) for tag, operations in groupby(_operations(document), lambda each: each["tag"])
        ],
    )


def _operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    found = [
        {
            "tag": operation["tags"][0],
            "method": method.upper(),
            "path": path,
            "summary": operation["summary"],
            "description": operation.get("description", ""),
            "scope": next((key["key"][0] for key in operation.get("security", ()) if "key" in key), ""),
            "parameters": [
                {
                    "name": each["name"],
                    "place": each["in"],
                    "what": each.get("description") or each["schema"].get("description", ""),
                }
                for each in operation.get("parameters", [])
            ],
            "answers": [(status, answer["description"]) for status, answer in operation["responses"].items()],
        }
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if method in _METHODS
    ]
    order = list(dict.fromkeys(each["tag"] for each in found))
    return sorted(found, key=lambda each: order.index(each["tag"]))
