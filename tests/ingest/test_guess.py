import pytest

from winpredict.errors import ProfileError
from winpredict.ingest import guess_profile, import_files, load_profile, profile_yaml


def test_a_guessed_profile_imports_its_file(tmp_path):
    path = tmp_path / "crm pipeline.csv"
    rows = [
        f"{n};{'Closed Won' if n % 3 else 'Lost - price' if n % 2 else 'Demo'};{n}00,50;{n % 28 + 1}.01.2025;Ann"
        for n in range(1, 40)
    ]
    path.write_text("Deal No;Deal Stage;Deal Value;Created Date;Owner\n" + "\n".join(rows))
    guessed = guess_profile(path)
    (tmp_path / "mine.yaml").write_text(profile_yaml(guessed))
    found = import_files([path], load_profile(tmp_path / "mine.yaml"))
    assert guessed.won == ("Closed Won",)
    assert guessed.lost == ("Lost - price",)
    assert set(found.crm.deals["outcome"]) == {"won", "lost", "open"}
    assert found.crm.deals["amount"].notna().all()
    assert found.crm.deals["created_at"].notna().all()


def test_contents_count_beside_names(tmp_path):
    path = tmp_path / "deals.csv"
    path.write_text("id,result,amount,created\n1,won,soon,never\n2,lost,later,always\n")
    columns = guess_profile(path).tables["deals"][0].columns
    assert set(columns) == {"deal_id", "outcome"}


def test_without_endings_there_is_no_profile(tmp_path):
    path = tmp_path / "deals.csv"
    path.write_text("id,amount\n1,2\n")
    with pytest.raises(ProfileError, match="no column tells won from lost"):
        guess_profile(path)
