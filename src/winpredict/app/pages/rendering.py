"""Templates, what all of them know, and how figures are written."""

from datetime import datetime
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from winpredict.app.identity import Caller, desk_of
from winpredict.app.records import Role, Score
from winpredict.app.shown_reasons import audience_of, next_steps_of, reasons_of
from winpredict.explain.reason import capitalised, given_line, leading
from winpredict.insights._phrases import as_they_stand
from winpredict.locale import formats

TEMPLATES = Path(__file__).parents[1] / "templates"
_MISSING = "–"
#: Pages by role: address and name.
_ROOMS = {
    Role.REP: (
        ("/deals", "My deals"),
        ("/tokens", "Keys"),
    ),
    Role.MANAGER: (
        ("/pipeline", "Pipeline"),
        ("/drivers", "Drivers"),
        ("/deals", "Deals"),
        ("/tokens", "Keys"),
    ),
    Role.SCIENTIST: (
        ("/models", "Models"),
        ("/pipeline", "Pipeline"),
        ("/drivers", "Drivers"),
        ("/deals", "Deals"),
        ("/tokens", "Keys"),
    ),
    Role.ADMIN: (
        ("/people", "People"),
        ("/tokens", "Keys"),
    ),
}


def render(request: Request, caller: Caller | None, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page.

    Parameters
    ----------
    request : Request
    caller : Caller or None
        Decides on the navigation; None for pages without one.
    template : str
        Name of the template.
    status : int
        Of the answer.
    **values
        What the template shows.
    """
    known = {
        "caller": caller,
        "csrf": "" if caller is None or caller.session is None else caller.session.csrf_token,
        "here": request.url.path,
        "rooms": () if caller is None else _ROOMS[Role(caller.person.role)],
        "title_of_status": HTTPStatus(status).phrase,
        "status": status,
        "audience": "everyone" if caller is None else audience_of(caller.person.role, desk_of(request).config.app),
        "oidc": bool(desk_of(request).config.app.oidc_issuer),
    }
    html = environment().get_template(template).render(known | values)
    # what a person sees is theirs: no shared cache may keep it, and the back button after signing out shows nothing
    return HTMLResponse(html, status, {"Cache-Control": "no-store"})


@cache
def environment() -> Environment:
    """Jinja with our filters; everything is escaped."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    made.filters |= {
        "percent": percent, "points": points, "in_points": in_points, "tenths": tenths, "money": money, "day": day,
        "days_from": days_from, "next_step": next_step, "close_from": close_from, "capitalised": capitalised,
        "reasons_of": reasons_of, "next_steps_of": next_steps_of, "leading": leading, "given_line": given_line,
        "address_of": address_of,
        "moment": moment, "figure": format, "knows_until": knows_until, "as_they_stand": as_they_stand,
    }  # fmt: skip
    return made


def percent(share: float | None) -> str:
    """A share in per cent.

    Examples
    --------
    >>> percent(0.234), percent(None)
    ('23%', '–')
    """
    return _MISSING if share is None else f"{share:.0%}"


def points(change: float | None) -> str:
    """A change of a share in percentage points, with its sign.

    Examples
    --------
    >>> points(-0.031), points(0.001), points(None)
    ('−3', '0', '–')
    """
    return _MISSING if change is None else formats.points(change)


def in_points(change: float) -> str:
    """A change of a share in percentage points, with the word for them.

    Examples
    --------
    >>> in_points(-0.031), in_points(0.012)
    ('−3 points', '+1 point')
    """
    rounded = points(change)
    return f"{rounded} point{'' if rounded in ('+1', '−1') else 's'}"


def tenths(change: float) -> str:
    """A change in percentage points to one decimal, for figures that people add up.

    Examples
    --------
    >>> tenths(-0.0312), tenths(0.0001)
    ('−3.1', '0.0')
    """
    return formats.exact_points(change)


def money(amount: float | None, currency: str | None = None) -> str:
    """An amount in whole units.

    Examples
    --------
    >>> money(12345.6, "EUR"), money(-0.4), money(None)
    ('12,346 EUR', '0', '–')
    """
    if amount is None:
        return _MISSING
    return f"{amount:z,.0f}" + (f" {currency}" if currency else "")


def day(moment: datetime | None) -> str:
    """A day as people write it.

    Examples
    --------
    >>> day(datetime(2025, 3, 7))
    '7 Mar 2025'
    """
    return _MISSING if moment is None else formats.day(moment)


def moment(at: datetime) -> str:
    """A day with its time, UTC.

    Examples
    --------
    >>> moment(datetime(2025, 3, 7, 9, 5))
    '7 Mar 2025, 09:05'
    """
    return formats.moment(at)


def knows_until(trained_as_of: str) -> str:
    """The day up to which a model knows what happened, from what is on record of it.

    Examples
    --------
    >>> knows_until("2025-02-05T00:00:00+00:00"), knows_until("")
    ('5 Feb 2025', 'undated')
    """
    return day(datetime.fromisoformat(trained_as_of)) if trained_as_of else "undated"


def days_from(moment: datetime | None, now: datetime | None) -> str:
    """How far a moment lies from another, in words.

    Examples
    --------
    >>> days_from(datetime(2025, 3, 7), datetime(2025, 3, 9))
    '2 days ago'
    """
    if moment is None or now is None:
        return _MISSING
    days = (now.date() - moment.date()).days
    if days == 0:
        return "today"
    count = f"{abs(days):,} day{'' if abs(days) == 1 else 's'}"
    return f"{count} ago" if days > 0 else f"in {count}"


def next_step(score: Score, now: datetime | None) -> tuple[str, str]:
    """What comes next in a deal, when and what: the next touch that is booked, else the expected close.

    The canonical tables have no field for a next step: what CRMs have is free text that few keep up to date.

    Examples
    --------
    >>> later = Score(next_touch_at=None, expected_close_date=datetime(2025, 3, 7))
    >>> next_step(later, datetime(2025, 3, 9)), next_step(later, datetime(2025, 3, 1))
    (('2 days overdue', 'expected close'), ('in 6 days', 'expected close'))
    """
    if now is None:
        return _MISSING, ""
    if score.next_touch_at is not None:
        return days_from(score.next_touch_at, now), "touch booked"
    if score.expected_close_date is not None:
        return close_from(score.expected_close_date, now), "expected close"
    return "nothing booked", ""


def close_from(close: datetime, now: datetime) -> str:
    """How far the expected close of an open deal lies ahead.

    Examples
    --------
    >>> close_from(datetime(2025, 3, 7), datetime(2025, 3, 8)), close_from(datetime(2025, 3, 7), datetime(2025, 3, 1))
    ('1 day overdue', 'in 6 days')
    """
    return days_from(close, now).replace(" ago", " overdue")


def address_of(deal_id: str) -> str:
    """Where the page of a deal is, whatever its id holds.

    Examples
    --------
    >>> address_of("A/1 ?")
    '/deals/A/1%20%3F'
    """
    return f"/deals/{quote(deal_id)}"


def sentence(told: object) -> str:
    """An error, or what it says, as a sentence of a page.

    Examples
    --------
    >>> sentence("there is nobody"), sentence("Gone?")
    ('There is nobody.', 'Gone?')
    """
    words = str(told)
    return f"{words[:1].upper()}{words[1:]}{'' if words.endswith(('.', '?', '!')) else '.'}"
