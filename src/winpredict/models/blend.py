"""What deals held out decide: how large the trees are, how much the linear model weighs, and the calibration."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from winpredict.models._frames import Floats
from winpredict.models.calibration import LogOddsCalibrator
from winpredict.models.learners import Learners, Rows, TreeSize, log_odds_of

#: The calibration line has a normal prior of this inverse variance around leaving the odds as they are.
_CALIBRATION_RIDGE = 100.0
#: Weights of the linear model to choose from.
_BLENDS = (0.0, 0.25, 0.5, 0.75, 1.0)
#: Log loss, summed over deals, by which one half of the blend alone, or odds drawn in, must be better to be taken.
_DOUBT = 8.0
#: Trees of 31 leaves take over ten times as long to explain as those of 7 (docs/benchmarks.md): larger ones must lower
#: the log loss by at least this share of it, and by so many standard errors.
_WORTH = 0.004
_SURE = 1.64
#: Groups of deals by their odds, and the share of their variance about what happened that the final models keep:
#: unlike the candidates they have learned from the deals held out as well. One half made intervals of 80% hold the mean
#: odds of 80-90% of the groups in three simulated companies, with a change of the market and without.
_GROUPS = 10
_VARIANCE_KEPT = 0.5
#: Models a candidate; fewer than in the end, to be quick.
_CHOOSING_BAGS = 2


@dataclass(frozen=True)
class Choice:
    """Tree size, weight of the linear model against the trees, and calibration.

    Parameters
    ----------
    size : TreeSize
    linear_weight : float
    calibrator : LogOddsCalibrator
    group_variance : float
        Variance, in log-odds, by which the mean odds of a group of like deals may be off beside what chance in the
        training data explains; see `group_variance`.
    held_out_log_odds : ndarray of shape (n_held_out,), optional
        What the chosen candidate, fitted on the other rows, said of those held out.
    """

    size: TreeSize
    linear_weight: float
    calibrator: LogOddsCalibrator
    group_variance: float = 0.0
    held_out_log_odds: Floats | None = None

    @classmethod
    def as_set(cls, size: TreeSize, linear_weight: float | None) -> "Choice":
        """All as it is set, and the odds left as they are."""
        calibrator = LogOddsCalibrator()
        calibrator.slope_, calibrator.intercept_ = 1.0, 0.0
        return cls(size, 0.5 if linear_weight is None else linear_weight, calibrator)


def candidate_sizes(given: TreeSize, large_leaves: int) -> list[TreeSize]:
    """The trees as they are set, then larger and larger ones."""
    sizes = [given]
    if large_leaves > given.leaves:
        share = max(given.feature_share, 0.5)
        for times in (1, 2, 4):
            rate = min(1.0, 2 * times * given.learning_rate)
            sizes.append(TreeSize(times * large_leaves, max(1, given.trees // 2), rate, share))
    return sizes


def choose(
    rows: Rows,
    fold: NDArray[np.int64],
    learners: Learners,
    sizes: Sequence[TreeSize],
    *,
    bags: int,
    linear_weight: float | None,
) -> Choice | None:
    """Tree size, blend and calibration that do best on deals held out; None where these teach nothing.

    Parameters
    ----------
    rows : Rows
        All that there is to learn from.
    fold : ndarray of int64, shape (n_rows,)
        Rows of each number above 0 are judged by candidates fitted on all others; those of 0 are only learned from.
    learners : Learners
    sizes : sequence of TreeSize
        From small to large; see `candidate_sizes`.
    bags : int
        Models a candidate, at most; two are enough to choose by.
    linear_weight : float, optional
        Weight of the linear model where it is set and not to be chosen.
    """
    judged = rows.take(fold > 0)
    folds = np.unique(fold[fold > 0])
    if len(judged.y) == 0 or any(len(np.unique(rows.y[fold != number])) < 2 for number in folds):
        return None
    # as in the pipeline of a day, a long deal counts more often
    weight = judged.weight * (judged.deals / judged.weight.sum())
    shares = _BLENDS if linear_weight is None else (linear_weight,)
    bags = min(bags, _CHOOSING_BAGS)
    parts = [(rows.take(fold != number), fold[fold > 0] == number) for number in folds]
    linear = np.empty(len(judged.y))
    for others, here in parts:
        linear[here] = np.mean(
            [each.log_odds(judged.matrix[here]) for each in learners.fit_linears(others, bags)], axis=0
        )
    best: _Candidate | None = None
    for size in sizes:
        trees = np.empty(len(judged.y))
        for others, here in parts:
            boosters = learners.fit_trees(others, size, bags)
            trees[here] = log_odds_of(judged.matrix[here], boosters, learners.threads).mean(axis=0)
        found = _best_blend(size, shares, trees, linear, judged.y, weight)
        if best is not None and not is_worth_more(found.losses, best.losses, weight, judged.groups):
            break  # larger still would not be worth it either
        best = found
    assert best is not None, "there is a size to try"
    calibrator = _calibrated(best, judged.y, weight)
    beyond_chance = group_variance(calibrator.transform(best.log_odds), judged.y, judged.weight, judged.groups)
    return Choice(best.size, best.share, calibrator, _VARIANCE_KEPT * beyond_chance, best.log_odds)


@dataclass(frozen=True)
class _Candidate:
    """A blend with trees of a size, and how it did on deals held out."""

    size: TreeSize
    share: float
    log_odds: Floats
    losses: Floats


def is_worth_more(losses: Floats, others: Floats, weight: Floats, deals: NDArray[np.int64]) -> bool:
    """Whether losses are below others beyond chance, in a paired comparison by deal, and by more than it costs.

    Parameters
    ----------
    losses, others, weight : ndarray of shape (n_rows,)
    deals : ndarray of int64, shape (n_rows,)
        The deal of each row, numbered from 0 without gaps.
    """
    gain = np.bincount(deals, weights=weight * (others - losses))
    by_chance = float(np.sqrt(len(gain)) * gain.std())
    return bool(gain.sum() > max(_SURE * by_chance, _WORTH * float(weight @ others)))


def group_variance(log_odds: Floats, y: Floats, weight: Floats, deals: NDArray[np.int64]) -> float:
    """Variance, in log-odds, of the odds of groups of deals about what happened, beyond what chance explains.

    The deals are parted into tenths by their odds; what their mean odds miss is taken as a random effect of mean 0,
    whose variance the moments give (DerSimonian and Laird 1986).

    Parameters
    ----------
    log_odds, y, weight : ndarray of shape (n_rows,)
        Of rows that the odds were not fitted on; `y` is 1 for won.
    deals : ndarray of int64, shape (n_rows,)
        The deal of each row, numbered from 0 without gaps: a deal ends only once, however often it was looked at.

    Examples
    --------
    >>> won = np.random.default_rng(0).permutation(np.repeat([0.0, 1.0], 500))  # even odds
    >>> round(group_variance(np.zeros(1000), won, np.ones(1000), np.arange(1000)), 1)
    0.0
    >>> round(group_variance(np.ones(1000), won, np.ones(1000), np.arange(1000)), 1)  # 73% said
    1.4
    """
    odds = expit(log_odds)
    order = np.argsort(odds, kind="stable")
    reached = np.cumsum(weight[order])
    group = np.minimum((reached / reached[-1] * _GROUPS).astype(np.int64), _GROUPS - 1)
    misses, chances = [], []
    for rows in (order[group == number] for number in range(_GROUPS)):
        if not len(rows):
            continue
        total = weight[rows].sum()
        expected = float(weight[rows] @ odds[rows]) / total
        by_deal = np.bincount(deals[rows], weights=weight[rows])
        slope = max(expected * (1 - expected), 1e-9)  # from probability to log-odds
        misses.append((float(weight[rows] @ y[rows]) / total - expected) / slope)
        chances.append(float((by_deal**2).sum()) / total**2 / slope)
    miss, chance = np.array(misses), np.array(chances)
    return float(max(0.0, ((miss**2 / chance).sum() - len(miss)) / (1 / chance).sum()))


def _best_blend(
    size: TreeSize, shares: Sequence[float], trees: Floats, linear: Floats, y: Floats, weight: Floats
) -> _Candidate:
    """The best blend with trees of a size, of the log-odds of both members on the rows held out."""
    tried = []
    for share in shares:
        log_odds = (1 - share) * trees + share * linear
        losses = np.logaddexp(0, log_odds) - y * log_odds
        doubt = _DOUBT * (2 * share - 1) ** 2
        tried.append((float(weight @ losses) + doubt, _Candidate(size, share, log_odds, losses)))
    return min(tried, key=lambda each: each[0])[1]


def _calibrated(candidate: _Candidate, y: Floats, weight: Floats) -> LogOddsCalibrator:
    """A slope below 1 where the odds are overconfident beyond doubt, else odds as they are.

    The candidates are fitted on fewer deals than the final models, so a slope that is only likely would draw in odds
    that need it no more. A drift of the level the models learn themselves when they are fitted on all deals, so
    correcting it here would count it twice.
    """
    calibrator = LogOddsCalibrator(ridge=_CALIBRATION_RIDGE).fit(candidate.log_odds, y, sample_weight=weight)
    calibrator.intercept_ = 0.0
    slope = max(calibrator.slope_, 0.0)  # odds that rank the wrong way round are worth nothing
    drawn_in = slope * candidate.log_odds
    gain = float(weight @ (candidate.losses - np.logaddexp(0, drawn_in) + y * drawn_in))
    calibrator.slope_ = slope if gain > _DOUBT else 1.0
    return calibrator
