"""greenroom behind the Model Context Protocol: `server(runtime)` shows sessions to any MCP client, and
`GreenroomEventStore` keeps the events of resumable HTTP streams.

Example:
    ```py
    from greenroom.runtime.integrations.mcp import server

    server("data").run()  # over stdin and stdout; the same as `greenroom --data data mcp`
    ```
"""

try:
    import mcp as _framework
except ImportError as error:  # pragma: no cover
    raise ImportError("greenroom.runtime.integrations.mcp needs mcp: pip install 'greenroom[mcp]'") from error

from .http import http_app, serve_http
from .server import GreenroomServer, server
from .streams import GreenroomEventStore

__all__ = ["GreenroomEventStore", "GreenroomServer", "http_app", "serve_http", "server"]

del _framework
