"""Predictions on disk, under the key of everything that they depend on."""

from pathlib import Path

import numpy as np

from quantkit.evaluation.predictions import Predictions
from quantkit.storage import json_text, read_json, write_atomically

_KEY = "key"
_TYPES = {
    "annotation_ids": np.int64,
    "image_ids": np.int64,
    "keypoints": np.float64,
    "scores": np.float32,
    "crop_areas": np.float32,
}


def write_predictions(path: Path, key: str, predictions: Predictions) -> None:
    """Keep predictions for a later run with the same key.

    Raises:
        InputError: The file cannot be written.
    """
    arrays = {name: getattr(predictions, name).tolist() for name in _TYPES}
    write_atomically(path, json_text({_KEY: key, **arrays}))


def read_predictions(path: Path, key: str) -> Predictions | None:
    """Read predictions back, bit for bit; None where there are none or they have another key."""
    if not path.is_file():
        return None
    value = read_json(path)
    if not isinstance(value, dict) or value.get(_KEY) != key:
        return None
    arrays = {name: np.array(value[name], kind) for name, kind in _TYPES.items()}
    # JSON does not keep the shape of no keypoints.
    arrays["keypoints"] = arrays["keypoints"].reshape(*arrays["scores"].shape, 2)
    return Predictions(**arrays)
