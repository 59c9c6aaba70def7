"""What a feature's value says of a deal, and how it compares with deals that were won and lost."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winpredict.features import wording
from winpredict.features.description import NO_NEWS, FeatureInfo
from winpredict.locale import formats
from winpredict.locale.text import Text, text, texts
from winpredict.models.reference_ranges import Closeness

#: Units whose values are not compared with other deals': they compare already, or there is nothing to compare.
_NOT_COMPARED = ("category", "points", "place", wording.UNIT)
_VALUES = {
    ("deal_type", "new"): text("new business"),
    ("deal_type", "existing"): text("existing customer"),
}
_DEFAULTS = {
    "category": text("{label}: {n}"),
    "currency": text("{label}: {n:count}"),
    "days": texts("{label}: {n:count} day", "{label}: {n:count} days"),
    "points": texts("{label}: {n:points} point", "{label}: {n:points} points"),
    "ratio": text("{label}: {n:multiple} times"),
    "share": text("{label}: {n:percent}"),
}
_DEFAULT = text("{label}: {n:number}")
_AMOUNTS = {
    "currency": text("{n:count}"),
    "days": texts("{n:count} day", "{n:count} days"),
    "points": texts("{n:points} point", "{n:points} points"),
    "ratio": text("{n:multiple} times"),
    "share": text("{n:percent}"),
}
_AMOUNT = text("{n:number}")
_COMPARED: dict[Closeness, Text] = {
    "any": text("usual: {won} for deals that were won, {lost} for lost ones"),
    "stage": text("usual at this stage: {won} for deals that were won, {lost} for lost ones"),
    "stage and age": text("usual at this stage and age: {won} for deals that were won, {lost} for lost ones"),
}


def claim_of(info: FeatureInfo, value: Any) -> Text | None:
    """What a feature's value says of a deal, in lower case; None where it says nothing.

    Examples
    --------
    >>> touches = FeatureInfo(
    ...     name="touches_30d", unit="touches", label=text("touches in the last 30 days"), builder="Touches",
    ...     claim=texts("{n:count} touch in the last 30 days", "{n:count} touches in the last 30 days"),
    ...     zero=text("no touch in the last 30 days"),
    ... )
    >>> [str(claim_of(touches, value)) for value in (0.0, 1.0, 12.0)]
    ['no touch in the last 30 days', '1 touch in the last 30 days', '12 touches in the last 30 days']
    >>> at_night = FeatureInfo(name="night", unit="touches", label=text("touches at night"), builder="NightTouches")
    >>> str(claim_of(at_night, 1.0)), claim_of(at_night, None)
    ('touches at night: 1', None)
    """
    if is_missing(value):
        return info.missing
    if info.unit == "category":
        return (info.claim or _default(info)).with_values(n=value_text(info, value))
    if info.unit == wording.UNIT:
        return info.claim if value else info.zero
    number = float(value)
    if info.zero is not None and is_zero(info, number):
        return None if info.zero == NO_NEWS else info.zero
    if number < 0 and info.negative is not None:
        return info.negative.with_values(n=-number)
    return (info.claim or _default(info)).with_values(n=number)


def amount_of(info: FeatureInfo, value: Any) -> Text:
    """A feature's value alone, as it stands in a table.

    Examples
    --------
    >>> wait = FeatureInfo(name="wait", unit="days", label=text("days waited"), builder="Wait")
    >>> str(amount_of(wait, 1.0)), str(amount_of(wait, None))
    ('1 day', 'none')
    """
    if is_missing(value):
        return text("none")
    if info.unit == "category":
        return value_text(info, value)
    if info.unit == wording.UNIT:
        return text("yes") if value else text("no")
    return _AMOUNTS.get(info.unit, _AMOUNT).with_values(n=float(value))


def comparison(info: FeatureInfo, won: float, lost: float, closeness: Closeness) -> Text:
    """What won and lost deals have of it, the evidence beside a claim."""
    return _COMPARED[closeness].with_values(won=amount_of(info, won), lost=amount_of(info, lost))


def value_text(info: FeatureInfo, value: object) -> Text:
    """A value of a category: in words where the schema knows it, else as the CRM has it."""
    return _VALUES.get((info.name, str(value))) or Text("{value}", values=(("value", str(value)),))


def is_compared(info: FeatureInfo) -> bool:
    """Whether a value is worth comparing with what won and lost deals have."""
    return info.unit not in _NOT_COMPARED and (info.neutral is None or info.counts) and info.controlled_by != "context"


def is_zero(info: FeatureInfo, value: float) -> bool:
    """Whether a value is written as 0."""
    style = _style(info)
    return style(abs(value)) == style(0.0)


def rounded(info: FeatureInfo, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values with the digits that are written, so that what reads alike is alike.

    Examples
    --------
    >>> wait = FeatureInfo(name="wait", unit="days", label=text("days waited"), builder="Wait")
    >>> rounded(wait, np.array([25.83, 26.2, np.nan]))
    array([26., 26., nan])
    """
    return formats.ROUNDED[_style_name(info)](values) + 0.0


def is_missing(value: Any) -> bool:
    """Whether a feature has no value."""
    return value is None or (isinstance(value, float) and np.isnan(value))


def _default(info: FeatureInfo) -> Text:
    return _DEFAULTS.get(info.unit, _DEFAULT).with_values(label=info.label)


@lru_cache(maxsize=4096)
def _style_name(info: FeatureInfo) -> str:
    return (info.claim or _DEFAULTS.get(info.unit, _DEFAULT)).style_of("n") or "number"


def _style(info: FeatureInfo) -> Callable[[float], str]:
    return formats.STYLES[_style_name(info)]
