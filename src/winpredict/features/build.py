"""From snapshots to a feature frame, with a description of every column."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from itertools import chain, count
from typing import Any

import numpy as np
import pandas as pd

from winpredict._internal.threads import loops_for
from winpredict.errors import ConfigError, TableError
from winpredict.features.builders import Feature, FeatureBuilder, default_builders
from winpredict.features.cross_deal_history import CrossDealHistory
from winpredict.features.description import FeatureInfo
from winpredict.features.past import Past
from winpredict.locale.text import Text, text
from winpredict.tables.crm import CRMData
from winpredict.tables.schema import text_dtype


@dataclass(frozen=True)
class Features:
    """A feature frame and its description.

    Parameters
    ----------
    frame : DataFrame
        One row a snapshot, in the snapshots' order: float64, or text for columns of the unit "category".
    info : tuple of FeatureInfo
        One for each column of the frame.
    skipped : tuple of Text
        A sentence for each builder that had nothing to work on.
    """

    frame: pd.DataFrame
    info: tuple[FeatureInfo, ...]
    skipped: tuple[Text, ...] = ()


def build_features(
    crm: CRMData,
    snapshots: pd.DataFrame,
    *,
    attributes: Collection[str] = (),
    builders: Sequence[FeatureBuilder] | None = None,
    cross_deal_history: CrossDealHistory | None = None,
) -> Features:
    """Compute every builder's figures at each snapshot, from facts recorded strictly before it.

    Parameters
    ----------
    crm : CRMData
        Everything recorded; what lies at or after a snapshot's as_of has no influence on its row.
    snapshots : DataFrame
        Columns deal_id and as_of (UTC).
    attributes : collection of str
        Static attributes that may be used (`LeakageAudit.kept`), and as ``observed_<column>`` those that may be used as
        they were observed (`winpredict.features.observations.Observations.usable`).
    builders : sequence of FeatureBuilder, optional
        By default the shipped ones and those of installed plug-ins (see `installed_builders`).
    cross_deal_history : CrossDealHistory, optional
        Cross-deal history of all deals, where `crm` holds only some of them; by default that of `crm`.

    Returns
    -------
    Features

    Raises
    ------
    TableError
        When a snapshot's deal or an attribute is unknown.

    Examples
    --------
    >>> from winpredict.features.snapshots import open_at
    >>> deals = pd.DataFrame({
    ...     "deal_id": ["a", "b"], "stage": ["Won", "Demo"], "outcome": ["won", "open"],
    ...     "created_at": ["2025-01-01", "2025-02-01"], "closed_at": ["2025-03-01", None],
    ... })
    >>> crm = CRMData.from_tables(deals)
    >>> build_features(crm, open_at(crm, "2025-02-15")).frame["days_open"].tolist()
    [45.0, 14.0]
    """
    builders = default_builders() + installed_builders() if builders is None else builders
    return features_of(Past(crm, snapshots.reset_index(drop=True), attributes, cross_deal_history), builders)


def features_of(past: Past, builders: Sequence[FeatureBuilder]) -> Features:
    """`build_features` of a past that was made before, to be read for more than features."""
    with loops_for(past.rows):
        return _built(past, builders)


def _built(past: Past, builders: Sequence[FeatureBuilder]) -> Features:
    columns: dict[str, Any] = {}
    info: list[FeatureInfo] = []
    skipped: list[Text] = []
    for builder in builders:
        absent = [table for table in builder.needs if not past.has(table)]
        if absent:
            skipped.append(_without_table(builder.name, absent))
            continue
        if builder.needs_dates and not past.dated:
            skipped.append(text("{builder} left out: the deals carry no dates", builder=builder.name))
            continue
        for feature in builder.build(past):
            # an attribute of the CRM may be called what a figure is called
            name = _free(feature.name, builder.name.lower(), columns)
            columns[name] = _column(feature, len(past))
            info.append(feature.info(name, builder.name))
    return Features(pd.DataFrame(columns, index=range(len(past))), tuple(info), tuple(skipped))


def _without_table(builder: str, absent: Sequence[str]) -> Text:
    """That a builder is left out, with the tables of which it needs one."""
    if len(absent) == 1:
        return text("{builder} left out: no table {table}", builder=builder, table=absent[0])
    return text("{builder} left out: none of the tables {tables}", builder=builder, tables=", ".join(absent))


@cache
def installed_builders() -> tuple[FeatureBuilder, ...]:
    """Builders that other packages offer under the entry-point group ``winpredict.builders``."""
    found = sorted(entry_points(group="winpredict.builders"), key=lambda point: point.name)
    return tuple(point.load()() for point in found)


def builders_from_paths(paths: Sequence[str]) -> tuple[FeatureBuilder, ...]:
    """Builders named in the config as ``package.module:ClassName``.

    Raises
    ------
    ConfigError
        When a path does not lead to a FeatureBuilder.
    """
    return tuple(_from_path(path) for path in paths)


def _from_path(path: str) -> FeatureBuilder:
    module, _, name = path.partition(":")
    try:
        kind = getattr(import_module(module), name)
        # looked at before it is called: a model's file names builders too, and not only its owner may have written it
        builder = kind() if isinstance(kind, type) and issubclass(kind, FeatureBuilder) else None
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ConfigError(
            text(
                "builders: {path!r} cannot be loaded ({error}); write it as package.module:ClassName",
                path=path,
                error=error,
            )
        ) from None
    if builder is None:
        raise ConfigError(
            text(
                "builders: {path!r} is not a FeatureBuilder; derive the class from winpredict.FeatureBuilder", path=path
            )
        )
    return builder


def _free(name: str, builder: str, taken: Collection[str]) -> str:
    """The name, or where it is taken one made of it."""
    if name not in taken:
        return name
    candidates = chain([f"{builder}_{name}"], (f"{builder}_{name}_{number}" for number in count(2)))
    return next(candidate for candidate in candidates if candidate not in taken)


def _column(feature: Feature, length: int) -> Any:
    values = feature.values.array if isinstance(feature.values, pd.Series) else feature.values
    if feature.unit == "category":
        return pd.array(values, dtype=text_dtype())
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.shape != (length,):
        raise TableError(
            text(
                "feature {name} has {size} values for {length} snapshots; give one each",
                name=feature.name,
                size=numbers.size,
                length=length,
            )
        )
    return np.where(np.isinf(numbers), np.nan, numbers)
