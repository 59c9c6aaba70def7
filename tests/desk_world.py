"""The win desk's company in tests: who signs in, and how."""

import re
from dataclasses import dataclass, replace

import pandas as pd
from fastapi import FastAPI
from fastapi.testclient import TestClient

from winpredict import Config, CRMData, TrainedModel, backtest, score
from winpredict.app.desk import Desk
from winpredict.app.people import add_person
from winpredict.app.publishing import publish
from winpredict.app.records import Role
from winpredict.explain.drivers import top_drivers
from winpredict.models.backtest_record import log_backtest
from winpredict.models.registry import log_training
from winpredict.models.snapshots import pipeline
from winpredict.workspace import Workspace

PASSWORD = "correct horse battery"
#: Everybody who may sign in, by what tests call them: e-mail and role.
PEOPLE = {
    "rep": ("rep@example.com", Role.REP),
    "other_rep": ("other@example.com", Role.REP),
    "manager": ("manager@example.com", Role.MANAGER),
    "boss": ("boss@example.com", Role.MANAGER),
    "scientist": ("scientist@example.com", Role.SCIENTIST),
    "admin": ("admin@example.com", Role.ADMIN),
    # whose account nobody linked to a user of the CRM
    "unlinked_rep": ("unlinked@example.com", Role.REP),
}


@dataclass(frozen=True)
class Cast:
    """Who is who in the CRM: the boss has two managers, of whom the first has the rep and the second the other rep.

    Parameters
    ----------
    rep, other_rep, manager, boss : str
        Ids of users.
    deal, other_deal : str
        An open deal of the rep and one of the other rep, which have been open for long.
    """

    rep: str
    other_rep: str
    manager: str
    boss: str
    deal: str
    other_deal: str


def fill(workspace: Workspace, model: TrainedModel, config: Config) -> None:
    """Record a model of a workspace's tables as the champion, with its drivers, and keep its scores."""
    crm = workspace.crm()
    features = model.build_features(crm, pipeline(crm, crm.known_until))
    drivers = top_drivers(model, features)
    log_training(workspace.folder, model, config=config, fingerprint=workspace.state, example=features, drivers=drivers)
    workspace.keep_scores(score(model, crm, model_version="1", details=True), crm.known_until)


def judge(workspace: Workspace, model: TrainedModel, config: Config) -> None:
    """Record a backtest of a workspace, and the model once more as a challenger."""
    crm = workspace.crm()
    settings = config.model_copy(update={"backtest": config.backtest.model_copy(update={"folds": 2})})
    log_backtest(workspace.folder, backtest(crm, settings), config=settings, fingerprint=workspace.state)
    features = model.build_features(crm, pipeline(crm, crm.known_until))
    log_training(workspace.folder, model, config=config, fingerprint="earlier", example=features)


def with_teams(crm: CRMData) -> CRMData:
    """The tables with two teams: the users' even and odd places, under a manager each and one boss above both."""
    assert crm.users is not None
    users = crm.users.assign(manager_id=[f"manager-{place % 2}" for place in range(len(crm.users))])
    above = pd.DataFrame(
        {
            "user_id": ["manager-0", "manager-1", "boss"],
            "name": ["Mona Even", "Olga Odd", "Bea Boss"],
            "manager_id": ["boss", "boss", None],
        }
    )
    return replace(crm, users=pd.concat([users, above], ignore_index=True).astype(users.dtypes))


def without_dates(crm: CRMData) -> CRMData:
    """The deals as a CRM exports them that keeps no dates: what each has, and how it ended."""
    deals = crm.deals.drop(columns=["created_at", "closed_at", "expected_close_date", "contract_signed"])
    return CRMData.from_tables(deals.assign(created_at=None, closed_at=None), users=crm.users, accounts=crm.accounts)


def cast_of(crm: CRMData) -> Cast:
    """The busiest rep of each team, and the eldest open deal of either, which has most to tell."""
    assert crm.users is not None
    managers = crm.users.set_index("user_id")["manager_id"]
    deals = crm.deals[crm.deals["outcome"] == "open"].sort_values("created_at", kind="stable")
    count = deals.groupby("owner_id").size().sort_values(ascending=False, kind="stable")
    reps = [next(each for each in count.index if managers[each] == manager) for manager in ("manager-0", "manager-1")]
    eldest = deals.drop_duplicates("owner_id").set_index("owner_id")["deal_id"]
    return Cast(reps[0], reps[1], "manager-0", "boss", eldest[reps[0]], eldest[reps[1]])


def populate(desk: Desk, crm: CRMData, scores: pd.DataFrame) -> Cast:
    """Publish two scoring runs, eight days apart, and let everybody of `PEOPLE` sign in."""
    cast = cast_of(crm)
    let_in(desk, crm, [eight_days_earlier(scores), scores], cast)
    return cast


def let_in(desk: Desk, crm: CRMData, runs: list[pd.DataFrame], cast: Cast) -> None:
    """Publish scoring runs, and let everybody of `PEOPLE` sign in."""
    for scores in runs:
        publish(desk.database, crm, scores)
    linked = {"rep": cast.rep, "other_rep": cast.other_rep, "manager": cast.manager, "boss": cast.boss}
    with desk.database.writing() as session:
        for who, (email, role) in PEOPLE.items():
            name = who.replace("_", " ").capitalize()
            add_person(session, email, name, role, password=PASSWORD, crm_user_id=linked.get(who))


def eight_days_earlier(scores: pd.DataFrame) -> pd.DataFrame:
    """The scores as an earlier run may have had them, with other odds; a third of the deals was not there yet."""
    then = scores.assign(as_of=scores["as_of"] - pd.Timedelta(days=8))
    then["win_probability"] = (then["win_probability"] * 0.9 + 0.03).clip(then["low"], then["high"])
    return then.iloc[[number for number in range(len(then)) if number % 3]].reset_index(drop=True)


def csrf_token(html: str) -> str:
    """The token in a page's form."""
    match = re.search(r'name="csrf_token" value="([^"]+)"', html)
    assert match, "this page has no form with a token"
    return match[1]


def client_of(app: FastAPI, email: str, password: str = PASSWORD, headers: dict[str, str] | None = None) -> TestClient:
    """A client that has signed in."""
    client = TestClient(app, follow_redirects=False, headers=headers)
    token = csrf_token(client.get("/sign-in").text)
    answer = client.post("/sign-in", data={"email": email, "password": password, "csrf_token": token})
    assert answer.status_code == 303, answer.text
    page = client.get("/deals")
    client.csrf = csrf_token(page.text) if "csrf_token" in page.text else ""
    return client


def take_own_password(client: TestClient, given: str, own: str = "a kettle of blue herons") -> TestClient:
    """The client, once a password that somebody else set has been changed to one of the person's own."""
    form = {"csrf_token": csrf_token(client.get("/account/password").text), "current": given, "new": own, "again": own}
    answer = client.post("/account/password", data=form)
    assert (answer.status_code, answer.headers.get("location")) == (303, "/account?changed=1"), answer.text
    return client
