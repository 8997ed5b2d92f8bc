"""Which head a bare network has, from the shapes and the names of its outputs."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Final

from quantkit.data.coco_file import KEYPOINTS
from quantkit.errors import InputError
from quantkit.evaluation.head import Decode, HeadType
from quantkit.model.shape_rule import Shape

Outputs = Mapping[str, Shape | None]

_ALIKE: Final = "both have one shape; swap them if x and y of the keypoints come out swapped"

_COMBINED: Final = {3 * count: count for count in (17, 21, 133)}
"""Maps of UDP's combined form for the commonest sets of keypoints, which are no such set."""


@dataclass(frozen=True)
class HeadGuess:
    """What the shapes say of a head.

    Attributes:
        outputs: Those that the head decodes, in its order; None where only the person knows.
        type: Its type; None where only the person knows.
        decode: How it is decoded, where the shapes say.
        keypoints: How many keypoints it gives.
        split_ratio: Bins per input pixel of a simcc head.
        candidates: The outputs of which some are to be named.
        remark: What the shapes do not settle, or that no head fits; empty where all is clear.
    """

    outputs: tuple[str, ...] | None
    type: HeadType | None
    decode: Decode = "default"
    keypoints: int = KEYPOINTS
    split_ratio: float = 2.0
    candidates: tuple[str, ...] = ()
    remark: str = ""


def guess_head(
    outputs: Outputs,
    size: tuple[int, int],
    *,
    chosen: Sequence[str] = (),
    head: HeadType | None = None,
    decode: Decode | None = None,
) -> HeadGuess:
    """Tell the head of a network.

    Args:
        outputs: Shape by name of output, without the batch axis, in the network's order.
        size: Width and height of its input.
        chosen: The outputs that the person names, in the head's order.
        head: The type that the person names.
        decode: The decoding that the person names.

    Raises:
        InputError: What the person names does not fit the network.

    Example:
        >>> guess = guess_head({"out1": (17, 512), "out0": (17, 384)}, (192, 256))
        >>> guess.outputs, guess.split_ratio
        (('out0', 'out1'), 2.0)
        >>> guess_head({"hm": (21, 16, 12), "offsets": (42, 16, 12)}, (48, 64)).outputs
        ('hm',)
    """
    for name in chosen:
        if name not in outputs:
            message = f"--output {name}: the network has no such output, only {_listed(outputs)}"
            raise InputError(message)
    if chosen:
        outputs = {name: outputs[name] for name in chosen}
    if head == "none":
        return HeadGuess(tuple(outputs), "none", keypoints=0, candidates=tuple(outputs))
    guess = None
    if head != "heatmap":
        guess = _simcc(outputs, size, ordered=bool(chosen))
    if guess is None and head != "simcc":
        guess = _heatmap(outputs, size, decode)
    if guess is not None:
        return guess
    if head is not None and None not in outputs.values():
        message = f"--head {head} does not fit the outputs {_shown(outputs)} at input {_x(size)}"
        raise InputError(message)
    return _unknown(outputs, size, head, chosen)


def _simcc(outputs: Outputs, size: tuple[int, int], *, ordered: bool) -> HeadGuess | None:
    bare = {name: _without_batch(shape) for name, shape in outputs.items() if shape}
    vectors = {name: shape for name, shape in bare.items() if len(shape) == 2}
    fitting = [
        (x, y)
        for x, y in permutations(vectors, 2)
        if vectors[x][0] == vectors[y][0] and _ratio(vectors[x], vectors[y], size)
    ]
    if not fitting:
        return None
    names = {frozenset(pair) for pair in fitting}
    if len(names) > 1:
        remark = f"which two are x and y: {_shown(vectors)}"
        return HeadGuess(None, "simcc", candidates=tuple(vectors), remark=remark)
    (x, y), remark = fitting[0], ""
    if len(fitting) == 2:
        (x, y), remark = ((x, y), "") if ordered else _by_names(x, y)
    ratio = _ratio(vectors[x], vectors[y], size)
    return HeadGuess(
        (x, y),
        "simcc",
        keypoints=vectors[x][0],
        split_ratio=ratio,
        candidates=(x, y),
        remark=remark,
    )


def _ratio(x: Shape, y: Shape, size: tuple[int, int]) -> float:
    """Bins per pixel; 0 where x and y do not agree."""
    ratio = x[1] / size[0]
    # Masks have as many rows as the picture, in its scale.
    is_mask = x[0] == size[1] * ratio
    return ratio if round(size[1] * ratio) == y[1] and ratio >= 1 and not is_mask else 0.0


