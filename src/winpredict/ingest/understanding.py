"""What an import understood, in a few lines that a person can check before anything is learned from it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from babel.numbers import format_decimal

from winpredict.ingest.quarantine import Quarantine
from winpredict.locale.formats import count
from winpredict.locale.language import current
from winpredict.locale.text import Text, said, text, texts
from winpredict.tables.schema import OUTCOME_COUNTS

_OUTCOMES = ("won", "lost", "open")
#: Causes and columns that are shown one by one; the rest is in the quarantine and in the JSON.
_MAX_LINES, _MAX_EXAMPLES = 8, 3
_DATE = "{:%Y-%m-%d}"
#: Smaller medians are shown with cents.
_WHOLE_FROM = 10


@dataclass(frozen=True)
class Understanding:
    """What was read, and what a person should confirm.

    Parameters
    ----------
    files : list of dict
        path, rows, tables and remark of each file.
    outcomes : dict of str to int
        Deals that are won, lost and open.
    created, closed : tuple of str, or None
        First and last day of creation and of close.
    amounts : dict
        ``filled``, ``median``, and ``currencies`` (deals a code).
    columns : dict of str to dict of str to str
        By table: the raw column that each canonical one was read from.
    lacking : dict of str to dict of str to str
        By table: the canonical columns that the profile names and no file has, with the names that were looked for.
    causes : dict of str to int
        Rows that were left out, merged, rejected or repaired, by cause.
    told : dict of str to str
        The causes as people read them, in the language of the import.
    examples : dict of str to list of str
        Some values a cause.
    remarks : list of str
        How things were read that were not plain.
    points : list of dict
        ``text``, and ``line``: what to write into the profile to change it.
    """

    files: list[dict[str, Any]]
    outcomes: dict[str, int]
    created: tuple[str, str] | None
    closed: tuple[str, str] | None
    amounts: dict[str, Any]
    columns: dict[str, dict[str, str]]
    lacking: dict[str, dict[str, str]]
    causes: dict[str, int]
    told: dict[str, str]
    examples: dict[str, list[str]]
    remarks: list[str]
    points: list[dict[str, str]]

    @property
    def doubtful(self) -> bool:
        """Whether there is anything that a person should confirm."""
        return bool(self.points)

    def summary(self) -> str:
        """The same in words."""
        return "\n".join([*self._facts(), *self.remarks, *self._causes(), *self._points()])

    def _facts(self) -> Iterable[str]:
        used = [each for each in self.files if each["tables"]]
        unused = [_name(each) for each in self.files if not each["tables"]]
        names = ", ".join(map(_told_file, used[:_MAX_LINES]))
        if len(used) > _MAX_LINES:
            yield said("Files: {names} and {n:count} more", names=names, n=len(used) - _MAX_LINES)
        else:
            yield said("Files: {names}", names=names)
        if unused:
            yield said(
                "Not read, since the profile has no place for them: {names}", names=", ".join(unused[:_MAX_LINES])
            )
        if sum(self.outcomes.values()):
            counts = _counts(self.outcomes)
            yield said("Deals: {won}, {lost}, {open}", **counts)
            yield said(
                "Dates: created {created}; closed {closed}", created=_span(self.created), closed=_span(self.closed)
            )
            yield said("Amounts: {amounts}", amounts=self._amounts())
        if columns := self.columns.get("deals"):
            read = ", ".join(name if name == raw else f'{name} = "{raw}"' for name, raw in columns.items())
            yield said("Read: {columns}", columns=read)
        if lacking := self.lacking.get("deals"):
            yield said("Not in the files, though the profile names them: {columns}", columns=", ".join(lacking))

    def _amounts(self) -> Text:
        if not self.amounts["filled"]:
            return text("none")
        codes, median = self.amounts["currencies"], self.amounts["median"]
        deals = {"filled": self.amounts["filled"], "of": sum(self.outcomes.values())}
        if len(codes) > 1:
            counts = ", ".join(f"{code} ({count(number)})" for code, number in codes.items())
            return text("{filled:count} of {of:count} deals, in {currencies}", currencies=counts, **deals)
        middle = (
            count(median)
            if abs(median) >= _WHOLE_FROM
            else format_decimal(median, format="#,##0.00", locale=current().locale)
        )
        if not codes:
            return text("{filled:count} of {of:count} deals, median {median}, currency unknown", median=middle, **deals)
        return text(
            "{filled:count} of {of:count} deals, median {median} {currency}",
            median=middle,
            currency=next(iter(codes)),
            **deals,
        )

    def _causes(self) -> Iterable[str]:
        if not self.causes:
            yield said("Every row came in as it was")
            return
        yield said("Left out, merged, rejected or repaired (all of it is kept in quarantine/):")
        ordered = sorted(self.causes.items(), key=lambda item: (-item[1], item[0]))
        for cause, number in ordered[:_MAX_LINES]:
            told = {"n": number, "cause": self.told.get(cause, cause)}
            if examples := self.examples.get(cause):
                line = text("{n:count} x {cause}, such as {examples}", examples=", ".join(map(repr, examples)), **told)
            else:
                line = text("{n:count} x {cause}", **told)
            yield f"  {line}"
        if len(ordered) > _MAX_LINES:
            more = texts("and {n:count} cause more", "and {n:count} causes more", n=len(ordered) - _MAX_LINES)
            yield f"  {more}"

    def _points(self) -> Iterable[str]:
        if not self.points:
            return
        yield said("Please confirm:")
        for number, point in enumerate(self.points, start=1):
            told = point["text"]
            if point["line"]:
                told = said("{point} [profile: {line}]", point=told, line=point["line"])
            yield f"  {number}. {told}"


def understanding(
    deals: Iterable[pd.DataFrame],
    quarantine: Quarantine,
    files: Sequence[Mapping[str, Any]],
    *,
    rows: Mapping[str, pd.DataFrame],
    won_or_lost: bool = True,
) -> Understanding:
    """What an import understood.

    Parameters
    ----------
    deals : iterable of DataFrame
        The deals table, or its buckets.
    quarantine : Quarantine
        Of the whole import.
    files : sequence of mapping
        path, rows, tables and remark of each file.
    rows : mapping of str to DataFrame
        The rows that were rejected or repaired, by table; see `Quarantine.frames`.
    won_or_lost : bool
        Whether deals are expected to be in these files, so that missing wins or losses are worth a word.

    Returns
    -------
    Understanding
    """
    outcomes: dict[str, int] = {}
    currencies: dict[str, int] = {}
    amounts, created, closed = [], [], []
    for frame in deals:
        for name, number in frame["outcome"].value_counts().items():
            outcomes[str(name)] = outcomes.get(str(name), 0) + int(number)
        created += [frame["created_at"].min(), frame["created_at"].max()]
        closed += [frame["closed_at"].min(), frame["closed_at"].max()]
        if "amount" in frame:
            amounts.append(frame["amount"].dropna())
        if "currency" in frame:
            for name, number in frame["currency"].value_counts().items():
                currencies[str(name)] = currencies.get(str(name), 0) + int(number)
    values = pd.concat(amounts) if amounts else pd.Series(dtype="float64")
    points = [{"text": choice, "line": line} for choice, line in quarantine.points.items()]
    if won_or_lost and outcomes:
        points += _one_sided(outcomes)
    if len(currencies) > 1:
        several = said("amounts are in {n:count} currencies and are not converted", n=len(currencies))
        points.append({"text": several, "line": ""})
    return Understanding(
        files=[_shown(each) for each in files],
        outcomes={name: outcomes.get(name, 0) for name in _OUTCOMES},
        created=_days(created),
        closed=_days(closed),
        amounts={
            "filled": len(values),
            "median": float(values.median()) if len(values) else None,
            "currencies": dict(sorted(currencies.items(), key=lambda item: (-item[1], item[0]))),
        },
        columns=quarantine.columns,
        lacking=quarantine.lacking,
        causes=quarantine.counts,
        told=quarantine.told,
        examples=_examples(rows),
        remarks=quarantine.remarks,
        points=points,
    )


def _counts(outcomes: Mapping[str, int]) -> dict[str, Text]:
    return {name: OUTCOME_COUNTS[name].with_values(n=outcomes.get(name, 0)) for name in _OUTCOMES}


def _one_sided(outcomes: Mapping[str, int]) -> list[dict[str, str]]:
    """That deals of one ending are missing, which an export's filter leaves out."""
    missing = [name for name in ("won", "lost") if not outcomes.get(name)]
    if not missing:
        return []
    counts = _counts(outcomes)
    if missing == ["won"]:
        told = text(
            "{won}, {lost}, {open}: no deal is won. Was the report filtered? Odds need both endings",
            **counts,
        )
    elif missing == ["lost"]:
        told = text(
            "{won}, {lost}, {open}: no deal is lost. Was the report filtered? Odds need both endings",
            **counts,
        )
    else:
        told = text(
            "{won}, {lost}, {open}: no deal is won or lost. Was the report filtered? Odds need both endings",
            **counts,
        )
    return [{"text": str(told), "line": ""}]


