"""Workflows: tools and agents called in an order, with the outputs of some as the inputs of others."""

from __future__ import annotations

from .model import Condition, Step, StepResult, Workflow, WorkflowResult
from .run import run_workflow

__all__ = ["Condition", "Step", "StepResult", "Workflow", "WorkflowResult", "run_workflow"]
