"""The single checks of the data quality report: each looks at a bundle and yields findings."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import pandas as pd

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
ROWS = {
    "deals": "deals",
    "deal_history": "recorded changes",
    "attribute_history": "observations",
    "activities": "touches",
    "team_members": "team memberships",
    "contacts": "contact roles",
    "line_items": "line items",
    "accounts": "accounts",
    "users": "users",
    "quotas": "quotas",
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or worth knowing, with how often and what to do."""

    table: str
    column: str
    what: str
    count: int
    share: float
    severity: Severity
    advice: str


Check = Callable[[CRMData], Iterator[Finding]]


def counted(
    wrong: pd.Series, table: str, column: str, what: str, advice: str, severity: Severity = "warning"
) -> Iterator[Finding]:
    """A finding where any row is wrong; `what` ends the sentence "3 of 10 deals ..."."""
    count, of = int(wrong.sum()), len(wrong)
    if count:
        sentence = f"{count:,} of {of:,} {ROWS[table]} {what}"
        yield Finding(table, column, sentence, count, count / of, severity, advice)


def missing_dates(crm: CRMData) -> Iterator[Finding]:
    """Deals without a creation time, or all of them."""
    missing = crm.deals["created_at"].isna()
    advice = "such deals give no snapshots; map the column that says when the deal was entered"
    severity: Severity = "serious" if missing.mean() > 0.05 else "warning"
    yield from counted(missing, "deals", "created_at", "have no creation time", advice, severity)


def missing_values(crm: CRMData) -> Iterator[Finding]:
    """Deals without owner, account or amount."""
    for column, advice in (
        ("owner_id", "they count in no owner's track record"),
        ("account_id", "they count in no customer's track record"),
        ("amount", "they are left out of sums of money"),
    ):
        if column not in crm.deals:
            what = f"the deals have no column {column}"
            yield Finding("deals", column, what, len(crm.deals), 1.0, "info", f"map {column} if the CRM records it")
        else:
            missing = crm.deals[column].isna()
            yield from counted(missing, "deals", column, f"have no {column}", advice, "info")


def dates_out_of_order(crm: CRMData) -> Iterator[Finding]:
    """Closed before created, back-filled, dated in the future."""
    created, closed = crm.deals["created_at"], crm.deals["closed_at"]
    advice = "check the time zone and the column mapped to closed_at; their age makes no sense"
    yield from counted(closed < created, "deals", "closed_at", "were closed before they were created", advice)
    back_filled = (closed >= created) & (closed - created < BACK_FILLED)
    what = f"were closed within {BACK_FILLED.seconds // 60} minutes of their creation"
    advice = "they were entered afterwards and were never open in the CRM: nothing can be learnt from them"
    yield from counted(back_filled, "deals", "closed_at", what, advice)
    if crm.known_until is not None:
        future = (created >= crm.known_until) | (closed >= crm.known_until)
        advice = "check the time zone, and known_until in the profile"
        yield from counted(future, "deals", "created_at", "are dated after the export", advice)


def outcome_contradicts_dates(crm: CRMData) -> Iterator[Finding]:
    """Closed deals without a closing time, open deals with one."""
    is_open = crm.deals["outcome"] == "open"
    if crm.dated:
        undated = ~is_open & crm.deals["closed_at"].isna()
        advice = "it is not known from when on they count; map the column that says when the outcome became known"
        yield from counted(undated, "deals", "closed_at", "are closed without a closing time", advice, "serious")
    dated = is_open & crm.deals["closed_at"].notna()
    advice = "check which stages the profile maps to won and lost"
    yield from counted(dated, "deals", "closed_at", "are open and carry a closing time", advice)


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
    advice = "check which stages the profile maps to won and lost"
    yield from counted(in_open_stage, "deals", "stage", "are closed but in an open stage", advice)
    usual = stage.map(_usual_outcome(crm.deals[~stage.isin(crm.stage_order)]))
    contradicts = usual.notna() & (usual != outcome) & ~stage.isin(crm.stage_order)
    what = "in a closing stage have another outcome than that stage stands for"
    yield from counted(contradicts, "deals", "outcome", what, advice)


def unknown_stages(crm: CRMData) -> Iterator[Finding]:
    """Stages that the stage order does not know."""
    if not crm.stage_order:
        if crm.deals["stage"].notna().any():
            what = "the order of the stages is not known"
            advice = "list the open stages under stage_order in the profile; else moves back cannot be seen"
            yield Finding("deals", "stage", what, len(crm.deals), 1.0, "warning", advice)
        return
    final = crm.deals.loc[crm.deals["outcome"] != "open", "stage"].dropna().unique()
    advice = "add renamed or removed stages to stage_order or to the value map in the profile"
    places = [("deals", crm.deals["stage"].where(crm.deals["outcome"] == "open"))]
    if crm.deal_history is not None and "stage" in crm.deal_history:
        places.append(("deal_history", crm.deal_history["stage"]))
    for table, stages in places:
        unknown = stages.notna() & ~stages.isin([*crm.stage_order, *final])
        names = ", ".join(sorted(stages[unknown].unique())[:5])
        yield from counted(unknown, table, "stage", f"name a stage that stage_order lacks ({names})", advice)


