"""Ingests recorded conversations as completed sessions with messages and artifacts.

```python
from greenroom.runtime import Runtime
from greenroom.runtime.ingest import ingest, sample_paths

with Runtime.open("data") as runtime:
    report = ingest(runtime, sample_paths())
    print(report.sessions, report.messages, [str(item) for item in report.skipped])
```
"""

from .formats import conversation_of
from .load import ingest
from .read import read_records
from .records import MAX_RECORD_BYTES, Conversation, Fault, Note, Record, Turn, UnknownRecord
from .report import IngestProgress, IngestReport, Skipped
from .sources import open_sources, sample_paths

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
