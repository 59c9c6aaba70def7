"""``winpredict run``: what is done every day, for cron, systemd or Airflow."""

import sys
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

import typer

from winpredict._internal.progress import progress, progress_bar
from winpredict.cli.live import CRMArgument, sync_workspace
from winpredict.cli.options import ConfigOption, JsonOption, WorkspaceOption, workspace_at
from winpredict.cli.output import respond, table
from winpredict.cli.report import Kind, build_report
from winpredict.cli.scoring import score_workspace
from winpredict.cli.serve import has_desk, open_desk_database, publish_into, require_app
from winpredict.errors import WorkspaceBusyError

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from winpredict.config import Config
    from winpredict.report.digest import Digest
    from winpredict.scheduled_run import Run, Step, StepDone, StepResult
    from winpredict.workspace import Workspace

_CHAMPION = "champion"


def run(
    crm: CRMArgument, workspace_folder: WorkspaceOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Sync, check the data, score; publish, push, report and send a digest as the config says.

    Scores are published where there is a win desk: a database that the config names, or one in the workspace.

    Ends with 0 when done; 1 when done with problems (bad data, records that the CRM refused); 2 when something was not
    done, and must be changed; 3 when another process is at work in the workspace; 70 when winpredict itself failed,
    with the details in a log file.

    Example: winpredict run hubspot --workspace my-project --config my.yaml
    """
    from winpredict.config import load_config
    from winpredict.scheduled_run import BUSY, run_steps
    from winpredict.sources.crms import require_known

    workspace, settings = workspace_at(workspace_folder), load_config(config)
    require_known(crm)
    try:
        found = run_steps(workspace, crm, lambda done: _ScheduledRun(workspace, crm, settings, done).steps())
    except WorkspaceBusyError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(BUSY) from None
    respond(found.to_dict(), lambda console: _show(console, found), as_json=as_json)
    if found.code:
        raise typer.Exit(found.code)


class _ScheduledRun:
    """The steps of one run, and what they hand on."""

    def __init__(self, workspace: "Workspace", crm: str, settings: "Config", done: "list[StepDone]") -> None:
        self._workspace, self._crm, self._settings, self._done = workspace, crm, settings, done
        self._scores: pd.DataFrame | None = None

    def steps(self) -> "list[Step]":
        """Sync, check and score always, publish where there is a win desk, the others as the config says."""
        from winpredict.scheduled_run import Step

        settings = self._settings.run
        steps = [
            Step("sync", self._sync, needed=True),
            Step("check", self._check),
            Step("score", self._score, needed=True),
        ]
        if has_desk(self._workspace, self._settings):
            steps.append(Step("publish", self._publish))
        if settings.push:
            steps.append(Step("push", self._push))
        steps += [Step(f"report {name}", partial(self._report, Kind(name))) for name in settings.reports]
        if settings.digest:
            steps.append(Step("digest", self._digest, always=True))
        return steps

    def _sync(self) -> "StepResult":
        from winpredict.scheduled_run import StepResult

        done = sync_workspace(self._workspace, self._crm, self._settings)
        if done.synced is None:
            return StepResult()
        counts = asdict(done.synced.total) | {"rewritten": done.rewritten, "left_out": done.synced.skipped}
        return StepResult(counts | {"remarks": done.synced.remarks})

    def _check(self) -> "StepResult":
        from winpredict.scheduled_run import StepResult
        from winpredict.tables.quality import check_quality

        with progress("checking"):
            findings = check_quality(self._workspace.crm()).findings
        counts = {str(name): int(count) for name, count in findings["severity"].value_counts().items()}
        told = {"serious": ["serious"], "warning": ["serious", "warning"], "none": []}[self._settings.run.problems]
        wrong = findings[findings["severity"].isin(told)]
        sentences = [f"{what} ({advice})" for what, advice in zip(wrong["what"], wrong["advice"], strict=True)]
        return StepResult(counts, sentences)

    def _score(self) -> "StepResult":
        from winpredict.scheduled_run import StepResult

        self._scores = score_workspace(self._workspace, as_of=None, which=_CHAMPION, config=self._settings)
        versions = self._scores["model_version"].unique().tolist()
        return StepResult({"deals": len(self._scores), "model": versions[0] if versions else None})

    def _publish(self) -> "StepResult":
        from winpredict.scheduled_run import StepResult

        require_app()
        with progress("publishing"), open_desk_database(self._workspace, self._settings) as database:
            shown = publish_into(database, self._workspace, self._settings)
        return StepResult({"deals": shown.deals, "new": shown.is_new})

    def _push(self) -> "StepResult":
        from winpredict.scheduled_run import StepResult
        from winpredict.sources.crms import connect_to
        from winpredict.sources.push import push

        assert self._scores is not None
        source, fields = connect_to(self._crm, self._settings), self._settings.crm.push
        with progress_bar(f"pushing to {self._crm}") as bar:
            found = push(source, self._scores, fields, self._workspace.folder / "push", apply=True, progress=bar)
        undo_file = None if found.undo_file is None else str(found.undo_file)
        refused = [f"{self._crm} refused {deal_id}: {said}" for deal_id, said in found.refused.items()]
        return StepResult(found.counts | {"undo_file": undo_file}, refused)

    def _report(self, kind: Kind) -> "StepResult":
        from winpredict.models.registry import find_model, load_model
        from winpredict.report.writing import write_report
        from winpredict.scheduled_run import StepResult

        version = find_model(self._workspace.folder, _CHAMPION)
        model = load_model(self._workspace.folder, str(version.version))
        out = self._workspace.folder / "reports" / f"{kind}.{self._settings.run.report_suffix}"
        with progress(f"report {kind}") as report_progress:
            written = write_report(build_report(kind, self._workspace, model, version, report_progress), out)
        return StepResult({"written": str(written[0])})

    def _digest(self) -> "StepResult":
        from winpredict.report.sending import send
        from winpredict.scheduled_run import StepResult
        from winpredict.sources.secrets import find_secret

        addresses = {name: find_secret(name) for name in self._settings.run.digest}
        with progress("digest"):
            made = self._build_digest([f"{each.step}: {said}" for each in self._done for said in each.problems])
            send(made.title, made.markdown(), addresses)
        return StepResult({"title": made.title, "sent_to": list(addresses)})

    def _build_digest(self, problems: list[str]) -> "Digest":
        from winpredict.models.registry import load_version
        from winpredict.report.digest import Digest, digest

        if self._scores is None:
            return Digest("winpredict: not done", "Today's run did not get as far as scores.", problems=tuple(problems))
        _, model = load_version(self._workspace.folder, _CHAMPION)
        moment = self._scores["as_of"].max() if len(self._scores) else None
        earlier = None if moment is None else self._workspace.latest_scores(before=moment)
        return digest(model, self._workspace.crm(), self._scores, earlier, self._settings.run, problems)


def _show(console: "Console", found: "Run") -> None:
    import pandas as pd

    rows = [(each.step, each.outcome, each.seconds, _facts(each)) for each in found.steps]
    frame = pd.DataFrame(rows, columns=["step", "outcome", "seconds", "what"])
    console.print(table(frame, "The run", {"seconds": ",.1f"}))
    for each in found.steps:
        for said in each.problems:
            console.print(f"{each.step}: {said}", soft_wrap=True)
    console.print(f"log: {found.log}")


def _facts(step: "StepDone") -> str:
    return ", ".join(f"{name} {value}" for name, value in step.counts.items() if value not in (None, [], {}))
