"""The body of a response on the wire, whatever the pieces in which it comes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.runtime.recording.boundaries.http.framing import Framing

BODY = bytes(range(256)) * 3


def chunked(body: bytes) -> bytes:
    parts = [body[at : at + 97] for at in range(0, len(body), 97)]
    return b"".join(b"%x;x=1\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


@pytest.mark.parametrize(
    ("wire", "ended"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 768\r\n\r\n" + BODY, True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(BODY), True),
        (b"HTTP/1.0 200 OK\r\n\r\n" + BODY, False),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 768\r\n\r\n" + BODY, True),
    ],
)
@given(cuts=st.lists(st.integers(0, 1200), max_size=12))
def test_any_pieces_give_the_body(wire: bytes, ended: bool, cuts: list[int]) -> None:
    framing = Framing()
    got = b""
    at = 0
    for cut in [*sorted(cuts), len(wire)]:
        got += framing.feed(wire[at:cut])
        at = max(at, cut)
    assert got == BODY
    assert framing.ended == ended
    assert framing.until_closed != ended
    assert framing.head is not None
    assert (framing.head.status, framing.head.reason) == (200, "OK")


def test_a_response_without_a_body() -> None:
    for wire, has_body in (
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", False),
    ):
        framing = Framing(has_body=has_body)
        assert framing.feed(wire) == b""
        assert framing.ended


HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("wire", "unfinished"),
    [
        (b"5\r\nhello\r\n0\r\n\r\n", None),
        (b"5\r\nhello\r\n", (b"", 0)),
        (b"5\r\nhello\r\n5", (b"5", 0)),
        (b"5\r\nhello\r\n5\r\n", (b"5\r\n", 0)),
        (b"5\r\nhello\r\n5\r\nhe", (b"", 3)),
    ],
)
def test_a_wire_that_ends_within_chunks_says_how(wire: bytes, unfinished: tuple[bytes, int] | None) -> None:
    framing = Framing()
    framing.feed(HEAD + wire)
    assert framing.unfinished() == unfinished
    assert framing.broken is None


def test_a_value_on_two_lines_is_one() -> None:
    framing = Framing()
    framing.feed(b"HTTP/1.1 200 OK\r\nX-A: one\r\n two\r\n\r\n")
    assert framing.head is not None
    assert framing.head.headers == [("X-A", "one two")]


@given(st.binary(max_size=400))
def test_any_bytes_can_come(wire: bytes) -> None:
    framing = Framing()
    framing.feed(wire[:100])
    framing.feed(wire[100:])
    Framing().feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + wire)
