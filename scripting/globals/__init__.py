"""The globals of scripts, one file each: plain Python functions over plain data, the same for every language."""

from __future__ import annotations

from ..export import Export, exports_of
from ..files import Files
from ..principal import Principal
from .artifact import ArtifactGlobal
from .session import SessionGlobal
from .state import StateGlobal

__all__ = ["Export", "make_globals"]


def make_globals(principal: Principal, files: Files) -> dict[str, dict[str, Export]]:
    """The functions of each global, by the names that scripts use."""
    return {
        "Session": exports_of(SessionGlobal(principal, files)),
        "Artifact": exports_of(ArtifactGlobal(principal, files)),
        "State": exports_of(StateGlobal(principal)),
    }
