"""Understands what was recorded: calls of models, what they cost, and the conversation that they are."""

from .decode import model_call
from .model import ModelCall, ModelError, Usage
from .parts import ToolCall, ToolResult
from .prices import Price, Prices

__all__ = ["ModelCall", "ModelError", "Price", "Prices", "ToolCall", "ToolResult", "Usage", "model_call"]
