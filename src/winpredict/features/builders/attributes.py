"""Static attributes that the leakage audit kept."""

from collections.abc import Collection, Iterator
from functools import partial

import pandas as pd

from winpredict._internal.times import days
from winpredict.features import themes
from winpredict.features.builders.base import Feature, FeatureBuilder
from winpredict.features.past import LINKS, Past
from winpredict.locale.text import text, texts

MAX_CATEGORIES = 30


class Attributes(FeatureBuilder):
    """Attributes as they stand: numbers as numbers, dates as days from creation, text with few values as categories.

    Text with more than `max_categories` values enters through its track record alone (see `TrackRecord`), which does
    not leak the target.

    Parameters
    ----------
    max_categories : int
    categories : collection of str, optional
        The text attributes that are categories, whatever the number of their values: those of a trained model, for
        which a further value in a later export changes nothing.
    """

    needs_dates = False

    def __init__(self, max_categories: int = MAX_CATEGORIES, categories: Collection[str] | None = None) -> None:
        self.max_categories = max_categories
        self.categories = categories

    def build(self, past: Past) -> Iterator[Feature]:
        for name in past.attributes:
            if name in ("amount", *LINKS):  # those of the builders Amount and TrackRecord
                continue
            values = past.attribute(name)
            label = themes.attribute_label(name)
            given = partial(Feature, name, theme=themes.attribute(name))
            if isinstance(values.dtype, pd.DatetimeTZDtype):
                yield given(
                    days(values - past.created_at),
                    "days",
                    text("days from the start to {attribute}", attribute=label),
                    claim=texts(
                        "{attribute}: {n:count} day after the start",
                        "{attribute}: {n:count} days after the start",
                        attribute=label,
                    ),
                    negative=texts(
                        "{attribute}: {n:count} day before the start",
                        "{attribute}: {n:count} days before the start",
                        attribute=label,
                    ),
                    zero=text("{attribute}: on the day of the start", attribute=label),
                )
            elif not isinstance(values.dtype, pd.StringDtype):
                yield given(values.astype("float64"), "number", label)
            elif self._is_category(past, name):
                claim = text("{n}") if name == "deal_type" else text("{attribute} {n}", attribute=label)
                yield given(values, "category", label, claim=claim)

    def _is_category(self, past: Past, name: str) -> bool:
        if self.categories is not None:
            return name in self.categories
        return past.number_of_values(name) <= self.max_categories
