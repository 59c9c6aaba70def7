"""What a feature builder is: a few lines that read the past and yield named figures."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from winpredict.features.past import Past


@dataclass(frozen=True)
class Feature:
    """One column of the feature frame, with what a person needs to read it.

    Parameters
    ----------
    name : str
        Column name: lower case, words joined by underscores, window at the end (``touches_30d``).
    values : array-like, shape (n_snapshots,)
        Numbers (missing is NaN) or, for an attribute, text.
    unit : str
        What one of it is: days, touches, people, currency, share, category, ...
    sentence : str
        What it says, as it would stand after "because of": "touches in the last 30 days".
    """

    name: str
    values: Any
    unit: str
    sentence: str


class FeatureBuilder(ABC):
    """Base of all builders; a subclass names the tables it needs and yields features.

    Attributes
    ----------
    needs : tuple of str
        Tables without which the builder has nothing to say; it is then skipped, and the skip is reported.
    needs_dates : bool
        Whether it has nothing to say of deals without a creation time.

    Examples
    --------
    A builder of one's own is a few lines:

    >>> class NightCalls(FeatureBuilder):
    ...     needs = ("activities",)
    ...     def build(self, past):
    ...         touches = past.events("activities")
    ...         at_night = touches.column("occurred_at").dt.hour.isin((22, 23, 0, 1, 2, 3)).to_numpy()
    ...         yield Feature("night_touches", touches.count(where=at_night), "touches", "touches at night")
    """

    needs: ClassVar[tuple[str, ...]] = ()
    needs_dates: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """The builder's name in `FeatureInfo`."""
        return type(self).__name__

    @abstractmethod
    def build(self, past: Past) -> Iterator[Feature]:
        """Yield the features of every snapshot, reading nothing but `past`."""


def label_of(name: str) -> str:
    """A column's name for people.

    Examples
    --------
    >>> label_of("Competitor__c"), label_of("lead_source")
    ('Competitor', 'lead source')
    """
    return name.removesuffix("__c").replace("_", " ")


def ratio(numerator: Any, denominator: Any) -> Any:
    """Element-wise quotient; NaN where the denominator is 0 or missing."""
    denominator = np.asarray(denominator, dtype=np.float64)
    safe = np.where(denominator == 0, np.nan, denominator)
    return np.asarray(numerator, dtype=np.float64) / safe
