"""The deals behind the figures of a pipeline that the list of open deals does not know of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from winpredict.app.pages.pipeline_views import Outlook
from winpredict.locale.text import Text, said, text

#: What can be asked for.
Drilldown = Literal["booked", "open", "expected", "standing", "stalled", "reached", "moved on", "lost"]
#: A column: its name in the rows, its head, how it is written; a word is one of `WORDS`.
Column = tuple[str, Text, Literal["text", "word", "day", "money", "percent", "count"]]
_OWNER: Column = ("owner", text("Owner"), "text")
_STAGE: Column = ("stage", text("Stage"), "text")
_DAYS: Column = ("days", text("Days in stage"), "count")
_AMOUNT: Column = ("amount", text("Amount"), "money")
_CLOSED: Column = ("closed_at", text("Closed"), "day")
_CHANCE: Column = ("chance", text("Odds in the period"), "percent")
_ADDS: Column = ("adds", text("Adds"), "money")
_AMOUNTS_CHANGE = text(
    "It differs slightly from the product, as amounts have lately tended to change before deals were won."
)
_SHARE = text("The share on the previous page also allows for deals that are still in the stage.")
#: Outcomes, and what became of deals in a stage, as people read them.
WORDS: Mapping[str, Text] = {
    "won": text("won"),
    "lost": text("lost"),
    "open": text("open"),
    "moved on": text("moved on"),
    "lost here": text("lost here"),
    "still there": text("still there"),
}


@dataclass(frozen=True)
class DealList:
    """What is behind a figure.

    Parameters
    ----------
    title : Text
        Of the page; may name the period.
    sentences : tuple of Text
        What the page says of the list.
    columns : tuple of Column
    rows : callable, optional
        The deals for an outlook and a period, those that weigh most first.
    sums : str
        Column that is summed up.
    flag : str
        Only open deals with this one of `winpredict.explain.deal_flags.FLAGS`; empty for all.
    """

    title: Text
    sentences: tuple[Text, ...]
    columns: tuple[Column, ...]
    rows: Callable[[Outlook, str], pd.DataFrame] = lambda outlook, period: pd.DataFrame({"deal_id": []})
    sums: str = "amount"
    flag: str = ""


def drilldown_deals(outlook: Outlook, of: Drilldown, period: str, stage: str) -> pd.DataFrame:
    """The deals behind a figure, with the columns of their list."""
    frame, columns = LISTS[of].rows(outlook, period), [name for name, _, _ in LISTS[of].columns]
    if stage and "stage" in columns:
        frame = frame[frame["stage"] == stage]
    # a company may know no closes, amounts or owners
    return frame.reindex(columns=["deal_id", *columns])


def unknown(outlook: Outlook, of: Drilldown) -> str:
    """Why nothing can be known of the deals behind a figure; empty where they are known, be they none."""
    if of in ("booked", "open", "expected"):
        return " ".join(map(str, outlook.forecast.notes)) if outlook.forecast.periods.empty else ""
    if len(outlook.funnel.conversion) or outlook.crm.deals.empty:
        return ""
    if outlook.crm.dated:
        return said(
            "There is no stage history, so how long deals stay in a stage, and what becomes of them, is not known."
        )
    return said("The deals have no dates, so how long they stay in a stage, and what becomes of them, is not known.")


def _booked(outlook: Outlook, period: str) -> pd.DataFrame:
    chosen = outlook.forecast.periods[outlook.forecast.periods["period"] == period]
    if chosen.empty:
        return pd.DataFrame({"deal_id": []})
    row, won = chosen.iloc[0], outlook.forecast.booked.rename(columns={"rep": "owner"})
    return _by(won[(won["closed_at"] >= row["starts"]) & (won["closed_at"] < row["ends"])], "amount")


def _open(outlook: Outlook, period: str) -> pd.DataFrame:
    deals = outlook.forecast.deals
    if f"p {period}" not in deals:
        return pd.DataFrame({"deal_id": []})
    frame = pd.DataFrame(
        {
            "deal_id": deals["deal_id"],
            "owner": deals["rep"],
            "amount": deals["amount"],
            "odds": deals["win_probability"],
            "chance": deals[f"p {period}"],
            "adds": deals[f"expected {period}"],
        }
    )
    return _by(frame, "adds")


def _expected(outlook: Outlook, period: str) -> pd.DataFrame:
    booked = _booked(outlook, period)
    booked = booked.assign(adds=booked["amount"], chance=1.0) if len(booked) else booked
    return _by(pd.concat([each for each in (booked, _open(outlook, period)) if len(each)] or [booked]), "adds")


def _standing(outlook: Outlook, period: str) -> pd.DataFrame:
    """Open deals with the days that they have been in their stage."""
    visits = _visits(outlook)
    last = visits.drop_duplicates(["deal_id", "stage"], keep="last").set_index(["deal_id", "stage"])["days"]
    deals = outlook.crm.deals[outlook.crm.deals["outcome"] == "open"]
    found = _about(outlook, deals).assign(stage=deals["stage"])
    here = pd.MultiIndex.from_frame(found[["deal_id", "stage"]])
    return _by(found.assign(days=last.reindex(here).to_numpy(dtype=float)), "days")


def _reached(outlook: Outlook, period: str) -> pd.DataFrame:
    """A row for each deal and each stage that it reached, and what became of it there.

    As in the funnel, who gets to a stage has reached all before it, and who is won has reached all.
    """
    order = list(outlook.funnel.conversion["stage"])
    visits = _visits(outlook)
    furthest = visits.groupby("deal_id")["rank"].max()
    deals = outlook.crm.deals[outlook.crm.deals["deal_id"].isin(furthest.index)]
    about = _about(outlook, deals).assign(outcome=deals["outcome"].to_numpy())
    last = about["deal_id"].map(furthest).where(about["outcome"] != "won", len(order)).to_numpy(dtype=int)
    frames = []
    for place, stage in enumerate(order):
        here = about[last >= place].assign(stage=stage)
        beyond, lost = last[last >= place] > place, (here["outcome"] == "lost").to_numpy()
        fate = pd.Series("still there", index=here.index).mask(lost, "lost here").mask(beyond, "moved on")
        frames.append(here.assign(fate=fate))
    frame = pd.concat(frames) if frames else about.assign(stage=None, fate=None)
    return _by(frame, "closed_at")


def _of_fate(fate: str) -> Callable[[Outlook, str], pd.DataFrame]:
    def rows(outlook: Outlook, period: str) -> pd.DataFrame:
        found = _reached(outlook, period)
        return found[found["fate"] == fate]

    return rows


def _visits(outlook: Outlook) -> pd.DataFrame:
    from winpredict.insights._stage_durations import open_stages, stage_durations

    return stage_durations(outlook.crm, open_stages(outlook.crm).order)


def _about(outlook: Outlook, deals: pd.DataFrame) -> pd.DataFrame:
    """Owner, close and amount of some deals."""
    owner = deals["owner_id"] if "owner_id" in deals else pd.Series(None, index=deals.index, dtype=object)
    names = {user_id: name for name, user_id in outlook.rep_ids.items()}
    return pd.DataFrame(
        {
            "deal_id": deals["deal_id"],
            "owner": owner.map(names).fillna(owner),
            "closed_at": deals["closed_at"],
            "amount": deals["amount"] if "amount" in deals else float("nan"),
        }
    )


def _by(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """The largest first."""
    return frame.sort_values([column, "deal_id"], ascending=[False, True]) if column in frame else frame


#: The lists, by what is asked for.
LISTS: Mapping[Drilldown, DealList] = {
    "booked": DealList(
        text("Booked: {period}"),
        (text("Deals won in the period so far."),),
        (_OWNER, _CLOSED, _AMOUNT),
        _booked,
    ),
    "open": DealList(
        text("From open deals: {period}"),
        (
            text("What each open deal adds: its amount × its odds of being won in the period."),
            _AMOUNTS_CHANGE,
            text("A deal without an amount counts with a typical one."),
        ),
        (_OWNER, _AMOUNT, ("odds", text("Win odds"), "percent"), _CHANCE, _ADDS),
        _open,
        "adds",
    ),
    "expected": DealList(
        text("Expected bookings: {period}"),
        (
            text(
                "Deals won in the period so far, with their full amount, and what each open deal adds: its amount × "
                "its odds of being won in the period."
            ),
            _AMOUNTS_CHANGE,
            text("New business, not yet created, is not listed."),
        ),
        (_OWNER, _CLOSED, _AMOUNT, _CHANCE, _ADDS),
        _expected,
        "adds",
    ),
    "standing": DealList(
        text("Days in stage"),
        (text("Open deals, longest in their stage first."),),
        (_OWNER, _STAGE, _DAYS, _AMOUNT),
        _standing,
    ),
    "stalled": DealList(
        text("Stalled deals"),
        (text("Open deals that have been in their stage longer than 9 in 10 deals won from there."),),
        (_OWNER, _STAGE, _DAYS, _AMOUNT),
        _standing,
        flag="stalled",
    ),
    "reached": DealList(
        text("Deals that reached a stage"),
        (text("All deals that reached the stage or went beyond it, and what became of them there."),),
        (_OWNER, _STAGE, ("fate", text("Outcome"), "word"), _CLOSED, _AMOUNT),
        _reached,
    ),
    "moved on": DealList(
        text("Deals that moved on"),
        (text("Deals that went beyond the stage or were won, latest close first."), _SHARE),
        (_OWNER, _STAGE, _CLOSED, _AMOUNT),
        _of_fate("moved on"),
    ),
    "lost": DealList(
        text("Deals lost in a stage"),
        (text("Deals lost in the stage, latest first."), _SHARE),
        (_OWNER, _STAGE, _CLOSED, _AMOUNT),
        _of_fate("lost here"),
    ),
}
