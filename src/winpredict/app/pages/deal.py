"""One deal: its odds over time, why, what moved them, what if, deals like it, and what people say is wrong."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, Form, HTTPException, Request
from sqlalchemy.orm import joinedload
from starlette.responses import RedirectResponse, Response

from winpredict.app.desk import Desk, Loaded
from winpredict.app.identity import WITH_DEALS, Allows, Caller, DeskOfRequest
from winpredict.app.listing import owner_names
from winpredict.app.pages.deal_views import LikeDeals, like_deals, sliders, step_rows
from winpredict.app.pages.deals import BAND_NAMES, change_this_week, may_read_names
from winpredict.app.pages.feedback_views import said_about
from winpredict.app.pages.rendering import address_of, render
from winpredict.app.people import now
from winpredict.app.publishing import shown_run
from winpredict.app.records import Feedback, Score, ScoringRun
from winpredict.app.shown_reasons import audience_of, next_steps_of
from winpredict.app.stories import alike, chart_of, story_of
from winpredict.app.turns import PageRouter
from winpredict.app.visibility import owners_seen_by, visible_feedback, visible_score
from winpredict.errors import WinPredictError
from winpredict.explain.deal_flags import FLAGS
from winpredict.locale.text import Text, said, text

if TYPE_CHECKING:
    from winpredict.explain.next_steps import NextStep
    from winpredict.explain.story import DealStory

router = PageRouter()
#: Pixels of the chart on a page and on a phone.
_WIDE, _NARROW = 760, 330
_MAX_FEEDBACK = 20
#: Odds that differ by less are the same on a page.
_SAME = 0.005


class FeedbackKind(StrEnum):
    """What may be wrong about a deal's odds."""

    TOO_HIGH = "too_high"
    TOO_LOW = "too_low"
    WRONG_REASON = "wrong_reason"
    OTHER = "other"


KIND_WORDS: Mapping[FeedbackKind, Text] = {
    FeedbackKind.TOO_HIGH: text("The odds are too high"),
    FeedbackKind.TOO_LOW: text("The odds are too low"),
    FeedbackKind.WRONG_REASON: text("A reason is wrong"),
    FeedbackKind.OTHER: text("Something else"),
}


@router.get("/deals/{deal_id:path}/odds.svg")
def odds_chart(
    desk: DeskOfRequest,
    deal_id: str,
    caller: Annotated[Caller, Depends(Allows(*WITH_DEALS))],
    narrow: bool = False,
) -> Response:
    """The chart of the odds over time; apart from the page, which need not wait for it."""
    _, run = seen_deal(desk, caller, deal_id)
    if not story_of(desk, desk.loaded(), deal_id, run.as_of).steps:
        raise HTTPException(404, said("this deal has no dates, so its odds have no history"))
    svg = chart_of(desk, desk.loaded(), deal_id, run.as_of, width=_NARROW if narrow else _WIDE)
    return Response(svg, media_type="image/svg+xml", headers={"Cache-Control": "no-store"})


@router.post("/deals/{deal_id:path}/feedback")
def say_wrong(
    desk: DeskOfRequest,
    deal_id: str,
    caller: Annotated[Caller, Depends(Allows(*WITH_DEALS))],
    kind: Annotated[FeedbackKind, Form()],
    text: Annotated[str, Form(max_length=2000)] = "",
) -> Response:
    """Store what a person says is wrong."""
    score, run = seen_deal(desk, caller, deal_id)
    with desk.database.writing() as session:
        session.add(
            Feedback(
                deal_id=deal_id,
                run_id=run.id,
                person_id=caller.person.id,
                kind=kind,
                text=text.strip(),
                win_probability=score.win_probability,
                created_at=now(),
            )
        )
    return RedirectResponse(f"{address_of(deal_id)}?thanks=1#feedback", 303)


