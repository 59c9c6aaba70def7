"""What is done every day: read, check, monitor, score, publish, push, report, send the digest."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from winpredict.errors import ConfigError, ProfileError, WinPredictError
from winpredict.locale.text import Text, said, text
from winpredict.workflows.importing import import_files_into
from winpredict.workflows.reporting import Kind, build_report, model_name
from winpredict.workflows.scoring import score_workspace
from winpredict.workflows.syncing import sync_workspace

if TYPE_CHECKING:
    import pandas as pd

    from winpredict._internal.progress import Bar
    from winpredict.config import Config
    from winpredict.models.monitoring import Health
    from winpredict.report.digest import Digest
    from winpredict.workflows.steps import Step, StepDone, StepResult
    from winpredict.workspace import Workspace

_CHAMPION = "champion"
#: Steps by what they are called in the log, as people read them.
STEPS: Mapping[str, Text] = {
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


class DeskOfRun(Protocol):
    """The win desk, as far as a run has to do with it."""

    def publish(self) -> "StepResult":
        """Show the latest scores to people."""

    def champion_recorded(self) -> AbstractContextManager[None]:
        """Write it down if another model becomes the champion meanwhile."""


@dataclass(frozen=True)
class Show:
    """How progress is shown: each takes what is being done as a whole.

    Parameters
    ----------
    words : callable
        Gives a context that yields a function of words.
    bar : callable
        Gives a context that yields a function of steps done and of all, such as `winpredict._internal.progress.Bar`.
    """

    words: "Callable[[str], AbstractContextManager[Callable[[str], None]]]" = lambda title: nullcontext(
        lambda words: None
    )
    bar: "Callable[[str], AbstractContextManager[Bar]]" = lambda title: nullcontext(lambda done, of, words="": None)


class Origin(NamedTuple):
    """What a run reads: a live CRM, or files and warehouses by a profile.

    Parameters
    ----------
    name : str
        Of the CRM, or the path or address.
    is_live : bool
    profile : str
        Of files and warehouses.
    schema : str, optional
        Of the tables in a warehouse.
    """

    name: str
    is_live: bool
    profile: str = ""
    schema: str | None = None


def origin_of(
    source: str, profile: str | None, schema: str | None, workspace: "Workspace", settings: "Config"
) -> Origin:
    """What a run reads, with the profile of the last import where none is named.

    Raises
    ------
    WinPredictError
        When the source is none, or its profile is not known.
    """
    from winpredict.connectors.registry import CRMS
    from winpredict.ingest.files import is_warehouse

    if source in CRMS:
        if profile or schema:
            raise ProfileError(text("--profile and --schema are for exports and warehouses; a sync keeps its profile"))
        return Origin(source, is_live=True)
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
    return Origin(source, is_live=False, profile=chosen, schema=schema)


class DailyRun:
    """The steps of one run, and what they hand on.

    Parameters
    ----------
    workspace : Workspace
        Its lock is held while the steps are done.
    origin : Origin
    settings : Config
    done : list of StepDone
        What was done so far, as `winpredict.workflows.steps.run_steps` fills it.
    desk : DeskOfRun, optional
        Where there is a win desk to keep up to date.
    show : Show, optional
        Progress; by default nothing is shown.
    """

    def __init__(
        self,
        workspace: "Workspace",
        origin: Origin,
        settings: "Config",
        done: "list[StepDone]",
        *,
        desk: "DeskOfRun | None" = None,
        show: "Show | None" = None,
    ) -> None:
        self._workspace, self._crm, self._settings, self._done = workspace, origin.name, settings, done
        self._origin, self._desk, self._show = origin, desk, show or Show()
        self._watched: list[str] = []
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
        if self._desk is not None:
            steps.append(Step("publish", self._desk.publish))
        if settings.push:
            steps.append(Step("push", self._push))
        steps += [Step(f"report {name}", partial(self._report, Kind(name))) for name in settings.reports]
        steps.append(Step("tidy", self._tidy))
        if settings.digest:
            steps.append(Step("digest", self._digest, always=True))
        return steps

    def _sync(self) -> "StepResult":
        from winpredict.workflows.steps import StepResult

        with self._show.bar(said("syncing {crm}", crm=self._crm)) as bar:
            done = sync_workspace(self._workspace, self._crm, self._settings, progress=bar)
        if done.synced is None:
            return StepResult()
        counts = asdict(done.synced.total) | {"rewritten": done.rewritten, "left_out": done.synced.skipped}
        return StepResult(counts | {"remarks": done.synced.remarks})

    def _import(self) -> "StepResult":
        from winpredict.workflows.steps import StepResult

        with self._show.bar(said("importing")) as bar:
            imported = import_files_into(
                self._workspace,
                [self._origin.name],
                self._origin.profile,
                schema=self._origin.schema,
                limits=self._settings.input_limits,
                progress=bar,
            )
        rows = self._workspace.manifest["rows"]
        return StepResult({"deals": rows["deals"], "quarantined": sum(map(len, imported.quarantine.values()))})

    def _monitor(self) -> "StepResult":
        from winpredict.models.monitoring import CHECK_LABELS
        from winpredict.workflows.monitoring import monitor_workspace
        from winpredict.workflows.steps import StepResult

        with self._show.words(said("monitoring")) as report_progress:
            self._health = monitor_workspace(self._workspace, self._settings, progress=report_progress)
        states = {each.name: each.state for each in self._health.checks}
        found = {
            state: [
                said("{check}: {finding}", check=CHECK_LABELS[each.name], finding=each.sentence)
                for each in self._health.checks
                if each.state == state
            ]
            for state in ("watch", "act")
        }
        self._watched, alarms = found["watch"], found["act"]
        return StepResult({"state": self._health.state, "checks": states}, alarms)

    def _retrain(self) -> "StepResult":
        from winpredict.workflows.retraining import is_due, retrain_workspace
        from winpredict.workflows.steps import StepResult

        moment = self._workspace.crm().known_until
        why = None if moment is None else is_due(self._workspace, self._settings.retraining, self._health, moment)
        if why is None:
            return StepResult({"due": False})
        recorded = nullcontext() if self._desk is None else self._desk.champion_recorded()
        with recorded, self._show.words(said("retraining")) as report_progress:
            done = retrain_workspace(self._workspace, self._settings, progress=report_progress)
        return StepResult({"due": True, "why": str(why)} | done.to_dict() | {"sentence": str(done.sentence)})

    def _check(self) -> "StepResult":
        from winpredict.tables.quality import check_quality
        from winpredict.workflows.steps import StepResult

        with self._show.words(said("checking")):
            findings = check_quality(self._workspace.crm()).findings
        counts = {str(name): int(count) for name, count in findings["severity"].value_counts().items()}
        severities = {"serious": ["serious"], "warning": ["serious", "warning"], "none": []}
        wrong = findings[findings["severity"].isin(severities[self._settings.run.problems])]
        sentences = [f"{what} ({advice})" for what, advice in zip(wrong["what"], wrong["advice"], strict=True)]
        return StepResult(counts, sentences)

    def _score(self) -> "StepResult":
        from winpredict.workflows.steps import StepResult

        with self._show.bar(said("scoring")) as bar:
            self._scores = score_workspace(
                self._workspace, as_of=None, which=_CHAMPION, config=self._settings, progress=bar
            )
        versions = self._scores["model_version"].unique().tolist()
        return StepResult({"deals": len(self._scores), "model": versions[0] if versions else None})

    def _push(self) -> "StepResult":
        from winpredict.connectors.push.push import push
        from winpredict.connectors.registry import connect_to
        from winpredict.workflows.steps import StepResult

        assert self._scores is not None
        source, fields = connect_to(self._crm, self._settings), self._settings.crm.push
        with self._show.bar(said("pushing to {crm}", crm=self._crm)) as bar:
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
        title = str(model_name(version.version, version.aliases))
        out = self._workspace.folder / "reports" / f"{kind}.{self._settings.run.report_suffix}"
        with self._show.words(step_name(f"report {kind}")) as report_progress:
            written = write_report(
                build_report(kind, self._workspace, model, title=title, progress=report_progress), out
            )
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
        with self._show.words(step_name("digest")):
            message = self._build_digest([line for each in self._done for line in step_problems(each)])
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
        watched = [said("Keep an eye on {finding}", finding=each) for each in self._watched]
        told = [*problems, *watched]
        return digest(model, self._workspace.crm(), self._scores, earlier, self._settings.run, told)


def step_name(step: str) -> str:
    """What a step is called."""
    return str(STEPS.get(step, step))


def step_problems(step: "StepDone") -> list[str]:
    """What people should look at, with the step that found it."""
    return [said("{step}: {problem}", step=step_name(step.step), problem=each) for each in step.problems]
