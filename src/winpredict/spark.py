"""The Spark engine: the same definitions over the same buckets, on PySpark.

Spark moves rows to their bucket and runs one Python call a bucket; what is computed there is the very code that runs on
one machine. Each bucket's tables travel as one row a table, as Arrow bytes, so that `applyInArrow` sees them together.
"""

import io
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from winpredict._internal.threads import on_this_thread
from winpredict.errors import ProfileError, TableError, WinPredictError
from winpredict.explain.scores import score_rows
from winpredict.features.build import build_features
from winpredict.features.cross_deal_history import CrossDealFacts, CrossDealHistory
from winpredict.features.dataset import DEFAULT_GRID, SnapshotGrid
from winpredict.features.events import DealEvents
from winpredict.ingest.files import RawFile, with_whole_ids
from winpredict.ingest.fit import refuse_poor_fit
from winpredict.ingest.importing import add_spellings, as_changes, wanted_sources
from winpredict.ingest.merge import updated, updated_alone
from winpredict.ingest.out_of_core import EVERYWHERE, described, said_of
from winpredict.ingest.outcomes import stage_names
from winpredict.ingest.parsing.columns import ColumnHints
from winpredict.ingest.profiles import Profile
from winpredict.ingest.quarantine import Quarantine
from winpredict.ingest.repair import repaired, repaired_alone
from winpredict.ingest.rows import canonical_rows, column_hints, date_columns, deal_ids
from winpredict.ingest.wanted_rows import wanted_rows
from winpredict.locale.text import text
from winpredict.models.snapshots import pipeline
from winpredict.models.trained import TrainedModel
from winpredict.tables.buckets import OF_DEALS, bucket_of, typed_rows
from winpredict.tables.crm import SCHEMA_VERSION, CRMData, checked_description, utc
from winpredict.tables.schema import conform

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_PACKED = "bucket int, name string, rows binary"
_KINDS = {"datetime64[us, UTC]": "timestamp", "float64": "double", "boolean": "boolean"}


