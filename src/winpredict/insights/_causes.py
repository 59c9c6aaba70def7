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


def members(groups: Mapping[str, pd.Series], deals: int) -> tuple[dict[tuple[str, str], Flags], Flags]:
    """Which deals each candidate concerns, and the columns that tell the kinds of deals apart."""
    table = {("", ALL_ALIKE): np.ones(deals, dtype=bool)}
    kinds = [np.ones(deals, dtype=bool)]
    for segment, values in groups.items():
        names = sorted(values.unique())
        if len(names) > 1:
            members = {name: (values == name).to_numpy() for name in names}
            kinds += list(members.values())[1:]
            table |= {(segment, name): member for name, member in members.items() if name != OTHERS}
    return table, np.column_stack(kinds)


def gains(
    won: Floats,
    later: Flags,
    kinds: Flags,
    table: Mapping[tuple[str, str], Flags],
) -> tuple[Floats, Floats]:
    """Expected win rate of each deal when only the mix changes, and the gain of each candidate over that."""
    X = kinds.astype(np.float64)
    expected, information = _fitted(X, won)
    weight = expected * (1.0 - expected)
    D = np.column_stack([member & later for member in table.values()]).astype(np.float64)
    slope = D.T @ (won - expected)
    shared = X.T @ (D * weight[:, None])
    curvature = (D * D * weight[:, None]).sum(axis=0) - (shared * np.linalg.solve(information, shared)).sum(axis=0)
    gain = np.divide(0.5 * slope**2, curvature, out=np.zeros_like(slope), where=curvature > 1e-6)
    return expected, gain


def _fitted(X: Floats, won: Floats, steps: int = 25) -> tuple[Floats, Floats]:
    """Win odds by logistic regression, and its information; a light penalty, so that segments may tell the same."""
    penalty = np.full(X.shape[1], _RIDGE)
    penalty[0] = 1e-6
    beta = np.zeros(X.shape[1])
    for _ in range(steps):
        expected = expit(X @ beta)
        information = (X * (expected * (1.0 - expected))[:, None]).T @ X + np.diag(penalty)
        step = np.linalg.solve(information, X.T @ (won - expected) - penalty * beta)
        beta += np.clip(step, -3.0, 3.0)
        if np.abs(step).max() < 1e-8 or np.abs(beta[0]) > 20:
            break
    return np.asarray(expit(X @ beta)), information


def candidate(
    deals: pd.DataFrame, won: Floats, later: Flags, segment: str, group: str, member: Flags
) -> dict[str, object]:
    before, after = member & ~later, member & later
    return {
        "segment": segment,
        "group": group,
        "n_before": int(before.sum()),
        "n_after": int(after.sum()),
        "before": float(won[before].mean()) if before.any() else np.nan,
        "after": float(won[after].mean()) if after.any() else np.nan,
    }


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
