"""The digest of a daily run: which odds moved and why, which big deals are at risk, what is wrong with the data."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from winpredict.config import Run
from winpredict.explain.changes import DealChanges, changes_of
from winpredict.explain.deal_flags import FLAGS, big, with_falling
from winpredict.explain.reason import told_to
from winpredict.locale import formats
from winpredict.locale.text import Text, said, texts
from winpredict.models.trained import TrainedModel
from winpredict.report.deal_names import DealNames
from winpredict.report.writing import day_in_words, from_template
from winpredict.tables.crm import CRMData

_REASONS = 3
#: Moves worked out for each deal that is shown: those of the stored scores may be another model's doing.
_CANDIDATES = 3


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
    """What moved since the last scores, and what is at risk, in the language of the moment.

    Parameters
    ----------
    model : TrainedModel
        The one that gave `scores`; moves are explained by it for both days.
    crm : CRMData
    scores, earlier : DataFrame
        The latest scores and those before, as `winpredict.explain.scores.score` gives them; None for none.
    settings : Run
        How many deals are shown, and from which move and size.
    problems : sequence of str
        Sentences for the end.

    Returns
    -------
    Digest
    """
    names = DealNames(crm)
    moved = _moved(model, crm, scores, earlier, settings)
    up = sorted((each for each in moved if each.after > each.before), key=lambda each: each.before - each.after)
    down = sorted((each for each in moved if each.after < each.before), key=lambda each: each.after - each.before)
    risks = _risks(names, scores, earlier, settings)
    parts = [
        Part(said("Odds that rose"), tuple(_mover(names, each) for each in up[: settings.digest_deals])),
        Part(said("Odds that fell"), tuple(_mover(names, each) for each in down[: settings.digest_deals])),
        Part(said("Big deals at risk"), risks),
    ]
    return Digest(
        title=_title(len(scores), len(risks), len(problems)),
        subtitle=_subtitle(scores, earlier, settings),
        parts=tuple(part for part in parts if part.items),
        problems=tuple(problems),
    )


def _title(deals: int, risks: int, problems: int) -> str:
    counts: dict[str, Any] = {
        "deals": texts("{n:count} open deal", "{n:count} open deals", n=deals),
        "risks": texts("{n:count} big deal at risk", "{n:count} big deals at risk", n=risks),
    }
    if not problems:
        return said("winpredict: {deals}, {risks}", **counts)
    return said(
        "winpredict: {deals}, {risks}, {problems}",
        problems=texts("{n:count} problem", "{n:count} problems", n=problems),
        **counts,
    )


def _subtitle(scores: pd.DataFrame, earlier: pd.DataFrame | None, settings: Run) -> str:
    deals = texts("{n:count} open deal", "{n:count} open deals", n=len(scores))
    if _day(scores) is None:
        return said("{deals}. No earlier scores to compare with.", deals=deals)
    day = day_in_words(_day(scores))
    if earlier is None:
        return said("{deals} as of {day}. No earlier scores to compare with.", deals=deals, day=day)
    days: dict[str, Any] = {"deals": deals, "day": day, "before": day_in_words(_day(earlier))}
    versions = [str(each["model_version"].iloc[0]) for each in (earlier, scores) if len(each)]
    if len(set(versions)) > 1:
        return said(
            "{deals} as of {day}, compared with {before}. Model {new} has replaced model {old}; the moves below are by "
            "model {new} for both days.",
            old=versions[0],
            new=versions[1],
            **days,
        )
    moves, limit = _stored_moves(scores, earlier), settings.moved_points / 100
    return str(
        texts(
            "{deals} as of {day}, compared with {before}: {rose:count} rose and {fell:count} fell by {n:size_points} "
            "point or more.",
            "{deals} as of {day}, compared with {before}: {rose:count} rose and {fell:count} fell by {n:size_points} "
            "points or more.",
            n=limit,
            rose=int((moves >= limit).sum()),
            fell=int((moves <= -limit).sum()),
            **days,
        )
    )


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
    most = _CANDIDATES * settings.digest_deals
    ids = [*moves.nlargest(most).index, *moves.nsmallest(most).index]
    moved = changes_of(model, crm, list(dict.fromkeys(ids)), before, _day(scores), most=_REASONS)
    return [each for each in moved if abs(each.after - each.before) >= settings.moved_points / 100]


def _mover(names: DealNames, change: DealChanges) -> Item:
    """A deal whose odds moved, with what moved them."""
    # the difference of the odds as they are written, so that the line adds up
    before, after = formats.ROUNDED["percent"](np.array([change.before, change.after])).tolist()
    line = texts(
        "{deal}: {before:percent} to {after:percent} ({n:points} point)",
        "{deal}: {before:percent} to {after:percent} ({n:points} points)",
        deal=names.line(change.deal_id),
        before=before,
        after=after,
        n=after - before,
    )
    # whoever reads it, how an owner's deals ended before is not for them here
    reasons = tuple(reason.sentence for reason in told_to(change.reasons, "everyone"))
    return Item(change.deal_id, str(line), reasons)


def _stored_moves(scores: pd.DataFrame, earlier: pd.DataFrame) -> pd.Series:
    """Move of the odds by deal, of deals that have both."""
    now, before = (each.set_index("deal_id")["win_probability"] for each in (scores, earlier))
    return (now - before).dropna()


def _risks(names: DealNames, scores: pd.DataFrame, earlier: pd.DataFrame | None, settings: Run) -> tuple[Item, ...]:
    """Big deals at risk, the largest first, each with its flags and what to do next."""
    deals = names.deals.reindex(scores["deal_id"])
    if "amount" not in deals or not len(deals):
        return ()
    moves = pd.Series(dtype="float64") if earlier is None else _stored_moves(scores, earlier)
    deals["odds"] = scores["win_probability"].to_numpy()
    deals["next_step"] = scores["next_step"].fillna("").to_numpy(dtype=object)
    deals["move"] = moves.reindex(deals.index).fillna(0.0)
    falls = deals["move"] <= -settings.moved_points / 100
    deals["flags"] = [
        with_falling(tuple(str(flags).split(",")), falling=bool(falling))
        for flags, falling in zip(scores["flags"].fillna(""), falls, strict=True)
    ]
    at_risk = deals["flags"].map(lambda flags: "at_risk" in flags).astype(bool)
    large = big(deals["amount"], deals.get("currency"), settings.big_share)
    chosen = deals[at_risk & large].sort_values("amount", ascending=False, kind="stable").head(settings.digest_deals)
    return tuple(_risk(names, str(deal_id), row, settings) for deal_id, row in chosen.iterrows())


def _risk(names: DealNames, deal_id: str, row: pd.Series, settings: Run) -> Item:
    signs: list[Text] = [FLAGS[flag] for flag in row["flags"] if flag in FLAGS and flag != "at_risk"]
    if row["move"] <= -settings.moved_points / 100:
        fall = texts("odds down {n:size_points} point", "odds down {n:size_points} points", n=float(row["move"]))
        signs.insert(0, fall)
    line = said(
        "{deal}: {odds:percent}; {signs:listed}", deal=names.line(deal_id), odds=float(row["odds"]), signs=tuple(signs)
    )
    step = (said("Next step: {step}", step=row["next_step"]),) if row["next_step"] else ()
    return Item(deal_id, line, step)
