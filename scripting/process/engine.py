"""An engine whose scripts can also run in a process of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import ClassVar
from weakref import WeakKeyDictionary

from greenroom.runtime import Runtime, ScriptRequest, ScriptResult
from greenroom.runtime.scripts import close_with
from greenroom.scripting.definition.layout import Layout
from greenroom.scripting.globals import layout_for
from greenroom.scripting.running.engine import Engine
from greenroom.scripting.running.sandbox import Sandbox

from .children import Children
from .remote import RemoteSandbox, as_sent

__all__ = ["IsolatingEngine", "children_of"]


class IsolatingEngine(Engine):
    """Runs scripts on threads, or with isolation "process" in processes of their own."""

    in_process: ClassVar[str]
    """The place of the function that makes a sandbox in the fork server, for a layout that is given as profile and
    packed data: "package.module:name". The module must import no more than a sandbox needs. A sandbox must work on in
    a fork of its process, after `forked`."""

    def prepare(self, request: ScriptRequest) -> Callable[[], ScriptResult]:
        run = super().prepare(request)
        if request.isolation == "process":
            # Before the time of the script begins.
            layout = layout_for(request.profile, request.runtime)
            children_of(request.runtime, self.in_process).prepare(as_sent(layout))
        return run

    def sandbox_for(self, request: ScriptRequest, layout: Layout) -> Sandbox:
        if request.isolation == "process":
            return RemoteSandbox(children_of(request.runtime, self.in_process), layout)
        return super().sandbox_for(request, layout)


_lock = threading.Lock()
_children: WeakKeyDictionary[Runtime, dict[str, Children]] = WeakKeyDictionary()


def children_of(runtime: Runtime, factory: str) -> Children:
    """Return the processes of a runtime for one language. They end with the runtime."""
    with _lock:
        known = _children.setdefault(runtime, {})
        children = known.get(factory)
        if children is None:
            children = Children(factory, runtime.config.script_processes)
            close_with(runtime, children)
            known[factory] = children
        return children
