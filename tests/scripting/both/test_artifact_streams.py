"""`Artifact.open` and `Artifact.create` in both languages: content piece by piece."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from greenroom.runtime import Runtime, ScriptError

Both = Callable[..., Any]


def test_what_a_writer_writes_a_reader_reads(both: Both, runtime: Runtime) -> None:
    found = both(
        r"""
        local s = Session.create {}
        local w = Artifact.create(s, "log", "run.log", { tags = { "t" }, step = 1, label = "v1" })
        local id = w:write("one\n", 2, "\n"):write("\0\255"):close()
        local info = Artifact.getInfo(s, id)
        local r = Artifact.open(s, "run.log", "v1")
        local lines = {}
        for line in r:lines() do lines[#lines + 1] = line end
        return { info.size, info.custom.step, info.tags[1], #tostring(id) > 64, #lines, lines[1], lines[2], #lines[3],
                 r:read() == nil, r:read("a"), r:read(1) == nil, r:seek("set", 4), r:read(1), r:seek("end", -2),
                 #r:read("*a"), r:seek(0), r:read("L"), r:seek("cur", 0), r:read(0), r:close(), r:close(),
                 (pcall(r.read, r)) }""",
        r"""
        const s = Session.create({})
        const w = Artifact.create(s, 'log', 'run.log', { tags: ['t'], step: 1, label: 'v1' })
        const id = w.write('one\n', 2, '\n').write(new Uint8Array([0, 255])).close()
        const info = Artifact.getInfo(s, id)
        const r = Artifact.open(s, 'run.log', 'v1')
        const lines = []
        for (const line of r.lines()) lines.push(line)
        const read = [info.size, info.custom.step, info.tags[0], String(id).length > 64, lines.length, lines[0],
                lines[1], lines[2].length, r.read() === undefined, r.read('a'), r.read(1) === undefined,
                r.seek('set', 4), r.read(1), r.seek('end', -2), r.read('*a').length, r.seek(0),
                r.read('L'), r.seek('cur', 0), r.read(0),
                r.close(), r.close()]
        try { r.read(); read.push(true) } catch (e) { read.push(false) }
        return read""",
    )
    assert found == [
        *(8, 1, "t", True, 3, "one", "2", 2, True, "", True, 4, "2", 6, 2, 0, "one\n", 4, "", True, True, False)
    ]


def test_a_writer_that_is_not_closed_stores_nothing(both: Both, runtime: Runtime) -> None:
    session = runtime.create_session()
    both(
        "local w = Artifact.create('', 'log', 'n') w:write('x')",
        "const w = Artifact.create('', 'log', 'n'); w.write('x')",
        session=session,
    )
    with pytest.raises(ScriptError):
        both(
            "local w = Artifact.create('', 'log', 'n') w:write('x') error('no')",
            "const w = Artifact.create('', 'log', 'n'); w.write('x'); throw new Error('no')",
            session=session,
        )
    assert session.list_artifacts().total == 0


def test_a_closed_writer_and_a_wrong_value_are_typed_errors(both: Both, runtime: Runtime) -> None:
    session = runtime.create_session()
    assert both(
        """
        local w = Artifact.create('', 'log', 'n')
        local codes = {}
        local function try(f, ...)
          local ok, e = pcall(f, ...)
          codes[#codes + 1] = ok or e.code
        end
        try(w.write, w, {}) try(w.write, w, true) w:close() try(w.write, w, 'x') try(w.close, w)
        try(Artifact.open, '', 'none') try(Artifact.open, '', 'n', 7) try(Artifact.create, '', 'log', '')
        try(Artifact.create, '', 'log', 'n', { tags = { ('x'):rep(65) } }) try(Artifact.create, '', 'log')
        local r = Artifact.open('', 'n')
        try(r.read, r, 'x') try(r.read, r, -1) try(r.seek, r, 'set', -1) try(r.seek, r, 'away')
        return codes""",
        """
        const w = Artifact.create('', 'log', 'n')
        const codes = []
        const attempt = f => { try { f(); codes.push(true) } catch (e) { codes.push(e.code) } }
        attempt(() => w.write({})); attempt(() => w.write(true)); w.close()
        attempt(() => w.write('x')); attempt(() => w.close())
        attempt(() => Artifact.open('', 'none')); attempt(() => Artifact.open('', 'n', 7))
        attempt(() => Artifact.create('', 'log', ''))
        attempt(() => Artifact.create('', 'log', 'n', { tags: ['x'.repeat(65)] }))
        attempt(() => Artifact.create('', 'log'))
        const r = Artifact.open('', 'n')
        attempt(() => r.read('x')); attempt(() => r.read(-1))
        attempt(() => r.seek('set', -1)); attempt(() => r.seek('away'))
        return codes""",
        session=session,
    ) == [
        *["ValidationError"] * 4,
        *["ArtifactNotFound"] * 2,
        *["ValidationError"] * 7,
    ]


def test_few_are_open_at_a_time(both: Both, runtime: Runtime) -> None:
    session = runtime.create_session()
    session.store_artifact("log", "n", "x")
    assert both(
        """
        local open = {}
        for i = 1, 16 do open[i] = Artifact.open('', 'n') end
        for i = 1, 16 do Artifact.create('', 'log', 'w' .. i) end
        local ok, e = pcall(Artifact.open, '', 'n')
        open[1]:close()
        return { e.code, Artifact.open('', 'n'):read() }""",
        """
        const open = []
        for (let i = 0; i < 16; i++) open.push(Artifact.open('', 'n'))
        for (let i = 0; i < 16; i++) Artifact.create('', 'log', 'w' + i)
        let code
        try { Artifact.open('', 'n') } catch (e) { code = e.code }
        open[0].close()
        return [code, Artifact.open('', 'n').read()]""",
        session=session,
    ) == ["ResourceLimitExceeded", "x"]
    assert session.list_artifacts().total == 1


def test_content_larger_than_the_scripts_memory_passes_through(both: Both, runtime: Runtime) -> None:
    session = runtime.create_session()
    limit = {"resources": {"max_script_memory_bytes": 24 << 20}}
    runtime.policies.update(limit)
    assert (
        both(
            """
        local w, block = Artifact.create('', 'log', 'large'), ('x'):rep(1 << 20)
        for i = 1, 40 do w:write(block) end
        w:close()
        local r, size = Artifact.open('', 'large'), 0
        while true do
          local part = r:read(1 << 20)
          if not part then break end
          size = size + #part
        end
        return size""",
            """
        const w = Artifact.create('', 'log', 'large'), block = 'x'.repeat(1 << 20)
        for (let i = 0; i < 40; i++) w.write(block)
        w.close()
        const r = Artifact.open('', 'large')
        let size = 0
        for (let part = r.read(1 << 20); part !== undefined; part = r.read(1 << 20)) size += part.length
        return size""",
            session=session,
            timeout=60,
        )
        == 40 << 20
    )


def test_an_artifact_of_another_session_is_read_through_its_share(both: Both, runtime: Runtime) -> None:
    owner, other = runtime.create_session(), runtime.create_session()
    info = owner.store_artifact("log", "n", "shared\n")
    source = ("return Artifact.open('', ...):read()", "return Artifact.open('', arg[1]).read()")
    with pytest.raises(ScriptError) as refused:
        both(*source, session=other, args=[str(info.id)])
    assert refused.value.cause == "AccessDenied"
    owner.share(info.id, other)
    assert both(*source, session=other, args=[str(info.id)]) == "shared"


@pytest.mark.parametrize("language", ["lua"])
def test_they_work_from_a_process_of_its_own(runtime: Runtime, language: str) -> None:
    session = runtime.create_session()
    source = """
        local w = Artifact.create('', 'log', 'n')
        w:write('a', 'b\\n', 'c')
        w:close()
        local lines = {}
        for line in Artifact.open('', 'n'):lines() do lines[#lines + 1] = line end
        return lines"""
    assert runtime.run_script(source, session=session, isolation="process").value == ["ab", "c"]
