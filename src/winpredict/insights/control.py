"""Signal or noise: which figures differ by more than chance, since when, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from winpredict.errors import TableError
from winpredict.insights import _changes_sentences as wording
from winpredict.insights._control_chart import MIN_PERIODS, ControlChart, Kind, control_chart
from winpredict.insights._control_series import (
    MEASURES,
    DealsByPeriod,
    deals_by_period,
    groups_with_enough,
    notes_on,
    segments_of,
)
from winpredict.insights.deals import deals_at_end
from winpredict.insights.decomposition import Explanation, explain
from winpredict.insights.labels import measure_label
from winpredict.locale.text import Text, text
from winpredict.models.splits import known_before
from winpredict.tables.crm import CRMData
from winpredict.tables.schema import TIME_DTYPE

__all__ = ["Changes", "ControlChart", "Key", "Kind", "changes", "control_chart"]

#: Series without a change by which limits are set; those of measurements are drawn once for all charts, and have to say
#: alone how rare a series is among a hundred charts.
SIMULATIONS = {"xmr": 40_000, "p": 5_000}
#: Measure, segment and group of a chart.
Key = tuple[str, str, str]
_KEY = ["measure", "segment", "group"]
_LATEST = ("earliest", "latest", "before", "after", "n_before", "n_after", "strength")
_COLUMNS = (
    "measure", "segment", "words", "group", "periods", "false_alarm_rate", "p", "p_adjusted", "verdict", "changed_at",
    *_LATEST, "cause_segment", "cause_words", "cause_group", "cause_before", "cause_after", "cause_points",
    "mix_points",
)  # fmt: skip


@dataclass(frozen=True)
class Changes:
    """All charts of a company, and which of them tell a change when the number of charts is allowed for.

    Parameters
    ----------
    frame : DataFrame
        One row a chart: measure (win_rate, new_deals, cycle_days, touches), segment and words (empty for all deals),
        group, periods, false_alarm_rate (of the chart alone), p, p_adjusted (Holm, over all charts), verdict ("change",
        "stands out" for single periods, "wobble", "no limits"), changed_at, earliest, latest, before, after, n_before,
        n_after (of the latest lasting change; NaN or NaT unless the verdict is "change"), strength (how surely the
        level differs, in standard errors), and for win rates what explains the change of all deals at that time:
        cause_segment, cause_words, cause_group (missing where no single group does; it may be the group itself),
        cause_before, cause_after, cause_points, mix_points (shares).
    charts : dict
        The `ControlChart` by (measure, segment, group).
    explanations : dict
        The `winpredict.insights.decomposition.Explanation` of each changed win rate, by the same keys.
    family_rate : float
        Chance that any chart of all is wrongly said to tell a change or to stand out.
    period : {"month", "week"}
    notes : tuple of Text
        What is missing, and why.
    """

    frame: pd.DataFrame
    charts: dict[Key, ControlChart]
    explanations: dict[Key, Explanation]
    family_rate: float
    period: str
    notes: tuple[Text, ...]

    def sentences(self) -> list[str]:
        """What a sales manager must know, the most important first."""
        of_all = wording.of_all(self.frame, self.charts, self.explanations, self.family_rate)
        return [*of_all, *(str(note) for note in self.notes)]


def changes(
    crm: CRMData,
    *,
    as_of: pd.Timestamp | str | None = None,
    attributes: Sequence[str] = (),
    period: Literal["month", "week"] = "month",
    family_rate: float = 0.05,
    seed: int = 0,
    at_end: pd.DataFrame | None = None,
) -> Changes:
    """Tell which figures changed, since when and why: overall and by group.

    Parameters
    ----------
    crm : CRMData
    as_of : Timestamp or str, optional
        Nothing recorded at or after this moment is used; by default the moment of the export.
    attributes : sequence of str
        Static attributes that the leakage audit kept; text ones become segments.
    period : {"month", "week"}
    family_rate : float
        Chance that any of all charts is wrongly said to tell something.
    seed : int
    at_end : DataFrame, optional
        `winpredict.insights.deals.deals_at_end` of what is known then, with these attributes, where it is there.

    Returns
    -------
    Changes

    Notes
    -----
    Win rates go by the period of the close: each is final when the period is over, and a change of the market shows
    at once in all deals that are open then. By period of creation the newest would have to wait for their slow deals
    (lost ones close first, so they would seem to be won less often). The price is a mixture of deals of several months
    of creation, so that a change that concerns new deals only shows gradually; and the first periods of the data, in
    which only quick deals can close, are left out.

    Examples
    --------
    >>> deals = pd.DataFrame({"deal_id": ["a"], "stage": ["Won"], "outcome": ["won"],
    ...                       "created_at": ["2025-01-01"], "closed_at": ["2025-03-01"]})
    >>> changes(CRMData.from_tables(deals)).frame["verdict"].tolist()
    ['no limits', 'no limits', 'no limits', 'no limits']
    """
    if period not in ("month", "week"):
        raise TableError(text("period must be month or week, not {period!r}", period=period))
    crm = known_before(crm, as_of) if crm.dated else crm
    if not crm.dated:
        note = text("The deals carry no dates, so nothing can be seen to change over time.")
        return Changes(pd.DataFrame(columns=list(_COLUMNS)), {}, {}, family_rate, period, (note,))
    found = deals_by_period(crm, deals_at_end(crm, attributes) if at_end is None else at_end, period)
    segments = segments_of(found.deals, attributes)
    charts = _charts(found, segments, period, seed)
    frame = _verdicts(charts, segments, family_rate)
    told = frame[(frame["verdict"] == "change") & (frame["measure"] == "win_rate")]
    keys: list[Key] = [(row["measure"], row["segment"], row["group"]) for _, row in told.iterrows()]
    explanations = {key: _explained(found, segments, charts[key], seed) for key in keys}
    notes = tuple(notes_on(crm, found, MIN_PERIODS, period))
    return Changes(_with_causes(frame, explanations), charts, explanations, family_rate, period, notes)


def _charts(found: DealsByPeriod, segments: Mapping[str, str], period: str, seed: int) -> dict[Key, ControlChart]:
    charts: dict[Key, ControlChart] = {}
    for segment, group, member in groups_with_enough(found, segments):
        for name, measure in MEASURES.items():
            values, counts = found.series(name, member)
            label = measure_label(name, segment, segments.get(segment, ""), group)
            charts[name, segment, group] = control_chart(
                values, kind=measure.kind, counts=counts, log=measure.log, name=label, unit=measure.unit, period=period,
                simulations=SIMULATIONS[measure.kind], seed=seed,
            )  # fmt: skip
    return charts


def _verdicts(charts: Mapping[Key, ControlChart], segments: Mapping[str, str], family_rate: float) -> pd.DataFrame:
    """The frame of `Changes` without causes."""
    frame = pd.DataFrame(list(charts), columns=_KEY)
    every = list(charts.values())
    frame["words"] = frame["segment"].map({"": "", **segments})
    frame["periods"] = [int(chart.frame["low"].notna().sum()) for chart in every]
    frame["false_alarm_rate"] = [chart.false_alarm_rate for chart in every]
    frame["p"] = np.array([chart.p_value for chart in every], dtype=np.float64)
    frame["p_adjusted"] = _holm(frame["p"])
    told = frame["p_adjusted"] <= family_rate
    lasting = np.array([chart.change is not None for chart in every])
    broken = np.array([bool(chart.broken) for chart in every])
    cases = [frame["p"].isna(), told & lasting, told & broken]
    frame["verdict"] = np.select(cases, ["no limits", "change", "stands out"], "wobble")
    rows = [
        chart.change if verdict == "change" else None for chart, verdict in zip(every, frame["verdict"], strict=True)
    ]
    for name in ("period", *_LATEST):
        values = [None if row is None else row[name] for row in rows]
        is_time = name in ("period", "earliest", "latest")
        kind = TIME_DTYPE if is_time else np.dtype("float64")
        frame["changed_at" if name == "period" else name] = pd.Series(values, index=frame.index, dtype=kind)
    return frame


def _holm(p: pd.Series) -> pd.Series:
    """Adjusted for the number of charts (Holm, Scandinavian Journal of Statistics 1979); missing ones stay missing."""
    known = p.dropna()
    return pd.Series(multipletests(known, method="holm")[1] if len(known) else [], index=known.index).reindex(p.index)


def _explained(found: DealsByPeriod, segments: Mapping[str, str], chart: ControlChart, seed: int) -> Explanation:
    """What changed among all deals when this chart did: those closed at the chart's level before against those since.

    All deals, also for the chart of a group: so a group that only follows another one is told from it.
    """
    ended = found.ended
    starts = list(chart.changes["period"])
    at = ended["closed_in"]
    before = ended[(at < starts[-1]) & (at >= (starts[-2] if len(starts) > 1 else at.min()))]
    return explain(before, ended[at >= starts[-1]], segments, seed=seed)


def _with_causes(frame: pd.DataFrame, explanations: Mapping[Key, Explanation]) -> pd.DataFrame:
    rows = []
    for key, found in explanations.items():
        cause = found.cause
        named = (None, None, None, np.nan, np.nan) if cause is None else cause[
            ["segment", "words", "group", "before", "after"]
        ]  # fmt: skip
        rows.append((*key, *named, found.cause_points, found.mix))
    columns = [*_KEY, *_COLUMNS[-7:]]
    return frame.merge(pd.DataFrame(rows, columns=columns), on=_KEY, how="left")[list(_COLUMNS)]
