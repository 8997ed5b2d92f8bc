"""The first forward of a network in ncnn: whether its outputs can serve as a reference at all.

A figure that is made from outputs that are constant, not finite or of a wrong shape means nothing,
so these are named before anything else is run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantkit.backends.child import in_child
from quantkit.backends.ncnn_net import NcnnNet
from quantkit.errors import InputError, QuantkitError
from quantkit.model.export.compare import compare
from quantkit.model.network import Network, read_network, write_network
from quantkit.model.param import Layer
from quantkit.model.shapes import blob_shapes
from quantkit.model.source import NcnnFiles
from quantkit.model.vector_gemms import reads_vector, without_vector_gemms
from quantkit.progress import Feedback
from quantkit.storage import content_key, json_text, read_json, write_atomically

BOUND: Final = 1e-3
"""Largest difference, as a share of an output's range, that counts as rounding."""

RECORD: Final = "first-forward.json"
_EDITION: Final = 1
"""Raised when the check itself changes."""

Tensor = NDArray[np.float32]


def runnable(files: NcnnFiles, shape: Sequence[int]) -> tuple[Network, tuple[str, ...]]:
    """Read a network and take out what ncnn runs wrongly in fp32, where that is exact.

    Args:
        files: The network.
        shape: (channels, height, width) of its input.

    Returns:
        The network, and the names of the layers that were rewritten.

    Raises:
        InputError: A file cannot be read or is malformed.
    """
    network = read_network(files)
    if all(layer.type != "Gemm" for layer in network.param.layers):
        return network, ()
    try:
        shapes = blob_shapes(network.param, {files.input: tuple(shape)})
    except InputError:
        return network, ()
    found = without_vector_gemms(network, shapes)
    return found.network, found.layers


def write_runnable(
    files: NcnnFiles, shape: Sequence[int], folder: Path
) -> tuple[NcnnFiles, tuple[str, ...]]:
    """Write what is run instead of a network that ncnn runs wrongly.

    Args:
        files: The network.
        shape: (channels, height, width) of its input.
        folder: Where the other goes, as `model.param` and `model.bin`; it may replace the given.

    Returns:
        The files to run, which are those given where all is well, and what was rewritten.

    Raises:
        InputError: A file cannot be read, is malformed or cannot be written.
    """
    network, names = runnable(files, shape)
    if not names:
        return files, ()
    made = replace(files, param=folder / "model.param", bin=folder / "model.bin")
    folder.mkdir(parents=True, exist_ok=True)
    write_network(network, made.param, made.bin, overwrite=True)
    return made, tuple(
        f"Gemm '{name}' reads a vector, which ncnn on x86 multiplies wrongly; it is run as an"
        " InnerProduct, which computes the same"
        for name in names
    )


def check_first_forward(
    files: NcnnFiles,
    samples: Sequence[Tensor],
    folder: Path,
    *,
    key: str,
    compared: bool,
    feedback: Feedback,
) -> None:
    """Refuse a network whose fp32 outputs in ncnn cannot serve as a reference.

    Native code may crash of it, so it is run in a child process, and only once as long as nothing
    changes.

    Args:
        files: The fp32 network.
        samples: Some real inputs of shape (channels, height, width).
        folder: Where it is kept that all was well.
        key: Content key of the network, the samples and the versions of the packages.
        compared: Whether its outputs were compared with those of ONNX Runtime already; if not,
            they are compared with those of ncnn without packing.
        feedback: Told nothing but what goes wrong.

    Raises:
        InputError: An output, or the layer that ncnn computes wrongly, is named.
        BackendDied: ncnn died of the network.
    """
    wanted = {"schema": 1, "key": content_key([_EDITION, key])}
    record = folder / RECORD
    if _kept(record) == wanted:
        return
    fault = in_child("ncnn on the fp32 network", feedback, _fault, files, samples, compared)
    if fault is not None:
        raise InputError(fault, path=files.param)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(record, json_text(wanted))


def _kept(record: Path) -> object:
    try:
        return read_json(record)
    except QuantkitError:
        return None


def _fault(_: Feedback, files: NcnnFiles, samples: Sequence[Tensor], compared: bool) -> str | None:
    network = read_network(files)
    try:
        shapes = blob_shapes(network.param, {files.input: samples[0].shape})
    except InputError:
        shapes = {}
    different = list({sample.tobytes(): sample for sample in samples}.values())
    with NcnnNet.of(network, files.input, files.outputs) as net:
        outputs = [net.run(sample) for sample in different]
    fault = output_fault(files.outputs, outputs, shapes)
    if fault is None and (compared or _agree(network, files, different, outputs)):
        return None
    wrong = _wrong_layer(network, files, different[0], shapes)
    if wrong is None and fault is not None:
        wrong = fault + first_not_finite(network, files.input, different)
    return wrong and f"cannot serve as the fp32 reference: {wrong}"


