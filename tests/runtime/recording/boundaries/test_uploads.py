"""A request that is longer than is kept is sent whole, and recorded without its body."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from greenroom.runtime.recording.boundaries.http import ask, bodies, identity, wire

PARTS = [bytes([number]) * 10 for number in range(10)]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (bodies, identity, wire):
        monkeypatch.setattr(module, "MOST_BYTES", 35)


def test_what_comes_bit_by_bit_is_gathered_up_to_a_bound() -> None:
    taken: list[bytes] = []

    def parts() -> Iterator[bytes]:
        for each in PARTS:
            taken.append(each)
            yield each

    first, rest = bodies.gathered(parts())
    assert taken == PARTS[:4]
    assert rest is not None
    assert first + b"".join(rest) == b"".join(PARTS)
    assert bodies.gathered(PARTS[:3]) == (b"".join(PARTS[:3]), None)


def test_so_is_what_comes_asynchronously() -> None:
    async def parts() -> AsyncIterator[bytes]:
        for each in PARTS:
            yield each

    async def gather() -> tuple[bytes, bytes]:
        first, rest = await bodies.gathered_async(parts())
        assert rest is not None
        return first, b"".join([each async for each in rest])

    first, rest = asyncio.run(gather())
    assert first == b"".join(PARTS[:4])
    assert first + rest == b"".join(PARTS)


@pytest.mark.parametrize("body", [lambda: iter(PARTS), lambda: io.BytesIO(b"".join(PARTS))], ids=["parts", "file"])
def test_clients_of_http_client_send_all_of_it(body: Any) -> None:
    first, sent = wire.read_body(body())
    assert 35 < len(first) < 100
    assert b"".join(sent) == b"".join(PARTS)


def test_it_is_recorded_without_its_body_and_still_matches() -> None:
    asked = ask("PUT", "https://host/file", [], b"a" * 40)
    assert asked.input["body"] == b""
    assert asked.input["left_out"] == 40
    assert asked.key == ask("PUT", "https://host/file", [], b"b" * 50).key
