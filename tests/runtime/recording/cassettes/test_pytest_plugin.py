"""Recordings as tests: runs of pytest in processes of their own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from greenroom.runtime import Runtime
from greenroom.runtime.recording.journal.bundles import tape_of_bundle

from ....warm import run_warm

pytest_plugins = ["pytester"]
PLUGIN = "greenroom.runtime.cassettes.plugin"
PYPROJECT = Path(__file__).parents[4] / "pyproject.toml"


class Model(BaseHTTPRequestHandler):
    """Answers chat completions with the number of the request, and the number of messages in it."""

    protocol_version = "HTTP/1.1"
    requests = 0

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        type(self).requests += 1
        text = f"answer {type(self).requests} to {len(asked['messages'])}"
        body = json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Be quiet."""


@pytest.fixture
def model() -> Iterator[str]:
    """The address of a model server; what is asked of it is counted in `Model.requests`."""
    Model.requests = 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def agent(url: str, system: str = "Be kind.", model: str = "gpt-4o") -> str:
    """Return the source of a module that asks a model."""
    return f'''
import json
import urllib.request

from greenroom.runtime import tool

@tool
def orders(customer):
    with open("orders.txt", "a") as file:
        file.write(customer)
    return [customer, 7]

def ask(question, history=()):
    messages = [{{"role": "system", "content": {system!r}}}, *history, {{"role": "user", "content": question}}]
    body = json.dumps({{"model": {model!r}, "messages": messages}}).encode()
    request = urllib.request.Request("{url}/v1/chat/completions", body, {{"Content-Type": "application/json"}})
    with urllib.request.urlopen(request) as response:
        return json.load(response)["choices"][0]["message"]["content"]
'''


TEST = """
import pytest
import agent

@pytest.mark.greenroom
def test_refund():
    assert agent.orders("ada") == ["ada", 7]
    assert agent.ask("Refund?").startswith("answer 1 to 2")
    assert agent.ask("Sure?").startswith("answer 2 to 2")
"""


def run(pytester: pytest.Pytester, *args: str) -> pytest.RunResult:
    """Run pytest with the plugin, and with no other."""
    begun = time.monotonic()
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", PLUGIN, *args]
    done = run_warm(command, cwd=pytester.path, env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})
    return pytest.RunResult(
        done.returncode, done.stdout.splitlines(), done.stderr.splitlines(), time.monotonic() - begun
    )


def run_as_users_do(pytester: pytest.Pytester) -> pytest.RunResult:
    """Run pytest with all plugins that there are, of which this one is there by its entry point."""
    installed = any(each.name == "greenroom" for each in entry_points(group="pytest11"))
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", *(() if installed else ("-p", PLUGIN)))


def said(result: pytest.RunResult) -> str:
    return result.stdout.str()


