"""LangGraph's own conformance suite for checkpointers: langgraph-checkpoint-conformance, run on every capability."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.capabilities import Capability
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer

from greenroom.runtime import Runtime
from greenroom.runtime.integrations.langgraph import GreenroomSaver

TESTS = 81
"""What version 0.0.2 of the suite has."""


def failures_of(saver: GreenroomSaver) -> tuple[int, list[str]]:
    """Run the suite, and return how many of its tests passed, and what failed or was not detected."""

    async def factory() -> AsyncGenerator[BaseCheckpointSaver, None]:
        yield saver

    report = asyncio.run(validate(checkpointer_test(name="greenroom")(factory)))
    missing = [each.value for each in Capability if not report.results[each.value].detected]
    failed = [failure for each in report.results.values() for failure in each.failures]
    return sum(each.tests_passed for each in report.results.values()), missing + failed


def test_every_capability_passes_on_a_path(tmp_path: Path) -> None:
    with GreenroomSaver(tmp_path / "store") as saver:
        passed, failures = failures_of(saver)
        assert not failures
        assert passed >= TESTS


def test_every_capability_passes_on_a_runtime_with_other_sessions_and_encryption(tmp_path: Path) -> None:
    class Cipher:
        def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
            return "turned", plaintext[::-1]

        def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
            assert ciphername == "turned"
            return ciphertext[::-1]

    with Runtime.open(tmp_path / "store") as runtime:
        other = runtime.create_session(name="other")
        other.records.put(b"c", b"not LangGraph's")
        passed, failures = failures_of(GreenroomSaver(runtime, serde=EncryptedSerializer(Cipher())))
        assert not failures
        assert passed >= TESTS
        assert other.records.get(b"c") == b"not LangGraph's"
