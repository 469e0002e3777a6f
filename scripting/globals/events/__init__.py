"""Globals that listen: `Event` and `Hook`."""