@pytest.fixture(autouse=True)
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run pytest as a user does, not as a service of continuous integration, where it says everything twice."""
    for name in ("CI", "BUILD_NUMBER"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def project(pytester: pytest.Pytester, model: str) -> pytest.Pytester:
    """A project with one test, that is not recorded yet."""
    pytester.makepyfile(agent=agent(model), test_refund=TEST)
    return pytester


CASSETTE = Path("cassettes/test_refund/test_refund.bundle")


def test_a_test_is_recorded_once_and_then_runs_offline(project: pytest.Pytester, model: str) -> None:
    run(project, "--greenroom-record=missing").assert_outcomes(passed=1)
    assert Model.requests == 2
    before = (project.path / CASSETTE).read_bytes()
    (project.path / "orders.txt").unlink()
    for record in ("none", "missing"):
        run(project, f"--greenroom-record={record}").assert_outcomes(passed=1)
    run_as_users_do(project).assert_outcomes(passed=1)
    assert Model.requests == 2
    assert not (project.path / "orders.txt").exists(), "a replayed tool has run"
    assert (project.path / CASSETTE).read_bytes() == before


def test_a_missing_recording_fails_and_says_what_to_run(project: pytest.Pytester) -> None:
    result = run(project)
    result.assert_outcomes(errors=1)
    assert said(result).count(f"there is no cassette {CASSETTE}") == 1
    command = re.search(r"pytest '(.*)' --greenroom-record=missing", said(result))
    assert command is not None
    run(project, command[1], "--greenroom-record=missing").assert_outcomes(passed=1)
    assert Model.requests == 2


def test_another_prompt_fails_with_what_has_changed(project: pytest.Pytester, model: str) -> None:
    run(project, "--greenroom-record=missing")
    project.makepyfile(agent=agent(model, system="Be strict.", model="gpt-5"))
    result = run(project)
    result.assert_outcomes(failed=1)
    assert "calls 2, 3, POST http://127.0.0.1" in said(result)
    for line in ("model:", "- gpt-4o", "+ gpt-5", "system:", "- Be kind.", "+ Be strict."):
        assert line in said(result).splitlines()
    assert "--greenroom-record=all" in said(result)
    assert '"messages"' not in said(result), "a dump"
    assert Model.requests == 2


def test_a_changed_prompt_can_be_allowed(project: pytest.Pytester, model: str) -> None:
    run(project, "--greenroom-record=missing")
    project.makepyfile(
        agent=agent(model, system="Be strict."),
        test_refund=TEST.replace("mark.greenroom", "mark.greenroom(strict=False)"),
    )
    result = run(project)
    result.assert_outcomes(passed=1, warnings=1)
    assert "+ Be strict." in said(result)


def test_moved_code_is_still_the_recorded_one(project: pytest.Pytester, model: str) -> None:
    run(project, "--greenroom-record=missing")
    project.makepyfile(agent="# moved\n" * 20 + agent(model))
    run(project).assert_outcomes(passed=1)


def test_a_call_that_was_not_recorded_does_not_go_live(project: pytest.Pytester) -> None:
    run(project, "--greenroom-record=missing")
    project.makepyfile(test_refund=TEST + '    agent.ask("And now?")\n')
    result = run(project)
    result.assert_outcomes(failed=1)
    assert "ReplayError" in said(result)
    assert Model.requests == 2


def test_a_call_that_is_not_made_any_more_is_told(project: pytest.Pytester) -> None:
    run(project, "--greenroom-record=missing")
    project.makepyfile(test_refund=TEST.replace('    assert agent.ask("Sure?").startswith("answer 2 to 2")\n', ""))
    result = run(project)
    result.assert_outcomes(failed=1)
    assert "recorded, and not made now:" in said(result)
    assert "call 3, POST http://127.0.0.1" in said(result)


def test_a_replay_needs_no_keys(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    pytester.makepyfile(
        """
        import os
        import pytest

        def test_before():
            assert "OPENAI_API_KEY" not in os.environ

        @pytest.mark.greenroom
        def test_it(greenroom_recording):
            assert greenroom_recording.is_recording or os.environ["OPENAI_API_KEY"]

        def test_after():
            assert "OPENAI_API_KEY" not in os.environ
        """
    )
    run(pytester, "--greenroom-record=missing").assert_outcomes(passed=3)
    run(pytester).assert_outcomes(passed=3)


def test_all_records_anew_and_leaves_what_says_the_same(project: pytest.Pytester) -> None:
    run(project, "--greenroom-record=missing")
    first = (project.path / CASSETTE).read_bytes()
    Model.requests = 0
    run(project, "--greenroom-record=all").assert_outcomes(passed=1)
    assert (project.path / CASSETTE).read_bytes() == first
    assert Model.requests == 2
    result = run(project, "--greenroom-record=all")  # answers 3 and 4: the test fails, so its cassette stays
    result.assert_outcomes(failed=1)
    assert "is not written" in said(result)
    assert (project.path / CASSETTE).read_bytes() == first


def test_tests_name_their_bundles_by_path_or_by_name(pytester: pytest.Pytester, model: str) -> None:
    pytester.makepyfile(
        agent=agent(model),
        test_named="""
        import pytest
        import agent

        @pytest.mark.greenroom("recorded/one.bundle")
        def test_path():
            agent.ask("1")

        @pytest.mark.greenroom("two.bundle")
        def test_name(greenroom_recording):
            agent.ask("2")
            assert greenroom_recording.path.name == "two.bundle"

        @pytest.mark.greenroom
        class TestMany:
            @pytest.mark.parametrize("word", ["a b", "c/d"])
            def test_each(self, word):
                agent.ask(word)
        """,
    )
    run(pytester, "--greenroom-record=missing").assert_outcomes(passed=4)
    assert sorted(str(each.relative_to(pytester.path)) for each in pytester.path.rglob("*.bundle")) == [
        "cassettes/test_named/TestMany.test_each-a-b.bundle",
        "cassettes/test_named/TestMany.test_each-c-d.bundle",
        "cassettes/two.bundle",
        "recorded/one.bundle",
    ]
    run(pytester).assert_outcomes(passed=4)
    assert Model.requests == 4


def test_two_tests_with_one_cassette_are_refused(pytester: pytest.Pytester, model: str) -> None:
    pytester.makepyfile(
        """
        import pytest
        pytestmark = pytest.mark.greenroom("one.bundle")
        def test_a(): pass
        def test_b(): pass
        """
    )
    result = run(pytester, "--greenroom-record=all")
    assert "give each test its own" in said(result)


def test_workers_of_xdist_record_and_replay(pytester: pytest.Pytester, model: str) -> None:
    pytester.makepyfile(
        agent=agent(model),
        test_many="""
        import pytest
        import agent

        @pytest.mark.greenroom
        @pytest.mark.parametrize("number", range(6))
        def test_each(number):
            assert "to 2" in agent.ask(str(number))
        """,
    )
    run(pytester, "-p", "xdist", "-n", "2", "--greenroom-record=missing").assert_outcomes(passed=6)
    run(pytester, "-p", "xdist", "-n", "2").assert_outcomes(passed=6)
    assert Model.requests == 6


def test_fixtures_of_the_test_are_part_of_it_and_shared_ones_are_not(pytester: pytest.Pytester, model: str) -> None:
    pytester.makepyfile(
        agent=agent(model),
        test_fixtures="""
        import pytest
        import agent

        @pytest.fixture(scope="module")
        def shared():
            return agent.orders("shared")

        @pytest.fixture
        def own():
            return agent.orders("own")

        @pytest.mark.greenroom
        def test_it(shared, own, greenroom_recording):
            assert not greenroom_recording.is_recording or len(greenroom_recording.tape.crossings) == 1
        """,
    )
    run(pytester, "--greenroom-record=missing").assert_outcomes(passed=1)
    run(pytester).assert_outcomes(passed=1)
    assert (pytester.path / "orders.txt").read_text() == "sharedownshared"


def test_async_code_is_replayed(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import asyncio
        import random
        import pytest
        from greenroom.runtime import tool

        @tool
        async def slow(number):
            await asyncio.sleep(random.random() / 100)
            return random.random()

        async def both():
            done = []
            async def one(number):
                done.append((number, await slow(number)))
            await asyncio.gather(*map(one, range(5)))
            return done

        @pytest.mark.greenroom
        def test_order(request):
            done = asyncio.run(both())
            with open("done.txt", "a") as file:
                file.write(repr(done) + chr(10))
        """
    )
    run(pytester, "--greenroom-record=missing").assert_outcomes(passed=1)
    run(pytester).assert_outcomes(passed=1)
    one, other = (pytester.path / "done.txt").read_text().splitlines()
    assert one == other


