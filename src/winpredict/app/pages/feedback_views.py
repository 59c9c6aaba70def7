"""What people said is wrong with a deal's odds, without names that the reader may not see."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session as DatabaseSession

from winpredict.app.records import Feedback, Person, Score
from winpredict.app.visibility import visible_scores


@dataclass(frozen=True)
class Said:
    """What a person said is wrong, as another may read it.

    Parameters
    ----------
    feedback : Feedback
    text : str
        Without the deal's names, where these may not be read.
    title : str
        The deal's name or id.
    is_open : bool
        Whether the deal has a page.
    """

    feedback: Feedback
    text: str
    title: str
    is_open: bool


def said_about(session: DatabaseSession, person: Person, rows: Sequence[Feedback], *, names: bool) -> list[Said]:
    """Feedback with what may be told of its deals."""
    if not rows:
        return []
    ids = {each.deal_id for each in rows}
    is_open = set(
        session.scalars(visible_scores(person).where(Score.deal_id.in_(ids)).with_only_columns(Score.deal_id))
    )
    known: dict[str, set[str]] = {each: set() for each in ids}
    title: dict[str, str] = {}
    told = select(Score.deal_id, Score.name, Score.account).where(Score.deal_id.in_(ids)).order_by(Score.run_id)
    for deal_id, name, account in session.execute(told):
        known[deal_id] |= {each for each in (name, account) if each}
        title[deal_id] = name or deal_id
    return [
        Said(
            each,
            each.text if names else without(each.text, known[each.deal_id]),
            title.get(each.deal_id, each.deal_id) if names else each.deal_id,
            each.deal_id in is_open,
        )
        for each in rows
    ]


def without(text: str, names: set[str]) -> str:
    """A text without some names, however they are written.

    Examples
    --------
    >>> without("ACME signed last week", {"Acme", "Acme renewal"})
    '[name] signed last week'
    """
    longest_first = sorted(names, key=len, reverse=True)
    pattern = "|".join(re.escape(each) for each in longest_first)
    return re.sub(pattern, "[name]", text, flags=re.IGNORECASE) if pattern else text
