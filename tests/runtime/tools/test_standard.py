from __future__ import annotations

import hashlib
import os
import uuid
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import AccessDenied, Runtime, StorageError, ValidationError


@pytest.mark.parametrize(
    ("tool", "input", "expected"),
    [
        ("calculator", {"expression": "6 * 7", "operation": "evaluate"}, 42),
        ("hash_calculator", {"input": "abc"}, hashlib.sha256(b"abc").hexdigest()),
        ("hash_calculator", {"input": "abc", "algorithm": "md5"}, hashlib.md5(b"abc").hexdigest()),
        ("hash_calculator", {"input": b"\xff", "algorithm": "sha1"}, hashlib.sha1(b"\xff").hexdigest()),
        ("base64", {"operation": "encode", "input": "hé"}, "aMOp"),
        ("base64", {"operation": "decode", "input": "aMOp"}, "hé"),
        ("base64", {"operation": "decode", "input": "/w=="}, b"\xff"),
        ("base64", {"operation": "encode", "input": b"\xfb\xff", "url_safe": True}, "-_8="),
        ("json_processor", {"operation": "parse", "input": '{"a": [1]}'}, {"a": [1]}),
        ("json_processor", {"operation": "stringify", "input": {"a": [1, None]}}, '{"a": [1, null]}'),
        ("json_processor", {"operation": "validate", "input": "{"}, False),
        ("json_processor", {"operation": "validate", "input": "{}"}, True),
        ("json_processor", {"operation": "query", "input": {"a": [{"b": 1}, {"b": 2}]}, "query": "$.a[1].b"}, 2),
        ("json_processor", {"operation": "query", "input": '{"a":[{"b":1},{"b":2}]}', "query": "a[*].b"}, [1, 2]),
        ("json_processor", {"input": {"a": {"x y": 3}}, "query": "a['x y']"}, 3),
        ("json_processor", {"input": {"a": 1}, "query": "b.c"}, None),
        ("json_processor", {"operation": "keys", "input": {"b": 1, "a": 2}}, ["a", "b"]),
        ("json_processor", {"operation": "merge", "input": {"a": 1}, "other": '{"b": 2}'}, {"a": 1, "b": 2}),
        ("template_engine", {"template": "Hi {{name}}!", "variables": {"name": "you"}}, "Hi you!"),
        ("template_engine", {"template": "{{a.b}}{{ n }}", "variables": {"a": {"b": "x"}, "n": 2.0}}, "x2"),
        ("template_engine", {"template": "{{a}}", "variables": {"a": "{{a}}"}}, "{{a}}"),
        ("template_engine", {"template": "no { } {{ }}", "variables": []}, "no { } {{ }}"),
        ("datetime", {"operation": "add", "input": "2026-01-31T00:00:00Z", "days": 1}, "2026-02-01T00:00:00Z"),
        ("datetime", {"operation": "format", "input": "2026-01-31", "format": "%d.%m.%Y"}, "31.01.2026"),
        ("datetime", {"operation": "difference", "input": "2026-01-01", "other": "2026-01-02"}, 86400.0),
        ("datetime", {"operation": "format", "input": 0, "timezone": "Europe/Berlin"}, "1970-01-01T01:00:00+01:00"),
    ],
)
def test_standard_tools(rt: Runtime, tool: str, input: dict[str, Any], expected: Any) -> None:
    assert rt.tools.call(tool, input) == expected


