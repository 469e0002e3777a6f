"""What a host embeds: the runtime, its sessions, their messages and errors."""

from __future__ import annotations

from greenroom.actors.conversation import Turn as Message
from greenroom.storage.artifacts import Artifact, ArtifactId, ArtifactInfo
from greenroom.storage.catalog import Page, SessionInfo, SessionStatus
from greenroom.storage.engine import Durability
from greenroom.storage.errors import (
    AccessDenied,
    ArtifactNotFound,
    ArtifactTooLarge,
    BundleError,
    ConfigurationError,
    GreenroomError,
    HookCancelled,
    IntegrityError,
    InvalidOperation,
    InvalidSessionState,
    InvalidStateTransition,
    OperationTimeout,
    RateLimited,
    ReplayError,
    ResourceLimitExceeded,
    RuntimeClosed,
    SchemaTooNew,
    ScriptError,
    ScriptMemoryExceeded,
    ScriptTimeout,
    SessionAlreadyExists,
    SessionNotFound,
    StorageError,
    StorageFull,
    StoreLocked,
    ValidationError,
)
from greenroom.storage.journal import Event

from . import messages
from .config import RuntimeConfig, SessionConfig
from .runtime import Runtime
from .scope import Scope
from .scripts import ScriptEngine, ScriptRequest, ScriptResult
from .session import Session, SessionTree
from .verify import Problem, VerifyReport

__version__ = "0.1.0"

__all__ = [
    "AccessDenied",
    "Artifact",
    "ArtifactId",
    "ArtifactInfo",
    "ArtifactNotFound",
    "ArtifactTooLarge",
    "BundleError",
    "ConfigurationError",
    "Durability",
    "Event",
    "GreenroomError",
    "HookCancelled",
    "IntegrityError",
    "InvalidOperation",
    "InvalidSessionState",
    "InvalidStateTransition",
    "Message",
    "OperationTimeout",
    "Page",
    "Problem",
    "RateLimited",
    "ReplayError",
    "ResourceLimitExceeded",
    "Runtime",
    "RuntimeClosed",
    "RuntimeConfig",
    "SchemaTooNew",
    "Scope",
    "ScriptEngine",
    "ScriptError",
    "ScriptMemoryExceeded",
    "ScriptRequest",
    "ScriptResult",
    "ScriptTimeout",
    "Session",
    "SessionAlreadyExists",
    "SessionConfig",
    "SessionInfo",
    "SessionNotFound",
    "SessionStatus",
    "SessionTree",
    "StorageError",
    "StorageFull",
    "StoreLocked",
    "ValidationError",
    "VerifyReport",
    "messages",
]
