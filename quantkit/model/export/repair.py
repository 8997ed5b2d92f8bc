"""Old exporters' mistakes that one runtime overlooks and another refuses."""

from collections.abc import Sequence
from typing import Any


def repair(model: Any) -> tuple[str, ...]:
    """Mend an ONNX model in place, without a change of what it computes.

    * Weights that are listed as inputs too are taken out of the inputs.
    * A file of a version that wants its weights among the inputs, without them there, is one of a
      version that does not.
    * `BatchNormalization` with `spatial=0` and one value a channel, which MXNet wrote, means
      `spatial=1`: ONNX Runtime takes it at its word and refuses it.

    Args:
        model: An `onnx.ModelProto`.

    Returns:
        What was mended, for the report.
    """
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    notes = []
    listed = [value for value in graph.input if value.name in weights]
    for value in listed:
        graph.input.remove(value)
    if weights:
        # Before this version of the format a weight had to be an input.
        model.ir_version = max(model.ir_version, 4)
    if listed:
        notes.append(f"{len(listed)} weights are no longer inputs")
    mended = [node for node in graph.node if _is_wrongly_spatial(node, weights)]
    for node in mended:
        kept = [attribute for attribute in node.attribute if attribute.name != "spatial"]
        del node.attribute[:]
        node.attribute.extend(kept)
    if mended:
        notes.append(f"{len(mended)} BatchNormalization are spatial")
    return tuple(notes)


def tell_outputs(model: Any, shape: Sequence[int]) -> None:
    """Give outputs that are written without a shape theirs, in place; onnxsim stops at one.

    Args:
        model: An `onnx.ModelProto`.
        shape: Of its input.
    """
    silent = [value for value in model.graph.output if not value.type.tensor_type.HasField("shape")]
    if silent:
        known = {value.name: value for value in outputs_at(model, shape)}
        for value in silent:
            value.CopyFrom(known[value.name])


def outputs_at(model: Any, shape: Sequence[int]) -> Sequence[Any]:
    """Infer the outputs of an `onnx.ModelProto` whose input has a certain shape."""
    import onnx

    fixed = type(model).FromString(model.SerializeToString())
    given = fixed.graph.input[0].type.tensor_type.shape.dim
    for dim, side in zip(given, shape, strict=True):
        dim.dim_value = side
    for value in fixed.graph.output:
        if not all(d.dim_value for d in value.type.tensor_type.shape.dim):
            value.type.tensor_type.ClearField("shape")
    found: Sequence[Any] = onnx.shape_inference.infer_shapes(fixed, data_prop=True).graph.output
    return found


def _is_wrongly_spatial(node: Any, weights: dict[str, Any]) -> bool:
    if node.op_type != "BatchNormalization" or node.input[1] not in weights:
        return False
    per_channel = len(weights[node.input[1]].dims) == 1
    return per_channel and any(a.name == "spatial" and a.i == 0 for a in node.attribute)