def test_a_session_of_a_store_is_a_recording_too(pytester: pytest.Pytester, model: str) -> None:
    pytester.makepyfile(agent=agent(model), test_refund=TEST)
    run(pytester, "--greenroom-record=missing").assert_outcomes(passed=1)
    with Runtime.open(pytester.path / "store") as runtime:
        session = runtime.import_bundle(pytester.path / CASSETTE)[0]
        (pytester.path / CASSETTE).unlink()
        for named in (session.id,):
            pytester.makepyfile(test_refund=TEST.replace("mark.greenroom", f"mark.greenroom({named!r})"))
            run(pytester, "--greenroom-data=store").assert_outcomes(passed=1)
        pytester.makepyfile(test_refund=TEST.replace("mark.greenroom", "mark.greenroom('key:none')"))
        result = run(pytester, "--greenroom-data=store")
    result.assert_outcomes(errors=1)
    assert "there is no session" in said(result)
    assert Model.requests == 2


def test_what_rules_name_is_not_in_a_cassette(project: pytest.Pytester) -> None:
    project.makeini("[pytest]\ngreenroom_redact =\n    Ref[a-z]+\n")
    run(project, "--greenroom-record=missing").assert_outcomes(passed=1)
    content = (project.path / CASSETTE).read_bytes()
    assert b"Refund" not in content
    assert b"Sure" in content
    run(project).assert_outcomes(passed=1)
    Model.requests = 0
    run(project, "--greenroom-record=all").assert_outcomes(passed=1)
    assert (project.path / CASSETTE).read_bytes() == content


def test_a_damaged_cassette_is_named(project: pytest.Pytester) -> None:
    run(project, "--greenroom-record=missing")
    (project.path / CASSETTE).write_bytes(b"no bundle")
    result = run(project)
    result.assert_outcomes(errors=1)
    assert "bundle" in said(result)
    assert "Traceback" not in said(result)


def test_a_cassette_has_no_traces_of_the_machine(project: pytest.Pytester) -> None:
    run(project, "--greenroom-record=missing")
    content = (project.path / CASSETTE).read_bytes()
    assert str(project.path).encode() not in content
    tape = tape_of_bundle(project.path / CASSETTE)
    assert tape.about["command"] == ["pytest", "test_refund.py::test_refund"]
    assert [each.name for each in tape.crossings][:1] == ["orders"]


def test_the_plugin_is_registered() -> None:
    project = tomllib.loads(PYPROJECT.read_text("utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"greenroom": PLUGIN}


def test_the_plugin_costs_nothing_until_a_test_is_marked(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys
        def test_nothing():
            loaded = [name for name in sys.modules if name.startswith("greenroom")]
            assert all(name.rpartition(".")[2] in ("greenroom", "runtime", "version", "cassettes", "plugin")
                       for name in loaded), loaded
            assert not {"msgpack", "rocksdict", "pydantic"} & set(sys.modules)
        """
    )
    run_as_users_do(pytester).assert_outcomes(passed=1)


def test_importing_the_plugin_needs_only_pytest() -> None:
    source = f"""
import sys, pytest
before = set(sys.modules)
import {PLUGIN}
new = {{name for name in set(sys.modules) - before if not name.startswith("greenroom")}}
assert not new, new
"""
    subprocess.run([sys.executable, "-c", source], check=True)
