"""Where a store is: what may name it, and what may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import Runtime, ValidationError


@pytest.mark.parametrize("path", ["", "a\0b", b"store", 5, object(), ["store"], "\ud800x"])
def test_what_is_no_path_is_refused_and_makes_nothing(
    path: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for read_only in (False, True):
        with pytest.raises(ValidationError, match="a path is needed"):
            Runtime.open(path, read_only=read_only)
    assert list(tmp_path.iterdir()) == []


def test_the_users_home_may_be_written_as_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "work")
    with Runtime.open("~/store") as rt:
        rt.backup("~/backup")
        rt.create_session().export(Path("~/s.bundle"))
    Runtime.restore("~/backup", "~/restored")
    assert {each.name for each in (tmp_path / "home").iterdir()} == {"store", "backup", "s.bundle", "restored"}
    with Runtime.open("~store"):  # a name like any other
        pass
    assert [each.name for each in (tmp_path / "work").iterdir()] == ["~store"]
