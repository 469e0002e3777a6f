"""Adapters that put greenroom under other frameworks: one module and one extra for each.

An adapter is written on the public API alone, and imports its framework only when it is itself imported.
"""
