"""``winpredict erase`` and ``winpredict export-personal``: what is kept of a person or an account."""

import getpass
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from winpredict._internal.progress import progress
from winpredict.cli.options import ConfigOption, JsonOption, WorkspaceOption, workspace_at
from winpredict.cli.output import Column, respond, table, to_json
from winpredict.errors import ConfigError, WinPredictError
from winpredict.locale.text import said, text, texts

if TYPE_CHECKING:
    from rich.console import Console

    from winpredict.privacy.erased import Kind
    from winpredict.workflows.erasing import Place, Receipt
    from winpredict.workspace import Workspace

#: How `erase` ends when something is left to do here.
UNFINISHED = 1
_FOUND = {"place": Column(text("Where")), "values": Column(text("Values"), "count")}

ContactOption = Annotated[str | None, typer.Option("--contact", help="Id of the contact in the CRM.", metavar="ID")]
UserOption = Annotated[str | None, typer.Option("--user", help="Id of the user in the CRM.", metavar="ID")]
AccountOption = Annotated[str | None, typer.Option("--account", help="Id of the account in the CRM.", metavar="ID")]


def erase(
    contact: ContactOption = None,
    user: UserOption = None,
    account: AccountOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would be erased.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    workspace_folder: WorkspaceOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Erase a contact, a user or an account.

    Out of raw records, tables, scores, models, logs and the win desk's database, for good: they do not come back with
    the next sync or import. Deals and touches stay, with a random pseudonym. A receipt says what was erased, and what
    you have to see to elsewhere. Ends with 1 where something here is left.

    Example: winpredict erase --contact 0035g00000AbCdE --dry-run

    Example: winpredict erase --user 0055g00000AbCdE --yes
    """
    from winpredict.config import load_config
    from winpredict.workflows.erasing import erase as erase_from

    kind, subject = _subject(contact, user, account)
    workspace, settings = workspace_at(workspace_folder), load_config(config)
    _require_folder(workspace)
    with workspace.writing(), _places(workspace, settings) as places, progress(said("looking")) as tell:
        receipt = erase_from(workspace, kind, subject, places=places, apply=False, progress=tell)
    if not dry_run:
        if not yes:
            _ask(receipt)
        with workspace.writing(), _places(workspace, settings) as places, progress(said("erasing")) as tell:
            receipt = erase_from(workspace, kind, subject, places=places, by=_who(), progress=tell)
    respond(receipt.to_dict(), lambda console: _show(console, receipt), as_json=as_json)
    if receipt.left and not dry_run:
        raise typer.Exit(UNFINISHED)


def export_personal(
    out: Annotated[Path, typer.Option("--out", help="File to write: .json.")],
    contact: ContactOption = None,
    user: UserOption = None,
    account: AccountOption = None,
    workspace_folder: WorkspaceOption = None,
    config: ConfigOption = None,
) -> None:
    """Write everything that is kept of a contact, a user or an account into a JSON file.

    Example: winpredict export-personal --contact 0035g00000AbCdE --out contact.json
    """
    from winpredict._internal.atomic import replacing
    from winpredict._internal.private import keep_private
    from winpredict.config import load_config
    from winpredict.workflows.erasing import personal_data

    kind, subject = _subject(contact, user, account)
    workspace, settings = workspace_at(workspace_folder), load_config(config)
    _require_folder(workspace)
    with _places(workspace, settings) as places, progress(said("looking")):
        found = personal_data(workspace, kind, subject, places=places)
    with replacing(out) as temporary:
        temporary.write_text(to_json(found) + "\n", encoding="utf-8")
    keep_private(out)
    print(said("Written to {path}, which only you may read: hand it over by a safe way.", path=out))


def _subject(contact: str | None, user: str | None, account: str | None) -> "tuple[Kind, str]":
    named: list[tuple[Kind, str | None]] = [("contact", contact), ("user", user), ("account", account)]
    given = [(kind, value.strip()) for kind, value in named if value is not None and value.strip()]
    if len(given) != 1:
        raise ConfigError(text("name one of --contact, --user and --account, with its id in the CRM"))
    return given[0]


def _require_folder(workspace: "Workspace") -> None:
    if not workspace.folder.is_dir():
        raise WinPredictError(
            text("{folder} does not exist; name the workspace with --workspace", folder=workspace.folder)
        )


@contextmanager
def _places(workspace: "Workspace", settings: Any) -> "Iterator[list[Place]]":
    """The win desk's database, where there is one."""
    from winpredict.cli.serve import has_desk, open_desk_database, require_app

    if not has_desk(workspace, settings):
        yield []
        return
    require_app()
    from winpredict.app.erasing import DeskData

    with open_desk_database(workspace, settings) as database:
        yield [DeskData(database)]


def _ask(receipt: "Receipt") -> None:
    if not sys.stdin.isatty():
        raise ConfigError(text("nobody is there to ask; add --yes to erase, or --dry-run to count only"))
    question = texts(
        "{n:count} value is to be erased, for good. Go on?",
        "{n:count} values are to be erased, for good. Go on?",
        n=receipt.total,
    )
    if not typer.confirm(str(question)):
        raise WinPredictError(text("nothing was erased"))


def _who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user may have no name
        return ""


def _show(console: "Console", receipt: "Receipt") -> None:
    import pandas as pd

    from winpredict.workflows.erasing import OUTSIDE, PLACE_LABELS

    is_dry = receipt.path is None
    rows = [(str(PLACE_LABELS[place]), count) for place, count in receipt.found.items()]
    title = said("Would be erased") if is_dry else said("Erased")
    console.print(table(pd.DataFrame(rows, columns=[*_FOUND]), title, _FOUND))
    if receipt.contacts:
        console.print(
            str(
                texts(
                    "With the account goes {n:count} contact",
                    "With the account go {n:count} contacts",
                    n=receipt.contacts,
                )
            )
        )
    if receipt.models:
        console.print(said("Models that held something: {versions:listed}", versions=[*map(str, receipt.models)]))
    for each in receipt.left:
        console.print(said("Left to do: {what}", what=each), soft_wrap=True)
    if is_dry:
        return
    console.print(said("Not reached from here:"))
    for each in OUTSIDE:
        console.print(f"- {each}", soft_wrap=True)
    console.print(said("Receipt: {path}", path=receipt.path), soft_wrap=True)
