"""Migrates all sessions of a store until it is killed. Prints a line for each that is done.

Usage: migration_worker.py STORE.
"""

from __future__ import annotations

import os
import sys

from greenroom.runtime import Runtime

with Runtime.open(sys.argv[1]) as runtime:
    runtime.schemas.register("it", 2, {"type": "object"}, keys="k*", migrate={1: lambda old: {"was": old}})
    runtime.schemas.migrate_all(on_progress=lambda places, values: os.write(1, b"%d\n" % values if values else b""))
