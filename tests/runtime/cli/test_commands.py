"""The commands, run as users run them: real processes, real stores."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest

from greenroom.runtime import Runtime, StorageError
from greenroom.runtime.ingest import sample_paths

from ...warm import WarmPopen


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with two sessions: one plain, one with a child, a variable and artifacts."""
    path = tmp_path / "greenroom-data"
    with Runtime.open(path) as runtime:
        runtime.create_session(name="plain", created_by="ada")
        rich = runtime.create_session(name="rich", tags=["x", "y"], metadata={"team": "red"})
        runtime.create_session(name="child", parent=rich)
        rich.set("k", {"a": 1})
        rich.add_message("user", "hello there")
        rich.store_artifact("tool_result", "data.bin", b"\x00\x01\xff first")
        rich.store_artifact("tool_result", "data.bin", b"\x00\x01\xff second")
        rich.store_artifact("agent_output", "note.txt", "näh\n")
    return path


def ids(greenroom: Any) -> dict[str, str]:
    return {row["name"]: row["id"] for row in greenroom.json("sessions", "list", "--status", "all")}


COMMANDS = ("ingest", "run", "events", "stats", "verify", "compact", "demo")
GROUPS = ("sessions", "artifacts", "config")


def test_help_names_every_command(greenroom: Any) -> None:
    text = greenroom("--help").stdout
    assert [command for command in COMMANDS + GROUPS if command not in text] == []
    for command in COMMANDS + GROUPS:
        assert f" {command} " in greenroom(command, "--help").stdout


@pytest.mark.usefixtures("store")
def test_sessions_list_filters_sorts_pages_and_counts(greenroom: Any) -> None:
    def names(*options: object) -> list[str]:
        return [row["name"] for row in greenroom.json("sessions", "list", *options)]

    assert names() == ["plain", "rich", "child"]
    assert names("--sort", "name", "--descending") == ["rich", "plain", "child"]
    assert names("--tag", "x", "--tag", "y") == ["rich"]
    assert names("--created-by", "ada") == ["plain"]
    assert names("--search", "PLA") == ["plain"]
    assert names("--limit", 1, "--offset", 1) == ["rich"]
    assert names("--status", "completed") == []
    cut = greenroom("sessions", "list", "--limit", 2)
    assert len(cut.stdout.splitlines()) == 3
    assert "2 of 3 sessions" in cut.stderr


@pytest.mark.usefixtures("store")
def test_outside_a_terminal_output_is_plain_and_whole(greenroom: Any) -> None:
    known = ids(greenroom)
    for arguments in (
        ("sessions", "list"),
        ("sessions", "tree"),
        ("sessions", "show", known["rich"]),
        ("stats",),
    ):
        assert "\x1b" not in greenroom.process(*arguments).stdout
    first = greenroom.process("sessions", "list").stdout.splitlines()[1]
    assert first.split()[0] == known["plain"]


@pytest.mark.parametrize("columns", ["60", "0"])
def test_in_a_terminal_tables_have_colour_and_fit_the_window(
    store: Path, environment: dict[str, str], columns: str
) -> None:
    """A window without any width counts as one of 60."""
    command = [sys.executable, "-m", "greenroom.runtime.cli", "--data", str(store), "sessions", "list"]
    ours, theirs = os.openpty()
    with subprocess.Popen(command, env=environment | {"TERM": "xterm", "COLUMNS": columns}, stdout=theirs) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # the end of a terminal is an error on Linux
            while piece := os.read(ours, 65536):
                shown += piece
    os.close(ours)
    assert process.returncode == 0
    text = shown.decode()
    assert "\x1b[32mactive" in text
    assert max(len(line) for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()) <= 60


@pytest.mark.usefixtures("store")
def test_show_tells_fields_variables_and_messages(greenroom: Any) -> None:
    rich = ids(greenroom)["rich"]
    shown = greenroom.json("sessions", "show", rich, "--messages", 5)
    assert (shown["name"], shown["tags"], shown["custom_metadata"]) == ("rich", ["x", "y"], {"team": "red"})
    assert shown["variables"] == {"k": {"a": 1}}
    assert [message["content"] for message in shown["messages"]] == ["hello there"]
    text = greenroom("sessions", "show", rich, "--messages", 5).stdout
    assert "hello there" in text
    assert "variable k" in text


