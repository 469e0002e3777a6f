"""What a host embeds: the runtime, its sessions, their messages and errors."""

from __future__ import annotations

from greenroom.actors.conversation import Turn as Message
from greenroom.actors.events import Overflow, Subscription
from greenroom.actors.grants import Grant
from greenroom.actors.hooks import HookContext, HookHandle, HookInfo, HookResult
from greenroom.actors.policies.composition import Request as PolicyRequest
from greenroom.actors.policies.resources import Consumption
from greenroom.storage.artifact_query import ArtifactQuery
from greenroom.storage.artifacts import Artifact, ArtifactId, ArtifactInfo
from greenroom.storage.audit import AuditRecord
from greenroom.storage.catalog import Page, SessionInfo, SessionStatus
from greenroom.storage.engine import Durability
from greenroom.storage.errors import (
    AccessDenied,
    ArtifactNotFound,
    ArtifactTooLarge,
    BundleError,
    CallFailed,
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

from . import hooks, messages
from .agents import Agent, AgentContext, AgentReply, TokenUsage
from .analytics import (
    Activity,
    AggregateMetrics,
    Analytics,
    CallMetrics,
    CallTable,
    Checkpoints,
    Distribution,
    Figures,
    Ranked,
    ResourceUse,
    SessionMetrics,
)
from .bundles import BackupReport, ExportReport
from .calls import CallContext
from .collectors import AgentOutputCollector, ToolResultCollector
from .config import RuntimeConfig, SessionConfig
from .events import Events, Link
from .findings import Problem, VerifyReport
from .gc import GcReport
from .policy_config import PolicyConfig, RatePolicy, ResourcePolicy, TimeoutPolicy
from .retention import JournalCut, Removal, RetentionPolicy, RetentionReport
from .runtime import Runtime
from .salvage import SalvageReport
from .scope import Scope
from .scripts import ScriptEngine, ScriptRequest, ScriptResult
from .session import Session, SessionTree
from .session_artifacts import ManyArtifacts
from .templates import Template
from .timeline import TimelineRow
from .tools import Tool, ToolResult
from .usage import Share, Usage
from .workflow import Step, StepResult, Workflow, WorkflowResult

__version__ = "0.1.0"

__all__ = [
    "AccessDenied",
    "Activity",
    "Agent",
    "AgentContext",
    "AgentOutputCollector",
    "AgentReply",
    "AggregateMetrics",
    "Analytics",
    "Artifact",
    "ArtifactId",
    "ArtifactInfo",
    "ArtifactNotFound",
    "ArtifactQuery",
    "ArtifactTooLarge",
    "AuditRecord",
    "BackupReport",
    "BundleError",
    "CallContext",
    "CallFailed",
    "CallMetrics",
    "CallTable",
    "Checkpoints",
    "ConfigurationError",
    "Consumption",
    "Distribution",
    "Durability",
    "Event",
    "Events",
    "ExportReport",
    "Figures",
    "GcReport",
    "Grant",
    "GreenroomError",
    "HookCancelled",
    "HookContext",
    "HookHandle",
    "HookInfo",
    "HookResult",
    "IntegrityError",
    "InvalidOperation",
    "InvalidSessionState",
    "InvalidStateTransition",
    "JournalCut",
    "Link",
    "ManyArtifacts",
    "Message",
    "OperationTimeout",
    "Overflow",
    "Page",
    "PolicyConfig",
    "PolicyRequest",
    "Problem",
    "Ranked",
    "RateLimited",
    "RatePolicy",
    "Removal",
    "ReplayError",
    "ResourceLimitExceeded",
    "ResourcePolicy",
    "ResourceUse",
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
    "SessionMetrics",
    "SessionNotFound",
    "SessionStatus",
    "SessionTree",
    "Share",
    "Step",
    "StepResult",
    "StorageError",
    "StorageFull",
    "StoreLocked",
    "Subscription",
    "Template",
    "TimelineRow",
    "TimeoutPolicy",
    "TokenUsage",
    "Tool",
    "ToolResult",
    "ToolResultCollector",
    "Usage",
    "ValidationError",
    "VerifyReport",
    "Workflow",
    "WorkflowResult",
    "hooks",
    "messages",
]
