"""Weights that an ONNX network keeps in files of their own."""

from pathlib import Path

from quantkit.storage import read_bytes


def external_files(path: Path) -> tuple[Path, ...]:
    """List the files beside an ONNX file that hold weights of it, as newer exporters write them.

    Args:
        path: The .onnx file.

    Returns:
        In the order of their names; none of a file that is no ONNX network, which the conversion
        refuses with the reason.

    Raises:
        InputError: The file cannot be read.
    """
    import onnx

    content = read_bytes(path)
    try:
        weights = onnx.load_from_string(content).graph.initializer
    except Exception:  # protobuf's, which has no types
        return ()
    places = {
        entry.value
        for tensor in weights
        if tensor.data_location == onnx.TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }
    return tuple(path.parent / place for place in sorted(places))
