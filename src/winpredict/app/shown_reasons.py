"""Which of a deal's reasons and next steps a person is told, and how they come out of the database."""

from typing import TYPE_CHECKING, Any

from winpredict.app.records import Role, Score
from winpredict.explain.next_steps import NextStep
from winpredict.explain.reason import Reason, told_to
from winpredict.locale.text import Text

if TYPE_CHECKING:
    from winpredict.config import App
    from winpredict.features.description import Audience


def audience_of(role: str, settings: "App") -> "Audience":
    """What a person is told of: an owner's record is for managers, unless the settings open it to everyone."""
    return "everyone" if Role(role) is Role.REP and settings.owner_record == "managers" else "managers"


def reasons_of(score: Score, audience: "Audience") -> tuple[Reason, ...]:
    """The reasons of a published score, what came with the deal among them."""
    return told_to([_reason(each) for each in score.reasons], audience)


def next_steps_of(score: Score) -> tuple[NextStep, ...]:
    """What to do next about a deal, as it was published."""
    return tuple(NextStep.from_json(each) for each in score.next_steps)


def _reason(kept: Any) -> Reason:
    if isinstance(kept, str):  # of a run that was published before reasons were kept in parts
        return Reason("", "", 0.0, Text("{words}", values=(("words", kept),)))
    return Reason.from_json(kept)
