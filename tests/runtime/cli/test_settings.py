"""Where settings come from, which source wins, and what is said about wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from greenroom.runtime import ConfigurationError, RuntimeConfig
from greenroom.runtime.config.settings import load_settings


@pytest.fixture(autouse=True)
def _directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_without_any_source_the_defaults_hold() -> None:
    settings = load_settings(environ={})
    assert settings.config == RuntimeConfig()
    assert settings.data == Path("greenroom-data")
    assert set(settings.origins.values()) == {"default"}


def test_arguments_win_over_environment_over_file_over_defaults() -> None:
    Path("greenroom.toml").write_text('data = "file"\nworkers = 2\nask_timeout = 1.5\ndurability = "fsync"\n')
    environ = {
        "GREENROOM_DATA": "environment",
        "GREENROOM_WORKERS": "3",
        "GREENROOM_MAX_RESTARTS": "",
        "PATH": "x",
    }
    settings = load_settings({"data": "argument", "workers": None}, environ=environ)
    assert settings.data == Path("argument")
    assert (settings.config.workers, settings.config.ask_timeout, settings.config.durability) == (
        3,
        1.5,
        "fsync",
    )
    assert settings.config.max_restarts == RuntimeConfig().max_restarts
    origins = settings.origins
    assert (origins["data"], origins["workers"], origins["ask_timeout"], origins["max_restarts"]) == (
        "argument",
        "GREENROOM_WORKERS",
        "greenroom.toml",
        "default",
    )


def test_an_unknown_key_names_the_nearest_known_one_and_where_it_stands() -> None:
    Path("greenroom.toml").write_text("worker = 2\n")
    with pytest.raises(ConfigurationError, match=r"greenroom\.toml: unknown setting 'worker'.*'workers'"):
        load_settings(environ={})
    Path("greenroom.toml").unlink()
    with pytest.raises(ConfigurationError, match=r"GREENROOM_DURABILTY.*GREENROOM_DURABILITY") as caught:
        load_settings(environ={"GREENROOM_DURABILTY": "wal"})
    assert caught.value.nearest == "durability"
    with pytest.raises(ConfigurationError, match=r"argument: unknown setting 'dat'.*'data'"):
        load_settings({"dat": "x"}, environ={})


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"GREENROOM_DURABILITY": "often"}, r"durability \(GREENROOM_DURABILITY\)"),
        ({"GREENROOM_WORKERS": "many"}, r"workers \(GREENROOM_WORKERS\)"),
        ({"GREENROOM_WORKERS": "-1"}, r"workers \(GREENROOM_WORKERS\)"),
    ],
)
def test_an_impossible_value_names_its_key_and_source(environ: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        load_settings(environ=environ)


def test_a_file_that_cannot_be_read_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such settings file"):
        load_settings(file=tmp_path / "none.toml", environ={})
    Path("greenroom.toml").write_text("workers = = 2")
    with pytest.raises(ConfigurationError, match="not valid TOML"):
        load_settings(environ={})
    Path("greenroom.toml").write_text("data = 7")
    with pytest.raises(ConfigurationError, match="path of a directory"):
        load_settings(environ={})
