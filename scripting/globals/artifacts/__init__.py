"""The global `Artifact`."""
