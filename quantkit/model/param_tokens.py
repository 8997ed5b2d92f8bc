"""The `id=value` pairs at the end of a .param line. Facts: ncnn src/paramdict.cpp."""

import re

WHITESPACE = " \t\r\v\f"
"""What separates words within a line; C's idea of it, not Unicode's."""

_PAIR = re.compile(r'\s*([+-]?\d+)=("[^"\n]*"|[^\s"]+)(?=\s|$)', re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_STRING = re.compile(r'"[^"\n]*"|[A-Za-z][^\s"]*', re.ASCII)
_NOT_STRINGS = frozenset({"inf", "infinity", "nan"})

_ARRAY_BASE = -23300
_IDS = 32
_LONGEST_NUMBER = 15
_LONGEST_STRING = 240
_INT_MAX = 2**31 - 1


def parameter_id(key: int) -> int:
    """Tell a parameter's id from its raw key.

    Example:
        >>> parameter_id(9), parameter_id(-23310)
        (9, 10)
    """
    return _ARRAY_BASE - key if key <= _ARRAY_BASE else key


def split_parameters(text: str) -> dict[int, str]:
    """Split and check the pairs of one layer.

    Returns:
        Raw value by raw key, in the order written.

    Raises:
        ValueError: A pair is malformed; the message says which and how.

    Example:
        >>> split_parameters("0=16 1=3 -23310=2,0.0,6.0")
        {0: '16', 1: '3', -23310: '2,0.0,6.0'}
    """
    params: dict[int, str] = {}
    seen: set[int] = set()
    text = text.rstrip(WHITESPACE)
    position = 0
    while position < len(text):
        pair = _PAIR.match(text, position)
        if pair is None:
            message = f"expected parameters as id=value, got '{text[position:].strip()}'"
            raise ValueError(message)
        key, value = int(pair[1]), pair[2]
        _check_pair(key, value)
        if parameter_id(key) in seen:
            message = f"parameter {parameter_id(key)} is given twice; take one out"
            raise ValueError(message)
        seen.add(parameter_id(key))
        params[key] = value
        position = pair.end()
    return params


def _check_pair(key: int, value: str) -> None:
    if not 0 <= parameter_id(key) < _IDS:
        message = f"parameter ids go from 0 to {_IDS - 1}, got '{key}={value}'"
        raise ValueError(message)
    if key <= _ARRAY_BASE:
        _check_counted_array(key, value)
    elif not _is_string(value):
        _check_numbers(value.split(","), f"{key}={value}")


def _is_string(value: str) -> bool:
    if not _STRING.fullmatch(value) or value.lower() in _NOT_STRINGS:
        return False
    if len(value) > _LONGEST_STRING:
        message = f"a string has at most {_LONGEST_STRING} characters, got {len(value)}"
        raise ValueError(message)
    return True


def _check_counted_array(key: int, value: str) -> None:
    count, *items = value.split(",")
    if not _INTEGER.fullmatch(count) or len(items) != int(count[:10]):
        message = f"an array is written key=count,a,b,.., got '{key}={value}'"
        raise ValueError(message)
    _check_numbers(items, f"{key}={value}")


def _check_numbers(items: list[str], pair: str) -> None:
    for item in items:
        if not _NUMBER.fullmatch(item) or len(item) > _LONGEST_NUMBER:
            limit = f"numbers of at most {_LONGEST_NUMBER} characters"
            message = f"parameters are {limit}, got '{item}' in '{pair}'"
            raise ValueError(message)
        if _INTEGER.fullmatch(item) and abs(int(item)) > _INT_MAX:
            message = f"'{item}' in '{pair}' does not fit in 32 bits"
            raise ValueError(message)
