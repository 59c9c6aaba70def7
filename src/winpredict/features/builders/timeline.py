"""Where the deal stands and how fast it moves: age, stages, the expected close date, the calendar."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict._internal.times import days
from winpredict.features import themes
from winpredict.features.asof import AsOfTable
from winpredict.features.builders.base import Feature, FeatureBuilder, if_any, known_count
from winpredict.features.description import NO_NEWS
from winpredict.features.naming import word_of
from winpredict.features.past import Past
from winpredict.locale.text import text, texts


class Age(FeatureBuilder):
    """How long the deal has been open."""

    def build(self, past: Past) -> Iterator[Feature]:
        yield Feature(
            "days_open",
            past.days_open,
            "days",
            text("days since the deal was created"),
            theme=themes.AGE,
            claim=texts("open for {n:count} day", "open for {n:count} days"),
            zero=text("created today"),
        )


class Stage(FeatureBuilder):
    """The stage as of then, the way there, and the time in it against won deals.

    What counts changes is missing where the deal has no stage on record before as_of, and moves also where the stage
    order does not hold the stages that it was in.
    """

    needs = ("deal_history",)

    def build(self, past: Past) -> Iterator[Feature]:
        if not past.has("deal_history", "stage"):
            return
        stage = past.versioned("stage")
        rank = past.stage_rank(stage)
        yield from self._way(past, stage, rank)
        yield from self._time(past, stage, rank)

    @staticmethod
    def _way(past: Past, stage: pd.Series, rank: NDArray[np.float64]) -> Iterator[Feature]:
        of_stage = partial(Feature, theme=themes.STAGE)
        yield of_stage("stage", stage, "category", text("stage"), claim=text("in stage {n}"))
        yield of_stage(
            "stage_rank",
            rank,
            "place",
            text("place of the stage in the sales process"),
            claim=text("at step {n:count} of the sales process"),
            zero=text("at the start of the sales process"),
        )
        changes = past.stage_changes
        entered = changes.count()
        yield of_stage(
            "stage_changes",
            if_any(np.maximum(entered - 1, 0), entered),
            "changes",
            text("changes of stage so far"),
            counts=True,
            zero=text("no change of stage so far"),
            claim=texts("{n:count} change of stage so far", "{n:count} changes of stage so far"),
        )
        moved = past.stage_rank(changes.column("stage")) - past.stage_rank(changes.table.previous("stage"))
        moves, comparable = np.maximum(entered - 1, 0), changes.count(where=~np.isnan(moved))
        back = known_count(changes.count(where=moved < 0), comparable, moves)
        yield of_stage(
            "moves_back",
            if_any(back, entered),
            "moves",
            text("moves back to an earlier stage"),
            counts=True,
            good="less",
            neutral=0.0,
            zero=text("never moved back to an earlier stage"),
            claim=texts(
                "moved back {n:count} time to an earlier stage", "moved back {n:count} times to earlier stages"
            ),
        )
        skipped = known_count(changes.count(where=moved > 1), comparable, moves)
        yield of_stage(
            "stages_skipped",
            if_any(skipped, entered),
            "moves",
            text("moves that skipped a stage"),
            counts=True,
            zero=text("no stage skipped"),
            claim=texts("skipped stages {n:count} time", "skipped stages {n:count} times"),
        )

    @staticmethod
    def _time(past: Past, stage: pd.Series, rank: NDArray[np.float64]) -> Iterator[Feature]:
        changes = past.stage_changes
        of_time = partial(Feature, theme=themes.TIME_IN_STAGES, unit="days")
        in_stage = changes.since_last()
        yield of_time(
            "days_in_stage",
            in_stage,
            label=text("days in the present stage"),
            good="less",
            claim=texts("in the present stage for {n:count} day", "in the present stage for {n:count} days"),
            zero=text("entered the present stage today"),
        )
        norm = past.won_stage_durations(stage).mean("days")
        yield of_time(
            "stay_vs_won",
            in_stage - norm,
            label=text("days in the stage beyond what won deals took there"),
            good="less",
            neutral=0.0,
            claim=texts(
                "{n:count} day longer in the stage than won deals took",
                "{n:count} days longer in the stage than won deals took",
            ),
            negative=texts(
                "{n:count} day less in the stage than won deals took",
                "{n:count} days less in the stage than won deals took",
            ),
            zero=text("as long in the stage as won deals took"),
        )
        gaps, entered = changes.table.gaps(), changes.count()
        left = past.stage_rank(changes.table.previous("stage"))
        for place, name in enumerate(past.crm.stage_order):
            earlier = changes.sum(np.where(left == place, gaps, 0.0))
            now = np.where(rank == place, in_stage, 0.0)
            yield of_time(
                f"days_in_{word_of(name)}",
                if_any(earlier + now, entered),
                label=text("days spent in {stage}", stage=name),
                claim=texts("{n:count} day spent in {stage}", "{n:count} days spent in {stage}", stage=name),
                zero=NO_NEWS,
            )


class ExpectedClose(FeatureBuilder):
    """The expected close date as of then: how far, how often and how much it was put off.

    What counts changes is missing where no expected close date is on record before as_of.
    """

    needs = ("deal_history",)

    def build(self, past: Past) -> Iterator[Feature]:
        if not past.has("deal_history", "expected_close_date"):
            return
        of_close = partial(Feature, theme=themes.EXPECTED_CLOSE)
        expected = past.versioned("expected_close_date")
        to_close = days(expected - past.as_of)
        yield of_close(
            "days_to_expected_close",
            to_close,
            "days",
            text("days to the expected close date"),
            claim=texts("expected to close in {n:count} day", "expected to close in {n:count} days"),
            negative=texts("expected close {n:count} day overdue", "expected close {n:count} days overdue"),
            zero=text("expected to close today"),
            missing=text("no expected close date"),
        )
        yield of_close(
            "days_overdue",
            np.maximum(-to_close, 0.0),
            "days",
            text("days past the expected close date"),
            good="less",
            neutral=0.0,
            claim=texts("expected close {n:count} day overdue", "expected close {n:count} days overdue"),
            zero=text("expected close not overdue"),
            missing=text("no expected close date"),
        )
        history = past.events("deal_history")
        named = history.count(where=history.column("expected_close_date").notna().to_numpy())
        shift = self._shifts(history.table)
        put_off = shift > 0
        yield of_close(
            "close_date_pushes",
            if_any(history.count(where=put_off), named),
            "times",
            text("times the expected close was pushed"),
            counts=True,
            good="less",
            neutral=0.0,
            claim=texts("expected close pushed {n:count} time", "expected close pushed {n:count} times"),
            zero=text("expected close never pushed"),
        )
        yield of_close(
            "close_date_pulls",
            if_any(history.count(where=shift < 0), named),
            "times",
            text("times the expected close was brought forward"),
            counts=True,
            good="more",
            claim=texts(
                "expected close brought forward {n:count} time", "expected close brought forward {n:count} times"
            ),
            zero=text("expected close never brought forward"),
        )
        yield of_close(
            "days_pushed",
            if_any(history.sum(shift), named),
            "days",
            text("days by which the expected close was pushed"),
            good="less",
            neutral=0.0,
            claim=texts(
                "expected close pushed by {n:count} day in all", "expected close pushed by {n:count} days in all"
            ),
            negative=texts(
                "expected close brought forward by {n:count} day in all",
                "expected close brought forward by {n:count} days in all",
            ),
            zero=text("expected close where it was at first"),
        )
        yield of_close(
            "days_since_push",
            history.since_last(where=put_off),
            "days",
            text("days since the expected close was pushed"),
            claim=texts("expected close pushed {n:count} day ago", "expected close pushed {n:count} days ago"),
            zero=text("expected close pushed today"),
        )

    @staticmethod
    def _shifts(history: AsOfTable) -> NDArray[np.float64]:
        """Days by which each change of the date puts it off (negative: brings it forward; NaN: no change)."""
        moved = history.column("expected_close_date") - history.previous("expected_close_date")
        shift = days(moved)
        return np.where(shift == 0, np.nan, shift)