@pytest.mark.usefixtures("store")
def test_tree_shows_children_under_their_parents(greenroom: Any) -> None:
    known = ids(greenroom)
    trees = greenroom.json("sessions", "tree")
    shape = {tree["name"]: [child["name"] for child in tree["children"]] for tree in trees}
    assert shape == {"plain": [], "rich": ["child"]}
    (one,) = greenroom.json("sessions", "tree", known["rich"])
    assert one["children"][0]["id"] == known["child"]
    lines = greenroom("sessions", "tree").stdout.splitlines()
    assert any(known["child"] in line and not line.startswith(known["child"]) for line in lines)
    greenroom("sessions", "rename", known["child"], "n" * 255)
    assert "n" * 255 in greenroom("sessions", "tree").stdout  # what is no terminal gets all of it


@pytest.mark.usefixtures("store")
def test_the_life_of_a_session_by_prefixes_of_its_id(greenroom: Any) -> None:
    plain = ids(greenroom)["plain"]
    for command, status in (
        ("suspend", "suspended"),
        ("resume", "active"),
        ("complete", "completed"),
        ("archive", "archived"),
    ):
        assert greenroom("sessions", command, plain[:8]).stdout == f"{status}  {plain}  plain\n"
    refused = greenroom("sessions", "suspend", plain, code=1)
    assert "archived" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    child = ids(greenroom)["child"]
    greenroom("sessions", "fail", child, "--reason", "no luck")
    assert greenroom.json("sessions", "show", child)["failure_reason"] == "no luck"
    assert greenroom("sessions", "delete", child, plain).stdout.count("deleted") == 2
    assert set(ids(greenroom)) == {"rich"}


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("abc", "at least its first 6 digits"),
        ("plain", "at least its first 6 digits"),
        ("00000000-0000-4000-8000-000000000000", "00000000-0000-4000-8000-000000000000"),
        ("ffffff0", "begins with"),
    ],
)
def test_a_session_that_is_not_there_is_one_clear_line(greenroom: Any, name: str, words: str) -> None:
    for command in ("show", "suspend", "delete"):
        done = greenroom("sessions", command, name, code=1)
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_prefix_that_fits_two_sessions_names_both(greenroom: Any, tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "greenroom-data") as runtime:
        # Ids are random: with 6 digits two of 12 000 share a beginning but for odds of 1 in 70.
        made: dict[str, str] = {}
        while True:
            new = runtime.create_session().id
            if new[:6] in made:
                break
            made[new[:6]] = new
    done = greenroom("sessions", "show", new[:6], code=1)
    assert new in done.stderr
    assert made[new[:6]] in done.stderr


@pytest.mark.usefixtures("store")
def test_artifacts_go_in_and_come_out_byte_for_byte(greenroom: Any, tmp_path: Path) -> None:
    rich = ids(greenroom)["rich"]
    listed = greenroom.json("artifacts", "list", rich)
    assert [(row["name"], row["version"]) for row in listed] == [
        ("note.txt", 1),
        ("data.bin", 2),
        ("data.bin", 1),
    ]
    assert [row["version"] for row in greenroom.json("artifacts", "versions", rich, "data.bin")] == [1, 2]
    greenroom("artifacts", "get", rich, "data.bin", "-o", "latest")
    greenroom("artifacts", "get", rich, "data.bin", "--version", 1, "-o", "first")
    assert (tmp_path / "latest").read_bytes() == b"\x00\x01\xff second"
    assert (tmp_path / "first").read_bytes() == b"\x00\x01\xff first"
    assert greenroom("artifacts", "get", rich, "note.txt").stdout == "näh\n"

    content = os.urandom(1_300_000)
    (tmp_path / "blob").write_bytes(content)
    put = greenroom.json("artifacts", "put", rich, "blob", "--type", "custom", "--tag", "t", "--name", "b")
    assert (put["size"], put["artifact_type"], put["tags"]) == (len(content), "custom", ["t"])
    greenroom("artifacts", "get", rich, put["id"], "-o", "back")
    assert (tmp_path / "back").read_bytes() == content
    greenroom("artifacts", "put", rich, "-", "--name", "piped", stdin="from a pipe")
    assert greenroom("artifacts", "get", rich, "piped").stdout == "from a pipe"
    assert greenroom.json("artifacts", "get", rich, "piped", "--info")["size"] == 11

    greenroom("artifacts", "delete", rich, "data.bin", "--version", 1)
    assert [row["version"] for row in greenroom.json("artifacts", "versions", rich, "data.bin")] == [2]
    missing = greenroom("artifacts", "get", rich, "nothing", code=1)
    assert "no artifact" in missing.stderr
    assert greenroom("artifacts", "put", rich, "no-such-file", code=1).stderr
    greenroom("artifacts", "put", rich, "-", code=2)


