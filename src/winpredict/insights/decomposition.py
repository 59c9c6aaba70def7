"""Why the win rate changed: other deals (the mix) or other rates, and in which group of which segment."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict.errors import TableError
from winpredict.insights._causes import ALL_ALIKE, Flags, Kinds, as_texts, candidate_rows, gains, grouped, ranked
from winpredict.insights.labels import group_label, group_named
from winpredict.locale.text import Text, said, text, texts

Floats = NDArray[np.float64]
#: A cause is named from this support on.
SUPPORTED = 0.5
_COUNTS = ("n_before", "n_after", "won_before", "won_after")
_PARTS = ("mix", "rate", "total")


@dataclass(frozen=True)
class Decomposition:
    """The change of a win rate in parts of the groups of one segment, which add up exactly.

    Parameters
    ----------
    frame : DataFrame
        One row a group: group, n_before, n_after, won_before, won_after (int), share_before, share_after (of the
        deals), win_rate_before, win_rate_after (NaN without deals), mix (part of the change because the group became
        more or less common), rate (because its win rate changed), total (both), and bounds of bootstrap intervals (95
        %) ``<part>_low`` and ``<part>_high``. Parts are shares: 0.01 is one point.
    segment : str
    change, mix, rate : float
        Sums over the groups; change is the win rate after minus that before. NaN when a period has no closed deals.
    mix_low, mix_high, rate_low, rate_high : float
        Bootstrap intervals of the sums.
    notes : tuple of Text
        What is missing, and why.
    """

    frame: pd.DataFrame
    segment: str
    change: float
    mix: float
    rate: float
    mix_low: float
    mix_high: float
    rate_low: float
    rate_high: float
    notes: tuple[Text, ...] = ()

    def sentences(self) -> list[str]:
        """What a sales manager must know, the most important first."""
        if np.isnan(self.change):
            return [str(note) for note in self.notes]
        out = [
            _change_of_win_rate(self.change),
            said(
                "From groups winning more or less often: {n:exact_points} points (95% interval {low:exact_points} to "
                "{high:exact_points}).",
                n=self.rate,
                low=self.rate_low,
                high=self.rate_high,
            ),
            said(
                "From the mix of deals: {n:exact_points} points (95% interval {low:exact_points} to "
                "{high:exact_points}).",
                n=self.mix,
                low=self.mix_low,
                high=self.mix_high,
            ),
        ]
        largest = self.frame.iloc[int(self.frame["rate"].abs().to_numpy().argmax())]
        if largest["rate_low"] > 0 or largest["rate_high"] < 0:
            out.append(
                said(
                    "The largest part is {group}: from {before:percent} to {after:percent}, {n:exact_points} points.",
                    group=group_label(self.segment, largest["group"]),
                    before=float(largest["win_rate_before"]),
                    after=float(largest["win_rate_after"]),
                    n=float(largest["rate"]),
                )
            )
        return [*out, *(str(note) for note in self.notes)]


@dataclass(frozen=True)
class Explanation:
    """Which group of which segment explains a change of the win rate best.

    Parameters
    ----------
    candidates : DataFrame
        The most likely first: segment, words, group (`ALL_ALIKE` and `MIX_ONLY` with an empty segment are the rivals),
        n_before, n_after, before, after (win rates), gain (log-likelihood against an unchanged win rate of each kind
        of deal), support (probability of the candidate given that one of them is true).
    change : float
        Win rate after minus before.
    mix : float
        Part of the change that the mix of deals by all segments together explains.
    decomposition : Decomposition or None
        By the segment of the cause; None when no group is the cause.
    """

    candidates: pd.DataFrame
    change: float
    mix: float
    decomposition: Decomposition | None

    @property
    def cause(self) -> pd.Series | None:
        """The row of the group that is the most likely cause; None when it is not clear or no single group."""
        if self.candidates.empty:
            return None
        best = self.candidates.iloc[0]
        return best if best["segment"] and best["support"] >= SUPPORTED else None

    @property
    def cause_points(self) -> float:
        """What the changed win rate of the cause adds to the change of all; NaN without a cause."""
        cause = self.cause
        if cause is None or self.decomposition is None:
            return float("nan")
        frame = self.decomposition.frame
        return float(frame.loc[frame["group"] == cause["group"], "rate"].iloc[0])

    def because(self) -> list[str]:
        """The most likely cause and the part of the mix, a sentence each; empty when there is no change to explain."""
        if np.isnan(self.change):
            return []
        return [self._most_likely(), self.mix_in_words()]

    def _most_likely(self) -> str:
        cause = self.cause
        if cause is None:
            if self.candidates.empty or self.candidates.iloc[0]["support"] < SUPPORTED:
                return said("No single group explains it clearly.")
            if self.candidates.iloc[0]["group"] == ALL_ALIKE:
                return said("All groups of deals changed alike.")
            return said("No group wins more or less often.")
        values: dict[str, Any] = {
            "group": group_named(cause["segment"], cause["words"], cause["group"]),
            "before": float(cause["before"]),
            "after": float(cause["after"]),
            "n": self.cause_points,
        }
        if cause["after"] < cause["before"]:
            return said(
                "Most likely cause: {group}, down from {before:percent} to {after:percent} ({n:exact_points} points).",
                **values,
            )
        return said(
            "Most likely cause: {group}, up from {before:percent} to {after:percent} ({n:exact_points} points).",
            **values,
        )

    def mix_in_words(self) -> str:
        """The part of the mix of deals."""
        if self.mix * self.change < 0 and abs(self.mix) >= 0.005:
            return said(
                "The mix of deals worked the other way: {n:exact_points} points by itself.",
                n=self.mix,
            )
        if abs(self.mix) < abs(self.change) / 2:
            return said("The mix of deals explains only {n:exact_points} points of it.", n=self.mix)
        return said("The mix of deals explains {n:exact_points} points of it.", n=self.mix)

    def sentences(self) -> list[str]:
        """What a sales manager must know."""
        if np.isnan(self.change):
            return [said("Only one of the two periods has closed deals, so there is no change to explain.")]
        return [_change_of_win_rate(self.change), *self.because()]


def _change_of_win_rate(change: float) -> str:
    return str(
        texts(
            "The win rate changed by {n:exact_points} point.",
            "The win rate changed by {n:exact_points} points.",
            n=change,
        )
    )


def decompose(
    before: pd.DataFrame, after: pd.DataFrame, segment: str, *, draws: int = 1000, seed: int = 0
) -> Decomposition:
    """Split the change of the win rate between two periods into mix and rate, by the groups of a segment.

    Parameters
    ----------
    before, after : DataFrame
        Deals of each period with ``outcome`` and the segment's column; open deals are ignored, deals without a value
        are the group "(not recorded)".
    segment : str
        Name of the column.
    draws : int
        Bootstrap samples.
    seed : int

    Returns
    -------
    Decomposition

    Raises
    ------
    TableError
        When the column is missing.

    Notes
    -----
    The symmetric decomposition of Kitagawa (Journal of the American Statistical Association 1955). The mix part of a
    group counts against the overall win rate: more deals of a group that wins more often than others add to it. A group
    without deals in one period has the rate of the other, so that all of its part is mix.

    Examples
    --------
    >>> def deals(a_won, a, b_won, b):
    ...     outcome = ["won"] * a_won + ["lost"] * (a - a_won) + ["won"] * b_won + ["lost"] * (b - b_won)
    ...     return pd.DataFrame({"outcome": outcome, "product": ["A"] * a + ["B"] * b})
    >>> found = decompose(deals(20, 50, 10, 50), deals(5, 50, 10, 50), "product")
    >>> found.frame[["group", "mix", "rate"]].round(3).values.tolist(), round(found.change, 3)
    ([['A', 0.0, -0.15], ['B', 0.0, 0.0]], -0.15)
    """
    counts = _counts(before, after, segment)
    parts = _parts(counts.to_numpy(np.float64).T[:, None, :])
    if np.isnan(parts).any() or counts.empty:
        return _nothing(counts, segment)
    drawn = _parts(_resampled(counts, draws, np.random.default_rng(seed)))
    low, high = np.nanquantile(drawn, (0.025, 0.975), axis=1)
    sums = np.nanquantile(drawn.sum(axis=2), (0.025, 0.975), axis=1)
    frame = _shares(counts)
    for number, part in enumerate(_PARTS):
        frame[part], frame[f"{part}_low"], frame[f"{part}_high"] = parts[number, 0], low[number], high[number]
    mix, rate, change = (float(value) for value in parts[:, 0].sum(axis=1))
    bounds = (float(sums[0, 0]), float(sums[1, 0]), float(sums[0, 1]), float(sums[1, 1]))
    return Decomposition(frame.rename_axis("group").reset_index(), segment, change, mix, rate, *bounds)


def explain(
    before: pd.DataFrame, after: pd.DataFrame, segments: Mapping[str, str], *, draws: int = 1000, seed: int = 0
) -> Explanation:
    r"""Find the group of all segments whose changed win rate explains the change best.

    Parameters
    ----------
    before, after : DataFrame
        Deals of each period with ``outcome`` and the segments' columns; open deals are ignored.
    segments : mapping of str to str
        Columns to look at, with words for people.
    draws, seed : int
        See `decompose`.

    Returns
    -------
    Explanation

    Notes
    -----
    A logistic regression on all segments at once says what the win rate would be if only the mix had changed. Each
    candidate adds one number to it: a changed win rate of one group, or of all deals alike; its gain is half of Rao's
    score statistic. The prior belief is the same in "all alike", in "mix only" and in each segment, and within a
    segment it is shared by the groups, so that a segment of many small groups does not win by its many chances;
    with the gains and a penalty (BIC) that makes the support.

    Examples
    --------
    >>> def deals(a_won, a, b_won, b):
    ...     outcome = ["won"] * a_won + ["lost"] * (a - a_won) + ["won"] * b_won + ["lost"] * (b - b_won)
    ...     return pd.DataFrame({"outcome": outcome, "product": ["A"] * a + ["B"] * b})
    >>> found = explain(deals(200, 500, 200, 500), deals(100, 500, 200, 500), {"product": "product"})
    >>> print(*found.because(), sep="\n")
    Most likely cause: product A, down from 40% to 20% (−10.0 points).
    The mix of deals explains only 0.0 points of it.
    """
    deals = pd.concat([_closed(before), _closed(after)], ignore_index=True)
    later: Flags = np.zeros(len(deals), dtype=bool)
    later[len(_closed(before)) :] = True
    won = np.asarray(deals["outcome"] == "won", dtype=np.float64)
    if not later.any() or later.all():
        return Explanation(ranked([], {}), float("nan"), float("nan"), None)
    present = {name: words for name, words in segments.items() if name in deals}
    groups = {name: grouped(deals[name]) for name in present}
    kinds = Kinds(groups, len(deals))
    expected, gain = gains(won, later, kinds)
    rows = candidate_rows(kinds, won, later)
    candidates = ranked(rows, present, gain, len(deals))
    cause = candidates.iloc[0]["segment"]
    found = decompose(before, after, cause, draws=draws, seed=seed) if cause else None
    change = float(won[later].mean() - won[~later].mean())
    return Explanation(candidates, change, float(expected[later].mean() - expected[~later].mean()), found)


def _closed(deals: pd.DataFrame) -> pd.DataFrame:
    return deals[deals["outcome"] != "open"]


def _counts(before: pd.DataFrame, after: pd.DataFrame, segment: str) -> pd.DataFrame:
    out = {}
    for name, deals in (("before", _closed(before)), ("after", _closed(after))):
        if segment not in deals:
            raise TableError(
                text(
                    "the deals have no column {segment!r}; they have {columns}",
                    segment=segment,
                    columns=", ".join(map(str, deals.columns)),
                )
            )
        won = (deals["outcome"] == "won").astype(np.int64)
        by_group = won.groupby(as_texts(deals[segment]))
        out[f"n_{name}"], out[f"won_{name}"] = by_group.size(), by_group.sum()
    return pd.DataFrame(out).fillna(0).astype(np.int64)[list(_COUNTS)].sort_index()


def _parts(counts: Floats) -> Floats:
    """Mix, rate and total of the groups, shape (3, draws, groups), from counts in the order of `_COUNTS`."""
    with np.errstate(invalid="ignore", divide="ignore"):
        before, after, won_before, won_after = counts
        overall = 0.5 * (won_before.sum(-1) / before.sum(-1) + won_after.sum(-1) / after.sum(-1))
        share_before = before / before.sum(-1, keepdims=True)
        share_after = after / after.sum(-1, keepdims=True)
        rate_before, rate_after = won_before / before, won_after / after
    rate_before, rate_after = (
        np.where(before > 0, rate_before, np.where(after > 0, rate_after, 0.0)),
        np.where(after > 0, rate_after, np.where(before > 0, rate_before, 0.0)),
    )
    mix = (share_after - share_before) * ((rate_before + rate_after) / 2 - overall[..., None]) + 0.0  # no minus zero
    rate = (share_before + share_after) / 2 * (rate_after - rate_before)
    return np.stack([mix, rate, mix + rate])


def _resampled(counts: pd.DataFrame, draws: int, random: np.random.Generator) -> Floats:
    """Counts of both periods with their deals drawn again with replacement."""
    drawn = {}
    for name in ("before", "after"):
        won, n = counts[f"won_{name}"].to_numpy(), counts[f"n_{name}"].to_numpy()
        cells = random.multinomial(n.sum(), np.concatenate([won, n - won]) / n.sum(), size=draws)
        drawn[f"won_{name}"] = cells[:, : len(n)]
        drawn[f"n_{name}"] = cells[:, : len(n)] + cells[:, len(n) :]
    return np.stack([drawn[name] for name in _COUNTS]).astype(np.float64)


def _shares(counts: pd.DataFrame) -> pd.DataFrame:
    out = counts.copy()
    for name in ("before", "after"):
        n = counts[f"n_{name}"]
        out[f"share_{name}"] = n / n.sum()
        out[f"win_rate_{name}"] = counts[f"won_{name}"] / n.where(n > 0)
    return out


def _nothing(counts: pd.DataFrame, segment: str) -> Decomposition:
    frame = _shares(counts).rename_axis("group").reset_index()
    for part in _PARTS:
        frame[part] = frame[f"{part}_low"] = frame[f"{part}_high"] = np.nan
    note = text("Only one of the two periods has closed deals, so there is no change to explain.")
    nan = float("nan")
    return Decomposition(frame, segment, nan, nan, nan, nan, nan, nan, nan, (note,))
