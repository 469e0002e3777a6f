"""Keep a replay offline: connections that no boundary knows of are refused, not made."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from greenroom.runtime.recording.tape import sites
from greenroom.runtime.recording.tape.report import Drift, Tally
from greenroom.storage.errors import ReplayError

__all__ = ["refuse_connections"]


def refuse_connections(report: Callable[[], Tally]) -> None:
    """Have this process connect to no other machine from now on, and report each attempt once.

    Connections within the machine are made: programs talk with servers of their own. A library that connects without
    Python's sockets, as some written in C do, is not seen.
    """
    told: set[str] = set()

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect" and _leaves(arguments[1]):
            place = sites.place()
            host, port = arguments[1][:2]
            peer = f"{host}:{port}"
            if peer not in told:
                told.add(peer)
                report().tell(Drift("network", peer, place, 0, "missing", "a connection that no recording holds"))
            raise ReplayError(
                f"the program connects to {peer} at {place or 'an unknown place'}, which no recording holds, and a"
                " replay calls nobody. Connect in a function marked with @tool, and record anew",
                kind="network",
                name=peer,
                place=place,
            )

    sys.addaudithook(hook)


def _leaves(address: Any) -> bool:
    """Return whether an address is on another machine."""
    if not isinstance(address, tuple) or len(address) < 2 or not isinstance(address[0], str):
        return False
    import ipaddress

    host = address[0].partition("%")[0]
    if host in ("", "localhost"):
        return False
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, which is looked up yet
        return True
