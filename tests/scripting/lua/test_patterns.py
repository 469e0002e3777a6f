"""The matcher in Lua gives what the native one gives."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.scripting.lua.prelude import load_kernel, new_runtime

_CLASSES = ["a", "b", ".", "%a", "%d", "%s", "[ab]", "[^a]", "[a-b%d]", "%.", "%S", "[]]", "[^]a]"]
_single = st.tuples(st.sampled_from(_CLASSES), st.sampled_from(["", "", "*", "+", "-", "?"])).map("".join)
_special = st.sampled_from(["%bab", "%f[%a]", "%f[%A]", "()", "$", "^"])
_flat = st.lists(st.one_of(_single, _single, _single, _special), max_size=4).map("".join)
_group = _flat.map(lambda text: f"({text})")
_pattern = st.tuples(
    st.sampled_from(["", "", "^"]),
    st.lists(st.one_of(_flat, _group), max_size=3).map("".join),
    st.sampled_from(["", "", "$", "%1"]),
).map("".join)
_subject = st.text(alphabet="aab1 .]\n", max_size=14)


@pytest.fixture(scope="module")
def lua() -> Any:
    runtime = new_runtime()
    kernel = load_kernel(runtime, lambda *_: 1e9)
    kernel[b"start"](1 << 60, 1 << 30)
    compare = b"""
      local pure, wrapped = ...
      return function(name, s, p, ...)
        local function run(f, ...)
          local r = table.pack(pcall(f, ...))
          if not r[1] then return "error" end
          for i = 1, r.n do r[i] = tostring(r[i]) end
          return table.concat(r, "|")
        end
        local function all(f, s, p)
          return run(function() local t = {} for a, b in f(s, p) do t[#t + 1] = tostring(a) .. "," .. tostring(b) end
            return table.concat(t, ";") end)
        end
        if name == "gmatch" then return all(string.gmatch, s, p), all(pure.gmatch, s, p), all(wrapped.gmatch, s, p) end
        return run(string[name], s, p, ...), run(pure[name], s, p, ...), run(wrapped[name], s, p, ...)
      end"""
    return runtime.execute(compare, kernel[b"pure"], kernel[b"string"])


@settings(max_examples=600, deadline=None)
@given(_subject, _pattern, st.sampled_from(["<%0>", "%1", "x", "%%"]), st.integers(-3, 5))
def test_the_lua_matcher_agrees_with_the_native_one(
    lua: Any, subject: str, pattern: str, replacement: str, init: int
) -> None:
    s, p = subject.encode(), pattern.encode()
    for arguments in ((b"find", s, p, init), (b"gsub", s, p, replacement.encode()), (b"gmatch", s, p)):
        native, pure, wrapped = lua(*arguments)
        assert native == wrapped, arguments
        assert native == pure, arguments


@pytest.mark.parametrize("pattern", ["%d+", "(%w+) = (%w+)", "^%s*(.-)%s*$", "([^\n]*)\n", "k(%a-)y", "%f[%w]%w+"])
def test_long_subjects_are_matched_like_short_ones(lua: Any, pattern: str) -> None:
    subject = ("  key = value 17\n" * 500).encode()
    native, pure, wrapped = lua(b"gsub", subject, pattern.encode(), b"<%0>")
    assert native == pure == wrapped
    assert native == lua(b"gsub", subject, pattern.encode(), b"<%0>")[0]
    assert re.search(rb"<", native)
