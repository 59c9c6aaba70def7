"""``winpredict people``: who may sign in to the win desk."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from winpredict.cli.options import ConfigOption, JsonOption, WorkspaceOption, existing_workspace
from winpredict.cli.output import respond, table
from winpredict.cli.serve import open_desk_database, require_app
from winpredict.errors import WinPredictError

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.orm import Session as DatabaseSession

    from winpredict.app.records import Person

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Let people sign in to the win desk. Example: winpredict people add you@example.com --role admin",
)
EmailArgument = Annotated[str, typer.Argument(help="E-mail address that the person signs in with.", metavar="EMAIL")]
_FROM_STDIN = typer.Option("--password-stdin", help="Read the password from a line of the standard input.")


@app.command("add")
def add(
    email: EmailArgument,
    role: Annotated[str, typer.Option("--role", help="rep, manager, scientist or admin.")] = "rep",
    name: Annotated[str, typer.Option("--name", help="As pages show it; by default the address.")] = "",
    crm_user: Annotated[
        str | None,
        typer.Option("--crm-user", help="Id of the person's user in the CRM: whose deals a rep or manager sees."),
    ] = None,
    no_password: Annotated[
        bool, typer.Option("--no-password", help="For who signs in with the company's account (OpenID Connect) only.")
    ] = False,
    password_stdin: Annotated[bool, _FROM_STDIN] = False,
    workspace_folder: WorkspaceOption = None,
    config: ConfigOption = None,
) -> None:
    """Let somebody sign in; the password is asked for, and is never an argument.

    Example: winpredict people add you@example.com --role admin

    Example: winpredict people add ann@example.com --role rep --crm-user 0055g00000AbCdE
    """
    require_app()
    from winpredict.app.people import add_person, knows_user, normal_email

    address, chosen = normal_email(email), _role(role)
    with _people(
        workspace_folder, config, asked=lambda: None if no_password else _password(address, password_stdin)
    ) as (
        session,
        password,
    ):
        add_person(session, address, name, chosen, password=password, crm_user_id=crm_user)
        unknown = bool(crm_user and not knows_user(session, crm_user))
    print(f"{address} may sign in as {chosen}")
    if unknown:
        print(f"there is no user {crm_user} among those that were published; check the id")
    if crm_user is None and chosen in ("rep", "manager"):
        print(f"{address} sees no deals without --crm-user; an admin can name the user on the page People too")


@app.command("list")
def list_(workspace_folder: WorkspaceOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List who may sign in.

    Example: winpredict people list --workspace my-project
    """
    require_app()
    import pandas as pd
    from sqlalchemy import select

    with _people(workspace_folder, config) as (session, _):
        from winpredict.app.records import Person

        found = [_facts(each) for each in session.scalars(select(Person).order_by(Person.email))]
    respond(
        {"people": found},
        lambda console: console.print(table(pd.DataFrame(found), "People") if found else "nobody may sign in yet"),
        as_json=as_json,
    )


@app.command("deactivate")
def deactivate_(email: EmailArgument, workspace_folder: WorkspaceOption = None, config: ConfigOption = None) -> None:
    """Shut somebody out at once: sessions end, and keys for the API are revoked.

    Example: winpredict people deactivate ann@example.com
    """
    with _people(workspace_folder, config) as (session, _):
        from winpredict.app.people import deactivate

        person = _person(session, email)
        deactivate(session, person, None)
    print(f"{person.email} can no longer sign in")


@app.command("reset-password")
def reset_password(
    email: EmailArgument,
    password_stdin: Annotated[bool, _FROM_STDIN] = False,
    workspace_folder: WorkspaceOption = None,
    config: ConfigOption = None,
) -> None:
    """Give somebody another password, which is asked for; their sessions end and their keys are revoked.

    Example: winpredict people reset-password ann@example.com
    """
    with _people(workspace_folder, config, asked=lambda: _password(email, password_stdin)) as (session, password):
        from winpredict.app.people import change_password

        person = _person(session, email)
        change_password(session, person, password or "", None, keys_too=True)
    print(f"{person.email} has another password")


@contextmanager
def _people(
    workspace_folder: "Path | None", config: "Path | None", asked: "Callable[[], str | None]" = lambda: None
) -> "Iterator[tuple[DatabaseSession, str | None]]":
    """A writing session, and a password that was asked for before: nobody else could write meanwhile."""
    from winpredict.config import load_config

    require_app()
    workspace, settings = existing_workspace(workspace_folder), load_config(config)
    with open_desk_database(workspace, settings) as database:
        password = asked()
        with database.writing() as session:
            yield session, password


def _person(session: "DatabaseSession", email: str) -> "Person":
    from sqlalchemy import select

    from winpredict.app.people import normal_email
    from winpredict.app.records import Person

    address = normal_email(email)
    person = session.scalar(select(Person).where(Person.email == address))
    if person is None:
        raise WinPredictError(f"there is nobody with the address {address}; see `winpredict people list`")
    return person


def _role(text: str) -> Any:
    from winpredict.app.records import Role

    try:
        return Role(text.lower())
    except ValueError:
        raise WinPredictError(f"{text!r} is no role; there are {', '.join(Role)}") from None


def _password(email: str, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not _at_a_terminal():
        raise WinPredictError("a password is asked for at a terminal; without one give it with --password-stdin")
    return str(typer.prompt(f"Password of {email}", hide_input=True, confirmation_prompt=True))


def _at_a_terminal() -> bool:
    return sys.stdin.isatty()


def _facts(person: "Person") -> dict[str, Any]:
    return {
        "email": person.email,
        "name": person.name,
        "role": str(person.role),
        "crm_user": person.crm_user_id,
        "signs_in_with": _ways(person),
        "active": "yes" if person.active else "no",
    }


def _ways(person: "Person") -> str:
    ways = [("password", person.password_hash), ("company's account", person.oidc_identity)]
    return ", ".join(name for name, there in ways if there) or "company's account, not yet"
