"""Rival causes of a changed win rate, and how well each fits."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, softmax

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
#: Groups with fewer deals in both periods together are not named as a cause.
MIN_DEALS = 20
NOT_RECORDED, OTHERS = "(not recorded)", "(others)"
#: Candidates beside the groups of segments.
ALL_ALIKE, MIX_ONLY = "all deals alike", "the mix of deals only"
_RIDGE = 0.5


def as_texts(values: pd.Series) -> pd.Series:
    return values.astype(object).map(str, na_action="ignore").fillna(NOT_RECORDED)


def grouped(values: pd.Series) -> pd.Series:
    """The group of each deal; those with few deals are one."""
    names = as_texts(values)
    sizes = names.map(names.value_counts())
    return names.where(sizes >= MIN_DEALS, OTHERS)


class Kinds:
    """Kinds of deals: all, and each group of each segment; sums over deals, which belong to one group of a segment.

    Parameters
    ----------
    groups : mapping of str to Series
        The group of each deal, by segment; segments with one group are left out.
    deals : int
    """

    def __init__(self, groups: Mapping[str, pd.Series], deals: int) -> None:
        #: Segment and group of each kind.
        self.names: list[tuple[str, str]] = [("", ALL_ALIKE)]
        self._codes: list[NDArray[np.int64]] = [np.zeros(deals, dtype=np.int64)]
        self._starts = [0, 1]
        firsts = []
        for segment, values in groups.items():
            names = sorted(values.unique())
            if len(names) > 1:
                firsts.append(len(self.names))
                self.names += [(segment, name) for name in names]
                self._codes.append(pd.Index(names).get_indexer(pd.Index(values)).astype(np.int64))
                self._starts.append(len(self.names))
        #: Kinds that tell deals apart: the first group of a segment is what is in none of its others.
        self.told_apart = np.setdiff1d(np.arange(len(self.names)), firsts)
        #: Kinds that may be a cause.
        self.candidates = np.array([place for place, (_, name) in enumerate(self.names) if name != OTHERS])

    def sums(self, values: Floats) -> Floats:
        """Sum over the deals of each kind."""
        sizes = np.diff(self._starts)
        parts = [np.bincount(c, values, minlength=size) for c, size in zip(self._codes, sizes, strict=True)]
        return np.concatenate(parts)

    def sums_of_pairs(self, values: Floats) -> Floats:
        """Sum over the deals that are of two kinds, for each pair."""
        out, sizes = np.zeros((len(self.names), len(self.names))), np.diff(self._starts)
        for one, codes in enumerate(self._codes):
            for other in range(one + 1):
                pairs = codes * sizes[other] + self._codes[other]
                found = np.bincount(pairs, values, minlength=sizes[one] * sizes[other])
                here = slice(self._starts[one], self._starts[one + 1])
                there = slice(self._starts[other], self._starts[other + 1])
                out[here, there] = found.reshape(sizes[one], sizes[other])
                out[there, here] = out[here, there].T
        return out

    def spread(self, values: Floats) -> Floats:
        """For each deal the sum of the values of its kinds."""
        out = np.zeros(len(self._codes[0]))
        for codes, start in zip(self._codes, self._starts, strict=False):
            out += values[start + codes]
        return out


def gains(won: Floats, later: Flags, kinds: Kinds) -> tuple[Floats, Floats]:
    """Expected win rate of each deal when only the mix changes, and the gain of each candidate over that."""
    expected, information = _fitted(kinds, won)
    weight = expected * (1.0 - expected) * later
    mine = kinds.candidates
    slope = kinds.sums((won - expected) * later)[mine]
    shared = kinds.sums_of_pairs(weight)[np.ix_(kinds.told_apart, mine)]
    curvature = kinds.sums(weight)[mine] - (shared * np.linalg.solve(information, shared)).sum(axis=0)
    gain = np.divide(0.5 * slope**2, curvature, out=np.zeros_like(slope), where=curvature > 1e-6)
    return expected, gain


def _fitted(kinds: Kinds, won: Floats, steps: int = 25) -> tuple[Floats, Floats]:
    """Win odds by logistic regression, and its information; a light penalty, so that segments may tell the same."""
    used = kinds.told_apart
    penalty = np.full(len(used), _RIDGE)
    penalty[0] = 1e-6
    beta, of_kinds = np.zeros(len(used)), np.zeros(len(kinds.names))
    for _ in range(steps):
        expected = expit(kinds.spread(of_kinds))
        information = kinds.sums_of_pairs(expected * (1.0 - expected))[np.ix_(used, used)] + np.diag(penalty)
        step = np.linalg.solve(information, kinds.sums(won - expected)[used] - penalty * beta)
        beta += np.clip(step, -3.0, 3.0)
        of_kinds[used] = beta
        if np.abs(step).max() < 1e-8 or np.abs(beta[0]) > 20:
            break
    return np.asarray(expit(kinds.spread(of_kinds))), information


def candidate_rows(kinds: Kinds, won: Floats, later: Flags) -> list[dict[str, object]]:
    """Each candidate with its deals and win rates before and after."""
    counts = {
        name: (kinds.sums(those), kinds.sums(won * those))
        for name, those in (("before", (~later).astype(np.float64)), ("after", later.astype(np.float64)))
    }
    rows: list[dict[str, object]] = []
    for place in kinds.candidates:
        row: dict[str, object] = dict(zip(("segment", "group"), kinds.names[place], strict=True))
        row |= {f"n_{name}": int(deals[place]) for name, (deals, _) in counts.items()}
        row |= {
            name: float(wins[place] / deals[place]) if deals[place] else np.nan
            for name, (deals, wins) in counts.items()
        }
        rows.append(row)
    return rows


def ranked(
    rows: list[dict[str, object]], words: Mapping[str, str], gain: Floats | None = None, deals: int = 0
) -> pd.DataFrame:
    columns = ["segment", "words", "group", "n_before", "n_after", "before", "after", "gain", "support"]
    if not rows or gain is None:
        return pd.DataFrame(columns=columns)
    out = pd.DataFrame([*rows, {**rows[0], "group": MIX_ONLY}])
    out["gain"] = [*gain, 0.0]
    out["words"] = out["segment"].map({"": "", **words})
    out["support"] = softmax(out["gain"].to_numpy() + _log_prior(out["segment"], deals))
    return out.sort_values(["support", "segment", "group"], ascending=[False, True, True], ignore_index=True)[columns]


def _log_prior(segment: pd.Series, deals: int) -> Floats:
    """Belief in each candidate before looking, less the penalty for the one number that it adds (mix adds none)."""
    of_segment = segment.map(segment.value_counts()).to_numpy(np.float64)
    prior = np.where(segment == "", 1.0, 1.0 / of_segment)
    penalty = np.full(len(segment), 0.5 * np.log(deals))
    penalty[-1] = 0.0
    return np.asarray(np.log(prior) - penalty)
