"""What scripts can and cannot get hold of."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import ConfigurationError, Runtime, ScriptError

ABSENT = [
    "io",
    "debug",
    "package",
    "require",
    "dofile",
    "loadfile",
    "python",
    "warn",
    "os.execute",
    "os.getenv",
    "os.exit",
    "os.remove",
    "os.rename",
    "os.tmpname",
    "string.dump",
]


@pytest.mark.parametrize("name", ABSENT)
def test_the_sandbox_has_none_of_this(lua: Any, name: str) -> None:
    assert lua(f"return {name} == nil") is True


PRESENT = {
    "string": "byte char find format gmatch gsub len lower match pack packsize rep reverse sub unpack upper",
    "table": "concat insert move pack remove sort unpack",
    "utf8": "char charpattern codepoint codes len offset",
    "coroutine": "close create isyieldable resume running status wrap yield",
    "os": "clock date difftime time",
    "_G": "assert collectgarbage error getmetatable ipairs load next pairs pcall print rawequal rawget rawlen rawset"
    " select setmetatable tonumber tostring type xpcall _VERSION arg JSON Session Artifact State math",
}


@pytest.mark.parametrize("library", PRESENT)
def test_the_safe_library_is_whole(lua: Any, library: str) -> None:
    source = "local missing = {} for _, n in ipairs(...) do if %s[n] == nil then missing[#missing + 1] = n end end"
    assert lua(source % library + " return JSON.array(missing)", args=[PRESENT[library].split()]) == []


ESCAPES = [
    "return load('\\27Lua')",
    "return load(string.char(27) .. 'LuaT', 'x', 'b')",
    "return pcall(setmetatable, {}, { __gc = function() end })",
    "return pcall(function() getmetatable('').__index = print end)",
    "return pcall(function() getmetatable(JSON.null).__tostring = print end)",
    "return pcall(function() JSON.null.x = 1 end)",
    "local ok, e = pcall(Session.get, 'x') return pcall(function() getmetatable(e).__tostring = print end)",
    "return pcall(function() return Session.get.__class__ end)",
    "return pcall(function() return print.__globals__ end)",
    "return collectgarbage('stop')",
]


@pytest.mark.parametrize("source", ESCAPES)
def test_ways_out_are_closed(runtime: Runtime, source: str) -> None:
    try:
        value = runtime.run_script(source).value
    except ScriptError:
        return
    assert value is None or value[0] in (None, False)


def test_no_object_of_python_can_be_reached(lua: Any) -> None:
    found = lua("""
      local seen, types = {}, {}
      local function walk(v)
        if seen[v] then return end
        seen[v] = true
        types[type(v)] = true
        if type(v) == "table" then for k, x in next, v do walk(k) walk(x) end end
        local mt = getmetatable(v)
        if mt then walk(mt) end
      end
      walk(_G) walk(select(2, pcall(Session.get, "x")))
      return types
    """)
    assert set(found) <= {"table", "function", "string", "number", "boolean"}


def test_a_hostile_environment_does_not_reach_the_engine(lua: Any) -> None:
    assert lua("""
      setmetatable(_G, { __index = function() error("gotcha") end, __newindex = function() error("gotcha") end })
      string.find, string.rep, table.concat, table.unpack, tostring, type, pcall, error = nil
      return { 1, 2 }
    """) == [1, 2]


def test_runs_share_nothing(lua: Any) -> None:
    lua("x = 1 string.x = 1 JSON.x = 1")
    assert lua("return { x == nil, string.x == nil, JSON.x == nil }") == [True, True, True]


def test_the_libraries_behave_as_in_the_manual(lua: Any) -> None:
    assert lua("""
      local t = { 5, 3, 1 }
      table.sort(t) table.insert(t, 2, 9) table.remove(t, 1)
      local many = {} for i = 1, 3000 do many[i] = (i * 7919) % 3001 end
      table.sort(many, function(a, b) return a > b end)
      local sorted = true for i = 2, #many do sorted = sorted and many[i - 1] >= many[i] end
      local proxy = setmetatable({}, { __index = function(_, i) return i <= 3 and i or nil end,
                                       __len = function() return 3 end })
      local co = coroutine.wrap(function(a) local b = coroutine.yield(a + 1) return b * 2 end)
      local moved = table.move({ 1, 2, 3 }, 1, 3, 2)
      return { t, sorted, table.concat(proxy, ","), co(1), co(4), moved, { table.unpack(proxy) },
               ("x"):rep(3, "-"), ("%5.1f|%q"):format(2.25, "a\\n"), "10" + 5, #"é", utf8.len("é"),
               select(2, pcall(error, { code = 1 })).code, tostring(1e15), 7 // 2, 2^53 | 0 }
    """) == [
        [9, 3, 5], True, "1,2,3", 2, 8, [1, 1, 2, 3], [1, 2, 3],
        "x-x-x", '  2.2|"a\\\n"', 15, 2, 1, 1, "1e+15", 3, 2**53,
    ]  # fmt: skip


def test_errors_in_coroutines_and_closing_values(lua: Any) -> None:
    assert lua("""
      local log = {}
      local function closing(name) return setmetatable({}, { __close = function() log[#log + 1] = name end }) end
      local co = coroutine.create(function() local a <close> = closing("a") error("boom", 0) end)
      local ok, message = coroutine.resume(co)
      local co2 = coroutine.create(function() local b <close> = closing("b") coroutine.yield() end)
      coroutine.resume(co2)
      local closed = coroutine.close(co2)
      local wrapped, wrong = pcall(coroutine.wrap(function() error("w", 0) end))
      return { ok, message, log, closed, coroutine.status(co), wrapped, wrong, (coroutine.resume(co)) }
    """) == [False, "boom", ["a", "b"], True, "dead", False, "w", False]


def test_an_error_that_leaves_has_its_place(runtime: Runtime) -> None:
    source = "local function inner()\n  Session.get('nope')\nend\nlocal function outer()\n  inner()\nend\nouter()"
    with pytest.raises(ScriptError) as caught:
        runtime.run_script(source, name="job.lua")
    error = caught.value
    assert (error.script, error.line, error.cause) == ("job.lua", 2, "SessionNotFound")
    assert str(error).startswith("job.lua:2: SessionNotFound: ")
    for line in ("job.lua:2: in", "job.lua:5: in", "job.lua:7: in main chunk"):
        assert line in error.traceback
    assert "greenroom" not in error.traceback


@pytest.mark.parametrize(
    ("source", "message", "line"),
    [
        ("\nerror('boom')", "s.lua:2: boom", 2),
        ("error({ code = 'Mine', message = 'text' })", "s.lua:1: Mine: text", 1),
        ("error(setmetatable({}, { __tostring = function() return 'shown' end }))", "s.lua:1: shown", 1),
        ("error(setmetatable({}, { __tostring = function() return {} end }))", "s.lua:1: an error object", 1),
        ("error(setmetatable({}, { __tostring = error }))", "s.lua:1: an error object", 1),
        ("error()", "s.lua:1: nil", 1),
        ("x = = 1", "s.lua:1: unexpected symbol", 1),
    ],
)
def test_messages_of_errors_that_leave(runtime: Runtime, source: str, message: str, line: int) -> None:
    with pytest.raises(ScriptError) as caught:
        runtime.run_script(source, name="s.lua")
    assert str(caught.value).startswith(message)
    assert caught.value.line == line


def test_an_interrupt_of_the_host_goes_through(runtime: Runtime) -> None:
    def stop(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runtime.run_script("while true do pcall(print, 'x') end", echo=stop)


def test_an_error_of_the_echo_goes_through(runtime: Runtime) -> None:
    def closed(_: str) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        runtime.run_script("while true do pcall(print, 'x') end", echo=closed)


def test_unknown_profile(runtime: Runtime) -> None:
    with pytest.raises(ConfigurationError):
        runtime.run_script("return 1", profile="root")


def test_scripts_run_in_many_threads(runtime: Runtime) -> None:
    sessions = [runtime.create_session() for _ in range(8)]
    source = "for i = 1, 200 do State.set('n', (State.get('n') or 0) + 1) end return State.get('n')"
    values: list[Any] = []
    threads = [
        threading.Thread(target=lambda s=s: values.append(runtime.run_script(source, session=s).value))
        for s in sessions
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert values == [200] * 8


def test_files_are_for_granted_directories(runtime: Runtime, tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir(), outside.mkdir()
    (outside / "secret").write_text("s")
    (inside / "link").symlink_to(outside / "secret")
    session = runtime.create_session()
    value = runtime.run_script(
        """
      local dir, out, s = ...
      local f = assert(io.open(dir .. "/a.txt", "w"))
      f:write("one\\n", 2, "\\n", "three") f:close()
      local lines = {}
      for line in io.lines(dir .. "/a.txt") do lines[#lines + 1] = line end
      local f = io.open(dir .. "/a.txt")
      f:seek("set", 4)
      local rest, none = f:read("a", "l")
      f:close()
      Artifact.storeFile(s, dir .. "/a.txt", "user_input", { note = "n" })
      local bytes = Artifact.saveToFile(s, "a.txt", dir .. "/b.txt")
      local refused = {}
      for _, path in ipairs { out .. "/secret", dir .. "/link", dir .. "/../out/secret", "/etc/passwd", "/dev/zero" } do
        local f, message = io.open(path)
        refused[#refused + 1] = f == nil and message:match("AccessDenied") or "open"
      end
      refused[#refused + 1] = pcall(Artifact.storeFile, s, out .. "/secret") and "open" or "AccessDenied"
      refused[#refused + 1] = os.remove(out .. "/secret") and "open" or "AccessDenied"
      os.remove(dir .. "/a.txt")
      return { lines, rest, none == nil, bytes, refused, (pcall(f.read, f)) }
    """,
        profile="files",
        directories=[inside],
        args=[str(inside), str(outside), session.id],
    ).value
    assert value == [["one", "2", "three"], "2\nthree", True, 11, ["AccessDenied"] * 7, False]
    assert session.get_artifact("a.txt").info.custom == {"note": "n"}
    assert (inside / "b.txt").read_text() == "one\n2\nthree"
    assert not (inside / "a.txt").exists()
    assert (outside / "secret").exists()


def test_the_sandbox_has_no_files(lua: Any, runtime: Runtime, tmp_path: Path) -> None:
    session = runtime.create_session()
    source = "return select(2, pcall(Artifact.saveToFile, ..., 'n', '/tmp/x')).code"
    assert lua(source, args=[session.id]) == "AccessDenied"


def test_a_pipe_does_not_block_a_script(runtime: Runtime, tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe")
    source = "local f, message = io.open(...) return f == nil"
    options: dict[str, Any] = {"profile": "files", "directories": [tmp_path], "args": [str(tmp_path / "pipe")]}
    assert runtime.run_script(source, **options).value is True


def test_trusted_scripts_have_the_library_and_the_limits(runtime: Runtime, tmp_path: Path) -> None:
    (tmp_path / "mod.lua").write_text("local m = {} function m.f() return y end y = 5 return m")
    value = runtime.run_script(
        """
      package.path = (...) .. "/?.lua"
      local mod = require("mod")
      local f = io.open((...) .. "/x", "w") f:write("hi") f:close()
      return { mod.f(), require("mod") == mod, io.open((...) .. "/x"):read("a"), os.getenv("PATH") ~= nil,
               debug.traceback("t"):sub(1, 1), debug.getinfo(1, "l").currentline, debug.sethook == nil,
               debug.getupvalue == nil, debug.getregistry == nil, require("debug") == debug,
               (pcall(setmetatable, {}, { __gc = print })) }
    """,
        profile="trusted",
        args=[str(tmp_path)],
    ).value
    assert value == [5, True, "hi", True, "t", 6, True, True, True, True, False]
    with pytest.raises(ScriptError):
        runtime.run_script("while true do pcall(error) end", profile="trusted", timeout=0.2)
    assert runtime.run_script("print('bye') os.exit(3)", profile="trusted").output == "bye\n"
