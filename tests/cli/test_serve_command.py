"""winpredict serve, publish and people: the win desk from the command line."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import replace

import pandas as pd
import pytest
from printed_words import untranslated_words
from typer.testing import CliRunner

pytest.importorskip("fastapi")

from winpredict import score
from winpredict.app.database import open_database
from winpredict.app.publishing import published
from winpredict.app.records import AuditEntry, CrmUser, Person, Role, Score
from winpredict.app.sign_in_throttle import Source, check_password
from winpredict.app.visibility import latest_run
from winpredict.cli import app, people, serve
from winpredict.models.registry import log_training, promote
from winpredict.models.snapshots import pipeline
from winpredict.workspace import Workspace

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def trained(tmp_path_factory, world, model, quick_config):
    """A workspace with tables and a champion, and no scores."""
    workspace = Workspace(tmp_path_factory.mktemp("trained") / "w")
    workspace.save_import(world.crm, profile="simulated")
    example = model.build_features(world.crm, pipeline(world.crm, world.crm.known_until))
    log_training(workspace.folder, model, config=quick_config, fingerprint=workspace.state, example=example)
    return workspace


@pytest.fixture
def workspace(trained, tmp_path):
    """A copy of one's own."""
    shutil.copytree(trained.folder, tmp_path / "w")
    return Workspace(tmp_path / "w")


@pytest.fixture
def scored(workspace, world, model):
    keep(workspace, score(model, world.crm, model_version="1"))
    return workspace


def keep(workspace, scores):
    workspace.keep_scores(scores, workspace.crm().known_until)


def run(*words, code=0, typed=None):
    found = CliRunner().invoke(app, [str(word) for word in words], input=typed)
    assert found.exit_code == code, found.output
    return found.output


def shown(workspace):
    database = open_database("", workspace.folder)
    try:
        return published(database)
    finally:
        database.close()


@pytest.mark.parametrize(
    "command",
    [
        ["serve"],
        ["publish"],
        ["audit"],
        *(["people", name] for name in ("add", "list", "deactivate", "reset-password")),
    ],
)
def test_every_command_has_help_with_an_example(command):
    assert "Example: winpredict" in run(*command, "--help")


def test_publishing_shows_the_latest_scores_once(scored):
    first = json.loads(run("publish", "--workspace", scored.folder, "--json"))
    assert first["is_new"]
    assert first["deals"] > 20
    again = json.loads(run("publish", "--workspace", scored.folder, "--json"))
    assert not again["is_new"]
    assert again["run_id"] == first["run_id"]
    assert "already" in run("publish", "--workspace", scored.folder)


def test_nothing_is_published_without_scores_or_by_a_challenger(workspace, world, model):
    assert "winpredict score" in run("publish", "--workspace", workspace.folder, code=2)
    keep(workspace, score(model, world.crm, model_version="2"))
    said = run("publish", "--workspace", workspace.folder, code=2)
    assert "model 2" in said
    assert "the champion is model 1" in said


def test_older_scores_do_not_replace_newer_ones(scored, world, model):
    run("publish", "--workspace", scored.folder)
    keep(scored, score(model, world.crm, model_version="1", scored_at="2020-01-01"))
    assert not json.loads(run("publish", "--workspace", scored.folder, "--json"))["is_new"]


def test_the_same_scores_are_shown_again_after_others(scored, world, model):
    def publish_with(odds, day):
        scores = score(model, world.crm, model_version="1", scored_at=day).assign(win_probability=odds)
        keep(scored, scores)
        return json.loads(run("publish", "--workspace", scored.folder, "--json"))

    assert [publish_with(odds, day)["is_new"] for odds, day in ((0.4, "2030-01-01"), (0.5, "2030-01-02"))] == [
        True,
        True,
    ]
    assert publish_with(0.4, "2030-01-03")["is_new"]
    database = open_database("", scored.folder)
    with database.reading() as session:
        told = session.query(Score.win_probability).where(Score.run_id == latest_run().scalar_subquery()).first()
    database.close()
    assert told == (0.4,)


