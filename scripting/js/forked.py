"""The sandbox in a process of its own. Importing this module loads the machine code, so that the processes that are
forked afterwards have it."""

from __future__ import annotations

from greenroom.scripting.definition.layout import LayoutData

from .quickjs import machine
from .sandbox import JavaScriptSandbox

__all__ = ["for_process"]

machine()


def for_process(profile: str, packed: bytes) -> JavaScriptSandbox:
    """Return a sandbox in the process of a script."""
    return JavaScriptSandbox(LayoutData(profile, packed))
