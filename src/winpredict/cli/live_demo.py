"""``winpredict demo --crm``: a live CRM, played on this machine, from the first sync to scores in its fields."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from winpredict._internal.progress import progress, progress_bar
from winpredict.cli.live import WorkspaceSync, sync_workspace
from winpredict.cli.modelling import train_workspace, training_facts
from winpredict.cli.output import cell
from winpredict.cli.scoring import score_workspace
from winpredict.errors import CRMError

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from winpredict.config import Config
    from winpredict.fake_crms.fake_servers import Server
    from winpredict.models.registry import ModelVersion
    from winpredict.models.trained import TrainedModel
    from winpredict.sources.push import Pushed
    from winpredict.workspace import Workspace

#: What the stand-ins and all clients are made with.
_NEEDED = ("fastapi", "uvicorn", "httpx", "tenacity")
#: Names the account that was played, so that another demo may replace its records.
_PLAYED = "demo.json"
_DAY_S = 24 * 3600.0
#: Of the deals, so many changes happen on the day between the two syncs.
_CHANGES_PER_DEAL = 0.06
_WORDS = {
    "NewTouch": "new touches",
    "DealEdit": "edits of deals",
    "NewDeal": "new deals",
    "Closing": "deals closed",
    "Reopening": "deals reopened",
    "TouchDeletion": "touches deleted",
    "DealDeletion": "deals deleted",
    "AccountMerge": "accounts merged",
    "DealMerge": "deals merged",
}


@dataclass(frozen=True)
class LiveDemo:
    """What a demo of a live CRM did.

    Parameters
    ----------
    crm, account : str
    training : tuple
        The model, its version and its drivers.
    fields : dict of str to str
        The fields that were made in the CRM, and what became of each.
    syncs : tuple of WorkspaceSync
        The first, and the one a day later.
    pushes : tuple of Pushed
        After each of them.
    changes : dict of str to int
        What happened on the day in between.
    earlier, scores : DataFrame
        Scores after the first sync, and after the second.
    values : int
        Field values that the CRM was sent in all.
    """

    crm: str
    account: str
    training: "tuple[TrainedModel, ModelVersion, pd.DataFrame]"
    fields: dict[str, str]
    syncs: tuple[WorkspaceSync, WorkspaceSync]
    pushes: "tuple[Pushed, Pushed]"
    changes: dict[str, int]
    earlier: "pd.DataFrame"
    scores: "pd.DataFrame"
    values: int

    @property
    def model(self) -> "ModelVersion":
        """The version that gave the scores."""
        return self.training[1]

    def facts(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        return {
            "crm": self.crm,
            "account": self.account,
            "read": [_counts(each) for each in self.syncs],
            "training": training_facts(*self.training),
            "fields": self.fields,
            "pushed": [each.counts for each in self.pushes],
            "values_written": self.values,
            "changes": self.changes,
            "scores": self.scores,
        }

    def show(self, console: "Console") -> None:
        """Tell it in a few lines."""
        first, second = map(_counts, self.syncs)
        console.print(f"{self.crm}: {self.account}, played on this machine alone")
        trained_on = f"{self.training[0].figures['deals']:,.0f} closed deals"
        console.print(f"synced {first['new']:,} records, trained on {trained_on}, scored")
        console.print(f"made the fields {', '.join(self.fields)}", soft_wrap=True)
        console.print(f"pushed: {self.pushes[0].summary()}")
        for change in self.pushes[0].changes[:1]:
            told = {name: cell(value).replace("\n", "; ") for name, value in change.new.items()}
            console.print(
                f"deal {change.deal_id} in the CRM:",
                *(f"  {name}: {said}" for name, said in told.items()),
                sep="\n",
                soft_wrap=True,
            )
        happened = ", ".join(f"{_WORDS.get(name, name)} {count}" for name, count in self.changes.items())
        console.print(f"a day passed: {happened}", soft_wrap=True)
        counts = ", ".join(f"{count:,} {name}" for name, count in second.items())
        console.print(f"synced again, only what had changed: {counts}")
        console.print(f"scored and pushed again: {self.pushes[1].summary()}")
        if (moved := self._moved()) is not None:
            console.print(
                f"most moved: deal {moved.deal_id}, from {moved.win_probability_before:.0%} "
                f"to {moved.win_probability:.0%}"
            )

    def next_steps(self, folder: str, model: str) -> list[str]:
        """Commands to try on what is there now; `folder` and `model` are the options that name these."""
        steps = []
        if (moved := self._moved()) is not None:
            since = f"{self.earlier['as_of'].max():%Y-%m-%d}"
            steps.append(f"winpredict explain {moved.deal_id} --since {since}{model} {folder}")
        return [
            *steps,
            f"winpredict report pipeline --out pipeline.html{model} {folder}",
            f"winpredict connect {self.crm}   # with an account of your own: docs/crm.md",
        ]

    def _moved(self) -> Any:
        """The row of the deal whose odds the day moved most, with those before; None where there is none."""
        both = self.earlier.merge(self.scores, on="deal_id", suffixes=("_before", ""))
        moves = (both["win_probability"] - both["win_probability_before"]).abs()
        return None if both.empty else both.iloc[int(moves.argmax())]


def require_installed() -> None:
    """Make sure that a live CRM can be played.

    Raises
    ------
    CRMError
        When something is not installed.
    """
    if absent := [name for name in _NEEDED if find_spec(name) is None]:
        needs = ", ".join(absent)
        raise CRMError(f'playing a live CRM needs {needs}, which is not installed: pip install "winpredict[app,crm]"')


def play(workspace: "Workspace", crm: str, config: "Config", deals: int) -> LiveDemo:
    """Serve a simulated company as a live CRM on loopback, and do with it what is done with a real one.

    Parameters
    ----------
    workspace : Workspace
        Its lock is held, and it holds nothing.
    crm : str
    config : Config
    deals : int
    """
    from winpredict.fake_crms.fake_servers import connected, fake_server
    from winpredict.simulate.world import simulate
    from winpredict.sources.crms import connect_to
    from winpredict.sources.push import create_fields

    with progress("simulating a company"):
        server = fake_server(crm, simulate(deals, config.seed), config.seed)
    with connected(crm, server) as reached:
        settings = config.model_copy(update={"crm": reached.crm})
        source = connect_to(crm, settings)
        _note_played(workspace, crm, source.describe().account)
        first = sync_workspace(workspace, crm, settings)
        training = train_workspace(workspace, workspace.crm(), settings)
        fields = create_fields(source, settings.crm.push)
        earlier, pushed = _scored_and_pushed(workspace, crm, settings, str(training[1].version))
        changes = _day_passes(server, config.seed, max(30, round(deals * _CHANGES_PER_DEAL)))
        second = sync_workspace(workspace, crm, settings)
        scores, again = _scored_and_pushed(workspace, crm, settings, str(training[1].version))
    account = first.synced.account if first.synced is not None else ""
    return LiveDemo(
        crm, account, training, fields, (first, second), (pushed, again), changes, earlier, scores, len(server.writes)
    )


def played_accounts(workspace: "Workspace") -> Mapping[str, str]:
    """The account that an earlier demo played in this workspace, by its CRM; empty where none did."""
    try:
        told = json.loads((workspace.folder / _PLAYED).read_text(encoding="utf-8"))
        return {str(told["crm"]): str(told["account"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _note_played(workspace: "Workspace", crm: str, account: str) -> None:
    """Before anything is read, so that a demo that was stopped is known for one."""
    from winpredict._internal.atomic import replacing

    with replacing(workspace.folder / _PLAYED) as file:
        file.write_text(json.dumps({"crm": crm, "account": account}) + "\n", encoding="utf-8")


def _scored_and_pushed(
    workspace: "Workspace", crm: str, settings: "Config", version: str
) -> "tuple[pd.DataFrame, Pushed]":
    from winpredict.sources.crms import connect_to
    from winpredict.sources.push import push

    scores = score_workspace(workspace, as_of=None, which=version)
    with progress_bar(f"pushing to {crm}") as bar:
        source, folder = connect_to(crm, settings), workspace.folder / "push"
        return scores, push(source, scores, settings.crm.push, folder, apply=True, progress=bar)


def _day_passes(server: "Server", seed: int, changes: int) -> dict[str, int]:
    """Let the company live on for a day; how many changes of each kind happened."""
    import numpy as np

    from winpredict.fake_crms._changes import apply_random_changes

    happened: Counter[str] = Counter()
    with progress("a day passes"):
        for change in apply_random_changes(server, np.random.default_rng([seed, 1]), changes):
            happened[type(change).__name__] += 1
            server.clock.advance(_DAY_S / changes)
    return dict(happened.most_common())


def _counts(done: WorkspaceSync) -> dict[str, int]:
    return {} if done.synced is None else asdict(done.synced.total)
