"""A deal as a program sends it to be scored: the rows that the canonical tables have of it, checked."""

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, NotRequired

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

from winpredict.tables.schema import TABLES

#: Beyond this, sums and products of amounts would leave the range in which a float is exact to the cent.
_LARGEST = 1e13
_DECIMAL = re.compile(r"-?[0-9]{1,13}(\.[0-9]{1,12})?", re.ASCII)
_DAY = len("2025-03-13")
_MAX_ROWS = 5000
_MAX_ATTRIBUTES = 500


def _written_out(value: Any) -> Any:
    """Refuse what a parser of dates would take for seconds since 1970."""
    if not isinstance(value, str) or value[4:5] != "-":
        raise ValueError("a moment is text such as 2025-03-13T12:00:00Z")
    return value


def _midnight(value: Any) -> Any:
    """A day as the moment that the tables have for it."""
    return f"{value}T00:00:00Z" if isinstance(value, str) and len(value) == _DAY else _written_out(value)


def _decimal(value: Any) -> Any:
    """Decimals may come as text, as many programs write them; either way the nearest float is taken."""
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return float(value)
    if isinstance(value, str | bool):
        raise ValueError("a number is written as 1234.5, as such or as text")
    return value


_IN_RANGE = Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(2200, 1, 1, tzinfo=UTC))
Moment = Annotated[AwareDatetime, _IN_RANGE, BeforeValidator(_written_out, json_schema_input_type=AwareDatetime)]
Day = Annotated[AwareDatetime, _IN_RANGE, BeforeValidator(_midnight, json_schema_input_type=AwareDatetime | date)]
Number = Annotated[
    float,
    Field(allow_inf_nan=False, ge=-_LARGEST, le=_LARGEST),
    BeforeValidator(
        _decimal,
        json_schema_input_type=Annotated[float, Field(ge=-_LARGEST, le=_LARGEST)]
        | Annotated[str, StringConstraints(pattern=f"^{_DECIMAL.pattern}$")],
    ),
]
Text = Annotated[str, StringConstraints(strict=True, max_length=2000)]
Scalar = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-_LARGEST, le=_LARGEST)] | Text | None
Id = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=200)]


class _Row(TypedDict):
    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]


class Change(_Row):
    """A recorded change: each value is the one after it, absent where it did not change."""

    changed_at: Moment
    stage: NotRequired[Text | None]
    amount: NotRequired[Number | None]
    expected_close_date: NotRequired[Day | None]
    owner_id: NotRequired[Id | None]


class Activity(_Row):
    """A touch."""

    occurred_at: Moment
    activity_type: Literal["call", "email", "meeting", "task", "note", "other"]
    activity_id: NotRequired[Id | None]
    recorded_at: NotRequired[Moment | None]
    direction: NotRequired[Literal["inbound", "outbound"] | None]
    user_id: NotRequired[Id | None]
    contact_id: NotRequired[Id | None]
    duration_s: NotRequired[Number | None]
    result: NotRequired[Text | None]
    call_id: NotRequired[Id | None]
    subject: NotRequired[Text | None]


class Member(_Row):
    """A person of ours on the deal."""

    user_id: Id
    added_at: Moment
    role: NotRequired[Text | None]
    removed_at: NotRequired[Moment | None]


class Contact(_Row):
    """A person of theirs on the deal."""

    contact_id: Id
    added_at: Moment
    role: NotRequired[Text | None]


class LineItem(_Row):
    """A product on the deal."""

    product_id: Id
    quantity: NotRequired[Number | None]
    unit_price: NotRequired[Number | None]
    list_price: NotRequired[Number | None]
    total_price: NotRequired[Number | None]
    added_at: NotRequired[Moment | None]
    removed_at: NotRequired[Moment | None]


class Account(BaseModel):
    """The customer; by default as the workspace has it."""

    model_config = ConfigDict(extra="forbid")

    name: Text | None = None
    industry: Text | None = None
    employees: Number | None = None
    annual_revenue: Number | None = None
    country: Text | None = None
    created_at: Moment | None = None


class RequestDeal(BaseModel):
    """An open deal as it is now."""

    model_config = ConfigDict(extra="forbid")

    deal_id: Id
    created_at: Moment | None = Field(None, description="needed wherever the workspace's deals carry dates")
    stage: Text | None = Field(None, description="one that the workspace knows")
    amount: Number | None = None
    currency: Text | None = None
    owner_id: Id | None = None
    account_id: Id | None = None
    pipeline: Text | None = None
    deal_type: Literal["new", "existing"] | None = None
    lead_source: Text | None = None
    product: Text | None = None
    expected_close_date: Day | None = None
    name: Text | None = None
    attributes: dict[Text, Scalar] = Field(
        {}, max_length=_MAX_ATTRIBUTES, description="custom columns of the workspace's deals, by name"
    )


class ScoreRequest(BaseModel):
    """A deal to be scored, with all that is recorded of it."""

    model_config = ConfigDict(extra="forbid")

    deal: RequestDeal
    deal_history: list[Change] = Field([], max_length=_MAX_ROWS)
    activities: list[Activity] = Field([], max_length=_MAX_ROWS)
    team_members: list[Member] = Field([], max_length=_MAX_ROWS)
    contacts: list[Contact] = Field([], max_length=_MAX_ROWS)
    line_items: list[LineItem] = Field([], max_length=_MAX_ROWS)
    account: Account | None = None
    as_of: Moment | None = Field(
        None, description="what was recorded strictly before this moment counts; by default now"
    )


#: Tables of a request whose rows belong to its deal.
OF_DEAL = tuple(name for name in TABLES if name in ScoreRequest.model_fields)