@dataclass(frozen=True)
class SparkTables:
    """Canonical tables as Spark frames, each row with its bucket.

    Parameters
    ----------
    frames : dict of str to DataFrame
        The tables whose rows belong to a deal, with the column ``bucket``.
    shared : dict of str to pandas.DataFrame
        Accounts, users and quotas.
    description : dict
        As in ``crm.json``: stage_order, known_until, buckets, columns.
    """

    frames: "dict[str, DataFrame]"
    shared: dict[str, pd.DataFrame]
    description: dict[str, Any]

    @classmethod
    def read(cls, spark: "SparkSession", folder: str) -> "SparkTables":
        """Read a parted tables folder, from any storage that this Spark reads.

        Raises
        ------
        TableError
            When the folder is not parted into buckets.
        """
        if not _exists(spark, f"{folder}/crm.json"):
            raise TableError(
                text("{folder} holds no imported tables; run `winpredict spark import` first", folder=folder)
            )
        said = spark.read.text(f"{folder}/crm.json", wholetext=True).collect()
        description = checked_description(json.loads(said[0]["value"]), folder)
        if not description.get("buckets"):
            raise TableError(text("{folder} is not parted into buckets; import it with --buckets", folder=folder))
        frames = {name: _stored(spark, f"{folder}/{name}", kinds) for name, kinds in description["columns"].items()}
        shared = {}
        for name in description.get("shared", ()):
            arrow = spark.read.parquet(f"{folder}/{name}.parquet").toArrow()
            shared[name] = conform(arrow.to_pandas(), name, check=False)
        return cls(frames, shared, description)

    def write(self, folder: str) -> None:
        """Write the tables as `DealBuckets` and `read` know them.

        What tells of the tables, ``crm.json``, goes first and is written last: a folder that was being written when the
        run was killed holds no tables, rather than some old and some new ones.
        """
        _delete(self._session, f"{folder}/crm.json")
        for name, frame in self.frames.items():
            frame.repartition("bucket").write.mode("overwrite").partitionBy("bucket").parquet(f"{folder}/{name}")
        for name, rows in self.shared.items():
            frame = self._session.createDataFrame(pa.Table.from_pandas(rows, preserve_index=False))
            frame.coalesce(1).write.mode("overwrite").parquet(f"{folder}/{name}.parquet")
        said = json.dumps(self.description | {"shared": list(self.shared)}, indent=2)
        _write_text(self._session, f"{folder}/crm.json", said + "\n")

    @property
    def _session(self) -> "SparkSession":
        return next(iter(self.frames.values())).sparkSession

    @property
    def known_until(self) -> pd.Timestamp | None:
        """The end of knowledge."""
        until = self.description["known_until"]
        return None if until is None else utc(until)

    def packed(self, only: int | None = None) -> "DataFrame":
        """One row a bucket and table: bucket, name, and the rows as Arrow bytes; of one bucket or of all."""
        frames = {
            name: frame if only is None else frame.where(f"bucket = {only}") for name, frame in self.frames.items()
        }
        return _union([_packed(frame, name) for name, frame in frames.items()])

    def crm_of(self, rows: pa.Table) -> CRMData:
        """The tables of one bucket, out of its rows of `packed`."""
        found = {row["name"]: _unpacked(row["rows"]) for row in rows.to_pylist()}
        tables: dict[str, Any] = {
            name: typed_rows(found.get(name, pd.DataFrame()), kinds)
            for name, kinds in self.description["columns"].items()
        } | self.shared
        if "accounts" in tables and "account_id" in tables["deals"]:
            wanted = tables["accounts"]["account_id"].isin(tables["deals"]["account_id"])
            tables["accounts"] = tables["accounts"][wanted].reset_index(drop=True)
        return CRMData(
            **tables,
            stage_order=tuple(self.description["stage_order"]),
            known_until=self.known_until,
            part_of_dated=self.description.get("dated", True),
        )

    def first(self) -> CRMData:
        """The tables of the first bucket that holds deals, in this process."""
        number = self.frames["deals"].agg({"bucket": "min"}).collect()[0][0]
        return self.crm_of(self.packed(number).toArrow())

    def portable(self) -> "SparkTables":
        """What workers need to know of these tables: all but the frames."""
        return SparkTables({}, self.shared, self.description)


def session() -> "SparkSession":
    """The running Spark session, or one as spark-submit and the environment configure it; times are UTC."""
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # workers need this package too
    builder: Any = SparkSession.builder
    found: SparkSession = builder.appName("winpredict").config("spark.sql.session.timeZone", "UTC").getOrCreate()
    return found


def read_raw(spark: "SparkSession", folder: str) -> "dict[str, DataFrame]":
    """Raw tables below a folder, Parquet or Delta, by the names of their files or folders.

    Raises
    ------
    WinPredictError
        When the folder holds none.
    """
    found = {}
    for path in _children(spark, folder):
        name = path.rstrip("/").rsplit("/", 1)[-1]
        kind = "delta" if any(each.endswith("/_delta_log") for each in _children(spark, path)) else "parquet"
        if not name.startswith(("_", ".")):
            found[name.removesuffix(".parquet")] = spark.read.format(kind).load(path)
    if not found:
        raise WinPredictError(
            text("{folder} holds no tables; it needs one Parquet or Delta folder a raw table", folder=folder)
        )
    return found


