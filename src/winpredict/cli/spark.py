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
from winpredict.cli.speaking import in_language
from winpredict.errors import WinPredictError
from winpredict.locale.text import said, text

app = typer.Typer(
    no_args_is_help=True, help="Import, features and scores on a Spark cluster, for data beyond one machine."
)

TablesArgument = Annotated[str, typer.Argument(help="Folder or URI of partitioned tables.", metavar="TABLES")]


@app.command("import")
@in_language
def import_(
    raw: Annotated[str, typer.Argument(help="Folder or URI with one Parquet or Delta folder per raw table.")],
    out: Annotated[str, typer.Option("--out", help="Folder or URI for the partitioned tables.")],
    profile: Annotated[str, typer.Option("--profile", help="Name of a shipped mapping profile, or a YAML file.")],
    buckets: Annotated[
        int, typer.Option("--buckets", min=1, help="Number of buckets; 20,000 to 50,000 deals each work best.")
    ],
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
        lambda console: console.print(
            said("Tables written to {folder}: {tables:listed}", folder=out, tables=[*tables.frames])
        ),
        as_json=as_json,
    )


@app.command("features")
@in_language
def features(
    tables: TablesArgument,
    out: Annotated[str, typer.Option("--out", help="Folder or URI for the feature rows.")],
    attributes: Annotated[
        list[str] | None, typer.Option("--attribute", help="Static attribute to use; can be repeated.")
    ] = None,
    every_days: Annotated[float, typer.Option("--every-days", help="Days between two snapshots of a deal.")] = 7.0,
    as_json: JsonOption = False,
) -> None:
    """Write the features of every deal at every snapshot, with its outcome.

    Example: winpredict spark features s3a://crm/tables --out s3a://crm/features --attribute product
    """
    from winpredict import spark as engine
    from winpredict.features.dataset import SnapshotGrid

    with engine.plain_errors():
        partitioned = engine.SparkTables.read(engine.session(), tables)
        rows = engine.build_dataset(partitioned, attributes=tuple(attributes or ()), grid=SnapshotGrid(every_days))
        rows.write.mode("overwrite").partitionBy("bucket").parquet(out)
    respond(
        {"written": out},
        lambda console: console.print(said("Features written to {folder}", folder=out)),
        as_json=as_json,
    )


@app.command("score")
@in_language
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
        partitioned = engine.SparkTables.read(engine.session(), tables)
        day = moment(as_of)
        warn_if_late(day, partitioned.known_until)
        scores = engine.score(partitioned, trained, as_of=day, model_version=version)
        scores.drop("bucket").write.mode("overwrite").parquet(out)
    respond(
        {"written": out}, lambda console: console.print(said("Scores written to {folder}", folder=out)), as_json=as_json
    )


def _require_pyspark() -> None:
    """Make sure that PySpark is installed."""
    from importlib.util import find_spec

    if find_spec("pyspark") is None:
        raise WinPredictError(text("this needs PySpark: install winpredict[spark], and Java 17 or later"))


@app.callback()
def _first() -> None:
    _require_pyspark()
