"""The public names of `greenroom.runtime`. The package imports this module when somebody first asks for one of them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors.events import Overflow, Subscription
from greenroom.actors.hooks import HookContext, HookHandle, HookInfo, HookResult
from greenroom.actors.messages.approvals import Approval
from greenroom.actors.messages.conversation import Turn as Message
from greenroom.actors.messages.internal import Consumption
from greenroom.actors.messages.permissions import Grant, ScopeGrant, SessionShare
from greenroom.actors.policies.composition import Request as PolicyRequest
from greenroom.runtime.calls.collectors import AgentOutputCollector, ToolResultCollector
from greenroom.runtime.calls.work import CallContext
from greenroom.runtime.events.events import Events, Link
from greenroom.runtime.handles.artifact_writer import ArtifactWriter
from greenroom.runtime.handles.conversation import MessageStream
from greenroom.runtime.handles.reading.past import PastRecord, PastState
from greenroom.runtime.handles.reading.timeline import TimelineRow
from greenroom.runtime.handles.records import Records
from greenroom.runtime.handles.scope import Scope
from greenroom.runtime.handles.session import Session, SessionBatch, SessionTree
from greenroom.runtime.handles.templates import Template
from greenroom.runtime.model.many import DeletedArtifacts, ManyArtifacts
from greenroom.runtime.model.script import ScriptDifference, ScriptReplay, ScriptResult
from greenroom.runtime.retention.quotas import CreatorQuota, Quotas
from greenroom.runtime.retention.schedule import RetentionRun
from greenroom.runtime.scripts.scripts import ScriptEngine, ScriptRequest
from greenroom.runtime.scripts.stream import ScriptStream
from greenroom.runtime.state.backups import (
    BackupsRemoved,
    BackupUsage,
    BackupValidation,
    StateBackup,
    StateBackups,
    StateRestored,
)
from greenroom.runtime.state.places import PlaceFailure
from greenroom.runtime.state.schema import Schema
from greenroom.runtime.state.schemas import Schemas
from greenroom.storage.artifacts.model import Artifact, ArtifactId, ArtifactInfo
from greenroom.storage.audit import AuditRecord
from greenroom.storage.catalog.model import SessionInfo, SessionStatus
from greenroom.storage.codec.records import Json as Value
from greenroom.storage.common.durability import Durability
from greenroom.storage.common.logs import logger_of
from greenroom.storage.common.page import Page
from greenroom.storage.errors import (
    AccessDenied,
    ArtifactNotFound,
    ArtifactTooLarge,
    BundleError,
    CallFailed,
    ConfigurationError,
    Conflict,
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
    VariableNotFound,
)
from greenroom.storage.events.model import Event, Origin
from greenroom.storage.search.model import SearchHit

from . import messages
from .agents import Agent, AgentContext, AgentReply, TokenUsage
from .approvals import Approvals
from .runtime import Runtime
from .tools import Tool, ToolResult
from .version import __version__
from .workflow import Branch, Step, StepResult, Workflow, WorkflowResult

if TYPE_CHECKING:
    from greenroom.actors.maintenance.backup import BackupReport
    from greenroom.actors.maintenance.gc import GcReport
    from greenroom.actors.maintenance.salvage import SalvageReport
    from greenroom.actors.maintenance.usage import Share, Usage
    from greenroom.actors.maintenance.verification.findings import Problem, VerifyReport
    from greenroom.actors.transfer.bundle_export import ExportReport
    from greenroom.runtime.config.config import RuntimeConfig, SessionConfig
    from greenroom.runtime.config.policies import PolicyConfig, RatePolicy, ResourcePolicy, TimeoutPolicy
    from greenroom.runtime.config.retention import RetentionPolicy, RetentionSchedule
    from greenroom.runtime.handles.debugging.compare import CallCounts, ComparedSide, Comparison, Segment
    from greenroom.runtime.handles.debugging.debugger import Debugger
    from greenroom.runtime.handles.debugging.diff import StateDiff
    from greenroom.runtime.handles.debugging.errors import ErrorAnalysis, SessionError
    from greenroom.runtime.handles.debugging.values import StateChange
    from greenroom.runtime.handles.debugging.view import ContextChange, ContextView
    from greenroom.runtime.handles.debugging.whatif import WhatIf
    from greenroom.runtime.installed.definition import InstalledScript, ScriptStatus
    from greenroom.runtime.installed.installed import InstalledScripts
    from greenroom.runtime.recording.boundaries.tools import tool
    from greenroom.runtime.recording.scopes import Replaying
    from greenroom.runtime.recording.tape.report import Drift, ReplayReport
    from greenroom.runtime.replay.config import Modification, ReplayConfig
    from greenroom.runtime.replay.controls.breakpoints import Breakpoint, Breakpoints, PlacedBreakpoint
    from greenroom.runtime.replay.controls.progress import ReplayProgress
    from greenroom.runtime.replay.controls.replay import Replay
    from greenroom.runtime.replay.controls.replays import Replays
    from greenroom.runtime.replay.controls.runner import ReplayPause, ReplayStatus
    from greenroom.runtime.replay.controls.schedule import ReplaySchedule, ScheduledReplay
    from greenroom.runtime.replay.queries import HookExecution, HookQuery, ReplayMetadata
    from greenroom.runtime.replay.result import (
        Difference,
        Divergence,
        DriftedAnswer,
        EventComparison,
        ReplayFault,
        ReplayResult,
        SnapshotCheck,
    )
    from greenroom.runtime.retention.erasure import ErasureReport
    from greenroom.runtime.retention.policy import JournalCut, Removal, RetentionReport
    from greenroom.runtime.state.migration import (
        MigratedValue,
        Migration,
        MigrationRun,
        MigrationStatus,
        SchemaStatus,
        ValueVersion,
    )
    from greenroom.storage.artifacts.query import ArtifactQuery
    from greenroom.storage.catalog.query import SessionQuery

    from . import hooks
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

__all__ = [
    "AccessDenied",
    "Activity",
    "Agent",
    "AgentContext",
    "AgentOutputCollector",
    "AgentReply",
    "AggregateMetrics",
    "Analytics",
    "Approval",
    "Approvals",
    "Artifact",
    "ArtifactId",
    "ArtifactInfo",
    "ArtifactNotFound",
    "ArtifactQuery",
    "ArtifactTooLarge",
    "ArtifactWriter",
    "AuditRecord",
    "BackupReport",
    "BackupUsage",
    "BackupValidation",
    "BackupsRemoved",
    "Branch",
    "Breakpoint",
    "Breakpoints",
    "BundleError",
    "CallContext",
    "CallCounts",
    "CallFailed",
    "CallMetrics",
    "CallTable",
    "Checkpoints",
    "ComparedSide",
    "Comparison",
    "ConfigurationError",
    "Conflict",
    "Consumption",
    "ContextChange",
    "ContextView",
    "CreatorQuota",
    "Debugger",
    "DeletedArtifacts",
    "Difference",
    "Distribution",
    "Divergence",
    "Drift",
    "DriftedAnswer",
    "Durability",
    "ErasureReport",
    "ErrorAnalysis",
    "Event",
    "EventComparison",
    "Events",
    "ExportReport",
    "Figures",
    "GcReport",
    "Grant",
    "GreenroomError",
    "HookCancelled",
    "HookContext",
    "HookExecution",
    "HookHandle",
    "HookInfo",
    "HookQuery",
    "HookResult",
    "InstalledScript",
    "InstalledScripts",
    "IntegrityError",
    "InvalidOperation",
    "InvalidSessionState",
    "InvalidStateTransition",
    "JournalCut",
    "Link",
    "ManyArtifacts",
    "Message",
    "MessageStream",
    "MigratedValue",
    "Migration",
    "MigrationRun",
    "MigrationStatus",
    "Modification",
    "OperationTimeout",
    "Origin",
    "Overflow",
    "Page",
    "PastRecord",
    "PastState",
    "PlaceFailure",
    "PlacedBreakpoint",
    "PolicyConfig",
    "PolicyRequest",
    "Problem",
    "Quotas",
    "Ranked",
    "RateLimited",
    "RatePolicy",
    "Records",
    "Removal",
    "Replay",
    "ReplayConfig",
    "ReplayError",
    "ReplayFault",
    "ReplayMetadata",
    "ReplayPause",
    "ReplayProgress",
    "ReplayReport",
    "ReplayResult",
    "ReplaySchedule",
    "ReplayStatus",
    "Replaying",
    "Replays",
    "ResourceLimitExceeded",
    "ResourcePolicy",
    "ResourceUse",
    "RetentionPolicy",
    "RetentionReport",
    "RetentionRun",
    "RetentionSchedule",
    "Runtime",
    "RuntimeClosed",
    "RuntimeConfig",
    "SalvageReport",
    "ScheduledReplay",
    "Schema",
    "SchemaStatus",
    "SchemaTooNew",
    "Schemas",
    "Scope",
    "ScopeGrant",
    "ScriptDifference",
    "ScriptEngine",
    "ScriptError",
    "ScriptMemoryExceeded",
    "ScriptReplay",
    "ScriptRequest",
    "ScriptResult",
    "ScriptStatus",
    "ScriptStream",
    "ScriptTimeout",
    "SearchHit",
    "Segment",
    "Session",
    "SessionAlreadyExists",
    "SessionBatch",
    "SessionConfig",
    "SessionError",
    "SessionInfo",
    "SessionMetrics",
    "SessionNotFound",
    "SessionQuery",
    "SessionShare",
    "SessionStatus",
    "SessionTree",
    "Share",
    "SnapshotCheck",
    "StateBackup",
    "StateBackups",
    "StateChange",
    "StateDiff",
    "StateRestored",
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
    "Value",
    "ValueVersion",
    "VariableNotFound",
    "VerifyReport",
    "WhatIf",
    "Workflow",
    "WorkflowResult",
    "__version__",
    "hooks",
    "logger_of",
    "messages",
    "tool",
]

_RARE: Final = {
    "greenroom.actors.maintenance.usage": ("Share", "Usage"),
    "greenroom.runtime.state.migration": (
        "MigratedValue",
        "Migration",
        "MigrationRun",
        "MigrationStatus",
        "SchemaStatus",
        "ValueVersion",
    ),
    "greenroom.storage.catalog.query": ("SessionQuery",),
    "greenroom.storage.artifacts.query": ("ArtifactQuery",),
    "greenroom.runtime.config.retention": ("RetentionPolicy", "RetentionSchedule"),
    "greenroom.runtime.config.policies": ("PolicyConfig", "RatePolicy", "ResourcePolicy", "TimeoutPolicy"),
    "greenroom.runtime.config.config": ("RuntimeConfig", "SessionConfig"),
    "greenroom.actors.maintenance.backup": ("BackupReport",),
    "greenroom.actors.maintenance.gc": ("GcReport",),
    "greenroom.actors.maintenance.salvage": ("SalvageReport",),
    "greenroom.actors.maintenance.verification.findings": ("Problem", "VerifyReport"),
    "greenroom.actors.transfer.bundle_export": ("ExportReport",),
    "greenroom.runtime.handles.debugging.compare": ("CallCounts", "ComparedSide", "Comparison", "Segment"),
    "greenroom.runtime.handles.debugging.view": ("ContextChange", "ContextView"),
    "greenroom.runtime.handles.debugging.debugger": ("Debugger",),
    "greenroom.runtime.handles.debugging.diff": ("StateDiff",),
    "greenroom.runtime.handles.debugging.errors": ("ErrorAnalysis", "SessionError"),
    "greenroom.runtime.handles.debugging.values": ("StateChange",),
    "greenroom.runtime.handles.debugging.whatif": ("WhatIf",),
    "greenroom.runtime.installed.definition": ("InstalledScript", "ScriptStatus"),
    "greenroom.runtime.installed.installed": ("InstalledScripts",),
    "greenroom.runtime.replay.config": ("Modification", "ReplayConfig"),
    "greenroom.runtime.recording.boundaries.tools": ("tool",),
    "greenroom.runtime.recording.scopes": ("Replaying",),
    "greenroom.runtime.recording.tape.report": ("Drift", "ReplayReport"),
    "greenroom.runtime.replay.queries": ("HookExecution", "HookQuery", "ReplayMetadata"),
    "greenroom.runtime.replay.result": (
        "Difference",
        "Divergence",
        "DriftedAnswer",
        "EventComparison",
        "ReplayFault",
        "ReplayResult",
        "SnapshotCheck",
    ),
    "greenroom.runtime.replay.controls.breakpoints": ("Breakpoint", "Breakpoints", "PlacedBreakpoint"),
    "greenroom.runtime.replay.controls.progress": ("ReplayProgress",),
    "greenroom.runtime.replay.controls.replay": ("Replay",),
    "greenroom.runtime.replay.controls.replays": ("Replays",),
    "greenroom.runtime.replay.controls.runner": ("ReplayPause", "ReplayStatus"),
    "greenroom.runtime.replay.controls.schedule": ("ReplaySchedule", "ScheduledReplay"),
    "greenroom.runtime.retention.erasure": ("ErasureReport",),
    "greenroom.runtime.retention.policy": ("JournalCut", "Removal", "RetentionReport"),
    ".analytics": (
        "Activity",
        "AggregateMetrics",
        "Analytics",
        "CallMetrics",
        "CallTable",
        "Checkpoints",
        "Distribution",
        "Figures",
        "Ranked",
        "ResourceUse",
        "SessionMetrics",
    ),
}
"""The names whose modules most hosts never need, by module: it is imported when somebody asks for one of them."""
_HOMES: Final = {name: home for home, names in _RARE.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "hooks":
        value = globals()[name] = import_module(".hooks", __package__)
        return value
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name], __package__), name)
    return value
