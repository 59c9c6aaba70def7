"""One reason of a deal: a claim, its evidence and its size, to be told in any language."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from winpredict.features.description import Audience, Control
from winpredict.locale.text import Text, said, texts

#: What can be acted on is worth leading with from so many points.
MIN_TO_ACT_ON = 0.01


@dataclass(frozen=True)
class Reason:
    """One reason: a claim about the deal, its evidence, and what it adds to the odds.

    Parameters
    ----------
    feature : str
        The feature that speaks for the theme; empty where none does.
    theme : str
        Key of the theme.
    points : float
        Contribution to the win probability, -1 to 1, of all features of the theme.
    claim : Text
        "no contact for 26 days".
    evidence : Text or None
        "usual at this stage are 8 days for deals that were won, 21 days for lost ones"; only where it bears the sign
        of `points` out.
    control : {"controllable", "deal", "customer", "context"}
        Who can change it; "context" came with the deal.
    audience : {"everyone", "managers"}
        Whom it is told.
    """

    feature: str
    theme: str
    points: float
    claim: Text
    evidence: Text | None = None
    control: Control = "deal"
    audience: Audience = "everyone"

    @property
    def sentence(self) -> str:
        """The reason in words and points, in the language of the moment."""
        return f"{sentence_of(self.claim, self.evidence)} ({in_points(self.points)})"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, in the language of the moment."""
        return {
            "feature": self.feature,
            "theme": self.theme,
            "sentence": self.sentence,
            "claim": capitalised(self.claim),
            "evidence": "" if self.evidence is None else str(self.evidence),
            "points": self.points,
            "control": self.control,
        }

    def to_json(self) -> dict[str, Any]:
        """Plain values from which `from_json` makes it again, for another language."""
        evidence = None if self.evidence is None else self.evidence.to_json()
        ids = {name: getattr(self, name) for name in ("feature", "theme", "control", "audience")}
        return {"points": self.points, **ids, "claim": self.claim.to_json(), "evidence": evidence}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "Reason":
        """What `to_json` gave.

        Examples
        --------
        >>> reason = Reason("touches", "touches", -0.02, Text("no touch yet"))
        >>> Reason.from_json(reason.to_json()) == reason, reason.sentence
        (True, 'No touch yet (−2.0 points)')
        """
        evidence = plain["evidence"]
        return cls(
            **{
                **plain,
                "claim": Text.from_json(plain["claim"]),
                "evidence": None if evidence is None else Text.from_json(evidence),
            }
        )


def sentence_of(claim: Text, evidence: Text | None) -> str:
    """A claim with its evidence, as one sentence without a full stop."""
    if evidence is None:
        return capitalised(claim)
    return said("{claim}; {evidence}", claim=capitalised(claim), evidence=evidence)


def told_to(reasons: Sequence[Reason], audience: Audience) -> tuple[Reason, ...]:
    """The reasons that somebody is told; what managers alone are told is part of everything else for others."""
    return tuple(each for each in reasons if audience == "managers" or each.audience == "everyone")


def leading(reasons: Sequence[Reason]) -> Reason | None:
    """The reason that a list shows: what can be acted on, against the deal rather than for it, else the strongest."""
    able = [each for each in reasons if each.control == "controllable" and abs(each.points) >= MIN_TO_ACT_ON]
    others = [each for each in reasons if each.control != "context"]
    for those in ([each for each in able if each.points < 0], able, others, reasons):
        if those:
            return max(those, key=lambda each: abs(each.points))
    return None


def given_line(given: Sequence[Reason]) -> str:
    """What came with a deal, in one line.

    Examples
    --------
    >>> customer = Reason("deal_type", "deal_type", 0.34, Text("existing customer"), control="context")
    >>> product = Reason("product", "product", -0.17, Text("product Core"), control="context")
    >>> given_line([customer, product])
    'Given: existing customer +34, product Core −17'
    """
    parts = [said("{claim} {points:points}", claim=each.claim, points=each.points) for each in given]
    return said("Given: {parts}", parts=", ".join(parts))


def in_points(points: float) -> str:
    """A contribution in percentage points.

    Examples
    --------
    >>> in_points(0.0412)
    '+4.1 points'
    """
    return str(texts("{n:exact_points} point", "{n:exact_points} points", n=points))


def capitalised(words: object) -> str:
    """Words as they begin a sentence.

    Examples
    --------
    >>> capitalised("no touch yet")
    'No touch yet'
    """
    spoken = str(words)
    return f"{spoken[:1].upper()}{spoken[1:]}"
