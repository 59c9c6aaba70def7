"""The single checks of the data quality report: each looks at a bundle and yields findings."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from winpredict.locale.text import Text, text, texts
from winpredict.tables.crm import CRMData
from winpredict.tables.schema import OUTCOMES

Severity = Literal["info", "warning", "serious"]

#: Closed deals below which models fall back to simpler ones, and won or lost deals below which there is none.
FEW_CLOSED = 200
TOO_FEW_ENDED = 20
#: Share of won among closed deals outside which odds say little.
ODD_WIN_RATES = (0.05, 0.90)
#: A deal closed so soon after its creation was entered afterwards.
BACK_FILLED = pd.Timedelta("10min")
#: Times the median amount from which an amount looks mistyped.
HUGE_AMOUNT = 1000.0
#: How many times as common zero amounts are among lost as among open deals where they are set at the close.
ZEROED = 5.0
#: Share of a stage's deals with one outcome from which the others contradict it.
STAGE_MEANS_OUTCOME = 0.9

#: What the rows of a table are called.
ROWS: Mapping[str, Text] = {
    "deals": text("deals"),
    "deal_history": text("recorded changes"),
    "attribute_history": text("observations"),
    "activities": text("touches"),
    "team_members": text("team memberships"),
    "contacts": text("contact roles"),
    "line_items": text("line items"),
    "accounts": text("accounts"),
    "users": text("users"),
    "quotas": text("quotas"),
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or worth knowing, with how often and what to do."""

    table: str
    column: str
    what: Text
    count: int
    share: float
    severity: Severity
    advice: Text


Check = Callable[[CRMData], Iterator[Finding]]


def counted(
    wrong: pd.Series, table: str, column: str, what: Text, advice: Text, severity: Severity = "warning"
) -> Iterator[Finding]:
    """A finding where any row is wrong; `what` says how many ``n`` of how many ``of`` are, of which ``rows``."""
    count, of = int(wrong.sum()), len(wrong)
    if count:
        sentence = what.with_values(n=count, of=of, rows=ROWS[table])
        yield Finding(table, column, sentence, count, count / of, severity, advice)


def missing_dates(crm: CRMData) -> Iterator[Finding]:
    """Deals without a creation time, or all of them."""
    missing = crm.deals["created_at"].isna()
    advice = text("such deals give no snapshots; map the column that says when the deal was entered")
    severity: Severity = "serious" if missing.mean() > 0.05 else "warning"
    what = texts(
        "{n:count} of {of:count} deals has no creation time", "{n:count} of {of:count} deals have no creation time"
    )
    yield from counted(missing, "deals", "created_at", what, advice, severity)


def missing_values(crm: CRMData) -> Iterator[Finding]:
    """Deals without owner, account or amount."""
    for column, advice in (
        ("owner_id", text("they count in no owner's track record")),
        ("account_id", text("they count in no customer's track record")),
        ("amount", text("they are left out of sums of money")),
    ):
        if column not in crm.deals:
            what = text("the deals have no column {column}", column=column)
            advice = text("map {column} if the CRM records it", column=column)
            yield Finding("deals", column, what, len(crm.deals), 1.0, "info", advice)
        else:
            missing = crm.deals[column].isna()
            what = texts(
                "{n:count} of {of:count} deals has no {column}",
                "{n:count} of {of:count} deals have no {column}",
                column=column,
            )
            yield from counted(missing, "deals", column, what, advice, "info")


def dates_out_of_order(crm: CRMData) -> Iterator[Finding]:
    """Closed before created, back-filled, dated in the future."""
    created, closed = crm.deals["created_at"], crm.deals["closed_at"]
    advice = text("check the time zone and the column mapped to closed_at; their age makes no sense")
    what = texts(
        "{n:count} of {of:count} deals was closed before it was created",
        "{n:count} of {of:count} deals were closed before they were created",
    )
    yield from counted(closed < created, "deals", "closed_at", what, advice)
    back_filled = (closed >= created) & (closed - created < BACK_FILLED)
    what = texts(
        "{n:count} of {of:count} deals was closed within {minutes:count} minutes of its creation",
        "{n:count} of {of:count} deals were closed within {minutes:count} minutes of their creation",
        minutes=BACK_FILLED.seconds // 60,
    )
    advice = text("they were entered afterwards and were never open in the CRM: nothing can be learnt from them")
    yield from counted(back_filled, "deals", "closed_at", what, advice)
    if crm.known_until is not None:
        future = (created >= crm.known_until) | (closed >= crm.known_until)
        advice = text("check the time zone, and known_until in the profile")
        what = texts(
            "{n:count} of {of:count} deals is dated after the export",
            "{n:count} of {of:count} deals are dated after the export",
        )
        yield from counted(future, "deals", "created_at", what, advice)


