"""The leakage audit: which attributes without a recorded history may be used, which not, and why."""

from collections.abc import Collection
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from winpredict.errors import ConfigError
from winpredict.features._leakage_evidence import Evidence, measure
from winpredict.features._leakage_population import Population
from winpredict.features._leakage_rules import identifies, leak
from winpredict.features.telling_words import MIN_DEALS, is_free_text
from winpredict.locale.text import Text, said, text, texts
from winpredict.tables.crm import CRMData

#: Canonical columns whose history no table records.
STATIC_DEAL_COLUMNS = ("product", "lead_source", "deal_type", "pipeline", "currency")
#: Account columns that identify or date the account and are no attributes of it.
NOT_ATTRIBUTES_OF_ACCOUNTS = ("account_id", "name", "created_at")
#: More categories than this are worth a remark: they need an encoding that does not leak the target.
MANY_CATEGORIES = 100

_FIGURES = (
    "kind",
    "values",
    "filled",
    "filled_open",
    "filled_won",
    "filled_lost",
    "filled_young",
    "filled_old",
    "auc_won_open",
    "auc_won_open_low",
    "auc_lost_open",
    "auc_lost_open_low",
    "auc_won_lost",
    "auc_won_lost_low",
    "grows_open",
    "grows_closed",
)

#: A line of the summary, by the verdict and by who decided.
_VERDICTS = {
    ("keep", "audit"): text("keep {name}: {reason}"),
    ("keep", "config"): text("keep {name} (config): {reason}"),
    ("drop", "audit"): text("drop {name}: {reason}"),
    ("drop", "config"): text("drop {name} (config): {reason}"),
}
#: Of an attribute that the config decides, by the audit's verdict and that of the config.
_OVERRULED = {
    ("keep", "keep"): text("the config says so; as would the audit: {reason}"),
    ("drop", "drop"): text("the config says so; as would the audit: {reason}"),
    ("keep", "drop"): text("the config says so; the audit would keep it: {reason}"),
    ("drop", "keep"): text("the config says so; the audit would drop it: {reason}"),
}


@dataclass(frozen=True)
class LeakageAudit:
    """Verdicts on static attributes, with the evidence.

    Parameters
    ----------
    columns : DataFrame
        One row an attribute: column, verdict (keep or drop), reason (`Text`), decided_by (audit or config), and
        the evidence: kind (number, category or date), values (different ones), filled and filled_<group> (shares of
        all, open, won, lost, younger and older open deals), auc_won_open and auc_lost_open (closed against open
        deals, the weaker of those of the same age and those created at the same time), auc_won_lost (closed deals),
        each with a lower bound ``_low``, grows_open and grows_closed (lower bounds of the rank correlation with the
        deal's length in days). NaN where the data do not allow a figure.
    """

    columns: pd.DataFrame

    @property
    def kept(self) -> tuple[str, ...]:
        """Names of the attributes that may be used."""
        return tuple(self.columns.loc[self.columns["verdict"] == "keep", "column"])

    @property
    def dropped(self) -> dict[str, Text]:
        """The reason for each attribute that may not be used."""
        out = self.columns[self.columns["verdict"] == "drop"]
        return dict(zip(out["column"], out["reason"], strict=True))

    def summary(self) -> str:
        """The verdicts in words, dropped ones first."""
        if self.columns.empty:
            return said("Leakage audit: there are no attributes without a recorded history.")
        head = texts(
            "Leakage audit: {n:count} attribute kept, {dropped:count} dropped.",
            "Leakage audit: {n:count} attributes kept, {dropped:count} dropped.",
            n=len(self.kept),
            dropped=len(self.dropped),
        )
        rows = self.columns.sort_values("verdict", kind="stable").itertuples()
        told = (
            _VERDICTS[str(row.verdict), str(row.decided_by)].with_values(name=row.column, reason=row.reason)
            for row in rows
        )
        return "\n".join([str(head), *(f"  {line}" for line in told)])


