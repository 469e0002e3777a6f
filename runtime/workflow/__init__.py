"""Workflows: tools and agents called in an order, with the outputs of some as the inputs of others."""

from __future__ import annotations

from greenroom.runtime.model.workflow import Condition, Step, StepResult, Workflow, WorkflowResult

from .run import Workflows

__all__ = ["Condition", "Step", "StepResult", "Workflow", "WorkflowResult", "Workflows"]
