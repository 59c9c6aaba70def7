"""``winpredict demo``: everything once, on a simulated CRM."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from winpredict._common.errors import WorkspaceError
from winpredict._common.progress import progress
from winpredict.cli.data import import_into
from winpredict.cli.modelling import backtest_facts, backtest_workspace, show_backtest, train_workspace, training_facts
from winpredict.cli.options import JsonOption, WorkspaceOption, workspace_at
from winpredict.cli.output import respond
from winpredict.cli.scoring import score_workspace, scores_table

if TYPE_CHECKING:
    from rich.console import Console

    from winpredict.config import Config
    from winpredict.workspace import Workspace

_EXPORT = "simulated_export.zip"
_FOLDS = 3


def demo(
    deals: Annotated[int, typer.Option("--deals", min=300, help="Number of simulated deals.")] = 3000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Another seed gives another company.")] = 0,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Try it all on a simulated CRM, within a minute.

    Simulate, import, train, backtest and score.

    Example: winpredict demo --deals 3000 --workspace demo
    """
    place = workspace_at(workspace)
    config = demo_config(seed)
    with place.writing():
        _refuse_real_data(place)
        _import_simulated(place, deals, seed)
        crm = place.crm()
        model, version, drivers = train_workspace(place, crm, config)
    found, run_id = backtest_workspace(place, crm, config)
    scores = score_workspace(place, as_of=None, which=str(version.version))

    def show(console: "Console") -> None:
        show_backtest(console, found, details=False)
        console.print(scores_table(scores))
        console.print(_next_steps(place, str(scores["deal_id"].iloc[0]) if len(scores) else "DEAL_ID"))

    facts = {
        "workspace": str(place.folder),
        "rows": place.manifest["rows"],
        "training": training_facts(model, version, drivers),
        "backtest": backtest_facts(found, run_id),
        "scores": scores,
    }
    respond(facts, show, as_json=as_json)


def demo_config(seed: int) -> "Config":
    """Fewer bags, trees and cut-offs than the defaults: a demo is to be quick."""
    from winpredict.config import Config

    return Config.model_validate(
        {"seed": seed, "model": {"bags": 3, "trees": 150, "learning_rate": 0.06}, "backtest": {"folds": _FOLDS}}
    )


def _refuse_real_data(place: "Workspace") -> None:
    if not place.exists:
        return
    names = [Path(str(each["path"])).name for record in place.manifest["imports"] for each in record["sources"]]
    if any(name != _EXPORT for name in names):
        raise WorkspaceError(
            f"{place.folder} holds imported data, which the demo would replace; name another folder with --workspace"
        )


def _import_simulated(place: "Workspace", deals: int, seed: int) -> None:
    from winpredict.sources.simulate import simulate, write_salesforce_export

    with tempfile.TemporaryDirectory() as folder:
        export = Path(folder) / _EXPORT
        with progress("simulating a CRM"):
            world = simulate(deals, seed)
            write_salesforce_export(world, export)
        import_into(place, [export], "salesforce", afresh=True)


def _next_steps(place: "Workspace", deal_id: str) -> str:
    folder = f"--workspace {place.folder}"
    return "\n".join(
        [
            "Next steps:",
            f"  winpredict explain {deal_id} {folder}",
            f"  winpredict check {folder}",
            f"  winpredict report drivers --out drivers.html {folder}",
            f"  mlflow ui --backend-store-uri sqlite:///{place.folder}/mlflow.db",
            "  winpredict import YOUR_EXPORT.zip --profile salesforce --workspace my-project",
        ]
    )
