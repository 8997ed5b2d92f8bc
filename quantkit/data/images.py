"""Image files, decoded as MMPose decodes them, and refused when a part is missing."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from quantkit.data.image_end import missing_part
from quantkit.errors import InputError
from quantkit.storage import read_bytes


def read_whole(path: Path) -> bytes:
    """Read an image file without decoding it.

    Raises:
        InputError: The file is missing or truncated.
    """
    data = read_bytes(path)
    missing = missing_part(data)
    if missing is not None:
        message = f"is truncated ({missing}); fetch the image again"
        raise InputError(message, path=path)
    return data


def read_image(path: Path) -> NDArray[np.uint8]:
    """Decode an image file as `mmcv.imread` does: three channels, turned by its EXIF orientation.

    OpenCV pads a truncated file with grey and says so only on stderr; here it is an error.

    Returns:
        Pixels in BGR order, shape (height, width, 3).

    Raises:
        InputError: The file is missing, truncated or not an image.
    """
    data = read_whole(path)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error as error:
        message = f"cannot be decoded ({error.err})"
        raise InputError(message, path=path) from error
    if image is None:
        message = "is not an image that OpenCV can decode"
        raise InputError(message, path=path)
    return np.asarray(image, np.uint8)
