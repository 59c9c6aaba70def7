"""``winpredict serve`` and ``winpredict publish``: the win desk, and what it shows."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from winpredict.cli.options import ConfigOption, JsonOption, WorkspaceOption, existing_workspace
from winpredict.cli.output import respond, warn
from winpredict.errors import ConfigError, WinPredictError
from winpredict.locale.text import said, text, texts

if TYPE_CHECKING:
    from winpredict.app.database import Database
    from winpredict.app.latest import Shown
    from winpredict.config import Config
    from winpredict.workspace import Workspace

#: What the win desk is made with.
_NEEDED = ("alembic", "authlib", "fastapi", "itsdangerous", "multipart", "pwdlib", "sqlalchemy", "uvicorn", "zxcvbn")


def serve(
    workspace_folder: WorkspaceOption = None,
    host: Annotated[
        str | None,
        typer.Option("--host", help="Address to listen on; by default that of the config, or this machine alone."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", min=0, max=65535, help="Port; by default that of the config. 0: any free one."),
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", min=1, max=64, help="Processes; more than one needs PostgreSQL.")
    ] = 1,
    config: ConfigOption = None,
) -> None:
    """Open the win desk: pages for reps and managers, and the REST API.

    The latest scores are published, if they are newer than those that people see. Ctrl-C closes it.

    Example: winpredict serve --workspace my-project

    Example: winpredict serve --config my.yaml --host 0.0.0.0 --workers 4
    """
    from winpredict.config import load_config

    require_app()
    workspace, settings = existing_workspace(workspace_folder), load_config(config)
    named = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = settings.model_copy(update={"app": settings.app.model_copy(update=named)})
    for line in _prepared(workspace, settings, workers):
        _print(line)
    if not is_encrypted(settings):
        warn(
            text(
                "{host} can be reached from other machines, and passwords cross the network as plain text. Put a proxy "
                "with TLS in front, and its https:// address into `app.public_url` of the config.",
                host=settings.app.host,
            )
        )
    run_desk(workspace, settings, workers)


def publish(workspace_folder: WorkspaceOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show the latest scores in the win desk.

    `winpredict score` keeps scores in the workspace, where you can try out a challenger or a past day; this command
    shows the champion's latest to everyone. `winpredict run` does both, and `winpredict serve` does it at its start.

    Example: winpredict score && winpredict publish
    """
    from winpredict.config import load_config

    require_app()
    workspace, settings = existing_workspace(workspace_folder), load_config(config)
    with open_desk_database(workspace, settings) as database:
        shown = publish_into(database, workspace, settings)
    respond(asdict(shown), lambda console: console.print(format_shown(shown)), as_json=as_json)


def publish_into(database: "Database", workspace: "Workspace", settings: "Config") -> "Shown":
    """Show a workspace's latest scores in the desk with this database."""
    from winpredict.app.latest import publish_latest

    return publish_latest(database, workspace, settings.app, moved_points=settings.run.moved_points)


def format_shown(shown: "Shown") -> str:
    """What came of publishing, in words."""
    return str(
        texts(
            "The win desk now shows the scores of {n:count} open deal.",
            "The win desk now shows the scores of {n:count} open deals.",
            n=shown.deals,
        )
        if shown.is_new
        else texts(
            "The win desk already shows these scores, of {n:count} open deal.",
            "The win desk already shows these scores, of {n:count} open deals.",
            n=shown.deals,
        )
    )


def run_desk(workspace: "Workspace", settings: "Config", workers: int = 1) -> None:
    """Serve until Ctrl-C, and print the address."""
    from winpredict.app.serving import serve as listen

    def listening(address: str) -> None:
        if seen := settings.app.public_url:
            _print(
                said(
                    "The win desk is at {address}, for browsers at {seen} (Ctrl-C closes it).",
                    address=address,
                    seen=seen,
                )
            )
        else:
            _print(said("The win desk is at {address} (Ctrl-C closes it).", address=address))

    listen(workspace, settings, workers=workers, listening=listening)
    _print(said("The win desk is closed."))


@contextmanager
def open_desk_database(workspace: "Workspace", settings: "Config") -> "Iterator[Database]":
    """The desk's database, closed afterwards."""
    from winpredict.app.database import open_database

    database = open_database(settings.app.database, workspace.folder)
    try:
        yield database
    finally:
        database.close()


@contextmanager
def champion_recorded(workspace: "Workspace", settings: "Config") -> "Iterator[None]":
    """Write it down in the desk's audit log if another model becomes the champion meanwhile, where there is a desk."""
    from winpredict.models.registry import models_in_use

    if not has_desk(workspace, settings) or _absent():
        yield
        return
    from winpredict.app.audit_log import write_down

    before = models_in_use(workspace.folder).champion
    with open_desk_database(workspace, settings) as database:  # first: what cannot be written down is not done
        yield
        after = models_in_use(workspace.folder).champion
        if after != before:
            facts = {"before": "" if before is None else str(before)}
            write_down(database, None, "model promoted", f"model {after}", facts)


def has_desk(workspace: "Workspace", settings: "Config") -> bool:
    """Whether there is a win desk to keep up to date: a database that the config names, or one in the workspace."""
    return bool(settings.app.database) or (workspace.folder / "app.db").exists()


def require_app() -> None:
    """Make sure that the win desk is installed.

    Raises
    ------
    ConfigError
    """
    if absent := _absent():
        needs = ", ".join(absent)
        raise ConfigError(
            text('the win desk needs {needs}, which is not installed: pip install "winpredict[app]"', needs=needs)
        )


def _absent() -> list[str]:
    return [name for name in _NEEDED if find_spec(name) is None]


def is_encrypted(settings: "Config") -> bool:
    """Whether passwords stay on this machine, or go through a proxy with TLS."""
    from winpredict.app.serving import is_loopback

    return is_loopback(settings.app.host) or settings.app.public_url.startswith("https://")


def _prepared(workspace: "Workspace", settings: "Config", workers: int) -> Iterator[str]:
    """Bring the database up to date; yields what whoever starts the desk should know."""
    from winpredict.app.people import has_admin
    from winpredict.app.serving import require_database_for

    require_database_for(workers, settings)
    with open_desk_database(workspace, settings) as database:
        try:
            yield format_shown(publish_into(database, workspace, settings))
        except WinPredictError as error:
            yield said("No new scores are shown: {reason}", reason=error)
        with database.reading() as session:
            somebody = has_admin(session)
        if not somebody:
            command = f"winpredict people add you@example.com --role admin --workspace {workspace.folder}"
            yield said("There is no administrator yet, who adds the others. Add one: {command}", command=command)


def _print(words: str) -> None:
    print(words, file=sys.stderr, flush=True)
