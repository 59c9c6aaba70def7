"""``winpredict demo --serve``: weeks of scores, and somebody of each role who may sign in, on this machine alone."""

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from winpredict._internal.progress import progress, progress_bar
from winpredict.cli.output import Column, table
from winpredict.cli.serve import open_desk_database, require_app
from winpredict.errors import ConfigError
from winpredict.locale.text import said, text
from winpredict.workflows.scoring import score_workspace

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console
    from sqlalchemy.orm import Session as DatabaseSession

    from winpredict.app.records import Person
    from winpredict.config import Config
    from winpredict.tables.crm import CRMData
    from winpredict.workspace import Workspace

_LOOPBACK = "127.0.0.1"
#: Weeks of which there are scores: the model is trained on what was known before, so that it cannot know the endings.
WEEKS = 5
_ACCOUNT_COLUMNS = {
    "email": Column(text("Email")),
    "role": Column(text("Role")),
    "in_the_crm": Column(text("In the CRM")),
    "password": Column(text("Password")),
}
_NAMES = {
    "rep": text("Demo rep"),
    "manager": text("Demo manager"),
    "scientist": text("Demo scientist"),
    "admin": text("Demo admin"),
}


@dataclass(frozen=True)
class DeskDemo:
    """A populated win desk.

    Parameters
    ----------
    scores : DataFrame
        The latest.
    people : tuple of dict
        E-mail, role and whom of the CRM they are.
    password : str
        Of all of them.
    """

    scores: "pd.DataFrame"
    people: tuple[dict[str, str], ...]
    password: str

    def show(self, console: "Console") -> None:
        """Who may sign in."""
        import pandas as pd

        from winpredict.app.pages.people import ROLE_NAMES
        from winpredict.app.records import Role

        people = pd.DataFrame(self.people).assign(password=self.password)
        people["role"] = [str(ROLE_NAMES[Role(each)]) for each in people["role"]]
        console.print(table(people, said("Sign in to the win desk as"), _ACCOUNT_COLUMNS))

    def facts(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        return {"people": self.people, "password": self.password}


def on_loopback(config: "Config", port: int | None) -> "Config":
    """The settings of a desk that only this machine reaches; any free port where the usual one is taken.

    Raises
    ------
    ConfigError
        When the win desk is not installed, or the given port is taken.
    """
    require_app()
    from winpredict.app.serving import can_listen
    from winpredict.config import App

    usual = App(host=_LOOPBACK)
    wanted = usual.port if port is None else port
    if not can_listen(_LOOPBACK, wanted):
        if port is not None:
            raise ConfigError(
                text("port {port} is taken; name another one with --port, or 0 for any free one", port=port)
            )
        wanted = 0
    return config.model_copy(update={"app": usual.model_copy(update={"port": wanted})})


def training_day(crm: "CRMData") -> "pd.Timestamp":
    """The day as of which the demo's model is trained."""
    import pandas as pd

    assert crm.known_until is not None
    return crm.known_until - pd.Timedelta(weeks=WEEKS)


def populate(workspace: "Workspace", crm: "CRMData", config: "Config", version: int, password: str | None) -> DeskDemo:
    """Score week by week, publish, and let people sign in.

    Parameters
    ----------
    workspace : Workspace
    crm : CRMData
        Its tables.
    config : Config
    version : int
        Of the model; it becomes the champion, since pages tell the champion's reasons.
    password : str, optional
        By default a random one.
    """
    from winpredict.app.publishing import publish
    from winpredict.models.registry import promote

    password = password or secrets.token_urlsafe(12)
    with workspace.writing():
        promote(workspace.folder, version)
    with open_desk_database(workspace, config) as database:
        for day in _days(crm):
            with progress_bar(said("scoring")) as bar:
                scores = score_workspace(workspace, as_of=day, which=str(version), progress=bar)
            with progress(said("publishing")):
                publish(database, crm.as_known_at(day), scores, config.app)
        with database.writing() as session:
            people = [_let_in(session, role, user, password) for role, user in _cast(crm).items()]
            shown = tuple(_account_facts(crm, each) for each in people)
    return DeskDemo(scores, shown, password)


def _days(crm: "CRMData") -> "list[pd.Timestamp]":
    import pandas as pd

    assert crm.known_until is not None
    return [crm.known_until - pd.Timedelta(weeks=weeks) for weeks in range(WEEKS, -1, -1)]


def _cast(crm: "CRMData") -> dict[str, str | None]:
    """Users of the CRM by role: the rep with most open deals, and the manager of the largest team."""
    deals, users = crm.deals, crm.users
    reps = deals.loc[deals["outcome"] == "open", "owner_id"].value_counts()
    rep = str(reps.index[0]) if len(reps) else None
    manager = None if users is None else str(users.loc[users["user_id"] != users["manager_id"], "manager_id"].mode()[0])
    return {"rep": rep, "manager": manager, "scientist": None, "admin": None}


def demo_email(role: str) -> str:
    """Whom somebody of a role signs in as."""
    return f"{role}@example.com"


def _let_in(session: "DatabaseSession", role: str, user: str | None, password: str) -> "Person":
    from sqlalchemy import select

    from winpredict.app.people import add_person, change_password, reactivate
    from winpredict.app.records import Person, Role

    email = demo_email(role)
    person = session.scalar(select(Person).where(Person.email == email))
    if person is None:
        return add_person(session, email, str(_NAMES[role]), Role(role), password=password, crm_user_id=user)
    # of an earlier demo in this workspace
    change_password(session, person, password, None, must_change=False)
    if not person.active:
        reactivate(session, person, None)
    person.role, person.crm_user_id = Role(role), user
    return person


def _account_facts(crm: "CRMData", person: "Person") -> dict[str, str]:
    users = crm.users
    name = None if users is None else users.set_index("user_id")["name"].get(person.crm_user_id)
    return {"email": person.email, "role": str(person.role), "in_the_crm": str(name or person.crm_user_id or "")}
