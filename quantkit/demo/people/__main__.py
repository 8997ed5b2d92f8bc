"""Look at the people: `python -m quantkit.demo.people SHEET.png`."""

import argparse
from pathlib import Path

import cv2

from quantkit.demo.people.contact_sheet import contact_sheet, draw_keypoints
from quantkit.demo.people.paint import Image
from quantkit.demo.people.scene import SPLITS, Split, render
from quantkit.storage import write_atomically


def _annotated(split: Split, index: int) -> Image:
    picture = render(split, index)
    image = picture.image
    for person in picture.persons:
        image = draw_keypoints(image, person.keypoints)
    return image


def _main() -> None:
    parser = argparse.ArgumentParser(description="Draw rendered people and their keypoints.")
    parser.add_argument("sheet", type=Path, help="the PNG file to write")
    parser.add_argument("--split", choices=SPLITS, default="val")
    parser.add_argument("--first", type=int, default=0, help="first picture of the split")
    parser.add_argument("--count", type=int, default=24, help="how many pictures")
    given = parser.parse_args()
    pictures = [_annotated(given.split, given.first + i) for i in range(given.count)]
    encoded = cv2.imencode(".png", contact_sheet(pictures, columns=6))[1]
    write_atomically(given.sheet, encoded.tobytes())


if __name__ == "__main__":
    _main()
