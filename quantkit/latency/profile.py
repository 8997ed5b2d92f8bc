"""The file of layer times: measured here or elsewhere, on a phone for instance."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from quantkit.errors import InputError
from quantkit.latency.layer_shape import LayerShape
from quantkit.latency.samples import Milliseconds
from quantkit.latency.single_layer import FORMS, forms_of
from quantkit.model.eligibility import INT8_TYPES
from quantkit.storage import json_text, read_json, write_atomically

SCHEMA: Final = 1
_MOST_AXES = 4
_ABSURD = 1e9
_CLEARLY = 0.9  # of the time: a form is not changed for less


@dataclass(frozen=True)
class LayerTimes:
    """Times of one layer.

    Attributes:
        forms: Time by form; `fp32` and `int8` are always there.
    """

    forms: Mapping[str, Milliseconds]

    def best(self, precision: str) -> float:
        """Take the time without Winograd where that is faster in both figures, beyond noise.

        Args:
            precision: `fp32` or `int8`.

        Returns:
            Milliseconds, in doubt those of the plain form.
        """
        plain, direct = self.forms[precision], self.forms.get(f"{precision}-direct")
        if direct is not None and (
            direct.median < _CLEARLY * plain.median and direct.p10 < _CLEARLY * plain.p10
        ):
            return direct.median
        return plain.median


@dataclass(frozen=True)
class LatencyProfile:
    """Layer times of a machine.

    Attributes:
        machine: What is known of the machine.
        times: By layer shape.
        noise: How much the same layer differed when measured twice; nine layers in ten differ less.
    """

    machine: Mapping[str, Any]
    times: Mapping[LayerShape, LayerTimes]
    noise: float

    def missing(self, shapes: Sequence[LayerShape]) -> tuple[LayerShape, ...]:
        """List the shapes that have no times."""
        return tuple(shape for shape in dict.fromkeys(shapes) if shape not in self.times)

    def text(self) -> str:
        """Write the file's content."""
        layers = [
            {
                "type": shape.type,
                "params": shape.params,
                "input": list(shape.input),
                "ms": {form: asdict(one) for form, one in times.forms.items()},
            }
            for shape, times in self.times.items()
        ]
        document = {"schema": SCHEMA, "machine": dict(self.machine), "noise": self.noise}
        return json_text({**document, "layers": layers})


def write_profile(profile: LatencyProfile, path: Path) -> None:
    """Write a file of layer times, whatever lay there.

    Raises:
        InputError: The file cannot be written.
    """
    write_atomically(path, profile.text())


def read_profile(path: Path) -> LatencyProfile:
    """Read a file of layer times.

    Raises:
        InputError: It is missing or wrong; what is wrong is named.
    """
    return parse_profile(read_json(path), path)


def parse_profile(document: object, path: Path | None = None) -> LatencyProfile:
    """Check and take the JSON of a file of layer times.

    Args:
        document: The JSON value.
        path: The file's path, for error messages.

    Raises:
        InputError: Something is missing or wrong; the layer is named by its number in the file.
    """
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        message = f"is no file of layer times of schema {SCHEMA}"
        raise InputError(message, path=path)
    machine, noise, layers = (document.get(key) for key in ("machine", "noise", "layers"))
    if not isinstance(machine, dict) or not isinstance(layers, list) or not layers:
        message = "needs 'machine', an object, and 'layers', a list of at least one"
        raise InputError(message, path=path)
    noise = _number(noise)
    if noise is None:
        message = "'noise' must be a share of at least 0"
        raise InputError(message, path=path)
    times: dict[LayerShape, LayerTimes] = {}
    for number, one in enumerate(layers, start=1):
        try:
            shape, found = _layer(one)
            if shape in times:
                raise ValueError("has been there before")
        except (InputError, ValueError) as error:
            message = f"layer {number} of the file: {error}"
            raise InputError(message, path=path) from error
        times[shape] = found
    return LatencyProfile(machine, times, noise)


def _layer(value: object) -> tuple[LayerShape, LayerTimes]:
    if not isinstance(value, dict):
        raise ValueError("expected an object")
    kind, params, sizes, ms = (value.get(key) for key in ("type", "params", "input", "ms"))
    if kind not in INT8_TYPES or not isinstance(params, str):
        raise ValueError(f"'type' must be one of {', '.join(INT8_TYPES)}, and 'params' a text")
    if not isinstance(sizes, list) or not 1 <= len(sizes) <= _MOST_AXES:
        raise ValueError("'input' must be the shape of the blob that it reads")
    if not all(type(size) is int and size > 0 for size in sizes):
        raise ValueError(f"'input' must hold whole numbers above 0, got {sizes}")
    shape = LayerShape(str(kind), params, tuple(sizes))
    if not isinstance(ms, dict) or not {"fp32", "int8"} <= set(ms) <= set(forms_of(shape)):
        raise ValueError(f"'ms' needs fp32 and int8, and may have no other than {_list(FORMS)}")
    return shape, LayerTimes({form: _milliseconds(form, ms[form]) for form in ms})


def _milliseconds(form: str, value: object) -> Milliseconds:
    figures = value if isinstance(value, dict) else {"median": value, "p10": value}
    median, p10 = _number(figures.get("median")), _number(figures.get("p10"))
    if median is None or p10 is None or not 0 < p10 <= median:
        raise ValueError(f"'{form}' needs milliseconds above 0: a median, and a p10 up to that")
    return Milliseconds(median, p10)


def _number(value: object) -> float | None:
    # A whole number may be too long for a float.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _ABSURD:
        return None
    return float(value)


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)
