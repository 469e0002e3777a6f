"""Workflows call tools and agents in an order and pass the outputs of steps on to later steps."""

from __future__ import annotations

from greenroom.runtime.model.workflow import Condition, Step, StepResult, Workflow, WorkflowResult

from .run import Workflows

__all__ = ["Condition", "Step", "StepResult", "Workflow", "WorkflowResult", "Workflows"]
