"""Why a deal has its odds, and what they would be if some of its figures were others."""

from datetime import datetime
from typing import Annotated

import pandas as pd
from fastapi import APIRouter, Depends
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field

from winpredict.app.api.contract import WITH_DEALS, TaggedRoute, documented
from winpredict.app.api.deals import Step
from winpredict.app.api.tables import plain_number
from winpredict.app.desk import Desk, Loaded
from winpredict.app.identity import Caller, DeskOfRequest
from winpredict.app.pages.deal import seen_deal
from winpredict.app.shown_reasons import audience_of
from winpredict.errors import WinPredictError
from winpredict.explain.what_if import check_figure, figures_of, what_if_of

router = APIRouter(tags=["reasons"], route_class=TaggedRoute)
Reader = Annotated[Caller, Depends(WITH_DEALS)]
Figure = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class Reason(BaseModel):
    """A claim about a deal, its evidence, and what it adds to the odds."""

    model_config = ConfigDict(from_attributes=True)

    feature: str = Field(description="the figure that speaks for the theme; empty where none does")
    theme: str
    sentence: str = Field(description="claim, evidence and points in one")
    claim: str
    evidence: str = Field(description="what won and lost deals had, where it bears the claim out; else empty")
    points: float = Field(description="added to the win probability, -1 to 1")
    control: str = Field(description="who can change it: controllable, deal, customer, context (came with the deal)")


class Explanation(BaseModel):
    """Base odds + points of the reasons and of what is given + other points = win probability."""

    deal_id: str
    as_of: datetime | None
    win_probability: float
    low: float
    high: float
    base_probability: float = Field(description="odds before anything about the deal is known")
    reasons: list[Reason]
    given: list[Reason] = Field(description="what came with the deal and cannot be changed")
    other_points: float = Field(description="what everything else adds")
    next_steps: list[Step] = Field(description="what to do next, the most urgent first; at most three")
    model_version: str


class Askable(BaseModel):
    """A figure that may be asked about."""

    name: str
    sentence: str
    now: float | None
    low: float = Field(description="the data cover the figure from here")
    high: float = Field(description="to here")


class Askables(BaseModel):
    """What may be asked about a deal."""

    deal_id: str
    figures: list[Askable]


class WhatIfRequest(BaseModel):
    """Figures as they might be."""

    model_config = ConfigDict(extra="forbid")

    figures: dict[str, Figure] = Field(min_length=1, max_length=50, examples=[{"touches_30d": 6}])


class WhatIfAnswer(BaseModel):
    """An association that the data show, and no promise: deals that go well draw touches and people."""

    deal_id: str
    before: float
    after: float
    sentence: str


@router.get("/deals/{deal_id:path}/reasons", summary="Why a deal has its odds", **documented(404, 409, scope="read"))
def reasons(desk: DeskOfRequest, caller: Reader, deal_id: str) -> Explanation:
    """The reasons of an open deal, as of the latest scoring; they add up to its odds."""
    from winpredict.explain.reasons import explain_deal

    _, run = seen_deal(desk, caller, deal_id)
    loaded, as_of = desk.loaded(), None if run.as_of is None else pd.Timestamp(run.as_of)
    # the explanation depends on the deal alone; that the caller may see it is known
    explanation = desk.get_or_compute(
        ("reasons", loaded.state, deal_id, run.as_of),
        lambda: explain_deal(
            loaded.model,
            loaded.scorer.tables_of(deal_id),
            deal_id,
            as_of=as_of,
            cross_deal_history=loaded.scorer.cross_deal_history,
            settings=desk.config.next_steps,
        ),
    )
    shown = explanation.told_to(audience_of(caller.person.role, desk.config.app))
    return Explanation.model_validate(shown.to_dict() | {"model_version": loaded.version})


@router.get(
    "/deals/{deal_id:path}/what-if", summary="What may be asked about a deal", **documented(404, 409, scope="read")
)
def askable(desk: DeskOfRequest, caller: Reader, deal_id: str) -> Askables:
    """Controllable figures: what they are now, and the range that the data cover."""
    _, run = seen_deal(desk, caller, deal_id)
    loaded = desk.loaded()
    figures = [
        Askable(name=each.name, sentence=each.sentence, now=plain_number(each.now), low=each.low, high=each.high)
        for each in figures_of(loaded.model, _features(desk, loaded, deal_id, run.as_of))
    ]
    return Askables(deal_id=deal_id, figures=figures)


@router.post(
    "/deals/{deal_id:path}/what-if",
    summary="A deal's odds with other figures",
    **documented(404, 409, scope="read", tagged=False),
)
def what_if(desk: DeskOfRequest, caller: Reader, deal_id: str, asked: WhatIfRequest) -> WhatIfAnswer:
    """The odds that deals like this one have, but with the figures that are sent."""
    _, run = seen_deal(desk, caller, deal_id)
    loaded = desk.loaded()
    features = _features(desk, loaded, deal_id, run.as_of)
    faults = [
        {"loc": ("body", "figures", name), "msg": fault, "type": "value_error"}
        for name, value in asked.figures.items()
        if (fault := _fault(loaded, name, value))
    ]
    if faults:
        raise RequestValidationError(faults)
    answer = what_if_of(loaded.model, features, deal_id, asked.figures)
    return WhatIfAnswer(deal_id=deal_id, before=answer.before, after=answer.after, sentence=answer.sentence)


def _fault(loaded: Loaded, name: str, value: float) -> str:
    """Why a figure cannot be asked about; empty where it can."""
    try:
        check_figure(loaded.model, name, value)
    except WinPredictError as error:
        return str(error)
    return ""


def _features(desk: Desk, loaded: Loaded, deal_id: str, as_of: datetime | None) -> pd.DataFrame:
    """The deal's features as of the run whose odds are shown."""
    from winpredict.explain.reasons import snapshot_of

    scorer, moment = loaded.scorer, None if as_of is None else pd.Timestamp(as_of)

    def built() -> pd.DataFrame:
        loaded.model.refuse_hindsight(moment)
        alone = scorer.tables_of(deal_id)
        return loaded.model.build_features(
            alone, snapshot_of(alone, deal_id, moment), cross_deal_history=scorer.cross_deal_history
        )

    return desk.get_or_compute(("features", loaded.state, deal_id, as_of), built)
