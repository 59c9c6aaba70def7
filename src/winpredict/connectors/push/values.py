"""What scores look like as values of a CRM's fields, and when two of these say the same."""

import textwrap
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from winpredict.config import Push
from winpredict.connectors.base import FieldKind, ScoreField
from winpredict.errors import ConfigError, TableError
from winpredict.locale.text import Text, text
from winpredict.tables.crm import utc

#: What is pushed, as the config names it: its kind and the label of a field that is made for it.
_PUSHED: Mapping[str, tuple[FieldKind, Text]] = {
    "win_odds": ("percent", text("Win odds")),
    "band": ("text", text("Win odds: band")),
    "reasons": ("long_text", text("Win odds: reasons")),
    "next_step": ("long_text", text("Win odds: next step")),
    "flags": ("text", text("Win odds: flags")),
    "model_version": ("text", text("Win odds: model")),
    "scored_at": ("time", text("Win odds: scored at")),
}
#: Letters of one reason; five of them fit the smallest multi-line field, Zoho's 2,000 letters.
_LONGEST_REASON = 350


def score_fields(fields: Push) -> dict[str, ScoreField]:
    """The fields that are pushed, by what they hold.

    Raises
    ------
    ConfigError
        When the config names none, or one of them twice.

    Examples
    --------
    >>> list(score_fields(Push(band=None, reasons=None, next_step=None, flags=None, model_version=None)))
    ['win_odds', 'scored_at']
    """
    named = {what: getattr(fields, what) for what in _PUSHED}
    found = {what: ScoreField(name, str(_PUSHED[what][1]), _PUSHED[what][0]) for what, name in named.items() if name}
    names = [field.name for field in found.values()]
    if not set(found) - {"scored_at"}:
        raise ConfigError(text("crm.push names no field for the scores; name at least one, such as crm.push.win_odds"))
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(
            text("crm.push has two scores for the field {twice}; name another for one of them", twice=", ".join(twice))
        )
    return found


def wanted_values(scores: pd.DataFrame, fields: Push) -> dict[str, dict[str, Any]]:
    """What the fields of each deal should hold, as JSON values.

    Parameters
    ----------
    scores : DataFrame
        As `winpredict.explain.scores.score` gives them.
    fields : Push

    Returns
    -------
    dict of str to dict
        By deal and field, in the order of the scores.

    Raises
    ------
    TableError
        When a column is missing, or a deal is there twice.
    """
    wanted = score_fields(fields)
    reasons = [f"reason_{number + 1}" for number in range(fields.reason_count)]
    needed = {"win_odds": ["win_probability"], "reasons": reasons}
    columns = ["deal_id", *(name for what in wanted for name in needed.get(what, [what]))]
    if missing := [name for name in columns if name not in scores]:
        raise TableError(
            text("the scores lack the column(s) {missing}; pass them as score() gives them", missing=", ".join(missing))
        )
    if scores["deal_id"].duplicated().any():
        raise TableError(text("the scores have the same deal twice; pass one row of each"))
    values = {field.name: _values(scores, what, reasons) for what, field in wanted.items()}
    rows = zip(*values.values(), strict=True)
    return {str(deal): dict(zip(values, row, strict=True)) for deal, row in zip(scores["deal_id"], rows, strict=True)}


def same(kind: FieldKind, one: Any, other: Any) -> bool:
    r"""Whether two values of a field say the same, at the precision that every CRM keeps.

    Examples
    --------
    >>> same("percent", "63.40", 63.4), same("text", " high", "high "), same("long_text", "a\r\nb", "a\nb")
    (True, True, True)
    >>> same("time", "2025-03-13T08:00:00.000+0000", "2025-03-13T10:00:00+02:00"), same("text", "", None)
    (True, True)
    """
    return plain(kind, one) == plain(kind, other)


def plain(kind: FieldKind, value: Any) -> float | str | datetime | None:
    """A value as it is compared: percents with one decimal, text trimmed, times to the second, None for empty."""
    text = "" if value is None else "\n".join(line.strip() for line in str(value).strip().splitlines())
    if not text:
        return None
    if kind == "percent":
        return _percent(text)
    return moment_of(text) or text if kind == "time" else text


def moment_of(value: Any) -> datetime | None:
    """A time as a CRM sends it, to the second; None where there is none, or none that can be read.

    Examples
    --------
    >>> moment_of("1741852800000") == moment_of("2025-03-13T08:00:00.123Z")
    True
    """
    text = "" if value is None else str(value).strip()
    try:
        moment = datetime.fromtimestamp(int(text) / 1000, UTC) if text.isdigit() else datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        return None
    return (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)).replace(microsecond=0)


def _percent(text: str) -> float | str:
    try:
        return round(float(text), 1)
    except ValueError:
        return text


def _values(scores: pd.DataFrame, what: str, reasons: list[str]) -> list[Any]:
    if what == "win_odds":
        return [None if pd.isna(odds) else round(100 * float(odds), 1) for odds in scores["win_probability"]]
    if what == "scored_at":
        return [utc(moment).floor("s").isoformat() for moment in scores["scored_at"]]
    if what == "flags":  # the same words in every language: list views and automations of the CRM go by them
        return [str(flags).replace("_", " ").replace(",", ", ") or None for flags in scores["flags"].fillna("")]
    if what == "next_step":
        return [_lines((step,)) for step in scores["next_step"]]
    if what == "reasons":
        return [_lines(row) for row in scores[reasons].itertuples(index=False)]
    return [None if pd.isna(value) else str(value).strip() or None for value in scores[what]]


def _lines(reasons: tuple[Any, ...]) -> str | None:
    told = [each for each in reasons if isinstance(each, str) and each.strip()]
    return "\n".join(textwrap.shorten(each, _LONGEST_REASON, placeholder=" …") for each in told) or None
