"""When a deal closes: a discrete-time competing-risks model of won, lost and still open."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import logit
from sklearn.base import BaseEstimator

from winpredict._internal.atomic import replacing_folder
from winpredict._internal.threads import run_parallel, threads_for
from winpredict.errors import ConfigError, NotFittedError, TableError, TooLittleDataError, WorkspaceError
from winpredict.locale.text import said, text, texts
from winpredict.models._frames import (
    Floats,
    Periods,
    canonical_order,
    category_places,
    fit_categories,
    person_periods,
    select_columns,
    thinned,
    to_matrix,
    weights_of,
)
from winpredict.models.calibration import probabilities
from winpredict.models.learners import read_booster, write_booster
from winpredict.tables.schema import OUTCOMES

FORMAT = 1
GRID_DAYS = (7.0, 14.0, 30.0, 60.0, 90.0, 180.0, 365.0)
_FLOOR = 1e-6
_ROWS_AT_ONCE = 20_000
_MIN_ODDS = 0.002


@dataclass(frozen=True)
class Outlook:
    """When deals are likely to be won.

    Parameters
    ----------
    won_by : DataFrame of shape (n_deals, n_grid)
        P(won within so many days), one column an end of the grid (days, float).
    win_probability : ndarray of shape (n_deals,)
        P(won at all), the limit of each row.
    """

    won_by: pd.DataFrame
    win_probability: Floats

    def sentence(self, place: int) -> str:
        """One deal's outlook in plain words.

        Examples
        --------
        >>> Outlook(pd.DataFrame([[0.1, 0.3]], columns=[30.0, 90.0]), np.array([0.4])).sentence(0)
        '40% likely to be won: 10% within 30 days and 30% within 90 days'
        """
        row, limit = self.won_by.iloc[place], self.win_probability[place]
        steps = [
            texts(
                "{share:percent} within {n:number} day", "{share:percent} within {n:number} days", n=days, share=share
            )
            for days, share in row.items()
        ]
        return said("{odds:percent} likely to be won: {steps:listed}", odds=limit, steps=steps)


@dataclass(frozen=True)
class _Course:
    """Of each row, by interval: P(closes in it | open at its start); P(won) and P(still open) by its end."""

    closes: Floats
    won_by: Floats
    open_after: Floats
    late_win_share: Floats

    @property
    def ever_won(self) -> Floats:
        return self.won_by[:, -1] + self.open_after[:, -1] * self.late_win_share


class ClosingTime(BaseEstimator):  # type: ignore[misc]
    """P(won within so many days), in step with the final odds.

    Time after a snapshot is cut into intervals. One LightGBM model gives the chance that a deal still open at the start
    of an interval closes in it; a second gives the chance that a deal that closes in it is won. Their product is the
    discrete-time competing-risks likelihood, so deals that are still open count for the intervals that they have been
    through. Beyond the grid the rates of its last interval go on.

    Parameters
    ----------
    grid_days : sequence of float
        Ends of the intervals in days after the snapshot, rising, the first above 0.
    trees, learning_rate, leaves
        Boosting rounds, step and leaves a tree, of each model.
    most_rows : int
        At most so many (snapshot, interval) rows are fitted. Beyond it rows are thinned at random and the remaining
        ones weighted up; those with a close, which say most, keep half of the places or all they need.
    threads : int, optional
        Models fitted, or asked, beside each other, each on one thread; by default as many as there are cores.
    random_state : int
        Seed of the thinning and of LightGBM.

    Attributes
    ----------
    feature_names_in_ : ndarray of str
    categories_ : dict of str to list of str
        Labels known from training; others count as missing.
    closes_, won_ : lightgbm.Booster

    Notes
    -----
    Sources: Singer & Willett (1993), It's about time: using discrete-time survival analysis; Tutz & Schmid (2016),
    Modeling discrete time-to-event data, chapter 8 (competing risks). A deal whose knowledge ends within an interval
    counts as open for the part of the interval that was seen.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame({"touches": rng.poisson(4.0, 600).astype(float)})
    >>> won = rng.random(600) < X["touches"] / 10
    >>> days = rng.exponential(np.where(won, 60.0, 20.0))
    >>> timing = ClosingTime(trees=20, threads=1).fit(X, np.where(won, "won", "lost"), days)
    >>> soon, later = (timing.win_by(X[:1], within, np.array([0.4]))[0] for within in (30.0, 300.0))
    >>> bool(0.05 < soon < 0.25 and 0.35 < later <= 0.4)
    True
    """

    def __init__(
        self,
        grid_days: Sequence[float] = GRID_DAYS,
        trees: int = 100,
        learning_rate: float = 0.08,
        leaves: int = 15,
        most_rows: int = 100_000,
        threads: int | None = None,
        random_state: int = 0,
    ) -> None:
        self.grid_days = grid_days
        self.trees = trees
        self.learning_rate = learning_rate
        self.leaves = leaves
        self.most_rows = most_rows
        self.threads = threads
        self.random_state = random_state

    def fit(
        self,
        X: pd.DataFrame,
        outcome: ArrayLike,
        days: ArrayLike,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Learn from past snapshots, those of deals that are still open included.

        Parameters
        ----------
        X : DataFrame of shape (n_rows, n_features)
            Point-in-time features: numbers, text or categories.
        outcome : array-like of str, shape (n_rows,)
            ``won``, ``lost`` or ``open``.
        days : array-like of shape (n_rows,)
            Days from the snapshot to the close, or for open deals to the end of knowledge. Not negative.
        sample_weight : array-like of shape (n_rows,), optional
            Row weights, of what was known at the snapshot alone. How long a deal will live must not be in them.

        Raises
        ------
        TableError
            When outcomes, durations, weights or features do not fit.
        TooLittleDataError
            When no deal was won or none was lost.
        ConfigError
            When the grid does not rise from above 0.
        """
        grid = _grid(self.grid_days)
        ends, waited = _labels(outcome, days, len(X))
        weight = weights_of(sample_weight, len(X))
        self.feature_names_in_ = np.array(X.columns, dtype=object)
        self.categories_ = fit_categories(X)
        matrix = to_matrix(X, self.categories_)
        order = canonical_order(matrix, ends, waited, weight)
        periods = person_periods(ends[order], waited[order], weight[order], grid)
        self._fit_boosters(matrix[order], periods)
        return self

    def win_by(self, X: pd.DataFrame, days: ArrayLike, win_probability: ArrayLike) -> Floats:
        """P(won within `days`), never above P(won at all).

        The share of wins that come within `days` is taken from this model, their number from `win_probability`:
        ``win_probability * won_by(days) / won_by(infinity)``. Within an interval deals close at a steady rate.

        Parameters
        ----------
        X : DataFrame of shape (n_rows, n_features)
        days : float or array-like of shape (n_rows,)
            Days after the snapshot; infinity is allowed. 0 or less gives 0.
        win_probability : array-like of shape (n_rows,)
            Final odds, P(won at all), in [0, 1].

        Returns
        -------
        ndarray of shape (n_rows,), dtype float64
            Rising in `days`, towards `win_probability`.

        Raises
        ------
        NotFittedError
            When neither `fit` nor `load` came first.
        TableError
            When features are absent, or days or odds do not fit.
        """
        until = np.broadcast_to(np.asarray(days, dtype=np.float64), (len(X),))
        return self.win_by_each(X, until[:, None], win_probability)[:, 0]

    def win_by_each(self, X: pd.DataFrame, days: ArrayLike, win_probability: ArrayLike) -> Floats:
        """`win_by` for several horizons at once: `days` of shape (n_horizons,) or (n_rows, n_horizons).

        Returns
        -------
        ndarray of shape (n_rows, n_horizons)
        """
        limit = probabilities(win_probability, len(X))
        asked = np.asarray(days, dtype=np.float64)
        until = np.broadcast_to(asked, (len(X), asked.shape[-1]))
        if np.isnan(until).any():
            raise TableError(
                text(
                    "{sum} of {n} horizons are missing; give days for each row",
                    sum=int(np.isnan(until).sum()),
                    n=len(X),
                )
            )
        course = self._course(X)
        grid = _grid(self.grid_days)
        won = np.column_stack([_won_until(course, horizon, grid) for horizon in until.T])
        return np.minimum(limit[:, None] * won / course.ever_won[:, None], limit[:, None])

    def log_odds(self, X: pd.DataFrame) -> Floats:
        """Log-odds of being won at all, the limit of the win hazards added up, shape (n_rows,)."""
        return np.asarray(logit(np.clip(self._course(X).ever_won, _MIN_ODDS, 1.0 - _MIN_ODDS)))

    def outlook(self, X: pd.DataFrame, win_probability: ArrayLike) -> Outlook:
        """P(won by) at every end of the grid; see `win_by`."""
        limit = probabilities(win_probability, len(X))
        course = self._course(X)
        share = np.minimum(course.won_by / course.ever_won[:, None], 1.0)
        won_by = pd.DataFrame(share * limit[:, None], index=X.index, columns=list(_grid(self.grid_days)))
        return Outlook(won_by, limit)

    def save(self, folder: Path) -> None:
        """Write two LightGBM text files and ``timing.json``; reading them runs no code.

        Raises
        ------
        NotFittedError
            When there is nothing to save yet.
        WorkspaceError
            When the folder cannot be written; an earlier one is left as it was.
        """
        self._require_fitted()
        description = {
            "format": FORMAT,
            "params": self.get_params() | {"grid_days": [float(end) for end in self.grid_days]},
            "features": [str(name) for name in self.feature_names_in_],
            "categories": self.categories_,
        }
        with replacing_folder(Path(folder)) as temporary:
            write_booster(self.closes_, temporary / "closes.txt")
            write_booster(self.won_, temporary / "won.txt")
            (temporary / "timing.json").write_text(json.dumps(description, indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "ClosingTime":
        """Read what `save` wrote.

        Raises
        ------
        WorkspaceError
            When there is no such model, or one of another format.
        """
        folder = Path(folder)
        if not (folder / "timing.json").exists():
            raise WorkspaceError(text("{folder} holds no timing model; train one first", folder=folder))
        description = json.loads((folder / "timing.json").read_text())
        if description["format"] != FORMAT:
            raise WorkspaceError(
                text(
                    "{folder} has a timing model of format {format}, this winpredict reads format {supported}; "
                    "train again",
                    folder=folder,
                    format=description["format"],
                    supported=FORMAT,
                )
            )
        model = cls(**description["params"])
        model.feature_names_in_ = np.array(description["features"], dtype=object)
        model.categories_ = description["categories"]
        model.closes_ = read_booster(folder / "closes.txt")
        model.won_ = read_booster(folder / "won.txt")
        return model

    def _fit_boosters(self, matrix: Floats, periods: Periods) -> None:
        rng = np.random.default_rng(self.random_state)
        watched = thinned(periods, self.most_rows, rng)
        closing = thinned(periods.take(np.flatnonzero(periods.closed)), self.most_rows, rng)
        fit = partial(self._fit_booster, matrix)
        self.closes_, self.won_ = run_parallel(
            [partial(fit, watched, watched.closed), partial(fit, closing, closing.won)], self.threads
        )

    def _fit_booster(self, matrix: Floats, periods: Periods, label: NDArray[np.bool_]) -> lgb.Booster:
        data = lgb.Dataset(
            np.column_stack([matrix[periods.row], periods.interval]),
            label=label.astype(np.float64),
            weight=periods.weight / periods.weight.mean(),
            categorical_feature=category_places([str(name) for name in self.feature_names_in_], self.categories_),
            params={"max_bin": 63, "bin_construct_sample_cnt": len(label), "verbosity": -1},
        )
        return lgb.train(self._lightgbm_params(len(label)), data, num_boost_round=self.trees)

    def _lightgbm_params(self, n_rows: int) -> dict[str, Any]:
        return {
            "objective": "binary",
            "learning_rate": self.learning_rate,
            "num_leaves": self.leaves,
            "min_data_in_leaf": max(20, min(200, n_rows // 100)),
            "lambda_l2": 10.0,
            "cat_smooth": 20.0,
            "max_bin": 63,
            "seed": self.random_state,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "verbosity": -1,
        }

    def _course(self, X: pd.DataFrame) -> _Course:
        """What becomes of each row over the grid, in portions that fit in memory."""
        self._require_fitted()
        matrix = to_matrix(select_columns(X, list(self.feature_names_in_)), self.categories_)
        portions = [
            self._hazards(matrix[start : start + _ROWS_AT_ONCE], len(self.grid_days))
            for start in range(0, max(len(X), 1), _ROWS_AT_ONCE)
        ]
        closes, won = (np.concatenate(parts) for parts in zip(*portions, strict=True))
        return _course_of(closes, won)

    def _hazards(self, matrix: Floats, intervals: int) -> tuple[Floats, Floats]:
        """P(closes in the interval | open at its start) and P(won | closes in it), shape (n_rows, n_intervals)."""
        shape = (len(matrix), intervals)
        if not len(matrix):
            return np.empty(shape), np.empty(shape)
        rows = np.column_stack([np.repeat(matrix, intervals, axis=0), np.tile(np.arange(intervals), len(matrix))])
        calls = [partial(booster.predict, rows, num_threads=1) for booster in (self.closes_, self.won_)]
        closes, won = run_parallel(calls, threads_for(len(matrix), self.threads))
        floored = [np.clip(np.asarray(each), _FLOOR, 1.0 - _FLOOR).reshape(shape) for each in (closes, won)]
        return floored[0], floored[1]

    def _require_fitted(self) -> None:
        if not hasattr(self, "closes_"):
            raise NotFittedError(
                text("this ClosingTime is not trained; call fit with past snapshots, or load a saved one")
            )


def _course_of(closes: Floats, won: Floats) -> _Course:
    open_after: Floats = np.cumprod(1.0 - closes, axis=1).astype(np.float64)
    open_before = np.column_stack([np.ones(len(closes)), open_after[:, :-1]])
    return _Course(
        closes=closes,
        won_by=np.cumsum(open_before * closes * won, axis=1),
        open_after=open_after,
        late_win_share=won[:, -1],
    )


def _won_until(course: _Course, until: Floats, grid: Floats) -> Floats:
    """Cumulative incidence of a win by each row's own day."""
    row = np.arange(until.size)
    ends = np.concatenate([[0.0], grid])
    place = np.clip(np.searchsorted(ends, until, side="right") - 1, 0, grid.size - 1)
    widths = np.diff(ends)
    part = np.clip((until - ends[place]) / widths[place], 0.0, 1.0)
    won_by = np.column_stack([np.zeros(until.size), course.won_by])
    before, after = won_by[row, place], won_by[row, place + 1]
    within = before + (after - before) * _share_of_closes(course.closes[row, place], part)
    late = np.maximum(until - grid[-1], 0.0) / widths[-1]
    closed_late = -np.expm1(late * np.log1p(-course.closes[:, -1]))
    return np.asarray(within + course.open_after[:, -1] * course.late_win_share * closed_late)


def _share_of_closes(closes: Floats, part: Floats) -> Floats:
    """Of the closes in an interval, those in the first `part` of it, at a steady rate."""
    return np.asarray(np.expm1(part * np.log1p(-closes)) / -closes)


def _grid(days: Sequence[float]) -> Floats:
    grid = np.asarray(days, dtype=np.float64)
    if grid.ndim != 1 or not grid.size or not (np.diff(grid, prepend=0.0) > 0).all() or not np.isfinite(grid).all():
        raise ConfigError(
            text(
                "timing.grid_days must be rising numbers of days above 0, such as 7, 30, 90; got {days}",
                days=list(days),
            )
        )
    return grid


def _labels(outcome: ArrayLike, days: ArrayLike, n: int) -> tuple[NDArray[np.str_], Floats]:
    ends, waited = np.asarray(outcome, dtype=np.str_), np.asarray(days, dtype=np.float64)
    if ends.shape != (n,) or waited.shape != (n,):
        raise TableError(
            text(
                "there are {n} rows, {size} outcomes and {durations} durations; give one each a row",
                n=n,
                size=ends.size,
                durations=waited.size,
            )
        )
    unknown = sorted(set(ends.tolist()) - set(OUTCOMES))
    if unknown:
        raise TableError(
            text(
                "unknown outcome(s) {unknown}; an outcome is one of {outcomes}",
                unknown=", ".join(unknown[:5]),
                outcomes=", ".join(OUTCOMES),
            )
        )
    wrong = int((~(waited >= 0.0)).sum())
    if wrong:
        raise TableError(
            text(
                "{wrong} of {n} durations are missing or negative; look at as_of and closed_at of those rows",
                wrong=wrong,
                n=n,
            )
        )
    absent = [kind for kind in ("won", "lost") if not (ends == kind).any()]
    if absent:
        raise TooLittleDataError(
            text("no deal was {absent}, so when deals close cannot be learned", absent=" and none was ".join(absent))
        )
    return ends, waited
