from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from greenroom.runtime import ConfigurationError, Runtime, Session

UUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)


def revealing(rt: Runtime) -> Session:
    """A session whose id and creator are in everything that a host can name."""
    s = rt.create_session(name="Zoe's", created_by="zoe@example.org")
    rt.events.publish(f"custom.of-{s.id}", session=s)
    rt.events.publish("zoe-example.login", session=s)
    rt.tools.register(f"tool:{s.id}"[:64], lambda: 1 / 0, replace=True)
    with suppress(Exception):
        s.call_tool(f"tool:{s.id}", {})
    s.add_message(f"zoe {s.id}", "secret words")
    s.set("key of zoe", "secret words")
    return s


def told(rt: Runtime, s: Session, privacy: bool | None = True) -> str:
    one, all_ = rt.analytics.session(s, privacy=privacy), rt.analytics.aggregate(privacy=privacy)
    return json.dumps([one.to_dict(), all_.to_dict()]) + repr(one) + repr(all_)


def test_no_id_and_no_name_appears_in_private_metrics(rt: Runtime) -> None:
    text = told(rt, revealing(rt))
    assert UUID.search(text) is None
    assert "zoe" not in text.lower()
    assert "secret" not in text


def test_without_privacy_ids_appear_but_no_values(rt: Runtime) -> None:
    s = revealing(rt)
    text = told(rt, s, None)
    assert s.id in text
    assert "secret" not in text


def test_a_session_has_one_pseudonym_per_key_and_others_have_others(rt: Runtime) -> None:
    first, second = rt.create_session(), rt.create_session()
    first.set("k", 1)
    names = [rt.analytics.session(each, privacy=True).session_id for each in (first, first, second)]
    assert names[0] == names[1] != names[2]
    assert rt.analytics.aggregate(privacy=True).top["operations"][0].session_id == names[0]


def test_private_and_open_metrics_count_the_same(rt: Runtime) -> None:
    s = revealing(rt)
    open_, private = rt.analytics.session(s), rt.analytics.session(s, privacy=True)
    assert (open_.events, sum(private.by_type.values())) == (private.events, open_.events)
    assert private.by_type["custom"] == 2
    assert private.messages_by_role == {"other": 1}


@pytest.fixture
def opened(store_path: Path, tmp_path: Path) -> Callable[[str | None], Runtime]:
    """Opens one store, with the key given."""

    def open_with(key: str | None) -> Runtime:
        config: dict[str, object] = {"analytics_privacy": True}
        if key is not None:
            (tmp_path / "key").write_text(key)
            config["analytics_key_file"] = tmp_path / "key"
        return Runtime.open(store_path, config=config)

    return open_with


def test_a_key_file_keeps_pseudonyms_over_openings_and_another_key_makes_others(
    opened: Callable[[str | None], Runtime],
) -> None:
    with opened("k" * 32) as rt:
        session_id = rt.create_session(created_by="zoe").id
    seen = []
    for key in ("k" * 32, "k" * 32 + "\n", "other" * 8, None, None):
        with opened(key) as rt:
            metrics = rt.analytics.session(session_id)
            seen.append((metrics.session_id, metrics.created_by))
    assert seen[0] == seen[1]
    assert len(set(seen)) == 4


@pytest.mark.parametrize("key", ["", "short", "x" * 70_000])
def test_a_key_that_is_none_is_refused_without_being_told(opened: Callable[[str | None], Runtime], key: str) -> None:
    with opened(key) as rt:
        s = rt.create_session()
        with pytest.raises(ConfigurationError, match="analytics_key_file") as refused:
            rt.analytics.session(s)
        assert not key or key not in str(refused.value)


def test_a_key_file_that_is_not_there_is_named(store_path: Path, tmp_path: Path) -> None:
    config = {"analytics_key_file": tmp_path / "nothing"}
    with Runtime.open(store_path, config=config) as rt:
        assert rt.analytics.aggregate().sessions == 0  # nobody asks for pseudonyms
        with pytest.raises(ConfigurationError, match="nothing"):
            rt.analytics.aggregate(privacy=True)
