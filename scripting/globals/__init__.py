"""The globals of scripts: Python functions over plain data, the same for all languages.

`OWNERS` lists the classes that make them up; `known_globals` says all that is known of each, for the reference, for
completion and for tests; `layout_for` numbers the functions that a script gets.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from greenroom.runtime import Runtime
from greenroom.scripting.definition.layout import Global, Layout, globals_of

from .artifacts.artifact import ArtifactGlobal
from .artifacts.streams import ArtifactStreams
from .calls.agent import AgentGlobal
from .calls.tool import ToolGlobal
from .calls.workflow import WorkflowGlobal
from .events.event import EventGlobal
from .events.hook import HookGlobal
from .native import JsonGlobal, Print
from .objects import SESSION
from .open_files import OpenFiles
from .sessions.contents import SessionContents
from .sessions.differences import SessionDifferences
from .sessions.people import SessionPeople
from .sessions.replay import ReplayGlobal, SessionReplays
from .sessions.session import SessionGlobal
from .state.keeping import StateKeeping
from .state.state import StateGlobal
from .streams import StreamingGlobal

__all__ = ["OWNERS", "known_globals", "layout_for"]

OWNERS: Final[tuple[type, ...]] = (
    SessionGlobal,
    SessionContents,
    SessionPeople,
    SessionReplays,
    SessionDifferences,
    ArtifactGlobal,
    ArtifactStreams,
    StateGlobal,
    StateKeeping,
    HookGlobal,
    EventGlobal,
    ToolGlobal,
    AgentGlobal,
    WorkflowGlobal,
    ReplayGlobal,
    StreamingGlobal,
    JsonGlobal,
    Print,
)
"""The classes of the globals, each made for a run with its ScriptContext when the script first calls it."""


@cache
def known_globals() -> dict[str, Global]:
    """Return all globals by name, with all their functions."""
    return globals_of(OWNERS)


def layout_for(profile: str, runtime: Runtime) -> Layout:
    """Return the layout of the globals that a script of a profile gets."""
    # nil while no agent is registered, so that scripts can test for it
    return layout_of(profile, bool(runtime.agents.available))


@cache
def layout_of(profile: str, agents: bool) -> Layout:
    """Return the layout of the globals of a profile, with Agent or without."""
    known = {name: each for name, each in known_globals().items() if name != "Agent" or agents}
    if profile != "sandboxed":
        known |= globals_of([OpenFiles])
    return Layout(profile, known, SESSION, OpenFiles.NAME)
