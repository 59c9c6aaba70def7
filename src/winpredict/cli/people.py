"""``winpredict people``: who may sign in to the win desk."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from winpredict.cli.options import ConfigOption, JsonOption, WorkspaceOption, existing_workspace
from winpredict.cli.output import Column, respond, table
from winpredict.cli.serve import open_desk_database, require_app
from winpredict.cli.speaking import in_language
from winpredict.errors import WinPredictError
from winpredict.locale import formats
from winpredict.locale.text import said, text

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.orm import Session as DatabaseSession

    from winpredict.app.records import Person

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Let people sign in to the win desk. Example: winpredict people add you@example.com --role admin",
)
_PEOPLE = {
    "email": Column(text("Email")),
    "name": Column(text("Name")),
    "role": Column(text("Role")),
    "crm_user": Column(text("User in the CRM")),
    "signs_in_with": Column(text("Signs in with")),
    "active": Column(text("Active")),
}
EmailArgument = Annotated[str, typer.Argument(help="Email address that the person signs in with.", metavar="EMAIL")]
_FROM_STDIN = typer.Option("--password-stdin", help="Read the password from a line of standard input.")


@app.command("add")
@in_language
def add(
    email: EmailArgument,
    role: Annotated[str, typer.Option("--role", help="rep, manager, scientist or admin.")] = "rep",
    name: Annotated[str, typer.Option("--name", help="Name shown on pages; by default the address.")] = "",
    crm_user: Annotated[
        str | None,
        typer.Option(
            "--crm-user", help="Id of the person's user in the CRM, which decides whose deals a rep or manager sees."
        ),
    ] = None,
    no_password: Annotated[
        bool,
        typer.Option("--no-password", help="For people who sign in with the company's account (OpenID Connect) only."),
    ] = False,
    password_stdin: Annotated[bool, _FROM_STDIN] = False,
    workspace_folder: WorkspaceOption = None,
    config: ConfigOption = None,
) -> None:
    """Let somebody sign in; you are asked for the password, which is never an argument.

    They choose another one when they sign in with it, unless this is the first administrator: that is you.

    Example: winpredict people add you@example.com --role admin

    Example: winpredict people add ann@example.com --role rep --crm-user 0055g00000AbCdE
    """
    require_app()
    from winpredict.app.people import add_person, has_admin, knows_user, normal_email

    address, chosen = normal_email(email), _role(role)
    with _people(
        workspace_folder, config, ask_password=lambda: None if no_password else _password(address, password_stdin)
    ) as (
        session,
        password,
    ):
        # who makes the first administrator of a desk is that administrator, and has chosen the password
        must_change = chosen != "admin" or has_admin(session)
        add_person(session, address, name, chosen, password=password, crm_user_id=crm_user, must_change=must_change)
        unknown = bool(crm_user and not knows_user(session, crm_user))
    from winpredict.app.pages.people import ROLE_NAMES

    print(said("{person} can sign in. Role: {role}.", person=address, role=ROLE_NAMES[chosen]))
    if unknown:
        print(said("User {user} was not found among the published users; check the id.", user=crm_user))
    if crm_user is None and chosen in ("rep", "manager"):
        print(
            said(
                "{person} sees no deals without --crm-user; an administrator can also choose the user on the People "
                "page.",
                person=address,
            )
        )


@app.command("list")
@in_language
def list_(workspace_folder: WorkspaceOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List who may sign in.

    Example: winpredict people list --workspace my-project
    """
    require_app()
    import pandas as pd
    from sqlalchemy import select

    with _people(workspace_folder, config) as (session, _):
        from winpredict.app.records import Person

        people = [_facts(each) for each in session.scalars(select(Person).order_by(Person.email))]
    respond(
        {"people": people},
        lambda console: console.print(
            table(pd.DataFrame(map(_in_words, people)), said("People"), _PEOPLE)
            if people
            else said("Nobody can sign in yet")
        ),
        as_json=as_json,
    )