@pytest.mark.parametrize(
    ("tool", "input"),
    [
        ("hash_calculator", {"input": "x", "algorithm": "crc32"}),
        ("hash_calculator", {}),
        ("base64", {"operation": "decode", "input": "not base64!"}),
        ("json_processor", {"operation": "parse", "input": "{"}),
        ("json_processor", {"operation": "parse", "input": "NaN"}),
        ("json_processor", {"operation": "parse", "input": "[" * 100_000}),
        ("json_processor", {"operation": "parse", "input": "9" * 10_000}),
        ("json_processor", {"operation": "query", "input": {}, "query": "a[[["}),
        ("json_processor", {"operation": "keys", "input": [1]}),
        ("template_engine", {"template": "{{missing}}", "variables": {}}),
        ("template_engine", {"template": "{{a}}" * 200_000, "variables": {"a": "x" * 100}}),
        ("datetime", {"operation": "format", "format": "%999999999Y"}),
        ("datetime", {"operation": "now", "timezone": "../../etc/passwd"}),
        ("datetime", {"operation": "add", "input": "2026-01-01", "days": 1e12}),
        ("datetime", {"operation": "parse", "input": "yesterday"}),
        ("uuid_generator", {"count": 1001}),
        ("text_stats", {}),
    ],
)
def test_standard_tools_refuse_what_they_cannot_do(rt: Runtime, tool: str, input: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        rt.tools.call(tool, input)


def test_uuids_are_of_version_4_and_all_different(rt: Runtime) -> None:
    made = [rt.tools.call("uuid_generator"), *rt.tools.call("uuid_generator", {"count": 5})]
    assert len(set(made)) == 6
    assert {uuid.UUID(each).version for each in made} == {4}


def test_text_is_counted(rt: Runtime) -> None:
    counted = rt.tools.call("text_stats", {"input": "One two. Two three!\n\nFour é"})
    expected = {"words": 6, "unique_words": 5, "lines": 3, "sentences": 2, "paragraphs": 2, "characters": 27}
    assert {key: counted[key] for key in expected} == expected
    assert counted["bytes"] == 28


def test_the_time_is_that_of_the_runtimes_clock(clock: Any) -> None:
    with Runtime.open(clock=clock) as rt:
        now = rt.tools.call("datetime", {})
        assert now == "2027-01-15T08:00:00Z"
        clock.advance(60)
        assert rt.tools.call("datetime", {"operation": "difference", "input": now}) == 60.0


# -- files


@pytest.fixture
def granted(rt: Runtime, tmp_path: Path) -> Path:
    """A directory that the tool may use; beside it lies a secret."""
    inside = tmp_path / "granted"
    inside.mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    rt.tools.register_file_operations([inside], replace=True)
    return inside


def test_there_is_no_tool_for_files_until_directories_are_granted() -> None:
    with Runtime.open() as rt:
        assert not rt.tools.exists("file_operations")
        with pytest.raises(ValidationError):
            rt.tools.register_file_operations([])
        with pytest.raises(ValidationError):
            rt.tools.register_file_operations(["/no/such/directory"])


def test_files_are_written_read_listed_and_deleted(rt: Runtime, granted: Path) -> None:
    def run(operation: str, path: str, **more: Any) -> Any:
        return rt.tools.call("file_operations", {"operation": operation, "path": path, **more})

    assert run("write", "a.txt", input="one") == 3
    assert run("append", str(granted / "a.txt"), input=" two") == 4
    assert run("read", "a.txt") == "one two"
    assert run("exists", "a.txt") is True
    assert run("exists", "b.txt") is False
    assert run("write", "b", input=b"\xff") == 1
    assert run("read", "b") == b"\xff"
    assert [row["name"] for row in run("list", ".")] == ["a.txt", "b"]
    assert run("delete", "a.txt") is True
    assert run("delete", "a.txt") is False
    with pytest.raises(StorageError):
        run("read", "a.txt")
    (granted / "large").write_bytes(b"x" * ((1 << 20) + 1))
    with pytest.raises(StorageError, match="artifact"):
        run("read", "large")


@pytest.mark.parametrize("operation", ["read", "write", "append", "delete", "exists", "list"])
@pytest.mark.parametrize("way", ["up", "absolute", "link", "linked directory", "prefix"])
def test_no_way_leads_out_of_the_granted_directories(rt: Runtime, granted: Path, operation: str, way: str) -> None:
    outside = granted.parent
    sibling = outside / "granted-not"
    sibling.mkdir()
    (sibling / "x").write_text("x")
    os.symlink(outside / "secret.txt", granted / "link")
    os.symlink(outside, granted / "directory")
    path = {
        "up": "../secret.txt",
        "absolute": str(outside / "secret.txt"),
        "link": "link",
        "linked directory": "directory/secret.txt",
        "prefix": str(sibling / "x"),
    }[way]
    with pytest.raises(AccessDenied):
        rt.tools.call("file_operations", {"operation": operation, "path": path, "input": "overwritten"})
    assert (outside / "secret.txt").read_text() == "secret"
    assert (sibling / "x").read_text() == "x"


def test_a_pipe_is_no_file_to_hang_on(rt: Runtime, granted: Path) -> None:
    os.mkfifo(granted / "pipe")
    with pytest.raises(StorageError, match="regular"):
        rt.tools.call("file_operations", {"operation": "read", "path": "pipe"})
