"""Scripts that are stored as artifacts, and run by name and version."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from greenroom.runtime import (
    AccessDenied,
    ArtifactNotFound,
    ConfigurationError,
    Runtime,
    ScriptError,
    Session,
    ValidationError,
)


@pytest.fixture(scope="module")
def rt() -> Iterator[Runtime]:
    with Runtime.open() as runtime:
        yield runtime


@pytest.fixture
def session(rt: Runtime) -> Session:
    session = rt.create_session()
    for number in (1, 2):
        session.store_artifact("script", "triage.lua", f"return {number}", label=f"v{number}.0")
    return session


def test_a_version_of_an_artifact_is_run_by_its_name(session: Session) -> None:
    assert session.run_script(artifact="triage.lua").value == 2
    assert session.run_script(artifact="triage.lua", version=1).value == 1
    assert session.run_script(artifact="triage.lua", version="v1.0").value == 1
    first = session.get_artifact_info("triage.lua", version=1)
    started = [each.data for each in session.events() if each.type == "script.started"]
    assert [each["version"] for each in started] == [2, 1, 1]
    assert (started[1]["script"], started[1]["artifact"]) == ("triage.lua", str(first.id))
    assert started[1]["source_hash"] == first.id.content_hash


def test_the_host_runs_an_artifact_by_its_id(rt: Runtime, session: Session) -> None:
    info = session.get_artifact_info("triage.lua", version=1)
    assert rt.run_script(info.id).value == 1
    assert rt.run_script(artifact=info.id).value == 1
    assert rt.run_script(artifact=str(info.id)).value == 1
    assert rt.run_script(artifact="triage.lua", session=session).value == 2
    other = rt.create_session()
    with pytest.raises(AccessDenied):  # a script of a session runs what the session can read
        rt.run_script(artifact=info.id, session=other)
    session.share(info.id, other.id)
    assert rt.run_script(artifact=info.id, session=other).value == 1
    assert [each.data["version"] for each in other.events() if each.type == "script.started"] == [1]


def test_the_language_is_that_of_the_suffix_or_the_mime_type(session: Session) -> None:
    session.store_artifact("script", "plain", "return 3", mime_type="text/x-lua")
    assert session.run_script(artifact="plain").value == 3
    with pytest.raises(ConfigurationError, match="nothing"):
        session.run_script(artifact="plain", language="nothing")


def test_code_of_a_session_runs_only_artifacts_that_it_can_read(rt: Runtime, session: Session) -> None:
    other = rt.create_session()
    info = session.get_artifact_info("triage.lua")

    def attempt() -> object:
        return rt.session(other.id).run_script(artifact=info.id).value

    rt.tools.register("attempt", attempt)
    with pytest.raises(AccessDenied):
        other.call_tool("attempt")
    session.share(info.id, other.id)
    assert other.call_tool("attempt") == 2


def test_what_cannot_be_a_script_says_why(rt: Runtime, session: Session) -> None:
    with pytest.raises(ArtifactNotFound):
        session.run_script(artifact="nothing.lua")
    with pytest.raises(ValidationError, match="a name is looked up in a session"):
        rt.run_script(artifact="triage.lua")
    with pytest.raises(ValidationError, match="only one of them"):
        session.run_script("return 1", artifact="triage.lua")
    with pytest.raises(ValidationError, match="only one of them"):
        session.run_script()
    with pytest.raises(ValidationError, match="only an artifact has versions"):
        session.run_script("return 1", version=1)
    session.store_artifact("script", "binary.lua", b"\xff\xfe")
    with pytest.raises(ScriptError, match="not UTF-8"):
        session.run_script(artifact="binary.lua")
    session.store_artifact("script", "large.lua", b"-" * ((1 << 20) + 1))
    with pytest.raises(ScriptError, match="is larger than"):
        session.run_script(artifact="large.lua")
