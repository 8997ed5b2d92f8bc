"""From JSON to the frozen dataclasses of a report, strictly: what is wrong is named."""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints


def read_as(kind: Any, value: object, place: str) -> Any:
    """Take a JSON value as a type.

    Args:
        kind: A dataclass, `int`, `float`, `str`, `Any`, a literal, an optional, a tuple, or a
            mapping from text.
        value: What the JSON holds.
        place: What to call it in errors.

    Raises:
        ValueError: It is not of that type; the innermost place is named.

    Example:
        >>> read_as(tuple[int, ...], [1, 2.5], "sizes")
        Traceback (most recent call last):
        ValueError: sizes[1] must be a whole number, got 2.5
    """
    if is_dataclass(kind):
        return _dataclass(kind, value, place)
    origin, parts = get_origin(kind), get_args(kind)
    if origin is UnionType:
        (inner,) = (part for part in parts if part is not NoneType)
        return None if value is None else read_as(inner, value, place)
    if origin is tuple:
        return _tuple(parts, value, place)
    if origin is Mapping:
        return {
            name: read_as(parts[1], one, f"{place}.{name}") for name, one in _object(value, place)
        }
    if origin is Literal:
        return value if value in parts else _wrong(place, f"one of {', '.join(parts)}", value)
    return _plain(kind, value, place)


def _dataclass(kind: Any, value: object, place: str) -> Any:
    found = dict(_object(value, place))
    hints = get_type_hints(kind)
    given: dict[str, Any] = {}
    for field in fields(kind):
        if field.name not in found:
            raise ValueError(f"{place}: '{field.name}' is missing")
        given[field.name] = read_as(hints[field.name], found[field.name], f"{place}.{field.name}")
    return kind(**given)


def _tuple(parts: tuple[Any, ...], value: object, place: str) -> Any:
    any_number = parts[-1] is Ellipsis
    if not isinstance(value, list) or not (any_number or len(value) == len(parts)):
        return _wrong(place, "a list" if any_number else f"a list of {len(parts)}", value)
    kinds = [parts[0]] * len(value) if any_number else parts
    return tuple(
        read_as(kind, one, f"{place}[{number}]")
        for number, (kind, one) in enumerate(zip(kinds, value, strict=True))
    )


def _object(value: object, place: str) -> Any:
    return value.items() if isinstance(value, dict) else _wrong(place, "an object", value)


def _plain(kind: Any, value: object, place: str) -> Any:
    if kind is Any:
        return value
    if kind is float:
        return _number(value, place)
    names = {int: "a whole number", str: "a text"}
    return value if type(value) is kind else _wrong(place, names[kind], value)


def _number(value: object, place: str) -> float:
    if type(value) not in (int, float):
        _wrong(place, "a number", value)
    try:
        number = float(value)  # type: ignore[arg-type]
    except OverflowError:
        number = math.inf
    return number if math.isfinite(number) else _wrong(place, "a finite number", value)


def _wrong(place: str, wanted: str, value: object) -> Any:
    raise ValueError(f"{place} must be {wanted}, got {value!r:.40}")
