import os

import pytest

from winpredict._internal.atomic import replacing, replacing_folder


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_files_and_folders_get_the_modes_that_ordinary_ones_have(tmp_path):
    tmp_path.chmod(0o755)  # in a private folder everything is private
    ordinary_file, ordinary_folder = tmp_path / "ordinary.csv", tmp_path / "ordinary"
    ordinary_file.write_text("")
    ordinary_folder.mkdir()
    with replacing(tmp_path / "scores.csv") as temporary:
        temporary.write_text("deal_id")
    with replacing_folder(tmp_path / "tables") as temporary:
        (temporary / "deals.csv").write_text("deal_id")
    assert (tmp_path / "scores.csv").stat().st_mode == ordinary_file.stat().st_mode
    assert (tmp_path / "tables").stat().st_mode == ordinary_folder.stat().st_mode


def test_a_failed_block_leaves_the_earlier_file(tmp_path):
    target = tmp_path / "scores.csv"
    target.write_text("earlier")
    with pytest.raises(ZeroDivisionError), replacing(target) as temporary:
        temporary.write_text(f"half {1 / 0}")
    assert target.read_text() == "earlier"
    assert [path.name for path in tmp_path.iterdir()] == ["scores.csv"]
