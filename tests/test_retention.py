import os
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from winpredict.config import Retention
from winpredict.locale.text import text
from winpredict.models.champions import ModelsInUse, read_models_in_use, write_models_in_use
from winpredict.retention import Tidied, tidy
from winpredict.tables.crm import CRMData
from winpredict.workspace import Workspace

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def workspace(tmp_path, world):
    workspace = Workspace(tmp_path / "workspace")
    crm = CRMData.from_tables(world.crm.deals.head(10), stage_order=world.crm.stage_order)
    with workspace.writing():
        for number in range(4):
            workspace.save_import(crm, profile=str(number))
    return workspace


def aged(folder, name, days):
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text("{}")
    moment = (NOW - timedelta(days=days)).timestamp()
    os.utime(path, (moment, moment))
    return path


def test_old_scores_thin_out_to_one_a_week_and_then_go(workspace):
    for day in pd.date_range("2024-01-01", "2025-12-31"):
        workspace.keep_scores(pd.DataFrame({"deal_id": ["a"]}), day)
    tidied = tidy(workspace, Retention(daily_score_days=10, weekly_score_days=31), NOW)
    left = sorted(path.stem.removeprefix("scores-") for path in workspace.scores_folder.iterdir())
    # eleven days, before that the last day of each week (a Sunday)
    assert left == [
        "2025-11-30", "2025-12-07", "2025-12-14",
        *(f"2025-12-{day}" for day in range(21, 32)),
    ]  # fmt: skip
    assert tidied.scores == 731 - len(left)


def test_logs_and_undo_files_go_by_their_age(workspace):
    old = [aged(workspace.folder / "runs", "a.jsonl", 366), aged(workspace.folder / "push", "b.jsonl", 91)]
    young = [aged(workspace.folder / "runs", "c.jsonl", 364), aged(workspace.folder / "push", "d.jsonl", 89)]
    assert tidy(workspace, Retention(undo_days=90), NOW) == Tidied(0, 0, 1, 1)
    assert [path.exists() for path in (*old, *young)] == [False, False, True, True]


def test_versions_are_pruned_to_those_that_the_settings_keep(workspace):
    assert len(list((workspace.folder / "versions").iterdir())) == 2
    assert tidy(workspace, Retention(versions=1), NOW).versions == 1
    assert [path.name for path in (workspace.folder / "versions").iterdir()] == ["000004"]
    assert workspace.manifest["profile"] == "3"


def test_models_that_were_never_champion_lose_their_files_in_time(tmp_path):
    workspace = Workspace(tmp_path)
    used = ModelsInUse()
    for version in range(1, 8):
        data = tmp_path / "artifacts" / "models" / f"m-{version}" / "artifacts" / "data" / "model"
        data.mkdir(parents=True)
        (data / "model.json").write_text("{}")
        used = used.with_registered(version, data.relative_to(tmp_path).as_posix())
        if version == 3:
            used = used.with_champion(3, text("better"))
    write_models_in_use(tmp_path, used.with_verdict(2, text("worse")))
    assert tidy(workspace, Retention(challengers=2), NOW).models == 3
    left = read_models_in_use(tmp_path)
    # 1 and 3 were champions, 6 and 7 came last
    assert sorted(left.files) == [1, 3, 6, 7]
    assert sorted(path.name for path in (tmp_path / "artifacts" / "models").iterdir()) == ["m-1", "m-3", "m-6", "m-7"]
    assert (left.champion, left.challenger, str(left.verdicts[2])) == (3, 7, "worse")
    assert tidy(workspace, Retention(challengers=2), NOW).models == 0
