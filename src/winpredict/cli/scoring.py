"""``winpredict score`` and ``winpredict explain``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from winpredict._internal.progress import progress_bar
from winpredict.cli.options import (
    AsOfOption,
    JsonOption,
    ModelOption,
    WorkspaceOption,
    moment,
    warn_if_late,
    workspace_at,
)
from winpredict.cli.output import Column, respond, table
from winpredict.errors import WinPredictError
from winpredict.locale.text import said, text, texts
from winpredict.workflows.scoring import score_workspace

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console
    from rich.table import Table


_SHOWN = 10
_REASONS = ("reason_1", "reason_2", "reason_3")
_COLUMNS = {
    "deal_id": Column(text("Deal")),
    "win_probability": Column(text("Win odds"), "percent"),
    "low": Column(text("From"), "percent"),
    "high": Column(text("To"), "percent"),
    "p_win_30d": Column(text("In 30 days"), "percent"),
    "reasons": Column(text("Reasons")),
}


def score(
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="File to write, .csv or .parquet; by default scores are kept in the workspace alone."
        ),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option("--to", help="Warehouse to merge the scores into: postgresql://me@host/db, or env:NAME."),
    ] = None,
    to_schema: Annotated[
        str | None, typer.Option("--to-schema", help="Schema in the warehouse; it must exist.")
    ] = None,
    dbt: Annotated[
        Path | None, typer.Option("--dbt", help="Describe the warehouse's tables for dbt in this file: .yml.")
    ] = None,
    workspace_folder: WorkspaceOption = None,
    as_of: AsOfOption = None,
    model: ModelOption = "champion",
    as_json: JsonOption = False,
) -> None:
    """Score every open deal, with reasons.

    One row per deal: win odds with their interval, odds within 30 days and by the end of the quarter, five reasons.

    Example: winpredict score --out scores.csv

    Example: winpredict score --to env:WAREHOUSE --to-schema analytics
    """
    from winpredict._internal.spreadsheets import require_suffix, write_table
    from winpredict.explain.scores import DETAILS

    if out is not None:
        require_suffix(out)
    workspace = workspace_at(workspace_folder)
    day = moment(as_of)
    warn_if_late(day, moment(workspace.manifest["known_until"]))
    with progress_bar(said("scoring")) as bar:
        scores = score_workspace(workspace, as_of=day, which=model, progress=bar)
    if out is not None:
        write_table(scores.drop(columns=[*DETAILS]), out)
    done = {} if to is None and dbt is None else _into_warehouse(scores, to, to_schema, dbt)
    written = str(out or workspace.scores_folder)
    respond(
        {"deals": len(scores), "written": written} | done | {"scores": scores},
        lambda console: _show(console, scores, written, done),
        as_json=as_json,
    )


def _show(console: "Console", scores: "pd.DataFrame", written: str, done: dict[str, Any]) -> None:
    if not scores.empty:
        console.print(scores_table(scores))
    scored = texts(
        "{n:count} open deal scored, written to {file}",
        "{n:count} open deals scored, written to {file}",
        n=len(scores),
        file=written,
    )
    console.print(str(scored), soft_wrap=True)
    if "warehouse" in done:
        console.print(
            said(
                "In the warehouse: {new:count} new, {changed:count} changed, {unchanged:count} unchanged",
                **done["warehouse"],
            )
        )
    if "dbt" in done:
        console.print(said("Described for dbt in {file}", file=done["dbt"]), soft_wrap=True)


def _into_warehouse(scores: "pd.DataFrame", to: str | None, schema: str | None, dbt: Path | None) -> dict[str, Any]:
    """Merge scores into a warehouse and describe its tables, where the options say so; returns what was done."""
    from dataclasses import asdict

    from winpredict._internal.atomic import replacing
    from winpredict.connectors.warehouse.scores_table import scores_documentation, write_scores

    done: dict[str, Any] = {}
    if to is not None:
        done["warehouse"] = asdict(write_scores(to, scores, schema=schema))
    if dbt is not None:
        with replacing(dbt) as file:
            file.write_text(scores_documentation(), encoding="utf-8")
        done["dbt"] = str(dbt)
    return done


def explain(
    deal_id: Annotated[str, typer.Argument(help="Id of the deal, as the CRM has it.")],
    workspace_folder: WorkspaceOption = None,
    as_of: AsOfOption = None,
    since: Annotated[
        str | None, typer.Option("--since", help="Earlier day: show also what has moved the odds since then.")
    ] = None,
    what_if: Annotated[
        list[str] | None,
        typer.Option("--what-if", help="FEATURE=VALUE: the odds of such deals with another value; can be repeated."),
    ] = None,
    similar: Annotated[
        bool, typer.Option("--similar", help="Show also how the most similar closed deals ended.")
    ] = False,
    model: ModelOption = "champion",
    as_json: JsonOption = False,
) -> None:
    """Explain why a deal has its odds, and what moved them.

    Example: winpredict explain 0065g00000XyZab --since 2025-03-01
    """
    from winpredict.explain.changes import changes
    from winpredict.explain.reasons import explain_deal
    from winpredict.explain.similar import similar as similar_deals
    from winpredict.explain.what_if import what_if as ask
    from winpredict.models.registry import load_model

    workspace = workspace_at(workspace_folder)
    crm, trained, day = workspace.crm(), load_model(workspace.folder, model), moment(as_of)
    warn_if_late(day, crm.known_until)
    why = explain_deal(trained, crm, deal_id, as_of=day)
    facts, lines = why.to_dict(), [why.summary()]
    if (start := moment(since)) is not None:
        moved = changes(trained, crm, deal_id, start, day)
        facts["changes"] = moved.to_dict()
        lines.append(moved.summary())
    if what_if:
        answer = ask(trained, crm, deal_id, _values_by_feature(what_if), as_of=day)
        facts["what_if"] = answer.to_dict()
        lines.append(answer.sentence)
    if similar:
        alike = similar_deals(trained, crm, deal_id, as_of=day)
        facts["similar"] = alike.deals
        lines.append(alike.summary())
    respond(facts, lambda console: console.print("\n\n".join(lines), soft_wrap=True), as_json=as_json)


def _values_by_feature(options: list[str]) -> dict[str, float]:
    """``touches_30d=6`` as a mapping."""
    values = {}
    for each in options:
        name, _, value = each.partition("=")
        try:
            values[name.strip()] = float(value)
        except ValueError:
            raise WinPredictError(
                text("--what-if {each!r}: write it as FEATURE=NUMBER, such as touches_30d=6", each=each)
            ) from None
    return values


def scores_table(scores: "pd.DataFrame") -> "Table":
    """The deals with the best odds, for people."""
    top = scores.head(_SHOWN)
    reasons = ["\n".join(filter(None, row)) for row in top[[*_REASONS]].itertuples(index=False)]
    title = texts(
        "The {n:count} open deal with the best odds", "The {n:count} open deals with the best odds", n=len(top)
    )
    return table(top.assign(reasons=reasons), str(title), _COLUMNS)
