"""What a feature builder is: a few lines that read the past and yield named figures."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from winpredict.features.cross_deal_history import CrossDealHistory
from winpredict.features.description import Description, FeatureInfo
from winpredict.features.past import Past
from winpredict.locale.language import offer
from winpredict.locale.text import Text


@dataclass(frozen=True)
class Feature(Description):
    """One column of the feature frame, with what a person needs to read it.

    Parameters
    ----------
    name : str
        Column name: lower case, words joined by underscores, window at the end (``touches_30d``).
    values : array-like, shape (n_snapshots,)
        Numbers (missing is NaN) or, for an attribute, text.
    unit : str
        What one of it is: days, touches, people, currency, share, category, ...
    label : Text or str
        What it is, as it would stand at the head of a column: "touches in the last 30 days".
    **about
        Everything that `winpredict.features.description.Description` has: all of it may be left out.
    """

    name: str
    values: Any
    unit: str
    label: Text | str

    def info(self, name: str, builder: str) -> FeatureInfo:
        """The description alone, as column `name` of a builder."""
        label = self.label if isinstance(self.label, Text) else Text(self.label.replace("{", "{{").replace("}", "}}"))
        about = {field.name: getattr(self, field.name) for field in fields(Description)}
        return FeatureInfo(name=name, unit=self.unit, label=label, builder=builder, **about)


class FeatureBuilder(ABC):
    """Base of all builders; a subclass names the tables it needs and yields features.

    Attributes
    ----------
    needs : tuple of str
        Tables without which the builder has nothing to say; it is then skipped, and the skip is reported.
    needs_dates : bool
        Whether it has nothing to say of deals without a creation time.
    translations : mapping of str to mapping of str to str
        Language to message to translation, for what the features say: ``{"fr": {"touches at night": "..."}}``.

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
    translations: ClassVar[Mapping[str, Mapping[str, str]]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        offer(cls.translations)

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


def ratio(numerator: Any, denominator: Any) -> Any:
    """Element-wise quotient; NaN where the denominator is 0 or missing."""
    denominator = np.asarray(denominator, dtype=np.float64)
    safe = np.where(denominator == 0, np.nan, denominator)
    return np.asarray(numerator, dtype=np.float64) / safe


def known_count(count: Any, recorded: Any, events: Any) -> Any:
    """A count of events by a field that not all of them have: missing rather than 0 where it may be more.

    Parameters
    ----------
    count : array of shape (n_snapshots,)
        Events whose field has the value that is counted.
    recorded, events : array of shape (n_snapshots,)
        Events with the field, and all of them.

    Examples
    --------
    >>> known_count([0, 0, 0, 2], [0, 3, 1, 2], [0, 3, 8, 8])
    array([ 0.,  0., nan,  2.])
    """
    unknown = (np.asarray(count) == 0) & (np.asarray(recorded) < np.asarray(events))
    return np.where(unknown, np.nan, np.asarray(count, dtype=np.float64))


def if_any(figure: Any, events: Any) -> Any:
    """A figure of events; missing where no event is on record.

    Examples
    --------
    >>> if_any([0, 0, 2], [0, 1, 3])
    array([nan,  0.,  2.])
    """
    return np.where(np.asarray(events) > 0, np.asarray(figure, dtype=np.float64), np.nan)
