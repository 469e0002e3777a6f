"""What a host embeds: the runtime, its sessions, their messages and errors."""

from __future__ import annotations

from greenroom.actors.conversation import Turn as Message
from greenroom.storage.artifact_query import ArtifactQuery
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
from .bundles import BackupReport, ExportReport
from .config import RuntimeConfig, SessionConfig
from .gc import GcReport
from .retention import Removal, RetentionPolicy, RetentionReport
from .runtime import Runtime
from .salvage import SalvageReport
from .scope import Scope
from .scripts import ScriptEngine, ScriptRequest, ScriptResult
from .session import ManyArtifacts, Session, SessionTree
from .templates import Template
from .usage import Share, Usage
from .verify import Problem, VerifyReport

__version__ = "0.1.0"

__all__ = [
    "AccessDenied",
    "Artifact",
    "ArtifactId",
    "ArtifactInfo",
    "ArtifactNotFound",
    "ArtifactQuery",
    "ArtifactTooLarge",
    "BackupReport",
    "BundleError",
    "ConfigurationError",
    "Durability",
    "Event",
    "ExportReport",
    "GcReport",
    "GreenroomError",
    "HookCancelled",
    "IntegrityError",
    "InvalidOperation",
    "InvalidSessionState",
    "InvalidStateTransition",
    "ManyArtifacts",
    "Message",
    "OperationTimeout",
    "Page",
    "Problem",
    "RateLimited",
    "Removal",
    "ReplayError",
    "ResourceLimitExceeded",
    "RetentionPolicy",
    "RetentionReport",
    "Runtime",
    "RuntimeClosed",
    "RuntimeConfig",
    "SalvageReport",
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
    "Share",
    "StorageError",
    "StorageFull",
    "StoreLocked",
    "Template",
    "Usage",
    "ValidationError",
    "VerifyReport",
    "messages",
]
