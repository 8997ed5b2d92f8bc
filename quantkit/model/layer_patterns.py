"""Layers as they are asked for on a command line: by name, by pattern, by type."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Final

from quantkit.errors import InputError
from quantkit.model.layer import Layer

BY_TYPE: Final = "type:"
_LISTED: Final = 4


def matching_layers(
    patterns: Iterable[str], layers: Sequence[Layer], where: str
) -> tuple[str, ...]:
    """Name the layers that patterns ask for, in their own order.

    Args:
        patterns: Each the name of a layer, a pattern of names (`conv_6*`), or `type:` and a
            layer type or a pattern of types (`type:ConvolutionDepthWise`).
        layers: The layers to choose from.
        where: What they are of, for the error message.

    Raises:
        InputError: Nothing matches a pattern.

    Example:
        >>> layers = [Layer("Convolution", name, (), ()) for name in ("conv_6", "conv_61", "fc")]
        >>> matching_layers(["fc", "conv_6*"], layers, "the table")
        ('conv_6', 'conv_61', 'fc')
    """
    names = [layer.name for layer in layers]
    chosen: set[str] = set()
    for pattern in patterns:
        # A name is that layer's, whatever signs it has.
        found = {pattern} if pattern in names else _matched(pattern, layers)
        if not found:
            listed = ", ".join([*names[:_LISTED], *(["..."] if len(names) > _LISTED else [])])
            message = f"'{pattern}' matches no layer of {where} (there are {listed or 'none'})"
            raise InputError(f"{message}; give a name, a pattern such as 'conv_6*', or type:TYPE")
        chosen |= found
    return tuple(name for name in names if name in chosen)


def _matched(pattern: str, layers: Sequence[Layer]) -> set[str]:
    if pattern.startswith(BY_TYPE):
        wanted = pattern.removeprefix(BY_TYPE)
        return {layer.name for layer in layers if fnmatchcase(layer.type, wanted)}
    return {layer.name for layer in layers if fnmatchcase(layer.name, pattern)}
