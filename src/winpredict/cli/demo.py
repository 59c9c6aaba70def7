"""``winpredict demo``: everything once, on a simulated CRM."""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from winpredict._internal.progress import progress, progress_bar
from winpredict.cli.desk_demo import demo_email, on_loopback, populate, training_day
from winpredict.cli.live_demo import played_accounts, require_installed
from winpredict.cli.modelling import backtest_facts, show_backtest, training_facts
from winpredict.cli.options import JsonOption, WorkspaceOption, workspace_at
from winpredict.cli.output import respond
from winpredict.cli.scoring import scores_table
from winpredict.cli.serve import run_desk
from winpredict.cli.shell import format_command, quote
from winpredict.errors import ConfigError, WorkspaceError
from winpredict.locale.text import said, text
from winpredict.workflows.importing import import_files_into
from winpredict.workflows.scoring import score_workspace
from winpredict.workflows.training import backtest_workspace, train_workspace

if TYPE_CHECKING:
    from rich.console import Console

    from winpredict.config import Config
    from winpredict.models.registry import ModelVersion
    from winpredict.workspace import Workspace

_EXPORT = "simulated_export.zip"
_FOLDS = 3
_SNAPSHOT_DAYS = 14.0
_DEALS, _LIVE_DEALS = 3000, 1500


