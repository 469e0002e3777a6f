"""The figures of a runtime in Prometheus' format. Needs the extra `metrics`."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors.events import Subscription
from greenroom.actors.messages.events import RESERVED_FAMILIES
from greenroom.actors.session.state.usage import returned_use
from greenroom.storage.common.logs import logger_of
from greenroom.storage.errors import ConfigurationError, GreenroomError

from .counts import OTHER

try:
    from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
    from prometheus_client.registry import Collector
except ImportError as error:  # pragma: no cover
    raise ConfigurationError(
        "metrics for Prometheus need its client, which is not installed: pip install prometheus-client"
    ) from error

if TYPE_CHECKING:
    from greenroom.runtime.core import RuntimeCore

__all__ = ["EventCounts", "RuntimeCollector"]

logger = logger_of("analytics")

_BUCKETS: Final = (0.0001, 0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_MAX_LABELS: Final = 200


class RuntimeCollector(Collector):
    """Collects the figures of one runtime, for a registry of prometheus_client. They contain no session ids.

    The cost of a scrape does not depend on the number of sessions or artifacts. A closed runtime only has
    `greenroom_open`, at 0.
    """

    def __init__(self, core: RuntimeCore, counts: Callable[[], EventCounts | None]) -> None:
        """Use `rt.analytics.collector`."""
        self._core = core
        self._counts = counts

    def text(self) -> str:
        """Return all figures in Prometheus' text format."""
        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry).decode()

    def describe(self) -> Iterable[Metric]:
        return _metrics({})

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily("greenroom_open", "Whether the runtime is open.", value=not self._core.lifetime.closed)
        try:
            figures = self._core.figures()
        except GreenroomError:
            return  # the runtime was just closed, or its disk fails; other calls report that
        yield from _metrics(figures)
        counts = self._counts()
        if counts is not None:
            yield from counts.collect()


def _metrics(figures: dict[str, Any]) -> Iterable[Metric]:
    """Yield the metrics of `RuntimeCore.figures`."""
    sessions = GaugeMetricFamily("greenroom_sessions", "Sessions by status.", labels=["status"])
    for status, count in figures.get("sessions", {}).items():
        sessions.add_metric([status], count)
    yield sessions
    cache = figures.get("cache", {})
    for kind, name, text, value in (
        (GaugeMetricFamily, "resident_sessions", "Sessions in memory.", figures.get("resident")),
        (GaugeMetricFamily, "resident_bytes", "Bytes that their states take, roughly.", figures.get("resident_bytes")),
        (CounterMetricFamily, "activations", "Sessions that came into memory.", figures.get("activations")),
        (CounterMetricFamily, "commits", "Batches that were written.", figures.get("commits")),
        (CounterMetricFamily, "fsyncs", "Times that the log was put on disk.", figures.get("fsyncs")),
        (GaugeMetricFamily, "cache_bytes", "Content that is kept in memory.", cache.get("bytes")),
        (CounterMetricFamily, "cache_hits", "Reads that the cache has served.", cache.get("hits")),
        (CounterMetricFamily, "cache_misses", "Reads that it has not.", cache.get("misses")),
        (GaugeMetricFamily, "disk_bytes", "Bytes of all files of the store.", figures.get("disk_bytes")),
    ):
        yield kind(f"greenroom_{name}", text, value=value)
    for name, text in (
        ("keys", "Keys by column family, estimated."),
        ("table_bytes", "Bytes of table files by column family."),
        ("memtable_bytes", "Bytes that are not in table files yet, by column family."),
    ):
        family = GaugeMetricFamily(f"greenroom_store_{name}", text, labels=["family"])
        for label, values in figures.get("store", {}).items():
            family.add_metric([label], values[name])
        yield family


class EventCounts:
    """Counts the events of a subscription. A timer and each scrape call `count`.

    No thread waits for events, so a session that causes one need not wake any thread.
    """

    EVERY: Final = 0.2
    """Seconds between two counts."""

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription
        self._counting = threading.Lock()
        self._names: dict[str, set[str]] = {}
        self._by_type: dict[str, Any] = {}
        self._events = Counter("greenroom_events", "Events by type.", ["type"], registry=None)
        self._calls = Counter(
            "greenroom_calls", "Calls of tools and agents that have ended.", ["kind", "name", "success"], registry=None
        )
        self._errors = Counter("greenroom_errors", "Failed calls, hooks and scripts by code.", ["code"], registry=None)
        self._tokens = Counter("greenroom_tokens", "Tokens that agents told of.", ["model"], registry=None)
        self._cost = Counter("greenroom_cost_usd", "Dollars that agents told of.", ["model"], registry=None)
        self._durations = Histogram(
            "greenroom_duration_seconds",
            "How long tools, agents, hooks and scripts took.",
            ["kind"],
            registry=None,
            buckets=_BUCKETS,
        )

    def collect(self) -> Iterable[Metric]:
        """Yield the counts, and the number of events that were dropped because the queue was full."""
        self.count()
        for each in (self._events, self._calls, self._errors, self._tokens, self._cost, self._durations):
            yield from each.collect()
        yield CounterMetricFamily(
            "greenroom_events_uncounted", "Events that came too fast to be counted.", value=self._subscription.dropped
        )

    def count(self) -> None:
        """Count the events that arrived since the last count."""
        with self._counting:
            while (notice := self._subscription.take(0.0)) is not None:
                try:
                    self._add(notice.type, notice.data)
                except Exception:
                    logger.exception("an event of type %s could not be counted", notice.type)

    def _add(self, type_: str, data: dict[str, Any]) -> None:
        family, _, rest = type_.partition(".")
        shown = type_ if family in RESERVED_FAMILIES else "custom"
        counter = self._by_type.get(shown)
        if counter is None:
            counter = self._by_type[shown] = self._events.labels(shown)
        counter.inc()
        if rest == "returned" and family in ("tool", "agent"):
            self._returned(family, data)
        elif type_ == "hook.executed":
            self._ended("hook", data["duration"] / 1e6, data["error"])
        elif type_ == "script.finished":
            self._ended("script", data["duration"], data["error"])

    def _returned(self, kind: str, data: dict[str, Any]) -> None:
        error = data.get("error")
        self._calls.labels(kind, self._label(kind, data["name"]), str(bool(data["success"])).lower()).inc()
        self._ended(kind, data["duration"], error["code"] if error is not None else None)
        if kind == "agent" and data.get("model") is not None:
            model = self._label("model", data["model"])
            tokens, cost = returned_use(data)
            self._tokens.labels(model).inc(tokens)
            self._cost.labels(model).inc(cost / 1e6)

    def _ended(self, kind: str, seconds: float, error: str | None) -> None:
        if math.isfinite(seconds):
            self._durations.labels(kind).observe(max(0.0, seconds))
        if error is not None:
            self._errors.labels(self._label("error", error)).inc()

    def _label(self, kind: str, name: str) -> str:
        """Return the name, or a common name when there are too many of its kind for Prometheus."""
        names = self._names.setdefault(kind, set())
        if name not in names:
            if len(names) >= _MAX_LABELS:
                return OTHER
            names.add(name)
        return name
