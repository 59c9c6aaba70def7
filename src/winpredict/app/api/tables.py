"""Tables of the insights as plain values."""

import math
from collections.abc import Iterator
from datetime import datetime
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from pydantic import BaseModel

Row = TypeVar("Row", bound=BaseModel)


def rows(table: pd.DataFrame, kind: type[Row]) -> list[Row]:
    """The rows of a table as models, with what these ask for; missing values are null.

    Examples
    --------
    >>> class Stage(BaseModel):
    ...     stage: str
    ...     amount: float | None
    >>> rows(pd.DataFrame({"stage": ["Demo"], "amount": [np.nan], "more": [1]}), Stage)
    [Stage(stage='Demo', amount=None)]
    """
    wanted = [name for name in kind.model_fields if name in table]
    return [kind.model_validate(record) for record in _records(table[wanted])]


def _records(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for record in table.astype(object).to_dict("records"):
        yield {str(name): plain(value) for name, value in record.items()}


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, datetime):
        return pd.Timestamp(value).to_pydatetime(warn=False)
    if isinstance(value, np.generic):
        value = value.item()
    return plain_number(value) if isinstance(value, float) else value


def plain_number(value: float) -> float | None:
    """A number, or None for what JSON has no number for."""
    return value if math.isfinite(value) else None
