"""Pages and answers of the win desk read while runs are published: of which run each figure is.

Every run gives all of its deals the same odds, a whole number of per cent that no run near it has, so that a page of
two runs shows two numbers.
"""

import re
from collections.abc import Iterator

import pandas as pd

#: Odds of runs, in per cent: with one digit more or less a page is told from its neighbours'.
MIN, MAX = 5, 94
_CELLS = (
    r'<span class="odds">.*?(\d+)%</span>',
    r'data-label="Win odds">(?:<svg.*?</svg>)?\s*(\d+)%',
    r'data-label="Odds">(?:<svg.*?</svg>)?\s*(\d+)%',
    r'<p class="big"><strong>(\d+)%</strong> win odds',
)
_SUM = r"<strong>([\d,]+)</strong> open deal.*?<strong>([\d,]+)</strong> wins? expected"


def percent_of(run: int) -> int:
    """The odds that all deals of a run have.

    Examples
    --------
    >>> percent_of(0), percent_of(89), percent_of(90)
    (5, 94, 5)
    """
    return MIN + run % (MAX - MIN + 1)


def with_odds(scores: pd.DataFrame, run: int) -> pd.DataFrame:
    """Scores as a run of that number has them."""
    odds = percent_of(run) / 100
    return scores.assign(win_probability=odds, low=odds, high=odds)


def percents(address: str, answer: dict | str) -> set[int]:
    """All odds that an answer shows, in per cent; sums as the odds that they are made with."""
    return set(_of_json(answer) if isinstance(answer, dict) else _of_page(address, answer))


def _of_json(answer: dict) -> Iterator[int]:
    deals = answer.get("deals", [answer] if "win_probability" in answer else [])
    yield from (round(100 * each["win_probability"]) for each in deals)
    if answer.get("amount") and "expected" in answer:
        yield round(100 * answer["expected"] / answer["amount"])


def _of_page(address: str, page: str) -> Iterator[int]:
    # beneath a deal's headline stand its odds of other days, which are of no run
    for cells in _CELLS[-1:] if address.startswith("/deals/") else _CELLS:
        yield from map(int, re.findall(cells, page, re.DOTALL))
    match = re.search(_SUM, page, re.DOTALL)
    if match and address.startswith("/pipeline"):
        deals, wins = (int(each.replace(",", "")) for each in match.groups())
        shown = set(map(int, re.findall(_CELLS[1], page, re.DOTALL)))
        # the sum is rounded to whole deals: it fits what the rows show, or tells another number
        fits = [each for each in shown if abs(deals * each / 100 - wins) <= 0.51]
        yield fits[0] if fits else round(100 * wins / deals)