def audit_attributes(
    crm: CRMData,
    *,
    keep: Collection[str] = (),
    drop: Collection[str] = (),
    as_of: pd.Timestamp | str | None = None,
) -> LeakageAudit:
    """Judge every attribute of deals and their accounts whose earlier values are not recorded.

    Such an attribute is known only as it stands today, so a closed deal may show what was typed at its close. It is
    dropped when it says nothing (empty, constant, an identifier), when a value stands (nearly) only on closed deals,
    when it tells closed deals from open ones of the same age, when one column alone tells won from lost nearly
    perfectly, when it is a date of the closing or of something on the way, when it grows with the deal or is filled in
    on the way, and, where there are no open deals to compare with, when its name speaks of time, counts or the ending
    and it tells won from lost.

    Parameters
    ----------
    crm : CRMData
        The data as exported. Not a past view from `CRMData.as_known_at`: there, closed deals count as open but show
        the attributes they have now.
    keep, drop : collection of str
        Attributes that the config decides; the audit's own opinion is still in the reason.
    as_of : Timestamp or str, optional
        Use no outcome recorded at or after this moment.

    Returns
    -------
    LeakageAudit

    Raises
    ------
    ConfigError
        When `keep` or `drop` names something that is no static attribute here, or both name the same.

    Notes
    -----
    Closed deals are compared with the open ones twice, weighted to the same ages and weighted to the same times of
    creation, and only what shows in both convicts: a habit that changed over time shows only in the first, a value
    that makes deals close faster mainly in the second. AUCs are cross-validated, of the smoothed share per value or
    bin, and every one is held against its threshold at three standard errors below (Hanley and McNeil, Radiology
    1982), so that small data do not convict by chance.

    Examples
    --------
    >>> import pandas as pd
    >>> deals = pd.DataFrame({
    ...     "deal_id": [f"d{i}" for i in range(300)], "stage": "any",
    ...     "outcome": [("won", "lost", "open")[i % 3] for i in range(300)],
    ...     "created_at": pd.Timestamp("2025-01-01", tz="UTC") + pd.to_timedelta(range(300), unit="h"),
    ...     "closed_at": [None if i % 3 == 2 else f"2025-02-{i % 25 + 1:02}T00:00:00Z" for i in range(300)],
    ...     "loss_reason": ["price" if i % 3 == 1 else None for i in range(300)],
    ...     "region": [("east", "west")[i // 3 % 2] for i in range(300)],
    ... })
    >>> audit = audit_attributes(CRMData.from_tables(deals))
    >>> audit.kept, list(audit.dropped)
    (('region',), ['loss_reason'])
    """
    population = Population(crm, as_of)
    attributes = static_attributes(crm)
    _check_overrules(attributes, keep, drop)
    unlinked = None
    rows = []
    for name in attributes:
        values = _values(crm, name, population)
        evidence = measure(name, values, population)
        found = leak(evidence)
        if found is not None and found == identifies(evidence) and name in crm.attributes:
            found = _only_words_count(name, values) or found
        if name == "account_id":
            found = None if evidence.filled == 1 else found
            unlinked = None if found is None else text("the deal's account itself: {reason}", reason=found)
        of_account = unlinked if name not in crm.deals else None
        rows.append(_row(evidence, of_account or found, keep, drop))
    return LeakageAudit(pd.DataFrame(rows, columns=["column", "verdict", "reason", "decided_by", *_FIGURES]))


def static_attributes(crm: CRMData) -> tuple[str, ...]:
    """Names of the attributes without a recorded history: of deals, then of accounts as ``account_<column>``.

    Examples
    --------
    >>> deals = pd.DataFrame({"deal_id": ["a"], "stage": ["Demo"], "outcome": ["open"], "created_at": ["2025-01-01"],
    ...                       "closed_at": [None], "account_id": ["x"], "product": ["Plus"], "Region": ["East"]})
    >>> accounts = pd.DataFrame({"account_id": ["x"], "industry": ["Media"]})
    >>> static_attributes(CRMData.from_tables(deals, accounts=accounts))
    ('account_id', 'product', 'Region', 'account_industry')
    """
    versioned = [name for name in ("amount", "owner_id") if not crm.records_changes_of(name)]
    canonical = [name for name in (*versioned, "account_id", *STATIC_DEAL_COLUMNS) if name in crm.deals]
    return (*canonical, *sorted(crm.attributes), *_account_attributes(crm))


