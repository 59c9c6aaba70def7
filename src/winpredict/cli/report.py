"""``winpredict report``: reports for managers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from winpredict._internal.progress import progress
from winpredict.cli.options import (
    AsOfOption,
    ConfigOption,
    JsonOption,
    ModelOption,
    WorkspaceOption,
    existing_workspace,
    moment,
    warn_if_late,
)
from winpredict.cli.output import respond
from winpredict.locale.text import said, texts
from winpredict.workflows.reporting import Kind, build_report, model_name, recorded_settings

if TYPE_CHECKING:
    pass


def report(
    kind: Annotated[Kind, typer.Argument(help="What the report is about.")],
    out: Annotated[
        Path, typer.Option("--out", help="File to write: .html, .pdf or .md; its tables are written beside it as CSV.")
    ],
    workspace_folder: WorkspaceOption = None,
    segment: Annotated[
        str | None, typer.Option("--segment", help="Break it down by segment too: customer, size, product, team, ...")
    ] = None,
    as_of: AsOfOption = None,
    judged: Annotated[
        bool,
        typer.Option(
            "--backtest",
            help="forecast: also judge past forecasts. This trains several models, with the settings of --config or "
            "else those of the model.",
        ),
    ] = False,
    config: ConfigOption = None,
    model: ModelOption = "champion",
    as_json: JsonOption = False,
) -> None:
    """Write a report for managers.

    drivers: why deals are won. pipeline: where deals are and where they stall. forecast: bookings to expect, against
    quota. model-card: how good the odds are.

    Example: winpredict report drivers --out drivers.html
    """
    from winpredict.config import load_config
    from winpredict.models.registry import find_model, load_model
    from winpredict.report.writing import require_writable, write_report

    require_writable(out)
    workspace = existing_workspace(workspace_folder)
    version = find_model(workspace.folder, model)
    trained = load_model(workspace.folder, str(version.version))
    day = moment(as_of)
    if kind is not Kind.MODEL_CARD:
        warn_if_late(day, workspace.crm().known_until)
    settings = None
    if kind is Kind.FORECAST and judged:
        settings = recorded_settings(version) if config is None else load_config(config)
    with progress(said("report")) as report_progress:
        report = build_report(
            kind,
            workspace,
            trained,
            title=str(model_name(version.version, version.aliases)),
            segment=segment,
            day=day,
            settings=settings,
            progress=report_progress,
        )
        report_progress(said("drawing"))
        written = write_report(report, out)
    respond(
        {
            "report": str(written[0]),
            "tables": [str(path) for path in written[1:]],
            "summary": [str(each) for each in report.summary],
        },
        lambda console: console.print(
            *[f"- {sentence}" for sentence in report.summary[:5]],
            _written(written[0], len(written) - 1),
            sep="\n",
            soft_wrap=True,
        ),
        as_json=as_json,
    )


def _written(file: Path, tables: int) -> str:
    if not tables:
        return said("Written to {file}", file=file)
    return str(
        texts(
            "Written to {file}, with {n:count} table beside it",
            "Written to {file}, with {n:count} tables beside it",
            file=str(file),
            n=tables,
        )
    )
