"""The odds of a deal if some of its figures were others: an association that the data show, and no promise."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from winpredict.errors import WinPredictError
from winpredict.explain.claims import amount_of
from winpredict.explain.contributions import contributions
from winpredict.explain.reason import in_points
from winpredict.explain.reasons import snapshot_of
from winpredict.features.cross_deal_history import CrossDealHistory
from winpredict.features.description import FeatureInfo
from winpredict.locale import formats
from winpredict.locale.text import said, text
from winpredict.models.trained import TrainedModel
from winpredict.tables.crm import CRMData, utc


@dataclass(frozen=True)
class Figure:
    """A figure of a deal that may be asked about.

    Parameters
    ----------
    name, sentence : str
        The feature, and what it is in words.
    now : float
        Its value; NaN where it has none.
    low, high : float
        What the training data cover.
    """

    name: str
    sentence: str
    now: float
    low: float
    high: float


@dataclass(frozen=True)
class WhatIf:
    """A deal's odds as it is, and as deals like it have with other figures.

    Parameters
    ----------
    deal_id : str
    before, after : float
        Win probabilities.
    figures : dict of str to (float, float)
        Feature to its value now and the one asked for.
    sentence : str
        The answer in words, with what it does not say.
    """

    deal_id: str
    before: float
    after: float
    figures: dict[str, tuple[float, float]]
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "deal_id": self.deal_id,
            "before": self.before,
            "after": self.after,
            "figures": {name: list(values) for name, values in self.figures.items()},
            "sentence": self.sentence,
        }


def what_if(
    model: TrainedModel,
    crm: CRMData,
    deal_id: str,
    figures: Mapping[str, float],
    *,
    as_of: pd.Timestamp | str | None = None,
    cross_deal_history: CrossDealHistory | None = None,
) -> WhatIf:
    """The odds of a deal under another touch count, team or the like.

    Parameters
    ----------
    model : TrainedModel
    crm : CRMData
    deal_id : str
    figures : mapping of str to float
        Feature to value, such as ``{"touches_30d": 6, "contacts": 3}``; only what is controllable (touches, people,
        speed), and only inside the range that the training data cover.
    as_of : Timestamp or str, optional
        By default the end of the data.
    cross_deal_history : CrossDealHistory, optional
        Cross-deal history of all deals, where `crm` holds only some of them, as `DealScorer` keeps it.

    Returns
    -------
    WhatIf

    Raises
    ------
    WinPredictError
        When the deal was not open, or a figure is unknown, not controllable or outside what the data cover; the
        message lists what may be asked.
    """
    moment = crm.known_until if as_of is None else utc(as_of)
    model.refuse_hindsight(moment)
    return what_if_of(
        model,
        model.build_features(crm, snapshot_of(crm, deal_id, moment), cross_deal_history=cross_deal_history),
        deal_id,
        figures,
    )


def figures_of(model: TrainedModel, features: pd.DataFrame) -> list[Figure]:
    """What may be asked about a deal.

    Parameters
    ----------
    model : TrainedModel
    features : DataFrame
        One row, of the deal.
    """
    return [
        Figure(name, str(each.label), float(features[name].iloc[0]), *model.reference_ranges.covered[name])
        for name, each in _possible(model).items()
    ]


def what_if_of(model: TrainedModel, features: pd.DataFrame, deal_id: str, figures: Mapping[str, float]) -> WhatIf:
    """As `what_if`, for a deal whose features are known.

    Parameters
    ----------
    model : TrainedModel
    features : DataFrame
        One row, of the deal.
    deal_id : str
    figures : mapping of str to float

    Raises
    ------
    WinPredictError
        When a figure is unknown, not controllable or outside what the data cover.
    """
    for name, value in figures.items():
        check_figure(model, name, value)
    changed = features.assign(**{name: float(value) for name, value in figures.items()})
    # as everywhere where odds stand beside their reasons, so that "now" is the very figure shown there
    found = contributions(model.classifier, pd.concat([features, changed], ignore_index=True))
    before, after = map(float, model.odds_of(found.by_bag)["win_probability"])
    now = {name: (float(features[name].iloc[0]), float(value)) for name, value in figures.items()}
    possible = _possible(model)
    asked = [
        said("{label}: {to} instead of {now}", label=info.label, to=amount_of(info, to), now=amount_of(info, was))
        for info, (was, to) in ((possible[name], pair) for name, pair in now.items())
    ]
    figures_text = formats.listed(asked)
    differs = formats.percent(after) != formats.percent(before)
    answer = (
        said(
            "Deals like this one but with {figures} have {after:percent} win odds instead of {before:percent} "
            "({points}).",
            figures=figures_text,
            after=after,
            before=before,
            points=in_points(after - before),
        )
        if differs
        else said(
            "Deals like this one but with {figures} have {after:percent} win odds, about the same as this one "
            "({points}).",
            figures=figures_text,
            after=after,
            points=in_points(after - before),
        )
    )
    caution = said(
        "This is how comparable deals went, not what a change would bring about: deals that go well attract touches "
        "and people."
    )
    sentence = f"{answer} {caution}"
    return WhatIf(str(deal_id), before, after, now, sentence)


def _askable(model: TrainedModel, info: FeatureInfo) -> bool:
    return info.name in model.reference_ranges.covered and info.controlled_by == "controllable"


def _possible(model: TrainedModel) -> dict[str, FeatureInfo]:
    return {each.name: each for each in model.info if _askable(model, each)}


def check_figure(model: TrainedModel, name: str, value: float) -> None:
    """Make sure that a figure may be asked about.

    Raises
    ------
    WinPredictError
        When it is unknown, not controllable or outside what the data cover.
    """
    possible = _possible(model)
    if name not in possible:
        others = (
            f"ask about {', '.join(sorted(possible))}"
            if possible
            else "this model has no figure that can be, as it knows no touches, people or times of deals"
        )
        raise WinPredictError(text("what if {name}: that cannot be asked; {others}", name=name, others=others))
    low, high = model.reference_ranges.covered[name]
    if not low <= float(value) <= high:
        raise WinPredictError(
            text(
                "what if {name} were {value}: the data cover {low} to {high} ({label}); beyond that the model "
                "would only guess",
                name=name,
                value=f"{value:g}",
                low=f"{low:g}",
                high=f"{high:g}",
                label=possible[name].label,
            )
        )
