"""``winpredict audit``: the win desk's audit log as a file."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from winpredict.cli.options import ConfigOption, WorkspaceOption, existing_workspace, moment
from winpredict.cli.serve import open_desk_database, require_app
from winpredict.errors import WinPredictError
from winpredict.locale.text import text, texts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from typing import TextIO

#: How the log is written, by the suffix of the file.
_SUFFIXES = (".csv", ".jsonl")


def audit(
    since: Annotated[
        str | None, typer.Option("--since", help="Day or moment (UTC), such as 2026-03-01: only entries from then on.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="Day or moment (UTC): only entries before it. Default: all.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write, .csv or .jsonl; by default JSON lines are printed."),
    ] = None,
    workspace_folder: WorkspaceOption = None,
    config: ConfigOption = None,
) -> None:
    """Export the win desk's audit log: who signed in, exported, published or changed something, and when.

    CSV is safe to open in spreadsheets; JSON lines hold the texts as they are. Entries older than `app.audit_days` of
    the config are deleted when scores are published.

    Example: winpredict audit --since 2026-01-01 --output audit.csv

    Example: winpredict audit --since 2026-03-01 --until 2026-04-01 > march.jsonl
    """
    from winpredict.config import load_config

    require_app()
    from winpredict.app.audit_log import exported, write_down
    from winpredict.app.pages.audit import AUDIT_EXPORTED

    if output is not None and output.suffix.lower() not in _SUFFIXES:
        raise WinPredictError(text("cannot write to {name}: the name must end in .csv or .jsonl", name=output.name))
    first, last = _moment(since), _moment(until)
    workspace, settings = existing_workspace(workspace_folder), load_config(config)
    with open_desk_database(workspace, settings) as database:
        with database.reading() as session:
            count = _write(exported(session, first, last), output)
        write_down(database, None, AUDIT_EXPORTED, "stdout" if output is None else output.name, {"rows": count})
    if output is not None:
        print(texts("Wrote {n:count} entry to {path}.", "Wrote {n:count} entries to {path}.", n=count, path=output))


def _moment(words: str | None) -> "datetime | None":
    found = moment(words)
    return None if found is None else found.to_pydatetime()


def _write(rows: "Iterator[dict[str, Any]]", output: Path | None) -> int:
    from winpredict._internal.atomic import replacing
    from winpredict._internal.spreadsheets import write_table
    from winpredict.app.audit_log import table_of

    if output is None:
        return _write_lines(rows, sys.stdout)
    if output.suffix.lower() == ".csv":
        table = table_of(rows)
        write_table(table, output)
        return len(table)
    with replacing(output) as temporary, temporary.open("w", encoding="utf-8") as file:
        return _write_lines(rows, file)


def _write_lines(rows: "Iterator[dict[str, Any]]", file: "TextIO") -> int:
    count = 0
    for row in rows:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")
        count += 1
    return count
