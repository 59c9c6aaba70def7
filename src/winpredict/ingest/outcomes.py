"""Whether each deal is won, lost or open, and when it closed; stages under one name each."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from winpredict.ingest.profiles import Profile
from winpredict.ingest.quarantine import UNREAD_OUTCOME, Quarantine
from winpredict.ingest.vocabulary import classify_outcome
from winpredict.locale.text import text, texts
from winpredict.tables.rows import repeats_previous, sorted_by
from winpredict.tables.schema import OUTCOME_WORDS, TIME_DTYPE, text_dtype

#: Stages that a profile lacks are named one by one up to so many, the most frequent first.
MAX_NAMED_STAGES = 20
_BRACKETED = re.compile(r"^(?P<stage>.*\S)\s*\((?P<pipeline>[^()]*[^\W\d][^()]*)\)$")
#: A text in brackets behind so many different stages is the name of a pipeline.
MIN_STAGES_OF_A_PIPELINE = 2


def stage_names(spellings: Mapping[str, int], profile: Profile) -> dict[str, str]:
    """One name for the spellings of a stage: case, spaces and the name of a pipeline in brackets do not count.

    The profile's spelling wins, else the most frequent one.

    Parameters
    ----------
    spellings : mapping of str to int
        Cells of each text.
    profile : Profile

    Returns
    -------
    dict of str to str
        Only of texts that get another name.

    Examples
    --------
    >>> from winpredict.ingest.profiles import load_profile
    >>> stage_names({"CLOSED WON": 3, "demo": 1, "Demo": 2}, load_profile("generic"))
    {'CLOSED WON': 'Closed Won', 'demo': 'Demo'}
    """
    listed = [*profile.won, *profile.lost, *profile.stage_order]
    known = {_key(stage): stage for stage in reversed(listed)}
    bases = _bases(spellings)
    frequent: dict[str, str] = {}
    for spelling in sorted(spellings, key=lambda each: (-spellings[each], each)):
        frequent.setdefault(_key(bases.get(spelling, spelling)), bases.get(spelling, spelling))
    names = {}
    for spelling in spellings:
        if spelling in listed:
            continue
        base = bases.get(spelling, spelling)
        name = known.get(_key(spelling)) or known.get(_key(base)) or _bracketless(spelling, known)
        name = name or frequent[_key(base)]
        if name != spelling:
            names[spelling] = name
    return names


def _key(stage: str) -> str:
    return " ".join(stage.casefold().split())


def _bases(spellings: Mapping[str, int]) -> dict[str, str]:
    """Stages without the name of a pipeline that stands behind several of them in brackets."""
    found = {text: match for text in spellings if (match := _BRACKETED.match(text))}
    stages: dict[str, set[str]] = {}
    for match in found.values():
        stages.setdefault(_key(match["pipeline"]), set()).add(_key(match["stage"]))
    return {
        text: match["stage"]
        for text, match in found.items()
        if len(stages[_key(match["pipeline"])]) >= MIN_STAGES_OF_A_PIPELINE
    }


def _bracketless(text: str, known: Mapping[str, str]) -> str | None:
    match = _BRACKETED.match(text)
    return known.get(_key(match["stage"])) if match else None


def renamed_stages(frame: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """Rows with each stage under its one name."""
    if not names or "stage" not in frame:
        return frame
    return frame.assign(stage=frame["stage"].replace(dict(names)).astype(text_dtype()))


def with_outcomes(
    deals: pd.DataFrame, profile: Profile, history: pd.DataFrame | None, quarantine: Quarantine
) -> pd.DataFrame:
    """Won, lost or open: from the outcome itself, the flags, or the stage, in this order.

    Parameters
    ----------
    deals : DataFrame
        Canonical rows, with the flags of `winpredict.ingest.profiles.HELPERS` where there are some.
    profile : Profile
    history : DataFrame or None
        Rows of deal_history; where it tells when a deal reached its end, that is when it closed.
    quarantine : Quarantine
        Is told which stages the profile lacks, and how many deals nothing labels.

    Returns
    -------
    DataFrame
        With outcome, stage, created_at and closed_at, and without the flags.
    """
    stage = _column(deals, "stage", text_dtype())
    by_stage = {**dict.fromkeys(profile.stage_order, "open"), **dict.fromkeys(profile.lost, "lost")}
    by_stage |= dict.fromkeys(profile.won, "won")
    said = _by_flags(deals, _column(deals, "outcome", text_dtype()), stage.map(by_stage))
    of_stage = stage.map(by_stage).astype(text_dtype())
    outcome = said.fillna(of_stage)
    outcome = outcome.fillna(_by_won_flag(deals))
    undecided = outcome.isna() & _column(deals, "is_closed", "boolean").eq(True).fillna(False).astype(bool)
    quarantine.add(
        "deals", deals[undecided], text("closed, but neither its stage nor a flag says won or lost"), "rejected"
    )
    if UNREAD_OUTCOME in deals:
        unread = outcome.isna() & deals[UNREAD_OUTCOME].eq(True).fillna(False).astype(bool) & ~undecided
        quarantine.add(
            "deals", deals[unread], text("its outcome cannot be read, and nothing else tells it"), "rejected"
        )
        undecided |= unread
    deals, stage, outcome = deals[~undecided], stage[~undecided], outcome[~undecided]
    _tell_unknown_stages(deals, stage, outcome, by_stage, profile, quarantine)
    # where the profile lists no open stages, every stage that it does not list is one
    told = outcome.notna() if profile.stage_order else outcome.notna() | stage.notna()
    if "outcome" in deals:  # left empty while a deal is open, as its close is
        told |= _column(deals, "closed_at", TIME_DTYPE).isna()
    quarantine.tally("deals", len(deals))
    quarantine.tally("deals without a label", int((~told).sum()))
    quarantine.tally("deals taken as open", int(outcome.isna().sum()))
    outcome = outcome.fillna("open")
    for ending in ("won", "lost"):
        quarantine.tally(ending, int((outcome == ending).sum()))
    closed_at = _column(deals, "closed_at", TIME_DTYPE)
    if not any(source.snapshots for source in profile.tables.get("deal_history", ())):
        closed_at = _closing_times(deals, outcome, history, profile).fillna(closed_at)
    out = deals.assign(
        outcome=outcome.astype(text_dtype()),
        stage=stage,
        created_at=_column(deals, "created_at", TIME_DTYPE),
        closed_at=closed_at.mask(outcome == "open").astype(TIME_DTYPE),
    )
    quarantine.tally("deals without created_at", int(out["created_at"].isna().sum()))
    return out.drop(columns=["is_won", "is_closed", "modified_at", UNREAD_OUTCOME], errors="ignore")


def _column(deals: pd.DataFrame, name: str, kind: Any) -> pd.Series:
    """A column, or an empty one of its kind."""
    values: pd.Series = deals[name].astype(kind) if name in deals else pd.Series(None, index=deals.index, dtype=kind)
    return values


def _by_flags(deals: pd.DataFrame, outcome: pd.Series, by_stage: pd.Series) -> pd.Series:
    if "is_closed" not in deals:
        return outcome
    closed, won = deals["is_closed"], _column(deals, "is_won", "boolean")
    outcome = outcome.mask(outcome.isna() & closed.eq(False).fillna(False), "open")
    outcome = outcome.mask(outcome.isna() & (closed & won).fillna(False), "won")
    if "is_won" in deals:
        # a won flag that is false says lost, unless the stage says won: the stage is what people set
        return outcome.mask(outcome.isna() & (closed & ~won).fillna(False) & by_stage.ne("won"), "lost")
    return outcome


def _by_won_flag(deals: pd.DataFrame) -> pd.Series:
    """What a won flag says where neither a closed flag nor the stage says more: false may also mean open."""
    empty: pd.Series = pd.Series(np.nan, index=deals.index, dtype=text_dtype())
    if "is_won" not in deals:
        return empty
    won, closed = deals["is_won"], _column(deals, "closed_at", TIME_DTYPE).notna()
    out: pd.Series = empty.mask(won.eq(True).fillna(False), "won")
    if "is_closed" not in deals:
        out = out.mask(won.eq(False).fillna(False) & closed, "lost")
    return out


def _tell_unknown_stages(
    deals: pd.DataFrame,
    stage: pd.Series,
    outcome: pd.Series,
    by_stage: Mapping[str, str],
    profile: Profile,
    quarantine: Quarantine,
) -> None:
    unknown = stage.notna() & ~stage.isin(list(by_stage))
    counts = stage[unknown & outcome.isna()].value_counts()
    for name, deals_there in counts.items():
        if (sounds := classify_outcome(str(name))) in ("won", "lost"):
            quarantine.confirm(
                texts(
                    '{n:count} deal is at the stage "{stage}", which sounds {outcome}; the profile does not list it, '
                    "so it counts as open",
                    '{n:count} deals are at the stage "{stage}", which sounds {outcome}; the profile does not list it, '
                    "so they count as open",
                    stage=str(name),
                    outcome=OUTCOME_WORDS[sounds],
                ),
                f"{sounds}: [{name}]",
                int(deals_there),
            )
    if not profile.stage_order:
        return
    frequent = stage[unknown].value_counts().sort_index(kind="stable").sort_values(ascending=False, kind="stable")
    named = list(frequent.index[:MAX_NAMED_STAGES])
    groups = [
        (
            text('the profile lacks the stage "{stage}"', stage=str(name)),
            text('the profile lacks the stage "{stage}", taken as open', stage=str(name)),
            stage.eq(name),
        )
        for name in named
    ]
    others = text("the profile lacks other stages"), text("the profile lacks other stages, taken as open")
    groups.append((*others, unknown & ~stage.isin(named)))
    for cause, taken_as_open, rows in groups:
        rows = unknown & rows.fillna(False).astype(bool)
        quarantine.add("deals", deals[rows & outcome.notna()], cause, "repaired")
        quarantine.add("deals", deals[rows & outcome.isna()], taken_as_open, "repaired")


def _closing_times(
    deals: pd.DataFrame, outcome: pd.Series, history: pd.DataFrame | None, profile: Profile
) -> pd.Series:
    """When a closed deal entered its last run of stages of its outcome, where the history tells."""
    missing: pd.Series = pd.Series(pd.NaT, index=deals.index, dtype=TIME_DTYPE)
    if history is None or "stage" not in history:
        return missing
    columns = ["deal_id", "changed_at", "stage"]
    stages = sorted_by(history.loc[history["stage"].notna(), columns], columns)
    endings = {**dict.fromkeys(profile.lost, "lost"), **dict.fromkeys(profile.won, "won")}
    stages = stages.assign(ending=stages["stage"].map(endings).astype(text_dtype()))
    starts = stages[~repeats_previous(stages, ["deal_id", "ending"])]
    goes_on = np.append(repeats_previous(starts, ["deal_id"])[1:], False)[: len(starts)]
    last = starts[~goes_on].set_index("deal_id")
    last = last.reindex(deals["deal_id"]).set_axis(deals.index)
    return last["changed_at"].where(last["ending"] == outcome).astype(TIME_DTYPE)
