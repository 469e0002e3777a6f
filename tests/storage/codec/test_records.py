"""Values survive storing exactly, and nothing but what was stored is ever read."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.storage.codec.records import SCHEMA_VERSION, pack_value, seal, unpack_value, unseal
from greenroom.storage.errors import IntegrityError, SchemaTooNew, ValidationError

TEXTS = st.text(st.characters(exclude_categories=[]), max_size=30)  # lone surrogates too: scripts and files have them
SCALARS = (
    st.none() | st.booleans() | st.integers(-(1 << 200), 1 << 200) | st.floats(allow_nan=False, allow_infinity=False)
) | (TEXTS | st.binary(max_size=30))
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=20
)
PAYLOADS = st.lists(st.none() | st.integers(-(1 << 63), (1 << 64) - 1) | TEXTS | st.binary(max_size=40), max_size=6)


def same(one: Any, other: Any) -> bool:
    """Equal, and of the same types throughout: True is not 1 and 1.0 is not 1."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, float):
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    return bool(one == other)


@given(VALUES)
def test_what_is_packed_comes_back_the_same(value: Any) -> None:
    assert same(unpack_value(pack_value(value)), value)


@pytest.mark.parametrize("value", [2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**4000, -(10**4000), True, -0.0])
def test_numbers_keep_their_value_beyond_64_bits(value: float) -> None:
    assert same(unpack_value(pack_value([value]))[0], value)


@pytest.mark.parametrize("before", [["x", 2**80], ["x", 10**4999], "x" * (3 << 20), ["x" * (3 << 20), 2**80]])
def test_no_value_shows_in_what_is_packed_after_it(before: Any) -> None:
    with contextlib.suppress(ValidationError):
        assert same(unpack_value(pack_value(before)), before)
    assert pack_value(["y", 1]) == b"\x92\xa1y\x01"
    assert unseal(b"k", seal(b"k", ["y", 1])) == ["y", 1]


def test_a_tuple_is_stored_as_a_list() -> None:
    assert unpack_value(pack_value((1, (2, "x")))) == [1, [2, "x"]]


def nested(levels: int, wrap: Callable[[Any], Any]) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = wrap(value)
    return value


@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: {"k": inner}], ids=["lists", "objects"])
def test_depth_is_limited(wrap: Callable[[Any], Any]) -> None:
    deep = nested(100, wrap)
    assert unpack_value(pack_value(deep)) == deep
    with pytest.raises(ValidationError, match="100 levels"):
        pack_value(wrap(deep), "k")
    with pytest.raises(ValidationError):
        pack_value(nested(100_000, wrap))


class Name(str):
    """A subclass, whose own code must not run within the store."""

    __slots__ = ()

    def __str__(self) -> str:
        raise AssertionError("called")


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"a": [1, 2, 3, {"b": object()}]}, "k['a'][3]['b']: object cannot"),
        ([1.0, (2, math.nan)], "k[1][1]: NaN"),
        ({"a": {1: 2}}, "k['a']: keys must be text, one is int"),
        ({"a": {Name("x"): object()}}, "k['a']['x']: object cannot"),
        ([{"b", object()}], "k[0]["),
        (object(), "k: object cannot"),
        ({"x\ny": {"z" * 50: math.inf}}, "k['x\\ny']['" + "z" * 31 + "…']: NaN"),
        ({"a": 10**5000}, "k: it has a number of too many digits"),
    ],
)
def test_an_error_says_where_in_the_value(value: Any, place: str) -> None:
    with pytest.raises(ValidationError) as caught:
        pack_value(value, "k")
    assert str(caught.value).startswith(place)
    assert caught.value.field == "k"
    with pytest.raises(ValidationError) as deep:
        pack_value({"key" * 10: [value] * 2}, "k")
    assert len(str(deep.value)) < 400


