"""Nothing that the process of a script does or sends harms the host: it is killed, the host is told what happened, and
the next script runs."""

from __future__ import annotations

import os
from typing import Final

import pytest

from greenroom.scripting.process.children import Children
from greenroom.scripting.running.sandbox import Outcome

from .conftest import RecordingHost, run
from .misbehaving import DEEDS

NONSENSE: Final = "sent nonsense, and was killed"
DIED: Final = "the process of the script died: it "
TIME, MEMORY, FINE = "time", "memory", "fine"

ENDINGS: Final[dict[str, str]] = {
    "garbage": TIME,
    "a call after the end": FINE,
    "two ends": FINE,
    "nothing": FINE,
    "half a header": TIME,
    "half a frame": TIME,
    "silence": TIME,
    "spinning": TIME,
    "spinning without an alarm": TIME,
    "stopping": TIME,
    "calling and spinning": TIME,
    "closing and spinning": "closed its connection, and was killed",
    "dying in a frame": DIED + "was killed by SIGKILL",
    "leaving in a frame": DIED + "ended with status 7",
    "leaving": DIED + "ended with status 0",
    "leaving with a status": DIED + "ended with status 3",
    "being killed": DIED + "was killed by SIGKILL",
    "aborting": DIED + "was killed by SIGABRT",
    "crashing": DIED + "was killed by SIGSEGV",
    "an exception": DIED + "ended with status 1",
    "filling the memory": MEMORY,
    "answering a call with a call that is none": NONSENSE,
    "answering a call with the end": NONSENSE,
    "answering a call by dying": DIED + "ended with status 5",
} | {name: TIME for name in DEEDS if name.startswith("a flood")}
HARMLESS: Final = (
    "opening",
    "connecting",
    "forking",
    "writing",
    "descriptors",
    "environment",
    "limits",
    "identity",
    "modules",
    "threads",
)
SECONDS: Final = 0.15


def gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


def ends_as(outcome: Outcome) -> str:
    return outcome.message if outcome.ending == "error" else outcome.ending or FINE


@pytest.mark.timeout(30)
@pytest.mark.parametrize("deed", [each for each in DEEDS if not each.startswith(HARMLESS)])
def test_what_a_process_does_ends_with_it(children: Children, deed: str) -> None:
    expected = ENDINGS.get(deed, NONSENSE)
    host = RecordingHost(SECONDS if expected == TIME else 20.0, answer=lambda value: value)
    if deed.startswith("answering"):
        host = RecordingHost(20.0, answer=lambda function: function(1))
    outcome = run(children, deed, host, 20.0)
    assert expected in ends_as(outcome)
    if outcome.ending is not None and outcome.ending != "memory":
        assert gone(int(host.output[0]))  # and what it wrote before is kept
    again = RecordingHost(20.0)
    assert run(children, "nothing", again, 20.0) == Outcome()


def test_a_process_can_reach_nothing(children: Children) -> None:
    def after(deed: str) -> object:
        return run(children, deed, RecordingHost(20.0), 20.0).value

    assert after("opening a file") == "OSError"
    assert after("connecting") == "OSError"
    assert after("forking") == "BlockingIOError"
    assert after("writing") == "OSError"
    descriptors = after("descriptors")
    assert isinstance(descriptors, list)
    assert descriptors[:3] == [0, 1, 2]
    assert len(descriptors) == 4  # and its connection to the host
    assert after("threads") == 1


def test_a_process_has_limits(children: Children) -> None:
    outcome = run(children, "limits", RecordingHost(20.0), 20.0, max_memory=64 << 20)
    core, file_size, processes, files, seconds, space = outcome.value
    assert core == file_size == processes == [0, 0]
    assert files == [1, 1]
    assert 20 <= seconds[0] <= 23
    assert 64 << 20 < space[0] < 1 << 30
    user, leads_its_group = run(children, "identity", RecordingHost(20.0), 20.0).value
    assert user != 0
    assert leads_its_group


def test_a_process_knows_no_secret_of_the_host(children: Children, monkeypatch: pytest.MonkeyPatch) -> None:
    assert os.environ["HOME"]
    environment = run(children, "environment", RecordingHost(20.0), 20.0).value
    assert set(environment) <= {"LANG", "LC_ALL", "LC_CTYPE", "LC_TIME", "LC_NUMERIC", "TZ", "LD_LIBRARY_PATH"}
    modules = run(children, "modules", RecordingHost(20.0), 20.0).value
    assert not {"rocksdict", "pydantic", "greenroom.actors", "greenroom.storage.engine"} & set(modules)