def _zeroed_at_the_close(crm: CRMData) -> Iterator[Finding]:
    """Amounts of zero that stand on lost deals only."""
    zero = crm.deals["amount"] == 0
    lost, is_open = crm.deals["outcome"] == "lost", crm.deals["outcome"] == "open"
    if is_open.any() and zero[lost].mean() > ZEROED * max(zero[is_open].mean(), 1 / is_open.sum()):
        what = (
            f"are lost with an amount of zero, against {int(zero[is_open].sum()):,} of {int(is_open.sum()):,} open ones"
        )
        advice = "amounts are zeroed at the close; only amounts from the history say what was asked for"
        yield from counted(zero & lost, "deals", "amount", what, advice, "info")


def money(crm: CRMData) -> Iterator[Finding]:
    """Amounts that cannot be, and several currencies."""
    deals = crm.deals
    if "amount" in deals:
        amount = deals["amount"]
        yield from counted(amount < 0, "deals", "amount", "have a negative amount", "check for credit notes")
        huge = amount > HUGE_AMOUNT * amount[amount > 0].median()
        what = f"have more than {HUGE_AMOUNT:,.0f} times the median amount"
        yield from counted(huge, "deals", "amount", what, "check for mistyped amounts; they swamp every forecast")
        empty = (amount.isna() | (amount == 0)) & (deals["outcome"] == "won")
        yield from counted(empty, "deals", "amount", "are won with no amount", "forecasts against them are off")
        yield from _zeroed_at_the_close(crm)
    if "currency" in deals:
        counts = deals["currency"].value_counts().sort_index()
        other = deals["currency"].notna() & (deals["currency"] != (counts.idxmax() if len(counts) else ""))
        what = f"are not in the commonest of {len(counts)} currencies ({', '.join(counts.index[:6])})"
        advice = "amounts are compared as they stand; convert them to one currency before the import"
        yield from counted(other, "deals", "currency", what, advice)


def endings(crm: CRMData) -> Iterator[Finding]:
    """Too few closed deals, and a share of won that is hard to believe."""
    won, lost = (int((crm.deals["outcome"] == outcome).sum()) for outcome in ("won", "lost"))
    closed = won + lost
    if min(won, lost) < TOO_FEW_ENDED:
        what = f"only {won:,} won and {lost:,} lost deals"
        advice = f"no model learns from fewer than {TOO_FEW_ENDED} of either; import a longer history"
        yield Finding("deals", "outcome", what, closed, closed / max(1, len(crm.deals)), "serious", advice)
    elif closed < FEW_CLOSED:
        what = f"only {closed:,} closed deals"
        advice = "expect a simple model with wide intervals; import a longer history if there is one"
        yield Finding("deals", "outcome", what, closed, closed / len(crm.deals), "warning", advice)
    rate = won / max(1, closed)
    if closed >= TOO_FEW_ENDED and not ODD_WIN_RATES[0] <= rate <= ODD_WIN_RATES[1]:
        what = f"{rate:.1%} of {closed:,} closed deals are won"
        advice = "check whether lost deals are deleted, never entered, or only some of them exported"
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
        advice = f"export inactive and merged {where}, too"
        yield from counted(unknown, table, column, f"name a {column} that {where} lacks", advice)


def unknown_deals(crm: CRMData) -> Iterator[Finding]:
    """Rows of other tables that belong to no deal."""
    for table, frame in crm.tables():
        if table != "deals" and "deal_id" in frame:
            unknown = ~frame["deal_id"].isin(crm.deals["deal_id"])
            advice = "deleted or merged deals, or touches on the account; they are ignored"
            yield from counted(unknown, table, "deal_id", "belong to no deal", advice)


def repeated(crm: CRMData) -> Iterator[Finding]:
    """Deals and touches that are there twice under different ids."""
    twins = crm.deals.drop(columns="deal_id").duplicated(keep="first")
    advice = "the same deal exported under two ids, or few columns; they are kept in one fold"
    yield from counted(twins, "deals", "deal_id", "equal another deal in every column but the id", advice)
    if crm.activities is not None:
        touch = [name for name in crm.activities.columns if name not in ("activity_id", "recorded_at")]
        again = crm.activities.duplicated(touch, keep="first")
        advice = "the same touch logged by two tools counts twice; export one of them"
        yield from counted(again, "activities", "activity_id", "equal another touch in every column but the id", advice)
