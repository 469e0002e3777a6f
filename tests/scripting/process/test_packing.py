"""What crosses the pipe comes out as it went in; what no honest process sends is refused before it costs anything."""

from __future__ import annotations

import math
import socket
import threading
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.scripting.definition.callback import Callback, Callbacks
from greenroom.scripting.definition.values import UNDEFINED
from greenroom.scripting.process.packing import MAX_DEPTH, MAX_PARTS, pack, unpack, unpack_untrusted
from greenroom.scripting.process.wire import ProtocolError, Wire, WireClosed

SCALARS = (
    st.none()
    | st.booleans()
    | st.just(UNDEFINED)
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats()
    | st.text(st.characters(codec=None), max_size=40)
    | st.binary(max_size=300)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=8), inner, max_size=8),
    max_leaves=40,
)


def same(left: Any, right: Any) -> bool:
    """Whether two values are equal, in their types too."""
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return list(left) == list(right) and all(map(same, left.values(), right.values()))
    if isinstance(left, float):
        return math.copysign(1, left) == math.copysign(1, right) and (left == right or math.isnan(left + right))
    return bool(left == right)


@given(VALUES)
def test_values_come_out_as_they_went_in(value: Any) -> None:
    data = pack(value)
    assert same(value, unpack(data))
    assert same(value, unpack_untrusted(bytearray(data)))


def test_functions_cross_by_number() -> None:
    callbacks = Callbacks()
    function = Callback(callbacks, 7)
    data = pack([{"then": function}, function], lambda it: it.number + 1)
    assert unpack(data, lambda number: number * 10) == [{"then": 80}, 80]
    with pytest.raises(TypeError, match="Callback"):
        pack(function)
    with pytest.raises(ValueError, match="extension"):
        unpack(data)


@pytest.mark.parametrize("value", [1 << 64, object(), {1, 2}, [object()]])
def test_what_is_no_plain_data_is_refused(value: object) -> None:
    with pytest.raises((TypeError, OverflowError)):
        pack(value)


@given(st.binary(max_size=600))
def test_any_bytes_are_a_value_or_an_error(data: bytes) -> None:
    try:
        value = unpack_untrusted(bytearray(data))
    except ValueError:
        return
    assert same(unpack(pack(value)), value)


def test_a_value_is_as_deep_and_as_large_as_scripts_can_make_it() -> None:
    deep: Any = 1
    for _ in range(MAX_DEPTH - 1):
        deep = [deep]
    assert unpack_untrusted(bytearray(pack(deep))) == deep
    with pytest.raises(ValueError, match="levels"):
        unpack_untrusted(bytearray(pack([[deep, 1]])))
    assert len(unpack_untrusted(bytearray(pack([0] * 1_000_000)))) == 1_000_000
    with pytest.raises(ValueError, match="parts"):
        unpack_untrusted(bytearray(pack([0] * (MAX_PARTS + 1))))


@pytest.mark.parametrize("claim", [b"\xdd\x00\x10\x00\x00", b"\xdf\x00\x08\x00\x00"])
def test_parts_that_are_not_there_are_not_made_room_for(claim: bytes) -> None:
    with pytest.raises(ValueError, match="parts"):
        unpack_untrusted(bytearray(claim * 100 + b"\xc0" * 500_000))


def test_times_of_messagepack_are_numbers() -> None:
    assert unpack_untrusted(bytearray(msgpack.packb(msgpack.Timestamp(5, 0)))) == 5.0


# -- frames


def pair() -> tuple[Wire, socket.socket]:
    one, other = socket.socketpair()
    return Wire(one), other


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=5000)), max_size=10))
def test_frames_come_out_as_they_went_in(frames: list[tuple[int, bytes]]) -> None:
    one, other = socket.socketpair()
    sender, receiver = Wire(one), Wire(other)
    for kind, body in frames:
        sender.send(kind, body)
    assert [receiver.receive(5) for _ in frames] == frames
    sender.close()
    with pytest.raises(WireClosed):
        receiver.receive(5)
    receiver.close()


def test_a_large_frame_crosses_while_it_is_read() -> None:
    one, other = socket.socketpair()
    sender, receiver = Wire(one), Wire(other)
    body = bytes(range(256)) * (1 << 14)
    thread = threading.Thread(target=sender.send, args=(1, body))
    thread.start()
    assert receiver.receive(30) == (1, body)
    thread.join()
    sender.close()
    receiver.close()


def test_a_frame_that_is_too_long_is_not_read() -> None:
    wire, other = pair()
    wire.longest = 100
    other.sendall(b"\x00\x00\x00\x65\x01")
    with pytest.raises(ProtocolError, match="101 bytes"):
        wire.receive(5)
    wire.close()
    other.close()


def test_what_has_arrived_of_a_frame_is_kept() -> None:
    wire, other = pair()
    other.sendall(b"\x00\x00\x00\x04\x01ab")
    with pytest.raises(TimeoutError):
        wire.receive(0.01)
    other.sendall(b"cd")
    assert wire.receive(5) == (1, b"abcd")
    other.sendall(b"\x00\x00")
    other.close()
    with pytest.raises(WireClosed, match="middle"):
        wire.receive(5)
    wire.close()


def test_a_frame_that_nobody_reads_is_given_up() -> None:
    wire, other = pair()
    with pytest.raises(TimeoutError):
        wire.send(1, bytes(32 << 20), 0.01)
    other.close()
    with pytest.raises(WireClosed):
        wire.send(1, b"x")
    wire.close()