@pytest.mark.usefixtures("store")
def test_events_are_listed_after_a_sequence_and_as_json(greenroom: Any) -> None:
    rich = ids(greenroom)["rich"]
    events = greenroom.json("events", rich)
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert events[0]["type"] == "session.created"
    some = greenroom.json("events", rich, "--after", 1, "--limit", 2)
    assert [event["sequence"] for event in some] == [2, 3]
    assert len(greenroom("events", rich).stdout.splitlines()) == len(events)


def test_reading_works_and_writing_says_why_not_while_another_process_writes(greenroom: Any, store: Path) -> None:
    with Runtime.open(store) as runtime:
        plain = next(info for info in runtime.list_sessions() if info.name == "plain")
        runtime.session(plain.id).set("fresh", 1)
        assert "plain" in greenroom.process("sessions", "list").stdout
        shown = json.loads(greenroom.process("sessions", "show", plain.id, "--json").stdout)
        assert shown["variables"] == {"fresh": 1}
        assert "artifacts" in greenroom.process("stats").stdout
        assert "as it was written" in greenroom.process("verify").stdout
        refused = greenroom.process("sessions", "suspend", plain.id, code=1)
        assert len(refused.stderr.splitlines()) == 1
        assert "open" in refused.stderr


def followed(store: Path, environment: dict[str, str], *options: str) -> WarmPopen:
    words = [sys.executable, "-m", "greenroom.runtime.cli", "--data", str(store), "events", "--follow", "--json"]
    return WarmPopen([*words, *options], env=environment, stdout=PIPE, stderr=PIPE, text=True)


def test_following_events_sees_what_another_process_writes(store: Path, environment: dict[str, str]) -> None:
    with Runtime.open(store) as runtime:
        plain = next(info for info in runtime.list_sessions() if info.name == "plain")
        follower = followed(store, environment, plain.id)
        assert follower.stdout is not None
        with follower, follower.stdout:
            try:
                assert json.loads(follower.stdout.readline())["type"] == "session.created"
                runtime.session(plain.id).set("k", 1)
                event = json.loads(follower.stdout.readline())
                assert (event["type"], event["sequence"]) == ("variable.set", plain.sequence + 1)
            finally:
                follower.send_signal(signal.SIGINT)
            assert follower.wait(10) == 0


def test_following_selects_and_ends_with_its_session(store: Path, environment: dict[str, str]) -> None:
    with Runtime.open(store) as runtime:
        session = runtime.create_session()
        options = ("--type", "variable.*", "--origin", "published", "--after", "1")
        follower = followed(store, environment, session.id, *options)
        assert follower.stdout is not None
        assert follower.stderr is not None
        with follower, follower.stdout, follower.stderr:
            session.set("k", 1)
            runtime.events.publish("variable.mine", {"n": 1}, session)
            runtime.events.publish("other", {"n": 2}, session)
            assert json.loads(follower.stdout.readline())["data"] == {"n": 1}
            runtime.delete_session(session.id)
            assert follower.stdout.readline() == ""
            assert follower.stderr.read() == "the session was deleted\n"
            assert follower.wait(10) == 0


