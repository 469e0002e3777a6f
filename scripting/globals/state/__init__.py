"""The global `State`."""