def _by_names(first: str, second: str) -> tuple[tuple[str, str], str]:
    """Order two outputs of one shape: by the letters x and y, by a number at the end, or not."""
    letters = list(zip(first.lower(), second.lower(), strict=False))
    differing = [pair for pair in letters if pair[0] != pair[1]]
    if len(first) == len(second) and set(map(frozenset, differing)) == {frozenset("xy")}:
        return ((first, second) if differing[0][0] == "x" else (second, first)), ""
    stems = {name.rstrip("0123456789") for name in (first, second)}
    numbers = [re.findall(r"\d+$", name) for name in (first, second)]
    if len(stems) == 1 and all(numbers):
        low, high = sorted((first, second), key=lambda name: int(name[len(min(stems)) :]))
        return (low, high), f"x, then y: by their numbers, since {_ALIKE}"
    return (first, second), f"x, then y: in the network's order, since {_ALIKE}"


def _heatmap(outputs: Outputs, size: tuple[int, int], decode: Decode | None) -> HeadGuess | None:
    maps = {name: shape for name, shape in outputs.items() if shape and _is_map(shape, size)}
    # Beside K heatmaps, 2K maps are their offsets or tags along x and y.
    halves = [name for name in maps if 2 * maps[name][0] in {shape[0] for shape in maps.values()}]
    named = [name for name in maps if re.search(r"heat|hm|conf", name.lower())]
    if len(maps) > 1 and len(halves) == 1:
        chosen, remark = halves[0], f"the one of the heatmaps by its shape, of {_shown(outputs)}"
    elif len(maps) > 1 and len(named) == 1:
        chosen, remark = named[0], f"the one of the heatmaps by its name, of {_shown(outputs)}"
    elif len(maps) > 1:
        remark = f"which one has the heatmaps: {_shown(maps)}"
        counts = {shape[0] for shape in maps.values()}
        count = counts.pop() if len(counts) == 1 else KEYPOINTS
        return HeadGuess(None, "heatmap", "default", count, candidates=tuple(maps), remark=remark)
    elif maps:
        chosen = next(iter(maps))
        rest = [name for name in outputs if name != chosen]
        remark = f"{', '.join(rest)} of {_shown(outputs)} is not read" if rest else ""
    else:
        return None
    count = maps[chosen][0]
    if decode == "udp_combined" and count % 3:
        message = f"--decode udp_combined: three maps a keypoint, but '{chosen}' has {count}"
        raise InputError(message)
    combined = count in _COMBINED if decode is None else decode == "udp_combined"
    if combined and decode is None:
        more = f"{count} maps are read as {count // 3} keypoints of UDP's combined form"
        remark = "; ".join(filter(None, (remark, f"{more} (else --decode default)")))
    elif decode is None and count % 3 == 0 and count > 2 * KEYPOINTS:
        more = f"{count} maps are read as {count} keypoints (a third of that with offsets is"
        remark = "; ".join(filter(None, (remark, f"{more} --decode udp_combined)")))
    return HeadGuess(
        (chosen,),
        "heatmap",
        "udp_combined" if combined else decode or "default",
        count // 3 if combined else count,
        candidates=(chosen,),
        remark=remark,
    )


def _is_map(shape: Shape, size: tuple[int, int]) -> bool:
    if len(shape) != 3 or min(shape[1:]) < 2:
        return False
    # A stride that does not divide a side may round it by a pixel.
    return abs(size[0] * shape[1] - size[1] * shape[2]) <= max(size)


def _unknown(
    outputs: Outputs, size: tuple[int, int], head: HeadType | None, chosen: Sequence[str]
) -> HeadGuess:
    names = tuple(outputs)
    if None in outputs.values():
        settled = bool(chosen) or len(names) == 1
        remark = f"the shapes of the outputs ({_listed(outputs)}) are not known"
        return HeadGuess(names if settled else None, head, candidates=names, remark=remark)
    remark = (
        f"neither heatmaps nor SimCC at input {_x(size)}: {_shown(outputs)}; no keypoints are read,"
        " calibrate, sensitivity and eval --no-labels go by the SQNR of each output"
    )
    return HeadGuess(names, "none", keypoints=0, candidates=names, remark=remark)


def _without_batch(shape: Shape) -> Shape:
    """Drop the batch axis that pnnx leaves to SimCC's two vectors."""
    return shape[1:] if len(shape) == 3 and shape[0] == 1 else shape


def _shown(outputs: Outputs) -> str:
    return ", ".join(f"{name} {shape}" for name, shape in outputs.items())


def _listed(outputs: Outputs) -> str:
    return ", ".join(outputs)


def _x(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