def demo(
    deals: Annotated[
        int | None,
        typer.Option(
            "--deals", min=300, help=f"Number of simulated deals: by default {_DEALS}, with --crm {_LIVE_DEALS}."
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Another seed gives another company.")] = 0,
    crm: Annotated[
        str | None,
        typer.Option("--crm", help="Simulate a live CRM on this machine: salesforce, hubspot or zoho.", metavar="CRM"),
    ] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Open the win desk on it, with an account for each role to sign in with.")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option("--port", min=0, max=65535, help="With --serve: the port; by default 8765, or a free one."),
    ] = None,
    password: Annotated[
        str | None, typer.Option("--password", help="With --serve: password of all accounts; by default a random one.")
    ] = None,
    workspace_folder: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Try it all on a simulated CRM, within a minute.

    Simulate, import, train, backtest and score; to be quick, with fewer snapshots (one in two weeks), models and
    cutoffs than by default. With --crm: sync, train, score, push, and once more a day later. With --serve: train on
    what was known five weeks ago, score each week since, and open the win desk until Ctrl-C.

    Example: winpredict demo --deals 3000 --workspace demo

    Example: winpredict demo --crm hubspot --workspace demo

    Example: winpredict demo --serve --workspace demo
    """
    workspace, config = workspace_at(workspace_folder), demo_config(seed)
    if serve and crm is not None:
        raise ConfigError(text("--serve works on files of a simulated company; leave --crm out"))
    if serve:
        _demo_desk(workspace, on_loopback(config, port), deals or _DEALS, password, as_json=as_json)
    elif crm is not None:
        _demo_live(workspace, crm, config, deals or _LIVE_DEALS, as_json=as_json)
    else:
        _demo_files(workspace, config, deals or _DEALS, as_json=as_json)


def _demo_files(workspace: "Workspace", config: "Config", deals: int, *, as_json: bool) -> None:
    with workspace.writing():
        _begin_afresh(workspace)
        _import_simulated(workspace, deals, config.seed)
        crm = workspace.crm()
        with progress(said("training")) as report_progress:
            model, version, drivers = train_workspace(workspace, crm, config, progress=report_progress)
    with progress(said("backtest")) as report_progress:
        found, run_id = backtest_workspace(workspace, crm, config, progress=report_progress)
    with progress_bar(said("scoring")) as bar:
        scores = score_workspace(workspace, as_of=None, which=str(version.version), progress=bar)

    def show(console: "Console") -> None:
        show_backtest(console, found, details=False)
        console.print(scores_table(scores))
        deal_id = str(scores["deal_id"].iloc[0]) if len(scores) else "DEAL_ID"
        console.print(_next_steps(workspace, version, deal_id), soft_wrap=True)

    facts = {
        "workspace": str(workspace.folder),
        "rows": workspace.manifest["rows"],
        "training": training_facts(model, version, drivers),
        "backtest": backtest_facts(found, run_id),
        "scores": scores,
    }
    respond(facts, show, as_json=as_json)


def _demo_desk(workspace: "Workspace", config: "Config", deals: int, password: str | None, *, as_json: bool) -> None:
    if password is not None:
        from winpredict.app.passwords import require_strong

        for role in ("rep", "manager", "scientist", "admin"):
            require_strong(password, demo_email(role))  # one that is too short is refused before a minute's work
    with workspace.writing():
        _begin_afresh(workspace)
        _import_simulated(workspace, deals, config.seed)
        crm = workspace.crm()
        with progress(said("training")) as report_progress:
            day = training_day(crm)
            model, version, drivers = train_workspace(workspace, crm, config, as_of=day, progress=report_progress)
    with progress(said("backtest")) as report_progress:
        found, run_id = backtest_workspace(workspace, crm, config, progress=report_progress)
    desk = populate(workspace, crm, config, version.version, password)

    def show(console: "Console") -> None:
        show_backtest(console, found, details=False)
        desk.show(console)
        command = format_command(f"winpredict serve {_folder(workspace)}")
        console.print(said("To open it again later: {command}", command=command), soft_wrap=True)

    facts = {
        "workspace": str(workspace.folder),
        "rows": workspace.manifest["rows"],
        "training": training_facts(model, version, drivers),
        "backtest": backtest_facts(found, run_id),
        "scores": desk.scores,
    }
    respond(facts | desk.facts(), show, as_json=as_json)
    sys.stdout.flush()
    run_desk(workspace, config)


def _demo_live(workspace: "Workspace", crm: str, config: "Config", deals: int, *, as_json: bool) -> None:
    from winpredict.connectors.registry import require_known

    require_known(crm)
    require_installed(crm)
    from winpredict_sandbox.live_demo import play

    with workspace.writing():
        _begin_afresh(workspace)
        done = play(workspace, crm, config, deals)

    def show(console: "Console") -> None:
        done.show(console)
        console.print(_format_steps(done.next_steps(_folder(workspace), _model(done.model))), soft_wrap=True)

    respond(
        {"workspace": str(workspace.folder), "rows": workspace.manifest["rows"]} | done.facts(), show, as_json=as_json
    )


def demo_config(seed: int) -> "Config":
    """Fewer snapshots, bags, trees and cutoffs than by default, and no larger trees: a demo should be quick."""
    from winpredict.config import Config

    return Config.model_validate(
        {
            "seed": seed,
            "snapshots": {"every_days": _SNAPSHOT_DAYS},
            "model": {"bags": 3, "trees": 150, "learning_rate": 0.06, "large_leaves": 0},
            "backtest": {"folds": _FOLDS},
        }
    )


def _begin_afresh(workspace: "Workspace") -> None:
    """Remove the tables and raw records that an earlier demo left; its models and scores stay.

    Raises
    ------
    WorkspaceError
        When there is anything else.
    """
    _refuse_real_data(workspace)
    if workspace.exists:
        workspace.forget_tables()
    shutil.rmtree(workspace.raw_folder, ignore_errors=True)


def _refuse_real_data(workspace: "Workspace") -> None:
    from winpredict.connectors.registry import CRMS
    from winpredict.connectors.store import RawStore

    imports = workspace.manifest["imports"] if workspace.exists else []
    # a file in an archive goes by the archive's path and its own name
    files = [Path(str(each["path"])).parts for record in imports if "crm" not in record for each in record["sources"]]
    played = played_accounts(workspace)
    accounts = {name: RawStore(workspace.raw_folder / name).account for name in CRMS}
    synced = {record["crm"] for record in imports if "crm" in record} | {name for name in CRMS if accounts[name]}
    if any(_EXPORT not in parts for parts in files) or any(accounts[name] != played.get(name) for name in synced):
        raise WorkspaceError(
            text(
                "{folder} holds data of your own, which the demo would replace; name another folder with --workspace",
                folder=workspace.folder,
            )
        )


def _import_simulated(workspace: "Workspace", deals: int, seed: int) -> None:
    from winpredict.simulate.world import simulate, write_salesforce_export

    with tempfile.TemporaryDirectory() as folder:
        export = Path(folder) / _EXPORT
        with progress(said("simulating a CRM")):
            world = simulate(deals, seed)
            write_salesforce_export(world, export)
        import_files_into(workspace, [export], "salesforce", afresh=True)


def _next_steps(workspace: "Workspace", version: "ModelVersion", deal_id: str) -> str:
    folder, model = _folder(workspace), _model(version)
    return _format_steps(
        [
            f"winpredict explain {quote(deal_id)}{model} {folder}",
            f"winpredict check {folder}",
            f"winpredict report drivers --out drivers.html{model} {folder}",
            f"mlflow ui --backend-store-uri {quote(f'sqlite:///{workspace.folder}/mlflow.db')}",
            "winpredict import YOUR_EXPORT.csv --workspace my-project",
        ]
    )


def _format_steps(steps: list[str]) -> str:
    return "\n  ".join([said("Next steps:"), *map(format_command, steps)])


def _folder(workspace: "Workspace") -> str:
    return f"--workspace {quote(str(workspace.folder))}"


def _model(version: "ModelVersion") -> str:
    """What names a model that is not the one commands take by themselves, such as that of a second demo."""
    return "" if "champion" in version.aliases else f" --model {version.version}"
