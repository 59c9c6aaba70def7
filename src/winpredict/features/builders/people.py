"""Who is involved: on our side and on theirs."""

import re
from collections.abc import Iterator

import numpy as np

from winpredict.features.asof import by_value
from winpredict.features.builders.base import Feature, FeatureBuilder, ratio
from winpredict.features.past import Past

#: Words in a contact's role that mark someone who can say yes.
SENIOR_ROLE = re.compile(
    r"\b(?:executive|exec|chief|c[a-z]o|president|vp|vice|director|head|owner|founder|partner|sponsor|"
    r"decision|economic|senior|board)\b",
    re.IGNORECASE,
)


class Team(FeatureBuilder):
    """People of ours on the deal: named team members, those who touched it, changes of owner."""

    def build(self, past: Past) -> Iterator[Feature]:
        if past.has("team_members"):
            yield from self._members(past)
        if past.has("activities", "user_id"):
            yield from self._active(past)
        if past.has("deal_history", "owner_id"):
            yield from self._owner_changes(past)

    def _members(self, past: Past) -> Iterator[Feature]:
        members = past.events("team_members")
        yield Feature("team_members", members.distinct("user_id"), "people", "people of ours named on the deal")
        yield Feature("days_since_team_member", members.since_last(), "days", "days since a person of ours joined")

    def _active(self, past: Past) -> Iterator[Feature]:
        touches = past.events("activities")
        yield Feature("active_users", touches.distinct("user_id"), "people", "people of ours who touched the deal")
        recent = touches.distinct("user_id", window_days=30)
        yield Feature("active_users_30d", recent, "people", "people of ours active on it in the last 30 days")
        named = touches.column("user_id").notna().to_numpy()
        busiest = touches.max(np.where(named, touches.table.occurrence_number("user_id"), np.nan))
        share = ratio(busiest, touches.count(where=named))
        yield Feature("busiest_user_share", share, "share", "share of the touches by our busiest person")

    def _owner_changes(self, past: Past) -> Iterator[Feature]:
        history = past.events("deal_history")
        before, now = history.table.previous_codes("owner_id"), history.table.value_codes("owner_id")
        changed = (before >= 0) & (now >= 0) & (before != now)
        yield Feature("owner_changes", history.count(where=changed), "changes", "changes of the deal's owner")


class Contacts(FeatureBuilder):
    """People of theirs on the deal: how many, how senior, how recently added, how often touched."""

    def build(self, past: Past) -> Iterator[Feature]:
        if past.has("contacts"):
            yield from self._named(past)
        if past.has("activities", "contact_id"):
            yield from self._touched(past)

    def _named(self, past: Past) -> Iterator[Feature]:
        contacts = past.events("contacts")
        yield Feature("contacts", contacts.distinct("contact_id"), "people", "contacts named on the deal")
        recent = contacts.count(window_days=30)
        yield Feature("contacts_added_30d", recent, "people", "contacts added in the last 30 days")
        yield Feature("days_since_contact", contacts.since_last(), "days", "days since a contact was added")
        if past.has("contacts", "role"):
            senior = by_value(contacts.column("role"), lambda role: SENIOR_ROLE.search(role) is not None) == 1
            yield Feature("senior_contacts", contacts.count(where=senior), "people", "contacts in a senior role")

    def _touched(self, past: Past) -> Iterator[Feature]:
        touches = past.events("activities")
        reached = touches.distinct("contact_id")
        yield Feature("contacts_touched", reached, "people", "different contacts we were in touch with")
        recent = touches.distinct("contact_id", window_days=30)
        yield Feature("contacts_touched_30d", recent, "people", "different contacts in the last 30 days")
        yield Feature("touches_per_contact", ratio(touches.count(), reached), "touches", "touches a contact")