def test_deals_that_were_closed_since_are_not_shown(scored, world):
    first = scored.latest_scores().iloc[0]
    closed = world.crm.deals.assign(
        outcome=world.crm.deals["outcome"].where(world.crm.deals["deal_id"] != first["deal_id"], "lost")
    )
    closed.loc[closed["deal_id"] == first["deal_id"], "closed_at"] = world.crm.known_until - pd.Timedelta(hours=1)
    scored.save_import(replace(world.crm, deals=closed), profile="simulated")
    run("publish", "--workspace", scored.folder)
    assert shown(scored).deals == len(scored.latest_scores()) - 1


def test_after_an_import_the_same_odds_are_shown_to_whom_deals_belong_now(scored, world):
    run("publish", "--workspace", scored.folder)
    users = world.crm.users.assign(manager_id="new-manager")
    changed = replace(world.crm, deals=world.crm.deals.assign(owner_id="new-owner"), users=users)
    scored.save_import(changed, profile="simulated")
    assert json.loads(run("publish", "--workspace", scored.folder, "--json"))["is_new"]
    database = open_database("", scored.folder)
    with database.reading() as session:
        owners = session.query(Score.owner_id).where(Score.run_id == latest_run().scalar_subquery()).distinct().all()
        managers = session.query(CrmUser.manager_id).distinct().all()
    database.close()
    assert (owners, managers) == ([("new-owner",)], [("new-manager",)])


def test_people_are_added_listed_and_shut_out(workspace):
    where = ["--workspace", workspace.folder]
    typed = f"{PASSWORD}\n"
    said = run("people", "add", "Boss@Example.com", "--role", "admin", "--password-stdin", *where, typed=typed)
    assert said.strip() == "boss@example.com can sign in. Role: administrator."
    assert PASSWORD not in said
    said = run("people", "add", "ann@example.com", "--crm-user", "nobody", "--password-stdin", *where, typed=typed)
    assert said.strip() == "ann@example.com can sign in. Role: rep."  # nothing was published: nobody can know better
    assert "--crm-user" in run("people", "add", "bob@example.com", "--no-password", *where)
    found = json.loads(run("people", "list", *where, "--json"))["people"]
    assert [(each["email"], each["role"]) for each in found] == [
        ("ann@example.com", "rep"),
        ("bob@example.com", "rep"),
        ("boss@example.com", "admin"),
    ]
    assert "argon2" not in run("people", "list", *where)
    run("people", "deactivate", "ann@example.com", *where)
    assert "only admin" in run("people", "deactivate", "boss@example.com", *where, code=2)
    found = {each["email"]: each["active"] for each in json.loads(run("people", "list", *where, "--json"))["people"]}
    assert found == {"ann@example.com": "no", "bob@example.com": "yes", "boss@example.com": "yes"}


def test_a_user_whom_the_crm_does_not_know_is_told_once_that_can_be_known(scored, world):
    where = ["--no-password", "--workspace", scored.folder]
    run("publish", "--workspace", scored.folder)
    known = world.crm.users["user_id"].iloc[0]
    assert "User nobody was not found" in run("people", "add", "zoe@example.com", "--crm-user", "nobody", *where)
    assert "not found" not in run("people", "add", "yan@example.com", "--crm-user", known, *where)


def test_what_cannot_be_is_said(workspace):
    where = ["--workspace", workspace.folder]
    assert "'king' is not a role; choose rep, manager, scientist, admin" in run(
        "people", "add", "ann@example.com", "--role", "king", *where, code=2
    )
    assert "no e-mail address" in run("people", "add", "ann", *where, code=2)
    assert "12 to 256" in run("people", "add", "ann@example.com", "--password-stdin", *where, typed="short\n", code=2)
    assert "--password-stdin" in run("people", "add", "ann@example.com", *where, code=2)
    assert "no account with the address" in run("people", "deactivate", "ann@example.com", *where, code=2)
    assert "no imported data" in run("people", "list", "--workspace", workspace.folder / "elsewhere", code=2)


