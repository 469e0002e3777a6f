from __future__ import annotations

import sys
from contextlib import suppress

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from greenroom.runtime import ConfigurationError, Runtime, RuntimeClosed


def samples(text: str) -> dict[tuple[str, ...], float]:
    """(name, label values…) → value, as Prometheus would read the text."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_text_parses_and_tells_the_figures_of_the_store(rt: Runtime) -> None:
    s, other = rt.create_session(), rt.create_session()
    other.complete()
    s.store_artifact("x", "a", b"content")
    s.get_artifact("a")
    s.get_artifact("a")
    found, stats = samples(rt.analytics.prometheus()), rt.stats()
    assert found["greenroom_open",] == 1
    assert found["greenroom_sessions", "active"] == found["greenroom_sessions", "completed"] == 1
    assert found["greenroom_resident_sessions",] == 2
    assert found["greenroom_commits_total",] == stats["commits"]
    assert found["greenroom_cache_hits_total",] == stats["cache"]["hits"] > 0
    assert found["greenroom_store_keys", "journal"] == stats["store"]["journal"]["keys"]


def test_no_session_is_named(rt: Runtime) -> None:
    s = rt.create_session()
    rt.analytics.count_events()
    rt.events.publish(f"custom.{s.id}", session=s)
    s.set("k", 1)
    assert s.id not in rt.analytics.prometheus()


def test_events_are_counted_only_when_asked_for(rt: Runtime) -> None:
    s = rt.create_session()
    s.set("k", 1)
    assert "greenroom_events_total" not in rt.analytics.prometheus()
    assert rt.events.subscriptions == ()
    rt.analytics.count_events()
    rt.analytics.count_events()
    assert len(rt.events.subscriptions) == 1
    for number in range(7):
        s.set("k", number)
    rt.events.publish("custom.step", session=s)
    rt.events.publish("own.step", session=s)
    found = samples(rt.analytics.prometheus())
    assert found["greenroom_events_total", "variable.set"] == 7
    assert found["greenroom_events_total", "custom"] == 2
    assert found["greenroom_events_uncounted_total",] == 0


def test_calls_errors_tokens_and_durations_are_counted(rt: Runtime) -> None:
    s = rt.create_session()
    rt.analytics.count_events()
    rt.tools.register("good", lambda: 1)
    rt.tools.register("bad", lambda: 1 / 0)
    rt.agents.register(
        "small",
        lambda input: {"text": "", "usage": {"input_tokens": 3, "output_tokens": 4}, "cost_usd": 0.5},
    )
    for _ in range(3):
        s.call_tool("good", {})
    with suppress(Exception):
        s.call_tool("bad", {})
    s.call_agent("small", "x")
    rt.run_script("return 1")
    rt.hooks.register("BeforeStateWrite", lambda context: None, replayable=True)
    s.set("k", 1)
    found = samples(rt.analytics.prometheus())
    assert found["greenroom_calls_total", "tool", "good", "true"] == 3
    assert found["greenroom_calls_total", "tool", "bad", "false"] == 1
    assert found["greenroom_errors_total", "CallFailed"] == 1
    assert found["greenroom_tokens_total", "small"] == 7
    assert found["greenroom_cost_usd_total", "small"] == 0.5
    counts = {kind: found["greenroom_duration_seconds_count", kind] for kind in ("tool", "agent", "hook", "script")}
    assert counts == {"tool": 4, "agent": 1, "hook": 1, "script": 1}
    assert found["greenroom_duration_seconds_bucket", "hook", "+Inf"] == 1
    assert found["greenroom_duration_seconds_sum", "hook"] < 60


def test_what_comes_too_fast_is_told_and_holds_nobody_up(clock: object) -> None:
    with Runtime.open(clock=clock) as rt:  # type: ignore[arg-type]
        s = rt.create_session()
        rt.analytics.count_events(capacity=10)
        for number in range(25):
            s.set("k", number)
        found = samples(rt.analytics.prometheus())
        assert found["greenroom_events_total", "variable.set"] == 10
        assert found["greenroom_events_uncounted_total",] == 15
        s.set("k", 1)
        assert samples(rt.analytics.prometheus())["greenroom_events_total", "variable.set"] == 11


def test_names_beyond_what_prometheus_bears_share_one_label(rt: Runtime) -> None:
    rt.tools.collector = None
    s = rt.create_session()
    rt.analytics.count_events()
    for number in range(203):
        rt.tools.register(f"t{number}", lambda: 1)
        s.call_tool(f"t{number}", {})
    found = samples(rt.analytics.prometheus())
    assert found["greenroom_calls_total", "tool", "(other)", "true"] == 3
    assert len([key for key in found if key[0] == "greenroom_calls_total"]) == 201


def test_a_collector_serves_in_a_registry_of_the_host_and_outlives_the_runtime() -> None:
    registry = CollectorRegistry()
    with Runtime.open() as rt:
        rt.create_session()
        rt.analytics.count_events()
        registry.register(rt.analytics.collector())
        assert samples(generate_latest(registry).decode())["greenroom_sessions", "active"] == 1
    assert samples(generate_latest(registry).decode()) == {("greenroom_open",): 0.0}
    with pytest.raises(RuntimeClosed):
        rt.analytics.count_events(5)


@pytest.mark.parametrize(
    ("missing", "module", "package"),
    [("prometheus_client", "exposition", "prometheus-client"), ("opentelemetry", "tracing", "opentelemetry-api")],
)
def test_without_the_library_the_error_says_what_to_install(
    rt: Runtime, monkeypatch: pytest.MonkeyPatch, missing: str, module: str, package: str
) -> None:
    monkeypatch.delitem(sys.modules, f"greenroom.runtime.analytics.{module}", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    rt.create_session().set("k", 1)
    ask = rt.analytics.prometheus if module == "exposition" else rt.trace
    with pytest.raises(ConfigurationError, match=f"pip install {package}$"):
        ask()
