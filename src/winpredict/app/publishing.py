"""A workspace's scores into the app's database, where people read them."""

import hashlib
import json
from datetime import timedelta
from typing import Any, cast

import numpy as np
import pandas as pd
from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session as DatabaseSession

from winpredict.app.audit_log import audit
from winpredict.app.database import Database
from winpredict.app.people import now
from winpredict.app.records import Base, CrmUser, Score, ScoringRun
from winpredict.app.visibility import latest_run
from winpredict.config import App, Run
from winpredict.explain.deal_flags import with_falling
from winpredict.explain.scores import REASON_COLUMNS
from winpredict.tables.crm import CRMData

#: How old the odds may be that "since last week" compares with.
_WEEK, _OLDEST_WEEK = timedelta(days=7), timedelta(days=14)
_IDS_A_STATEMENT = 500
_SHOWN = ("owner_id", "name", "stage", "pipeline", "product", "amount", "currency", "created_at", "expected_close_date")
_ODDS = ("win_probability", "low", "high", "p_win_30d", "p_win_quarter")


def publish(
    database: Database,
    crm: CRMData,
    scores: pd.DataFrame,
    settings: App | None = None,
    *,
    moved_points: float = Run().moved_points,
) -> int:
    """Store a scoring run; people see the one before until this one is whole.

    Parameters
    ----------
    database : Database
    crm : CRMData
        The tables that were scored, or later ones: what is shown of a deal is as the scores knew it, but its owner and
        who reports to whom are as they are now, since they decide who may look.
    scores : DataFrame
        Of `winpredict.explain.scores.score`.
    settings : App, optional
        How long runs are kept; by default as ``App()`` has it.
    moved_points : float
        A deal whose odds fell by as many percentage points in a week is at risk, unless something is booked.

    Returns
    -------
    int
        Id of the run; that of the one that is shown if its scores are the same.
    """
    rows = _rows(crm, scores)
    mark = _fingerprint(rows, scores)
    with database.writing() as session:
        _replace_users(session, crm)
        there = session.scalar(select(ScoringRun).where(ScoringRun.fingerprint == mark))
        if there is not None:
            if there.id == session.scalar(latest_run()):
                return there.id
            # the same as before others were shown, such as those of a model that was the champion in between
            session.delete(there)
            session.flush()
        before = _a_week_before(session, scores)
        run = ScoringRun(
            as_of=_moment(scores["as_of"].iloc[0]) if len(scores) else _moment(crm.known_until),
            scored_at=_moment(scores["scored_at"].iloc[0]) if len(scores) else now(),
            model_version=str(scores["model_version"].iloc[0]) if len(scores) else "",
            deals=len(scores),
            fingerprint=mark,
            published_at=now(),
        )
        session.add(run)
        session.flush()
        records = [
            row | {"run_id": run.id} | _since_last_week(row, before.get(row["deal_id"]), moved_points) for row in rows
        ]
        if records:
            session.execute(insert(Score), records)
        forget_old_runs(session, settings or App())
        audit(session, None, "scores published", f"run {run.id}", {"deals": run.deals, "model": run.model_version})
        return run.id


def published(database: Database) -> ScoringRun | None:
    """The run that people see; None before the first.

    To show it beside its deals take `shown_run`: between two sessions another run may be published.
    """
    with database.reading() as session:
        return shown_run(session)


def shown_run(session: DatabaseSession) -> ScoringRun | None:
    """The run that people see, as of a session that also reads its deals; None before the first."""
    return session.scalar(select(ScoringRun).where(ScoringRun.id == latest_run().scalar_subquery()))


def forget_old_runs(session: DatabaseSession, settings: App) -> int:
    """Delete old runs with their scores, so that the database does not grow for ever.

    All runs of the last ``every_run_days`` stay, of the time before the last one of each week, and none that is older
    than ``weekly_run_days``; the run that is shown always stays.

    Returns
    -------
    int
        Runs that were deleted.
    """
    rows = session.execute(select(ScoringRun.id, ScoringRun.as_of, ScoringRun.published_at).order_by(ScoringRun.id))
    moments = {run.id: run.as_of or run.published_at for run in rows}
    if not moments:
        return 0
    latest = max(moments)
    # by the calendar: a week that moved with the days would leave none of the earlier ones
    one_a_week = {moment.isocalendar()[:2]: run for run, moment in moments.items()}
    old = [
        run
        for run, moment in moments.items()
        if run != latest
        and (age := moments[latest] - moment) > timedelta(days=settings.every_run_days)
        and (age > timedelta(days=settings.weekly_run_days) or one_a_week[moment.isocalendar()[:2]] != run)
    ]
    for start in range(0, len(old), _IDS_A_STATEMENT):
        session.execute(delete(ScoringRun).where(ScoringRun.id.in_(old[start : start + _IDS_A_STATEMENT])))
    return len(old)


def _as_scored(crm: CRMData, scores: pd.DataFrame) -> CRMData:
    """The tables as the scores knew them."""
    as_of = None if scores.empty else _moment(scores["as_of"].iloc[0])
    if as_of is None or crm.known_until is None or as_of >= crm.known_until:
        return crm
    return crm.as_known_at(pd.Timestamp(as_of))


