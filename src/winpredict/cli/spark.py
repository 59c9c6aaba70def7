"""``winpredict spark``: import, features and scores on a Spark cluster, from and to any storage that it reads."""

from typing import Annotated

import typer

from winpredict.cli.options import (
    AsOfOption,
    JsonOption,
    ModelOption,
    WorkspaceOption,
    moment,
    warn_if_late,
    workspace_at,
)
from winpredict.cli.output import respond
from winpredict.errors import WinPredictError

app = typer.Typer(no_args_is_help=True, help="The same on a Spark cluster, for data beyond one machine.")

TablesArgument = Annotated[str, typer.Argument(help="Folder or URI of parted tables.", metavar="TABLES")]


@app.command("import")
def import_(
    raw: Annotated[str, typer.Argument(help="Folder or URI with one Parquet or Delta folder a raw table.")],
    out: Annotated[str, typer.Option("--out", help="Folder or URI for the parted tables.")],
    profile: Annotated[str, typer.Option("--profile", help="Name of a shipped mapping profile, or a YAML file.")],
    buckets: Annotated[int, typer.Option("--buckets", min=1, help="So many that 20,000 to 50,000 deals fall in one.")],
    as_json: JsonOption = False,
) -> None:
    """Import raw tables into canonical ones.

    Example: winpredict spark import s3a://crm/raw --profile salesforce --buckets 256 --out s3a://crm/tables
    """
    from winpredict import spark as engine
    from winpredict.ingest import load_profile

    session = engine.session()
    with engine.plain_errors():
        tables, repairs = engine.import_tables(engine.read_raw(session, raw), load_profile(profile), buckets)
        tables.write(out)
    respond(
        {"written": out, "tables": list(tables.frames), "repairs": repairs},
        lambda console: console.print(f"{', '.join(tables.frames)}: written to {out}"),
        as_json=as_json,
    )


@app.command("features")
def features(
    tables: TablesArgument,
    out: Annotated[str, typer.Option("--out", help="Folder or URI for the feature rows.")],
    attributes: Annotated[
        list[str] | None, typer.Option("--attribute", help="Static attribute that may be used; can be repeated.")
    ] = None,
    every_days: Annotated[float, typer.Option("--every-days", help="Days between two looks at a deal.")] = 7.0,
    as_json: JsonOption = False,
) -> None:
    """Write the feature rows of every deal at every look, with what became of it.

    Example: winpredict spark features s3a://crm/tables --out s3a://crm/features --attribute product
    """
    from winpredict import spark as engine
    from winpredict.features.dataset import SnapshotGrid

    with engine.plain_errors():
        found = engine.SparkTables.read(engine.session(), tables)
        rows = engine.build_dataset(found, attributes=tuple(attributes or ()), grid=SnapshotGrid(every_days))
        rows.write.mode("overwrite").partitionBy("bucket").parquet(out)
    respond({"written": out}, lambda console: console.print(f"feature rows written to {out}"), as_json=as_json)


@app.command("score")
def score(
    tables: TablesArgument,
    out: Annotated[str, typer.Option("--out", help="Folder or URI for the scores.")],
    workspace_folder: WorkspaceOption = None,
    as_of: AsOfOption = None,
    model: ModelOption = "champion",
    as_json: JsonOption = False,
) -> None:
    """Score every open deal with a model of the workspace.

    Example: winpredict spark score s3a://crm/tables --out s3a://crm/scores --workspace my-project
    """
    from winpredict import spark as engine
    from winpredict.models.registry import find_model, load_model

    workspace = workspace_at(workspace_folder)
    version = str(find_model(workspace.folder, model).version)
    trained = load_model(workspace.folder, version)
    with engine.plain_errors():
        found = engine.SparkTables.read(engine.session(), tables)
        day = moment(as_of)
        warn_if_late(day, found.known_until)
        scores = engine.score(found, trained, as_of=day, model_version=version)
        scores.drop("bucket").write.mode("overwrite").parquet(out)
    respond({"written": out}, lambda console: console.print(f"scores written to {out}"), as_json=as_json)


def _require_pyspark() -> None:
    """Say what to install where PySpark is absent."""
    from importlib.util import find_spec

    if find_spec("pyspark") is None:
        raise WinPredictError("this needs PySpark: install winpredict[spark], and Java 17 or later")


@app.callback()
def _first() -> None:
    _require_pyspark()
