"""The champion of a workspace is looked at, by the time that its data call for, and the finding is kept."""

import json

import pandas as pd
import pytest

from winpredict.errors import WinPredictError
from winpredict.models.backtest import MODEL, backtest
from winpredict.models.backtest_record import log_backtest
from winpredict.models.monitoring import latest_health, monitor
from winpredict.workflows.monitoring import monitor_workspace
from winpredict.workspace import Workspace


def check(health, name):
    return next((each for each in health.checks if each.name == name), None)


def test_what_is_found_is_kept(workspace, world, earlier, quick_config):
    moment = world.crm.known_until + pd.Timedelta(days=1)
    found = monitor_workspace(workspace, quick_config, now=moment)
    assert found == monitor(earlier, world.crm, quick_config.monitoring, now=moment, model_version=1)
    assert latest_health(workspace.folder) == found
    assert check(found, "log_loss") is None  # nothing was promised


def test_the_latest_backtest_is_the_promise(workspace, world, quick_config):
    judged = backtest(world.crm, quick_config, folds=1)
    log_backtest(workspace.folder, judged, config=quick_config, fingerprint="f")
    found = monitor_workspace(workspace, quick_config, now=world.crm.known_until)
    promised = judged.overall.loc[MODEL, "log_loss"]
    assert check(found, "log_loss").figures["promised"] == pytest.approx(promised, abs=1e-4)


def test_files_are_fresh_by_the_clock_and_a_sync_by_its_own_end(workspace, quick_config):
    assert check(monitor_workspace(workspace, quick_config), "freshness").state == "act"
    manifest = workspace.version().folder / "manifest.json"
    plain = json.loads(manifest.read_text())
    plain["imports"][-1]["crm"] = "hubspot"
    manifest.write_text(json.dumps(plain))
    again = monitor_workspace(Workspace(workspace.folder), quick_config)
    assert check(again, "freshness").state == "ok"


def test_without_a_model_it_says_so(world, quick_config, tmp_path):
    workspace = Workspace(tmp_path / "w")
    workspace.save_import(world.crm, profile="simulated")
    with pytest.raises(WinPredictError, match="no trained model yet"):
        monitor_workspace(workspace, quick_config)