def test_a_reset_password_works_and_the_former_no_longer(workspace):
    where = ["--workspace", workspace.folder]
    run("people", "add", "ann@example.com", "--password-stdin", *where, typed=f"{PASSWORD}\n")
    run("people", "reset-password", "ann@example.com", "--password-stdin", *where, typed="another horse battery\n")
    database = open_database("", workspace.folder)
    source = Source("10.0.0.1")
    assert check_password(database, "ann@example.com", "another horse battery", source).role == Role.REP
    with pytest.raises(Exception, match="do not belong together"):
        check_password(database, "ann@example.com", PASSWORD, source)
    with database.reading() as session:
        assert "horse" not in str([(each.subject, each.details) for each in session.query(AuditEntry)])
    database.close()


def test_a_password_that_somebody_else_chose_must_be_changed(workspace):
    where = ["--password-stdin", "--workspace", workspace.folder]
    people_ = (("me@example.com", "admin"), ("ann@example.com", "rep"), ("second@example.com", "admin"))
    for email, role in people_:
        run("people", "add", email, "--role", role, *where, typed=f"{PASSWORD}\n")

    def must_change():
        database = open_database("", workspace.folder)
        with database.reading() as session:
            found = {each.email for each in session.query(Person) if each.password_must_change}
        database.close()
        return found

    # who makes a desk's first administrator is that administrator
    assert must_change() == {"ann@example.com", "second@example.com"}
    run("people", "reset-password", "me@example.com", *where, typed="another horse battery\n")
    assert must_change() == {"me@example.com", "ann@example.com", "second@example.com"}


def test_passwords_that_are_easy_to_guess_are_refused(workspace):
    where = ["--password-stdin", "--workspace", workspace.folder]
    for weak in ("password1234", "ann@example.com", "winpredict123"):
        said = run("people", "add", "ann@example.com", *where, typed=f"{weak}\n", code=2)
        assert "this password is easy to guess" in said
        assert weak not in said.replace("ann@example.com", "") or weak == "ann@example.com"
    run("people", "add", "ann@example.com", *where, typed=f"{PASSWORD}\n")
    assert "easy to guess" in run(
        "people", "reset-password", "ann@example.com", *where, typed="letmeinletmein\n", code=2
    )


def test_the_audit_log_is_exported(workspace, tmp_path):
    where = ["--workspace", workspace.folder]
    run("people", "add", "+ann@example.com", "--no-password", "--crm-user", "5", *where)
    run("people", "add", "bob@example.com", "--no-password", "--crm-user", "6", *where)
    lines = [json.loads(line) for line in run("audit", *where).splitlines()]
    assert [(each["action"], each["subject"], each["details"]) for each in lines] == [
        ("person added", "+ann@example.com", {"role": "rep"}),
        ("person added", "bob@example.com", {"role": "rep"}),
    ]
    assert [(each["person"], each["address"]) for each in lines] == [("", "")] * 2
    assert pd.Timestamp(lines[0]["at"]).tzinfo is not None
    said = run("audit", "--output", tmp_path / "log.csv", *where)
    assert said.strip() == f"Wrote 3 entries to {tmp_path / 'log.csv'}."
    table = pd.read_csv(tmp_path / "log.csv", keep_default_na=False)
    assert table["subject"].tolist() == ["'+ann@example.com", "bob@example.com", "stdout"]
    assert table["details"].tolist()[2] == '{"rows": 2}'
    run("audit", "-o", tmp_path / "log.jsonl", *where)
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 4
    assert run("audit", "--since", "2999-01-01", *where) == ""
    assert run("audit", "--until", "2020-01-01", *where) == ""
    assert len(run("audit", "--since", "2020-01-01", "--until", "2999-01-01", *where).splitlines()) == 7
    assert "must end in .csv or .jsonl" in run("audit", "-o", tmp_path / "log.xlsx", *where, code=2)
    run("audit", "--since", "yesterday", *where, code=2)


