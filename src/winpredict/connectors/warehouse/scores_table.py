"""Scores into a warehouse: a table of the latest ones and their history, merged in one transaction."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml

from winpredict.connectors.warehouse.reader import connected, warehouse_name
from winpredict.errors import TableError, WorkspaceError
from winpredict.locale.text import text
from winpredict.tables.crm import utc

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, FromClause, Table

LATEST = "winpredict_scores"
HISTORY = "winpredict_scores_history"
_STAGE = "winpredict_scores_stage"
#: Every column of both tables, in order: its kind, and what it holds.
COLUMNS = {
    "deal_id": ("text", "Id of the deal, as the CRM has it."),
    "as_of": ("time", "The moment the deal was looked at; only facts recorded before it count."),
    "win_probability": ("number", "Odds that the deal will be won, from 0 to 1."),
    "low": ("number", "Lower end of the 80% range of this deal's own odds."),
    "high": ("number", "Upper end of the 80% range of this deal's own odds."),
    "p_win_30d": ("number", "Odds that the deal will be won within 30 days of as_of."),
    "p_win_quarter": ("number", "Odds that the deal will be won by the end of the calendar quarter of as_of."),
    "band": ("text", "The odds in words: very low, low, medium, high or very high."),
    "reason_1": ("text", "The strongest reason for the odds, as a sentence."),
    "reason_2": ("text", "The second reason; empty where there is none."),
    "reason_3": ("text", "The third reason; empty where there is none."),
    "reason_4": ("text", "The fourth reason; empty where there is none."),
    "reason_5": ("text", "The fifth reason; empty where there is none."),
    "given": ("text", "What came with the deal and what each adds to the odds, in one line; may be empty."),
    "next_step": ("text", "What to do next about the deal and why; empty where nothing is to be done."),
    "flags": ("text", "What stands out, with a comma between: at_risk, silent, stalled, overdue, ...; may be empty."),
    "model_version": ("text", "Version of the model that gave the odds."),
    "scored_at": ("time", "When these odds were first computed; a later run with the same outcome leaves it."),
}
#: Columns that tables of earlier versions lack; they are added.
_ADDED = ("given", "next_step", "flags")
_KEY = ("deal_id", "as_of")
#: What makes a row another one: not the moment of the run.
_FIGURES = tuple(name for name in COLUMNS if name not in (*_KEY, "scored_at"))
_MEANINGS = {
    LATEST: "Win odds of every deal that was open when deals were last scored; one row a deal.",
    HISTORY: "Win odds of every deal at every moment it was scored; one row a deal and as_of.",
}
#: Rows that are sent at a time.
_CHUNK = 2_000


@dataclass(frozen=True)
class ScoresWritten:
    """What a write did to the history: rows that were not there, that say something else now, that stayed."""

    new: int
    changed: int
    unchanged: int


def write_scores(url: str, scores: pd.DataFrame, *, schema: str | None = None) -> ScoresWritten:
    """Merge scores into ``winpredict_scores`` and ``winpredict_scores_history``.

    All of it happens in one transaction, and writing the same scores again changes nothing. The history has one row a
    deal and as_of. The latest scores are those of the latest as_of: older ones never replace them, and a deal that was
    not scored then is not among them. Both tables are created where absent.

    Parameters
    ----------
    url : str
        See `winpredict.connectors.warehouse.reader.read_warehouse`.
    scores : DataFrame
        As `winpredict.explain.scores.score` gives them; without rows nothing changes.
    schema : str, optional
        By default the one that the connection starts in. It must exist.

    Returns
    -------
    ScoresWritten

    Raises
    ------
    TableError
        When the scores lack a column, or hold a deal and as_of twice.
    WorkspaceError
        When the warehouse cannot be reached or written to, or holds a table of that name and of another shape.
    """
    rows = _sound(scores)
    advice = text(
        "see that the schema is there and the user may create tables in it, and rename a {latest} or {history} whose "
        "columns have other types",
        latest=LATEST,
        history=HISTORY,
    )
    with connected(url, WorkspaceError, advice=advice) as connection, connection.begin():
        _one_at_a_time(connection)
        latest, history, stage = (_table(name, schema) for name in (LATEST, HISTORY, _STAGE))
        _prepare(connection, (latest, history), warehouse_name(url))
        _load(connection, stage, rows)
        written = _merge(connection, stage, history)
        if len(rows):
            _renew(connection, stage, latest, rows["as_of"].max().to_pydatetime())
        stage.drop(connection)
    return written


def scores_documentation() -> str:
    """The tables and their columns as YAML that dbt reads.

    Examples
    --------
    >>> scores_documentation().splitlines()[:3]
    ['version: 2', 'models:', '- name: winpredict_scores']
    """
    models = [
        {"name": name, "description": meaning, "columns": [_documented(column, name) for column in COLUMNS]}
        for name, meaning in _MEANINGS.items()
    ]
    return str(yaml.safe_dump({"version": 2, "models": models}, sort_keys=False, allow_unicode=True, width=110))


def _documented(column: str, table: str) -> dict[str, Any]:
    tests = ["not_null"] if column in (*_KEY, "win_probability") else []
    tests += ["unique"] if (column,) == _key_of(table) else []
    return {"name": column, "description": COLUMNS[column][1]} | ({"data_tests": tests} if tests else {})


def _key_of(table: str) -> tuple[str, ...]:
    return {LATEST: ("deal_id",), HISTORY: _KEY}.get(table, ())


def _sound(scores: pd.DataFrame) -> pd.DataFrame:
    missing = [name for name in COLUMNS if name not in scores]
    if missing:
        raise TableError(
            text("the scores lack the column(s) {missing}; pass them as score() gives them", missing=", ".join(missing))
        )
    rows = scores[[*COLUMNS]]
    if rows[[*_KEY]].isna().any(axis=None):
        raise TableError(
            text("some scores have no deal_id or no as_of, and so no place in a history; write them to a file")
        )
    if rows.duplicated([*_KEY]).any():
        raise TableError(text("the scores have the same deal and as_of twice; pass one row of each"))
    return rows.assign(as_of=rows["as_of"].map(utc), scored_at=rows["scored_at"].map(utc))


def _table(name: str, schema: str | None) -> "Table":
    import sqlalchemy as sa

    kinds: dict[str, Any] = {"text": sa.String(), "number": sa.Double(), "time": sa.TIMESTAMP(timezone=True)}
    columns = [
        sa.Column(column, kinds[kind], primary_key=column in _key_of(name), nullable=column not in _KEY)
        for column, (kind, _) in COLUMNS.items()
    ]
    # the stage is this connection's own, so that two runs never meet in it, and a killed one leaves none behind
    temporary = name == _STAGE
    return sa.Table(
        name, sa.MetaData(), *columns, schema=None if temporary else schema, prefixes=["TEMPORARY"] if temporary else []
    )


def _one_at_a_time(connection: "Connection") -> None:
    """Wait for another run that is writing, where the warehouse would refuse the rows that both of them bring."""
    import sqlalchemy as sa

    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(LATEST))))


def _prepare(connection: "Connection", tables: tuple["Table", ...], where: str) -> None:
    """Create what is absent; what is there must have these columns."""
    import sqlalchemy as sa

    if connection.dialect.name == "bigquery":
        # its connections neither roll back nor know temporary tables: a killed run would leave half of the rows
        raise WorkspaceError(
            text(
                "{where}: scores cannot be merged into BigQuery in one transaction from here; write them with "
                "--out scores.parquet, load that with bq load, and merge it there",
                where=where,
            )
        )
    for table in tables:
        table.create(connection, checkfirst=True)
        # of an empty result, as not every dialect can tell the columns of a table
        there: Any = connection.execute(
            sa.select(sa.literal_column("*")).select_from(sa.table(table.name, schema=table.schema)).where(sa.false())
        )
        names = set(there.keys())
        if set(COLUMNS) - set(_ADDED) <= names < set(COLUMNS):
            _add_columns(connection, table, [name for name in _ADDED if name not in names])
        elif names != set(COLUMNS):
            raise WorkspaceError(
                text(
                    "{where}: the table {fullname} has the columns {there} instead of {columns}; rename it or "
                    "name another schema with --to-schema, and write again",
                    where=where,
                    fullname=table.fullname,
                    there=", ".join(there.keys()),
                    columns=", ".join(COLUMNS),
                )
            )


def _add_columns(connection: "Connection", table: "Table", names: list[str]) -> None:
    import sqlalchemy as sa

    quoted = connection.dialect.identifier_preparer
    for name in names:
        kind = table.columns[name].type.compile(connection.dialect)
        connection.execute(sa.text(f"ALTER TABLE {quoted.format_table(table)} ADD COLUMN {quoted.quote(name)} {kind}"))


def _load(connection: "Connection", stage: "Table", rows: pd.DataFrame) -> None:
    stage.create(connection)
    for records in _chunks(rows):
        connection.execute(stage.insert(), records)


def _chunks(rows: pd.DataFrame) -> Iterator[list[dict[str, Any]]]:
    """Rows as plain values."""
    for start in range(0, len(rows), _CHUNK):
        part = rows.iloc[start : start + _CHUNK].astype(object)
        yield [dict(zip(COLUMNS, map(_plain, row), strict=True)) for row in part.itertuples(index=False, name=None)]


def _plain(value: Any) -> Any:
    """A value that every driver takes; a missing number becomes NULL, which NaN is not."""
    if pd.isna(value):
        return None
    return value.to_pydatetime() if isinstance(value, pd.Timestamp) else value


def _merge(connection: "Connection", stage: "Table", table: "Table") -> ScoresWritten:
    """Rows of the stage into a table: those that say something else are deleted, those not there are inserted."""
    import sqlalchemy as sa

    same_key = _same_key(stage, table)
    both = stage.join(table, same_key)
    differs = sa.or_(*(stage.c[name].is_distinct_from(table.c[name]) for name in _FIGURES))
    others = sa.select(*(stage.c[name] for name in _KEY)).select_from(both).where(differs)
    staged, known, changed = (
        _count(connection, rows)
        for rows in (stage, sa.select(stage.c.deal_id).select_from(both).subquery(), others.subquery())
    )
    connection.execute(sa.delete(table).where(sa.tuple_(*(table.c[name] for name in _KEY)).in_(others)))
    absent = ~sa.select(sa.literal(1)).select_from(table).where(same_key).exists()
    connection.execute(
        table.insert().from_select([*COLUMNS], sa.select(*(stage.c[name] for name in COLUMNS)).where(absent))
    )
    return ScoresWritten(new=staged - known, changed=changed, unchanged=known - changed)


def _renew(connection: "Connection", stage: "Table", latest: "Table", as_of: Any) -> None:
    """Make the rows of an as_of the latest ones, unless later ones are there."""
    import sqlalchemy as sa

    if connection.scalar(sa.select(sa.func.count()).select_from(latest).where(latest.c.as_of > as_of)):
        return
    connection.execute(sa.delete(stage).where(stage.c.as_of < as_of))
    gone = ~sa.select(sa.literal(1)).select_from(stage).where(_same_key(stage, latest)).exists()
    connection.execute(sa.delete(latest).where(gone))
    _merge(connection, stage, latest)


def _same_key(one: "Table", other: "Table") -> "ColumnElement[bool]":
    import sqlalchemy as sa

    return sa.and_(*(one.c[name] == other.c[name] for name in _KEY))


def _count(connection: "Connection", rows: "FromClause") -> int:
    import sqlalchemy as sa

    return int(connection.scalar(sa.select(sa.func.count()).select_from(rows)) or 0)
