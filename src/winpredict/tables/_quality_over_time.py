"""Checks of the data quality report that follow deals through time: history, touches, gaps and jumps."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict.locale.text import text, texts
from winpredict.tables._quality_checks import Finding, Severity, counted
from winpredict.tables.crm import CRMData

#: A touch entered so much later than it happened was not known in between.
ENTERED_LATE = pd.Timedelta("2D")
#: Changes this long after the close were not part of it.
AFTER_CLOSE = pd.Timedelta("1D")
#: New deals a week from which a week without any is a gap.
USUAL_DEALS_A_WEEK = 5.0
#: Factor between touches per open deal before and after a month from which they are not comparable.
JUMP = 2.0
#: Months on either side of a jump.
MONTHS_BESIDE_JUMP = 3
#: Share of touches entered late from which the two clocks matter.
OFTEN_LATE = 0.1


def history(crm: CRMData) -> Iterator[Finding]:
    """Deals without recorded changes, and changes that lie outside a deal's life."""
    changes = crm.deal_history
    if not crm.dated:
        return
    if changes is None or changes.empty:
        what = text("no changes of deals are recorded")
        advice = text(
            "stage and amount are known only as they are now; export the history (field tracking) if there is one"
        )
        yield Finding("deal_history", "", what, 0, 0.0, "serious", advice)
        return
    without = ~crm.deals["deal_id"].isin(changes["deal_id"])
    advice = text("their stage before the close is not known; was the history switched on later, or trimmed?")
    what = texts(
        "{n:count} of {of:count} deals has no recorded change",
        "{n:count} of {of:count} deals have no recorded change",
    )
    yield from counted(without, "deals", "deal_id", what, advice)
    yield from _history_outside_life(crm, changes)
    yield from _reopened(crm, changes)


def observed_attributes(crm: CRMData) -> Iterator[Finding]:
    """Which attributes syncs observe, since when, and of how many deals while they were open."""
    seen = crm.attribute_history
    names = crm.observed_attributes
    if seen is None or not names or seen.empty:
        return
    closed = seen["deal_id"].map(crm.deals.set_index("deal_id")["closed_at"])
    lived = seen.loc[~(seen["observed_at"] >= closed), "deal_id"].nunique()
    starts = pd.Series({name: seen.loc[crm.observations_of(name), "observed_at"].min() for name in names}).dropna()
    for day, group in starts.groupby(starts.dt.floor("D")):
        attributes = ", ".join(sorted(map(str, group.index)))
        what = text("{attributes}: observed since {day:day}", attributes=attributes, day=day)
        advice = text(
            "what was seen while deals were open never leaks; `winpredict check` tells which of them are used"
        )
        yield Finding("attribute_history", "", what, lived, lived / max(1, len(crm.deals)), "info", advice)


def _history_outside_life(crm: CRMData, changes: pd.DataFrame) -> Iterator[Finding]:
    deals = crm.deals.set_index("deal_id")
    closed = changes["deal_id"].map(deals["closed_at"])
    late = changes["changed_at"] > closed + AFTER_CLOSE
    advice = text("edits of closed deals; they are never used")
    what = texts(
        "{n:count} of {of:count} recorded changes lies more than a day after the close",
        "{n:count} of {of:count} recorded changes lie more than a day after the close",
    )
    yield from counted(late, "deal_history", "changed_at", what, advice, "info")
    early = changes["changed_at"] < changes["deal_id"].map(deals["created_at"]) - AFTER_CLOSE
    advice = text("check the time zone, or the column mapped to created_at")
    what = texts(
        "{n:count} of {of:count} recorded changes lies more than a day before the creation",
        "{n:count} of {of:count} recorded changes lie more than a day before the creation",
    )
    yield from counted(early, "deal_history", "changed_at", what, advice)
    first = crm.deals["deal_id"].map(changes.groupby("deal_id")["changed_at"].min())
    begins_late = first > crm.deals["created_at"] + AFTER_CLOSE
    what = texts(
        "{n:count} of {of:count} deals has a history that begins more than a day after its creation",
        "{n:count} of {of:count} deals have a history that begins more than a day after their creation",
    )
    yield from counted(begins_late, "deals", "deal_id", what, text("their first stages are not known"), "info")


