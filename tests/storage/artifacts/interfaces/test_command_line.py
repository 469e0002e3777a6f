"""`greenroom artifacts list` asks what the API asks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from greenroom.runtime import Runtime
from greenroom.runtime.cli.app import app


@pytest.fixture
def store(store_path: Path) -> tuple[Path, list[str]]:
    with Runtime.open(store_path) as rt:
        ids = []
        for _ in range(2):
            session = rt.create_session()
            ids.append(session.id)
            for n in range(4):
                session.store_artifact(
                    "tool_result" if n % 2 else "user_input",
                    f"{n}.json",
                    "x" * n,
                    tags=["odd"] if n % 2 else ["even", "all"],
                    metadata={"n": n, "unit": "kg"},
                    description=f"number {n}",
                    created_by="ada" if n < 2 else "bob",
                )
    return store_path, ids


def listed(store: Path, *arguments: str, code: int = 0) -> Any:
    done = CliRunner().invoke(app, ["--data", str(store), "artifacts", "list", *arguments, "--json"])
    assert done.exit_code == code, done.output
    return [row["name"] for row in json.loads(done.stdout)] if code == 0 else done.output


def test_a_session_s_artifacts_are_filtered(store: tuple[Path, list[str]]) -> None:
    path, (one, _) = store
    assert listed(path, one) == ["3.json", "2.json", "1.json", "0.json"]
    assert listed(path, one, "--type", "tool_result", "--ascending") == ["1.json", "3.json"]
    assert listed(path, one, "--tag", "even", "--tag", "all", "--min-size", "1") == ["2.json"]
    assert listed(path, one, "--without-tag", "odd", "--max-size", "0") == ["0.json"]
    assert listed(path, one, "--name", "?.json", "--text", "numb 3") == ["3.json"]
    assert listed(path, one, "--custom", "n=2", "--custom", "unit=kg") == ["2.json"]
    assert listed(path, one, "--by", "ada", "--sort", "size", "--descending") == ["1.json", "0.json"]
    assert listed(path, one, "--limit", "2", "--offset", "1") == ["2.json", "1.json"]
    assert listed(path, one, "--before", "2020-01-01T00:00:00Z") == []


def test_without_a_session_all_are_asked(store: tuple[Path, list[str]]) -> None:
    path, ids = store
    assert listed(path, "--text", "3") == ["3.json", "3.json"]
    done = CliRunner().invoke(app, ["--data", str(path), "artifacts", "list", "--text", "3"])
    assert all(session in done.output for session in ids)


def test_mistakes_are_told(store: tuple[Path, list[str]]) -> None:
    path, (one, _) = store
    assert "--after" in listed(path, one, "--after", "last week", code=2)
    assert "zone" in listed(path, one, "--after", "2026-01-01T00:00:00", code=2)
    assert "KEY=VALUE" in listed(path, one, "--custom", "n", code=2)


def run(store: Path, *arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["--data", str(store), "artifacts", *arguments])
    assert done.exit_code == code, done.output
    return done.output


def test_a_label_is_given_and_taken_for_a_version(store: tuple[Path, list[str]], tmp_path: Path) -> None:
    path, (one, _) = store
    file = tmp_path / "r.txt"
    for text, label in (("first", "1.0.0"), ("second", "1.2.0"), ("third", None)):
        file.write_text(text)
        run(path, "put", one, str(file), *(("--label", label) if label else ()))
    assert run(path, "get", one, "r.txt", "--version", "1.2.0") == "second"
    assert run(path, "get", one, "r.txt", "--version", "1") == "first"
    assert "-first" in run(path, "diff", one, "r.txt", "1.0.0", "1.2.0")
    assert "1.2.0" in run(path, "versions", one, "r.txt")
    assert listed(path, one, "--name", "r.txt", "--latest") == ["r.txt"]
    run(path, "delete", one, "r.txt", "--version", "1.2.0")
    assert "no artifact named 'r.txt' with the label '1.2.0'" in run(
        path, "get", one, "r.txt", "--version", "1.2.0", code=1
    )
    run(path, "delete", one, "r.txt", "--all")
    assert listed(path, one, "--name", "r.txt") == []
    assert "could be taken for the number" in run(path, "put", one, str(file), "--label", "3", code=1)


def test_children_are_listed_by_their_parent(store: tuple[Path, list[str]]) -> None:
    path, (one, _) = store
    with Runtime.open(path) as rt:
        session = rt.session(one)
        parent = session.get_artifact_info("0.json").id
        session.store_artifact("tool_result", "child", "x", parent_artifact=parent)
    assert listed(path, one, "--parent", str(parent)) == ["child"]
    assert listed(path, "--parent", str(parent)) == ["child"]
