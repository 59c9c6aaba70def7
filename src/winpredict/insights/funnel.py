"""The funnel: where open deals stand, how they move, where they stall, and what the pipeline is worth."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from winpredict.features.past import Past
from winpredict.features.snapshots import open_at
from winpredict.insights import _funnel_sentences as wording
from winpredict.insights._funnel_coverage import coverage, quota_rows
from winpredict.insights._rates import difference, share, wilson
from winpredict.insights._stage_durations import (
    HORIZONS,
    Stages,
    incidence,
    median_duration,
    open_stages,
    passages,
    stage_durations,
)
from winpredict.insights.deals import deals_at_end
from winpredict.insights.winrates import PERIOD_DAYS, currency_of, several_currencies
from winpredict.locale.text import Text, text, texts
from winpredict.models.splits import known_before
from winpredict.tables.crm import CRMData, utc

MONTHS = 12
#: A stay is unusually long beyond this quantile of the stays of won deals, of which there must be so many.
LONG_DURATION, MIN_VISITS = 0.9, 10
_FEW_GO_BACK_BEFORE = 0.05
UNKNOWN_STAGE = "(unknown)"

_NOW = ("stage", "deals", "amount", "median_age_days", "median_days_in_stage", "oldest_days", "oldest_deal")
_HISTORY = ("month_end", "stage", "deals", "amount")
_COUNTS = ("deals", "skipped", "moved_on", "lost", "still_there")
_CONVERSION = (
    "stage",
    *_COUNTS,
    *(f"share_{name}" for name in _COUNTS[2:]),
    *(f"{name}_{when}" for name in ("moved_on", "lost") for when in (*HORIZONS, "finally")),
    "median_days",
    "median_days_low",
    "median_days_high",
)
_STALLED = ("deal_id", "stage", "days_in_stage", "usual_days", "long_days", "amount", "owner")
_BACK = ("stage", "deals", "went_back", "moves", "within_a_day", "share")
_BACK_WON = (
    "deals",
    "reached",
    "n",
    "won",
    "win_rate",
    "win_rate_low",
    "win_rate_high",
    "change",
    "change_low",
    "change_high",
)


#: Notes that there is nothing to compare the open deals with.
NO_QUOTAS = text("Without a table of quotas, how far the open deals cover them is unknown.")
NO_QUOTA_NOW = text("No quota in the table covers this day, so how far the open deals cover it is unknown.")


@dataclass(frozen=True)
class Funnel:
    """The open pipeline and how deals move through it.

    Parameters
    ----------
    now : DataFrame
        By open stage in order: stage, deals, amount (NaN where unknown for all), median_age_days,
        median_days_in_stage, oldest_days (age of the oldest deal) and oldest_deal (its deal_id).
    history : DataFrame
        month_end (the moment at which the month is over), stage, deals, amount, of the last 12 month ends.
    conversion : DataFrame
        By stage: deals that reached it, of which skipped it, moved_on (beyond it, or won), lost, still_there, their
        shares (share_moved_on, ...), the Aalen-Johansen shares moved_on_30 ... moved_on_180, moved_on_finally and
        lost_30 ... lost_finally after so many days, with deals still there censored, and the Kaplan-Meier median_days
        in the stage with its 95% interval (NaN where not reached). See `_stage_durations.passages`.
    stalled : DataFrame
        Open deals longer in their stage than nine in ten stays of won deals, the largest amount first: deal_id, stage,
        days_in_stage, usual_days (median of won deals), long_days (their 90th percentile), amount, owner.
    moves_back : DataFrame
        By stage: deals that were in it, of which went_back to an earlier one, moves (back, from it),
        within_a_day (of these moves, those within a day of entering the stage: likely slips put right), share.
    after_moving_back : DataFrame
        Two rows, deals ("went back" and "never went back"), both of those that got as far as the stage `reached`,
        from which deals go back: n (closed), won, win_rate, win_rate_low, win_rate_high, and the change (went back
        minus never) with its 95% interval.
    velocity : DataFrame
        period ("now", "before"), start, end, open_deals (at the end), closed, win_rate, mean_won_amount,
        mean_days_won, per_day and per_30_days (amount won).
    coverage : DataFrame
        level (overall, team, rep), name, period_start, period_end, quota, won (since the start), remaining,
        open_deals, open_amount, coverage (open amount / remaining; NaN once the quota is met).
    notes : tuple of Text
        What is missing or has to be borne in mind, and why.
    currency : str or None
        Of all amounts: empty where none is recorded, None where there are several.
    flagged : bool
        Whether the stalled deals are those that were given, and not those beyond ``long_days``.
    """

    now: pd.DataFrame
    history: pd.DataFrame
    conversion: pd.DataFrame
    stalled: pd.DataFrame
    moves_back: pd.DataFrame
    after_moving_back: pd.DataFrame
    velocity: pd.DataFrame
    coverage: pd.DataFrame
    notes: tuple[Text, ...]
    currency: str | None = ""
    flagged: bool = False

    def sentences(self) -> list[str]:
        """What a sales manager must know, the most important first."""
        return [
            *wording.now(self.now, self.history, self.currency),
            *wording.coverage(self.coverage, self.currency),
            *wording.velocity(self.velocity, self.currency),
            *wording.stalled(self.stalled, self.currency, flagged=self.flagged),
            *wording.conversion(self.conversion),
            *wording.moves_back(self.moves_back, self.after_moving_back),
        ]


def funnel(
    crm: CRMData,
    *,
    as_of: pd.Timestamp | str | None = None,
    quota: pd.DataFrame | float | None = None,
    stalled: Collection[str] | None = None,
    at_end: pd.DataFrame | None = None,
) -> Funnel:
    """Prospects by stage now and over time, conversion, stalling, moves back, sales velocity and quota coverage.

    Parameters
    ----------
    crm : CRMData
    as_of : Timestamp or str, optional
        Nothing recorded at or after it is used. By default the moment of the export.
    quota : DataFrame or float, optional
        A quotas table instead of ``crm.quotas``, or what all are to sell in the calendar quarter of `as_of`.
    stalled : collection of str, optional
        Ids of the deals that count as stalled, such as those with the flag ``stalled`` of a model's scores
        (`winpredict.explain.deal_flags`), so that a deal is stalled here if it is elsewhere. By default those beyond
        the 90th percentile of the stays of won deals.
    at_end : DataFrame, optional
        `winpredict.insights.deals.deals_at_end` of what is known then, where it is there.

    Returns
    -------
    Funnel

    Raises
    ------
    TableError
        When `quota` is negative or no quotas table.

    Examples
    --------
    >>> deals = pd.DataFrame({
    ...     "deal_id": list("abc"), "stage": ["End", "Demo", "Call"], "outcome": ["won", "open", "open"],
    ...     "created_at": "2025-01-01", "closed_at": ["2025-03-01", None, None], "amount": [5, 7, 9],
    ... })
    >>> found = funnel(CRMData.from_tables(deals, stage_order=["Call", "Demo"]))
    >>> found.now[["stage", "deals", "amount"]].values.tolist()
    [['Call', 1, 9.0], ['Demo', 1, 7.0]]
    """
    latest = as_of is None or crm.known_until is None or utc(as_of) >= crm.known_until
    cut = known_before(crm, as_of) if crm.dated else crm
    stages = open_stages(cut)
    visits, quotas = stage_durations(cut, stages.order), quota_rows(cut, quota)
    table = _deals(cut, visits, latest, deals_at_end(cut) if at_end is None else at_end.copy())
    return Funnel(
        _now(table, stages),
        _history(cut, visits, stages),
        _conversion(cut, visits, stages),
        _stalled(table, visits, stalled),
        _moves_back(visits, stages),
        _after_moving_back(visits),
        _velocity(cut, table),
        coverage(table, quotas, cut.users),
        tuple(_notes(cut, table, visits, stages, len(quotas) > 0)),
        currency_of(cut),
        stalled is not None,
    )


def _deals(crm: CRMData, visits: pd.DataFrame, latest: bool, table: pd.DataFrame) -> pd.DataFrame:
    """Every deal at its end or now: with age, days in stage, amount, owner."""
    deals = crm.deals.reset_index(drop=True)
    table["stage"] = deals["stage"].fillna(table["stage"])
    if "amount" in deals:
        # booked amounts of won deals, and present ones of open deals, are none that a lost deal's close has changed
        typed = table["outcome"].isin(["won", "open"] if latest else ["won"])
        table["amount"] = table["amount"].fillna(deals["amount"].where(typed))
    table["owner_id"] = deals.get("owner_id")
    table["owner"] = table["rep"]
    last = visits.drop_duplicates(["deal_id", "stage"], keep="last").set_index(["deal_id", "stage"])["days"]
    here = pd.MultiIndex.from_frame(table[["deal_id", "stage"]])
    table["days_in_stage"] = last.reindex(here).to_numpy(np.float64)
    table.loc[table["outcome"] != "open", "days_in_stage"] = np.nan
    return table


def _notes(crm: CRMData, table: pd.DataFrame, visits: pd.DataFrame, stages: Stages, has_quota: bool) -> Iterator[Text]:
    is_open = table["outcome"] == "open"
    if len(table) and not crm.dated:
        yield text("The deals carry no dates, so ages, history, conversion and velocity are unknown.")
    elif not len(visits):
        yield text("Stages have no history, so time in stage, conversion and moves back are unknown.")
    if stages.guessed and stages.order:
        yield text("No order of stages is given; from the data: {stages}.", stages=" → ".join(stages.order))
    outside = int((is_open & ~table["stage"].isin(stages.order)).sum())
    if outside:
        yield texts(
            "{n:count} open deal has no stage, or one that is not in the order of stages.",
            "{n:count} open deals have no stage, or one that is not in the order of stages.",
            n=outside,
        )
    unpriced = int(table.loc[is_open, "amount"].isna().sum())
    if unpriced:
        yield texts(
            "{n:count} open deal has no known amount and is left out of sums.",
            "{n:count} open deals have no known amount and are left out of sums.",
            n=unpriced,
        )
    if not has_quota:
        yield NO_QUOTAS if crm.quotas is None else NO_QUOTA_NOW
    if crm.known_until is not None and crm.dated:
        yield from _short_past(crm, crm.known_until)
    yield from several_currencies(crm)


def _short_past(crm: CRMData, known_until: pd.Timestamp) -> Iterator[Text]:
    first = crm.deals["created_at"].min()
    if first > known_until - pd.Timedelta(days=2 * PERIOD_DAYS):
        yield text(
            "The data begin on {day:day}, so the period that velocity is compared with is not complete.", day=first
        )


def _now(table: pd.DataFrame, stages: Stages) -> pd.DataFrame:
    at = table[table["outcome"] == "open"].sort_values(["days", "deal_id"], ascending=[False, True])
    at = at.assign(stage=at["stage"].astype(object).where(at["stage"].notna(), UNKNOWN_STAGE))
    groups = at.groupby("stage", sort=True)
    frame = pd.DataFrame(
        {
            "deals": groups.size(),
            "amount": groups["amount"].sum(min_count=1),
            "median_age_days": groups["days"].median(),
            "median_days_in_stage": groups["days_in_stage"].median(),
            "oldest_days": groups["days"].max(),
            "oldest_deal": groups["deal_id"].first(),
        }
    )
    further = [name for name in frame.index if name not in stages.order]
    frame = frame.reindex([*stages.order, *further])
    frame["amount"] = frame["amount"].mask(frame["deals"].isna(), 0.0)
    frame["deals"] = frame["deals"].fillna(0).astype(np.int64)
    return frame.rename_axis("stage").reset_index()[list(_NOW)]


def _history(crm: CRMData, visits: pd.DataFrame, stages: Stages) -> pd.DataFrame:
    """Every open deal at each month end, as recorded strictly before it."""
    parts = []
    for moment in _month_ends(crm) if len(visits) else []:
        there = (visits["entered_at"] < moment) & ~(visits["left_at"] < moment)
        parts.append(visits.loc[there, ["deal_id", "stage"]].assign(as_of=moment))
    if not parts:
        return pd.DataFrame(columns=list(_HISTORY))
    snapshots = pd.concat(parts, ignore_index=True)
    snapshots["amount"] = Past(crm, snapshots[["deal_id", "as_of"]]).versioned("amount").to_numpy(np.float64)
    groups = snapshots.groupby(["as_of", "stage"])
    frame = pd.DataFrame({"deals": groups.size(), "amount": groups["amount"].sum(min_count=1)})
    every = pd.MultiIndex.from_product([_month_ends(crm), stages.order], names=["month_end", "stage"])
    frame = frame.reindex(every)
    if snapshots["amount"].notna().any():
        frame["amount"] = frame["amount"].mask(frame["deals"].isna(), 0.0)
    return frame.fillna({"deals": 0}).astype({"deals": np.int64}).reset_index()[list(_HISTORY)]


def _month_ends(crm: CRMData) -> list[pd.Timestamp]:
    """The last 12 moments at which a month was over and deals were known, the earliest first."""
    if crm.known_until is None or not crm.dated:
        return []
    ends = pd.date_range(end=crm.known_until.normalize(), periods=MONTHS, freq="MS", unit="us")
    return [moment for moment in ends if moment > crm.deals["created_at"].min()]


def _conversion(crm: CRMData, visits: pd.DataFrame, stages: Stages) -> pd.DataFrame:
    rows: list[dict[str, object]] = []
    if crm.known_until is not None:
        for stage, passage in passages(visits, stages.order, crm.known_until):
            counts = np.bincount(passage.status, minlength=3)
            whole = len(passage.status)
            figures = {"moved_on": counts[1], "lost": counts[2], "still_there": counts[0]}
            shares = {f"share_{name}": count / whole if whole else np.nan for name, count in figures.items()}
            entered = {"stage": stage, "deals": whole, "skipped": int(passage.skipped.sum())}
            rows.append({**entered, **figures, **shares, **incidence(passage), **median_duration(passage)})
    return pd.DataFrame(rows, columns=list(_CONVERSION))


def _stalled(table: pd.DataFrame, visits: pd.DataFrame, flagged: Collection[str] | None) -> pd.DataFrame:
    won = visits[visits["outcome"] == "won"].groupby("stage")["days"]
    usual = pd.DataFrame({"usual_days": won.median(), "long_days": won.quantile(LONG_DURATION), "n": won.size()})
    usual = usual[usual["n"] >= MIN_VISITS]
    found = table[table["outcome"] == "open"].join(usual, on="stage")
    is_stalled = (
        found["days_in_stage"] > found["long_days"] if flagged is None else found["deal_id"].isin(list(flagged))
    )
    found = found[is_stalled]
    return found.sort_values(["amount", "deal_id"], ascending=[False, True])[list(_STALLED)].reset_index(drop=True)


def _moves_back(visits: pd.DataFrame, stages: Stages) -> pd.DataFrame:
    if not len(visits):
        return pd.DataFrame(columns=list(_BACK))
    back = visits[visits["next_rank"] < visits["rank"]]
    frame = pd.DataFrame(
        {
            "deals": visits.groupby("stage")["deal_id"].nunique(),
            "went_back": back.groupby("stage")["deal_id"].nunique(),
            "moves": back.groupby("stage").size(),
            "within_a_day": (back["days"] < 1.0).groupby(back["stage"]).sum(),
        }
    )
    frame = frame.reindex(list(stages.order)).fillna(0).astype(np.int64)
    frame["share"] = share(frame["went_back"], frame["deals"])
    return frame.rename_axis("stage").reset_index()[list(_BACK)]


def _after_moving_back(visits: pd.DataFrame) -> pd.DataFrame:
    back = visits["next_rank"] < visits["rank"]
    if not back.any():
        return pd.DataFrame(columns=list(_BACK_WON))
    # a deal must have got as far as those that went back, else it had nowhere to go back from
    reached = int(visits.loc[back, "rank"].quantile(_FEW_GO_BACK_BEFORE, interpolation="lower"))
    groups = visits.assign(back=back).groupby("deal_id")
    deals = groups.agg(outcome=("outcome", "first"), back=("back", "any"), furthest=("rank", "max"))
    deals = deals[(deals["outcome"] != "open") & (deals["furthest"] >= reached)]
    wins = (deals["outcome"] == "won").groupby(deals["back"]).agg(["size", "sum"]).reindex([True, False], fill_value=0)
    n, won = wins["size"].to_numpy(), wins["sum"].to_numpy()
    low, high = wilson(won, n)
    found = difference(won[:1], n[:1], won[1:], n[1:])
    change = {f"change{end}": [value[0], np.nan] for end, value in zip(("", "_low", "_high"), found[:3], strict=True)}
    rates = {"win_rate": share(won, n), "win_rate_low": low, "win_rate_high": high}
    stage = visits.loc[visits["rank"] == reached, "stage"].iloc[0]
    who = {"deals": ["went back", "never went back"], "reached": stage}
    return pd.DataFrame({**who, "n": n, "won": won, **rates, **change})


def _velocity(crm: CRMData, table: pd.DataFrame) -> pd.DataFrame:
    columns = ["period", "start", "end", "open_deals", "closed", "win_rate", "mean_won_amount", "mean_days_won"]
    rows = []
    if crm.known_until is not None and crm.dated:
        length = pd.Timedelta(days=PERIOD_DAYS)
        for period, end in (("now", crm.known_until), ("before", crm.known_until - length)):
            closed = table[(table["closed_at"] >= end - length) & (table["closed_at"] < end)]
            won = closed[closed["outcome"] == "won"]
            rate = len(won) / len(closed) if len(closed) else np.nan
            figures = (len(open_at(crm, end)), len(closed), rate, won["amount"].mean(), won["days"].mean())
            rows.append((period, end - length, end, *figures))
    out = pd.DataFrame(rows, columns=columns)
    lasted = out["mean_days_won"].astype(float).where(out["mean_days_won"].astype(float) > 0)
    out["per_day"] = (out["open_deals"] * out["win_rate"] * out["mean_won_amount"]).astype(float) / lasted
    out["per_30_days"] = 30.0 * out["per_day"]
    return out
