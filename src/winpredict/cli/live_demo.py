"""What ``winpredict demo --crm`` needs to know beside the stand-ins of CRMs, which are a package of their own."""

import json
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

from winpredict._internal.atomic import replacing
from winpredict.errors import CRMError
from winpredict.locale.text import text

if TYPE_CHECKING:
    from winpredict.workspace import Workspace

#: What the stand-ins and all clients are made with, and the stand-ins themselves.
_NEEDED = ("winpredict_sandbox", "fastapi", "uvicorn", "httpx", "tenacity")
#: Names the account that was played, so that another demo may replace its records.
_PLAYED = "demo.json"


def require_installed(crm: str) -> None:
    """Make sure that a live CRM can be simulated.

    Raises
    ------
    CRMError
        When something is not installed.
    """
    if absent := [name for name in _NEEDED if find_spec(name) is None]:
        raise CRMError(
            text(
                "simulating a live CRM needs {needs}, which is not installed; from a checkout of winpredict:"
                " python3 run.py --extra demo demo --crm {crm}",
                needs=", ".join(absent),
                crm=crm,
            )
        )


def played_accounts(workspace: "Workspace") -> Mapping[str, str]:
    """The account that an earlier demo played in this workspace, by its CRM; empty where none did."""
    try:
        played = json.loads((workspace.folder / _PLAYED).read_text(encoding="utf-8"))
        return {str(played["crm"]): str(played["account"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def note_played(workspace: "Workspace", crm: str, account: str) -> None:
    """Before anything is read, so that a demo that was stopped is known for one."""
    with replacing(workspace.folder / _PLAYED) as file:
        file.write_text(json.dumps({"crm": crm, "account": account}) + "\n", encoding="utf-8")