@contextmanager
def plain_errors() -> Iterator[None]:
    """Make sentences of what Spark raises: of our own errors in a worker, and of its own ones.

    Raises
    ------
    WinPredictError
    """
    from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
    from pyspark.errors import AnalysisException, PySparkException

    try:
        yield
    except (PySparkException, Py4JJavaError) as error:
        told = str(error)
        ours = re.findall(r"^winpredict\.errors\.\w+: (.+)$", told, re.MULTILINE)
        if ours:
            raise WinPredictError(ours[-1].strip()) from None
        if "DATA_SOURCE_NOT_FOUND" in told and "delta" in told:
            raise WinPredictError(
                text(
                    "this Spark cannot read Delta tables; start it with the package io.delta:delta-spark, as "
                    "Delta's documentation says for your version"
                )
            ) from None
        if isinstance(error, AnalysisException) or "FAILED_READ_FILE" in told or "CANNOT_READ_FILE_FOOTER" in told:
            raise WinPredictError(
                text("Spark cannot do this: {split}", split=" ".join(told.split(chr(10), 1)[0].split())[:300])
            ) from None
        raise


def _path(spark: "SparkSession", name: str) -> tuple[Any, Any]:
    """A path of whatever storage and the file system that has it, by Hadoop's own classes."""
    context: Any = spark.sparkContext
    path = context._jvm.org.apache.hadoop.fs.Path(name)
    return path, path.getFileSystem(context._jsc.hadoopConfiguration())


def _exists(spark: "SparkSession", name: str) -> bool:
    path, system = _path(spark, name)
    return bool(system.exists(path))


def _delete(spark: "SparkSession", name: str) -> None:
    path, system = _path(spark, name)
    system.delete(path, True)


def _write_text(spark: "SparkSession", name: str, text: str) -> None:
    path, system = _path(spark, name)
    stream = system.create(path, True)
    stream.write(bytearray(text.encode()))
    stream.close()


def _children(spark: "SparkSession", folder: str) -> list[str]:
    """What lies in a folder."""
    path, system = _path(spark, folder)
    if not system.exists(path):
        raise WinPredictError(text("{folder} does not exist, or this Spark cannot read it", folder=folder))
    found = system.listStatus(path) if system.getFileStatus(path).isDirectory() else []
    return sorted(str(each.getPath().toString()) for each in found)


def _stored(spark: "SparkSession", folder: str, kinds: Mapping[str, str]) -> "DataFrame":
    """A parted table; one without a row has no file that would tell its columns."""
    schema = f"{_columns(kinds)}, bucket int"
    if not _exists(spark, folder):
        return spark.createDataFrame([], schema)
    return spark.read.schema(schema).parquet(folder)


def _columns(kinds: Mapping[str, str]) -> str:
    """Columns as Spark writes them.

    Raises
    ------
    WinPredictError
        When names differ in case alone, which Spark takes for the same.
    """
    _refuse_alike([*kinds, "bucket"])
    return ", ".join(f"{_quoted(name)} {_KINDS.get(kind, 'string')}" for name, kind in kinds.items())


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _refuse_alike(names: Sequence[str]) -> None:
    known: dict[str, str] = {}
    for name in names:
        if (other := known.setdefault(name.lower(), name)) is not name:
            raise WinPredictError(
                text(
                    "Spark takes the columns {other} and {name} for one; leave one of them out with `never` in "
                    "the profile",
                    other=other,
                    name=name,
                )
            )


