"""The data quality report: what is wrong with the data, in words and counts."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import pandas as pd

from winpredict.locale.text import Text, said, text, texts
from winpredict.tables import _quality_checks as checks
from winpredict.tables import _quality_over_time as over_time
from winpredict.tables._quality_checks import Check, Finding
from winpredict.tables.crm import CRMData

#: Every check, in the order of the report.
CHECKS: tuple[Check, ...] = (
    checks.missing_dates,
    checks.endings,
    checks.outcome_contradicts_dates,
    checks.outcome_contradicts_stage,
    checks.dates_out_of_order,
    checks.unknown_stages,
    over_time.history,
    over_time.observed_attributes,
    over_time.touches,
    over_time.gaps,
    over_time.activity_jump,
    checks.missing_values,
    checks.money,
    checks.unknown_people,
    checks.unknown_deals,
    checks.repeated,
)
_BY_WEIGHT = ("serious", "warning", "info")
_SEVERITIES: Mapping[str, Text] = {"serious": text("serious"), "warning": text("warning"), "info": text("info")}
#: How many findings of a severity there are.
_COUNTS: Mapping[str, Text] = {
    "serious": texts("{n:count} serious problem", "{n:count} serious problems"),
    "warning": texts("{n:count} warning", "{n:count} warnings"),
    "info": texts("{n:count} note", "{n:count} notes"),
}


@dataclass(frozen=True)
class QualityReport:
    """What is wrong with the data, or worth knowing before believing a model of them.

    Parameters
    ----------
    findings : DataFrame
        One row a finding, the weightiest first: table, column (empty for a whole table), what (a sentence), count,
        share (of the table's rows, 0 to 1), severity (serious, warning or info), advice (a sentence). Sentences are in
        the language of the moment of the check.
    """

    findings: pd.DataFrame

    def summary(self) -> str:
        """The findings in words, the weightiest first."""
        if self.findings.empty:
            return said("Data quality: nothing to report.")
        counts = self.findings["severity"].value_counts()
        numbers = [
            str(_COUNTS[severity].with_values(n=int(counts[severity]))) for severity in _BY_WEIGHT if severity in counts
        ]
        lines = [said("Data quality: {numbers}.", numbers=", ".join(numbers))]
        for row in self.findings.to_dict("records"):
            severity = _SEVERITIES[row["severity"]]
            lines.append(
                "  " + said("{severity}: {what} ({advice})", severity=severity, what=row["what"], advice=row["advice"])
            )
        return "\n".join(lines)


def check_quality(crm: CRMData) -> QualityReport:
    """Look for everything that would make odds wrong or a report misleading.

    Parameters
    ----------
    crm : CRMData
        The data as imported.

    Returns
    -------
    QualityReport

    Examples
    --------
    >>> deals = pd.DataFrame({
    ...     "deal_id": ["a", "b"], "stage": ["Won", "Demo"], "outcome": ["won", "open"],
    ...     "created_at": ["2025-01-01", "2025-02-01"], "closed_at": ["2024-03-01", None],
    ... })
    >>> findings = check_quality(CRMData.from_tables(deals)).findings
    >>> findings.loc[findings["column"] == "closed_at", "what"].item()
    '1 of 2 deals was closed before it was created'
    """
    found = [
        {field.name: getattr(finding, field.name) for field in fields(Finding)}
        | {"what": str(finding.what), "advice": str(finding.advice)}
        for check in CHECKS
        for finding in check(crm)
    ]
    findings = pd.DataFrame(found, columns=[field.name for field in fields(Finding)])
    weight = findings["severity"].map({severity: rank for rank, severity in enumerate(_BY_WEIGHT)})
    order = weight.sort_values(kind="stable").index
    return QualityReport(findings.loc[order].reset_index(drop=True))
