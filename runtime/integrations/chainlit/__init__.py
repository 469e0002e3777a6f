"""The data layer of Chainlit in a greenroom store: users, threads, steps, elements and feedback.

Example:
    ```py
    import chainlit as cl
    from greenroom.runtime.integrations.chainlit import GreenroomDataLayer, serve_elements

    layer = GreenroomDataLayer("data")
    serve_elements(layer)
    cl.data_layer(lambda: layer)
    ```
"""

from __future__ import annotations

try:
    import chainlit as chainlit_package  # noqa: F401
except ImportError as error:
    raise ImportError("Chainlit is needed: pip install greenroom[chainlit]") from error

from .layer import GreenroomDataLayer
from .serving import serve_elements

__all__ = ["GreenroomDataLayer", "serve_elements"]