def import_tables(
    raw: "Mapping[str, DataFrame]", profile: Profile, buckets: int, *, now: pd.Timestamp | None = None
) -> tuple[SparkTables, dict[str, int]]:
    """Import raw tables (Parquet, Delta, JDBC: whatever Spark reads) into canonical ones.

    Parameters
    ----------
    raw : mapping of str to DataFrame
        Raw tables by the name that the profile knows them by.
    profile : Profile
    buckets : int
        As many as make buckets of 20,000 to 50,000 deals.
    now : Timestamp, optional
        The moment of the import, by default the present.

    Returns
    -------
    (SparkTables, dict of str to int)
        And the rows that were rejected or repaired, by table and cause.

    Notes
    -----
    As `winpredict.ingest.out_of_core.import_out_of_core`, and with its two exceptions. Of two rows with one id that
    nothing else tells apart the one whose content sorts last counts, since Spark's rows have no order.
    """
    moment = utc(pd.Timestamp.now("UTC") if now is None else now)
    wanted = [(name, *use) for name in raw for use in wanted_sources(_raw_file(name), profile, alone=len(raw) == 1)]
    if not any(table == "deals" for _, table, _ in wanted):
        raise WinPredictError(
            text(
                "none of the tables {raw} holds deals; profile {name} names them otherwise",
                raw=", ".join(raw),
                name=profile.name,
            )
        )
    hints, parts, alone, empty = {}, [], {}, {}
    quarantine = Quarantine()
    suspects: list[str] = []
    for name, table, source in wanted:
        place = profile.tables[table].index(source)
        if source.explode:
            raise ProfileError(
                text(
                    "profile {name} takes {table} out of lists in {column}: import it without Spark",
                    name=profile.name,
                    table=table,
                    column=name,
                )
            )
        key = f"{table} {place} {name}"
        hints[key], rows = _hints(raw[name], name, table, place, profile, quarantine)
        if table == "deals":
            suspects += date_columns(pd.DataFrame(columns=raw[name].columns), source, hints[key])
        if not rows and table != "deals":
            continue  # as is usual in a warehouse; as good as absent
        if table not in OF_DEALS:
            alone[key] = with_whole_ids(raw[name].toArrow())
            continue
        if table in EVERYWHERE:
            empty[key] = _bytes(raw[name].limit(0).toArrow())
        parts.append(_packed(_routed(raw[name], name, table, place, profile, buckets), key))
    spellings: dict[str, int] = {}
    for of_table in hints.values():
        add_spellings(spellings, of_table)
    importer = _importer(profile, hints, stage_names(spellings, profile), empty, moment)
    done = _union(parts).groupBy("bucket").applyInArrow(importer, _PACKED).persist()
    said = [json.loads(bytes(row["rows"])) for row in done.where("name = 'said'").orderBy("bucket").collect()]
    quarantine.join(each["quarantine"] for each in said)
    refuse_poor_fit(profile, quarantine, first=True, stages=spellings, date_columns=suspects)
    rest = updated_alone(repaired_alone(_canonical(alone, profile, hints, quarantine), moment, quarantine), {})
    found = described(said, profile.stage_order, buckets)
    until = found["known_until"]
    description = {"schema_version": SCHEMA_VERSION} | found
    description["known_until"] = None if until is None else until.isoformat()
    frames = {name: _unpacked_frame(done, name, kinds) for name, kinds in description["columns"].items()}
    return SparkTables(frames, rest, description), quarantine.counts


def gather_cross_deal_history(tables: SparkTables, facts_of: Callable[[CRMData], CrossDealFacts]) -> CrossDealFacts:
    """Cross-deal history of all buckets; see `winpredict.features.dataset.gather_cross_deal_history`."""
    known = tables.portable()

    def facts(rows: pa.Table) -> pa.Table:
        found = facts_of(known.crm_of(rows))
        return _pack_table(_bucket_number(rows), _facts_bytes(found))

    collected = tables.packed().groupBy("bucket").applyInArrow(facts, _PACKED).orderBy("bucket").collect()
    by_bucket: dict[int, dict[str, Any]] = {}
    for row in collected:
        by_bucket.setdefault(row["bucket"], {})[row["name"]] = bytes(row["rows"])
    return CrossDealFacts.joined([_unpack_facts(parts) for parts in by_bucket.values()])