def outcome_contradicts_dates(crm: CRMData) -> Iterator[Finding]:
    """Closed deals without a closing time, open deals with one."""
    is_open = crm.deals["outcome"] == "open"
    if crm.dated:
        undated = ~is_open & crm.deals["closed_at"].isna()
        advice = text("it is not known from when on they count; map the column that says when the outcome became known")
        what = texts(
            "{n:count} of {of:count} deals is closed without a closing time",
            "{n:count} of {of:count} deals are closed without a closing time",
        )
        yield from counted(undated, "deals", "closed_at", what, advice, "serious")
    dated = is_open & crm.deals["closed_at"].notna()
    advice = text("check which stages the profile maps to won and lost")
    what = texts(
        "{n:count} of {of:count} deals is open and carries a closing time",
        "{n:count} of {of:count} deals are open and carry a closing time",
    )
    yield from counted(dated, "deals", "closed_at", what, advice)


def _usual_outcome(deals: pd.DataFrame) -> dict[str, str]:
    """For each stage whose deals nearly all have one outcome: that outcome."""
    shares = (
        pd.crosstab(deals["stage"], deals["outcome"], normalize="index").reindex(columns=list(OUTCOMES)).fillna(0.0)
    )
    clear = shares[shares.max(axis=1) >= STAGE_MEANS_OUTCOME]
    return {str(stage): str(outcome) for stage, outcome in clear.idxmax(axis=1).items()}


def outcome_contradicts_stage(crm: CRMData) -> Iterator[Finding]:
    """Deals in a stage that (nearly) always goes with another outcome, closed deals in an open stage."""
    stage, outcome = crm.deals["stage"], crm.deals["outcome"]
    in_open_stage = stage.isin(crm.stage_order) & (outcome != "open")
    advice = text("check which stages the profile maps to won and lost")
    what = texts(
        "{n:count} of {of:count} deals is closed but in an open stage",
        "{n:count} of {of:count} deals are closed but in an open stage",
    )
    yield from counted(in_open_stage, "deals", "stage", what, advice)
    usual = stage.map(_usual_outcome(crm.deals[~stage.isin(crm.stage_order)]))
    contradicts = usual.notna() & (usual != outcome) & ~stage.isin(crm.stage_order)
    what = texts(
        "{n:count} of {of:count} deals is in a closing stage and has another outcome than that stage stands for",
        "{n:count} of {of:count} deals are in a closing stage and have another outcome than that stage stands for",
    )
    yield from counted(contradicts, "deals", "outcome", what, advice)


def unknown_stages(crm: CRMData) -> Iterator[Finding]:
    """Stages that the stage order does not know."""
    if not crm.stage_order:
        if crm.deals["stage"].notna().any():
            what = text("the order of the stages is not known")
            advice = text("list the open stages under stage_order in the profile; else moves back cannot be seen")
            yield Finding("deals", "stage", what, len(crm.deals), 1.0, "warning", advice)
        return
    final = crm.deals.loc[crm.deals["outcome"] != "open", "stage"].dropna().unique()
    advice = text("add renamed or removed stages to stage_order or to the value map in the profile")
    places = [("deals", crm.deals["stage"].where(crm.deals["outcome"] == "open"))]
    if crm.deal_history is not None and "stage" in crm.deal_history:
        places.append(("deal_history", crm.deal_history["stage"]))
    for table, stages in places:
        unknown = stages.notna() & ~stages.isin([*crm.stage_order, *final])
        names = ", ".join(sorted(stages[unknown].unique())[:5])
        what = texts(
            "{n:count} of {of:count} {rows} names a stage that stage_order lacks ({names})",
            "{n:count} of {of:count} {rows} name a stage that stage_order lacks ({names})",
            names=names,
        )
        yield from counted(unknown, table, "stage", what, advice)


def _zeroed_at_the_close(crm: CRMData) -> Iterator[Finding]:
    """Amounts of zero that stand on lost deals only."""
    zero = crm.deals["amount"] == 0
    lost, is_open = crm.deals["outcome"] == "lost", crm.deals["outcome"] == "open"
    if is_open.any() and zero[lost].mean() > ZEROED * max(zero[is_open].mean(), 1 / is_open.sum()):
        what = texts(
            "{n:count} of {of:count} deals is lost with an amount of zero, against {zero:count} of {open:count} "
            "open ones",
            "{n:count} of {of:count} deals are lost with an amount of zero, against {zero:count} of {open:count} "
            "open ones",
            zero=int(zero[is_open].sum()),
            open=int(is_open.sum()),
        )
        advice = text("amounts are zeroed at the close; only amounts from the history say what was asked for")
        yield from counted(zero & lost, "deals", "amount", what, advice, "info")


