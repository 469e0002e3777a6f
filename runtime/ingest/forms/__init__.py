"""The forms of recorded conversations, a file for each application or API. `ingest/formats.py` has their table."""
