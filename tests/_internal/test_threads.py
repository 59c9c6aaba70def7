import pytest
from numba import get_num_threads

from winpredict._internal.threads import FEW_EVENTS, loops_for, loops_on


def test_loops_use_as_many_threads_as_before_once_the_work_is_done():
    usual = get_num_threads()
    with loops_on(1):
        assert get_num_threads() == 1
    with pytest.raises(ZeroDivisionError), loops_on(1):
        raise ZeroDivisionError
    assert get_num_threads() == usual


@pytest.mark.parametrize("asked", [-1, 0, 10_000])
def test_loops_never_use_no_thread_or_more_than_there_are(asked):
    usual = get_num_threads()
    with loops_on(asked):
        assert 1 <= get_num_threads() <= usual


def test_loops_over_few_events_use_one_thread_and_over_many_all_that_there_are():
    usual = get_num_threads()
    with loops_for(FEW_EVENTS):
        assert get_num_threads() == 1
    with loops_for(FEW_EVENTS + 1):
        assert get_num_threads() == usual