def build_dataset(
    tables: SparkTables, *, attributes: Sequence[str] = (), grid: SnapshotGrid = DEFAULT_GRID
) -> "DataFrame":
    """Feature rows of every deal each so many days, labelled; see `winpredict.features.dataset.build_dataset`.

    Parameters
    ----------
    tables : SparkTables
    attributes : sequence of str
        Static attributes that may be used (`LeakageAudit.kept`).
    grid : SnapshotGrid
        By default every deal each seven days.

    Returns
    -------
    DataFrame
        bucket, deal_id, as_of, outcome, days_to_close, look, then the features.
    """
    known, wanted = tables.portable(), tuple(attributes)
    shared = _broadcast(
        tables, gather_cross_deal_history(tables, lambda crm: CrossDealFacts.of(DealEvents(crm), wanted))
    )

    def rows_of(crm: CRMData) -> pd.DataFrame:
        snapshots = grid.of(crm)
        built = build_features(crm, snapshots, attributes=wanted, cross_deal_history=_cross_deal_history(shared.value))
        return pd.concat([snapshots.reset_index(drop=True), built.frame], axis=1)

    return _by_bucket(tables, lambda rows: rows_of(known.crm_of(rows)), rows_of(tables.first()))


def score(
    tables: SparkTables,
    model: TrainedModel,
    *,
    as_of: pd.Timestamp | str | None = None,
    model_version: str = "",
    scored_at: pd.Timestamp | str | None = None,
) -> "DataFrame":
    """Score every deal that is open at a moment; see `winpredict.explain.scores.score`.

    Returns
    -------
    DataFrame
        Its columns, in no order of rows, and bucket.

    Raises
    ------
    WinPredictError
        When the model was trained on facts later than `as_of`.
    """
    moment = tables.known_until if as_of is None else utc(as_of)
    model.refuse_hindsight(moment)
    scored = pd.Timestamp.now("UTC") if scored_at is None else utc(scored_at)
    known = tables.portable()
    first = tables.first()
    files = tables._session.sparkContext.broadcast(_model_files(model))
    shared = _broadcast(
        tables, gather_cross_deal_history(tables, lambda crm: _model(files.value).recipe.cross_deal_facts(crm))
    )

    def scores_of(crm: CRMData) -> pd.DataFrame:
        snapshots = pipeline(crm, moment)
        its = _model(files.value)
        built = its.build_features(
            crm.of_deals(snapshots["deal_id"]), snapshots, cross_deal_history=_cross_deal_history(shared.value)
        )
        return score_rows(its, snapshots, built, moment).assign(model_version=model_version, scored_at=scored)

    return _by_bucket(tables, lambda rows: scores_of(known.crm_of(rows)), scores_of(first))


def _by_bucket(tables: SparkTables, make: Callable[[pa.Table], pd.DataFrame], sample: pd.DataFrame) -> "DataFrame":
    """Run one call a bucket; the sample tells the columns."""
    target = pa.Schema.from_pandas(sample.assign(bucket=0), preserve_index=False)
    target = pa.schema([field.with_type(_plain(field.type)).remove_metadata() for field in target])

    def run(rows: pa.Table) -> pa.Table:
        with on_this_thread():  # Spark runs as many tasks beside each other as there are cores
            made = make(rows).assign(bucket=_bucket_number(rows))
        return (
            pa.Table.from_pandas(made, preserve_index=False).select(target.names).cast(target).replace_schema_metadata()
        )

    _refuse_alike(target.names)
    schema = ", ".join(f"{_quoted(field.name)} {_spark_type(field.type)}" for field in target)
    return tables.packed().groupBy("bucket").applyInArrow(run, schema)


