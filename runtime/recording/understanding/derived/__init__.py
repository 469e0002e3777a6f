"""What follows for a session from the calls that were recorded in it: its conversation, and the events of calls."""

from .understand import Understanding, understand

__all__ = ["Understanding", "understand"]
