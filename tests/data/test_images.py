from pathlib import Path

import cv2
import numpy as np
import pytest

from quantkit.data.image_end import missing_part
from quantkit.data.images import read_image
from quantkit.errors import InputError
from tests.oracles import mmpose_or_skip

FORMATS = (".jpg", ".png", ".bmp", ".webp")


def _encoded(suffix: str, *options: int) -> bytes:
    smooth = np.linspace(0, 255, 48 * 64 * 3).reshape(48, 64, 3).astype(np.uint8)
    done, data = cv2.imencode(suffix, smooth, list(options))
    assert done
    return bytes(data)


def _turned_jpeg() -> bytes:
    """A JPEG whose EXIF says that it was taken with the camera on its side."""
    entry = b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"
    tiff = b"MM\x00\x2a\x00\x00\x00\x08" + b"\x00\x01" + entry + b"\x00\x00\x00\x00"
    body = b"Exif\x00\x00" + tiff
    segment = b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body
    data = _encoded(".jpg")
    return data[:2] + segment + data[2:]


@pytest.mark.parametrize("suffix", FORMATS)
def test_whole_images_are_decoded(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"image{suffix}"
    path.write_bytes(_encoded(suffix))
    image = read_image(path)
    assert image.shape == (48, 64, 3)
    assert image.dtype == np.uint8


def test_progressive_jpegs_and_what_follows_a_jpegs_end_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "image.jpg"
    progressive = _encoded(
        ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 2
    )
    path.write_bytes(progressive + b"\x00\x00camera notes")
    assert read_image(path).shape == (48, 64, 3)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9, 0.999])
def test_a_truncated_image_is_named(tmp_path: Path, suffix: str, kept: float) -> None:
    data = _encoded(suffix)
    path = tmp_path / f"image{suffix}"
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(InputError, match=r"image\.\w+: is truncated \(.*\); fetch") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)


def test_every_prefix_of_a_jpeg_and_a_png_lacks_its_end() -> None:
    for suffix, shortest in ((".jpg", 2), (".png", 8)):
        data = _encoded(suffix)
        assert missing_part(data) is None
        assert all(missing_part(data[:size]) for size in range(shortest, len(data)))


def test_the_end_of_an_exif_thumbnail_is_not_the_images_end() -> None:
    thumbnail = _encoded(".jpg")
    body = b"Exif\x00\x00" + thumbnail
    data = _encoded(".jpg")
    whole = data[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + data[2:]
    assert missing_part(whole) is None
    assert missing_part(whole[: len(body) + 200]) == "no end-of-image marker"


def test_a_damaged_png_chunk_is_named(tmp_path: Path) -> None:
    data = bytearray(_encoded(".png"))
    data[len(data) // 2] ^= 0xFF
    path = tmp_path / "image.png"
    path.write_bytes(data)
    with pytest.raises(InputError, match="chunk IDAT has a wrong checksum"):
        read_image(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is not an image"), (b"hello", "is not an image"), (b"BM", "is truncated")],
)
def test_what_is_no_image_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "image.jpg"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"image.jpg: {message}"):
        read_image(path)


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.jpg: cannot be read"):
        read_image(tmp_path / "absent.jpg")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_pixels_equal_mmcvs_with_exif_orientation(tmp_path: Path) -> None:
    mmpose_or_skip()
    import mmcv

    path = tmp_path / "turned.jpg"
    path.write_bytes(_turned_jpeg())
    image = read_image(path)
    assert image.shape == (64, 48, 3)
    assert np.array_equal(image, mmcv.imread(str(path)))
