"""Drivers and effects told together, so that what is said of one subject never contradicts itself.

Three figures speak of a subject such as touches: how far it moves the model's odds (a driver), how much more often
deals with it were won (the raw difference), and what is left of that among deals alike at the start (the adjusted
effect). They answer different questions and may differ; where they do, it is said how, and which to trust for what.
"""

from collections.abc import Mapping
from typing import Literal

import pandas as pd

from winpredict.explain.drivers import Drivers
from winpredict.explain.effects import Effects, Way
from winpredict.locale.text import Text, said, text

#: Treatments whose effects were estimated, with the theme of the drivers that is about the same.
SUBJECTS: Mapping[str, str] = {
    "touches": "touches",
    "people": "team",
    "contacts": "contacts",
    "senior contact": "senior_contacts",
}
#: What a driver says of its figure: more or less of it is better, it matters without a clear direction, or no evidence.
DriverWay = Literal["more", "less", "unclear", "no evidence"]


def summary(drivers: Drivers, effects: Effects) -> list[str]:
    """The strongest driver, the clearest effect, and for what no evidence was found.

    Where driver and effect are about the same subject they are told in one, and nothing that the summary or an effect
    speaks for is listed among what there is no evidence for.

    Parameters
    ----------
    drivers : Drivers
    effects : Effects

    Returns
    -------
    list of str
        One entry a subject, in the current language.
    """
    strongest, *_ = drivers.sentences()
    treatment = _clearest(effects)
    if treatment is None:
        out = [strongest, *(effects.sentences() if effects.effects.empty else ())]
    elif SUBJECTS.get(treatment) in drivers.significant["theme"].head(1).tolist():
        out = [f"{strongest} {about(treatment, drivers, effects)}"]
    else:
        out = [strongest, about(treatment, drivers, effects)]
    spoken_for = [
        theme
        for name, theme in SUBJECTS.items()
        if name == treatment or _way_of_effect(name, effects) in ("more", "less")
    ]
    # where no driver has evidence, the first sentence says so of all
    if len(drivers.significant) and (without := drivers.without_evidence(but=spoken_for)):
        out.append(said("No evidence was found for: {drivers:listed}.", drivers=without))
    return out


def about(treatment: str, drivers: Drivers, effects: Effects) -> str:
    """All that is known of one action: raw difference, adjusted effect, and how the driver compares with them.

    Parameters
    ----------
    treatment : str
        Of ``effects.effects``.
    drivers : Drivers
    effects : Effects
    """
    first = effects.sentence(treatment)
    row = _driver(SUBJECTS.get(treatment, ""), drivers)
    effect = effects.way(treatment)
    if row is None or effect is None:
        return first
    difference = _difference(_way_of_driver(row), effect, drivers.names[str(row["theme"])])
    return first if difference is None else f"{first} {difference}"


def _difference(driver: DriverWay, effect: Way, name: Text) -> Text | None:
    """How a driver differs from the effect of the same subject, and which to trust for what; None where they agree.

    A driver with evidence but without a clear direction contradicts no effect that has one.
    """
    if driver == "no evidence":
        if effect == "unclear":
            return None
        return text(
            "The driver “{driver}” adds nothing to the other figures: use the comparison to decide what to do, the "
            "drivers to forecast.",
            driver=name,
        )
    if effect == "unclear":
        return text(
            "The driver “{driver}” still tells won from lost deals, since it shows how a deal is going: use it to "
            "forecast, not to decide what to do.",
            driver=name,
        )
    if driver in (effect, "unclear"):
        return None
    return text(
        "The driver “{driver}” points the other way, since it also shows how a deal is going: use it to forecast, the "
        "comparison to decide what to do.",
        driver=name,
    )


def _driver(theme: str, drivers: Drivers) -> "pd.Series[str] | None":
    rows = drivers.themes[drivers.themes["theme"] == theme]
    return None if rows.empty else rows.iloc[0]


def _way_of_driver(row: "pd.Series[str]") -> DriverWay:
    if not row["evidence"]:
        return "no evidence"
    if row["direction"] == "more is better":
        return "more"
    return "less" if row["direction"] == "less is better" else "unclear"


def _way_of_effect(treatment: str, effects: Effects) -> Way | None:
    return effects.way(treatment) if treatment in set(effects.effects["treatment"]) else None


def _clearest(effects: Effects) -> str | None:
    """The treatment with the largest clear effect; without one, that of the largest raw difference compared."""
    ways = {str(name): effects.way(str(name)) for name in effects.effects["treatment"]}
    table = effects.effects.set_index("treatment")
    if clear := [name for name, way in ways.items() if way in ("more", "less")]:
        return str(table.loc[clear, "adjusted"].astype(float).abs().idxmax())
    if compared := [name for name, way in ways.items() if way == "unclear"]:
        return str(table.loc[compared, "raw"].astype(float).abs().idxmax())
    return None
