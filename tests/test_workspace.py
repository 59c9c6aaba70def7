import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from winpredict import workspace as module
from winpredict.errors import WinPredictError, WorkspaceError
from winpredict.tables.crm import CRMData
from winpredict.workspace import Workspace, default_folder, fingerprint


@pytest.fixture
def small(world):
    return CRMData.from_tables(world.crm.deals.head(30), stage_order=world.crm.stage_order)


def saved(folder, crm, **options):
    workspace = Workspace(folder)
    with workspace.writing():
        workspace.save_import(crm, profile="generic", **options)
    return workspace


def test_what_was_imported_comes_back_with_its_story(tmp_path, small):
    rows = pd.DataFrame({"cause": ["odd"], "note": ["=cmd|calc"]})
    source = {"path": "deals.csv", "sha256": "00"}
    place = saved(tmp_path, small, sources=[source], repairs={"deals: odd": 1}, quarantine={"deals": rows})
    pd.testing.assert_frame_equal(place.crm().deals, small.deals)
    assert place.manifest["rows"] == {"deals": 30}
    assert place.manifest["schema_version"] == 1
    assert place.manifest["imports"][0]["sources"] == [source]
    assert place.manifest["imports"][0]["repairs"] == {"deals: odd": 1}
    assert (tmp_path / "quarantine" / "deals.csv").read_text().endswith("odd,'=cmd|calc\n")


def test_an_empty_workspace_says_what_to_do(tmp_path):
    with pytest.raises(WorkspaceError, match="winpredict import"):
        Workspace(tmp_path).crm()


def test_another_layout_is_refused(tmp_path, small):
    place = saved(tmp_path, small)
    (tmp_path / "manifest.json").write_text(json.dumps({"schema_version": 99}))
    with pytest.raises(WorkspaceError, match="layout version 99"):
        _ = place.manifest


@pytest.mark.parametrize("writer", [(pd.DataFrame, "to_parquet"), (pd.DataFrame, "to_csv"), (Path, "write_text")])
def test_a_full_disk_leaves_the_earlier_import(tmp_path, small, monkeypatch, writer):
    rejected = {"deals": pd.DataFrame({"cause": ["odd"]})}
    place = saved(tmp_path, small)
    before = place.manifest

    def full(*args, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(*writer, full)
    with pytest.raises(WinPredictError, match="No space left on device"):
        saved(tmp_path, CRMData.from_tables(small.deals.head(3)), quarantine=rejected)
    monkeypatch.undo()
    assert len(place.crm().deals) == 30
    assert place.manifest == before
    assert not list(tmp_path.glob(".incoming*"))


def test_a_folder_that_cannot_be_written_is_told_in_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match="--workspace"), Workspace(tmp_path / "file").writing():
        pass


def test_a_disk_too_full_for_the_lock_is_told_in_a_sentence(tmp_path, small, monkeypatch):
    place = saved(tmp_path, small)

    def full():
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.os, "getpid", full)
    with pytest.raises(WorkspaceError, match="No space left on device"), place.writing():
        pass
    monkeypatch.undo()
    assert len(place.crm().deals) == 30


def test_what_a_killed_import_left_half_written_is_swept_away(tmp_path, small):
    place = saved(tmp_path, small)
    (tmp_path / ".incoming-abc" / "tables").mkdir(parents=True)
    assert len(place.crm().deals) == 30
    with place.writing():
        assert not list(tmp_path.glob(".incoming*"))


@pytest.mark.parametrize("moves", [0, 1, 2])
def test_an_import_killed_while_its_parts_are_moved_is_finished_later(tmp_path, small, monkeypatch, moves):
    place = saved(tmp_path / "project", small)
    saved(tmp_path / "later", CRMData.from_tables(small.deals.head(3)))
    (tmp_path / "later" / ".lock").unlink()
    os.rename(tmp_path / "later", place.folder / ".incoming")  # finished, its parts not yet in their places
    real, moved = os.replace, []

    def killed(source, target):
        if len(moved) == moves:
            raise KeyboardInterrupt
        moved.append(source)
        real(source, target)

    monkeypatch.setattr(module.os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        place.crm()
    monkeypatch.undo()
    assert len(place.crm().deals) == 3
    assert place.manifest["rows"] == {"deals": 3}
    assert not (place.folder / ".incoming").exists()


def test_two_processes_do_not_write_at_once(tmp_path):
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom winpredict.workspace import Workspace\n"
        "with Workspace(Path(sys.argv[1])).writing():\n    print('held', flush=True)\n    time.sleep(30)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(WorkspaceError, match=f"process {holder.pid}"), Workspace(tmp_path).writing():
            pass
        holder.kill()
    with Workspace(tmp_path).writing():  # a killed holder stands in nobody's way
        pass


def test_the_fingerprint_is_of_the_facts_and_not_of_their_order(small):
    turned = CRMData.from_tables(small.deals.iloc[::-1], stage_order=small.stage_order)
    changed = CRMData.from_tables(small.deals.assign(amount=1.0), stage_order=small.stage_order)
    assert fingerprint(turned) == fingerprint(small)
    assert fingerprint(changed) != fingerprint(small)


def test_the_default_folder_comes_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("WINPREDICT_WORKSPACE", str(tmp_path))
    assert default_folder() == tmp_path
    monkeypatch.delenv("WINPREDICT_WORKSPACE")
    assert default_folder().name == "winpredict-workspace"