def _account_attributes(crm: CRMData) -> list[str]:
    if crm.accounts is None or "account_id" not in crm.deals:
        return []
    names = [f"account_{name}" for name in crm.accounts.columns if name not in NOT_ATTRIBUTES_OF_ACCOUNTS]
    return sorted(name for name in names if name not in crm.deals)


def _values(crm: CRMData, name: str, population: Population) -> pd.Series:
    if name == "account_id":  # which account it is may tell a lot; that there is one must not
        return population.deals[name].notna().map({True: "named", False: None})
    if name in population.deals:
        return population.deals[name]
    assert crm.accounts is not None, "account attributes come from an accounts table"
    of_account = crm.accounts.set_index("account_id")[name.removeprefix("account_")]
    return of_account.reindex(population.deals["account_id"]).reset_index(drop=True)


def _only_words_count(name: str, values: pd.Series) -> Text | None:
    """Why a text that hardly two deals share is not used as it stands; None where it is no free text but a code."""
    if not is_free_text(name, values):
        return None
    return text(
        "free text, {different:count} different ones on {deals:count} deals: only its words can count, from "
        "{least:count} deals on (model.text)",
        different=int(values.nunique()),
        deals=int(values.notna().sum()),
        least=MIN_DEALS,
    )


def _check_overrules(attributes: Collection[str], keep: Collection[str], drop: Collection[str]) -> None:
    both = sorted(set(keep) & set(drop))
    if both:
        raise ConfigError(
            text("leakage: {both} stand(s) under keep and under drop; leave it in one of them", both=", ".join(both))
        )
    unknown = sorted((set(keep) | set(drop)) - set(attributes))
    if unknown:
        raise ConfigError(
            text(
                "leakage: keep or drop names {unknown}, not found among the attributes without history; those "
                "are {attributes}",
                unknown=", ".join(unknown),
                attributes=", ".join(attributes) or text("none"),
            )
        )


def _row(evidence: Evidence, found: Text | None, keep: Collection[str], drop: Collection[str]) -> dict[str, object]:
    verdict, reason, decided_by = "keep" if found is None else "drop", found or _reason_to_keep(evidence), "audit"
    if evidence.column in keep or evidence.column in drop:
        wanted = "keep" if evidence.column in keep else "drop"
        reason = _OVERRULED[verdict, wanted].with_values(reason=reason)
        verdict, decided_by = wanted, "config"
    return {
        "column": evidence.column,
        "verdict": verdict,
        "reason": reason,
        "decided_by": decided_by,
        **_figures(evidence),
    }


def _figures(evidence: Evidence) -> dict[str, object]:
    figures = {name: value for name, value in asdict(evidence).items() if name in _FIGURES}
    for name, separation in (
        ("auc_won_open", evidence.won_from_open),
        ("auc_lost_open", evidence.lost_from_open),
        ("auc_won_lost", evidence.won_from_lost),
    ):
        figures |= {name: separation.auc, f"{name}_low": separation.low}
    return figures


def _reason_to_keep(evidence: Evidence) -> Text:
    if evidence.comparable:
        auc = np.nanmax([evidence.won_from_open.auc, evidence.lost_from_open.auc])
        reason = text("looks alike on closed and open deals of the same age (AUC {auc:precise})", auc=float(auc))
    elif np.isnan(evidence.won_from_lost.auc):
        reason = text("too few closed deals to judge it")
    else:
        reason = text(
            "no sign of a leak (AUC of won against lost {auc:precise}); no open deals to compare",
            auc=evidence.won_from_lost.auc,
        )
    if evidence.kind == "category" and evidence.values > MANY_CATEGORIES:
        return text(
            "{reason}; {values:count} different values, too many to be used as categories",
            reason=reason,
            values=evidence.values,
        )
    return reason
