"""Replay sessions: what users see of it. The engine is in `actors/replay`."""
