"""The commands that look after a store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from greenroom.runtime import Runtime
from greenroom.runtime.cli.app import app


class Commands:
    def __init__(self, data: Path) -> None:
        self.data = data

    def __call__(self, *arguments: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, ["--data", str(self.data), *arguments])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == code, done.output
        return done.stdout

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self(*arguments, "--json", code=code))


@pytest.fixture
def run(store_path: Path) -> Commands:
    with Runtime.open(store_path) as rt:
        s = rt.create_session("first")
        for number in range(3):
            s.store_artifact("agent_output", "a.txt", f"line\nversion {number}\n")
        s.set("k", 1)
    return Commands(store_path)


def session(run: Commands) -> str:
    found: str = run.json("sessions", "list")[0]["id"]
    return found


def test_verify_of_a_sound_store_is_quiet_about_repair(run: Commands) -> None:
    assert "everything is as it was written" in run("verify", "--repair")
    report = run.json("verify")
    assert report["ok"]
    assert report["checked"]["sessions"] == 1


def test_verify_repairs_a_damaged_record_in_place(run: Commands, on_disk: Any) -> None:
    with on_disk() as engine:
        key, value = engine.scan(3, b"", b"\xff" * 17)[0]
        engine.write([(3, key, value[:-1] + b"!")])
    assert not run.json("verify", code=1)["ok"]
    report = run.json("verify", "--repair")
    assert report["ok"]
    assert report["salvage"] is None
    assert [problem["kind"] for problem in report["problems"]] == ["session"]
    assert run.json("verify")["ok"]


def test_verify_salvages_a_store_that_cannot_be_opened(run: Commands) -> None:
    current = run.data / "CURRENT"
    current.write_text("nonsense\n")
    run("sessions", "list", code=1)
    broken = run.json("verify", code=1)
    assert broken["needs_salvage"]
    assert [problem["kind"] for problem in broken["problems"]] == ["store"]
    report = run.json("verify", "--repair")
    assert report["ok"]
    assert (Path(report["salvage"]["original"]) / "CURRENT").read_text() == "nonsense\n"
    assert run.json("verify")["ok"]
    assert run.json("sessions", "list")[0]["name"] == "first"


def test_gc_says_what_it_did(run: Commands, on_disk: Any) -> None:
    assert "nothing to repair" in run("gc")
    with on_disk() as engine:
        for key, _ in engine.scan(9, b"c", b"d"):
            engine.write([(9, key, None)])
    report = run.json("gc")
    assert report["counts"]["reference"] == 3
    assert run.json("gc")["repaired"] == []


def test_retention_shows_first_and_deletes_when_told(run: Commands) -> None:
    run("retention", code=2)
    shown = run.json("retention", "--keep-versions", "1")
    assert [each["version"] for each in shown["removed"]] == [1, 2]
    assert shown["dry_run"]
    assert "--yes deletes them" in run("retention", "--keep-versions", "1")
    assert not run.json("retention", "--keep-versions", "1", "--yes")["dry_run"]
    assert run.json("retention", "--keep-versions", "1")["removed"] == []


def test_templates_are_kept(run: Commands) -> None:
    run("templates", "save", "research", "--prefix", "R: ", "--tag", "x", "--config", '{"max_artifacts": 7}')
    assert run.json("templates", "list") == [
        {"name": "research", "name_prefix": "R: ", "tags": ["x"], "metadata": {}, "config": {"max_artifacts": 7}}
    ]
    assert json.loads(run("templates", "get", "research"))["name_prefix"] == "R: "
    assert "research" in run("templates", "list")
    run("templates", "save", "bad", "--metadata", "[]", code=2)
    run("templates", "save", "bad", "--config", '{"nonsense": 1}', code=1)
    run("templates", "delete", "research")
    run("templates", "delete", "research", code=1)
    assert run.json("templates", "list") == []


def test_stats_tell_who_takes_the_space(run: Commands) -> None:
    assert "usage" not in run.json("stats")
    found = run.json("stats", "--details")
    assert found["usage"]["names"]["a.txt"]["items"] == 3
    assert "a.txt" in run("stats", "--details")


def test_compact_says_how_much_it_gave_back(run: Commands) -> None:
    report = run.json("compact")
    assert report["after_bytes"] > 0


def test_artifacts_diff_shows_what_changed(run: Commands) -> None:
    one = session(run)
    assert "+version 2" in run("artifacts", "diff", one, "a.txt", "1")
    assert run.json("artifacts", "diff", one, "a.txt", "1", "2")["diff"].count("\n") == 6
    assert run("artifacts", "diff", one, "a.txt", "2", "2") == ""
