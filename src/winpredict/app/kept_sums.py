"""Number and sums of the deals of a list, kept while the same scores are shown."""

from sqlalchemy.orm import Session as DatabaseSession

from winpredict.app.desk import Desk
from winpredict.app.listing import DealQuery, DealSums, sum_deals
from winpredict.app.records import Person, ScoringRun


def kept_sums(
    desk: Desk, session: DatabaseSession, person: Person, run: ScoringRun | None, query: DealQuery, *, with_names: bool
) -> DealSums:
    """What `winpredict.app.listing.sum_deals` gives; scores and who reports to whom change with a run only.

    Parameters
    ----------
    desk : Desk
    session : DatabaseSession
    person : Person
    run : ScoringRun or None
        The one that is shown.
    query : DealQuery
    with_names : bool
        Whether names may be searched by.
    """
    filters = query.filters
    who = (person.id, person.role, person.crm_user_id, person.active)
    asked = filters.model_dump_json(include=set(DealQuery.model_fields))
    key = ("sums of deals", run and run.id, who, asked, with_names)
    return desk.get_or_compute(
        key, lambda: sum_deals(session, person, filters, with_names=with_names, settings=desk.config.run)
    )
