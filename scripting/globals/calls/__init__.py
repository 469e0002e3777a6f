"""Globals that call: `Tool`, `Agent` and `Workflow`."""
