"""winpredict erase, on what was imported from files."""

import json
from dataclasses import replace

import pytest
from kept_values import found_in
from typer.testing import CliRunner

from winpredict.cli import app
from winpredict.simulate.world import simulate, write_salesforce_export
from winpredict.workspace import Workspace


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    world = simulate(120, seed=6)
    users = world.crm.users.assign(name=[f"Quirina Zwettler {n}" for n in range(len(world.crm.users))])
    path = tmp_path_factory.mktemp("export") / "export.zip"
    write_salesforce_export(replace(world, crm=replace(world.crm, users=users)), path)
    return path


def run(*command: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, [*map(str, command)], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done.output


@pytest.mark.parametrize("buckets", [(), ("--buckets", 3)], ids=["whole", "buckets"])
def test_the_same_export_imported_again_brings_nobody_back(export, tmp_path, buckets):
    place = tmp_path / "place"
    load = ("import", export, "--profile", "salesforce", *buckets, "--workspace", place)
    run(*load)
    before = Workspace(place).crm()
    user = before.users.set_index("user_id")["name"]
    subjects = {
        "--contact": before.contacts["contact_id"].iloc[0],
        "--user": before.deals["owner_id"].iloc[0],
        "--account": before.deals["account_id"].iloc[0],
    }
    values = (*subjects.values(), user[subjects["--user"]])
    assert found_in(place, *values)
    for option, subject in subjects.items():
        run("erase", option, subject, "--yes", "--workspace", place)
    assert found_in(place, *values) == {}
    run(*load)
    assert found_in(place, *values) == {}
    after = Workspace(place).crm()
    assert after.rows == before.rows
    for column in ("owner_id", "account_id"):
        assert after.deals[column].value_counts().tolist() == before.deals[column].value_counts().tolist()
    receipts = [json.loads(path.read_text()) for path in sorted((place / "receipts").iterdir())]
    assert [each["kind"] for each in receipts] == ["contact", "user", "account"]


def test_the_answer_is_json_for_machines_and_nothing_is_asked_of_them(export, tmp_path):
    place = tmp_path / "place"
    run("import", export, "--profile", "salesforce", "--workspace", place)
    user = Workspace(place).crm().users["user_id"].iloc[0]
    facts = json.loads(run("erase", "--user", user, "--dry-run", "--json", "--workspace", place))
    assert facts["found"]["tables"] > 0
    assert facts["receipt"] is None
    assert "nobody is there to ask" in run("erase", "--user", user, "--workspace", place, code=2)
    assert "does not exist" in run("erase", "--user", user, "--dry-run", "--workspace", tmp_path / "nowhere", code=2)
    assert not (tmp_path / "nowhere").exists()
    reader = Workspace(place).version()
    assert "Left to do" in run("erase", "--user", user, "--yes", "--workspace", place, code=1)
    del reader
    again = json.loads(run("erase", "--user", user, "--yes", "--json", "--workspace", place))
    assert (again["left"], again["comes_back"]) == ([], False)
