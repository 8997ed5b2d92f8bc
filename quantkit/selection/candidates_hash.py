"""The hash of a pool: whether the persons that a set was chosen from are still the same."""

import json
from collections.abc import Sequence

from quantkit.data.coco import Person
from quantkit.storage import sha256_bytes


def candidates_hash(persons: Sequence[Person]) -> str:
    """Hash annotation id, image id, file name and box of every person, in their order.

    The images are not read; each that is chosen has a hash of its own.

    Example:
        >>> candidates_hash([])[:8]
        'e3b0c442'
    """
    rows = (
        json.dumps([one.annotation_id, one.image_id, one.file_name, list(one.box)])
        for one in persons
    )
    return sha256_bytes("".join(f"{row}\n" for row in rows).encode())
