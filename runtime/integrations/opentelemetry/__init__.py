"""OpenTelemetry on greenroom: journals, past and as they grow, as traces with `gen_ai.*` attributes.

Example:
    ```py
    export_journal(rt, session, "http://localhost:4318/v1/traces")  # what has happened
    live = follow_journals(rt, "http://localhost:4318/v1/traces")  # what happens from now on
    live = instrument(rt)  # the same through the program's own TracerProvider
    ```
"""

from __future__ import annotations

try:
    import opentelemetry.exporter.otlp.proto.http.trace_exporter
    import opentelemetry.sdk.trace.export  # noqa: F401
except ImportError as error:
    raise ImportError("OpenTelemetry is needed: pip install 'greenroom[opentelemetry]'") from error

from .export import LiveExport, export_journal, follow_journals, spans_of
from .live import Instrumented, instrument
from .spans import trace_id_of

__all__ = ["Instrumented", "LiveExport", "export_journal", "follow_journals", "instrument", "spans_of", "trace_id_of"]
