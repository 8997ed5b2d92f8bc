"""The one top-down preprocess: what calibration sees is to the byte what evaluation sees.

It is MMPose 1.3.2's GetBBoxCenterScale, TopdownAffine and PoseDataPreprocessor. TopdownAffine's
pixels depend on the installed OpenCV; see `quantkit.data.warp` for why the default does not.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from quantkit.data.affine import center_and_scale, udp_warp_matrix, warp_matrix
from quantkit.data.coco import Person
from quantkit.data.images import read_image
from quantkit.data.normalise import Normalisation
from quantkit.data.read_ahead import read_ahead
from quantkit.data.warp import warp_exact
from quantkit.errors import InputError
from quantkit.progress import Progress, silent

Color = Literal["rgb", "bgr", "gray"]
Warp = Literal["exact", "opencv"]
Array = NDArray[np.float32]
Planes = NDArray[np.uint8]

# Crops that wait at once: enough to bridge one slow image, little enough to stay flat in memory.
_AHEAD = 32


@dataclass(frozen=True)
class InputSpec:
    """What a person crop becomes before it enters the network.

    Attributes:
        size: Width and height of the network's input in pixels.
        mean: Subtracted per channel, in the order of `color`.
        std: Divides per channel, in the order of `color`.
        color: Channel order that the network takes; `gray` is one channel, the luma that OpenCV
            makes of an image before it is warped.
        padding: Factor by which the person's box is widened.
        udp: Unbiased data processing: sizes are counted from pixel centre to pixel centre
            (Huang et al., The Devil is in the Details, CVPR 2020).
        warp: `exact` interpolates as OpenCV 5 does, whatever is installed; `opencv` calls
            `cv2.warpAffine`, and so equals to the byte what MMPose gives beside the same OpenCV.
    """

    size: tuple[int, int]
    mean: tuple[float, ...] = (123.675, 116.28, 103.53)
    std: tuple[float, ...] = (58.395, 57.12, 57.375)
    color: Color = "rgb"
    padding: float = 1.25
    udp: bool = False
    warp: Warp = "exact"

    @property
    def normalisation(self) -> Normalisation:
        """From grey levels to what the network takes."""
        return Normalisation(self.mean, self.std)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of the network's input."""
        return 1 if self.color == "gray" else 3, self.size[1], self.size[0]


@dataclass(frozen=True)
class Crop:
    """A person as the network sees it, and the way back to the image.

    Attributes:
        pixels: Grey levels in the network's channel order, uint8, shape
            (channels, height, width).
        normalisation: From them to the network's input.
        center: x, y of the crop's centre in image pixels, shape (2,), float32.
        scale: Width and height of the crop in image pixels, shape (2,), float32.
    """

    pixels: Planes
    normalisation: Normalisation
    center: Array
    scale: Array

    @property
    def tensor(self) -> Array:
        """Normalised pixels, shape (channels, height, width), contiguous; a new array each time."""
        return self.normalisation(self.pixels)


def crop_person(image: NDArray[np.uint8], person: Person, spec: InputSpec) -> Crop:
    """Cut one person out of an image.

    Args:
        image: BGR pixels, shape (height, width, 3).
        person: Whose box is cut out.
        spec: The network's input.

    Raises:
        InputError: OpenCV refuses to warp the image (version 4 at sides over 32,767 pixels).
    """
    center, scale = center_and_scale(person.box, spec.size, spec.padding)
    matrix = (udp_warp_matrix if spec.udp else warp_matrix)(center, scale, spec.size)
    if spec.color == "gray":
        image = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)[:, :, None]
    planes = _warped(image, matrix, spec, person)
    ordered = planes[::-1] if spec.color == "rgb" else planes
    return Crop(np.ascontiguousarray(ordered), spec.normalisation, center, scale)


def _warped(
    image: Planes, matrix: NDArray[np.floating[Any]], spec: InputSpec, person: Person
) -> Planes:
    if spec.warp == "exact":
        return warp_exact(image, matrix, spec.size)
    try:
        warped = cv2.warpAffine(image, matrix, spec.size, flags=cv2.INTER_LINEAR)
    except cv2.error as error:
        message = f"cannot be warped ({error.err})"
        raise InputError(message, path=person.image) from error
    # OpenCV drops the axis of a single channel.
    return np.atleast_3d(np.asarray(warped, np.uint8)).transpose(2, 0, 1)


def crops(
    persons: Sequence[Person], spec: InputSpec, progress: Progress = silent
) -> Iterator[Crop]:
    """Crop persons one after the other, in order.

    An image is decoded once for consecutive persons of it. A thread reads and warps ahead of the
    consumer, at most 32 crops, so that memory does not grow with the number of persons.

    Args:
        persons: Whom to crop; those of one image should follow each other.
        spec: The network's input.
        progress: Called after every crop that was taken, stage "crops".

    Raises:
        InputError: An image is missing, broken or truncated; raised at its place in the stream.
    """
    for done, crop in enumerate(read_ahead(_sequential(persons, spec), _AHEAD), start=1):
        yield crop
        progress("crops", done, len(persons))


def _sequential(persons: Sequence[Person], spec: InputSpec) -> Iterator[Crop]:
    for path, group in groupby(persons, key=lambda person: person.image):
        image = read_image(path)
        for person in group:
            yield crop_person(image, person, spec)
