"""One layer of a network: its type, its name, its blobs and its parameters."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from quantkit.errors import InputError
from quantkit.model.param_tokens import parameter_id


@dataclass(frozen=True)
class Origin:
    """The place in a file that a layer was read from."""

    path: Path | None = None
    line: int | None = None


@dataclass(frozen=True)
class Layer:
    """One line of a .param file.

    Args:
        type: ncnn's layer type, such as `Convolution`.
        name: Unique name of the layer.
        bottoms: Names of the blobs it reads.
        tops: Names of the blobs it makes.
        params: Raw value by raw key (an array's key is `-23300 - id` where the file has it so).
        columns: Widths that type and name are padded to.
        origin: Where it was read, for error messages.

    Example:
        >>> layer = Layer("ReLU", "relu1", ("a",), ("b",), {0: "0.1"})
        >>> layer.float_param(0, 0.0)
        0.1
        >>> layer.text()
        'ReLU                     relu1                    1 1 a b 0=0.1'
    """

    type: str
    name: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    params: Mapping[int, str] = field(default_factory=dict)
    columns: tuple[int, int] = field(default=(24, 24), compare=False, repr=False)
    origin: Origin = field(default=Origin(), compare=False, repr=False)

    def int_param(self, number: int, default: int) -> int:
        """Read an integer parameter.

        Raises:
            InputError: The parameter is there but no integer.
        """
        try:
            return int(self.params.get(number, default))
        except ValueError as error:
            raise self._wrong(number, "an integer") from error

    def float_param(self, number: int, default: float) -> float:
        """Read a number.

        Raises:
            InputError: The parameter is there but no number.
        """
        try:
            return float(self.params.get(number, default))
        except ValueError as error:
            raise self._wrong(number, "a number") from error

    def array_param(self, number: int) -> tuple[float, ...]:
        """Read an array, empty where the layer has none; integers come as whole floats."""
        counted = self.params.get(-23300 - number)
        raw = self.params.get(number, "") if counted is None else counted.partition(",")[2]
        try:
            return tuple(float(value) for value in raw.split(",") if value)
        except ValueError as error:
            raise self._wrong(number, "an array of numbers") from error

    def with_params(self, changes: Mapping[int, str | None]) -> "Layer":
        """Set parameters, or take them out with None; the order by id is kept.

        Example:
            >>> Layer("ReLU", "r", ("a",), ("b",), {9: "1"}).with_params({8: "2"}).params
            {8: '2', 9: '1'}
        """
        params = {key: value for key, value in self.params.items() if key not in changes}
        for key, value in changes.items():
            if value is not None:
                params = _inserted(params, key, value)
        return replace(self, params=params)

    def text(self) -> str:
        """Write the line, without its newline."""
        head = f"{self.type:<{self.columns[0]}} {self.name:<{self.columns[1]}}"
        params = (f"{key}={value}" for key, value in self.params.items())
        counts = (str(len(self.bottoms)), str(len(self.tops)))
        return " ".join((head, *counts, *self.bottoms, *self.tops, *params))

    def error(self, message: str) -> InputError:
        """Make an error about this layer, with its place in the file where that is known."""
        text = f"{self.type} '{self.name}': {message}"
        return InputError(text, path=self.origin.path, line=self.origin.line)

    def _wrong(self, number: int, wanted: str) -> InputError:
        return self.error(f"parameter {number} must be {wanted}, got '{self.params[number]}'")


def _inserted(params: Mapping[int, str], key: int, value: str) -> dict[int, str]:
    entries = list(params.items())
    later = (i for i, (old, _) in enumerate(entries) if parameter_id(old) > parameter_id(key))
    entries.insert(next(later, len(entries)), (key, value))
    return dict(entries)
