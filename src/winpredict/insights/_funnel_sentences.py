"""The funnel in words."""

from typing import Any

import pandas as pd

from winpredict.insights.labels import duration, joined
from winpredict.locale.text import Text, said, text, texts

#: A change of the velocity below this share is not worth a word.
_STEADY = 0.05
_NAMED = 3


def now(table: pd.DataFrame, history: pd.DataFrame, currency: str | None) -> list[str]:
    """How many deals are open, where most of them are, and how that compares with the earliest month end."""
    deals = int(table["deals"].sum())
    if not deals:
        return [said("No deal is open.")]
    amount = float(table["amount"].sum())
    most = table.sort_values("deals", ascending=False, kind="stable").iloc[0]
    first = (
        texts(
            "{n:count} open deal, worth {amount:rough_money}.",
            "{n:count} open deals, worth {amount:rough_money}.",
            n=deals,
            amount=(amount, currency),
        )
        if amount > 0
        else texts("{n:count} open deal.", "{n:count} open deals.", n=deals)
    )
    second = None
    if 1 < most["deals"] < deals:
        second = text("The most, {n:count}, are in {stage}.", n=int(most["deals"]), stage=str(most["stage"]))
    return [joined(first, second), *_growth(history)]


def _growth(history: pd.DataFrame) -> list[str]:
    if not len(history):
        return []
    first = history["month_end"].min()
    then = int(history.loc[history["month_end"] == first, "deals"].sum())
    last = first - pd.Timedelta("1us")
    return [
        str(
            texts(
                "At the end of {month:month}: {n:count} open deal.",
                "At the end of {month:month}: {n:count} open deals.",
                month=last,
                n=then,
            )
        )
    ]


def coverage(table: pd.DataFrame, currency: str | None) -> list[str]:
    """Open amount against what is left of the quota; the teams or reps with least."""
    out = []
    for _, row in table[table["level"] == "overall"].iterrows():
        until = row["period_end"] - pd.Timedelta("1us")
        quota, won, remaining = ((float(row[name]), currency) for name in ("quota", "won", "remaining"))
        if row["remaining"] <= 0:
            out.append(
                said(
                    "The quota of {quota:rough_money} to {day:day} is met: {won:rough_money} is won.",
                    quota=quota,
                    day=until,
                    won=won,
                )
            )
            continue
        out.append(
            said(
                "Of the quota of {quota:rough_money} to {day:day}, {remaining:rough_money} is still to be won; open "
                "deals cover it {times:multiple} times.",
                quota=quota,
                day=until,
                remaining=remaining,
                times=float(row["coverage"]),
            )
        )
        same = table[(table["period_start"] == row["period_start"]) & (table["period_end"] == row["period_end"])]
        out.extend(_least(same))
    return out


def _least(table: pd.DataFrame) -> list[str]:
    for level in ("team", "rep"):
        short = table[(table["level"] == level) & (table["coverage"] < 1.0)].sort_values(["coverage", "name"])
        if len(short):
            named = tuple(
                text("{name} ({times:multiple} times)", name=str(row["name"]), times=float(row["coverage"]))
                for _, row in short.head(_NAMED).iterrows()
            )
            more = len(short) - _NAMED
            if more > 0:
                return [
                    str(
                        texts(
                            "Even if all were won, the open deals of {names:listed} and {n:count} other do not cover "
                            "the "
                            "rest of their quota.",
                            "Even if all were won, the open deals of {names:listed} and {n:count} others do not cover "
                            "the "
                            "rest of their quota.",
                            names=named,
                            n=more,
                        )
                    )
                ]
            return [
                said(
                    "Even if all were won, the open deals of {names:listed} do not cover the rest of their quota.",
                    names=named,
                )
            ]
    return []


def velocity(table: pd.DataFrame, currency: str | None) -> list[str]:
    """What the pipeline turns into, and which part of it moved."""
    if not len(table) or pd.isna(table.iloc[0]["per_day"]):
        return []
    row = table.iloc[0]
    out = [
        str(
            texts(
                "At the pace of the last {days:count} days the pipeline yields about {amount:rough_money} in 30 days: "
                "{deals:count} open deal, a win rate of {rate:percent}, {mean:rough_money} a deal, {time} to win.",
                "At the pace of the last {days:count} days the pipeline yields about {amount:rough_money} in 30 days: "
                "{deals:count} open deals, a win rate of {rate:percent}, {mean:rough_money} a deal, {time} to win.",
                counted="deals",
                days=(row["end"] - row["start"]).days,
                amount=(float(row["per_30_days"]), currency),
                deals=int(row["open_deals"]),
                rate=float(row["win_rate"]),
                mean=(float(row["mean_won_amount"]), currency),
                time=duration(row["mean_days_won"]),
            )
        )
    ]
    before = table.iloc[1]
    if before["per_day"] > 0:
        out.append(_pace(row, before, currency))
    return out


def _pace(row: pd.Series, before: pd.Series, currency: str | None) -> str:
    change = float(row["per_day"] / before["per_day"] - 1.0)
    then = (float(before["per_30_days"]), currency)
    if abs(change) < _STEADY:
        return said("That is about as much as in the period before ({then:rough_money}).", then=then)
    factors = {
        text("the number of open deals"): row["open_deals"] / before["open_deals"],
        text("the win rate"): row["win_rate"] / before["win_rate"],
        text("the average amount"): row["mean_won_amount"] / before["mean_won_amount"],
        text("the time to win"): before["mean_days_won"] / row["mean_days_won"],
    }
    most = max(factors, key=lambda name: (factors[name] - 1.0) * (1 if change > 0 else -1))
    if change > 0:
        return said(
            "That is {share:percent} more than in the period before ({then:rough_money}); the main cause: {cause}.",
            share=change,
            then=then,
            cause=most,
        )
    return said(
        "That is {share:percent} less than in the period before ({then:rough_money}); the main cause: {cause}.",
        share=-change,
        then=then,
        cause=most,
    )