def _reopened(crm: CRMData, changes: pd.DataFrame) -> Iterator[Finding]:
    """Deals that entered an open stage after a closing one."""
    if "stage" not in changes or not crm.stage_order:
        return
    final = crm.deals.loc[crm.deals["outcome"] != "open", "stage"].dropna().unique()
    closing = [stage for stage in final if stage not in crm.stage_order]
    first_close = changes[changes["stage"].isin(closing)].groupby("deal_id")["changed_at"].min()
    last_open = changes[changes["stage"].isin(crm.stage_order)].groupby("deal_id")["changed_at"].max()
    ids = crm.deals["deal_id"]
    again = pd.Series(last_open.reindex(ids).to_numpy() > first_close.reindex(ids).to_numpy())
    advice = text("they count from their last close; the earlier one is not an outcome")
    what = texts(
        "{n:count} of {of:count} deals was closed and opened again",
        "{n:count} of {of:count} deals were closed and opened again",
    )
    yield from counted(again, "deals", "stage", what, advice, "info")


def touches(crm: CRMData) -> Iterator[Finding]:
    """Touches outside a deal's life, entered late, or none at all."""
    activities = crm.activities
    if not crm.dated:
        return
    if activities is None or activities.empty:
        what = text("there are no touches (calls, emails, meetings)")
        advice = text("they are among the best signals; export activities if the CRM records them")
        yield Finding("activities", "", what, 0, 0.0, "warning", advice)
        return
    none = ~crm.deals["deal_id"].isin(activities["deal_id"])
    advice = text("never worked on, or worked on outside the CRM")
    what = texts(
        "{n:count} of {of:count} deals has no touch",
        "{n:count} of {of:count} deals have no touch",
    )
    yield from counted(none, "deals", "deal_id", what, advice, "info")
    yield from _touches_outside_life(crm, activities)
    yield from _touches_entered_late(crm, activities)


def _touches_outside_life(crm: CRMData, activities: pd.DataFrame) -> Iterator[Finding]:
    deals = crm.deals.set_index("deal_id")
    occurred = activities["occurred_at"]
    before = occurred < activities["deal_id"].map(deals["created_at"])
    advice = text("prospecting before the deal was entered; they count from the creation on")
    what = texts(
        "{n:count} of {of:count} touches lies before its deal's creation",
        "{n:count} of {of:count} touches lie before their deal's creation",
    )
    yield from counted(before, "activities", "occurred_at", what, advice, "info")
    after = occurred > activities["deal_id"].map(deals["closed_at"])
    advice = text("onboarding, or logged late; a snapshot never sees them, a table of final totals would")
    what = texts(
        "{n:count} of {of:count} touches lies after its deal's close",
        "{n:count} of {of:count} touches lie after their deal's close",
    )
    yield from counted(after, "activities", "occurred_at", what, advice, "info")
    if crm.known_until is not None:
        future = occurred >= crm.known_until
        advice = text("booked meetings count as booked until they have happened")
        what = texts(
            "{n:count} of {of:count} touches lies in the future",
            "{n:count} of {of:count} touches lie in the future",
        )
        yield from counted(future, "activities", "occurred_at", what, advice, "info")