def _plain(kind: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_large_string(kind) or pa.types.is_null(kind) else kind


def _spark_type(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return "timestamp"
    return {"double": "double", "string": "string", "int64": "bigint", "bool": "boolean"}[str(kind)]


def _union(frames: "Sequence[DataFrame]") -> "DataFrame":
    out = frames[0]
    for frame in frames[1:]:
        out = out.unionByName(frame)
    return out


def _packed(frame: "DataFrame", name: str) -> "DataFrame":
    """One row a bucket, with all of its rows as Arrow bytes."""

    def pack(rows: pa.Table) -> pa.Table:
        number = _bucket_number(rows)
        return _pack_table(number, {name: _bytes(rows.drop_columns(["bucket"]))})

    return frame.groupBy("bucket").applyInArrow(pack, _PACKED)


def _bucket_number(rows: pa.Table) -> int:
    return int(rows["bucket"][0].as_py())


def _pack_table(number: int, parts: Mapping[str, bytes]) -> pa.Table:
    columns = [
        pa.array([number] * len(parts), pa.int32()),
        pa.array(list(parts)),
        pa.array(list(parts.values()), pa.binary()),
    ]
    return pa.Table.from_arrays(columns, names=["bucket", "name", "rows"])


def _bytes(rows: pa.Table) -> bytes:
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.ipc.new_stream(sink, rows.schema, options=options) as writer:
        writer.write_table(rows)
    return sink.getvalue()


def _unpacked(content: bytes) -> pd.DataFrame:
    return with_whole_ids(pa.ipc.open_stream(content).read_all())


def _facts_bytes(facts: CrossDealFacts) -> dict[str, bytes]:
    parts = {}
    for each in fields(facts):
        value = getattr(facts, each.name)
        if isinstance(value, pd.DataFrame):
            parts[each.name] = _bytes(pa.Table.from_pandas(value, preserve_index=False))
        else:
            parts[each.name] = json.dumps(sorted(value)).encode()
    return parts


def _unpack_facts(parts: Mapping[str, bytes]) -> CrossDealFacts:
    values: dict[str, Any] = {}
    for name, content in parts.items():
        sets = content[:1] == b"["
        values[name] = frozenset(json.loads(content)) if sets else CrossDealFacts.typed(_unpacked(content))
    return CrossDealFacts(**values)


def _broadcast(tables: SparkTables, facts: CrossDealFacts) -> Any:
    """The facts of all deals to every worker, as bytes that each turns into tables once."""
    return tables._session.sparkContext.broadcast(tuple(sorted(_facts_bytes(facts).items())))


@lru_cache(maxsize=1)
def _cross_deal_history(parts: tuple[tuple[str, bytes], ...]) -> CrossDealHistory:
    return CrossDealHistory(_unpack_facts(dict(parts)))


def _model_files(model: TrainedModel) -> tuple[tuple[str, str], ...]:
    """A model as the texts that it is saved as; reading them runs no code."""
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder))
        paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        return tuple((str(path.relative_to(folder)), path.read_text()) for path in paths)


@lru_cache(maxsize=1)
def _model(files: tuple[tuple[str, str], ...]) -> TrainedModel:
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files:
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return TrainedModel.load(Path(folder))


def _raw_file(name: str, frame: pd.DataFrame | None = None) -> RawFile:
    return RawFile(name, f"spark:{name}", "", pd.DataFrame() if frame is None else frame)


def _hints(
    frame: "DataFrame", name: str, table: str, place: int, profile: Profile, quarantine: Quarantine
) -> tuple[dict[str, ColumnHints], int]:
    """What whole columns tell about how to read them, joined over all partitions, and the number of wanted rows."""

    def inspect_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        source = profile.tables[table][place]
        for batch in batches:
            of_batch = Quarantine()
            raw = _raw_file(name, with_whole_ids(batch))
            rows = wanted_rows(raw, table, source, profile, of_batch)
            hints = column_hints(rows, table, source, profile, raw)
            said = json.dumps({column: hint.as_json() for column, hint in hints.items()})
            noted = json.dumps(of_batch.as_json())
            yield pa.RecordBatch.from_pydict({"said": [said], "noted": [noted], "rows": [len(rows)]})

    joined: dict[str, ColumnHints] = {}
    number = 0
    for row in frame.mapInArrow(inspect_batches, "said string, noted string, rows bigint").collect():
        number += row["rows"]
        quarantine.join([json.loads(row["noted"])])
        for column, hint in json.loads(row["said"]).items():
            joined[column] = joined.get(column, ColumnHints()) | ColumnHints.from_json(hint)
    return joined, number


