"""``greenroom stats``: the store, and what its sessions have done."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from greenroom.runtime import Runtime

UUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}")


@pytest.fixture
def busy(tmp_path: Path) -> str:
    """The id of the session that did most in a store of two."""
    with Runtime.open(tmp_path / "greenroom-data") as rt:
        rt.tools.collector = None
        rt.tools.register("good", lambda: 1)
        rt.tools.register("bad", lambda: 1 / 0)
        rt.agents.register("echo", lambda input: {"text": "", "usage": {"total_tokens": 7}, "cost_usd": 0.25})
        rt.create_session(name="idle", created_by="zoe")
        s = rt.create_session(name="busy", created_by="zoe")
        s.call_tool("good", {})
        with suppress(Exception):
            s.call_tool("bad", {})
        s.call_agent("echo", "x")
        s.add_message("user", "hello")
        s.complete()
    return s.id


def test_sessions_together(greenroom: Any, busy: str) -> None:
    row = greenroom.json("stats", "--sessions")
    assert (row["sessions"], row["by_status"]) == (2, {"active": 1, "completed": 1})
    assert row["top"]["cost"] == [{"session_id": busy, "value": 0.25}]
    text = greenroom("stats", "--sessions").stdout
    assert re.search(r"^sessions +2 \(1 active, 1 completed\)$", text, re.MULTILINE)
    assert re.search(r"^errors +1 CallFailed$", text, re.MULTILINE)
    assert re.search(rf"^cost +{busy} +\$0.2500$", text, re.MULTILINE)
    assert re.search(r"^tool.called +2$", text, re.MULTILINE)


def test_one_session(greenroom: Any, busy: str) -> None:
    row = greenroom.json("stats", "--session", busy[:8])
    assert (row["session_id"], row["messages_by_role"]) == (busy, {"user": 1})
    text = greenroom("stats", "--session", busy).stdout
    assert re.search(r"^status +completed$", text, re.MULTILINE)
    assert re.search(r"^calls that succeeded +66.7%$", text, re.MULTILINE)
    greenroom("stats", "--session", "0" * 32, code=1)


@pytest.mark.parametrize("of", [(), ("--session",)])
def test_calls(greenroom: Any, busy: str, of: tuple[str, ...]) -> None:
    text = greenroom("stats", "--tools", *of, *(busy for _ in of)).stdout
    assert re.search(r"^tool +good +1 +100.0%", text, re.MULTILINE)
    assert re.search(r"^tool +bad +1 +0.0%", text, re.MULTILINE)
    assert re.search(r"^agent +echo +1 +100.0% .* \$0.2500$", text, re.MULTILINE)


@pytest.mark.usefixtures("busy")
def test_since_and_until_bound_what_is_counted(greenroom: Any) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert greenroom.json("stats", "--sessions", "--since", "1h")["events"] > 0
    assert greenroom.json("stats", "--sessions", "--since", tomorrow)["events"] == 0
    assert greenroom.json("stats", "--sessions", "--until", "2001-01-01")["events"] == 0


def test_privacy_leaves_no_id_in_the_output(greenroom: Any, busy: str) -> None:
    for options in (("--sessions",), ("--sessions", "--json"), ("--session", busy), ("--tools",)):
        said = greenroom("stats", *options, "--privacy").stdout
        assert UUID.search(said) is None
        assert "zoe" not in said
    assert UUID.search(greenroom("stats", "--sessions", GREENROOM_ANALYTICS_PRIVACY="1").stdout) is None


@pytest.mark.usefixtures("busy")
def test_prometheus_prints_what_prometheus_reads(greenroom: Any) -> None:
    families = {
        family.name: family for family in text_string_to_metric_families(greenroom("stats", "--prometheus").stdout)
    }
    found = {sample.labels["status"]: sample.value for sample in families["greenroom_sessions"].samples}
    assert (found["active"], found["completed"]) == (1, 1)


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize(
    "options",
    [
        ("--since", "1h"),
        ("--privacy",),
        ("--sessions", "--since", "soon"),
        ("--sessions", "--details"),
        ("--prometheus", "--json"),
        ("--sessions", "--top", "0"),
    ],
)
def test_options_that_make_no_sense_are_usage_errors(greenroom: Any, options: tuple[str, ...]) -> None:
    greenroom("stats", *options, code=2)


def test_a_store_that_somebody_writes_to_can_be_looked_at(greenroom: Any, tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "greenroom-data") as rt:
        rt.create_session()
        assert greenroom.json("stats", "--sessions")["sessions"] == 1