def money(crm: CRMData) -> Iterator[Finding]:
    """Amounts that cannot be, and several currencies."""
    deals = crm.deals
    if "amount" in deals:
        amount = deals["amount"]
        what = texts(
            "{n:count} of {of:count} deals has a negative amount",
            "{n:count} of {of:count} deals have a negative amount",
        )
        yield from counted(amount < 0, "deals", "amount", what, text("check for credit notes"))
        huge = amount > HUGE_AMOUNT * amount[amount > 0].median()
        what = texts(
            "{n:count} of {of:count} deals has more than {times:count} times the median amount",
            "{n:count} of {of:count} deals have more than {times:count} times the median amount",
            times=HUGE_AMOUNT,
        )
        advice = text("check for mistyped amounts; they swamp every forecast")
        yield from counted(huge, "deals", "amount", what, advice)
        empty = (amount.isna() | (amount == 0)) & (deals["outcome"] == "won")
        what = texts(
            "{n:count} of {of:count} deals is won with no amount",
            "{n:count} of {of:count} deals are won with no amount",
        )
        yield from counted(empty, "deals", "amount", what, text("forecasts against them are off"))
        yield from _zeroed_at_the_close(crm)
    if "currency" in deals:
        counts = deals["currency"].value_counts().sort_index()
        other = deals["currency"].notna() & (deals["currency"] != (counts.idxmax() if len(counts) else ""))
        what = texts(
            "{n:count} of {of:count} deals is not in the commonest of {number:count} currencies ({currencies})",
            "{n:count} of {of:count} deals are not in the commonest of {number:count} currencies ({currencies})",
            number=len(counts),
            currencies=", ".join(counts.index[:6]),
        )
        advice = text("amounts are compared as they stand; convert them to one currency before the import")
        yield from counted(other, "deals", "currency", what, advice)


def endings(crm: CRMData) -> Iterator[Finding]:
    """Too few closed deals, and a share of won that is hard to believe."""
    won, lost = (int((crm.deals["outcome"] == outcome).sum()) for outcome in ("won", "lost"))
    closed = won + lost
    if min(won, lost) < TOO_FEW_ENDED:
        what = text("only {won:count} won and {lost:count} lost deals", won=won, lost=lost)
        advice = text(
            "no model learns from fewer than {least:count} of either; import a longer history", least=TOO_FEW_ENDED
        )
        yield Finding("deals", "outcome", what, closed, closed / max(1, len(crm.deals)), "serious", advice)
    elif closed < FEW_CLOSED:
        what = text("only {n:count} closed deals", n=closed)
        advice = text("expect a simple model with wide intervals; import a longer history if there is one")
        yield Finding("deals", "outcome", what, closed, closed / len(crm.deals), "warning", advice)
    rate = won / max(1, closed)
    if closed >= TOO_FEW_ENDED and not ODD_WIN_RATES[0] <= rate <= ODD_WIN_RATES[1]:
        what = text("{rate:exact_percent} of {n:count} closed deals are won", rate=rate, n=closed)
        advice = text("check whether lost deals are deleted, never entered, or only some of them exported")
        yield Finding("deals", "outcome", what, won, rate, "warning", advice)


def unknown_people(crm: CRMData) -> Iterator[Finding]:
    """Ids that their own table does not know."""
    references = (
        ("deals", "owner_id", crm.users, "user_id", "users"),
        ("deals", "account_id", crm.accounts, "account_id", "accounts"),
        ("activities", "user_id", crm.users, "user_id", "users"),
    )
    for table, column, known, key, where in references:
        frame = getattr(crm, table)
        if known is None or frame is None or column not in frame:
            continue
        unknown = frame[column].notna() & ~frame[column].isin(known[key])
        what = texts(
            "{n:count} of {of:count} {rows} names a {column} that {table} lacks",
            "{n:count} of {of:count} {rows} name a {column} that {table} lacks",
            column=column,
            table=where,
        )
        advice = text("export inactive and merged {rows}, too", rows=ROWS[where])
        yield from counted(unknown, table, column, what, advice)


def unknown_deals(crm: CRMData) -> Iterator[Finding]:
    """Rows of other tables that belong to no deal."""
    for table, frame in crm.tables():
        if table != "deals" and "deal_id" in frame:
            unknown = ~frame["deal_id"].isin(crm.deals["deal_id"])
            advice = text("deleted or merged deals, or touches on the account; they are ignored")
            what = texts(
                "{n:count} of {of:count} {rows} belongs to no deal", "{n:count} of {of:count} {rows} belong to no deal"
            )
            yield from counted(unknown, table, "deal_id", what, advice)


def repeated(crm: CRMData) -> Iterator[Finding]:
    """Deals and touches that are there twice under different ids."""
    twins = crm.deals.drop(columns="deal_id").duplicated(keep="first")
    advice = text("the same deal exported under two ids, or few columns; they are kept in one fold")
    what = texts(
        "{n:count} of {of:count} deals equals another deal in every column but the id",
        "{n:count} of {of:count} deals equal another deal in every column but the id",
    )
    yield from counted(twins, "deals", "deal_id", what, advice)
    if crm.activities is not None:
        touch = [name for name in crm.activities.columns if name not in ("activity_id", "recorded_at")]
        again = crm.activities.duplicated(touch, keep="first")
        advice = text("the same touch logged by two tools counts twice; export one of them")
        what = texts(
            "{n:count} of {of:count} touches equals another touch in every column but the id",
            "{n:count} of {of:count} touches equal another touch in every column but the id",
        )
        yield from counted(again, "activities", "activity_id", what, advice)
