"""Brings recorded conversations into a runtime as completed sessions with messages and artifacts.

```python
from greenroom.runtime import Runtime
from greenroom.runtime.ingest import ingest, sample_paths

with Runtime.open("data") as runtime:
    report = ingest(runtime, sample_paths())
    print(report.sessions, report.messages, [str(item) for item in report.skipped])
```
"""

from greenroom.runtime.ingest.formats import conversation_of
from greenroom.runtime.ingest.load import ingest
from greenroom.runtime.ingest.read import read_records
from greenroom.runtime.ingest.records import (
    MAX_RECORD_BYTES,
    Conversation,
    Fault,
    Note,
    Record,
    Turn,
    UnknownRecord,
)
from greenroom.runtime.ingest.report import IngestProgress, IngestReport, Skipped
from greenroom.runtime.ingest.sample import sample_paths
from greenroom.runtime.ingest.sources import open_sources

__all__ = [
    "MAX_RECORD_BYTES",
    "Conversation",
    "Fault",
    "IngestProgress",
    "IngestReport",
    "Note",
    "Record",
    "Skipped",
    "Turn",
    "UnknownRecord",
    "conversation_of",
    "ingest",
    "open_sources",
    "read_records",
    "sample_paths",
]
