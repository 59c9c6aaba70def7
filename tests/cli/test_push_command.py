"""winpredict push, against a stand-in: from a sync to fields in the CRM, and back."""

import json

import pytest
from typer.testing import CliRunner

from winpredict.cli import app
from winpredict.fake_crms.fake_servers import connected, fake_server
from winpredict.simulate.world import simulate
from winpredict.sources import crms

SETTINGS = "model: {bags: 1, trees: 20, large_leaves: 0}\nsnapshots: {every_days: 30}\n"


def run(*command: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, [*map(str, command)], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done.stdout if code == 0 else done.output


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """A workspace synced with a stand-in, trained and scored; and the stand-in."""
    place = tmp_path_factory.mktemp("pushed")
    server = fake_server("hubspot", simulate(300, seed=3))
    with connected("hubspot", server) as config, pytest.MonkeyPatch.context() as patch:
        source = crms.connect_to("hubspot", config)
        patch.setattr(crms, "connect_to", lambda name, settings: source)
        (place / "knobs.yaml").write_text(SETTINGS)
        run("sync", "hubspot", "--workspace", place / "w", "--json")
        run("train", "--workspace", place / "w", "--config", place / "knobs.yaml", "--json")
        assert "no scores yet" in run("push", "hubspot", "--workspace", place / "w", code=2)
        run("score", "--workspace", place / "w", "--json")
        yield place / "w", server


def test_from_a_dry_run_to_fields_and_back(scored):
    place, server = scored
    made = json.loads(run("push", "hubspot", "--create-fields", "--workspace", place, "--json"))
    deals = made["counts"]["differs"]
    assert deals > 5
    assert not server.writes
    assert len(made["fields"]) == 5
    words = run("push", "hubspot", "--workspace", place)
    assert "nothing was written; add --apply to write" in words
    done = json.loads(run("push", "hubspot", "--apply", "--workspace", place, "--json"))
    assert done["counts"] == {"written": deals}
    assert len(server.writes) == len({(deal, field) for deal, field, _ in server.writes}) == 5 * deals
    again = json.loads(run("push", "hubspot", "--apply", "--workspace", place, "--json"))
    assert again["counts"] == {"unchanged": deals}
    back = json.loads(run("push", "hubspot", "--undo", done["undo_file"], "--apply", "--workspace", place, "--json"))
    assert back["counts"] == {"written": deals}
