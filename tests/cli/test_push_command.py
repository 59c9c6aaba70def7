"""winpredict push, against a fake server: from a sync to fields in the CRM, and back."""

import json

import pytest
from printed_words import untranslated_words
from typer.testing import CliRunner

from winpredict.cli import app
from winpredict.connectors import registry as crms
from winpredict.simulate.world import simulate
from winpredict.workspace import Workspace
from winpredict_sandbox.fake_servers import connected, fake_server

SETTINGS = "model: {bags: 1, trees: 20, large_leaves: 0}\nsnapshots: {every_days: 30}\n"


def run(*command: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, [*map(str, command)], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done.stdout if code == 0 else done.output


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """A workspace synced with a fake server, trained and scored; and the fake server."""
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
    assert len(made["fields"]) == 7
    scores = Workspace(place).latest_scores().astype(str)
    data = {words for column in scores for words in scores[column]} | set(made["fields"])
    printed = run("push", "hubspot", "--workspace", place, "--locale", "en_XA")
    # what goes into the CRM is none of the command's own words
    own = [line for line in printed.splitlines() if "│" not in line]
    assert untranslated_words("\n".join(own), data) == []
    printed = run("push", "hubspot", "--workspace", place, "--locale", "fr")
    assert f"\n{deals} affaires changeraient\nRien n’a été écrit. Ajoutez --apply pour écrire.\n" in printed
    words = run("push", "hubspot", "--workspace", place)
    assert "Nothing was written. Add --apply to write.\n" in words
    done = json.loads(run("push", "hubspot", "--apply", "--workspace", place, "--json"))
    assert done["counts"] == {"written": deals}
    assert len(server.writes) == len({(deal, field) for deal, field, _ in server.writes})
    assert 5 * deals <= len(server.writes) == sum(len(change["new"]) for change in done["changes"])
    again = json.loads(run("push", "hubspot", "--apply", "--workspace", place, "--json"))
    assert again["counts"] == {"unchanged": deals}
    back = json.loads(run("push", "hubspot", "--undo", done["undo_file"], "--apply", "--workspace", place, "--json"))
    assert back["counts"] == {"written": deals}
