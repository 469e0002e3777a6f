"""Opens the store for scripts: with their limits, agents and plugins, for reading only beside another process that
writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from greenroom.runtime.cli.output import note
from greenroom.runtime.cli.store import Store

from .equipment import plugins_named, register_agents, run_plugins

if TYPE_CHECKING:
    from greenroom.runtime import Runtime

__all__ = ["opened_for_scripts"]

# A person waits for a script of the command line and can stop it, so it gets more than a script inside a server.
# The instructions are as many for each second as the settings' own default allows.
_LIMITS: Final = {"script_timeout": 300.0, "script_instructions": 12_000_000_000}


@contextmanager
def opened_for_scripts(
    store: Store, *, create: bool, agents: Iterable[str] | None, plugins: Iterable[str] | None
) -> Iterator[Runtime]:
    """Yield the runtime, with the agents registered and the plugins run. A note on stderr says if it only reads.

    The store is made when it is not there and `create` is true. A plugin that cannot be found raises BadParameter
    before the store is opened.
    """
    from greenroom.runtime import StoreLocked

    functions = plugins_named(plugins or ())
    with ExitStack() as stack:
        try:
            runtime = stack.enter_context(store.writing(create=create, defaults=_LIMITS))
        except StoreLocked:
            runtime = stack.enter_context(store.reading(defaults=_LIMITS))
            note("Another process has the store open: scripts can read it here, and cannot change it.")
        register_agents(runtime, agents or ())
        run_plugins(runtime, functions)
        yield runtime
