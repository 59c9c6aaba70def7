"""A first profile for an unknown file, from the names and contents of its columns."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from winpredict.errors import ProfileError
from winpredict.ingest.files import read_files
from winpredict.ingest.profiles import MISSING, Profile, Source
from winpredict.ingest.values import as_text, to_numbers, to_times

#: Words of column names by canonical column, the most telling first. Compared without case, blanks and signs.
_NAMES: dict[str, tuple[str, ...]] = {
    "deal_id": ("dealid", "deal", "opportunityid", "recordid", "opportunitynumber", "dealnumber", "id", "number"),
    "created_at": ("createdat", "createddate", "createdate", "createdtime", "created", "opendate", "engagedate",
                   "startdate", "registered", "entered", "added"),
    "closed_at": ("closedat", "closeddate", "closedate", "closingdate", "closed", "wontime", "enddate", "closetime"),
    "outcome": ("outcome", "result", "status", "wonlost", "iswon", "won", "state"),
    "stage": ("stagename", "dealstage", "stage", "phase", "salesstage", "status"),
    "amount": ("amount", "dealvalue", "closevalue", "value", "revenue", "price", "total", "size"),
    "currency": ("currencyisocode", "currency"),
    "owner_id": ("ownerid", "owner", "salesagent", "salesrep", "rep", "seller", "accountexecutive", "assignedto"),
    "account_id": ("accountid", "account", "companyid", "company", "customerid", "customer", "client", "organization"),
    "pipeline": ("pipeline",),
    "lead_source": ("leadsource", "source", "channel"),
    "product": ("productfamily", "productname", "product"),
    "expected_close_date": ("expectedclosedate", "expectedclose", "forecastdate", "duedate"),
    "name": ("dealname", "opportunityname", "title", "name", "subject"),
}  # fmt: skip
_WON = re.compile(r"\bwon\b|\bwin\b|\bsuccess|^signed$|^yes$|^true$|^1$", re.IGNORECASE)
_LOST = re.compile(r"\blost\b|\bloss\b|\bfail|\bdeclined|\bcancel|\brejected|^dead$|^no$|^false$|^0$", re.IGNORECASE)
_MOST_STAGES = 30
_FEWEST_ACCOUNTS = 10
_READABLE = 0.9


def guess_profile(path: Path | str) -> Profile:
    r"""Propose a profile for a file of deals.

    A column is proposed for a canonical one when its name sounds like it and its contents fit: ids differ from row to
    row, times and numbers can be read, outcomes are few.

    Parameters
    ----------
    path : Path or str
        One file.

    Returns
    -------
    Profile
        To be looked through before use: `profile_yaml` writes it.

    Raises
    ------
    InputFileError
        When the file cannot be read.
    ProfileError
        When no column tells won from lost deals.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "pipeline.csv"
    >>> _ = path.write_text("Deal No;Result;Value;Opened\n1;Won;10;2025-01-02\n2;Lost;20;2025-01-03\n")
    >>> guessed = guess_profile(path).tables["deals"][0]
    >>> guessed.columns["outcome"], guessed.values["outcome"]
    (('Result',), {'Won': 'won', 'Lost': 'lost'})
    """
    raw = next(iter(read_files([path])))
    texts = {str(name): as_text(raw.frame[name], MISSING) for name in raw.frame.columns}
    columns: dict[str, str] = {}
    for canonical in _NAMES:
        fits = [name for name in texts if name not in columns.values() and _fits(canonical, name, texts[name])]
        if fits:
            columns[canonical] = min(fits, key=lambda name: _rank(canonical, name))
    endings = _endings(texts, columns)
    source = {
        "file": raw.name,
        "columns": {name: column for name, column in columns.items() if name != "outcome" or "outcome" in endings},
        "values": {"outcome": endings["outcome"]} if "outcome" in endings else {},
    }
    return Profile.model_validate(
        {
            "name": raw.name,
            "description": f"Proposed for {raw.name}; check what is won and lost, and put stage_order into its order",
            "dates": _dates(texts, columns),
            "tables": {"deals": [Source.model_validate(source)]},
            **{key: tuple(stages) for key, stages in endings.items() if key != "outcome"},
        }
    )


def _fits(canonical: str, name: str, texts: pd.Series) -> bool:
    if _rank(canonical, name) == np.inf or texts.isna().all():
        return False
    return _CONTENTS.get(canonical, _anything)(texts.dropna())


def _rank(canonical: str, name: str) -> float:
    """Place of the word that a name is (better) or ends with."""
    words = _NAMES[canonical]
    plain = re.sub(r"[^a-z]", "", re.sub(r"__c$|[ _]n[or]\.?$|[ _](usd|eur|gbp)$", "", name.lower()))
    if plain in words:
        return words.index(plain)
    return min((len(words) + place for place, word in enumerate(words) if plain.endswith(word)), default=np.inf)


def _anything(texts: pd.Series) -> bool:
    return True


def _times(texts: pd.Series) -> bool:
    try:
        _, unread = to_times(texts, "UTC", "guess", "")
    except ProfileError:  # dates, only their order is unclear
        return True
    return bool(unread.mean() <= 1 - _READABLE)


def _numbers(texts: pd.Series) -> bool:
    return bool(to_numbers(texts)[1].mean() <= 1 - _READABLE)


def _differ(texts: pd.Series) -> bool:
    return bool(texts.nunique() >= _READABLE * len(texts))


def _few(texts: pd.Series) -> bool:
    return bool(texts.nunique() <= _MOST_STAGES)


def _outcomes(texts: pd.Series) -> bool:
    return _few(texts) and any(_WON.search(each) for each in texts.unique())


def _many(texts: pd.Series) -> bool:
    return bool(texts.nunique() >= _FEWEST_ACCOUNTS)


_CONTENTS: dict[str, Callable[[pd.Series], bool]] = {
    "deal_id": _differ,
    "created_at": _times,
    "closed_at": _times,
    "expected_close_date": _times,
    "amount": _numbers,
    "outcome": _outcomes,
    "stage": _few,
    "account_id": _many,
    "currency": _few,
    "pipeline": _few,
}


def _endings(texts: dict[str, pd.Series], columns: dict[str, str]) -> dict[str, dict[str, str] | list[str]]:
    """Which values mean won and lost, of the outcome or else of the stage; other stages are open, in unknown order."""
    stage = columns.get("stage")
    if "outcome" in columns:
        values = texts[columns["outcome"]].dropna().unique()
        named = {
            str(each): word for each in values for word, sign in (("won", _WON), ("lost", _LOST)) if sign.search(each)
        }
        if {"won", "lost"} <= set(named.values()):
            rest = {str(each): "open" for each in values if each not in named}
            return {"outcome": named | rest}
    if stage is not None:
        values = texts[stage].dropna().unique()
        won = [str(each) for each in values if _WON.search(each)]
        lost = [str(each) for each in values if _LOST.search(each)]
        if won and lost:
            return {
                "won": won,
                "lost": lost,
                "stage_order": [str(each) for each in values if each not in {*won, *lost}],
            }
    raise ProfileError(
        f"no column tells won from lost deals; there are {', '.join(texts)}. "
        "Write a profile by hand: name the column under tables.deals.columns.outcome or stage, and what is won and lost"
    )


def _dates(texts: dict[str, pd.Series], columns: dict[str, str]) -> str:
    """Month first where nothing tells, since spreadsheets in English write so; the reader is asked to check."""
    for canonical in ("created_at", "closed_at", "expected_close_date"):
        if canonical in columns:
            try:
                to_times(texts[columns[canonical]], "UTC", "guess", "")
            except ProfileError:
                return "month_first"
    return "guess"