def _routed(frame: "DataFrame", name: str, table: str, place: int, profile: Profile, buckets: int) -> "DataFrame":
    """The wanted raw rows, each with its bucket."""
    from pyspark.sql.types import IntegerType, StructField, StructType

    def route(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        source = profile.tables[table][place]
        for batch in batches:
            rows = wanted_rows(_raw_file(name, with_whole_ids(batch)), table, source, profile)
            ids = deal_ids(rows, table, source, profile, _raw_file(name))
            if ids is None:
                raise WinPredictError(
                    text(
                        "table {name} has no column for {table}.deal_id, so its rows cannot be parted",
                        name=name,
                        table=table,
                    )
                )
            numbers = pa.array(bucket_of(ids.fillna(""), buckets), pa.int32())
            yield batch.take(pa.array(rows.index.to_numpy())).append_column("bucket", numbers)

    _refuse_alike([*frame.columns, "bucket"])
    schema = StructType([*frame.schema.fields, StructField("bucket", IntegerType())])
    return frame.mapInArrow(route, schema)


def _importer(
    profile: Profile,
    hints: Mapping[str, Mapping[str, ColumnHints]],
    stages: Mapping[str, str],
    empty: Mapping[str, bytes],
    now: pd.Timestamp,
) -> Callable[[pa.Table], pa.Table]:
    def import_bucket(packed: pa.Table) -> pa.Table:
        quarantine = Quarantine()
        there = dict(empty) | {row["name"]: row["rows"] for row in packed.to_pylist()}
        raw = {name: _unpacked(content) for name, content in there.items()}
        rows = _canonical(raw, profile, hints, quarantine)
        crm = updated(repaired(rows, profile, set(), now, quarantine, stages), profile.stage_order, None)
        parts = {name: _bytes(pa.Table.from_pandas(frame, preserve_index=False)) for name, frame in crm.tables()}
        said = said_of(crm) | {"quarantine": quarantine.as_json()}
        return _pack_table(_bucket_number(packed), {**parts, "said": json.dumps(said).encode()})

    return import_bucket


def _canonical(
    raw: Mapping[str, pd.DataFrame],
    profile: Profile,
    hints: Mapping[str, Mapping[str, ColumnHints]],
    quarantine: Quarantine,
) -> dict[str, pd.DataFrame]:
    parts: dict[str, list[pd.DataFrame]] = {}
    for key in sorted(raw):
        table, place, name = key.split(" ", 2)
        order = pd.util.hash_pandas_object(raw[key].astype(str), index=False).argsort(kind="stable")
        frame = raw[key].iloc[order.to_numpy()].reset_index(drop=True)
        source = profile.tables[table][int(place)]
        file = _raw_file(name, frame)
        wanted = wanted_rows(file, table, source, profile)
        rows = canonical_rows(wanted, file, table, source, profile, quarantine, hints[key])
        if len(rows) or table in EVERYWHERE:
            parts.setdefault(table, []).append(as_changes(rows, source, table, file.path, quarantine))
    return {table: pd.concat(frames, ignore_index=True) for table, frames in parts.items()}


def _unpacked_frame(done: "DataFrame", name: str, kinds: Mapping[str, str]) -> "DataFrame":
    """A table out of the packed rows of all buckets."""

    def unpack(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for row in batch.to_pylist():
                frame = typed_rows(_unpacked(row["rows"]), kinds).assign(bucket=row["bucket"])
                table = pa.Table.from_pandas(frame, preserve_index=False)
                plain = [pa.field(f.name, pa.int32() if f.name == "bucket" else _plain(f.type)) for f in table.schema]
                yield from table.cast(pa.schema(plain)).replace_schema_metadata().to_batches()

    return done.where(f"name = '{name}'").mapInArrow(unpack, f"{_columns(kinds)}, bucket int")
