import threading

import pytest
from numba import get_num_threads

from winpredict._internal import threads
from winpredict._internal.threads import FEW_EVENTS, loops_for, loops_on, on_this_thread, run_parallel, threads_for


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


def test_what_is_one_of_several_opens_no_threads_until_it_ends():
    usual = get_num_threads()
    with on_this_thread():
        assert get_num_threads() == 1
        assert threads_for(10_000, 8) == 1
        used = run_parallel([threading.get_ident] * 3, threads=3)
        assert set(used) == {threading.get_ident()}
        with loops_for(FEW_EVENTS + 1):
            assert get_num_threads() == 1
    assert get_num_threads() == usual
    assert threads_for(10_000, 8) == 8


def test_loops_keep_to_the_quota_of_a_container(monkeypatch, tmp_path):
    quota = tmp_path / "cpu.max"
    quota.write_text("100000 100000\n")
    monkeypatch.setattr(threads, "_CGROUP_QUOTAS", (quota, quota))
    assert threads.usable_cores() == 1
    with loops_for(FEW_EVENTS + 1):
        assert get_num_threads() == 1