def test_another_champion_is_on_record(scored, model, quick_config):
    run("publish", "--workspace", scored.folder)
    world_ = scored.crm()
    example = model.build_features(world_, pipeline(world_, world_.known_until))
    log_training(scored.folder, model, config=quick_config, fingerprint="", example=example)
    run("models", "promote", 2, "--workspace", scored.folder)
    run("models", "promote", 2, "--workspace", scored.folder)
    run("models", "rollback", "--workspace", scored.folder)
    lines = [json.loads(line) for line in run("audit", "--workspace", scored.folder).splitlines()]
    found = [(each["action"], each["subject"], each["details"]) for each in lines]
    deals = found[0][2]["deals"]
    assert found == [
        ("scores published", "run 1", {"deals": deals, "model": "1"}),
        ("model promoted", "model 2", {"before": "1"}),
        ("model promoted", "model 1", {"before": "2"}),
    ]


def test_at_a_terminal_the_password_is_asked_for_twice_and_not_shown(workspace, monkeypatch):
    asked = {}

    def prompt(words, **options):
        asked.update(options)
        return PASSWORD

    monkeypatch.setattr(people.typer, "prompt", prompt)
    monkeypatch.setattr(people, "_at_a_terminal", lambda: True)
    run("people", "add", "ann@example.com", "--workspace", workspace.folder)
    assert asked == {"hide_input": True, "confirmation_prompt": True}