def _examples(kept: Mapping[str, pd.DataFrame]) -> dict[str, list[str]]:
    """Some values a cause, of the column that the cause begins with."""
    examples: dict[str, list[str]] = {}
    for table, frame in kept.items():
        for (cause, fate), rows in frame.groupby(["cause", "done"], sort=False):
            column = max((name for name in rows.columns if str(cause).startswith(f"{name} ")), key=len, default=None)
            if column is None or fate not in ("rejected", "repaired"):
                continue
            values = sorted({str(value)[:60] for value in rows[column].dropna().head(1000)})
            if values:
                examples[f"{table}: {cause} ({fate})"] = values[:_MAX_EXAMPLES]
    return examples


def _days(moments: Sequence[pd.Timestamp]) -> tuple[str, str] | None:
    known = [moment for moment in moments if not pd.isna(moment)]
    return (_DATE.format(min(known)), _DATE.format(max(known))) if known else None


def _span(days: tuple[str, str] | None) -> str:
    return said("never") if days is None else said("{first} to {last}", first=days[0], last=days[1])


def _name(file: Mapping[str, Any]) -> str:
    """A file by its own name, with its sheet where it has several."""
    path = str(file["path"]).removeprefix("frame:").rsplit("/", 1)[-1]
    name = str(file.get("name", path))
    return path if path.startswith(name) else f"{path}, {name}"


def _told_file(file: Mapping[str, Any]) -> str:
    facts = {"name": _name(file), "n": file["rows"]}
    if file["remark"]:
        return str(
            texts(
                "{name} ({n:count} row; {remark})", "{name} ({n:count} rows; {remark})", remark=file["remark"], **facts
            )
        )
    return str(texts("{name} ({n:count} row)", "{name} ({n:count} rows)", **facts))


def _shown(file: Mapping[str, Any]) -> dict[str, Any]:
    """What was read of a file, with the remark in the language of the moment."""
    remarks = (each if isinstance(each, str) else str(Text.from_json(each)) for each in file["remarks"])
    return {name: fact for name, fact in file.items() if name != "remarks"} | {"remark": "; ".join(remarks)}
