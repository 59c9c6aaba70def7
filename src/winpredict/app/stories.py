"""What is worked out about one deal, kept for all who may see it: nothing here depends on who asks.

Whoever calls has looked the deal up by `winpredict.app.visibility` before.
"""

from datetime import datetime
from typing import TYPE_CHECKING

import pandas as pd

from winpredict.app.desk import Desk, Loaded
from winpredict.locale.language import current

if TYPE_CHECKING:
    from winpredict.explain.similar import SimilarDeals
    from winpredict.explain.story import DealStory

#: Closed deals that a deal is compared with at the most: the last ones that lived as long.
_COMPARED = 1000
_WEEK = pd.Timedelta(days=7)


def story_of(desk: Desk, loaded: Loaded, deal_id: str, as_of: datetime | None) -> "DealStory":
    """The story of a deal as of a scoring run.

    Parameters
    ----------
    desk : Desk
    loaded : Loaded
    deal_id : str
    as_of : datetime or None
        Of the run; None for undated data.

    Raises
    ------
    WinPredictError
        When the tables have lost the deal since, or the champion was trained on later facts than the run's.
    """
    from winpredict.explain.story import tell_story

    scorer = loaded.scorer
    return desk.get_or_compute(
        ("story", loaded.state, as_of, deal_id),
        lambda: tell_story(
            loaded.model, scorer.tables_of(deal_id), deal_id, as_of=_moment(as_of),
            cross_deal_history=scorer.cross_deal_history,
            builders=scorer.builders, settings=desk.config.next_steps,
        ),
    )  # fmt: skip


def chart_of(desk: Desk, loaded: Loaded, deal_id: str, as_of: datetime | None, *, width: int) -> str:
    """The chart of a deal's odds over time as SVG; arguments and errors as `story_of` has them."""
    from winpredict.report.charts.deal import deal_chart
    from winpredict.report.page import Picture
    from winpredict.report.writing import drawn

    story = story_of(desk, loaded, deal_id, as_of)
    return desk.get_or_compute(
        ("deal chart", loaded.state, as_of, deal_id, width, current().name),
        lambda: drawn(Picture(lambda pixels: deal_chart(story, pixels), ""), width),
    )


def alike(desk: Desk, loaded: Loaded, story: "DealStory", as_of: datetime | None) -> "SimilarDeals | None":
    """Closed deals that stood, at the same age to the week, much as a deal stands now; None for undated data.

    Of all owners: show of each no more than the reader may see.
    """
    from winpredict.explain.similar import comparables, most_alike

    if not story.steps or loaded.crm.known_until is None:
        return None
    deal_id, moment = story.explanation.deal_id, _moment(as_of)
    created = loaded.scorer.tables_of(deal_id).deals["created_at"].iloc[0]
    weeks = round((story.explanation.as_of - created) / _WEEK)
    # several deals are of one age, and what they are compared with takes longer than comparing
    among = desk.get_or_compute(
        ("comparables", loaded.state, as_of, weeks),
        lambda: comparables(
            loaded.model,
            loaded.crm,
            weeks * _WEEK,
            moment,
            cross_deal_history=loaded.scorer.cross_deal_history,
            most=_COMPARED,
        ),
    )
    return most_alike(loaded.model, story.features, deal_id, among)


def _moment(as_of: datetime | None) -> pd.Timestamp | None:
    return None if as_of is None else pd.Timestamp(as_of)
