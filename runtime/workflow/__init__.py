"""Workflows call tools and agents in an order and pass the outputs of steps on to later steps."""

from __future__ import annotations

from greenroom.runtime.model.workflow import Branch, Condition, Step, Workflow
from greenroom.runtime.model.workflow_result import StepResult, WorkflowResult

from .run import Workflows

__all__ = ["Branch", "Condition", "Step", "StepResult", "Workflow", "WorkflowResult", "Workflows"]
