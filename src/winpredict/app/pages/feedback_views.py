"""What people said is wrong with a deal's odds, without names that the reader may not see."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session as DatabaseSession

from winpredict.app.records import Feedback, Person, Score
from winpredict.app.visibility import visible_scores

_SHORTEST = 3


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
        known[deal_id] |= {each for each in (name, account, call_name(account or name or "")) if each}
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
    """A text without some names as words of it, in capitals or not; very short ones only as they are written.

    Examples
    --------
    >>> without("ACME signed last week", {"Acme", "Acme renewal"})
    '[name] signed last week'
    >>> without("A call about what A wants, at last", {"A"})
    '[name] call about what [name] wants, at last'
    """
    longest_first = sorted((each for each in names if each.strip()), key=len, reverse=True)
    pattern = "|".join(map(_pattern, longest_first))
    return re.sub(rf"(?<!\w)(?:{pattern})(?!\w)", "[name]", text, flags=re.IGNORECASE) if pattern else text


def call_name(name: str) -> str:
    """What people call a customer by whose name has several words: the first one; empty where that is too short.

    Examples
    --------
    >>> call_name("Acme Corp"), call_name("The Home Depot"), call_name("B & C"), call_name("Acme")
    ('Acme', 'Home', '', '')
    """
    words = [each for each in re.findall(r"\w+", name) if each.lower() != "the"]
    return words[0] if len(words) > 1 and len(words[0]) >= _SHORTEST else ""


def _pattern(name: str) -> str:
    spelled = r"\s+".join(map(re.escape, name.split()))
    # in any case "it" or "A" would take words out of every sentence
    return spelled if len(name.strip()) >= _SHORTEST else f"(?-i:{spelled})"
