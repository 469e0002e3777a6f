from __future__ import annotations

import contextvars
import threading

import pytest

from greenroom.actors.scheduling.threads import Elastic
from greenroom.runtime import ResourceLimitExceeded, RuntimeClosed

_value: contextvars.ContextVar[str] = contextvars.ContextVar("value", default="none")


def test_a_thread_that_is_free_serves_again_and_no_second_one_is_started() -> None:
    elastic = Elastic(1)
    names = {elastic.submit(lambda: threading.current_thread().ident).result(5) for _ in range(50)}
    assert len(names) == 1
    assert elastic.close(5)


def test_more_than_all_threads_are_refused_at_once() -> None:
    elastic, release = Elastic(2), threading.Event()
    busy = [elastic.submit(release.wait) for _ in range(2)]
    with pytest.raises(ResourceLimitExceeded) as refused:
        elastic.submit(int)
    assert (refused.value.resource, refused.value.limit) == ("elastic_threads", 2)
    release.set()
    assert [each.result(5) for each in busy] == [True, True]
    assert elastic.submit(int).result(5) == 0
    assert elastic.close(5)


def test_what_a_job_raises_its_waiter_gets_and_the_thread_lives_on() -> None:
    elastic = Elastic(1)
    with pytest.raises(ZeroDivisionError):
        elastic.submit(lambda: 1 / 0).result(5)
    with pytest.raises(SystemExit):
        elastic.submit(lambda: exec("raise SystemExit")).result(5)
    assert elastic.submit(int).result(5) == 0
    assert elastic.close(5)


def test_a_job_sees_the_context_of_who_submitted_it_and_does_not_change_it() -> None:
    elastic = Elastic(1)
    token = _value.set("mine")
    try:
        assert elastic.submit(_value.get).result(5) == "mine"
        elastic.submit(_value.set, "theirs").result(5)
        assert _value.get() == "mine"
    finally:
        _value.reset(token)
    assert elastic.submit(_value.get).result(5) == "none"
    assert elastic.close(5)


def test_closing_does_not_wait_for_what_hangs_and_takes_nothing_more() -> None:
    elastic, release = Elastic(2), threading.Event()
    hanging = elastic.submit(release.wait)
    assert not elastic.close(0.01)
    with pytest.raises(RuntimeClosed):
        elastic.submit(int)
    release.set()
    assert hanging.result(5)
    assert elastic.close(5), "the thread has ended"
