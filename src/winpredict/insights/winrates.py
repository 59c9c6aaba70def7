"""Closed-won analysis: how often deals are won, in which segments, since when, and why they are lost."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from winpredict.errors import ConfigError
from winpredict.insights import _winrate_sentences as wording
from winpredict.insights._loss_reasons import loss_reason_column, loss_reasons
from winpredict.insights._rates import adjusted, difference, groups_differ, share, shrunken, wilson
from winpredict.insights.deals import SEGMENTS, deals_at_end
from winpredict.insights.labels import mixed_currencies, segment_label
from winpredict.locale.text import Text, said, text, texts
from winpredict.models.splits import known_before
from winpredict.tables.crm import CRMData, utc

PERIOD_DAYS = 365
#: A group with fewer closed deals is marked as small, and nothing is told about it.
MIN_DEALS = 20
#: A segment with more groups is compared only when most of its deals are in groups that are not small.
MANY_GROUPS = 100
#: A difference counts as beyond chance below this p-value, adjusted for the number of comparisons.
LEVEL = 0.05

_FIGURES = (
    "n", "won", "lost", "win_rate", "win_rate_low", "win_rate_high", "shrunken_win_rate", "small", "amount_won",
    "mean_won_amount", "median_days_won", "median_days_lost", "n_before", "won_before", "win_rate_before", "change",
    "change_low", "change_high", "excludes_zero", "p", "p_adjusted", "changed",
)  # fmt: skip
_TESTS = ("segment", "words", "groups", "chi_square", "degrees", "p", "p_adjusted", "differs")


@dataclass(frozen=True)
class ClosedWon:
    """Win rates of the deals that closed in a period, against the period of the same length before.

    Parameters
    ----------
    overall : DataFrame
        One row: n (closed deals), won, lost (int), win_rate, win_rate_low, win_rate_high (Wilson, 95%),
        shrunken_win_rate, small (fewer than `MIN_DEALS` closed), amount_won, mean_won_amount, median_days_won,
        median_days_lost (from creation to close), n_before, won_before, win_rate_before, change, change_low,
        change_high (Newcombe, 95%; shares, not points), excludes_zero (that interval), p (score test), p_adjusted
        (Benjamini-Hochberg over all groups of all segments) and changed (excludes_zero and p_adjusted below `LEVEL`).
    segments : DataFrame
        The same columns after segment, words (for the segment) and group; one row a group with deals in the period.
    tests : DataFrame
        One row a segment: segment, words, groups, chi_square, degrees, p, p_adjusted (over segments), differs.
    loss_reasons : DataFrame
        reason ("(not recorded)" where missing), n, share (of the lost deals), amount (as before the close), n_before,
        share_before, change, change_low, change_high, p, p_adjusted, changed. Empty where no column tells reasons.
    start, end : Timestamp or None
        The period: closed at or after `start` and before `end`; None for undated data.
    notes : tuple of Text
        What is missing or has to be borne in mind, and why.
    currency : str or None
        Of all amounts: empty where none is recorded, None where there are several.
    """

    overall: pd.DataFrame
    segments: pd.DataFrame
    tests: pd.DataFrame
    loss_reasons: pd.DataFrame
    start: pd.Timestamp | None
    end: pd.Timestamp | None
    notes: tuple[Text, ...]
    currency: str | None = ""

    def sentences(self) -> list[str]:
        """What a sales manager must know, the most important first."""
        overall = self.overall.iloc[0]
        if not overall["n"]:
            return [said("No deal was closed in this period, so there are no win rates.")]
        return [
            *wording.overall(overall, self.start, self.end, self.currency),
            *wording.mix(self.segments, overall),
            *wording.changes(self.segments),
            *wording.differences(self.segments, self.tests),
            *wording.reasons(self.loss_reasons, overall, self.currency),
        ]


def closed_won(
    crm: CRMData,
    *,
    as_of: pd.Timestamp | str | None = None,
    period_days: float | None = None,
    attributes: Sequence[str] = (),
    at_end: pd.DataFrame | None = None,
) -> ClosedWon:
    """Win rates overall and by segment, and reasons for losing, of the deals closed in a period.

    Parameters
    ----------
    crm : CRMData
    as_of : Timestamp or str, optional
        End of the period; nothing recorded at or after it is used. By default the moment of the export.
    period_days : float, optional
        Length of the period in days; 365 by default. The period before has the same length.
    attributes : sequence of str
        Static attributes that the leakage audit kept: text ones become segments (``account_<column>`` for those of
        accounts), and ``amount`` among them says that amounts without a history may be read.
    at_end : DataFrame, optional
        `winpredict.insights.deals.deals_at_end` of what is known then, with these attributes, where it is there.

    Returns
    -------
    ClosedWon

    Raises
    ------
    ConfigError
        When `period_days` is not above 0.

    Notes
    -----
    Shrunken win rates: beta-binomial empirical Bayes towards the overall rate, the strength of the prior estimated by
    maximum likelihood for each segment (Casella, The American Statistician 1985). Touches, people and contacts grow
    with the life of a deal: their win rates are association, and partly the length of the deal.

    Examples
    --------
    >>> deals = pd.DataFrame({
    ...     "deal_id": list("abcd"), "stage": "End", "outcome": ["won", "lost", "lost", "open"], "product": "Plus",
    ...     "created_at": "2025-01-01", "closed_at": ["2025-03-01", "2025-03-05", "2025-03-09", None],
    ... })
    >>> found = closed_won(CRMData.from_tables(deals))
    >>> found.overall[["n", "won", "lost"]].values.tolist()
    [[3, 1, 2]]
    """
    length = PERIOD_DAYS if period_days is None else period_days
    if not length > 0:
        raise ConfigError(
            text(
                "period_days is {period_days}; give the length of the period in days, above 0", period_days=period_days
            )
        )
    notes: list[Text] = []
    column = loss_reason_column(crm.deals)
    crm = _cut(crm, as_of, notes)
    table = deals_at_end(crm, attributes) if at_end is None else at_end.copy()
    table = _with_attributes(crm, table, attributes)
    table["reason"] = crm.deals[column].to_numpy() if column else None
    table["booked"] = _won_amounts(crm, table)
    end = crm.known_until if crm.dated else None
    start = None if end is None else end - pd.Timedelta(days=length)
    now, before = _periods(table, start, end)
    notes.extend(_notes(crm, table, start, end, column))
    segments, tests = _compared(now, before, _segments(table, now, attributes, notes))
    return ClosedWon(
        _figures(now, before, pd.Series("all", index=now.index), pd.Series("all", index=before.index)),
        segments,
        tests,
        loss_reasons(now, before) if column else loss_reasons(now.head(0), before.head(0)),
        start,
        end,
        tuple(notes),
        currency_of(crm),
    )


def _cut(crm: CRMData, as_of: pd.Timestamp | str | None, notes: list[Text]) -> CRMData:
    if crm.dated:
        return known_before(crm, as_of)
    if as_of is not None and len(crm.deals):
        notes.append(
            text("The deals carry no dates, so {day:day} cannot be looked at: all deals count.", day=utc(as_of))
        )
    return crm


def _won_amounts(crm: CRMData, table: pd.DataFrame) -> pd.Series:
    """Of won deals only: the amount as before the close, or without a history of it the one that was booked."""
    amounts = table["amount"]
    if "amount" in crm.deals:
        amounts = amounts.fillna(crm.deals["amount"].reset_index(drop=True))
    return amounts.where(table["outcome"] == "won")


def _with_attributes(crm: CRMData, table: pd.DataFrame, attributes: Sequence[str]) -> pd.DataFrame:
    """Add the attributes of accounts, which `deals_at_end` does not know."""
    for name in attributes:
        of_account = name.removeprefix("account_")
        if name in table or crm.accounts is None or of_account not in crm.accounts or "account_id" not in crm.deals:
            continue
        values = crm.accounts.set_index("account_id")[of_account]
        table[name] = values.reindex(crm.deals["account_id"]).to_numpy()
    return table


def _periods(
    table: pd.DataFrame, start: pd.Timestamp | None, end: pd.Timestamp | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    closed = table[table["outcome"] != "open"]
    if start is None or end is None:
        return closed, closed.head(0)
    at = closed["closed_at"]
    earlier = start - (end - start)
    return closed[(at >= start) & (at < end)], closed[(at >= earlier) & (at < start)]


def _notes(
    crm: CRMData, table: pd.DataFrame, start: pd.Timestamp | None, end: pd.Timestamp | None, column: str | None
) -> Iterator[Text]:
    closed = table[table["outcome"] != "open"]
    if start is None or end is None:
        yield text("The deals carry no dates: all closed deals count, and there is no period before to compare with.")
    else:
        first = table["created_at"].min()
        if first >= start:
            yield text("The data begin on {day:day}, so there is no period before to compare with.", day=first)
        elif first > start - (end - start):
            yield text(
                "The data begin on {day:day}, so the period before is not complete: few of its long deals can have "
                "closed "
                "in it. Compare with care.",
                day=first,
            )
        undated = int(closed["closed_at"].isna().sum())
        if undated:
            yield texts(
                "{n:count} closed deal without a closing date is left out.",
                "{n:count} closed deals without a closing date are left out.",
                n=undated,
            )
    if "amount" not in crm.deals:
        yield text("The deals carry no amounts.")
    elif len(closed) and closed["amount"].isna().all():
        yield text(
            "Amounts have no history, so those of lost deals are unknown; those of won deals are as they were booked."
        )
    yield from several_currencies(crm)
    if column is None:
        yield text(
            "No column says why deals were lost (a text column with a name such as “loss reason”, filled for lost "
            "deals "
            "only)."
        )


def several_currencies(crm: CRMData) -> list[Text]:
    """A note where amounts of several currencies are added up."""
    note = mixed_currencies(crm.deals["currency"].dropna()) if "currency" in crm.deals else None
    return [] if note is None else [note]


def currency_of(crm: CRMData) -> str | None:
    """The currency of all amounts: empty where none is recorded, None where there are several.

    Examples
    --------
    >>> deals = pd.DataFrame({"deal_id": ["a"], "stage": "Demo", "outcome": "open", "created_at": "2025-01-01",
    ...                       "closed_at": None, "currency": "EUR"})
    >>> currency_of(CRMData.from_tables(deals))
    'EUR'
    """
    if "currency" not in crm.deals:
        return ""
    names = set(crm.deals["currency"].fillna(""))
    return str(names.pop()) if len(names) == 1 else "" if not names else None


def _segments(
    table: pd.DataFrame, now: pd.DataFrame, attributes: Sequence[str], notes: list[Text]
) -> dict[str, tuple[str, pd.Series]]:
    """Words and group of each deal, by segment; segments with less than two groups or far too many are left out."""
    texts = [name for name in attributes if name in table and not pd.api.types.is_numeric_dtype(table[name].dtype)]
    words = SEGMENTS | {name: words_for(name) for name in texts if not _is_time(table[name]) and name != "deal_type"}
    out = {}
    for name, words_of_segment in words.items():
        sizes = now[name].value_counts()
        sizes = sizes[sizes > 0]
        if len(sizes) > MANY_GROUPS and sizes[sizes >= MIN_DEALS].sum() < sizes.sum() / 2:
            notes.append(
                text(
                    "Too many values of {segment} to compare: {n:count}.",
                    segment=segment_label(name, words_of_segment),
                    n=len(sizes),
                )
            )
        elif len(sizes):
            out[name] = (words_of_segment, table[name])
    return out


def _is_time(values: pd.Series) -> bool:
    return bool(pd.api.types.is_datetime64_any_dtype(values.dtype))


def words_for(attribute: str) -> str:
    """An attribute's column name as words.

    Examples
    --------
    >>> words_for("Campaign_Code__c")
    'campaign code'
    """
    return " ".join(attribute.removesuffix("__c").replace("_", " ").split()).lower()


def _compared(
    now: pd.DataFrame, before: pd.DataFrame, segments: dict[str, tuple[str, pd.Series]]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    parts, tests = [], []
    for name, (words, values) in segments.items():
        part = _figures(now, before, values.reindex(now.index), values.reindex(before.index))
        part.insert(0, "segment", name)
        part.insert(1, "words", words)
        parts.append(part)
        chi_square, degrees, p = groups_differ(part["won"].to_numpy(float), part["n"].to_numpy(float), MIN_DEALS)
        tests.append((name, words, len(part), chi_square, degrees, p, np.nan, False))
    columns = ["segment", "words", "group", *_FIGURES]
    table = pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)
    table["p_adjusted"] = adjusted(table["p"].astype(float))
    table["changed"] = (table["excludes_zero"].astype(bool)) & (table["p_adjusted"] < LEVEL)
    tested = pd.DataFrame(tests, columns=list(_TESTS))
    tested["p_adjusted"] = adjusted(tested["p"].astype(float))
    tested["differs"] = tested["p_adjusted"] < LEVEL
    return table, tested


def _figures(now: pd.DataFrame, before: pd.DataFrame, groups: pd.Series, groups_before: pd.Series) -> pd.DataFrame:
    """One row a group that has deals now; bands in their order, others by name."""
    counts, earlier = _counts(now, groups), _counts(before, groups_before)
    if not len(counts) and not isinstance(groups.dtype, pd.CategoricalDtype):
        counts = counts.reindex(["all"]).fillna({"n": 0, "won": 0, "lost": 0})
    earlier = earlier.reindex(counts.index).fillna({"n": 0, "won": 0})
    n, won = counts["n"].to_numpy(np.float64), counts["won"].to_numpy(np.float64)
    low, high = wilson(won, n)
    found = difference(won, n, earlier["won"], earlier["n"])
    out = counts.assign(
        win_rate=share(won, n),
        win_rate_low=low,
        win_rate_high=high,
        shrunken_win_rate=shrunken(won, n, float(won.sum() / n.sum())) if n.sum() else np.nan,
        small=n < MIN_DEALS,
        n_before=earlier["n"],
        won_before=earlier["won"],
        win_rate_before=share(earlier["won"], earlier["n"]),
        **found._asdict(),
    ).rename(columns={"low": "change_low", "high": "change_high"})
    out["excludes_zero"] = (found.low > 0) | (found.high < 0)
    out["p_adjusted"] = out["p"]
    out["changed"] = out["excludes_zero"] & (out["p"] < LEVEL)
    whole = dict.fromkeys(("n", "won", "lost", "n_before", "won_before"), np.int64)
    return out.astype(whole).rename_axis("group").reset_index()[["group", *_FIGURES]]


def _counts(deals: pd.DataFrame, groups: pd.Series) -> pd.DataFrame:
    won = deals["outcome"] == "won"
    columns = pd.DataFrame(
        {
            "n": 1,
            "won": won.astype(int),
            "lost": (~won).astype(int),
            "amount_won": deals["booked"],
            "mean_won_amount": deals["booked"],
            "median_days_won": deals["days"].where(won),
            "median_days_lost": deals["days"].where(~won),
        }
    )
    how = dict.fromkeys(columns, "sum") | {"mean_won_amount": "mean"}
    how |= {"median_days_won": "median", "median_days_lost": "median"}
    found = columns.groupby(groups, sort=True, observed=True).agg(how)
    found["amount_won"] = found["amount_won"].where(found["mean_won_amount"].notna() | (found["won"] == 0))
    found.index = found.index.astype(object)
    return found
