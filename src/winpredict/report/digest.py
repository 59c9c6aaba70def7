"""The digest of a daily run: which odds moved and why, which big deals are at risk, what is wrong with the data."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from winpredict.config import Run
from winpredict.explain.changes import DealChanges, changes_of
from winpredict.explain.reason import in_points, told_to
from winpredict.insights.at_risk import deals_at_risk, silence
from winpredict.models.trained import TrainedModel
from winpredict.report.writing import day_in_words, from_template
from winpredict.tables.crm import CRMData
from winpredict.tables.schema import TIME_DTYPE

_REASONS = 3
#: Deals whose moves are worked out for each that is told: what the stored scores tell may be another model's doing.
_LOOKED_AT = 3


@dataclass(frozen=True)
class Item:
    """One deal in a digest."""

    deal_id: str
    text: str
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """A list in a digest."""

    title: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Digest:
    """What is worth knowing today.

    Parameters
    ----------
    title, subtitle : str
    parts : tuple of Part
        Those with something in them.
    problems : tuple of str
        What is wrong with the data or with the run, a sentence each.
    """

    title: str
    subtitle: str
    parts: tuple[Part, ...] = ()
    problems: tuple[str, ...] = field(default=())

    def markdown(self) -> str:
        """The digest as Markdown, without the title."""
        return from_template("digest.md.j2", digest=self)


def digest(
    model: TrainedModel,
    crm: CRMData,
    scores: pd.DataFrame,
    earlier: pd.DataFrame | None,
    settings: Run,
    problems: Sequence[str] = (),
) -> Digest:
    """What moved since the last scores, and what is at risk.

    Parameters
    ----------
    model : TrainedModel
        The one that gave `scores`; moves are told by it for both days.
    crm : CRMData
    scores, earlier : DataFrame
        The latest scores and those before, as `winpredict.explain.scores.score` gives them; None for none.
    settings : Run
        How many deals are told, and from which move, silence and size.
    problems : sequence of str
        Sentences to be told at the end.

    Returns
    -------
    Digest
    """
    about = _Deals(crm)
    moved = _moved(model, crm, scores, earlier, settings)
    up = sorted((each for each in moved if each.after > each.before), key=lambda each: each.before - each.after)
    down = sorted((each for each in moved if each.after < each.before), key=lambda each: each.after - each.before)
    risks = _risks(about, scores, earlier, settings)
    parts = [
        Part("Odds that rose", tuple(about.mover(each) for each in up[: settings.digest_deals])),
        Part("Odds that fell", tuple(about.mover(each) for each in down[: settings.digest_deals])),
        Part("Big deals at risk", risks),
    ]
    counts = f"{len(scores):,} open deals, {len(risks)} big ones at risk"
    return Digest(
        title=f"winpredict: {counts}" + (f", {len(problems)} problem{'s'[: len(problems) > 1]}" if problems else ""),
        subtitle=_subtitle(scores, earlier, settings),
        parts=tuple(part for part in parts if part.items),
        problems=tuple(problems),
    )


def _subtitle(scores: pd.DataFrame, earlier: pd.DataFrame | None, settings: Run) -> str:
    said = f"{len(scores):,} open deals as known on {day_in_words(_day(scores))}"
    if earlier is None:
        return f"{said}; there are no earlier scores to compare with."
    said = f"{said}, compared with {day_in_words(_day(earlier))}"
    versions = [str(each["model_version"].iloc[0]) for each in (earlier, scores) if len(each)]
    if len(set(versions)) > 1:
        return f"{said}; model {versions[0]} gave way to {versions[1]}, which tells both days here."
    moves, least = _stored_moves(scores, earlier), settings.moved_points / 100
    rose, fell = (moves >= least).sum(), (moves <= -least).sum()
    return f"{said}: {rose:,} rose and {fell:,} fell by {100 * least:g} points or more."


def _day(scores: pd.DataFrame) -> pd.Timestamp | None:
    moment = scores["as_of"].max() if len(scores) else None
    return None if moment is None or pd.isna(moment) else moment


def _moved(
    model: TrainedModel, crm: CRMData, scores: pd.DataFrame, earlier: pd.DataFrame | None, settings: Run
) -> list[DealChanges]:
    """Deals whose odds moved enough, both days by today's model."""
    before = None if earlier is None else _day(earlier)
    if earlier is None or before is None:
        return []
    moves = _stored_moves(scores, earlier)
    most = _LOOKED_AT * settings.digest_deals
    ids = [*moves.nlargest(most).index, *moves.nsmallest(most).index]
    found = changes_of(model, crm, list(dict.fromkeys(ids)), before, _day(scores), most=_REASONS)
    return [each for each in found if abs(each.after - each.before) >= settings.moved_points / 100]


