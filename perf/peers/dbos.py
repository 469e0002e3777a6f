"""DBOS on SQLite with a log (WAL). A step is one of many within a workflow.

A process has one DBOS, so both levels share it: whoever takes a connection sets the level.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import sqlalchemy
from dbos import DBOS
from measure import Many

from peers import side as s
from peers.by_hand import SQLITE_LEVELS

REQUIRES: Final = "dbos"
_level: list[s.Level] = ["process"]


def sides(folder: Path, level: s.Level) -> s.Side:
    global _workflow
    if _workflow is None:
        folder.mkdir()
        _workflow = _launched(folder)
    workflow = _workflow

    def run(times: int) -> None:
        _level[0] = level
        workflow(times)

    return s.Side("DBOS", {s.STEP: Many(run)}, close=_destroy)


_workflow: Any = None


def _launched(folder: Path) -> Any:
    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", _connected)
    sqlalchemy.event.listen(sqlalchemy.pool.Pool, "checkout", _taken)
    path = f"sqlite:///{folder / 'dbos.db'}"
    DBOS(config={"name": "peer", "system_database_url": path, "run_admin_server": False, "log_level": "ERROR"})

    @DBOS.step()
    def step(number: int) -> dict[str, int]:
        return {"n": number}

    @DBOS.workflow()
    def workflow(times: int) -> int:
        for number in range(times):
            step(number)
        return times

    DBOS.launch()
    return workflow


def _connected(connection: Any, _: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")


def _taken(connection: Any, *_: object) -> None:
    connection.execute(f"PRAGMA synchronous={SQLITE_LEVELS[_level[0]]}")


def _destroy() -> None:
    global _workflow
    if _workflow is not None:
        _workflow = None
        sqlalchemy.event.remove(sqlalchemy.Engine, "connect", _connected)
        sqlalchemy.event.remove(sqlalchemy.pool.Pool, "checkout", _taken)
        DBOS.destroy()
