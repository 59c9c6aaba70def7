import errno
import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from winpredict import workspace as module
from winpredict.errors import WinPredictError, WorkspaceError
from winpredict.tables.buckets import DealBuckets
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
    assert place.manifest["schema_version"] == 2
    assert place.manifest["imports"][0]["sources"] == [source]
    assert place.manifest["imports"][0]["repairs"] == {"deals: odd": 1}
    assert (place.version().quarantine_folder / "deals.csv").read_text().endswith("odd,'=cmd|calc\n")
    assert (tmp_path / "current").read_text() == "000001\n"


def test_an_empty_workspace_says_what_to_do(tmp_path):
    with pytest.raises(WorkspaceError, match="winpredict import"):
        Workspace(tmp_path).crm()


def test_another_layout_is_refused(tmp_path, small):
    place = saved(tmp_path, small)
    path = place.version().folder / "manifest.json"
    path.write_text(json.dumps(place.manifest | {"schema_version": 99}))
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
    assert [path.name for path in (tmp_path / "versions").iterdir()] == ["000001"]


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
    for name in (".unfinished-000002", ".removed-000000"):
        (tmp_path / "versions" / name / "tables").mkdir(parents=True)
    assert len(place.crm().deals) == 30
    with place.writing():
        assert [path.name for path in (tmp_path / "versions").iterdir()] == ["000001"]


def test_an_import_killed_before_it_became_true_has_not_happened(tmp_path, small, monkeypatch):
    place = saved(tmp_path, small)

    def killed(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "point_to", killed)
    with pytest.raises(KeyboardInterrupt):
        saved(tmp_path, CRMData.from_tables(small.deals.head(3)))
    monkeypatch.undo()
    assert len(place.crm().deals) == 30
    saved(tmp_path, CRMData.from_tables(small.deals.head(4)))
    assert len(place.crm().deals) == 4
    assert sorted(path.name for path in (tmp_path / "versions").iterdir()) == ["000001", "000002"]


def test_a_first_import_killed_at_its_very_end_has_happened(tmp_path, small, monkeypatch):
    monkeypatch.setattr(module, "point_to", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        saved(tmp_path, small)
    monkeypatch.undo()
    assert Workspace(tmp_path).exists
    assert len(Workspace(tmp_path).crm().deals) == 30


def test_a_reader_keeps_the_version_it_began_with(tmp_path, small):
    place = saved(tmp_path, small)
    first = place.version()
    for rows in (3, 4, 5):
        saved(tmp_path, CRMData.from_tables(small.deals.head(rows)))
    assert first.manifest["rows"] == {"deals": 30}
    assert len(first.crm().deals) == 30
    assert len(place.crm().deals) == 5
    assert sorted(path.name for path in (tmp_path / "versions").iterdir()) == ["000001", "000003", "000004"]
    del first
    saved(tmp_path, small)
    assert sorted(path.name for path in (tmp_path / "versions").iterdir()) == ["000004", "000005"]


def test_buckets_keep_their_version_too_and_in_another_process(tmp_path, small):
    place = saved(tmp_path, small)
    buckets = place.part(3)
    code = "import pickle, sys\nprint(pickle.load(sys.stdin.buffer).rows)\n"
    for rows in (3, 4, 5):
        saved(tmp_path, CRMData.from_tables(small.deals.head(rows)))
    assert buckets.rows == {"deals": 30}
    output = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(buckets), capture_output=True, check=True)
    assert output.stdout == b"{'deals': 30}\n"


def test_a_workspace_of_an_earlier_winpredict_is_read_and_then_renewed(tmp_path, small):
    place = saved(tmp_path / "new", small)
    old = tmp_path / "old"
    shutil.copytree(place.version().folder, old)
    manifest = json.loads((old / "manifest.json").read_text())
    del manifest["files"]
    (old / "manifest.json").write_text(json.dumps(manifest | {"schema_version": 1}))
    assert len(Workspace(old).crm().deals) == 30
    saved(old, CRMData.from_tables(small.deals.head(3)))
    assert len(Workspace(old).crm().deals) == 3
    assert len(Workspace(old).manifest["imports"]) == 2
    assert sorted(path.name for path in old.iterdir() if path.name != "lease") == [".lock", "current", "versions"]


def _missing(path):
    path.unlink()


def _cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _changed(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def _empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("harm", [_missing, _cut, _changed, _empty])
@pytest.mark.parametrize("name", ["tables/deals.parquet", "tables/users.parquet", "tables/crm.json"])
def test_damage_is_told_in_a_sentence_that_names_the_file(tmp_path, world, harm, name):
    crm = CRMData.from_tables(world.crm.deals.head(30), users=world.crm.users, stage_order=world.crm.stage_order)
    place = saved(tmp_path, crm)
    path = place.version().folder / name
    harm(path)
    with pytest.raises(WinPredictError, match=path.name) as caught:
        place.crm()
    assert "import the data again" in str(caught.value)


def test_a_file_that_nobody_stored_is_not_read(tmp_path, small):
    place = saved(tmp_path, small)
    buckets = place.part(2)
    folder = place.version().folder / "tables"
    shutil.copy(folder / "deals.parquet", folder / "accounts.parquet")
    with pytest.raises(WinPredictError, match=r"accounts\.parquet was not stored by winpredict"):
        place.crm()
    assert buckets.rows == {"deals": 30}


@pytest.mark.parametrize("harm", [_missing, _cut, _changed, _empty])
def test_a_damaged_bucket_is_told_when_it_is_read(tmp_path, small, harm):
    folder = tmp_path / "buckets"
    DealBuckets.write(small, folder, 4)
    place = saved(tmp_path / "workspace", DealBuckets.open(folder))
    path = sorted((place.version().folder / "tables").glob("deals/*/*.parquet"))[0]
    harm(path)
    with pytest.raises(WinPredictError, match=r"part-0\.parquet is"):
        place.crm()


def test_current_that_names_nothing_tells_which_versions_are_there(tmp_path, small):
    place = saved(tmp_path, small)
    for text in ("", "no name", "000099", "../../etc"):
        (tmp_path / "current").write_text(text)
        with pytest.raises(WorkspaceError, match="there are 000001"):
            place.crm()
    (tmp_path / "current").unlink()
    assert len(place.crm().deals) == 30


def test_forgotten_tables_are_gone_also_where_somebody_reads_them(tmp_path, small):
    place = saved(tmp_path, small)
    reader = place.version()
    with place.writing():
        place.forget_tables()
    assert not place.exists
    assert len(reader.crm().deals) == 30
    saved(tmp_path, CRMData.from_tables(small.deals.head(3)))
    assert place.manifest["rows"] == {"deals": 3}
    assert len(place.manifest["imports"]) == 1


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


@pytest.mark.parametrize("damage", [b"", b"PAR1", b"not what we wrote"])
def test_damaged_scores_are_named_with_what_to_do(tmp_path, world, damage):
    workspace = Workspace(tmp_path)
    workspace.save_import(CRMData.from_tables(world.crm.deals.head(10), stage_order=world.crm.stage_order), profile="x")
    path = workspace.keep_scores(pd.DataFrame({"deal_id": ["a"]}), workspace.crm().known_until)
    assert workspace.latest_scores()["deal_id"].tolist() == ["a"]
    path.write_bytes(damage)
    with pytest.raises(WorkspaceError, match=r"scores-.*\.parquet is damaged .*run `winpredict score` again"):
        workspace.latest_scores()
