"""Templates, what all of them know, and how figures are written."""

from collections.abc import Callable
from datetime import datetime
from functools import cache
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
from winpredict.insights.labels import as_they_stand
from winpredict.locale import formats
from winpredict.locale.language import current
from winpredict.locale.text import Text, said, text, texts

TEMPLATES = Path(__file__).parents[1] / "templates"
_TOKENS = ("/tokens", text("API keys"))
#: Pages by role: address and name.
_ROOMS = {
    Role.REP: (
        ("/deals", text("My deals")),
        _TOKENS,
    ),
    Role.MANAGER: (
        ("/pipeline", text("Pipeline")),
        ("/drivers", text("Drivers")),
        ("/deals", text("Deals")),
        _TOKENS,
    ),
    Role.SCIENTIST: (
        ("/models", text("Models")),
        ("/pipeline", text("Pipeline")),
        ("/drivers", text("Drivers")),
        ("/deals", text("Deals")),
        _TOKENS,
    ),
    Role.ADMIN: (
        ("/people", text("People")),
        _TOKENS,
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
        "rooms": () if caller is None else rooms_of(caller),
        "status": status,
        "lang": current().lang,
        "audience": "everyone" if caller is None else audience_of(caller.person.role, desk_of(request).config.app),
        "oidc": bool(desk_of(request).config.app.oidc_issuer),
    }
    html = environment().get_template(template).render(known | values)
    # what a person sees is theirs: no shared cache may keep it, and the back button after signing out shows nothing
    return HTMLResponse(html, status, {"Cache-Control": "no-store"})


def rooms_of(caller: Caller) -> tuple[tuple[str, Text], ...]:
    """The pages that a caller finds in the navigation: address and name."""
    return _ROOMS[Role(caller.person.role)]


@cache
def environment() -> Environment:
    """Jinja with our filters; everything is escaped."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.globals |= {"_": text, "ngettext": texts}
    written: dict[str, Callable[[Any], str]] = {
        "count": formats.count, "number": formats.number, "percent": formats.percent, "points": formats.points,
        "tenths": formats.exact_points, "precise": formats.precise, "day": formats.day, "moment": formats.moment,
    }  # fmt: skip
    environment.filters |= {name: formats.or_missing(style) for name, style in written.items()}
    environment.filters |= {
        "in_points": in_points, "money": money, "days_from": days_from, "next_step": next_step,
        "close_from": close_from, "capitalised": capitalised, "reasons_of": reasons_of,
        "next_steps_of": next_steps_of, "leading": leading, "given_line": given_line, "address_of": address_of,
        "knows_until": knows_until, "as_they_stand": as_they_stand,
    }  # fmt: skip
    return environment


def in_points(change: float) -> str:
    """A change of a share in percentage points, with the word for them.

    Examples
    --------
    >>> in_points(-0.031), in_points(0.012)
    ('−3 points', '+1 point')
    """
    return str(texts("{n:points} point", "{n:points} points", n=change))


def money(amount: float | None, currency: str | None = "") -> str:
    """An amount in whole units.

    Parameters
    ----------
    amount : float or None
    currency : str or None
        ISO code; empty where it is not recorded, which then is the config's; None where there are several.

    Examples
    --------
    >>> money(12345.6, "EUR"), money(-0.4), money(None)
    ('€12,346', '0', '–')
    """
    return formats.or_missing(formats.money)((amount, currency))


def knows_until(trained_as_of: str) -> str:
    """The day up to which a model knows what happened, from what is on record of it.

    Examples
    --------
    >>> knows_until("2025-02-05T00:00:00+00:00"), knows_until("")
    ('5 Feb 2025', 'undated')
    """
    return formats.day(trained_as_of) if trained_as_of else said("undated")


def days_from(moment: datetime | None, now: datetime | None) -> str:
    """How far a moment lies from another, in words.

    Examples
    --------
    >>> days_from(datetime(2025, 3, 7), datetime(2025, 3, 9)), days_from(datetime(2025, 3, 10), datetime(2025, 3, 9))
    ('2 days ago', 'in 1 day')
    """
    if moment is None or now is None:
        return formats.MISSING
    days = formats.elapsed_days(now, moment)
    if days > 0:
        return str(texts("{n:count} day ago", "{n:count} days ago", n=days))
    return _ahead(-days)


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
        return formats.MISSING, ""
    if score.next_touch_at is not None:
        return days_from(score.next_touch_at, now), said("touch booked")
    if score.expected_close_date is not None:
        return close_from(score.expected_close_date, now), said("expected close")
    return said("nothing booked"), ""


def close_from(close: datetime, now: datetime) -> str:
    """How far the expected close of an open deal lies ahead.

    Examples
    --------
    >>> close_from(datetime(2025, 3, 7), datetime(2025, 3, 8)), close_from(datetime(2025, 3, 7), datetime(2025, 3, 1))
    ('1 day overdue', 'in 6 days')
    """
    days = formats.elapsed_days(now, close)
    return str(texts("{n:count} day overdue", "{n:count} days overdue", n=days)) if days > 0 else _ahead(-days)


def address_of(deal_id: str) -> str:
    """Where the page of a deal is, whatever its id holds.

    Examples
    --------
    >>> address_of("A/1 ?")
    '/deals/A/1%20%3F'
    """
    return f"/deals/{quote(deal_id)}"


def sentence(problem: object) -> str:
    """An error, or what it says, as a sentence of a page.

    Examples
    --------
    >>> sentence("no backtest on record"), sentence("Gone?")
    ('No backtest on record.', 'Gone?')
    """
    words = str(problem)
    return f"{capitalised(words)}{'' if words.endswith(('.', '?', '!')) else '.'}"


def _ahead(days: int) -> str:
    return str(texts("in {n:count} day", "in {n:count} days", n=days)) if days else said("today")
