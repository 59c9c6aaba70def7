import os
import stat

import pytest

from winpredict._internal.atomic import replacing, replacing_folder
from winpredict._internal.private import keep_private, make_folder

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")


@pytest.fixture
def no_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder):
    return {path.relative_to(folder).as_posix(): stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}


def test_what_lies_in_a_private_folder_is_private_whatever_the_umask(tmp_path, no_umask):
    make_folder(tmp_path / "workspace", private=True)
    with replacing(tmp_path / "workspace" / "scores" / "monday.csv") as temporary:
        temporary.write_text("deal_id")
    with replacing_folder(tmp_path / "workspace" / "tables") as temporary:
        (temporary / "part").mkdir()
        (temporary / "part" / "deals.csv").write_text("deal_id")
    assert modes(tmp_path) == {
        "workspace": 0o700,
        "workspace/scores": 0o700,
        "workspace/scores/monday.csv": 0o600,
        "workspace/tables": 0o700,
        "workspace/tables/part": 0o700,
        "workspace/tables/part/deals.csv": 0o600,
    }


def test_what_people_write_elsewhere_keeps_the_mode_that_the_umask_gives(tmp_path):
    tmp_path.chmod(0o755)
    before = os.umask(0o022)
    try:
        with replacing(tmp_path / "reports" / "forecast.html") as temporary:
            temporary.write_text("<html>")
    finally:
        os.umask(before)
    assert modes(tmp_path) == {"reports": 0o755, "reports/forecast.html": 0o644}


def test_links_are_not_followed_and_what_is_missing_is_no_matter(tmp_path):
    outside = tmp_path / "outside.csv"
    outside.write_text("")
    outside.chmod(0o644)
    folder = tmp_path / "workspace"
    folder.mkdir(mode=0o755)
    (folder / "link.csv").symlink_to(outside)
    keep_private(folder)
    keep_private(folder / "link.csv")
    keep_private(tmp_path / "absent")
    assert stat.S_IMODE(outside.stat().st_mode) == 0o644
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