def test_ingest_reports_what_it_skips_and_its_exit_code_says_how_much_went_in(greenroom: Any, tmp_path: Path) -> None:
    (tmp_path / "mixed.jsonl").write_text('{"messages": [{"role": "user", "content": "x"}]}\n{oops\n')
    done = greenroom.process("ingest", "mixed.jsonl", *sample_paths(), code=3)
    assert "skipped  mixed.jsonl: line 2: " in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    greenroom("ingest", *sample_paths())  # all of it is in already
    report = json.loads(greenroom("ingest", "mixed.jsonl", "--json", code=3).stdout)
    assert (report["sessions"], report["duplicate_count"], report["skipped"][0]["position"]) == (0, 1, "line 2")
    assert len(greenroom.json("sessions", "list", "--status", "completed")) == 10
    (tmp_path / "broken.json").write_text("{oops")
    assert "broken.json" in greenroom("ingest", "broken.json", "mixed.jsonl", code=3).stderr
    assert "broken.json" in greenroom("ingest", "broken.json", code=1).stderr
    (tmp_path / "replaced.json").write_text('[{"role": "user", "content": "y", "logprob": NaN}]')
    report = json.loads(greenroom("ingest", "replaced.json", "--json", code=3).stdout)
    assert (report["sessions"], report["repaired"][0]["field"]) == (1, "[0].logprob")


def test_ingest_of_what_is_not_there_makes_no_store(greenroom: Any, tmp_path: Path) -> None:
    done = greenroom.process("ingest", "none.json", code=1)
    assert "none.json: No such file" in done.stderr
    assert not (tmp_path / "greenroom-data").exists()


def test_ingest_reads_standard_input(greenroom: Any) -> None:
    text = '{"title": "From a pipe", "messages": [{"role": "human", "content": "x"}]}'
    assert "sessions" in greenroom("ingest", "-", stdin=text).stdout
    (row,) = greenroom.json("sessions", "list", "--status", "completed")
    assert (row["name"], row["custom_metadata"]["source_file"]) == ("From a pipe", "stdin")
    shown = greenroom("sessions", "show", row["id"], "--messages", 5).stdout
    assert "user" in shown


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_ingest_leaves_whole_conversations_only(
    tmp_path: Path, environment: dict[str, str], number: signal.Signals
) -> None:
    turns = [{"role": "user", "content": f"turn {turn}"} for turn in range(50)]
    line = json.dumps({"messages": turns}) + "\n"
    pipe = tmp_path / "endless.jsonl"
    pipe.write_text(line * 20_000)
    command = [sys.executable, "-m", "greenroom.runtime.cli", "ingest", str(pipe)]
    ingesting = WarmPopen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    with ingesting:
        for _ in _until(lambda: _sessions(tmp_path / "greenroom-data") > 3):
            assert ingesting.poll() is None
        ingesting.send_signal(number)
        assert ingesting.stderr is not None
        assert "stopped" in ingesting.stderr.read()
        assert ingesting.wait(20) == 128 + number
    with Runtime.open(tmp_path / "greenroom-data") as runtime:
        found = runtime.list_sessions(status="completed", limit=30_000)
        counts = {len(runtime.session(info.id).messages()) for info in found}
    assert counts == {50}


def _sessions(store: Path) -> int:
    try:
        with Runtime.open(store, read_only=True) as runtime:
            return runtime.count_sessions(status="completed")
    except StorageError:
        return 0  # it is not there yet


def _until(condition: Callable[[], bool], seconds: float = 30) -> Iterator[None]:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        yield


def test_run_hands_over_arguments_and_prints_output_and_value(greenroom: Any, tmp_path: Path) -> None:
    (tmp_path / "a.lua").write_text('print("args", ...)\nreturn Session.create{name = "made"}')
    done = greenroom("run", "a.lua", "one", "--", "--two")
    output, value = done.stdout.splitlines()
    assert output == "args\tone\t--two"
    assert ids(greenroom) == {"made": value}
    (tmp_path / "b.lua").write_text("return {1, {a = JSON.null}}")
    assert json.loads(greenroom("run", "b.lua").stdout) == [1, {"a": None}]
    result = greenroom.json("run", "a.lua")
    assert result["output"] == "args\n"
    assert len(result["value"]) == 36


def test_a_failing_script_names_file_and_line_and_leaves_with_1(greenroom: Any, tmp_path: Path) -> None:
    (tmp_path / "bad.lua").write_text("local x = 1\nerror('it went wrong')")
    done = greenroom.process("run", "bad.lua", code=1)
    assert "it went wrong" in done.stderr
    assert "bad.lua" in done.stderr
    assert "2" in done.stderr
    assert done.stderr.count("it went wrong") == 2  # in the message and in the line that is shown
    (tmp_path / "forever.lua").write_text("while true do pcall(error) end")
    assert greenroom("run", "forever.lua", "--timeout", "0.2", code=1).stderr.startswith("greenroom: ")
    greenroom("run", "no-such.lua", code=2)


