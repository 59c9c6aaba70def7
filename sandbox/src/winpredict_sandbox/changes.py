"""What may happen to a company after the first sync, whichever CRM records it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

_AMOUNT_STEPS = (0.8, 0.9, 1.1, 1.25, 1.5)
_ACTIVITY_TYPES = ("call", "email", "meeting")
_REGIONS = ("Central", "East", "North", "Overseas", "South", "West")


@dataclass(frozen=True)
class NewDeal:
    """A deal is created; `like` is the deal whose attributes it takes over."""

    like: str


@dataclass(frozen=True)
class NewTouch:
    """A touch is entered, a moment after it happened."""

    deal_id: str
    activity_type: str


@dataclass(frozen=True)
class DealEdit:
    """Fields of an open deal change: amount, owner_id, stage, region, expected_close_in_days (from now)."""

    deal_id: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Closing:
    """An open deal is won or lost."""

    deal_id: str
    won: bool


@dataclass(frozen=True)
class Reopening:
    """A closed deal is open again, in a stage."""

    deal_id: str
    stage: str


@dataclass(frozen=True)
class DealDeletion:
    """A deal is deleted, with what hangs on it."""

    deal_id: str


@dataclass(frozen=True)
class TouchDeletion:
    """A touch is deleted."""

    activity_id: str


@dataclass(frozen=True)
class AccountMerge:
    """An account is merged into another, which takes over its deals."""

    loser: str
    winner: str


@dataclass(frozen=True)
class DealMerge:
    """A deal is merged into another, which takes over its touches and people; not every CRM can do it."""

    loser: str
    winner: str


Change = NewDeal | NewTouch | DealEdit | Closing | Reopening | DealDeletion | TouchDeletion | AccountMerge | DealMerge


class Company(Protocol):
    """What a server tells of its present state, and how it is changed."""

    #: Open stages in their order, as labels of the CRM's import profile.
    stages: Sequence[str]
    merges_deals: bool

    def open_deals(self) -> Sequence[str]:
        """Ids of the deals that are open."""
        ...

    def closed_deals(self) -> Sequence[str]:
        """Ids of the deals that are won or lost."""
        ...

    def touches(self) -> Sequence[str]:
        """Ids of the touches."""
        ...

    def accounts(self) -> Sequence[str]:
        """Ids of the accounts."""
        ...

    def owners(self) -> Sequence[str]:
        """Ids of the users who own deals."""
        ...

    def amount(self, deal_id: str) -> float | None:
        """The present amount of a deal."""
        ...

    def apply(self, change: Change) -> None:
        """Let it happen."""
        ...


def apply_random_changes(company: Company, rng: np.random.Generator, changes: int) -> Iterator[Change]:
    """Let so many random changes happen, one after the other, and yield each once it has.

    Parameters
    ----------
    company : Company
    rng : numpy.random.Generator
    changes : int
    """
    weights = np.array([weight for _, weight in _KINDS])
    for _ in range(changes):
        make = _KINDS[rng.choice(len(_KINDS), p=weights / weights.sum())][0]
        change = make(company, rng)
        if change is not None:
            company.apply(change)
            yield change


def _one(of: Sequence[str], rng: np.random.Generator) -> str:
    return str(of[int(rng.integers(len(of)))])


def _new_deal(company: Company, rng: np.random.Generator) -> Change | None:
    deals = company.open_deals()
    return NewDeal(_one(deals, rng)) if deals else None


def _new_touch(company: Company, rng: np.random.Generator) -> Change | None:
    deals = company.open_deals()
    return NewTouch(_one(deals, rng), str(rng.choice(_ACTIVITY_TYPES))) if deals else None


def _edit(company: Company, rng: np.random.Generator) -> Change | None:
    deals = company.open_deals()
    if not deals:
        return None
    deal_id = _one(deals, rng)
    amount = company.amount(deal_id)
    values: dict[str, Any] = {
        "stage": _one(company.stages, rng),
        "amount": round((amount or 1000.0) * float(rng.choice(_AMOUNT_STEPS)), 2),
        "owner_id": _one(company.owners(), rng),
        "region": str(rng.choice(_REGIONS)),
        "expected_close_in_days": int(rng.integers(5, 120)),
    }
    names = rng.choice(list(values), size=int(rng.integers(1, 3)), replace=False)
    return DealEdit(deal_id, {str(name): values[str(name)] for name in names})


def _closing(company: Company, rng: np.random.Generator) -> Change | None:
    deals = company.open_deals()
    return Closing(_one(deals, rng), bool(rng.random() < 0.3)) if deals else None


def _reopening(company: Company, rng: np.random.Generator) -> Change | None:
    deals = company.closed_deals()
    return Reopening(_one(deals, rng), _one(company.stages, rng)) if deals else None


def _deal_deletion(company: Company, rng: np.random.Generator) -> Change | None:
    deals = [*company.open_deals(), *company.closed_deals()]
    return DealDeletion(_one(deals, rng)) if len(deals) > 10 else None


def _touch_deletion(company: Company, rng: np.random.Generator) -> Change | None:
    touches = company.touches()
    return TouchDeletion(_one(touches, rng)) if touches else None


def _account_merge(company: Company, rng: np.random.Generator) -> Change | None:
    return _merge(company.accounts(), rng, AccountMerge)


def _deal_merge(company: Company, rng: np.random.Generator) -> Change | None:
    return _merge(company.open_deals(), rng, DealMerge) if company.merges_deals else None


def _merge(ids: Sequence[str], rng: np.random.Generator, kind: type[AccountMerge] | type[DealMerge]) -> Change | None:
    if len(ids) < 2:
        return None
    loser, winner = rng.choice(len(ids), size=2, replace=False)
    return kind(str(ids[loser]), str(ids[winner]))


_KINDS: tuple[tuple[Callable[[Company, np.random.Generator], Change | None], float], ...] = (
    (_new_touch, 40),
    (_edit, 30),
    (_new_deal, 8),
    (_closing, 8),
    (_reopening, 3),
    (_touch_deletion, 4),
    (_deal_deletion, 3),
    (_account_merge, 2),
    (_deal_merge, 2),
)
