"""The globals of scripts, one file each: Python functions over plain data, shared by all languages."""

from __future__ import annotations

from greenroom.scripting.export import Export, exports_of
from greenroom.scripting.files import Files
from greenroom.scripting.script_context import ScriptContext

from .agent import AgentGlobal
from .artifact import ArtifactGlobal
from .differences import SessionDifferences
from .event import EventGlobal
from .hook import HookGlobal
from .replay import ReplayGlobal, SessionReplays
from .session import SessionGlobal
from .state import StateGlobal
from .tool import ToolGlobal
from .workflow import WorkflowGlobal

__all__ = ["Export", "make_globals"]


def make_globals(principal: ScriptContext, files: Files) -> dict[str, dict[str, Export]]:
    """Return the functions of each global, by the names that scripts use."""
    return {
        "Session": {
            **exports_of(SessionGlobal(principal, files)),
            **exports_of(SessionReplays(principal)),
            **exports_of(SessionDifferences(principal)),
        },
        "Artifact": exports_of(ArtifactGlobal(principal, files)),
        "State": exports_of(StateGlobal(principal)),
        "Hook": exports_of(HookGlobal(principal)),
        "Event": exports_of(EventGlobal(principal)),
        "Tool": exports_of(ToolGlobal(principal, files)),
        "Workflow": exports_of(WorkflowGlobal(principal)),
        "Replay": exports_of(ReplayGlobal()),
        # nil while no agent is registered, so that scripts can test for it
        **({"Agent": exports_of(AgentGlobal(principal))} if principal.runtime.agents.available else {}),
    }
