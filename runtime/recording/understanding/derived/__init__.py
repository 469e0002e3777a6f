"""What follows for a session from the calls that were recorded in it: its conversation, and the events of calls."""

from .understand import Understanding, understand, understand_quietly

__all__ = ["Understanding", "understand", "understand_quietly"]
