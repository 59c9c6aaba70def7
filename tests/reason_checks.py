"""Reasons held against what they say: their sign, their numbers, what is missing, singular and plural."""

import re

import numpy as np
import pandas as pd

from winpredict.explain.claims import is_missing
from winpredict.explain.contributions import contributions
from winpredict.explain.reason import Reason
from winpredict.explain.reasons import Telling
from winpredict.explain.themes import themes_of
from winpredict.models.trained import TrainedModel

PLURALS = (
    "days touches calls emails meetings notes tasks contacts people changes moves times items products points deals"
)
SINGULARS = "day touch call email meeting note task contact person change move time item product point deal"
#: "1 days" and "2 day"; "1.0 points" is right, and so is "0.4 times".
WRONG_NUMBER = re.compile(
    rf"(?<![\d.,])1 (?:{'|'.join(PLURALS.split())})\b|(?<![\d.,])(?!1 )[\d,]+ (?:{'|'.join(SINGULARS.split())})\b"
)
NONE_YET = ("no ", "nobody ", "never ", "all touches on record are outbound", "in touch with no ")


def told(model: TrainedModel, features: pd.DataFrame) -> list[tuple[Reason, ...]]:
    """All that is told of each row, given and not."""
    telling = Telling(model, features, contributions(model.classifier, features).points, 5)
    return [(*telling.reasons(row), *telling.given(row)) for row in range(len(features))]


def contradictions(model: TrainedModel, features: pd.DataFrame) -> list[str]:
    """Sentences that contradict their sign or their numbers, say zero for missing, or have a wrong singular."""
    info = {each.name: each for each in model.info}
    found = []
    for row, reasons in enumerate(told(model, features)):
        for reason in reasons:
            value = features[reason.feature].iloc[row] if reason.feature else None
            if WRONG_NUMBER.search(reason.sentence):
                found.append(f"number: {reason.sentence}")
            if not reason.feature:
                continue
            about = info[reason.feature]
            if is_missing(value) and (about.missing is None or str(about.missing) not in str(reason.claim)):
                found.append(f"missing: {reason.sentence}")
            if is_missing(value) and reason.points > 0:
                found.append(f"for it though missing: {reason.sentence}")
            nothing = str(reason.claim).startswith(NONE_YET)
            if about.good == "more" and nothing and reason.points > 0 and "though" not in str(reason.claim):
                found.append(f"sign: {reason.sentence}")
            if reason.evidence is not None and not _bears_out(reason, float(value)):
                found.append(f"evidence: {reason.sentence}")
            if about.neutral is not None and about.good and not is_missing(value) and reason.control != "context":
                better = (float(value) - about.neutral) * (1 if about.good == "more" else -1)
                if better * reason.points < 0:
                    found.append(f"difference: {reason.sentence}")
    return found


def _bears_out(reason: Reason, value: float) -> bool:
    """Whether the numbers that are shown lie as the sign says: nearer to won deals where it speaks for the deal."""
    shown = dict(reason.claim.values).get("n", 0.0) * (-1 if value < 0 else 1)
    won, lost = (dict(dict(reason.evidence.values)[name].values)["n"] for name in ("won", "lost"))
    nearer_won = abs(shown - lost) - abs(shown - won)
    words = [str(dict(reason.evidence.values)[name]) for name in ("won", "lost")]
    return nearer_won * (1 if reason.points > 0 else -1) > 1e-9 and words[0] != words[1]


def share_with_something_to_act_on(model: TrainedModel, features: pd.DataFrame) -> tuple[float, int]:
    """Of rows with a controllable theme against them by 1 point or more, those that are told one; and their number."""
    points = contributions(model.classifier, features).points
    themes = themes_of(model.info)
    against = (themes.sums(points)[:, themes.controls == "controllable"] <= -0.01).any(axis=1)
    is_told = np.array([
        any(each.control == "controllable" and each.points < 0 for each in reasons) for reasons in told(model, features)
    ])  # fmt: skip
    return float(is_told[against].mean()), int(against.sum())
