"""Scripts of a hostile author: each fails in its own way, and the runtime works on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from greenroom.runtime import Session

from .collection import ATTACKS, Attack
from .scene import ISOLATIONS, Scene
from .tally import TALLY

MOST_GROWTH = 128 << 20
"""By how many bytes the host may grow during an attack whose script may have 12 MiB."""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    scene = Scene(tmp_path_factory.mktemp("scene"))
    yield scene
    scene.close()


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("attack", "isolation"),
    [
        pytest.param(attack, isolation, id=f"{isolation}-{attack.id}")
        for isolation in ISOLATIONS
        for attack in ATTACKS
        if attack.only in ("", isolation)
    ],
)
def test_an_attack_is_contained(scene: Scene, attack: Attack, isolation: str) -> None:
    session = scene.runtime.create_session(name="mine")
    before = scene.untouched()
    with TALLY.attempt(attack, isolation) as attempt:
        ending = scene.run(attack, isolation, session)
        attempt.seconds = ending.seconds
        if attack.codes:
            assert ending.code in attack.codes, (ending.code, ending.message, ending.value)
            assert attack.words in ending.message
        else:
            assert ending.code is None, ending.message
            assert ending.value == attack.sees
        scene.until_idle()
        assert ending.peak < MOST_GROWTH
        assert scene.untouched() == before
        works(scene, session, attack.language, isolation)
        session.delete()


def works(scene: Scene, session: Session, language: str, isolation: str) -> None:
    """Both sessions are healthy, and further scripts, also where the attack ran, run as if nothing had been."""
    for each, how in ((session, isolation), (scene.other, "thread")):
        assert each.info().status == "active"
        assert each.get("none", 1) == 1
        result = scene.runtime.run_script("return 1 + 1", language, session=each, isolation=how)
        assert result.value == 2
