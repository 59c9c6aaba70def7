"""All charts of a company in words: what changed, what only wobbles, and how sure that is."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from winpredict.insights._control_sentences import change, named, normal_variation, stood_out
from winpredict.insights._phrases import counted, percent
from winpredict.insights.decomposition import points

if TYPE_CHECKING:
    from winpredict.insights.control import ControlChart, Key
    from winpredict.insights.decomposition import Explanation

#: So many sentences about what changed at most.
_MAX_SENTENCES = 6


def of_all(
    frame: pd.DataFrame,
    charts: Mapping["Key", "ControlChart"],
    explanations: Mapping["Key", "Explanation"],
    family_rate: float,
) -> list[str]:
    """What changed, all deals before groups and the surest first; then what goes along with it; then wobbles."""
    judged = frame[frame["verdict"] != "no limits"]
    if judged.empty:
        return []
    told = judged[judged["verdict"] != "wobble"]
    unchanged = judged[(judged["verdict"] == "wobble") & (judged["segment"] == "")]
    said = [_format_change(row, charts, explanations) for row in _ordered(told)]
    more = len(said) - _MAX_SENTENCES
    said = [*said[:_MAX_SENTENCES], *_along(told)]
    if more > 0:
        said.append(f"{counted(more, 'further chart')} told a change.")
    said += [f"Wobble: {normal_variation(charts[_key(row)])}." for _, row in unchanged.iterrows()]
    return [*said, _chance(judged, family_rate)]


def _key(row: pd.Series) -> "Key":
    return row["measure"], row["segment"], row["group"]


def _follows(told: pd.DataFrame) -> pd.Series:
    """Groups whose win rate changed because that of another group did."""
    itself = (told["cause_segment"] == told["segment"]) & (told["cause_group"] == told["group"])
    return told["cause_group"].notna() & ~itself & (told["segment"] != "")


def _ordered(told: pd.DataFrame) -> list[pd.Series]:
    told = told[~_follows(told)]
    places = pd.DataFrame(
        {"other": told["measure"] != "win_rate", "group": told["segment"] != "", "weak": -told["strength"].fillna(0)}
    ).sort_values(["other", "group", "weak"], kind="stable")
    return [told.loc[place] for place in places.index]


def _format_change(
    row: pd.Series, charts: Mapping["Key", "ControlChart"], explanations: Mapping["Key", "Explanation"]
) -> str:
    chart = charts[_key(row)]
    if row["verdict"] == "stands out" or chart.change is None:
        return f"The {chart.name} stood out {stood_out(chart)}; there is no lasting change."
    said = f"The {chart.name} changed {change(chart.change, chart)}"
    found = explanations.get(_key(row))
    if found is None:
        return f"{said}."
    if row["segment"] == "":
        earlier = [f" An earlier change came {change(one, chart)}." for _, one in chart.changes.iloc[:-1].iterrows()]
        return f"{said}; {found.because()}.{''.join(reversed(earlier))}"
    return f"{said}{_own_part(row, found)}."


def _own_part(row: pd.Series, found: "Explanation") -> str:
    """What the change of a group means for all deals."""
    if pd.isna(row["cause_group"]):
        return ""
    return f"; this alone changed the overall win rate by {points(found.cause_points)}, {found.mix_in_words()}"


def _along(told: pd.DataFrame) -> list[str]:
    """One sentence for each cause that other groups follow."""
    following = told[_follows(told)].sort_values("strength", ascending=False)
    said = []
    for (segment, words, group), rows in following.groupby(["cause_segment", "cause_words", "cause_group"]):
        names = [named(row["segment"], row["words"], row["group"]) for _, row in rows.iterrows()]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        cause = named(str(segment), str(words), str(group))
        said.append(f"The win rate also changed for {', '.join(names[:3])}{more}, most likely because of {cause}.")
    return said


def _chance(judged: pd.DataFrame, family_rate: float) -> str:
    many = len(judged) > 1
    return (
        f"{counted(len(judged), 'chart')} {'were' if many else 'was'} looked at; the chance that any of them is named "
        f"here although nothing changed is {percent(family_rate)}."
    )
