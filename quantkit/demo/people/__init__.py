"""Rendered people: pictures of articulated figures with COCO keypoints, the same every time."""

from quantkit.demo.people.dataset import annotation_file, write_dataset
from quantkit.demo.people.scene import Rendered, render

__all__ = ["Rendered", "annotation_file", "render", "write_dataset"]