def test_a_script_bound_to_a_session_works_on_it(greenroom: Any, store: Path, tmp_path: Path) -> None:
    rich = ids(greenroom)["rich"]
    (tmp_path / "a.lua").write_text("State.set('seen', true) return Session.getCurrent()")
    assert greenroom("run", "a.lua", "--session", rich[:10]).stdout.strip() == rich
    assert greenroom.json("sessions", "show", rich)["variables"]["seen"] is True


def test_a_broken_pipe_is_quiet(store: Path, environment: dict[str, str]) -> None:
    with Runtime.open(store) as runtime:
        for number in range(3000):
            runtime.create_session(name=f"session {number}")
    command = f'"{sys.executable}" -m greenroom.runtime.cli --data "{store}" sessions list --limit 3000 | head -n 2'
    done = subprocess.run(
        ["bash", "-c", command], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr == ""


def test_where_there_is_no_store_the_message_says_what_to_do(greenroom: Any, tmp_path: Path) -> None:
    for arguments in (
        ("sessions", "list"),
        ("stats",),
        ("events", "abcdef12"),
        ("sessions", "suspend", "abcdef12"),
    ):
        done = greenroom(*arguments, code=1)
        assert "greenroom-data" in done.stderr
        assert "--data" in done.stderr
    assert not (tmp_path / "greenroom-data").exists()


def test_data_is_taken_from_argument_environment_and_file(greenroom: Any, tmp_path: Path) -> None:
    sample = sample_paths()[0]
    (tmp_path / "greenroom.toml").write_text('data = "from-file"\n')
    greenroom("ingest", sample)
    greenroom("ingest", sample, GREENROOM_DATA="from-environment")
    greenroom("--data", "from-argument", "ingest", sample, GREENROOM_DATA="from-environment-not")
    assert {path.name for path in tmp_path.iterdir() if path.name.startswith("from-")} == {
        "from-file",
        "from-environment",
        "from-argument",
    }


def test_config_show_tells_values_and_origins_and_wrong_keys(greenroom: Any, tmp_path: Path) -> None:
    shown = greenroom.json("config", "show", GREENROOM_WORKERS="2")
    assert shown["workers"] == {"value": 2, "origin": "GREENROOM_WORKERS"}
    assert shown["data"] == {"value": "greenroom-data", "origin": "default"}
    wrong = greenroom.process("config", "show", code=1, GREENROOM_WORKRES="2")
    assert "GREENROOM_WORKERS" in wrong.stderr


@pytest.mark.usefixtures("store")
def test_stats_verify_and_compact(greenroom: Any) -> None:
    stats = greenroom.json("stats")
    assert stats["sessions"]["active"] == 3
    assert stats["artifacts"]["count"] == 3
    told = greenroom("stats").stdout
    assert "artifacts count" in told
    assert "memtable" not in told
    assert "store journal memtable bytes" in greenroom("stats", "--engine").stdout
    assert "--engine" in greenroom("stats", "--sessions", "--engine", code=2).stderr
    assert "as it was written" in greenroom("verify").stdout
    assert "before" in greenroom("compact").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("no-such-command",),
        ("sessions",),
        ("sessions", "list", "--nonsense"),
        ("ingest",),
        ("sessions", "list", "--limit", "x"),
    ],
)
def test_wrong_usage_leaves_with_2(greenroom: Any, arguments: tuple[str, ...]) -> None:
    greenroom.process(*arguments, code=2)


def test_stored_text_cannot_steer_the_terminal(greenroom: Any, tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "greenroom-data") as runtime:
        session = runtime.create_session(name="red \x1b[31m alert\x07")
        session.add_message("user", "clear \x1b[2J")
    text = greenroom("sessions", "list").stdout + greenroom("sessions", "show", session.id, "--messages", 1).stdout
    text += greenroom("events", session.id).stdout + greenroom("sessions", "tree").stdout
    assert "\x1b" not in text
    assert "\x07" not in text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_one_clear_line(greenroom: Any, tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text("[]")
    (tmp_path / "secret.json").chmod(0)
    assert "Permission denied" in greenroom("ingest", "secret.json", code=1).stderr
