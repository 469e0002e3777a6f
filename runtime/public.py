"""The public names of `greenroom.runtime`. The package imports this module when somebody first asks for one of them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from .version import __version__

if TYPE_CHECKING:
    from greenroom.actors.events import Overflow, Subscription
    from greenroom.actors.hooks import HookContext, HookHandle, HookInfo, HookResult
    from greenroom.actors.maintenance.backup import BackupReport
    from greenroom.actors.maintenance.gc import GcReport
    from greenroom.actors.maintenance.salvage import SalvageReport
    from greenroom.actors.maintenance.usage import Share, Usage
    from greenroom.actors.maintenance.verification.findings import Problem, VerifyReport
    from greenroom.actors.messages.approvals import Approval
    from greenroom.actors.messages.conversation import Turn as Message
    from greenroom.actors.messages.internal import Consumption
    from greenroom.actors.messages.permissions import Grant, ScopeGrant, SessionShare
    from greenroom.actors.policies.composition import Request as PolicyRequest
    from greenroom.actors.transfer.bundle_export import ExportReport
    from greenroom.runtime.calls.collectors import AgentOutputCollector, ToolResultCollector
    from greenroom.runtime.calls.work import CallContext
    from greenroom.runtime.config.config import RuntimeConfig, SessionConfig
    from greenroom.runtime.config.policies import PolicyConfig, RatePolicy, ResourcePolicy, TimeoutPolicy
    from greenroom.runtime.config.retention import RetentionPolicy, RetentionSchedule
    from greenroom.runtime.events.events import Events, Link
    from greenroom.runtime.handles.artifact_writer import ArtifactWriter
    from greenroom.runtime.handles.conversation import MessageStream
    from greenroom.runtime.handles.debugging.compare import CallCounts, ComparedSide, Comparison, Segment
    from greenroom.runtime.handles.debugging.debugger import Debugger
    from greenroom.runtime.handles.debugging.diff import StateDiff
    from greenroom.runtime.handles.debugging.errors import ErrorAnalysis, SessionError
    from greenroom.runtime.handles.debugging.values import StateChange
    from greenroom.runtime.handles.debugging.view import ContextChange, ContextView
    from greenroom.runtime.handles.debugging.whatif import WhatIf
    from greenroom.runtime.handles.reading.past import PastRecord, PastState
    from greenroom.runtime.handles.reading.timeline import TimelineRow
    from greenroom.runtime.handles.records import Records
    from greenroom.runtime.handles.scope import Scope
    from greenroom.runtime.handles.session import Session, SessionBatch, SessionTree
    from greenroom.runtime.handles.templates import Template
    from greenroom.runtime.installed.definition import InstalledScript, ScriptStatus
    from greenroom.runtime.installed.installed import InstalledScripts
    from greenroom.runtime.model.many import DeletedArtifacts, ManyArtifacts
    from greenroom.runtime.model.script import ScriptDifference, ScriptReplay, ScriptResult
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
    from greenroom.runtime.state.migration import (
        MigratedValue,
        Migration,
        MigrationRun,
        MigrationStatus,
        SchemaStatus,
        ValueVersion,
    )
    from greenroom.runtime.state.places import PlaceFailure
    from greenroom.runtime.state.schema import Schema
    from greenroom.runtime.state.schemas import Schemas
    from greenroom.storage.artifacts.model import Artifact, ArtifactId, ArtifactInfo
    from greenroom.storage.artifacts.query import ArtifactQuery
    from greenroom.storage.audit import AuditRecord
    from greenroom.storage.catalog.model import SessionInfo, SessionStatus
    from greenroom.storage.catalog.query import SessionQuery
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
    from .approvals import Approvals
    from .runtime import Runtime
    from .tools import Tool, ToolResult
    from .workflow import Branch, Step, StepResult, Workflow, WorkflowResult

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

_HOMES: Final = {
    "greenroom.actors.events": "Overflow Subscription",
    "greenroom.actors.hooks": "HookContext HookHandle HookInfo HookResult",
    "greenroom.actors.maintenance.backup": "BackupReport",
    "greenroom.actors.maintenance.gc": "GcReport",
    "greenroom.actors.maintenance.salvage": "SalvageReport",
    "greenroom.actors.maintenance.usage": "Share Usage",
    "greenroom.actors.maintenance.verification.findings": "Problem VerifyReport",
    "greenroom.actors.messages.approvals": "Approval",
    "greenroom.actors.messages.conversation": "Message",
    "greenroom.actors.messages.internal": "Consumption",
    "greenroom.actors.messages.permissions": "Grant ScopeGrant SessionShare",
    "greenroom.actors.policies.composition": "PolicyRequest",
    "greenroom.actors.transfer.bundle_export": "ExportReport",
    "greenroom.runtime.calls.collectors": "AgentOutputCollector ToolResultCollector",
    "greenroom.runtime.calls.work": "CallContext",
    "greenroom.runtime.config.config": "RuntimeConfig SessionConfig",
    "greenroom.runtime.config.policies": "PolicyConfig RatePolicy ResourcePolicy TimeoutPolicy",
    "greenroom.runtime.config.retention": "RetentionPolicy RetentionSchedule",
    "greenroom.runtime.events.events": "Events Link",
    "greenroom.runtime.handles.artifact_writer": "ArtifactWriter",
    "greenroom.runtime.handles.conversation": "MessageStream",
    "greenroom.runtime.handles.debugging.compare": "CallCounts ComparedSide Comparison Segment",
    "greenroom.runtime.handles.debugging.debugger": "Debugger",
    "greenroom.runtime.handles.debugging.diff": "StateDiff",
    "greenroom.runtime.handles.debugging.errors": "ErrorAnalysis SessionError",
    "greenroom.runtime.handles.debugging.values": "StateChange",
    "greenroom.runtime.handles.debugging.view": "ContextChange ContextView",
    "greenroom.runtime.handles.debugging.whatif": "WhatIf",
    "greenroom.runtime.handles.reading.past": "PastRecord PastState",
    "greenroom.runtime.handles.reading.timeline": "TimelineRow",
    "greenroom.runtime.handles.records": "Records",
    "greenroom.runtime.handles.scope": "Scope",
    "greenroom.runtime.handles.session": "Session SessionBatch SessionTree",
    "greenroom.runtime.handles.templates": "Template",
    "greenroom.runtime.installed.definition": "InstalledScript ScriptStatus",
    "greenroom.runtime.installed.installed": "InstalledScripts",
    "greenroom.runtime.model.many": "DeletedArtifacts ManyArtifacts",
    "greenroom.runtime.model.script": "ScriptDifference ScriptReplay ScriptResult",
    "greenroom.runtime.recording.boundaries.tools": "tool",
    "greenroom.runtime.recording.scopes": "Replaying",
    "greenroom.runtime.recording.tape.report": "Drift ReplayReport",
    "greenroom.runtime.replay.config": "Modification ReplayConfig",
    "greenroom.runtime.replay.controls.breakpoints": "Breakpoint Breakpoints PlacedBreakpoint",
    "greenroom.runtime.replay.controls.progress": "ReplayProgress",
    "greenroom.runtime.replay.controls.replay": "Replay",
    "greenroom.runtime.replay.controls.replays": "Replays",
    "greenroom.runtime.replay.controls.runner": "ReplayPause ReplayStatus",
    "greenroom.runtime.replay.controls.schedule": "ReplaySchedule ScheduledReplay",
    "greenroom.runtime.replay.queries": "HookExecution HookQuery ReplayMetadata",
    "greenroom.runtime.replay.result": (
        "Difference Divergence DriftedAnswer EventComparison ReplayFault ReplayResult SnapshotCheck"
    ),
    "greenroom.runtime.retention.erasure": "ErasureReport",
    "greenroom.runtime.retention.policy": "JournalCut Removal RetentionReport",
    "greenroom.runtime.retention.quotas": "CreatorQuota Quotas",
    "greenroom.runtime.retention.schedule": "RetentionRun",
    "greenroom.runtime.scripts.scripts": "ScriptEngine ScriptRequest",
    "greenroom.runtime.scripts.stream": "ScriptStream",
    "greenroom.runtime.state.backups": (
        "BackupsRemoved BackupUsage BackupValidation StateBackup StateBackups StateRestored"
    ),
    "greenroom.runtime.state.migration": (
        "MigratedValue Migration MigrationRun MigrationStatus SchemaStatus ValueVersion"
    ),
    "greenroom.runtime.state.places": "PlaceFailure",
    "greenroom.runtime.state.schema": "Schema",
    "greenroom.runtime.state.schemas": "Schemas",
    "greenroom.storage.artifacts.model": "Artifact ArtifactId ArtifactInfo",
    "greenroom.storage.artifacts.query": "ArtifactQuery",
    "greenroom.storage.audit": "AuditRecord",
    "greenroom.storage.catalog.model": "SessionInfo SessionStatus",
    "greenroom.storage.catalog.query": "SessionQuery",
    "greenroom.storage.codec.records": "Value",
    "greenroom.storage.common.durability": "Durability",
    "greenroom.storage.common.logs": "logger_of",
    "greenroom.storage.common.page": "Page",
    "greenroom.storage.errors": (
        "AccessDenied ArtifactNotFound ArtifactTooLarge BundleError CallFailed ConfigurationError Conflict "
        "GreenroomError HookCancelled IntegrityError InvalidOperation InvalidSessionState "
        "InvalidStateTransition OperationTimeout RateLimited ReplayError ResourceLimitExceeded RuntimeClosed "
        "SchemaTooNew ScriptError ScriptMemoryExceeded ScriptTimeout SessionAlreadyExists SessionNotFound "
        "StorageError StorageFull StoreLocked ValidationError VariableNotFound"
    ),
    "greenroom.storage.events.model": "Event Origin",
    "greenroom.storage.search.model": "SearchHit",
    ".agents": "Agent AgentContext AgentReply TokenUsage",
    ".analytics": (
        "Activity AggregateMetrics Analytics CallMetrics CallTable Checkpoints Distribution Figures Ranked "
        "ResourceUse SessionMetrics"
    ),
    ".approvals": "Approvals",
    ".runtime": "Runtime",
    ".tools": "Tool ToolResult",
    ".workflow": "Branch Step StepResult Workflow WorkflowResult",
}
"""The modules of the names: one is imported when somebody first asks for one of its names."""
_THERE: Final = {"Message": "Turn", "PolicyRequest": "Request", "Value": "Json"}
"""What has another name where it is."""
_MODULES: Final = ("hooks", "messages")
_HOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value = import_module(f".{name}", __package__)
    elif name in _HOME_OF:
        value = getattr(import_module(_HOME_OF[name], __package__), _THERE.get(name, name))
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value
