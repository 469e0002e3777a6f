"""What may be asked of a session about its limits."""

from __future__ import annotations

from .. import messages as m

__all__ = ["GetConsumption"]


class GetConsumption(m.Query):
    """Replies, by the name of a resource, how much of it the session has used and may use: a dict of Consumption."""

    __slots__ = ()
