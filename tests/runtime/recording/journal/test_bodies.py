"""Bodies as deltas: exact, near, and within bounds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from greenroom.storage.events.bodies import MAX_DEPTH, Bodies, Body, BodyMemory, spliced

PIECES = st.lists(st.sampled_from([b"a", b"bc", b"system prompt ", b"x" * 100, b"\x00\xff"]), max_size=12).map(b"".join)


@given(st.lists(PIECES, min_size=1, max_size=12))
def test_each_body_comes_back_byte_for_byte(contents: list[bytes]) -> None:
    bodies, there = Bodies(), dict[int, bytes]()
    for sequence, content in enumerate(contents, 1):
        delta = bodies.delta("POST /", content)
        if delta.base is None:
            assert delta.middle == content
        else:
            base = there[delta.base.sequence]
            assert spliced(base, delta.base.prefix, delta.base.suffix, delta.middle) == content
        there[sequence] = content
        bodies.remember("POST /", Body(sequence, content, delta.depth))


def test_a_body_that_grows_is_what_is_new_in_it() -> None:
    bodies, body = Bodies(), b'{"messages":["' + b"system" * 500 + b'"]}'
    for sequence in range(1, 20):
        delta = bodies.delta("POST /", body)
        assert sequence == 1 or len(delta.middle) < 20
        bodies.remember("POST /", Body(sequence, body, delta.depth))
        body = body[:-2] + b',"turn %d"]}' % sequence


def test_the_same_body_again_is_nothing_new() -> None:
    bodies = Bodies()
    bodies.remember("POST /", Body(1, b"same" * 100, 0))
    delta = bodies.delta("POST /", b"same" * 100)
    assert (delta.middle, delta.base) == (b"", (1, 400, 0, 1))


def test_the_nearest_of_the_last_bodies_is_the_base() -> None:
    bodies = Bodies()
    first, second = b"first" * 1000, b"second" * 1000
    bodies.remember("POST /", Body(1, first, 0))
    bodies.remember("POST /", Body(2, second, 0))
    assert bodies.delta("POST /", first + b"more").base == (1, 5000, 0, 1)
    assert bodies.delta("POST /", b"less" + second).base == (2, 0, 6000, 1)
    assert bodies.delta("GET /", first).base is None
    assert bodies.delta("POST /", b"third" * 1000).base is None


def test_no_body_stands_on_more_than_a_bounded_number_of_others() -> None:
    bodies, whole = Bodies(), 0
    for sequence in range(1, 3 * MAX_DEPTH):
        delta = bodies.delta("POST /", b"x" * 100)
        whole += delta.base is None
        assert delta.depth < MAX_DEPTH
        bodies.remember("POST /", Body(sequence, b"x" * 100, delta.depth))
    assert whole == 3


def test_what_is_remembered_is_bounded() -> None:
    bodies = Bodies()
    for sequence in range(1, 200):
        bodies.remember(f"POST /{sequence}", Body(sequence, bytes(1 << 20), 0))
    assert bodies.size <= 16 << 20
    bodies.remember("POST /", Body(1000, bytes(9 << 20), 0))
    assert bodies.delta("POST /", bytes(9 << 20)).base is None


def test_a_body_beyond_its_base_is_none() -> None:
    assert spliced(b"abc", 2, 2, b"") is None
    assert spliced(b"abc", 3, 0, b"d") == b"abcd"
    assert spliced(b"abc", 0, 3, b"d") == b"dabc"


def test_sessions_are_forgotten_oldest_first() -> None:
    memory = BodyMemory()
    first, new = memory.of("1")
    assert new
    assert memory.of("1") == (first, False)
    for number in range(2, 300):
        memory.of(str(number))
    assert memory.of("1")[1]
