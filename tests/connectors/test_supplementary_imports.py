import pandas as pd
import pytest

from winpredict.connectors.supplementary_imports import SupplementaryImports
from winpredict.errors import InputFileError
from winpredict.ingest.importing import import_files
from winpredict.ingest.profiles import load_profile

NOON = pd.Timestamp("2025-06-01T12:00Z")


@pytest.fixture
def deals(tmp_path):
    path = tmp_path / "deals.csv"
    path.write_text("deal_id,stage,outcome,created_at,closed_at\na,Demo,open,2025-01-01,\nb,Demo,open,2025-01-02,\n")
    return import_files([path], load_profile("generic"), now=NOON)


def calls(folder, name, rows):
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text("call_id,deal_id,start_time\n" + "".join(f"{row}\n" for row in rows))
    return path


def test_files_are_added_in_their_order_and_once(tmp_path, deals):
    kept, tenfold = SupplementaryImports(tmp_path / "added"), load_profile("tenfold")
    one = calls(tmp_path / "x", "calls.csv", ["1,a,2025-02-01T10:00Z", "2,b,2025-02-02T10:00Z"])
    other = calls(tmp_path / "y", "calls.csv", ["2,b,2025-02-03T10:00Z", "3,gone,2025-02-02T10:00Z"])
    kept.keep([one], tenfold)
    before = kept.sha256
    kept.keep([one], tenfold)
    assert kept.sha256 == before
    kept.keep([other], tenfold)
    assert kept.sha256 != before
    one.unlink()
    found = kept.added_to(deals)
    touches = found.crm.activities.set_index("activity_id")["occurred_at"]
    assert touches["1"] == pd.Timestamp("2025-02-01T10:00Z")
    assert len(touches) == 2
    assert found.crm.known_until == deals.crm.known_until
    assert sum(found.repairs.values()) >= sum(deals.repairs.values()) + 1
    assert len(found.sources) == 3


def test_files_of_one_name_do_not_overwrite_each_other(tmp_path, deals):
    kept = SupplementaryImports(tmp_path / "added")
    paths = [
        calls(tmp_path / "x", "calls.csv", ["1,a,2025-02-01T10:00Z"]),
        calls(tmp_path / "y", "calls.csv", ["2,b,2025-02-02T10:00Z"]),
    ]
    kept.keep(paths, load_profile("tenfold"))
    assert set(kept.added_to(deals).crm.activities["activity_id"]) == {"1", "2"}


def test_folders_are_copied_and_what_is_not_there_is_refused(tmp_path, deals):
    kept = SupplementaryImports(tmp_path / "added")
    calls(tmp_path / "x", "calls.csv", ["1,a,2025-02-01T10:00Z"])
    kept.keep([tmp_path / "x"], load_profile("tenfold"))
    assert set(kept.added_to(deals).crm.activities["activity_id"]) == {"1"}
    with pytest.raises(InputFileError, match="could not be added again"):
        kept.keep(["postgresql://me@host/calls"], load_profile("tenfold"))


def test_nothing_kept_changes_nothing(tmp_path, deals):
    assert SupplementaryImports(tmp_path / "added").added_to(deals) is deals
