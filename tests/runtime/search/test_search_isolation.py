"""Code that acts for a session finds what that session may read, and nothing else."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest

from greenroom.actors.scheduling.operation import acting
from greenroom.runtime import AccessDenied, Runtime, Session
from greenroom.storage.codec.records import unpack_value


@pytest.fixture
def rt() -> Iterator[Runtime]:
    with Runtime.open() as runtime:
        yield runtime


def session(rt: Runtime, name: str, parent: Session | None = None) -> Session:
    made = rt.create_session(name=f"secret {name}", parent=parent)
    made.add_message("user", f"secret words of {name}")
    made.store_artifact("note", f"{name}.txt", f"secret text of {name}")
    return made


def found(rt: Runtime, by: Session, **criteria: object) -> set[tuple[str, str]]:
    with acting(principal=by.id):
        page = rt.search("secret", limit=1000, **criteria)  # type: ignore[arg-type]
    assert page.total == len(page)
    return {(hit.session_id, hit.kind) for hit in page}


def everything(*sessions: Session) -> set[tuple[str, str]]:
    return {(each.id, kind) for each in sessions for kind in ("message", "artifact", "name")}


def test_its_own_and_what_is_below_it(rt: Runtime) -> None:
    mine, other = session(rt, "mine"), session(rt, "other")
    child = session(rt, "child", mine)
    assert found(rt, mine) == everything(mine, child)
    assert found(rt, child) == everything(child)
    assert found(rt, mine, kinds="name", session=child) == {(child.id, "name")}
    with acting(principal=mine.id):
        for named in ({"session": other}, {"parent": other}):
            with pytest.raises(AccessDenied) as caught:
                rt.search("secret", **named)  # type: ignore[arg-type]
            assert "secret" not in str(caught.value)
        assert not rt.search("other")
        assert rt.search("other").total == 0
    assert rt.search("secret").total == 9


def test_what_is_shared_with_it_as_long_as_it_is_shared(rt: Runtime) -> None:
    mine, other, third = session(rt, "mine"), session(rt, "other"), session(rt, "third")
    child = session(rt, "child", mine)
    other.share(mine)
    assert found(rt, mine) == everything(mine, child, other)
    assert found(rt, mine, session=other) == everything(other)
    assert found(rt, child) == everything(child)
    hidden = third.store_artifact("note", "hidden.txt", "secret hidden")
    shown = third.store_artifact("note", "shown.txt", "secret shown")
    third.share_artifact(shown.id, mine.id, "read", inherit=True)
    assert found(rt, mine) == {*everything(mine, child, other), (third.id, "artifact")}
    assert found(rt, child) == {*everything(child), (third.id, "artifact")}
    with acting(principal=mine.id):
        assert [hit.artifact for hit in rt.search("secret shown")] == [shown.id]
        assert not rt.search("secret hidden")
    assert rt.search("secret hidden")[0].artifact == hidden.id
    other.revoke(mine)
    third.revoke(shown.id, mine.id)
    assert found(rt, mine) == everything(mine, child)
    assert found(rt, child) == everything(child)


def test_criteria_only_narrow_what_it_may_read(rt: Runtime) -> None:
    mine, other = session(rt, "mine"), session(rt, "other")
    for each in (mine, other):
        each.add_tag("t")
    assert found(rt, mine, tags=["t"]) == everything(mine)
    assert found(rt, mine, status="all") == everything(mine)
    assert found(rt, mine, tags=["none"]) == set()


def test_a_large_family_is_searched_like_a_small_one(rt: Runtime) -> None:
    mine, other = session(rt, "mine"), session(rt, "other")
    for number in range(1001):
        rt.create_session(name=f"secret {number}", parent=mine)
    shown = other.store_artifact("note", "shown.txt", "secret shown")
    other.share_artifact(shown.id, mine.id, "read")
    assert found(rt, mine, kinds=("message", "artifact")) == {
        *((mine.id, kind) for kind in ("message", "artifact")),
        (other.id, "artifact"),
    }
    with acting(principal=mine.id):
        page = rt.search("secret", kinds="artifact", limit=1000)
        assert {hit.name for hit in page} == {"mine.txt", "shown.txt"}


def test_a_cursor_tells_nothing_of_others(rt: Runtime) -> None:
    mine, other = session(rt, "mine"), session(rt, "other")
    cursors = []
    for _ in range(2):
        with acting(principal=mine.id):
            page = rt.search("secret", limit=2)
            assert page.next_cursor is not None
            assert len(rt.search("secret", limit=2, cursor=page.next_cursor)) == 1
            _, at, place, _ = unpack_value(base64.urlsafe_b64decode(page.next_cursor))
        cursors.append(place)
        assert at == 2
        assert place > 1 << 32  # by chance smaller once in 2³¹ times
    assert cursors[0] != cursors[1]  # although nothing has changed
    assert rt.search("secret", session=other).total == 3
