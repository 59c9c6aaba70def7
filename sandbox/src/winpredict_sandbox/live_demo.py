"""``winpredict demo --crm``: a simulated live CRM on this machine, from the first sync to scores in its fields."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from winpredict._internal.progress import progress, progress_bar
from winpredict.cli.live_demo import note_played
from winpredict.cli.modelling import training_facts
from winpredict.cli.output import cell
from winpredict.locale.text import Text, said, texts
from winpredict.workflows.scoring import score_workspace
from winpredict.workflows.syncing import WorkspaceSync, sync_workspace
from winpredict.workflows.training import train_workspace

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from winpredict.config import Config
    from winpredict.connectors.base import FieldOutcome
    from winpredict.connectors.push.push import Pushed
    from winpredict.models.registry import ModelVersion
    from winpredict.models.trained import TrainedModel
    from winpredict.workspace import Workspace
    from winpredict_sandbox.fake_servers import Server

_DAY_S = 24 * 3600.0
#: Of the deals, so many changes happen on the day between the two syncs.
_CHANGES_PER_DEAL = 0.06
_CHANGES: Mapping[str, Text] = {
    "NewTouch": texts("{n:count} new touch", "{n:count} new touches"),
    "DealEdit": texts("{n:count} deal edited", "{n:count} deals edited"),
    "NewDeal": texts("{n:count} new deal", "{n:count} new deals"),
    "Closing": texts("{n:count} deal closed", "{n:count} deals closed"),
    "Reopening": texts("{n:count} deal reopened", "{n:count} deals reopened"),
    "TouchDeletion": texts("{n:count} touch deleted", "{n:count} touches deleted"),
    "DealDeletion": texts("{n:count} deal deleted", "{n:count} deals deleted"),
    "AccountMerge": texts("{n:count} account merged", "{n:count} accounts merged"),
    "DealMerge": texts("{n:count} deal merged", "{n:count} deals merged"),
}


@dataclass(frozen=True)
class LiveDemo:
    """What a demo of a live CRM did.

    Parameters
    ----------
    crm, account : str
    training : tuple
        The model, its version and its drivers.
    fields : dict of str to FieldOutcome
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
    fields: "dict[str, FieldOutcome]"
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
            "fields": {name: str(outcome) for name, outcome in self.fields.items()},
            "pushed": [each.counts for each in self.pushes],
            "values_written": self.values,
            "changes": self.changes,
            "scores": self.scores,
        }

    def show(self, console: "Console") -> None:
        """The run in a few lines."""
        for line in self._lines():
            console.print(line, soft_wrap=True)

    def _lines(self) -> Iterator[str]:
        first, second = map(_counts, self.syncs)
        yield said("{crm}: {account}, simulated on this machine", crm=self.crm, account=self.account)
        yield str(texts("Synced {n:count} record", "Synced {n:count} records", n=first["new"]))
        yield str(
            texts(
                "Trained on {n:count} closed deal, then scored the open ones",
                "Trained on {n:count} closed deals, then scored the open ones",
                n=self.training[0].figures["deals"],
            )
        )
        yield said("Created the fields {fields:listed}", fields=[*self.fields])
        yield said("Pushed: {result:listed}", result=self.pushes[0].outcome())
        for change in self.pushes[0].changes[:1]:
            yield said("Deal {deal} in the CRM:", deal=change.deal_id)
            for name, value in change.new.items():
                yield f"  {name}: {cell(value).replace(chr(10), '; ')}"
        changes = [_CHANGES[name].with_values(n=n) if name in _CHANGES else name for name, n in self.changes.items()]
        yield said("A day passed: {changes:listed}", changes=changes)
        yield said(
            "Synced again, only what had changed: {new:count} new, {changed:count} changed, {deleted:count} deleted",
            **second,
        )
        yield said("Scored and pushed again: {result:listed}", result=self.pushes[1].outcome())
        if (moved := self._moved()) is not None:
            yield said(
                "Largest move: deal {deal}, from {before:percent} to {after:percent}",
                deal=moved.deal_id,
                before=moved.win_probability_before,
                after=moved.win_probability,
            )

    def next_steps(self, folder: str, model: str) -> list[str]:
        """Commands to try on what is there now; `folder` and `model` are the options that name these."""
        steps = []
        if (moved := self._moved()) is not None:
            since = f"{self.earlier['as_of'].max():%Y-%m-%d}"
            steps.append(f"winpredict explain {moved.deal_id} --since {since}{model} {folder}")
        own = said("with your own account: docs/crm.md")
        return [
            *steps,
            f"winpredict report pipeline --out pipeline.html{model} {folder}",
            f"winpredict connect {self.crm}   # {own}",
        ]

    def _moved(self) -> Any:
        """The row of the deal whose odds the day moved most, with those before; None without any."""
        both = self.earlier.merge(self.scores, on="deal_id", suffixes=("_before", ""))
        moves = (both["win_probability"] - both["win_probability_before"]).abs()
        return None if both.empty else both.iloc[int(moves.argmax())]


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
    from winpredict.connectors.push.push import create_fields
    from winpredict.connectors.registry import connect_to
    from winpredict.simulate.world import simulate
    from winpredict_sandbox.fake_servers import connected, fake_server

    with progress(said("simulating a company")):
        server = fake_server(crm, simulate(deals, config.seed), config.seed)
    with connected(crm, server) as reached:
        settings = config.model_copy(update={"crm": reached.crm})
        source = connect_to(crm, settings)
        note_played(workspace, crm, source.describe().account)
        first = sync_workspace(workspace, crm, settings)
        with progress(said("training")) as report_progress:
            training = train_workspace(workspace, workspace.crm(), settings, progress=report_progress)
        fields = create_fields(source, settings.crm.push)
        earlier, pushed = _scored_and_pushed(workspace, crm, settings, str(training[1].version))
        changes = _day_passes(server, config.seed, max(30, round(deals * _CHANGES_PER_DEAL)))
        second = sync_workspace(workspace, crm, settings)
        scores, again = _scored_and_pushed(workspace, crm, settings, str(training[1].version))
    account = first.synced.account if first.synced is not None else ""
    return LiveDemo(
        crm, account, training, fields, (first, second), (pushed, again), changes, earlier, scores, len(server.writes)
    )


def _scored_and_pushed(
    workspace: "Workspace", crm: str, settings: "Config", version: str
) -> "tuple[pd.DataFrame, Pushed]":
    from winpredict.connectors.push.push import push
    from winpredict.connectors.registry import connect_to

    with progress_bar(said("scoring")) as bar:
        scores = score_workspace(workspace, as_of=None, which=version, progress=bar)
    with progress_bar(said("pushing to {crm}", crm=crm)) as bar:
        source, folder = connect_to(crm, settings), workspace.folder / "push"
        return scores, push(source, scores, settings.crm.push, folder, apply=True, progress=bar)


def _day_passes(server: "Server", seed: int, changes: int) -> dict[str, int]:
    """Let the company live on for a day; how many changes of each kind happened."""
    import numpy as np

    from winpredict_sandbox.changes import apply_random_changes

    happened: Counter[str] = Counter()
    with progress(said("a day passes")):
        for change in apply_random_changes(server, np.random.default_rng([seed, 1]), changes):
            happened[type(change).__name__] += 1
            server.clock.advance(_DAY_S / changes)
    return dict(happened.most_common())


def _counts(done: WorkspaceSync) -> dict[str, int]:
    return {} if done.synced is None else asdict(done.synced.total)