@router.get("/deals/{deal_id:path}")
def deal(
    request: Request,
    desk: DeskOfRequest,
    deal_id: str,
    caller: Annotated[Caller, Depends(Allows(*WITH_DEALS))],
    thanks: bool = False,
) -> Response:
    """The page of a deal."""
    score, run = seen_deal(desk, caller, deal_id)
    names = may_read_names(desk, caller)
    with desk.database.reading() as session:
        owners = owner_names(session, [score])
        wanted = visible_feedback(caller.person, deal_id).options(joinedload(Feedback.person)).limit(_MAX_FEEDBACK)
        # people write names into their feedback
        feedback = said_about(session, caller.person, session.scalars(wanted).all(), names=names)
    explained = _explained(request, desk, caller, score, run, names=names)
    story = explained["story"]
    return render(
        request,
        caller,
        "deal.html",
        score=score,
        run=run,
        owner=owners.get(score.owner_id or "", score.owner_id or "–"),
        names=names,
        address=address_of(deal_id),
        bands=BAND_NAMES,
        flags=FLAGS,
        next_steps=_next_steps(score, story),
        leads_with_change=_leads_with_change(desk, score, story),
        feedback=feedback,
        kinds=KIND_WORDS,
        thanks=thanks,
        sizes=(_WIDE, _NARROW),
        **explained,
    )


def seen_deal(desk: Desk, caller: Caller, deal_id: str) -> tuple[Score, ScoringRun]:
    """The latest score of a deal that the caller may see, and the run it is of.

    Raises
    ------
    HTTPException
        404, whether there is no such deal or they may not see it: the answer does not tell which.
    """
    with desk.database.reading() as session:
        score, run = visible_score(session, caller.person, deal_id), shown_run(session)
    if score is None or run is None:
        raise HTTPException(404, said("open deal not found, or not visible to you"))
    return score, run


def _explained(
    request: Request, desk: Desk, caller: Caller, score: Score, run: ScoringRun, *, names: bool
) -> dict[str, Any]:
    """What the workspace knows of the deal, or why it cannot be shown."""
    from winpredict.explain.story import MIN_MOVE

    try:
        loaded = desk.loaded()
        audience = audience_of(caller.person.role, desk.config.app)
        story = story_of(desk, loaded, score.deal_id, run.as_of).told_to(audience)
    except WinPredictError as error:
        return {"story": None, "trouble": str(error)}
    question = sliders(loaded.model, story, request.query_params)
    rows, moved = step_rows(story), story.largest_moves()
    return {
        "story": story,
        "trouble": "",
        "differs": abs(story.explanation.win_probability - score.win_probability) >= _SAME,
        "steps": rows[::-1],
        "moves": [row for row in rows if row.step in moved],
        "min_move": MIN_MOVE,
        "sliders": question.sliders,
        "what_if": question.answer,
        "alike": _alike(desk, loaded, caller, score, run, names=names),
    }


def _next_steps(score: Score, story: "DealStory | None") -> "tuple[NextStep, ...]":
    """The steps that the list shows too; of a run that was published without any, those of the story."""
    return next_steps_of(score) or (() if story is None else story.next_steps)


def _leads_with_change(desk: Desk, score: Score, story: "DealStory | None") -> bool:
    """Whether the odds changed enough, by either measure, for the change to come before all other reasons."""
    week = None if story is None else story.week
    threshold = desk.config.run.moved_points / 100
    return week is not None and (
        abs(week.after - week.before) >= threshold or change_this_week(score, desk.config.run) is not None
    )


def _alike(
    desk: Desk, loaded: Loaded, caller: Caller, score: Score, run: ScoringRun, *, names: bool
) -> LikeDeals | None:
    similar = alike(desk, loaded, story_of(desk, loaded, score.deal_id, run.as_of), run.as_of)
    if similar is None:
        return None
    return like_deals(similar, loaded.crm, owners_seen_by(desk.database, caller.person), names=names)