def _stored_moves(scores: pd.DataFrame, earlier: pd.DataFrame) -> pd.Series:
    """Move of the odds by deal, of deals that have both."""
    now, before = (each.set_index("deal_id")["win_probability"] for each in (scores, earlier))
    return (now - before).dropna()


def _risks(about: "_Deals", scores: pd.DataFrame, earlier: pd.DataFrame | None, settings: Run) -> tuple[Item, ...]:
    """Big deals whose odds fall or that nobody touches, the largest first."""
    now = _day(scores)
    deals = about.table.reindex(scores["deal_id"])
    if now is None or "amount" not in deals:
        return ()
    moves = pd.Series(0.0, index=deals.index) if earlier is None else _stored_moves(scores, earlier)
    deals["odds"] = scores["win_probability"].to_numpy()
    deals["move"] = moves.reindex(deals.index).fillna(0.0)
    deals["silent"] = silence(about.last_touch(deals, now), deals["created_at"], now)
    chosen = deals_at_risk(deals, settings).head(settings.digest_deals)
    told = []
    for deal_id, row in chosen.to_dict("index").items():
        why = [f"odds {in_points(row['move'])}"] if row["falls"] else []
        why += [f"no touch for {row['silent']:.0f} days"] if row["is_silent"] else []
        told.append(Item(str(deal_id), f"{about.named(str(deal_id))}: {row['odds']:.0%}, {', '.join(why)}"))
    return tuple(told)


class _Deals:
    """What a deal is called, how much it is about, whose it is, and when somebody last touched it."""

    def __init__(self, crm: CRMData) -> None:
        self.table = crm.deals.set_index("deal_id")
        self._users = (
            {} if crm.users is None or "name" not in crm.users else dict(crm.users[["user_id", "name"]].values)
        )
        self._activities = crm.activities

    def mover(self, change: DealChanges) -> Item:
        """A deal whose odds moved."""
        moved = f"{change.before:.0%} → {change.after:.0%} ({in_points(change.after - change.before)})"
        # whoever reads it, how an owner's deals ended before is not for them here
        reasons = tuple(reason.sentence for reason in told_to(change.reasons, "everyone"))
        return Item(change.deal_id, f"{self.named(change.deal_id)}: {moved}", reasons)

    def named(self, deal_id: str) -> str:
        """A deal in words: name, id, amount, owner."""
        deal = self.table.loc[deal_id]
        name, amount = deal.get("name"), deal.get("amount")
        words = [str(deal_id) if pd.isna(name) else f"{name} ({deal_id})"]
        if not pd.isna(amount):
            currency = deal.get("currency")
            words.append(f"{amount:,.0f}" + ("" if pd.isna(currency) else f" {currency}"))
        owner = self._users.get(deal.get("owner_id"))
        words += [str(owner)] if isinstance(owner, str) else []
        return ", ".join(words)

    def last_touch(self, deals: pd.DataFrame, now: pd.Timestamp) -> pd.Series:
        """When each deal was last touched; missing where it never was."""
        if self._activities is None:
            return pd.Series(pd.NaT, index=deals.index, dtype=TIME_DTYPE)
        past = self._activities[self._activities["occurred_at"] < now]
        return past.groupby("deal_id")["occurred_at"].max().reindex(deals.index)
