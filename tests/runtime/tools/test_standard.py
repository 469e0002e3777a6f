from __future__ import annotations

import hashlib
import os
import uuid
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import AccessDenied, Runtime, StorageError, ValidationError

_PYTHON_ORG = "886313e1-3b8a-5372-9b90-0c9aee199e5d"
_EMPTY = dict.fromkeys(
    ("characters", "characters_without_spaces", "bytes", "words", "unique_words", "lines", "sentences", "paragraphs"), 0
) | {"average_word_length": 0.0}


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
        ("calculator", {"input": "x * 2 + y", "variables": {"x": 3, "y": 0.5}, "operation": "evaluate"}, 6.5),
        ("calculator", {"expression": "pi", "variables": {"pi": 3}}, 3),
        ("calculator", {"expression": 7, "variables": []}, 7),
        ("calculator", {"operation": "EVALUATE", "input": "2^10"}, 1024),
        ("hash_calculator", {"input": "abc", "algorithm": "SHA-256"}, hashlib.sha256(b"abc").hexdigest()),
        ("hash_calculator", {"input": 12, "operation": "hash"}, hashlib.sha256(b"12").hexdigest()),
        ("template_engine", {"input": "{{a}}-{{b}}", "context": {"a": 1, "b": True}}, "1-true"),
        ("template_engine", {"template": "{{a}}", "context": {"a": "x"}, "operation": "render"}, "x"),
        ("json_processor", {"operation": "query", "input": '{"a":[{"b":1},{"b":2}]}', "query": ".a[].b"}, [1, 2]),
        ("json_processor", {"operation": "query", "input": {"user": {"name": "n"}}, "query": ".user.name"}, "n"),
        ("uuid_generator", {"version": 5, "namespace": "dns", "name": "python.org"}, _PYTHON_ORG),
        ("uuid_generator", {"version": "v5", "namespace": str(uuid.NAMESPACE_DNS), "name": "python.org"}, _PYTHON_ORG),
        ("uuid_generator", {"name": "python.org", "format": "simple"}, _PYTHON_ORG.replace("-", "")),
        ("uuid_generator", {"name": "python.org", "format": "urn"}, f"urn:uuid:{_PYTHON_ORG}"),
        ("uuid_generator", {"name": "python.org", "format": "uppercase", "count": 1}, [_PYTHON_ORG.upper()]),
        ("text_stats", {"text": ""}, _EMPTY),
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
        ("uuid_generator", {"version": 5}),
        ("uuid_generator", {"version": 2}),
        ("uuid_generator", {"version": 5, "name": "x", "namespace": "nowhere"}),
        ("uuid_generator", {"format": "roman"}),
        ("calculator", {}),
        ("calculator", {"expression": "x", "variables": {"x": "1"}}),
        ("calculator", {"expression": "x", "variables": {"x": True}}),
        ("template_engine", {"variables": {}}),
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


@pytest.mark.parametrize("version", [1, 4, 5, 7, "7", "v1", 4.0])
def test_uuids_are_of_the_version_that_was_asked_for(rt: Runtime, version: Any) -> None:
    made = [rt.tools.call("uuid_generator", {"version": version, "name": "n"}) for _ in range(3)]
    assert {uuid.UUID(each).version for each in made} == {int(str(version).lstrip("v")[0])}
    assert len(set(made)) == (1 if version == 5 else 3)
    assert {uuid.UUID(each).variant for each in made} == {uuid.RFC_4122}


def test_a_uuid_of_version_7_begins_with_the_runtimes_time(clock: Any) -> None:
    with Runtime.open(clock=clock) as rt:
        first = rt.tools.call("uuid_generator", {"version": 7})
        clock.advance(1)
        later = rt.tools.call("uuid_generator", {"version": 7})
    assert first < later
    assert uuid.UUID(later).int >> 80 == (uuid.UUID(first).int >> 80) + 1000


def test_a_uuid_of_version_1_does_not_tell_the_machines_address(rt: Runtime) -> None:
    made = {uuid.UUID(rt.tools.call("uuid_generator", {"version": 1})).node for _ in range(5)}
    assert len(made) == 5
    assert all(node >> 40 & 1 for node in made)  # multicast: never the address of a device


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


def test_files_are_described_moved_and_copied(rt: Runtime, granted: Path) -> None:
    def run(operation: str, path: str, **more: Any) -> Any:
        return rt.tools.call("file_operations", {"operation": operation, "path": path, **more})

    assert run("create_dir", "deep/er") is True
    assert run("mkdir", "deep/er") is True
    run("write", "a.txt", content="one")
    told = run("info", "a.txt")
    assert (told["name"], told["type"], told["size"]) == ("a.txt", "file", 3)
    assert run("info", "deep")["type"] == "directory"
    assert run("copy", "a.txt", input="b.txt") is True
    assert run("copy", "a.txt", destination="deep") is True
    assert run("move", "b.txt", to="c.txt") is True
    assert [row["name"] for row in run("list", ".")] == ["a.txt", "c.txt", "deep"]
    assert run("read", "deep/a.txt") == run("read", "c.txt") == "one"
    for operation, path, more in (
        ("info", "none", {}),
        ("move", "none", {"to": "x"}),
        ("copy", "deep", {"to": "x"}),
        ("move", "a.txt", {"to": "no/such/directory"}),
        ("create_dir", "a.txt", {}),
    ):
        with pytest.raises(StorageError):
            run(operation, path, **more)
    with pytest.raises(ValidationError, match="needs a path"):
        run("move", "a.txt")
    for to in ("../out.txt", "/tmp/out.txt"):
        for operation in ("move", "copy"):
            with pytest.raises(AccessDenied):
                run(operation, "a.txt", to=to)
    assert run("read", "a.txt") == "one"


@pytest.mark.parametrize(
    "operation",
    ["read", "write", "append", "delete", "exists", "list", "info", "move", "copy", "create_dir"],
)
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
