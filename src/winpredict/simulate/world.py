"""A sales team whose true win odds are known: for demonstrations, and as the ground truth of tests.

Deals live as `chain` says, `people` work on them and the CRM records them as `records` says; here stand the accounts,
the deals' attributes, which of them matter, and how the market changes.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, cast, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from winpredict.errors import ConfigError
from winpredict.locale.text import text
from winpredict.simulate import salesforce_export
from winpredict.simulate.chain import (
    ENGAGEMENTS,
    WON,
    Days,
    Floats,
    Lives,
    live,
    odds_of_winning,
    won_between,
)
from winpredict.simulate.people import Reps, number_of_reps, reps_of_quality
from winpredict.simulate.records import DAYS, FIRST_DAY, LAST_DAY, record
from winpredict.simulate.tables import canonical_tables, text_ids
from winpredict.tables.crm import CRMData, utc

_MARKET_TURNS = pd.Timestamp("2024-07-01", tz="UTC")
_TURNING_PRODUCT = "Core"
_TURN = -1.2
#: What a violent drift adds to the quality of every deal and multiplies its speed with.
_VIOLENT_TURN, _VIOLENT_SPEED = -1.0, 0.6
_INDUSTRIES = ("Banking", "Education", "Energy", "Government", "Healthcare", "Media", "Retail", "Technology")

#: What a value adds to the quality of a deal, and how common it is.
_DEAL_TYPES = {"new": (-0.5, 0.67), "existing": (1.05, 0.33)}
_LEAD_SOURCES = {
    "Web": (0.0, 0.36),
    "Cold Call": (-0.5, 0.25),
    "Event": (0.1, 0.20),
    "Partner": (0.35, 0.12),
    "Referral": (0.85, 0.07),
}
_PRODUCTS = {"Core": (0.1, 0.40), "Plus": (0.2, 0.31), "Analytics": (0.0, 0.19), "Enterprise": (-0.4, 0.10)}
_REGIONS = dict.fromkeys(("Central", "East", "North", "Overseas", "South", "West"), (0.0, 1 / 6))
_COMPETITORS = {"No": (0.17, 0.70), "Yes": (-0.53, 0.30)}
#: What an executive sponsor as first contact adds, and when one is brought in: where winning is hard anyway.
_SENIOR_FIRST = 0.6
_SENIOR_USUAL, _SENIOR_PER_LOG_AMOUNT, _SENIOR_FOR_NEW = -2.0, 1.0, 1.0
_PER_LOG_AMOUNT = -0.42
_USUAL_LOG_AMOUNT = 9.5
_AVERAGE = -0.3
_SPREAD_OF_ACCOUNTS, _SPREAD_OF_DEALS = 0.2, 0.1
#: Spread of the logarithm of the speed of accounts.
_SPREAD_OF_SPEED = 0.25

Drift = Literal["none", "one product", "violent"]

PLANTED = {
    "loss_reason": "leak: filled at the close of lost deals, never before",
    "contract_signed": "leak: filled within hours of the win, never on lost deals",
    "amount": "true effect: larger deals are won less often; leak: zero or blank from the close of most lost deals on",
    "expected_close_date": "leak: overwritten with the real date at the close; pushed more often on cold deals",
    "activities": "true sign: touches are more frequent where the customer is engaged; misleading: some reps record "
    "twice as many as others, good ones only slightly more; leak: onboarding after the win",
    "deal_type": "true effect: existing customers buy more often",
    "lead_source": "true effect: referrals and partners above, cold calls below the rest",
    "product": "true effect: Enterprise is won less often; no change in time",
    "competitor": "true effect: a competitor lowers the odds",
    "contacts.role": "true effect: an executive sponsor as first contact raises the odds; brought in for large deals "
    "with new customers, which are hard to win, so that the raw win rates hide it",
    "owner_id": "true effect: hidden quality of the first owner, which a deal keeps when it is handed on; deals of "
    "good owners also move up faster",
    "account_id": "true effect: hidden quality of the account, whose deals also move up faster; misleading: a hidden "
    "speed of the account, at which its deals are won as well as lost",
    "region": "no effect",
    "campaign_code": "no effect: a code for every two or three deals",
}
#: What a drift changes of the above.
_PLANTED_BY_DRIFT: dict[Drift, dict[str, str]] = {
    "none": {},
    "one product": {
        "product": f"true effect: Core loses a good part of its win rate for good on {_MARKET_TURNS:%Y-%m-%d}"
    },
    "violent": {
        "stage": f"true effect: from {_MARKET_TURNS:%Y-%m-%d} on every deal at every stage is won far less often and "
        "moves on far slower"
    },
}


@dataclass(frozen=True)
class World:
    """A simulated CRM and what it hides.

    Parameters
    ----------
    crm : CRMData
        Everything recorded until `ends_at`.
    ends_at : Timestamp
        The moment of the export.
    outcomes : Series
        "won" or "lost" by deal_id, also of deals still open at `ends_at`: how they will end.
    planted : dict of str to str
        What is true and what misleads: column to one sentence.
    """

    crm: CRMData
    ends_at: pd.Timestamp
    outcomes: pd.Series
    planted: dict[str, str]
    _seed: int = field(repr=False)
    _lives: Lives = field(repr=False)
    _senior: NDArray[np.bool_] = field(repr=False)
    _days: Days = field(repr=False)

    def win_probability(self, as_of: pd.Timestamp | str) -> pd.Series:
        """The exact probability of being won, of every deal open in the morning of a day.

        Parameters
        ----------
        as_of : Timestamp or str
            The day, from the second of the history to `ends_at`; its hours are ignored.

        Returns
        -------
        Series of float64
            By deal_id, given all that could be known, hidden qualities and the state of the deal included.

        Raises
        ------
        ConfigError
            When the day lies outside the history.
        """
        day = (self._within(as_of) - FIRST_DAY).days
        rows = (self._days.day == day) & (self._lives.born[self._days.deal] < day)
        deal, state = self._days.deal[rows], self._days.state[rows]
        odds = odds_of_winning(self._lives.part(deal), day, state)
        return pd.Series(odds, index=self.outcomes.index[deal], name="win_probability")

    def senior_contact_effect(self, *, open_after: int, within: int, created_before: pd.Timestamp) -> float:
        """The true mean effect of an executive sponsor as first contact on the chance of a win.

        Parameters
        ----------
        open_after : int
            Days since creation: of deals still open then,
        within : int
            days since creation until which a win counts,
        created_before : Timestamp
            among deals created before this moment.

        Returns
        -------
        float
            Difference of probabilities: every deal with one, less every deal without one.
        """
        rows = np.flatnonzero(self._lives.born < (utc(created_before) - FIRST_DAY).days)
        lives, gained = self._lives.part(rows), self._senior[rows] * _SENIOR_FIRST
        without = replace(lives, quality=lives.quality - gained, later_quality=lives.later_quality - gained)
        having = replace(
            without, quality=without.quality + _SENIOR_FIRST, later_quality=without.later_quality + _SENIOR_FIRST
        )
        return float((won_between(having, open_after, within) - won_between(without, open_after, within)).mean())

    def _within(self, as_of: pd.Timestamp | str) -> pd.Timestamp:
        moment = utc(as_of)
        if not FIRST_DAY < moment <= self.ends_at:
            raise ConfigError(
                text(
                    "as_of {moment} lies outside the simulated history; give a moment after {first_day} and "
                    "not after {ends_at}",
                    moment=moment,
                    first_day=FIRST_DAY,
                    ends_at=self.ends_at,
                )
            )
        return moment


def simulate(deals: int = 3000, seed: int = 0, *, drift: Drift = "one product") -> World:
    """Simulate 26 months of a sales team.

    Reps differ in how good they are and in how many touches they record, accounts in how good and how fast they are.
    Among equally good reps, who records more touches wins no more; while the market stays as it is, the speed of an
    account decides when its deals end, not how.

    Parameters
    ----------
    deals : int
        How many deals are created, at least 1. Reps and accounts grow with them: 300 deals are those of four reps and
        81 accounts, 800 those of six, 3000 those of 35.
    seed : int
        The same seed gives the same world.
    drift : {"none", "one product", "violent"}
        What changes for good in the middle of 2024: nothing, so that the company looks alike at all times once its
        first deals have aged; the win rate of one product; or, violently, win rates and speed of all deals.
        Reps, accounts and deals at their creation are the same in all three.

    Returns
    -------
    World

    Raises
    ------
    ConfigError
        When `deals` is below 1 or the drift is unknown.

    Examples
    --------
    >>> world = simulate(deals=200, seed=1)
    >>> len(world.crm.deals), sorted(world.outcomes.unique())
    (200, ['lost', 'won'])
    >>> bool(world.win_probability("2024-06-01").between(0, 1).all())
    True
    """
    if deals < 1:
        raise ConfigError(text("cannot simulate {deals} deals; give at least 1", deals=deals))
    if drift not in get_args(Drift):
        raise ConfigError(
            text(
                "unknown drift {drift!r}; give one of {kinds}",
                drift=drift,
                kinds=", ".join(map(repr, get_args(Drift))),
            )
        )
    # habits and speeds have a stream of their own, so that the attributes of a seed do not depend on them
    rng, habits_rng = np.random.default_rng(seed), np.random.default_rng([seed, 2])
    count = number_of_reps(deals)
    accounts = _accounts(max(1, round(deals * 0.27)), rng, habits_rng)
    table = _deals(deals, count, accounts, rng)
    reps = reps_of_quality(count, rng, habits_rng)
    lives = _lives(table, accounts, reps, drift, rng)
    days = live(lives, rng)
    last = np.flatnonzero(np.diff(days.deal, append=-1))
    table["won"] = days.next_state[last] == WON
    turned = days.day >= lives.turn
    records = record(table, days, np.where(turned, lives.later_quality[days.deal], lives.quality[days.deal]), reps, rng)
    outcomes = pd.Series(
        np.where(table["won"], "won", "lost"), index=pd.Index(text_ids("006", table.index.to_series()), name="deal_id")
    )
    open_days = days.where((days.day <= DAYS) & ~table["back_filled"].to_numpy()[days.deal])
    crm = canonical_tables(table, accounts, len(reps), records, rng)
    planted = PLANTED | _PLANTED_BY_DRIFT[drift]
    return World(crm, LAST_DAY, outcomes, planted, seed, lives, table["senior"].to_numpy(), open_days)


def write_salesforce_export(world: World, path: Path, *, as_of: pd.Timestamp | str | None = None) -> None:
    """Write a simulated CRM as a Salesforce data export, with the dirt that such exports carry.

    Parameters
    ----------
    world : World
        The world.
    path : Path
        A zip file where it ends in ``.zip``, else a folder. An earlier one is replaced.
    as_of : Timestamp or str, optional
        The export as it stood at that moment; by default at the end.

    Raises
    ------
    ConfigError
        When `as_of` lies outside the history.
    WorkspaceError
        When `path` cannot be written.
    """
    moment = world.ends_at if as_of is None else world._within(as_of)
    salesforce_export.write(world.crm, Path(path), moment, np.random.default_rng([world._seed, 1]))


def _accounts(count: int, rng: np.random.Generator, habits_rng: np.random.Generator) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "industry": rng.choice(_INDUSTRIES, count),
            "employees": np.exp(rng.normal(5.1, 1.1, count)).round() + 1,
            "created": rng.integers(8 * 3600, 18 * 3600, count),
            "customer": _drawn(_DEAL_TYPES, count, rng),
            "quality": rng.normal(0, _SPREAD_OF_ACCOUNTS, count),
            "appeal": rng.gamma(4.0, 1.0, count),
            "speed": np.exp(habits_rng.normal(0, _SPREAD_OF_SPEED, count)),
        }
    )


def _drawn(values: dict[str, tuple[float, float]], count: int, rng: np.random.Generator) -> pd.Series:
    """Names drawn with their shares."""
    shares = np.array([share for _, share in values.values()])
    return pd.Series(rng.choice(list(values), count, p=shares / shares.sum()), dtype=object)


def _deals(count: int, reps: int, accounts: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """What is known of the deals on the day they are created, and the habits that spoil their record."""
    appeal = accounts["appeal"] / accounts["appeal"].sum()
    working_days = np.flatnonzero(np.arange(DAYS) % 7 < 5)
    born = np.sort(rng.choice(working_days, count))
    account = rng.choice(len(accounts), count, p=appeal)
    product = _drawn(_PRODUCTS, count, rng)
    log_amount = rng.normal(_USUAL_LOG_AMOUNT, 0.82, count) + 0.5 * (product == "Enterprise").to_numpy()
    amount = np.maximum(np.exp(log_amount).round(-2), 300.0)
    return pd.DataFrame(
        {
            "born": born,
            "account": account,
            "owner": rng.integers(0, reps, count),
            "deal_type": accounts["customer"].to_numpy()[account],
            "lead_source": _drawn(_LEAD_SOURCES, count, rng),
            "product": product,
            "region": _drawn(_REGIONS, count, rng),
            "competitor": _drawn(_COMPETITORS, count, rng),
            "campaign_code": [f"C{code:05d}" for code in rng.integers(0, max(1, count // 2), count)],
            "log_amount": log_amount,
            "amount": np.where(rng.random(count) < 0.027, np.nan, amount),
            "senior": rng.random(count) < _senior_odds(log_amount, accounts["customer"].to_numpy()[account]),
            "expected_close_day": born + rng.integers(30, 119, count),
            "back_filled": rng.random(count) < 0.004,
            "lost_amount": rng.choice(["zero", "blank", "kept"], count, p=[0.66, 0.06, 0.28]),
        }
    )


def _senior_odds(log_amount: Floats, customer: NDArray[np.object_]) -> Floats:
    log_odds = _SENIOR_USUAL + _SENIOR_PER_LOG_AMOUNT * (log_amount - _USUAL_LOG_AMOUNT)
    return cast("Floats", expit(log_odds + _SENIOR_FOR_NEW * (customer == "new")))


def _lives(deals: pd.DataFrame, accounts: pd.DataFrame, reps: Reps, drift: Drift, rng: np.random.Generator) -> Lives:
    """Quality, speed and first state of every deal: recorded effects and hidden ones come together here."""
    quality = _AVERAGE + reps.quality[deals["owner"]] + accounts["quality"].to_numpy()[deals["account"]]
    quality += rng.normal(0, _SPREAD_OF_DEALS, len(deals)) + deals["senior"].to_numpy() * _SENIOR_FIRST
    quality += _PER_LOG_AMOUNT * (deals["log_amount"].to_numpy() - _USUAL_LOG_AMOUNT)
    for column, values in (
        ("deal_type", _DEAL_TYPES),
        ("lead_source", _LEAD_SOURCES),
        ("product", _PRODUCTS),
        ("competitor", _COMPETITORS),
    ):
        quality += deals[column].map({name: effect for name, (effect, _) in values.items()}).to_numpy(np.float64)
    turning = (deals["product"] == _TURNING_PRODUCT).to_numpy()
    fall = {"none": 0.0 * turning, "one product": _TURN * turning, "violent": np.full(len(deals), _VIOLENT_TURN)}
    speed = accounts["speed"].to_numpy()[deals["account"]]
    return Lives(
        born=deals["born"].to_numpy(),
        state=rng.choice(ENGAGEMENTS, len(deals), p=[0.3, 0.5, 0.2]),
        quality=quality,
        later_quality=quality + fall[drift],
        speed=speed,
        later_speed=speed * (_VIOLENT_SPEED if drift == "violent" else 1.0),
        turn=(_MARKET_TURNS - FIRST_DAY).days,
    )
