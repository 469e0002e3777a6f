"""What a call costs, from a table that is data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime.recording.understanding import Prices, Usage
from greenroom.storage.errors import ValidationError

TABLE = Prices(
    {
        "date": "2026-01-01",
        "models": {
            "gpt-4o": {"input": 2.5, "output": 10, "cached": 1.25},
            "gpt-4o-2024-05-13": {"input": 5, "output": 15},
            "claude-x": {"input": 3, "output": 15, "cached": 0.3, "cache_written": 3.75, "cache_written_hour": 6},
            "pro": {"input": 1, "output": 10, "long": {"above": 1000, "input": 2, "output": 15}},
            "ours-*": {"input": 0, "output": 0},
            "ours-large": {"input": 1, "output": 1},
        },
    }
)


@pytest.mark.parametrize(
    ("model", "cost"),
    [
        ("gpt-4o", 1250),
        ("gpt-4o-2024-08-06", 1250),
        ("gpt-4o-latest", 1250),
        ("GPT-4o", 1250),
        ("openai/gpt-4o", 1250),
        ("gpt-4o-2024-05-13", 2000),
        ("gpt-4o-mini", None),
        ("gpt-4", None),
        ("somebody/gpt-4o", None),
        ("us.anthropic.claude-x-20250929-v1:0", 1800),
        ("arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-x-v1:0", 1800),
        ("claude-x@20250929", 1800),
        ("models/pro", 1100),
        ("ours-small", 0),
        ("ours-large", 200),
        ("", None),
    ],
)
def test_the_longest_name_that_fits_counts_and_an_unknown_model_has_no_cost(model: str, cost: int | None) -> None:
    assert TABLE.cost(Usage(100, 100, 200), model) == cost


def test_what_comes_from_the_cache_has_its_own_price() -> None:
    usage = Usage(1000, 10, 1010, cached=600, cache_written=300, cache_written_hour=100)
    assert TABLE.cost(usage, "claude-x") == 100 * 3 + 600 * 0.3 + 200 * 3.75 + 100 * 6 + 10 * 15
    assert TABLE.cost(Usage(100, 0, 100, cached=40), "gpt-4o-2024-05-13") == 500


def test_a_long_call_may_cost_more() -> None:
    assert TABLE.cost(Usage(1000, 10, 1010), "pro") == 1000 + 100
    assert TABLE.cost(Usage(1001, 10, 1011), "pro") == 2002 + 150


def test_without_usage_there_is_no_cost() -> None:
    assert TABLE.cost(Usage(), "gpt-4o") is None


def test_the_model_that_answered_is_asked_first() -> None:
    assert TABLE.cost(Usage(100, 0, 100), "gpt-4o-2024-05-13", "gpt-4o") == 500
    assert TABLE.cost(Usage(100, 0, 100), "not-known", "gpt-4o") == 250
    assert TABLE.cost(Usage(100, 0, 100), None, None) is None


def test_a_table_may_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text(json.dumps({"m": {"input": 0.1, "output": 0.2}}), "utf-8")
    assert Prices(path).cost(Usage(10, 10, 20), "m") == 3
    path.write_text("{", "utf-8")
    with pytest.raises(ValidationError, match="is no JSON"):
        Prices(path)
    with pytest.raises(ValidationError, match="cannot be read"):
        Prices(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"input": 1}, "`input` and `output` are needed"),
        ({"input": 1, "output": -1}, "output must be dollars"),
        ({"input": True, "output": 1}, "input must be dollars"),
        ({"input": 1, "output": float("nan")}, "output must be dollars"),
        ({"input": 1, "output": 1, "reads": 1}, "'reads' is none of"),
        ({"input": 1, "output": 1, "long": {"input": 1, "output": 1}}, "`long` needs `above`"),
        (3, "needs an object"),
    ],
)
def test_a_wrong_table_says_where(row: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Prices({"m": row})


def test_the_table_that_comes_with_greenroom_is_sound() -> None:
    prices = Prices.default()
    assert len(prices) > 100
    for model in ("gpt-4o-mini", "claude-sonnet-4-5-20250929", "gemini-2.5-pro", "amazon.nova-pro-v1:0"):
        price = prices.of(model)
        assert price is not None
        assert 0 < price.input < price.output
    assert prices.of("llama3.2") is None
