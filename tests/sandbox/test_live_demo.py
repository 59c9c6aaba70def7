"""winpredict demo --crm: a live CRM played, and nobody's data replaced by it."""

import json
import shutil
import sys

import pytest
from printed_words import untranslated_words
from typer.testing import CliRunner

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from winpredict.cli import app, demo
from winpredict.config import Config
from winpredict.connectors import registry as crms
from winpredict.locale.language import speaking
from winpredict.simulate.world import simulate
from winpredict.workspace import Workspace
from winpredict_sandbox import live_demo
from winpredict_sandbox.fake_servers import connected, fake_server
from winpredict_sandbox.live_demo import play

QUICK = {
    "model": {"bags": 1, "trees": 20, "large_leaves": 0},
    "snapshots": {"every_days": 30},
    "backtest": {"folds": 1},
}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(demo, "demo_config", lambda seed: Config.model_validate(QUICK | {"seed": seed}))


def run(*command: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, [*map(str, command)], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done.stdout if code == 0 else done.output


def test_a_live_crm_is_played_and_played_again(tmp_path, monkeypatch):
    place = ["--workspace", tmp_path / "w", "--deals", 300]
    played = []
    monkeypatch.setattr(live_demo, "play", lambda *asked: played.append(play(*asked)) or played[-1])
    words = run("demo", "--crm", "hubspot", *place)
    for said in (
        "\nSynced ",
        "\nPushed: ",
        "\nA day passed: ",
        "\nSynced again, only what had changed: ",
        "winpredict explain",
        "report pipeline",
        "docs/crm",
    ):
        assert said in words
    with speaking("en_XA"):
        lines = list(played[0]._lines())
    # what went into the CRM is none of the demo's own words
    assert untranslated_words("\n".join(line for line in lines if not line.startswith("  "))) == []
    with speaking("fr"):
        lines = list(played[0]._lines())
    records = played[0].syncs[0].synced.total.new
    assert lines[1] == f"{records // 1000}\u202f{records % 1000:03} enregistrements synchronisés"
    parsed = json.loads(run("demo", "--crm", "salesforce", *place, "--json"))
    assert len(parsed["fields"]) == 7
    first, second = parsed["read"]
    assert first["new"] > 1000 > second["new"] + second["changed"] > 0
    assert parsed["pushed"][0]["written"] > 5
    assert set(parsed["pushed"][1]) <= {"written", "unchanged"}
    assert parsed["values_written"] >= 5 * parsed["pushed"][0]["written"]
    assert sum(parsed["changes"].values()) > 20
    deal = parsed["scores"][0]["deal_id"]
    assert deal in run("explain", deal, "--model", parsed["training"]["version"], "--workspace", tmp_path / "w")
    demo._begin_afresh(Workspace(tmp_path / "w"))
    assert not Workspace(tmp_path / "w").exists
    assert not (tmp_path / "w" / "raw").exists()


def test_synced_data_of_ones_own_is_not_replaced(tmp_path, monkeypatch):
    server = fake_server("zoho", simulate(300, seed=3))
    with connected("zoho", server) as config:
        source = crms.connect_to("zoho", config)
        monkeypatch.setattr(crms, "connect_to", lambda name, settings: source)
        run("sync", "zoho", "--workspace", tmp_path / "w", "--json")
    for more in ((), ("--crm", "zoho"), ("--crm", "hubspot")):
        assert "data of your own" in run("demo", *more, "--workspace", tmp_path / "w", code=2)
    shutil.rmtree(tmp_path / "w" / "versions")
    (tmp_path / "w" / "current").unlink()
    assert "data of your own" in run("demo", "--crm", "hubspot", "--workspace", tmp_path / "w", code=2)


def test_an_account_of_ones_own_that_took_the_place_of_a_demo_is_not_replaced(tmp_path):
    (tmp_path / "w" / "raw" / "hubspot").mkdir(parents=True)
    (tmp_path / "w" / "demo.json").write_text('{"crm": "hubspot", "account": "62515"}')
    state = tmp_path / "w" / "raw" / "hubspot" / "state.json"
    state.write_text('{"version": 1, "account": "4711"}')
    assert "data of your own" in run("demo", "--crm", "hubspot", "--workspace", tmp_path / "w", code=2)
    assert state.exists()


def test_imported_files_are_not_replaced(tmp_path):
    rows = "d1,open,Demo,2025-01-01,\nd2,won,Won,2025-01-01,2025-02-01\n"
    (tmp_path / "deals.csv").write_text("deal_id,outcome,stage,created_at,closed_at\n" + rows)
    run("import", tmp_path / "deals.csv", "--profile", "generic", "--workspace", tmp_path / "w")
    for more in ((), ("--crm", "hubspot")):
        assert "data of your own" in run("demo", *more, "--workspace", tmp_path / "w", code=2)


def test_what_is_not_there_is_named(tmp_path, monkeypatch):
    assert "no live CRM 'pipedrive'" in run("demo", "--crm", "pipedrive", "--workspace", tmp_path / "w", code=2)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    said = run("demo", "--crm", "zoho", "--workspace", tmp_path / "w", code=2)
    assert "fastapi, which is not installed; from a checkout of winpredict: python3 run.py --extra demo" in said
    assert not (tmp_path / "w").exists()
