"""What a feature says about itself, so that reasons, drivers, what-if and next steps need not parse its name."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from winpredict.locale.text import Text

#: Who can change it: we, nobody (it is how the deal runs), the customer, or nobody any more (it came with the deal).
Control = Literal["controllable", "deal", "customer", "context"]
#: What sales people would call good, where the model leaves it open.
Good = Literal["more", "less", ""]
#: Whom it is told: an owner's record is not for every rep's eyes.
Audience = Literal["everyone", "managers"]


#: For `Description.zero`, where 0 is no news: a deal that never was in a stage spent no time there.
NO_NEWS = Text("")


@dataclass(frozen=True)
class Theme:
    """A story that several features tell, told once.

    Parameters
    ----------
    key : str
        By which tables know it.
    name : Text
        "number of touches", in lower case.
    control : {"controllable", "deal", "customer", "context"}
    audience : {"everyone", "managers"}
    """

    key: str
    name: Text
    control: Control = "deal"
    audience: Audience = "everyone"


@dataclass(frozen=True, kw_only=True)
class Description:
    """What people need to be told about a feature; all of it has a default that reads well.

    Parameters
    ----------
    theme : Theme, optional
        By default one of its own, called as the feature is.
    control : {"controllable", "deal", "customer", "context"}, optional
        By default the theme's.
    claim : Text, optional
        What its value says of a deal, in lower case with the value at ``{n}``: "no contact for {n} days". By default
        "label: value".
    zero : Text, optional
        The same where the value is 0: "no touch in the last 30 days"; `NO_NEWS` where that is no reason.
    negative : Text, optional
        The same where the value is below 0, with its size at ``{n}``.
    missing : Text, optional
        What it means that the value is missing: "no call yet". By default nothing: it is not known, and no reason.
    good : {"more", "less", ""}
        Which direction a rep would call good; empty where it depends.
    counts : bool
        Whether it counts something recorded; then 0 says that there was none, and not that nobody knows.
    neutral : float, optional
        The value that is neither good nor bad: 0 for a difference ("3 days longer than won deals took") and for what
        ought not to happen at all, 1 for a ratio. A claim beyond it is never told against its sign.
    """

    theme: Theme | None = None
    control: Control | None = None
    claim: Text | None = None
    zero: Text | None = None
    negative: Text | None = None
    missing: Text | None = None
    good: Good = ""
    counts: bool = False
    neutral: float | None = None


@dataclass(frozen=True, kw_only=True)
class FeatureInfo(Description):
    """What a person needs to read one feature column.

    Parameters
    ----------
    name : str
        The column.
    unit : str
        What one of it is: days, touches, people, currency, share, category, ...
    label : Text
        What it is, as it would stand at the head of a column: "touches in the last 30 days".
    builder : str
        Which builder made it.
    """

    name: str
    unit: str
    label: Text
    builder: str

    @property
    def story(self) -> Theme:
        """The theme, or one of its own."""
        return self.theme or Theme(self.name, self.label)

    @property
    def controlled_by(self) -> Control:
        """Who can change it."""
        return self.control or self.story.control

    def to_json(self) -> dict[str, Any]:
        """Plain values, which `from_json` reads; what has its default is left out."""
        return {
            field.name: _plain(value) for field in fields(self) if (value := getattr(self, field.name)) != field.default
        }

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "FeatureInfo":
        """What `to_json` gave.

        Examples
        --------
        >>> calls = FeatureInfo(name="calls", unit="touches", label=Text("calls so far"), builder="Touches")
        >>> FeatureInfo.from_json(calls.to_json()) == calls
        True
        """
        return cls(**{name: _value(name, value) for name, value in plain.items()})


_TEXTS = ("label", "claim", "zero", "negative", "missing")


def _plain(value: Any) -> Any:
    if isinstance(value, Text):
        return value.to_json()
    if isinstance(value, Theme):
        return {"key": value.key, "name": value.name.to_json(), "control": value.control, "audience": value.audience}
    return value


def _value(name: str, plain: Any) -> Any:
    if name in _TEXTS:
        return Text.from_json(plain)
    if name == "theme":
        return Theme(**{**plain, "name": Text.from_json(plain["name"])})
    return plain
