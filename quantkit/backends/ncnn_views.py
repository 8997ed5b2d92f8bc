"""The blobs of one forward pass, read where they lie: no copy, and no conversion of the packing.

Extracting a blob the usual way copies it out of the extractor's memory pool, page by page fresh
from the system, and unpacks it: for all the blobs of a network that costs more than its forward.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import ncnn
import numpy as np
from numpy.typing import NDArray

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.errors import InputError

_AS_IT_LIES = 1  # `Extractor.extract`: leave packing and precision as the layers have them


class BlobView(NamedTuple):
    """A blob in ncnn's own memory, valid while it is being visited and not to be written to.

    Attributes:
        values: One axis; the first axis of the blob is interleaved in packs.
        shape: Of the blob, without a batch axis.
        pack: Neighbouring values that belong to as many channels: 1, 4, 8 or 16.
    """

    values: NDArray[np.float32]
    shape: tuple[int, ...]
    pack: int

    def packed(self) -> NDArray[np.float32]:
        """View the values as (channels / pack, values of a channel, pack)."""
        return self.values.reshape(self.shape[0] // self.pack, -1, self.pack)


class BlobReader:
    """Shows blobs of a network; for one thread, while several readers may share the network.

    Args:
        net: The network, fp32 and light.
        blobs: Names of the blobs.

    Raises:
        InputError: A blob is not in the network.
    """

    def __init__(self, net: NcnnNet, blobs: Sequence[str]) -> None:
        self._net = net
        self._order = net._in_order(blobs)
        # A blob from the extractor's own pool is copied on extraction, one from ours is not.
        self._allocator = ncnn.UnlockedPoolAllocator()

    def read(self, tensor: NDArray[np.float32], visit: Callable[[str, BlobView], object]) -> None:
        """Run one input and show each blob as soon as it is computed.

        Args:
            tensor: Shape (channels, height, width).
            visit: Called with name and blob, in the order of the layers.

        Raises:
            InputError: The tensor has another shape, or a blob cannot be computed.
        """
        if tensor.ndim != 3 or 0 in tensor.shape:
            message = f"an ncnn input has shape (channels, height, width), got {tensor.shape}"
            raise InputError(message)
        extractor = self._net._net.create_extractor()
        extractor.set_blob_allocator(self._allocator)
        array = np.ascontiguousarray(tensor, np.float32)
        mat = ncnn.Mat()  # one for all blobs: making one takes as long as reading a small blob
        try:
            extractor.input(self._net.input, ncnn.Mat(array).clone())
            for name in self._order:
                status = extractor.extract(name, mat, _AS_IT_LIES)
                if status != 0 or mat.empty():
                    message = f"ncnn cannot compute blob '{name}' from this input (status {status})"
                    raise InputError(message)
                visit(name, _view(mat))
                # A layer that works in place would copy a blob that somebody else holds.
                mat.release()
        finally:
            # An error's traceback must not outlive the allocator with blobs.
            mat.release()
            extractor.clear()


def _view(mat: ncnn.Mat) -> BlobView:
    pack, dims, width = mat.elempack, mat.dims, mat.w
    if pack != 1:
        # The header alone: numpy is shown a blob of single values, pack times as wide.
        mat.elempack = 1
        mat.elemsize = 4
        mat.w = width * pack
        if dims >= 3:
            mat.cstep *= pack
    # A copy only where ncnn leaves gaps between channels: those of a few odd small blobs.
    values = np.asarray(mat).reshape(-1)
    values.flags.writeable = False
    return BlobView(values, _shape(dims, mat.c, mat.d, mat.h, width, pack), pack)


def _shape(dims: int, c: int, d: int, h: int, w: int, pack: int) -> tuple[int, ...]:
    if dims == 3:
        return (c * pack, h, w)
    if dims == 1:
        return (w * pack,)
    return (h * pack, w) if dims == 2 else (c * pack, d, h, w)
