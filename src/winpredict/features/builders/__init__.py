"""The feature builders: each a few figures about a deal as of a day."""

from winpredict.features.builders.attributes import Attributes
from winpredict.features.builders.base import Feature, FeatureBuilder
from winpredict.features.builders.line_items import LineItems
from winpredict.features.builders.memory import Memory
from winpredict.features.builders.money import Amount
from winpredict.features.builders.people import Contacts, Team
from winpredict.features.builders.timeline import Age, ExpectedClose, Stage
from winpredict.features.builders.touches import Touches
from winpredict.features.builders.track_record import TrackRecord

__all__ = [
    "Age",
    "Amount",
    "Attributes",
    "Contacts",
    "ExpectedClose",
    "Feature",
    "FeatureBuilder",
    "LineItems",
    "Memory",
    "Stage",
    "Team",
    "Touches",
    "TrackRecord",
    "default_builders",
]


def default_builders() -> tuple[FeatureBuilder, ...]:
    """Fresh instances of the shipped builders, in the order of their columns."""
    return (
        Age(),
        Stage(),
        Touches(),
        Memory(),
        Team(),
        Contacts(),
        Amount(),
        LineItems(),
        ExpectedClose(),
        TrackRecord(),
        Attributes(),
    )