def stalled(table: pd.DataFrame, currency: str | None, *, flagged: bool = False) -> list[str]:
    """How many open deals stall, and the largest; of flagged ones it is not known that they exceed a percentile."""
    if not len(table):
        return []
    count = _flagged(table, currency) if flagged else _beyond(table, currency)
    return [joined(count, _largest(table.iloc[0], currency))]


def _flagged(table: pd.DataFrame, currency: str | None) -> Text:
    amount = float(table["amount"].sum())
    if amount > 0:
        return texts(
            "{n:count} open deal, worth {amount:rough_money}, is stalled.",
            "{n:count} open deals, worth {amount:rough_money}, are stalled.",
            n=len(table),
            amount=(amount, currency),
        )
    return texts("{n:count} open deal is stalled.", "{n:count} open deals are stalled.", n=len(table))


def _beyond(table: pd.DataFrame, currency: str | None) -> Text:
    amount = float(table["amount"].sum())
    return (
        texts(
            "{n:count} open deal, worth {amount:rough_money}, has been in its stage longer than 9 in 10 deals that "
            "were "
            "won.",
            "{n:count} open deals, worth {amount:rough_money}, have been in their stage longer than 9 in 10 deals that "
            "were won.",
            n=len(table),
            amount=(amount, currency),
        )
        if amount > 0
        else texts(
            "{n:count} open deal has been in its stage longer than 9 in 10 deals that were won.",
            "{n:count} open deals have been in their stage longer than 9 in 10 deals that were won.",
            n=len(table),
        )
    )


def _largest(first: pd.Series, currency: str | None) -> Text | None:
    values: dict[str, Any] = {
        "name": str(first["name"] if pd.notna(first.get("name")) else first["deal_id"]),
        "stage": str(first["stage"]),
        "time": duration(first["days_in_stage"]) if pd.notna(first["days_in_stage"]) else None,
    }
    if pd.isna(first["days_in_stage"]) or pd.isna(first["usual_days"]):
        return None
    values["usual"] = duration(first["usual_days"])
    if pd.isna(first["amount"]):
        return text("The largest, {name}, has been in {stage} for {time}; won deals usually take {usual}.", **values)
    return text(
        "The largest, {name} ({amount:rough_money}), has been in {stage} for {time}; won deals usually take {usual}.",
        amount=(float(first["amount"]), currency),
        **values,
    )


def conversion(table: pd.DataFrame) -> list[str]:
    """The stage at which most deals are lost, and the slowest one."""
    known = table[table["moved_on_finally"].notna()]
    if not len(known):
        return []
    worst = known.sort_values("lost", ascending=False, kind="stable").iloc[0]
    out = [
        said(
            "Most deals are lost in {stage}: of those that reach it, {moved:percent} move on and {lost:percent} are "
            "lost.",
            stage=str(worst["stage"]),
            moved=float(worst["moved_on_finally"]),
            lost=float(worst["lost_finally"]),
        )
    ]
    timed = known[known["median_days"].notna()]
    if len(timed) > 1:
        slow = timed.sort_values("median_days", ascending=False, kind="stable").iloc[0]
        out.append(
            said(
                "Deals stay longest in {stage}: half of them {time} or more.",
                stage=str(slow["stage"]),
                time=duration(slow["median_days"]),
            )
        )
    return out


def moves_back(table: pd.DataFrame, won: pd.DataFrame) -> list[str]:
    """How often deals go back, and whether that bodes ill."""
    moves = int(table["moves"].sum()) if len(table) else 0
    if not moves:
        return []
    most = table.sort_values("share", ascending=False, kind="stable").iloc[0]
    first = texts(
        "Deals went back to an earlier stage {n:count} time, most often from {stage} ({share:percent} of the deals "
        "that "
        "were there).",
        "Deals went back to an earlier stage {n:count} times, most often from {stage} ({share:percent} of the deals "
        "that "
        "were there).",
        n=moves,
        stage=str(most["stage"]),
        share=float(most["share"]),
    )
    slips = int(table["within_a_day"].sum())
    if slips > moves / 2:
        second = texts(
            "{n:count} of these moves came within a day of the one before, so they look like corrections.",
            "{n:count} of these moves came within a day of the one before, so they look like corrections.",
            n=slips,
        )
        return [joined(first, second)]
    return [str(first), *_after_moving_back(won)]


def _after_moving_back(won: pd.DataFrame) -> list[str]:
    back, never = won.iloc[0], won.iloc[1]
    if not back["n"] or not never["n"]:
        return []
    values = {
        "stage": str(back["reached"]),
        "back": float(back["win_rate"]),
        "never": float(never["win_rate"]),
    }
    if back["change_low"] > 0 or back["change_high"] < 0:
        return [
            said(
                "Of the deals that reached {stage}, {back:percent} were won if they had gone back, {never:percent} if "
                "they "
                "had not.",
                **values,
            )
        ]
    return [
        said(
            "Of the deals that reached {stage}, {back:percent} were won if they had gone back, {never:percent} if "
            "they had "
            "not: no difference beyond normal variation.",
            **values,
        )
    ]