def test_lists_that_hold_each_other_many_times_are_a_huge_value() -> None:
    laugh: Any = [0]
    for _ in range(60):
        laugh = [laugh] * 8
    with pytest.raises(ValidationError, match="items in all"):
        pack_value(laugh)


def test_a_value_that_holds_itself_is_refused() -> None:
    knot: list[Any] = []
    knot.append(knot)
    with pytest.raises(ValidationError):
        pack_value(knot)


@pytest.mark.parametrize("wrap", [lambda value: value, lambda value: [1, value], lambda value: {"a": {"b": value}}])
@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        -math.inf,
        object(),
        1j,
        print,
        type,
        [iter(())],
        Decimal("NaN"),
        {1: 2},
        {None: 1},
        {b"k": 1},
    ],
    ids=lambda value: f"{type(value).__name__} {repr(value).partition(' at 0x')[0]}",
)
def test_what_is_no_json_value_is_refused_by_name(value: Any, wrap: Callable[[Any], Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        pack_value(wrap(value), "custom")
    assert caught.value.fields["field"] == "custom"
    assert str(caught.value).startswith(("custom: ", "custom["))


def test_the_error_does_not_show_the_value() -> None:
    class Secret:
        def __repr__(self) -> str:
            return "hunter2"

    with pytest.raises(ValidationError) as caught:
        pack_value({"password": Secret()})
    assert "hunter2" not in str(caught.value)


@given(st.binary(max_size=60))
def test_any_bytes_decode_or_are_called_damaged(data: bytes) -> None:
    with contextlib.suppress(IntegrityError):
        unpack_value(data)


@given(st.binary(min_size=1, max_size=24), PAYLOADS)
def test_a_record_comes_back_under_its_key(key: bytes, payload: list[Any]) -> None:
    assert same(unseal(key, seal(key, payload)), payload)


@given(st.binary(max_size=24), PAYLOADS, st.data())
def test_no_flipped_bit_goes_unnoticed(key: bytes, payload: list[Any], data: st.DataObject) -> None:
    record = bytearray(seal(key, payload))
    at = data.draw(st.integers(0, len(record) - 1))
    record[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(IntegrityError):
        unseal(key, bytes(record))


@given(st.binary(max_size=24), st.binary(max_size=24), PAYLOADS)
def test_a_record_under_another_key_is_damaged(key: bytes, other: bytes, payload: list[Any]) -> None:
    if key != other:
        with pytest.raises(IntegrityError):
            unseal(other, seal(key, payload))


@given(st.binary(max_size=24), PAYLOADS, st.data())
def test_a_record_cut_short_or_made_longer_is_damaged(key: bytes, payload: list[Any], data: st.DataObject) -> None:
    record = seal(key, payload)
    with pytest.raises(IntegrityError):
        unseal(key, record[: data.draw(st.integers(0, len(record) - 1))])
    with pytest.raises(IntegrityError):
        unseal(key, record + data.draw(st.binary(min_size=1, max_size=8)))


def versioned(key: bytes, version: int) -> bytes:
    body = bytes([version]) + seal(key, [1])[1:-4]
    return body + crc32(body, crc32(key)).to_bytes(4, "little")


def test_a_record_of_a_newer_schema_is_refused_as_such() -> None:
    with pytest.raises(SchemaTooNew) as caught:
        unseal(b"key", versioned(b"key", SCHEMA_VERSION + 1), "the counts")
    assert caught.value.fields == {"found": SCHEMA_VERSION + 1, "supported": SCHEMA_VERSION}
    assert "the counts" in str(caught.value)
    assert "upgrade" in str(caught.value)


def test_a_record_of_no_known_schema_is_damaged() -> None:
    with pytest.raises(IntegrityError):
        unseal(b"key", versioned(b"key", 0))


def test_the_error_names_the_record() -> None:
    with pytest.raises(IntegrityError, match="record of 6b6579"):
        unseal(b"key", b"garbage", lambda key: f"record of {key.hex()}")
