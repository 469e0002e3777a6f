"""Brings recorded conversations into a runtime as sessions with messages and artifacts.

```python
from greenroom.runtime import Runtime
from greenroom.runtime.ingest import ingest, sample_paths

with Runtime.open("data") as runtime:
    report = ingest(runtime, sample_paths())
    print(report.sessions, report.messages, [str(item) for item in report.skipped])
```
"""

from greenroom.runtime.ingest.formats import conversation_of
from greenroom.runtime.ingest.load import StoredTurn, create_session_for, ingest, store_turns
from greenroom.runtime.ingest.read import open_source, read_records
from greenroom.runtime.ingest.records import (
    MAX_RECORD_BYTES,
    Conversation,
    Fault,
    Record,
    Turn,
    UnknownRecord,
)
from greenroom.runtime.ingest.report import IngestProgress, IngestReport, Skipped
from greenroom.runtime.ingest.sample import sample_paths

__all__ = [
    "MAX_RECORD_BYTES",
    "Conversation",
    "Fault",
    "IngestProgress",
    "IngestReport",
    "Record",
    "Skipped",
    "StoredTurn",
    "Turn",
    "UnknownRecord",
    "conversation_of",
    "create_session_for",
    "ingest",
    "open_source",
    "read_records",
    "sample_paths",
    "store_turns",
]
