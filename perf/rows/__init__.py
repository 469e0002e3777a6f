"""The rows of the table. A new file here is picked up by itself; its name is the group of its rows."""

from __future__ import annotations

import importlib
import pkgutil

# The table's order; files that are not named here come after these.
_ORDER = ("sessions", "artifacts", "throughput", "scripts", "scale")

_names = [module.name for module in pkgutil.iter_modules(__path__)]
for _name in sorted(_names, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)):
    importlib.import_module(f"{__name__}.{_name}")
