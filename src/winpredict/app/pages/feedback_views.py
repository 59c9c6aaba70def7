"""What people said is wrong with a deal's odds, without names that the reader may not see."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session as DatabaseSession

from winpredict.app.records import Feedback, Person, Score
from winpredict.app.visibility import visible_scores
from winpredict.locale.text import said

_SHORTEST = 3
#: First words of many a company's name.
_EVERYDAY = frozenset(("all", "best", "big", "first", "for", "general", "good", "great", "new", "one", "open", "our"))
# scripts that part no words by spaces, or write endings onto names: there a name ends wherever it ends
_UNPARTED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
_LETTER = rf"[^\W_{_UNPARTED}]"


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
    """Feedback with what may be shown of its deals."""
    if not rows:
        return []
    ids = {each.deal_id for each in rows}
    is_open = set(
        session.scalars(visible_scores(person).where(Score.deal_id.in_(ids)).with_only_columns(Score.deal_id))
    )
    known: dict[str, set[str]] = {each: set() for each in ids}
    title: dict[str, str] = {}
    scores = select(Score.deal_id, Score.name, Score.account).where(Score.deal_id.in_(ids)).order_by(Score.run_id)
    for deal_id, name, account in session.execute(scores):
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


def without(text: str, names: Collection[str]) -> str:
    """A text without some names as words of it, in capitals or not.

    Very short ones, and those that are words of every day, only with capitals as they are written: else "it" or "new"
    would be taken out of every sentence.

    Examples
    --------
    >>> without("ACME signed last week, as Acmes do", {"Acme", "Acme renewal"})
    '[name] signed last week, as [name] do'
    >>> without("A call about what A wants, at last", {"A"})
    '[name] call about what [name] wants, at last'
    >>> without("New wants nothing new", {"New York Life", "New"})
    '[name] wants nothing new'
    """
    longest_first = sorted((each.strip() for each in names if each.strip()), key=len, reverse=True)
    pattern = "|".join(map(_pattern, longest_first))
    if not pattern:
        return text
    hidden = said("[name]")
    return re.sub(pattern, lambda _: hidden, text, flags=re.IGNORECASE)


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
    if len(name) < _SHORTEST or name.lower() in _EVERYDAY:
        spelled = f"(?-i:{spelled}|{re.escape(name.upper())})"
    before = f"(?<!{_LETTER})" if re.match(_LETTER, name) else ""
    if not re.search(f"{_LETTER}$", name):
        return f"{before}{spelled}"
    ending = "s?" if len(name) > _SHORTEST else ""  # "Acmes budget"
    return f"{before}{spelled}{ending}(?!{_LETTER})"
