import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from winpredict.errors import ConfigError, NotFittedError, TableError, TooLittleDataError, WorkspaceError
from winpredict.models._frames import person_periods, thinned
from winpredict.models.timing import ClosingTime

STAGES = np.array(["Call", "Demo", "Offer"])


class World:
    """Deals whose odds and times to a win follow from touches and stage; seen until a random day."""

    def __init__(self, n: int, seed: int, longest: float = 400.0) -> None:
        rng = np.random.default_rng(seed)
        touches, stage = rng.poisson(4, n), rng.integers(0, 3, n)
        self.X = pd.DataFrame({"touches": touches.astype(float), "stage": pd.Categorical(STAGES[stage])})
        self.odds = expit(-1.5 + 0.25 * touches + np.array([0.0, 0.3, 1.0])[stage])
        self.scale = np.array([120.0, 70.0, 30.0])[stage]
        self.won = rng.random(n) < self.odds
        self.takes = np.where(self.won, self.scale * rng.weibull(1.5, n), rng.exponential(50.0, n))
        watched = rng.uniform(0.0, longest, n)
        self.days = np.minimum(self.takes, watched)
        self.outcome = np.where(self.takes > watched, "open", np.where(self.won, "won", "lost"))

    def truth(self, days: float) -> np.ndarray:
        """P(won within `days`)."""
        return self.odds * -np.expm1(-((days / self.scale) ** 1.5))


@pytest.fixture(scope="module")
def fitted() -> ClosingTime:
    world = World(12_000, 1)
    return ClosingTime(threads=1).fit(world.X, world.outcome, world.days)


@pytest.fixture(scope="module")
def later() -> World:
    return World(6000, 2)


class TestWinBy:
    @pytest.mark.parametrize("days", [7, 20, 30, 45, 60, 90, 120, 180, 300])
    def test_near_the_truth_overall_and_deal_by_deal(self, fitted: ClosingTime, later: World, days: float) -> None:
        predicted, truth = fitted.win_by(later.X, days, later.odds), later.truth(days)
        assert predicted.mean() == pytest.approx(truth.mean(), abs=0.012)
        assert np.abs(predicted - truth).mean() < 0.025

    def test_calibrated_against_what_happened(self, fitted: ClosingTime, later: World) -> None:
        predicted = fitted.win_by(later.X, 45.0, later.odds)
        happened = later.won & (later.takes <= 45.0)
        tenth = pd.qcut(predicted, 5, labels=False, duplicates="drop")
        table = pd.DataFrame({"p": predicted, "y": happened}).groupby(tenth).mean()
        assert (table["p"] - table["y"]).abs().max() < 0.04

    def test_open_deals_are_not_ignored(self, later: World) -> None:
        world = World(12_000, 1, longest=150.0)
        closed = world.outcome != "open"
        naive = ClosingTime(threads=1).fit(world.X[closed], world.outcome[closed], world.days[closed])
        honest = ClosingTime(threads=1).fit(world.X, world.outcome, world.days)
        truth = later.truth(60.0)
        naive_error, honest_error = (
            model.win_by(later.X, 60.0, later.odds).mean() - truth.mean() for model in (naive, honest)
        )
        assert naive_error > 0.02
        assert abs(honest_error) < naive_error / 2

    def test_rises_from_zero_to_the_final_odds_and_never_above(self, fitted: ClosingTime, later: World) -> None:
        X, odds = later.X[:200], later.odds[:200]
        grid = [0.0, 0.5, 3, 7, 7.5, 14, 22, 30, 59, 60, 61, 90, 180, 364, 365, 366, 500, 2000, np.inf]
        course = np.array([fitted.win_by(X, days, odds) for days in grid])
        assert (course[0] == 0.0).all()
        assert (np.diff(course, axis=0) >= -1e-12).all()
        assert (course <= odds).all()
        assert course[-1] == pytest.approx(odds)
        assert (fitted.win_by(X, -5.0, odds) == 0.0).all()

    def test_continuous_at_the_ends_of_intervals(self, fitted: ClosingTime, later: World) -> None:
        X, odds = later.X[:50], later.odds[:50]
        for end in (7.0, 30.0, 365.0):
            before, after = (fitted.win_by(X, end + by, odds) for by in (-1e-6, 1e-6))
            assert before == pytest.approx(after, abs=1e-6)

    def test_a_horizon_for_each_row(self, fitted: ClosingTime, later: World) -> None:
        X, odds = later.X[:3], later.odds[:3]
        each = fitted.win_by(X, [10.0, 50.0, 400.0], odds)
        alone = [fitted.win_by(X[i : i + 1], days, odds[i : i + 1])[0] for i, days in enumerate([10.0, 50.0, 400.0])]
        assert each == pytest.approx(alone)

    def test_certain_odds_and_no_rows(self, fitted: ClosingTime, later: World) -> None:
        assert fitted.win_by(later.X[:2], np.inf, [0.0, 1.0]).tolist() == [0.0, 1.0]
        assert fitted.win_by(later.X[:0], 30.0, []).shape == (0,)

    def test_outlook_says_the_same(self, fitted: ClosingTime, later: World) -> None:
        X, odds = later.X[:4], later.odds[:4]
        outlook = fitted.outlook(X, odds)
        assert outlook.won_by.columns.tolist() == [7, 14, 30, 60, 90, 180, 365]
        assert outlook.won_by[60.0].to_numpy() == pytest.approx(fitted.win_by(X, 60.0, odds))
        assert "within 30 days" in outlook.sentence(0)


