"""For each CRM: who was erased is gone from the raw records, and no later sync brings them back."""

import os
import stat

import pandas as pd
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from kept_values import found_in

from winpredict.connectors.registry import CRMS
from winpredict.connectors.store import RawStore
from winpredict.connectors.supplementary_imports import SupplementaryImports
from winpredict.ingest.profiles import load_profile
from winpredict.privacy.erased import Erased
from winpredict.simulate.world import simulate
from winpredict.workflows.erasing import erase
from winpredict.workflows.syncing import sync_workspace
from winpredict.workspace import Workspace
from winpredict_sandbox.fake_servers import connected, fake_server


@pytest.fixture(scope="module")
def company():
    return simulate(90, seed=6)


@pytest.fixture
def open_to_all():
    """A umask that takes nothing away."""
    before = os.umask(0)
    yield
    os.umask(before)


def chosen(crm) -> dict[str, str]:
    """The busiest user and account, and a contact."""
    deals = crm.deals
    return {
        "contact": crm.activities["contact_id"].dropna().iloc[0],
        "user": deals["owner_id"].value_counts().index[0],
        "account": deals["account_id"].value_counts().index[0],
    }


def in_order(frame: pd.DataFrame) -> pd.DataFrame:
    """Raw records come in the order of their ids, and a pseudonym stands elsewhere than the id did."""
    return frame.sort_values(list(frame.columns), ignore_index=True)


@pytest.mark.parametrize("name", CRMS)
def test_nobody_comes_back_with_a_sync(name, company, tmp_path, open_to_all):
    server = fake_server(name, company, seed=1)
    workspace = Workspace(tmp_path / "workspace")
    with connected(name, server) as config, workspace.writing():
        sync_workspace(workspace, name, config)
        before = workspace.crm()
        subjects = chosen(before)
        names = [
            *before.users.loc[before.users["user_id"] == subjects["user"], ["name", "email"]].iloc[0].dropna(),
            *before.accounts.loc[before.accounts["account_id"] == subjects["account"], "name"],
        ]
        assert len(found_in(workspace.folder, *subjects.values(), *names)) > 5
        for kind, subject in subjects.items():
            erase(workspace, kind, subject)
        erased = workspace.crm()
        assert found_in(workspace.folder, *subjects.values(), *names) == {}
        for again in ({"replay": True}, {}, {"full": True}):
            sync_workspace(workspace, name, config, **again)
            assert found_in(workspace.folder, *subjects.values(), *names) == {}
            after = workspace.crm()
            for table, frame in erased.tables():
                pd.testing.assert_frame_equal(in_order(dict(after.tables())[table]), in_order(frame), obj=table)
    assert erased.rows == before.rows
    if os.name != "nt":
        assert {stat.S_IMODE(path.stat().st_mode) for path in workspace.folder.rglob("*")} == {0o600, 0o700}
    untouched = ~before.deals["account_id"].eq(subjects["account"]) & ~before.deals["owner_id"].eq(subjects["user"])
    pd.testing.assert_frame_equal(erased.deals[untouched], before.deals[untouched])
    for table in ("deals", "deal_history", "activities"):
        for column in set(dict(before.tables())[table]) & {"owner_id", "account_id", "user_id", "contact_id"}:
            counts = [dict(crm.tables())[table][column].value_counts().tolist() for crm in (before, erased)]
            assert counts[0] == counts[1], (table, column)


def test_a_sync_that_was_stopped_goes_on_without_them(tmp_path):
    from winpredict.connectors.base import Page, RawRecord
    from winpredict.privacy.scrubbing import Scrubber

    noon = pd.Timestamp("2025-06-01T12:00Z")

    def users(*ids):
        return Page(tuple(RawRecord(each, {"id": each, "firstName": "Ann"}, noon) for each in ids), resume="x")

    store = RawStore(tmp_path / "hubspot")
    store.begin("owners", None, noon)
    store.keep("owners", users("11", "12", "13"), noon)
    store.finish("owners", noon)
    store.begin("owners", None, noon)  # everything again, which keeps a list of what came
    store.keep("owners", users("11", "12"), noon)
    erased = Erased(b"key")
    (pseudonym,) = erased.add("user", ["12"])
    store.scrub(Scrubber(erased).at("raw"))
    assert found_in(tmp_path, '"12"') == {}
    again = RawStore(tmp_path / "hubspot", erased)
    again.keep("owners", users("13"), noon)
    assert again.finish("owners", noon).total == 0
    assert set(again.latest("owners")["record_id"]) == {"11", "13", pseudonym}
    assert again.latest("owners").set_index("record_id").loc[pseudonym, "record"] == (
        f'{{"firstName":null,"id":"{pseudonym}"}}'
    )


def test_copies_of_added_files_are_kept_without_them(tmp_path):
    calls = tmp_path / "calls.csv"
    calls.write_text("call_id,deal_id,start_time,user_id\n7,a,2025-06-01T12:00Z,u4512q\n")
    erased = Erased(b"key")
    erased.add("user", ["u4512q"])
    SupplementaryImports(tmp_path / "added", erased).keep([calls], load_profile("tenfold"))
    assert found_in(tmp_path / "added", "u4512q") == {}
    assert "7,a,2025-06-01T12:00Z,erased-" in next((tmp_path / "added").rglob("calls.csv")).read_text()
