"""The daily run as a notebook calls it: on a warehouse, without a terminal."""

from contextlib import contextmanager

import duckdb
import pytest

import winpredict
from winpredict.config import Config
from winpredict.errors import ProfileError, WinPredictError
from winpredict.simulate.world import simulate, write_salesforce_export
from winpredict.workflows.daily import DailyRun, Show, origin_of
from winpredict.workflows.importing import import_files_into
from winpredict.workflows.steps import StepResult, run_steps
from winpredict.workflows.training import train_workspace
from winpredict.workspace import Workspace

QUICK = {"model": {"bags": 1, "trees": 20, "large_leaves": 0}, "snapshots": {"every_days": 30}}


class Desk:
    """Notes what a run does with it."""

    def __init__(self) -> None:
        self.published = 0

    def publish(self) -> StepResult:
        self.published += 1
        return StepResult({"deals": 7})

    @contextmanager
    def champion_recorded(self):
        yield


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    """An export as tables of a database, and a workspace that was imported from it and trained."""
    place = tmp_path_factory.mktemp("daily")
    write_salesforce_export(simulate(300, seed=3), place / "export")
    with duckdb.connect(str(place / "crm.duckdb")) as connection:
        for file in sorted((place / "export").glob("*.csv")):
            connection.execute(f"CREATE TABLE {file.stem} AS SELECT * FROM read_csv('{file}', all_varchar=true)")
    address = f"duckdb:///{place / 'crm.duckdb'}"
    workspace = Workspace(place / "w")
    with workspace.writing():
        import_files_into(workspace, [address], "salesforce")
        train_workspace(workspace, workspace.crm(), Config.model_validate(QUICK))
    return address, workspace


def test_a_run_on_a_warehouse_imports_scores_and_reports(warehouse):
    address, workspace = warehouse
    settings = Config.model_validate(QUICK | {"run": {"reports": ["pipeline"], "report_suffix": "md"}})
    origin, desk, told = origin_of(address, None, None, workspace, settings), Desk(), []

    @contextmanager
    def words(title):
        yield told.append

    show = Show(words=words)
    done = run_steps(
        workspace, address, lambda steps: DailyRun(workspace, origin, settings, steps, desk=desk, show=show).steps()
    )
    assert [each.step for each in done.steps] == [
        "import", "check", "monitor", "score", "publish", "report pipeline", "tidy",
    ]  # fmt: skip
    counts = {each.step: each.counts for each in done.steps}
    deals = workspace.crm().deals
    assert counts["import"]["deals"] == len(deals)
    assert counts["score"]["deals"] == (deals["outcome"] == "open").sum()
    assert counts["publish"] == {"deals": 7}
    assert desk.published == 1
    assert (workspace.folder / "reports" / "pipeline.md").read_text().startswith("# ")


def test_without_a_desk_nothing_is_published(warehouse):
    address, workspace = warehouse
    settings = Config.model_validate(QUICK)
    origin = origin_of(address, None, None, workspace, settings)
    assert origin.profile == "salesforce"
    assert "publish" not in [each.name for each in DailyRun(workspace, origin, settings, []).steps()]


def test_what_cannot_be_read_is_refused_before_anything_is_done(warehouse, tmp_path):
    address, workspace = warehouse
    with pytest.raises(WinPredictError, match="neither a CRM that can be synced"):
        origin_of(str(tmp_path / "absent"), None, None, workspace, Config())
    with pytest.raises(ProfileError, match="no profile is known"):
        origin_of(address, None, None, Workspace(tmp_path / "new"), Config())


def test_the_version_is_that_of_the_package():
    assert winpredict.__version__.split(".")[0].isdigit()
