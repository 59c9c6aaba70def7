"""The glossary: what each figure means that the win desk, the reports, the digest, the API and the docs show.

``python -m winpredict.glossary`` prints it as the page ``docs/glossary.md``.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from winpredict.locale.text import Text, text


@dataclass(frozen=True)
class Figure:
    """One figure, with the same name and the same meaning wherever it is shown.

    Parameters
    ----------
    name : Text
        "Win rate".
    meaning : Text
        What it tells, in a sentence.
    population : Text
        Which deals it is about.
    formula : Text
        How it is worked out.
    horizon : Text or None
        By when; None where it looks at no future.

    Examples
    --------
    >>> print(GLOSSARY["weighted"].definition)
    Amount × win odds, summed. Deals: open deals with an amount. Horizon: whenever they close.
    """

    name: Text
    meaning: Text
    population: Text
    formula: Text
    horizon: Text | None = None

    @property
    def definition(self) -> Text:
        """Formula, deals and horizon in one line."""
        if self.horizon is None:
            return text("{formula} Deals: {population}.", formula=self.formula, population=self.population)
        return text(
            "{formula} Deals: {population}. Horizon: {horizon}.",
            formula=self.formula,
            population=self.population,
            horizon=self.horizon,
        )


_OPEN = text("open deals")
_WITH_AMOUNT = text("open deals with an amount")
_CLOSED = text("deals closed in the period")
_WHENEVER = text("whenever they close")
_PERIOD = text("the end of the month or quarter")
_BOOKED_AND_OPEN = text("deals won in the period so far, open deals, and deals not yet created")

#: Every figure by its key.
GLOSSARY: Mapping[str, Figure] = {
    "win_odds": Figure(
        text("Win odds"),
        text("How likely an open deal is to be won in the end, by what was recorded before the day of scoring."),
        _OPEN,
        text("The calibrated probability of the model."),
        _WHENEVER,
    ),
    "average_odds": Figure(
        text("Average odds"),
        text("About what share of a group of open deals will be won."),
        _OPEN,
        text("Mean of the win odds, each deal counting once."),
        _WHENEVER,
    ),
    "win_rate": Figure(
        text("Win rate"),
        text("How many of the deals that ended were won."),
        _CLOSED,
        text("Won ÷ (won + lost), each deal counting once."),
    ),
    "weighted": Figure(
        text("Weighted pipeline"),
        text("What open deals are worth on average, given their odds."),
        _WITH_AMOUNT,
        text("Amount × win odds, summed."),
        _WHENEVER,
    ),
    "booked": Figure(
        text("Booked"),
        text("What has been won in the period so far."),
        text("deals won since the period began"),
        text("Amounts, summed."),
    ),
    "expected": Figure(
        text("Expected bookings"),
        text("What the period will bring on average."),
        _BOOKED_AND_OPEN,
        text("Booked, plus amount × odds of being won in the period, plus what deals not yet created bring as lately."),
        _PERIOD,
    ),
    "interval": Figure(
        text("80% interval"),
        text("The range that the bookings of the period end up in 8 times out of 10."),
        _BOOKED_AND_OPEN,
        text("The middle 80% of simulated futures."),
        _PERIOD,
    ),
    "commit": Figure(
        text("Commit"),
        text("Bookings that are reached 8 times out of 10."),
        _BOOKED_AND_OPEN,
        text("The 20% quantile of simulated futures."),
        _PERIOD,
    ),
    "best_case": Figure(
        text("Best case"),
        text("Bookings that are reached 2 times out of 10."),
        _BOOKED_AND_OPEN,
        text("The 80% quantile of simulated futures."),
        _PERIOD,
    ),
    "pipeline": Figure(
        text("Pipeline"),
        text("Open amounts that are due in the period by the CRM's own dates, whatever their odds."),
        text("open deals whose expected close is in the period"),
        text("Amounts, summed."),
        _PERIOD,
    ),
    "attainment": Figure(
        text("Expected attainment"),
        text("How much of the quota the period will bring on average."),
        _BOOKED_AND_OPEN,
        text("Expected bookings ÷ quota."),
        _PERIOD,
    ),
    "odds_of_quota": Figure(
        text("Odds of quota"),
        text("How likely the quota is to be reached."),
        _BOOKED_AND_OPEN,
        text("Share of simulated futures that reach it."),
        _PERIOD,
    ),
    "stake": Figure(
        text("Value at stake"),
        text("Where work is worth most: large where a large deal may still go either way."),
        _WITH_AMOUNT,
        text("Amount × win odds × (1 − win odds)."),
        _WHENEVER,
    ),
    "at_risk": Figure(
        text("At risk"),
        text("A deal that may be slipping away."),
        _OPEN,
        text("Silent, or odds that fell since last week; neither hopeless nor with a meeting booked."),
    ),
    "silent": Figure(
        text("Silent"),
        text("A deal that has gone without contact for too long."),
        _OPEN,
        text("Days since the last contact, above what 9 in 10 deals won from the stage went at most."),
    ),
    "stalled": Figure(
        text("Stalled"),
        text("A deal that has been in its stage for too long."),
        _OPEN,
        text("Days in the stage, above those within which 9 in 10 deals won from it moved on."),
    ),
    "overdue": Figure(
        text("Overdue"),
        text("A deal that should have closed."),
        _OPEN,
        text("The expected close is a day or more in the past."),
    ),
    "hopeless": Figure(
        text("Hopeless"),
        text("A deal with little left to lose."),
        _OPEN,
        text("Win odds below 5%, or what the settings say."),
    ),
    "let_go": Figure(
        text("Worth letting go"),
        text("A deal whose time is better spent on others."),
        _OPEN,
        text("Hopeless, stalled, without contact for 60 days or what the settings say, and with no meeting booked."),
    ),
    "booked_meeting": Figure(
        text("Meeting booked"),
        text("A deal whose next meeting is agreed."),
        _OPEN,
        text("A meeting on record for a day after that of scoring."),
    ),
    "big": Figure(
        text("Big deal"),
        text("One of the largest deals that you may see."),
        _WITH_AMOUNT,
        text("Among the largest quarter of its currency, or what the settings say."),
    ),
    "touch": Figure(
        text("Touch"),
        text("A contact with the customer that is on record: an email, a call, a meeting."),
        _OPEN,
        text("Activities that took place before the day of scoring."),
    ),
}


def page() -> str:
    """The glossary as a page of the docs, in Markdown.

    Examples
    --------
    >>> page().splitlines()[0]
    '# Glossary'
    """
    lines = [
        "# Glossary",
        "",
        "The same words and figures on every page of the win desk, in the reports, in the digest and in the API. This",
        "page is written by `python -m winpredict.glossary`.",
        "",
        "| figure | what it tells | how it is worked out | deals | horizon |",
        "|---|---|---|---|---|",
    ]
    for figure in GLOSSARY.values():
        cells = (figure.name, figure.meaning, figure.formula, figure.population, figure.horizon or "–")
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