def _touches_entered_late(crm: CRMData, activities: pd.DataFrame) -> Iterator[Finding]:
    if "recorded_at" not in activities or activities["recorded_at"].isna().all():
        what = text("it is not recorded when touches were entered")
        advice = text("they count as known when they happened; map the creation time of the activity if there is one")
        yield Finding("activities", "recorded_at", what, len(activities), 1.0, "warning", advice)
        return
    late = activities["recorded_at"] - activities["occurred_at"] > ENTERED_LATE
    severity: Severity = "warning" if late.mean() > OFTEN_LATE else "info"
    what = texts(
        "{n:count} of {of:count} touches was entered more than {days:count} days after it happened",
        "{n:count} of {of:count} touches were entered more than {days:count} days after they happened",
        days=ENTERED_LATE.days,
    )
    advice = text("they are used only from the day they were entered")
    yield from counted(late, "activities", "recorded_at", what, advice, severity)


def gaps(crm: CRMData) -> Iterator[Finding]:
    """Weeks without any new deal, where there are usually several."""
    created = crm.deals["created_at"].dropna()
    if created.empty:
        return
    week = (created - created.min()).dt.days // 7
    new = np.bincount(week.to_numpy(np.intp))
    if np.median(new) < USUAL_DEALS_A_WEEK or new.all():
        return
    empty = np.flatnonzero(new == 0)
    first = created.min() + pd.Timedelta(days=7 * int(empty[0]))
    what = texts(
        "{n:count} of {of:count} weeks has no new deal, it begins on {day:day}",
        "{n:count} of {of:count} weeks have no new deal, the first from {day:day}",
        n=len(empty),
        of=len(new),
        day=first,
    )
    advice = text("a part of the export may be missing, or the CRM was not used")
    yield Finding("deals", "created_at", what, len(empty), len(empty) / len(new), "warning", advice)


def activity_jump(crm: CRMData) -> Iterator[Finding]:
    """A month from which touches per open deal are another number: a tool was introduced or switched off."""
    monthly = touches_per_open_deal(crm)
    found = _jump(monthly.to_numpy(np.float64))
    if found is None:
        return
    at, before, after = found
    what = text(
        "touches per open deal and month went from {before:number} to {after:number} with {month:month} and stayed "
        "there",
        before=before,
        after=after,
        month=monthly.index[at],
    )
    advice = text("a tool or a habit changed: counts before and after are not comparable; train on later deals only")
    share = float(1 - at / len(monthly))
    yield Finding("activities", "occurred_at", what, len(monthly) - at, share, "warning", advice)


def touches_per_open_deal(crm: CRMData) -> pd.Series:
    """Touches in each whole calendar month, divided by the deals that were open at some time in it."""
    if crm.activities is None or crm.activities.empty or not crm.dated or crm.known_until is None:
        return pd.Series(dtype=np.float64)
    deals = crm.deals[crm.deals["created_at"].notna()]
    last = crm.known_until.normalize().replace(day=1)
    starts = pd.date_range(deals["created_at"].min().normalize().replace(day=1), last, freq="MS")
    if len(starts) < 2:
        return pd.Series(dtype=np.float64)
    created = deals["created_at"].sort_values().searchsorted(starts[1:])
    closed = deals["closed_at"].dropna().sort_values().searchsorted(starts[:-1])
    happened = np.diff(crm.activities["occurred_at"].sort_values().searchsorted(starts))
    return pd.Series(happened / np.maximum(1, created - closed), index=starts[:-1])


def _jump(monthly: NDArray[np.float64]) -> tuple[int, float, float] | None:
    """Where all months before lie on one side of all months after, `JUMP`-fold apart: the place and both medians."""
    places = range(MONTHS_BESIDE_JUMP, len(monthly) - MONTHS_BESIDE_JUMP + 1)
    contrasts = [_contrast(monthly[:at], monthly[at:]) for at in places]
    if not contrasts or max(contrasts) <= 0:
        return None
    at = places[int(np.argmax(contrasts))]
    before, after = float(np.median(monthly[:at])), float(np.median(monthly[at:]))
    return (at, before, after) if max(before, after) >= JUMP * min(before, after) else None


def _contrast(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    """Gap between the nearer ends of two ranges, below zero where they overlap: largest at the very jump."""
    return float(max(after.min() - before.max(), before.min() - after.max()))