def output_fault(
    names: Sequence[str],
    outputs: Sequence[Sequence[Tensor]],
    shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> str | None:
    """Say what is wrong with a network's outputs for some inputs, if anything is.

    Args:
        names: Of the outputs.
        outputs: The outputs of each input; the inputs differ.
        shapes: What shapes the graph gives, by name; one that is not there is not compared.

    Example:
        >>> zero, ramp = np.zeros(3, np.float32), np.arange(3, dtype=np.float32)
        >>> output_fault(["x", "y"], [(ramp, zero), (2 * ramp, zero)])
        "output 'y' is the same for all of 2 different crops"
        >>> output_fault(["x"], [(ramp,), (2 * ramp,)], {"x": (1, 3)})
        "output 'x' has shape (3,), but its layers give (1, 3)"
    """
    for name, values in zip(names, zip(*outputs, strict=True), strict=True):
        given = values[0].shape
        wanted = (shapes or {}).get(name, given)
        if given != wanted:
            return f"output '{name}' has shape {given}, but its layers give {wanted}"
        bad = sum(one.size - int(np.count_nonzero(np.isfinite(one))) for one in values)
        if bad:
            total = sum(one.size for one in values)
            return f"output '{name}' holds NaN or infinity in {bad} of {total} values"
        if len(values) > 1 and all(np.array_equal(values[0], one) for one in values[1:]):
            return f"output '{name}' is the same for all of {len(values)} different crops"
        if given != (1,) and all(one.size > 1 and np.ptp(one) == 0 for one in values):
            return f"output '{name}' has the same value everywhere, {float(values[0].flat[0]):g}"
    return None


def first_not_finite(network: Network, input: str, samples: Sequence[Tensor]) -> str:
    """Name the first layer that gives a value that is not finite, as the end of a message."""
    for sample in samples:
        for layer, tops in _walked(network, input, sample):
            if not all(np.isfinite(top).all() for top in tops):
                return f"; {layer.type} '{layer.name}' is the first layer that gives any"
    return ""


def _agree(
    network: Network,
    files: NcnnFiles,
    samples: Sequence[Tensor],
    outputs: Sequence[Sequence[Tensor]],
) -> bool:
    with NcnnNet.of(network, files.input, files.outputs, packing=False) as net:
        plain = [net.run(sample) for sample in samples]
    same = [one.shape for one in plain[0]] == [one.shape for one in outputs[0]]
    return same and compare(plain, outputs).relative <= BOUND


def _wrong_layer(
    network: Network, files: NcnnFiles, sample: Tensor, shapes: Mapping[str, tuple[int, ...]]
) -> str | None:
    """Find the first layer that packing makes wrong, given the right values of what it reads."""
    right: dict[str, Tensor] = {files.input: sample}
    with (
        NcnnNet.of(network, files.input, packing=False) as plain,
        NcnnNet.of(network, files.input) as packed,
    ):
        for layer in network.param.layers:
            if layer.type in ("Input", "MemoryData") or not layer.bottoms:
                continue
            known = {blob: right[blob] for blob in layer.bottoms if blob in right}
            wanted = plain.start(known).blobs(layer.tops)
            right |= wanted
            if not all(np.isfinite(values).all() for values in wanted.values()):
                return None  # It is so without packing, too.
            if layer.type == "Split":
                continue
            got = packed.start(known).blobs(layer.tops)
            pairs = [([wanted[blob]], [got[blob]]) for blob in layer.tops]
            shape = next(((a[0].shape, b[0].shape) for a, b in pairs if _other(a, b)), None)
            if shape is not None:
                return _named(layer, shapes, *shape)
            if any(not compare([a], [b]).relative <= BOUND for a, b in pairs):
                return _named(layer, shapes, got[layer.tops[0]].shape, got[layer.tops[0]].shape)
    return None


def _other(a: Sequence[Tensor], b: Sequence[Tensor]) -> bool:
    return a[0].shape != b[0].shape


def _named(
    layer: Layer,
    shapes: Mapping[str, tuple[int, ...]],
    wanted: tuple[int, ...],
    got: tuple[int, ...],
) -> str:
    what = f"shape {got} instead of {wanted}" if wanted != got else "other values"
    rewrite = "; make its matrix a constant, or the layer an InnerProduct"
    vector = bool(shapes) and reads_vector(layer, shapes)
    return (
        f"ncnn computes {layer.type} '{layer.name}' wrongly where it packs blobs: {what}"
        f"{rewrite if vector else ''}"
    )


def _walked(network: Network, input: str, sample: Tensor) -> list[tuple[Layer, list[Tensor]]]:
    layers = [layer for layer in network.param.layers if layer.type != "Input"]
    blobs = [blob for layer in layers for blob in layer.tops]
    with NcnnNet.of(network, input, light=False) as net:
        values = net.run_blobs(sample, blobs)
    return [(layer, [values[blob] for blob in layer.tops]) for layer in layers]
