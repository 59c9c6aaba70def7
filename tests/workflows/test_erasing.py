"""Who is erased is in no file any more, while all else stays as it was."""

import json
import os
import shutil
import stat
from dataclasses import replace

import pandas as pd
import pytest
from desk_world import fill
from kept_values import found_in

from winpredict import CRMData, score, train
from winpredict.connectors.push.undo import Replaced, UndoFile
from winpredict.errors import WinPredictError
from winpredict.models.registry import load_model
from winpredict.workflows.erasing import OUTSIDE, erase, personal_data
from winpredict.workflows.steps import Step, StepResult, run_steps
from winpredict.workspace import Workspace

FIRST = ("Ann", "Bela", "Çelik", "Dörte", "Émile", "Femke", "Goran", "Hana")
LAST = ("Quist", "O'Neil", "Zwettler", "Ibáñez", "Nakamura", "Le Goff", "Ruud", "Petrov")
TRADES = ("Foundry", "Optics", "Freight", "Dairy", "Robotics")


def people_of(frame: pd.DataFrame) -> pd.DataFrame:
    names = [f"{FIRST[n % 8]} {LAST[(n // 8 + n) % 8]}" for n in range(len(frame))]
    return frame.assign(name=names, email=[f"u{n}.{'mail'}@corp-{n}.example" for n in range(len(frame))])


@pytest.fixture(scope="module")
def company(world) -> CRMData:
    """The simulated company with names that are names."""
    crm = world.crm
    users = people_of(crm.users)
    accounts = crm.accounts.assign(name=[f"Karsten {n:03d} {TRADES[n % 5]}" for n in range(len(crm.accounts))])
    names = crm.deals["account_id"].map(accounts.set_index("account_id")["name"])
    owners = crm.deals["owner_id"].map(users.set_index("user_id")["name"])
    deals = crm.deals.assign(name=names + " renewal", account_manager=owners)
    told = crm.activities["user_id"].map(users.set_index("user_id")["name"])
    activities = crm.activities.assign(subject="Call by " + told)
    tables = {name: frame for name, frame in crm.tables() if name not in ("deals", "users", "accounts", "activities")}
    return CRMData.from_tables(
        deals, users=users, accounts=accounts, activities=activities, **tables, stage_order=crm.stage_order
    ).as_known_at(crm.known_until)


