"""OpenTelemetry on greenroom: journals, past and as they grow, as traces with `gen_ai.*` attributes.

Example:
    ```py
    export_journal(rt, session, "http://localhost:4318/v1/traces")  # what has happened
    live = follow_journals(rt, "http://localhost:4318/v1/traces")  # what happens from now on
    ```
"""

from __future__ import annotations

try:
    import opentelemetry.exporter.otlp.proto.http.trace_exporter
    import opentelemetry.sdk.trace.export  # noqa: F401
except ImportError as error:
    raise ImportError("OpenTelemetry is needed: pip install greenroom[opentelemetry]") from error

from .export import LiveExport, export_journal, follow_journals, spans_of
from .spans import trace_id_of

__all__ = ["LiveExport", "export_journal", "follow_journals", "spans_of", "trace_id_of"]
