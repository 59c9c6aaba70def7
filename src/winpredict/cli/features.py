"""``winpredict features``: the feature rows themselves, for whoever wants to model with them."""

from pathlib import Path
from typing import Annotated

import typer

from winpredict._internal.progress import progress_bar
from winpredict.cli.options import ConfigOption, JsonOption, WorkspaceOption, workspace_at
from winpredict.cli.output import respond
from winpredict.locale.text import said, texts


def features(
    out: Annotated[Path, typer.Option("--out", help="Folder for Parquet files, one per bucket of deals.")],
    workspace_folder: WorkspaceOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the features of every deal at every snapshot, with its outcome.

    Bucket by bucket, in the memory that one bucket needs; a stopped run resumes where it was.

    Example: winpredict features --out features
    """
    from winpredict.config import load_config
    from winpredict.features.dataset import SnapshotGrid, build_dataset
    from winpredict.features.leakage import audit_attributes
    from winpredict.models.recipe import all_builders
    from winpredict.models.sampling import learning_sample

    settings = load_config(config)
    workspace = workspace_at(workspace_folder)
    buckets = workspace.buckets() or workspace.part(1)
    sample = learning_sample(buckets, settings).exported
    audit = audit_attributes(sample, keep=settings.attributes.keep, drop=settings.attributes.drop)
    with progress_bar(said("building features")) as bar:
        dataset = build_dataset(
            buckets,
            out,
            grid=SnapshotGrid(settings.snapshots.every_days, settings.snapshots.longest_days),
            attributes=audit.kept,
            builders=all_builders(settings.builders),
            progress=bar,
        )
    rows, columns = dataset.rows, len(dataset.info)
    written = texts(
        "{n:count} snapshot with {features:count} features written to {folder}",
        "{n:count} snapshots with {features:count} features written to {folder}",
        n=rows,
        features=columns,
        folder=str(out),
    )
    respond(
        {"rows": rows, "features": [vars(each) for each in dataset.info], "written": str(out)},
        lambda console: console.print(str(written), soft_wrap=True),
        as_json=as_json,
    )