@pytest.fixture(scope="module")
def open_to_all():
    """A umask that takes nothing away."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory, company, quick_config, open_to_all):
    """A workspace in which all was done that leaves files."""
    workspace = Workspace(tmp_path_factory.mktemp("privacy") / "workspace")
    user = company.users["name"].iloc[0]
    with workspace.writing():
        for _ in range(2):
            rejected = company.users.head(3).assign(cause="an odd row")
            workspace.save_import(company, profile="generic", quarantine={"users": rejected})
        config = quick_config.model_copy(
            update={"attributes": quick_config.attributes.model_copy(update={"keep": ("account_manager",)})}
        )
        fill(workspace, train(workspace.crm(), config), config)
        undo = UndoFile(workspace.folder / "push", "salesforce")
        undo.keep([Replaced("d1", "Note", "text", f"ask {user}", "no")])
        undo.close()
        added = workspace.added_folder / "000000-mark" / "000000"
        added.mkdir(parents=True)
        (added / "calls.csv").write_text(
            f"call_id,deal_id,user_id,who\n1,d,{company.users['user_id'].iloc[0]},{user}\n2,d,nobody,x\n"
        )
        (added.parent / "profile.yaml").write_text("extends: tenfold\n")
        (workspace.folder / "reports").mkdir()
        (workspace.folder / "reports" / "pipeline.html").write_text(f"<b>{user}</b>")
    run_steps(workspace, "files", lambda done: [Step("look", lambda: StepResult({}, [f"{user} has no quota"]))])
    return workspace


@pytest.fixture
def workspace(lived_in, tmp_path):
    shutil.copytree(lived_in.folder, tmp_path / "workspace")
    return Workspace(tmp_path / "workspace")


def erased(workspace, *subject):
    with workspace.writing():
        return erase(workspace, *subject, by="Dana")


def odds(workspace):
    scores = score(load_model(workspace.folder), workspace.crm(), details=False)
    return scores.set_index("deal_id")["win_probability"]


def test_a_user_is_in_no_file_any_more_and_the_odds_are_as_they_were(workspace, company):
    user = company.users.iloc[0]
    values = (user["user_id"], user["name"], user["email"])
    before, rows = odds(workspace), workspace.crm().rows
    places = found_in(workspace.folder, *values)
    assert {path.split("/")[0] for path in places} >= {"versions", "artifacts", "push", "runs", "raw", "reports"}
    receipt = erased(workspace, "user", user["user_id"])
    assert found_in(workspace.folder, *values) == {}
    assert set(receipt.found) == {"tables", "added", "scores", "models", "logs", "reports"}
    assert receipt.models == (1,)
    assert not receipt.left
    pd.testing.assert_series_equal(odds(workspace), before)
    crm = workspace.crm()
    assert crm.rows == rows
    for name, frame in company.tables():
        for column in frame.columns.difference(["email"]):
            assert dict(crm.tables())[name][column].nunique() == frame[column].nunique(), (name, column)
    assert len(list((workspace.folder / "versions").iterdir())) == 1
    assert found_in(workspace.folder, company.users["name"].iloc[1])


def test_an_account_goes_with_its_contacts_and_the_names_of_its_deals(workspace, company):
    deals = company.deals
    alone = company.contacts.merge(deals[["deal_id", "account_id"]]).groupby("contact_id")["account_id"]
    chosen = alone.first()[alone.agg(lambda each: len(set(each))) == 1].iloc[0]
    account = company.accounts.set_index("account_id", drop=False).loc[chosen]
    theirs = deals.loc[deals["account_id"] == account["account_id"], "deal_id"]
    on_theirs = company.contacts["deal_id"].isin(theirs)
    contacts = set(company.contacts.loc[on_theirs, "contact_id"]) - set(company.contacts.loc[~on_theirs, "contact_id"])
    values = (account["account_id"], account["name"])
    assert contacts
    receipt = erased(workspace, "account", account["account_id"])
    assert receipt.contacts == len(contacts)
    assert found_in(workspace.folder, *values, *contacts) == {}
    crm = workspace.crm()
    assert crm.deals.loc[crm.deals["deal_id"].isin(theirs), "name"].isna().all()
    kept = crm.accounts[crm.accounts["account_id"].str.contains("erased-")]
    same = ["industry", "employees", "created_at"]
    pd.testing.assert_frame_equal(kept[same], company.accounts.loc[kept.index, same])
    assert company.accounts.loc[kept.index, "account_id"].tolist() == [chosen]
    others = ~deals["deal_id"].isin(theirs)
    pd.testing.assert_frame_equal(crm.deals[others], deals[others])
    assert crm.rows == company.rows


def test_a_contact_loses_what_was_written_about_their_touches(workspace, company):
    contact = company.activities["contact_id"].dropna().iloc[0]
    before = odds(workspace)
    erased(workspace, "contact", contact)
    assert found_in(workspace.folder, contact) == {}
    with_them = company.activities["contact_id"] == contact
    after = workspace.crm().activities
    assert after.loc[with_them, "subject"].isna().all()
    assert len(set(after.loc[with_them, "contact_id"])) == 1
    pd.testing.assert_frame_equal(after[~with_them], company.activities[~with_them])
    theirs = company.activities.loc[with_them, "deal_id"]
    pd.testing.assert_series_equal(odds(workspace).drop(theirs, errors="ignore"), before.drop(theirs, errors="ignore"))


def test_an_import_does_not_bring_anybody_back(workspace, company):
    user, contact = company.users.iloc[0], company.contacts["contact_id"].iloc[0]
    for subject in (("user", user["user_id"]), ("contact", contact)):
        erased(workspace, *subject)
    stored = workspace.crm()
    with workspace.writing():
        workspace.save_import(
            replace(company, known_until=stored.known_until), profile="generic", quarantine={"users": company.users}
        )
        workspace.save_import(company, profile="generic")
    assert found_in(workspace.folder, user["user_id"], user["name"], user["email"], contact) == {}
    for name, frame in stored.tables():
        pd.testing.assert_frame_equal(dict(workspace.crm().tables())[name], frame)


def test_the_receipt_tells_what_happened_and_nothing_of_whom(workspace, company):
    user = company.users.iloc[0]
    receipt = erased(workspace, "user", user["user_id"])
    kept = json.loads(receipt.path.read_text())
    assert kept["found"] == receipt.found
    assert (kept["by"], kept["kind"], kept["comes_back"]) == ("Dana", "user", False)
    assert len(kept["outside"]) == len(OUTSIDE)
    assert receipt.path.parent == workspace.folder / "receipts"
    assert erased(workspace, "user", user["user_id"]).mark == receipt.mark  # so it is known again


def test_nothing_changes_where_nobody_is_found(workspace):
    before = {path: path.stat().st_mtime_ns for path in workspace.folder.rglob("*") if path.is_file()}
    with workspace.writing(), pytest.raises(WinPredictError, match=r"nothing in .* tells of contact nobody"):
        erase(workspace, "contact", "nobody")
    after = {path: path.stat().st_mtime_ns for path in workspace.folder.rglob("*") if path.is_file()}
    assert {path.name for path, _ in before.items() ^ after.items()} <= {".lock"}


def test_a_dry_run_counts_and_changes_nothing(workspace, company):
    user = company.users["user_id"].iloc[0]
    with workspace.writing():
        found = erase(workspace, "user", user, apply=False)
        assert found.path is None
        assert not (workspace.folder / "erased.json").exists()
        done = erase(workspace, "user", user)
    assert found.found.pop("earlier") > 0
    assert found.found == done.found


def test_a_killed_erasure_is_completed_by_running_it_again(workspace, company, monkeypatch):
    user = company.users.iloc[0]
    values = (user["user_id"], user["name"], user["email"])
    kill_after = iter(range(3, 99, 6))
    from winpredict._internal import atomic

    real, left = os.replace, [next(kill_after)]

    def killed(source, target):
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(atomic.os, "replace", killed)
    kills = 0
    while True:
        try:
            receipt = erased(workspace, "user", user["user_id"])
            break
        except KeyboardInterrupt:
            kills += 1
            left[0] = next(kill_after)
    assert kills > 1
    assert found_in(workspace.folder, *values) == {}
    assert not receipt.left
    odds(workspace)  # the model's files are whole


def test_a_version_that_is_being_read_is_left_and_told(workspace, company):
    user = company.users["user_id"].iloc[0]
    reader = workspace.version()
    receipt = erased(workspace, "user", user)
    assert "is being read; run the command again" in str(receipt.left[0])
    assert reader.crm().rows
    del reader
    assert not erased(workspace, "user", user).left
    assert found_in(workspace.folder, user) == {}


def test_personal_data_tells_the_rows_of_one_person(workspace, company):
    user = company.users.iloc[1]
    found = personal_data(workspace, "user", user["user_id"])
    assert [row["email"] for row in found["tables"]["users"]] == [user["email"]]
    owned = company.deals["owner_id"] == user["user_id"]
    assert len(found["tables"]["deals"]) == int(owned.sum())
    with pytest.raises(WinPredictError, match="nothing in"):
        personal_data(workspace, "user", "nobody")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_all_files_are_their_owners_alone(lived_in, tmp_path):
    shutil.copytree(lived_in.folder, tmp_path / "restored")
    for path in (tmp_path / "restored").rglob("*"):
        path.chmod(0o777 if path.is_dir() else 0o666)
    with Workspace(tmp_path / "restored").writing():
        pass
    for folder in (lived_in.folder, tmp_path / "restored"):
        modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()}
        folders = {stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.rglob("*")] if path.is_dir()}
        assert (modes, folders) == ({0o600}, {0o700})
