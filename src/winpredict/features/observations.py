"""How well attributes were observed, and which of those that the leakage audit dropped may be used so."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from winpredict.features.observed import OBSERVED, seen_open
from winpredict.locale.text import Text, said, text
from winpredict.tables.crm import CRMData

if TYPE_CHECKING:
    from winpredict.features.leakage import LeakageAudit

#: Fewest won and fewest lost deals that must have been seen while they were open.
MIN_OF_EITHER = 20
#: Different texts per deal from which an attribute is an identifier, and nothing that a second deal could share.
_IDENTIFIES = 0.9


@dataclass(frozen=True)
class Observations:
    """How well attributes were observed.

    Parameters
    ----------
    columns : DataFrame
        One row an attribute: column, since (the first observation), won and lost (deals that were seen while open and
        ended so), varied (whether what was seen tells deals apart, and is more than an identifier).
    """

    columns: pd.DataFrame

    @classmethod
    def of(cls, crm: CRMData) -> "Observations":
        """Count the observations of every attribute.

        Parameters
        ----------
        crm : CRMData
            What was known.
        """
        history = crm.attribute_history
        rows = []
        if history is not None and crm.dated:
            deals = crm.deals[["deal_id", "outcome", "closed_at"]].rename(columns={"outcome": "ended"})
            lived = history[seen_open(history)].merge(deals, on="deal_id", how="inner", suffixes=("_then", ""))
            lived = lived[~(lived["observed_at"] >= lived["closed_at"])]
            read = {name: crm.observations_of(name) for name in crm.observed_attributes}
            for name in sorted(crm.observed_attributes):
                told = lived.merge(history.loc[read[name], ["deal_id", "observed_at"]], on=["deal_id", "observed_at"])
                closed = told[told["ended"] != "open"].drop_duplicates("deal_id", keep="last")
                rows.append(
                    {
                        "column": name,
                        "since": history.loc[read[name], "observed_at"].min(),
                        "won": int((closed["ended"] == "won").sum()),
                        "lost": int((closed["ended"] == "lost").sum()),
                        "varied": _tells_apart(closed[name]),
                    }
                )
        return cls(pd.DataFrame(rows, columns=["column", "since", "won", "lost", "varied"]))

    def usable(self, audit: "LeakageAudit", least: int) -> tuple[str, ...]:
        """Attributes that may be used as they were observed, though not as they stand now.

        Parameters
        ----------
        audit : LeakageAudit
            Attributes that it dropped come into question, unless the config dropped them.
        least : int
            So many deals must have been seen while open that ended since, at least `MIN_OF_EITHER` of them won and as
            many lost.

        Returns
        -------
        tuple of str
            Names such as ``observed_Region``.
        """
        wanted = audit.columns[(audit.columns["verdict"] == "drop") & (audit.columns["decided_by"] == "audit")]
        of = self.columns[self.columns["column"].isin(wanted["column"])]
        enough = (of["won"] + of["lost"] >= least) & (of[["won", "lost"]].min(axis=1) >= MIN_OF_EITHER)
        return tuple(f"{OBSERVED}{name}" for name in of.loc[enough & of["varied"].astype(bool), "column"])

    def summary(self, audit: "LeakageAudit", least: int) -> str:
        """In words, which attributes may be used as they were observed, and since when they were."""
        if self.columns.empty:
            return said("Observed attributes: none; a sync keeps what it sees of them (`winpredict sync`).")
        usable = self.usable(audit, least)
        kept = set(audit.kept)
        head = text(
            "Observed attributes: {n:count}, {usable:count} of which the audit dropped come in.",
            n=len(self.columns),
            usable=len(usable),
        )
        lines = (
            text(
                "{name}: since {since:day}, {won:count} won and {lost:count} lost deals seen while open; {use}",
                name=row.column,
                since=row.since,
                won=row.won,
                lost=row.lost,
                use=_use(str(row.column), kept, usable, least),
            )
            for row in self.columns.itertuples()
        )
        return "\n".join([str(head), *(f"  {line}" for line in lines)])

    def notes(self, usable: Collection[str]) -> tuple[Text, ...]:
        """A sentence for each attribute that is used as it was observed."""
        rows = self.columns[(OBSERVED + self.columns["column"].astype(object)).isin(list(usable))]
        return tuple(
            text(
                "{name} is used as it was observed since {since:day}, and counts as missing before",
                name=row.column,
                since=str(row.since),
            )
            for row in rows.itertuples()
        )


def _tells_apart(values: pd.Series) -> bool:
    """Whether values differ, and are not as good as different on every deal."""
    named = values.dropna()
    if isinstance(values.dtype, pd.StringDtype) and named.nunique() >= _IDENTIFIES * max(len(named), MIN_OF_EITHER):
        return False
    return len(named) > 0 and (len(named) < len(values) or not bool((named == named.iloc[0]).all()))


def _use(name: str, kept: Collection[str], usable: Collection[str], least: int) -> Text:
    if name in kept:
        return text("used, before the first observation as that saw it")
    if f"{OBSERVED}{name}" in usable:
        return text("used as observed, missing before")
    return text(
        "not used (from {least:count} such deals on, {each:count} of either outcome, if it tells deals apart)",
        least=least,
        each=MIN_OF_EITHER,
    )