@app.command("deactivate")
@in_language
def deactivate_(email: EmailArgument, workspace_folder: WorkspaceOption = None, config: ConfigOption = None) -> None:
    """Deactivate somebody at once: sessions end, and API keys are revoked.

    Example: winpredict people deactivate ann@example.com
    """
    with _people(workspace_folder, config) as (session, _):
        from winpredict.app.people import deactivate

        person = _person(session, email)
        deactivate(session, person, None)
    print(said("{person} can no longer sign in.", person=person.email))


@app.command("reset-password")
@in_language
def reset_password(
    email: EmailArgument,
    password_stdin: Annotated[bool, _FROM_STDIN] = False,
    workspace_folder: WorkspaceOption = None,
    config: ConfigOption = None,
) -> None:
    """Give somebody a new password, which you are asked for; their sessions end and their API keys are revoked.

    They choose another one when they sign in with it.

    Example: winpredict people reset-password ann@example.com
    """
    with _people(workspace_folder, config, ask_password=lambda: _password(email, password_stdin)) as (
        session,
        password,
    ):
        from winpredict.app.people import change_password

        person = _person(session, email)
        change_password(session, person, password or "", None, keys_too=True)
    print(said("{person} has a new password.", person=person.email))


@contextmanager
def _people(
    workspace_folder: "Path | None", config: "Path | None", ask_password: "Callable[[], str | None]" = lambda: None
) -> "Iterator[tuple[DatabaseSession, str | None]]":
    """A writing session, and a password, asked for before the session since nobody else could write meanwhile."""
    from winpredict.config import load_config

    require_app()
    workspace, settings = existing_workspace(workspace_folder), load_config(config)
    with open_desk_database(workspace, settings) as database:
        password = ask_password()
        with database.writing() as session:
            yield session, password


def _person(session: "DatabaseSession", email: str) -> "Person":
    from sqlalchemy import select

    from winpredict.app.people import normal_email
    from winpredict.app.records import Person

    address = normal_email(email)
    person = session.scalar(select(Person).where(Person.email == address))
    if person is None:
        raise WinPredictError(
            text("no account with the address {address}; see `winpredict people list`", address=address)
        )
    return person


def _role(name: str) -> Any:
    from winpredict.app.records import Role

    try:
        return Role(name.lower())
    except ValueError:
        raise WinPredictError(text("{name!r} is not a role; choose {role}", name=name, role=", ".join(Role))) from None


def _password(email: str, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not _at_a_terminal():
        raise WinPredictError(text("no terminal to ask for the password on; pass it with --password-stdin"))
    return str(typer.prompt(said("Password of {person}", person=email), hide_input=True, confirmation_prompt=True))


def _at_a_terminal() -> bool:
    return sys.stdin.isatty()


def _facts(person: "Person") -> dict[str, Any]:
    ways = [("password", person.password_hash), ("company's account", person.oidc_identity)]
    return {
        "email": person.email,
        "name": person.name,
        "role": str(person.role),
        "crm_user": person.crm_user_id,
        "signs_in_with": ", ".join(name for name, there in ways if there) or "company's account, not yet",
        "active": "yes" if person.active else "no",
    }


def _in_words(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts of a person in the language of the moment."""
    from winpredict.app.pages.people import ROLE_NAMES
    from winpredict.app.records import Role

    ways = {
        "password": text("password"),
        "company's account": text("company account"),
        "company's account, not yet": text("company account, not yet"),
    }
    signs_in_with = facts["signs_in_with"]
    return facts | {
        "role": str(ROLE_NAMES[Role(facts["role"])]),
        "signs_in_with": str(ways[signs_in_with])
        if signs_in_with in ways
        else formats.listed([ways[each] for each in signs_in_with.split(", ")]),
        "active": said("yes") if facts["active"] == "yes" else said("no"),
    }
