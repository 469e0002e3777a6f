"""Streams: read by the script itself, and by its host."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from greenroom.runtime import InvalidOperation, Runtime, ScriptError, ScriptTimeout


def lua(rt: Runtime, source: str, **options: Any) -> Any:
    return rt.run_script(source, **options).value


def test_a_stream_runs_only_as_far_as_it_is_read(shared_runtime: Runtime) -> None:
    value = lua(
        shared_runtime,
        """
        local made = 0
        local stream = Streaming.create(function()
          for i = 1, 5 do made = i; Streaming.yield(i * 10) end
        end)
        assert(made == 0 and not stream:isDone() and tostring(stream) == "<Stream>")
        assert(stream:next() == 10 and made == 1)
        local some = stream:collect(2)
        assert(#some == 2 and made == 3)
        local rest = {}
        for piece in stream do rest[#rest + 1] = piece end
        assert(stream:next() == nil and stream:is_done() and not stream:close())
        return { some, rest }
        """,
    )
    assert value == [[20, 30], [40, 50]]


def test_streams_are_closed_and_their_errors_raised_where_they_are_read(shared_runtime: Runtime) -> None:
    value = lua(
        shared_runtime,
        """
        local ended = false
        local stream = Streaming.create(function()
          local guard <close> = setmetatable({}, { __close = function() ended = true end })
          while true do Streaming.yield(1) end
        end)
        assert(stream:forEach(function(piece) return false end) == 1 and ended and stream:next() == nil)
        local failing = Streaming.create(function() Streaming.yield(1); error({ code = "Mine", message = "no" }) end)
        assert(failing:next() == 1)
        local ok, e = pcall(failing.next, failing)
        assert(not ok and e.code == "Mine" and failing:next() == nil)
        local own
        own = Streaming.create(function() own:next() end)
        local _, busy = pcall(own.next, own)
        local _, none = pcall(Streaming.create, 7)
        local _, empty = pcall(function() return Streaming.create(function() Streaming.yield(nil) end):next() end)
        local _, alone = pcall(Streaming.yield, 1)
        assert(#Streaming.create({ 1, 2 }):collect() == 2 and not Streaming.consumed())
        return { busy.code, none.code, empty.code, alone.code }
        """,
    )
    assert value == ["InvalidOperation", "ValidationError", "ValidationError", "InvalidOperation"]


COUNTING = """
local n, own = ...
local function count() for i = 1, n do Streaming.yield({ n = i }) end end
if own then count(); return "done" end
return Streaming.create(count)
"""
COUNTING_JS = """
function* count(n) { for (let i = 1; i <= n; i++) yield { n: i } }
const [n, own] = arguments
if (own) { for (const piece of count(n)) Streaming.yield(piece); return 'done' }
return Streaming.create(() => count(n))
"""


@pytest.fixture(params=[("lua", "thread"), ("js", "thread"), ("lua", "process")], ids="-".join)
def way(request: pytest.FixtureRequest) -> dict[str, Any]:
    language, isolation = request.param
    return {"language": language, "isolation": isolation}


def source(way: dict[str, Any]) -> str:
    return COUNTING if way["language"] == "lua" else COUNTING_JS


def test_the_host_takes_pieces_before_the_script_goes_on(shared_runtime: Runtime, way: dict[str, Any]) -> None:
    for own in (True, False):
        pieces: list[Any] = []
        result = shared_runtime.run_script(source(way), args=[3, own], on_piece=pieces.append, **way)
        assert pieces == [{"n": 1}, {"n": 2}, {"n": 3}]
        assert result.value == ("done" if own else None)


def test_without_a_host_that_takes_pieces_a_stream_is_a_list(shared_runtime: Runtime, way: dict[str, Any]) -> None:
    assert shared_runtime.run_script(source(way), args=[2, False], **way).value == [{"n": 1}, {"n": 2}]
    with pytest.raises(ScriptError, match="nobody takes pieces") as caught:
        shared_runtime.run_script(source(way), args=[2, True], **way)
    assert caught.value.cause == "InvalidOperation"


def test_the_host_ends_a_script_that_it_needs_no_more(shared_runtime: Runtime, way: dict[str, Any]) -> None:
    for own in (True, False):
        pieces: list[Any] = []

        def two(piece: Any, pieces: list[Any] = pieces) -> bool:
            pieces.append(piece)
            return len(pieces) < 2

        result = shared_runtime.run_script(source(way), args=[10**9, own], on_piece=two, timeout=60, **way)
        assert len(pieces) == 2
        assert result.value is None


def test_what_the_host_raises_ends_the_script(shared_runtime: Runtime, way: dict[str, Any]) -> None:
    def fails(piece: Any) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        shared_runtime.run_script(source(way), args=[3, True], on_piece=fails, **way)


def test_a_script_is_read_as_an_iterator(shared_runtime: Runtime, way: dict[str, Any]) -> None:
    with shared_runtime.stream_script(source(way), args=[100, False], **way) as pieces:
        assert [piece["n"] for piece in pieces] == list(range(1, 101))
        assert pieces.result.value is None
    endless = shared_runtime.stream_script(source(way), args=[10**9, True], timeout=60, **way)
    assert next(endless) == {"n": 1}
    with pytest.raises(InvalidOperation):
        _ = endless.result
    endless.close()
    assert list(endless) == []


def test_an_error_in_the_middle_comes_after_the_pieces(shared_runtime: Runtime) -> None:
    failing = "return Streaming.create(function() Streaming.yield(1); error('cut') end)"
    pieces = shared_runtime.stream_script(failing)
    assert next(pieces) == 1
    with pytest.raises(ScriptError, match="cut"):
        next(pieces)
    with pytest.raises(ScriptTimeout):
        list(shared_runtime.stream_script("Streaming.yield(1) while true do end", timeout=0.3))
    with pytest.raises(Exception, match="profile"):
        next(shared_runtime.stream_script("return 1", profile="none"))


def test_pieces_are_taken_by_the_caller_and_not_for_the_session(shared_runtime: Runtime) -> None:
    own, other = shared_runtime.create_session(), shared_runtime.create_session()
    threads: list[int] = []

    def keep(piece: Any) -> None:
        threads.append(threading.get_ident())
        other.set("piece", piece)  # which the script itself may not

    shared_runtime.run_script("Streaming.yield(7)", session=own, on_piece=keep)
    assert other.get("piece") == 7
    assert len(threads) == 1


def test_the_script_waits_for_its_reader(shared_runtime: Runtime) -> None:
    session = shared_runtime.create_session()
    counting = "for i = 1, 1000 do State.set('n', i); Streaming.yield(i) end"
    pieces = shared_runtime.stream_script(counting, session=session, timeout=60)
    assert next(pieces) == 1
    assert session.get("n") < 40
    assert [*pieces][-1] == 1000
