"""How many requests a first sync of Zoho CRM takes, and on how many days the organisation's limit lets them through."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from winpredict.locale.text import said

#: API credits of 24 hours by edition: at least, for each licence, and at most; one request takes one.
EDITIONS: Mapping[str, tuple[int, int, int | None]] = {
    "free": (5_000, 0, 5_000),
    "starter": (50_000, 250, 100_000),
    "standard": (50_000, 250, 100_000),
    "professional": (50_000, 500, 1_000_000),
    "enterprise": (50_000, 1_000, 5_000_000),
    "zohoone": (50_000, 1_000, 5_000_000),
    "ultimate": (50_000, 2_000, None),
    "crmplus": (50_000, 2_000, None),
}
#: Requests for every deal of a first sync: its timeline and its contacts.
A_DEAL = 2
#: Pages of touches and stays for every deal, and requests whatever the number of deals.
_PAGES_A_DEAL, _ALWAYS = 0.2, 50


@dataclass(frozen=True)
class Plan:
    """What a first sync takes.

    Parameters
    ----------
    deals : int
    edition : str
        Of the organisation, as Zoho names it; empty where it is not told.
    licences : int
    kept : int
        Credits to leave for others.

    Examples
    --------
    >>> plan = Plan(20_000, "standard", 10, 1_000)
    >>> plan.requests, plan.credits, plan.days
    (44050, 52500, 1)
    """

    deals: int
    edition: str
    licences: int
    kept: int

    @classmethod
    def of(cls, organisation: Mapping[str, Any], deals: int, kept: int) -> "Plan":
        """The plan of an organisation, as `ZohoAPI.organisation` tells it."""
        licence = organisation.get("license_details") or {}
        on_trial = not licence.get("paid") and licence.get("trial_type")
        edition = str(licence.get("trial_type" if on_trial else "paid_type") or "")
        return cls(deals, edition, whole_number(licence.get("users_license_purchased")), kept)

    @property
    def requests(self) -> int:
        """Requests of a first sync, about."""
        return math.ceil(self.deals * (A_DEAL + _PAGES_A_DEAL)) + _ALWAYS

    @property
    def credits(self) -> int | None:
        """API credits of 24 hours; None where the edition is not known."""
        known = EDITIONS.get(re.sub("[^a-z]", "", self.edition.lower()))
        if known is None:
            return None
        least, each, most = known
        allowed = least + each * self.licences
        return allowed if most is None else min(allowed, most)

    @property
    def days(self) -> int | None:
        """On how many days it is done; None where that cannot be told."""
        if self.credits is None or self.credits <= self.kept:
            return None
        a_day = self.credits - self.kept
        # whoever goes on another day asks for the timelines of deals with contacts once more
        return 1 if self.requests <= a_day else math.ceil((self.requests + self.deals) / a_day)

    def __str__(self) -> str:
        if self.credits is None:
            return said(
                "a first sync takes about {requests:count} requests for {deals:count} deals; how many API credits the "
                "organisation has for 24 hours is not told (crm.zoho.credits_kept leaves {kept:count} for others)",
                requests=self.requests,
                deals=self.deals,
                kept=self.kept,
            )
        facts = {"requests": self.requests, "deals": self.deals, "credits": self.credits, "kept": self.kept}
        if self.days == 1:
            return said(
                "a first sync takes about {requests:count} requests for {deals:count} deals; the organisation's "
                "edition ({edition}) has {credits:count} API credits for 24 hours, and crm.zoho.credits_kept leaves "
                "{kept:count} of them for others: it is done in one go",
                edition=self.edition,
                **facts,
            )
        if self.days is None:
            return said(
                "a first sync takes about {requests:count} requests for {deals:count} deals; the organisation's "
                "edition ({edition}) has {credits:count} API credits for 24 hours, and crm.zoho.credits_kept leaves "
                "all of them for others: lower it in the config",
                edition=self.edition,
                **facts,
            )
        return said(
            "a first sync takes about {requests:count} requests for {deals:count} deals; the organisation's edition "
            "({edition}) has {credits:count} API credits for 24 hours, and crm.zoho.credits_kept leaves {kept:count} "
            "of them for others: it takes {days:count} days; run `winpredict sync zoho` every day, each goes on where "
            "the one before stopped",
            edition=self.edition,
            days=self.days,
            **facts,
        )

    def left(self, deals_read: int, *, lists: int) -> int:
        """Requests that are left after so many deals, of this list and the `lists` - 1 that come after it."""
        return max(self.deals - deals_read, 0) + self.deals * (lists - 1)


def whole_number(value: Any) -> int:
    """A number that may come as text or with a decimal point; 0 where there is none.

    Examples
    --------
    >>> whole_number("3.0"), whole_number(None), whole_number("")
    (3, 0, 0)
    """
    try:
        return int(float(value))
    except (TypeError, ValueError, OverflowError):
        return 0
