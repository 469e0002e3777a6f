"""What models cost. The table is data: `prices.json` beside this module, or one of the user's own."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import Any, Final, NamedTuple

from greenroom.storage.errors import ValidationError

from .model import Usage

__all__ = ["Price", "Prices"]

_VERSION: Final = re.compile(
    r"(?:[-@](?:latest|preview|exp|beta|\d{4}-\d\d-\d\d|\d{8}|\d{6}|\d{3,4}|\d\d-\d{2,4}|v\d+(?::\d+)?|\d:\d))*"
)
"""What may follow a model's name and leaves it the same model: dates and versions."""
_ROUTE: Final = re.compile(
    r"^(?:arn:[^/]+/)?(?:(?:openai|azure|anthropic|google|gemini|vertex_ai|bedrock|converse|models|publishers|xai|x-ai|"
    r"deepseek|mistral|mistralai)/)*(?:(?:us|eu|apac|au|jp|ca|global)\.)?"
)
"""What stands before a model's name: the "openai/" of routers, the "us." of Bedrock."""
_FIELDS: Final = ("input", "output", "cached", "cache_written", "cache_written_hour")
_MILLION: Final = 1_000_000


class Price(NamedTuple):
    """Dollars per million tokens, which are micro-dollars per token. Where no price for the cache is told, that of the
    input holds. `long` is the price of calls with more than `above` tokens of input, where it is another one."""

    input: Decimal
    output: Decimal
    cached: Decimal | None = None
    cache_written: Decimal | None = None
    cache_written_hour: Decimal | None = None
    above: int | None = None
    long: Price | None = None


class Prices:
    """Prices by names of models.

    A name stands for the model and its dated versions: "gpt-4o" for "gpt-4o-2024-08-06", not for "gpt-4o-mini". A name
    that ends in "*" stands for all that begin so. The longest name that fits counts.
    """

    def __init__(self, table: Mapping[str, Any] | str | PathLike[str]) -> None:
        """Create it from a table, or from a JSON file with one: `{"models": {"gpt-4o": {"input": 2.5, "output": 10}}}`,
        or only what stands under `models`. Raises ValidationError."""
        if isinstance(table, str | PathLike):
            table = _read(Path(table))
        models = table.get("models", table)
        if not isinstance(models, Mapping):
            raise ValidationError("prices: `models` must be an object of prices by model", field="prices")
        self._prices = {name: _price(name, row) for name, row in models.items()}
        self._found: dict[str, Price | None] = {}

    @classmethod
    def default(cls) -> Prices:
        """Return the prices that come with greenroom."""
        return _default()

    def __len__(self) -> int:
        return len(self._prices)

    def of(self, model: str) -> Price | None:
        """Return the price of a model; None for one that the table does not know."""
        if model not in self._found:
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            self._found[model] = self._look_up(model)
        return self._found[model]

    def _look_up(self, model: str) -> Price | None:
        whole = model.lower()
        bare = _ROUTE.sub("", whole, count=1)
        for name in (whole, bare, bare.removeprefix("anthropic.")):
            fits = [each for each in self._prices if _fits(each, name)]
            if fits:
                return self._prices[max(fits, key=len)]
        return None

    def cost(self, usage: Usage, *models: str | None) -> int | None:
        """Return the cost of a call in micro-dollars, for the first of the models that the table knows. None if it
        knows none, or if the usage is not known."""
        if usage.input is None and usage.output is None:
            return None
        price = next((found for model in models if model and (found := self.of(model)) is not None), None)
        if price is None:
            return None
        given = usage.input or 0
        if price.long is not None and price.above is not None and given > price.above:
            price = price.long
        cached = min(usage.cached or 0, given)
        written = min(usage.cache_written or 0, given - cached)
        hour = min(usage.cache_written_hour or 0, written)
        per_written = price.cache_written if price.cache_written is not None else price.input
        per_hour = price.cache_written_hour if price.cache_written_hour is not None else per_written
        cost = (
            (given - cached - written) * price.input
            + cached * (price.cached if price.cached is not None else price.input)
            + (written - hour) * per_written
            + hour * per_hour
            + (usage.output or 0) * price.output
        )
        return int(cost.to_integral_value())


_REMEMBERED: Final = 1000


def _fits(known: str, name: str) -> bool:
    if known.endswith("*"):
        return name.startswith(known[:-1].lower())
    return name.startswith(known.lower()) and _VERSION.fullmatch(name, len(known)) is not None


@cache
def _default() -> Prices:
    table = json.loads(files(__package__).joinpath("prices.json").read_text("utf-8"), parse_float=Decimal)
    return Prices(table)


def _read(path: Path) -> Mapping[str, Any]:
    try:
        table = json.loads(path.read_text("utf-8"), parse_float=Decimal)
    except OSError as error:
        raise ValidationError(f"prices: {path} cannot be read: {error.strerror}", field="prices") from error
    except ValueError as error:
        raise ValidationError(f"prices: {path} is no JSON: {error}", field="prices") from error
    if not isinstance(table, Mapping):
        raise ValidationError(f"prices: {path} must be an object of prices by model", field="prices")
    return table


def _price(name: object, row: Any) -> Price:
    if not isinstance(name, str) or not name.strip("*") or not isinstance(row, Mapping):
        raise ValidationError(f"prices: {name!r} needs an object with `input` and `output`", field="prices")
    price = _plain_price(name, {key: row[key] for key in row if key != "long"})
    long = row.get("long")
    if long is None:
        return price
    above = long.get("above") if isinstance(long, Mapping) else None
    if type(above) is not int or above < 0:
        raise ValidationError(f"prices: {name}: `long` needs `above`, a number of tokens", field="prices")
    dearer = _plain_price(f"{name}: long", {key: value for key, value in long.items() if key != "above"})
    return price._replace(above=above, long=dearer)


def _plain_price(name: str, row: Mapping[str, Any]) -> Price:
    unknown = next((key for key in row if key not in _FIELDS), None)
    if unknown is not None:
        raise ValidationError(f"prices: {name}: {unknown!r} is none of {', '.join(_FIELDS)}, long", field="prices")
    if "input" not in row or "output" not in row:
        raise ValidationError(f"prices: {name}: `input` and `output` are needed", field="prices")
    amounts = {key: _amount(name, key, value) for key, value in row.items()}
    return Price(
        amounts["input"],
        amounts["output"],
        amounts.get("cached"),
        amounts.get("cache_written"),
        amounts.get("cache_written_hour"),
    )


def _amount(name: str, key: str, value: Any) -> Decimal:
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        amount = Decimal(str(value))
        if amount.is_finite() and 0 <= amount < _MILLION:
            return amount
    raise ValidationError(f"prices: {name}: {key} must be dollars per million tokens", field="prices")
