"""Runs scripts of any language: the host that a sandbox calls, and what all engines share."""
