"""``winpredict run``: what is done every day, for cron, systemd or Airflow."""

import sys
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

import typer

from winpredict._internal.progress import progress, progress_bar
from winpredict.cli.live import CRMArgument, sync_workspace
from winpredict.cli.options import ConfigOption, JsonOption, WorkspaceOption, workspace_at
from winpredict.cli.output import Column, respond, table
from winpredict.cli.report import Kind, build_report
from winpredict.cli.scoring import score_workspace
from winpredict.cli.serve import has_desk, open_desk_database, publish_into, require_app
from winpredict.errors import WorkspaceBusyError
from winpredict.locale.text import Text, said, text, texts

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from winpredict.config import Config
    from winpredict.report.digest import Digest
    from winpredict.scheduled_run import Run, Step, StepDone, StepResult
    from winpredict.workspace import Workspace

_CHAMPION = "champion"
_STEPS: Mapping[str, Text] = {
    "sync": text("sync"),
    "check": text("check"),
    "score": text("score"),
    "publish": text("publish"),
    "push": text("push"),
    "report drivers": text("drivers report"),
    "report pipeline": text("pipeline report"),
    "report forecast": text("forecast report"),
    "report model-card": text("model card"),
    "digest": text("digest"),
}
_OUTCOMES: Mapping[str, Text] = {
    "done": text("done"),
    "problems": text("problems"),
    "failed": text("failed"),
    "skipped": text("skipped"),
    "stopped": text("stopped"),
}
#: What a step counts, in words; the rest of what it tells is for the log.
_COUNTS: Mapping[str, Text] = {
    "new": text("{n:count} new"),
    "changed": text("{n:count} changed"),
    "deleted": text("{n:count} deleted"),
    "serious": texts("{n:count} serious finding", "{n:count} serious findings"),
    "warning": texts("{n:count} warning", "{n:count} warnings"),
    "info": texts("{n:count} remark", "{n:count} remarks"),
    "deals": texts("{n:count} deal", "{n:count} deals"),
    "written": texts("{n:count} deal written", "{n:count} deals written"),
    "unchanged": texts("{n:count} deal already up to date", "{n:count} deals already up to date"),
    "refused": texts("{n:count} deal refused by the CRM", "{n:count} deals refused by the CRM"),
    "newer": texts(
        "{n:count} deal with later scores left as it is", "{n:count} deals with later scores left as they are"
    ),
    "gone": texts("{n:count} deal no longer in the CRM", "{n:count} deals no longer in the CRM"),
}
_COLUMNS = {
    "step": Column(text("Step")),
    "outcome": Column(text("Outcome")),
    "seconds": Column(text("Seconds"), "number"),
    "counts": Column(text("Result")),
}


