"""Stage norms: how long deals that were won waited and stayed in each stage, and what they had there."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: Fewest won deals for a stage to have norms of its own, and for all stages to have common ones.
MIN_DEALS = 20
#: A norm of days holds for so many snapshots of won deals.
USUAL = 0.9
#: Amounts from which on a deal is large: what only the largest quarter of the won deals reach.
_LARGE = 0.75
_ANY = ""
#: What cannot be compared without the stage.
_OF_STAGE_ALONE = ("days_in_stage", "days_left")
_RECORDED = ("touches", "meetings_booked")


@dataclass(frozen=True, eq=False)
class Norm:
    """One norm of each of some deals.

    Parameters
    ----------
    values : ndarray of shape (n_deals,)
        NaN where nothing is known.
    of_stage : ndarray of bool, shape (n_deals,)
        Whether it is that of the deal's own stage, and not that of all stages together.
    """

    values: Floats
    of_stage: Bools


@dataclass(frozen=True)
class StageNorms:
    """What is usual for deals that were won, by the stage that they stood in.

    A deal counts as one, however many snapshots it has in a stage.

    Parameters
    ----------
    by_stage : dict of str to dict of str to float
        Stage ("" for all of them) to norm: days_in_stage (whole days within which 9 in 10 deals moved on), silence
        (whole days that 9 in 10 snapshots do not exceed), days_left (whole days until the win that 9 in 10 do not fall
        short of), pushes (of the expected close, that 9 in 10 do not exceed), booked and senior (share of snapshots
        with a meeting ahead, and with a senior contact), and team (share of the snapshots of large deals that two or
        more of us had touched).
    large : dict of str to float
        Currency ("" where none is recorded) to the amount from which on a deal is large.
    recorded : tuple of str, optional
        Counts that were above 0 for any deal; one that never was is not recorded in this CRM, and its 0 says nothing.
        None where that is not known.

    Examples
    --------
    >>> features = pd.DataFrame({"stage": "Demo", "days_since_touch": [2.0, 4.0, 6.0, 8.0, 30.0] * 10})
    >>> norms = StageNorms.fit(features, np.array([1, 1, 1, 1, 0] * 10))
    >>> norms.of("silence", np.array(["Demo", "Offer"], dtype=object)).values.tolist()
    [8.0, 8.0]
    """

    by_stage: dict[str, dict[str, float]] = field(default_factory=dict)
    large: dict[str, float] = field(default_factory=dict)
    recorded: tuple[str, ...] | None = None

    @classmethod
    def fit(
        cls,
        features: pd.DataFrame,
        won: ArrayLike,
        *,
        days_to_close: ArrayLike | None = None,
        deal_ids: ArrayLike | None = None,
    ) -> "StageNorms":
        """Read the norms off a training set.

        Parameters
        ----------
        features : DataFrame of shape (n_snapshots, n_features)
        won : array-like of shape (n_snapshots,)
            1 for won, 0 for lost.
        days_to_close : array-like of shape (n_snapshots,), optional
            Days until the deal was closed; without them nothing is known of the time left, and a stay in a stage is
            taken to end with its last snapshot.
        deal_ids : array-like of shape (n_snapshots,), optional
            Whose snapshot it is; by default each is of another deal.
        """
        rows = np.asarray(won) == 1
        snapshots = features[rows]
        deals = np.arange(len(features)) if deal_ids is None else pd.factorize(np.asarray(deal_ids))[0]
        left = np.full(len(features), np.nan) if days_to_close is None else np.asarray(days_to_close, np.float64)
        large = _large_amounts(snapshots, deals[rows])
        figures = _figures(snapshots, left[rows], large)
        figures["days_in_stage"] = _stays(figures["days_in_stage"], stages_of(snapshots), deals[rows], left[rows])
        by_stage = {_ANY: _norms(figures, deals[rows], without=_OF_STAGE_ALONE)}
        codes, names = pd.factorize(stages_of(snapshots))
        for code, stage in enumerate(names):
            of_stage = codes == code
            by_stage[str(stage)] = _norms(
                {name: values[of_stage] for name, values in figures.items()}, deals[rows][of_stage]
            )
        recorded = tuple(name for name in _RECORDED if name in features and bool((features[name] > 0).any()))
        return cls({stage: norms for stage, norms in by_stage.items() if norms}, large, recorded)

    def of(self, norm: str, stages: NDArray[np.object_]) -> Norm:
        """One norm of deals in given stages; that of all stages where a stage has none of its own and it makes sense.

        Parameters
        ----------
        norm : str
            silence, days_in_stage, days_left, pushes, booked, senior or team.
        stages : ndarray of shape (n_deals,)
            Stage of each; missing is None.
        """
        codes, names = pd.factorize(stages)
        own = np.array([*(self.by_stage.get(str(name), {}).get(norm, np.nan) for name in names), np.nan])[codes]
        common = self.by_stage.get(_ANY, {}).get(norm, np.nan)
        return Norm(np.where(np.isnan(own), common, own), ~np.isnan(own))

    def records(self, count: str) -> bool:
        """Whether the CRM records what is counted, so that 0 says that there was none."""
        return self.recorded is None or count in self.recorded

    def is_large(self, amounts: Floats, currencies: NDArray[np.object_]) -> Bools:
        """Which deals are large among won deals in their currency; none where that is not known."""
        codes, names = pd.factorize(currencies)
        common = self.large.get(_ANY, np.nan)
        # where the amounts that were learned from tell no currency, all of them are in one
        other = common if set(self.large) == {_ANY} else np.nan
        limits = np.array([*(self.large.get(str(name), other) for name in names), common])
        return np.asarray(amounts >= limits[codes])

    def to_json(self) -> dict[str, Any]:
        """Plain values, which `from_json` reads."""
        plain = asdict(self)
        return {**plain, "recorded": None if self.recorded is None else list(self.recorded)}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "StageNorms":
        """What `to_json` gave.

        Examples
        --------
        >>> norms = StageNorms({"Demo": {"silence": 12.0}}, {"EUR": 50_000.0}, ("touches",))
        >>> StageNorms.from_json(norms.to_json()) == norms
        True
        """
        recorded = plain["recorded"]
        by_stage = {stage: dict(norms) for stage, norms in plain["by_stage"].items()}
        return cls(by_stage, dict(plain["large"]), None if recorded is None else tuple(recorded))


def figure(features: pd.DataFrame, name: str) -> Floats:
    """A numeric feature; NaN throughout where there is no such column.

    Examples
    --------
    >>> figure(pd.DataFrame({"touches": [1, None]}), "touches"), figure(pd.DataFrame({"touches": [1]}), "calls")
    (array([ 1., nan]), array([nan]))
    """
    if name not in features:
        return np.full(len(features), np.nan)
    return features[name].to_numpy(dtype=np.float64, na_value=np.nan)


def stages_of(features: pd.DataFrame) -> NDArray[np.object_]:
    """The stage of each row; None where it is unknown."""
    return words_of(features, "stage")


def words_of(features: pd.DataFrame, name: str) -> NDArray[np.object_]:
    """A category of each row; None where it is unknown.

    Examples
    --------
    >>> words_of(pd.DataFrame({"stage": ["Demo", None]}), "stage")
    array(['Demo', None], dtype=object)
    """
    if name not in features:
        return np.full(len(features), None, dtype=object)
    values = features[name].astype(object)
    return values.where(values.notna(), None).to_numpy(dtype=object)


def silence_of(features: pd.DataFrame, *, records_touches: bool = True) -> Floats:
    """Days since the last touch, or since the creation of a deal that has none; NaN where that is not known.

    Parameters
    ----------
    features : DataFrame of shape (n_rows, n_features)
    records_touches : bool
        Whether a deal without a touch is known to have had none.

    Examples
    --------
    >>> snapshots = pd.DataFrame(
    ...     {"days_since_touch": [3.0, None, None], "touches": [2.0, 0.0, None], "days_open": [9.0, 9.0, 9.0]}
    ... )
    >>> silence_of(snapshots)
    array([ 3.,  9., nan])
    """
    since = figure(features, "days_since_touch")
    never = np.isnan(since) & (figure(features, "touches") == 0) & records_touches
    return np.where(never, figure(features, "days_open"), since)


def _figures(snapshots: pd.DataFrame, left: Floats, large: dict[str, float]) -> dict[str, Floats]:
    booked, senior, active = (
        figure(snapshots, name) for name in ("meetings_booked", "senior_contacts", "active_users")
    )
    team = _at_least(active, 2)
    is_large = StageNorms(large=large).is_large(figure(snapshots, "amount"), words_of(snapshots, "currency"))
    return {
        "silence": silence_of(snapshots),
        "days_in_stage": figure(snapshots, "days_in_stage"),
        "days_left": left,
        "pushes": figure(snapshots, "close_date_pushes"),
        "booked": _at_least(booked, 1),
        "senior": _at_least(senior, 1),
        "team": np.where(is_large, team, np.nan),
    }


def _stays(in_stage: Floats, stages: NDArray[np.object_], deals: NDArray[Any], left: Floats) -> Floats:
    """How long each stay in a stage took, at its last snapshot; NaN at the others.

    A stay ends when the next one begins, which the next snapshot tells, and the last one with the deal.
    """
    codes = pd.factorize(stages)[0]
    order = np.lexsort((in_stage, codes, deals) if np.isnan(left).all() else (in_stage, -left, deals))
    deal, days, codes = deals[order], in_stage[order], codes[order]
    time = -left[order]
    same_deal = np.append(deal[1:] == deal[:-1], False)
    same_stay = same_deal & np.append((codes[1:] == codes[:-1]) & (days[1:] >= days[:-1]), False)
    ends = np.where(same_deal, np.append((time - days)[1:], 0.0), 0.0)
    stay = np.fmax(ends - (time - days), days)
    out = np.full(len(in_stage), np.nan)
    out[order] = np.where(same_stay, np.nan, stay)
    return out


def _at_least(count: Floats, least: float) -> Floats:
    return np.where(np.isnan(count), np.nan, count >= least)


def _large_amounts(snapshots: pd.DataFrame, deals: NDArray[Any]) -> dict[str, float]:
    amounts, currencies = figure(snapshots, "amount"), words_of(snapshots, "currency")
    out = {}
    for currency in dict.fromkeys(currencies):
        known = (currencies == currency) & ~np.isnan(amounts)
        if len(np.unique(deals[known])) >= MIN_DEALS:
            out[currency or _ANY] = _quantile(amounts[known], _weights(deals[known]), _LARGE)
    return out


def _norms(figures: Mapping[str, Floats], deals: NDArray[Any], without: tuple[str, ...] = ()) -> dict[str, float]:
    """The norms of a group of snapshots, as far as enough deals tell them."""
    out = {}
    for name, values in figures.items():
        known = ~np.isnan(values)
        if name in without or len(np.unique(deals[known])) < MIN_DEALS:
            continue
        known_values, weights = values[known], _weights(deals[known])
        if name in ("booked", "senior", "team"):
            out[name] = float(np.average(known_values, weights=weights))
        elif name == "days_left":
            out[name] = float(np.floor(-_quantile(-known_values, weights, USUAL)))
        else:
            # a day at least, since "no more than 0 days" says nothing that people can keep to
            least = 0.0 if name == "pushes" else 1.0
            out[name] = max(least, float(np.ceil(_quantile(known_values, weights, USUAL))))
    return out


def _weights(deals: NDArray[Any]) -> Floats:
    """Weights of snapshots by which every deal counts as one."""
    _, place, number = np.unique(deals, return_inverse=True, return_counts=True)
    return np.asarray(1.0 / number[place])


def _quantile(values: Floats, weights: Floats, share: float) -> float:
    """The smallest value that so large a share of the weight does not exceed."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    # sums of thirds and sevenths come out a hair short of what they add up to
    place = int(np.searchsorted(reached, share * reached[-1] - 1e-9))
    return float(values[order][min(place, len(values) - 1)])
