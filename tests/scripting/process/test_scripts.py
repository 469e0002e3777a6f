"""A script in a process of its own is as one on a thread: the same globals, values, errors and facts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest

from greenroom.runtime import (
    ConfigurationError,
    GreenroomError,
    Runtime,
    RuntimeClosed,
    ScriptError,
    ScriptMemoryExceeded,
    ScriptTimeout,
    Session,
    ValidationError,
)
from tests.scripting.lua.test_native_bounds import FAMILIES


@pytest.fixture(scope="module")
def shared() -> Iterator[Runtime]:
    with Runtime.open(config={"script_processes": 1}) as runtime:
        yield runtime


def ends(runtime: Runtime, source: str, **options: Any) -> tuple[type[GreenroomError] | None, str, str]:
    """Return the error of a script, its message, and what was printed."""
    try:
        return None, "", runtime.run_script(source, **options).output
    except ScriptError as error:
        return type(error), str(error), error.output


def both(runtime: Runtime, source: str, **options: Any) -> tuple[Any, Any]:
    """Return how a script ends on a thread and in a process: its value and output, or the error with its facts."""
    endings = []
    for isolation in ("thread", "process"):
        try:
            result = runtime.run_script(source, isolation=isolation, **options)  # type: ignore[arg-type]
        except GreenroomError as error:
            endings.append((type(error), str(error), error.fields))
        else:
            endings.append((result.value, result.output, result.instructions > 0))
    return endings[0], endings[1]


SAME: Final = {
    "values": "return nil, true, -1, 1.0, 1 << 62, 'x', '\\0\\255', {1, 2, {}}, {a = {b = JSON.null}}, JSON.array {}",
    "an argument": "return ...",
    "no value": "local x = 1",
    "output": "print('one', 2, nil) print() print('\\255')",
    "an error": "local x = 1\nerror('bad')",
    "an error without a place": "error('bad', 0)",
    "an error that is a table": "error { message = 'bad', code = 'Mine' }",
    "a syntax error": "return return",
    "an error of the host": "return Session.get('nonsense')",
    "an error of the host that is caught": """
        local ok, e = pcall(Session.get, 'x')
        return { ok, e.code, e.message, tostring(e) }""",
    "a bad argument": "return State.set('k')",
    "a bad option": "return Session.create { nam = 'x' }",
    "too many levels": "local t = {} for i = 1, 200 do t = { t } end return State.set('k', t)",
    "a number beyond 64 bits": "return Tool.invoke('large', {})",
    "os.exit": "print('before') os.exit(0) print('after')",
    "state": "State.set('k', { 1, { a = '\\255\\0', b = 1.5 } }) return State.get('k'), State.get('none', 'default')",
    "an error with a code in a function of the script": """
        Event.on('custom.*', function() error { message = 'bad', code = 'Mine' } end)
        Event.publish('custom.x', {})""",
    "functions of the script": """
        local s = Session.create {}
        Session.setCurrent(s)
        local seen = {}
        Hook.register('BeforeStateWrite', function(context)
          seen[#seen + 1] = context.data.key
          if context.data.key == 'outer' then State.set('inner', 1) end
          if context.data.key == 'no' then return { type = 'cancel', reason = 'never' } end
        end)
        State.set('outer', 2)
        local ok, e = pcall(State.set, 'no', 3)
        return seen, ok, e.code, State.get('inner')""",
    "a function that fails": """
        Session.setCurrent(Session.create {})
        Hook.register('BeforeStateWrite', function() error('in the hook') end)
        return State.set('k', 1)""",
    "functions that call for each other": """
        Session.setCurrent(Session.create {})
        local depth, deepest = 0, 0
        Hook.register('BeforeStateWrite', function()
          depth = depth + 1
          deepest = math.max(deepest, depth)
          pcall(State.set, 'k', depth)
          depth = depth - 1
        end)
        pcall(State.set, 'k', 0)
        return deepest""",
    "events at the end": """
        Session.setCurrent(Session.create {})
        Event.on('custom.*', function(event) print(event.type, event.data.n) end)
        for n = 1, 3 do Event.publish('custom.step', { n = n }) end""",
    "files that are not granted": "return Artifact.storeFile(Session.create {}, '/etc/passwd')",
}


@pytest.mark.parametrize("case", SAME)
def test_a_script_ends_as_on_a_thread(shared: Runtime, case: str) -> None:
    if not shared.tools.exists("large"):
        shared.tools.register("large", lambda: {"n": 1 << 70})
    on_thread, in_process = both(shared, SAME[case], args=[{"a": [1, 2.5, "x", b"\xff", None]}, 1 << 62])
    assert in_process == on_thread


def test_a_bound_script_is_bound_in_its_process_too(shared: Runtime) -> None:
    mine, other = shared.create_session(), shared.create_session()
    source = "State.set('k', 1) return pcall(Session.get, ...), Session.current()"
    on_thread, in_process = both(shared, source, session=mine, args=[other.id])
    assert in_process == on_thread
    assert mine.get("k") == 1
    assert shared.run_script("return #Session.messages()", session=mine, isolation="process").value == 0


def test_large_values_cross(shared: Runtime) -> None:
    session = shared.create_session()
    source = """
        local content = ('\\255x'):rep(5000000)
        local id = Artifact.store(nil, 'tool_result', 'large', content)
        return Artifact.getContent(nil, id) == content"""
    assert shared.run_script(source, session=session, isolation="process", timeout=60).value is True
    assert session.get_artifact(session.list_artifacts()[0].id).content == b"\xffx" * 5_000_000


def test_a_file_of_the_profile_files_is_opened_by_the_host(shared: Runtime, tmp_path: Path) -> None:
    source = """
        local path = ... .. '/x'
        local file = assert(io.open(path, 'w'))
        file:write('one\\ntwo\\n', 3)
        file:close()
        local lines = {}
        for line in io.lines(path) do lines[#lines + 1] = line end
        local ok, e = pcall(io.open, '/etc/passwd')
        return lines, ok"""
    on_thread, in_process = both(shared, source, args=[str(tmp_path)], profile="files", directories=[tmp_path])
    assert in_process == on_thread
    assert in_process[0][0] == ["one", "two", "3"]


def test_output_appears_as_it_is_printed_and_is_cut_as_on_a_thread(shared: Runtime) -> None:
    source = "for i = 1, 3000 do print(('x'):rep(999)) end return 'done'"
    on_thread, in_process = both(shared, source, timeout=60)
    assert in_process == on_thread
    seen: list[str] = []

    def echo(line: str) -> None:
        seen.append(line)
        raise LookupError("the terminal is gone")

    with pytest.raises(LookupError, match="gone"):
        shared.run_script("print('x') while true do end", isolation="process", timeout=60, echo=echo)
    assert seen == ["x\n"]


# -- limits


T = TypeVar("T")


def given_a_core(attempt: Callable[[], T]) -> T:
    """What an attempt comes to once its process gets a core within its time: without one it ends before it has done
    anything, or before it can say anything, and there is nothing to be seen."""
    for _ in range(30):
        if seen := attempt():
            break
    return seen


def test_output_from_before_the_limit_is_kept(shared: Runtime) -> None:
    def output() -> str:
        with pytest.raises(ScriptTimeout) as caught:
            shared.run_script(f"print('before') {ENDLESS}", isolation="process", timeout=0.5)
        assert caught.value.timeout == 0.5
        return caught.value.output

    assert given_a_core(output) == "before\n"


def test_the_limits_are_those_of_threads(shared: Runtime) -> None:
    loop = "local x = 1\nwhile true do\n  x = x + 1\nend"

    def line() -> int | None:
        with pytest.raises(ScriptTimeout) as timed_out:
            shared.run_script(loop, isolation="process", timeout=0.5, name="spin.lua")
        return timed_out.value.line

    assert given_a_core(line) in (2, 3)
    with pytest.raises(ScriptMemoryExceeded):
        shared.run_script("local s = 'x' while true do s = s .. s end", isolation="process", timeout=60)
    with (
        Runtime.open(config={"script_instructions": 1_000_000}) as runtime,
        pytest.raises(ScriptTimeout, match="instr"),
    ):
        runtime.run_script(loop, isolation="process", timeout=60)


ENDLESS: Final = "local t = setmetatable({}, {}) getmetatable(t).__call = t return t()"
"""One native operation, which no limit of the engine ends."""
NATIVE: Final = FAMILIES | {
    "keys that collide": "local t = {} for i = 1, 66000 do t[i * ((1 << 17) - 1)] = i end while true do end",
    "its own call": ENDLESS,
    "weak keys in a chain": """
        local weak = setmetatable({}, { __mode = 'k' })
        local key = {}
        for i = 1, 200000 do local next = {} weak[key] = next key = next end
        while true do collectgarbage() end""",
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("family", NATIVE)
def test_no_native_operation_outlasts_its_script(shared: Runtime, family: str) -> None:
    session = shared.create_session()
    session.set("k", 1)

    def output() -> str:
        ending, message, output = ends(shared, "print('began')\n" + NATIVE[family], isolation="process", timeout=0.1)
        assert ending in (ScriptTimeout, ScriptMemoryExceeded, ScriptError, None)
        assert "process" not in message  # its own limits or the kill ended it, and nothing else went wrong
        return output or "nothing" * (family == "source")

    assert given_a_core(output) in ("began\n", "nothing")
    assert session.get("k") == 1
    assert shared.run_script("return State.get('k')", session=session, isolation="process", timeout=60).value == 1


def test_a_session_is_as_healthy_after_its_script_was_killed(shared: Runtime) -> None:
    def ended() -> Session | None:
        session = shared.create_session()
        with pytest.raises(ScriptTimeout):
            shared.run_script(f"State.set('n', 1) {ENDLESS}", session=session, isolation="process", timeout=0.3)
        return session if session.get("n") else None

    session = given_a_core(ended)
    assert session is not None
    assert session.info().status == "active"
    assert session.get("n") == 1
    session.set("n", 2)
    assert [each.type for each in session.events() if each.type.startswith("script.")] == [
        "script.started",
        "script.finished",
    ]


def test_a_call_of_the_host_that_outlasts_the_script_has_no_effect(shared: Runtime) -> None:
    session = shared.create_session()
    began, told, done = threading.Event(), threading.Event(), threading.Event()

    def slow() -> None:
        began.set()
        told.wait(20)
        try:
            session.set("late", 1)
        except GreenroomError as error:
            failures.append(error.code)
        finally:
            done.set()

    failures: list[str] = []
    with Runtime.open() as _:
        shared.tools.register("slow", slow)

        def called() -> bool:
            with pytest.raises(ScriptTimeout):
                shared.run_script("Tool.invoke('slow', {})", isolation="process", timeout=0.1)
            return began.is_set()

        assert given_a_core(called)
        told.set()
        assert done.wait(20)
    assert set(failures) == {"OperationTimeout"}
    assert session.get("late") is None


# -- who runs where


def children_of(runtime: Runtime) -> list[Any]:
    return [each for each in runtime.core.background if type(each).__name__ == "Children"]


def test_scripts_of_untrusted_authors_run_in_processes() -> None:
    with Runtime.open() as runtime:
        runtime.run_script("return 1")
        runtime.run_script("return 1", trust="untrusted", isolation="thread")
        assert not children_of(runtime)
        assert runtime.run_script("return 1", trust="untrusted").value == 1
        assert len(children_of(runtime)) == 1
    with Runtime.open(config={"script_isolation": "process"}) as runtime:
        runtime.run_script("return 1", profile="trusted")
        assert not children_of(runtime)
        runtime.run_script("return 1")
        assert children_of(runtime)
    with Runtime.open(config={"script_isolation": "thread"}) as runtime:
        runtime.run_script("return 1", trust="untrusted")
        assert not children_of(runtime)


def test_what_does_not_go_together_is_refused(shared: Runtime) -> None:
    with pytest.raises(ConfigurationError, match="isolation='thread'"):
        shared.run_script("return 1", profile="trusted", isolation="process")
    with pytest.raises(ConfigurationError, match="scripts of the host"):
        shared.run_script("return 1", profile="trusted", trust="untrusted")
    with pytest.raises(ValidationError, match="'thread', 'process'"):
        shared.run_script("return 1", isolation="container")  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="'host', 'untrusted'"):
        shared.run_script("return 1", trust="friend")  # type: ignore[arg-type]


def test_the_time_zone_is_that_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    with Runtime.open() as runtime:
        hour = runtime.run_script("return os.date('*t', 0).hour", isolation="process").value
    assert hour == (9 if Path("/usr/share/zoneinfo/Asia/Tokyo").exists() else 0)


def test_scripts_in_processes_draw_different_random_numbers(shared: Runtime) -> None:
    drawn = {shared.run_script("return math.random(1 << 50)", isolation="process").value for _ in range(4)}
    assert len(drawn) == 4


def test_closing_a_runtime_ends_its_scripts() -> None:
    endings: list[GreenroomError] = []

    def work(runtime: Runtime) -> None:
        with pytest.raises(GreenroomError) as caught:
            runtime.run_script(f"print('x') {ENDLESS}", isolation="process", timeout=60, echo=began.append)
        endings.append(caught.value)

    began: list[str] = []
    with Runtime.open() as runtime, Runtime.open() as other:
        thread = threading.Thread(target=work, args=(runtime,))
        thread.start()
        while not began:
            time.sleep(0.005)
        assert other.run_script("return 1", isolation="process").value == 1
        runtime.close()
        thread.join()
        assert [each.fields.get("cause") for each in endings] == ["RuntimeClosed"]
        assert other.run_script("return 1", isolation="process").value == 1
        with pytest.raises(RuntimeClosed):
            runtime.run_script("return 1", isolation="process")