def run(
    crm: CRMArgument, workspace_folder: WorkspaceOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Sync, check the data, score; publish, push, report and send a digest as the config says.

    Scores are published where there is a win desk: a database that the config names, or one in the workspace.

    Ends with 0 when done; 1 when done with problems (bad data, records that the CRM refused); 2 when something was not
    done and you must change something; 3 when another process is at work in the workspace; 70 when winpredict itself
    failed, with the details in a log file.

    Example: winpredict run hubspot --workspace my-project --config my.yaml
    """
    from winpredict.config import load_config
    from winpredict.scheduled_run import BUSY, run_steps
    from winpredict.sources.crms import require_known

    workspace, settings = workspace_at(workspace_folder), load_config(config)
    require_known(crm)
    try:
        result = run_steps(workspace, crm, lambda done: _ScheduledRun(workspace, crm, settings, done).steps())
    except WorkspaceBusyError as error:
        print(said("error: {error}", error=error), file=sys.stderr)
        raise typer.Exit(BUSY) from None
    respond(result.to_dict(), lambda console: _show(console, result), as_json=as_json)
    if result.code:
        raise typer.Exit(result.code)


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

        with progress(said("checking")):
            findings = check_quality(self._workspace.crm()).findings
        counts = {str(name): int(count) for name, count in findings["severity"].value_counts().items()}
        severities = {"serious": ["serious"], "warning": ["serious", "warning"], "none": []}
        wrong = findings[findings["severity"].isin(severities[self._settings.run.problems])]
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
        with progress(said("publishing")), open_desk_database(self._workspace, self._settings) as database:
            shown = publish_into(database, self._workspace, self._settings)
        return StepResult({"deals": shown.deals, "new": shown.is_new})

    def _push(self) -> "StepResult":
        from winpredict.scheduled_run import StepResult
        from winpredict.sources.crms import connect_to
        from winpredict.sources.push import push

        assert self._scores is not None
        source, fields = connect_to(self._crm, self._settings), self._settings.crm.push
        with progress_bar(said("pushing to {crm}", crm=self._crm)) as bar:
            pushed = push(source, self._scores, fields, self._workspace.folder / "push", apply=True, progress=bar)
        undo_file = None if pushed.undo_file is None else str(pushed.undo_file)
        refused = [
            said("{crm} refused deal {deal}: {reason}", crm=self._crm, deal=deal_id, reason=reason)
            for deal_id, reason in pushed.refused.items()
        ]
        return StepResult(pushed.counts | {"undo_file": undo_file}, refused)

    def _report(self, kind: Kind) -> "StepResult":
        from winpredict.models.registry import find_model, load_model
        from winpredict.report.writing import write_report
        from winpredict.scheduled_run import StepResult

        version = find_model(self._workspace.folder, _CHAMPION)
        model = load_model(self._workspace.folder, str(version.version))
        out = self._workspace.folder / "reports" / f"{kind}.{self._settings.run.report_suffix}"
        with progress(_step_name(f"report {kind}")) as report_progress:
            written = write_report(build_report(kind, self._workspace, model, version, report_progress), out)
        return StepResult({"written": str(written[0])})

    def _digest(self) -> "StepResult":
        from winpredict.report.sending import send
        from winpredict.scheduled_run import StepResult
        from winpredict.sources.secrets import find_secret

        addresses = {name: find_secret(name) for name in self._settings.run.digest}
        with progress(_step_name("digest")):
            message = self._build_digest([line for each in self._done for line in _problems(each)])
            send(message.title, message.markdown(), addresses)
        return StepResult({"title": message.title, "sent_to": list(addresses)})

    def _build_digest(self, problems: list[str]) -> "Digest":
        from winpredict.models.registry import load_version
        from winpredict.report.digest import Digest, digest

        if self._scores is None:
            return Digest(
                said("winpredict: run failed"),
                said("Today's run stopped before scoring."),
                problems=tuple(problems),
            )
        _, model = load_version(self._workspace.folder, _CHAMPION)
        moment = self._scores["as_of"].max() if len(self._scores) else None
        earlier = None if moment is None else self._workspace.latest_scores(before=moment)
        return digest(model, self._workspace.crm(), self._scores, earlier, self._settings.run, problems)


def _show(console: "Console", result: "Run") -> None:
    import pandas as pd

    rows = [(_step_name(each.step), str(_OUTCOMES[each.outcome]), each.seconds, _counts(each)) for each in result.steps]
    console.print(table(pd.DataFrame(rows, columns=[*_COLUMNS]), said("Steps of the run"), _COLUMNS))
    for each in result.steps:
        for line in _problems(each):
            console.print(line, soft_wrap=True)
    console.print(said("Log: {file}", file=result.log), soft_wrap=True)


def _step_name(step: str) -> str:
    return str(_STEPS.get(step, step))


def _problems(step: "StepDone") -> list[str]:
    """What people should look at, with the step that found it."""
    return [said("{step}: {problem}", step=_step_name(step.step), problem=each) for each in step.problems]


def _counts(step: "StepDone") -> str:
    """What came of a step: counts in words, or the file that was written."""
    words: list[Text | str] = []
    for name, value in step.counts.items():
        if name in _COUNTS and isinstance(value, int):
            words.append(_COUNTS[name].with_values(n=value))
        elif name == "model" and value is not None:
            words.append(text("model {version}", version=value))
        elif name in ("written", "undo_file", "title") and value is not None:
            words.append(str(value))
    return ", ".join(map(str, words))
