from __future__ import annotations

import ctypes
import subprocess
import sys
import threading

import pytest

from greenroom.storage.concurrency.starter import start_thread
from greenroom.storage.concurrency.waiting import Bell, Flag, Promise

PATIENCE = 30.0


def test_a_bell_wakes_all_who_wait_and_only_what_is_there_lets_them_go() -> None:
    bell, there, woken = Bell(), Flag(), []
    threads = [
        threading.Thread(target=lambda: woken.append(bell.wait_for(there.is_set, PATIENCE)), daemon=True)
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    bell.ring()
    assert not woken
    there.set()
    bell.ring()
    for thread in threads:
        thread.join(PATIENCE)
    assert woken == [True, True, True]
    assert not bell.awaited


def test_a_ring_that_is_never_heard_makes_a_waiter_late_and_not_lost() -> None:
    bell, there = Bell(), Flag()
    thread = threading.Thread(target=bell.wait_for, args=(there.is_set, None), daemon=True)
    thread.start()
    there.set()  # and nobody rings
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_waiting_ends_with_its_time() -> None:
    bell = Bell()
    assert not bell.wait_for(lambda: False, 0.01)
    assert not bell.wait_for(lambda: False, 0)
    assert not bell.wait_for(lambda: False, -1)
    assert bell.wait_for(lambda: True, 0)
    assert not bell.awaited
    with pytest.raises(TimeoutError):
        Promise[int]().result(0.01)


def test_a_flag_is_an_event() -> None:
    flag = Flag()
    assert isinstance(flag, threading.Event)
    assert (flag.is_set(), flag.wait(0)) == (False, False)
    flag.set()
    assert (flag.is_set(), flag.wait()) == (True, True)
    flag.clear()
    assert not flag.is_set()


def test_the_first_who_settles_a_promise_decides() -> None:
    promise: Promise[int] = Promise()
    assert not promise.settled()
    promise.settle(1)
    promise.settle(error=ValueError())
    assert promise.settled()
    assert promise.result() == 1
    failed: Promise[int] = Promise()
    failed.settle(error=ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        failed.result()


def test_what_was_withdrawn_is_not_begun_and_what_was_begun_not_withdrawn() -> None:
    promise: Promise[int] = Promise()
    assert promise.withdraw()
    assert not promise.begin()
    other: Promise[int] = Promise()
    assert other.begin()
    assert not other.withdraw()
    assert not other.begin()


def test_threads_start_also_while_exceptions_are_thrown_into_who_wants_them() -> None:
    class Struck(Exception):
        pass

    over, started = Flag(), []

    def victim() -> None:
        while not over.is_set():
            try:  # noqa: SIM105 -- the end of a `with` could be struck
                start_thread(threading.Thread(target=lambda: started.append(1), daemon=True))
            except Struck:
                pass

    def keep_on() -> None:
        while not over.is_set():
            try:  # noqa: SIM105
                victim()
            except Struck:
                pass

    start_thread(threading.Thread(target=lambda: None, daemon=True))  # the starter itself is begun: see below
    thread = threading.Thread(target=keep_on, daemon=True)
    thread.start()
    assert thread.ident is not None
    for _ in range(300):
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(Struck))
        start_thread(threading.Thread(target=lambda: None, daemon=True))
    over.set()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    done = Flag()
    start_thread(threading.Thread(target=done.set, daemon=True), stack_size=1 << 20)
    assert done.wait(PATIENCE)


def test_the_starter_begins_although_its_own_start_is_hit() -> None:
    """CPython gives what is thrown into a thread to the one that it is just starting: the start is repeated."""
    code = """
import ctypes, itertools, threading
from greenroom.storage.concurrency import starter

class Struck(Exception):
    pass

over, begun = threading.Event(), []

def victim():
    while not over.is_set():
        try:
            starter._forget()
            starter.start_thread(threading.Thread(target=lambda: begun.append(1), daemon=True))
        except Struck:
            pass

def keep_on():
    while not over.is_set():
        try:
            victim()
        except Struck:
            pass

starter._FIRST_SIGN = 0.05
thread = threading.Thread(target=keep_on, daemon=True)
thread.start()
for number in itertools.count():
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(Struck))
    over.wait(0.0005)
    if number > 500 and len(begun) > 50:
        break
over.set()
thread.join(60)
print(thread.is_alive())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout == "False\n", done.stderr[-2000:]
