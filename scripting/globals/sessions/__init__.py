"""Globals about sessions: `Session` and `Replay`."""
