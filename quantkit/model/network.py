"""A network in ncnn's form: the layer graph and its weights."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from quantkit.errors import InputError
from quantkit.model.param import Layer, Param, read_param
from quantkit.model.source import NcnnFiles
from quantkit.model.weights import LayerWeights, Weights, bin_parts, read_weights
from quantkit.storage import must_write, write_result, write_stream_atomically


@dataclass(frozen=True, eq=False)
class Network:
    """A layer graph with its weights.

    Args:
        param: The graph.
        weights: Weights by layer name, for the layers that have any.
    """

    param: Param
    weights: Weights

    def param_text(self) -> str:
        """Write the .param file."""
        return self.param.text()

    def bin_parts(self) -> Iterator[bytes | memoryview]:
        """Yield the .bin file piece by piece, without a copy of the whole."""
        return bin_parts(self.param, self.weights)

    def bin_bytes(self) -> bytes:
        """Write the .bin file."""
        return b"".join(self.bin_parts())

    @cached_property
    def sha256(self) -> str:
        """Hash of the .param and the .bin."""
        digest = hashlib.sha256(self.param_text().encode())
        for part in self.bin_parts():
            digest.update(part)
        return digest.hexdigest()

    @property
    def nbytes(self) -> int:
        """Size of the two files together, in bytes."""
        return len(self.param_text().encode()) + sum(x.nbytes for x in self.weights.values())

    def replaced(
        self, layers: Mapping[str, Layer], weights: Mapping[str, LayerWeights]
    ) -> "Network":
        """Exchange some layers and their weights by name; all others are shared."""
        changed = tuple(layers.get(layer.name, layer) for layer in self.param.layers)
        return Network(replace(self.param, layers=changed), {**self.weights, **weights})


def read_network(files: NcnnFiles) -> Network:
    """Read a .param and a .bin.

    Raises:
        InputError: A file cannot be read or is malformed, or the input or an output is no blob
            of the network.
    """
    param = read_param(files.param)
    _check_blobs(param, files)
    return Network(param, read_weights(param, files.bin))


def write_network(network: Network, param: Path, bin: Path, *, overwrite: bool = False) -> None:
    """Write a .param and a .bin, each whole or not at all.

    Raises:
        InputError: Different files lie there and `overwrite` is false, or writing failed.
    """
    digest = hashlib.sha256()
    for part in network.bin_parts():
        digest.update(part)
    text = network.param_text()
    write_bin = must_write(bin, digest.hexdigest(), overwrite=overwrite)
    write_result(param, text, overwrite=overwrite)
    if write_bin:
        write_stream_atomically(bin, network.bin_parts())


def put_right(files: NcnnFiles, folder: Path) -> tuple[NcnnFiles, tuple[str, ...]]:
    """Copy a pair whose .param has irregularities, without them, so that ncnn never reads those.

    Args:
        files: A pair.
        folder: Where the copy goes, as `model.param` and `model.bin`; that pair may be the given.

    Returns:
        The given pair where nothing had to be put right, else the copy; and what was.

    Raises:
        InputError: As for `read_network`, or the copy cannot be written.
    """
    notes = read_param(files.param).notes
    if not notes:
        return files, ()
    network = read_network(files)
    tidy = replace(files, param=folder / "model.param", bin=folder / "model.bin")
    write_network(network, tidy.param, tidy.bin, overwrite=True)
    return tidy, notes


def _check_blobs(param: Param, files: NcnnFiles) -> None:
    inputs = [blob for layer in param.layers if layer.type == "Input" for blob in layer.tops]
    if files.input not in inputs:
        names = ", ".join(inputs) or "none"
        message = f"has no input blob '{files.input}'; it has: {names}"
        raise InputError(message, path=files.param)
    blobs = {blob for layer in param.layers for blob in layer.tops}
    for name in files.outputs:
        if name not in blobs:
            message = f"has no blob '{name}' to be an output; give a blob name of the file"
            if param.ignored_lines:
                message += f" ({param.notes[0]})"
            raise InputError(message, path=files.param)