class TestSameEveryTime:
    def test_order_of_rows_and_categories_and_a_second_run(self) -> None:
        world = World(1500, 3)
        shuffled = np.random.default_rng(0).permutation(1500)
        probe, odds = world.X[:100], world.odds[:100]
        first = ClosingTime(threads=1, trees=15, most_rows=2000).fit(world.X, world.outcome, world.days)
        again = ClosingTime(threads=1, trees=15, most_rows=2000).fit(
            world.X.iloc[shuffled], world.outcome[shuffled], world.days[shuffled]
        )
        expected = first.win_by(probe, 40.0, odds)
        assert (expected == again.win_by(probe, 40.0, odds)).all()
        reordered = probe.assign(stage=probe["stage"].cat.set_categories(["Offer", "Lunch", "Demo", "Call"]))
        assert (expected == first.win_by(reordered[["stage", "touches"]], 40.0, odds)).all()

    def test_saved_and_loaded(self, fitted: ClosingTime, later: World, tmp_path) -> None:
        fitted.save(tmp_path / "timing")
        assert sorted(each.name for each in (tmp_path / "timing").iterdir()) == ["closes.txt", "timing.json", "won.txt"]
        loaded = ClosingTime.load(tmp_path / "timing")
        probe, odds = later.X[:500], later.odds[:500]
        assert (loaded.win_by(probe, 33.0, odds) == fitted.win_by(probe, 33.0, odds)).all()
        loaded.save(tmp_path / "again")
        for name in ("closes.txt", "won.txt", "timing.json"):
            assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "timing" / name).read_bytes()

    def test_unseen_label_counts_as_missing(self, fitted: ClosingTime) -> None:
        frames = [pd.DataFrame({"touches": [3.0], "stage": pd.Categorical([label])}) for label in ("Lunch", None)]
        unseen, missing = (fitted.win_by(frame, 30.0, [0.5])[0] for frame in frames)
        assert unseen == missing


