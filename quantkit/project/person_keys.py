"""What a person is to the network: the content of the image, and the box."""

from collections.abc import Sequence
from hashlib import sha256

from quantkit.data.coco import Person
from quantkit.progress import Feedback
from quantkit.storage import sha256_file


def person_keys(persons: Sequence[Person], feedback: Feedback) -> list[bytes]:
    """Hash image and box of each person; each image is read once.

    Args:
        persons: Whom to hash.
        feedback: Told how the images are read.

    Returns:
        16 bytes for each.

    Raises:
        InputError: An image cannot be read.
    """
    files = list(dict.fromkeys(person.image for person in persons))
    hashes = {}
    for done, path in enumerate(files, start=1):
        hashes[path] = sha256_file(path)
        feedback.progress("images", done, len(files))
    return [
        sha256(f"{hashes[one.image]} {list(one.box)}".encode()).digest()[:16] for one in persons
    ]
