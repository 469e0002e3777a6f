from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import Runtime


@pytest.fixture
def session(tmp_path: Path) -> str:
    """The id of a session with a child, in the store that commands use by default."""
    with Runtime.open(tmp_path / "greenroom-data") as runtime:
        root = runtime.create_session(name="root")
        root.store_artifact("t", "a", "content")
        runtime.create_session(name="child", parent=root)
        return root.id


def test_a_session_travels_from_store_to_store(greenroom: Any, session: str) -> None:
    said = greenroom("sessions", "export", session[:8], "s.bundle", "--tree")
    assert "sessions" in said.stdout
    greenroom("--data", "other", "sessions", "import", "s.bundle")
    listed = greenroom.json("--data", "other", "sessions", "list")
    assert sorted(row["name"] for row in listed) == ["child", "root"]
    assert session in [row["id"] for row in listed]
    assert greenroom("--data", "other", "artifacts", "get", session, "a").stdout == "content"


def test_new_ids_stand_beside_the_old_ones(greenroom: Any, session: str) -> None:
    report = greenroom.json("sessions", "export", session, "s.bundle", "--no-history")
    assert report["sessions"] == 1
    assert "there is a session" in greenroom("sessions", "import", "s.bundle", code=1).stderr
    (copy,) = greenroom.json("sessions", "import", "s.bundle", "--new-ids")
    assert copy["id"] != session
    assert copy["name"] == "root"


def test_what_is_no_bundle_is_refused_in_one_line(greenroom: Any, session: str, tmp_path: Path) -> None:
    (tmp_path / "x.bundle").write_text("hello")
    for name in ("x.bundle", "missing.bundle", "/dev/null"):
        said = greenroom("sessions", "import", name, code=1)
        assert len(said.stderr.splitlines()) == 1
    assert len(greenroom.json("sessions", "list")) == 2


def test_backup_and_restore(greenroom: Any, session: str, tmp_path: Path) -> None:
    assert greenroom.json("backup", "saved")["files"] > 0
    assert "exists already" in greenroom("backup", "saved", code=1).stderr
    greenroom("sessions", "delete", session, "--yes")
    found = greenroom.json("--data", "again", "restore", "saved")
    assert found["problems"] == []
    assert greenroom("--data", "again", "artifacts", "get", session, "a").stdout == "content"
    assert "no backup" in greenroom("--data", "more", "restore", "greenroom-nothing", code=1).stderr


def test_a_bundle_is_exported_beside_a_writer(greenroom: Any, session: str, tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "greenroom-data"):
        greenroom.process("sessions", "export", session, "s.bundle")
        assert "open for writing" in greenroom.process("backup", "saved", code=1).stderr
    assert (tmp_path / "s.bundle").stat().st_size > 1024
