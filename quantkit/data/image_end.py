"""Whether an image file is whole, told from its container before anything is decoded.

Decoders are lenient: libjpeg fills what a truncated file lacks with grey. A person crop of grey
calibrates and evaluates without complaint, so the end of the file is looked for here.
"""

import re
import struct
import zlib

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# In entropy-coded JPEG data 0xFF is followed by a stuffed zero, a restart marker or fill bytes;
# anything else is the next marker segment.
_JPEG_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")
_JPEG_END = 0xD9


def missing_part(data: bytes) -> str | None:
    r"""Say what a JPEG, PNG, BMP or WebP file lacks.

    Args:
        data: The whole file.

    Returns:
        What is missing, or None for a whole file and for any other format.

    Example:
        >>> missing_part(b"\xff\xd8\xff\xe0\x00\x10JFIF")
        'no end-of-image marker'
    """
    if data.startswith(b"\xff\xd8"):
        return None if _jpeg_ends(data) else "no end-of-image marker"
    if data.startswith(_PNG_SIGNATURE):
        return _png_lacks(data)
    if data.startswith(b"BM"):
        return _bmp_lacks(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _shorter(data, 8 + struct.unpack_from("<I", data, 4)[0])
    return None


def _jpeg_ends(data: bytes) -> bool:
    position = 2
    while (marker := _JPEG_MARKER.search(data, position)) is not None:
        code, position = marker[1][0], marker.end()
        if code == _JPEG_END:
            return True
        if position + 2 > len(data):
            return False
        # The segment's own bytes may look like markers (an EXIF thumbnail has an end of its own).
        position += struct.unpack_from(">H", data, position)[0]
    return False


def _png_lacks(data: bytes) -> str | None:
    position = len(_PNG_SIGNATURE)
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            return f"chunk {kind.decode('latin-1')} is cut off"
        (checksum,) = struct.unpack_from(">I", data, end - 4)
        if zlib.crc32(data[position + 4 : end - 4]) != checksum:
            return f"chunk {kind.decode('latin-1')} has a wrong checksum"
        if kind == b"IEND":
            return None
        position = end
    return "no IEND chunk"


def _bmp_lacks(data: bytes) -> str | None:
    if len(data) < 34:
        return "no whole header"
    (pixels,) = struct.unpack_from("<I", data, 10)
    width, height = struct.unpack_from("<ii", data, 18)
    bits, compression = struct.unpack_from("<HI", data, 28)
    if compression != 0:
        return None
    row = (abs(width) * bits + 31) // 32 * 4
    return _shorter(data, pixels + row * abs(height))


def _shorter(data: bytes, expected: int) -> str | None:
    return f"{len(data)} of {expected} bytes" if len(data) < expected else None
