"""What the journal of a session says about the scripts that ran for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from greenroom.runtime import Event, Runtime, ScriptError, ScriptTimeout, Session


@pytest.fixture(scope="module")
def rt() -> Iterator[Runtime]:
    with Runtime.open() as runtime:
        yield runtime


def runs(session: Session) -> list[Event]:
    return [each for each in session.events() if each.type in ("script.started", "script.finished")]


def test_a_run_is_journaled_with_its_arguments_output_value_and_cost(rt: Runtime) -> None:
    session = rt.create_session()
    source = "print(...) State.set('k', 1) return { n = 7 }"
    result = session.run_script(source, args=["a", 2], name="count.lua")
    started, finished = runs(session)
    assert (result.value, result.run_id) == ({"n": 7}, started.id)
    assert started.data == {
        "script": "count.lua",
        "language": "lua",
        "profile": "sandboxed",
        "source_hash": blake3(source.encode()).hexdigest(),
        "arguments": ["a", 2],
    }
    cost = {"instructions": result.instructions, "memory_peak": result.memory_peak, "calls": result.calls}
    assert finished.data == {
        "script": "count.lua",
        "language": "lua",
        "profile": "sandboxed",
        "call": started.sequence,
        "success": True,
        "error": None,
        "duration": finished.data["duration"],
        **cost,
        "output": "a\t2\n",
        "value": {"n": 7},
        "transcript_hash": finished.data["transcript_hash"],
    }


def test_a_failing_run_is_journaled_with_its_error_its_line_and_what_it_had_printed(rt: Runtime) -> None:
    session = rt.create_session()
    with pytest.raises(ScriptError):
        session.run_script("print('before')\nSession.get('x')")
    data = runs(session)[1].data
    assert (data["success"], data["error"], data["cause"]) == (False, "ScriptError", "AccessDenied")
    assert (data["line"], data["output"]) == (2, "before\n")
    assert "script:2: AccessDenied: " in data["message"]  # type: ignore[operator]
    with pytest.raises(ScriptTimeout):
        session.run_script("while true do end", timeout=0.05)
    assert runs(session)[3].data["error"] == "ScriptTimeout"


@pytest.mark.parametrize("ending", ["complete", "suspend"])
def test_the_end_of_a_run_that_ends_its_session_is_journaled(rt: Runtime, ending: str) -> None:
    session = rt.create_session()
    session.run_script(f"Session.{ending}(Session.current()) return 'done'")
    assert runs(session)[1].data["value"] == "done"
    assert [*session.events()][-1].type == "script.finished"
    assert rt.replay(session.id).identical


def test_a_session_that_is_not_active_journals_no_run(rt: Runtime) -> None:
    session = rt.create_session()
    session.suspend()
    assert session.run_script("return 1").run_id is None
    assert runs(session) == []


def test_the_source_is_kept_once_and_large_fields_are_contents(rt: Runtime) -> None:
    session, source = rt.create_session(), "print(string.rep('x', 10000)) return string.rep('y', 9999)"
    before = rt.stats()["artifacts"]["unique_bytes"]
    for _ in range(5):
        rt.create_session().run_script(source, args=["z" * 5000])
    session.run_script(source, args=["z" * 5000])
    added = rt.stats()["artifacts"]["unique_bytes"] - before
    assert added < len(source) + 10001 + 2 * 9999 + 5100
    started, finished = runs(session)
    assert started.data["arguments"] == ["z" * 5000]
    assert (finished.data["output"], finished.data["value"]) == ("x" * 10000 + "\n", "y" * 9999)


def test_what_is_too_large_is_left_out_and_its_size_said(rt: Runtime) -> None:
    session = rt.create_session()
    session.run_script("return (...)", args=["x" * (1 << 20)])
    started, finished = runs(session)
    assert "arguments" not in started.data
    assert "value" not in finished.data
    assert started.data["arguments_bytes"] > 1 << 20  # type: ignore[operator]
    assert finished.data["value_bytes"] > 1 << 20  # type: ignore[operator]


def test_secrets_are_in_no_part_of_a_run(tmp_path: Path) -> None:
    secret = "sk-0123456789"
    with Runtime.open(tmp_path / "store", config={"redact": [r"sk-\d+"]}) as rt:
        session = rt.create_session()
        session.run_script(f"print('{secret}') return (...)", args=[{"key": secret}])
        with pytest.raises(ScriptError):
            session.run_script(f"error('{secret}')")
        started, finished, _, failed = runs(session)
        assert started.data["arguments"] == [{"key": "[redacted]"}]
        assert started.data["redacted"] is True
        assert (finished.data["output"], finished.data["value"]) == ("[redacted]\n", {"key": "[redacted]"})
        assert failed.data["message"] == "script:1: [redacted]"
    with Runtime.open(tmp_path / "store") as rt:
        rt.compact()
    found = [each.name for each in (tmp_path / "store").rglob("*") if each.is_file()]
    assert found
    for each in (tmp_path / "store").rglob("*"):
        assert not each.is_file() or secret.encode() not in each.read_bytes()


def test_runs_survive_reopening_forks_bundles_replays_and_verification(tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "store") as rt:
        session = rt.create_session()
        session.run_script("print(string.rep('x', 5000)) State.set('k', 1) return {1}", args=[1, {"a": True}])
    with Runtime.open(tmp_path / "store") as rt:
        session = rt.session(session.id)
        expected: list[Any] = [each.data["source_hash"] for each in runs(session)[:1]]
        assert rt.replay(session.id).identical
        fork = session.fork()
        assert [each.data for each in runs(fork)] == [each.data for each in runs(session)]
        rt.export_session(session.id, tmp_path / "s.bundle")
        copied = rt.import_session(tmp_path / "s.bundle", keep_ids=False)
        assert [each.data for each in runs(copied)] == [each.data for each in runs(session)]
        assert [each.data["source_hash"] for each in runs(copied)[:1]] == expected
        assert rt.verify().ok
        for each in (session, fork, copied):
            rt.delete_session(each.id)
        assert rt.verify().ok
        assert rt.stats()["artifacts"]["unique_bytes"] == 0


def test_truncation_takes_the_contents_of_runs_along() -> None:
    with Runtime.open() as rt:
        session = rt.create_session()
        session.run_script(f"-- {'x' * 9000}\nreturn 1")
        assert rt.stats()["artifacts"]["unique_bytes"] > 9000
        session.set("n", 1)
        rt.retention(max_journal_events=1, dry_run=False)
        assert runs(session) == []
        assert rt.verify().ok
        assert rt.stats()["artifacts"]["unique_bytes"] == 0
