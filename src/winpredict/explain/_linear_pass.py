"""The linear half of a blend as plain tables: log-odds of every bag and mean contributions in one pass over rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from winpredict._internal.threads import loops_on, threads_for
from winpredict.explain import _linear_kernels
from winpredict.models.estimator import WinClassifier
from winpredict.models.linear import LinearLogOdds

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LinearPass:
    """Linear models of one classifier, laid out for the compiled loop; see `_linear_kernels.linear_pass`."""

    arrays: tuple[NDArray[Any], ...]
    intercepts: Floats

    @classmethod
    def of(cls, linears: Sequence[LinearLogOdds]) -> "LinearPass":
        """Lay out the models of all bags."""
        features = linears[0].design.mean.size
        place = np.full(features, -1, np.int64)
        place[list(linears[0].design.categorical)] = np.arange(len(linears[0].design.categorical))
        parts = [_Tables(each) for each in linears]
        starts = np.cumsum([0, *(len(part.codes) for part in parts)])[:-1]
        arrays = (
            place, *(np.array([getattr(part, name) for part in parts]) for name in _BY_FEATURE),
            np.concatenate([part.codes for part in parts]),
            np.array([start + part.code_starts for start, part in zip(starts, parts, strict=True)]),
            np.array([part.unknown for part in parts]),
        )  # fmt: skip
        return cls(arrays, np.array([each.intercept for each in linears]))

    def contributions(self, matrix: Floats, threads: int | None) -> tuple[Floats, Floats]:
        """Mean contributions, shape (n_rows, n_features), and the log-odds of every bag, shape (bags, n_rows)."""
        with loops_on(threads_for(len(matrix), threads)):
            values, sums = _linear_kernels.linear_pass(np.ascontiguousarray(matrix), *self.arrays)
        return values, self.intercepts[:, None] + sums.T


#: What `_Tables` gives for each feature, in the order of `_linear_kernels.linear_pass`.
_BY_FEATURE = ("slope", "offset", "missing", "low", "high")


class _Tables:
    """What one model gives for each feature: by value, when it is missing, and by code."""

    def __init__(self, linear: LinearLogOdds) -> None:
        design = linear.design
        numeric = [j for j in range(design.mean.size) if j not in design.categorical]
        flags = len(numeric) + len(design.flagged)
        beta, ground = linear.coefficients, linear.coefficients * linear.background
        self.slope, self.offset, self.missing = (np.zeros(design.mean.size) for _ in range(3))
        self.slope[numeric] = beta[: len(numeric)] / design.scale[numeric]
        self.offset[numeric] = -self.slope[numeric] * design.mean[numeric] - ground[: len(numeric)]
        self.missing[numeric] = -ground[: len(numeric)]
        flagged = list(design.flagged)
        self.offset[flagged] -= ground[len(numeric) : flags]
        self.missing[flagged] += (beta - ground)[len(numeric) : flags]
        self.low, self.high = design.ends
        self.code_starts = flags + np.cumsum([0, *design.sizes])
        self.unknown = np.array([-ground[a:b].sum() for a, b in zip(self.code_starts, self.code_starts[1:])])  # noqa: B905
        self.code_starts -= flags
        self.codes = beta[flags:] + np.repeat(self.unknown, design.sizes)


_PASSES: WeakKeyDictionary[WinClassifier, tuple[Sequence[LinearLogOdds], LinearPass]] = WeakKeyDictionary()


def linear_pass(classifier: WinClassifier) -> LinearPass:
    """The linear models of a classifier, laid out once; a further fit gives it others."""
    known = _PASSES.get(classifier)
    if known is None or known[0] is not classifier.linears_:
        known = _PASSES[classifier] = (classifier.linears_, LinearPass.of(classifier.linears_))
    return known[1]
