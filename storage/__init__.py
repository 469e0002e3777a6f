"""Bytes on disk: the RocksDB engine, the journal, the catalog of sessions, content and artifacts.

The lowest floor: it knows nothing of actors, hosts or scripts. docs/format.md is its specification.
"""
