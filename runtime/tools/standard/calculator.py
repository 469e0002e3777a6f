"""The tool `calculator`: evaluates arithmetic from a syntax tree and never runs code."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal

from greenroom.storage.errors import ValidationError

from .inputs import AnyText, any_case

__all__ = ["calculator"]

_MAX_LENGTH: Final = 1000
_MAX_DEPTH: Final = 400
_MAX_BITS: Final = 1024
_MAX_FACTORIAL: Final = 170
_MAX_DIGITS: Final = 100

Number = int | float


def calculator(
    expression: AnyText = "",
    input: AnyText = "",
    variables: dict[str, Any] | list[Any] | None = None,
    operation: Annotated[Literal["evaluate"], any_case()] = "evaluate",
) -> Number:
    """Arithmetic: + - * / // % ** ^ and parentheses, functions like sqrt, sin, log, round, min, max, factorial, the
    constants pi, e and tau, and `variables`, which are numbers by name. `input` is another name of `expression`.

    Raises ValidationError for what is no arithmetic or has no finite result of at most 1024 bits.
    """
    expression = expression or input
    if not expression:
        raise _bad("a text such as '6 * 7' is needed")
    if len(expression) > _MAX_LENGTH:
        raise _bad(f"at most {_MAX_LENGTH} characters, this has {len(expression)}")
    names = {**_CONSTANTS, **_numbers(variables)}
    try:
        tree = ast.parse(expression.strip().replace("^", "**"), mode="eval")
        return _bounded(_value(tree.body, names, 0))
    except ValidationError:  # which is a ValueError
        raise
    except (SyntaxError, RecursionError, MemoryError):
        raise _bad("this is no arithmetic") from None
    except ZeroDivisionError:
        raise _bad("division by zero") from None
    except OverflowError:
        raise _bad("the result is too large") from None
    except (TypeError, ValueError):
        raise _bad("a function is not defined for these arguments") from None


def _numbers(variables: dict[str, Any] | list[Any] | None) -> dict[str, Number]:
    """Return the variables. Raises ValidationError for what is no number."""
    given = variables if isinstance(variables, dict) else {}  # an empty Lua table arrives as a list
    for name, value in given.items():
        if type(value) not in (int, float):
            raise ValidationError(f"variables: {name[:50]!r} is no number", field="variables")
        _bounded(value)
    return given


def _value(node: ast.expr, names: Mapping[str, Number], depth: int) -> Number:
    if depth > _MAX_DEPTH:
        raise _bad(f"nested deeper than {_MAX_DEPTH} levels")
    depth += 1
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        value: Number = node.value  # type: ignore[assignment]
        return _bounded(value)
    if isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY:
        return _UNARY[type(node.op)](_value(node.operand, names, depth))
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        return _bounded(_BINARY[type(node.op)](_value(node.left, names, depth), _value(node.right, names, depth)))
    if isinstance(node, ast.Name):
        if node.id in names:
            return names[node.id]
        raise _bad(f"{node.id[:50]!r} is no variable or constant; there are: {', '.join(sorted(names))[:500]}")
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        function = _FUNCTIONS.get(node.func.id)
        if function is None:
            raise _bad(f"there is no function {node.func.id[:50]!r}; there are: {', '.join(sorted(_FUNCTIONS))}")
        return _bounded(function(*(_value(each, names, depth) for each in node.args)))
    raise _bad("only numbers, + - * / // % ** ^, parentheses, functions, variables and pi, e, tau are known")


def _bounded(value: Any) -> Number:
    if type(value) is int and value.bit_length() <= _MAX_BITS:
        return value
    if type(value) is float and math.isfinite(value):
        return value
    raise _bad("the result is too large, or no real number")


def _power(base: Number, exponent: Number) -> Number:
    if (
        type(base) is int
        and type(exponent) is int
        and abs(base) > 1
        and base.bit_length() * abs(exponent) > 2 * _MAX_BITS
    ):
        raise OverflowError
    result: Number = base**exponent
    return result


def _factorial(n: Number) -> Number:
    if n > _MAX_FACTORIAL:
        raise OverflowError
    return math.factorial(n)  # type: ignore[arg-type]


def _round(value: Number, digits: Number = 0) -> Number:
    if abs(digits) > _MAX_DIGITS:
        raise ValueError
    return round(value, digits) if digits else round(value)  # type: ignore[arg-type]


_UNARY: Final[dict[type[ast.unaryop], Callable[[Any], Number]]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}
_BINARY: Final[dict[type[ast.operator], Callable[[Any, Any], Number]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
}
_CONSTANTS: Final[dict[str, Number]] = {"pi": math.pi, "e": math.e, "tau": math.tau}
_FUNCTIONS: Final[dict[str, Callable[..., Number]]] = {
    "abs": abs,
    "ceil": math.ceil,
    "cos": math.cos,
    "exp": math.exp,
    "factorial": _factorial,
    "floor": math.floor,
    "gcd": math.gcd,
    "log": math.log,
    "log10": math.log10,
    "log2": math.log2,
    "max": max,
    "min": min,
    "round": _round,
    "sin": math.sin,
    "sqrt": math.sqrt,
    "tan": math.tan,
}


def _bad(what: str) -> ValidationError:
    return ValidationError(f"expression: {what}", field="expression")
