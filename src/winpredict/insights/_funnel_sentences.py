"""The funnel in words."""

import pandas as pd

from winpredict.insights._phrases import counted, duration, money, percent

#: A change of the velocity below this share is not worth a word.
_STEADY = 0.05


def now(table: pd.DataFrame, history: pd.DataFrame) -> list[str]:
    """How many deals are open, where most of them stand, and how that compares with the earliest month end."""
    deals = table["deals"].sum()
    if not deals:
        return ["No deal is open."]
    worth = f", worth {money(table['amount'].sum())} in all" if table["amount"].sum() > 0 else ""
    most = table.sort_values("deals", ascending=False, kind="stable").iloc[0]
    text = f"{counted(deals, 'deal')} {'is' if deals == 1 else 'are'} open{worth}"
    text += f"; most of them, {most['deals']:,}, in {most['stage']}." if 1 < most["deals"] < deals else "."
    return [text, *_growth(deals, history)]


def _growth(deals: float, history: pd.DataFrame) -> list[str]:
    if not len(history):
        return []
    first = history["month_end"].min()
    then = history.loc[history["month_end"] == first, "deals"].sum()
    were = "was" if then == 1 else "were"
    return [f"At the end of {first - pd.Timedelta('1us'):%B %Y} there {were} {counted(then, 'open deal')}."]


def coverage(table: pd.DataFrame) -> list[str]:
    """Open amount against what is left of the quota; the teams or reps with least."""
    out = []
    for _, row in table[table["level"] == "overall"].iterrows():
        until = row["period_end"] - pd.Timedelta("1us")
        quota = f"the quota of {money(row['quota'])} for the period to {until.day} {until:%B %Y}"
        if row["remaining"] <= 0:
            out.append(f"{quota[0].upper()}{quota[1:]} is met: {money(row['won'])} is won.")
            continue
        out.append(
            f"Of {quota} {money(row['remaining'])} is still to be won; the open deals come to "
            f"{row['coverage']:.1f} times that."
        )
        same = table[(table["period_start"] == row["period_start"]) & (table["period_end"] == row["period_end"])]
        out.extend(_least(same))
    return out


def _least(table: pd.DataFrame) -> list[str]:
    for level in ("team", "rep"):
        short = table[(table["level"] == level) & (table["coverage"] < 1.0)].sort_values(["coverage", "name"])
        if len(short):
            who = ", ".join(f"{row['name']} ({row['coverage']:.1f} times)" for _, row in short.head(3).iterrows())
            more = f" and {len(short) - 3} more" if len(short) > 3 else ""
            return [f"Open deals do not cover the rest of the quota, even if all were won, of {who}{more}."]
    return []


def velocity(table: pd.DataFrame) -> list[str]:
    """What the pipeline turns into, and which part of it moved."""
    if not len(table) or pd.isna(table.iloc[0]["per_day"]):
        return []
    row = table.iloc[0]
    out = [
        f"At the pace of the last {(row['end'] - row['start']).days} days the pipeline yields about "
        f"{money(row['per_30_days'])} of won amount in 30 days: {counted(row['open_deals'], 'open deal')}, of which "
        f"{percent(row['win_rate'])} are won, {money(row['mean_won_amount'])} each, in "
        f"{duration(row['mean_days_won'])} on average."
    ]
    before = table.iloc[1]
    if before["per_day"] > 0:
        out.append(_pace(row, before))
    return out


def _pace(row: pd.Series, before: pd.Series) -> str:
    change = row["per_day"] / before["per_day"] - 1.0
    if abs(change) < _STEADY:
        return f"That is about as much as in the period before ({money(before['per_30_days'])})."
    factors = {
        "the number of open deals": row["open_deals"] / before["open_deals"],
        "the win rate": row["win_rate"] / before["win_rate"],
        "the mean amount": row["mean_won_amount"] / before["mean_won_amount"],
        "the time to win": before["mean_days_won"] / row["mean_days_won"],
    }
    most = max(factors, key=lambda name: (factors[name] - 1.0) * (1 if change > 0 else -1))
    return (
        f"That is {percent(abs(change))} {'more' if change > 0 else 'less'} than in the period before "
        f"({money(before['per_30_days'])}); what did most is {most}."
    )


def stalled(table: pd.DataFrame) -> list[str]:
    """How many open deals stall, and the largest."""
    if not len(table):
        return []
    worth = f", worth {money(table['amount'].sum())}," if table["amount"].sum() > 0 else ""
    has = "has" if len(table) == 1 else "have"
    first = table.iloc[0]
    name = f"{first['deal_id']}, {first['stage']}"
    if pd.notna(first["amount"]):
        name += f", {money(first['amount'])}"
    return [
        f"{counted(len(table), 'open deal')}{worth} {has} been in the present stage longer than nine in ten won deals "
        f"were; the largest ({name}) for {duration(first['days_in_stage'])}, where won deals usually take "
        f"{duration(first['usual_days'])}."
    ]


def conversion(table: pd.DataFrame) -> list[str]:
    """The stage at which most deals are lost, and the slowest one."""
    known = table[table["moved_on_finally"].notna()]
    if not len(known):
        return []
    worst = known.sort_values("lost", ascending=False, kind="stable").iloc[0]
    out = [
        f"Most deals are lost in {worst['stage']}: of those that get there {percent(worst['moved_on_finally'])} move "
        f"on, {percent(worst['lost_finally'])} are lost."
    ]
    timed = known[known["median_days"].notna()]
    if len(timed) > 1:
        slow = timed.sort_values("median_days", ascending=False, kind="stable").iloc[0]
        out.append(f"Deals stay longest in {slow['stage']}: half of them {duration(slow['median_days'])} or more.")
    return out


def moves_back(table: pd.DataFrame, won: pd.DataFrame) -> list[str]:
    """How often deals go back, and whether that bodes ill."""
    moves = table["moves"].sum() if len(table) else 0
    if not moves:
        return []
    most = table.sort_values("share", ascending=False, kind="stable").iloc[0]
    text = f"Deals went back to an earlier stage {counted(moves, 'time')}, most often from {most['stage']} "
    text += f"({percent(most['share'])} of the deals that were there)"
    slips = table["within_a_day"].sum()
    if slips > moves / 2:
        return [f"{text}; {slips:,} of these moves came within a day of the one before, so they look like slips."]
    return [f"{text}.", *_after_moving_back(won)]


def _after_moving_back(won: pd.DataFrame) -> list[str]:
    back, never = won.iloc[0], won.iloc[1]
    if not back["n"] or not never["n"]:
        return []
    apart = back["change_low"] > 0 or back["change_high"] < 0
    text = f"Of the deals that got as far as {back['reached']}, {percent(back['win_rate'])} were won where they went "
    text += f"back on the way, {percent(never['win_rate'])} where they did not"
    return [f"{text}." if apart else f"{text}, which is no difference beyond chance."]
