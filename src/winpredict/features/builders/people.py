"""Who is involved: on our side and on theirs."""

import re
from collections.abc import Iterator
from functools import partial

import numpy as np

from winpredict.features import themes
from winpredict.features.asof import by_value
from winpredict.features.builders.base import Feature, FeatureBuilder, if_any, known_count, ratio
from winpredict.features.past import Past
from winpredict.locale.text import text, texts

#: Words in a contact's role that mark someone who can say yes.
SENIOR_ROLE = re.compile(
    r"\b(?:executive|exec|chief|c[a-z]o|president|vp|vice|director|head|owner|founder|partner|sponsor|"
    r"decision|economic|senior|board)\b",
    re.IGNORECASE,
)


class Team(FeatureBuilder):
    """People of ours on the deal: named team members, those who touched it, changes of owner.

    Who was active is missing where touches are on record but none says whose it was, and changes of owner where no
    owner is on record before as_of.
    """

    def build(self, past: Past) -> Iterator[Feature]:
        if past.has("team_members"):
            yield from self._members(past)
        if past.has("activities", "user_id"):
            yield from self._active(past)
        if past.has("deal_history", "owner_id"):
            yield from self._owner_changes(past)

    def _members(self, past: Past) -> Iterator[Feature]:
        members = past.events("team_members")
        yield Feature(
            "team_members",
            members.distinct("user_id"),
            "people",
            text("people of ours named on the deal"),
            theme=themes.TEAM,
            good="more",
            counts=True,
            zero=text("nobody of ours named on the deal"),
            claim=texts("{n:count} person of ours named on the deal", "{n:count} people of ours named on the deal"),
        )
        yield Feature(
            "days_since_team_member",
            members.since_last(),
            "days",
            text("days since a person of ours joined"),
            theme=themes.TEAM,
            claim=texts("a colleague joined {n:count} day ago", "a colleague joined {n:count} days ago"),
            zero=text("a colleague joined today"),
        )

    def _active(self, past: Past) -> Iterator[Feature]:
        touches = past.events("activities")
        people = partial(Feature, unit="people", theme=themes.TEAM, good="more", counts=True)
        named = touches.column("user_id").notna().to_numpy()
        of_somebody = touches.count(where=named)
        active = touches.distinct("user_id")
        yield people(
            "active_users",
            known_count(active, of_somebody, touches.count()),
            label=text("people of ours who touched the deal"),
            zero=text("nobody of ours has touched the deal"),
            claim=texts(
                "{n:count} person of ours has touched the deal", "{n:count} people of ours have touched the deal"
            ),
        )
        recorded, lately = touches.count(where=named, window_days=30), touches.count(window_days=30)
        yield people(
            "active_users_30d",
            known_count(touches.distinct("user_id", window_days=30), recorded, lately),
            label=text("people of ours active on it in the last 30 days"),
            zero=text("nobody of ours active on it in the last 30 days"),
            claim=texts(
                "{n:count} person of ours active on it in the last 30 days",
                "{n:count} people of ours active on it in the last 30 days",
            ),
        )
        busiest = touches.max(np.where(named, touches.table.occurrence_number("user_id"), np.nan))
        yield Feature(
            "busiest_user_share",
            ratio(busiest, of_somebody),
            "share",
            text("share of the touches by our busiest person"),
            theme=themes.TEAM,
            claim=text("{n:percent} of the touches by one person of ours"),
        )

    def _owner_changes(self, past: Past) -> Iterator[Feature]:
        history = past.events("deal_history")
        before, now = history.table.previous_codes("owner_id"), history.table.value_codes("owner_id")
        changed = (before >= 0) & (now >= 0) & (before != now)
        yield Feature(
            "owner_changes",
            if_any(history.count(where=changed), history.count(where=now >= 0)),
            "changes",
            text("changes of the deal's owner"),
            theme=themes.TEAM,
            good="less",
            neutral=0.0,
            counts=True,
            claim=texts("{n:count} change of the deal's owner", "{n:count} changes of the deal's owner"),
            zero=text("the same owner from the start"),
        )


class Contacts(FeatureBuilder):
    """People of theirs on the deal: how many, how senior, how recently added, how often touched.

    The number of senior contacts is missing where none is on record but some contacts tell no role, and that of
    contacts touched where touches are on record but none says with whom.
    """

    def build(self, past: Past) -> Iterator[Feature]:
        if past.has("contacts"):
            yield from self._named(past)
        if past.has("activities", "contact_id"):
            yield from self._touched(past)

    def _named(self, past: Past) -> Iterator[Feature]:
        contacts = past.events("contacts")
        people = partial(Feature, unit="people", theme=themes.CONTACTS, good="more", counts=True)
        yield people(
            "contacts",
            contacts.distinct("contact_id"),
            label=text("contacts named on the deal"),
            claim=texts("{n:count} contact named on the deal", "{n:count} contacts named on the deal"),
            zero=text("no contact named on the deal"),
        )
        yield people(
            "contacts_added_30d",
            contacts.count(window_days=30),
            label=text("contacts added in the last 30 days"),
            claim=texts("{n:count} contact added in the last 30 days", "{n:count} contacts added in the last 30 days"),
            zero=text("no contact added in the last 30 days"),
        )
        yield Feature(
            "days_since_contact",
            contacts.since_last(),
            "days",
            text("days since a contact was added"),
            theme=themes.CONTACTS,
            good="less",
            missing=text("no contact named on the deal"),
            claim=texts("last contact added {n:count} day ago", "last contact added {n:count} days ago"),
            zero=text("a contact added today"),
        )
        if past.has("contacts", "role"):
            role = contacts.column("role")
            senior = by_value(role, lambda role: SENIOR_ROLE.search(role) is not None) == 1
            with_role = contacts.count(where=role.notna().to_numpy())
            yield people(
                "senior_contacts",
                known_count(contacts.count(where=senior), with_role, contacts.count()),
                label=text("contacts in a senior role"),
                theme=themes.SENIOR_CONTACTS,
                claim=texts("{n:count} contact in a senior role", "{n:count} contacts in a senior role"),
                zero=text("no contact in a senior role"),
            )

    def _touched(self, past: Past) -> Iterator[Feature]:
        touches = past.events("activities")
        people = partial(Feature, unit="people", theme=themes.CONTACTS, good="more", counts=True)
        known = touches.column("contact_id").notna().to_numpy()
        reached = touches.distinct("contact_id")
        yield people(
            "contacts_touched",
            known_count(reached, touches.count(where=known), touches.count()),
            label=text("contacts we were in touch with"),
            zero=text("in touch with no contact yet"),
            claim=texts("in touch with {n:count} contact", "in touch with {n:count} contacts"),
        )
        recorded, lately = touches.count(where=known, window_days=30), touches.count(window_days=30)
        yield people(
            "contacts_touched_30d",
            known_count(touches.distinct("contact_id", window_days=30), recorded, lately),
            label=text("contacts we were in touch with in the last 30 days"),
            zero=text("in touch with no contact in the last 30 days"),
            claim=texts(
                "in touch with {n:count} contact in the last 30 days",
                "in touch with {n:count} contacts in the last 30 days",
            ),
        )
        yield Feature(
            "touches_per_contact",
            ratio(touches.count(), reached),
            "touches",
            text("touches per contact"),
            theme=themes.CONTACTS,
            claim=texts("{n:number} touch per contact", "{n:number} touches per contact"),
        )
