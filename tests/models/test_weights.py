import numpy as np
import pytest

from winpredict import Config
from winpredict.errors import TableError
from winpredict.features.snapshots import labelled
from winpredict.models.snapshots import training_snapshots
from winpredict.models.weights import censoring_weights, row_weights


def test_a_look_weighs_by_its_number_so_far_and_not_by_how_long_the_deal_will_live(world):
    config = Config.model_validate({"censoring": {"method": "none"}})
    snapshots = training_snapshots(world.crm, config)
    so_far = snapshots.groupby("deal_id")["as_of"].rank()
    assert so_far.max() > 20
    np.testing.assert_allclose(row_weights(snapshots, config), 1 / np.sqrt(so_far))
    # the same looks at deals that were then cut short weigh the same
    cut = snapshots[so_far <= 3]
    again = labelled(world.crm, cut[["deal_id", "as_of"]])
    np.testing.assert_allclose(row_weights(again, config), row_weights(snapshots, config)[so_far <= 3])


class TestCensoringWeights:
    @staticmethod
    def world(quick: str, n: int = 40_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Deals created over a year; a third is won, and one kind closes five times as fast as the other."""
        rng = np.random.default_rng(seed)
        won = rng.random(n) < 1 / 3
        takes = rng.exponential(np.where(won == (quick == "won"), 20.0, 100.0))
        watched = rng.uniform(0.0, 365.0, n)
        return won, np.minimum(takes, watched), takes <= watched

    @pytest.mark.parametrize(("quick", "sign"), [("lost", -1), ("won", 1)])
    def test_undoes_the_bias_of_looking_at_closed_deals_only(self, quick: str, sign: int) -> None:
        won, days, closed = self.world(quick)
        naive = won[closed].mean() - 1 / 3
        weighted = np.average(won, weights=censoring_weights(days, closed, max_weight=50.0)) - 1 / 3
        assert naive * sign > 0.04
        assert abs(weighted) < abs(naive) / 4

    def test_mean_one_over_closed_zero_for_open_and_growing_with_time(self) -> None:
        _, days, closed = self.world("lost", 2000)
        weight = censoring_weights(days, closed)
        assert weight[closed].mean() == pytest.approx(1.0)
        assert (weight[~closed] == 0.0).all()
        order = np.argsort(days[closed])
        assert (np.diff(weight[closed][order]) >= 0).all()
        assert weight[closed].max() / weight[closed].min() <= 10.0 + 1e-9

    def test_product_limit_by_hand(self) -> None:
        # G drops at 2 (1 of 4 at risk, the close at 2 comes first) and at 4 (1 of 2)
        weight = censoring_weights([1, 2, 2, 3, 4, 5], [True, True, False, True, False, True], max_weight=99.0)
        inverse = np.array([1.0, 1.0, 0.0, 4 / 3, 0.0, 8 / 3])
        assert weight == pytest.approx(inverse * 4 / inverse.sum())

    def test_row_weights_count_like_repeated_rows(self) -> None:
        _, days, closed = self.world("won", 200)
        times = np.random.default_rng(0).integers(1, 4, 200)
        weighted = censoring_weights(days, closed, sample_weight=times)
        repeated = censoring_weights(np.repeat(days, times), np.repeat(closed, times))
        assert np.repeat(weighted, times) == pytest.approx(repeated)

    def test_all_closed_and_none_closed(self) -> None:
        assert censoring_weights([1.0, 2.0], [True, True]).tolist() == [1.0, 1.0]
        assert censoring_weights([1.0, 2.0], [False, False]).tolist() == [0.0, 0.0]

    def test_bad_durations_are_counted(self) -> None:
        with pytest.raises(TableError, match="2 of 3 durations"):
            censoring_weights([-1.0, np.nan, 2.0], [True, True, False])
        with pytest.raises(TableError, match="one a row"):
            censoring_weights([1.0], [True, True])
