"""All charts of a company in words: what changed, what is normal variation, and how sure that is."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from winpredict.insights._control_sentences import change, earlier_changes, normal_variation, stood_out
from winpredict.insights.labels import group_named
from winpredict.locale.text import said, texts

if TYPE_CHECKING:
    from winpredict.insights.control import ControlChart, Key
    from winpredict.insights.decomposition import Explanation

#: Sentences about what changed, at most.
_MAX_SENTENCES = 6
_NAMED = 3


def of_all(
    frame: pd.DataFrame,
    charts: Mapping["Key", "ControlChart"],
    explanations: Mapping["Key", "Explanation"],
    family_rate: float,
) -> list[str]:
    """What changed, all deals before groups and the surest first; then what goes along with it; then the rest."""
    judged = frame[frame["verdict"] != "no limits"]
    if judged.empty:
        return []
    changed = judged[judged["verdict"] != "wobble"]
    unchanged = judged[(judged["verdict"] == "wobble") & (judged["segment"] == "")]
    every = [_format_change(row, charts, explanations) for row in _ordered(changed)]
    more = len(every) - _MAX_SENTENCES
    out = [*every[:_MAX_SENTENCES], *_along(changed)]
    if more > 0:
        out.append(str(texts("{n:count} more series changed.", "{n:count} more series changed.", n=more)))
    out += [normal_variation(charts[_key(row)]) for _, row in unchanged.iterrows()]
    return [*out, _chance(judged, family_rate)]


def _key(row: pd.Series) -> "Key":
    return row["measure"], row["segment"], row["group"]


def _follows(changed: pd.DataFrame) -> pd.Series:
    """Groups whose win rate changed because that of another group did."""
    itself = (changed["cause_segment"] == changed["segment"]) & (changed["cause_group"] == changed["group"])
    return changed["cause_group"].notna() & ~itself & (changed["segment"] != "")


def _ordered(changed: pd.DataFrame) -> list[pd.Series]:
    changed = changed[~_follows(changed)]
    places = pd.DataFrame(
        {
            "other": changed["measure"] != "win_rate",
            "group": changed["segment"] != "",
            "weak": -changed["strength"].fillna(0),
        }
    ).sort_values(["other", "group", "weak"], kind="stable")
    return [changed.loc[place] for place in places.index]


def _format_change(
    row: pd.Series, charts: Mapping["Key", "ControlChart"], explanations: Mapping["Key", "Explanation"]
) -> str:
    chart = charts[_key(row)]
    if row["verdict"] == "stands out" or chart.change is None:
        return stood_out(chart)
    sentences = [change(chart.change, chart)]
    found = explanations.get(_key(row))
    if found is not None and row["segment"] == "":
        sentences += [*found.because(), *earlier_changes(chart)]
    elif found is not None:
        sentences += _own_part(row, found)
    return " ".join(sentences)


def _own_part(row: pd.Series, found: "Explanation") -> list[str]:
    """What the change of a group means for all deals."""
    if pd.isna(row["cause_group"]):
        return []
    alone = texts(
        "This alone changed the overall win rate by {n:exact_points} point.",
        "This alone changed the overall win rate by {n:exact_points} points.",
        n=found.cause_points,
    )
    return [str(alone), found.mix_in_words()]


def _along(changed: pd.DataFrame) -> list[str]:
    """One sentence for each cause that other groups follow."""
    following = changed[_follows(changed)].sort_values("strength", ascending=False)
    out = []
    for (segment, words, group), rows in following.groupby(["cause_segment", "cause_words", "cause_group"]):
        names = tuple(group_named(row["segment"], row["words"], row["group"]) for _, row in rows.iterrows())
        cause = group_named(str(segment), str(words), str(group))
        more = len(names) - _NAMED
        if more > 0:
            out.append(
                str(
                    texts(
                        "The win rate also changed for {names:listed} and {n:count} other group; most likely cause: "
                        "{cause}.",
                        "The win rate also changed for {names:listed} and {n:count} other groups; most likely cause: "
                        "{cause}.",
                        names=names[:_NAMED],
                        n=more,
                        cause=cause,
                    )
                )
            )
        else:
            out.append(
                said(
                    "The win rate also changed for {names:listed}; most likely cause: {cause}.",
                    names=names,
                    cause=cause,
                )
            )
    return out


def _chance(judged: pd.DataFrame, family_rate: float) -> str:
    return str(
        texts(
            "{n:count} series was examined; the chance of a false alarm among them is {rate:percent}.",
            "{n:count} series were examined; the chance of a false alarm among them is {rate:percent}.",
            n=len(judged),
            rate=family_rate,
        )
    )