def _rows(crm: CRMData, scores: pd.DataFrame) -> list[dict[str, Any]]:
    known = _as_scored(crm, scores)
    deals, deals_now = (each.deals.set_index("deal_id").reindex(scores["deal_id"]) for each in (known, crm))
    shown = pd.DataFrame({name: deals.get(name) for name in _SHOWN}, index=deals.index)
    # an amount that nobody typed is zero in many a CRM; the model takes none that is not above it for one
    amount = shown["amount"].astype(np.float64)
    shown["amount"] = amount.where(amount > 0)
    shown["owner_id"] = deals_now.get("owner_id")
    shown = shown.reset_index(drop=True).assign(
        deal_id=scores["deal_id"].to_numpy(),
        account=_account_names(known, deals).to_numpy(),
        **{name: scores[name].to_numpy() for name in (*_ODDS, "band")},
    )
    shown["reasons"] = _reasons(scores)
    shown["next_steps"] = _in_parts(scores, "next_steps") if "next_steps" in scores else [[] for _ in shown.index]
    shown["flags"] = scores["flags"].to_numpy() if "flags" in scores else ""
    for name, times in _touches(known, scores).items():
        shown[name] = times.to_numpy()
    return _records(shown, Score)


def _records(frame: pd.DataFrame, table: type[Base]) -> list[dict[str, Any]]:
    """Rows as the database takes them; what is only shown is cut to the column's length: PostgreSQL insists on it."""
    columns = [column for column in table.__table__.columns if not column.name.endswith("_id")]
    longest = {column.name: getattr(column.type, "length", None) for column in columns}
    records = cast("list[dict[str, Any]]", frame.astype(object).to_dict("records"))
    return [{name: _plain(value, longest.get(name)) for name, value in record.items()} for record in records]


def _reasons(scores: pd.DataFrame) -> pd.Series:
    """The reasons of each row, in parts where the scores have them so."""
    if "reasons" in scores:
        return _in_parts(scores, "reasons")
    sentences = scores[REASON_COLUMNS].to_numpy().tolist()
    return pd.Series([[each for each in row if isinstance(each, str) and each] for row in sentences], dtype=object)


def _in_parts(scores: pd.DataFrame, name: str) -> pd.Series:
    return pd.Series([json.loads(each) for each in scores[name]], dtype=object)


def _account_names(crm: CRMData, deals: pd.DataFrame) -> pd.Series:
    if crm.accounts is None or "account_id" not in deals or "name" not in crm.accounts:
        return pd.Series(None, index=deals.index, dtype=object)
    return deals["account_id"].map(crm.accounts.set_index("account_id")["name"])


def _touches(crm: CRMData, scores: pd.DataFrame) -> dict[str, pd.Series]:
    """When each deal was last touched, and when the next touch that is booked takes place, as of the scoring."""
    none = pd.Series(pd.NaT, index=scores.index, dtype="datetime64[us, UTC]")
    if crm.activities is None or scores.empty:
        return {"last_touch_at": none, "next_touch_at": none}
    as_of = scores["as_of"].iloc[0]
    touches = crm.activities[["deal_id", "occurred_at"]]
    happened = touches["occurred_at"] < as_of
    last = touches[happened].groupby("deal_id")["occurred_at"].max()
    coming = touches[~happened].groupby("deal_id")["occurred_at"].min()
    # by reindex: to map by nothing, where no touch lies ahead, would give numbers and not moments
    return {
        name: times.reindex(scores["deal_id"]) for name, times in (("last_touch_at", last), ("next_touch_at", coming))
    }


def _a_week_before(session: DatabaseSession, scores: pd.DataFrame) -> dict[str, float]:
    """Odds by the last run that is one to two weeks older, as far as it knew the deals.

    By the same model: what another one says of the same deal is no change of the deal.
    """
    as_of = _moment(scores["as_of"].iloc[0]) if len(scores) else None
    if as_of is None:
        return {}
    older = (
        select(ScoringRun.id)
        .where(
            ScoringRun.as_of <= as_of - _WEEK,
            ScoringRun.as_of > as_of - _OLDEST_WEEK,
            ScoringRun.model_version == str(scores["model_version"].iloc[0]),
        )
        .order_by(ScoringRun.as_of.desc(), ScoringRun.id.desc())
        .limit(1)
    )
    rows = session.execute(select(Score.deal_id, Score.win_probability).where(Score.run_id == older.scalar_subquery()))
    return {row.deal_id: row.win_probability for row in rows}


def _since_last_week(row: dict[str, Any], before: float | None, moved_points: float) -> dict[str, Any]:
    """The odds of a week before, and the flags with what these tell."""
    falling = before is not None and row["win_probability"] - before <= -moved_points / 100
    flags = tuple(row["flags"].split(",")) if row["flags"] else ()
    return {"week_before": before, "flags": ",".join(with_falling(flags, falling=falling))}


def _replace_users(session: DatabaseSession, crm: CRMData) -> None:
    """Who reports to whom, as the CRM has it now; a CRM without users leaves what is there."""
    if crm.users is None:
        return
    shown = pd.DataFrame({name: crm.users.get(name) for name in ("user_id", "name", "manager_id", "team")})
    session.execute(delete(CrmUser))
    if len(shown):
        session.execute(insert(CrmUser), _records(shown, CrmUser))


def _fingerprint(rows: list[dict[str, Any]], scores: pd.DataFrame) -> str:
    model = sorted(scores["model_version"].astype(str).unique())
    moments = sorted(scores["as_of"].astype(str).unique())
    return hashlib.sha256(json.dumps([model, moments, rows], default=str).encode()).hexdigest()


def _moment(value: Any) -> Any:
    return None if value is None or pd.isna(value) else pd.Timestamp(value).to_pydatetime()


def _plain(value: Any, longest: int | None = None) -> Any:
    """A value as the database takes it; missing is None."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, str):
        return value.replace("\0", "")[:longest]  # PostgreSQL has no place for NUL
    if value is None or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, pd.Timestamp):
        return value.to_pydatetime(warn=False)
    return value.item() if hasattr(value, "item") else value
