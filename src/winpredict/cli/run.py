"""``winpredict run``: what is done every day, for cron, systemd or Airflow."""

import sys
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, NamedTuple, get_args

import typer

from winpredict._internal.progress import progress, progress_bar
from winpredict.cli.data import import_into
from winpredict.cli.live import sync_workspace
from winpredict.cli.options import ConfigOption, JsonOption, WorkspaceOption, workspace_at
from winpredict.cli.output import Column, respond, table
from winpredict.cli.report import Kind, build_report
from winpredict.cli.serve import champion_recorded, has_desk, open_desk_database, publish_into, require_app
from winpredict.errors import ConfigError, ProfileError, WinPredictError, WorkspaceBusyError
from winpredict.locale.text import Text, said, text, texts
from winpredict.workflows.scoring import score_workspace

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from winpredict.config import Config
    from winpredict.models.monitoring import Health
    from winpredict.report.digest import Digest
    from winpredict.workflows.steps import Run, Step, StepDone, StepResult
    from winpredict.workspace import Workspace

_CHAMPION = "champion"
_STEPS: Mapping[str, Text] = {
    "sync": text("sync"),
    "import": text("import"),
    "check": text("check"),
    "monitor": text("monitor"),
    "retrain": text("retrain"),
    "score": text("score"),
    "publish": text("publish"),
    "push": text("push"),
    "report drivers": text("drivers report"),
    "report pipeline": text("pipeline report"),
    "report forecast": text("forecast report"),
    "report model-card": text("model card"),
    "tidy": text("tidy"),
    "digest": text("digest"),
}
_OUTCOMES: Mapping[str, Text] = {
    "done": text("done"),
    "problems": text("problems"),
    "failed": text("failed"),
    "crashed": text("error in winpredict"),
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
    "quarantined": texts("{n:count} row set aside", "{n:count} rows set aside"),
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
    source: Annotated[
        str,
        typer.Argument(
            help="What to read: hubspot, salesforce or zoho; or as for `import`, an export or a warehouse.",
            metavar="SOURCE",
        ),
    ],
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile", help="Mapping profile of an export or a warehouse; default: that of the last import."
        ),
    ] = None,
    schema: Annotated[str | None, typer.Option("--schema", help="Schema of the tables in a warehouse.")] = None,
    retrain: Annotated[
        str | None,
        typer.Option(
            "--retrain",
            metavar="WHEN",
            help="never, monthly, on_alarm or monthly_or_on_alarm: when to train a challenger; default: the config's.",
        ),
    ] = None,
    workspace_folder: WorkspaceOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Do what is done every day: read, check, monitor, score, publish, push, report, send the digest.

    Which of these, and when a new model is trained, is in the config. Scores are published where there is a win desk: a
    database that the config names, or one in the workspace.

    Ends with 0 when done; 1 when done with problems (bad data, records that the CRM refused); 2 when something was not
    done and you must change something; 3 when another process is at work in the workspace; 70 when winpredict itself
    failed in a step, with the details in a log file. The steps that do not need one that failed are done all the same.

    Example: winpredict run hubspot --workspace my-project --config my.yaml

    Example: winpredict run exports/ --profile salesforce --workspace my-project --retrain monthly
    """
    from winpredict.config import load_config
    from winpredict.workflows.steps import BUSY, run_steps

    workspace, settings = workspace_at(workspace_folder), _with_retraining(load_config(config), retrain)
    origin = _origin(source, profile, schema, workspace, settings)
    try:
        result = run_steps(workspace, source, lambda done: _ScheduledRun(workspace, origin, settings, done).steps())
    except WorkspaceBusyError as error:
        print(said("error: {error}", error=error), file=sys.stderr)
        raise typer.Exit(BUSY) from None
    respond(result.to_dict(), lambda console: _show(console, result), as_json=as_json)
    if result.code:
        raise typer.Exit(result.code)


class _Origin(NamedTuple):
    """What a run reads: a live CRM, or files and warehouses by a profile."""

    name: str
    is_live: bool
    profile: str = ""
    schema: str | None = None


def _origin(
    source: str, profile: str | None, schema: str | None, workspace: "Workspace", settings: "Config"
) -> _Origin:
    from pathlib import Path

    from winpredict.connectors.registry import CRMS
    from winpredict.ingest.files import is_warehouse

    if source in CRMS:
        if profile or schema:
            raise ProfileError(text("--profile and --schema are for exports and warehouses; a sync keeps its profile"))
        return _Origin(source, is_live=True)
    if not is_warehouse(source) and not Path(source).exists():
        raise WinPredictError(
            text(
                "{source} is neither a CRM that can be synced ({crms}) nor a file, a folder or a warehouse",
                source=source,
                crms=", ".join(CRMS),
            )
        )
    imports = workspace.manifest["imports"] if workspace.exists else []
    chosen = profile or next((str(each["profile"]) for each in reversed(imports) if "profile" in each), None)
    if chosen is None:
        raise ProfileError(
            text(
                "nothing was imported yet, so no profile is known; name it with --profile, or run `winpredict import "
                "{source}` once, which proposes one",
                source=source,
            )
        )
    if settings.run.push:
        raise ConfigError(
            text("run.push writes scores into a live CRM, and {source} is none; set it to false", source=source)
        )
    return _Origin(source, is_live=False, profile=chosen, schema=schema)


def _with_retraining(settings: "Config", when: str | None) -> "Config":
    if when is None:
        return settings
    from winpredict.config import Retraining

    known = get_args(Retraining.model_fields["when"].annotation)
    if when not in known:
        raise ConfigError(text("--retrain {when!r}: give one of {known}", when=when, known=", ".join(known)))
    return settings.model_copy(update={"retraining": settings.retraining.model_copy(update={"when": when})})


class _ScheduledRun:
    """The steps of one run, and what they hand on."""

    def __init__(self, workspace: "Workspace", origin: _Origin, settings: "Config", done: "list[StepDone]") -> None:
        self._workspace, self._crm, self._settings, self._done = workspace, origin.name, settings, done
        self._origin = origin
        self._scores: pd.DataFrame | None = None
        self._health: Health | None = None

    def steps(self) -> "list[Step]":
        """Read, check, monitor and score always, publish where there is a win desk, the others as the config says.

        A model is trained before scoring, so that what is published, pushed and told is of one champion.
        """
        from winpredict.workflows.steps import Step

        settings = self._settings.run
        read = (
            Step("sync", self._sync, needed=True) if self._origin.is_live else Step("import", self._import, needed=True)
        )
        steps = [read, Step("check", self._check), Step("monitor", self._monitor)]
        if self._settings.retraining.when != "never":
            steps.append(Step("retrain", self._retrain))
        steps.append(Step("score", self._score, needed=True))
        if has_desk(self._workspace, self._settings):
            steps.append(Step("publish", self._publish))
        if settings.push:
            steps.append(Step("push", self._push))
        steps += [Step(f"report {name}", partial(self._report, Kind(name))) for name in settings.reports]
        steps.append(Step("tidy", self._tidy))
        if settings.digest:
            steps.append(Step("digest", self._digest, always=True))
        return steps

    def _sync(self) -> "StepResult":
        from winpredict.workflows.steps import StepResult

        done = sync_workspace(self._workspace, self._crm, self._settings)
        if done.synced is None:
            return StepResult()
        counts = asdict(done.synced.total) | {"rewritten": done.rewritten, "left_out": done.synced.skipped}
        return StepResult(counts | {"remarks": done.synced.remarks})

    def _import(self) -> "StepResult":
        from winpredict.workflows.steps import StepResult

        imported = import_into(
            self._workspace,
            [self._origin.name],
            self._origin.profile,
            schema=self._origin.schema,
            limits=self._settings.input_limits,
        )
        rows = self._workspace.manifest["rows"]
        return StepResult({"deals": rows["deals"], "quarantined": sum(map(len, imported.quarantine.values()))})

    def _monitor(self) -> "StepResult":
        from winpredict.models.monitoring import CHECK_LABELS
        from winpredict.workflows.monitoring import monitor_workspace
        from winpredict.workflows.steps import StepResult

        with progress(said("monitoring")) as report_progress:
            self._health = monitor_workspace(self._workspace, self._settings, progress=report_progress)
        states = {each.name: each.state for each in self._health.checks}
        alarms = [
            said("{check}: {finding}", check=CHECK_LABELS[each.name], finding=each.sentence)
            for each in self._health.checks
            if each.state == "act"
        ]
        return StepResult({"state": self._health.state, "checks": states}, alarms)

    def _retrain(self) -> "StepResult":
        from winpredict.workflows.retraining import is_due, retrain_workspace
        from winpredict.workflows.steps import StepResult

        moment = self._workspace.crm().known_until
        why = None if moment is None else is_due(self._workspace, self._settings.retraining, self._health, moment)
        if why is None:
            return StepResult({"due": False})
        with (
            champion_recorded(self._workspace, self._settings),
            progress(said("retraining")) as report_progress,
        ):
            done = retrain_workspace(self._workspace, self._settings, progress=report_progress)
        return StepResult({"due": True, "why": str(why)} | done.to_dict() | {"sentence": str(done.sentence)})

    def _check(self) -> "StepResult":
        from winpredict.tables.quality import check_quality
        from winpredict.workflows.steps import StepResult

        with progress(said("checking")):
            findings = check_quality(self._workspace.crm()).findings
        counts = {str(name): int(count) for name, count in findings["severity"].value_counts().items()}
        severities = {"serious": ["serious"], "warning": ["serious", "warning"], "none": []}
        wrong = findings[findings["severity"].isin(severities[self._settings.run.problems])]
        sentences = [f"{what} ({advice})" for what, advice in zip(wrong["what"], wrong["advice"], strict=True)]
        return StepResult(counts, sentences)

    def _score(self) -> "StepResult":
        from winpredict.workflows.steps import StepResult

        with progress_bar(said("scoring")) as bar:
            self._scores = score_workspace(
                self._workspace, as_of=None, which=_CHAMPION, config=self._settings, progress=bar
            )
        versions = self._scores["model_version"].unique().tolist()
        return StepResult({"deals": len(self._scores), "model": versions[0] if versions else None})

    def _publish(self) -> "StepResult":
        from winpredict.workflows.steps import StepResult

        require_app()
        with progress(said("publishing")), open_desk_database(self._workspace, self._settings) as database:
            shown = publish_into(database, self._workspace, self._settings)
        return StepResult({"deals": shown.deals, "new": shown.is_new})

    def _push(self) -> "StepResult":
        from winpredict.connectors.push.push import push
        from winpredict.connectors.registry import connect_to
        from winpredict.workflows.steps import StepResult

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
        from winpredict.workflows.steps import StepResult

        version = find_model(self._workspace.folder, _CHAMPION)
        model = load_model(self._workspace.folder, str(version.version))
        out = self._workspace.folder / "reports" / f"{kind}.{self._settings.run.report_suffix}"
        with progress(_step_name(f"report {kind}")) as report_progress:
            written = write_report(build_report(kind, self._workspace, model, version, report_progress), out)
        return StepResult({"written": str(written[0])})

    def _tidy(self) -> "StepResult":
        from winpredict.retention import tidy
        from winpredict.workflows.steps import StepResult

        return StepResult(asdict(tidy(self._workspace, self._settings.retention)))

    def _digest(self) -> "StepResult":
        from winpredict.connectors.secrets import find_secret
        from winpredict.report.sending import send
        from winpredict.workflows.steps import StepResult

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
        elif name in ("written", "undo_file", "title", "sentence") and value is not None:
            words.append(str(value))
    return ", ".join(map(str, words))
