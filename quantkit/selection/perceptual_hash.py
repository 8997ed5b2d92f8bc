"""What an image looks like in 64 bits: near-duplicates differ in few of them, in any encoding.

The image becomes 32x32 grey levels, their discrete cosine transform is taken, and each of its 8x8
lowest frequencies gives one bit: whether it lies above their median (Zauner, Implementation and
Benchmarking of Perceptual Image Hash Functions, 2010).
"""

from collections.abc import Iterator
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from quantkit.data.image_end import missing_part

SIDE: Final = 32

_FREQUENCIES: Final = 8
# Pairs that are compared at once: 32 MB of 64-bit words.
_PAIRS: Final = 1 << 22
_ONES: Final = np.array([bin(word).count("1") for word in range(1 << 16)], np.uint8)

Grey = NDArray[np.uint8]
Hashes = NDArray[np.uint64]


def thumbnail(data: bytes) -> Grey | None:
    """Decode an image file to 32x32 grey levels, turned by its EXIF orientation.

    Args:
        data: The whole file.

    Returns:
        Shape (32, 32), or None where the file is truncated or no image.
    """
    if not data or missing_part(data) is not None:
        return None
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    except cv2.error:
        return None
    if image is None:
        return None
    return np.asarray(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def perceptual_hashes(thumbnails: Grey) -> Hashes:
    """Hash thumbnails.

    Args:
        thumbnails: Shape (n, 32, 32).

    Returns:
        Shape (n,).
    """
    hashes = np.zeros(len(thumbnails), np.uint64)
    for index, one in enumerate(thumbnails):
        lowest = cv2.dct(one.astype(np.float32))[:_FREQUENCIES, :_FREQUENCIES].ravel()
        # The first is the mean grey level: far above the rest, it says nothing about them.
        bits = lowest > np.median(lowest[1:])
        hashes[index] = np.packbits(bits).view(">u8")[0]
    return hashes


def hamming(first: Hashes, second: Hashes) -> Grey:
    """Count the bits in which each hash of one set differs from each of another.

    Args:
        first: Shape (n,).
        second: Shape (m,).

    Returns:
        Shape (n, m).

    Example:
        >>> hamming(np.array([0, 7], np.uint64), np.array([1], np.uint64)).tolist()
        [[1], [2]]
    """
    words = np.bitwise_xor(first[:, None], second[None, :]).view(np.uint16)
    ones = _ONES[words].reshape(len(first), len(second), 4)
    return np.asarray(ones.sum(axis=2, dtype=np.uint8))


def close_pairs(first: Hashes, second: Hashes, at_most: int) -> Iterator[tuple[int, int]]:
    """Find the pairs of hashes that differ in few bits, in memory that does not grow with them.

    Args:
        first: Shape (n,).
        second: Shape (m,).
        at_most: How many bits may differ.

    Returns:
        Indices into both, in the order of the first.
    """
    rows = max(1, _PAIRS // max(1, len(second)))
    for start in range(0, len(first), rows):
        distances = hamming(first[start : start + rows], second)
        for row, column in np.argwhere(distances <= at_most).tolist():
            yield start + row, column
