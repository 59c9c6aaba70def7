"""What a feature builder is: a few lines that read the past and yield named figures."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from winpredict.features.cross_deal_history import CrossDealHistory
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

    def settled(self, cross_deal_history: CrossDealHistory) -> "FeatureBuilder":
        """A builder whose columns no longer depend on the data that it reads.

        What gets a column may depend on the data as a whole: the stages that deals go through, the results that touches
        have. A settled builder has fixed that, so that it makes the same columns of every part of the data, and of
        later data. By default a builder is settled as it is.

        Parameters
        ----------
        cross_deal_history : CrossDealHistory
            What all deals tell of each other, as of the end of training.

        Returns
        -------
        FeatureBuilder
            Its `settings` tell what was fixed.
        """
        return self

    def settings(self) -> dict[str, Any]:
        """Keyword arguments that make the same builder again, as JSON holds them: ``type(builder)(**settings)``."""
        return {}

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


def word_of(text: str) -> str:
    """A text as part of a column name.

    Examples
    --------
    >>> word_of("Demo / Call"), word_of("No answer")
    ('demo___call', 'no_answer')
    """
    return "".join(letter if letter.isalnum() else "_" for letter in text.lower()).strip("_")


def ratio(numerator: Any, denominator: Any) -> Any:
    """Element-wise quotient; NaN where the denominator is 0 or missing."""
    denominator = np.asarray(denominator, dtype=np.float64)
    safe = np.where(denominator == 0, np.nan, denominator)
    return np.asarray(numerator, dtype=np.float64) / safe
