"""What a shape is, and what it means to have a rule for a layer type's output shape."""

from collections.abc import Callable, Sequence

from quantkit.model.param import Layer

Shape = tuple[int, ...]
Shapes = Sequence[Shape]
Rule = Callable[[Layer, Shapes], Shapes]
"""From a layer and the shapes of its bottoms to the shapes of its tops.

It may raise ValueError, IndexError, KeyError or ArithmeticError where they do not fit, and
`Misfit` where it is certain that ncnn could only compute nonsense or nothing.
"""


class Misfit(ValueError):
    """The shapes that meet in a layer do not go together."""


def one_to_one(shape: Callable[[Layer, Shape], Shape]) -> Rule:
    """Make a rule of a function for layers with one bottom and one top that matter.

    Example:
        >>> one_to_one(lambda layer, bottom: bottom[::-1])(None, [(1, 2)])
        [(2, 1)]
    """
    return lambda layer, bottoms: [shape(layer, bottoms[0])]


def integers(layer: Layer, number: int) -> list[int]:
    """Read an array of integers."""
    return [int(value) for value in layer.array_param(number)]