class TestPersonPeriods:
    GRID = np.array([10.0, 20.0, 40.0])

    def test_by_hand(self) -> None:
        outcome = np.array(["won", "lost", "open", "open", "won", "open"])
        days = np.array([5.0, 10.0, 15.0, 0.0, 99.0, 40.0])
        periods = person_periods(outcome, days, np.array([1.0, 1.0, 2.0, 1.0, 1.0, 1.0]), self.GRID)
        rows = list(zip(periods.row, periods.interval, periods.closed, periods.won, periods.weight, strict=True))
        assert rows == [
            (0, 0, True, True, 1.0),
            (1, 0, False, False, 1.0),
            (1, 1, True, False, 1.0),
            (2, 0, False, False, 2.0),
            (2, 1, False, False, 1.0),  # half of the interval was seen
            (4, 0, False, False, 1.0),
            (4, 1, False, False, 1.0),
            (4, 2, False, False, 1.0),  # won after the grid ends
            (5, 0, False, False, 1.0),
            (5, 1, False, False, 1.0),
            (5, 2, False, False, 1.0),
        ]

    def test_thinning_keeps_weight_by_kind(self) -> None:
        world = World(3000, 4)
        periods = person_periods(world.outcome, world.days, np.ones(3000), np.array([7.0, 30.0, 90.0, 365.0]))
        few = thinned(periods, 3000, np.random.default_rng(0))
        assert few.row.size == 3000
        assert few.closed.sum() == 1500
        for kind in (True, False):
            kept, whole = few.weight[few.closed == kind].sum(), periods.weight[periods.closed == kind].sum()
            assert kept == pytest.approx(whole, rel=0.02)

    def test_few_closes_are_all_kept(self) -> None:
        outcome = np.where(np.arange(1000) < 50, "won", "open")
        periods = person_periods(outcome, np.full(1000, 15.0), np.ones(1000), self.GRID)
        few = thinned(periods, 400, np.random.default_rng(0))
        assert (few.row.size, few.closed.sum()) == (400, 50)
        assert (few.weight[few.closed] == 1.0).all()


class TestRefusals:
    X = pd.DataFrame({"touches": [1.0, 2.0, 3.0]})

    def test_not_trained(self, tmp_path) -> None:
        with pytest.raises(NotFittedError):
            ClosingTime(threads=1).win_by(self.X, 30.0, [0.1, 0.2, 0.3])
        with pytest.raises(NotFittedError):
            ClosingTime(threads=1).save(tmp_path)

    def test_bad_training_rows(self) -> None:
        with pytest.raises(TableError, match="unknown outcome"):
            ClosingTime(threads=1).fit(self.X, ["won", "lost", "stalled"], [1.0, 2.0, 3.0])
        with pytest.raises(TableError, match="1 of 3 durations"):
            ClosingTime(threads=1).fit(self.X, ["won", "lost", "open"], [1.0, -2.0, 3.0])
        with pytest.raises(TableError, match="one each a row"):
            ClosingTime(threads=1).fit(self.X, ["won", "lost"], [1.0, 2.0])
        with pytest.raises(TooLittleDataError, match="won"):
            ClosingTime(threads=1).fit(self.X, ["open", "lost", "lost"], [1.0, 2.0, 3.0])

    @pytest.mark.parametrize("grid", [(), (0.0, 7.0), (7.0, 7.0), (30.0, 7.0), (7.0, np.inf)])
    def test_bad_grid(self, grid: tuple[float, ...]) -> None:
        with pytest.raises(ConfigError, match="grid_days"):
            ClosingTime(grid_days=grid, threads=1).fit(self.X, ["won", "lost", "open"], [1.0, 2.0, 3.0])

    def test_bad_scoring_rows(self, fitted: ClosingTime, later: World) -> None:
        with pytest.raises(TableError, match="stage"):
            fitted.win_by(later.X[["touches"]], 30.0, later.odds)
        with pytest.raises(TableError, match="horizons"):
            fitted.win_by(later.X[:1], np.nan, [0.5])
        with pytest.raises(TableError, match="odds"):
            fitted.win_by(later.X[:1], 30.0, [1.5])

    def test_nothing_to_load(self, tmp_path) -> None:
        with pytest.raises(WorkspaceError, match="no timing model"):
            ClosingTime.load(tmp_path)
        (tmp_path / "timing.json").write_text('{"format": 99}')
        with pytest.raises(WorkspaceError, match="format 99"):
            ClosingTime.load(tmp_path)
