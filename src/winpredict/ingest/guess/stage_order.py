"""The likely order of the open stages."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from winpredict.ingest.guess.columns import ColumnFacts
from winpredict.ingest.guess.contents import mean_by
from winpredict.ingest.guess.outcomes import Point
from winpredict.ingest.profiles import load_profile
from winpredict.ingest.vocabulary import plain
from winpredict.locale.text import Text, text

_NUMBERED = re.compile(r"^\D{0,8}?\s*[(\[]?(\d{1,3})(?:[.,](\d{1,2}))?(?!\d)")
#: Profiles of CRMs whose stages are typical.
_CRMS = ("salesforce", "hubspot", "zoho")
_MIN_SHARE_NUMBERED = 0.7
_LINE = "stage_order"


def order_by_visits(stages: Sequence[str], stage: pd.Series, deal: pd.Series, time: pd.Series) -> list[str]:
    """Stages by when deals are first in them, of all stages that the deal has been in.

    Parameters
    ----------
    stages : sequence of str
        The stages to order.
    stage, deal, time : Series
        Of a history, or of states on several days.

    Examples
    --------
    >>> days = pd.Series(pd.to_datetime(["2025-01-01", "2025-01-05", "2025-01-02", "2025-01-09"]))
    >>> order_by_visits(["Offer", "Demo"], pd.Series(["Demo", "Offer"] * 2), pd.Series(["a", "a", "b", "b"]), days)
    ['Demo', 'Offer']
    """
    visits = pd.DataFrame({"stage": stage.to_numpy(), "deal": deal.to_numpy(), "time": time.to_numpy()}).dropna()
    visits = visits[visits["stage"].isin(stages)]
    first = visits.groupby(["deal", "stage"])["time"].min().reset_index()
    first = first.merge(first, on="deal", suffixes=("", "_other"))
    pairs = first[first["stage"] != first["stage_other"]]
    # of two stages the one that most deals were in first goes first
    before = pairs[pairs["time"] < pairs["time_other"]].groupby(["stage", "stage_other"]).size()
    wins = {
        each: sum(
            int(np.sign(before.get((each, other), 0) - before.get((other, each), 0)))
            for other in stages
            if other != each
        )
        for each in stages
    }
    return sorted(stages, key=lambda each: (-wins[each], *_typical_key(each)))


def stage_order(
    stages: Sequence[str],
    *,
    stage: ColumnFacts,
    chances: pd.Series | None = None,
    ages: pd.Series | None = None,
) -> tuple[list[str], list[Point]]:
    """Open stages in their likely order, where no history tells it.

    Parameters
    ----------
    stages : sequence of str
    stage : ColumnFacts
        The stage of each deal, under these names.
    chances : Series, optional
        Probability of each deal.
    ages : Series, optional
        Days since each deal was created.

    Returns
    -------
    order : list of str
    points : list of Point
        What a person should confirm.

    Examples
    --------
    >>> stage = ColumnFacts("stage", pd.Series(["Offer", "Demo"], dtype="str"), np.arange(2), None)
    >>> stage_order(["Offer", "Demo"], stage=stage)
    (['Demo', 'Offer'], [])
    """
    if len(stages) < 2:
        return list(stages), []
    if numbered := _by_number(stages):
        only_numbers = all(each.isdigit() for each in stages)
        return numbered, [_point(numbered, _BY_NUMBERS)] if only_numbers else []
    typical = {each: place for each in stages if (place := _typical_place(each)) is not None}
    if len(typical) == len(stages):
        order = sorted(stages, key=lambda each: (typical[each], each))
        certain = len(set(typical.values())) == len(stages)
        return order, [] if certain else [_point(order, _AS_USUAL)]
    by_chance = {} if chances is None else mean_by(stage, chances)
    if all(each in by_chance for each in stages) and len({by_chance[each] for each in stages}) > 1:
        order = sorted(stages, key=lambda each: (by_chance[each], typical.get(each, float("inf")), each))
        return order, [_point(order, _BY_PROBABILITIES)]
    by_age = {} if ages is None else mean_by(stage, ages)
    order = sorted(stages, key=lambda each: (by_age.get(each, float("inf")), each))
    order = _with_typical(order, typical)
    return order, [_point(order, _BY_AGE if by_age else _BY_NAMES)]


_BY_NUMBERS = text("the order of the open stages is taken to be {order}, by their numbers")
_AS_USUAL = text("the order of the open stages is taken to be {order}, as such stages usually follow each other")
_BY_PROBABILITIES = text("the order of the open stages is taken to be {order}, by their probabilities")
_BY_AGE = text("the order of the open stages is taken to be {order}, by the mean age of their deals")
_BY_NAMES = text("the order of the open stages is taken to be {order}, by their names")


def _point(order: Sequence[str], reason: Text) -> Point:
    return Point(str(reason.with_values(order=" > ".join(order))), _LINE)


def _by_number(stages: Sequence[str]) -> list[str]:
    """Stages by the number in front of them; empty where they have none."""
    numbers = {each: _number(each) for each in stages}
    known = [number for number in numbers.values() if number is not None]
    if len(known) < _MIN_SHARE_NUMBERED * len(stages) or len(set(known)) < 2:
        return []
    return sorted(stages, key=lambda each: (numbers[each] is None, numbers[each] or (0, 0), each))


def _number(stage: str) -> tuple[int, int] | None:
    match = _NUMBERED.match(stage)
    return None if match is None else (int(match[1]), int(match[2] or 0))


def _with_typical(order: Sequence[str], typical: Mapping[str, float]) -> list[str]:
    """The same order, with the stages whose usual order is known in that order among themselves."""
    known = iter(sorted(typical, key=lambda each: (typical[each], each)))
    return [next(known) if each in typical else each for each in order]


def _typical_place(stage: str) -> float | None:
    """Place of a stage in a typical pipeline; None where its words are not known."""
    exact = _places_in_crms().get(plain(stage))
    if exact is not None:
        return exact
    words = f" {plain(stage)} "
    places = [place for place, step in enumerate(_steps()) for word in step if _has(words, word)]
    return float(max(places)) if places else None


def is_typical(stage: str) -> bool:
    """Whether a name is that of an open stage as pipelines have them, or a numbered one.

    Examples
    --------
    >>> is_typical("Angebot erstellt"), is_typical("Phase 3"), is_typical("Went cold")
    (True, True, False)
    """
    return _typical_place(stage) is not None or _number(stage) is not None


def _typical_key(stage: str) -> tuple[float, str]:
    place = _typical_place(stage)
    return (float("inf") if place is None else place, stage)


def _has(words: str, wanted: str) -> bool:
    if any("\u3040" <= letter <= "\u9fff" for letter in wanted):
        return wanted.removesuffix("*") in words
    if wanted.endswith("*"):
        return f" {wanted.removesuffix('*')}" in words
    return f" {wanted} " in words


@cache
def _steps() -> tuple[tuple[str, ...], ...]:
    steps = yaml.safe_load((Path(__file__).parent / "typical_stages.yaml").read_text(encoding="utf-8"))
    return tuple(
        tuple(plain(word.removesuffix("*")) + ("*" if word.endswith("*") else "") for word in step) for step in steps
    )


@cache
def _places_in_crms() -> dict[str, float]:
    """Places of the stages of a new CRM, by the steps of a typical pipeline, in the CRM's own order."""
    places: dict[str, float] = {}
    for name in _CRMS:
        order = load_profile(name).stage_order
        last = 0.0
        for stage in order:
            words = f" {plain(stage)} "
            steps = [place for place, step in enumerate(_steps()) for word in step if _has(words, word)]
            last = max(last + 0.01, float(max(steps)) if steps else last + 0.01)
            places.setdefault(plain(stage), last)
    return places
