"""The command line: each command calls one public function or two and prints the result.

Exit codes: 0 done; 1 done, with problems (`winpredict run`); 2 something must be changed by the user; 3 the workspace
is busy (`winpredict run`); 70 an error of winpredict's own, whose details are in a log file; 130 stopped by Ctrl-C.
"""

import os
import sys
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from winpredict._internal.error_log import unexpected_error
from winpredict.cli import (
    audit,
    data,
    demo,
    features,
    live,
    modelling,
    models,
    monitoring,
    people,
    privacy,
    push,
    report,
    run,
    scoring,
    spark,
)
from winpredict.cli import serve as desk
from winpredict.cli.speaking import INTERRUPTED as INTERRUPTED
from winpredict.cli.speaking import USER_MUST_CHANGE_SOMETHING, in_language
from winpredict.errors import WinPredictError

#: As sysexits.h has it: an internal error.
UNEXPECTED = 70
BROKEN_PIPE = 141


class _Commands(TyperGroup):
    """All commands; errors made for people become a sentence and an exit code, never a traceback."""

    def main(self, *args: Any, **options: Any) -> Any:
        try:
            return super().main(*args, **options)
        except BrokenPipeError:  # whoever read the output has gone, as `head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(BROKEN_PIPE) from None
        except Exception as error:
            print(f"error: {unexpected_error(error)}", file=sys.stderr)
            raise SystemExit(UNEXPECTED) from None

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except WinPredictError as error:
            print(f"error: {error}", file=sys.stderr)
            raise typer.Exit(USER_MUST_CHANGE_SOMETHING) from None


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"winpredict {version('winpredict')}")
        raise typer.Exit


@app.callback()
def _options(
    wanted: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Honest odds of winning every open sales deal, and the reasons why. To try it out: winpredict demo."""


app.command("demo")(in_language(demo.demo))
app.command("import")(in_language(data.import_))
app.command("connect")(in_language(live.connect))
app.command("sync")(in_language(live.sync))
app.command("push")(in_language(push.push))
app.command("run")(in_language(run.run))
app.command("check")(in_language(data.check))
app.command("features")(in_language(features.features))
app.command("train")(in_language(modelling.train))
app.command("backtest")(in_language(modelling.backtest))
app.command("learning-curve")(in_language(modelling.learning_curve))
app.command("monitor")(in_language(monitoring.monitor))
app.command("retrain")(in_language(monitoring.retrain))
app.command("score")(in_language(scoring.score))
app.command("explain")(in_language(scoring.explain))
app.command("report")(in_language(report.report))
app.command("serve")(in_language(desk.serve))
app.command("publish")(in_language(desk.publish))
app.command("audit")(in_language(audit.audit))
app.command("erase")(in_language(privacy.erase))
app.command("export-personal")(in_language(privacy.export_personal))
app.add_typer(models.app, name="models")
app.add_typer(people.app, name="people")
app.add_typer(spark.app, name="spark")


def main() -> None:
    """Entry point of the ``winpredict`` command."""
    # OpenMP's threads otherwise spin while they wait for each other, which on a busy machine takes ten times the time
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    app()
