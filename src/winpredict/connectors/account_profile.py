"""A mapping profile for one account of a live CRM: its own stages, in their order."""

import re
from collections.abc import Mapping, Sequence

import yaml

from winpredict.connectors.base import Description, Stage
from winpredict.ingest.profiles import Profile, Source
from winpredict.locale.text import said


def account_profile(crm: str, base: Profile, description: Description) -> str:
    """A profile to edit, as YAML text: it extends a shipped one by the stages of an account.

    Parameters
    ----------
    crm : str
        Name of the shipped profile.
    base : Profile
        That profile.
    description : Description
        What `CRMSource.describe` tells.

    Returns
    -------
    str

    Examples
    --------
    >>> from winpredict.ingest.profiles import load_profile
    >>> stages = (Stage("Intro", "Intro", "open"), Stage("Signed", "Signed", "won"), Stage("No", "No", "lost"))
    >>> print(account_profile("salesforce", load_profile("salesforce"), Description("Acme", (), stages=stages)))
    # Acme: salesforce with the stages of this account. Look it through, then:
    #   winpredict sync salesforce --profile THIS_FILE
    extends: salesforce
    stage_order:
    - Intro
    won:
    - Signed
    lost:
    - 'No'
    <BLANKLINE>
    """
    labels = _labels(description.stages)
    values: dict[str, object] = {"extends": crm}
    if description.stages:
        by_outcome: dict[str, list[str]] = {"open": [], "won": [], "lost": []}
        for stage, label in zip(description.stages, labels, strict=True):
            by_outcome[stage.outcome] += [label] if label not in by_outcome[stage.outcome] else []
        values |= {"stage_order": by_outcome["open"], "won": by_outcome["won"], "lost": by_outcome["lost"]}
    names = {stage.name: label for stage, label in zip(description.stages, labels, strict=True)}
    if any(name != label for name, label in names.items()):
        values["tables"] = _tables(base, names)
    head = [
        "# "
        + said(
            "{account}: {crm} with the stages of this account. Look it through, then:",
            account=_one_line(description.account),
            crm=crm,
        ),
        f"#   winpredict sync {crm} --profile THIS_FILE",
    ]
    if description.custom_fields:
        head.append(
            "# "
            + said("Custom fields, which come in as attributes (crm.sync.custom_fields in the config names which):")
        )
        head += [f"#   {each.name}: {_one_line(each.label)} ({each.kind})" for each in description.custom_fields]
    body = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=110)
    return "\n".join(head) + "\n" + str(body)


def _labels(stages: Sequence[Stage]) -> list[str]:
    """A label for each stage; one that means different outcomes in different pipelines is told by its pipeline."""
    outcomes: dict[str, set[str]] = {}
    for stage in stages:
        outcomes.setdefault(stage.label, set()).add(stage.outcome)
    return [
        f"{stage.label} ({stage.pipeline})" if len(outcomes[stage.label]) > 1 and stage.pipeline else stage.label
        for stage in stages
    ]


def _tables(base: Profile, names: Mapping[str, str]) -> dict[str, object]:
    """The tables of the shipped profile that name stages, with those of the account."""
    tables: dict[str, object] = {}
    for table in ("deals", "deal_history"):
        sources = base.tables.get(table, ())
        if any("stage" in source.columns for source in sources):
            renamed = [_renamed(source, names) for source in sources]
            tables[table] = [each.model_dump(mode="json", exclude_defaults=True) for each in renamed]
    return tables


def _renamed(source: Source, names: Mapping[str, str]) -> Source:
    if "stage" not in source.columns:
        return source
    # texts of file exports, where they stand for a stage that this account has
    kept = {raw: label for raw, label in source.values.get("stage", {}).items() if label in names.values()}
    named = {_literal(name): label for name, label in names.items()}
    return source.model_copy(update={"values": source.values | {"stage": kept | named}})


def _literal(name: str) -> str:
    """A name as a pattern that nothing else matches.

    Examples
    --------
    >>> _literal("Offer [50%]")
    'Offer [[]50%]'
    """
    return re.sub(r"([*?[])", r"[\1]", name)


def _one_line(text: str) -> str:
    return " ".join(text.split())
