"""``winpredict serve`` and ``winpredict publish``: the win desk, and what it shows."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from winpredict.cli.options import ConfigOption, JsonOption, WorkspaceOption, existing_workspace
from winpredict.cli.output import respond
from winpredict.errors import ConfigError, WinPredictError

if TYPE_CHECKING:
    from winpredict.app.database import Database
    from winpredict.app.latest import Shown
    from winpredict.config import Config
    from winpredict.workspace import Workspace

#: What the win desk is made with.
_NEEDED = ("alembic", "authlib", "fastapi", "itsdangerous", "multipart", "pwdlib", "sqlalchemy", "uvicorn")


def serve(
    workspace_folder: WorkspaceOption = None,
    host: Annotated[
        str | None, typer.Option("--host", help="Address to listen on; by default the config's, this machine alone.")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help="Port; by default the config's. 0: any free one.")
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", min=1, max=64, help="Processes; more than one needs PostgreSQL.")
    ] = 1,
    config: ConfigOption = None,
) -> None:
    """Open the win desk: pages for reps and managers, and the REST API.

    The latest scores are shown, if they are newer than those that people see. Ctrl-C closes it.

    Example: winpredict serve --workspace my-project

    Example: winpredict serve --config my.yaml --host 0.0.0.0 --workers 4
    """
    from winpredict.config import load_config

    require_app()
    workspace, settings = existing_workspace(workspace_folder), load_config(config)
    named = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = settings.model_copy(update={"app": settings.app.model_copy(update=named)})
    for said in _prepared(workspace, settings, workers):
        _say(said)
    run_desk(workspace, settings, workers)


def publish(workspace_folder: WorkspaceOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show the latest scores in the win desk.

    `winpredict score` keeps scores in the workspace, where a challenger or a past day can be tried out; this brings the
    champion's latest before people. `winpredict run` does both, `winpredict serve` does it at its start.

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

    return publish_latest(database, workspace, settings.app)


def format_shown(shown: "Shown") -> str:
    """What became of publishing, in words."""
    if shown.is_new:
        return f"the win desk shows the scores of {shown.deals:,} open deals now"
    return f"the win desk shows these scores already, of {shown.deals:,} open deals"


def run_desk(workspace: "Workspace", settings: "Config", workers: int = 1) -> None:
    """Serve until Ctrl-C, and say where."""
    from winpredict.app.serving import serve as listen

    def listening(address: str) -> None:
        seen = settings.app.public_url
        _say(f"the win desk is at {address}{f', for browsers at {seen}' if seen else ''}; Ctrl-C closes it")

    listen(workspace, settings, workers=workers, listening=listening)
    _say("the win desk is closed")


@contextmanager
def open_desk_database(workspace: "Workspace", settings: "Config") -> "Iterator[Database]":
    """The desk's database, let go of afterwards."""
    from winpredict.app.database import open_database

    database = open_database(settings.app.database, workspace.folder)
    try:
        yield database
    finally:
        database.close()


def has_desk(workspace: "Workspace", settings: "Config") -> bool:
    """Whether there is a win desk to be kept up to date: a database that the config names, or one in the workspace."""
    return bool(settings.app.database) or (workspace.folder / "app.db").exists()


def require_app() -> None:
    """Make sure that the win desk is installed.

    Raises
    ------
    ConfigError
    """
    if absent := [name for name in _NEEDED if find_spec(name) is None]:
        needs = ", ".join(absent)
        raise ConfigError(f'the win desk needs {needs}, which is not installed: pip install "winpredict[app]"')


def _prepared(workspace: "Workspace", settings: "Config", workers: int) -> Iterator[str]:
    """Bring the database up to date; yields what whoever starts the desk should know."""
    from winpredict.app.serving import is_loopback, require_database_for

    require_database_for(workers, settings)
    with open_desk_database(workspace, settings) as database:
        try:
            yield format_shown(publish_into(database, workspace, settings))
        except WinPredictError as error:
            yield f"no new scores are shown: {error}"
        yield from _about_sign_in(database, workspace, settings)
    if not is_loopback(settings.app.host) and not settings.app.public_url.startswith("https://"):
        yield (
            f"warning: {settings.app.host} can be reached from other machines, and passwords go over the network as "
            "plain text; put a proxy with TLS in front, and its https:// address into `app.public_url` of the config"
        )


def _about_sign_in(database: "Database", workspace: "Workspace", settings: "Config") -> Iterator[str]:
    from sqlalchemy import select

    from winpredict.app.records import Person, Role

    with database.reading() as session:
        admin = session.scalar(select(Person.id).where(Person.role == Role.ADMIN, Person.active).limit(1))
    if admin is None:
        yield (
            "there is no admin yet, who lets the others in: winpredict people add you@example.com --role admin "
            f"--workspace {workspace.folder}"
        )


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)
