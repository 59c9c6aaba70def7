"""winpredict run, against a fake server: every step in its turn, a log, an exit code, and a digest that arrives."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from printed_words import untranslated_words
from typer.testing import CliRunner

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from winpredict.cli import app
from winpredict.locale.text import text
from winpredict.simulate.world import simulate, write_salesforce_export
from winpredict.workspace import Workspace
from winpredict_sandbox.changes import Closing, apply_random_changes
from winpredict_sandbox.fake_servers import connected, fake_server

SETTINGS = {"model": {"bags": 1, "trees": 20, "large_leaves": 0}, "snapshots": {"every_days": 30}}
DAY = 24 * 3600.0


def run(*command: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, [*map(str, command)], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done.stdout if code < 2 else done.output


class Office:
    """A workspace, the fake server that it is synced with, and a config that may be changed."""

    def __init__(self, place, server, settings):
        self.place, self.server, self.settings = place, server, settings

    def run(self, *options, code=0, **settings):
        config = self.place / "knobs.yaml"
        config.write_text(yaml.safe_dump(self.settings | {"run": settings}))
        return run("run", "hubspot", "--workspace", self.place / "w", "--config", config, *options, code=code)

    def told(self, code=0, **settings):
        return json.loads(self.run("--json", code=code, **settings))

    def a_day_passes(self, changes=0):
        list(apply_random_changes(self.server, np.random.default_rng(changes), changes))
        self.server.clock.advance(DAY)


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    place = tmp_path_factory.mktemp("run")
    server = fake_server("hubspot", simulate(300, seed=3))
    with connected("hubspot", server) as config:
        office = Office(place, server, SETTINGS | {"crm": config.model_dump(mode="json")["crm"]})
        (place / "knobs.yaml").write_text(yaml.safe_dump(office.settings))
        own = ["--workspace", place / "w", "--config", place / "knobs.yaml", "--json"]
        run("sync", "hubspot", *own)
        run("train", *own)
        run("score", "--workspace", place / "w", "--json")
        run("push", "hubspot", "--create-fields", *own)
        yield office


@pytest.fixture
def listener(monkeypatch):
    taken = []

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self):
            taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *said):
            pass

    server = HTTPServer(("127.0.0.1", 0), Taking)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("WINPREDICT_DIGEST_URL", f"json://127.0.0.1:{server.server_port}/hook")
    yield taken
    server.shutdown()
    server.server_close()


def steps(found):
    return {each["step"]: each["outcome"] for each in found["steps"]}


def test_everything_in_one_go(office, listener):
    first = office.told(push=True, reports=["pipeline", "model-card"], report_suffix="md", digest=["digest_url"])
    names = ["sync", "check", "monitor", "score", "push", "report pipeline", "report model-card", "tidy", "digest"]
    assert steps(first) == dict.fromkeys(names, "done")
    assert (office.place / "w" / "reports" / "pipeline.md").exists()
    written = len(office.server.writes)
    deals = first["steps"][4]["counts"]["written"]
    assert 0 < 5 * deals <= written <= 7 * deals  # not every deal has a flag or a next step
    assert "No earlier scores to compare with." in listener[0]["message"]
    office.a_day_passes(changes=60)
    second = office.told(push=True, digest=["digest_url"], moved_points=1)
    assert second["steps"][0]["counts"]["changed"] > 0
    assert second["steps"][4]["counts"]["written"] > 0
    assert "compared with" in listener[1]["message"]
    assert "Odds that" in listener[1]["message"]
    lines = [json.loads(line) for line in Path(second["log"]).read_text().splitlines()]
    assert [line["step"] for line in lines[1:-1]] == [name for name in names if not name.startswith("report")]
    assert lines[-1]["code"] == 0
    assert all(line["seconds"] >= 0 for line in lines[1:-1])


def test_refused_records_and_bad_data_are_problems(office, listener):
    office.a_day_passes(changes=40)
    office.server.changing.rules.append(lambda values: "no scores on Fridays" if values.get("winpredict_odds") else "")
    try:
        found = office.told(code=1, push=True, problems="warning", digest=["digest_url"])
    finally:
        office.server.changing.rules.clear()
    assert steps(found) == {
        "sync": "done",
        "check": "problems",
        "monitor": "done",
        "score": "done",
        "push": "problems",
        "tidy": "done",
        "digest": "done",
    }
    refused = [said for said in found["steps"][4]["problems"] if "hubspot refused" in said]
    assert refused
    assert "no scores on Fridays" in refused[0]
    assert "hubspot refused" in listener[0]["message"]
    assert "problem" in listener[0]["title"]


def test_what_fails_is_told_and_the_digest_still_goes(office, listener, monkeypatch):
    monkeypatch.setenv("WINPREDICT_HUBSPOT_TOKEN", "pat-wrong-0000")
    found = office.told(code=2, push=True, digest=["digest_url"])
    assert steps(found) == {
        "sync": "failed",
        "check": "skipped",
        "monitor": "skipped",
        "score": "skipped",
        "push": "skipped",
        "tidy": "skipped",
        "digest": "done",
    }
    assert "401" in found["steps"][0]["problems"][0]
    assert "sync:" in listener[0]["message"]
    assert listener[0]["title"] == "winpredict: run failed"
    words = office.run(code=2, push=True)
    assert "Traceback" not in words
    assert "sync: " in words


def test_a_step_that_nothing_depends_on_fails_alone(office, monkeypatch):
    monkeypatch.delenv("WINPREDICT_DIGEST_URL", raising=False)
    monkeypatch.setenv("WINPREDICT_SECRETS", "/nowhere.yaml")
    found = office.told(code=2, reports=["pipeline"], report_suffix="md", digest=["digest_url"])
    assert steps(found)["report pipeline"] == "done"
    assert "no secret digest_url" in found["steps"][-1]["problems"][0]


def test_a_fault_of_winpredict_in_one_step_is_told_and_the_others_go_on(office, listener, monkeypatch, tmp_path):
    def broken(*_, **__):
        raise KeyError("a fault")

    monkeypatch.setenv("WINPREDICT_LOG_DIR", str(tmp_path))
    monkeypatch.setattr("winpredict.workflows.monitoring.monitor_workspace", broken)
    found = office.told(code=70, digest=["digest_url"])
    assert steps(found) == {
        "sync": "done", "check": "done", "monitor": "crashed", "score": "done", "tidy": "done", "digest": "done",
    }  # fmt: skip
    (log,) = tmp_path.glob("error-*.log")
    assert "a fault" in log.read_text()
    assert str(log) in found["steps"][2]["problems"][0]
    assert "was not foreseen" in listener[0]["message"]


def test_a_run_reads_files_by_the_profile_of_the_last_import(tmp_path, monkeypatch):
    monkeypatch.setenv("WINPREDICT_LOG_DIR", str(tmp_path))
    world = simulate(300, seed=3)
    export = tmp_path / "export"
    write_salesforce_export(world, export, as_of="2024-12-01")
    (tmp_path / "knobs.yaml").write_text(yaml.safe_dump(SETTINGS))
    own = ["--workspace", tmp_path / "w", "--config", tmp_path / "knobs.yaml", "--json"]
    assert "no profile is known; name it" in run("run", export, *own, code=2)
    run("import", export, "--profile", "salesforce", *own)
    run("train", *own)
    write_salesforce_export(world, export)
    found = json.loads(run("run", export, *own, code=1))
    assert steps(found) == {"import": "done", "check": "done", "monitor": "problems", "score": "done", "tidy": "done"}
    counts = {each["step"]: each["counts"] for each in found["steps"]}
    assert counts["import"]["deals"] == len(world.crm.deals)
    assert counts["monitor"]["checks"]["freshness"] == "act"  # by the clock, the world ended long ago
    assert counts["score"]["deals"] == (world.crm.deals["outcome"] == "open").sum()
    assert "run.push writes scores into a live CRM" in run(
        "run", export, *own[:2], "--config", with_push(tmp_path), code=2
    )
    assert "is neither a CRM that can be synced" in run("run", "pipedrive", *own, code=2)


def with_push(place):
    (place / "push.yaml").write_text(yaml.safe_dump(SETTINGS | {"run": {"push": True}}))
    return place / "push.yaml"


def test_a_run_speaks_the_language_of_its_config(office, listener, wide):
    office.settings["language"] = "en_XA"
    try:
        printed = office.run("--locale", "en_XA", push=True, reports=["pipeline"], report_suffix="md")
        office.settings["language"] = "fr"
        french = office.run(reports=["pipeline"], report_suffix="md", digest=["digest_url"])
    finally:
        del office.settings["language"]
    files = [str(path) for name in ("push", "reports", "runs") for path in (office.place / "w" / name).iterdir()]
    assert untranslated_words(printed, files) == []
    steps = [line.split("│")[1].strip() for line in french.splitlines() if line.startswith("│")]
    assert steps == [
        "synchronisation", "vérification", "surveillance", "calcul des chances", "rapport du pipeline", "rangement",
        "récapitulatif",
    ]  # fmt: skip
    assert "affaires en cours" in listener[0]["message"]
    assert "affaires en cours" in (office.place / "w" / "reports" / "pipeline.md").read_text()


def test_a_second_run_ends_at_once(office):
    with Workspace(office.place / "w").writing():
        assert "is being written by process" in office.run(code=3)


def test_an_address_in_the_config_is_refused_and_not_repeated(office):
    said = office.run(code=2, digest=["slack://T0SECRET/B0SECRET/xyz"])
    assert "the name of a secret" in said
    assert "T0SECRET" not in said


def test_a_killed_run_has_logged_what_it_had_done(office, monkeypatch):
    def killed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("winpredict.workflows.daily.score_workspace", killed)
    office.run(code=130)
    log = max((office.place / "w" / "runs").glob("*.jsonl"))
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(each.get("step"), each.get("outcome")) for each in lines[1:]] == [
        ("sync", "done"),
        ("check", lines[2]["outcome"]),
        ("monitor", "done"),
        ("score", "stopped"),
    ]


def test_scores_of_an_earlier_day_are_not_pushed(office):
    office.a_day_passes()
    office.told()
    workspace = Workspace(office.place / "w")
    day = workspace.latest_scores()["as_of"].max()
    assert workspace.latest_scores(before=day)["as_of"].max() < day
    long_ago = workspace.latest_scores()
    workspace.keep_scores(
        long_ago.assign(as_of=day - pd.Timedelta("90D"), win_probability=0.0), day - pd.Timedelta("90D")
    )
    assert workspace.latest_scores()["as_of"].max() == day
    won = office.server.open_deals()[0]
    office.server.apply(Closing(won, won=True))
    run("sync", "hubspot", "--workspace", workspace.folder, "--config", office.place / "knobs.yaml", "--json")
    parsed = json.loads(
        run("push", "hubspot", "--workspace", workspace.folder, "--config", office.place / "knobs.yaml", "--json")
    )
    assert won in set(workspace.latest_scores()["deal_id"])
    assert sum(parsed["counts"].values()) == len(workspace.latest_scores()) - 1


def test_a_challenger_is_trained_when_it_is_due(office):
    office.settings["retraining"] = {"when": "monthly"}
    office.server.clock.advance(32 * DAY)  # in which nothing happens, which is a reason to act
    try:
        first, second = office.told(code=1), office.told(code=1)
    finally:
        del office.settings["retraining"]
    done = {each["step"]: each["counts"] for each in first["steps"]}
    assert done["monitor"]["checks"]["freshness"] == "act"
    assert done["retrain"]["due"]
    assert "the latest model is of" in done["retrain"]["why"]
    assert done["score"]["model"] == str(done["retrain"]["challenger" if done["retrain"]["promoted"] else "champion"])
    assert {each["step"]: each["counts"] for each in second["steps"]}["retrain"] == {"due": False}


def test_the_digest_tells_what_to_keep_an_eye_on(office, listener, monkeypatch):
    from winpredict.models.monitoring import Check, Health
    from winpredict.workflows import monitoring

    def watched(workspace, settings, *, progress=None) -> Health:
        return found

    checks = [Check("freshness", "watch", text("The data are two days old."))]
    found = Health(pd.Timestamp("2025-01-01", tz="UTC"), 1, tuple(checks))
    monkeypatch.setattr(monitoring, "monitor_workspace", watched)
    office.told(digest=["digest_url"])
    assert "Keep an eye on Freshness of the data: The data are two days old." in json.dumps(listener[-1])
