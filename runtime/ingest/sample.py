"""A few short conversations of our own, for the demo, the examples and the tests."""

from __future__ import annotations

from pathlib import Path


def sample_paths() -> list[Path]:
    """The files of the samples, in order of their names."""
    return sorted((Path(__file__).parent / "samples").glob("*.jsonl"))
