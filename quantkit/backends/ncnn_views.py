"""The blobs of one forward pass, read where they lie: no copy, and no conversion of the packing.

Extracting a blob the usual way copies it out of the extractor's memory pool, page by page fresh
from the system, and unpacks it: for all the blobs of a network that costs more than its forward.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import ncnn
import numpy as np
from numpy.typing import NDArray

from quantkit.backends.ncnn_net import NcnnNet, check_image
from quantkit.errors import InputError

_AS_IT_LIES = 1  # `Extractor.extract`: leave packing and precision as the layers have them


@dataclass(frozen=True)
class BlobLayout:
    """How a blob lies in ncnn's memory: the same for all inputs of one size.

    Attributes:
        shape: Of the blob, without a batch axis.
        pack: Neighbouring values that belong to as many channels: 1, 4, 8 or 16.
        row: Values in a row, all channels of a pack.
        step: Values from a pack of channels to the next.
    """

    shape: tuple[int, ...]
    pack: int
    row: int
    step: int


class BlobView(NamedTuple):
    """A blob in ncnn's own memory, valid while it is being visited and not to be written to.

    Attributes:
        values: One axis; the first axis of the blob is interleaved in packs.
        layout: Says how.
    """

    values: NDArray[np.float32]
    layout: BlobLayout

    def packed(self) -> NDArray[np.float32]:
        """View the values as (channels / pack, values of a channel, pack)."""
        pack = self.layout.pack
        return self.values.reshape(self.layout.shape[0] // pack, -1, pack)


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
        self._size: tuple[int, ...] = ()
        self._layouts: dict[str, BlobLayout] = {}

    def read(self, tensor: NDArray[np.float32], visit: Callable[[str, BlobView], object]) -> None:
        """Run one input and show each blob as soon as it is computed.

        Args:
            tensor: Shape (channels, height, width).
            visit: Called with name and blob, in the order of the layers.

        Raises:
            InputError: The tensor has another shape, or a blob cannot be computed.
        """
        check_image(tensor)
        extractor = self._net._net.create_extractor()
        extractor.set_blob_allocator(self._allocator)
        array = np.ascontiguousarray(tensor, np.float32)
        mat = ncnn.Mat()  # one for all blobs: making one takes as long as reading a small blob
        try:
            extractor.input(self._net.input, ncnn.Mat(array).clone())
            if tensor.shape != self._size:
                self._size, self._layouts = tensor.shape, {}
            for name in self._order:
                status = extractor.extract(name, mat, _AS_IT_LIES)
                if status != 0 or mat.empty():
                    message = f"ncnn cannot compute blob '{name}' from this input (status {status})"
                    raise InputError(message)
                if name not in self._layouts:
                    self._layouts[name] = _layout(mat)
                visit(name, _view(mat, self._layouts[name]))
                # A layer that works in place would copy a blob that somebody else holds.
                mat.release()
        finally:
            # An error's traceback must not outlive the allocator with blobs.
            mat.release()
            extractor.clear()


def _layout(mat: ncnn.Mat) -> BlobLayout:
    shapes = {1: (mat.w,), 2: (mat.h, mat.w), 3: (mat.c, mat.h, mat.w)}
    first, *others = shapes.get(mat.dims, (mat.c, mat.d, mat.h, mat.w))
    pack = mat.elempack
    return BlobLayout((first * pack, *others), pack, mat.w * pack, mat.cstep * pack)


def _view(mat: ncnn.Mat, layout: BlobLayout) -> BlobView:
    if layout.pack != 1:
        # The header alone: numpy is shown a blob of single values, pack times as wide.
        mat.elempack = 1
        mat.elemsize = 4
        mat.w = layout.row
        mat.cstep = layout.step
    # A copy only where ncnn leaves gaps between channels: those of a few odd small blobs.
    return BlobView(np.asarray(mat).reshape(-1), layout)
