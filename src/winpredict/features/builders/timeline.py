"""Where the deal stands and how fast it moves: age, stages, the expected close date, the calendar."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from winpredict._internal.times import days
from winpredict.features.asof import AsOfTable
from winpredict.features.builders.base import Feature, FeatureBuilder, word_of
from winpredict.features.past import Past


class Age(FeatureBuilder):
    """How long the deal has been open."""

    def build(self, past: Past) -> Iterator[Feature]:
        yield Feature("days_open", past.days_open, "days", "days since the deal was created")


class Stage(FeatureBuilder):
    """The stage as of then, the way there, and the time in it against won deals."""

    needs = ("deal_history",)

    def build(self, past: Past) -> Iterator[Feature]:
        if not past.has("deal_history", "stage"):
            return
        stage = past.versioned("stage")
        yield Feature("stage", stage, "category", "stage")
        place = past.stage_rank(stage)
        yield Feature("stage_rank", place, "place", "place of the stage in the sales process")
        changes = past.stage_changes
        yield Feature("stage_changes", np.maximum(changes.count() - 1, 0), "changes", "changes of stage so far")
        left = past.stage_rank(changes.table.previous("stage"))
        moved = past.stage_rank(changes.column("stage")) - left
        yield Feature("moves_back", changes.count(where=moved < 0), "moves", "moves back to an earlier stage")
        yield Feature("stages_skipped", changes.count(where=moved > 1), "moves", "moves that skipped a stage")
        in_stage = changes.since_last()
        yield Feature("days_in_stage", in_stage, "days", "days in the present stage")
        norm = past.won_stage_durations(stage).mean("days")
        yield Feature("stay_vs_won", in_stage - norm, "days", "days in the stage beyond what won deals took there")
        gaps = changes.table.gaps()
        for rank, name in enumerate(past.crm.stage_order):
            earlier = changes.sum(np.where(left == rank, gaps, 0.0))
            now = np.where(place == rank, in_stage, 0.0)
            yield Feature(f"days_in_{word_of(name)}", earlier + now, "days", f"days spent in {name}")


class ExpectedClose(FeatureBuilder):
    """The expected close date as of then: how far, how often and how much it was put off."""

    needs = ("deal_history",)

    def build(self, past: Past) -> Iterator[Feature]:
        if not past.has("deal_history", "expected_close_date"):
            return
        expected = past.versioned("expected_close_date")
        to_close = days(expected - past.as_of)
        yield Feature("days_to_expected_close", to_close, "days", "days to the expected close date")
        yield Feature("days_overdue", np.maximum(-to_close, 0.0), "days", "days past the expected close date")
        history = past.events("deal_history")
        shift = self._shifts(history.table)
        put_off = shift > 0
        yield Feature("close_date_pushes", history.count(where=put_off), "times", "times the close date was put off")
        yield Feature("close_date_pulls", history.count(where=shift < 0), "times", "times it was brought forward")
        yield Feature("days_pushed", history.sum(shift), "days", "days by which the close date was put off")
        yield Feature("days_since_push", history.since_last(where=put_off), "days", "days since it was last put off")

    @staticmethod
    def _shifts(history: AsOfTable) -> NDArray[np.float64]:
        """Days by which each change of the date puts it off (negative: brings it forward; NaN: no change)."""
        moved = history.column("expected_close_date") - history.previous("expected_close_date")
        shift = days(moved)
        return np.where(shift == 0, np.nan, shift)
