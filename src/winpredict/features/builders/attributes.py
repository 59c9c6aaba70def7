"""Static attributes that the leakage audit kept."""

from collections.abc import Iterator

import pandas as pd

from winpredict._common.times import days
from winpredict.features.builders.base import Feature, FeatureBuilder, label_of
from winpredict.features.past import Past

MAX_CATEGORIES = 30


class Attributes(FeatureBuilder):
    """Attributes as they stand: numbers as numbers, dates as days from creation, text with few values as categories.

    Text with more than `max_categories` values enters through its track record alone (see `TrackRecord`), which does
    not leak the target.
    """

    needs_dates = False

    def __init__(self, max_categories: int = MAX_CATEGORIES) -> None:
        self.max_categories = max_categories

    def build(self, past: Past) -> Iterator[Feature]:
        for name in past.attributes:
            if name == "amount":  # the Amount builder's
                continue
            values = past.attribute(name)
            label = label_of(name)
            if isinstance(values.dtype, pd.DatetimeTZDtype):
                yield Feature(name, days(values - past.created_at), "days", f"days from the start to {label}")
            elif not isinstance(values.dtype, pd.StringDtype):
                yield Feature(name, values.astype("float64"), "number", label)
            elif past.number_of_values(name) <= self.max_categories:
                yield Feature(name, values, "category", label)
