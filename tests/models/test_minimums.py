import pytest

from winpredict import CRMData, train
from winpredict.errors import TooLittleDataError
from winpredict.models.minimums import require_enough


@pytest.mark.parametrize(("won", "lost"), [(19, 100), (100, 19), (1, 0), (50, 0)])
def test_too_few_endings_are_refused(few, quick_config, won, lost):
    with pytest.raises(TooLittleDataError, match=f"{won} won and {lost} lost deals; 20 of each"):
        train(few(won, lost), quick_config)


def test_as_many_endings_as_are_wanted_will_do(few):
    require_enough(few(20, 20))


def test_deals_that_were_never_open_are_refused(noise, quick_config):
    with pytest.raises(TooLittleDataError, match="were open on any day"):
        train(
            CRMData.from_tables(noise.assign(closed_at=noise["created_at"].where(noise["closed_at"].notna()))),
            quick_config,
        )
