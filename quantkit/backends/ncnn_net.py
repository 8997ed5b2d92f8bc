"""One ncnn network in memory, with the settings under which its figures mean something."""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final, Self

import ncnn
import numpy as np
from numpy.typing import NDArray

from quantkit.backends.network_check import listed_types, unknown_types
from quantkit.errors import InputError
from quantkit.model.network import Network
from quantkit.model.param import parse_param
from quantkit.model.source import NcnnFiles
from quantkit.storage import read_text

REDUCED_PRECISION: Final = (
    "use_fp16_packed",
    "use_fp16_storage",
    "use_fp16_arithmetic",
    "use_bf16_packed",
    "use_bf16_storage",
)
"""The options that are switched off: each of them changes fp32 results."""


class NcnnNet:
    """An ncnn network that is loaded once and may be run from several threads at a time.

    Half precision is off and each run uses one OpenMP thread: threads that share one network
    scale, OpenMP threads on a busy machine do not. `ncnn.Extractor.extract` releases the GIL.

    Args:
        param_text: Content of the .param file.
        bin_bytes: Content of the .bin file.
        input: Name of the input blob.
        outputs: Names of the output blobs.
        light: Free blobs as soon as they are used up.
        threads: OpenMP threads of one run.
        bf16: Keep floating-point blobs and weights as bf16, which changes results.
        packing: Let ncnn keep several elements of a blob in one, as it does by default.

    Raises:
        InputError: ncnn refuses the .param or the .bin, or a blob is not in the network.
    """

    def __init__(
        self,
        param_text: str,
        bin_bytes: bytes,
        *,
        input: str,
        outputs: Sequence[str],
        light: bool = True,
        threads: int = 1,
        bf16: bool = False,
        packing: bool = True,
    ) -> None:
        # ncnn's own in-memory loading reads past the end of a short .bin; files are bounded.
        with (
            _as_file(param_text.encode()) as param,
            _as_file(bin_bytes) as weights,
        ):
            names = (".param", ".bin")
            options = _Options(light, threads, bf16, packing)
            self._net = _load(param, weights, names, options)
        self._attach(input, outputs)

    @classmethod
    def of(
        cls,
        network: Network,
        input: str,
        outputs: Sequence[str] = (),
        *,
        light: bool = True,
        bf16: bool = False,
        packing: bool = True,
    ) -> Self:
        """Load a network that is in memory; without outputs only blobs can be asked for.

        Raises:
            InputError: As for the constructor.
        """
        text, data = network.param_text(), network.bin_bytes()
        return cls(
            text, data, input=input, outputs=outputs, light=light, bf16=bf16, packing=packing
        )

    @classmethod
    def from_files(
        cls, files: NcnnFiles, *, light: bool = True, threads: int = 1, bf16: bool = False
    ) -> Self:
        """Load from disk, without a second copy of the weights in memory.

        Raises:
            InputError: As for the constructor; the file is named.
        """
        net = cls.__new__(cls)
        for path in (files.param, files.bin):
            if not path.is_file():
                message = "does not exist"
                raise InputError(message, path=path)
        param, weights = str(files.param), str(files.bin)
        net._net = _load(param, weights, (param, weights), _Options(light, threads, bf16))
        net._attach(files.input, files.outputs)
        return net

    def _attach(self, source: str, outputs: Sequence[str]) -> None:
        known = {blob.name for blob in self._net.blobs()}
        for name in (source, *outputs):
            if name not in known:
                ends = f"inputs {self._net.input_names()}, outputs {self._net.output_names()}"
                message = f"blob '{name}' is not in the network, which has {ends}"
                raise InputError(message)
        self.input = source
        self.outputs = tuple(outputs)
        self._rank: dict[str, int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def native(self) -> ncnn.Net:
        """The network as ncnn has it, to be timed without the copies that `run` makes."""
        return self._net

    def close(self) -> None:
        """Free the network; it cannot be run afterwards."""
        self._net.clear()
        self.outputs = ()
        self._rank = {}

    def run(self, tensor: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """Run one input through the network.

        Args:
            tensor: Shape (channels, height, width).

        Returns:
            A copy of each output, in the order of `outputs`.

        Raises:
            InputError: The tensor has another shape, or an output cannot be computed.
        """
        blobs = self.run_blobs(tensor, self.outputs)
        return tuple(blobs[name] for name in self.outputs)

    def run_blobs(
        self, tensor: NDArray[np.float32], blobs: Sequence[str]
    ) -> dict[str, NDArray[np.float32]]:
        """Run one input and keep the blobs that are asked for, of one single forward pass.

        Args:
            tensor: Shape (channels, height, width).
            blobs: Names of blobs, in any order.

        Returns:
            A copy of each blob by its name. A blob that int8 layers requantize holds the int8
            values, as float.

        Raises:
            InputError: The tensor has another shape, or a blob cannot be computed.
        """
        check_image(tensor)
        return self.start({self.input: tensor}).blobs(blobs)

    def start(self, inputs: Mapping[str, NDArray[np.float32]]) -> "Forward":
        """Begin a forward pass, from the input or from blobs in the middle of the network.

        Only the layers between what is fed and what is asked for are run. Fed with all blobs that
        a whole run would hold at some layer, the rest of the network gives the same bits.

        Args:
            inputs: Values by blob name, copied, each of one to four axes.

        Raises:
            InputError: A blob is not in the network, or has no values or too many axes.
        """
        extractor = self._net.create_extractor()
        for name, values in inputs.items():
            if not 1 <= values.ndim <= 4 or 0 in values.shape:
                message = f"an ncnn blob has one to four axes, '{name}' got shape {values.shape}"
                raise InputError(message)
            # A Mat neither keeps its array alive nor understands strides, and an in-place layer
            # would write to it: the array needs a name until the copy is made.
            array = np.ascontiguousarray(values, np.float32)
            if extractor.input(name, ncnn.Mat(array).clone()) != 0:
                message = f"blob '{name}' is not in the network"
                raise InputError(message)
        return Forward(extractor, self._in_order)

    def _in_order(self, blobs: Sequence[str]) -> list[str]:
        if len(blobs) == 1:
            return list(blobs)
        # Light mode frees a blob that was used: an earlier blob asked for later is a segfault.
        if self._rank is None:
            self._rank = _ranks(self._net)
        unknown = next((name for name in blobs if name not in self._rank), None)
        if unknown is not None:
            message = f"blob '{unknown}' is not in the network"
            raise InputError(message)
        return sorted(set(blobs), key=self._rank.__getitem__)


class Forward:
    """A forward pass that is under way, made by `NcnnNet.start`.

    Asked for blobs in the order of the layers it goes on from where it is. A light network has
    freed the blobs that a later layer has read: they cannot be asked for any more.
    """

    def __init__(
        self, extractor: ncnn.Extractor, in_order: Callable[[Sequence[str]], list[str]]
    ) -> None:
        self._extractor = extractor
        self._in_order = in_order

    def blobs(self, names: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Go on until these blobs are there.

        Returns:
            A copy of each by its name.

        Raises:
            InputError: A blob cannot be computed.
        """
        return {name: _extract(self._extractor, name) for name in self._in_order(names)}


def check_image(tensor: NDArray[np.float32]) -> None:
    """Refuse what is not an image: ncnn would take it and compute something else.

    Raises:
        InputError: The tensor does not have three axes, or is empty.
    """
    if tensor.ndim != 3 or 0 in tensor.shape:
        message = f"an ncnn input has shape (channels, height, width), got {tensor.shape}"
        raise InputError(message)


@dataclass(frozen=True)
class _Options:
    light: bool
    threads: int
    bf16: bool
    packing: bool = True


def _load(param: str, weights: str, names: tuple[str, str], options: _Options) -> ncnn.Net:
    param_name, weights_name = names
    net = ncnn.Net()
    for option in REDUCED_PRECISION:
        setattr(net.opt, option, False)
    net.opt.use_bf16_storage = options.bf16
    net.opt.use_packing_layout = options.packing
    net.opt.lightmode = options.light
    net.opt.num_threads = options.threads
    if net.load_param(param) != 0:
        message = f"ncnn cannot read it: {_reason(param)}"
        raise InputError(message, path=param_name)
    if net.load_model(weights) != 0:
        message = "ncnn cannot load it: it is too short for its .param or belongs to another"
        raise InputError(message, path=weights_name)
    return net


def _reason(param: str) -> str:
    try:
        unknown = unknown_types(parse_param(read_text(Path(param))).layers)
    except InputError as error:
        return str(error)
    if unknown:
        return f"it has no layer type {listed_types(unknown)}"
    return "a parameter of a layer is wrong"


def _extract(extractor: ncnn.Extractor, name: str) -> NDArray[np.float32]:
    status, mat = extractor.extract(name)
    if status != 0 or mat.empty():
        message = f"ncnn cannot compute blob '{name}' from this input (status {status})"
        raise InputError(message)
    return np.array(mat, dtype=np.float32)


def _ranks(net: ncnn.Net) -> dict[str, int]:
    blobs = [blob.name for blob in net.blobs()]
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for layer in net.layers():
        for top in layer.tops:
            sorter.add(blobs[top], *(blobs[bottom] for bottom in layer.bottoms))
    try:
        return {name: rank for rank, name in enumerate(sorter.static_order())}
    except CycleError as error:
        message = "the network's layers form a cycle"
        raise InputError(message) from error


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("quantkit"), "wb") as memory:
            memory.write(content)
            memory.flush()
            yield f"/proc/self/fd/{memory.fileno()}"
    else:
        with tempfile.TemporaryDirectory(prefix="quantkit-") as folder:
            path = Path(folder, "net")
            path.write_bytes(content)
            yield str(path)