@contextmanager
def serving(*words):
    """A desk in a process of its own: its address and what it says, until Ctrl-C."""
    command = [sys.executable, "-m", "winpredict", *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said: list[str] = []
    try:
        for line in process.stdout:
            said.append(line)
            if match := re.search(r"win desk is at (http://\S+?),? ", line):
                yield match[1], said, process
                break
        else:
            raise AssertionError("".join(said))
        process.send_signal(signal.SIGINT)
        said.append(process.communicate(timeout=60)[0])
    finally:
        process.kill()
        process.wait()


def answer_of(address):
    for _ in range(100):
        try:
            with urllib.request.urlopen(address, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.URLError:
            time.sleep(0.1)
    raise AssertionError("no answer")


def test_serve_says_where_it_is_and_what_is_missing_and_ends_quietly(scored):
    with serving("serve", "--workspace", scored.folder, "--port", 0) as (address, said, process):
        assert "winpredict people add" in "".join(said)
        assert answer_of(f"{address}/sign-in")[0] == 200
    assert process.returncode == 0
    assert "Traceback" not in "".join(said)
    assert "is closed" in said[-1]
    assert shown(scored).deals > 20


def test_serve_refuses_what_cannot_work(workspace):
    where = ["--workspace", workspace.folder]
    assert "need PostgreSQL" in run("serve", "--workers", 2, *where, code=2)
    assert "is no address of this machine" in run("serve", "--host", "no.such.host.invalid", *where, code=2)
    with serving("serve", *where, "--port", 0) as (address, said, _):
        assert "no scores yet" in "".join(said)
        assert "another port" in run("serve", *where, "--port", address.rpartition(":")[2], code=2)


def test_serve_warns_where_others_reach_it_without_tls(workspace, tmp_path, monkeypatch):
    monkeypatch.setattr(serve, "run_desk", lambda *_: None)

    def warns(**settings):
        (tmp_path / "app.yaml").write_text(json.dumps({"app": settings}))
        said = run("serve", "--workspace", workspace.folder, "--config", tmp_path / "app.yaml")
        return "warning: 0.0.0.0 can be reached from other machines, and passwords cross the network as plain" in said

    assert warns(host="0.0.0.0")
    assert warns(host="0.0.0.0", public_url="http://desk.example.com")
    assert not warns(host="0.0.0.0", public_url="https://desk.example.com")
    assert not warns()


def test_an_alias_moved_to_another_model_asks_for_new_scores(scored, world, model, quick_config):
    run("publish", "--workspace", scored.folder)
    example = model.build_features(world.crm, pipeline(world.crm, world.crm.known_until))
    log_training(scored.folder, model, config=quick_config, fingerprint="", example=example)
    promote(scored.folder, 2)
    assert "winpredict score" in run("publish", "--workspace", scored.folder, code=2)


def test_a_demo_for_the_desk_is_on_loopback_and_lets_in_one_of_each_role(tmp_path, monkeypatch):
    from winpredict.cli import demo
    from winpredict.config import Config

    quick = {
        "model": {"bags": 1, "trees": 20, "large_leaves": 0, "threads": 1},
        "snapshots": {"every_days": 30},
        "backtest": {"folds": 1},
    }
    monkeypatch.setattr(demo, "demo_config", lambda seed: Config.model_validate(quick | {"seed": seed}))
    served = []
    monkeypatch.setattr(demo, "run_desk", lambda place, settings: served.append(settings.app))
    where = ["--workspace", tmp_path / "w", "--deals", 400, "--json"]
    assert "leave --crm out" in run("demo", "--serve", "--crm", "hubspot", *where, code=2)
    assert "12 to 256" in run("demo", "--serve", "--password", "short", *where, code=2)
    parsed = json.loads(run("demo", "--serve", "--port", 0, *where))
    assert [each["role"] for each in parsed["people"]] == ["rep", "manager", "scientist", "admin"]
    assert served[0].host == "127.0.0.1"
    database = open_database("", tmp_path / "w")
    source = Source("127.0.0.1")
    for each in parsed["people"]:
        person = check_password(database, each["email"], parsed["password"], source)
        assert (person.crm_user_id is not None) == (person.role in ("rep", "manager"))
    assert published(database).id > 4
    database.close()
    again = json.loads(run("demo", "--serve", "--port", 0, "--password", PASSWORD, *where))
    assert again["password"] == PASSWORD
    assert "traceback" not in str(again).lower()


def test_every_sentence_about_people_is_translated(scored, world, wide):
    where = ["--workspace", scored.folder, "--locale", "en_XA"]
    data = [str(scored.folder), "ann@example.com", *map(str, world.crm.users["user_id"])]
    printed = [
        run("publish", *where),
        run("publish", *where),
        run("people", "list", *where),
        run("people", "add", "ann@example.com", "--crm-user", "nobody", "--no-password", *where),
        run("people", "add", "bob@example.com", "--no-password", *where),
        run("people", "list", *where),
        run("people", "deactivate", "bob@example.com", *where),
        run("people", "reset-password", "ann@example.com", "--password-stdin", *where, typed=f"{PASSWORD}\n"),
        run("audit", "--output", scored.folder / "log.csv", *where),
    ]
    assert untranslated_words("\n".join(printed), [*data, "bob@example.com", "nobody"]) == []
    where[-1] = "fr"
    printed = run("people", "add", "cat@example.com", "--role", "scientist", "--no-password", *where)
    assert printed == "cat@example.com peut se connecter. Rôle\u00a0: data scientist.\n"
    deals = len(scored.latest_scores())
    assert run("publish", *where) == f"Le win desk affiche déjà ces chances, de {deals} affaires en cours.\n"


def test_every_sentence_of_a_start_is_translated(workspace, monkeypatch):
    monkeypatch.setattr(serve, "run_desk", lambda *_: None)
    printed = run("serve", "--host", "0.0.0.0", "--workspace", workspace.folder, "--locale", "en_XA")
    assert untranslated_words(printed, [str(workspace.folder)]) == []
    assert len(printed.splitlines()) == 3
